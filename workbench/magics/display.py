"""What a cell shows while it works: one output that is replaced by the result."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from IPython.core.getipython import get_ipython
from IPython.display import clear_output, display

if TYPE_CHECKING:
    from types import TracebackType

    from workbench.core.versions import PromptResult
    from workbench.services.progress import Progress

__all__ = [
    "CellReporter",
    "Counting",
    "Notice",
    "Stream",
    "in_notebook",
    "make_room",
    "owns_cell",
    "show_status",
]

#: A cell is redrawn at most this often, in seconds.
_EVERY = 0.1


def in_notebook() -> bool:
    """Whether outputs can be replaced: a kernel, not a terminal."""
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


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
    """A run's progress as one line of the cell; in a terminal one line that redraws itself."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._last = 0.0

    def update(self, progress: Progress) -> None:
        """Redraw, at most five times a second."""
        if time.monotonic() - self._last < 2 * _EVERY:
            return
        self._last = time.monotonic()
        if not in_notebook():
            sys.stderr.write("\r" + progress.line())
        elif self._handle is None:
            self._handle = display(_bar(progress), raw=True, display_id=True)
        else:
            self._handle.update(_bar(progress), raw=True)

    def close(self, progress: Progress) -> None:
        """Show the last state."""
        self._last = 0.0
        self.update(progress)
        if not in_notebook():
            sys.stderr.write("\n")


def show_status(result: PromptResult) -> None:
    """Show the grey line alone: what ``NAME <<`` leaves in the cell."""
    from workbench.views.prompts import status

    display(status(result), raw=True)


def _streaming(text: str, *, end: bool = False) -> dict[str, str]:
    from workbench.views.prompts import streaming

    return streaming(text, end=end)


def _bar(progress: Progress) -> dict[str, str]:
    from workbench.views.runs import progress_line

    return progress_line(progress.line(), progress.settled, progress.total)
