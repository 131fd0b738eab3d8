"""A server of somebody else's: its administrator is no superuser, and what is missing is said with the cure."""

from __future__ import annotations

import secrets
import subprocess
from urllib.parse import quote, urlsplit, urlunsplit

import pg16
import psycopg
import pytest
from embedded_help import cleaned
from psycopg import sql

from workbench.db import bootstrap
from workbench.db.connect import embedded_admin_url
from workbench.db.engine import Database
from workbench.db.migrate import HEAD
from workbench.errors import AccessDeniedError, DatabaseUrlError, SchemaVersionError
from workbench.secret import Secret
from workbench.services.checkup import health
from workbench.services.maintenance import migrate, prepare
from workbench.services.workbench import connect
from workbench.settings import Settings


# Roles belong to a whole server, and the test about the first administrator needs a server without them.
@pytest.fixture(scope="module", params=["18", pytest.param("16", marks=pytest.mark.postgres16)])
def cluster(request, tmp_path_factory):
    """A server on which nobody has prepared anything."""
    pg_bin = pg16.programs() if request.param == "16" else None
    with cleaned(tmp_path_factory.mktemp("cluster"), pg_bin=pg_bin) as server:
        server.ensure()
        yield server


@pytest.fixture
def role(cluster):
    """Make a login with these options; gives its URL of the database ``postgres``."""

    def make(options):
        name, password = f"dba {secrets.token_hex(3)}", secrets.token_hex(8)
        with psycopg.connect(embedded_admin_url(cluster, "postgres").reveal(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(
                    sql.Identifier(name), sql.Literal(password), sql.SQL(options)
                )
            )
        return Secret(cluster.url(user=name, password=Secret(password), dbname="postgres"))

    return make


def of_database(url, name):
    return Secret(urlunsplit(urlsplit(url.reveal())._replace(path=f"/{quote(name)}")))


def works(url, home):
    """Save and run a prompt as the person of that URL; returns how many answers the person sees."""
    with connect(url.reveal(), settings=Settings(home=home, model="fake/echo")) as wb:
        wb.prompts.save("say", "Say {{ n }}")
        wb.run("say", data=[{"n": 1}, {"n": 2}], progress=False)
        return len(wb.frames.executions())


def test_a_login_on_a_server_where_nothing_is_prepared_is_told_what_to_do(role):
    with pytest.raises(SchemaVersionError, match="no workbench schema") as caught:
        Database(role(""))
    assert "workbench db init" in caught.value.cure


def test_an_owner_with_createrole_prepares_the_database_and_people_work_in_it(role, tmp_path):
    dba, name = role("CREATEROLE CREATEDB"), f"team {secrets.token_hex(3)}"
    bootstrap.create_database(dba, name)
    admin = of_database(dba, name)
    for _ in range(2):  # safe to repeat
        bootstrap.prepare(admin)
    people = [
        bootstrap.register_person(admin, email=f"{who}@example.org", username=who) for who in ("ann", "bob")
    ]
    assert [works(person, tmp_path / str(n)) for n, person in enumerate(people)] == [2, 2]
    assert f"revision {HEAD} already" in migrate(Settings(home=tmp_path), admin.reveal())
    settings = Settings(home=tmp_path, database_url=admin.reveal())
    with pytest.raises(DatabaseUrlError, match="administrator"):
        connect(settings=settings)
    assert [check.name for check in health(settings) if check.status == "fail"] == ["login"]
    stranger = of_database(role(""), name)
    with pytest.raises(DatabaseUrlError, match="refuses this login"):
        connect(stranger.reveal(), settings=settings)


@pytest.mark.parametrize("options", ["", "CREATEROLE CREATEDB"], ids=["without", "with"])
def test_roles_sql_makes_an_administrator_of_a_login(cluster, role, tmp_path, options):
    """One login lacks CREATEROLE; the other has it, but the roles were made by somebody else."""
    bootstrap.create_database(embedded_admin_url(cluster, "postgres"), "first")
    bootstrap.prepare_roles(embedded_admin_url(cluster, "first"))
    login, name = role(options), f"it's {secrets.token_hex(3)}"
    settings = Settings(home=tmp_path / "home")
    admin = of_database(login, name)
    with pytest.raises(AccessDeniedError, match="permission denied") as caught:
        prepare(settings, admin.reveal(), username="ann")
    script = settings.home / "roles.sql"
    assert "CREATEROLE" in caught.value.cure
    assert str(script) in caught.value.cure
    assert login.reveal().split(":")[2].split("@")[0] not in script.read_text()
    psql(cluster, script)
    psql(cluster, script)  # safe to repeat
    done = prepare(settings, admin.reveal(), username="ann")
    assert done.default
    assert works(Secret((settings.home / "connection").read_text().strip()), settings.home) == 2


def psql(cluster, script):
    """Run a script as a superuser would."""
    url = cluster.url(user=cluster.superuser, password=None, dbname="postgres")
    command = [cluster.program("psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--file", script, url]
    environment = {**cluster.environment(), "PGPASSWORD": cluster.superuser_password.reveal()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("version", "accepted"), [(150013, False), (159999, False), (160000, True), (180003, True)]
)
def test_a_server_before_16_is_refused(version, accepted):
    if accepted:
        bootstrap.check_server(version)
        return
    with pytest.raises(SchemaVersionError, match="PostgreSQL 15; the workbench needs 16") as caught:
        bootstrap.check_server(version)
    assert caught.value.cure
