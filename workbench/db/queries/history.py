"""What earlier calls took: the basis of an estimate."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from workbench.db.tables import Execution, Prompt

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["Pilot", "pilot"]

#: So many of the newest answers count.
_NEWEST = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Pilot:
    """Means and standard deviations per call of earlier answers; None where no row knows.

    Attributes:
        calls: answers that were looked at; none of them from the cache.
        prompt: tokens of the request.
        completion: tokens of the answer.
        cost: USD.
        latency_ms: the median.

    """

    calls: int
    prompt: float | None
    prompt_sd: float | None
    completion: float | None
    completion_sd: float | None
    cost: float | None
    cost_sd: float | None
    latency_ms: float | None


def pilot(
    session: Session,
    model: uuid.UUID,
    *,
    prompt_id: uuid.UUID | None = None,
    root_id: uuid.UUID | None = None,
) -> Pilot | None:
    """Return what the newest answers of a model took; None without any.

    Args:
        session: an open transaction.
        model: the model's row.
        prompt_id: only answers to this version.
        root_id: only answers to versions of this family.

    """
    query = select(
        Execution.tokens_prompt,
        Execution.tokens_completion,
        Execution.cost_estimate,
        Execution.execution_time_ms,
    ).where(
        Execution.model_config_id == model,
        Execution.status == "done",
        or_(Execution.cost_source != "cache", Execution.cost_source.is_(None)),
    )
    if prompt_id is not None:
        query = query.where(Execution.prompt_id == prompt_id)
    if root_id is not None:
        query = query.where(
            Execution.prompt_id.in_(select(Prompt.id).where(Prompt.root_id == root_id).scalar_subquery())
        )
    newest = query.order_by(Execution.created_at.desc()).limit(_NEWEST).subquery()
    columns = (newest.c.tokens_prompt, newest.c.tokens_completion, newest.c.cost_estimate)
    row = session.execute(
        select(
            func.count(),
            *(f(column) for column in columns for f in (func.avg, func.stddev_samp)),
            func.percentile_cont(0.5).within_group(newest.c.execution_time_ms),
        )
    ).one()
    if not row[0]:
        return None
    numbers = [None if value is None else float(value) for value in row[1:]]
    return Pilot(
        calls=row[0],
        prompt=numbers[0],
        prompt_sd=numbers[1],
        completion=numbers[2],
        completion_sd=numbers[3],
        cost=numbers[4],
        cost_sd=numbers[5],
        latency_ms=numbers[6],
    )
