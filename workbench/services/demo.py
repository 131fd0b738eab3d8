"""The demo: the quickstart notebook on real text with a real model, its verdict, and its report."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.display import Rich
from workbench.db.queries import runs as run_queries
from workbench.errors import WorkbenchError
from workbench.resources import notebooks_dir
from workbench.services.reporting import execute

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = ["PROJECT", "DemoResult", "run_demo"]

PROJECT = "quickstart"
_LOCAL = "smollm2"
#: Seconds between two lines of progress.
_EVERY = 3.0

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoResult(Rich):
    """What the demo ends with."""

    verdict: str
    headline: str
    test: str
    notebook: Path
    report: Path

    def __str__(self) -> str:
        return f"{self.headline}\n\nreport:   {self.report}\nnotebook: {self.notebook}"


def run_demo(
    workbench: Workbench,
    *,
    model: str | None = None,
    n_cases: int = 100,
    clean: Callable[[str], str],
    progress: Tell,
) -> DemoResult:
    """Execute the quickstart on this database, then write the report of its test.

    Args:
        workbench: an open workbench; the demo uses the project ``quickstart``.
        model: a model id; by default the default model, else the small local one, which is fetched.
        n_cases: reviews to use.
        clean: the sanitiser of the report's rich output.
        progress: told, a line at a time, what goes on.

    Raises:
        ReportError: the notebook failed; its path is in the message.

    """
    workbench.use(PROJECT)
    chosen = model or workbench.default_model or workbench.models.fetch(_LOCAL, progress)
    workbench.models.choose(chosen)
    folder = workbench.config.home / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    values: Mapping[str, Any] = {"model": chosen, "n_cases": n_cases, "project": PROJECT}
    progress(f"running 01_quickstart.ipynb with {chosen}")
    with _counting(workbench, progress):
        outcome = execute(
            notebooks_dir() / "01_quickstart.ipynb",
            folder / "01_quickstart.ipynb",
            values,
            cwd=Path.cwd(),
            kernel_env=workbench.environment(),
        )
    outcome.raise_if_failed()
    test = workbench.ab.ask(  # the notebook's own question, so its own test
        "sentiment@control",
        "sentiment@candidate",
        data=f"amazon-{n_cases}",
        scorers=["one-of:positive|negative"],
        model=chosen,
        metric="pass",
    )
    progress("writing the report")
    report = workbench.reports.run("ab_report", {"test": test.name}, clean=clean)
    return DemoResult(
        verdict=str(test.results["verdict"]),
        headline=str(test.results["text"]),
        test=test.name,
        notebook=outcome.path,
        report=report.html or report.notebook,
    )


@contextmanager
def _counting(workbench: Workbench, progress: Tell) -> Iterator[None]:
    """Tell how many answers of the newest run are in, while a notebook in another process makes them."""
    ended = threading.Event()

    def watch() -> None:
        last = ""
        while not ended.wait(_EVERY):
            line = _answers(workbench)
            if line and line != last:
                progress(line)
            last = line

    thread = threading.Thread(target=watch, name="workbench-demo", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)


def _answers(workbench: Workbench) -> str:
    try:
        with workbench.database.session() as session:
            counts = run_queries.newest_running(session, workbench.project_id)
    except WorkbenchError:
        return ""  # the notebook itself says what is wrong with the database
    if counts is None:
        return ""
    failed = f", {counts.failed} failed" if counts.failed else ""
    return f"{counts.done} of {counts.planned} answers{failed}"
