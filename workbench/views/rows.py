"""How rows of a query look: every cell as text, whatever a model wrote into it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from workbench.views.html import Html, output, status_line, table, tag
from workbench.views.theme import colour

__all__ = ["rows_html"]


def rows_html(columns: Sequence[object], rows: Iterable[Sequence[object]], *, note: str = "") -> Html:
    """Return a table; numbers stand to the right, what is missing is called NULL."""
    kept = [list(row) for row in rows]
    numeric = [
        place
        for place in range(len(columns))
        if all(isinstance(row[place], int | float | Decimal | None) for row in kept)
    ]
    cells = [[_cell(value) for value in row] for row in kept]
    grid = table(columns, cells, numeric=numeric, style="border-collapse:collapse;font-size:13px;margin:0")
    return output(
        tag("div", grid, style="overflow-x:auto;margin:3px 0 6px") if columns else None,
        status_line(note) if note else None,
    )


def _cell(value: object) -> object:
    if value is None:
        return tag("span", "NULL", style=f"color:{colour('dim')}")
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value.normalize():f}"
    if isinstance(value, str):
        return tag("div", value, style="white-space:pre-wrap;overflow-wrap:anywhere;max-width:640px")
    return value
