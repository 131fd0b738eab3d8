"""The files of a home: what ``lab`` and ``models fetch`` put there, and what ``clean`` takes away."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from workbench.db.connect import target_of
from workbench.db.embedded import EmbeddedServer
from workbench.errors import ConfigError
from workbench.providers import weights
from workbench.resources import notebooks_dir
from workbench.services.maintenance import stop_server
from workbench.settings import Settings

__all__ = ["Removable", "copy_notebooks", "fetch_weights", "lab_command", "removable", "remove"]

_FIRST = "01_quickstart.ipynb"
_NOT_COPIED = {".ipynb_checkpoints", "__pycache__"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Removable:
    """Something of a home that can be made or fetched again, or that only takes room.

    Attributes:
        name: what it is.
        paths: the files and directories.
        size: of all of them, in bytes.

    """

    name: str
    paths: tuple[Path, ...]
    size: int

    def __str__(self) -> str:
        places = ", ".join(str(path) for path in self.paths)
        return f"{self.name} ({self.size / 1e6:,.1f} MB): {places}"


def copy_notebooks(settings: Settings) -> Path:
    """Copy the tutorials to ``home/notebooks`` and return that directory.

    A file that is there already is left as it is, so a person's edits stay; deleting it brings the
    shipped one back.

    Raises:
        ConfigError: the home cannot be written to.

    """
    target = settings.home / "notebooks"
    with _writing(target):
        _copy_missing(notebooks_dir(), target)
    return target


def lab_command(
    settings: Settings, *, browser: bool = True, port: int | None = None, arguments: Sequence[str] = ()
) -> list[str]:
    """Return the command that opens JupyterLab of this Python on a copy of the tutorials.

    Args:
        settings: the process's settings.
        browser: open one.
        port: to listen on; by default the first free one from 8888.
        arguments: more of them, for JupyterLab.

    """
    folder = copy_notebooks(settings)
    first = folder / _FIRST
    options = [] if browser else ["--no-browser"]
    options += [] if port is None else [f"--port={port}"]
    if os.geteuid() == 0 and not any(argument.startswith("--allow-root") for argument in arguments):
        options.append("--allow-root")  # a container's only account; JupyterLab would refuse to start
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        str(first if first.exists() else folder),
        *options,
        *arguments,
    ]


def fetch_weights(name: str, settings: Settings, progress: Callable[[str], None] | None = None) -> str:
    """Download the weights of a local model, checked by their hash; return its model id. Needs no database.

    Raises:
        WeightsError: the name is unknown, the download failed, or the file has another hash.

    """
    weights.fetch(name, settings.home, progress)
    return f"local/{name}"


def removable(settings: Settings, *, database: bool = False) -> list[Removable]:
    """Return what :func:`remove` may take away: fetched weights and reports, never notebooks.

    Args:
        settings: the process's settings.
        database: the embedded database too, with everything that is stored in it.

    Raises:
        ConfigError: the database is an external one.

    """
    models = settings.home / "models"
    found = [
        _removable("fetched weights", [models / f"{name}.gguf" for name in weights.CATALOGUE]),
        _removable("report files", [settings.home / "reports"]),
    ]
    if database:
        target = target_of(settings)
        if target.url is not None:
            raise ConfigError(
                "the database is an external one, which is not deleted from here",
                cure="leave --database out, or have its administrator drop it",
            )
        home = target.embedded or settings.home
        data = EmbeddedServer(home, pg_bin=settings.pg_bin).data
        found.append(
            _removable(
                "the embedded database: every prompt, run and verdict", [data.parent, home / "embedded"]
            )
        )
    return [each for each in found if each.paths]


def remove(settings: Settings, found: Iterable[Removable], *, database: bool = False) -> None:
    """Delete what :func:`removable` returned.

    Raises:
        EmbeddedServerError: others use the embedded server.
        ConfigError: a file cannot be deleted.

    """
    if database:
        stop_server(settings)
    for path in (path for each in found for path in each.paths):
        with _writing(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _removable(name: str, paths: Iterable[Path]) -> Removable:
    there = tuple(path for path in paths if path.exists() or path.is_symlink())
    return Removable(name=name, paths=there, size=sum(map(_size, there)))


def _size(path: Path) -> int:
    total = 0
    for each in (path, *path.rglob("*")):
        with suppress(FileNotFoundError):  # a running server makes and removes files
            total += each.lstat().st_size if not each.is_dir() else 0
    return total


def _copy_missing(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        copy = target / path.name
        if path.name in _NOT_COPIED:
            continue
        if path.is_dir():
            _copy_missing(path, copy)
        elif not copy.exists():
            shutil.copyfile(path, copy)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise ConfigError(
            f"{where} cannot be changed: {error.strerror or error}",
            cure="see who owns it and whether the disk is full, or set WORKBENCH_HOME to another directory",
        ) from error
