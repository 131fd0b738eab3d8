"""Runs that go on in a thread of their own while the notebook does something else."""

from __future__ import annotations

import atexit
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import RunInterruptedError, WorkbenchError
from workbench.services.run_engine import GRACE_SECONDS

if TYPE_CHECKING:
    from workbench.services.progress import Progress, Reporter

__all__ = ["Background", "Job", "StopAskedError", "Watch"]

#: A kernel that leaves has less time: JupyterLab kills it after five seconds.
_LEAVING_SECONDS = 2.5
#: What is written after that: what was given up, that the run has stopped.
_SETTLING_SECONDS = 30.0
#: Whoever waits wakes up this often, so that an interrupt reaches them.
_TICK = 0.1


class StopAskedError(Exception):
    """Another thread has asked for an end; never leaves the services."""


class Watch:
    """Through which a run is watched, and stopped, by others than the thread that waits for it.

    Args:
        reporters: show the progress, in the thread that waits.

    Attributes:
        run_id: the run's row, once it is known.
        digest: of its plan.
        progress: its counts.

    """

    def __init__(self, *reporters: Reporter) -> None:
        self.run_id: uuid.UUID | None = None
        self.digest = ""
        self.progress: Progress | None = None
        self._reporters = list(reporters)
        self._stop = threading.Event()
        self._deadline = float("inf")

    @property
    def stopping(self) -> bool:
        """Whether an end was asked for."""
        return self._stop.is_set()

    def opened(self, run_id: uuid.UUID, progress: Progress) -> None:
        """Tell that the run has its row; called by the thread that waits."""
        self.run_id, self.progress = run_id, progress

    def tick(self) -> None:
        """Show the progress; called often by the thread that waits.

        Raises:
            StopAskedError: an end was asked for.

        """
        self.draw()
        if self.stopping:
            raise StopAskedError

    def last_tick(self) -> None:
        """Show how the calls in flight end.

        Raises:
            StopAskedError: they have had their time.

        """
        self.draw()
        if time.monotonic() > self._deadline:
            raise StopAskedError

    def draw(self) -> None:
        """Show the progress."""
        if self.progress is not None:
            for reporter in tuple(self._reporters):
                reporter.update(self.progress)

    def close(self) -> None:
        """Show the last progress."""
        if self.progress is not None:
            for reporter in tuple(self._reporters):
                reporter.close(self.progress)

    def stop(self, grace: float = GRACE_SECONDS) -> None:
        """Ask for an end: no new calls, and so many seconds for those in flight; the shortest wish counts."""
        self._deadline = min(self._deadline, time.monotonic() + grace)
        self._stop.set()


class Job(Watch):
    """One run in a thread of its own.

    Attributes:
        error: what ended it early, or None.
        label: what it answers, for messages.

    """

    def __init__(self, label: str = "") -> None:
        super().__init__()
        self.label = label
        self.error: BaseException | None = None
        self.ready = threading.Event()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._shown: list[Reporter] = []

    @property
    def active(self) -> bool:
        """Whether it still goes on."""
        return not self._ended.is_set()

    def start(self, work: Callable[[Watch], Any]) -> None:
        """Begin; ``work`` is handed this watch."""
        threading.Thread(target=self._serve, args=[work], name="workbench-run", daemon=True).start()

    def opened(self, run_id: uuid.UUID, progress: Progress) -> None:
        """Tell that the run has its row."""
        super().opened(run_id, progress)
        self.ready.set()

    def attach(self, reporter: Reporter) -> None:
        """Show the progress there from now on; its ``close`` is called when the run has ended, also if it has already."""
        with self._lock:
            if self.active:
                self._shown.append(reporter)
                self._reporters.append(_Updating(reporter))
                return
        if self.progress is not None:
            reporter.close(self.progress)

    def detach(self) -> None:
        """Show nothing any more: whoever looked on is leaving."""
        with self._lock:
            self._shown.clear()
            self._reporters.clear()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; return whether it has come. An interrupt reaches the caller."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.active and (until is None or time.monotonic() < until):
            left = _TICK if until is None else min(_TICK, max(0.0, until - time.monotonic()))
            self._ended.wait(left)
        return not self.active

    def _serve(self, work: Callable[[Watch], Any]) -> None:
        try:
            work(self)
        except WorkbenchError as error:
            self.error = error
        except BaseException as error:
            self.error = error  # what a person's own scorer raised, say: wait() raises it too
            raise
        finally:
            with self._lock:
                self._ended.set()
                shown = tuple(self._shown)
            self.ready.set()
            if self.progress is not None:
                for reporter in shown:
                    reporter.close(self.progress)


class Background:
    """The runs of this process that go on in the background."""

    def __init__(self) -> None:
        self._jobs: dict[uuid.UUID, Job] = {}
        self._leaving = False

    @property
    def active(self) -> Sequence[Job]:
        """Those that still go on."""
        return [job for job in tuple(self._jobs.values()) if job.active]

    def find(self, run_id: uuid.UUID) -> Job | None:
        """Return the job of a run that was started here in the background, or None."""
        return self._jobs.get(run_id)

    def same(self, digest: str) -> Job | None:
        """Return the job that answers the same plan just now, or None."""
        return next((job for job in self.active if job.digest == digest), None)

    def start(self, job: Job, work: Callable[[Watch], Any]) -> uuid.UUID:
        """Begin, and return the run's id once it has its row.

        Raises:
            WorkbenchError: it could not begin.

        """
        job.start(work)
        try:
            while not job.ready.wait(_TICK):
                pass
        except KeyboardInterrupt:
            job.stop()
            raise
        if job.run_id is None:
            raise job.error or RunInterruptedError("the run did not begin", cure="start it again")
        self._jobs[job.run_id] = job
        if not self._leaving:
            self._leaving = True
            atexit.register(self.close)
        return job.run_id

    def close(self) -> None:
        """Stop what goes on, as when the kernel leaves: what was answered is stored, and the runs can be resumed."""
        active = self.active
        for job in active:
            job.detach()
            job.stop(_LEAVING_SECONDS)
        for job in active:
            job.join(_SETTLING_SECONDS)
        atexit.unregister(self.close)
        self._leaving = False


class _Updating:
    """A reporter that hears of the progress; of the end it hears when all is stored."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def update(self, progress: Progress) -> None:
        """Pass it on."""
        self._reporter.update(progress)

    def close(self, progress: Progress) -> None:
        """Not yet."""
