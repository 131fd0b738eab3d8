"""The one door between synchronous callers and asynchronous HTTP: a loop in a daemon thread.

In a kernel a loop is running already, so nothing here ever starts one in the calling thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final, Generic, TypeVar

__all__ = ["Bridge", "Stream"]

T = TypeVar("T")
P = TypeVar("P")

#: How often the waiting thread wakes up, so that an interrupt reaches it.
_TICK = 0.05


class Bridge:
    """Runs coroutines on one background event loop, which starts at the first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine and return its future at once."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._running())

    def run(self, coroutine: Coroutine[Any, Any, T], *, on_tick: Callable[[], None] | None = None) -> T:
        """Run a coroutine and wait for it; an interrupt cancels it and goes on to the caller.

        Args:
            coroutine: what to run.
            on_tick: called in the waiting thread every 50 ms, for displays.

        """
        future = self.submit(coroutine)
        try:
            return self.wait(future, on_tick=on_tick)
        except KeyboardInterrupt:
            future.cancel()
            raise

    def wait(self, future: Future[T], *, on_tick: Callable[[], None] | None = None) -> T:
        """Wait for a future that was submitted; an interrupt leaves it running."""
        while True:
            with contextlib.suppress(FutureTimeoutError):
                return future.result(timeout=_TICK)
            if future.done():
                return future.result()
            if on_tick is not None:
                on_tick()

    def stream(self, make: Callable[[Callable[[P], None]], Coroutine[Any, Any, T]]) -> Stream[P, T]:
        """Start a coroutine that gives pieces while it runs.

        Args:
            make: given the function that takes a piece, returns the coroutine.

        """
        return Stream(self, make)

    def close(self) -> None:
        """Stop the loop and its thread."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._loop.is_closed():
                self._loop = _new_loop()
                threading.Thread(
                    target=_serve, args=(self._loop,), name="workbench-loop", daemon=True
                ).start()
            return self._loop


#: Ends a stream's queue.
_END: Final = object()


class Stream(Generic[P, T]):
    """The pieces of a running coroutine, in order, and its result.

    Read it once, from any thread with ``for`` or on any loop with ``async for``. Pieces that nobody reads wait in a
    queue without a bound, so a slow reader never holds up the loop. Who stops reading early cancels the coroutine.

    Attributes:
        future: gives what the coroutine returned, or raises what it raised.

    """

    def __init__(self, bridge: Bridge, make: Callable[[Callable[[P], None]], Coroutine[Any, Any, T]]) -> None:
        self._pieces: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._wake: Callable[[], None] = lambda: None
        self.future = bridge.submit(self._run(make))
        self.future.add_done_callback(lambda _: self._put(_END))

    def leave(self, *, patience: float = 0.0) -> None:
        """Cancel the coroutine unless it has ended, and give it so many seconds to tidy up."""
        if self.future.cancel() or self.future.cancelled():
            self._ended.wait(patience)

    def __iter__(self) -> Iterator[P]:
        try:
            while True:
                try:
                    piece = self._pieces.get(timeout=_TICK)
                except queue.Empty:
                    continue
                if piece is _END:
                    return
                yield piece
        finally:
            self.leave()

    async def __aiter__(self) -> AsyncIterator[P]:
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            if not news.is_set():
                with contextlib.suppress(RuntimeError):  # the reader's loop is closed: nobody reads any more
                    loop.call_soon_threadsafe(news.set)

        self._wake = wake
        try:
            while True:
                news.clear()
                while not self._pieces.empty():
                    piece = self._pieces.get_nowait()
                    if piece is _END:
                        return
                    yield piece
                await news.wait()
        finally:
            self.leave()

    async def _run(self, make: Callable[[Callable[[P], None]], Coroutine[Any, Any, T]]) -> T:
        try:
            return await make(self._put)
        finally:
            self._ended.set()

    def _put(self, piece: Any) -> None:
        self._pieces.put(piece)
        self._wake()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.close()
