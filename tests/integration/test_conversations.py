"""Conversations: every turn a whole row, nothing remembered beside the history, one kernel at a time."""

from __future__ import annotations

import _thread
import asyncio
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import psycopg
import pytest

from tests.pictures import PNG, png
from workbench.core.chat import Message
from workbench.db.queries.conversations import CONVERSATIONS
from workbench.errors import (
    AccessDeniedError,
    ConflictError,
    ContextTooLongError,
    FileError,
    InputError,
    KeyUnavailableError,
    ProviderError,
    RunInterruptedError,
    UndefinedVariableError,
    UnknownReferenceError,
)
from workbench.providers.fake import FakeProvider
from workbench.providers.registry import Registry
from workbench.services.workbench import connect
from workbench.settings import Settings

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    for name in ("weather", "time")
]


@pytest.fixture
def rows(ann_url):
    """Turns of the ledger, as (turn, status, error_code, messages, answer)."""

    def read():
        with psycopg.connect(ann_url.reveal()) as connection:
            return connection.execute(
                "SELECT turn, status, error_code, request_payload -> 'messages', answer FROM wb.executions"
                " WHERE conversation_id IS NOT NULL ORDER BY created_at, id"
            ).fetchall()

    return read


@pytest.fixture
def other(ann_url, tmp_path):
    """Ann's second kernel."""
    with connect(
        ann_url.reveal(), settings=Settings(home=tmp_path / "other", model="fake/echo")
    ) as workbench:
        yield workbench


def turns(chat):
    return [(message.role, message.content) for message in chat.history]


def test_each_turn_is_a_row_with_all_of_its_messages(wb, rows):
    chat = wb.chat(system="You are terse.")
    assert (chat.history, rows()) == ([], [])
    first, second = chat.say("hello"), chat.say("and again", on_text=lambda _: None)
    assert (first.text, second.text, wb.last) == ("hello", "and again", second)
    sent = [("system", "You are terse."), ("user", "hello"), ("assistant", "hello"), ("user", "and again")]
    assert turns(chat) == [*sent, ("assistant", "and again")]
    ids = [message.execution_id for message in chat.history]
    assert ids == [first.execution_id] * 3 + [second.execution_id] * 2
    assert [row[:3] for row in rows()] == [(1, "done", None), (2, "done", None)]
    assert [(each["role"], each["content"]) for each in rows()[1][3]] == sent
    assert "(new)" in first.status_line
    assert "(new)" not in second.status_line


def test_a_prompt_begins_it_and_its_variables_are_filled_once(wb, rows):
    wb.prompts.save("support", "system:\nYou sell {{ shop }}.\nuser:\nA customer asks: {{ question }}")
    wb.prompts.label("support@1", "prod")
    chat = wb.chat(
        "support@prod", variables={"shop": "shoes"}, options={"temperature": 0}, model="fake/upper"
    )
    assert chat.say("open {{ today }}?").text == "A CUSTOMER ASKS: OPEN {{ TODAY }}?"
    chat.say("thanks")
    assert rows()[1][3][0] == {"role": "system", "content": "You sell shoes."}
    assert rows()[1][3][-1] == {"role": "user", "content": "thanks"}
    assert chat.version.ref == "support@1"
    frame = wb.frames.executions()
    assert set(frame["prompt"]) == {"support"}
    with pytest.raises(UndefinedVariableError, match="shop, question"):
        wb.chat("support")


def test_the_prompt_of_a_system_text_is_untitled_and_hidden(wb):
    chat = wb.chat(system="Be terse.")
    assert chat.version.title.startswith("scratch/")
    assert wb.chat(system="Be terse.").version.id == chat.version.id
    assert wb.prompts.list() == []
    assert wb.chat().say("no system at all").text == "no system at all"
    with pytest.raises(InputError, match="not with both"):
        wb.chat(chat.version, system="x")


def test_another_kernel_goes_on_where_this_one_stopped(wb, other):
    chat = wb.chat(
        system="You are terse.", model="fake/upper", options={"temperature": 0.5}, title="greetings"
    )
    chat.say("hello")
    chat.say("again")
    for found in (other.chats.get("greetings"), other.chats.get(chat.id), other.chats.get(str(chat.id))):
        assert found.history == chat.history
        assert [each.execution_id for each in found.history] == [each.execution_id for each in chat.history]
        assert (found.id, found.turns, found.model, found.options) == (
            chat.id,
            2,
            "fake/upper",
            {"temperature": 0.5},
        )
    assert found.say("third").text == "THIRD"
    assert found.turns == 3
    with pytest.raises(UnknownReferenceError, match="no conversation 'greeting'") as caught:
        other.chats.get("greeting")
    assert "did you mean 'greetings'" in caught.value.cure


