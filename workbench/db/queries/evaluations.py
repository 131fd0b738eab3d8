"""Scores: written in groups, repeated without doubles."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select

from workbench.db.tables import Case, Execution

if TYPE_CHECKING:
    from psycopg import Connection
    from sqlalchemy.orm import Session

    from workbench.db.scope import Scope

__all__ = ["Answered", "Verdict", "answered", "store"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """An answer with what a scorer needs to judge it."""

    execution_id: uuid.UUID
    run_at: dt.datetime
    answer: str
    case_key: str
    inputs: Mapping[str, Any]
    expected: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One scorer's word on one execution, ready to be stored."""

    execution_id: uuid.UUID
    run_at: dt.datetime
    scorer: str
    criteria: Mapping[str, Any]
    scores: Mapping[str, Any]
    feedback: Mapping[str, Any]
    overall: float | None
    passed: bool | None


_STORE = """
INSERT INTO wb.evaluations (execution_id, run_at, project_id, user_id, scorer, evaluation_criteria, scores,
                            automated_feedback, overall_score, passed)
SELECT x.execution_id, x.run_at, %s, %s, x.scorer, x.criteria::jsonb, x.scores::jsonb, x.feedback::jsonb, x.overall, x.passed
FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::bool[])
     AS x (execution_id, run_at, scorer, criteria, scores, feedback, overall, passed)
ON CONFLICT (execution_id, run_at, scorer, rater, vote) DO UPDATE
    SET evaluation_criteria = excluded.evaluation_criteria, scores = excluded.scores,
        automated_feedback = excluded.automated_feedback, overall_score = excluded.overall_score, passed = excluded.passed
"""

# The execution passes when every scorer says so; its score is the mean.
_SUMMARISE = """
UPDATE wb.executions e SET score = s.score, passed = s.passed
FROM (SELECT v.execution_id, v.run_at, avg(v.overall_score)::float8 AS score, bool_and(v.passed) AS passed
      FROM wb.evaluations v WHERE v.execution_id = ANY (%s::uuid[]) GROUP BY v.execution_id, v.run_at) s
WHERE e.id = s.execution_id AND e.run_at = s.run_at AND (e.score, e.passed) IS DISTINCT FROM (s.score, s.passed)
"""


def answered(session: Session, run_id: uuid.UUID) -> list[Answered]:
    """Return the done executions of a run with their cases."""
    rows = session.execute(
        select(
            Execution.id, Execution.run_at, Execution.answer, Execution.case_key, Case.inputs, Case.expected
        )
        .outerjoin(Case, Case.id == Execution.case_id)
        .where(Execution.run_id == run_id, Execution.status == "done", Execution.purpose == "run")
    )
    return [
        Answered(
            execution_id=row[0],
            run_at=row[1],
            answer=row[2] or "",
            case_key=row[3] or "",
            inputs=row[4] or {},
            expected=row[5],
        )
        for row in rows
    ]


def store(connection: Connection[Any], scope: Scope, verdicts: Sequence[Verdict]) -> None:
    """Write scores; the same scorer's earlier score of an execution is replaced."""
    columns: list[list[Any]] = [
        [v.execution_id for v in verdicts],
        [v.run_at for v in verdicts],
        [v.scorer for v in verdicts],
        [orjson.dumps(v.criteria, default=str).decode() for v in verdicts],
        [orjson.dumps(v.scores, default=str).decode() for v in verdicts],
        [orjson.dumps(v.feedback, default=str).decode() for v in verdicts],
        [v.overall for v in verdicts],
        [v.passed for v in verdicts],
    ]
    connection.execute(_STORE, [scope.project_id, scope.user_id, *columns])
    connection.execute(_SUMMARISE, [columns[0]])
