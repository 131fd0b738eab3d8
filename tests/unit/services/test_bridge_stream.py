"""Pieces of a coroutine on the background loop, read by a thread or by another loop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from workbench.services.bridge import Bridge

COUNT = 20_000


@pytest.fixture
def bridge():
    made = Bridge()
    yield made
    made.close()


async def many(put, count=COUNT):
    for n in range(count):
        put(n)
        if n % 100 == 0:
            await asyncio.sleep(0)
    return "end"


class Endless:
    """Gives pieces for ever, and tells when it was stopped."""

    def __init__(self):
        self.stopped = threading.Event()

    async def __call__(self, put):
        try:
            while True:
                put("piece")
                await asyncio.sleep(0.001)
        finally:
            self.stopped.set()


def test_a_thread_reads_every_piece_in_order(bridge):
    stream = bridge.stream(many)
    assert list(stream) == list(range(COUNT))
    assert stream.future.result() == "end"


def test_a_loop_reads_every_piece_in_order_and_goes_on_meanwhile(bridge):
    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        read = [piece async for piece in bridge.stream(many)]
        ticking.cancel()
        return read, ticks

    read, ticks = asyncio.run(main())
    assert read == list(range(COUNT))
    assert ticks > 1


def test_many_readers_share_the_bridge(bridge):
    async def main():
        async def read():
            return [piece async for piece in bridge.stream(lambda put: many(put, 500))]

        return await asyncio.gather(*(read() for _ in range(20)))

    assert asyncio.run(main()) == [list(range(500))] * 20


def test_a_slow_reader_does_not_hold_up_the_coroutine(bridge):
    stream = bridge.stream(many)
    assert stream.future.result(timeout=20) == "end"
    assert sum(1 for _ in stream) == COUNT


def test_an_error_comes_after_the_pieces(bridge):
    async def fail(put):
        put("a")
        raise LookupError("no more")

    stream = bridge.stream(fail)
    assert list(stream) == ["a"]
    with pytest.raises(LookupError):
        stream.future.result()


def test_leaving_a_for_loop_stops_the_coroutine(bridge):
    endless = Endless()
    for _ in bridge.stream(endless):
        break
    assert endless.stopped.wait(5)


def test_leaving_an_async_for_loop_stops_the_coroutine(bridge):
    endless = Endless()

    async def main():
        async for _ in bridge.stream(endless):
            break
        await asyncio.sleep(0.1)

    asyncio.run(main())
    assert endless.stopped.wait(5)


def test_cancelling_the_reader_stops_the_coroutine(bridge):
    endless = Endless()

    async def main():
        async def read():
            async for _ in bridge.stream(endless):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert endless.stopped.wait(5)


def test_a_reader_whose_loop_is_gone_harms_nobody(bridge):
    endless = Endless()
    stream = bridge.stream(endless)

    async def main():
        reader = aiter(stream)
        assert await anext(reader) == "piece"
        return reader

    reader = asyncio.run(main())  # closes its loop, and with it the reader
    assert endless.stopped.wait(5)
    del reader
    assert bridge.run(many(lambda _: None, 10)) == "end"


def test_leave_waits_for_the_last_words(bridge):
    said = []

    async def slow_to_end(put):
        try:
            put(1)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            said.append("done")

    stream = bridge.stream(slow_to_end)
    assert next(iter(stream)) == 1
    stream.leave(patience=5)
    deadline = time.monotonic() + 5
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)
    assert said == ["done"]
