"""The pages about structured answers and front matter: their code runs, their tables are complete."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import pytest
import yaml
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from workbench.core.declarations import TYPES, read_declarations
from workbench.core.front_matter import FORMATS, FRONT_MATTER_KEYS
from workbench.services.files import read_prompt

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "front-matter.md").read_text()


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shell(wb, monkeypatch):
    monkeypatch.delattr(builtins, "_", raising=False)  # left by a doctest; IPython would then leave it alone
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    shell.user_ns["wb"] = wb
    yield shell
    shell.run_line_magic("unload_ext", "workbench")
    InteractiveShell.clear_instance()


def test_the_code_of_the_how_to_runs_as_it_stands(shell, wb):
    code = blocks((DOCS / "how-to" / "structured-output.md").read_text(), "python")
    assert len(code) == 8
    shown = []
    for cell in code:
        result = shell.run_cell(cell, store_history=True)
        result.raise_error()
        shown.append(result.result)
    assert shown[3][0] == "positive"
    assert shown[5]["tone"].tolist() == ["positive", "negative", "negative"]
    assert wb.prompts.get("review@2").settings["schema"]["title"] == "Review"
    assert shown[-1].counts.done == 3


def test_the_reference_lists_every_key_and_only_those():
    keys, declarations = re.findall(r"\|---\|.*?\n((?:\|.*\n)+)", REFERENCE)
    assert re.findall(r"^\| `(\w+)`", keys, re.MULTILINE) == list(FRONT_MATTER_KEYS)
    listed = {word for row in declarations.splitlines() for word in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert listed == {"type", "default", "required", "enum", "description", "example"}
    assert all(f"`{each}`" in REFERENCE for each in (*TYPES, *FORMATS))


def test_the_examples_of_the_reference_are_right(tmp_path):
    declared, chat = blocks(REFERENCE, "yaml")
    assert list(read_declarations(yaml.safe_load(declared)["variables"])) == ["text", "n", "tone"]
    (tmp_path / "chat.yaml").write_text(chat)
    found = read_prompt(tmp_path / "chat.yaml")
    assert (found.body.system, found.body.variables) == ("You are terse.", ("text",))
