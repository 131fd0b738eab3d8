"""Reports: a notebook with parameters, executed without a person, kept as a notebook and as one HTML page.

Nothing here knows the database: the functions take paths and values, and what came out is returned
as an :class:`ExecutionOutcome` for the caller to record, also when the notebook failed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import ReportError, UnknownReferenceError, did_you_mean
from workbench.services.reporting_export import export_html
from workbench.services.reporting_parameters import Parameter, check_parameters, read_parameters

__all__ = [
    "ExecutionOutcome",
    "Parameter",
    "check_parameters",
    "execute",
    "export_html",
    "find_notebook",
    "read_parameters",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionOutcome:
    """What came of executing a notebook.

    Attributes:
        path: the executed notebook; it exists also when the execution failed.
        parameters: every parameter's value, given or default.
        cells: code cells that ran.
        seconds: how long it took, with the kernel's start.
        error: one line that says why the notebook did not reach its end; None when it did.

    """

    path: Path
    parameters: Mapping[str, Any]
    cells: int
    seconds: float
    error: str | None = None

    @property
    def status(self) -> str:
        """``complete`` when the notebook ran to its end, else ``failed``."""
        return "failed" if self.error else "complete"

    def raise_if_failed(self) -> None:
        """Raise what went wrong, if anything did.

        Raises:
            ReportError: the notebook did not reach its end.

        """
        if self.error:
            raise ReportError(
                f"the report failed: {self.error}", cure=f"open {self.path} to see how far it came"
            )


def execute(
    path_in: Path,
    path_out: Path,
    parameters: Mapping[str, Any],
    *,
    cwd: Path,
    kernel_env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ExecutionOutcome:
    """Execute a notebook with the running interpreter and write it to ``path_out``.

    Call ``outcome.raise_if_failed()`` once the outcome is recorded.

    Args:
        path_in: the notebook; it is not changed.
        path_out: where the executed notebook goes; its directory exists.
        parameters: values for what the notebook declares, see :func:`check_parameters`.
        cwd: the kernel's working directory.
        kernel_env: the kernel's whole environment; this process's by default. Figures are always kept
            as plotly JSON, so the notebook stays small.
        timeout: seconds for all cells together, from the first one's start; None for no limit.
        progress: called with (code cells that have run, all code cells).

    Raises:
        UnknownReferenceError: there is no such notebook.
        ParameterError: a parameter is refused; no kernel was started.
        ReportError: the executed notebook cannot be written.

    """
    declared = read_parameters(path_in)
    given = check_parameters(declared, parameters)
    # Imported here: papermill and its kernel client cost more than a second.
    from workbench.services.reporting_engine import run_notebook

    cells = 0

    def count(done: int, total: int) -> None:
        nonlocal cells
        cells = done
        if progress is not None:
            progress(done, total)

    env = {**(os.environ if kernel_env is None else kernel_env), "PLOTLY_RENDERER": "plotly_mimetype"}
    started = time.monotonic()
    try:
        error = run_notebook(path_in, path_out, given, cwd=cwd, env=env, timeout=timeout, after_cell=count)
    except OSError as failure:
        raise ReportError(
            f"the executed notebook cannot be written to {path_out}: {failure}",
            cure="see that the directory exists and has space",
        ) from failure
    return ExecutionOutcome(
        path=path_out,
        parameters={name: given.get(name, parameter.default) for name, parameter in declared.items()},
        cells=cells,
        seconds=time.monotonic() - started,
        error=error,
    )


def find_notebook(name: str, folders: Sequence[Path]) -> Path:
    """Return the notebook that a person means: a path that ends in ``.ipynb``, or a name in a folder.

    Of two notebooks with the same name the one in the earlier folder is meant.

    Raises:
        UnknownReferenceError: there is none; the message lists the names that there are.

    """
    if name.endswith(".ipynb"):
        path = Path(name).expanduser()
        if path.is_file():
            return path.resolve()
        raise UnknownReferenceError(f"there is no notebook at {path}")
    known = {path.stem: path for folder in reversed(folders) for path in sorted(folder.glob("*.ipynb"))}
    if name in known:
        return known[name]
    raise UnknownReferenceError(
        f"there is no report {name!r}; there are: {', '.join(sorted(known)) or 'none'}",
        cure=did_you_mean(name, known) or "give the path of a notebook (it ends in .ipynb)",
    )
