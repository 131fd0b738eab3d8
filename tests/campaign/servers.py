"""A database of a campaign's own, whose commits reach the disk."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.campaign.nth import CASES, Place
from tests.embedded_help import cleaned
from workbench.db.connect import embedded_admin_url, embedded_person_url
from workbench.db.embedded import EmbeddedServer
from workbench.secret import Secret
from workbench.services.workbench import connect
from workbench.settings import Settings

__all__ = ["clones", "own_server"]


@contextmanager
def own_server(*, durable: bool = True) -> Iterator[tuple[EmbeddedServer, Secret, Path]]:
    """Give a server, a person's URL of its prepared database, and an empty folder.

    Args:
        durable: False where hundreds of copies are made and thrown away, and nothing stops the server.

    """
    with tempfile.TemporaryDirectory(prefix="campaign-") as name:
        home = Path(name)
        with cleaned(home / "home") as server:
            url = embedded_person_url(home / "home", Settings(home=home / "home"))
            (home / "folder").mkdir()
            if not durable:
                with psycopg.connect(
                    embedded_admin_url(server, "postgres").reveal(), autocommit=True
                ) as admin:
                    admin.execute("ALTER SYSTEM SET fsync = off")
                    admin.execute("SELECT pg_reload_conf()")
            yield server, url, home / "folder"


def clones(url: Secret, admin_url: Secret, home: Path) -> Place:
    """Put the batch of :mod:`tests.campaign.nth` into a database, which is then copied for each trial."""
    with connect(url.reveal(), settings=Settings(home=home)) as wb:
        wb.prompts.save("say", "Say {{ n }}")
        wb.datasets.save("rows", [{"n": n} for n in range(CASES)])
    template, login = urlsplit(url.reveal()).path.strip("/"), unquote(urlsplit(url.reveal()).username or "")
    postgres = _of_database(admin_url, "postgres")

    @contextmanager
    def clone() -> Iterator[tuple[Secret, Secret]]:
        name = f"trial_{secrets.token_hex(6)}"
        with psycopg.connect(postgres.reveal(), autocommit=True) as admin:
            _make(admin, "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy", name, template)
            _make(admin, "ALTER ROLE {} IN DATABASE {} SET search_path = wb, public", login, name)
            _make(admin, "GRANT CONNECT, TEMPORARY ON DATABASE {} TO wb_user", name)
        yield _of_database(url, name), _of_database(admin_url, name)
        with psycopg.connect(postgres.reveal(), autocommit=True) as admin:
            _make(admin, "DROP DATABASE {} WITH (FORCE)", name)

    return clone


def _make(admin: psycopg.Connection[Any], statement: str, *names: str) -> None:
    admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]


def _of_database(url: Secret, name: str) -> Secret:
    return Secret(urlunsplit(urlsplit(url.reveal())._replace(path=f"/{name}")))
