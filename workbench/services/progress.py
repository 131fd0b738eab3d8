"""How a run tells that it goes on: counts that the loop's thread moves, and reporters that show them."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, TextIO

from workbench.core.versions import format_cost

__all__ = ["Progress", "Reporter", "TextReporter"]

#: A terminal is redrawn at most this often, in seconds.
_EVERY = 0.2


@dataclass(slots=True)
class Progress:
    """What became of the calls so far. One thread writes, others read."""

    total: int
    label: str = ""
    done: int = 0
    failed: int = 0
    cached: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)
    cost_unknown: bool = False
    note: str = ""
    waiting: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def settled(self) -> int:
        """Calls that ended."""
        return self.done + self.failed

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def line(self) -> str:
        """Return one line: counts, rate, tokens, dollars, time left."""
        rate = self.settled / self.seconds if self.seconds > 0 else 0.0
        left = (self.total - self.settled) / rate if rate > 0 else None
        parts = [f"{self.settled:,}/{self.total:,}"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.cached:
            parts.append(f"{self.cached} from cache")
        parts += [
            f"{rate:.1f}/s",
            f"{self.tokens:,} tok",
            "cost unknown" if self.cost_unknown else format_cost(self.cost),
        ]
        if self.settled < self.total and left is not None:
            parts.append(f"{_duration(left)} left")
        elif self.settled >= self.total:
            parts.append(_duration(self.seconds))
        if self.waiting:
            parts.append(self.waiting)
        text = " · ".join(parts)
        return f"{self.label}: {text}{f' · {self.note}' if self.note else ''}" if self.label else text


class Reporter(Protocol):
    """Shows progress; called in the thread of the person."""

    def update(self, progress: Progress) -> None:
        """Show the state so far; called often, so it throttles itself."""

    def close(self, progress: Progress) -> None:
        """Show the last state."""


class TextReporter:
    """One line that redraws itself in a terminal or a cell; elsewhere only the last state."""

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
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
