from __future__ import annotations

import json
import time

import pytest

from tests.pictures import PNG
from tests.servers import run
from workbench.core.attachments import attach_bytes
from workbench.core.chat import ChatRequest, Message
from workbench.core.pricing import cost_of
from workbench.errors import (
    ContextTooLongError,
    ProviderError,
    RequestRejectedError,
    SchemaError,
    UnknownModelError,
)
from workbench.providers.fake import FakeProvider, count_tokens


def request(text, model="echo", **options):
    messages = (
        Message("system", "Answer."),
        Message("user", "earlier"),
        Message("assistant", "x"),
        Message("user", text),
    )
    return ChatRequest(model=model, messages=messages, options=options)


def ask(text, model="echo", *, provider=None, **more):
    return run((provider or FakeProvider()).chat(request(text, model), **more))


@pytest.mark.parametrize(
    ("model", "text", "answer"),
    [
        ("echo", "Hello  there\n", "Hello  there\n"),
        ("upper", "Straße", "STRASSE"),
        ("sentiment", "I love it, great value", "positive"),
        ("sentiment", "It broke, a waste of money", "negative"),
        ("sentiment", "This is not good", "negative"),
        ("json", "Grüße", '{"text": "Grüße"}'),
    ],
)
def test_named_scripts_answer_by_their_rule(model, text, answer):
    assert ask(text, model).text == answer


def test_usage_is_counted_by_the_stated_rule_and_costs_nothing():
    response = ask("12345")
    assert response.usage.completion_tokens == count_tokens("12345") == 2
    assert response.usage.prompt_tokens == sum(map(count_tokens, ("Answer.", "earlier", "x", "12345")))
    assert response.usage.total_tokens == response.usage.prompt_tokens + 2
    assert cost_of(response.usage) == (0, "provider")


def test_a_script_may_be_a_callable_or_a_mapping():
    assert (
        ask("hi", "anything", provider=FakeProvider(script=lambda asked: asked.model * 2)).text
        == "anythinganything"
    )
    provider = FakeProvider(script={"hi": "ho"})
    assert ask("hi", "any", provider=provider).text == "ho"
    with pytest.raises(RequestRejectedError, match="no answer to 'hu'") as caught:
        ask("hu", "any", provider=provider)
    assert caught.value.attempts[0].error_code == "rejected"


@pytest.mark.parametrize("text", ["one two  three\n", " lead", "", "x", "  "])
def test_the_pieces_of_a_stream_are_the_text(text):
    pieces = []
    response = ask(text, on_text=pieces.append)
    assert "".join(pieces) == response.text == text
    assert (response.ttft_ms is None) == (not pieces)


def test_latency_is_kept_and_slow_is_slow():
    started = time.perf_counter()
    response = ask("a b c d", provider=FakeProvider(latency=0.1), on_text=str)
    assert 0.09 < time.perf_counter() - started < 0.5
    assert response.ttft_ms < 60
    assert 90 <= response.latency_ms < 500


def test_flaky_fails_for_some_requests_and_always_for_the_same():
    async def outcome(provider, text):
        try:
            return (await provider.chat(request(text, "flaky"))).text
        except ProviderError as error:
            return error.code if len(error.attempts) == 1 else "no attempt"

    async def all_of_them():
        return [await outcome(FakeProvider(), f"case {n}") for n in range(200)]

    first = run(all_of_them())
    assert first == run(all_of_them())
    failures = [code for code in first if not code.startswith("case")]
    assert set(failures) == {"rate_limit", "unavailable", "incomplete"}
    assert 30 < len(failures) < 90


def test_an_unknown_script_is_told_with_the_nearest_name():
    with pytest.raises(UnknownModelError, match="did you mean 'upper'"):
        ask("x", "uper")


def shaped(text, schema):
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return json.loads(run(FakeProvider().chat(request(text, "json", response_format=form))).text)


def test_json_answers_in_the_shape_of_the_schema_and_the_same_each_time():
    schema = {
        "type": "object",
        "properties": {
            "tone": {"enum": ["neutral", "positive", "negative"]},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
            "words": {
                "type": "array",
                "items": {"type": "string", "maxLength": 5},
                "minItems": 2,
                "maxItems": 2,
            },
            "code": {"type": "string", "pattern": "^[A-Z]{2}$", "examples": ["DE"]},
        },
    }
    answer = shaped("It broke, a waste of money", schema)
    assert (answer["tone"], answer["words"], answer["code"]) == ("negative", ["It br", "It br"], "DE")
    assert 0 <= answer["score"] <= 1
    assert shaped("It broke, a waste of money", schema) == answer
    assert shaped("It broke, sadly", schema)["score"] != answer["score"]


def test_json_of_an_impossible_schema_is_refused():
    for schema in ({"$ref": "#/nowhere"}, {"$ref": "#"}, {"type": "integer", "minimum": "x"}):
        with pytest.raises((RequestRejectedError, SchemaError)):
            shaped("x", schema)


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        },
    },
}
TIME = {"type": "function", "function": {"name": "time"}}


def test_tools_are_called_as_the_text_or_the_choice_says():
    def called(text, **options):
        response = run(FakeProvider().chat(request(text, "tools", tools=[WEATHER, TIME], **options)))
        return [call.name for call in response.tool_calls]

    assert called("hello") == ["weather"]
    assert called("what time is it?") == ["time"]
    assert called("time and weather") == ["weather", "time"]
    assert called("weather", tool_choice={"type": "function", "function": {"name": "time"}}) == ["time"]
    assert called("weather", tool_choice="none") == []


def test_a_tool_call_has_arguments_of_its_schema_and_the_reply_is_repeated():
    asked = request("weather", "tools", tools=[WEATHER])
    response = run(FakeProvider().chat(asked))
    (call,) = response.tool_calls
    assert (response.text, response.finish_reason, set(call.arguments)) == (
        "",
        "tool_calls",
        {"city", "days"},
    )
    turns = (
        *asked.messages,
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "21", tool_call_id=call.id),
    )
    after = ChatRequest(model="tools", messages=turns, options=asked.options)
    assert run(FakeProvider().chat(after)).text == "21"
    assert ask("no tools", "tools").text == "no tools"


def test_look_tells_what_is_attached():
    picture = attach_bytes(PNG, name="dot.png")
    asked = request("look", "look").with_attachments((picture,))
    assert run(FakeProvider().chat(asked)).text == f"dot.png (image/png, {len(PNG)} bytes)"
    assert ask("look", "look").text == "nothing is attached"


def test_short_reads_a_hundred_tokens():
    assert ask("x", "short").text == "x"
    with pytest.raises(ContextTooLongError, match="at most 100 tokens"):
        ask("x" * 401, "short")


def test_n_and_logprobs_are_obeyed():
    response = run(FakeProvider().chat(request("two words", n=3, logprobs=True)))
    assert response.choices == ("two words",) * 3
    assert [each["token"] for each in response.logprobs] == ["two", " words"]
    assert response.usage.completion_tokens == 3 * count_tokens("two words")
