"""What the tests of the embedded server share: homes that are cleaned up, and other processes and users."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from workbench.db.embedded import EmbeddedServer

ROOT = os.geteuid() == 0
CHECKOUT = Path(__file__).parents[1]

# Everything is imported before the user changes: another user may not be able to read this Python.
_AS_USER = """
import json, os, signal, subprocess, sys, tempfile, time
from pathlib import Path
import psycopg
from workbench.db.embedded import EmbeddedServer
from workbench.errors import WorkbenchError
uid, home, pg_bin = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3] else None
if uid >= 0:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
server = EmbeddedServer(home, pg_bin=pg_bin)
"""


@contextmanager
def cleaned(
    home: Path, *, pg_bin: Path | None = None, like: EmbeddedServer | None = None
) -> Iterator[EmbeddedServer]:
    """Give the server of a home; afterwards stop it and remove what it left, wherever that is.

    Args:
        home: the home.
        pg_bin: programs to use.
        like: a stopped server whose files are copied, which is quicker than making new ones.

    """
    server = EmbeddedServer(home, pg_bin=pg_bin)
    layout = server._layout
    try:
        if like is not None:
            layout.prepare()
            subprocess.run(["cp", "-a", f"{like._layout.base}/.", layout.base], check=True)
        yield server
    finally:
        server.timeout = 60.0
        server.stop(force=True)
        shutil.rmtree(layout.base, ignore_errors=True)
        shutil.rmtree(layout.socket_dir, ignore_errors=True)


@contextmanager
def open_home(owner: int | None = None) -> Iterator[Path]:
    """Give a home that every account may enter, unlike pytest's own directories."""
    home = Path(tempfile.mkdtemp(prefix="wb-", dir="/tmp"))
    home.chmod(0o755)
    if owner is not None:
        os.chown(home, owner, owner)
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def connect(server: EmbeddedServer, dbname: str = "postgres") -> psycopg.Connection[Any]:
    """Log in as the superuser."""
    url = server.url(user=server.superuser, password=server.superuser_password, dbname=dbname)
    return psycopg.connect(url, autocommit=True)


def setting(connection: psycopg.Connection[Any], name: str) -> str:
    """Return one of the server's settings."""
    return str(connection.execute("SELECT current_setting(%s)", [name]).fetchone()[0])


def other_process(
    home: Path,
    code: str,
    *,
    pg_bin: Path | None = None,
    uid: int = -1,
    env: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    **options: Any,
) -> subprocess.Popen[str]:
    """Run code that finds ``server`` and ``home`` in another process, as another user where asked."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path]), **(env or {})}
    command = [*before, sys.executable, "-c", _AS_USER + code, str(uid), str(home), str(pg_bin or "")]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Wait for it, and return what it printed."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output
