"""papermill's engine, with what it leaves open: which Python, which environment, one deadline, the end.

papermill marks every cell as completed when a kernel dies or a deadline passes. So a last cell is
added here that shows a token made for this execution: only a notebook that holds it ran to its end.

Loaded only when a notebook is executed: papermill costs more than a second to import.
"""

from __future__ import annotations

import re
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import Engine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook
from papermill.iorw import load_notebook_node

__all__ = ["SENTINEL", "run_notebook"]

#: MIME type of the last cell's output; the value is ``{"token": …}``.
SENTINEL = "application/vnd.workbench.sentinel+json"

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NAME = "workbench"
_KERNEL = "python3"


def run_notebook(
    path_in: Path,
    path_out: Path,
    parameters: Mapping[str, Any],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float | None,
    after_cell: Callable[[int, int], None],
) -> str | None:
    """Execute a notebook and write it after each cell.

    Args:
        path_in: the notebook.
        path_out: where the executed one is written, also when it fails.
        parameters: checked names and values; a cell that assigns them is put behind the ``parameters`` cell.
        cwd: the kernel's working directory.
        env: the kernel's whole environment.
        timeout: seconds for all cells together, from the first one's start.
        after_cell: called with the number of code cells that have run, and of all.

    Returns:
        None when the notebook ran to its end, else one line that says why it did not.

    """
    notebook = load_notebook_node(str(path_in))
    token = secrets.token_hex(16)
    notebook.cells.append(_last_cell(token))
    watch = _Watch(timeout, after_cell)
    try:
        executed = execute_notebook(
            notebook,
            # papermill takes the path for a format string.
            str(path_out).replace("{", "{{").replace("}", "}}"),
            dict(parameters),
            engine_name=_NAME,
            kernel_name=_KERNEL,
            language="python",
            progress_bar=False,
            kernel_cwd=str(cwd),
            kernel_env=dict(env),
            watch=watch,
        )
    except PapermillExecutionError as error:
        return f"cell [{error.exec_count}] raised {_one_line(error.ename, error.evalue)}"
    except CellTimeoutError:
        return f"cell [{watch.started}] was still running when its {timeout:g} s were over"
    except DeadKernelError:
        return f"the kernel died in cell [{watch.started}]"
    except RuntimeError as error:
        return f"the kernel did not start: {_one_line('', str(error))}"
    if _shows(executed.cells[-1], token):
        return None
    return f"the notebook stopped in cell [{watch.started}], before its end"


class _Watch:
    """Counts the code cells as they start and end, and keeps the deadline."""

    def __init__(self, timeout: float | None, after_cell: Callable[[int, int], None]) -> None:
        self.started = 0
        self._timeout = timeout
        self._deadline: float | None = None
        self._after_cell = after_cell
        self._total = 0

    def open(self, notebook: nbformat.NotebookNode) -> None:
        """Count what there is to run; the cell that we added ourselves is not counted."""
        self._total = (
            sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in notebook.cells) - 1
        )

    def cell_started(self, **_: object) -> None:
        """Hook of nbclient: a code cell was sent to the kernel."""
        self.started += 1

    def cell_ended(self, **_: object) -> None:
        """Hook of nbclient: a code cell was answered, with or without an error."""
        if self.started <= self._total:
            self._after_cell(self.started, self._total)

    def seconds_left(self, _: object) -> float | None:
        """Return what is left of the time; None for no limit. nbclient asks once a cell was sent."""
        if self._timeout is None:
            return None
        if self._deadline is None:
            self._deadline = time.monotonic() + self._timeout
        return max(0.1, self._deadline - time.monotonic())


class _ThisPython(AsyncKernelManager):
    """Starts the interpreter that runs the workbench, whatever kernels a person has installed."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            # Its own log would appear between the output of whoever runs the report.
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=50"],
            display_name="Python 3",
            language="python",
        )


class _Engine(Engine):  # type: ignore[misc]  # papermill has no types
    """Starts :class:`_ThisPython` in the environment and directory that are asked for."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: NotebookExecutionManager,
        kernel_name: str,
        *,
        kernel_cwd: str,
        kernel_env: dict[str, str],
        watch: _Watch,
        **_: object,
    ) -> None:
        watch.open(nb_man.nb)
        PapermillNotebookClient(
            nb_man,
            kernel_manager_class=_ThisPython,
            kernel_name=kernel_name,
            resources={"metadata": {"path": kernel_cwd}},
            timeout_func=watch.seconds_left,
            # nbclient gives a large output 4 s to arrive after the cell; on a busy machine it needs more.
            iopub_timeout=60,
            on_cell_execute=watch.cell_started,
            on_cell_executed=watch.cell_ended,
            # A password widget's value would be saved with the widgets' state.
            store_widget_state=False,
        ).execute(env=kernel_env)


papermill_engines.register(_NAME, _Engine)


def _last_cell(token: str) -> nbformat.NotebookNode:
    bundle = {SENTINEL: {"token": token}, "text/plain": "End of the report."}
    source = f"from IPython.display import display as _display\n\n_display({bundle!r}, raw=True)"
    return nbformat.v4.new_code_cell(source, metadata={"tags": ["workbench-sentinel"]})


def _shows(cell: nbformat.NotebookNode, token: str) -> bool:
    return any(output.get("data", {}).get(SENTINEL) == {"token": token} for output in cell.get("outputs", ()))


def _one_line(name: str, text: str) -> str:
    lines = _ANSI.sub("", text).strip().splitlines()
    first = lines[0][:300] if lines else ""
    cure = next(
        (f" {line[:300]}" for line in lines[1:] if line.startswith("→ ")), ""
    )  # our errors say what to do
    return f"{name}: {first}{cure}" if name and first else name or first
