"""Messages, tool calls and choices: as they are sent, stored, and read again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pictures import PNG, png
from workbench.core.attachments import attach_bytes
from workbench.core.chat import ChatRequest, ChatResponse, Message, Usage
from workbench.core.replies import choices_of, logprobs_of, message_of, tool_calls_of
from workbench.errors import InputError

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}


def test_a_message_of_text_alone_is_a_text():
    assert Message("user", "hi").record() == {"role": "user", "content": "hi"}


def test_attachments_come_after_the_text_and_an_empty_text_is_left_out():
    picture = attach_bytes(PNG)
    record = Message("user", "Look.", (picture,)).record()
    assert [part["type"] for part in record["content"]] == ["text", "image_url"]
    assert len(Message("user", "", (picture,)).record()["content"]) == 1


@pytest.mark.parametrize(
    "message",
    [
        Message("system", "Be terse."),
        Message("user", "Look.", (attach_bytes(PNG),)),
        Message("user", "", (attach_bytes(PNG),)),
        Message("assistant", "", tool_calls=tool_calls_of({"tool_calls": [CALL]})),
        Message(
            "assistant", "Wait.", tool_calls=tool_calls_of({"tool_calls": [CALL]}), reasoning=({"type": "x"},)
        ),
        Message("tool", "21", tool_call_id="c1"),
    ],
)
def test_a_message_is_read_as_it_was_written(message):
    assert Message.of(json.loads(json.dumps(message.record(stored=True)))) == message


def test_arguments_are_an_object_or_their_text_and_are_sent_back_as_they_came():
    odd = {**CALL, "function": {"name": "f", "arguments": '{"a": '}}
    parsed, broken = tool_calls_of({"tool_calls": [CALL, odd, {"function": None}, 3]})
    assert (parsed.arguments, str(parsed)) == ({"city": "Ulm"}, "weather(city='Ulm')")
    assert (broken.arguments, str(broken)) == ('{"a": ', 'f({"a": )')
    assert parsed.record() == CALL
    assert hash(parsed) == hash(tool_calls_of({"tool_calls": [CALL]})[0])
    assert (
        tool_calls_of({"tool_calls": [{**CALL, "function": {"name": "f", "arguments": {"a": 1}}}]})[0].text
        == '{"a": 1}'
    )


def test_attachments_go_with_the_last_users_message():
    request = ChatRequest(
        model="m", messages=(Message("user", "a"), Message("user", "b"), Message("assistant", "c"))
    )
    more = request.with_attachments((attach_bytes(PNG),))
    assert [len(message.attachments) for message in more.messages] == [0, 1, 0]
    assert more.digest() != request.digest()
    with pytest.raises(InputError, match="no user's turn"):
        ChatRequest(model="m", messages=(Message("assistant", "c"),)).with_attachments((attach_bytes(PNG),))


def test_the_digest_is_of_the_whole_file_and_the_stored_request_is_small():
    one, other = (
        ChatRequest(
            model="m", messages=(Message("user", "a", (attach_bytes(png(1000, 1000, noise=noise)),)),)
        )
        for noise in (b"\1", b"\2")
    )
    assert one.digest() != other.digest()
    assert len(json.dumps(one.payload())) < 500
    assert one.payload()["messages"][0]["content"][1]["image_url"]["url"].endswith(
        f";bytes={one.messages[0].attachments[0].size}"
    )


def test_tools_and_other_options_are_stored_and_unknown_ones_are_not():
    options = {
        "tools": [{}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "n": 2,
        "seed": 1,
        "logprobs": True,
        "api_key": "x",
    }
    payload = ChatRequest(model="m", messages=(), options=options).payload()
    assert set(payload) == {"model", "messages", *options} - {"api_key"}


def test_a_response_gives_its_choices_calls_and_logprobs():
    raw = {
        "choices": [
            {"message": {"content": "a", "tool_calls": [CALL]}, "logprobs": {"content": [{"token": "a"}]}},
            {"message": {"content": None, "refusal": "no"}},
        ]
    }
    response = ChatResponse(text="a", finish_reason="stop", usage=Usage(), model="m", raw=raw)
    assert response.choices == ("a", "no")
    assert response.tool_calls[0].name == "weather"
    assert response.logprobs == [{"token": "a"}]
    empty = ChatResponse(text="", finish_reason=None, usage=Usage(), model="m")
    assert (empty.choices, empty.tool_calls, empty.logprobs) == ((), (), None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "tool_calls", "function", "name", "arguments", "logprobs", "id", "refusal", "type", "image_url", "file", "url", "reasoning_details"]),
        inner,
        max_size=5,
    ),
    max_leaves=15,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["choices", "content", "tool_calls", "role"]), JSON))
def test_whatever_a_server_sent_is_read(raw):
    choices_of(raw), logprobs_of(raw), tool_calls_of(message_of(raw)), Message.of(raw).record()
