from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.servers import record, run, sse, stream_chunks
from workbench.errors import BadResponseError, IncompleteAnswerError, ProviderError, ProviderUnavailableError
from workbench.providers.address import parse_address
from workbench.providers.answers import Answer, decimal, decode
from workbench.providers.failures import Peer

PEER = Peer(name="test", address=parse_address("http://127.0.0.1:1/v1"), key_cure="")


class Pieces:
    """A ``Body`` in memory: its pieces are exactly those that a property test wants."""

    def __init__(self, pieces, content_type="application/json"):
        self.pieces = list(pieces)
        self.content_type = content_type
        self.started = 0.0

    async def chunk(self):
        return self.pieces.pop(0) if self.pieces else b""

    async def read(self):
        return b"".join(self.pieces)

    async def drain(self):
        self.pieces.clear()


def read(pieces, *, streamed=False, content_type="application/json"):
    said = []
    answer = Answer(PEER, "asked", streamed=streamed, on_text=said.append)
    run(answer.read(Pieces([piece for piece in pieces if piece], content_type)))
    return answer, said


def whole(**more):
    return read([json.dumps(record(**more)).encode()])[0]


def streamed(data, cuts=()):
    ends = sorted({cut % (len(data) + 1) for cut in cuts})
    pieces = [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]
    return read(pieces, streamed=True, content_type="text/event-stream")


def test_a_whole_answer_gives_text_reason_usage_model_and_provider():
    response = whole().response([])
    assert (response.text, response.finish_reason) == ("Hello", "stop")
    assert (response.model, response.provider) == ("vendor/model-2026", "Upstream")
    assert response.usage.cost == Decimal("0.00012")
    assert (response.usage.prompt_tokens, response.usage.completion_tokens) == (7, 3)
    assert response.ttft_ms is None


def test_details_of_usage_are_read():
    usage = {
        "prompt_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
        "cost": "0.000000000123",
    }
    found = whole(usage=usage).response([]).usage
    assert (found.cached_tokens, found.reasoning_tokens, found.cost) == (4, 2, Decimal("1.23E-10"))


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "-1", "1e999", '"abc"', "null", "true", "[]", "{}"])
def test_an_impossible_cost_is_unknown_never_zero(cost):
    body = json.dumps(record(usage={"prompt_tokens": 1, "cost": "COST"})).replace('"COST"', cost)
    answer, _ = read([body.encode()])
    assert answer.response([]).usage.cost is None
    assert answer.response([]).usage.prompt_tokens == 1


@pytest.mark.parametrize(
    "usage", [None, [], "x", {"prompt_tokens": -1}, {"prompt_tokens": 2**40}, {"prompt_tokens": True}]
)
def test_a_missing_or_absurd_usage_is_unknown(usage):
    found = whole(usage=usage).response([]).usage
    assert (found.prompt_tokens, found.cost) == (None, None)


@pytest.mark.parametrize("choices", [[], None, {}, [None], [{"index": 0}], [{"message": "x"}], "x"])
def test_no_choices_or_no_message_is_no_answer(choices):
    with pytest.raises(BadResponseError):
        whole(choices=choices)


def test_null_content_is_no_answer_but_empty_text_is_one():
    with pytest.raises(BadResponseError, match="null"):
        whole(text=None)
    assert whole(text="").text == ""


def test_a_refusal_is_the_text_where_the_content_is_null():
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    assert whole(choices=[{"message": message, "finish_reason": "stop"}]).text == "I cannot help with that."


def test_tool_calls_without_content_are_an_answer():
    message = {"content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
    answer = whole(choices=[{"message": message, "finish_reason": "tool_calls"}])
    assert (answer.text, answer.finish_reason) == ("", "tool_calls")


def test_content_in_parts_is_joined():
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert whole(choices=[{"message": {"content": parts}, "finish_reason": "stop"}]).text == "ab"


@pytest.mark.parametrize("reason", ["length", "content_filter", "error"])
def test_a_cut_answer_keeps_its_text_and_says_so(reason):
    answer = whole(text="half an ans", finish=reason)
    assert answer.text == "half an ans"
    with pytest.raises(IncompleteAnswerError):
        answer.check()


def test_a_whole_answer_without_a_finish_reason_is_accepted():
    answer = whole(finish=None)
    answer.check()
    assert answer.finish_reason is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "nothing"),
        (b"{", "{"),
        (b"[1]", "no object but list"),
        (b"null", "no object but NoneType"),
        (b"<!doctype html><html><title>Sign  in &amp; go</title>", "a web page titled 'Sign in & go'"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a":' * 150 + b"1" + b"}" * 150, "no JSON"),
    ],
)
def test_what_is_no_json_object_is_a_bad_response(body, words):
    with pytest.raises(BadResponseError) as caught:
        read([body])
    assert words in str(caught.value)


