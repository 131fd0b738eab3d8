"""What a person's own login can see of a database's health: version, schema, isolation, load.

The facts alone; what they mean is decided by ``services.maintenance``. Everything is read with the
person's rights, so that a check never needs an administrator.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.db.border import driver_errors
from workbench.db.migrate import HEAD
from workbench.secret import Secret

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["Facts", "examine", "revision"]

_CONNECT_SECONDS = 5

_LOGIN = """
SELECT session_user::text, r.rolsuper OR r.rolbypassrls OR r.rolcreaterole,
       EXISTS (SELECT FROM pg_roles o WHERE o.rolname = 'wb_owner' AND pg_has_role(session_user, o.oid, 'USAGE'))
FROM pg_roles r WHERE r.rolname = session_user
"""

_MAY_BE_OWNER = "SELECT FROM pg_roles WHERE rolname = 'wb_owner' AND pg_has_role(session_user, oid, 'SET')"

# to_regclass() would refuse a login that may not use the schema.
_THERE = "SELECT FROM pg_class WHERE relname = 'alembic_version' AND relnamespace = to_regnamespace('wb')"

_LOAD = """
SELECT pg_database_size(current_database()), (SELECT sum(numbackends) FROM pg_stat_database)::integer,
       current_setting('max_connections')::integer
"""

#: Every table binds everybody to its policies, its owner too; every view runs with its reader's rights.
_UNPROTECTED = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'wb'::regnamespace AND c.relname <> 'alembic_version' AND CASE
    WHEN c.relkind IN ('r', 'p') THEN NOT (c.relrowsecurity AND c.relforcerowsecurity)
    WHEN c.relkind = 'v' THEN NOT 'security_invoker=true' = ANY (coalesce(c.reloptions, '{}'))
    WHEN c.relkind = 'm' THEN true
END
ORDER BY c.relname
"""

_PROTECTED = "SELECT count(*) FROM pg_class WHERE relnamespace = 'wb'::regnamespace AND relforcerowsecurity"

#: Runs whose kernel has not been heard of for longer than its lease.
_ABANDONED = """
SELECT count(*) FROM wb.runs
WHERE status = 'running' AND coalesce(heartbeat_at, run_at) < now() - interval '60 seconds' AND user_id = wb.me()
"""

_ENDPOINTS = "SELECT jsonb_object_keys(settings -> 'endpoints') FROM wb.users WHERE id = wb.me()"


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What was seen of a database; of a schema of another revision only the first six.

    Attributes:
        server_version: for example ``16.15``.
        answer_ms: time of one round trip.
        login: the role that is logged in.
        privileged: it is a superuser, or may bypass row-level security or create roles.
        owner: it has the rights of the tables' owner.
        revision: of the schema; None where there is none.
        person: it belongs to a person of the workbench.
        protected: how many tables force row-level security.
        unprotected: names of tables and views that do not bind their readers.
        size: of the database, in bytes.
        connections: to the whole server.
        max_connections: that the server allows.
        abandoned_runs: the person's runs that are marked as running, but whose kernel is gone.
        endpoints: names of the OpenAI-compatible servers that the person saved.

    """

    server_version: str
    answer_ms: float
    login: str
    privileged: bool
    owner: bool
    revision: str | None = None
    person: bool = False
    protected: int = 0
    unprotected: tuple[str, ...] = ()
    size: int = 0
    connections: int = 0
    max_connections: int = 0
    abandoned_runs: int = 0
    endpoints: tuple[str, ...] = ()


def examine(url: Secret) -> Facts:
    """Look at the database behind a person's URL; nothing is changed.

    Raises:
        DatabaseError: it does not answer within 5 s.
        DatabaseUrlError: it refuses the login, or does not exist.

    """
    import psycopg

    with (
        driver_errors(url),
        psycopg.connect(
            url.reveal(),
            connect_timeout=_CONNECT_SECONDS,
            application_name="workbench-health",
            prepare_threshold=None,
        ) as connection,
    ):
        connection.read_only = True
        return _examine(connection)


def revision(url: Secret) -> str | None:
    """Return the revision of the schema as an administrator sees it; None where there is none.

    Raises:
        AccessDeniedError: the login is neither a superuser nor may act as the tables' owner.

    """
    import psycopg

    with (
        driver_errors(url),
        psycopg.connect(url.reveal(), connect_timeout=_CONNECT_SECONDS) as connection,
    ):
        if connection.execute(_MAY_BE_OWNER).fetchone() is not None:
            connection.execute("SET LOCAL ROLE wb_owner")
        return _revision(connection)


def _examine(connection: Connection[Any]) -> Facts:
    def one(query: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = connection.execute(query).fetchone()
        assert row is not None  # noqa: S101 - each of these queries gives one row
        return row

    version = str(one("SHOW server_version")[0]).split()[0]
    began = time.perf_counter()
    one("SELECT 1")
    answer_ms = (time.perf_counter() - began) * 1000
    login, privileged, owner = one(_LOGIN)
    seen = {"server_version": version, "answer_ms": answer_ms, "login": login, "privileged": privileged}
    found = None if privileged else _revision(connection)
    if found != HEAD:
        return Facts(**seen, owner=owner, revision=found)
    size, connections, limit = one(_LOAD)
    return Facts(
        **seen,
        owner=owner,
        person=one("SELECT wb.me() IS NOT NULL")[0],
        revision=found,
        protected=one(_PROTECTED)[0],
        unprotected=tuple(row[0] for row in connection.execute(_UNPROTECTED)),
        size=size,
        connections=connections,
        max_connections=limit,
        abandoned_runs=one(_ABANDONED)[0],
        endpoints=tuple(row[0] for row in connection.execute(_ENDPOINTS)),
    )


def _revision(connection: Connection[Any]) -> str | None:
    if connection.execute(_THERE).fetchone() is None:
        return None
    row = connection.execute("SELECT max(version_num) FROM wb.alembic_version").fetchone()
    return row[0] if row else None
