"""The reference page of the command line, written from the commands themselves.

``python -m workbench.cli.reference > docs/reference/cli.md``; a test compares the two.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from workbench.cli.app import root
from workbench.cli.commands import Command, Group

__all__ = ["commands", "reference"]

_HEAD = """# Command line

`workbench --help` and `workbench COMMAND --help` say the same. Results go to stdout, everything else to stderr.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a check failed, or the server does not run (`doctor`, `health`, `db status`); some records of an import are left out; calls of a run are without an answer |
| 2 | an error: two lines on stderr, what is wrong and the cure; `--debug`, at any place, adds the traceback |
| 130 | interrupted |
"""


def commands(group: Group = root) -> Iterator[tuple[click.Context, Command | Group]]:
    """Give every command and group below a group, itself first, with its context."""
    yield from _walk(click.Context(group, info_name="workbench"), group)


def reference() -> str:
    """Return the page as Markdown."""
    found = [(context, command) for context, command in commands() if command is not root]
    index = [
        f"| [`{context.command_path}`](#{context.command_path.replace(' ', '-')}) | {command.get_short_help_str(100)} |"
        for context, command in found
        if isinstance(command, Command)
    ]
    head = "\n".join([_HEAD, "| command | |", "|---|---|", *index, ""])
    return head + "".join(_section(context, command) for context, command in found)


def _walk(
    context: click.Context, command: Command | Group
) -> Iterator[tuple[click.Context, Command | Group]]:
    yield context, command
    if isinstance(command, Group):
        for name, child in sorted(command.commands.items()):
            assert isinstance(child, Command | Group)  # noqa: S101 - the tree holds our own classes only
            yield from _walk(click.Context(child, info_name=name, parent=context), child)


def _section(context: click.Context, command: Command | Group) -> str:
    path = context.command_path
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    parts = [f"\n## {path}\n", f"{inspect.cleandoc(command.help or '')}\n"]
    if isinstance(command, Command):
        examples = "\n".join(command.examples)
        parts += [f"```\n{usage}\n```\n", *_options(context, command), f"```sh\n{examples}\n```\n"]
    return "\n".join(parts)


def _options(context: click.Context, command: Command) -> Iterator[str]:
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    records = [record for each in options if (record := each.get_help_record(context))]
    rows = [f"| `{names}` | {text} |" for names, text in records if "--help" not in names]
    if rows:
        yield "\n".join(["| option | |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    click.echo(reference(), nl=False)
