"""The calls of a run, claimed a little ahead of whoever makes them; budgets, the cache and other kernels have their say here."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from workbench.db.queries.runs import Prior, priors
from workbench.errors import BudgetError, ServerUnavailableError
from workbench.services.calls import build_request, claim_of, reserve_of

if TYPE_CHECKING:
    from workbench.core.chat import ChatRequest
    from workbench.db.ledger import Claim
    from workbench.db.ledger_writer import LedgerWriter
    from workbench.db.queries.runs import RunKey
    from workbench.services.planning import Arm, Call, RunPlan
    from workbench.services.workbench import Workbench

__all__ = ["Feed", "Group", "Item", "Reserves"]

#: A call, its row in the ledger, and what will be sent.
Item = tuple["Call", "Claim", "ChatRequest"]
#: Calls that are claimed; the ids of those that are ours; earlier answers by digest and sample.
Group = tuple[list[Item], set[uuid.UUID], dict[tuple[str, int], Prior]]


class Reserves:
    """What the next call of an arm may cost: what its dearest answer did; before the first, what the price list says."""

    def __init__(self) -> None:
        self._dearest: dict[int, Decimal] = {}

    def learn(self, arm: Arm, cost: Decimal | None) -> None:
        """Take what an answer of this arm cost, in USD."""
        if cost is not None and cost > self._dearest.get(id(arm), -1):
            self._dearest[id(arm)] = cost

    def of(self, arm: Arm, request: ChatRequest) -> Decimal | None:
        """Return USD, or None where nobody knows the price."""
        seen = self._dearest.get(id(arm))
        return reserve_of(request, arm.model) if seen is None else seen


class Feed:
    """Claims the calls of one run that are not settled yet, a group at a time.

    Args:
        workbench: for the database.
        plan: what to call.
        key: the run's row.
        writer: the ledger's thread.
        settled: calls that need no other one.
        reserves: what a call may cost.
        until_wanted: waited for before each group; False ends the feed.
        until_relieved: waited for where a budget does not pay for a single call: whether an answer came meanwhile,
            so that less is reserved.
        permitted: waits until at least the first of some calls may be made; how many of the first ones may, and 0 ends
            the feed.

    """

    def __init__(
        self,
        workbench: Workbench,
        plan: RunPlan,
        key: RunKey,
        *,
        writer: LedgerWriter,
        settled: set[tuple[str, uuid.UUID, uuid.UUID, str, int]],
        reserves: Reserves,
        until_wanted: Callable[[], Awaitable[bool]],
        until_relieved: Callable[[], Awaitable[bool]],
        permitted: Callable[[Sequence[Item]], Awaitable[int]],
    ) -> None:
        self._wb = workbench
        self._plan = plan
        self._key = key
        self._writer = writer
        self._settled = settled
        self._reserves = reserves
        self._until_wanted = until_wanted
        self._until_relieved = until_relieved
        self._permitted = permitted
        self._size = max(1, plan.concurrency // 2)

    async def groups(self) -> AsyncIterator[Group]:
        """Yield groups of claimed calls, in the order of the plan.

        Raises:
            BudgetError: a budget does not pay for the next call, and nothing is in flight.
            DatabaseError: calls cannot be claimed.

        """
        pending = (call for call in self._plan.calls() if call.key not in self._settled)
        for chunk in _chunks(pending, self._size):
            if not await self._until_wanted():
                return
            items = [self._prepare(call) for call in chunk]
            while items:
                if not (granted := await self._permitted(items)):
                    return
                async for part, mine in self._claimed(items[:granted]):
                    yield part, mine, await self._known(part)
                items = items[granted:]

    async def _claimed(self, items: list[Item]) -> AsyncIterator[tuple[list[Item], set[uuid.UUID]]]:
        """Claim calls; where a budget does not pay for all of them at once, as many as it does, when it does."""
        parts = deque([items])
        while parts:
            part = parts.popleft()
            try:
                mine = await asyncio.wrap_future(self._writer.claim([claim for _, claim, _ in part]))
            except BudgetError:
                half = len(part) // 2
                again = [self._priced(item) for item in part]
                if half:
                    parts.extendleft([again[half:], again[:half]])
                elif again[0][1].reserved != part[0][1].reserved or await self._until_relieved():
                    parts.appendleft(again)
                else:
                    raise
            else:
                yield part, mine

    def _prepare(self, call: Call) -> Item:
        arm = call.arm
        request = build_request(arm.body, call.values, arm.model, arm.options, schema=arm.schema)
        claim = claim_of(
            request,
            arm.body,
            call.values,
            prompt_id=arm.version.id,
            model=arm.model,
            run_at=self._key.run_at,
            run_id=self._key.id,
            case_id=call.case_id,
            case_key=call.case.key,
            variant=arm.variant,
            sample=call.sample,
            reserved=self._reserves.of(arm, request),
        )
        return call, claim, request

    def _priced(self, item: Item) -> Item:
        """Reserve what the answers since then have shown a call to cost."""
        call, claim, request = item
        return call, replace(claim, reserved=self._reserves.of(call.arm, request)), request

    async def _known(self, items: Sequence[Item]) -> dict[tuple[str, int], Prior]:
        """Find earlier answers to the same requests, where the plan allows them."""
        wanted: dict[tuple[uuid.UUID, int], list[str]] = {}
        for call, claim, request in items:
            if self._plan.cache == "all" or (self._plan.cache == "deterministic" and request.deterministic):
                wanted.setdefault((claim.model_config_id, call.sample), []).append(claim.request_digest)
        try:
            return await asyncio.to_thread(self._look_up, wanted) if wanted else {}
        except ServerUnavailableError:  # a connection that was cut; the next one may be whole
            await asyncio.sleep(0.2)
            return await asyncio.to_thread(self._look_up, wanted)

    def _look_up(self, wanted: Mapping[tuple[uuid.UUID, int], list[str]]) -> dict[tuple[str, int], Prior]:
        found: dict[tuple[str, int], Prior] = {}
        with self._wb.database.session() as session:
            for (model_id, sample), digests in wanted.items():
                answers = priors(session, model_id, digests, sample=sample)
                found |= {(digest, sample): prior for digest, prior in answers.items()}
        return found


def _chunks(calls: Iterable[Call], size: int) -> Iterator[list[Call]]:
    iterator = iter(calls)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk
