"""Runs: start, resume, end; what is done already; what can be answered from an earlier call."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, case, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on

from workbench.db.scope import Scope
from workbench.db.tables import Execution, Run, User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = [
    "Counts",
    "Lease",
    "Prior",
    "RunKey",
    "alive",
    "cancel",
    "counts",
    "end",
    "get",
    "matching",
    "newest_running",
    "priors",
    "set_budget",
    "settled",
    "start",
    "take_over",
    "unfinished",
    "waiting",
]

#: What makes a call within its run.
_CALL = (
    Execution.case_key,
    Execution.prompt_id,
    Execution.model_config_id,
    Execution.variant,
    Execution.sample,
)

#: A call that may have been billed without an answer is made once more, and then no oftener unless it is asked for.
AMBIGUOUS_CALLS = 2

#: A run whose heartbeat is older than this has lost its kernel.
LEASE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RunKey:
    """The two columns that name a run in the ledger."""

    id: uuid.UUID
    run_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """An unfinished run of the same plan, and the token of the kernel that holds it still, or None."""

    key: RunKey
    holder: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What became of a run's calls; ``in_flight`` are those that a living kernel waits for."""

    planned: int
    done: int = 0
    failed: int = 0
    lost: int = 0
    in_flight: int = 0
    cached: int = 0
    cost: Decimal | None = None
    cost_unknown: int = 0
    scored: int = 0
    passed: int = 0

    @property
    def open(self) -> int:
        """Calls without an answer or a final failure."""
        return self.planned - self.done - self.failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """An earlier answer to the same request."""

    id: uuid.UUID
    answer: str
    response_data: Mapping[str, Any] | None
    finish_reason: str | None
    provider: str | None
    tokens_prompt: int | None
    tokens_completion: int | None
    tokens_total: int | None


def start(
    session: Session,
    scope: Scope,
    *,
    plan: Mapping[str, Any],
    digest: str,
    n_planned: int,
    holder: str,
    dataset_id: uuid.UUID | None = None,
    ab_test_id: uuid.UUID | None = None,
    budget: Decimal | None = None,
) -> RunKey:
    """Add a run and hold its lease."""
    row = Run(
        project_id=scope.project_id,
        user_id=scope.user_id,
        plan=dict(plan),
        plan_digest=digest,
        n_planned=n_planned,
        dataset_id=dataset_id,
        ab_test_id=ab_test_id,
        budget=budget,
        holder=holder,
        heartbeat_at=func.clock_timestamp(),
    )
    session.add(row)
    session.flush()
    return RunKey(row.id, row.run_at)


def unfinished(
    session: Session, scope: Scope, digest: str, *, run_id: uuid.UUID | None = None
) -> Lease | None:
    """Return the person's newest unfinished run of the same plan, or that one run if it is unfinished; else None.

    Until the transaction ends, no other kernel of the person gets past this point: of two that start
    the same run at once, the second finds the first.
    """
    session.execute(select(User.id).where(User.id == scope.user_id).with_for_update(key_share=True))
    row = session.execute(
        select(Run.id, Run.run_at, case((_alive(), Run.holder)))
        .where(
            Run.project_id == scope.project_id,
            Run.user_id == scope.user_id,
            Run.plan_digest == digest if run_id is None else Run.id == run_id,
            Run.status != "finished",
        )
        .order_by(Run.run_at.desc())
        .limit(1)
    ).one_or_none()
    return Lease(key=RunKey(row[0], row[1]), holder=row[2]) if row else None


def take_over(session: Session, run_id: uuid.UUID, holder: str) -> None:
    """Hold the lease of an unfinished run; calls that were in flight in the lost kernel become ``unknown``."""
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(status="running", holder=holder, heartbeat_at=func.clock_timestamp())
    )
    _give_up(session, run_id)


def end(session: Session, run_id: uuid.UUID, status: str, *, holder: str | None = None) -> None:
    """Give the lease back: ``finished`` or ``stopped``; nothing happens where somebody else holds it."""
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.holder.is_not_distinct_from(holder))
        .values(status=status, holder=None, finished_at=func.clock_timestamp())
    )


def set_budget(session: Session, run_id: uuid.UUID, budget: Decimal | None) -> None:
    """Give a run another budget, in USD for all of it; the database counts what was spent already."""
    session.execute(update(Run).where(Run.id == run_id).values(budget=budget))


def get(session: Session, run_id: uuid.UUID) -> Run | None:
    """Return a run's row, or None."""
    return session.get(Run, run_id)


def alive(session: Session, run_id: uuid.UUID) -> bool:
    """Whether a kernel holds the run and its heart beats, by the database's clock."""
    return bool(session.scalars(select(_alive()).where(Run.id == run_id)).one_or_none())


def matching(session: Session, low: uuid.UUID, high: uuid.UUID, *, limit: int = 10) -> list[Run]:
    """Return the runs whose ids lie between two ids, newest first."""
    query = select(Run).where(Run.id.between(low, high)).order_by(Run.run_at.desc()).limit(limit)
    return list(session.scalars(query))


def waiting(session: Session, scope: Scope, digest: str) -> RunKey | None:
    """Return the newest unfinished run of the person's same plan, or None; nothing is locked."""
    row = session.execute(
        select(Run.id, Run.run_at)
        .where(
            Run.project_id == scope.project_id,
            Run.user_id == scope.user_id,
            Run.plan_digest == digest,
            Run.status != "finished",
        )
        .order_by(Run.run_at.desc())
        .limit(1)
    ).one_or_none()
    return RunKey(row[0], row[1]) if row else None


