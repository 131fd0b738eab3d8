"""``Run``: what a person holds of a batch, wherever it goes on."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.display import Card, Rich
from workbench.core.versions import format_cost
from workbench.db import frames, run_frames
from workbench.db.queries.runs import Counts
from workbench.services.outcome import alerts, partial, summary

if TYPE_CHECKING:
    import pandas as pd

    from workbench.analysis import Comparison
    from workbench.services.listing import Listing
    from workbench.services.workbench import Workbench

__all__ = ["SHOWN", "Run"]

#: Characters of an id that are shown, and enough to name a run.
SHOWN = 8


@dataclass(kw_only=True, slots=True, eq=False)
class Run(Rich):
    """A batch of calls. It is a handle: what it says is of its last look, and ``refresh`` looks again.

    ``wait``, ``cancel``, ``summary``, printing and showing it in a notebook look by themselves; frames are always
    read anew.

    Attributes:
        id: the run's row.
        status: ``running``, ``finished`` or ``stopped``.
        counts: what became of its calls.
        plan: what was asked for, as it is stored.
        created_at: when it was started.
        finished_at: when it ended, or None.
        project_id: the project that it belongs to.
        user_id: whose it is.
        budget: USD that it may spend, or None.

    """

    id: uuid.UUID
    status: str
    counts: Counts
    plan: Mapping[str, Any]
    created_at: dt.datetime
    project_id: uuid.UUID
    user_id: uuid.UUID
    budget: Decimal | None = None
    finished_at: dt.datetime | None = None
    ab_test_id: uuid.UUID | None = None
    workbench: Workbench = field(repr=False)

    @property
    def short_id(self) -> str:
        """The beginning of the id: enough for ``wb.runs.get``."""
        return str(self.id)[:SHOWN]

    @property
    def cost(self) -> Decimal | None:
        """USD so far; None when no call's cost is known."""
        return self.counts.cost

    @property
    def error(self) -> BaseException | None:
        """What ended a background run of this kernel early, or None."""
        job = self.workbench.runs.background.find(self.id)
        return job.error if job is not None else None

    @property
    def progress(self) -> str:
        """One line: how far it is."""
        job = self.workbench.runs.background.find(self.id)
        if job is not None and job.active and job.progress is not None:
            return job.progress.line()
        return self.refresh().line

    @property
    def failures(self) -> pd.DataFrame:
        """The calls that failed or were lost, with their error codes and partial answers."""
        found = self.frame()
        return found[~found["status"].isin(["done", "sent", "planned"])].reset_index(drop=True)

    def refresh(self) -> Run:
        """Look into the database again; returns the run itself."""
        fresh = self.workbench.runs.get(self.id)
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))
        return self

    def wait(self, timeout: float | None = None) -> Run:
        """Wait until the run has ended; returns the run itself.

        Args:
            timeout: seconds; after them the run is returned as it stands, with status ``running``.

        Raises:
            WorkbenchError: what ended a background run of this kernel early, such as a refused key.
            RunInterruptedError: the person stopped waiting, or has stopped the run.

        Example:
            >>> run = wb.run("tone", data=df, background=True)  # doctest: +SKIP
            >>> run.wait().frame()  # doctest: +SKIP

        """
        return self.workbench.runs.wait(self, timeout)

    def cancel(self) -> Run:
        """Stop it; the same as ``wb.runs.cancel(run)``."""
        return self.workbench.runs.cancel(self)

    def resume(
        self, *, retry_errors: bool = False, budget: float | None = None, background: bool = False
    ) -> Run:
        """Go on where the run stopped; what is answered is never asked again."""
        return self.workbench.runs.resume(
            self, retry_errors=retry_errors, budget=budget, background=background
        )

    def evaluate(self, scorers: Sequence[Any]) -> Run:
        """Score the answers; the same as ``wb.evaluate(run, scorers)``."""
        return self.workbench.evaluate(self, scorers)

    def frame(self, fields: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return one row a call, in the declared columns.

        Args:
            fields: names and types of fields of the JSON answers that become columns:
                ``{"label": "text", "confidence": "float8"}``.

        """
        return frames.executions(self.workbench.database, self.project_id, run_id=self.id, fields=fields)

    def scores(self) -> pd.DataFrame:
        """Return one row a score."""
        return frames.evaluations(self.workbench.database, self.project_id, run_id=self.id)

    def export(self, path: str | Path) -> Path:
        """Write one row a call to a .csv, .tsv or .jsonl file: the frame's columns, ``input_…`` and ``expected``.

        Raises:
            DataError: the file cannot be written, or has another ending.

        """
        from workbench.services.tabular import write_rows

        cases = self.workbench.datasets.frame(self.plan["dataset"]).drop(columns=["cluster_id", "split"])
        kept = {name: f"input_{name}" for name in cases.columns if name not in {"case_id", "expected"}}
        return write_rows(self.frame().merge(cases.rename(columns=kept), on="case_id", how="left"), path)

    def summary(self) -> Listing:
        """Return a DataFrame of one row for each prompt and model: calls, what became of them, tokens, cost, latency.

        It shows itself with what must not be overlooked: that the run is partial, what failed and what to do.
        """
        return summary(self.refresh())

    def compare(
        self,
        other: Run | None = None,
        *,
        metric: str | None = None,
        margin: float | None = None,
        alpha: float = 0.05,
    ) -> Comparison:
        """Compare the two arms of this run, or this run (A) with another one (B), case by case.

        A partial run gets no verdict: the comparison says what is planned, done, failed and lost.

        Args:
            other: a run of one arm on the same cases; None compares the two arms of this run.
            metric: ``pass``, ``score``, ``cost``, ``latency`` or ``tokens``; by default ``pass`` where the answers are
                scored, else ``latency``.
            margin: a difference too small to matter, in the metric's unit.
            alpha: two-sided level.

        Raises:
            InputError: there are not two arms to compare.

        """
        from workbench.services.comparing import compare_runs

        return compare_runs(self, other, metric=metric, margin=margin, alpha=alpha)

    def card(self) -> Card:
        """Return one row for each prompt and model, what must not be overlooked, and the line that sums it up."""
        self.refresh()
        shown = summary(self).card()
        counts = self.counts
        bar = None
        if self.status == "running":
            total = max(1, counts.planned)
            bar = (counts.done / total, counts.failed / total, counts.lost / total)
        return Card(
            title=self.headline,
            columns=shown.columns,
            rows=shown.rows,
            numeric=shown.numeric,
            alerts=shown.alerts,
            bar=bar,
            note=self.progress if self.status == "running" else self.line,
        )

    @property
    def headline(self) -> str:
        """What was asked, and whether it is all there."""
        arms = [f"{arm['prompt']} on {arm['model']}" for arm in self.plan["arms"]]
        named = ", ".join(arms) if len(arms) <= 3 else f"{len(arms)} arms"
        state = self.status
        if self.status != "running" and partial(self.counts):
            state = f"{state}, PARTIAL"
        return f"run {self.short_id} ({state}): {named}"

    @property
    def line(self) -> str:
        """One line: what became of the calls, and what they cost."""
        counts = self.counts
        parts = [f"{counts.done:,} of {counts.planned:,} done"]
        parts += [f"{counts.failed:,} failed"] if counts.failed else []
        parts += [f"{counts.lost:,} without an answer"] if counts.lost else []
        parts += [f"{counts.in_flight:,} in flight"] if counts.in_flight else []
        parts += [f"{counts.cached:,} from cache"] if counts.cached else []
        parts += [f"{counts.passed:,} of {counts.scored:,} passed"] if counts.scored else []
        cost = format_cost(counts.cost)
        if counts.cost_unknown and counts.cost is not None:
            cost += f" and {counts.cost_unknown} of unknown cost"
        return " · ".join([*parts, cost])

    def __str__(self) -> str:
        self.refresh()
        table = run_frames.summary(self.workbench.database, self.id)
        lines = [f"{self.headline} · {self.line}"]
        return "\n".join([*lines, *(f"  {code}: {sentence}" for code, sentence in alerts(self, table))])
