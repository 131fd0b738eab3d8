"""The engine of a run: claims ahead, calls N at a time, results committed as they arrive.

Everything here runs on the bridge's loop; the ledger writer has its own thread. A call is sent only
after its claim is committed, and counts as done only after its result is.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from decimal import Decimal
from typing import TYPE_CHECKING

from workbench.core.pricing import cost_of
from workbench.db.ledger import Claim, Result, taken_over
from workbench.db.queries.runs import Prior, priors
from workbench.errors import (
    AuthenticationError,
    BudgetError,
    DatabaseError,
    InputError,
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

#: Answers that may wait for their commit, at most one per call in flight; bounds what a kill can lose.
UNCOMMITTED = 32
#: So many calls in a row that the provider did not answer end the run,
PATIENCE = 20
#: and so many while nothing was ever heard from it: a wrong address, no network, a proxy that refuses.
FIRST_PATIENCE = 3

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
        self._heard = False
        self._silent = 0
        self._spent = Decimal(0)
        self._claimed = self._called = 0
        self._unstored = self._cut_off = 0
        # One group waits in the queue, one is on its way there, one is being claimed: never more than are in flight.
        self._group = max(1, plan.concurrency // 3)
        self._queue: asyncio.Queue[_Item | None] = asyncio.Queue(maxsize=self._group)
        self._uncommitted = min(UNCOMMITTED, plan.concurrency)
        self._slots = asyncio.Semaphore(self._uncommitted)
        self._news: deque[tuple[Result, Future[set[uuid.UUID]]]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self.fatal: WorkbenchError | None = None

    async def run(self) -> None:
        """Make the calls; returns when every started one is settled and committed, or cannot be."""
        self._loop = asyncio.get_running_loop()
        jobs = [self._feed(), *(self._work() for _ in range(self._plan.concurrency))]
        self._tasks = [asyncio.create_task(job) for job in jobs]
        try:
            await asyncio.gather(*self._tasks)
        except asyncio.CancelledError:
            if not isinstance(self.fatal, DatabaseError):
                raise  # the person does not want to wait for what is in flight
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(self._uncommitted):
            await self._slots.acquire()
        self._tell_losses()

    def stop(self) -> None:
        """Start no further call; those in flight go on."""
        self._stopping = True

    async def _feed(self) -> None:
        pending = (call for call in self._plan.calls() if call.key not in self._settled)
        ahead: tuple[list[_Item], asyncio.Future[set[uuid.UUID]]] | None = None
        try:
            for chunk in _chunks(pending, self._group):
                if self._stopping or not self._affords(len(chunk)):
                    break
                try:
                    items = [self._prepare(call) for call in chunk]
                except (
                    InputError
                ) as error:  # such as a file that has gone; what is claimed is handed out, and not sent
                    self._end(error)
                    break
                self._claimed += len(items)
                claimed = asyncio.wrap_future(self._writer.claim([claim for _, claim, _ in items]))
                before, ahead = ahead, (items, claimed)
                if before is not None:
                    await self._hand_out(*before)
            if ahead is not None:
                before, ahead = ahead, None
                await self._hand_out(*before)
            for _ in range(self._plan.concurrency):
                await self._queue.put(None)
        except WorkbenchError as error:
            self._end(error)
        finally:
            if ahead is not None:
                ahead[1].cancel()  # nobody will ask how it went

    async def _hand_out(self, items: list[_Item], claimed: asyncio.Future[set[uuid.UUID]]) -> None:
        """Give the workers those calls of a group that are ours and that no earlier answer settles."""
        mine = await claimed
        known = await self._known(items)
        for call, claim, request in items:
            prior = known.get((claim.request_digest, call.sample))
            if prior is not None and not _matches(call, prior):
                prior = None
            if claim.id in mine and prior is None:
                await self._queue.put((call, claim, request))
                continue
            self._called += 1  # by another kernel, or before
            if claim.id in mine and prior is not None:
                await self._store(_from_cache(claim, prior))

    def _prepare(self, call: Call) -> _Item:
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
        )
        return call, claim, request

    async def _known(self, items: Sequence[_Item]) -> dict[tuple[str, int], Prior]:
        """Find earlier answers to the same requests, where the plan allows them."""
        wanted: dict[tuple[uuid.UUID, int], list[str]] = {}
        for call, claim, request in items:
            if self._plan.cache == "all" or (self._plan.cache == "deterministic" and request.deterministic):
                wanted.setdefault((claim.model_config_id, call.sample), []).append(claim.request_digest)
        return await asyncio.to_thread(self._look_up, wanted) if wanted else {}

    def _look_up(self, wanted: Mapping[tuple[uuid.UUID, int], list[str]]) -> dict[tuple[str, int], Prior]:
        found: dict[tuple[str, int], Prior] = {}
        with self._wb.database.session() as session:
            for (model_id, sample), digests in wanted.items():
                answers = priors(session, model_id, digests, sample=sample)
                found |= {(digest, sample): prior for digest, prior in answers.items()}
        return found

    async def _work(self) -> None:
        while (item := await self._queue.get()) is not None:
            call, claim, request = item
            if self._stopping:
                await self._store(_not_sent(claim))
            else:
                await self._store(await self._call(call, claim, request))

    async def _call(self, call: Call, claim: Claim, request: ChatRequest) -> Result:
        model = call.arm.model
        try:
            response = await model.provider.chat(request)
            if call.arm.schema is not None:
                call.arm.schema.read(response)
        except ProviderError as error:
            self._called += 1
            self._judge(error)
            if error.response is not None:
                self._spent += cost_of(error.response.usage, model.price).amount or 0
            return failed(claim, error, model)
        except WorkbenchError as error:  # the request or the setting is wrong: no other call would do better
            self._called += 1
            self._end(error)
            return Result(
                id=claim.id,
                run_at=claim.run_at,
                status="failed",
                error_code=error.code,
                error_message=error.message,
            )
        except asyncio.CancelledError:
            self._cut_off += 1
            raise
        self._called += 1
        self._heard = True
        self._silent = 0
        self._spent += cost_of(response.usage, model.price).amount or 0
        return finished(claim, response, model)

    def _judge(self, error: ProviderError) -> None:
        """Decide whether a failed call is the run's end."""
        self._heard = self._heard or any(attempt.http_status for attempt in error.attempts)
        self._silent = self._silent + 1 if isinstance(error, ProviderUnavailableError) else 0
        patience = PATIENCE if self._heard else FIRST_PATIENCE
        if isinstance(error, AuthenticationError | PaymentRequiredError) or self._silent >= patience:
            self._end(error)

    async def _store(self, result: Result) -> None:
        """Hand a result to the writer; waits only while too many answers are uncommitted."""
        try:
            await self._slots.acquire()
        except asyncio.CancelledError:
            self._unstored += result.response_data is not None
            raise
        self._writer.finish(result).add_done_callback(lambda done: self._written(result, done))

    def _written(self, result: Result, future: Future[set[uuid.UUID]]) -> None:
        """Tell the loop from the writer's thread; it is woken once for a whole group."""
        self._news.append((result, future))
        if len(self._news) == 1:
            self._loop.call_soon_threadsafe(self._read_news)

    def _read_news(self) -> None:
        while self._news:
            self._committed(*self._news.popleft())

    def _committed(self, result: Result, future: Future[set[uuid.UUID]]) -> None:
        self._slots.release()
        error = future.exception()
        if error is None and result.id not in future.result():
            error = taken_over()
        if isinstance(error, WorkbenchError):
            self._unstored += result.response_data is not None
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
        in_flight = self._claimed - self._called
        expected = self._spent + self._spent / max(1, self._called) * (in_flight + calls)
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
        if isinstance(error, DatabaseError):  # what is still in flight could not be stored
            for task in self._tasks:
                task.cancel()

    def _tell_losses(self) -> None:
        lost = [f"{self._unstored:,} of the answers could not be stored"] if self._unstored else []
        lost += [f"{self._cut_off:,} of the calls were cut off in flight"] if self._cut_off else []
        if self.fatal is not None and lost:
            self.fatal.message += f"; {' and '.join(lost)}: they may be billed"


def _chunks(calls: Iterable[Call], size: int) -> Iterator[list[Call]]:
    iterator = iter(calls)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _matches(call: Call, prior: Prior) -> bool:
    """Whether an earlier answer is what this call's schema says; it may have been asked for without one."""
    if call.arm.schema is None:
        return True
    try:
        call.arm.schema.parse(prior.answer)
    except ValueError:
        return False
    return True


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
