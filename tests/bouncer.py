"""Test equipment: a real PgBouncer before a server, that a test may kill and start again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from workbench.db.embedded_files import Account
from workbench.secret import Secret

__all__ = ["Bouncer"]

_CONFIGURATION = """
[databases]
* = host={host} port={far_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = 20
ignore_startup_parameters = extra_float_digits,options
"""


class Bouncer:
    """PgBouncer on 127.0.0.1; use it as a context manager.

    Args:
        url: a person's, of a server on a Unix socket; the login is the only one that it knows.
        mode: ``session`` or ``transaction``.
        account: whom the server belongs to; PgBouncer does not run as root.

    """

    def __init__(self, url: Secret, *, mode: str, account: Account) -> None:
        self._parts = urlsplit(url.reveal())
        self._mode = mode
        self._account = account
        self._folder = Path(tempfile.mkdtemp(prefix="bouncer-", dir="/tmp"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> Secret:
        """The same login and database, through PgBouncer."""
        login = self._parts.netloc.rpartition("@")[0]
        return Secret(
            urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{self.port}", query="sslmode=disable"))
        )

    def __enter__(self) -> Self:
        query = dict(parse_qsl(self._parts.query))
        user, password = unquote(self._parts.username or ""), unquote(self._parts.password or "")
        (self._folder / "users").write_text(f'"{user}" "{password}"\n')
        (self._folder / "ini").write_text(
            _CONFIGURATION.format(
                host=query["host"],
                far_port=query["port"],
                port=self.port,
                folder=self._folder,
                mode=self._mode,
            )
        )
        for path in (self._folder, *self._folder.iterdir()):
            os.chown(path, self._account.uid, self._account.gid)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        self._process = subprocess.Popen(
            [program, "-q", self._folder / "ini"], cwd="/", stderr=subprocess.DEVNULL, **self._account.spawn
        )
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PgBouncer does not start: {self._process.poll()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill it with -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
