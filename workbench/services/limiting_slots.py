"""One call on its way: what it will take, and the window of this process that it waits for."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from workbench.db.limits_state import SETTLE_SECONDS, Own
from workbench.errors import ProviderError
from workbench.services.calls import expected_tokens

if TYPE_CHECKING:
    from workbench.core.chat import ChatRequest, ChatResponse
    from workbench.providers.base import OnText
    from workbench.services.limiting import Limiter
    from workbench.services.models import ChosenModel

__all__ = ["LOOK_AGAIN", "Grants", "Slot", "Stop", "Wanted", "Window"]

#: Who waits looks again at least this often, in seconds: a limit may be changed meanwhile.
LOOK_AGAIN = 1.0
#: After so many answers the window grows by one call.
GROWS_AFTER = 20

#: Tells whether there is no need to wait any longer.
Stop = Callable[[], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One call that shall be made.

    Attributes:
        provider: the provider's name.
        model: the id that the provider itself uses.
        tokens: of prompt and answer together, about.

    """

    provider: str
    model: str
    tokens: int

    @property
    def key(self) -> tuple[str, str]:
        """What a limit is known by."""
        return self.provider, self.model

    @classmethod
    def of(cls, model: ChosenModel, request: ChatRequest) -> Wanted:
        """Return what a request is expected to take."""
        return cls(provider=model.provider.name, model=model.local_id, tokens=sum(expected_tokens(request)))


class Window:
    """How many calls of one provider this process has in flight, and how many it may have.

    Attributes:
        in_flight: calls that are being made.
        limit: at most so many; None while no refusal was heard.

    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.limit: int | None = None
        self._asked = 0
        self._waiting = 0
        self._answers = 0
        self._refused_at = 0.0
        self._changed = asyncio.Event()

    @property
    def room(self) -> bool:
        """Whether one more call may be made."""
        return self.limit is None or self.in_flight < self.limit

    def narrow(self, sent_at: float) -> bool:
        """Halve the window, but for a call that was sent before the last refusal came; return whether it was halved."""
        if sent_at < self._refused_at:
            return False
        self._refused_at = time.perf_counter()
        self._answers = 0
        if self.limit is None:
            self._asked = self.in_flight + self._waiting
        self.limit = max(min(self.limit or self.in_flight, self.in_flight) // 2, 1)
        return True

    def widen(self) -> None:
        """Count an answer; the window grows until as many calls as before the refusals are in flight."""
        if self.limit is None:
            return
        self._answers += 1
        if self._answers >= GROWS_AFTER:
            self._answers = 0
            self.limit = self.limit + 1 if self.limit + 1 < self._asked else None
            self.wake()

    def leave(self) -> None:
        """End a call."""
        self.in_flight -= 1
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits look again."""
        if self._waiting:
            self._changed.set()
            self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for a change, or so many seconds."""
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        finally:
            self._waiting -= 1


class Grants:
    """What this process was granted lately: the ledger shows it only once it is claimed."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, str, dt.datetime, int]] = deque()
        self._unclaimed: Counter[tuple[str, str]] = Counter()

    def add(self, key: tuple[str, str], calls: int, stamp: dt.datetime) -> None:
        """Remember a permit."""
        self._recent.append((time.monotonic(), key[0], stamp, calls))
        self._unclaimed[key] += calls

    def claimed(self, key: tuple[str, str]) -> None:
        """Note that one of the calls is in the ledger: it is about to be made."""
        if self._unclaimed[key]:
            self._unclaimed[key] -= 1

    def of(self, provider: str) -> Own:
        """Return what may not be in the ledger yet."""
        while self._recent and self._recent[0][0] < time.monotonic() - SETTLE_SECONDS:
            self._recent.popleft()
        recent = [(stamp, calls) for _, name, stamp, calls in self._recent if name == provider]
        if not recent:  # whatever was not claimed until now never will be
            for key in [key for key in self._unclaimed if key[0] == provider]:
                del self._unclaimed[key]
        unclaimed = sum(calls for (name, _), calls in self._unclaimed.items() if name == provider)
        return Own(frozenset(stamp for stamp, _ in recent), min(unclaimed, sum(calls for _, calls in recent)))


class Slot:
    """A place for one call; opened by ``async with``, once its provider's window has room and no refusal holds it."""

    __slots__ = ("_limiter", "_model", "_unless", "_window")

    def __init__(self, limiter: Limiter, model: ChosenModel, unless: Stop | None) -> None:
        self._limiter = limiter
        self._model = model
        self._unless = unless
        self._window = limiter.window(model.provider.name)

    async def chat(self, request: ChatRequest, *, on_text: OnText | None = None) -> ChatResponse:
        """Make the call, and learn from what becomes of it.

        Raises:
            ProviderError: as the provider's ``chat``.

        """
        call, sent_at = Wanted.of(self._model, request), time.perf_counter()
        try:
            response = await self._model.provider.chat(request, on_text=on_text)
        except ProviderError as error:
            usage = None if error.response is None else error.response.usage
            self._limiter.ended(call, usage, error.attempts, sent_at)
            raise
        self._window.widen()
        self._limiter.ended(call, response.usage, response.attempts, sent_at)
        return response

    async def __aenter__(self) -> Self:
        key = (self._model.provider.name, self._model.local_id)
        self._limiter.listen(self._model.provider)
        while True:
            pause = self._limiter.pause(key)
            if (pause <= 0 and self._window.room) or (self._unless is not None and self._unless()):
                break
            await self._window.wait(min(pause, LOOK_AGAIN) if pause > 0 else LOOK_AGAIN)
        self._limiter.grants.claimed(key)
        self._window.in_flight += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._window.leave()
