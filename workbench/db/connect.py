"""Finding the database: an explicit URL, DATABASE_URL, the saved connection, or the embedded server."""

from __future__ import annotations

import fcntl
import getpass
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.db.embedded import EmbeddedServer
from workbench.db.embedded_files import filesystem_errors
from workbench.db.migrate import DATABASE
from workbench.db.urls import Target, parse_url, read_saved_url, save_connection
from workbench.errors import ConfigError, DatabaseUrlError, SchemaVersionError
from workbench.secret import Secret
from workbench.settings import Settings

__all__ = [
    "administrator_url",
    "embedded_admin_url",
    "embedded_person_url",
    "person_url",
    "saved_embedded_url",
    "shareable_url",
    "target_of",
]


def target_of(settings: Settings, url: str | None = None) -> Target:
    """Return where the database is, without touching it."""
    chosen = url or settings.database_url
    if chosen:
        return parse_url(chosen)
    saved = read_saved_url(settings.home)
    return Target(url=saved) if saved else Target(embedded=settings.home)


def person_url(
    settings: Settings, url: str | None = None, progress: Callable[[str], None] | None = None
) -> Secret:
    """Return the URL of the person's own login; starts and prepares the embedded server where that is the one.

    Args:
        settings: the process's settings.
        url: what the person typed; wins over the environment.
        progress: told, a line at a time, what takes long.

    """
    target = target_of(settings, url)
    if target.url is not None:
        return target.url
    return embedded_person_url(target.embedded or settings.home, settings, progress)


def shareable_url(settings: Settings, url: str | None = None) -> str:
    """Return a URL of the same database for a child process: it names a password file instead of a password."""
    target = target_of(settings, url)
    if target.url is None:
        return (target.embedded or settings.home).absolute().as_uri().replace("file:", "embedded:", 1)
    if "passfile=" in target.url.reveal():
        return target.url.reveal()
    place = settings.home / "shared"
    save_connection(place, target.url)
    saved = read_saved_url(place)
    return saved.reveal() if saved else target.url.reveal()


def embedded_admin_url(server: EmbeddedServer, database: str = DATABASE) -> Secret:
    """Return the URL of the embedded server's superuser."""
    return Secret(server.url(user=server.superuser, password=server.superuser_password, dbname=database))


def administrator_url(settings: Settings) -> Secret:
    """Return an administrator's URL of a database whose roles are ready, for a plain ``alembic`` command.

    ``WORKBENCH_ADMIN_URL``, else the embedded server's, which starts by itself.

    Raises:
        ConfigError: the database is an external one, and no administrator is known.

    """
    from workbench.db import bootstrap

    target = parse_url(settings.admin_url) if settings.admin_url else target_of(settings)
    if target.url is None:
        server = EmbeddedServer(target.embedded or settings.home, pg_bin=settings.pg_bin)
        server.ensure()
        bootstrap.create_database(embedded_admin_url(server, "postgres"), DATABASE)
        url = embedded_admin_url(server)
    elif settings.admin_url:
        url = target.url
    else:
        raise ConfigError(
            "an external database is migrated by an administrator", cure="set WORKBENCH_ADMIN_URL"
        )
    bootstrap.prepare_roles(url)
    return url


def saved_embedded_url(home: Path, server: EmbeddedServer) -> Secret | None:
    """Return the person's URL on their embedded server, or None before it was prepared; nothing is started."""
    saved = read_saved_url(home / "embedded")
    return _relocate(saved, server) if saved else None


def embedded_person_url(
    home: Path, settings: Settings, progress: Callable[[str], None] | None = None
) -> Secret:
    """Start the embedded server, make or migrate its database, and return the person's URL."""
    server = EmbeddedServer(home, pg_bin=settings.pg_bin)
    state = home / "embedded"
    with filesystem_errors(state):  # before a server runs that nobody could log in to
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    server.ensure(progress)
    saved = read_saved_url(state)
    if saved is None:
        with _lock(state / "lock"):
            saved = read_saved_url(state) or _prepare(server, state, progress)
    fresh = _relocate(saved, server)
    try:
        _migrate_if_older(server, fresh, progress)
    except DatabaseUrlError:  # the saved login is of a server that was removed
        with _lock(state / "lock"):
            fresh = _relocate(_prepare(server, state, progress), server)
    return fresh


def _prepare(server: EmbeddedServer, state: Path, progress: Callable[[str], None] | None) -> Secret:
    from workbench.db import bootstrap

    if progress:
        progress("preparing the database (once)")
    bootstrap.create_database(embedded_admin_url(server, "postgres"), DATABASE)
    bootstrap.prepare(embedded_admin_url(server))
    person = _person_name()
    url = bootstrap.register_person(
        embedded_admin_url(server), email=f"{person}@localhost", username=person, again=True
    )
    save_connection(state, url)
    return read_saved_url(state) or url


def _relocate(saved: Secret, server: EmbeddedServer) -> Secret:
    """Point the saved URL at the server's present socket (it moves with a copied home)."""
    from urllib.parse import parse_qsl, unquote, urlsplit

    parts = urlsplit(saved.reveal())
    passfile = dict(parse_qsl(parts.query)).get("passfile", "")
    password = _password_of(Path(passfile))
    return Secret(server.url(user=unquote(parts.username or ""), password=password, dbname=DATABASE))


def _password_of(passfile: Path) -> Secret:
    last = passfile.read_text(encoding="utf-8").strip().rsplit(":", 1)[-1]
    return Secret(last.replace("\\:", ":").replace("\\\\", "\\"))


def _migrate_if_older(server: EmbeddedServer, url: Secret, progress: Callable[[str], None] | None) -> None:
    """The embedded server is ours: bring it up to the code's revision and official rows by itself."""
    import psycopg

    from workbench.db.border import driver_errors
    from workbench.db.migrate import HEAD, upgrade
    from workbench.db.seed import SEEDED, official_digest

    with driver_errors(url), psycopg.connect(url.reveal()) as connection:
        row = connection.execute("SELECT max(version_num) FROM wb.alembic_version").fetchone()
        seeded = connection.execute(SEEDED).fetchone()
    found = row[0] if row else None
    if found is None:
        raise SchemaVersionError(
            "the embedded database is half made", cure="start afresh: workbench clean --database"
        )
    if found < HEAD:
        if progress:
            progress(f"migrating the database from {found} to {HEAD}")
        upgrade(embedded_admin_url(server))
    elif found == HEAD and seeded != (official_digest(),):
        if progress:
            progress("refreshing the prompt library and the model guide")
        upgrade(embedded_admin_url(server))


def _person_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
