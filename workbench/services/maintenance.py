"""Looking after a database: start, stop, prepare, migrate the server, and hand out connections to it.

These verbs take ``Settings`` instead of a ``Workbench``: they are there for the time before one can be
opened, and for when it no longer can. What a check of everything finds is in ``services.checkup``.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from workbench.db import bootstrap, health
from workbench.db.border import driver_errors, place
from workbench.db.connect import embedded_person_url, person_url, target_of
from workbench.db.embedded import EmbeddedServer, ServerInfo
from workbench.db.migrate import HEAD, check_revision, upgrade
from workbench.db.urls import parse_url, read_saved_url, save_connection
from workbench.errors import (
    AccessDeniedError,
    ConfigError,
    DatabaseUrlError,
    EmbeddedServerError,
    NameTakenError,
)
from workbench.secret import Secret
from workbench.settings import Settings

__all__ = [
    "Prepared",
    "ServerStatus",
    "connection_url",
    "migrate",
    "prepare",
    "psql",
    "server_status",
    "start_server",
    "stop_server",
]

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerStatus:
    """Where the database is, and whether it runs.

    Attributes:
        kind: ``embedded`` or ``external``.
        running: it answers.
        place: the data directory, or database, host and port.
        version: of the server, such as ``18.6``; None when it does not run.
        pid: process id of an embedded server that runs.
        socket: directory of its socket.

    """

    kind: str
    running: bool
    place: str
    version: str | None = None
    pid: int | None = None
    socket: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.running:
            return f"{self.kind} server: not running; it starts by itself when it is needed\n{self.place}"
        process = f", process {self.pid}" if self.pid else ""
        return f"{self.kind} server: running, PostgreSQL {self.version}{process}\n{self.place}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A login that was made for a person.

    Attributes:
        place: database, host and port.
        username: of the person.
        revision: of the schema.
        file: where the connection was written, readable by this user alone.
        default: the workbench of this user connects with it from now on.

    """

    place: str
    username: str
    revision: str
    file: Path
    default: bool

    def __str__(self) -> str:
        done = f"{self.place} is ready (revision {self.revision}) and has a login for {self.username}"
        if self.default:
            return f"{done}\nthe connection is saved in {self.file}, and used from now on\n→ next: workbench lab, or in Python workbench.connect()"
        return (
            f"{done}\nits DATABASE_URL is in {self.file}; it holds the password, so hand it over in private\n"
            f"→ next: {self.username} puts it into the folder of their notebooks, named .env, and runs: workbench doctor"
        )


def start_server(settings: Settings, progress: Tell | None = None) -> ServerStatus:
    """Start the embedded server, and make or migrate its database.

    Raises:
        ConfigError: the database is an external one.
        EmbeddedServerError: it cannot start; the message says why.

    """
    embedded_person_url(_home(settings, "started"), settings, progress)
    return server_status(settings)


def stop_server(settings: Settings, *, force: bool = False) -> None:
    """Stop the embedded server; nothing happens where it does not run.

    Raises:
        ConfigError: the database is an external one.
        EmbeddedServerError: others are connected and ``force`` is not given.

    """
    server = EmbeddedServer(_home(settings, "stopped"), pg_bin=settings.pg_bin)
    if not server.stop(force=force):
        raise EmbeddedServerError(
            "the embedded server is in use by others",
            cure="close the notebooks that use it, or cut them off: workbench db stop --force",
        )


def server_status(settings: Settings) -> ServerStatus:
    """Look whether the server runs; nothing is started.

    Raises:
        DatabaseError: an external server does not answer.

    """
    target = target_of(settings)
    if target.url is not None:
        facts = health.examine(target.url)
        return ServerStatus(
            kind="external", running=True, place=place(target.url), version=facts.server_version
        )
    server = EmbeddedServer(target.embedded or settings.home, pg_bin=settings.pg_bin)
    info: ServerInfo | None = server.status()
    if info is None:
        return ServerStatus(kind="embedded", running=False, place=str(server.data))
    return ServerStatus(
        kind="embedded",
        running=True,
        place=str(info.data),
        version=info.version,
        pid=info.pid,
        socket=str(info.socket_dir),
    )


def connection_url(settings: Settings, progress: Tell | None = None) -> str:
    """Return a libpq URL of the person's own login that can be shown: its password is in a ``passfile``.

    Starts the embedded server where that is the one.
    """
    url = person_url(settings, progress=progress)
    if urlsplit(url.reveal()).password is None:
        return url.reveal()
    home = target_of(settings).embedded
    folder = home / "embedded" if home else settings.home / "external"
    save_connection(folder, url)
    saved = read_saved_url(folder)
    assert saved is not None  # noqa: S101 - written in the line before
    return saved.reveal()


