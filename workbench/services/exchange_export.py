"""From rows to files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.core.body import parse_body
from workbench.core.exchange.folder import write_family
from workbench.core.exchange.promptfoo_export import write_promptfoo
from workbench.core.exchange.records import Found, PromptRecord
from workbench.core.exchange.report import ExportReport
from workbench.core.exchange.tables import write_jsonl
from workbench.core.refs import LATEST, SCRATCH, parse_ref
from workbench.db.queries import exchange as queries
from workbench.errors import DataError
from workbench.services.exchange_files import write_families, write_text
from workbench.services.saving import variables_of

if TYPE_CHECKING:
    from workbench.db.queries.exchange import StoredVersion
    from workbench.services.workbench import Workbench

__all__ = ["EXPORTS", "write"]

#: What can be written.
EXPORTS: Final = ("folder", "jsonl", "promptfoo")


def write(
    workbench: Workbench,
    path: Path,
    kind: str,
    prompts: Sequence[str] | None,
    progress: Callable[[int, int], None] | None,
    *,
    shown: str,
) -> ExportReport:
    """Write prompts in one of ``EXPORTS``; see ``Exchange.export``."""
    wanted = _wanted(workbench, prompts)
    if kind == "folder" and any(numbers is not None for numbers in wanted.values()):
        raise DataError("a folder holds whole prompts, not single versions", cure="name titles without @")
    families = list(_families(workbench, wanted, progress, latest_only=kind == "promptfoo"))
    if not families and kind != "folder":
        raise DataError(f"project {workbench.project!r} has no prompts to write")
    found = Found()
    while kind != "promptfoo" and _add_included(families, wanted, found, whole=kind == "folder"):
        families = list(_families(workbench, wanted, None, latest_only=False))
    written, removed = 1, 0
    if kind == "jsonl":
        _make_parent(path)
        write_text(path, write_jsonl(_line(version) for family in families for version in family))
    elif kind == "promptfoo":
        _make_parent(path)
        records = [_record(version) for family in families for version in family]
        names = {record.place: [str(each["name"]) for each in record.variables or ()] for record in records}
        write_text(path, write_promptfoo(records, names, found))
    else:
        files = {
            family[0].title: write_family([_record(each, derive=True) for each in family])
            for family in families
        }
        written, removed = write_families(path, files, whole=prompts is None)
    return ExportReport(
        target=shown,
        format=kind,
        prompts=len(families),
        versions=sum(map(len, families)),
        written=written,
        removed=removed,
        notes=tuple(found.notes),
    )


def _wanted(workbench: Workbench, prompts: Sequence[str] | None) -> dict[str, set[int] | None]:
    """Return title → version numbers; None stands for the whole family."""
    if prompts is None:
        return dict.fromkeys(workbench.prompts.list())
    wanted: dict[str, set[int] | None] = {}
    for text in prompts:
        ref = parse_ref(text)
        if ref.title.startswith(SCRATCH):
            raise DataError(f"{text} has no title yet", cure=f"give it one: %promptcmd keep {ref.title} NAME")
        chosen = workbench.prompts.get(text)  # says what there is when it is unknown
        if ref.version is None and ref.label is None:
            wanted[chosen.title] = None
        elif (numbers := wanted.setdefault(chosen.title, set())) is not None:
            numbers.add(chosen.version)
    return wanted


def _add_included(
    families: Sequence[Sequence[StoredVersion]],
    wanted: dict[str, set[int] | None],
    found: Found,
    *,
    whole: bool,
) -> bool:
    """Add to what is wanted the versions that it includes: without them it could not be imported."""
    there = {f"{version.title}@{version.version}" for family in families for version in family}
    more: dict[str, tuple[str, int, StoredVersion]] = {}
    for family in families:
        for version in family:
            for ref in (*version.includes.values(), *version.builds_on.values()):
                title, _, number = ref.rpartition("@")
                if ref not in there and title and not title.startswith(SCRATCH):
                    more.setdefault(ref, (title, int(number), version))
    for ref, (title, version_number, user) in more.items():
        numbers = wanted.setdefault(title, set())
        wanted[title] = None if whole or numbers is None else {*numbers, version_number}
        found.note(ref, f"comes along, for {user.title}@{user.version} includes it", title)
    return bool(more)


def _families(
    workbench: Workbench,
    wanted: Mapping[str, set[int] | None],
    progress: Callable[[int, int], None] | None,
    *,
    latest_only: bool,
) -> Iterator[list[StoredVersion]]:
    with workbench.database.session() as session:
        for done, family in enumerate(queries.read(session, workbench.project_id, sorted(wanted)), 1):
            numbers = wanted[family[0].title]
            if numbers is None and latest_only:
                yield [version for version in family if LATEST in version.labels]
            else:
                yield [version for version in family if numbers is None or version.version in numbers]
            if progress is not None and (done % 200 == 0 or done == len(wanted)):
                progress(done, len(wanted))


def _line(version: StoredVersion) -> dict[str, Any]:
    """Return every field of a version, as JSON lines hold it."""
    return {
        "title": version.title,
        "version": version.version,
        "content": version.content,
        "system_prompt": version.system_prompt,
        "variables": list(version.variables),
        "settings": dict(version.settings),
        "tags": list(version.tags),
        "note": version.note,
        "labels": list(version.labels),
        "parent": version.parent,
        **({"includes": dict(version.includes)} if version.includes else {}),
        **({"builds_on": dict(version.builds_on)} if version.builds_on else {}),
        "content_hash": version.content_hash,
        "created_at": version.created_at.isoformat(),
    }


def _record(version: StoredVersion, *, derive: bool = False) -> PromptRecord:
    """Return a version as a record; with ``derive`` its variables stand there only where the text says others."""
    variables: Sequence[Mapping[str, Any]] | None = version.variables
    if derive and not (version.includes or version.builds_on):
        said = variables_of(parse_body(version.content, system=version.system_prompt))
        variables = None if list(version.variables) == said else version.variables
    return PromptRecord(
        place=f"{version.title}@{version.version}",
        title=version.title,
        content=version.content,
        system_prompt=version.system_prompt,
        version=version.version,
        variables=variables,
        settings=version.settings,
        tags=tuple(version.tags),
        note=version.note,
        labels=version.labels,
        parent=version.parent,
        includes=version.includes,
        builds_on=version.builds_on,
    )


def _make_parent(path: Path) -> None:
    if not path.parent.is_dir():
        raise DataError(f"there is no folder {path.parent}", cure="make it, or name another place")
