"""The embedded server: a PostgreSQL of the person's own that starts when it is needed.

Nothing to install, no port, no password to choose: the first call makes a data directory, every
later one finds the server running or starts it. It outlives the process that started it, so a
restarted kernel finds its data at once; :meth:`EmbeddedServer.stop` ends it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from workbench.db.embedded_files import (
    PORT,
    filesystem_errors,
    held_lock,
    locate,
    new_password,
    private_directory,
    read_password,
    require_space,
)
from workbench.db.embedded_process import PidFile, end_leftovers, log_tail, server_process, spawn_server, stop_process
from workbench.db.embedded_programs import (
    clean_environment,
    find_programs,
    program_version,
    readable_programs,
    run_program,
    server_settings,
)
from workbench.errors import DiskFullError, EmbeddedServerError
from workbench.secret import Secret

__all__ = ["EmbeddedServer", "ServerInfo"]

_SPACE_TO_START = 32_000_000  # bytes; below two WAL segments a failed start has one likely reason
_LOG_LIMIT = 1_000_000  # bytes, after which the log is set aside at the next start
_BUILTIN_LOCALE_SINCE = 17


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """A running embedded server.

    Attributes:
        data: its data directory.
        socket_dir: directory of its socket.
        port: the number in the socket's name; it listens on no network address.
        pid: its process id.
        version: its version, such as ``"18.6"``.
        started: whether this call started it.
        seconds: how long this call took.

    """

    data: Path
    socket_dir: Path
    port: int
    pid: int
    version: str
    started: bool
    seconds: float


class EmbeddedServer:
    """The embedded server of one home.

    >>> server = EmbeddedServer(settings.home, pg_bin=settings.pg_bin)
    >>> server.ensure().version
    '18.6'

    Attributes:
        data: the data directory. For root it may lie under ``/var/lib/workbench``.
        superuser: name of the server's superuser; it logs in with a password like everybody else.
        timeout: seconds that a start or a stop may take.
        needed_bytes: free space without which no database is begun.

    Args:
        home: ``Settings.home``, or the path of an ``embedded:///path`` URL.
        pg_bin: directory of PostgreSQL's programs to prefer (``WORKBENCH_PG_BIN``).

    """

    superuser = "wb_admin"
    timeout = 60.0
    needed_bytes = 500_000_000

    def __init__(self, home: Path, *, pg_bin: Path | None = None) -> None:
        self._pg_bin = pg_bin
        self._layout = locate(home)
        self.data = self._layout.data

    @property
    def superuser_password(self) -> Secret:
        """The superuser's password, from a file that only its owner can read."""
        return read_password(self._layout)

    def ensure(self, progress: Callable[[str], None] | None = None) -> ServerInfo:
        """Return the running server; make, recover and start it where that is needed.

        Safe to call from several processes at once: one of them does the work.

        Args:
            progress: told in a few words what takes time.

        Raises:
            EmbeddedServerError: it cannot start; the message says why.
            DiskFullError: too little space is left for it.

        """
        began = time.perf_counter()
        with filesystem_errors(self._layout.base):
            info = self._running(began)
            if info is None:
                self._layout.account.require_entry()
                self._layout.prepare()
                with held_lock(self._layout.start_lock, timeout=2 * self.timeout, busy="another process that starts or stops the server"):
                    started = not self._settle()
                    if started:
                        self._start(progress or _silent)
                    info = self._running(began)
        if info is None:
            raise EmbeddedServerError("the embedded server ended right after its start", cure=f"read {self._layout.log}")
        return replace(info, started=started) if info.started else info

    def status(self) -> ServerInfo | None:
        """Return the server where it runs and accepts clients, else None; nothing is started."""
        with filesystem_errors(self._layout.base):
            return self._running(time.perf_counter())
