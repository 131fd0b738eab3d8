"""``Run``: what a person holds of a batch; a value that can ask the database for more."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.core.display import Card, Rich
from workbench.core.versions import format_cost
from workbench.db import frames
from workbench.db.queries.runs import Counts

if TYPE_CHECKING:
    import pandas as pd

    from workbench.services.workbench import Workbench

__all__ = ["Run"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(Rich):
    """A batch of calls, as it stands in the database.

    Attributes:
        id: the run's row.
        status: ``running``, ``finished`` or ``stopped``.
        counts: what became of its calls.
        plan: what was asked for, as it is stored.

    """

    id: uuid.UUID
    status: str
    counts: Counts
    plan: Mapping[str, Any]
    created_at: dt.datetime
    ab_test_id: uuid.UUID | None = None
    workbench: Workbench = field(repr=False, compare=False)

    @property
    def cost(self) -> Decimal | None:
        """USD so far; None when no call's cost is known."""
        return self.counts.cost

    @property
    def failures(self) -> pd.DataFrame:
        """The calls that failed or were lost, with their error codes and partial answers."""
        found = self.frame()
        return found[found["status"] != "done"].reset_index(drop=True)

    def frame(self, fields: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return one row a call, in the declared columns.

        Args:
            fields: names and types of fields of the JSON answers that become columns:
                ``{"label": "text", "confidence": "float8"}``.

        """
        return frames.executions(
            self.workbench.database, self.workbench.project_id, run_id=self.id, fields=fields
        )

    def scores(self) -> pd.DataFrame:
        """Return one row a score."""
        return frames.evaluations(self.workbench.database, self.workbench.project_id, run_id=self.id)

    def summary(self) -> pd.DataFrame:
        """Return one row for each prompt and model: calls, failures, pass rate, cost, latency percentiles."""
        found = self.frame()
        keys = ["variant", "prompt", "version", "model"]
        groups = found.groupby(keys, dropna=False, sort=True)
        table = groups.agg(
            calls=("execution_id", "size"),
            done=("status", lambda s: int((s == "done").sum())),
            failed=("status", lambda s: int((s == "failed").sum())),
            passed=("passed", lambda s: s.astype("Float64").mean()),
            tokens=("tokens_completion", "sum"),
            cost=("cost", lambda s: s.sum(min_count=1)),
            latency_p50_ms=("latency_ms", lambda s: s.astype("float64").quantile(0.5)),
            latency_p95_ms=("latency_ms", lambda s: s.astype("float64").quantile(0.95)),
        )
        return table.reset_index()

    def evaluate(self, scorers: Sequence[Any]) -> Run:
        """Score the answers; the same as ``wb.evaluate(run, scorers)``."""
        return self.workbench.evaluate(self, scorers)

    def resume(self, *, retry_errors: bool = False, budget: float | None = None) -> Run:
        """Go on where the run stopped; what is answered is never asked again."""
        return self.workbench.running.resume(self, retry_errors=retry_errors, budget=budget)

    def card(self) -> Card:
        """Return one row for each prompt and model, and the line that sums it up."""
        rows = [
            (
                str(row["variant"] or ""),
                f"{row['prompt']}@{row['version']}",
                str(row["model"]),
                f"{row['calls']:,}",
                f"{row['failed']:,}",
                _number(row["passed"], lambda share: f"{100 * share:.1f} %"),
                _number(row["cost"], lambda cost: format_cost(Decimal(str(cost)))),
                _number(row["latency_p50_ms"], lambda ms: f"{ms / 1000:.2f} s"),
                _number(row["latency_p95_ms"], lambda ms: f"{ms / 1000:.2f} s"),
            )
            for row in self.summary().to_dict(orient="records")
        ]
        columns = ("", "prompt", "model", "calls", "failed", "passed", "cost", "p50", "p95")
        return Card(columns=columns, rows=rows, numeric=(3, 4, 5, 6, 7, 8), note=str(self))

    def __str__(self) -> str:
        counts = self.counts
        parts = [f"{counts.done:,} of {counts.planned:,} done"]
        parts += [f"{counts.failed:,} failed"] if counts.failed else []
        parts += [f"{counts.lost:,} without an answer"] if counts.lost else []
        parts += [f"{counts.cached:,} from cache"] if counts.cached else []
        parts += [f"{counts.passed:,} of {counts.scored:,} passed"] if counts.scored else []
        cost = format_cost(counts.cost)
        if counts.cost_unknown and counts.cost is not None:
            cost += f" and {counts.cost_unknown} of unknown cost"
        arms = ", ".join(f"{arm['prompt']} on {arm['model']}" for arm in self.plan["arms"])
        return f"run {str(self.id)[:8]} ({self.status}): {arms} · {' · '.join(parts)} · {cost}"


def _number(value: Any, write: Callable[[float], str]) -> str:
    """Write a number of a table, or nothing where it is missing."""
    import pandas as pd

    return "" if pd.isna(value) else write(float(value))
