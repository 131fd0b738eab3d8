"""``wb.reports``: run a report notebook with parameters, keep its files, record how it ended."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.display import Rich
from workbench.db.queries import reports as queries
from workbench.errors import UnknownReferenceError, WorkbenchError
from workbench.resources import notebooks_dir
from workbench.services.reporting import (
    ExecutionOutcome,
    check_parameters,
    execute,
    export_html,
    find_notebook,
    read_parameters,
)

if TYPE_CHECKING:
    from workbench.db.tables import Report as ReportRow
    from workbench.services.workbench import Workbench

__all__ = ["Report", "Reports"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report(Rich):
    """An executed report: its files, and how it ended."""

    name: str
    status: str
    notebook: Path
    html: Path | None
    seconds: float

    def __str__(self) -> str:
        return f"report {self.name} ({self.status}, {self.seconds:.0f} s): {self.html or self.notebook}"


class Reports:
    """Reports of the project in use."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def run(
        self,
        name_or_path: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        clean: Callable[[str], str],
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> Report:
        """Execute a report notebook on this database and write it as one HTML page that draws offline.

        Args:
            name_or_path: a shipped report (``ab_report``) or a notebook's path.
            parameters: values for its parameters cell.
            clean: the sanitiser of rich output.
            progress: told (cells done, cells in all).
            timeout: seconds for all cells together.

        Raises:
            ParameterError: an unknown parameter, a wrong type, or a secret.
            ReportError: the notebook failed; its row and files are kept.

        """
        path = find_notebook(name_or_path, (notebooks_dir() / "reports", notebooks_dir()))
        declared = read_parameters(path)
        project = {"project": self._wb.project} if "project" in declared else {}
        values = check_parameters(declared, {**project, **(parameters or {})})
        folder = self._wb.config.home / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        files = folder / f"{path.stem}-{_slug(values)}-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}"
        with self._wb.database.session() as session:
            row = queries.insert(session, self._wb.scope, name=path.stem, parameters=values)
        report, outcome = self._execute(
            row.id, path, files, values, clean=clean, progress=progress, timeout=timeout
        )
        self._wb.last = report
        outcome.raise_if_failed()
        return report

    def _execute(
        self,
        report_id: uuid.UUID,
        path: Path,
        files: Path,
        values: Mapping[str, Any],
        *,
        clean: Callable[[str], str],
        progress: Callable[[int, int], None] | None,
        timeout: float | None,
    ) -> tuple[Report, ExecutionOutcome]:
        """Execute and export; the report's row is ended whatever happens."""
        notebook, html = files.with_suffix(".ipynb"), files.with_suffix(".html")
        try:
            outcome = execute(
                path,
                notebook,
                values,
                cwd=Path.cwd(),
                kernel_env=self._wb.environment(),
                timeout=timeout,
                progress=progress,
            )
            export_html(
                outcome.path,
                html,
                title=_title(path.stem),
                clean=clean,
                details=_details(outcome),
                footer=self._footer(),
            )
        except WorkbenchError as error:
            self._record(report_id, status="failed", notebook=notebook, html=None, error=error.message)
            raise
        self._record(report_id, status=outcome.status, notebook=outcome.path, html=html, error=outcome.error)
        report = Report(
            name=path.stem, status=outcome.status, notebook=outcome.path, html=html, seconds=outcome.seconds
        )
        return report, outcome

    def list(self) -> list[Mapping[str, Any]]:
        """Return the project's reports, newest first."""
        with self._wb.database.session() as session:
            rows = queries.newest(session, self._wb.project_id)
        return [_described(row) for row in rows]

    def get(self, report_id: str | None = None) -> Mapping[str, Any]:
        """Return one report by its id or the beginning of it; without one the newest.

        Raises:
            UnknownReferenceError: there is none, or several begin like that.

        """
        found = [row for row in self.list() if row["id"].startswith(report_id or "")]
        if report_id is None and found:
            return found[0]
        if len(found) != 1:
            said = "no report" if not found else f"{len(found)} reports"
            which = f" whose id begins with {report_id!r}" if report_id else ""
            raise UnknownReferenceError(
                f"project {self._wb.project!r} has {said}{which}",
                cure="list them: workbench report list"
                if found or report_id
                else "make one: workbench report run NAME",
            )
        return found[0]

    def page(self, report_id: str | None = None) -> Path:
        """Return a report's HTML file; of the newest one without an id.

        Raises:
            UnknownReferenceError: there is no such report, or its file is gone.

        """
        found = self.get(report_id)
        page = Path(found["html"] or "")
        if not page.is_file():
            raise UnknownReferenceError(
                f"the page of report {found['name']} ({found['id'][:8]}) is not on this machine",
                cure=f"make it again: workbench report run {found['name']}",
            )
        return page

    def _record(
        self, report_id: uuid.UUID, *, status: str, notebook: Path, html: Path | None, error: str | None
    ) -> None:
        with self._wb.database.session() as session:
            queries.end(
                session,
                report_id,
                status=status,
                notebook_path=str(notebook),
                html_path=str(html) if html else None,
                error=error,
            )

    def _footer(self) -> str:
        with self._wb.database.session() as session:
            head = queries.audit_head(session)
        return f"Audit chain at entry {head[0]}: {head[1]}" if head else ""


def _described(row: ReportRow) -> Mapping[str, Any]:
    return {
        "id": str(row.id),
        "name": row.name,
        "status": row.status,
        "created_at": row.created_at,
        "parameters": row.parameters,
        "html": row.html_path,
        "notebook": row.notebook_path,
        "error": row.error,
    }


def _title(stem: str) -> str:
    return stem.replace("_", " ").replace("ab ", "A/B ")


def _details(outcome: ExecutionOutcome) -> dict[str, str]:
    shown = {name: str(value) for name, value in outcome.parameters.items() if value not in {"", None}}
    return {"run at": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC", **shown}


def _slug(values: Mapping[str, Any]) -> str:
    text = str(values.get("test") or values.get("project") or "report")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:40]
