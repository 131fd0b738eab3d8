"""The engine of a run: claims ahead, calls N at a time, results committed as they arrive.

Everything here runs on the bridge's loop; the ledger writer has its own thread. A call counts as
done only after its result is committed.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from decimal import Decimal
from typing import TYPE_CHECKING

from workbench.core.pricing import cost_of
from workbench.db.ledger import Claim, Result
from workbench.db.queries.runs import Prior, priors
from workbench.errors import (
    AuthenticationError,
    BudgetError,
    ConfigError,
    PaymentRequiredError,
    ProviderError,
    ProviderUnavailableError,
    WorkbenchError,
)
from workbench.services.calls import build_request, claim_of, failed, finished

if TYPE_CHECKING:
    from workbench.core.chat import ChatRequest
    from workbench.db.ledger_writer import LedgerWriter
    from workbench.db.queries.runs import RunKey
    from workbench.services.planning import Call, RunPlan
    from workbench.services.progress import Progress
    from workbench.services.workbench import Workbench

__all__ = ["Engine"]

#: Answers that may wait for their commit; bounds what a kill can lose.
UNCOMMITTED = 32
#: So many calls in a row without any answer from the provider end the run.
PATIENCE = 20

_Item = tuple["Call", "Claim", "ChatRequest"]


class Engine:
    """Makes the calls of one run that are not settled yet.

    Args:
        workbench: for the database.
        plan: what to call.
        key: the run's row.
        writer: the ledger's thread.
        settled: calls that need no other one.
        progress: counts, moved by this engine only.

    Attributes:
        fatal: what ended the run early, or None.

    """

    def __init__(
        self,
        workbench: Workbench,
        plan: RunPlan,
        key: RunKey,
        *,
        writer: LedgerWriter,
        settled: set[tuple[str, uuid.UUID, uuid.UUID, str, int]],
        progress: Progress,
    ) -> None:
        self._wb = workbench
        self._plan = plan
        self._key = key
        self._writer = writer
        self._settled = settled
        self._progress = progress
        self._stopping = False
        self._silent = 0
        self._spent = Decimal(0)
        self._queue: asyncio.Queue[_Item | None] = asyncio.Queue(maxsize=1)
        self._slots = asyncio.Semaphore(UNCOMMITTED)
        self.fatal: WorkbenchError | None = None

    async def run(self) -> None:
        """Make the calls; returns when every started one is settled and committed."""
        workers = [asyncio.create_task(self._work()) for _ in range(self._plan.concurrency)]
        try:
            await self._feed()
            for _ in workers:
                await self._queue.put(None)
            await asyncio.gather(*workers)
            for _ in range(UNCOMMITTED):
                await self._slots.acquire()
        finally:
            for worker in workers:
                worker.cancel()

    def stop(self) -> None:
        """Start no further call; those in flight go on."""
        self._stopping = True

    async def _feed(self) -> None:
        pending = (call for call in self._plan.calls() if call.key not in self._settled)
        for chunk in _chunks(pending, self._plan.concurrency):
            if self._stopping:
                return
            items = [self._prepare(call) for call in chunk]
            if not self._affords(len(items)):
                return
            try:
                mine = await asyncio.wrap_future(self._writer.claim([claim for _, claim, _ in items]))
                known = await asyncio.to_thread(self._known, items)
            except WorkbenchError as error:
                self._end(error)
                return
            for call, claim, request in items:
                if claim.id not in mine:
                    continue  # another kernel has it
                prior = known.get((claim.request_digest, call.sample))
                if prior is not None:
                    await self._store(_from_cache(claim, prior))
                else:
                    await self._queue.put((call, claim, request))

    def _prepare(self, call: Call) -> _Item:
        arm = call.arm
        request = build_request(arm.body, call.values, arm.model, arm.options)
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
        )
        return call, claim, request

    def _known(self, items: Sequence[_Item]) -> dict[tuple[str, int], Prior]:
        """Find earlier answers to the same requests, where the plan allows them."""
        wanted: dict[tuple[uuid.UUID, int], list[str]] = {}
        for call, claim, request in items:
            if self._plan.cache == "all" or (self._plan.cache == "deterministic" and request.deterministic):
                wanted.setdefault((claim.model_config_id, call.sample), []).append(claim.request_digest)
        found: dict[tuple[str, int], Prior] = {}
        for (model_id, sample), digests in wanted.items():
            with self._wb.database.session() as session:
                found |= {
                    (digest, sample): prior
                    for digest, prior in priors(session, model_id, digests, sample=sample).items()
                }
        return found

    async def _work(self) -> None:
        while (item := await self._queue.get()) is not None:
            call, claim, request = item
            if self._stopping:
                await self._store(_not_sent(claim))
                continue
            await self._store(await self._call(call, claim, request))

    async def _call(self, call: Call, claim: Claim, request: ChatRequest) -> Result:
        model = call.arm.model
        try:
            response = await model.provider.chat(request)
        except ProviderError as error:
            self._silent = self._silent + 1 if isinstance(error, ProviderUnavailableError) else 0
            if isinstance(error, AuthenticationError | PaymentRequiredError) or self._silent >= PATIENCE:
                self._end(error)
            return failed(claim, error, model)
        except ConfigError as error:
            self._end(error)
            return Result(
                id=claim.id,
                run_at=claim.run_at,
                status="failed",
                error_code=error.code,
                error_message=error.message,
            )
        self._silent = 0
        self._spent += cost_of(response.usage, model.price).amount or 0
        return finished(claim, response, model)

    async def _store(self, result: Result) -> None:
        """Hand a result to the writer; waits only while too many answers are uncommitted."""
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        future = self._writer.finish(result)
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._committed, result, done))

    def _committed(self, result: Result, future: Future[set[uuid.UUID]]) -> None:
        self._slots.release()
        error = future.exception()
        if isinstance(error, WorkbenchError):
            self._end(error)
            return
        progress = self._progress
        if result.status == "done":
            progress.done += 1
        elif result.status == "failed":
            progress.failed += 1
        progress.cached += result.cost_source == "cache"
        progress.tokens += result.tokens_total or 0
        progress.cost += result.cost or 0
        progress.cost_unknown = progress.cost_unknown or (result.status == "done" and result.cost is None)

    def _affords(self, calls: int) -> bool:
        """Whether the next calls, at the price of the ones so far, stay within the budget."""
        budget = self._plan.budget
        if budget is None:
            return True
        expected = self._spent + self._spent / max(1, self._progress.settled) * calls
        if expected <= budget:
            return True
        self._end(
            BudgetError(
                f"the next {calls} calls could exceed the budget of ${budget}: ${self._spent:.4f} is spent",
                cure="run.resume() with a higher budget goes on where this stopped",
            )
        )
        return False

    def _end(self, error: WorkbenchError) -> None:
        self.fatal = self.fatal or error
        self._stopping = True


def _chunks(calls: Iterable[Call], size: int) -> Iterator[list[Call]]:
    iterator = iter(calls)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _from_cache(claim: Claim, prior: Prior) -> Result:
    return Result(
        id=claim.id,
        run_at=claim.run_at,
        status="done",
        response_data=prior.response_data,
        answer=prior.answer,
        finish_reason=prior.finish_reason,
        provider=prior.provider,
        tokens_prompt=prior.tokens_prompt,
        tokens_completion=prior.tokens_completion,
        tokens_total=prior.tokens_total,
        cost=Decimal(0),
        cost_source="cache",
        latency_ms=0,
        cached_from=prior.id,
    )


def _not_sent(claim: Claim) -> Result:
    return Result(
        id=claim.id,
        run_at=claim.run_at,
        status="lost",
        error_code="not_sent",
        error_message="the run was stopped before this call was sent; nothing was billed",
    )
