"""Tables of results: DataFrames that show themselves as a card; what is selected from one is an ordinary DataFrame.

This module imports pandas; others import it inside a function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import pandas as pd

from workbench.core.display import Card, Rich
from workbench.core.versions import format_cost

__all__ = ["Column", "Listing", "count", "duration", "milliseconds", "money", "percent", "when"]


class Column(NamedTuple):
    """A column of the short table: its heading, the frame's columns that it is written from, and how; text by default."""

    heading: str
    names: tuple[str, ...]
    write: Callable[..., str] | None = None
    numeric: bool = True


class Listing(Rich, pd.DataFrame):
    """Rows with a short table to look at.

    Attributes:
        heading: what they are, in one line.
        hint: the small line: what is missing, or what to do; may be empty.
        alerts: (code, sentence) of what must not be overlooked.
        shown: the columns of the short table.

    """

    _metadata: ClassVar[list[str]] = ["heading", "hint", "alerts", "shown"]  # pandas' protocol for attributes

    heading: str
    hint: str
    alerts: tuple[tuple[str, str], ...]
    shown: tuple[Column, ...]

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        *,
        heading: str,
        shown: Sequence[Column],
        hint: str = "",
        alerts: Sequence[tuple[str, str]] = (),
    ) -> Listing:
        """Return the rows as a result."""
        found = cls(frame)
        found.heading, found.hint = heading, hint
        found.alerts, found.shown = tuple(alerts), tuple(shown)
        return found

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def card(self) -> Card:
        """Return the short table; a column without any value is left out by whoever draws it."""
        rows = [
            [_cell(column.write, [row[name] for name in column.names]) for column in self.shown]
            for row in self.to_dict(orient="records")
        ]
        numeric = [place for place, column in enumerate(self.shown) if column.write and column.numeric]
        return Card(
            title=self.heading,
            columns=[column.heading for column in self.shown] if rows else (),
            rows=rows,
            numeric=numeric,
            alerts=self.alerts,
            note=self.hint,
        )

    def __str__(self) -> str:
        card = self.card()
        lines = [self.heading, *(f"{code}: {sentence}" for code, sentence in self.alerts)]
        kept = [place for place in range(len(card.columns)) if any(row[place] for row in card.rows)]
        grid = [
            [card.columns[place] for place in kept],
            *([row[place] for place in kept] for row in card.rows),
        ]
        if card.rows:
            widths = [max(len(row[place]) for row in grid) for place in range(len(kept))]
            right = {place for place, column in enumerate(kept) if column in card.numeric}
            for row in grid:
                cells = [
                    cell.rjust(width) if place in right else cell.ljust(width)
                    for place, (cell, width) in enumerate(zip(row, widths, strict=True))
                ]
                lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *([self.hint] if self.hint else [])])


def count(value: float) -> str:
    """Write a number of things; nothing for none."""
    return f"{int(value):,}" if value else ""


def percent(value: float) -> str:
    """Write a share."""
    return f"{100 * value:.1f} %"


def money(value: float) -> str:
    """Write USD."""
    return format_cost(Decimal(str(value)))


def milliseconds(value: float) -> str:
    """Write a latency."""
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.2f} s"


def duration(seconds: float) -> str:
    """Write how long something took.

    >>> duration(75)
    '1 min 15 s'
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def when(moment: pd.Timestamp) -> str:
    """Write a time as the clock on the wall shows it."""
    return f"{moment.to_pydatetime().astimezone():%Y-%m-%d %H:%M}"


def _cell(write: Callable[..., str] | None, values: Sequence[Any]) -> str:
    if any(value is None or pd.isna(value) for value in values):
        return ""
    return str(values[0]) if write is None else write(*values)
