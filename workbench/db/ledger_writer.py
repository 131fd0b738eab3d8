"""The thread that writes the ledger: it gathers what is waiting, commits it as one group, and tells who waited."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.db.border import driver_errors
from workbench.db.ledger import Claim, Result, claim, committed, finish
from workbench.errors import DatabaseError, ServerUnavailableError, WorkbenchError

if TYPE_CHECKING:
    from psycopg import Connection

    from workbench.db.engine import Database
    from workbench.db.scope import Scope

__all__ = ["LedgerWriter"]

#: A group closes at this many rows,
GROUP_ROWS = 64
#: or after this long,
GROUP_SECONDS = 0.005
#: or at once when nothing else is in flight. Between groups, the run's heartbeat is written this often.
HEARTBEAT_SECONDS = 10.0
#: A server that restarts, or a connection that was cut, is waited for so long.
RECONNECT_SECONDS = 3.0

#: What a value raises that cannot be written as JSON or as text.
_UNSTORABLE = (ValueError, TypeError, OverflowError, RecursionError)

_HEARTBEAT = "UPDATE wb.runs SET heartbeat_at = clock_timestamp() WHERE id = %s AND holder = %s"


@dataclass(slots=True)
class _Work:
    rows: Sequence[Claim] | Sequence[Result]
    claims: bool
    future: Future[set[uuid.UUID]] = field(default_factory=Future)


class LedgerWriter:
    """Group commit for one run or one kernel's single calls.

    Args:
        database: the person's database; the writer opens one connection of its own.
        scope: project and person.
        lease: run and holder token whose heartbeat is kept while the writer lives.

    """

    def __init__(
        self, database: Database, scope: Scope, *, lease: tuple[uuid.UUID, str] | None = None
    ) -> None:
        self._database = database
        self._scope = scope
        self._lease = lease
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._in_flight = 0
        self._connection: Connection[Any] | None = None
        self._up = True
        self._last_beat = time.monotonic()
        self._thread = threading.Thread(target=self._serve, name="workbench-ledger", daemon=True)
        self._thread.start()

    def claim(self, claims: Sequence[Claim]) -> Future[set[uuid.UUID]]:
        """Commit calls that are about to be made; the future gives the ids that are ours."""
        return self._put(_Work(claims, claims=True))

    def finish(self, result: Result) -> Future[set[uuid.UUID]]:
        """Commit a result; the future is done once it is durable."""
        return self._put(_Work([result], claims=False))

    def close(self) -> None:
        """Write what is waiting, then end the thread and its connection."""
        self._queue.put(None)
        self._thread.join()

    def _put(self, work: _Work) -> Future[set[uuid.UUID]]:
        work.future.set_running_or_notify_cancel()  # who stops waiting does not take the row back
        self._queue.put(work)
        return work.future

    def _serve(self) -> None:
        running = True
        while running:
            group, running = self._gather()
            if group:
                self._write(group)
            self._beat()
        if self._connection is not None:
            self._connection.close()

    def _gather(self) -> tuple[list[_Work], bool]:
        """Wait for work, then take what comes until the group closes."""
        try:
            first = self._queue.get(timeout=HEARTBEAT_SECONDS)
        except queue.Empty:
            return [], True
        if first is None:
            return [], False
        group, rows, until = [first], len(first.rows), time.monotonic() + GROUP_SECONDS
        waiting_claims = first.claims
        finished = 0 if first.claims else len(first.rows)
        while rows < GROUP_ROWS:
            # Callers wait for a claim before they can send, so nothing is gained by waiting for more.
            alone = waiting_claims or self._in_flight <= finished
            try:
                work = self._queue.get(timeout=0 if alone else max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if work is None:
                return group, False
            group.append(work)
            rows += len(work.rows)
            waiting_claims = waiting_claims or work.claims
            finished += 0 if work.claims else len(work.rows)
        return group, True

    def _write(self, group: list[_Work]) -> None:
        """Commit claims before results: calls wait for a claim, nothing waits for a result."""
        for part in ([work for work in group if work.claims], [work for work in group if not work.claims]):
            if part:
                self._write_part(part)

    def _write_part(self, group: list[_Work]) -> None:
        try:
            stored = self._commit_patiently(group)
        except WorkbenchError as error:
            self._drop_connection()
            if len(group) > 1 and self._up:  # one row that cannot be stored must not take others along
                for work in group:
                    self._write_part([work])
                return
            self._in_flight -= sum(len(work.rows) for work in group if not work.claims)
            for work in group:
                work.future.set_exception(error)
            return
        for work in group:
            mine = {row.id for row in work.rows if row.id in stored}
            self._in_flight += len(mine) if work.claims else -len(work.rows)
            work.future.set_result(mine)

    def _commit_patiently(self, group: list[_Work]) -> set[uuid.UUID]:
        """Commit a group, on a new connection where the old one broke; once that was in vain, try only once."""
        until = time.monotonic() + (RECONNECT_SECONDS if self._up else 0.0)
        again = False
        while True:
            try:
                with driver_errors(self._database.url):
                    stored = self._commit(group, again=again)
            except ServerUnavailableError:
                self._drop_connection()
                if time.monotonic() >= until:
                    self._up = False
                    raise
                again = True
                time.sleep(0.1)
            except _UNSTORABLE as error:
                raise DatabaseError(
                    f"a call cannot be stored: {error}",
                    cure="look for a value in the data that is not plain text",
                ) from error
            else:
                self._up = True
                return stored

    def _commit(self, group: list[_Work], *, again: bool) -> set[uuid.UUID]:
        connection = self._connected()
        claims = [row for work in group for row in work.rows if isinstance(row, Claim)]
        results = [row for work in group for row in work.rows if isinstance(row, Result)]
        stored: set[uuid.UUID] = set()
        if again:  # the commit before may have reached the server although its answer did not reach us
            stored |= committed(connection, claims, results)
        if claims:
            stored |= claim(connection, self._scope, claims, lease=self._lease)
        if results:
            stored |= finish(connection, results)
        return stored

    def _beat(self) -> None:
        if self._lease is None or time.monotonic() - self._last_beat < HEARTBEAT_SECONDS:
            return
        self._last_beat = time.monotonic()
        try:
            with driver_errors(self._database.url):
                connection = self._connected()
                with connection.transaction():
                    connection.execute(_HEARTBEAT, self._lease)
        except WorkbenchError:
            self._drop_connection()  # the next group says it to somebody who waits

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self._database.dedicated()
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
