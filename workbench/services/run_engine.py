"""The engine of a run: N calls at a time, results committed in groups as they arrive.

Everything here runs on the bridge's loop; the ledger writer has its own thread. A call is sent only
after its claim is committed, and counts as done only after its result is.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.db.ledger import Claim, Result
from workbench.errors import (
    AnswerKeptError,
    AuthenticationError,
    DatabaseError,
    PaymentRequiredError,
    ProviderError,
    ProviderUnavailableError,
    ServerUnavailableError,
    WorkbenchError,
)
from workbench.services.calls import failed, finished, not_sent, refused
from workbench.services.limiting_slots import Slot, Wanted
from workbench.services.run_feed import Feed, Item, Reserves

if TYPE_CHECKING:
    from workbench.core.chat import ChatRequest
    from workbench.db.ledger_writer import LedgerWriter, Outcome
    from workbench.db.queries.runs import Prior, RunKey
    from workbench.services.planning import Call, RunPlan
    from workbench.services.progress import Progress
    from workbench.services.workbench import Workbench

__all__ = ["GRACE_SECONDS", "Engine"]

#: Once a run has to end, calls in flight may go on for so long.
GRACE_SECONDS = 10.0
#: Answers that may wait for their commit, at most one per call in flight; bounds what a kill can lose.
UNCOMMITTED = 32
#: Results are handed to the writer when there are so many, after so many seconds, or when nothing else is in flight:
#: two groups may be on their way while the next one fills.
GROUP_ROWS = UNCOMMITTED // 3
GROUP_SECONDS = 0.02
#: So many calls in a row that the provider did not answer end the run,
PATIENCE = 20
#: and so many while nothing was ever heard from it: a wrong address, no network, a proxy that refuses.
FIRST_PATIENCE = 3

_STOPPED = "the run was stopped before this call was sent"


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
        self._plan = plan
        self._spool = workbench.database.spool.path
        self._limiter = workbench.limiter
        self._writer = writer
        self._progress = progress
        self._reserves = Reserves()
        self._feed = Feed(
            workbench,
            plan,
            key,
            writer=writer,
            settled=settled,
            reserves=self._reserves,
            until_wanted=self._wanted,
            until_relieved=self._relieved,
            permitted=self._permitted,
        )
        self._stopping = False
        self._heard = False
        self._silent = 0
        # What waits here, and what is claimed when it runs low, is never more than is in flight, but for one call.
        self._queue: asyncio.Queue[Item | None] = asyncio.Queue()
        self._low = max(1, plan.concurrency // 2)
        self._moved = asyncio.Event()
        self._open = 0  # claimed, and not settled
        self._calling = 0
        self._uncommitted = min(UNCOMMITTED, plan.concurrency)
        self._slots = asyncio.Semaphore(self._uncommitted)
        self._ready: list[Result] = []
        self._timer: asyncio.TimerHandle | None = None
        self._kept = self._unstored = self._cut_off = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.fatal: WorkbenchError | None = None

    async def run(self) -> None:
        """Make the calls; returns when every started one is settled and committed, or cannot be."""
        self._loop = asyncio.get_running_loop()
        jobs: list[Coroutine[Any, Any, None]] = [self._claim()]
        jobs += [self._work() for _ in range(self._plan.concurrency)]
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
            self._flush()
        for _ in range(self._uncommitted):
            await self._slots.acquire()
        self._tell_losses()

    def stop(self) -> None:
        """Start no further call; those in flight go on."""
        self._stopping = True

    async def _claim(self) -> None:
        try:
            async for items, mine, known in self._feed.groups():
                self._open += len(mine)
                for call, claim, request in items:
                    prior = known.get((claim.request_digest, call.sample))
                    ours = claim.id in mine  # or another kernel's, or done before
                    if ours and (prior is None or not _matches(call, prior)):
                        self._queue.put_nowait((call, claim, request))
                        continue
                    self._limiter.unused(Wanted.of(call.arm.model, request))
                    if ours and prior is not None:
                        await self._store(_from_cache(claim, prior))
        except WorkbenchError as error:
            self._end(error)
        finally:
            for _ in range(self._plan.concurrency):
                self._queue.put_nowait(None)

    async def _wanted(self) -> bool:
        """Wait until little is left to be called; whether the run goes on."""
        while self._queue.qsize() > self._low and not self._stopping:
            self._moved.clear()
            await self._moved.wait()
        return not self._stopping

    async def _permitted(self, items: Sequence[Item]) -> int:
        """Wait for the limits of providers and models; return how many of these calls may be claimed."""
        wanted = [Wanted.of(call.arm.model, request) for call, _, request in items]
        try:
            return await self._limiter.permits(wanted, tell=self._show_waiting, unless=lambda: self._stopping)
        except ServerUnavailableError:  # the claim waits longer for the database, and tells how that ends
            return len(items)

    def _show_waiting(self, text: str) -> None:
        self._progress.waiting = text

    async def _relieved(self) -> bool:
        """Wait until one more call is settled; whether there was any."""
        before = self._open
        while self._open >= before > 0 and not self._stopping:
            self._moved.clear()
            await self._moved.wait()
        return before > 0 and not self._stopping

    async def _work(self) -> None:
        while (item := await self._queue.get()) is not None:
            self._moved.set()
            call, claim, request = item
            async with self._limiter.slot(call.arm.model, unless=lambda: self._stopping) as slot:
                if not self._writer.fresh:  # the machine slept, or nothing was claimed for long
                    await self._confirm()
                stop = self._stopping  # the slot may have been waited for
                result = not_sent(claim, _STOPPED) if stop else await self._call(call, claim, request, slot)
            await self._store(result)

    async def _confirm(self) -> None:
        """Send nothing more where another kernel has taken the run over."""
        try:
            await asyncio.wrap_future(self._writer.claim([]))
        except WorkbenchError as error:
            self._end(error)

    async def _call(self, call: Call, claim: Claim, request: ChatRequest, slot: Slot) -> Result:
        arm = call.arm
        self._calling += 1
        try:
            response = await slot.chat(request)
            if arm.schema is not None:
                arm.schema.read(response)
        except ProviderError as error:
            self._judge(error)
            result = failed(claim, error, arm.model)
        except WorkbenchError as error:  # the request or the setting is wrong: no other call would do better
            self._end(error)
            return refused(claim, error)
        except asyncio.CancelledError:
            self._cut_off += 1
            raise
        else:
            self._heard = True
            self._silent = 0
            result = finished(claim, response, arm.model)
        finally:
            self._calling -= 1
        self._reserves.learn(arm, result.cost)
        return result

    def _judge(self, error: ProviderError) -> None:
        """Decide whether a failed call is the run's end."""
        self._heard = self._heard or any(attempt.http_status for attempt in error.attempts)
        self._silent = self._silent + 1 if isinstance(error, ProviderUnavailableError) else 0
        patience = PATIENCE if self._heard else FIRST_PATIENCE
        if isinstance(error, AuthenticationError | PaymentRequiredError) or self._silent >= patience:
            self._end(error)

    async def _store(self, result: Result) -> None:
        """Hand a result on; waits only while too many answers are uncommitted."""
        try:
            await self._slots.acquire()
        except asyncio.CancelledError:
            self._unstored += result.response_data is not None
            raise
        self._ready.append(result)
        if len(self._ready) >= GROUP_ROWS or not self._calling:
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(GROUP_SECONDS, self._flush)

    def _flush(self) -> None:
        """Give what is ready to the writer, as one group; its thread wakes this loop once for all of them."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._ready:
            return
        group, self._ready = self._ready, []
        future = self._writer.finish(group)
        future.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._committed, group, done))

    def _committed(self, group: list[Result], future: Future[Outcome]) -> None:
        outcome = future.result()
        for result in group:
            self._slots.release()
            self._open -= 1
            error = outcome[result.id]
            if error is None:
                self._count(result)
                continue
            if result.response_data is not None:
                self._kept += isinstance(error, AnswerKeptError)
                self._unstored += not isinstance(error, AnswerKeptError)
            self._end(error.__cause__ if isinstance(error.__cause__, WorkbenchError) else error)
        self._moved.set()

    def _count(self, result: Result) -> None:
        progress = self._progress
        if result.status == "done":
            progress.done += 1
        elif result.status == "failed":
            progress.failed += 1
        else:
            progress.lost += 1
        progress.cached += result.cost_source == "cache"
        progress.tokens += result.tokens_total or 0
        progress.cost += result.cost or 0
        progress.cost_unknown = progress.cost_unknown or (result.status == "done" and result.cost is None)

    def _end(self, error: WorkbenchError) -> None:
        """Start nothing more; where the ledger cannot be written, what is in flight has a little time left."""
        if self.fatal is None:
            self.fatal = error
            if isinstance(error, DatabaseError):
                self._loop.call_later(GRACE_SECONDS, self._cancel)
        self._stopping = True
        self._moved.set()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _tell_losses(self) -> None:
        if self.fatal is not None and self._kept:
            self.fatal.message += (
                f"; {self._kept:,} answers are kept in {self._spool}, and stored first when it goes on"
            )
        lost = [f"{self._unstored:,} of the answers could not be stored"] if self._unstored else []
        lost += [f"{self._cut_off:,} of the calls were cut off in flight"] if self._cut_off else []
        if self.fatal is not None and lost:
            self.fatal.message += f"; {' and '.join(lost)}: they may be billed"


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
        run_id=claim.run_id,
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
