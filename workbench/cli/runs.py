"""``workbench run …``: answer a table from a shell, and look after runs."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from workbench.cli.commands import Group, json_option, nothing, opened, project_option
from workbench.cli.output import records, say, show_json, show_table
from workbench.errors import ConfirmationNeededError, OptionError

if TYPE_CHECKING:
    from workbench.services.estimating import Plan
    from workbench.services.run import Run
    from workbench.services.workbench import Workbench

__all__ = ["run"]

F = TypeVar("F", bound=Callable[..., Any])

#: Exit code of a run that left calls without an answer.
_SOME_FAILED: Final = 1
_LISTED = [
    "created_at", "status", "prompts", "models", "planned", "done", "failed", "lost", "cost", "seconds", "run_id",
]  # fmt: skip

_BUDGET = click.option(
    "--budget", metavar="USD", type=click.FloatRange(0, min_open=True), help="Never spend more."
)
_RETRY = click.option("--retry-errors", is_flag=True, help="Ask again where a call has failed.")
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


@click.group(cls=Group)
def run() -> None:
    """Answer tables with prompts, and look after runs."""


def _start_options(command: F) -> F:
    for option in (
        json_option,
        project_option,
        _QUIET,
        click.option("--yes", is_flag=True, help="Start without asking, whatever the plan costs."),
        click.option("--no-cache", is_flag=True, help="Take no answer from the cache."),
        _RETRY,
        click.option("--fresh", is_flag=True, help="Start a new run, even if one is unfinished."),
        click.option("--dry-run", is_flag=True, help="Only estimate calls, tokens, dollars and minutes."),
        _BUDGET,
        click.option(
            "-c", "--check", "scorers", metavar="SCORER", multiple=True, help="Score answers; repeatable."
        ),
        click.option(
            "-j", "--concurrency", metavar="N", type=click.IntRange(1, 1024), help="Calls at a time."
        ),
        click.option(
            "-r", "--samples", metavar="N", type=click.IntRange(1, 1000), default=1, help="Answers per case."
        ),
        click.option(
            "-p", "values", metavar="K=V", multiple=True, help="A variable of every case; repeatable."
        ),
        click.option(
            "-m", "--model", "models", metavar="ID", multiple=True, help="Model to ask; repeatable."
        ),
        click.option(
            "-d", "--data", metavar="FILE", help="Rows: .csv .tsv .jsonl .json, or a dataset's name."
        ),
    ):
        command = option(command)
    return command


@run.command(
    "start",
    examples=[
        "workbench run start tone -d reviews.csv -m openai/gpt-4o-mini -c equals:@label --budget 0.50",
        "workbench run start tone@1 tone@prod -d @reviews -r 3 -j 8 --yes --json",
        "workbench run start tone -d reviews.csv --dry-run",
    ],
)
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT...")
@_start_options
def _start(prompts: tuple[str, ...], *, project: str | None, as_json: bool, **options: Any) -> int:
    """Answer every row of a table with one or more prompts.

    PROMPT is a title, title@3 or title@label. Every answer is stored as it comes: after Ctrl-C or a crash the same
    command goes on where it stopped. The exit code is 1 where calls were left without an answer.
    """
    with opened(project) as wb:
        asked = _arguments(wb, **options)
        plan = wb.plan(list(prompts), **asked)
        if options["dry_run"]:
            _show_plan(plan, as_json=as_json)
            return 0
        _confirm(wb, plan, yes=options["yes"], budget=options["budget"])
        return _show(wb.run(list(prompts), **asked, progress=not options["quiet"]), as_json=as_json)


@run.command(
    "list", examples=["workbench run list", "workbench run list --status stopped --limit 100 --json"]
)
@click.option(
    "--limit", default=20, show_default=True, metavar="N", type=click.IntRange(1), help="Only the newest N."
)
@click.option(
    "--status",
    type=click.Choice(["running", "finished", "stopped"]),
    help="Only those; one whose kernel is gone is stopped.",
)
@project_option
@json_option
def _list(*, limit: int, status: str | None, project: str | None, as_json: bool) -> None:
    """List a project's runs, newest first.

    What was called, what became of it, and what it cost.
    """
    with opened(project) as wb:
        rows, empty = records(wb.runs.list(limit, status=status)), nothing(wb, "runs")
    if as_json:
        show_json(rows)
    else:
        show_table(rows, _LISTED, empty=empty)


@run.command("show", examples=["workbench run show 1f3a9c02", "workbench run show 1f3a9c02 --json"])
@click.argument("run_id", metavar="RUN")
@project_option
@json_option
def _one(run_id: str, *, project: str | None, as_json: bool) -> None:
    """Print a run by prompt and model, with what failed and what to do.

    RUN is the id that the list shows, or its first characters.
    """
    with opened(project) as wb:
        _show(wb.runs.get(run_id), as_json=as_json)


@run.command(
    "resume",
    examples=["workbench run resume 1f3a9c02", "workbench run resume 1f3a9c02 --retry-errors --budget 2"],
)
@click.argument("run_id", metavar="RUN")
@_RETRY
@_BUDGET
@_QUIET
@project_option
@json_option
def _resume(
    run_id: str, *, retry_errors: bool, budget: float | None, quiet: bool, project: str | None, as_json: bool
) -> int:
    """Go on with a run that was stopped or cut off.

    What is answered is never asked again. The budget is for the whole run.
    """
    with opened(project) as wb:
        found = wb.runs.resume(run_id, retry_errors=retry_errors, budget=budget, progress=not quiet)
        return _show(found, as_json=as_json)


@run.command("cancel", examples=["workbench run cancel 1f3a9c02"])
@click.argument("run_id", metavar="RUN")
@project_option
@json_option
def _cancel(run_id: str, *, project: str | None, as_json: bool) -> None:
    """Stop a run that goes on in another kernel or on another machine.

    It starts no further call; what is in flight there is stored. It can be resumed.
    """
    with opened(project) as wb:
        _show(wb.runs.cancel(run_id), as_json=as_json)


@run.command(
    "export",
    examples=["workbench run export 1f3a9c02 answers.csv", "workbench run export 1f3a9c02 answers.jsonl"],
)
@click.argument("run_id", metavar="RUN")
@click.argument("file")
@project_option
def _export(run_id: str, file: str, *, project: str | None) -> None:
    """Write a run's calls to a file: .csv, .tsv or .jsonl.

    A row a call: inputs, answer, status, tokens, cost, latency, score. In CSV, texts that a spreadsheet would take for
    a formula get an apostrophe.
    """
    with opened(project) as wb:
        found = wb.runs.get(run_id)
        say(f"{found.export(file)}: {found.line}")


def _arguments(wb: Workbench, **options: Any) -> dict[str, Any]:
    """Return what ``wb.run`` and ``wb.plan`` are asked."""
    return {
        "model": list(options["models"]) or None,
        "data": wb.datasets.find(options["data"]) if options["data"] else None,
        "variables": dict(map(_pair, options["values"])),
        "samples": options["samples"],
        "scorers": options["scorers"],
        "concurrency": options["concurrency"],
        "budget": options["budget"],
        "cache": "off" if options["no_cache"] else "deterministic",
        "resume": not options["fresh"],
        "retry_errors": options["retry_errors"],
    }


def _pair(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name.isidentifier():
        raise OptionError(f"-p {given:.60} is no variable", cure="write -p name=text")
    return name, value


def _confirm(wb: Workbench, plan: Plan, *, yes: bool, budget: float | None) -> None:
    from workbench.services.cells import confirm

    try:
        confirm(wb, plan, confirmed=yes, budget=budget)
    except ConfirmationNeededError as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        click.echo(error.message, err=True)
        click.confirm("Run it?", abort=True, err=True)


def _show_plan(plan: Plan, *, as_json: bool) -> None:
    if not as_json:
        say(str(plan))
        return
    totals = {
        name: getattr(plan, name)
        for name in ("n_calls", "settled", "tokens", "cost", "cost_low", "cost_high", "minutes")
    }
    show_json({**totals, "basis": plan.basis, "arms": [dataclasses.asdict(row) for row in plan.rows]})


def _show(found: Run, *, as_json: bool) -> int:
    table = found.summary()
    if as_json:
        show_json(
            {
                "run_id": str(found.id),
                "status": found.status,
                "created_at": found.created_at,
                "finished_at": found.finished_at,
                "partial": found.counts.open > 0,
                **dataclasses.asdict(found.counts),
                "arms": records(table),
                "alerts": _told(table.alerts),
            }
        )
    else:
        say(str(table))
    return 0 if found.counts.done == found.counts.planned or found.status == "running" else _SOME_FAILED


def _told(alerts: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"code": code, "text": text} for code, text in alerts]
