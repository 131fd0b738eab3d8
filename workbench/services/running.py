"""Runs: plan, start, resume, interrupt; what a person holds afterwards is a ``Run``."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.core.values import plain
from workbench.core.versions import PromptVersion
from workbench.db.ledger import give_up
from workbench.db.ledger_writer import LedgerWriter
from workbench.db.queries import runs as queries
from workbench.errors import (
    BudgetError,
    ConflictError,
    DatabaseError,
    InputError,
    RunInterruptedError,
    UnknownReferenceError,
)
from workbench.services.planning import Arm, Plan, RunPlan, estimate, make_arm
from workbench.services.progress import Progress
from workbench.services.run_engine import Engine
from workbench.services.runs import Run
from workbench.services.schemas import with_schema

if TYPE_CHECKING:
    from concurrent.futures import Future

    from workbench.services.progress import Reporter
    from workbench.services.workbench import Workbench

__all__ = ["Running"]

#: After the first interrupt, calls in flight may end for so long.
GRACE_SECONDS = 10.0
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
        attach: str | None = None,
    ) -> RunPlan:
        """Resolve what a run is asked for, and check it before anything is paid.

        Raises:
            InputError: an argument is out of range.
            UndefinedVariableError: a template needs a column that is not there.

        """
        asked = with_schema(options, schema) | ({} if attach is None else {"attach": attach})
        versions = [self._wb.prompts.resolve(prompt) for prompt in _many(prompts)]
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

    def estimate(self, plan: RunPlan) -> Plan:
        """Estimate tokens, dollars and minutes; nothing is called."""
        return estimate(self._wb, plan)

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
    ) -> Run:
        """Make the calls that are not settled yet, score the answers, return the run.

        Raises:
            RunInterruptedError: the person stopped it; what was answered is stored.
            ConflictError: another kernel is busy with the same run.
            WorkbenchError: what ended the run early (a refused key, an empty account, the budget).

        """
        self._wb.evaluating.check_cases(scorers, [case for _, case in plan.cases])
        holder = secrets.token_hex(8)
        key, settled = self._open(
            plan, holder, resume=resume, retry_errors=retry_errors, ab_test_id=ab_test_id
        )
        counts = Progress(total=plan.n_calls - len(settled), label=label)
        if settled:
            counts.note = f"resumed, {len(settled):,} were settled before"
        writer = LedgerWriter(self._wb.database, self._wb.scope, lease=(key.id, holder))
        engine = Engine(self._wb, plan, key, writer=writer, settled=settled, progress=counts)
        try:
            interrupted = self._drive(engine, key, counts, self._wb.reporter() if progress else None)
        finally:
            writer.close()
            self._ended.add(holder)
            run = self._settle(engine, key, holder, scorers)
        if interrupted:
            raise RunInterruptedError(
                f"stopped: {run.counts.done:,} of {run.counts.planned:,} calls are answered and stored",
                cure="run the same again, or wb.last.resume(), to go on where it stopped",
            )
        if engine.fatal is not None:
            raise engine.fatal
        return run

    def get(self, run_id: uuid.UUID | str) -> Run:
        """Return a run by its id.

        Raises:
            UnknownReferenceError: no such run that this person can read.

        """
        return self._load(uuid.UUID(str(run_id)))

    def resume(self, run: Run, *, retry_errors: bool = False, budget: float | None = None) -> Run:
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
        return self.run(plan, retry_errors=retry_errors, ab_test_id=run.ab_test_id)

    def _open(
        self, plan: RunPlan, holder: str, *, resume: bool, retry_errors: bool, ab_test_id: uuid.UUID | None
    ) -> tuple[queries.RunKey, set[tuple[str, uuid.UUID, uuid.UUID, str, int]]]:
        digest = plan.digest()
        with self._wb.database.session() as session:
            lease = queries.unfinished(session, self._wb.scope, digest) if resume else None
            if lease is None:
                key = queries.start(
                    session,
                    self._wb.scope,
                    plan=plan.record(),
                    digest=digest,
                    n_planned=plan.n_calls,
                    holder=holder,
                    dataset_id=plan.dataset.id,
                    ab_test_id=ab_test_id,
                    budget=plan.budget,
                )
                return key, set()
            if lease.holder is not None and lease.holder not in self._ended:
                raise ConflictError(
                    "another kernel is busy with this very run",
                    cure=f"wait for it; after a crash it is free again within {queries.LEASE_SECONDS} s; resume=False starts a new one",
                )
            queries.take_over(session, lease.key.id, holder)
            return lease.key, queries.settled(session, lease.key.id, retry_errors=retry_errors)

    def _drive(
        self, engine: Engine, key: queries.RunKey, counts: Progress, reporter: Reporter | None
    ) -> bool:
        """Wait for the engine; return whether the person interrupted it."""

        def draw() -> None:
            if reporter is not None:
                reporter.update(counts)

        future = self._wb.bridge.submit(engine.run())
        try:
            self._wb.bridge.wait(future, on_tick=draw)
        except KeyboardInterrupt:
            engine.stop()
            self._let_finish(future, key)
            return True
        finally:
            if reporter is not None:
                reporter.close(counts)
        return False

    def _let_finish(self, future: Future[None], key: queries.RunKey) -> None:
        try:
            future.result(timeout=GRACE_SECONDS)
        except (KeyboardInterrupt, FutureTimeoutError):
            future.cancel()
            with self._wb.database.driver() as connection:
                give_up(
                    connection,
                    key.id,
                    status="unknown",
                    code="interrupted",
                    message="stopped by the person while the call was in flight; it may have been billed",
                )

    def _settle(self, engine: Engine, key: queries.RunKey, holder: str, scorers: Sequence[Any]) -> Run:
        try:
            return self._close(key, holder, scorers)
        except DatabaseError as error:
            if engine.fatal is None:
                raise
            engine.fatal.cure += f"; then run the same again, or: wb.running.get('{key.id}').resume()"
            raise engine.fatal from error

    def _close(self, key: queries.RunKey, holder: str, scorers: Sequence[Any]) -> Run:
        with self._wb.database.session() as session:
            complete = queries.counts(session, key.id).open == 0
            queries.end(session, key.id, "finished" if complete else "stopped", holder=holder)
        if scorers:
            self._wb.evaluating.score(key.id, scorers)
        run = self._load(key.id)
        self._wb.last = run
        return run

    def _load(self, run_id: uuid.UUID) -> Run:
        with self._wb.database.session() as session:
            row = queries.get(session, run_id)
            if row is None:
                raise UnknownReferenceError(
                    f"there is no run {run_id}", cure="list them with: select * from wb.v_runs"
                )
            counts = queries.counts(session, run_id)
        return Run(
            id=row.id,
            status=row.status,
            counts=counts,
            plan=row.plan,
            ab_test_id=row.ab_test_id,
            created_at=row.run_at,
            workbench=self._wb,
        )


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
