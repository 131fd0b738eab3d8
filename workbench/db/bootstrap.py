"""Preparing a server: roles, database, extensions, schema, and one login for each person.

Everything here needs an administrator: the superuser of the embedded server, or, on an external one,
a role with CREATEROLE that owns the database. People never work with that login.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from workbench.db.border import driver_errors
from workbench.db.migrate import refuse_newer, upgrade
from workbench.errors import AccessDeniedError, NameTakenError, SchemaVersionError
from workbench.resources import migrations_dir
from workbench.secret import Secret

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = [
    "MIN_MAJOR",
    "check_server",
    "create_database",
    "prepare",
    "prepare_roles",
    "register_person",
    "roles_sql",
]

#: The oldest PostgreSQL that has GRANT … WITH SET, which the roles need.
MIN_MAJOR = 16

#: Connections that one person may hold at once: a few kernels, a worker, psql.
CONNECTION_LIMIT = 40

_ROLES = {
    "wb_owner": "NOLOGIN",  # owns the tables
    "wb_definer": "NOLOGIN",  # owns the functions that must see across people
    "wb_user": "NOLOGIN",  # the group of all people
}


def create_database(admin_url: Secret, name: str) -> None:
    """Create the database unless it exists; ``admin_url`` names another one on the same server."""
    from psycopg import sql

    with _connected(admin_url) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if found is None:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
            )


def prepare(admin_url: Secret) -> None:
    """Make roles, extensions and schema in the database that the URL names; safe to repeat.

    Raises:
        SchemaVersionError: the server is older than PostgreSQL 16, or the schema newer than the code.
        AccessDeniedError: the administrator may not create roles, or does not own the database.

    """
    refuse_newer(admin_url)
    prepare_roles(admin_url)
    upgrade(admin_url)


def prepare_roles(admin_url: Secret) -> None:
    """Make everything but the schema: the roles, their rights on the database, the extension.

    Raises:
        SchemaVersionError: the server is older than PostgreSQL 16.
        AccessDeniedError: the administrator may not create roles, or does not own the database.

    """
    try:
        with _connected(admin_url) as connection:
            check_server(connection.info.server_version)
            _make_roles(connection)
            _make_database_rights(connection)
    except AccessDeniedError as error:
        raise AccessDeniedError(
            error.message,
            cure="use a superuser, or a role with CREATEROLE that owns the database; "
            "workbench.db.bootstrap.roles_sql() gives what a superuser has to run to make it one",
        ) from error


def check_server(version: int) -> None:
    """Refuse a server that is too old.

    Args:
        version: as libpq gives it: 160015 for 16.15.

    Raises:
        SchemaVersionError: it is older than PostgreSQL 16.

    """
    major = version // 10000
    if major < MIN_MAJOR:
        raise SchemaVersionError(
            f"the server is PostgreSQL {major}; the workbench needs {MIN_MAJOR} or newer",
            cure="use a newer server, or leave DATABASE_URL empty to use the embedded one",
        )


def roles_sql(admin: str, database: str) -> str:
    """Return a psql script for a superuser, after which ``admin`` can prepare the database.

    Args:
        admin: an existing login, which may lack CREATEROLE.
        database: is made where it does not exist.

    """
    script = (migrations_dir() / "sql" / "roles.sql").read_text(encoding="utf-8")
    return f"\\set admin {_psql_word(admin)}\n\\set database {_psql_word(database)}\n{script}"


def register_person(admin_url: Secret, *, email: str, username: str, again: bool = False) -> Secret:
    """Create a login for a person and return their own URL, with a new random password.

    Args:
        admin_url: an administrator's URL of the database.
        email: the person's address.
        username: a short name.
        again: a person who is registered already gets another login; only a superuser can find them.

    Raises:
        NameTakenError: somebody has that e-mail address or user name already.

    """
    from psycopg import sql

    password = Secret(secrets.token_urlsafe(24))
    login = f"wb_u_{secrets.token_hex(4)}"
    with _connected(admin_url, autocommit=False) as connection:
        database = connection.info.dbname
        verifier = connection.pgconn.encrypt_password(
            password.reveal().encode(), login.encode(), b"scram-sha-256"
        ).decode()
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {} IN ROLE wb_user").format(
                sql.Identifier(login), sql.Literal(verifier), sql.Literal(CONNECTION_LIMIT)
            )
        )
        connection.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = wb, public").format(
                sql.Identifier(login), sql.Identifier(database)
            )
        )
        found = (
            connection.execute("SELECT id FROM wb.users WHERE email = %s", [email]).fetchone()
            if again
            else None
        )
        if found is not None:
            connection.execute(
                "INSERT INTO wb_priv.logins (login, user_id) VALUES (%s, %s)", [login, found[0]]
            )
        else:
            _register(connection, login, email, username)
    return _with_user(admin_url, login, password)


def _register(connection: Connection, login: str, email: str, username: str) -> None:
    from psycopg import errors

    connection.execute("SET LOCAL ROLE wb_owner")
    try:
        connection.execute("SELECT wb_priv.register_user(%s, %s, %s)", [login, email, username])
    except errors.UniqueViolation as error:
        raise NameTakenError(
            f"{email} or the user name {username} is registered already",
            cure="choose another address or name",
        ) from error


def _make_roles(connection: Connection) -> None:
    from psycopg import sql

    for role, options in _ROLES.items():
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        if found is None:
            connection.execute(sql.SQL("CREATE ROLE {} {}").format(sql.Identifier(role), sql.SQL(options)))
    # An administrator who has this right already need not be able to grant it.
    if connection.execute("SELECT pg_has_role('wb_owner', 'SET')").fetchone() != (True,):
        connection.execute("GRANT wb_owner TO CURRENT_USER WITH INHERIT FALSE, SET TRUE")
    if connection.execute("SELECT pg_has_role('wb_owner', 'wb_definer', 'SET')").fetchone() != (True,):
        connection.execute("GRANT wb_definer TO wb_owner WITH INHERIT FALSE, SET TRUE")


def _make_database_rights(connection: Connection) -> None:
    from psycopg import sql

    database = sql.Identifier(connection.info.dbname)
    for right in (
        "REVOKE ALL ON DATABASE {} FROM PUBLIC",
        "GRANT CONNECT, TEMPORARY ON DATABASE {} TO wb_user",
        "GRANT CONNECT, CREATE ON DATABASE {} TO wb_owner",
    ):
        connection.execute(sql.SQL(right).format(database))
    connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public")


@contextmanager
def _connected(url: Secret, *, autocommit: bool = True) -> Iterator[Connection]:
    import psycopg

    with (
        driver_errors(url),
        psycopg.connect(
            url.reveal(), autocommit=autocommit, connect_timeout=10, application_name="workbench-admin"
        ) as connection,
    ):
        yield connection


def _psql_word(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _with_user(url: Secret, user: str, password: Secret) -> Secret:
    parts = urlsplit(url.reveal())
    netloc = f"{quote(user, safe='')}:{quote(password.reveal(), safe='')}@{parts.netloc.rpartition('@')[2]}"
    return Secret(urlunsplit(parts._replace(netloc=netloc)))
