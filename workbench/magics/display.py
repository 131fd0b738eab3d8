"""What a cell shows while it works: one output that is replaced by the result."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from IPython.core.getipython import get_ipython
from IPython.display import clear_output, display

from workbench.services.progress import TextReporter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from workbench.core.versions import PromptResult
    from workbench.services.progress import Progress
    from workbench.services.run import Run

__all__ = [
    "CellReporter",
    "Counting",
    "LiveRun",
    "Notice",
    "Stream",
    "attended",
    "in_notebook",
    "make_room",
    "owns_cell",
    "show_run",
    "show_started",
    "show_status",
]

#: A cell is redrawn at most this often, in seconds.
_EVERY = 0.1


def in_notebook() -> bool:
    """Whether outputs can be replaced: a kernel, not a terminal."""
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def attended() -> bool:
    """Whether somebody looks on who could be asked: programs that execute a notebook say that they take no input.

    A terminal's IPython is attended; papermill, nbclient and nbconvert are not.
    """
    if not in_notebook():
        return True
    asked = get_ipython().get_parent().get("content", {})
    return bool(asked.get("allow_stdin", True))


def owns_cell() -> bool:
    """Whether the running cell is one magic and nothing else, so that its outputs may be taken away again.

    In a loop, a function or between other lines, what stands in the cell is not ours to clear.
    """
    if not in_notebook():
        return False
    code = str(get_ipython().get_parent().get("content", {}).get("code", "")).replace("\\\n", " ")
    lines = [line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return bool(lines) and (lines[0].startswith("%%") or (len(lines) == 1 and lines[0].startswith("%")))


def make_room() -> None:
    """Let the cell's next output take the place of what stands there, without a flicker."""
    if owns_cell():
        clear_output(wait=True)


class Notice:
    """Tells what takes long, a line at a time, each in the place of the one before."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, line: str) -> None:
        """Show a line."""
        from workbench.views.prompts import notice

        if not in_notebook():
            sys.stderr.write(f"{line} …\n")
            sys.stderr.flush()
        elif self._handle is None:
            self._handle = display(notice(f"{line} …"), raw=True, display_id=True)
        else:
            self._handle.update(notice(f"{line} …"), raw=True)


class Counting:
    """Tells how far long work is: a grey line, from half a second on, a few times a second.

    Args:
        label: what is done, such as ``importing``.

    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._notice = Notice()
        self._next = time.monotonic() + 0.5

    def __call__(self, done: int, total: int) -> None:
        """Show how many of how many."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + 3 * _EVERY
            self._notice(f"{self._label} {done:,} of {total:,}")


class Stream:
    """The answer while it arrives. ``heard`` is called by the loop's thread, ``draw`` by the person's.

    It is left with what had arrived on the screen if an error ends it.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._drawn = 0
        self._last = 0.0
        self._lock = threading.Lock()
        self._handle: Any = None

    def heard(self, piece: str) -> None:
        """Keep a piece of text."""
        with self._lock:
            self._pieces.append(piece)

    def draw(self) -> None:
        """Redraw if there is news, at most ten times a second; at first only that an answer is awaited."""
        if self._handle is None:
            self._handle = display(_streaming(""), raw=True, display_id=True)
            return
        if len(self._pieces) == self._drawn or time.monotonic() - self._last < _EVERY:
            return
        with self._lock:
            self._drawn, text = len(self._pieces), "".join(self._pieces)
        self._last = time.monotonic()
        self._handle.update(_streaming(text), raw=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        text = "".join(self._pieces)
        if kind is None:
            return
        if text:
            make_room()
            display(_streaming(text, end=True), raw=True)
        elif self._handle is not None:
            make_room()


class CellReporter:
    """A run's progress as a bar in the cell; in a terminal one line that redraws itself; unattended its last line."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._last = 0.0
        self._text = None if in_notebook() else TextReporter()
        self._quiet = not attended()

    def update(self, progress: Progress) -> None:
        """Redraw, at most five times a second."""
        if self._text is not None:
            self._text.update(progress)
        elif not self._quiet and time.monotonic() - self._last >= 2 * _EVERY:
            self._last = time.monotonic()
            self._handle = _show(_bar(progress), self._handle)

    def close(self, progress: Progress) -> None:
        """Show the last state."""
        if self._text is not None:
            self._text.close(progress)
        else:
            _show(_last_line(progress) if self._quiet else _bar(progress), self._handle)


class LiveRun:
    """A background run in a cell: its bar, which goes on after the cell has returned, and at the end its card.

    ``update`` and ``close`` are called by the run's own thread.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._last = time.monotonic()
        self._handle = _show(run._repr_mimebundle_(), None)

    def update(self, progress: Progress) -> None:
        """Redraw, twice a second."""
        if time.monotonic() - self._last >= 5 * _EVERY:
            self._last = time.monotonic()
            _show(_bar(progress), self._handle)

    def close(self, _: Progress) -> None:
        """Show what has become of it."""
        _show(self._run._repr_mimebundle_(), self._handle)


def show_run(run: Run) -> None:
    """Show a run; one that goes on in this kernel's background stays up to date, in every cell that shows it.

    Raises:
        NotImplementedError: it does not go on here; IPython then shows its card.

    """
    job = run.workbench.runs.background.find(run.id)
    if job is None or not job.active or not in_notebook() or not attended():
        raise NotImplementedError
    job.attach(LiveRun(run))


def show_started(result: object, name: str) -> None:
    """Show what a run in the background does although its cell shows no result: ``NAME <<``."""
    from workbench.services.run import Run

    if not isinstance(result, Run) or result.status != "running":
        return
    try:
        show_run(result)
    except NotImplementedError:
        Notice()(
            f"run {result.short_id} goes on in the background: {name}.progress, {name}.wait(), {name}.cancel()"
        )


def show_status(result: PromptResult) -> None:
    """Show the grey line alone: what ``NAME <<`` leaves in the cell."""
    from workbench.views.prompts import status

    display(status(result), raw=True)


def _streaming(text: str, *, end: bool = False) -> dict[str, str]:
    from workbench.views.prompts import streaming

    return streaming(text, end=end)


def _bar(progress: Progress) -> dict[str, str]:
    from workbench.views.runs import progress_line

    return progress_line(progress.line(), progress.shares)


def _last_line(progress: Progress) -> dict[str, str]:
    from workbench.views.prompts import notice

    return notice(progress.line())


def _show(bundle: Mapping[str, Any], handle: Any) -> Any:
    """Show a bundle in the place of what stands there; return what can be updated."""
    if handle is None:
        return display(bundle, raw=True, display_id=True)
    handle.update(bundle, raw=True)
    return handle
