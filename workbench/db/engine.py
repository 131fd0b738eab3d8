"""One person's database: an engine with a small pool, sessions, and the checks made when it is opened."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, QueuePool

from workbench.db.border import driver_errors, place
from workbench.db.direct import keep_plans
from workbench.db.migrate import check_revision
from workbench.db.spool import Drained, Spool
from workbench.db.urls import conninfo_url, driver_url
from workbench.errors import ConfigError, DatabaseUrlError
from workbench.secret import Secret
from workbench.settings import default_home

__all__ = ["IDLE_SECONDS", "Database", "Session"]

# Answered to any login: to_regclass() would refuse those who may not use the schema.
_WHO = """
WITH mine AS (SELECT rolname FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER'))
SELECT r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR EXISTS (SELECT FROM mine WHERE rolname = 'wb_owner') AS admin,
       EXISTS (SELECT FROM mine WHERE rolname = 'wb_user') AS member,
       EXISTS (SELECT FROM pg_class WHERE relname = 'alembic_version' AND relnamespace = to_regnamespace('wb')) AS prepared
FROM pg_roles r WHERE r.rolname = session_user
"""


#: A server that does not answer is told within five seconds; one that vanished under an open connection, within half a minute.
_PATIENCE = {
    "connect_timeout": "4",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}

#: A kernel that is paused in the middle of a transaction, as on a laptop that was closed, keeps others waiting for so long.
IDLE_SECONDS = 60


def _limit_pauses(connection: psycopg.Connection[Any], _: object) -> None:
    before, connection.autocommit = connection.autocommit, True
    connection.execute(
        "SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [f"{IDLE_SECONDS}s"]
    )
    connection.autocommit = before


@contextmanager
def _raw(connection: Connection) -> Iterator[psycopg.Connection[Any]]:
    """Give the driver's connection; one that breaks is thrown away here: the pool would log its error as a traceback."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)  # noqa: S101 - the engine's dialect is psycopg
    try:
        yield raw
    finally:
        if raw.closed:
            connection.invalidate()


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what psycopg logs of a batch or a transaction that has failed: its error is raised, and ours says it once."""
    return not str(record.msg).startswith(("error ignored terminating", "error ignored in rollback"))


class Database:
    """The connections of one person to one database.

    Args:
        url: libpq URL of the person's own login.
        pooled: False behind PgBouncer: no pool of our own, no prepared statements.
        spool: folder of answers that the database cannot take now; by default one in the person's home.

    Attributes:
        user_id: the person, as the database knows them.
        spool: this process's answers there.
        server_version: for example ``16.15``.

    """

    def __init__(self, url: Secret, *, pooled: bool = True, spool: Path | None = None) -> None:
        self.url = conninfo_url(url, application_name="workbench", **_PATIENCE)
        self.pooled = pooled
        logging.getLogger("psycopg").addFilter(_is_news)
        self._is_closed = False
        options: dict[str, Any] = {
            "pool_size": 3,
            "max_overflow": 2,
            "pool_pre_ping": True,
            "pool_recycle": 1800,
        }
        self.engine = create_engine(
            driver_url(self.url),
            poolclass=QueuePool if pooled else NullPool,
            hide_parameters=True,
            connect_args={} if pooled else {"prepare_threshold": None},
            **(options if pooled else {}),
        )
        if pooled:
            event.listen(self.engine, "connect", _limit_pauses)
        with driver_errors(self.url), self.engine.connect() as connection:
            self.server_version = str(connection.exec_driver_sql("SHOW server_version").scalar_one()).split()[
                0
            ]
            self.user_id = self._check(connection.execute(text(_WHO)).mappings().one_or_none(), connection)
        self.spool = Spool(spool or default_home({}) / "spool", self.user_id)

    @property
    def where(self) -> str:
        """Database, host and port, for messages."""
        return place(self.url)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on an error; the driver's errors become ours."""
        self._check_open()
        with (
            driver_errors(self.url),
            Session(self.engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def driver(self) -> Iterator[psycopg.Connection[Any]]:
        """One pooled psycopg connection in a transaction, for COPY, pipelines and ``unnest``."""
        self._check_open()
        with (
            driver_errors(self.url),
            self.engine.connect() as connection,
            _raw(connection) as raw,
            raw.transaction(),
        ):
            yield raw

    @contextmanager
    def autocommit(self) -> Iterator[psycopg.Connection[Any]]:
        """One pooled psycopg connection, each statement on its own: three trips to the server less than a transaction."""
        self._check_open()
        with (
            driver_errors(self.url),
            self.engine.connect() as connection,
            _raw(connection.execution_options(isolation_level="AUTOCOMMIT")) as raw,
        ):
            yield raw

    def dedicated(self) -> psycopg.Connection[Any]:
        """Open a connection outside the pool, in autocommit, for a thread of its own."""
        with driver_errors(self.url):
            connection = psycopg.connect(
                self.url.reveal(), autocommit=True, prepare_threshold=1 if self.pooled else None
            )
            if self.pooled:
                keep_plans(connection)
            return connection

    def small_engine(self) -> Engine:
        """Return an engine of its own with one connection, for %%sql cells."""
        return create_engine(
            driver_url(self.url),
            pool_size=1,
            max_overflow=1,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={} if self.pooled else {"prepare_threshold": None},
        )

    def drain(self) -> Drained:
        """Store the answers that a database which was away could not take; those of ended processes too."""
        with self.autocommit() as connection:
            return self.spool.drain(connection)

    def close(self) -> None:
        """Close every pooled connection; whatever is asked for afterwards is refused, and opens none."""
        self._is_closed = True
        self.spool.close()
        self.engine.dispose()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ConfigError("this workbench is closed", cure="open it again: wb = workbench.connect()")

    def _check(self, who: Any, connection: Any) -> uuid.UUID:
        if who is None or who["admin"]:
            raise DatabaseUrlError(
                f"the login for {self.where} is an administrator's: row-level security would not bind it",
                cure="make a login of your own once: workbench db init ADMIN_URL; then connect without the administrator's URL",
            )
        if not who["prepared"]:
            check_revision(None)
        me = None
        if who["member"]:
            check_revision(
                connection.exec_driver_sql("SELECT max(version_num) FROM wb.alembic_version").scalar_one()
            )
            me = connection.exec_driver_sql("SELECT wb.me()").scalar_one()
        if me is None:
            raise DatabaseUrlError(
                f"no person of the workbench belongs to this login on {self.where}",
                cure="ask an administrator for one: workbench db init ADMIN_URL --email you@example.org",
            )
        return uuid.UUID(str(me))
