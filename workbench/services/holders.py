"""Who holds a run: a token that tells, on the same machine, whether its process has ended.

So a run goes on at once after its kernel was killed, and does not wait until the lease ends. Where nothing can be told,
on another machine, in another container, or without ``/proc``, the lease decides alone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

__all__ = ["has_ended", "new_holder"]

_DEAD: Final = ("Z", "X")
_PROC: Final = Path("/proc")


def new_holder() -> str:
    """Return a token of this process for one run: secret.machine.process.birth, or the secret alone."""
    secret, machine, born = secrets.token_hex(8), _machine(), _born(os.getpid())
    return secret if machine is None or born is None else f"{secret}.{machine}.{os.getpid()}.{born}"


def has_ended(holder: str) -> bool:
    """Tell whether the process that made a token is known to have ended."""
    match holder.split("."):
        case [_, machine, process, born] if process.isdecimal() and machine == _machine():
            return _born(int(process)) != born
    return False


def _machine() -> str | None:
    """Name this start of this machine, and the container's own numbering of processes."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = (_PROC / "self/ns/pid").readlink()
    except OSError:
        return None
    return hashlib.sha256(f"{boot} {space}".encode()).hexdigest()[:12]


def _born(process: int) -> str | None:
    """Return when a process began, in ticks since the machine did; None where there is none, or only its remains."""
    try:
        text = (_PROC / str(process) / "stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()
    return None if state in _DEAD else rest[18]
