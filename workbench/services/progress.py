"""How a run tells that it goes on: counts that the loop's thread moves, and reporters that show them."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, TextIO

from workbench.core.versions import format_cost

__all__ = ["Progress", "Reporter", "TextReporter"]

#: A terminal is redrawn at most this often, in seconds.
_EVERY = 0.2
#: Speed is that of the last seconds, so that a slow start or a burst from the cache is soon forgotten.
_WINDOW = 20.0
#: A mark for the window is set this often, in seconds.
_MARK = 0.5
#: The time left is not told before so many seconds,
_FIRST = 2.0
#: nor before so many calls have ended.
_FEWEST = 3


@dataclass(slots=True)
class Progress:
    """What became of the calls so far. One thread writes, others read.

    Attributes:
        total: calls in all.
        before: calls that were settled before this start.
        note: what should be known.
        waiting: what is waited for.
        away: whether the database is waited for.

    """

    total: int
    label: str = ""
    before: int = 0
    done: int = 0
    failed: int = 0
    lost: int = 0
    cached: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)
    cost_unknown: bool = False
    note: str = ""
    waiting: str = ""
    away: bool = False
    started: float = field(default_factory=time.monotonic)
    _marks: deque[tuple[float, int, int]] = field(default_factory=deque)

    @property
    def settled(self) -> int:
        """Calls that ended, with those that ended before this start."""
        return self.before + self.done + self.failed + self.lost

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def shares(self) -> tuple[float, float, float]:
        """Shares of all calls: answered or settled before, failed, lost."""
        total = max(1, self.total)
        return (self.before + self.done) / total, self.failed / total, self.lost / total

    @property
    def left(self) -> float | None:
        """Seconds until the end at the present speed; None while nobody can tell."""
        made = self.settled - self.before
        if self.seconds < _FIRST or made < _FEWEST or self.settled >= self.total:
            return None
        rate, _ = self._speed()
        return (self.total - self.settled) / rate if rate > 0 else None

    def line(self) -> str:
        """Return one line: counts, rate, tokens, dollars, time left."""
        ended = self.settled >= self.total
        rate, tokens = self._average() if ended else self._speed()
        parts = [f"{self.settled:,}/{self.total:,}"]
        parts += [f"{self.failed:,} failed"] if self.failed else []
        parts += [f"{self.lost:,} lost"] if self.lost else []
        parts += [f"{self.cached:,} from cache"] if self.cached else []
        parts += [f"{rate:.1f}/s"]
        parts += [f"{self.tokens:,} tok"] if ended else [f"{tokens:,.0f} tok/s"] if self.tokens else []
        cost = "cost unknown" if self.cost_unknown and not self.cost else format_cost(self.cost)
        parts += [f"{cost} and more, unknown" if self.cost_unknown and self.cost else cost]
        if ended:
            parts.append(_duration(self.seconds))
        elif (left := self.left) is not None:
            parts.append(f"{_duration(left)} left")
        away = "waiting for the database" if self.away else ""
        parts += [each for each in (away, self.waiting, self.note) if each]
        text = " · ".join(parts)
        return f"{self.label}: {text}" if self.label else text

    def _average(self) -> tuple[float, float]:
        seconds = max(self.seconds, 1e-3)
        return (self.settled - self.before) / seconds, self.tokens / seconds

    def _speed(self) -> tuple[float, float]:
        """Return calls and tokens per second over the last seconds."""
        now, settled, tokens = time.monotonic(), self.settled, self.tokens
        marks = self._marks
        if not marks:
            marks.append((self.started, self.before, 0))
        if now - marks[-1][0] >= _MARK:
            marks.append((now, settled, tokens))
        while len(marks) > 2 and now - marks[1][0] >= _WINDOW:
            marks.popleft()
        at, then, had = marks[0]
        seconds = max(now - at, 1e-3)
        return (settled - then) / seconds, (tokens - had) / seconds


class Reporter(Protocol):
    """Shows progress; called in the thread that waits for the run."""

    def update(self, progress: Progress) -> None:
        """Show the state so far; called often, so it throttles itself."""

    def close(self, progress: Progress) -> None:
        """Show the last state."""


class TextReporter:
    """One line that redraws itself in a terminal; elsewhere only the last state."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._last = 0.0
        self._width = 0

    def update(self, progress: Progress) -> None:
        """Redraw the line, at most five times a second."""
        if self._live and time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            self._draw(progress.line())

    def close(self, progress: Progress) -> None:
        """Write the last state and end the line."""
        if self._live:
            self._draw(progress.line())
            self._stream.write("\n")
        else:
            self._stream.write(progress.line() + "\n")
        self._stream.flush()

    def _draw(self, line: str) -> None:
        room = shutil.get_terminal_size().columns - 1  # a line that wraps could not be drawn over
        shown = line if len(line) <= room else f"{line[: room - 1]}…"
        self._stream.write("\r" + shown.ljust(self._width))
        self._stream.flush()
        self._width = len(shown)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
