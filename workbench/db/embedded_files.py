"""Where the embedded server's files lie, whose they are, and what is checked before they are used.

PostgreSQL refuses to run as root, so a root notebook (the usual one in a container) hands the server to
the account ``postgres`` or ``nobody``. That account cannot enter root's home: the files then lie under
``/var/lib/workbench``.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workbench.errors import DiskFullError, EmbeddedServerError
from workbench.secret import Secret

__all__ = [
    "PORT",
    "STATE",
    "Account",
    "Layout",
    "filesystem_errors",
    "held_lock",
    "locate",
    "may_enter",
    "new_password",
    "open_directory",
    "private_directory",
    "read_password",
    "require_space",
    "short_hash",
    "sync_directory",
]

PORT = 5432
STATE = Path("/var/lib/workbench")

_SOCKET_PATH_LIMIT = 100  # bytes; the kernel's own limits are 107 (Linux) and 103 (macOS)
_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Account:
    """The account that the server's processes run as.

    Attributes:
        uid: its user id.
        gid: its group id.
        dropped: True where this process is root and its children change to the account.

    """

    uid: int
    gid: int
    dropped: bool

    @property
    def spawn(self) -> dict[str, Any]:
        """Options of ``subprocess`` that start a child under the account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.dropped else {}

    def require_entry(self) -> None:
        """Refuse a user id without a name, which PostgreSQL's programs do not accept.

        Raises:
            EmbeddedServerError: the user id has no entry in the passwd database.

        """
        try:
            pwd.getpwuid(self.uid)
        except KeyError as error:
            message = f"this process runs as user id {self.uid}, which has no entry in the passwd database; PostgreSQL refuses to run without one"
            cure = "run as a user with a name (in a container: one that the image knows), add an entry to /etc/passwd, or set DATABASE_URL to a running server"
            raise EmbeddedServerError(message, cure=cure) from error


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The names of everything under the embedded server's directory ``base``."""

    base: Path
    account: Account

    @property
    def data(self) -> Path:
        """The data directory; it appears complete, by a rename."""
        return self.base / "data"

    @property
    def new_data(self) -> Path:
        """Where initdb works; whatever lies here was never finished."""
        return self.base / "data.new"

    @property
    def pid_file(self) -> Path:
        """PostgreSQL's own note of who serves the data directory."""
        return self.data / "postmaster.pid"

    @property
    def password(self) -> Path:
        """The superuser's password, readable by its owner alone."""
        return self.base / "superuser.password"

    @property
    def log(self) -> Path:
        """What the server says; no statement, no value."""
        return self.base / "server.log"

    @property
    def version(self) -> Path:
        """The version of the programs that the server was last started with."""
        return self.base / "version"

    @property
    def start_lock(self) -> Path:
        """Held by the one process that starts or stops the server."""
        return self.base / "start.lock"

    @property
    def server_lock(self) -> Path:
        """Held by the server's processes themselves, as long as any of them lives."""
        return self.base / "server.lock"

    @cached_property
    def socket_dir(self) -> Path:
        """Directory of the socket: beside the data, or a short one where that path is unfit.

        Paths of sockets end after about 100 bytes, and libpq takes a comma for a second host.
        """
        here = self.base / "run"
        if "," in str(here) or len(os.fsencode(here / f".s.PGSQL.{PORT}")) > _SOCKET_PATH_LIMIT:
            name = f"workbench-{self.account.uid}-{short_hash(self.base)}"
            return Path("/tmp") / name  # noqa: S108 - private_directory refuses what somebody else put there
        return here

    @property
    def socket(self) -> Path:
        """The socket."""
        return self.socket_dir / f".s.PGSQL.{PORT}"

    @property
    def socket_lock(self) -> Path:
        """PostgreSQL's own note of who serves the socket."""
        return self.socket.with_name(f"{self.socket.name}.lock")

    def prepare(self) -> None:
        """Make the directories that are missing.

        Raises:
            EmbeddedServerError: one of them belongs to somebody else.

        """
        if self.base.is_relative_to(STATE):
            open_directory(STATE)
        self.base.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        me = Account(uid=os.geteuid(), gid=os.getegid(), dropped=False)
        private_directory(self.base, me, mode=0o711 if self.account.dropped else 0o700)
        private_directory(self.socket_dir, self.account)


def locate(home: Path) -> Layout:
    """Return where the embedded server of a home lies and which account it runs as.

    Args:
        home: the directory of all state; it need not exist.

    Raises:
        EmbeddedServerError: this is root, and there is neither a ``postgres`` nor a ``nobody`` account.

    """
    beside = home.absolute() / "postgres"
    if os.geteuid() != 0:
        return Layout(base=beside, account=Account(uid=os.geteuid(), gid=os.getegid(), dropped=False))
    apart = STATE / short_hash(home)
    # Where data lie already wins over where new ones would go: a chmod must not seem to lose them.
    for base in (apart, beside):
        if (base / "data").exists():
            return Layout(base=base, account=_unprivileged(base / "data"))
    account = _unprivileged()
    return Layout(base=beside if may_enter(home.absolute(), account) else apart, account=account)


