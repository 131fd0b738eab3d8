"""An answer that is read piece by piece, by ``for`` or by ``async for``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from workbench.errors import InputError, RunInterruptedError

if TYPE_CHECKING:
    from workbench.core.versions import PromptResult
    from workbench.services.bridge import Stream
    from workbench.services.workbench import Workbench

__all__ = ["AnswerStream"]

#: So long, in seconds, who leaves a stream waits for the call's row.
_PATIENCE = 1.0


class AnswerStream:
    """One call: nothing is sent before the first piece is asked for.

    Read to its end it has its ``result``; left early, or cancelled, the call is stored as ``unknown`` with the text
    that had arrived (as ``done`` where that was all of it). It can be read once.

    Args:
        workbench: whose bridge runs the call.
        make: checks the call and returns what answers it, given what takes each piece.

    Example:
        >>> stream = wb.stream("tone", variables={"text": "Lovely."})  # doctest: +SKIP
        >>> for piece in stream:  # doctest: +SKIP
        ...     print(piece, end="")
        >>> stream.result.cost  # doctest: +SKIP

    """

    def __init__(
        self,
        workbench: Workbench,
        make: Callable[[], Callable[[Callable[[str], None]], Coroutine[Any, Any, PromptResult]]],
    ) -> None:
        self._wb = workbench
        self._make = make
        self._begun = False
        self._pieces: list[str] = []
        self._stream: Stream[str, PromptResult] | None = None

    @property
    def text(self) -> str:
        """The pieces that were read."""
        return "".join(self._pieces)

    @property
    def result(self) -> PromptResult:
        """The whole answer, committed.

        Raises:
            InputError: it has not been read to its end.
            RunInterruptedError: it was left early.
            ProviderError: the call failed.

        """
        future = self._stream.future if self._stream is not None else None
        if future is None or not future.done():
            raise InputError(
                "the answer has not been read to its end",
                cure="read it first: for piece in stream: …, or: async for piece in stream: …",
            )
        if future.cancelled():
            raise _left()
        return future.result()

    def __iter__(self) -> Iterator[str]:
        self._begin()
        stream = self._stream = self._wb.bridge.stream(self._make())
        try:
            for piece in stream:
                self._pieces.append(piece)
                yield piece
            self._wb.last = stream.future.result()
        except KeyboardInterrupt:
            raise _left() from None
        finally:
            stream.leave(patience=_PATIENCE)

    async def __aiter__(self) -> AsyncIterator[str]:
        self._begin()
        stream = self._stream = self._wb.bridge.stream(await asyncio.to_thread(self._make))
        try:
            async for piece in stream:
                self._pieces.append(piece)
                yield piece
            stream.future.result()
        finally:
            stream.leave()

    def _begin(self) -> None:
        if self._begun:
            raise InputError(
                "an answer that arrives in pieces is read once", cure="its text is .text, its result .result"
            )
        self._begun = True

    def __repr__(self) -> str:
        if self._stream is None:
            return "<AnswerStream: nothing is sent yet; write: for piece in stream: …>"
        state = "read" if self._stream.future.done() else "arriving"
        return f"<AnswerStream: {state}, {len(self.text):,} characters>"


def _left() -> RunInterruptedError:
    return RunInterruptedError(
        "the answer was left before its end; the call is stored with the text that had arrived",
        cure="ask again, and read it to its end",
    )
