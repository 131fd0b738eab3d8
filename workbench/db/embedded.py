"""The embedded server: a PostgreSQL of the person's own that starts when it is needed.

Nothing to install, no port, no password to choose: the first call makes a data directory, every
later one finds the server running or starts it. It outlives the process that started it, so a
restarted kernel finds its data at once; :meth:`EmbeddedServer.stop` ends it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
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
    sync_directory,
)
from workbench.db.embedded_process import (
    PidFile,
    end_leftovers,
    is_alive,
    log_tail,
    server_process,
    spawn_server,
    stop_process,
)
from workbench.db.embedded_programs import (
    Programs,
    clean_environment,
    find_programs,
    load_programs,
    run_program,
    server_settings,
)
from workbench.errors import DatabaseError, DiskFullError, EmbeddedServerError
from workbench.secret import Secret

__all__ = ["EmbeddedServer", "ServerInfo"]

_SPACE_TO_START = 32_000_000  # bytes; below two WAL segments a failed start has one likely reason
_LOG_LIMIT = 1_000_000  # bytes, after which the log is set aside at the next start
_BUILTIN_LOCALE_SINCE = 17
_OTHER_CLIENTS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())"
_FAREWELL = 0.5  # seconds in which a client that has just left disappears from pg_stat_activity


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
        with filesystem_errors(home):
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
            record, started = self._ready(), False
            if record is None:
                record, started = self._bring_up(progress or _silent)
            return self._info(record, began=began, started=started)

    def status(self) -> ServerInfo | None:
        """Return the server where it runs and accepts clients, else None; nothing is started."""
        began = time.perf_counter()
        with filesystem_errors(self._layout.base):
            record = self._ready()
            return self._info(record, began=began, started=False) if record else None

    def stop(self, *, force: bool = False) -> bool:
        """Stop the server unless somebody is using it.

        Args:
            force: cut off the clients that are still connected.

        Returns:
            True where it does not run any more (or never did), False where it has other clients.

        Raises:
            EmbeddedServerError: it does not stop, or cannot be asked who is connected.

        """
        layout = self._layout
        with filesystem_errors(layout.base):
            if not layout.pid_file.exists():
                return True
            with self._start_lock():
                record = self._settle()
                if record is None:
                    end_leftovers(self.data)
                    return True
                if not force and self._other_clients():
                    return False
                stop_process(record, self.data, timeout=self.timeout, force=force)
                return True

    def url(self, *, user: str, password: Secret | None, dbname: str) -> str:
        """Return a libpq URL over the socket.

        >>> server.url(user="ann", password=None, dbname="workbench")
        'postgresql://ann@/workbench?host=%2Fhome%2Fann%2F.local%2Fshare%2Fworkbench%2Fpostgres%2Frun&port=5432'
        """
        record = PidFile.read(self._layout.pid_file)
        host = record.socket_dir if record and record.socket_dir else str(self._layout.socket_dir)
        login = quote(user, safe="") + (f":{quote(password.reveal(), safe='')}" if password else "")
        return f"postgresql://{login}@/{quote(dbname, safe='')}?host={quote(host, safe='')}&port={PORT}"

    def program(self, name: str) -> Path:
        """Return the path of one of PostgreSQL's programs, such as ``psql`` or ``pg_dump``.

        Raises:
            EmbeddedServerError: this PostgreSQL comes without it.

        """
        path = find_programs(self._pg_bin) / name
        if not path.exists():
            raise EmbeddedServerError(
                f"there is no {name} in {path.parent}", cure="set WORKBENCH_PG_BIN to a directory that has it"
            )
        return path

    def environment(self) -> dict[str, str]:
        """Return the environment for those programs: no PG* variables, no LD_LIBRARY_PATH, no keys."""
        return clean_environment()

    def _ready(self) -> PidFile | None:
        record = PidFile.read(self._layout.pid_file)
        return record if record and record.reachable and server_process(record, self.data) else None

    def _info(self, record: PidFile, *, began: float, started: bool) -> ServerInfo:
        try:
            version = self._layout.version.read_text(encoding="utf-8")
        except FileNotFoundError:  # somebody started it by hand
            version = self._data_major()
        return ServerInfo(
            data=self.data,
            socket_dir=Path(record.socket_dir),
            port=record.port,
            pid=record.pid,
            version=version,
            started=started,
            seconds=time.perf_counter() - began,
        )

    def _start_lock(self) -> AbstractContextManager[int]:
        busy = "another process that starts or stops the embedded server"
        return held_lock(self._layout.start_lock, timeout=2 * self.timeout, busy=busy)

    def _bring_up(self, progress: Callable[[str], None]) -> tuple[PidFile, bool]:
        self._layout.account.require_entry()
        self._layout.prepare()
        with self._start_lock():
            record = self._settle()
            return (record, False) if record else (self._start(progress), True)

    def _settle(self) -> PidFile | None:
        """Wait for a server that is starting or stopping; end one that nobody can reach any more."""
        deadline = time.monotonic() + self.timeout
        while True:
            record = PidFile.read(self._layout.pid_file)
            if record is None or server_process(record, self.data) is None:
                return None
            if record.reachable:
                return record
            if record.state == "ready":  # its socket was deleted
                stop_process(record, self.data, timeout=self.timeout, force=True)
                return None
            if time.monotonic() > deadline:
                message = f"the embedded server (process {record.pid}) is still {record.state or 'starting'} after {self.timeout:g} s"
                raise EmbeddedServerError(
                    message, cure="wait a little and try again; it may be recovering from a crash"
                )
            time.sleep(0.01)

    def _start(self, progress: Callable[[str], None]) -> PidFile:
        layout = self._layout
        programs = load_programs(self._pg_bin, layout.account)
        leftovers = (layout.pid_file, layout.socket_lock, layout.socket)
        if not self.data.exists() or any(path.exists() for path in leftovers):
            end_leftovers(self.data, layout.new_data)
        busy = "a PostgreSQL server that cannot be seen from here (in another container, or another user's)"
        with held_lock(layout.server_lock, timeout=min(self.timeout, 10), busy=busy) as held:
            # No process of this server is alive, so these were left by a crash.
            for path in leftovers:
                path.unlink(missing_ok=True)
            if not self.data.exists():
                self._create(programs, held, progress)
            self._check_major(programs)
            read_password(layout)
            progress(f"starting PostgreSQL {programs.version}")
            return self._spawn(programs, held)

    def _create(self, programs: Programs, held: int, progress: Callable[[str], None]) -> None:
        """Make the data directory beside its place, then put it there in one step."""
        layout = self._layout
        require_space(layout.base, self.needed_bytes)
        progress(f"creating a PostgreSQL {programs.version} database (once, a few seconds)")
        if layout.new_data.exists():
            shutil.rmtree(layout.new_data)
        private_directory(layout.new_data, layout.account)
        new_password(layout)
        options = [
            f"--pgdata={layout.new_data}",
            f"--pwfile={layout.password}",
            f"--username={self.superuser}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--data-checksums",
            "--no-instructions",
            "--set=shared_buffers=128MB",
            "--set=max_connections=50",
        ]
        if programs.major >= _BUILTIN_LOCALE_SINCE:
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command: list[str | Path] = [programs.directory / "initdb", *options]
        run_program(command, layout.account, timeout=5 * self.timeout, cwd=layout.new_data, held=[held])
        layout.new_data.rename(self.data)
        sync_directory(layout.base)

    def _data_major(self) -> str:
        try:
            return (self.data / "PG_VERSION").read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise EmbeddedServerError(
                f"{self.data} is no PostgreSQL data directory", cure="move it away, then try again"
            ) from error

    def _check_major(self, programs: Programs) -> None:
        found = self._data_major()
        if found != str(programs.major):
            message = f"{self.data} was written by PostgreSQL {found}, and the programs in {programs.directory} are PostgreSQL {programs.major}; the directory is kept as it is"
            cure = (
                f"set WORKBENCH_PG_BIN to the programs of PostgreSQL {found} to go on with it; to change over, dump it with "
                f"their pg_dump, move {self._layout.base} away, and load the dump with `workbench db psql -f FILE`"
            )
            raise EmbeddedServerError(message, cure=cure)

    def _spawn(self, programs: Programs, held: int) -> PidFile:
        layout = self._layout
        if not layout.version.exists() or layout.version.read_text(encoding="utf-8") != programs.version:
            layout.version.write_text(programs.version, encoding="utf-8")
        if layout.log.exists() and layout.log.stat().st_size > _LOG_LIMIT:
            layout.log.replace(layout.log.with_suffix(".log.1"))
        begin = layout.log.stat().st_size if layout.log.exists() else 0
        settings = server_settings(programs, layout.socket_dir)
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        pid = spawn_server(
            [programs.directory / "postgres", "-D", self.data, *options],
            layout.account,
            log=layout.log,
            held=held,
        )
        deadline = time.monotonic() + self.timeout
        while is_alive(pid) and time.monotonic() < deadline:
            record = PidFile.read(layout.pid_file)
            if record and record.pid == pid and record.reachable:
                return record
            time.sleep(0.005)
        raise self._start_failure(begin, alive=is_alive(pid))

    def _start_failure(self, begin: int, *, alive: bool) -> DatabaseError:
        said = log_tail(self._layout.log, begin)
        free = shutil.disk_usage(self.data).free
        if free < _SPACE_TO_START:
            return DiskFullError(
                f"the embedded server cannot start with {free} bytes free at {self.data}:\n{said}",
                cure="free some space, then try again",
            )
        if alive:
            message = f"the embedded server is not ready after {self.timeout:g} s; its log ends:\n{said}"
            return EmbeddedServerError(
                message, cure="wait a little and try again; it may be recovering from a crash"
            )
        return EmbeddedServerError(
            f"the embedded server ended while it started; its log ends:\n{said}",
            cure=f"see {self._layout.log}",
        )

    def _other_clients(self) -> bool:
        import psycopg

        url = self.url(user=self.superuser, password=self.superuser_password, dbname="postgres")
        try:
            with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
                deadline = time.monotonic() + _FAREWELL
                while connection.execute(_OTHER_CLIENTS).fetchone() == (True,):
                    if time.monotonic() > deadline:
                        return True
                    time.sleep(0.02)
        except psycopg.Error as error:
            message = f"the embedded server cannot be asked who is connected: {error}"
            raise EmbeddedServerError(message, cure="workbench db stop --force") from error
        return False


def _silent(_: str) -> None:
    """Tell nobody."""
