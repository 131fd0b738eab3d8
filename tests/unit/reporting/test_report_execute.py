"""A report's notebook is executed by this Python, with these parameters, and its end is proved."""

from __future__ import annotations

import json
import sys

import pytest

from workbench.errors import ParameterError, ReportError, UnknownReferenceError
from workbench.services.reporting import execute, find_notebook


def printed(path):
    cells = json.loads(path.read_text())["cells"]
    return "".join(
        "".join(output["text"]) for cell in cells for output in cell.get("outputs", ()) if "text" in output
    )


def test_runs_in_this_python_with_its_parameters_directory_and_environment(notebook, tmp_path):
    source = notebook(
        "import os, sys; print(n, name, os.getcwd(), sys.executable, os.environ['WHO'])",
        parameters='n: int = 3\nname: str = "a"\nkept: bool = True',
    )
    before = source.read_bytes()
    seen = []
    target = tmp_path / "out{x}.ipynb"
    tricky = "q\"\\n'\n{{ x }} \u2028"
    outcome = execute(
        source,
        target,
        {"n": "5", "name": tricky},
        cwd=tmp_path,
        kernel_env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "WHO": "me"},
        progress=lambda done, total: seen.append((done, total)),
    )
    assert outcome.status == "complete"
    outcome.raise_if_failed()
    assert outcome.parameters == {"n": 5, "name": tricky, "kept": True}
    assert printed(target) == f"5 {tricky} {tmp_path} {sys.executable} me\n"
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert outcome.cells == 3
    assert source.read_bytes() == before


def test_a_cell_that_raises_fails_the_report_in_one_line_with_its_path(notebook, tmp_path):
    target = tmp_path / "out.ipynb"
    outcome = execute(notebook("1", "1/0", "2"), target, {}, cwd=tmp_path)
    assert outcome.status == "failed"
    assert outcome.error == "cell [2] raised ZeroDivisionError: division by zero"
    with pytest.raises(ReportError) as error:
        outcome.raise_if_failed()
    assert str(target) in str(error.value)
    assert target.exists()


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("import os; os._exit(1)", "the kernel died in cell [2]"),
        ("import sys; sys.exit(0)", "the notebook stopped in cell [2], before its end"),
        ("import time; time.sleep(60)", "cell [2] was still running when its 2 s were over"),
    ],
)
def test_a_notebook_that_does_not_reach_its_end_is_never_complete(notebook, tmp_path, cell, says):
    outcome = execute(notebook("1", cell, "2"), tmp_path / "out.ipynb", {}, cwd=tmp_path, timeout=2)
    assert outcome.error == says
    assert outcome.status == "failed"
    assert outcome.path.exists()


@pytest.mark.slow
def test_an_old_proof_of_the_end_does_not_count(notebook, tmp_path):
    source = notebook("print(1)")
    first = tmp_path / "first.ipynb"
    assert execute(source, first, {}, cwd=tmp_path).status == "complete"
    again = json.loads(first.read_text())
    again["cells"].insert(
        0, {**again["cells"][0], "id": "dies", "source": "import os; os._exit(1)", "outputs": []}
    )
    first.write_text(json.dumps(again))
    assert execute(first, tmp_path / "second.ipynb", {}, cwd=tmp_path).status == "failed"


def test_a_refused_parameter_starts_no_kernel(notebook, tmp_path):
    target = tmp_path / "out.ipynb"
    with pytest.raises(ParameterError):
        execute(notebook(parameters="n: int = 1"), target, {"m": 1}, cwd=tmp_path)
    assert not target.exists()


def test_a_directory_that_is_not_there_is_named(notebook, tmp_path):
    with pytest.raises(ReportError, match="nowhere"):
        execute(notebook("1"), tmp_path / "nowhere" / "out.ipynb", {}, cwd=tmp_path)


def test_a_report_is_found_by_name_in_the_first_folder_or_by_path(tmp_path):
    mine, ours = tmp_path / "mine", tmp_path / "ours"
    for folder in (mine, ours):
        folder.mkdir()
        (folder / "weekly.ipynb").write_text("{}")
    (ours / "ab_report.ipynb").write_text("{}")
    assert find_notebook("weekly", [mine, ours]) == mine / "weekly.ipynb"
    assert find_notebook("ab_report", [mine, ours]) == ours / "ab_report.ipynb"
    assert find_notebook(str(ours / "weekly.ipynb"), []) == ours / "weekly.ipynb"
    with pytest.raises(UnknownReferenceError, match="did you mean 'ab_report'"):
        find_notebook("ab_reprt", [mine, ours])
    with pytest.raises(UnknownReferenceError, match=r"x\.ipynb"):
        find_notebook(str(tmp_path / "x.ipynb"), [])
