"""``workbench report …``: notebooks that run without a person."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from workbench.cli.commands import Group, json_option, nothing, opened, project_option
from workbench.cli.output import counting, say, show_json, show_table

__all__ = ["report"]


@click.group(cls=Group)
def report() -> None:
    """Run report notebooks, and open what they wrote."""


@report.command(
    "run",
    examples=[
        "workbench report run ab_report -p test=tone-b --open",
        "workbench report run ./weekly.ipynb -p days=7",
    ],
)
@click.argument("name")
@click.option(
    "-p", "--parameter", "parameters", metavar="K=V", multiple=True, help="A parameter; may be repeated."
)
@click.option("--open", "and_open", is_flag=True, help="Open the page in a browser afterwards.")
@project_option
def _run(name: str, *, parameters: tuple[str, ...], and_open: bool, project: str | None) -> None:
    """Execute a report and write it as one page.

    The page needs no network. NAME is a shipped report or a notebook's path. Values are read as the types that the notebook declares.
    """
    from workbench.views.clean import clean

    given = dict(_pair(text) for text in parameters)
    with opened(project) as wb, counting("cell") as count:
        done = wb.reports.run(name, given, clean=clean, progress=count)
    say(str(done.html or done.notebook))
    if and_open:
        _browse(done.html or done.notebook)


@report.command("list", examples=["workbench report list", "workbench report list --json"])
@project_option
@json_option
def _list(*, project: str | None, as_json: bool) -> None:
    """List a project's reports, newest first."""
    with opened(project) as wb:
        rows, empty = wb.reports.list(), nothing(wb, "reports")
    if as_json:
        show_json(rows)
    else:
        short = [{**row, "id": row["id"][:8]} for row in rows]
        show_table(short, ["id", "name", "status", "created_at", "error", "html"], empty=empty)


@report.command("show", examples=["workbench report show", "workbench report show 5f1c9a20 --json"])
@click.argument("report_id", metavar="[ID]", required=False)
@project_option
@json_option
def _show(report_id: str | None, *, project: str | None, as_json: bool) -> None:
    """Print a report's parameters, files and end.

    ID may be its beginning; by default it is the newest.
    """
    with opened(project) as wb:
        found = wb.reports.get(report_id)
    if as_json:
        show_json(found)
    else:
        say(_lines(found))


@report.command("open", examples=["workbench report open", "workbench report open 5f1c9a20"])
@click.argument("report_id", metavar="[ID]", required=False)
@project_option
def _open(report_id: str | None, *, project: str | None) -> None:
    """Open a report's page in a browser.

    ID may be its beginning; by default it is the newest.
    """
    with opened(project) as wb:
        page = wb.reports.page(report_id)
    say(str(page))
    _browse(page)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="-p")
    return name, value


def _lines(found: Mapping[str, Any]) -> str:
    return "\n".join(f"{name + ':':12}{value}" for name, value in found.items() if value is not None)


def _browse(page: Path) -> None:
    if not webbrowser.open(page.as_uri()):
        click.echo("no browser was found; open that file yourself", err=True)
