"""Prompt versions and labels: save, read, change what is not content."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from workbench.core.refs import LATEST, SCRATCH
from workbench.core.versions import Include, PromptVersion, content_hash
from workbench.db.scope import Scope
from workbench.db.tables import Prompt, PromptLabel
from workbench.errors import AccessDeniedError, ConflictError, NameTakenError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = [
    "Draft",
    "annotate",
    "archive",
    "family",
    "fork",
    "get_by_id",
    "label",
    "labels_of",
    "move_label",
    "remove_label",
    "rename",
    "retag",
    "save",
    "titles",
    "versions",
    "with_includes",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What is to be saved."""

    title: str
    content: str
    system_prompt: str | None = None
    variables: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    note: str = ""
    kind: str = "prompt"
    includes: Sequence[Include] = ()

    @property
    def hash(self) -> str:
        """The content's hash: two drafts with the same one are the same version."""
        return content_hash(self.content, self.system_prompt, self.variables, self.settings, self.includes)


def save(session: Session, scope: Scope, draft: Draft) -> PromptVersion:
    """Store a draft, unless the family has it already, and move ``latest`` to it.

    Where it is there, its tags are added to the version's, and its note, if it has one, replaces the version's.

    Saves of one family wait for each other on its first row; two first saves collide on the unique constraint,
    and the loser is repeated by the caller.
    """
    same = session.scalars(
        select(Prompt).where(
            Prompt.project_id == scope.project_id,
            Prompt.title == draft.title,
            Prompt.content_hash == draft.hash,
        )
    ).one_or_none()
    labels = labels_of(session, same.id) if same is not None else ()
    if same is not None and LATEST in labels:  # a cell that is run again
        return _version(_annotated(session, same, draft), labels, change="same")
    root = family(session, scope.project_id, draft.title)
    if root is not None:
        first = _locked(session, root)
        if first.title != draft.title:  # renamed since it was looked up
            raise ConflictError(f"the prompt {draft.title!r} was renamed just now", cure="try again")
        same = session.scalars(
            select(Prompt).where(Prompt.root_id == root, Prompt.content_hash == draft.hash)
        ).one_or_none()
        if same is None and first.archived_at is not None:
            raise NameTakenError(
                f"the prompt {draft.title!r} is archived, so it takes no new version",
                cure=f"bring it back with wb.prompts.restore({draft.title!r}), or choose another title",
            )
    row = _annotated(session, same, draft) if same else _insert(session, scope, draft, root)
    move_label(session, scope, row.root_id, LATEST, row.id)
    return _version(row, labels_of(session, row.id), change="same" if same else "new")


def family(session: Session, project_id: uuid.UUID, title: str) -> uuid.UUID | None:
    """Return the root id of the family of that title, or None."""
    return session.scalars(
        select(Prompt.root_id).where(Prompt.project_id == project_id, Prompt.title == title).limit(1)
    ).first()


def get_by_id(session: Session, prompt_id: uuid.UUID) -> PromptVersion:
    """Return a version by its row's id."""
    return _version(session.get_one(Prompt, prompt_id), labels_of(session, prompt_id))


def with_includes(session: Session, version: PromptVersion) -> PromptVersion:
    """Return a version with the versions that it includes, and those that they include, read."""
    known: dict[uuid.UUID, PromptVersion] = {}

    def read(each: PromptVersion) -> PromptVersion:
        return replace(
            each, includes=tuple(replace(inner, version=found(inner.id)) for inner in each.includes)
        )

    def found(prompt_id: uuid.UUID) -> PromptVersion | None:
        if prompt_id not in known:
            row = session.get(Prompt, prompt_id)
            if row is None:
                return None
            known[prompt_id] = read(_version(row, labels_of(session, prompt_id)))
        return known[prompt_id]

    return read(version)


