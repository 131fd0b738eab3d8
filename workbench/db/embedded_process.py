"""Processes of the embedded server: how it is started and stopped, and whether it is alive.

A process id in a file proves nothing: after a crash it may be a zombie's, or by now somebody else's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from workbench.db.embedded_files import Account
from workbench.db.embedded_programs import clean_environment
from workbench.errors import EmbeddedServerError

__all__ = [
    "PidFile",
    "end_leftovers",
    "is_alive",
    "log_tail",
    "server_process",
    "spawn_server",
    "stop_process",
]

_DEAD = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})
_CLOCK_SLACK = 5.0  # seconds between a process's creation and what it wrote into its file


@dataclass(frozen=True, kw_only=True)
class PidFile:
    """What ``postmaster.pid`` or a socket's lock file says.

    Attributes:
        pid: the process that wrote it.
        started: when, in seconds since the epoch.
        port: the number in the socket's name.
        socket_dir: the directory of the socket; empty until the server has opened it.
        state: ``starting``, ``ready``, ``stopping``, or empty.

    """

    pid: int
    started: float
    port: int
    socket_dir: str
    state: str

    @classmethod
    def read(cls, path: Path) -> PidFile | None:
        """Read the file; None where it is missing, empty or cut short."""
        try:
            lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            pid, started, port = int(lines[0]), float(lines[2]), int(lines[3])
        except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
            return None
        socket_dir, *_, state = (*lines[4:8], "", "", "", "")[:4]
        # A single-user backend writes its process id with a minus.
        return cls(pid=abs(pid), started=started, port=port, socket_dir=socket_dir, state=state.strip())

    @property
    def reachable(self) -> bool:
        """Whether the server accepts clients and its socket is still there."""
        return self.state == "ready" and Path(self.socket_dir, f".s.PGSQL.{self.port}").exists()


def server_process(record: PidFile, data: Path) -> psutil.Process | None:
    """Return the live PostgreSQL process that a file speaks of.

    It must not be a zombie, run ``postgres``, and work in this very data directory. Its creation
    time is asked only where the system hides the rest: a corrected clock would make it a stranger.
    """
    try:
        process = psutil.Process(record.pid)
        if process.status() in _DEAD:
            return None
        try:
            same = "postgres" in Path(process.exe()).name and os.path.samestat(
                _directory(process), data.stat()
            )
        except (psutil.AccessDenied, PermissionError):
            same = "postgres" in process.name() and abs(process.create_time() - record.started) < _CLOCK_SLACK
    except (psutil.NoSuchProcess, FileNotFoundError):
        return None
    return process if same else None


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() not in _DEAD
    except psutil.NoSuchProcess:
        return False


def end_leftovers(*directories: Path) -> None:
    """End PostgreSQL's processes that still work in a directory without being its server.

    Backends that outlived a killed postmaster hold its shared memory; so does a server whose
    directory was deleted under it; an initdb whose starter was killed goes on writing.
    """
    found = [
        process for process in psutil.process_iter() if any(_works_in(process, each) for each in directories)
    ]
    for kill in (signal.SIGQUIT, signal.SIGKILL):
        for process in found:
            try:
                process.send_signal(kill)
            except psutil.NoSuchProcess:
                continue
        _, found = psutil.wait_procs(found, timeout=5)


def _works_in(process: psutil.Process, directory: Path) -> bool:
    try:
        name = Path(process.exe()).name
        if "postgres" not in name and name != "initdb":
            return False
        info = _directory(process)
        deleted = info.st_nlink == 0 and process.cwd() == os.path.realpath(directory)
        return deleted or os.path.samestat(info, directory.stat())
    except (psutil.Error, OSError):
        return False  # gone meanwhile, not ours to look at, or no data directory yet


def _directory(process: psutil.Process) -> os.stat_result:
    """Stat the working directory itself: a path means another thing inside a container, or after deletion."""
    return Path(f"/proc/{process.pid}/cwd" if psutil.LINUX else process.cwd()).stat()


def stop_process(record: PidFile, data: Path, *, timeout: float, force: bool) -> None:
    """Stop a server: clients are cut off, what they committed is on disk.

    Args:
        record: what its pid file says.
        data: its data directory.
        timeout: seconds to wait.
        force: after that time, let it end without a checkpoint (the next start recovers).

    Raises:
        EmbeddedServerError: it is still running, or belongs to another user.

    """
    for kill in (signal.SIGINT, signal.SIGQUIT) if force else (signal.SIGINT,):
        process = server_process(record, data)
        if process is None:
            return
        try:
            process.send_signal(kill)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied as error:
            message = f"the embedded server (process {record.pid}) belongs to another user"
            raise EmbeddedServerError(message, cure="stop it as that user") from error
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if server_process(record, data) is None:
                return
            time.sleep(0.01)
    message = f"the embedded server (process {record.pid}) did not stop within {timeout:g} s"
    raise EmbeddedServerError(message, cure="workbench db stop --force")


def spawn_server(command: Sequence[str | Path], account: Account, *, log: Path, held: int) -> int:
    """Start the server in a session of its own, as nobody's child, and return its process id.

    Args:
        command: program and arguments.
        account: who it runs as.
        log: file that its messages are added to.
        held: descriptor of a locked file; every process of the server inherits it, so the lock
            lives exactly as long as they do, in whichever container one looks.

    """
    # The shell ends at once: the server is adopted by init and never becomes this process's zombie.
    script = '"$@" >&2 & echo $!'
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        done = subprocess.run(  # noqa: S603 - a program of the chosen directory
            ["/bin/sh", "-c", script, "sh", *command],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            cwd="/",
            env=clean_environment(),
            start_new_session=True,
            pass_fds=(held,),
            umask=0o077,
            **account.spawn,
        )
    finally:
        os.close(descriptor)
    return int(done.stdout)


def log_tail(log: Path, start: int) -> str:
    """Return the last lines written after byte ``start``."""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 4000))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return "\n".join(lines[-20:])
