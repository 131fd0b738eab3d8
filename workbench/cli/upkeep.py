"""``workbench doctor``, ``health`` and ``clean``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from workbench.cli.commands import Command, json_option
from workbench.cli.output import say, show_json, visible
from workbench.errors import OptionError
from workbench.settings import Settings

if TYPE_CHECKING:
    from workbench.services.checkup import Check

__all__ = ["clean", "doctor", "health"]

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(cls=Command, examples=["workbench doctor", "workbench doctor --json"])
@json_option
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """Check everything here, and name the cure.

    The exit code is 1 when something fails. Nothing is started or changed.
    """
    from workbench.services.checkup import doctor

    checks = doctor(Settings.from_env())
    if as_json:
        show_json([check.to_dict() for check in checks])
    else:
        _show(checks)
    ctx.exit(_code(checks))


@click.command(cls=Command, examples=["workbench health", "workbench health | jq -r .status"])
@click.pass_context
def health(ctx: click.Context) -> None:
    """Check the database, for a monitor.

    Prints one line of JSON a check. The exit code is 1 when one fails.
    """
    from workbench.services.checkup import health

    checks = health(Settings.from_env())
    say("\n".join(json.dumps(check.to_dict()) for check in checks))
    ctx.exit(_code(checks))


@click.command(
    cls=Command, examples=["workbench clean", "workbench clean --database", "workbench clean --yes"]
)
@click.option(
    "--database", is_flag=True, help="The embedded database too, with everything that is stored in it."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def clean(*, database: bool, yes: bool) -> None:
    """Delete fetched weights and report files, after asking.

    Your notebooks, and weights that you brought yourself, stay.
    """
    from workbench.services.housekeeping import removable, remove

    settings = Settings.from_env()
    found = removable(settings, database=database)
    if not found:
        say("there is nothing to delete")
        return
    say("\n".join(map(str, found)))
    if not yes and not _confirmed():
        say("nothing was deleted")
        return
    remove(settings, found, database=database)
    say("deleted")


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise OptionError("nobody is there to ask", cure="add --yes to delete all of that")
    return click.confirm("delete all of that?")


def _show(checks: Sequence[Check]) -> None:
    for check in checks:
        mark = click.style(f"{check.status:<5}", fg=_COLOURS[check.status])
        click.echo(f"{mark} {check.name:<12} {visible(check.message)}")
        if check.cure:
            click.echo(f"{'':<18} → {visible(check.cure)}")


def _code(checks: Sequence[Check]) -> int:
    return int(any(check.status == "fail" for check in checks))