def versions(session: Session, root_id: uuid.UUID, *, version: int | None = None) -> list[PromptVersion]:
    """Return a family's versions, newest first; only one where ``version`` is given."""
    query = select(Prompt).where(Prompt.root_id == root_id).order_by(Prompt.version.desc())
    if version is not None:
        query = query.where(Prompt.version == version)
    names = {prompt: tuple(found) for prompt, found in session.execute(_label_names(root_id))}
    return [_version(row, names.get(row.id, ())) for row in session.scalars(query)]


def label(session: Session, root_id: uuid.UUID, name: str) -> uuid.UUID | None:
    """Return the version that a label names, or None."""
    return session.scalars(
        select(PromptLabel.prompt_id).where(PromptLabel.root_id == root_id, PromptLabel.name == name)
    ).first()


def labels_of(session: Session, prompt_id: uuid.UUID) -> tuple[str, ...]:
    """Return the labels of one version, by name."""
    return tuple(
        session.scalars(
            select(PromptLabel.name).where(PromptLabel.prompt_id == prompt_id).order_by(PromptLabel.name)
        )
    )


def move_label(session: Session, scope: Scope, root_id: uuid.UUID, name: str, prompt_id: uuid.UUID) -> None:
    """Make a label name this version; a label that does so already is left alone (and not audited again)."""
    statement = insert(PromptLabel).values(
        root_id=root_id, name=name, prompt_id=prompt_id, project_id=scope.project_id, user_id=scope.user_id
    )
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["root_id", "name"],
            set_={"prompt_id": statement.excluded.prompt_id, "user_id": statement.excluded.user_id},
            where=PromptLabel.prompt_id != statement.excluded.prompt_id,
        )
    )


def titles(
    session: Session, project_id: uuid.UUID, *, scratch: bool = False, archived: bool = False
) -> list[str]:
    """Return the titles of the project's prompt families."""
    query = select(Prompt.title).where(Prompt.project_id == project_id).distinct()
    if not archived:
        query = query.where(Prompt.archived_at.is_(None))
    if not scratch:
        query = query.where(~Prompt.title.startswith(SCRATCH, autoescape=True))
    return list(session.scalars(query.order_by(Prompt.title)))


def rename(session: Session, root_id: uuid.UUID, title: str) -> None:
    """Give a whole family another title."""
    _locked(session, root_id)
    session.execute(update(Prompt).where(Prompt.root_id == root_id).values(title=title))


def archive(session: Session, root_id: uuid.UUID, *, archived: bool) -> None:
    """Hide a whole family from lists, or show it again; nothing is deleted."""
    _locked(session, root_id)
    when = func.now() if archived else None
    session.execute(update(Prompt).where(Prompt.root_id == root_id).values(archived_at=when))


def annotate(session: Session, prompt_id: uuid.UUID, *, note: str) -> None:
    """Change what is not content: the note of one version."""
    changed = session.scalars(
        update(Prompt).where(Prompt.id == prompt_id).values(note=note).returning(Prompt.id)
    ).all()
    if not changed:
        raise _not_an_editor()


