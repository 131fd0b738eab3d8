"""``workbench library …``: templates to begin from."""

from __future__ import annotations

import dataclasses

import click

from workbench.cli.commands import Group, json_option, opened, project_option
from workbench.cli.output import records, say, show_json, show_table

__all__ = ["library"]


@click.group(cls=Group)
def library() -> None:
    """Look at prompt templates, and take one into a project."""


@library.command(
    "list",
    examples=[
        "workbench library list",
        "workbench library list --category judging",
        'workbench library list --search "support json" --json',
    ],
)
@click.option("--category", metavar="NAME", help="Only one category, such as extraction.")
@click.option("--search", metavar="WORDS", help="Only templates that hold all of these words.")
@json_option
def _list(*, category: str | None, search: str | None, as_json: bool) -> None:
    """List the templates: official ones, yours, and public ones."""
    with opened(None) as wb:
        rows = records(wb.library.list(category, search))
    if as_json:
        show_json(rows)
    else:
        show_table(
            rows,
            ["name", "category", "description", "variables", "author"],
            empty="no template holds all of these words" if search else "the library is empty",
        )


@library.command(
    "show", examples=["workbench library show route-ticket", "workbench library show proofread --json"]
)
@click.argument("name")
@json_option
def _show(name: str, *, as_json: bool) -> None:
    """Print a template: text, variables, use cases, how to use it."""
    with opened(None) as wb:
        template = wb.library.get(name)
    if as_json:
        show_json({each.name: getattr(template, each.name) for each in dataclasses.fields(template)})
    else:
        say(str(template))


@library.command(
    "use",
    examples=[
        "workbench library use route-ticket",
        'workbench library use route-ticket --title support/route --note "a first try" --project support-bot',
    ],
)
@click.argument("name")
@click.option("--title", metavar="TITLE", help="The prompt's title; by default the template's name.")
@click.option("--tag", "tags", metavar="WORD", multiple=True, help="A tag; may be given several times.")
@click.option("--note", metavar="TEXT", default="", help="Why it is used.")
@project_option
@json_option
def _use(
    name: str, *, title: str | None, tags: tuple[str, ...], note: str, project: str | None, as_json: bool
) -> None:
    """Save a template as a prompt of a project.

    The same template again is the same version.
    """
    with opened(project) as wb:
        version = wb.library.use(name, title, tags=tags, note=note)
    if as_json:
        show_json({"ref": version.ref, "change": version.change, "tags": version.tags, "note": version.note})
    else:
        say(f"{version.ref} ({version.change}), variables: {', '.join(version.names) or 'none'}")
