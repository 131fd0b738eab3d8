"""Test equipment: file systems that are small or read-only, where this process may mount them (in CI it is root)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["can_mount", "mounted"]

_CAP_SYS_ADMIN = 1 << 21


def can_mount() -> bool:
    """Whether this process may mount a file system."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("CapEff"))
    return os.geteuid() == 0 and bool(int(line.split()[1], 16) & _CAP_SYS_ADMIN)


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a file system in memory: ``size=64k``, ``ro`` …"""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)