def test_what_happened_elsewhere_is_not_spoken_over(wb, other, rows):
    chat = wb.chat(title="shared")
    chat.say("one")
    elsewhere = other.chats.get("shared")
    elsewhere.say("two")
    with pytest.raises(ConflictError, match="gone on elsewhere: turn 2") as caught:
        chat.say("three")
    assert "chat.refresh()" in caught.value.cure
    assert [content for _, content in turns(chat)] == ["one", "one"]
    assert len(rows()) == 2
    assert chat.refresh().say("three").text == "three"
    assert turns(elsewhere.refresh()) == turns(chat)


def test_of_kernels_that_talk_at_once_one_takes_the_turn(wb, other, rows):
    chat = wb.chat(title="race")
    chat.say("start")
    kernels = [chat, other.chats.get("race"), wb.chats.get("race"), other.chats.get("race")]
    for turn in (2, 3, 4):
        barrier = threading.Barrier(len(kernels))

        def talk(kernel, turn=turn, barrier=barrier):
            kernel.refresh()
            barrier.wait()
            try:
                return kernel.say(f"turn {turn} of {id(kernel)}")
            except ConflictError as error:
                return error

        with ThreadPoolExecutor(len(kernels)) as pool:
            outcomes = list(pool.map(talk, kernels))
        assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == len(kernels) - 1
    assert [row[0] for row in rows()] == [1, 2, 3, 4]
    assert {row[1] for row in rows()} == {"done"}


def test_a_turn_that_is_in_flight_keeps_others_out(wb, other):
    patient = FakeProvider(latency=4, script=lambda _: "done", name="mine")
    wb.models._registry = Registry(wb.config, providers={"mine": patient})
    wb.models._chosen.clear()
    chat = wb.chat(title="slow", model="mine/m")
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(chat.say, "wait for it")
        while not (known := other.chats.list())["title"].tolist():
            pass
        assert known["turns"].tolist() == [0]
        late = other.chats.get("slow")
        with pytest.raises(ConflictError, match=r"turn 1 .*is being answered"):
            late.say("me too")
        assert answered.result().text == "done"
    late.model = "fake/echo"
    assert late.refresh().say("now").text == "now"


def test_a_call_that_could_not_be_sent_has_failed_and_frees_the_turn(wb, rows):
    chat = wb.chat(title="no key", model="openai/gpt-4o-mini")
    for _ in range(2):
        with pytest.raises(KeyUnavailableError):
            chat.say("hello")
    chat.model = "fake/echo"
    chat.say("hello")
    assert [row[:3] for row in rows()] == [
        (1, "failed", "config"),
        (1, "failed", "config"),
        (1, "done", None),
    ]


def test_a_turn_of_a_kernel_that_died_is_free_again_after_a_while(wb, rows, ann_url, admin_url):
    chat = wb.chat(title="died")
    chat.say("one")
    with psycopg.connect(ann_url.reveal()) as ann:
        ann.execute(
            "INSERT INTO wb.executions (run_at, project_id, user_id, prompt_id, model_config_id, request_payload, request_digest,"
            " status, conversation_id, turn) SELECT now(), project_id, user_id, prompt_id, model_config_id, '{}', 'd', 'sent',"
            " conversation_id, 2 FROM wb.executions"
        )
    with pytest.raises(ConflictError, match="11 minutes"):
        chat.say("two")
    with psycopg.connect(admin_url.reveal()) as admin:
        admin.execute("ALTER TABLE wb.executions DISABLE TRIGGER guard_ledger")
        admin.execute(
            "UPDATE wb.executions SET created_at = now() - interval '12 minutes' WHERE status = 'sent'"
        )
        admin.execute("ALTER TABLE wb.executions ENABLE TRIGGER guard_ledger")
    assert chat.say("two").text == "two"
    assert sorted(row[:3] for row in rows()) == [
        (1, "done", None),
        (2, "done", None),
        (2, "unknown", "unknown"),
    ]


def test_a_turn_that_fails_leaves_the_history_as_it_was(wb, rows):
    chat = wb.chat(title="flaky", model="fake/flaky")
    failed = answered = 0
    for n in range(40):
        before = turns(chat)
        try:
            chat.say(f"message {n}")
        except ProviderError:
            failed += 1
            assert turns(chat) == before
        else:
            answered += 1
            assert turns(chat)[:-2] == before
    assert (chat.turns, bool(failed)) == (answered, True)
    assert sorted(row[0] for row in rows() if row[1] == "done") == list(range(1, answered + 1))
    assert turns(wb.chats.get("flaky")) == turns(chat)


