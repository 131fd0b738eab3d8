"""Who may call now: limits shared by all processes of a person, and a window of this process that 429s narrow.

A call passes two gates. Before it is claimed, :meth:`Limiter.permits` asks the database; around it,
:meth:`Limiter.slot` waits while its provider has refused calls of this very process.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING

from workbench.db import limits
from workbench.db.limits_state import Own, Permit
from workbench.errors import ConflictError, DatabaseError, ServerUnavailableError
from workbench.providers.base import Listened
from workbench.services.limiting_slots import LOOK_AGAIN, Grants, Slot, Stop, Wanted, Window

if TYPE_CHECKING:
    from workbench.core.chat import Attempt, ChatRequest, ChatResponse, Usage
    from workbench.db.engine import Database
    from workbench.providers.base import OnText, Provider
    from workbench.providers.limits import Heard
    from workbench.services.models import ChosenModel

__all__ = ["Limiter"]

#: Where a row is locked by somebody else, and while the database is told of a refusal.
SOON = 0.5
#: A server that restarts, or a connection that was cut, is waited for so long, as by the ledger.
RECONNECT_SECONDS = 3.0
_TOO_MANY = 429

_Key = tuple[str, str]


class Limiter:
    """Asks before each call whether it may be made; one for each workbench, used on the bridge's loop only.

    A run goes through it in this order::

        granted = await limiter.permits(wanted, tell=show, unless=stopping)  # before the claim
        … claim wanted[:granted], and give them to the workers …
        async with limiter.slot(model, unless=stopping) as slot:             # in the worker, around each call
            if not stopping():
                response = await slot.chat(request)                          # in the place of model.provider.chat

    Three rules:

    * **Give away what is claimed before you wait in** ``permits``: a limit of concurrency counts claimed calls, and
      those that nobody makes would be waited for without end. :meth:`open` tells whether ``permits`` would return
      at once.
    * Look again in the slot whether the run is to stop: waiting for it may have taken a minute.
    * For a permitted call that is not made (it was cached, or somebody else's) call :meth:`unused`.

    Without limits and refusals all of it is some look-ups in dicts, and one SELECT a second for each model. With a
    limit each call of ``permits`` is one short transaction in another thread. A refusal that another process heard
    of is noticed here within a second.

    Args:
        database: the person's.

    Attributes:
        grants: what was granted lately.

    """

    def __init__(self, database: Database) -> None:
        self.grants = Grants()
        self._database = database
        self._quiet_until: dict[_Key, float] = {}
        self._blocked_until: dict[_Key, float] = {}
        self._windows: dict[str, Window] = {}
        self._listened: dict[str, Provider] = {}
        self._telling: set[str] = set()
        self._owed: dict[_Key, tuple[float, float]] = {}
        self._sizes: dict[_Key, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def permits(
        self,
        calls: Sequence[Wanted],
        *,
        tell: Callable[[str], None] | None = None,
        unless: Stop | None = None,
    ) -> int:
        """Wait until at least the first of these calls may be claimed; return how many of the first ones may.

        It may be cancelled at any time; permits that were taken just then are lost, calls are not.

        Args:
            calls: in the order in which they will be claimed; as many as could be claimed now.
            tell: told what is waited for (``waiting for the rate limit of openrouter, 12 s``) at least once a
                second, and an empty text when it is over.
            unless: asked at least once a second; once it is true, nobody waits any longer.

        Returns:
            At least 1; or 0, where there are no calls, or ``unless`` became true.

        Raises:
            DatabaseError: the limits cannot be read, for some seconds already.

        """
        told = False
        try:
            if self.open(calls):
                return len(calls)
            while calls and not (unless is not None and unless()):
                granted, permit = await self._take(calls)
                if granted:
                    return granted
                if tell is not None:
                    told = True
                    tell(_words(permit))
                await asyncio.sleep(min(max(permit.wait, 0.01), LOOK_AGAIN))
        finally:
            if told and tell is not None:
                tell("")
        return 0

    def open(self, calls: Iterable[Wanted]) -> bool:
        """Tell whether :meth:`permits` would grant all of these at once, without asking the database."""
        now = time.monotonic()
        return all(
            self._quiet_until.get(key, 0.0) > now and self.pause(key) <= 0
            for key in {call.key for call in calls}
        )

    def unused(self, call: Wanted) -> None:
        """Put back the permit of a call that was not made."""
        self.grants.claimed(call.key)
        self._owe(call.key, calls=1.0, tokens=call.tokens)

    def slot(self, model: ChosenModel, *, unless: Stop | None = None) -> Slot:
        """Return a context in which one call may be made.

        Args:
            model: whose call it is.
            unless: asked at least once a second; once it is true, the context opens although no call should be made.

        """
        return Slot(self, model, unless)

    async def chat(
        self, model: ChosenModel, request: ChatRequest, *, on_text: OnText | None = None
    ) -> ChatResponse:
        """Make one call in a slot of its own.

        Raises:
            ProviderError: as the provider's ``chat``.

        """
        async with self.slot(model) as slot:
            return await slot.chat(request, on_text=on_text)

    async def aclose(self) -> None:
        """Tell other processes what they do not know yet."""
        await asyncio.gather(*self._tasks)
        owed, self._owed = self._owed, {}
        if owed:
            with suppress(DatabaseError):  # no more than accuracy is lost
                await asyncio.to_thread(self._settle, owed)

    # --- what slots use ---

    def window(self, provider: str) -> Window:
        """Return a provider's window."""
        if provider not in self._windows:
            self._windows[provider] = Window()
        return self._windows[provider]

    def pause(self, key: tuple[str, str]) -> float:
        """Return the seconds for which a model's calls are refused, as far as this process knows."""
        return self._blocked_until.get(key, 0.0) - time.monotonic()

    def listen(self, provider: Provider) -> None:
        """Hear of each reply of a provider at once, where it tells them."""
        if self._listened.get(provider.name) is not provider:
            self._listened[provider.name] = provider
            self._telling.discard(provider.name)
            if isinstance(provider, Listened):
                provider.listener = self._hear
                self._telling.add(provider.name)

    def ended(self, call: Wanted, usage: Usage | None, attempts: Sequence[Attempt], sent_at: float) -> None:
        """Learn from a call: what it took in fact, and whether it was refused where nobody told before."""
        self._sizes[call.key] = call.tokens
        if usage is not None and usage.total_tokens is not None:
            self._owe(call.key, tokens=call.tokens - usage.total_tokens)
        if call.provider in self._telling:
            return
        refusals = [attempt for attempt in attempts if attempt.http_status == _TOO_MANY]
        if refusals:
            asked = refusals[-1].retry_after_ms
            self._refused(call.key, None if asked is None else asked / 1000, sent_at)

    # --- permits ---

    async def _take(self, calls: Sequence[Wanted]) -> tuple[int, Permit]:
        """Return how many of the first calls are granted, and what the first one was told."""
        now = time.monotonic()
        known = {key: self._known(key, count, now) for key, count in _counted(calls).items()}
        first = known[calls[0].key]
        if first is not None and not first.granted:
            return 0, first
        look = sorted(key for key, permit in known.items() if permit is None)
        permits = {key: permit for key, permit in known.items() if permit is not None}
        if look:
            owed = {key: self._owed.pop(key) for key in look if key in self._owed}
            own = {provider: self.grants.of(provider) for provider, _ in look}
            try:
                found = await self._patiently(
                    lambda: self._take_rows(calls, permits, look, owed=owed, own=own)
                )
            except ConflictError:  # somebody holds a row's lock
                return 0, Permit(granted=0, wait=SOON, limit="/".join(look[0]), why="rate")
            permits |= found
            self._learn(found, _counted(calls[: _prefix(calls, permits)]))
        return _prefix(calls, permits), permits[calls[0].key]

    async def _patiently(self, look: Callable[[], dict[_Key, Permit]]) -> dict[_Key, Permit]:
        """Look in a thread; where the server is away, wait a little for it."""
        until = time.monotonic() + RECONNECT_SECONDS
        while True:
            try:
                return await asyncio.to_thread(look)
            except ServerUnavailableError:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(0.1)

    def _known(self, key: _Key, calls: int, now: float) -> Permit | None:
        """Return what is known without asking the database, or None."""
        pause = self.pause(key)
        if pause > 0:
            return Permit(granted=0, wait=pause, limit="/".join(key), why="refused")
        return Permit(granted=calls) if self._quiet_until.get(key, 0.0) > now else None

    def _take_rows(
        self,
        calls: Sequence[Wanted],
        known: Mapping[_Key, Permit],
        keys: Sequence[_Key],
        *,
        owed: Mapping[_Key, tuple[float, float]],
        own: Mapping[str, Own],
    ) -> dict[_Key, Permit]:
        """Take permits in one transaction; what the order of the calls leaves over goes back at once."""
        own = dict(own)
        user, counts, found = self._database.user_id, _counted(calls), dict[_Key, Permit]()
        tokens = {key: sum(call.tokens for call in calls if call.key == key) for key in keys}
        with self._database.driver() as connection:
            for key in keys:  # in one order for everybody
                if key in owed:
                    limits.give_back(connection, user, *key, calls=owed[key][0], tokens=owed[key][1])
                mine = own[key[0]]
                found[key] = limits.take(
                    connection, user, *key, calls=counts[key], tokens=tokens[key], own=mine
                )
                own[key[0]] = mine.plus(found[key])
            used = _counted(calls[: _prefix(calls, {**known, **found})])
            for key in keys:
                left = found[key].granted - used[key]
                if left and not found[key].quiet:
                    one = tokens[key] / counts[key]
                    limits.give_back(connection, user, *key, calls=left, tokens=left * one)
        return found

    def _learn(self, found: Mapping[_Key, Permit], used: Counter[_Key]) -> None:
        now = time.monotonic()
        for key, permit in found.items():
            self._quiet_until[key] = now + permit.quiet
            if permit.stamp is not None:
                self.grants.add(key, used[key], permit.stamp)
            if permit.why == "refused":  # in another process; calls that are claimed here wait too
                self._block(key, min(permit.wait, LOOK_AGAIN))

    def _owe(self, key: _Key, *, calls: float = 0.0, tokens: float = 0.0) -> None:
        """Remember what the next look puts back; where nothing is limited there is nothing to put back."""
        if self._quiet_until.get(key, 0.0) <= time.monotonic():
            before = self._owed.get(key, (0.0, 0.0))
            self._owed[key] = (before[0] + calls, before[1] + tokens)

    def _settle(self, owed: Mapping[_Key, tuple[float, float]]) -> None:
        with self._database.driver() as connection:
            for key in sorted(owed):
                calls, tokens = owed[key]
                limits.give_back(connection, self._database.user_id, *key, calls=calls, tokens=tokens)

    # --- refusals ---

    def _hear(self, heard: Heard) -> None:
        key = (heard.provider, heard.model)
        if heard.repeated:  # the provider's client sends the call once more, and has no permit for that
            self._owe(key, calls=-1.0)
        waits = [
            quota.wait(need)
            for quota, need in ((heard.requests, 1.0), (heard.tokens, float(self._sizes.get(key, 1))))
            if quota is not None
        ]
        pause = max(waits, default=0.0)
        if heard.status == _TOO_MANY:
            self._refused(
                key, heard.retry_after if heard.retry_after is not None else pause or None, heard.sent_at
            )
        elif pause > max(self.pause(key), 0.0):
            self._block(key, pause)
            self._tell(key, pause, slower=False)

    def _refused(self, key: _Key, retry_after: float | None, sent_at: float) -> None:
        news = self.window(key[0]).narrow(sent_at)
        longer = retry_after is not None and retry_after > self.pause(key) + SOON
        if news or longer:
            self._block(key, SOON if retry_after is None else retry_after)
            self._tell(key, retry_after, slower=True)

    def _block(self, key: _Key, seconds: float) -> None:
        self._blocked_until[key] = max(self._blocked_until.get(key, 0.0), time.monotonic() + seconds)
        self._quiet_until.pop(key, None)

    def _tell(self, key: _Key, retry_after: float | None, *, slower: bool) -> None:
        """Tell other processes, while this one goes on."""
        task = asyncio.get_running_loop().create_task(self._spread(key, retry_after, slower=slower))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _spread(self, key: _Key, retry_after: float | None, *, slower: bool) -> None:
        with suppress(DatabaseError):  # whoever claims the next call says it better
            self._block(key, await asyncio.to_thread(self._write_refusal, key, retry_after, slower=slower))

    def _write_refusal(self, key: _Key, retry_after: float | None, *, slower: bool) -> float:
        with self._database.driver() as connection:
            return limits.refused(
                connection, self._database.user_id, *key, retry_after=retry_after, slower=slower
            )


def _counted(calls: Iterable[Wanted]) -> Counter[_Key]:
    return Counter(call.key for call in calls)


def _prefix(calls: Sequence[Wanted], permits: Mapping[_Key, Permit]) -> int:
    """Return how many of the first calls may go, so that none overtakes another."""
    left = {key: permit.granted for key, permit in permits.items()}
    for place, call in enumerate(calls):
        left[call.key] -= 1
        if left[call.key] < 0:
            return place
    return len(calls)


def _words(permit: Permit) -> str:
    if permit.why == "full":
        return f"waiting for a free place of {permit.limit}"
    seconds = f", {ceil(permit.wait)} s" if permit.wait >= 1 else ""
    return f"waiting for the rate limit of {permit.limit}{seconds}"
