"""Runs: plan, start, resume, interrupt; what a person holds afterwards is a ``Run``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.core.values import plain
from workbench.core.versions import PromptVersion
from workbench.db.ledger import give_up
from workbench.db.ledger_writer import LAST_SILENCE_SECONDS, PATIENCE, LedgerWriter
from workbench.db.queries import runs as queries
from workbench.errors import (
    BudgetError,
    ConflictError,
    DatabaseError,
    InputError,
    RunInterruptedError,
)
from workbench.services.background import StopAskedError, Watch
from workbench.services.estimating import Plan, estimate
from workbench.services.holders import has_ended, new_holder
from workbench.services.pace import Pace
from workbench.services.planning import Arm, RunPlan, check_read, make_arm
from workbench.services.progress import Progress
from workbench.services.run import SHOWN, Run
from workbench.services.run_engine import Engine
from workbench.services.schemas import with_schema

if TYPE_CHECKING:
    from concurrent.futures import Future

    from workbench.services.workbench import Workbench

__all__ = ["Running"]

#: The process has one pace, however many runs go on.
_PACE = Pace()

CACHE_MODES = ("deterministic", "all", "off")


class Running:
    """Starts runs and resumes them; ``wb.run`` and ``wb.plan`` are its verbs."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench
        self._ended: set[str] = set()  # leases of ours that could not be given back

    def make_plan(
        self,
        prompts: str | PromptVersion | Sequence[str | PromptVersion],
        *,
        model: str | Sequence[str] | None = None,
        data: Any = None,
        variables: Mapping[str, Any] | None = None,
        samples: int = 1,
        concurrency: int | None = None,
        budget: float | Decimal | None = None,
        cache: str = "deterministic",
        options: Mapping[str, Any] | None = None,
        schema: Any = None,
        scorers: Sequence[Any] = (),
        attach: str | None = None,
    ) -> RunPlan:
        """Resolve what a run is asked for, and check it before anything is paid; scorers may read variables too.

        Raises:
            InputError: an argument is out of range, or a variable is given that nothing reads.
            UndefinedVariableError: a template needs a column that is not there.

        """
        asked = with_schema(options, schema) | ({} if attach is None else {"attach": attach})
        versions = [self._wb.prompts.resolve(prompt) for prompt in _many(prompts)]
        columns = self._wb.evaluating.columns(scorers)
        check_read(versions, variables or {}, also=None if columns is None else {*columns, attach or ""})
        arms = [
            make_arm(self._wb, version, model=name, options=asked)
            for version in versions
            for name in _many(model)
        ]
        return self.plan_arms(
            arms,
            data=data,
            variables=variables,
            samples=samples,
            concurrency=concurrency,
            budget=budget,
            cache=cache,
        )

    def plan_arms(
        self,
        arms: Sequence[Arm],
        *,
        data: Any,
        variables: Mapping[str, Any] | None = None,
        samples: int = 1,
        concurrency: int | None = None,
        budget: float | Decimal | None = None,
        cache: str = "deterministic",
    ) -> RunPlan:
        """Make a plan of arms that are resolved already."""
        if samples < 1:
            raise InputError(f"samples is {samples}", cure="give 1 or more")
        if cache not in CACHE_MODES:
            raise InputError(f"cache is {cache!r}", cure=f"use one of {', '.join(CACHE_MODES)}")
        given = {
            name: plain(value, what=f"the variable {name!r}") for name, value in (variables or {}).items()
        }
        dataset = self._wb.datasets.of([given] if data is None else data)
        plan = RunPlan(
            arms=tuple(arms),
            dataset=dataset,
            cases=self._wb.datasets.cases(dataset),
            variables={} if data is None else given,
            samples=samples,
            concurrency=concurrency or min(arm.model.provider.concurrency for arm in arms),
            budget=None if budget is None else Decimal(str(budget)),
            cache=cache,
        )
        plan.check()
        _check_prices(plan)
        return plan

    def estimate(self, plan: RunPlan, *, resume: bool = True, retry_errors: bool = False) -> Plan:
        """Estimate tokens, dollars and minutes; nothing is called."""
        return estimate(self._wb, plan, resume=resume, retry_errors=retry_errors)

    def run(
        self,
        plan: RunPlan,
        *,
        scorers: Sequence[Any] = (),
        resume: bool = True,
        retry_errors: bool = False,
        progress: bool = True,
        ab_test_id: uuid.UUID | None = None,
        label: str = "",
        run_id: uuid.UUID | None = None,
        watch: Watch | None = None,
    ) -> Run:
        """Make the calls that are not settled yet, score the answers, return the run.

        With a ``watch`` another thread looks on and may stop it; else this thread's reporter does. With a ``run_id`` that
        run goes on; else the newest unfinished one of the same plan.

        Raises:
            RunInterruptedError: the person stopped it; what was answered is stored.
            ConflictError: another kernel is busy with the same run.
            WorkbenchError: what ended the run early (a refused key, an empty account, the budget).

        """
        self._wb.evaluating.check_cases(scorers, [case for _, case in plan.cases])
        holder = new_holder()
        self._ended.add(holder)  # until it is ours: an interrupt may come between the COMMIT and its word
        key, settled = self._open(
            plan,
            holder,
            scorers,
            resume=resume,
            retry_errors=retry_errors,
            ab_test_id=ab_test_id,
            run_id=run_id,
        )
        self._ended.discard(holder)
        counts = Progress(total=plan.n_calls, before=len(settled), label=label)
        if settled:
            counts.note = f"resumed, {len(settled):,} were settled before"
        looking = watch or Watch(*([self._wb.reporter()] if progress else []))
        looking.opened(key.id, counts)
        writer = LedgerWriter(self._wb.database, self._wb.scope, lease=(key.id, holder), patience=PATIENCE)
        engine = Engine(self._wb, plan, key, writer=writer, settled=settled, progress=counts)
        try:
            with _PACE:
                interrupted = self._drive(engine, writer, key, looking)
        finally:
            writer.close()
            self._ended.add(holder)
            run = self._settle(engine, key, holder, scorers, counts)
        if watch is None:  # what goes on in the background is not what the person did last
            self._wb.last = run
        if interrupted:
            raise RunInterruptedError(
                f"stopped: {run.counts.done:,} of {run.counts.planned:,} calls are answered and stored",
                cure=f"run the same again, or wb.runs.resume('{run.short_id}'), to go on where it stopped",
            )
        if engine.fatal is not None:
            raise engine.fatal
        return run

    def resume(
        self,
        run: Run,
        *,
        retry_errors: bool = False,
        budget: float | Decimal | None = None,
        background: bool = False,
        progress: bool = True,
    ) -> Run:
        """Go on with an unfinished run: the same arms on the same cases."""
        recorded = run.plan
        arms = [
            make_arm(
                self._wb,
                self._wb.prompts.by_id(uuid.UUID(arm["prompt_id"])),
                model=arm["model"],
                options=arm["options"],
                variant=arm["variant"],
            )
            for arm in recorded["arms"]
        ]
        plan = self.plan_arms(
            arms,
            data=recorded["dataset"],
            variables=recorded["variables"],
            samples=recorded["samples"],
            budget=budget,
            cache=recorded["cache"],
        )
        with self._wb.database.session() as session:
            row = queries.get(session, run.id)
            if row is not None and row.status == "finished" and retry_errors:
                queries.end(session, run.id, "stopped")  # open again for what failed
        options: dict[str, Any] = {
            "scorers": recorded.get("scorers", ()),
            "retry_errors": retry_errors,
            "ab_test_id": run.ab_test_id,
            "run_id": run.id,
            "label": ", ".join(dict.fromkeys(arm.version.ref for arm in arms)),
        }
        if background:
            return self._wb.runs.start(plan, **options)
        return self.run(plan, progress=progress, **options)

    def _open(
        self,
        plan: RunPlan,
        holder: str,
        scorers: Sequence[Any],
        *,
        resume: bool,
        retry_errors: bool,
        ab_test_id: uuid.UUID | None,
        run_id: uuid.UUID | None,
    ) -> tuple[queries.RunKey, set[tuple[str, uuid.UUID, uuid.UUID, str, int]]]:
        digest = plan.digest()
        self._wb.database.drain()  # before what is kept is taken for lost
        with self._wb.database.session() as session:
            lease = queries.unfinished(session, self._wb.scope, digest, run_id=run_id) if resume else None
            if lease is None and run_id is not None:
                raise ConflictError(
                    f"run {str(run_id)[:SHOWN]} cannot go on: it is finished, or somebody else's",
                    cure="look at it: wb.runs.get('…'); or run the same anew",
                )
            if lease is None:
                key = queries.start(
                    session,
                    self._wb.scope,
                    plan={**plan.record(), "scorers": [each for each in scorers if isinstance(each, str)]},
                    digest=digest,
                    n_planned=plan.n_calls,
                    holder=holder,
                    dataset_id=plan.dataset.id,
                    ab_test_id=ab_test_id,
                    budget=plan.budget,
                )
                return key, set()
            held = lease.holder is not None and lease.holder not in self._ended
            if held and not has_ended(str(lease.holder)):
                here = self._wb.runs.background.same(digest) is not None
                raise ConflictError(
                    f"{'the background of this' if here else 'another'} kernel is busy with this very run",
                    cure=f"wait for it; after a crash of another machine it is free again within {queries.LEASE_SECONDS} s; resume=False starts a new one",
                )
            queries.take_over(session, lease.key.id, holder)
            if plan.budget is not None:
                queries.set_budget(session, lease.key.id, plan.budget)
            return lease.key, queries.settled(session, lease.key.id, retry_errors=retry_errors)

    def _drive(self, engine: Engine, writer: LedgerWriter, key: queries.RunKey, watch: Watch) -> bool:
        """Wait for the engine; return whether somebody stopped it."""

        def tick() -> None:
            writer.unstick()
            if watch.progress is not None:
                watch.progress.away = writer.waiting
            watch.tick()

        def last_tick() -> None:
            writer.unstick(LAST_SILENCE_SECONDS)
            watch.last_tick()

        future = self._wb.bridge.submit(engine.run())
        try:
            self._wb.bridge.wait(future, on_tick=tick)
        except (KeyboardInterrupt, StopAskedError):
            engine.stop()
            watch.stop()
            self._let_finish(future, key, last_tick)
            return True
        finally:
            watch.close()
        return False

    def _let_finish(self, future: Future[None], key: queries.RunKey, tick: Callable[[], None]) -> None:
        try:
            self._wb.bridge.wait(future, on_tick=tick)
        except (KeyboardInterrupt, StopAskedError):
            future.cancel()
            with self._wb.database.driver() as connection:
                give_up(
                    connection,
                    key.id,
                    status="unknown",
                    code="interrupted",
                    message="stopped by the person while the call was in flight; it may have been billed",
                )

    def _settle(
        self, engine: Engine, key: queries.RunKey, holder: str, scorers: Sequence[Any], seen: Progress
    ) -> Run:
        try:
            return self._close(key, holder, scorers, seen)
        except DatabaseError as error:
            if engine.fatal is None:
                raise
            engine.fatal.cure += f"; then run the same again, or: wb.runs.resume('{str(key.id)[:8]}')"
            raise engine.fatal from error

    def _close(self, key: queries.RunKey, holder: str, scorers: Sequence[Any], seen: Progress) -> Run:
        complete = seen.before + seen.done + seen.failed == seen.total  # then there is nothing to count
        with self._wb.database.session() as session:
            complete = complete or queries.counts(session, key.id).open == 0
            queries.end(session, key.id, "finished" if complete else "stopped", holder=holder)
        if scorers:
            self._wb.evaluating.score(key.id, scorers)
        return self._wb.runs.get(key.id)


def _many(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _check_prices(plan: RunPlan) -> None:
    if plan.budget is None:
        return
    unknown = [arm.model.model_id for arm in plan.arms if arm.model.price is None]
    if unknown:
        raise BudgetError(
            f"nobody knows the price of {unknown[0]}, so the budget of ${plan.budget} cannot be kept",
            cure="fetch prices with: workbench models sync; or leave the budget out",
        )
