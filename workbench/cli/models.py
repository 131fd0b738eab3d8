"""``workbench models …``: which models there are, and how to write for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import click

from workbench.cli.commands import Group, json_option, opened
from workbench.cli.output import records, say, show_json, show_table, telling
from workbench.errors import OptionError
from workbench.settings import Settings

__all__ = ["models"]


@click.group(cls=Group)
def models() -> None:
    """List, synchronise and fetch models; how to write for them."""


@models.command("list", examples=["workbench models list", "workbench models list --json"])
@json_option
def _list(*, as_json: bool) -> None:
    """List the models that can be called or were used.

    With their family, limits, price in USD per million tokens, and options to begin with.
    """
    with opened(None) as wb:
        rows = records(wb.models.frame())
    if as_json:
        show_json(rows)
        return
    shown = [{**row, "context": row["context_length"], "$/M in, out": _price(row)} for row in rows]
    columns = ["model", "family", "context", "$/M in, out", "settings"]
    show_table(shown, columns, empty="none yet: workbench models fetch smollm2")
    if rows:
        click.echo("those of the family fake answer by script: to try things out, at no cost", err=True)
        click.echo("how to write for one of them: workbench models show MODEL", err=True)


@models.command(
    "show",
    examples=[
        "workbench models show openai/gpt-4o-mini",
        "workbench models show local/smollm2 --json",
        "workbench models show claude",
    ],
)
@click.argument("model")
@json_option
def _show(model: str, *, as_json: bool) -> None:
    """Print how to write for a model, its limits and its price.

    MODEL is an id as it is called, or the name of a family.
    """
    with opened(None) as wb:
        guide = wb.models.guide(model)
    if as_json:
        show_json({each.name: getattr(guide, each.name) for each in dataclasses.fields(guide)})
    else:
        say(str(guide))


@models.command("sync", examples=["workbench models sync", "workbench models sync openrouter --json"])
@click.argument("provider", default="openrouter")
@json_option
def _sync(provider: str, *, as_json: bool) -> None:
    """Store a provider's models with prices and limits.

    Budgets and cost estimates need the prices.
    """
    with opened(None) as wb:
        rows = records(wb.models.sync(provider))
    if as_json:
        show_json(rows)
    else:
        say(f"{len(rows):,} models of {provider} are stored with prices and limits")


@models.command("fetch", examples=["workbench models fetch smollm2"])
@click.argument("name", default="smollm2")
def _fetch(name: str) -> None:
    """Download the weights of a small local model.

    smollm2 is 93 MB and is checked by its hash.
    """
    from workbench.services.housekeeping import fetch_weights

    with telling() as tell:
        model = fetch_weights(name, Settings.from_env(), tell)
    say(model)


@models.command(
    "limit",
    examples=[
        "workbench models limit openrouter --rpm 200",
        "workbench models limit openrouter/openai/gpt-4o --rpm 60 --tpm 100000 --concurrency 8",
        "workbench models limit --list --json",
        "workbench models limit openrouter --remove",
    ],
)
@click.argument("name", required=False)
@click.option("--rpm", metavar="N", type=float, help="Calls a minute.")
@click.option("--tpm", metavar="N", type=float, help="Tokens a minute, of prompts and answers.")
@click.option("--concurrency", metavar="N", type=int, help="Calls in flight.")
@click.option("--remove", is_flag=True, help="Remove the limits of NAME.")
@click.option("--list", "listed", is_flag=True, help="List your limits and how they stand.")
@json_option
def _limit(name: str | None, *, remove: bool, listed: bool, as_json: bool, **limits: float | None) -> None:
    """Limit how fast a provider or model is called.

    By all your processes on this database together. NAME is a provider (openrouter) or a model's whole id;
    a limit that is not named stays as it is.
    """
    given = {option: value for option, value in limits.items() if value is not None}
    if listed + remove + bool(given) != 1 or listed == bool(name):
        raise OptionError(
            "say either --list, or a NAME with --rpm, --tpm, --concurrency or --remove",
            cure="see: workbench models limit --help",
        )
    with opened(None) as wb:
        if name is None:
            _show_limits(records(wb.models.limits()), as_json=as_json)
        elif remove:
            say(f"{wb.models.unlimit(name)} has no limits any more")
        else:
            limit = wb.models.limit(name, **given)  # type: ignore[arg-type]
            show_json(dataclasses.asdict(limit)) if as_json else say(str(limit))


def _show_limits(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        show_json(rows)
    else:
        columns = ["name", "rpm", "tpm", "concurrency", "in_flight", "pace", "blocked_s"]
        show_table(rows, columns, empty="no limits; set one with: workbench models limit NAME --rpm N")


@models.group("endpoint", cls=Group)
def _endpoint() -> None:
    """Name servers that speak OpenAI's protocol."""


@_endpoint.command("add", examples=["workbench models endpoint add lab https://llm.example.org/v1"])
@click.argument("name")
@click.argument("url")
def _add(name: str, url: str) -> None:
    """Give a server a name.

    Its models are then called NAME/MODEL. The key of a server named lab comes from
    WORKBENCH_ENDPOINT_LAB_KEY.
    """
    with opened(None) as wb:
        wb.models.endpoint(name, url)
    say(f"{name}/MODEL is answered by {url}")


def _price(row: Mapping[str, Any]) -> str:
    prices = (row["price_prompt"], row["price_completion"])
    return "" if None in prices else ", ".join(f"{price * 1e6:,.2f}" for price in prices)
