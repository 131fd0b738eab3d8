"""``workbench demo`` and ``workbench lab``: the two ways in."""

from __future__ import annotations

import os
import sys

import click

from workbench.cli.commands import Command, opened
from workbench.cli.output import say, telling
from workbench.settings import Settings

__all__ = ["demo", "lab"]

#: Reviews of ``--quick``: enough to see everything move, too few for a verdict that means much.
_QUICK = 30


@click.command(
    cls=Command,
    examples=["workbench demo", "workbench demo --quick", "workbench demo --model openai/gpt-4o-mini"],
)
@click.option(
    "--model", metavar="ID", help="A model; by default WORKBENCH_MODEL, else a small local one, fetched once."
)
@click.option("--quick", is_flag=True, help=f"Only {_QUICK} reviews instead of 100.")
def demo(*, model: str | None, quick: bool) -> None:
    """Compare two wordings of a prompt on real reviews.

    A run, a verdict and a report, by default with a small model on this machine.
    """
    from workbench.services.demo import run_demo
    from workbench.views.clean import clean

    size = {"n_cases": _QUICK} if quick else {}
    with opened(None) as wb, telling() as tell:
        result = run_demo(wb, model=model, clean=clean, progress=tell, **size)
    say(str(result))


@click.command(
    cls=Command,
    examples=["workbench lab", "workbench lab --no-browser --port 9000", "workbench lab -- --ip=127.0.0.1"],
    context_settings={"ignore_unknown_options": True},
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="N", help="By default the first free one from 8888."
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- JUPYTERLAB OPTIONS]")
def lab(*, no_browser: bool, port: int | None, arguments: tuple[str, ...]) -> None:
    """Open JupyterLab on your own copy of the tutorials.

    They are copied to the folder notebooks in WORKBENCH_HOME; what you changed there is never overwritten.
    """
    from workbench.services.housekeeping import lab_command

    command = lab_command(Settings.from_env(), browser=not no_browser, port=port, arguments=arguments)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - JupyterLab takes over this terminal
