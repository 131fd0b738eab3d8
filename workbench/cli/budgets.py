"""``workbench run budget …``: what calls may cost."""

from __future__ import annotations

import click

from workbench.cli.commands import Group, json_option, opened
from workbench.cli.output import records, say, show_json, show_table
from workbench.core.pricing import PERIODS

__all__ = ["budget"]

_per = click.option(
    "--per", default="total", show_default=True, type=click.Choice(list(PERIODS)), help="From 00:00 UTC on."
)
_project = click.option(
    "--project", metavar="NAME", help="Bind everybody in this project of yours; by default you."
)


@click.group(cls=Group)
def budget() -> None:
    """Limit what calls may cost, in US dollars."""


@budget.command(
    "set",
    examples=[
        "workbench run budget set 5 --per day",
        "workbench run budget set 100 --per month --project support-bot",
    ],
)
@click.argument("amount", type=float)
@_per
@_project
@json_option
def _set(amount: float, *, per: str, project: str | None, as_json: bool) -> None:
    """Set a budget, or change its amount.

    A call is refused before it is sent where a budget cannot pay for the most that it may cost. A new budget
    counts what was spent in its period already.
    """
    with opened(None) as wb:
        found = wb.budgets.set(amount, per=per, project=project)
    if as_json:
        show_json(records(found)[0])
    else:
        say(str(found))


@budget.command("list", examples=["workbench run budget list", "workbench run budget list --json"])
@json_option
def _list(*, as_json: bool) -> None:
    """List your budgets, and those of projects that you can read."""
    with opened(None) as wb:
        rows = records(wb.budgets.list())
    if as_json:
        show_json(rows)
        return
    shown = [{**row, "used": f"{100 * row['used']:.0f} %"} for row in rows]
    columns = ["who", "per", "amount", "spent", "reserved", "available", "used"]
    show_table(shown, columns, empty="no budgets; set one with: workbench run budget set AMOUNT --per day")


@budget.command("remove", examples=["workbench run budget remove --per day"])
@_per
@_project
def _remove(*, per: str, project: str | None) -> None:
    """Remove a budget."""
    with opened(None) as wb:
        wb.budgets.remove(per=per, project=project)
    say(f"the budget of {project or 'you'} {PERIODS[per]} is removed")
