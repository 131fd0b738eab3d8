"""``workbench prompt search``, ``workbench run search``: find what was written, and what was answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from workbench.cli.commands import Command, json_option, opened
from workbench.cli.output import records, show_json, show_table

if TYPE_CHECKING:
    from workbench.services.found import Found

__all__ = ["search_outputs", "search_prompts"]

F = TypeVar("F", bound=Callable[..., Any])

_LIMIT = click.option(
    "--limit", default=20, show_default=True, metavar="N", type=click.IntRange(1, 1000), help="The best N."
)
_PROJECT = click.option(
    "--project", metavar="NAME", help="Only this project; by default all that you can read."
)
_MODEL = click.option("--model", metavar="ID", help="Only of this model.")
_SINCE = click.option("--since", metavar="DATE", help="Only from then on, such as 2026-11-25.")
_UNTIL = click.option("--until", metavar="DATE", help="Only up to then, the day included.")


def _common(command: F) -> F:
    for option in (json_option, _LIMIT, _UNTIL, _SINCE, _MODEL, _PROJECT):
        command = option(command)
    return command


@click.command(
    "search",
    cls=Command,
    examples=[
        "workbench prompt search refund",
        "workbench prompt search '\"late payment\" OR invoice -draft' --tag support --json",
    ],
)
@click.argument("words", nargs=-1, required=True)
@click.option("--tag", metavar="TAG", help="Only with this tag.")
@click.option("--label", metavar="LABEL", help="Only versions with this label.")
@click.option("--scratch", is_flag=True, help="Untitled prompts too.")
@click.option("--all-versions", is_flag=True, help="Every version that matches.")
@_common
def search_prompts(words: tuple[str, ...], *, limit: int, as_json: bool, **filters: Any) -> None:
    """Find prompts by their words.

    Quotes make a phrase, OR an alternative, -word excludes. Where nothing has the words, similar ones are shown.
    """
    with opened(None) as wb:
        found = wb.prompts.search(" ".join(words), limit, **filters)
    _show(found, ["prompt", "version", "label", "snippet", "project"], as_json=as_json)


@click.command(
    "search",
    cls=Command,
    examples=[
        "workbench run search refund",
        "workbench run search refund --prompt reply@prod --status done --json",
    ],
)
@click.argument("words", nargs=-1, required=True)
@click.option("--prompt", metavar="REF", help="Only answers to this prompt: a title, title@3 or title@label.")
@click.option("--status", metavar="STATUS", help="Only calls of this status, such as done or failed.")
@_common
def search_outputs(words: tuple[str, ...], *, limit: int, as_json: bool, **filters: Any) -> None:
    """Find answers by their words.

    Quotes make a phrase, OR an alternative, -word excludes.
    """
    with opened(None) as wb:
        found = wb.search_outputs(" ".join(words), limit, **filters)
    _show(found, ["prompt", "version", "model", "status", "snippet", "execution_id"], as_json=as_json)


def _show(found: Found, columns: list[str], *, as_json: bool) -> None:
    rows = records(found)
    if as_json:
        show_json(rows)
        return
    show_table(rows, columns, empty=": ".join(part for part in (found.heading, found.hint) if part))
    if rows and found.hint:
        click.echo(found.hint, err=True)
