"""Models that run on this machine: llama.cpp as a child process, spoken to over HTTP.

A child, because a crash or an out-of-memory kill of the model must not take the notebook's kernel with
it; HTTP, because then it is one more OpenAI-compatible server. The child is started by the first call
and ends with its parent.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import secrets
import selectors
import subprocess
import sys
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import IO

import psutil

from workbench.core.chat import ChatRequest, ChatResponse, ModelInfo
from workbench.errors import ConfigError, ProviderError, ProviderUnavailableError
from workbench.providers.base import OnText, Provider, Retry
from workbench.providers.failures import excerpt
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.weights import checked_path, installed
from workbench.secret import Secret
from workbench.settings import Settings

__all__ = ["CONTEXT", "LocalProvider", "create"]

#: Tokens of prompt and answer together.
CONTEXT = 1024

_START_SECONDS = 60.0
_END_SECONDS = 2.0
_LOG_BYTES = 2**20
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")


class LocalProvider:
    """Answers with local weights, one child process for each model.

    Calls wait for one of two places: the model computes one answer while the next is read in, and more
    at once make each slower. The cost of a call is exactly 0.

    Args:
        home: the workbench's home: weights in ``models``, the child's log in ``logs``.
        retry: how patient a call is.

    """

    name = "local"
    host = "127.0.0.1"
    concurrency = 2

    def __init__(self, home: Path, *, retry: Retry | None = None) -> None:
        self._home = home
        self._retry = retry or Retry(tries=2)  # a child that is gone will not come back by asking again
        self._children: dict[str, asyncio.Task[_Child]] = {}
        self._places = asyncio.Semaphore(self.concurrency)

    async def chat(self, request: ChatRequest, *, on_text: OnText | None = None) -> ChatResponse:
        """Answer one request, starting the model's server first where it does not run.

        Raises:
            WeightsError: the weights are not here.
            ConfigError: llama.cpp is not installed.
            ProviderError: the server does not start, ended, or refused the request.

        """
        async with self._places:
            child = await self._child(request.model)
            try:
                response = await child.client.chat(request, on_text=on_text)
            except ProviderError as error:
                error.response = error.response and _free(error.response)
                if isinstance(error, ProviderUnavailableError) and not child.alive():
                    error.message = f"the server of local/{request.model} ended ({child.last_words()})"
                    error.cure = f"its log is {child.log}; the next call starts it again"
                raise
        return _free(response)

    async def models(self) -> list[ModelInfo]:
        """Return the models whose weights are here."""
        return [
            ModelInfo(
                model_id=f"local/{name}",
                name=name,
                context_length=CONTEXT,
                price_prompt=Decimal(0),
                price_completion=Decimal(0),
            )
            for name in installed(self._home)
        ]

    async def aclose(self) -> None:
        """End the child processes; may be called twice."""
        while self._children:
            _, task = self._children.popitem()
            (child,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(child, _Child):
                await child.client.aclose()
                await asyncio.to_thread(child.end)

    async def _child(self, model: str) -> _Child:
        """Return the model's running server; a start survives the call that asked for it."""
        task = self._children.get(model)
        if task is None or (task.done() and not _runs(task)):
            task = asyncio.create_task(self._launch(model, task))
            self._children[model] = task
        return await asyncio.shield(task)

    async def _launch(self, model: str, before: asyncio.Task[_Child] | None) -> _Child:
        if before is not None and not before.cancelled() and before.exception() is None:
            await before.result().client.aclose()
            await asyncio.to_thread(before.result().end)
        return await asyncio.to_thread(_start, model, self._home, self._retry)


def create(settings: Settings, *, name: str, key: Secret | None = None) -> Provider:
    """Make the provider (entry point)."""
    del name, key
    return LocalProvider(settings.home)


@dataclass(frozen=True, slots=True)
class _Child:
    """A running server and the way to it."""

    process: subprocess.Popen[bytes]
    client: OpenAICompatible
    log: Path

    def alive(self) -> bool:
        """Whether it still runs: a killed process stays unreaped until its last thread is gone."""
        if self.process.poll() is not None:
            return False
        try:
            return psutil.Process(self.process.pid).status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
        except psutil.NoSuchProcess:
            return False

    def last_words(self) -> str:
        """Tell how it ended, as far as it is known."""
        return _last_words(self.process, self.log)

    def end(self) -> None:
        """Let it end by closing its standard input; kill it when it does not."""
        _end(self.process)


def _runs(task: asyncio.Task[_Child]) -> bool:
    return not task.cancelled() and task.exception() is None and task.result().alive()


def _start(model: str, home: Path, retry: Retry) -> _Child:
    path = checked_path(model, home)
    if importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError(
            "local models need llama.cpp, which is not installed",
            cure="run `pip install 'prompt-workbench[local]'`",
        )
    key = secrets.token_urlsafe(24)
    try:
        log = _log_file(home, model)
        process = _spawn(log)
    except OSError as error:
        raise ProviderUnavailableError(
            f"the server of local/{model} cannot be started: {error}",
            cure=f"check who may write to {home / 'logs'}, and this machine's free memory",
        ) from error
    order = {"path": str(path), "name": model, "key": key, "threads": _threads(), "context": CONTEXT}
    try:
        url = _tell(process, order)
    except BaseException:
        _end(process)
        raise
    if url is None:
        _end(process)
        raise ProviderUnavailableError(
            f"the server of local/{model} did not start ({_last_words(process, log)})",
            cure=f"see {log}; are the weights whole, and is there 400 MB of free memory?",
        )
    client = OpenAICompatible(name="local", base_url=f"{url}/v1", key=Secret(key), retry=retry)
    return _Child(process, client, log)


def _spawn(log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench.providers.local_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            env=_environment(),
            start_new_session=True,  # a kernel's interrupt goes to its whole process group
        )


def _tell(process: subprocess.Popen[bytes], order: dict[str, object]) -> str | None:
    """Give the child its order and return its URL; None when it ended or stays silent."""
    stdin, stdout = _pipes(process)
    with contextlib.suppress(BrokenPipeError):
        stdin.write(json.dumps(order).encode() + b"\n")
        stdin.flush()
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        line = stdout.readline() if selector.select(_START_SECONDS) else b""
    return str(json.loads(line)["url"]) if line.strip() else None


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError  # both were asked for
    return process.stdin, process.stdout


def _end(process: subprocess.Popen[bytes]) -> None:
    stdin, stdout = _pipes(process)
    with contextlib.suppress(BrokenPipeError):
        stdin.close()
    stdout.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _environment() -> dict[str, str]:
    """Return what the child needs of our environment, and no keys; it finds this very package."""
    values = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    package = str(Path(__file__).parents[2])
    values["PYTHONPATH"] = os.pathsep.join(filter(None, [package, values.get("PYTHONPATH")]))
    return values


def _threads() -> int:
    return max(1, len(os.sched_getaffinity(0)) - 1)


def _log_file(home: Path, model: str) -> Path:
    folder = home / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / f"local-{model}.log"
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.unlink()
    return log


def _last_words(process: subprocess.Popen[bytes], log: Path) -> str:
    code = process.poll()
    ending = "killed" if code in {None, -9} else f"exit code {code}"
    lines = [line for line in log.read_text(errors="replace")[-4000:].splitlines() if line.strip()]
    return f"{ending}; its last line: {excerpt(lines[-1])}" if lines else ending


def _free(response: ChatResponse) -> ChatResponse:
    return replace(response, usage=replace(response.usage, cost=Decimal(0)))