def psql(
    settings: Settings, arguments: Sequence[str], progress: Tell | None = None
) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment of the bundled psql, logged in as the person.

    The login's own search path has ``wb`` first.

    Args:
        settings: the process's settings.
        arguments: for psql, such as ``["-c", "select 1"]``.
        progress: told what takes long.

    Raises:
        EmbeddedServerError: this PostgreSQL comes without psql.

    """
    target = target_of(settings)
    server = EmbeddedServer(target.embedded or settings.home, pg_bin=settings.pg_bin)
    program = server.program("psql")
    url = connection_url(settings, progress)
    # An external server may need PGSSLROOTCERT and the like.
    environment = server.environment() if target.url is None else dict(os.environ)
    return [str(program), f"--dbname={url}", *arguments], environment


def prepare(
    settings: Settings,
    admin_url: str,
    *,
    email: str | None = None,
    username: str | None = None,
    file: Path | None = None,
    progress: Tell | None = None,
) -> Prepared:
    """Prepare an external server (roles, extensions, schema) and make a login for one person.

    Args:
        settings: the process's settings.
        admin_url: URL of a superuser, or of a role with CREATEROLE that owns the database. A database
            that does not exist yet is made.
        email: of the person; by default made of the user name.
        username: of the person; by default this user's.
        file: where to write the person's ``DATABASE_URL``, for somebody else; by default the connection
            becomes this user's own.
        progress: told, a line at a time, what takes long.

    Raises:
        AccessDeniedError: the administrator's login may not create roles; ``home/roles.sql`` is what
            a superuser has to run to change that.
        NameTakenError: the person, a saved connection or the file is there already.

    """
    tell = progress or _silent
    url = _external(admin_url)
    name = username or _user_name()
    _require_free(settings.home / "connection" if file is None else file, default=file is None)
    tell(f"preparing {place(url)}")
    with _as_administrator(url, settings):
        _prepare_database(url, tell)
        person = bootstrap.register_person(url, email=email or f"{name}@localhost", username=name)
    if file is None:
        save_connection(settings.home, person)
    else:
        _write_secret(file, f"DATABASE_URL={person.reveal()}\n")
    written = file or settings.home / "connection"
    return Prepared(place=place(url), username=name, revision=HEAD, file=written, default=file is None)


def migrate(settings: Settings, admin_url: str | None = None, progress: Tell | None = None) -> str:
    """Bring the schema to the revision of this version of the workbench, and say what was done.

    Args:
        settings: the process's settings.
        admin_url: URL of an administrator of an external server; by default ``WORKBENCH_ADMIN_URL``.
        progress: told, a line at a time, what takes long.

    Raises:
        ConfigError: the server is an external one, and no administrator is known.
        SchemaVersionError: the database was never prepared, or is newer than the code.

    """
    target = target_of(settings)
    chosen = admin_url or settings.admin_url
    if chosen is None and target.embedded is not None:
        embedded_person_url(target.embedded, settings, progress)
        return f"the embedded database is at revision {HEAD}"
    if chosen is None:
        raise ConfigError(
            "an external database is migrated by an administrator",
            cure="workbench db migrate ADMIN_URL, or set WORKBENCH_ADMIN_URL",
        )
    url = _external(chosen)
    with _as_administrator(url):
        found = health.revision(url)
        if found is None or found > HEAD:
            check_revision(found)
        upgrade(url)  # at the head too: it refreshes the prompt library and the model guide
    if found == HEAD:
        return f"{place(url)} is at revision {HEAD} already"
    return f"{place(url)} was migrated from revision {found} to {HEAD}"


def _home(settings: Settings, verb: str) -> Path:
    target = target_of(settings)
    if target.url is not None:
        raise ConfigError(
            f"the database is {place(target.url)}, which is not {verb} from here",
            cure="for the embedded server, unset DATABASE_URL and move the saved connection away",
        )
    return target.embedded or settings.home


def _external(text: str) -> Secret:
    url = parse_url(text).url
    if url is None:
        raise DatabaseUrlError(
            "the embedded server needs no administrator",
            cure="it is prepared when it is first used: workbench db start",
        )
    return url


@contextmanager
def _as_administrator(url: Secret, settings: Settings | None = None) -> Iterator[None]:
    """Say what an administrator's login lacks, and with settings write what a superuser can do about it."""
    try:
        with driver_errors(url):
            yield
    except AccessDeniedError as error:
        cure = "use a superuser, or a role with CREATEROLE that owns the database"
        if settings is not None:
            cure += f"; or have a superuser run {_write_roles(settings.home, url)} with psql, then try again"
        raise AccessDeniedError(error.message, cure=cure) from error


def _write_roles(home: Path, url: Secret) -> Path:
    parts = urlsplit(url.reveal())
    path = home / "roles.sql"
    script = bootstrap.roles_sql(unquote(parts.username or _user_name()), unquote(parts.path.strip("/")))
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(script, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}",
            cure="set WORKBENCH_HOME to a directory that you may write to",
        ) from error
    return path


def _prepare_database(url: Secret, tell: Tell) -> None:
    try:
        bootstrap.prepare(url)
    except DatabaseUrlError:  # a wrong login fails again here, with its own message
        parts = urlsplit(url.reveal())
        name = unquote(parts.path.strip("/"))
        tell(f"making the database {name!r}")
        bootstrap.create_database(Secret(urlunsplit(parts._replace(path="/postgres"))), name)
        bootstrap.prepare(url)


def _require_free(path: Path, *, default: bool) -> None:
    if path.exists():
        cure = "for somebody else, add --file FILE; to replace yours, move that file away"
        raise NameTakenError(
            f"{path} holds a connection already" if default else f"{path} is there already",
            cure=cure if default else "choose another name",
        )


def _write_secret(path: Path, text: str) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", cure="name a file in a directory of yours"
        ) from error


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"


def _silent(_: str) -> None:
    """Tell nobody."""
