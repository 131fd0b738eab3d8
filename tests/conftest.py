"""Real servers for every test: one embedded PostgreSQL a session, one cloned database a test."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pg16
import psycopg
import pytest
from psycopg import sql

from workbench.db import bootstrap
from workbench.db.connect import embedded_admin_url
from workbench.db.embedded import EmbeddedServer
from workbench.secret import Secret
from workbench.services.workbench import Workbench, connect
from workbench.settings import Settings

_TEMPLATE = "template_workbench"

# A shell starts what it puts into the background deaf to Ctrl-C, and every child inherits that: here it is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Server:
    """A prepared server: an administrator's URL, and two people."""

    admin: Secret
    people: dict[str, Secret]

    def admin_url(self, database: str) -> Secret:
        return _with_database(self.admin, database)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's own database, keys or models."""
    for name in list(os.environ):
        if name.startswith(("WORKBENCH_", "PG")) or name in {"DATABASE_URL", "OPENROUTER_API_KEY"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session", params=["18", pytest.param("16", marks=pytest.mark.postgres16)])
def embedded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    """A server of this session's own: of the wheel, and of PostgreSQL 16 for the tests marked ``postgres16``.

    Whatever asks for a database is run on both. Clones are thrown away, so nothing waits for the disk; what must survive
    a crash is tested on servers of its own.
    """
    pg_bin = pg16.programs() if request.param == "16" else None
    server = EmbeddedServer(tmp_path_factory.mktemp("server"), pg_bin=pg_bin)
    server.ensure()
    with _place_of_clones(server) as place:
        with psycopg.connect(embedded_admin_url(server, "postgres").reveal(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE TABLESPACE clones LOCATION {}").format(str(place)))
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server
        server.stop(force=True)
    shutil.rmtree(server.data.parent, ignore_errors=True)  # for root it lies outside the temporary directory


@contextmanager
def _place_of_clones(server: EmbeddedServer) -> Iterator[Path]:
    """A directory for the clones' files, in memory where there is room.

    A clone has 340 files. Where as many were deleted a moment ago, as after each test, ext4 takes half a second to make
    them; in memory the whole clone takes 30 to 60 ms.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 1 << 30
    place = (memory if roomy else server.data.parent) / f"clones-{secrets.token_hex(8)}"
    place.mkdir(mode=0o700)
    owner = server.data.stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="session")
def server(embedded: EmbeddedServer) -> Server:
    """The session's server with a prepared template database and the people ann and bob."""
    return prepared(embedded_admin_url(embedded, _TEMPLATE))


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The name of a fresh clone of the template."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server.admin_url("postgres").reveal(), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy TABLESPACE clones").format(
                sql.Identifier(name), sql.Identifier(_TEMPLATE)
            )
        )
        for url in server.people.values():
            login = urlsplit(url.reveal()).username or ""
            connection.execute(
                sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = wb, public").format(
                    sql.Identifier(login), sql.Identifier(name)
                )
            )
        for grant in (
            "GRANT CONNECT, TEMPORARY ON DATABASE {} TO wb_user",
            "GRANT CREATE ON DATABASE {} TO wb_owner",
        ):
            connection.execute(sql.SQL(grant).format(sql.Identifier(name)))  # a clone does not inherit these
    yield name
    with psycopg.connect(server.admin_url("postgres").reveal(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def new_database(server: Server) -> Iterator[Secret]:
    """An administrator's URL of a database that does not exist yet."""
    name = f"new_{secrets.token_hex(6)}"
    yield server.admin_url(name)
    with psycopg.connect(server.admin_url("postgres").reveal(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def admin_url(server: Server, database: str) -> Secret:
    """The administrator's URL of the test's database."""
    return server.admin_url(database)


@pytest.fixture
def ann_url(server: Server, database: str) -> Secret:
    """Ann's URL of the test's database."""
    return _with_database(server.people["ann"], database)


@pytest.fixture
def bob_url(server: Server, database: str) -> Secret:
    """Bob's URL of the test's database."""
    return _with_database(server.people["bob"], database)


@pytest.fixture
def wb(ann_url: Secret, tmp_path: Path) -> Iterator[Workbench]:
    """Ann's workbench on a fresh database, with the shipped fake model as its default."""
    with connect(ann_url.reveal(), settings=Settings(home=tmp_path / "home", model="fake/echo")) as workbench:
        yield workbench


@pytest.fixture
def bobs_wb(bob_url: Secret, tmp_path: Path) -> Iterator[Workbench]:
    """Bob's workbench on the same database."""
    with connect(bob_url.reveal(), settings=Settings(home=tmp_path / "bob", model="fake/echo")) as workbench:
        yield workbench


def prepared(admin: Secret) -> Server:
    """Create and prepare the database that the URL names, with the people ann and bob."""
    name = urlsplit(admin.reveal()).path.strip("/")
    bootstrap.create_database(_with_database(admin, "postgres"), name)
    bootstrap.prepare(admin)
    people = {
        person: bootstrap.register_person(admin, email=f"{person}@example.org", username=person)
        for person in ("ann", "bob")
    }
    return Server(admin, people)


def _with_database(url: Secret, name: str) -> Secret:
    return Secret(urlunsplit(urlsplit(url.reveal())._replace(path=f"/{name}")))
