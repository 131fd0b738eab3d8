"""A statement straight through libpq: one wait for the server, during which the interpreter is free.

psycopg's ``execute`` takes the interpreter's lock several times a statement. A thread that writes beside a busy event
loop waits for that lock each time, and that takes as long as what the server does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary, WeakSet

from psycopg import OperationalError
from psycopg.errors import InvalidSqlStatementName, error_from_result
from psycopg.pq import DiagnosticField, ExecStatus

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGresult

__all__ = ["Statement", "keep_plans"]

_DONE: Final = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
#: To plan a group of the ledger takes longer than to write it. A plan that was made when a table was small would still read
#: all of it when it is large: so it may only use indexes, and is made anew now and then.
_SETTINGS: Final = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off"

_keeping: WeakSet[Connection[Any]] = WeakSet()


def keep_plans(connection: Connection[Any]) -> None:
    """Let the plans of statements be kept on a connection of one's own; not behind PgBouncer, where servers change."""
    connection.execute(_SETTINGS)
    _keeping.add(connection)


class Statement:
    """A statement with ``$1, $2 …`` for its values.

    Where plans are kept, a new one is made at the 2nd, 3rd, 5th, 9th, 17th … use: however fast a table grows, the plan fits.

    >>> Statement("wb_sum", "SELECT $1::int + $2::int").run(connection, [b"1", b"2"])  # doctest: +SKIP
    [('3',)]
    """

    def __init__(self, name: str, query: str) -> None:
        self._name = name
        self._query = query.encode()
        self._kept: WeakKeyDictionary[Connection[Any], tuple[bytes, int]] = WeakKeyDictionary()

    def run(self, connection: Connection[Any], values: Sequence[bytes | None]) -> list[tuple[str, ...]]:
        """Execute it; return the rows as text, NULL as an empty one.

        Args:
            connection: in autocommit, or inside ``connection.transaction()``: no transaction is begun here.
            values: as PostgreSQL reads them.

        Raises:
            psycopg.Error: as ``connection.execute``.

        """
        if connection in _keeping:
            try:
                result = self._execute(connection, values)
            except InvalidSqlStatementName:  # the driver forgets all of them after a ROLLBACK
                self._kept.pop(connection, None)
                result = self._execute(connection, values)
        else:
            result = _checked(connection, connection.pgconn.exec_params(self._query, values))
        columns = range(result.nfields)
        return [
            tuple((result.get_value(row, column) or b"").decode() for column in columns)
            for row in range(result.ntuples)
        ]

    def _execute(self, connection: Connection[Any], values: Sequence[bytes | None]) -> PGresult:
        name, uses = self._kept.get(connection, (b"", 0))
        if uses & (uses - 1) == 0:  # none yet, or a power of two
            # The name is another one each time, and the old plan stays: there are as many as the number of uses has bits.
            name = f"{self._name}_{uses}".encode()
            _checked(connection, connection.pgconn.prepare(name, self._query))
        self._kept[connection] = (name, uses + 1)
        # psycopg's types forget that a value may be None
        return _checked(connection, connection.pgconn.exec_prepared(name, cast("Sequence[bytes]", values)))


def _checked(connection: Connection[Any], result: PGresult) -> PGresult:
    if result.status in _DONE:
        return result
    if result.error_field(DiagnosticField.SQLSTATE) is None:  # not the server's word: the connection is lost
        raise OperationalError(connection.pgconn.error_message.decode(errors="replace"))
    raise error_from_result(result, encoding=connection.info.encoding)
