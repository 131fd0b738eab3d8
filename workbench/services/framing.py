"""``wb.frames``: the project's rows as DataFrames with declared columns."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.db import frames

if TYPE_CHECKING:
    import pandas as pd

    from workbench.services.experiment import Experiment
    from workbench.services.workbench import Workbench

__all__ = ["Frames"]


class Frames:
    """Long rows of the project in use; the columns are the same when there are no rows."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def executions(
        self, *, limit: int | None = None, fields: Mapping[str, str] | None = None, **where: Any
    ) -> pd.DataFrame:
        """Return calls, oldest first: ``wb.frames.executions(prompt="tone", status="done", limit=100)``.

        Args:
            limit: only so many, the newest.
            fields: names and types of fields of JSON answers that become columns.
            where: column = value.

        """
        return frames.executions(
            self._wb.database, self._wb.project_id, where=where, limit=limit, fields=fields
        )

    def evaluations(self, run: uuid.UUID | None = None) -> pd.DataFrame:
        """Return scores, oldest first."""
        return frames.evaluations(self._wb.database, self._wb.project_id, run_id=run)

    def arms(self, test: Experiment | str) -> pd.DataFrame:
        """Return one row for each case, arm and sample of an A/B test."""
        return self._wb.ab.frame(self._wb.ab.get(test) if isinstance(test, str) else test)

    def tests(self) -> pd.DataFrame:
        """Return the project's A/B tests with their verdicts, newest first."""
        return frames.tests(self._wb.database, self._wb.project_id)

    def costs(self) -> pd.DataFrame:
        """Return what was spent in this project, by day and model."""
        return frames.costs(self._wb.database, self._wb.project)

    def jsonb(
        self, table: str, column: str, fields: Mapping[str, str] | None = None, *, limit: int | None = None
    ) -> pd.DataFrame:
        """Return fields of any JSONB column as typed columns: ``jsonb("executions", "response_data", {"id": "text"})``.

        Args:
            table: a table or view of schema ``wb``.
            column: one of its JSONB columns.
            fields: names and types of fields; without, the whole values come in one column.
            limit: at most so many rows.

        Raises:
            UnknownReferenceError: there is no such table or column (did you mean …?).
            DataError: a field does not have the type that was asked for; the message names it.

        """
        return frames.jsonb(self._wb.database, table, column, fields, limit=limit)