def test_a_context_that_is_too_long_says_which_turn_and_which_message(wb, rows):
    chat = wb.chat(system="Be terse.", title="long", model="fake/short")
    chat.say("x" * 200)
    with pytest.raises(ContextTooLongError) as caught:
        chat.say("short")
    assert "turn 2 of the conversation 'long' has 4 messages" in caught.value.message
    assert "the longest is message 2 (user) with 200" in caught.value.message
    assert [row[:3] for row in rows()] == [(1, "done", None), (2, "failed", "context")]
    chat.model = "fake/echo"
    assert chat.say("short").text == "short"
    with pytest.raises(ContextTooLongError, match="the request has 1 messages"):
        wb.ask(wb.prompts.save("p", "{{ x }}"), variables={"x": "x" * 500}, model="fake/short")


def test_an_interrupt_stores_the_turn_as_unknown_and_the_next_one_takes_its_number(wb, rows):
    chat = wb.chat(title="interrupted", model="fake/slow")
    pieces = []

    def heard(piece):
        pieces.append(piece)
        if len(pieces) == 1:
            _thread.interrupt_main()

    with pytest.raises(RunInterruptedError):
        chat.say("one two three four five", on_text=heard)
    assert chat.history == []
    chat.model = "fake/echo"
    chat.say("again")
    assert [row[:2] for row in rows()] == [(1, "unknown"), (1, "done")]


def test_turns_are_awaited_and_streamed_too(wb, rows):
    chat = wb.chat(system="Be terse.", title="async")

    async def main():
        first = await chat.asay("one")
        pieces = [piece async for piece in chat.astream("two words")]
        return first.text, pieces

    assert asyncio.run(main()) == ("one", ["two", " words"])
    stream = chat.stream("three")
    assert chat.turns == 2
    assert "".join(stream) == stream.result.text == "three"
    assert [content for role, content in turns(chat) if role == "assistant"] == ["one", "two words", "three"]
    for _ in chat.stream("four five six", attach=PNG):  # the whole answer is there already
        break
    chat.model = "fake/slow"
    for _ in chat.stream("seven eight nine"):
        break
    chat.model = "fake/echo"
    assert chat.say("ten").text == "ten"
    done = [row[0] for row in rows() if row[1] == "done"]
    assert (done, chat.turns) == (list(range(1, len(done) + 1)), len(done))
    assert [row[1] for row in rows()].count("unknown") == 6 - len(done)
    assert wb.chats.get("async").history == chat.history


def test_who_leaves_an_awaited_answer_can_go_on_at_once(wb, rows):
    chat = wb.chat(title="left", model="fake/slow")

    async def main():
        async for _ in chat.astream("one two three four"):
            break
        chat.model = "fake/echo"
        return await chat.asay("five")

    assert asyncio.run(main()).text == "five"
    assert [row[:2] for row in rows()] == [(1, "unknown"), (1, "done")]


def test_tools_are_asked_for_and_replied_to(wb, other, rows):
    chat = wb.chat(title="tools", model="fake/tools", options={"tools": TOOLS})
    result = chat.say("weather and time in Ulm")
    assert (result.text, result.finish_reason) == ("", "tool_calls")
    assert [call.name for call in chat.tool_calls] == ["weather", "time"]
    weather, time = chat.tool_calls
    for wrong, words in (
        (lambda: chat.say("hello"), "waits for weather"),
        (lambda: chat.reply("call_x", 1), "no tool call 'call_x'"),
        (lambda: chat.reply(weather.id, 1), f"{time.id} would stay without a reply"),
    ):
        with pytest.raises(InputError, match=words):
            wrong()
    again = other.chats.get("tools")
    assert again.tool_calls == chat.tool_calls
    assert again.reply({time.id: "noon", weather.id: {"celsius": 21}}).text == '{"celsius": 21}; noon'
    assert again.history[2:5] == [
        Message("tool", '{"celsius": 21}', tool_call_id=weather.id),
        Message("tool", "noon", tool_call_id=time.id),
        Message("assistant", '{"celsius": 21}; noon'),
    ]
    assert rows()[1][3][1]["tool_calls"][0] == weather.record()
    assert again.tool_calls == ()
    with pytest.raises(InputError, match="no tool call"):
        again.reply(weather.id, "late")
    again.say("weather")
    assert asyncio.run(again.areply(again.tool_calls[0].id, "rain")).text == "rain"


def test_large_pictures_are_kept_by_the_kernel_and_given_again_in_another(wb, other, tmp_path):
    path = tmp_path / "plot.png"
    path.write_bytes(png(1000, 1000))
    chat = wb.chat(title="pictures", model="fake/look")
    chat.say("Look.", attach=[PNG, path])
    assert chat.say("Both?").text.count("image/png") == 2
    chat.refresh()
    assert chat.say("Still both?").text.count("image/png") == 2
    found = other.chats.get("pictures")
    with pytest.raises(InputError, match="too large for the ledger") as caught:
        found.say("And now?")
    assert "attach=" in caught.value.cure
    assert found.history[0].attachments[1].sha256 == chat.history[0].attachments[1].sha256
    whole = other.chats.get("pictures", attach=path)
    assert whole.history == chat.history
    assert whole.say("And now?").text.count("image/png") == 2
    with pytest.raises(FileError):
        other.chats.get("pictures", attach=tmp_path / "gone.png")


