"""The one door between synchronous callers and asynchronous HTTP: a loop in a daemon thread.

In a kernel a loop is running already, so nothing here ever starts one in the calling thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

__all__ = ["Bridge"]

T = TypeVar("T")

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
