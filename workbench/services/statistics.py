"""``wb.stats()``: what was done, by person and project."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from workbench.core.display import Card, Rich
from workbench.core.versions import format_cost
from workbench.db import frames

if TYPE_CHECKING:
    import pandas as pd

    from workbench.services.workbench import Workbench

__all__ = ["Statistics", "statistics"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics(Rich):
    """What was done, by person and project.

    Attributes:
        frame: person, project, prompts, versions, executions, failed, tokens, cost (US dollars; missing where nobody
            knows any), cost_unknown (calls whose cost nobody knows), latency_ms (mean of the answered calls), models
            (how many were called).

    """

    frame: pd.DataFrame

    def card(self) -> Card:
        """Return the table, largest cost first, and the sums."""
        rows = [[_cell(name, row[name]) for name in self.frame.columns] for row in self._rows()]
        return Card(
            title=self._sums(),
            columns=tuple(self.frame.columns) if rows else (),
            rows=rows,
            numeric=tuple(range(2, len(self.frame.columns))),
            note=self._unknown(),
        )

    def __str__(self) -> str:
        lines = [self._sums()]
        for row in self._rows():
            cells = [f"{_cell(name, row[name]) or '–'} {name}" for name in self.frame.columns[2:]]
            lines.append(f"  {row['person']} in {row['project']}: {', '.join(cells)}")
        return "\n".join([*lines, *([self._unknown()] if self._unknown() else [])])

    def _rows(self) -> list[dict[str, Any]]:
        ordered = self.frame.sort_values(
            ["cost", "executions"], ascending=False, kind="stable", na_position="last"
        )
        return [
            {str(name): value for name, value in row.items()} for row in ordered.to_dict(orient="records")
        ]

    def _sums(self) -> str:
        total = self.frame[["prompts", "versions", "executions"]].sum()
        known = self.frame["cost"].dropna()
        cost = format_cost(Decimal(str(known.sum()))) if len(known) else "no known cost"
        return f"{total['prompts']:,} prompts in {total['versions']:,} versions, {total['executions']:,} calls, {cost}"

    def _unknown(self) -> str:
        unknown = int(self.frame["cost_unknown"].sum())
        return f"the cost of {unknown:,} calls is not known, and not in the sum" if unknown else ""


def statistics(workbench: Workbench, project: str | None = None) -> Statistics:
    """Return what each person did in each readable project, or in one.

    Raises:
        UnknownReferenceError: there is no such project.

    """
    frame = frames.statistics(workbench.database, workbench.searching.projects(project))
    found = Statistics(frame=frame)
    workbench.last = found
    return found


def _cell(name: str, value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if name == "cost":
        return format_cost(Decimal(str(value)))
    if name == "latency_ms":
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
