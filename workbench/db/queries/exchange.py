"""Many prompts at once: families written in one go, and read in full."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from workbench.core.refs import LATEST
from workbench.db.queries.prompts import Draft
from workbench.db.scope import Scope
from workbench.db.tables import Prompt, PromptLabel

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["Incoming", "Outcome", "StoredVersion", "read", "save_families"]

_CHUNK = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A version that is to be stored.

    Attributes:
        draft: its content; ``kind`` is ``prompt``.
        number: the number that it had; kept where the family has none so high yet.
        labels: names that it shall have; ``latest`` too where the source says so.
        parent: the reference of the version that it came from, or empty for the family's latest.
        origin: what is kept of the source beside the content.

    """

    draft: Draft
    number: int | None = None
    labels: tuple[str, ...] = ()
    parent: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a version.

    Attributes:
        version: its number; 0 where it was not stored.
        change: ``new``, ``same``, ``archived`` or ``rubric``: a family that takes no new version.
        moved: how many labels name it that named another version, or none, before; ``latest`` is not counted.

    """

    version: int
    change: str
    moved: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredVersion:
    """A version as it is stored, with the references that other rows give it."""

    id: uuid.UUID
    title: str
    version: int
    content: str
    system_prompt: str | None
    variables: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    tags: Sequence[str]
    note: str
    labels: tuple[str, ...]
    parent: str
    content_hash: str
    created_at: dt.datetime
    includes: Mapping[str, str] = field(default_factory=dict)
    builds_on: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Family:
    """One family while its versions are counted: what is there, and what will be."""

    root: uuid.UUID | None = None
    closed: str = ""
    newest: int = 0
    by_hash: dict[str, tuple[uuid.UUID, int]] = field(default_factory=dict)
    labels: dict[str, uuid.UUID] = field(default_factory=dict)
    wanted: dict[str, uuid.UUID] = field(default_factory=dict)
    newest_row: uuid.UUID | None = None


def save_families(
    session: Session, scope: Scope, families: Sequence[Sequence[Incoming]]
) -> list[list[Outcome]]:
    """Store the versions of several families, each in its order; the same content again is the same version.

    It asks and writes once for all of them. ``latest`` moves only in a family that got a new version.

    Args:
        session: one transaction; nothing is stored when it fails.
        scope: the project and person.
        families: versions by family; all of one family have the same title.

    Returns:
        What became of each version, in the same shape.

    """
    titles = [family[0].draft.title for family in families]
    known = _known(session, scope, titles)
    parents = _parents(session, scope, [each.parent for family in families for each in family], titles)
    rows: list[dict[str, Any]] = []
    places = [
        [_place(each, known[title], scope, rows, parents) for each in family]
        for title, family in zip(titles, families, strict=True)
    ]
    if rows:
        session.execute(insert(Prompt), rows)
    moved = _move_labels(session, scope, known.values())
    return [
        [
            Outcome(
                version=number, change=change, moved=sum(label in moved.get(row, ()) for label in each.labels)
            )
            for each, (row, number, change) in zip(family, outcomes, strict=True)
        ]
        for family, outcomes in zip(families, places, strict=True)
    ]


def read(session: Session, project_id: uuid.UUID, titles: Sequence[str]) -> Iterator[list[StoredVersion]]:
    """Give the families of these titles, each with all its versions in order."""
    parent = aliased(Prompt)
    for start in range(0, len(titles), _CHUNK):
        chunk = list(titles[start : start + _CHUNK])
        query = (
            select(Prompt, parent.title, parent.version)
            .outerjoin(parent, parent.id == Prompt.parent_id)
            .where(Prompt.project_id == project_id, Prompt.title.in_(chunk), Prompt.kind == "prompt")
            .order_by(Prompt.version)
        )
        found = session.execute(query).all()
        labels = _labels(session, {row.root_id for row, _, _ in found})
        pinned = _pinned(session, {each["id"] for row, _, _ in found for each in row.includes})
        families: dict[str, list[StoredVersion]] = {title: [] for title in chunk}
        for row, parent_title, parent_version in found:
            ref = f"{parent_title}@{parent_version}" if parent_version else ""
            names = tuple(sorted(name for name, at in labels.get(row.root_id, {}).items() if at == row.id))
            families[row.title].append(_stored(row, names, ref, pinned))
        session.expunge_all()
        yield from (family for family in families.values() if family)


def _known(session: Session, scope: Scope, titles: Sequence[str]) -> dict[str, _Family]:
    """Return the families as they are, locked until the end of the transaction: saves of one family take turns."""
    known = {title: _Family() for title in titles}
    first = session.execute(
        select(Prompt.id, Prompt.title, Prompt.kind, Prompt.archived_at)
        .where(Prompt.project_id == scope.project_id, Prompt.title.in_(titles), Prompt.id == Prompt.root_id)
        .order_by(Prompt.id)
        .with_for_update()
    ).all()
    for root, title, kind, archived_at in first:
        closed = kind if kind != "prompt" else "archived" if archived_at is not None else ""
        known[title].root, known[title].closed = root, closed
    roots = {family.root: family for family in known.values() if family.root is not None}
    versions = select(Prompt.root_id, Prompt.id, Prompt.version, Prompt.content_hash)
    for root, row, version, digest in session.execute(versions.where(Prompt.root_id.in_(roots))):
        family = roots[root]
        family.by_hash[digest] = row, version
        family.newest = max(family.newest, version)
    for root, names in _labels(session, roots).items():
        roots[root].labels = names
    return known


def _labels(session: Session, roots: Any) -> dict[uuid.UUID, dict[str, uuid.UUID]]:
    query = select(PromptLabel.root_id, PromptLabel.name, PromptLabel.prompt_id)
    found: dict[uuid.UUID, dict[str, uuid.UUID]] = {}
    for root, name, row in session.execute(query.where(PromptLabel.root_id.in_(list(roots)))):
        found.setdefault(root, {})[name] = row
    return found


def _parents(
    session: Session, scope: Scope, refs: Sequence[str], titles: Sequence[str]
) -> dict[str, uuid.UUID]:
    """Return the rows of versions of other families that some were forked from."""
    wanted = {ref.rpartition("@")[0] for ref in refs if ref} - set(titles)
    if not wanted:
        return {}
    query = select(Prompt.title, Prompt.version, Prompt.id).where(
        Prompt.project_id == scope.project_id, Prompt.title.in_(wanted)
    )
    return {f"{title}@{version}": row for title, version, row in session.execute(query)}


def _place(
    each: Incoming,
    family: _Family,
    scope: Scope,
    rows: list[dict[str, Any]],
    parents: dict[str, uuid.UUID],
) -> tuple[uuid.UUID | None, int, str]:
    """Give a version its row and number, and take its labels down."""
    digest = each.draft.hash
    if family.closed == "rubric" or (family.closed and digest not in family.by_hash):
        return None, 0, family.closed
    change = "same"
    if digest not in family.by_hash:
        change, row = "new", uuid.uuid4()
        number = each.number if each.number and each.number > family.newest else family.newest + 1
        parent = parents.get(each.parent) or family.newest_row or family.labels.get(LATEST)
        family.root = family.root or row
        rows.append(_row(each, scope, id=row, root_id=family.root, parent_id=parent, version=number))
        family.by_hash[digest], family.newest, family.newest_row = (row, number), number, row
    row, number = family.by_hash[digest]
    parents[f"{each.draft.title}@{each.number or number}"] = row
    family.wanted |= dict.fromkeys(each.labels, row)
    return row, number, change


def _row(each: Incoming, scope: Scope, **keys: Any) -> dict[str, Any]:
    draft = each.draft
    return {
        **keys,
        "project_id": scope.project_id,
        "user_id": scope.user_id,
        "kind": draft.kind,
        "title": draft.title,
        "content": draft.content,
        "system_prompt": draft.system_prompt,
        "variables": [dict(variable) for variable in draft.variables],
        "settings": dict(draft.settings),
        "includes": [each.record() for each in draft.includes],
        "content_hash": draft.hash,
        "tags": list(draft.tags),
        "note": draft.note,
        "extra": {"origin": dict(each.origin)} if each.origin else {},
    }


def _move_labels(session: Session, scope: Scope, families: Any) -> dict[uuid.UUID | None, set[str]]:
    """Write the labels that name another version than before; return which came to which row."""
    moved: dict[uuid.UUID | None, set[str]] = {}
    rows = []
    for family in families:
        if family.newest_row is None:  # nothing was added, so what a person chose since then stays
            family.wanted.pop(LATEST, None)
        else:
            family.wanted.setdefault(LATEST, family.newest_row)
        for name, row in family.wanted.items():
            if family.labels.get(name) == row:
                continue
            rows.append(
                {
                    "root_id": family.root,
                    "name": name,
                    "prompt_id": row,
                    "project_id": scope.project_id,
                    "user_id": scope.user_id,
                }
            )
            if name != LATEST:
                moved.setdefault(row, set()).add(name)
    if rows:
        statement = insert(PromptLabel)
        statement = statement.on_conflict_do_update(
            index_elements=["root_id", "name"],
            set_={"prompt_id": statement.excluded.prompt_id, "user_id": statement.excluded.user_id},
        )
        session.execute(statement, rows)
    return moved


def _pinned(session: Session, ids: set[str]) -> dict[str, str]:
    """Return row → ``title@3`` of included versions."""
    if not ids:
        return {}
    query = select(Prompt.id, Prompt.title, Prompt.version).where(Prompt.id.in_(map(uuid.UUID, ids)))
    return {str(row): f"{title}@{version}" for row, title, version in session.execute(query)}


def _stored(row: Prompt, labels: tuple[str, ...], parent: str, pinned: Mapping[str, str]) -> StoredVersion:
    def refs(kind: str) -> dict[str, str]:
        return {
            each["ref"]: pinned.get(each["id"], each["ref"]) for each in row.includes if each["kind"] == kind
        }

    return StoredVersion(
        id=row.id,
        title=row.title,
        version=row.version,
        content=row.content,
        system_prompt=row.system_prompt,
        variables=tuple(row.variables),
        settings=dict(row.settings),
        tags=tuple(row.tags),
        note=row.note,
        labels=labels,
        parent=parent,
        content_hash=row.content_hash,
        created_at=row.created_at,
        includes=refs("include"),
        builds_on=refs("with"),
    )
