"""Answers that the database could not take, in a file of this process, until it can.

A line is a group of results; it is on the disk before anybody is told that it is safe. The process holds a lock on its
file while it lives, so that whoever finds a file without one knows that its answers are nobody's task any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson
import psycopg

from workbench.db.ledger import Documents, finish_documents
from workbench.errors import DatabaseError

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["Drained", "Spool"]

#: Classes of SQLSTATEs of failures that pass: lost connections, no resources, an administrator's stop, a lost race.
_PASSING = frozenset({"08", "53", "55", "57", "58", "40"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Drained:
    """What became of kept answers.

    Attributes:
        stored: so many are in the database now, where they were still waited for.
        late: so many are there as ``late``: their calls had been given up, and are not scored.
        unreadable: lines that a crash had cut.
        refused: lines that the database will never take; they lie beside the spool, for a person to look at.

    """

    stored: int = 0
    late: int = 0
    unreadable: int = 0
    refused: int = 0

    def __bool__(self) -> bool:
        return bool(self.stored or self.late or self.unreadable or self.refused)

    def __add__(self, other: Drained) -> Drained:
        return Drained(
            stored=self.stored + other.stored,
            late=self.late + other.late,
            unreadable=self.unreadable + other.unreadable,
            refused=self.refused + other.refused,
        )

    def __str__(self) -> str:
        parts = [f"{self.stored:,} stored"] if self.stored else []
        parts += [f"{self.late:,} too late to count"] if self.late else []
        parts += [f"{self.unreadable:,} cut off by a crash"] if self.unreadable else []
        parts += [f"{self.refused:,} refused and left in the spool's folder"] if self.refused else []
        return f"answers that the database could not take before: {', '.join(parts)}"


class Spool:
    """One process's file of one person's answers.

    Args:
        folder: made when the first answer comes, readable by its owner alone.
        user_id: whose answers they are; a person's id is another one in each database.

    Attributes:
        path: the file; there is none while nothing is kept.

    """

    def __init__(self, folder: Path, user_id: uuid.UUID) -> None:
        self._folder = folder
        self._user_id = user_id
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self.path = folder / f"{user_id}.{os.getpid()}-{secrets.token_hex(4)}.jsonl"

    def keep(self, written: Documents) -> None:
        """Put a group of results on the disk; they are safe when this returns.

        Raises:
            DatabaseError: the file cannot be written either.

        """
        line = orjson.dumps(written) + b"\n"
        try:
            with self._lock:
                self._append(line)
        except OSError as error:
            raise DatabaseError(
                f"answers can be kept neither in the database nor in {self._folder}: {error.strerror}",
                cure="free space there, or make the folder writable; what was answered meanwhile may be billed",
            ) from error

    def drain(self, connection: Connection[Any]) -> Drained:
        """Store what is kept here and in the files that ended processes left; a file goes when its last line is stored.

        Args:
            connection: the same person's, in autocommit.

        Raises:
            psycopg.Error: the database cannot take them now; they stay.
            DatabaseError: a file cannot be read or removed; what is stored already is stored once.

        """
        drained = Drained()
        try:
            with self._lock:
                if self._file is not None:
                    with self.path.open("rb") as kept:
                        drained = self._store(connection, kept)
                    self._file.truncate(0)
                    self._close()
            for path in sorted(self._folder.glob(f"{self._user_id}.*.jsonl")):
                with _orphan(path) as file:
                    if file is not None:
                        drained += self._store(connection, file)
                        path.unlink()
        except OSError as error:
            raise DatabaseError(
                f"the answers kept in {self._folder} cannot be read or removed: {error.strerror}",
                cure="make the folder writable, or free space there; then connect again",
            ) from error
        return drained

    def close(self) -> None:
        """Leave the file to whoever drains it next."""
        with self._lock:
            self._close()

    def _store(self, connection: Connection[Any], file: IO[bytes]) -> Drained:
        drained = Drained()
        for line in file:
            try:
                rows, tries, runs = orjson.loads(line)
            except ValueError:
                # It was being written when the machine stopped: nobody was told that it is safe.
                drained += Drained(unreadable=1)
                continue
            try:
                found = finish_documents(connection, (rows, tries, runs)).values()
            except psycopg.Error as error:
                if error.sqlstate is None or error.sqlstate[:2] in _PASSING:
                    raise
                with (self._folder / f"{self._user_id}.refused").open("ab") as refused:
                    refused.write(line)
                drained += Drained(refused=1)
                continue
            late = sum(status == "late" for status in found)
            drained += Drained(stored=len(found) - late, late=late)
        return drained

    def _append(self, line: bytes) -> None:
        file = self._file or self._open()
        end = os.fstat(file.fileno()).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)  # half a line would spoil the next one
            raise

    def _open(self) -> FileIO:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while not (file := self._locked()):
            continue
        try:
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)  # the name is to survive as well
            finally:
                os.close(folder)
        except OSError:
            file.close()
            raise
        self._file = file
        return file

    def _locked(self) -> FileIO | None:
        """Make the file and hold it; None where somebody took it for an empty one of an ended process, and removed it."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        file = FileIO(descriptor, "ab")  # a buffer would keep what did not fit, and write it later
        with contextlib.ExitStack() as stack:
            stack.callback(file.close)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:
                return None
            stack.pop_all()
        return file

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # an empty file harms nobody, and the next drain removes it
                if os.fstat(file.fileno()).st_size == 0:
                    self.path.unlink()
            file.close()


@contextlib.contextmanager
def _orphan(path: Path) -> Iterator[IO[bytes] | None]:
    """Open a file whose process has ended, and hold it; None where one lives, or somebody else was quicker."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if path.exists() else None
