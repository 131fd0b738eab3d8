"""A statement straight through libpq: one wait for the server, during which the interpreter is free.

psycopg's ``execute`` takes the interpreter's lock several times a statement. A thread that writes beside a busy event
loop waits for that lock each time, and that takes as long as what the server does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

from psycopg import OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["Statement"]

_DONE: Final = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class Statement:
    """A statement with ``$1, $2 …`` for its values; prepared where the connection prepares statements at all.

    Its plan is kept, for to make it takes longer than to run it. A plan that was made for a small table would read all of
    it when it is large; so a new one is made at the 2nd, 4th, 8th, 16th … use: however fast a table grows, the plan fits.

    >>> Statement("wb_sum", "SELECT $1::int + $2::int").run(connection, [b"1", b"2"])  # doctest: +SKIP
    [('3',)]
    """

    def __init__(self, name: str, query: str) -> None:
        self._name = name.encode()
        self._query = query.encode()
        self._uses: WeakKeyDictionary[Connection[Any], int] = WeakKeyDictionary()

    def run(self, connection: Connection[Any], values: Sequence[bytes | None]) -> list[tuple[str, ...]]:
        """Execute it; return the rows as text, NULL as an empty one.

        Args:
            connection: in autocommit, or inside ``connection.transaction()``: no transaction is begun here.
            values: as PostgreSQL reads them.

        Raises:
            psycopg.Error: as ``connection.execute``.

        """
        line = connection.pgconn
        if connection.prepare_threshold is None:  # behind PgBouncer another server may come next
            result = line.exec_params(self._query, values)
        else:
            uses = self._uses.pop(connection, 0)
            if uses & (uses - 1) == 0:  # none yet, or a power of two
                if uses:
                    self._checked(connection, line.exec_(b"DEALLOCATE " + self._name))
                self._checked(connection, line.prepare(self._name, self._query))
            self._uses[connection] = uses + 1
            # psycopg's types forget that a value may be None
            result = line.exec_prepared(self._name, cast("Sequence[bytes]", values))
        self._checked(connection, result)
        columns = range(result.nfields)
        return [
            tuple((result.get_value(row, column) or b"").decode() for column in columns)
            for row in range(result.ntuples)
        ]

    @staticmethod
    def _checked(connection: Connection[Any], result: Any) -> None:
        if result.status in _DONE:
            return
        if connection.pgconn.status != ConnStatus.OK:
            raise OperationalError(connection.pgconn.error_message.decode(errors="replace"))
        raise error_from_result(result, encoding=connection.info.encoding)
