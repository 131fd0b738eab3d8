"""Scoring: the answers of a run through one or more scorers, into evaluations."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.core.cases import Case
from workbench.core.scoring import parse_scorer
from workbench.db.queries import evaluations as queries
from workbench.scorers import check_cases
from workbench.scorers import get as get_scorer
from workbench.scorers.rules import RULES

if TYPE_CHECKING:
    from workbench.core.scoring import Score, Scorer
    from workbench.services.workbench import Workbench

__all__ = ["Evaluating"]

#: Scores of one statement.
_CHUNK = 2000


class Evaluating:
    """Turns answers into scores."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def check(self, scorers: Sequence[Any]) -> list[Scorer]:
        """Return the scorers of specs such as ``equals:@label``; called before anything is paid for.

        Raises:
            InputError: an unknown scorer, or an argument that it does not take.

        """
        return [get_scorer(spec) if isinstance(spec, str) else spec for spec in scorers]

    def columns(self, scorers: Sequence[Any]) -> frozenset[str] | None:
        """Return the columns that scorers name to compare with; None where one of them may read any."""
        specs = [parse_scorer(spec) for spec in scorers if isinstance(spec, str)]
        if len(specs) < len(scorers) or any(spec.name not in RULES for spec in specs):
            return None
        return frozenset(spec.column for spec in specs if spec.column is not None)

    def check_cases(self, scorers: Sequence[Any], cases: Sequence[Case]) -> None:
        """Find cases that lack what a scorer compares with, before the first call is paid for.

        Raises:
            DataError: a case has no expected answer, or not the column that a scorer names.

        """
        for scorer in self.check(scorers):
            if any(scorer.name == spec for spec in scorers):  # rules only: a person's own scorer may be dear
                check_cases(scorer, cases)

    def score(self, run_id: uuid.UUID, scorers: Sequence[Any]) -> int:
        """Score every done answer of a run; return how many scores were written."""
        chosen = self.check(scorers)
        with self._wb.database.session() as session:
            answers = queries.answered(session, run_id)
        verdicts = [_verdict(answer, scorer) for answer in answers for scorer in chosen]
        for start in range(0, len(verdicts), _CHUNK):
            with self._wb.database.driver() as connection:
                queries.store(connection, self._wb.scope, verdicts[start : start + _CHUNK])
        return len(verdicts)


def _verdict(answered: queries.Answered, scorer: Scorer) -> queries.Verdict:
    case = Case(
        key=answered.case_key, inputs=answered.inputs, expected=answered.expected, cluster="", split=None
    )
    score: Score = scorer.score(answered.answer, case)
    return queries.Verdict(
        execution_id=answered.execution_id,
        run_at=answered.run_at,
        scorer=scorer.name,
        criteria={"scorer": scorer.name, "expected": answered.expected},
        scores={
            "value": score.value,
            "parsed": score.parsed,
            "unparsed": score.unparsed,
            "reason": score.reason,
        },
        feedback={"reason": score.reason, "error": score.error},
        overall=score.value,
        passed=score.passed,
    )
