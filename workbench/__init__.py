"""A prompt-engineering workbench for JupyterLab, on PostgreSQL.

``%load_ext workbench`` in a notebook, or ``wb = workbench.connect()`` anywhere. Importing the package
is cheap: everything else is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from workbench.core import display as _display

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from workbench import analysis
    from workbench.secret import Secret
    from workbench.services.experiment import arm
    from workbench.services.workbench import Workbench, connect

__version__ = "0.1.0"

__all__ = [
    "Secret",
    "Workbench",
    "__version__",
    "analysis",
    "arm",
    "connect",
    "load_ipython_extension",
    "unload_ipython_extension",
]

_LAZY = {
    "Secret": "workbench.secret",
    "Workbench": "workbench.services.workbench",
    "arm": "workbench.services.experiment",
    "connect": "workbench.services.workbench",
}

_display.set_loader(lambda: importlib.import_module("workbench.views"))


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics: ``%load_ext workbench``."""
    from workbench.magics import register

    register(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics away and close the connection: ``%unload_ext workbench``."""
    from workbench.magics import unregister

    unregister(shell)


def __getattr__(name: str) -> Any:
    if name == "analysis":
        return importlib.import_module("workbench.analysis")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'workbench' has no attribute {name!r}")
