"""A migration that dies at any of its statements leaves the old schema or the new one, never something between."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.proxy import DatabaseProxy, Fault
from workbench.db import bootstrap
from workbench.db.migrate import HEAD, upgrade
from workbench.errors import DatabaseError, SchemaVersionError, ServerUnavailableError
from workbench.services.maintenance import migrate
from workbench.services.workbench import connect
from workbench.settings import Settings

pytestmark = pytest.mark.slow

#: One of so many statements is broken; the campaign breaks each of them, which takes some minutes.
EVERY = int(os.environ.get("CAMPAIGN_EVERY", "32"))
BEFORE = f"{int(HEAD) - 1:04d}"

# Everything that a migration can change, and who may do what with it.
FINGERPRINT = """
SELECT md5(string_agg(line, E'\n' ORDER BY line)) FROM (
    SELECT concat('column ', attrelid::regclass, ' ', attname, ' ', format_type(atttypid, atttypmod), attnotnull) AS line
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE relnamespace = ANY (ns) AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT concat('relation ', oid::regclass, relkind, relacl, relrowsecurity, relforcerowsecurity)
    FROM pg_class WHERE relnamespace = ANY (ns)
    UNION ALL SELECT concat('constraint ', conrelid::regclass, ' ', conname, ' ', pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = ANY (ns)
    UNION ALL SELECT concat('index ', pg_get_indexdef(indexrelid))
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = ANY (ns)
    UNION ALL SELECT concat('function ', oid::regprocedure, ' ', md5(prosrc), proacl) FROM pg_proc WHERE pronamespace = ANY (ns)
    UNION ALL SELECT concat('trigger ', pg_get_triggerdef(t.oid))
    FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = ANY (ns) AND NOT tgisinternal
    UNION ALL SELECT concat('policy ', polrelid::regclass, ' ', polname, ' ', pg_get_expr(polqual, polrelid), ' ',
                            pg_get_expr(polwithcheck, polrelid))
    FROM pg_policy JOIN pg_class c ON c.oid = polrelid WHERE relnamespace = ANY (ns)
    UNION ALL SELECT concat('view ', oid::regclass, ' ', pg_get_viewdef(oid))
    FROM pg_class WHERE relnamespace = ANY (ns) AND relkind = 'v'
) everything
"""


def fingerprint(url):
    with psycopg.connect(url.reveal()) as connection:
        spaces = (
            "(SELECT coalesce(array_agg(oid), '{}') FROM pg_namespace WHERE nspname IN ('wb', 'wb_priv'))"
        )
        found = connection.execute(FINGERPRINT.replace("ANY (ns)", f"ANY ({spaces}::oid[])")).fetchone()[0]
        known = connection.execute("SELECT to_regclass('wb.alembic_version') IS NOT NULL").fetchone()[0]
        revision = None
        if known:
            revision = connection.execute("SELECT max(version_num) FROM wb.alembic_version").fetchone()[0]
        return found, revision


@pytest.fixture
def clone(server, new_database):
    """Make throw-away copies of the new database."""

    @contextmanager
    def make():
        name = f"copy_{secrets.token_hex(6)}"
        source = urlsplit(new_database.reveal()).path.strip("/")
        with psycopg.connect(server.admin_url("postgres").reveal(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(
                    sql.Identifier(name), sql.Identifier(source)
                )
            )
            try:
                connection.execute(
                    sql.SQL("GRANT CREATE ON DATABASE {} TO wb_owner").format(sql.Identifier(name))
                )
                yield server.admin_url(name)
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    return make


@pytest.fixture
def old(server, new_database):
    """Bring the new database to a revision before the newest; None stands for one that was only created."""

    def make(revision):
        name = urlsplit(new_database.reveal()).path.strip("/")
        bootstrap.create_database(server.admin_url("postgres"), name)
        bootstrap.prepare_roles(new_database)
        if revision:
            upgrade(new_database, revision)

    return make


def statements_of(clone):
    """Migrate a copy undisturbed; gives its statements and what it was made into."""
    with clone() as url, DatabaseProxy(url) as proxy:
        upgrade(proxy.lead(url))
        return [each.text for each in proxy.statements], fingerprint(url)


def breaks_at(clone, n, kind, old_one, new_one):
    with clone() as url, DatabaseProxy(url) as proxy:
        done = proxy.break_at(n, Fault(kind=kind))
        with pytest.raises(DatabaseError) as caught:
            upgrade(proxy.lead(url))
        assert done.is_set()
        assert type(caught.value) is ServerUnavailableError
        found = fingerprint(url)
        assert found in {old_one, new_one}
        upgrade(url)
        assert fingerprint(url) == new_one
        return found == new_one


@pytest.mark.slow
def test_the_newest_migration_dies_at_any_of_its_statements(clone, old, new_database):
    old(BEFORE)
    statements, new_one = statements_of(clone)
    old_one = fingerprint(new_database)
    assert (old_one[1], new_one[1]) == (BEFORE, HEAD)
    arrived = []
    for n, text in enumerate(statements, 1):
        if n % EVERY and text != "COMMIT":
            continue
        kinds = ("before", "after") if text in {"COMMIT", "BEGIN"} else (("before", "after", "torn")[n % 3],)
        arrived += [(text, kind) for kind in kinds if breaks_at(clone, n, kind, old_one, new_one)]
    # Only from the commit of the migration on is the database a new one.
    assert {text for text, _ in arrived} <= {"COMMIT", "BEGIN", "ROLLBACK"} | set(statements[-3:])
    assert ("COMMIT", "after") in arrived
    print(f"{len(statements)} statements")  # noqa: T201 - for the campaign


@pytest.mark.slow
def test_a_database_whose_first_preparation_dies_is_empty_or_whole(clone, old, new_database):
    old(None)
    statements, new_one = statements_of(clone)
    empty = fingerprint(new_database)
    with clone() as url:  # the schemas themselves are made first, in a transaction of their own
        with psycopg.connect(url.reveal()) as connection:
            connection.execute("SET ROLE wb_owner; CREATE SCHEMA wb; CREATE SCHEMA wb_priv")
        assert fingerprint(url)[0] == empty[0]
    for n in range(5, len(statements), len(statements) // 4):
        breaks_at(clone, n, "before", empty, new_one)


def test_a_database_of_a_newer_package_is_refused_by_every_door(
    server, database, admin_url, ann_url, tmp_path
):
    with psycopg.connect(admin_url.reveal()) as connection:
        connection.execute("UPDATE wb.alembic_version SET version_num = '9999'")
    before = fingerprint(admin_url)
    settings = Settings(home=tmp_path)
    for enter in (
        lambda: connect(ann_url.reveal(), settings=settings),
        lambda: migrate(settings, admin_url.reveal()),
        lambda: bootstrap.prepare(admin_url),
        lambda: upgrade(admin_url),
    ):
        with pytest.raises(SchemaVersionError, match="9999") as caught:
            enter()
        assert HEAD in caught.value.message
        assert "upgrade the package" in caught.value.cure
    assert fingerprint(admin_url) == before
