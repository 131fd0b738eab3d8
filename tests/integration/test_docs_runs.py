"""The page about runs: its code runs as it stands, its options and commands are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from workbench.cli.app import root
from workbench.core.versions import PromptVersion
from workbench.magics.tables import PROMPT_OPTIONS
from workbench.services.estimating import Plan

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "runs.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_code_of_the_how_to_runs_as_it_stands(shell, wb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = []
    for source in blocks("python"):
        result = shell.run_cell(source, store_history=True)
        result.raise_error()
        shown.append(result.result)
    assert isinstance(shown[1], PromptVersion)
    assert isinstance(shown[2], Plan)
    assert shown[4].counts.passed == 40
    assert shown[6].counts.done == 2
    assert shown[9].status == "stopped"
    assert shown[10].counts.done == 40
    assert len(shown[11]) == 3
    assert shown[-2].verdict == "B_BETTER"
    assert len(pd.read_csv("answers.csv")) == 40


def test_the_options_of_the_table_are_options():
    table = re.search(r"^\| option \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)[0]
    known = {name for option in PROMPT_OPTIONS for name in option.names}
    found = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", table))
    assert found <= known
    assert {
        "-d",
        "-r",
        "-j",
        "--budget",
        "--fresh",
        "--retry-errors",
        "--dry-run",
        "--bg",
        "--vs",
        "--yes",
        "--no-cache",
        "-q",
    } <= found


@pytest.mark.parametrize("line", blocks("sh")[0].splitlines())
def test_the_commands_are_commands(line):
    import click

    arguments = shlex.split(line)[1:]
    command, context = root, click.Context(root)
    while isinstance(command, click.Group):
        name, command, arguments = command.resolve_command(context, arguments)
    assert command.make_context(name, arguments)
