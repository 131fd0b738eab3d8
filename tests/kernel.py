"""Test equipment: a real kernel in a process of its own, that a test may interrupt, pause and kill."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from queue import Empty
from typing import Any, Self

from jupyter_client.manager import KernelManager

__all__ = ["Kernel", "Outcome"]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """How a cell ended: what it printed and showed, and the error's name and traceback, or empty."""

    text: str = ""
    error: str = ""
    traceback: str = ""


class Kernel:
    """A kernel with this Python; use it as a context manager.

    Args:
        environment: variables of the kernel, beside those of the test's process.

    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._manager: Any = KernelManager()
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self._manager.kernel_spec.argv = command
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._environment = {**os.environ, "PYTHONPATH": path, **environment}
        self._asked = ""

    def __enter__(self) -> Self:
        self._manager.start_kernel(env=self._environment)
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    @property
    def pid(self) -> int:
        """The kernel's process."""
        return int(self._manager.provisioner.pid)

    def run(self, code: str, *, seconds: float = 60) -> Outcome:
        """Run a cell and wait for it."""
        self.start(code)
        return self.wait(seconds)

    def start(self, code: str) -> None:
        """Start a cell."""
        self._asked = self._client.execute(code)

    def wait(self, seconds: float = 60) -> Outcome:
        """Wait until the kernel is idle again; fails after so many seconds of silence."""
        text, error, traceback = "", "", ""
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=seconds)
            except Empty:
                raise TimeoutError(
                    f"the cell was still running after {seconds:g} s; it printed {text!r}"
                ) from None
            content = message["content"]
            if message["parent_header"].get("msg_id") != self._asked:
                continue
            match message["msg_type"]:
                case "stream":
                    text += content["text"]
                case "execute_result" | "display_data":
                    text += content["data"].get("text/plain", "")
                case "error":
                    error = content["ename"]
                    traceback = _COLOURS.sub("", "\n".join(content["traceback"]))
                case "status" if content["execution_state"] == "idle":
                    return Outcome(text, error, traceback)

    def interrupt(self) -> None:
        """Send what the stop button sends."""
        self._manager.interrupt_kernel()

    def kill(self) -> None:
        """Kill it with -9."""
        os.kill(self.pid, signal.SIGKILL)

    def pause(self) -> None:
        """Stop its process, as a laptop that is closed."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)