def test_an_error_object_in_a_200_is_typed_by_its_code():
    with pytest.raises(ProviderUnavailableError, match="upstream down"):
        whole(error={"code": 502, "message": "upstream down"})
    with pytest.raises(BadResponseError, match="odd"):
        whole(error="odd")
    choice = {"error": {"code": "502", "message": "late"}, "message": {"content": "x"}}
    with pytest.raises(ProviderUnavailableError, match="late"):
        whole(choices=[choice])


def test_lone_surrogates_and_nul_stay_in_the_text():
    answer, _ = read([json.dumps(record("a\x00b\ud800c")).encode()])
    assert answer.text == "a\x00b\ud800c"


def test_a_stream_gives_the_same_as_the_whole_answer():
    answer, said = streamed(sse(stream_chunks(["Hel", "lo"])))
    response = answer.response([])
    assert said == ["Hel", "lo"]
    assert (response.text, response.finish_reason, response.provider) == ("Hello", "stop", "Upstream")
    assert response.usage.cost == Decimal("0.00012")
    assert response.ttft_ms is not None
    assert response.raw["choices"][0]["message"] == {"role": "assistant", "content": "Hello"}


TEXT_STREAM = b": OPENROUTER PROCESSING\r\n\r\n" + sse(
    stream_chunks(["Gr", "üße ", "\U0001f600", " 日本"]), end=b"\r\n"
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, len(TEXT_STREAM)), max_size=30))
def test_every_split_of_a_stream_gives_the_same_text(cuts):
    answer, said = streamed(TEXT_STREAM, cuts)
    assert answer.text == "".join(said) == "Grüße \U0001f600 日本"
    assert answer.finish_reason == "stop"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(TEXT_STREAM) - 1))
def test_a_stream_cut_anywhere_is_right_or_fails_with_a_prefix_of_the_text(at):
    answer = Answer(PEER, "asked", streamed=True, on_text=None)
    try:
        run(answer.read(Pieces([TEXT_STREAM[:at]] if at else [], "text/event-stream")))
    except ProviderError:
        assert "Grüße \U0001f600 日本".startswith(answer.text)
        assert answer.finish_reason is None
    else:
        assert (answer.text, answer.finish_reason) == ("Grüße \U0001f600 日本", "stop")


def test_a_character_whose_surrogates_come_in_two_chunks_is_whole():
    answer, _ = streamed(
        b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n'
        b'data: {"choices":[{"delta":{"content":"\\ude00"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    assert answer.text == "\U0001f600"


def test_a_stream_without_a_finish_reason_is_incomplete_even_with_done():
    with pytest.raises(IncompleteAnswerError, match="finish reason"):
        streamed(sse(stream_chunks(["cut"], finish=None)))


def test_a_stream_without_usage_has_no_cost():
    answer, _ = streamed(sse(stream_chunks(["hi"], usage={})))
    assert answer.response([]).usage.cost is None
    assert answer.response([]).usage.prompt_tokens is None


def test_a_stream_may_end_without_done_and_without_an_empty_line():
    answer, _ = streamed(sse(stream_chunks(["hi"]), done=False).rstrip(b"\n"))
    assert (answer.text, answer.finish_reason) == ("hi", "stop")


def test_of_several_choices_the_first_is_streamed_and_all_are_kept():
    answer, said = streamed(
        b'data: {"choices":[{"index":1,"delta":{"content":"oth"}}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":null}}]}\n\n'
        b'data: {"choices":[]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{"content":"mine"},"finish_reason":"stop"}]}\n\n'
        b'data: {"choices":[{"index":1,"delta":{"content":"er"},"finish_reason":"stop"},{"index":-1},{"index":"x"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    assert (answer.text, said) == ("mine", ["mine"])
    assert answer.response([]).choices == ("mine", "other")
    assert [choice["index"] for choice in answer.raw["choices"]] == [0, 1]


def test_a_stream_in_which_another_choice_is_cut_is_incomplete():
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 1, "delta": {"content": "b"}}]},
    ]
    with pytest.raises(IncompleteAnswerError):
        streamed(sse(chunks))


