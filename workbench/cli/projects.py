"""``workbench prompt|ab …``: a look at what a project holds; the work itself is done in notebooks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.commands import Group, json_option, nothing, opened, project_option
from workbench.cli.output import records, say, show_json, show_table

if TYPE_CHECKING:
    from workbench.core.versions import PromptVersion

__all__ = ["ab", "prompt", "version_record"]

_VERSION_FIELDS = (
    "ref",
    "labels",
    "content",
    "system_prompt",
    "variables",
    "settings",
    "tags",
    "note",
    "created_at",
)


@click.group(cls=Group)
def prompt() -> None:
    """Look after prompts and their versions."""


@prompt.command("list", examples=["workbench prompt list", "workbench prompt list --project support-bot"])
@click.option("--archived", is_flag=True, help="Archived ones too.")
@project_option
@json_option
def _prompts(*, archived: bool, project: str | None, as_json: bool) -> None:
    """List a project's prompts.

    Versions, labels, and of the latest version tags and note.
    """
    with opened(project) as wb:
        rows, empty = records(wb.prompts.overview(archived=archived)), nothing(wb, "prompts")
    if as_json:
        show_json(rows)
    else:
        columns = ["prompt", "versions", "latest", "labels", "tags", "note", "forked_from", "updated_at"]
        show_table(rows, columns, empty=empty)


@prompt.command("show", examples=["workbench prompt show tone@prod", "workbench prompt show tone@3 --json"])
@click.argument("ref")
@project_option
@json_option
def _prompt(ref: str, *, project: str | None, as_json: bool) -> None:
    """Print one version of a prompt.

    REF is a title, title@3 or title@label.
    """
    with opened(project) as wb:
        version = wb.prompts.get(ref)
    if as_json:
        show_json(version_record(version))
    else:
        say(str(version))


def version_record(version: PromptVersion) -> dict[str, Any]:
    """Return what a script reads of a version."""
    includes = [{"kind": each.kind, "ref": each.ref, "version": each.pinned.ref} for each in version.includes]
    return {name: getattr(version, name) for name in _VERSION_FIELDS} | {"includes": includes}


@prompt.command("history", examples=["workbench prompt history tone"])
@click.argument("title")
@project_option
@json_option
def _history(title: str, *, project: str | None, as_json: bool) -> None:
    """List the versions of a prompt, newest first."""
    with opened(project) as wb:
        rows = records(wb.prompts.history(title))
    if as_json:
        show_json(rows)
    else:
        columns = ["version", "labels", "delta", "parent", "author", "created_at", "note", "content"]
        show_table(rows, columns, empty="no versions")


@click.group(cls=Group)
def ab() -> None:
    """Look at A/B tests."""


@ab.command("list", examples=["workbench ab list", "workbench ab list --json"])
@project_option
@json_option
def _tests(*, project: str | None, as_json: bool) -> None:
    """List a project's A/B tests with their verdicts."""
    with opened(project) as wb:
        rows, empty = records(wb.frames.tests()), nothing(wb, "A/B tests")
    if as_json:
        show_json(rows)
    else:
        columns = ["name", "status", "a", "b", "metric", "sample_size", "verdict", "effect", "low", "high"]
        show_table(rows, columns, empty=empty)


@ab.command("show", examples=["workbench ab show tone-b", "workbench ab show tone-b --json"])
@click.argument("name")
@project_option
@json_option
def _test(name: str, *, project: str | None, as_json: bool) -> None:
    """Print a test's design, arms and verdict."""
    with opened(project) as wb:
        test = wb.ab.get(name)
    if as_json:
        names = (each.name for each in dataclasses.fields(test) if each.name != "workbench")
        show_json({each: getattr(test, each) for each in names})
    else:
        say(str(test))
