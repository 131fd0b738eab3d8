"""What a kernel does not pay for until it needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = "pandas scipy plotly sql alembic papermill nbformat nbconvert ipywidgets statsmodels pyarrow pydantic jsonschema"

IMPORT = """
import sys
import workbench
"""

SCRIPT = """
import sys
import workbench
workbench.connect, workbench.Workbench, workbench.arm
"""

EXTENSION = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
assert not HEAVY & set(sys.modules), "IPython itself loads what this test looks for"
assert shell.run_line_magic("load_ext", "workbench") is None
assert shell.find_cell_magic("prompt"), "%%prompt was not registered"
"""


@pytest.mark.parametrize("source", [IMPORT, SCRIPT, EXTENSION], ids=["import", "public names", "load_ext"])
def test_loads_nothing_heavy(source, tmp_path):
    code = f"HEAVY = set({HEAVY.split()!r})\n{source}\nprint(*sorted(HEAVY & set(sys.modules)))"
    environment = {
        "HOME": str(tmp_path),
        "IPYTHONDIR": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": ":".join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
