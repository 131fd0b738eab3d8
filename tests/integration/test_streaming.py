"""Answers piece by piece: nothing is sent before it is read, the result comes after its COMMIT, what is left is told."""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import threading
import time

import psycopg
import pytest

from tests.servers import Reply, ScriptedServer, sse, stream_chunks
from workbench.errors import (
    IncompleteAnswerError,
    InputError,
    ProviderError,
    RunInterruptedError,
    UndefinedVariableError,
    UnknownReferenceError,
)
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.registry import Registry
from workbench.services.streaming import AnswerStream

LONG = "one two three four five six seven eight nine ten"


@pytest.fixture
def tone(wb):
    return wb.prompts.save("tone", "Tone of: {{ text }}")


@pytest.fixture
def rows(ann_url):
    """Rows of the ledger, as (status, error_code, answer)."""

    def read():
        with psycopg.connect(ann_url.reveal()) as connection:
            return connection.execute(
                "SELECT status, error_code, answer FROM wb.executions ORDER BY created_at, id"
            ).fetchall()

    return read


def soon(check, seconds=5.0):
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < until:
        time.sleep(0.01)
    return found


def test_a_for_loop_gives_the_pieces_and_then_the_committed_result(wb, tone, rows):
    stream = tone.stream(text="a b")
    assert isinstance(stream, AnswerStream)
    assert rows() == []
    assert list(stream) == ["Tone", " of:", " a", " b"]
    assert rows() == [("done", None, "Tone of: a b")]
    assert (stream.text, stream.result.text, wb.last) == ("Tone of: a b", "Tone of: a b", stream.result)
    assert stream.result.ttft_ms is not None
    assert "".join(wb.stream("tone@1", variables={"text": "x"}, options={"temperature": 0})) == "Tone of: x"


def test_an_async_for_loop_too_and_many_of_them_at_once(wb, tone, rows):
    async def read(n):
        stream = (
            tone.astream(text=str(n), model="fake/upper")
            if n % 2
            else wb.astream(tone, variables={"text": n})
        )
        pieces = [piece async for piece in stream]
        assert "".join(pieces) == stream.result.text
        return stream.result.text

    async def main():
        return await asyncio.gather(*(read(n) for n in range(30)))

    texts = asyncio.run(main())
    assert texts == [f"TONE OF: {n}" if n % 2 else f"Tone of: {n}" for n in range(30)]
    assert [row[0] for row in rows()] == ["done"] * 30


def test_what_is_wrong_is_told_at_the_first_piece_and_nothing_is_sent(wb, tone, rows):
    with pytest.raises(UndefinedVariableError):
        list(tone.stream())
    with pytest.raises(UnknownReferenceError):
        next(iter(wb.stream("tnoe", variables={})))
    assert rows() == []


def test_the_result_is_there_only_once_it_was_read(tone):
    stream = tone.stream(text="a")
    with pytest.raises(InputError, match="has not been read"):
        _ = stream.result
    assert "nothing is sent yet" in repr(stream)
    list(stream)
    with pytest.raises(InputError, match="read once"):
        list(stream)
    assert "read" in repr(stream)


def test_a_stream_that_is_left_early_is_stored_with_what_had_arrived(tone, rows):
    stream = tone.stream(text=LONG, model="fake/slow")
    for _ in stream:
        if "three" in stream.text:
            break
    ((status, code, answer),) = soon(lambda: rows()[0][0] == "unknown" and rows())
    assert (status, code) == ("unknown", "interrupted")
    assert answer.startswith("Tone of: one two three")
    assert len(answer) < len(LONG)
    with pytest.raises(RunInterruptedError, match="left before its end"):
        _ = stream.result


def test_an_async_stream_that_is_left_or_cancelled_too(tone, rows):
    async def leave():
        stream = tone.astream(text=LONG, model="fake/slow")
        async for _ in stream:
            break
        await asyncio.sleep(0)
        return stream

    async def cancel():
        async def read():
            async for _ in tone.astream(text=LONG, model="fake/slow"):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    stream = asyncio.run(leave())
    asyncio.run(cancel())
    assert soon(lambda: [row[0] for row in rows()] == ["unknown", "unknown"])
    assert all(answer.startswith("Tone") for _, _, answer in rows())
    with pytest.raises(RunInterruptedError):
        _ = stream.result


def test_an_interrupt_while_waiting_stops_the_call(tone, rows):
    stream = tone.stream(text=LONG, model="fake/slow")
    threading.Timer(0.6, _thread.interrupt_main).start()
    with pytest.raises(RunInterruptedError):
        list(stream)
    assert soon(lambda: rows()[0][:2] == ("unknown", "interrupted"))


def test_who_stops_before_the_claim_is_committed_leaves_a_row_that_was_never_sent(tone, rows, admin_url):
    async def main():
        async def read():
            async for _ in tone.astream(text="x"):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with psycopg.connect(admin_url.reveal()) as admin:
        admin.execute("LOCK TABLE wb.executions IN SHARE MODE")
        asyncio.run(main())
    assert soon(lambda: [row[:2] for row in rows()] == [("lost", "not_sent")])


def test_a_failure_comes_after_the_pieces_and_keeps_them(wb, rows):
    p = wb.prompts.save("echo", "{{ text }}")
    failures = []
    for n in range(40):
        stream = p.stream(text=f"case {n} with some more words", model="fake/flaky")
        with contextlib.suppress(ProviderError):
            list(stream)
        with contextlib.suppress(ProviderError):
            assert stream.result.text == stream.text
            continue
        error = stream._stream.future.exception()
        failures.append(error)
        assert stream.text == error.partial_text
        assert isinstance(error, IncompleteAnswerError) == bool(stream.text)
    assert {error.code for error in failures} == {"rate_limit", "unavailable", "incomplete"}
    assert sum(row[0] == "failed" for row in rows()) == len(failures)


def test_a_real_stream_is_told_as_it_arrives_and_its_connection_is_let_go(wb, tone, rows):
    events = [sse([chunk], done=False) for chunk in stream_chunks(["Hel", "lo", " you"])]

    def body():
        for event in events:
            yield event
            yield 0.2

    reply = Reply(body=body(), framing="chunked", headers={"Content-Type": "text/event-stream"})
    with ScriptedServer(lambda _: reply) as server:
        provider = OpenAICompatible(name="mine", base_url=server.url)
        wb.models._registry = Registry(wb.config, providers={"mine": provider})
        stream = tone.stream(text="x", model="mine/m")
        assert next(iter(stream)) == "Hel"
        assert soon(lambda: rows()[0] == ("unknown", "interrupted", "Hel"))
        assert soon(lambda: server.in_flight == 0)
