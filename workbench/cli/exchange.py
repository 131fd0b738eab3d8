"""``workbench import|export`` and ``workbench prompt import|export``: prompts from and for other tools and git."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from workbench.cli.commands import Command, json_option, opened, project_option
from workbench.cli.output import counting, say, show_json
from workbench.cli.projects import prompt
from workbench.errors import OptionError

if TYPE_CHECKING:
    from workbench.core.exchange.report import ExportReport, ImportReport

__all__ = ["export_prompts", "import_prompts"]

F = TypeVar("F", bound=Callable[..., Any])

#: Exit code of an import of which some records are left out.
_SOME_FAILED: Final = 1
_IN: Final = ("csv", "folder", "jsonl", "langfuse", "llm", "mlflow", "promptfoo")
_OUT: Final = ("folder", "jsonl", "promptfoo")


def _import_options(command: F) -> F:
    for option in (
        json_option,
        click.option("--create", is_flag=True, help="Make the project if there is none of that name."),
        project_option,
        click.option(
            "--format",
            "kind",
            type=click.Choice(_IN),
            help="How to read it; by default found by its content.",
        ),
    ):
        command = option(command)
    return command


def _export_options(command: F) -> F:
    for option in (
        json_option,
        project_option,
        click.option(
            "--prompt",
            "prompts",
            multiple=True,
            metavar="REF",
            help="Only this prompt; repeatable; by default all that are not archived.",
        ),
        click.option(
            "--format",
            "kind",
            type=click.Choice(_OUT),
            help="What to write; by default by the ending of the name.",
        ),
    ):
        command = option(command)
    return command


@click.command(
    "import",
    cls=Command,
    examples=[
        "workbench import promptfooconfig.yaml",
        "workbench import langfuse.json --project support-bot --create",
        'workbench import "$(llm logs path)"',
        "workbench import prompts.csv --format csv --json",
    ],
)
@click.argument("file")
@_import_options
def import_prompts(file: str, **options: Any) -> int:
    """Store the prompts of another tool's file.

    FILE is a promptfoo configuration, an export of Langfuse or MLflow, MLflow's SQLite store, llm's logs.db or a
    template of it, CSV, JSON lines, or a folder that was exported. What is there already is not stored again. A
    record that cannot be stored is told with its place, the rest goes in, and the exit code is 1.
    """
    return _import(file, **options)


@click.command(
    "export",
    cls=Command,
    examples=[
        "workbench export prompts.jsonl",
        "workbench export promptfooconfig.yaml --prompt tone@prod --prompt classify",
        "workbench export prompts/ --format folder",
    ],
)
@click.argument("file")
@_export_options
def export_prompts(file: str, **options: Any) -> None:
    """Write a project's prompts to a file or folder.

    JSON lines hold every version in full; a folder holds files that git can compare; promptfoo's YAML holds the
    latest version of each prompt.
    """
    _export(file, **options)


@prompt.command(
    "import",
    examples=[
        "workbench prompt import --dir prompts",
        "workbench prompt import prompts.jsonl --project support-bot",
    ],
)
@click.argument("file", required=False)
@click.option("--dir", "folder", metavar="D", help="A folder that was exported.")
@_import_options
def _prompt_import(file: str | None, *, folder: str | None, **options: Any) -> int:
    """Store the prompts of a file, or of a folder that was exported."""
    return _import(_place(file, folder), **options)


@prompt.command(
    "export",
    examples=["workbench prompt export --dir prompts", "workbench prompt export prompts.jsonl --prompt tone"],
)
@click.argument("file", required=False)
@click.option("--dir", "folder", metavar="D", help="A folder of files that git can compare.")
@_export_options
def _prompt_export(file: str | None, *, folder: str | None, kind: str | None, **options: Any) -> None:
    """Write prompts to a file, or to a folder that git can compare."""
    _export(_place(file, folder), kind="folder" if folder else kind, **options)


def _import(place: str, *, kind: str | None, project: str | None, create: bool, as_json: bool) -> int:
    with opened(None if create else project) as wb, counting("versions") as told:
        report = wb.exchange.import_file(
            place, format=kind, project=project if create else None, progress=told
        )
    _show(report, as_json=as_json)
    return _SOME_FAILED if report.failures else 0


def _export(
    place: str, *, kind: str | None, project: str | None, prompts: Sequence[str], as_json: bool
) -> None:
    with opened(project) as wb, counting("prompts") as told:
        report = wb.exchange.export(place, format=kind, prompts=prompts or None, progress=told)
    _show(report, as_json=as_json)


def _show(report: ImportReport | ExportReport, *, as_json: bool) -> None:
    if as_json:
        show_json(dataclasses.asdict(report))
    else:
        say(str(report))


def _place(file: str | None, folder: str | None) -> str:
    if (file is None) == (folder is None):
        raise OptionError(
            "name one place: a file, or a folder with --dir", cure="workbench prompt export --dir prompts"
        )
    return file or folder or ""
