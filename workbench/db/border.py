"""The border to the driver: its errors become ours here, once, by SQLSTATE and type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from urllib.parse import parse_qsl, unquote, urlsplit

import psycopg
from sqlalchemy.exc import DBAPIError

from workbench.errors import (
    AccessDeniedError,
    BudgetError,
    ConflictError,
    DatabaseError,
    DatabaseUrlError,
    DataError,
    DiskFullError,
    ServerUnavailableError,
    WorkbenchError,
)
from workbench.secret import Secret

__all__ = ["driver_errors", "place"]

_CHECK_LOGIN = "check user name and password in DATABASE_URL"
_CHECK_URL = "write it as postgresql://USER@HOST:5432/DATABASE, special characters percent-encoded"
_CHECK_NAME = "check the name in DATABASE_URL, or prepare it: workbench db init ADMIN_URL"
_START = "start the server, or leave DATABASE_URL empty to use the embedded one; look with: workbench doctor"

_REFUSED = ("authentication failed", "no password supplied", "permission denied for database", "pg_hba.conf")

# SQLSTATEs → the class, what is said after the server's name, the cure
_KINDS: tuple[tuple[frozenset[str], type[WorkbenchError], str, str], ...] = (
    (frozenset({"28P01", "28000"}), DatabaseUrlError, "refuses this login", _CHECK_LOGIN),
    (frozenset({"3D000"}), DatabaseUrlError, "does not exist", _CHECK_NAME),
    (
        frozenset({"53100", "53200"}),
        DiskFullError,
        "has no space left",
        "free space on the server's disk; stored rows are safe",
    ),
    (
        frozenset({"54000"}),
        DataError,
        "cannot hold that",
        "shorten the text",
    ),
    (
        frozenset({"42501"}),
        AccessDeniedError,
        "refuses that",
        "ask the project's owner to add you as an editor",
    ),
    (
        frozenset({"23505", "40001", "40P01", "55P03"}),
        ConflictError,
        "was changed by somebody else",
        "try again",
    ),
    (
        frozenset({"25P03", "57P01", "57P02", "57P03", "08000", "08001", "08003", "08004", "08006", "53300"}),
        ServerUnavailableError,
        "does not answer",
        _START,
    ),
)


@contextmanager
def driver_errors(url: Secret | None = None) -> Iterator[None]:
    """Turn the driver's errors into ours; ``url`` names the server in a message, without its password."""
    try:
        yield
    except psycopg.Error as error:
        raise _translate(error, url) from error
    except DBAPIError as error:
        cause = error.orig
        raise (
            _translate(cause, url) if isinstance(cause, psycopg.Error) else DatabaseError(str(cause))
        ) from error


def place(url: Secret) -> str:
    """Return ``database on host:port`` of a URL, for messages."""
    parts = urlsplit(url.reveal())
    query = dict(parse_qsl(parts.query))
    host = parts.hostname or query.get("host") or "localhost"
    return f"{unquote(parts.path.strip('/'))!r} on {host}:{parts.port or query.get('port') or 5432}"


def _translate(error: psycopg.Error, url: Secret | None) -> WorkbenchError:
    if error.sqlstate in {"WB001", "WB002"}:
        return _over_budget(error)
    where = place(url) if url else "the database"
    lines = (error.diag.message_primary or str(error)).strip().splitlines() or [type(error).__name__]
    state = error.sqlstate or _state_of_failed_connection(str(error))
    for states, kind, said, cure in _KINDS:
        if state in states:
            return kind(f"{where} {said}: {lines[0]}", cure=cure)
    if isinstance(error, psycopg.ProgrammingError) and not state:  # libpq itself, before it connects
        return DatabaseUrlError(f"the database URL cannot be used: {lines[0]}", cure=_CHECK_URL)
    if isinstance(error, psycopg.OperationalError):
        return ServerUnavailableError(f"{where} does not answer: {lines[0]}", cure=_START)
    return DatabaseError(f"{where}: {lines[0]}")


def _over_budget(error: psycopg.Error) -> BudgetError:
    """The ledger's triggers name the budget, and what there is of it, in the detail and the hint."""
    whose = error.diag.message_detail or "the run"
    cure = "wb.budgets.list() shows it; raise it, or wait until it begins anew"
    if whose == "the run":
        cure = "run.resume(budget=…) with a higher one goes on where this stopped"
    if error.sqlstate == "WB002":
        return BudgetError(
            str(error.diag.message_primary),
            cure="fetch prices with: workbench models sync; or remove the budget",
        )
    sums = {name: Decimal(str(value)) for name, value in json.loads(error.diag.message_hint or "{}").items()}
    return BudgetError(
        f"the next calls may cost ${sums['asked']:.4f} and could exceed the budget of {whose}, ${sums['amount']:.4f}: "
        f"${sums['spent']:.4f} is spent and ${sums['reserved']:.4f} reserved for calls in flight",
        cure=cure,
    )


def _state_of_failed_connection(text: str) -> str:
    """Libpq gives no SQLSTATE for a failed connection, only the server's words."""
    if any(words in text for words in _REFUSED):
        return "28P01"
    return "3D000" if "does not exist" in text and "database" in text else ""
