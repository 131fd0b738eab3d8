"""What the tests of the magics share: a real IPython shell with the extension, and cells run in it."""

from __future__ import annotations

import builtins

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


@pytest.fixture
def shell(wb, monkeypatch):
    """A shell with the extension loaded and ann's workbench as ``wb``."""
    monkeypatch.delattr(builtins, "_", raising=False)  # left by a doctest; IPython would then leave it alone
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.user_ns["wb"] = wb
    shell.run_line_magic("load_ext", "workbench")
    yield shell
    shell.run_line_magic("unload_ext", "workbench")
    InteractiveShell.clear_instance()


@pytest.fixture
def cell(shell, capsys):
    """Run a cell; return what it gives, or raise what it raised, with what it printed as ``cell.out``."""

    def run(source):
        result = shell.run_cell(source, store_history=True)
        run.out = capsys.readouterr()
        result.raise_error()
        return result.result

    return run