def _unprivileged(existing: Path | None = None) -> Account:
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if existing is None or existing.stat().st_uid == entry.pw_uid:
            return Account(uid=entry.pw_uid, gid=entry.pw_gid, dropped=True)
    if existing is not None:
        message = f"{existing} belongs to user id {existing.stat().st_uid}, and this is root"
        raise EmbeddedServerError(
            message, cure="run as its owner, or set WORKBENCH_HOME to another directory"
        )
    message = "PostgreSQL does not run as root, and there is no account 'postgres' or 'nobody' to run it as"
    raise EmbeddedServerError(message, cure="useradd --system postgres")


def short_hash(path: Path) -> str:
    """Return twelve hexadecimal digits that stand for a path."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]


def may_enter(path: Path, account: Account) -> bool:
    """Tell whether the account may enter a directory (or execute a file) and all that lies above it."""
    for each in (path, *path.parents):
        try:
            info = each.stat()
        except OSError:
            return False
        shift = 6 if info.st_uid == account.uid else 3 if info.st_gid == account.gid else 0
        if not (info.st_mode >> shift) & 1:
            return False
    return True


def private_directory(path: Path, account: Account, *, mode: int = 0o700) -> None:
    """Make a directory of the account's own, or check that the one there is.

    Raises:
        EmbeddedServerError: something else lies there, or it belongs to somebody else.

    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        info = path.lstat()
        # One of root's own that the process which made it has not handed over yet.
        owners = {account.uid, os.geteuid()} if account.dropped else {account.uid}
        if not stat.S_ISDIR(info.st_mode) or info.st_uid not in owners:
            message = f"{path} should be a directory of user id {account.uid}, but it is something else or belongs to user id {info.st_uid}"
            cure = "remove it, run as its owner, or set WORKBENCH_HOME to another (short) directory"
            raise EmbeddedServerError(message, cure=cure) from None
    if account.dropped:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)
    if stat.S_IMODE(path.lstat().st_mode) != mode:
        path.chmod(mode)


def open_directory(path: Path) -> None:
    """Make a directory that everybody may enter, whatever this process's umask says."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)


def require_space(path: Path, needed: int) -> None:
    """Refuse to begin where less than ``needed`` bytes are free.

    Raises:
        DiskFullError: there is less.

    """
    free = shutil.disk_usage(path).free
    if free < needed:
        message = f"{path} has {free // _MEGABYTE} MB free; the database needs {needed // _MEGABYTE} MB"
        raise DiskFullError(
            message, cure="free some space, or set WORKBENCH_HOME to a directory on a larger disk"
        )


def new_password(layout: Layout) -> None:
    """Write a new random password for the superuser, 0600, in one step."""
    draft = layout.password.with_suffix(".new")
    draft.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with os.fdopen(os.open(draft, flags, 0o600), "w", encoding="utf-8") as file:
        if layout.account.dropped:
            os.fchown(file.fileno(), layout.account.uid, layout.account.gid)
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(layout.password)


def read_password(layout: Layout) -> Secret:
    """Read the superuser's password.

    Raises:
        EmbeddedServerError: the file is missing, is a link, or others may read it.

    """
    path = layout.password
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.readline().strip()
    except OSError as error:
        message = f"the superuser's password cannot be read from {path}: {error.strerror}"
        cure = f"put the file back from a backup; without it, move {layout.base} away to begin anew"
        raise EmbeddedServerError(message, cure=cure) from error
    if mode & 0o077:
        raise EmbeddedServerError(
            f"{path} holds a password, and others may read it (mode {mode:o})", cure=f"chmod 600 {path}"
        )
    return Secret(text)


def sync_directory(path: Path) -> None:
    """Bring a rename inside a directory to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def held_lock(path: Path, *, timeout: float, busy: str) -> Iterator[int]:
    """Hold an exclusive lock on a file and give its descriptor.

    Args:
        path: the file; made where it is missing, never removed.
        timeout: seconds to wait for another holder.
        busy: who the other holder is, for the message.

    Raises:
        EmbeddedServerError: the lock was not free in time.

    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + timeout
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"{path} was still locked after {timeout:g} s by {busy}",
                    cure="wait for it to end, or end it",
                )
            time.sleep(0.01)
        yield descriptor
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def filesystem_errors(base: Path) -> Iterator[None]:
    """Turn what the operating system refuses into the workbench's own errors."""
    try:
        yield
    except OSError as error:
        where = error.filename or base
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFullError(
                f"no space is left at {where}", cure="free some space, then try again"
            ) from error
        message = f"the embedded server cannot use {where}: {error.strerror or error}"
        raise EmbeddedServerError(
            message, cure="give this user the right to it, or set WORKBENCH_HOME to another directory"
        ) from error
