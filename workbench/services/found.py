"""What a search returns: a DataFrame that shows itself as a short table with the words marked.

This module imports pandas; others import it inside a function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pandas as pd

from workbench.core.display import Card, Rich

__all__ = ["Found"]


class Found(Rich, pd.DataFrame):
    """The rows of a search, best first; whatever is selected from it is an ordinary DataFrame.

    Attributes:
        heading: what was searched, in one line.
        hint: what to do when too little was found, or what was understood instead; may be empty.
        marked: the snippets with the private marks of ``core.search``; the column ``snippet`` has «these» instead.

    """

    _metadata: ClassVar[list[str]] = [
        "heading",
        "hint",
        "marked",
    ]  # pandas' protocol for attributes of its own

    heading: str
    hint: str
    marked: tuple[str, ...]

    @classmethod
    def of(cls, frame: pd.DataFrame, *, marked: Sequence[str], heading: str, hint: str = "") -> Found:
        """Return the rows as a result.

        Args:
            frame: the rows, their snippets without private marks.
            marked: the snippets with them.
            heading: what was searched.
            hint: what to do, or what was understood.

        """
        found = cls(frame)
        found.heading, found.hint, found.marked = heading, hint, tuple(marked)
        return found

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def card(self) -> Card:
        """Return a short table: the columns that tell hits apart, the snippets with their marks."""
        columns = [name for name in _SHOWN if name in self.columns]
        if "project" in columns and self["project"].nunique() < 2:
            columns.remove("project")
        rows = [
            [
                _cell(name, value) if name != "snippet" else mark
                for name, value in zip(columns, row, strict=True)
            ]
            for row, mark in zip(self[columns].itertuples(index=False, name=None), self.marked, strict=True)
        ]
        shown = [_NAMES.get(name, name) for name in columns]
        place = [columns.index("snippet")]
        return Card(
            title=self.heading, columns=shown if rows else (), rows=rows, marked=place, note=self.hint
        )

    def __str__(self) -> str:
        lines = [self.heading]
        for row in self.to_dict(orient="records"):
            about = [f"{row['prompt']}@{row['version']}", *(_cell(name, row.get(name)) for name in _ABOUT)]
            lines += [" · ".join(part for part in about if part), f"    {row['snippet']}"]
        return "\n".join([*lines, *([self.hint] if self.hint else [])])


_SHOWN = ("prompt", "version", "label", "model", "status", "snippet", "tags", "created_at", "project")
_ABOUT = ("label", "model", "status", "tags", "project")
_NAMES = {"created_at": "saved"}


def _cell(name: str, value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(part) for part in value)
    if value is None or pd.isna(value):
        return ""
    return f"{value.to_pydatetime().astimezone():%Y-%m-%d %H:%M}" if name == "created_at" else str(value)
