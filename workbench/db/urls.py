"""Database URLs: what people type, made into what the driver takes."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from workbench.errors import DatabaseUrlError
from workbench.secret import Secret

__all__ = ["Target", "conninfo_url", "driver_url", "parse_url", "read_saved_url", "save_connection"]

_EXAMPLE = "write it as postgresql://USER@HOST:5432/DATABASE, or embedded:///absolute/path"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where the database is.

    Attributes:
        embedded: home of an embedded server, or None for an external one.
        url: libpq URL (``postgresql://…``) of an external server, else None; a Secret, because it may hold a password.

    """

    embedded: Path | None = None
    url: Secret | None = None


def parse_url(text: str) -> Target:
    """Read a database URL as a person types it.

    Raises:
        DatabaseUrlError: the scheme is unknown, or the URL lacks its path or host.

    >>> parse_url("embedded:///tmp/x").embedded
    PosixPath('/tmp/x')
    """
    try:
        parts = urlsplit(text.strip())
        _ = parts.port
    except ValueError as error:
        raise DatabaseUrlError(f"the database URL cannot be read: {error}", cure=_EXAMPLE) from error
    scheme = parts.scheme.lower()
    if scheme == "embedded":
        if parts.netloc or not parts.path.startswith("/"):
            raise DatabaseUrlError(
                "an embedded URL needs an absolute path after three slashes", cure=_EXAMPLE
            )
        return Target(embedded=Path(unquote(parts.path)))
    if scheme.split("+")[0] not in {"postgres", "postgresql"}:
        raise DatabaseUrlError(
            f"{parts.scheme or 'no scheme'!r} is not a kind of database that the workbench knows",
            cure=_EXAMPLE,
        )
    if not parts.path.strip("/"):
        raise DatabaseUrlError("the database URL names no database", cure=_EXAMPLE)
    return Target(url=Secret(urlunsplit(("postgresql", parts.netloc, parts.path, parts.query, ""))))


def driver_url(url: Secret) -> str:
    """Return the URL with SQLAlchemy's psycopg driver named in it."""
    return "postgresql+psycopg" + url.reveal().removeprefix("postgresql")


def conninfo_url(url: Secret, **changes: str) -> Secret:
    """Return the URL with query parameters added or replaced."""
    parts = urlsplit(url.reveal())
    query = dict(parse_qsl(parts.query, keep_blank_values=True)) | changes
    return Secret(urlunsplit(parts._replace(query=urlencode(query))))


def save_connection(home: Path, url: Secret) -> Path:
    """Write the person's connection to ``home/connection`` (0600): the URL, password included.

    Returns:
        The path of the libpq password file written beside it, for tools that take ``passfile=``.

    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    parts = urlsplit(url.reveal())
    query = dict(parse_qsl(parts.query))
    password = unquote(parts.password or query.get("password", ""))
    host = query.get("host") or _host(parts.netloc) or "*"
    port = str(parts.port or query.get("port") or "*")
    line = ":".join(
        _escape(field)
        for field in (host, port, unquote(parts.path.strip("/")), unquote(parts.username or ""), password)
    )
    passfile = home / "pgpass"
    _write_private(passfile, line + "\n")
    user = quote(unquote(parts.username or ""), safe="")
    netloc = user + "@" + parts.netloc.rpartition("@")[2]
    query = {key: value for key, value in query.items() if key != "password"} | {"passfile": str(passfile)}
    _write_private(
        home / "connection", urlunsplit(parts._replace(netloc=netloc, query=urlencode(query))) + "\n"
    )
    return passfile


def read_saved_url(home: Path) -> Secret | None:
    """Return the person's saved connection, or None.

    Raises:
        DatabaseUrlError: the file can be read by others.

    """
    path = home / "connection"
    if not path.is_file():
        return None
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise DatabaseUrlError(f"{path} can be read by other people", cure=f"chmod 600 {path}")
    return Secret(path.read_text(encoding="utf-8").strip())


def _host(netloc: str) -> str:
    """Return the host as it is written: libpq compares it with the password file letter by letter."""
    place = netloc.rpartition("@")[2]
    return unquote(place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0])


def _escape(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")


def _write_private(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(text, encoding="utf-8")
    part.replace(path)