def test_a_whole_answer_gives_all_its_choices():
    choices = [{"index": n, "message": {"content": f"text {n}"}, "finish_reason": "stop"} for n in range(3)]
    response = whole(choices=choices).response([])
    assert (response.text, response.choices) == ("text 0", ("text 0", "text 1", "text 2"))


def test_pieces_of_reasoning_details_are_put_together():
    piece = {"type": "reasoning.text", "index": 0}
    details = [
        [{**piece, "text": "be"}],
        [
            {**piece, "text": "cause", "signature": "s"},
            {"type": "reasoning.encrypted", "index": 1, "data": "x"},
        ],
        [{"type": "reasoning.encrypted", "index": 1, "data": "y"}, "odd"],
    ]
    chunks = [{"choices": [{"delta": {"reasoning_details": each}}]} for each in details]
    chunks.append({"choices": [{"delta": {"content": "so"}, "finish_reason": "stop"}]})
    answer, _ = streamed(sse(chunks))
    assert answer.raw["choices"][0]["message"]["reasoning_details"] == [
        {**piece, "text": "because", "signature": "s"},
        {"type": "reasoning.encrypted", "index": 1, "data": "x"},
        {"type": "reasoning.encrypted", "index": 1, "data": "y"},
        "odd",
    ]


def test_reasoning_tool_calls_and_logprobs_of_a_stream_are_put_together_in_raw():
    chunks = [
        {"choices": [{"delta": {"reasoning": "be", "tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": '{"a"'}}]}}]},
        {"choices": [{"delta": {"reasoning": "cause", "tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}, "logprobs": {"content": [{"token": "x"}]}}]},
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
    ]  # fmt: skip
    answer, _ = streamed(sse(chunks))
    choice = answer.raw["choices"][0]
    assert choice["message"]["reasoning"] == "because"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert choice["logprobs"] == {"content": [{"token": "x"}]}


def test_a_mid_stream_error_is_typed_and_keeps_what_came():
    answer = Answer(PEER, "asked", streamed=True, on_text=None)
    data = sse([*stream_chunks(["half"], finish=None, usage={}), {"error": {"code": 502, "message": "gone"}}])
    with pytest.raises(ProviderUnavailableError, match="gone"):
        run(answer.read(Pieces([data], "text/event-stream")))
    assert answer.text == "half"


def test_a_server_that_does_not_stream_is_read_whole():
    for content_type in ("application/json", "text/event-stream", ""):
        answer, said = read(
            [b" ", json.dumps(record("Hi")).encode()], streamed=True, content_type="application/json"
        )
        assert (answer.text, said) == ("Hi", ["Hi"])
        answer, said = read([json.dumps(record("Hi")).encode()], streamed=True, content_type=content_type)
        assert (answer.text, said) == ("Hi", ["Hi"])


@settings(max_examples=80, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "delta", "content", "usage", "error", "index", "cost", "tool_calls", "function", "prompt_tokens", "finish_reason", "code", "logprobs", "metadata"]),
            inner,
            max_size=5,
        ),
        max_leaves=15,
    ),
    st.booleans(),
)  # fmt: skip
def test_whatever_json_a_server_sends_the_outcome_is_an_answer_or_a_typed_error(value, stream):
    data = json.dumps(value).encode()
    try:
        if stream:
            streamed(b"data: " + data + b"\n\ndata: [DONE]\n\n")
        else:
            read([data])
    except ProviderError:
        pass


def test_amounts_are_read_exactly():
    assert decimal(0.00012) == Decimal("0.00012")
    assert decimal("0.0000000375") == Decimal("0.0000000375")
    assert decimal(0) == 0
    assert decode(b'{"a": NaN, "b": "\\ud800"}') == {"a": None, "b": "\ud800"}


def test_depth_is_told_from_length():
    assert decode(b"[" + b"[1],[2]," * 1000 + b"0]")[-1] == 0
    assert decode(b"[" * 100 + b"]" * 100)
    with pytest.raises(ValueError, match="deeply"):
        decode(b"[" * 500 + b"]" * 500)
