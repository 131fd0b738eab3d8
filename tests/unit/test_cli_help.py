"""The command line explains itself: every command, every example, and the page that is written from them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cli.app import root
from workbench.cli.commands import Command
from workbench.cli.output import visible
from workbench.cli.reference import commands, reference

ROOT = Path(__file__).parents[2]
TREE = [(context.command_path, command) for context, command in commands()]
EXAMPLES = sorted({example for _, command in TREE for example in command.examples})


@pytest.mark.parametrize(("path", "command"), TREE, ids=[path for path, _ in TREE])
def test_every_command_has_help_with_an_example(path, command):
    assert command.help
    assert command.examples
    if isinstance(command, Command):
        assert all(path in example for example in command.examples)
    short = command.get_short_help_str(limit=80 - 6 - len("endpoint"))
    assert not short.endswith("..."), "the first sentence does not fit into the list of commands"


@pytest.mark.parametrize(("path", "command"), TREE, ids=[path for path, _ in TREE])
def test_help_prints_every_option_and_example(path, command, capsys):
    arguments = [*path.split()[1:], "--help"]
    assert root.main(arguments, prog_name="workbench", standalone_mode=False) == 0
    printed = capsys.readouterr().out
    assert all(example in printed for example in command.examples)
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    assert all(option.opts[-1] in printed and option.help for option in options)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_parses(example):
    words = shlex.split(example.split(" | ", maxsplit=1)[0].replace("$(", "").replace(")", ""))
    arguments = words[words.index("workbench") + 1 :] if "workbench" in words else shlex.split(words[-1])[1:]
    command: click.Command = root
    context = click.Context(root, info_name="workbench")
    while isinstance(command, click.Group):
        name, command, arguments = command.resolve_command(context, arguments)
        context = (
            click.Context(command, info_name=name, parent=context)
            if isinstance(command, click.Group)
            else command.make_context(name, arguments, parent=context)
        )
    assert isinstance(command, Command)


def test_the_reference_page_is_what_the_commands_say():
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert page == reference(), "write it anew: python -m workbench.cli.reference > docs/reference/cli.md"


def test_the_reference_page_has_every_command_and_option():
    page = reference()
    for path, command in TREE[1:]:
        assert f"\n## {path}\n" in page
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden and isinstance(command, Command):
                assert option.opts[-1] in page


def test_help_costs_little_and_loads_nothing_heavy():
    code = """
import sys
from workbench.cli.app import run_command
assert run_command(["--help"]) == 0
heavy = {"rich", "sqlalchemy", "psycopg", "pandas", "aiohttp", "yaml", "jinja2", "nh3", "workbench.services.workbench"}
print(*sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    seconds = [1.0]
    while min(seconds) >= 0.3 and len(seconds) < 12:  # a busy machine makes CPU seconds longer, never shorter
        before = os.times()
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
        )
        after = os.times()
        seconds.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
        assert done.stderr.split() == []
    assert min(seconds) < 0.3


@given(st.text())
def test_what_is_shown_on_a_terminal_cannot_steer_it(text):
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@given(st.text(st.characters(exclude_categories=["Cc", "Cf"])))
def test_ordinary_text_is_shown_as_it_is(text):
    assert visible(text) == text
