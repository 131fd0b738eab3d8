"""The check-up: does everything that the workbench stands on work here, and what is the cure where not?

Nothing is started, made or changed by looking.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from workbench.db import health as database
from workbench.db.border import place
from workbench.db.connect import saved_embedded_url, target_of
from workbench.db.embedded import EmbeddedServer
from workbench.db.embedded_files import Account
from workbench.db.embedded_programs import run_program
from workbench.db.health import Facts
from workbench.db.migrate import check_revision
from workbench.errors import SchemaVersionError, WorkbenchError
from workbench.providers.registry import Registry
from workbench.providers.weights import installed, path_of
from workbench.secret import Secret
from workbench.settings import Settings

__all__ = ["Check", "doctor", "health"]

#: What a person sees first of a broken environment: the packages that do the work.
_PACKAGES = (
    "jupyterlab",
    "ipykernel",
    "jupysql",
    "papermill",
    "sqlalchemy",
    "psycopg",
    "pandas",
    "scipy",
    "plotly",
)
_GIGABYTE = 1_000_000_000
_LAB_PORT = 8888


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what; stable, for scripts.
        status: ``ok``, ``warn`` (works, but look at it) or ``fail``.
        message: what was found.
        cure: what to do about it.

    """

    name: str
    status: Literal["ok", "warn", "fail"] = "ok"
    message: str
    cure: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the fields, for JSON."""
        return asdict(self)


def doctor(settings: Settings) -> list[Check]:
    """Check this machine, its database, models and keys.

    Example:
        >>> [check.name for check in doctor(Settings.from_env()) if check.status == "fail"]
        []

    """
    checks, facts = _database(settings)
    machine = [_python(), _packages(), _home(settings)]
    return [*machine, *checks, _models(settings, facts), *_weights(settings), _keys(settings), _lab()]


def health(settings: Settings) -> list[Check]:
    """Check the database alone: it answers, is of the right revision, and isolates people."""
    return _database(settings)[0]


def _database(settings: Settings) -> tuple[list[Check], Facts | None]:
    checks, url = _server(settings)
    if url is None:
        return checks, None
    try:
        facts = database.examine(url)
    except WorkbenchError as error:
        return [*checks, _failed("database", error)], None
    return [*checks, *_verdicts(facts, url)], facts


def _python() -> Check:
    return Check(name="python", message=f"{platform.python_version()} in {sys.prefix}")


def _packages() -> Check:
    # Not by an import statement: the package's own __init__ reaches up to the notebook's face.
    found, missing = [f"prompt-workbench {import_module('workbench').__version__}"], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check(
            name="packages",
            status="fail",
            message=f"not installed: {', '.join(missing)}",
            cure="pip install --upgrade prompt-workbench",
        )
    return Check(name="packages", message=", ".join(found))


def _home(settings: Settings) -> Check:
    there = next(path for path in (settings.home, *settings.home.parents) if _exists(path))
    free = shutil.disk_usage(there).free / _GIGABYTE
    message = f"{settings.home}, {free:.1f} GB free"
    if not os.access(there, os.W_OK | os.X_OK):
        cure = "set WORKBENCH_HOME to a directory that you may write to"
        return Check(name="home", status="fail", message=f"{there} cannot be written to", cure=cure)
    if free < 0.5:
        return Check(name="home", status="fail", message=message, cure="free 0.5 GB for the database")
    if free < 2:
        return Check(name="home", status="warn", message=message, cure="2 GB keep you from thinking of it")
    return Check(name="home", message=message)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except OSError:  # also a directory above it that may not be entered
        return False
    return True


def _server(settings: Settings) -> tuple[list[Check], Secret | None]:
    """Find the server; the URL is None where there is nothing to ask."""
    try:
        target = target_of(settings)
        if target.url is not None:
            return [Check(name="server", message=f"external: {place(target.url)}")], target.url
        home = target.embedded or settings.home
        server = EmbeddedServer(home, pg_bin=settings.pg_bin)
        checks = [_programs(server)]
        info = server.status()
        url = saved_embedded_url(home, server)
    except WorkbenchError as error:
        return [_failed("server", error)], None
    except OSError as error:
        return [Check(name="server", status="fail", message=str(error), cure="see the line 'home'")], None
    if info is None or url is None:
        state = "not running" if server.data.exists() else "not made yet"
        message = f"embedded: {state}; it starts by itself when it is needed ({server.data})"
        return [
            *checks,
            Check(name="server", status="warn", message=message, cure="workbench db start"),
        ], None
    message = f"embedded: running, PostgreSQL {info.version}, process {info.pid}, {info.data}"
    return [*checks, Check(name="server", message=message)], url


def _programs(server: EmbeddedServer) -> Check:
    program = server.program("postgres")
    myself = Account(uid=os.geteuid(), gid=os.getegid(), dropped=False)
    said = run_program([program, "--version"], myself, timeout=30).strip()
    return Check(name="programs", message=f"{said} in {program.parent}")


def _verdicts(facts: Facts, url: Secret) -> Iterator[Check]:
    yield Check(
        name="database",
        message=f"PostgreSQL {facts.server_version} answers in {facts.answer_ms:.1f} ms",
    )
    yield _login(facts, url)
    if facts.privileged:  # it may see all of the schema or nothing: neither says how people fare
        return
    try:
        check_revision(facts.revision)
    except SchemaVersionError as error:
        yield _failed("schema", error)
        return
    yield Check(name="schema", message=f"revision {facts.revision}, {facts.size / 1e6:,.0f} MB")
    yield _isolation(facts)
    yield _load(facts)
    yield _runs(facts)


def _login(facts: Facts, url: Secret) -> Check:
    cure = "make a login of your own: workbench db init ADMIN_URL"
    if facts.privileged or facts.owner:
        message = f"{facts.login} is an administrator's login: row-level security does not bind it"
        return Check(name="login", status="fail", message=message, cure=cure)
    if facts.protected and not facts.person:
        message = f"{facts.login} on {place(url)} belongs to no person of the workbench"
        return Check(name="login", status="fail", message=message, cure=cure)
    return Check(name="login", message=f"{facts.login} is an ordinary login")


def _isolation(facts: Facts) -> Check:
    if facts.unprotected:
        return Check(
            name="isolation",
            status="fail",
            message=f"people are not kept apart in: {', '.join(facts.unprotected)}",
            cure="somebody changed the schema; as wb_owner: ALTER TABLE … ENABLE, then FORCE ROW LEVEL SECURITY; for a view, security_invoker = true",
        )
    return Check(name="isolation", message=f"row-level security is forced on {facts.protected} tables")


def _load(facts: Facts) -> Check:
    message = f"{facts.connections} of {facts.max_connections} connections"
    if facts.connections > 0.8 * facts.max_connections:
        cure = "close idle notebooks, or put PgBouncer in front"
        return Check(name="connections", status="warn", message=message, cure=cure)
    return Check(name="connections", message=message)


def _runs(facts: Facts) -> Check:
    if facts.abandoned_runs:
        return Check(
            name="runs",
            status="warn",
            message=f"{facts.abandoned_runs} were cut off; what was answered is stored",
            cure="run the same again: it goes on where it stopped",
        )
    return Check(name="runs", message="none is cut off")


def _models(settings: Settings, facts: Facts | None) -> Check:
    """Name what can be called now; only the database knows the servers that the person saved."""
    saved = {f"{name}/…" for name in facts.endpoints} if facts else set()
    found = sorted({*Registry(settings).available(), *saved})
    if found:
        return Check(name="models", message=", ".join(found))
    cure = (
        "workbench models fetch smollm2; or set OPENROUTER_API_KEY; or workbench models endpoint add NAME URL"
    )
    return Check(name="models", status="warn", message="none is ready", cure=cure)


def _weights(settings: Settings) -> Iterator[Check]:
    names = installed(settings.home)
    if not names:
        return
    sizes = (f"{name} ({path_of(name, settings.home).stat().st_size / 1e6:,.0f} MB)" for name in names)
    if find_spec("xllamacpp") is None:
        message = f"{', '.join(names)} is here, but nothing that runs it"
        cure = "pip install 'prompt-workbench[local]'"
        yield Check(name="weights", status="warn", message=message, cure=cure)
    else:
        yield Check(name="weights", message=", ".join(sizes))


def _keys(settings: Settings) -> Check:
    present = [
        name
        for name, key in (("OPENROUTER_API_KEY", settings.openrouter_key), ("WORKBENCH_KEY", settings.key))
        if key
    ]
    present += [f"{name} (endpoint)" for name in settings.endpoint_keys]
    return Check(
        name="keys",
        message=f"{', '.join(present)}: set" if present else "none; only needed for remote models",
    )


def _lab() -> Check:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        taken = probe.connect_ex(("127.0.0.1", _LAB_PORT)) == 0
    said = (
        f"port {_LAB_PORT} is taken; JupyterLab takes the next free one"
        if taken
        else f"port {_LAB_PORT} is free"
    )
    return Check(name="lab", message=said)


def _failed(name: str, error: WorkbenchError) -> Check:
    return Check(name=name, status="fail", message=error.message, cure=error.cure)
