"""``wb.runs``: how runs are found, waited for, stopped and resumed."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from workbench.db import run_frames
from workbench.db.queries import runs as queries
from workbench.db.queries.runs import Counts
from workbench.errors import (
    AccessDeniedError,
    ConflictError,
    InputError,
    RunInterruptedError,
    UnknownReferenceError,
)
from workbench.services.background import Background, Job
from workbench.services.run import SHOWN, Run
from workbench.services.run_engine import GRACE_SECONDS

if TYPE_CHECKING:
    from workbench.db.tables import Run as Row
    from workbench.services.listing import Listing
    from workbench.services.planning import RunPlan
    from workbench.services.workbench import Workbench

__all__ = ["STATUSES", "Runs"]

#: What a run may be; one whose kernel is gone is stopped.
STATUSES = ("running", "finished", "stopped")
#: A run in another process is looked at this often, in seconds.
_LOOK = 0.5
_ID = re.compile(r"[0-9a-f]{4,32}")


class Runs:
    """The runs of the project in use: ``wb.runs``."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench
        self.background = Background()

    def list(self, limit: int = 20, *, status: str | None = None) -> Listing:
        """Return the newest runs of the project as a DataFrame, newest first.

        Args:
            limit: at most so many.
            status: only ``running``, ``finished`` or ``stopped`` ones; a run whose kernel is gone is stopped.

        Returns:
            Columns ``run_id created_at status prompts models planned done failed lost cost cost_unknown seconds
            finished_at``; cost in USD.

        Raises:
            InputError: there is no such status.

        Example:
            >>> wb.runs.list(5, status="running")  # doctest: +SKIP

        """
        from workbench.services import listing

        if limit < 1:
            raise InputError(f"limit is {limit}", cure="give 1 or more")
        if status is not None and status not in STATUSES:
            raise InputError(f"a run is never {status!r}", cure=f"use one of {', '.join(STATUSES)}")
        frame = run_frames.runs(self._wb.database, self._wb.project_id, limit=limit, status=status)
        column = listing.Column
        shown = [
            column("run", ("run_id",), lambda run_id: str(run_id)[:SHOWN], numeric=False),
            column("started", ("created_at",), listing.when, numeric=False),
            column("status", ("status",)),
            column("prompts", ("prompts",)),
            column("models", ("models",)),
            column("done", ("done", "planned"), lambda done, planned: f"{done:,} of {planned:,}"),
            column("failed", ("failed",), listing.count),
            column("lost", ("lost",), listing.count),
            column("cost", ("cost",), listing.money),
            column("time", ("seconds",), listing.duration),
        ]
        hint = "wb.runs.get('…') takes the first characters of an id" if len(frame) else "no runs yet"
        which = f", {status}" if status else ""
        return listing.Listing.of(
            frame, heading=f"Runs of project {self._wb.project}{which}", shown=shown, hint=hint
        )

    def get(self, run: Run | uuid.UUID | str) -> Run:
        """Return a run by its id, or by the first characters of it.

        Raises:
            UnknownReferenceError: no such run that this person can read, or several begin like this.

        Example:
            >>> wb.runs.get("1f3a9c02")  # doctest: +SKIP

        """
        row, alive, counts = self._read(self._id(run))
        return Run(
            id=row.id,
            status=row.status if alive or row.status != "running" else "stopped",
            counts=counts,
            plan=row.plan,
            created_at=row.run_at,
            finished_at=row.finished_at if row.status != "running" else None,
            project_id=row.project_id,
            user_id=row.user_id,
            budget=row.budget,
            ab_test_id=row.ab_test_id,
            workbench=self._wb,
        )

    def resume(
        self,
        run: Run | uuid.UUID | str,
        *,
        retry_errors: bool = False,
        budget: float | None = None,
        background: bool = False,
        progress: bool = True,
    ) -> Run:
        """Go on with an unfinished run: the same arms on the same cases; what is answered is never asked again.

        Args:
            run: the run, or the first characters of its id.
            retry_errors: ask again what has failed, also in a finished run.
            budget: USD that the whole run may spend; by default what it was started with.
            background: return at once, see ``wb.run``.
            progress: show it.

        Raises:
            ConflictError: it goes on just now.

        """
        found = self.get(run)
        job = self.background.find(found.id)
        if job is not None and job.active:
            raise ConflictError(
                f"run {found.short_id} goes on in the background of this kernel",
                cure="run.wait() waits for it; run.cancel() stops it",
            )
        if found.project_id != self._wb.project_id:
            raise ConflictError(
                f"run {found.short_id} belongs to another project than {self._wb.project!r}",
                cure="choose its project first: wb.use('…')",
            )
        if found.status == "finished" and not (retry_errors and found.counts.failed):
            return found  # all is settled; asking again would be another run
        return self._wb.running.resume(
            found,
            retry_errors=retry_errors,
            budget=found.budget if budget is None else budget,
            background=background and self._wb.attended,
            progress=progress,
        )

    def wait(self, run: Run | uuid.UUID | str, timeout: float | None = None) -> Run:
        """Wait until a run has ended, wherever it goes on; see ``Run.wait``."""
        found = run if isinstance(run, Run) else self.get(run)
        job = self.background.find(found.id)
        until = None if timeout is None else time.monotonic() + timeout
        try:
            if job is not None:
                job.join(timeout)
            while job is None and found.refresh().status == "running":
                if until is not None and time.monotonic() >= until:
                    break
                time.sleep(_LOOK if until is None else max(0.0, min(_LOOK, until - time.monotonic())))
        except KeyboardInterrupt:
            raise RunInterruptedError(
                f"stopped waiting; run {found.short_id} goes on", cure="run.cancel() stops it"
            ) from None
        if job is not None and not job.active and job.error is not None:
            raise job.error
        return found.refresh()

    def cancel(self, run: Run | uuid.UUID | str) -> Run:
        """Stop a run; what was answered is stored, and ``resume`` goes on with the rest.

        In this kernel's background: no new calls, those in flight have 10 s, as after an interrupt. In another kernel or
        on another machine: it loses its lease, claims nothing more, and ends with a message that says so. A run that
        has ended stays as it is.

        Raises:
            AccessDeniedError: it is somebody else's.

        """
        found = run if isinstance(run, Run) else self.get(run)
        job = self.background.find(found.id)
        if job is not None and job.active:
            job.stop()
            job.join(2 * GRACE_SECONDS)
            return found.refresh()
        if found.user_id != self._wb.database.user_id:
            raise AccessDeniedError(
                f"run {found.short_id} is somebody else's", cure="only who started it can stop it"
            )
        with self._wb.database.session() as session:
            queries.cancel(session, found.id)
        return found.refresh()

    def start(self, plan: RunPlan, *, label: str = "", resume: bool = True, **options: Any) -> Run:
        """Start a planned run in the background and return it at once; one that answers the same plan is returned instead.

        Raises:
            WorkbenchError: it could not begin.

        """
        digest = plan.digest()
        same = self.background.same(digest) if resume else None
        if same is not None and same.run_id is not None and options.get("run_id") in (None, same.run_id):
            return self.get(same.run_id)
        job = Job(label)
        job.digest = digest
        run_id = self.background.start(
            job,
            lambda watch: self._wb.running.run(plan, label=label, resume=resume, watch=watch, **options),
        )
        run = self.get(run_id)
        self._wb.last = run
        return run

    def _id(self, run: Run | uuid.UUID | str) -> uuid.UUID:
        if isinstance(run, Run):
            return run.id
        if isinstance(run, uuid.UUID):
            return run
        given = str(run).strip().lower().replace("-", "")
        if not _ID.fullmatch(given):
            raise UnknownReferenceError(
                f"{str(run)!r:.60} is no run's id",
                cure=f"give the {SHOWN} characters that wb.runs.list() shows",
            )
        low, high = uuid.UUID(given.ljust(32, "0")), uuid.UUID(given.ljust(32, "f"))
        with self._wb.database.session() as session:
            found = queries.matching(session, low, high)
        if len(found) > 1:
            listed = "; ".join(
                f"{str(row.id)[: len(given) + SHOWN]} of {row.run_at.astimezone():%Y-%m-%d %H:%M}"
                for row in found
            )
            raise UnknownReferenceError(
                f"{len(found)} runs begin with {str(run)!r}: {listed}", cure="give more characters"
            )
        return found[0].id if found else low

    def _read(self, run_id: uuid.UUID) -> tuple[Row, bool, Counts]:
        with self._wb.database.session() as session:
            row = queries.get(session, run_id)
            if row is None:
                raise UnknownReferenceError(
                    f"there is no run {str(run_id)[:SHOWN]}",
                    cure="wb.runs.list() shows those of this project",
                )
            return row, queries.alive(session, run_id), queries.counts(session, run_id)
