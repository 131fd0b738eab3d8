"""Every write to a file of a small batch fails, once and from then on, while the database is away in the middle of it."""

from __future__ import annotations

import errno
import io
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import workbench.db.spool
import workbench.services.running
from tests.campaign.harness import FINE, Verdict
from tests.campaign.nth import Place, Trial, attempt, judge, placed, verdict_of
from tests.proxy import DatabaseProxy, Fault
from tests.servers import Reply, ScriptedServer

__all__ = ["nth_write"]

_CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class FileFaults:
    """Counts what is written below a folder, and lets the nth of it fail as on a full disk.

    Attributes:
        done: what was written, in words.

    """

    def __init__(self, folder: Path, *, n: int = 0, for_good: bool = False) -> None:
        self._folder = str(folder)
        self._n = n
        self._for_good = for_good
        self._lock = threading.Lock()
        self.done: list[str] = []

    def __enter__(self) -> Self:
        _FAULTS[self._folder] = self
        return self

    def __exit__(self, *_: object) -> None:
        del _FAULTS[self._folder]

    def mend(self) -> None:
        self._n = 0

    def happens(self, what: str) -> None:
        with self._lock:
            self.done.append(what)
            at = len(self.done)
        if self._n and (at >= self._n if self._for_good else at == self._n):
            raise OSError(errno.ENOSPC, f"broken on purpose: {what}")


_FAULTS: dict[str, FileFaults] = {}


def _happens(what: str, path: Any) -> None:
    if _FAULTS and isinstance(path, str | bytes | os.PathLike):
        text = os.fsdecode(path)
        for folder, faults in list(_FAULTS.items()):
            if text.startswith(folder):
                faults.happens(f"{what} {Path(text).name}")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _CHANGES:
        _happens(event.removeprefix("os."), arguments[0])
    elif event == "open" and arguments[2] and arguments[2] & _WRITING:
        _happens("open", arguments[0])


class _File(io.FileIO):
    def write(self, data: Any) -> int:
        _happens("write", Path(f"/proc/self/fd/{self.fileno()}").readlink())
        return super().write(data)


@contextmanager
def _watched() -> Iterator[None]:
    """Let the operations that no hook of Python's tells about pass through here."""
    fsync = os.fsync

    def watched(descriptor: Any) -> None:
        number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        _happens("fsync", Path(f"/proc/self/fd/{number}").readlink())
        fsync(descriptor)

    sys.addaudithook(_hook)  # for as long as the process lives
    os.fsync = watched
    workbench.db.spool.FileIO = _File  # type: ignore[misc]
    patience, workbench.services.running.PATIENCE = workbench.services.running.PATIENCE, 0.3
    try:
        yield
    finally:
        os.fsync = fsync
        workbench.db.spool.FileIO = io.FileIO  # type: ignore[misc]
        workbench.services.running.PATIENCE = patience


def nth_write(place: Place, folder: Path, *, every: int = 1, workers: int = 4) -> Verdict:
    """Break each write of a batch during which the database goes away at its third group of answers."""
    away = Fault(kind="before", for_good=True)

    def count() -> list[str]:
        with (
            placed(place, folder) as (url, _, home),
            DatabaseProxy(url) as proxy,
            FileFaults(home / "spool") as files,
        ):
            with ScriptedServer(Reply(body=FINE, delay=0.005)) as provider:
                proxy.break_at(3, away, matching="UPDATE wb.executions")
                attempt(proxy.url, home, provider.url)
                proxy.up()
                attempt(url, home, provider.url)
            return files.done

    def trial(n: int, kind: str, *, for_good: bool) -> Trial:
        found = Trial(f"write {n} {kind}")
        with (
            placed(place, folder) as (url, admin_url, home),
            DatabaseProxy(url) as proxy,
            ScriptedServer(Reply(body=FINE, delay=0.005), bill=home / "bill") as provider,
            FileFaults(home / "spool", n=n, for_good=for_good) as files,
        ):
            proxy.break_at(3, away, matching="UPDATE wb.executions")

            def mend() -> None:
                proxy.up()
                if for_good:
                    attempt(proxy.url, home, provider.url)  # the database is back, the disk is not
                files.mend()

            judge(found, proxy.url, admin_url, home, provider, mend, may_lose=1)
        return found

    with _watched():
        written = count()
        writes = len(written)
        chosen = [
            (n, f"for {'good' if for_good else 'once'}", for_good)
            for n in range(1, writes + 1, every)
            for for_good in (False, True)
        ]
        return verdict_of(
            "every Nth write",
            {"writes": writes, "kinds": dict(Counter(each.split()[0] for each in written))},
            trial,
            chosen,
            workers,
        )
