"""What ``wb.budgets.list()`` returns: a DataFrame that shows itself with bars.

This module imports pandas; others import it inside a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from workbench.core.display import Card, Rich
from workbench.core.pricing import PERIODS
from workbench.core.versions import format_cost
from workbench.db.columns import frame_of

__all__ = ["BUDGETS", "BudgetTable"]

#: Columns of ``wb.budgets.list()``: US dollars, and the part of the amount that is spent or reserved.
BUDGETS = {
    "who": "str", "per": "str", "amount": "float64", "spent": "float64", "reserved": "float64", "available": "float64",
    "used": "float64",
}  # fmt: skip

_MONEY = ("amount", "spent", "reserved", "available")
_BAR = 10


class BudgetTable(Rich, pd.DataFrame):
    """Budgets and what is left of them; whatever is selected from it is an ordinary DataFrame."""

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> BudgetTable:
        """Return rows in the columns of :data:`BUDGETS`."""
        return cls(frame_of(rows, BUDGETS))

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def card(self) -> Card:
        """Return the table, with a bar for what is used."""
        rows = [
            [row["who"], row["per"], *(_dollars(row[name]) for name in _MONEY), _bar(row["used"])]
            for row in self.to_dict(orient="records")
        ]
        return Card(
            title=self._heading(),
            columns=list(BUDGETS) if rows else (),
            rows=rows,
            numeric=range(2, 2 + len(_MONEY)),
            note="days and months begin at 00:00 UTC; reserved is what calls in flight may cost"
            if rows
            else "",
        )

    def __str__(self) -> str:
        lines = [
            f"{row['who']} {PERIODS[row['per']]}: {_dollars(row['amount'])}, {_dollars(row['spent'])} spent,"
            f" {_dollars(row['reserved'])} reserved, {_dollars(row['available'])} left"
            for row in self.to_dict(orient="records")
        ]
        return "\n".join(lines) if lines else self._heading()

    def _heading(self) -> str:
        return f"{len(self)} budget{'s' * (len(self) != 1)}" if len(self) else "no budgets"


def _dollars(amount: float) -> str:
    return f"-{_dollars(-amount)}" if amount < 0 else format_cost(Decimal(str(amount)))


def _bar(used: float) -> str:
    full = min(max(round(used * _BAR), 0), _BAR)
    return f"{'█' * full}{'░' * (_BAR - full)} {100 * used:.0f} %"
