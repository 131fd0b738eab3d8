"""How the interpreter divides its time while calls are made.

Both settings are the whole process's, so they hold only while a run goes on, and are put back when the last one ends;
where somebody has changed them meanwhile, theirs stay.
"""

from __future__ import annotations

import gc
import sys
import threading
from types import TracebackType
from typing import Final

__all__ = ["Pace"]

#: New containers after which garbage is looked for. With Python's 700 nearly each call would cause such a search, and find
#: nothing: the objects of a call end with it.
_GARBAGE: Final = 20_000
#: Seconds that a thread may compute while another one waits. The ledger's thread waits for the loop, which is never idle,
#: and what it has to commit are the calls that the loop may make next.
_SWITCH: Final = 0.0005


class Pace:
    """Looks for garbage less often, and lets threads take turns more often, inside ``with``; may be entered many times."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered = 0
        self._interval = 0.0
        self._threshold = (0, 0, 0)

    def __enter__(self) -> None:
        with self._lock:
            self._entered += 1
            if self._entered > 1:
                return
            self._interval, self._threshold = sys.getswitchinterval(), gc.get_threshold()
            sys.setswitchinterval(min(_SWITCH, self._interval))
            if 0 < self._threshold[0] < _GARBAGE:  # 0: somebody has switched it off
                gc.set_threshold(_GARBAGE, *self._threshold[1:])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._entered -= 1
            if self._entered:
                return
            if abs(sys.getswitchinterval() - _SWITCH) < 1e-9:
                sys.setswitchinterval(self._interval)
            if gc.get_threshold()[0] == _GARBAGE:
                gc.set_threshold(*self._threshold)