@pytest.mark.parametrize("text", ["a\0b", "lone \ud800 surrogate", "ünï 😀\nline"])
def test_any_text_comes_back_as_it_was(wb, text):
    chat = wb.chat(title="text")
    chat.say("first")
    assert chat.say(text).text.replace("␀", "\0").replace("?", "\ud800") == text
    chat.say("last")
    assert wb.chats.get("text").history == chat.history
    assert len(wb.chats.get("text").frame()) == 6


def test_answers_may_have_a_schema(wb, other):
    @dataclass
    class Mood:
        tone: Literal["positive", "negative"]

    chat = wb.chat(title="schema", model="fake/json", options={"schema": Mood})
    assert chat.say("I love it").parsed == Mood("positive")
    chat.options = {"schema": Mood}
    assert chat.say("I hate it").parsed == Mood("negative")
    assert other.chats.get("schema").say("I love it").json == {"tone": "positive"}


def test_lists_frames_and_titles(wb):
    empty = wb.chats.list()
    assert (list(empty.columns), len(empty)) == (list(CONVERSATIONS), 0)
    chat = wb.chat(system="Be terse.")
    assert len(chat.frame()) == 0
    chat.say("How do I return\nthe shoes that I bought last week, and what does it cost me?")
    assert chat.title == "How do I return the shoes that I bought last week, and what…"
    wb.chat(title="second", model="fake/upper").say("x")
    listed = wb.chats.list()
    assert listed["title"].tolist() == ["second", chat.title]
    assert listed["turns"].tolist() == [1, 1]
    assert listed["model"].tolist() == ["fake/upper", "fake/echo"]
    chat.rename("returns").say("Thanks.")
    assert wb.chats.list()["title"].tolist() == ["returns", "second"]
    frame = wb.chats.get("returns").frame()
    assert frame["role"].tolist() == ["system", "user", "assistant", "user", "assistant"]
    assert frame["turn"].tolist() == [1, 1, 1, 2, 2]
    assert frame["tokens_prompt"].notna().tolist() == [False, False, True, False, True]
    assert list(frame.columns) == list(wb.chat().frame().columns)
    for nothing in ("", "  \n"):
        with pytest.raises(InputError, match="nothing to say"):
            chat.say(nothing)


def test_a_conversation_shows_itself_as_a_transcript(wb):
    chat = wb.chat(system="Be terse.", title="<b>title</b>")
    assert "A new conversation" in str(wb.chat())
    chat.say("<script>alert(1)</script>")
    shown = chat._repr_mimebundle_()
    assert "&lt;script&gt;" in shown["text/html"]
    assert "<script" not in shown["text/html"]
    assert "<b>" not in shown["text/html"]
    assert "user:\n<script>alert(1)</script>" in shown["text/plain"]
    assert "1 turn · scratch/" in str(chat)
    assert str(chat.id) in repr(chat)


def test_a_conversation_stays_in_its_project(wb):
    chat = wb.chat(title="here")
    chat.say("hello")
    home = wb.project
    wb.use("elsewhere")
    with pytest.raises(InputError, match=f"belongs to project '{home}'"):
        chat.say("hello")
    with pytest.raises(UnknownReferenceError):
        wb.chats.get("here")
    wb.use(home)
    assert chat.say("again").text == "again"


def test_a_colleague_reads_a_conversation_and_does_not_continue_it(wb, bobs_wb, ann_url):
    wb.use("team")
    wb.chat(title="ours").say("hello")
    with pytest.raises(UnknownReferenceError):
        bobs_wb.chats.get("ours")
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        for role in ("reader", "editor"):
            ann.execute(
                "INSERT INTO wb.project_members (project_id, user_id, role) VALUES (%s, %s, %s)"
                " ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role",
                [wb.project_id, bobs_wb.database.user_id, role],
            )
            bobs_wb.use("team")
            found = bobs_wb.chats.get("ours")
            assert turns(found) == [("user", "hello"), ("assistant", "hello")]
            with pytest.raises(AccessDeniedError, match="another person's"):
                found.say("hi")
    assert wb.chats.get("ours").turns == 1


def test_an_unknown_id_is_told(wb):
    with pytest.raises(UnknownReferenceError, match="no conversation"):
        wb.chats.get(uuid.uuid4())