def retag(
    session: Session, prompt_id: uuid.UUID, *, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> list[str]:
    """Put tags on a version and take others off, after whoever does so at the same time; return those that it had."""
    row = _locked(session, prompt_id)
    had = list(row.tags)
    row.tags = [tag for tag in dict.fromkeys([*had, *add]) if tag not in remove]
    session.flush()
    return had


def remove_label(session: Session, root_id: uuid.UUID, name: str) -> None:
    """Take a label off that is there."""
    gone = session.scalars(
        delete(PromptLabel)
        .where(PromptLabel.root_id == root_id, PromptLabel.name == name)
        .returning(PromptLabel.name)
    ).all()
    if not gone:
        raise _not_an_editor()


def fork(session: Session, scope: Scope, source: PromptVersion, title: str, *, note: str) -> uuid.UUID:
    """Begin a new family with the content of a version; return its first row, also when it was forked before.

    Raises:
        NameTakenError: there is another prompt of that title.

    """
    taken = family(session, scope.project_id, title)
    if taken is not None:
        if session.get_one(Prompt, taken).parent_id == source.id:  # a cell that is run again
            return taken
        raise NameTakenError(
            f"there is a prompt {title!r} already", cure="choose another title, or save to that one"
        )
    original = session.get_one(Prompt, source.id)
    new_id = uuid.uuid4()
    row = Prompt(
        id=new_id,
        project_id=scope.project_id,
        user_id=scope.user_id,
        root_id=new_id,
        parent_id=original.id,
        version=1,
        kind=original.kind,
        title=title,
        content=original.content,
        system_prompt=original.system_prompt,
        variables=original.variables,
        settings=original.settings,
        includes=original.includes,
        content_hash=original.content_hash,
        tags=original.tags,
        note=note,
    )
    session.add(row)
    session.flush()
    move_label(session, scope, new_id, LATEST, new_id)
    return new_id


def _annotated(session: Session, row: Prompt, draft: Draft) -> Prompt:
    """Return a version that is there already, with the tags and the note that came along: they are no content."""
    if {*draft.tags} <= {*row.tags} and draft.note in {"", row.note}:
        return row
    retag(session, row.id, add=draft.tags)
    row.note = draft.note or row.note
    session.flush()
    return row


def _locked(session: Session, prompt_id: uuid.UUID) -> Prompt:
    """Return a row, locked: changes of one version take turns, and those of a family on its first row."""
    query = select(Prompt).where(Prompt.id == prompt_id).with_for_update()
    row = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if row is None:  # a row can be locked only by who may change it
        raise _not_an_editor()
    return row


def _not_an_editor() -> AccessDeniedError:
    return AccessDeniedError(
        "you may read the prompts of this project, not change them",
        cure="ask the project's owner to add you as an editor",
    )


def _insert(session: Session, scope: Scope, draft: Draft, root: uuid.UUID | None) -> Prompt:
    new_id = uuid.uuid4()
    newest = (
        session.scalars(select(func.max(Prompt.version)).where(Prompt.root_id == root)).one()
        if root
        else None
    )
    row = Prompt(
        id=new_id,
        project_id=scope.project_id,
        user_id=scope.user_id,
        root_id=root or new_id,
        parent_id=label(session, root, LATEST) if root else None,
        version=(newest or 0) + 1,
        kind=draft.kind,
        title=draft.title,
        content=draft.content,
        system_prompt=draft.system_prompt,
        variables=[dict(variable) for variable in draft.variables],
        settings=dict(draft.settings),
        includes=[each.record() for each in draft.includes],
        content_hash=draft.hash,
        tags=list(draft.tags),
        note=draft.note,
    )
    session.add(row)
    session.flush()
    return row


def _label_names(root_id: uuid.UUID) -> Select[uuid.UUID, Sequence[str]]:
    names = func.array_agg(aggregate_order_by(PromptLabel.name, PromptLabel.name.asc()))
    return (
        select(PromptLabel.prompt_id, names)
        .where(PromptLabel.root_id == root_id)
        .group_by(PromptLabel.prompt_id)
    )


def _version(row: Prompt, labels: tuple[str, ...], *, change: str = "") -> PromptVersion:
    return PromptVersion(
        id=row.id,
        root_id=row.root_id,
        project_id=row.project_id,
        title=row.title,
        version=row.version,
        content=row.content,
        system_prompt=row.system_prompt,
        variables=tuple(row.variables),
        settings=dict(row.settings),
        tags=tuple(row.tags),
        labels=labels,
        note=row.note,
        created_at=row.created_at,
        includes=tuple(
            Include(kind=each["kind"], ref=each["ref"], id=uuid.UUID(each["id"])) for each in row.includes
        ),
        content_hash=row.content_hash,
        parent_id=row.parent_id,
        archived=row.archived_at is not None,
        change=change,
    )