def cancel(session: Session, run_id: uuid.UUID) -> None:
    """Take a running run's lease away: its kernel claims nothing more, and stores what is in flight.

    Where no kernel is left, what was in flight becomes ``unknown``.
    """
    gone = not alive(session, run_id)
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.status == "running")
        .values(status="stopped", holder=None, finished_at=func.clock_timestamp())
    )
    if gone:
        _give_up(session, run_id)


def newest_running(session: Session, project_id: uuid.UUID) -> Counts | None:
    """Return the counts of the project's newest run that is still going on, or None."""
    query = (
        select(Run.id)
        .where(Run.project_id == project_id, Run.status == "running")
        .order_by(Run.run_at.desc())
        .limit(1)
    )
    run_id = session.scalars(query).first()
    return counts(session, run_id) if run_id is not None else None


def settled(
    session: Session, run_id: uuid.UUID, *, retry_errors: bool
) -> set[tuple[str, uuid.UUID, uuid.UUID, str, int]]:
    """Return the calls that need no other one: (case key, version, model, variant, sample).

    These are the answered ones, the failed ones, and those whose fate was unknown twice; with ``retry_errors`` only the
    answered ones.
    """
    final = ["done"] if retry_errors else ["done", "failed"]
    ambiguous = func.count().filter(Execution.status == "unknown")
    enough = func.count().filter(Execution.status.in_(final)) > 0
    if not retry_errors:
        enough = or_(enough, ambiguous >= AMBIGUOUS_CALLS)
    rows = session.execute(select(*_CALL).where(Execution.run_id == run_id).group_by(*_CALL).having(enough))
    return {(row[0] or "", row[1], row[2], row[3], row[4]) for row in rows}


def counts(session: Session, run_id: uuid.UUID) -> Counts:
    """Count a run's calls by how they ended; a case that failed and was then answered counts as done."""
    best = (
        select(
            func.min(
                case(
                    (Execution.status == "done", 0),
                    (Execution.status == "failed", 1),
                    (Execution.status.in_(["sent", "planned"]), 2),
                    else_=3,
                )
            ).label("rank"),
            func.sum(Execution.cost_estimate).label("cost"),
            func.count()
            .filter(Execution.status == "done", Execution.cost_estimate.is_(None))
            .label("unknown"),
            func.count().filter(Execution.cost_source == "cache").label("cached"),
            func.count().filter(Execution.status == "done", Execution.passed.isnot(None)).label("scored"),
            func.count().filter(Execution.status == "done", Execution.passed.is_(other=True)).label("passed"),
        )
        .where(Execution.run_id == run_id)
        .group_by(*_CALL)
        .subquery()
    )
    row = session.execute(
        select(
            func.count().filter(best.c.rank == 0),
            func.count().filter(best.c.rank == 1),
            func.count().filter(best.c.rank == 3),
            func.sum(best.c.cost),
            func.coalesce(func.sum(best.c.unknown), 0),
            func.coalesce(func.sum(best.c.cached), 0),
            func.coalesce(func.sum(best.c.scored), 0),
            func.coalesce(func.sum(best.c.passed), 0),
            func.count().filter(best.c.rank == 2),
        )
    ).one()
    planned, held = session.execute(select(Run.n_planned, _alive()).where(Run.id == run_id)).one()
    return Counts(
        planned=planned,
        done=row[0],
        failed=row[1],
        lost=row[2] + (0 if held else row[8]),
        in_flight=row[8] if held else 0,
        cost=row[3],
        cost_unknown=int(row[4]),
        cached=int(row[5]),
        scored=int(row[6]),
        passed=int(row[7]),
    )


def _give_up(session: Session, run_id: uuid.UUID) -> None:
    session.execute(
        update(Execution)
        .where(Execution.run_id == run_id, Execution.status == "sent")
        .values(
            status="unknown",
            error_code="unknown",
            error_message="the kernel ended while this call was in flight; it may have been billed",
        )
    )


def _alive() -> ColumnElement[bool]:
    beat = func.coalesce(Run.heartbeat_at, Run.run_at) > func.clock_timestamp() - text(
        f"interval '{LEASE_SECONDS} s'"
    )
    return (Run.status == "running") & beat


def priors(session: Session, model_id: uuid.UUID, digests: Sequence[str], *, sample: int) -> dict[str, Prior]:
    """Return earlier answers by request digest, the oldest of each; only complete ones that were really made."""
    rows = session.execute(
        select(
            Execution.request_digest,
            Execution.id,
            Execution.answer,
            Execution.response_data,
            Execution.finish_reason,
            Execution.provider,
            Execution.tokens_prompt,
            Execution.tokens_completion,
            Execution.tokens_total,
        )
        .ext(distinct_on(Execution.request_digest))
        .where(
            Execution.request_digest.in_(digests),
            Execution.model_config_id == model_id,
            Execution.status == "done",
            Execution.sample == sample,
            or_(Execution.cost_source != "cache", Execution.cost_source.is_(None)),
        )
        .order_by(Execution.request_digest, Execution.created_at)
    )
    return {
        row[0]: Prior(
            id=row[1],
            answer=row[2] or "",
            response_data=row[3],
            finish_reason=row[4],
            provider=row[5],
            tokens_prompt=row[6],
            tokens_completion=row[7],
            tokens_total=row[8],
        )
        for row in rows
    }
