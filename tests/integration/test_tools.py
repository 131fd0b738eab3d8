"""Tool calls, several choices, log probabilities, cached and reasoning tokens: passed on, stored raw, given back."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.servers import Reply, ScriptedServer, record, sse
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.registry import Registry

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}
USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 300,
    "total_tokens": 1300,
    "prompt_tokens_details": {"cached_tokens": 900},
    "completion_tokens_details": {"reasoning_tokens": 250},
}


@pytest.fixture
def ask(wb):
    """Ask a server that answers with that body."""
    p = wb.prompts.save("p", "Weather in {{ city }}?")

    def call(body, *, stream=False, **options):
        headers = {"Content-Type": "text/event-stream" if isinstance(body, bytes) else "application/json"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with ScriptedServer(Reply(body=data, headers=headers)) as server:
            provider = OpenAICompatible(name="mine", base_url=server.url)
            wb.models._registry = Registry(wb.config, providers={"mine": provider})
            wb.models._chosen.clear()
            call.pieces = []
            result = wb.ask(
                p,
                variables={"city": "Ulm"},
                model="mine/m",
                options=options,
                on_text=call.pieces.append if stream else None,
            )
            call.sent = server.asked[0].json
        return result

    return call


@pytest.fixture
def row(ann_url):
    def read(columns):
        with psycopg.connect(ann_url.reveal()) as connection:
            return connection.execute(
                f"SELECT {columns} FROM wb.executions ORDER BY created_at DESC LIMIT 1"
            ).fetchone()

    return read


def test_an_answer_of_tool_calls_alone_is_done(ask, row):
    choice = {"index": 0, "message": {"content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}
    result = ask(record(choices=[choice]), tools=[TOOL], tool_choice="auto")
    assert (result.text, result.finish_reason) == ("", "tool_calls")
    assert [(call.id, call.name, call.arguments) for call in result.tool_calls] == [
        ("c1", "weather", {"city": "Ulm"})
    ]
    assert (ask.sent["tools"], ask.sent["tool_choice"]) == ([TOOL], "auto")
    assert row("status, answer, finish_reason, request_payload -> 'tools'") == (
        "done",
        "",
        "tool_calls",
        [TOOL],
    )
    assert row("response_data #> '{choices,0,message,tool_calls,0}'") == (CALL,)
    assert "→ weather(city='Ulm') [c1]" in result._repr_mimebundle_()["text/plain"]


def test_a_streamed_tool_call_is_put_together(ask, row):
    start = {**CALL, "index": 0, "function": {"name": "weather", "arguments": '{"city"'}}
    chunks = [
        {"choices": [{"delta": {"role": "assistant", "content": None, "tool_calls": [start]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": ':"Ulm"}'}}]}}]},
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}], "usage": USAGE},
    ]
    result = ask(sse(chunks), stream=True, tools=[TOOL])
    assert [call.arguments for call in result.tool_calls] == [{"city": "Ulm"}]
    assert ask.pieces == []
    assert row("status, response_data #> '{choices,0,message,tool_calls,0}'") == ("done", CALL)


def test_a_schema_waits_for_the_answer_after_the_tools(ask, row):
    schema = {"type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"]}
    choice = {"message": {"content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}
    result = ask(record(choices=[choice]), tools=[TOOL], schema=schema)
    assert (result.parsed, len(result.tool_calls)) == (None, 1)
    assert ask(record('{"celsius": 21}'), tools=[TOOL], schema=schema).parsed == {"celsius": 21}
    assert row("status") == ("done",)


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices_are_all_kept(ask, row, stream):
    if stream:
        chunks = [
            {"choices": [{"index": n, "delta": {"content": f"text {n}"}, "finish_reason": "stop"}]}
            for n in (1, 0, 2)
        ]
        body = sse(chunks)
    else:
        message = {"role": "assistant"}
        body = record(
            choices=[
                {"index": n, "message": {**message, "content": f"text {n}"}, "finish_reason": "stop"}
                for n in range(3)
            ]
        )
    result = ask(body, stream=stream, n=3, seed=7)
    assert (result.text, result.choices) == ("text 0", ("text 0", "text 1", "text 2"))
    assert ask.pieces == (["text 0"] if stream else [])
    assert (ask.sent["n"], ask.sent["seed"]) == (3, 7)
    assert row("answer, jsonb_array_length(response_data -> 'choices'), request_payload -> 'n'") == (
        "text 0",
        3,
        3,
    )
    assert "1 of 3 choices" in result.status_line


def test_logprobs_cached_and_reasoning_tokens_are_given_and_stored(ask, row):
    logprobs = {"content": [{"token": "Sun", "logprob": -0.1, "top_logprobs": []}]}
    choice = {"message": {"content": "Sun", "reasoning": "…"}, "finish_reason": "stop", "logprobs": logprobs}
    result = ask(record(choices=[choice], usage=USAGE), logprobs=True, top_logprobs=2, reasoning_effort="low")
    assert result.logprobs == logprobs["content"]
    assert (result.tokens_cached, result.tokens_reasoning) == (900, 250)
    assert {"logprobs", "top_logprobs", "reasoning_effort"} <= set(ask.sent)
    assert row("tokens_cached, tokens_reasoning, response_data #> '{choices,0,logprobs}'") == (
        900,
        250,
        logprobs,
    )
    assert "1,300 tok (900 cached, 250 reasoning)" in result.status_line


def test_what_was_not_asked_for_is_not_there(ask):
    result = ask(record("Sun"))
    assert (result.tool_calls, result.choices, result.logprobs) == ((), ("Sun",), None)
    assert (result.tokens_cached, result.tokens_reasoning) == (None, None)


def test_reasoning_goes_back_with_the_reply_to_a_tool(wb):
    details = [{"type": "reasoning.encrypted", "index": 0, "data": "x"}]
    message = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_details": details}
    replies = [
        record(choices=[{"message": message, "finish_reason": "tool_calls"}]),
        record("Sunny."),
    ]
    with ScriptedServer([Reply(body=json.dumps(each).encode()) for each in replies]) as server:
        provider = OpenAICompatible(name="mine", base_url=server.url)
        wb.models._registry = Registry(wb.config, providers={"mine": provider})
        chat = wb.chat(model="mine/m", options={"tools": [TOOL]})
        chat.say("Weather in Ulm?")
        assert wb.chats.get(chat.id).reply("c1", "21").text == "Sunny."
    assert server.asked[1].json["messages"][1:] == [
        message,
        {"role": "tool", "content": "21", "tool_call_id": "c1"},
    ]
