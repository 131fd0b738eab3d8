"""``workbench prompt …``: what one does with versions, from a shell."""

from __future__ import annotations

import click

from workbench.cli.commands import json_option, opened, project_option
from workbench.cli.output import say, show_json
from workbench.cli.projects import prompt, version_record

__all__ = ["prompt"]


@prompt.command(
    "diff", examples=["workbench prompt diff tone@1 tone@2", "workbench prompt diff tone@prod --words"]
)
@click.argument("first")
@click.argument("second", required=False)
@click.option("--words", is_flag=True, help="Mark the changed words: [-old-]{+new+}.")
@project_option
@json_option
def _diff(first: str, second: str | None, *, words: bool, project: str | None, as_json: bool) -> None:
    """Print what changed between two versions.

    Without SECOND, from FIRST to the latest version; of a title alone, what its latest version changed.
    """
    with opened(project) as wb:
        found = wb.prompts.compare(first, second)
    if as_json:
        show_json(
            {
                "a": found.a,
                "b": found.b,
                "added": found.added,
                "removed": found.removed,
                "diff": found.unified,
            }
        )
    else:
        say(f"{found.summary}\n{found.words}".strip() if words else str(found))


@prompt.command(
    "label", examples=["workbench prompt label tone@3 prod", "workbench prompt label tone prod --remove"]
)
@click.argument("ref")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Take the label off.")
@project_option
def _label(ref: str, name: str, *, remove: bool, project: str | None) -> None:
    """Make a label name a version, such as prod, or take it off."""
    with opened(project) as wb:
        if remove:
            wb.prompts.unlabel(ref, name)
            say(f"{ref} has no label {name} any more")
        else:
            say(f"{name} is {wb.prompts.label(ref, name).ref}")


@prompt.command(
    "rollback", examples=["workbench prompt rollback tone 3", "workbench prompt rollback tone prod"]
)
@click.argument("title")
@click.argument("version")
@project_option
def _rollback(title: str, version: str, *, project: str | None) -> None:
    """Make an earlier version the one that the title alone means.

    VERSION is a number or a label. Nothing is deleted; the way back is another rollback.
    """
    with opened(project) as wb:
        say(f"latest is {wb.prompts.rollback(title, version).ref}")


@prompt.command("fork", examples=["workbench prompt fork tone@3 tone-short"])
@click.argument("ref")
@click.argument("new_title")
@click.option("--note", default="", metavar="TEXT", help="Why.")
@project_option
def _fork(ref: str, new_title: str, *, note: str, project: str | None) -> None:
    """Begin a new prompt with the content of a version."""
    with opened(project) as wb:
        say(f"{wb.prompts.fork(ref, new_title, note=note).ref} has the content of {ref}")


@prompt.command("tree", examples=["workbench prompt tree tone"])
@click.argument("title")
@project_option
def _tree(title: str, *, project: str | None) -> None:
    """Print where a prompt was forked from, and its forks.

    A line each: from which version, title, number of versions, labels.
    """
    with opened(project) as wb:
        say(str(wb.prompts.tree(title)))


@prompt.command("rename", examples=["workbench prompt rename tone mood"])
@click.argument("title")
@click.argument("new_title")
@project_option
def _rename(title: str, new_title: str, *, project: str | None) -> None:
    """Give a prompt another title.

    Versions, labels and executions stay with it.
    """
    with opened(project) as wb:
        say(f"{title} is now {wb.prompts.rename(title, new_title).title}")


@prompt.command(
    "archive", examples=["workbench prompt archive tone", "workbench prompt archive tone --restore"]
)
@click.argument("title")
@click.option("--restore", is_flag=True, help="Bring it back.")
@project_option
def _archive(title: str, *, restore: bool, project: str | None) -> None:
    """Hide a prompt from lists, or bring it back; nothing is deleted."""
    with opened(project) as wb:
        if restore:
            wb.prompts.restore(title)
        else:
            wb.prompts.archive(title)
    say(
        f"{title} is back"
        if restore
        else f"{title} is archived; the way back: workbench prompt archive {title} --restore"
    )


@prompt.command(
    "tag",
    examples=["workbench prompt tag tone@3 support urgent", "workbench prompt tag tone@3 urgent --remove"],
)
@click.argument("ref")
@click.argument("tags", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Take them off.")
@project_option
@json_option
def _tag(ref: str, tags: tuple[str, ...], *, remove: bool, project: str | None, as_json: bool) -> None:
    """Put tags on a version, or take some off."""
    with opened(project) as wb:
        version = wb.prompts.tag(ref, () if remove else tags, remove=tags if remove else ())
    if as_json:
        show_json(version_record(version))
    else:
        say(f"{version.ref}: {', '.join(version.tags) or 'no tags'}")


@prompt.command("note", examples=["workbench prompt note tone@3 'fewer false alarms'"])
@click.argument("ref")
@click.argument("text")
@project_option
def _note(ref: str, text: str, *, project: str | None) -> None:
    """Write why a version was made."""
    with opened(project) as wb:
        say(f"{wb.prompts.note(ref, text).ref}: {text}")
