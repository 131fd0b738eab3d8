"""The thread that writes the ledger: it commits what is waiting as one group, and tells who waited.

While the database is away, answers go to the spool as they come, claims wait, and nothing new is sent. Once it is back,
what was kept is stored first. If it stays away, claims fail, and the spool keeps the answers for the next connection.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg

from workbench.db.border import driver_errors
from workbench.db.ledger import (
    Claim,
    Result,
    claim,
    committed,
    documents,
    finish_documents,
    taken_over,
)
from workbench.db.queries import runs
from workbench.errors import (
    AnswerKeptError,
    ConflictError,
    DatabaseError,
    DiskFullError,
    ServerUnavailableError,
    WorkbenchError,
)

if TYPE_CHECKING:
    from psycopg import Connection

    from workbench.db.engine import Database
    from workbench.db.scope import Scope

__all__ = ["PATIENCE", "LedgerWriter", "Outcome"]

#: A group closes at this many rows. Between groups, the run's heartbeat is written every so many seconds.
GROUP_ROWS = 64
HEARTBEAT_SECONDS = 10.0
#: Seconds that a run waits for a server that restarts, or a connection that was cut; a single call waits less.
PATIENCE = 20.0
#: So many seconds a statement may take; then its connection is broken, and it is tried again on another one.
SILENCE_SECONDS = 30.0
#: The same where somebody waits for the end.
LAST_SILENCE_SECONDS = 3.0
#: How often a transaction is begun anew that lost against another one (SQLSTATE 40001, 40P01, 55P03).
_RETRIES = 8
_LOST = frozenset({"40001", "40P01", "55P03"})
_PAUSE = 0.1

#: The database cannot take anything now; later it may.
_AWAY = (ServerUnavailableError, DiskFullError)

#: What a value raises that cannot be written as JSON or as text.
_UNSTORABLE = (ValueError, TypeError, OverflowError, RecursionError)

_HEARTBEAT = "UPDATE wb.runs SET heartbeat_at = clock_timestamp() WHERE id = %s AND holder = %s"

#: What became of a group of results: id → None where it is stored, else why not.
Outcome = Mapping[uuid.UUID, WorkbenchError | None]

T = TypeVar("T")


@dataclass(slots=True)
class _Claims:
    rows: Sequence[Claim]
    future: Future[set[uuid.UUID]] = field(default_factory=Future)


@dataclass(slots=True)
class _Results:
    rows: Sequence[Result]
    future: Future[Outcome] = field(default_factory=Future)
    kept: bool = False


class LedgerWriter:
    """Group commit for one run or one kernel's single calls.

    Args:
        database: the person's database; the writer opens one connection of its own.
        scope: project and person.
        lease: run and holder token whose heartbeat is kept while the writer lives.
        patience: seconds that it waits for a database that is away.

    Attributes:
        waiting: whether it waits for the database just now.

    """

    def __init__(
        self,
        database: Database,
        scope: Scope,
        *,
        lease: tuple[uuid.UUID, str] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._database = database
        self._scope = scope
        self._lease = lease
        self._patience = patience
        self._random = random.SystemRandom()
        self._queue: queue.SimpleQueue[_Claims | _Results | None] = queue.SimpleQueue()
        self._claims: deque[_Claims] = deque()
        self._results: deque[_Results] = deque()
        self._connection: Connection[Any] | None = None
        self._closing = False
        self._up = True
        self._last_beat = time.monotonic()
        self._busy_since: float | None = None
        self._confirmed_at = _now()
        self.waiting = False
        self._thread = threading.Thread(target=self._serve, name="workbench-ledger", daemon=True)
        self._thread.start()

    @property
    def fresh(self) -> bool:
        """Whether the lease was confirmed so lately that nobody can have taken the run over since."""
        return self._lease is None or _now() - self._confirmed_at < 0.75 * runs.LEASE_SECONDS

    def claim(self, claims: Sequence[Claim]) -> Future[set[uuid.UUID]]:
        """Commit calls that are about to be made; the future gives the ids that are ours.

        With an empty list it only asks whether the lease still holds.

        A :class:`BudgetError` in the future means that none of them is claimed.
        """
        work = _Claims(claims)
        work.future.set_running_or_notify_cancel()  # who stops waiting does not take the row back
        self._queue.put(work)
        return work.future

    def finish(self, results: Sequence[Result]) -> Future[Outcome]:
        """Commit results; the future is done once each is durable, or cannot be."""
        work = _Results(results)
        work.future.set_running_or_notify_cancel()
        self._queue.put(work)
        return work.future

    def unstick(self, seconds: float = SILENCE_SECONDS) -> None:
        """Break the connection if the server has said nothing for so long; called now and then by another thread."""
        since, connection = self._busy_since, self._connection
        if since is None or time.monotonic() - since < seconds or connection is None or connection.closed:
            return
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(connection.fileno())) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Write what is waiting, then end the thread and its connection."""
        self._queue.put(None)
        while self._thread.is_alive():
            self._thread.join(_PAUSE)
            self.unstick(LAST_SILENCE_SECONDS)

    def _serve(self) -> None:
        while not self._closing:
            self._take(HEARTBEAT_SECONDS)
            while self._claims or self._results:
                self._write()
            self._beat()
        self._drop_connection()

    def _take(self, seconds: float) -> None:
        """Wait for work, then take whatever is there."""
        try:
            work = self._queue.get(timeout=seconds)
            while True:
                if work is None:
                    self._closing = True
                elif isinstance(work, _Claims):
                    self._claims.append(work)
                else:
                    self._results.append(work)
                    if self.waiting:
                        self._keep([work])
                work = self._queue.get_nowait()
        except queue.Empty:
            return

    def _write(self) -> None:
        """Commit claims before results: calls wait for a claim, nothing waits for a result."""
        while self._claims:
            self._write_claims(self._claims[0])
            self._claims.popleft()
        group: list[_Results] = []
        rows = 0
        while self._results and rows < GROUP_ROWS:
            group.append(self._results.popleft())
            rows += len(group[-1].rows)
        if group:
            self._write_results(group)

    def _write_claims(self, work: _Claims) -> None:
        def commit(connection: Connection[Any], *, again: bool) -> set[uuid.UUID]:
            mine = committed(connection, work.rows, []) if again else set()
            return mine | claim(connection, self._scope, work.rows, lease=self._lease)

        asked_at = _now()
        try:
            mine = self._patiently(commit)
            self._confirmed_at = asked_at
            work.future.set_result(mine)
        except WorkbenchError as error:
            work.future.set_exception(error)

    def _write_results(self, group: list[_Results]) -> None:
        rows = [row for work in group for row in work.rows]
        try:
            outcome = self._stored(rows, group)
        except _AWAY as error:
            for work in group:
                work.future.set_result(self._unstored(work, error))
            return
        for work in group:
            work.future.set_result({row.id: outcome[row.id] for row in work.rows})

    def _stored(
        self, rows: Sequence[Result], group: Sequence[_Results]
    ) -> dict[uuid.UUID, WorkbenchError | None]:
        """Commit rows; one that cannot be stored must not take others along."""

        def commit(connection: Connection[Any], *, again: bool) -> set[uuid.UUID]:
            kept = any(work.kept for work in group)  # then the spool may have stored it
            stored = committed(connection, [], rows) if again or kept else set()
            found = finish_documents(connection, documents(rows))
            return stored | {key for key, status in found.items() if status != "late"}

        try:
            stored = self._patiently(commit, group)
        except _AWAY:
            raise
        except WorkbenchError as error:
            self._drop_connection()
            if len(rows) == 1:
                return {rows[0].id: error}
            half = len(rows) // 2
            return {**self._stored(rows[:half], group), **self._stored(rows[half:], group)}
        return {row.id: None if row.id in stored else taken_over() for row in rows}

    def _patiently(self, commit: Callable[..., T], group: Sequence[_Results] = ()) -> T:
        """Commit, on a new connection where the old one broke; once waiting was in vain, try only once."""
        until = time.monotonic() + (self._patience if self._up else 0.0)
        lost, again = 0, False
        while True:
            self._busy_since = time.monotonic()
            try:
                with driver_errors(self._database.url):
                    found: T = commit(self._connected(), again=again)
            except ServerUnavailableError:
                again = True
                self._drop_connection()
                if not self._wait(until, group):
                    raise
            except ConflictError as error:
                lost += 1
                if getattr(error.__cause__, "sqlstate", None) not in _LOST or lost > _RETRIES:
                    raise
                time.sleep(self._random.uniform(0, _PAUSE))  # so that two do not meet again
            except _UNSTORABLE as error:
                raise DatabaseError(
                    f"a call cannot be stored: {error}",
                    cure="look for a value in the data that is not plain text",
                ) from error
            else:
                self._up, self.waiting = True, False
                return found
            finally:
                self._busy_since = None

    def _wait(self, until: float, group: Sequence[_Results]) -> bool:
        """Keep answers safe while the database is away; return whether it is worth another try."""
        if not self.waiting:
            self._keep([*group, *self._results])
        self.waiting = self._up = time.monotonic() < until and not self._closing
        if self.waiting:
            self._take(_PAUSE)
        return self.waiting

    def _keep(self, group: Sequence[_Results]) -> None:
        """Put answers into the spool; what cannot be kept there is told when it is asked for."""
        for work in group:
            if not work.kept:
                try:
                    self._database.spool.keep(documents(work.rows))
                    work.kept = True
                except (DatabaseError, *_UNSTORABLE):
                    continue

    def _unstored(self, work: _Results, error: WorkbenchError) -> Outcome:
        self._keep([work])
        if not work.kept:
            return dict.fromkeys((row.id for row in work.rows), error)
        told = AnswerKeptError(
            f"{error.message}; what was answered is kept in {self._database.spool.path}", cure=error.cure
        )
        told.__cause__ = error
        return dict.fromkeys((row.id for row in work.rows), told)

    def _beat(self) -> None:
        if self._lease is None or time.monotonic() - self._last_beat < HEARTBEAT_SECONDS:
            return
        self._last_beat = time.monotonic()
        try:
            with driver_errors(self._database.url):
                connection = self._connected()
                asked_at = _now()
                if connection.execute(_HEARTBEAT, self._lease).rowcount:  # on its own: a pause keeps no lock
                    self._confirmed_at = asked_at
        except WorkbenchError:
            self._drop_connection()  # the next group says it to somebody who waits

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = self._database.dedicated()
            self._database.spool.drain(self._connection)
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _now() -> float:
    """Return seconds by a clock that also counts while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
