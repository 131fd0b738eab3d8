"""``workbench models …``: which models there are."""

from __future__ import annotations

import click

from workbench.cli.commands import Group, json_option, opened
from workbench.cli.output import records, say, show_json, show_table, telling
from workbench.settings import Settings

__all__ = ["models"]


@click.group(cls=Group)
def models() -> None:
    """List, synchronise and fetch models."""


@models.command("list", examples=["workbench models list", "workbench models list --json"])
@json_option
def _list(*, as_json: bool) -> None:
    """List the models that can be called or were used."""
    with opened(None) as wb:
        found = wb.models.list()
    if as_json:
        show_json(found)
    else:
        show_table(
            [{"model": name} for name in found], ["model"], empty="none yet: workbench models fetch smollm2"
        )


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
