"""Prompt families as a whole: what a project has, where each came from, who uses whom."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, cast, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import aliased

from workbench.core.lineage import Family
from workbench.core.refs import LATEST, SCRATCH
from workbench.db.tables import Prompt, PromptLabel, User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["authors", "families", "overview", "users_of"]


def families(session: Session, project_id: uuid.UUID) -> list[Family]:
    """Return a project's prompt families with their labels and what each was forked from."""
    first, source = aliased(Prompt), aliased(Prompt)
    counts = (
        select(Prompt.root_id, func.count().label("n"))
        .where(Prompt.project_id == project_id)
        .group_by(Prompt.root_id)
        .subquery()
    )
    query = (
        select(first, counts.c.n, source.root_id, source.version)
        .join(counts, counts.c.root_id == first.id)
        .outerjoin(source, source.id == first.parent_id)
        .order_by(first.title)
    )
    labels: dict[uuid.UUID, dict[str, int]] = {}
    named = select(PromptLabel.root_id, PromptLabel.name, Prompt.version).join(
        Prompt, Prompt.id == PromptLabel.prompt_id
    )
    for root, name, version in session.execute(named.where(PromptLabel.project_id == project_id)):
        labels.setdefault(root, {})[name] = version
    return [
        Family(
            root_id=row.id,
            title=row.title,
            n_versions=n,
            labels=labels.get(row.id, {}),
            parent_root=parent_root,
            forked_from=parent_version,
            archived=row.archived_at is not None,
        )
        for row, n, parent_root, parent_version in session.execute(query)
    ]


def users_of(session: Session, prompt_id: uuid.UUID) -> list[str]:
    """Return the references of the versions that include this one, by title."""
    query = (
        select(Prompt.title, Prompt.version)
        .where(Prompt.includes.contains([{"id": str(prompt_id)}]), Prompt.includes != [])
        .order_by(Prompt.title, Prompt.version)
    )
    return [f"{title}@{version}" for title, version in session.execute(query)]


def authors(session: Session, root_id: uuid.UUID) -> dict[uuid.UUID, str]:
    """Return who saved which version of a family, by name, as far as one may know it."""
    query = select(Prompt.id, User.username).join(User, User.id == Prompt.user_id)
    return {found.id: found.username for found in session.execute(query.where(Prompt.root_id == root_id))}


def overview(session: Session, project_id: uuid.UUID, *, archived: bool = False) -> list[list[Any]]:
    """Return one row for each family, by title: title, versions, latest, labels, tags, note, forked from, updated at."""
    latest, first, source = aliased(Prompt), aliased(Prompt), aliased(Prompt)
    counts = (
        select(Prompt.root_id, func.count().label("n"), func.max(Prompt.created_at).label("updated_at"))
        .where(Prompt.project_id == project_id)
        .group_by(Prompt.root_id)
        .subquery()
    )
    named = PromptLabel.name + "@" + cast(Prompt.version, Text)
    labels = (
        select(PromptLabel.root_id, func.array_agg(aggregate_order_by(named, named)).label("names"))
        .join(Prompt, Prompt.id == PromptLabel.prompt_id)
        .where(PromptLabel.project_id == project_id, PromptLabel.name != LATEST)
        .group_by(PromptLabel.root_id)
        .subquery()
    )
    query = (
        select(
            latest.title,
            counts.c.n,
            latest.version,
            labels.c.names,
            latest.tags,
            latest.note,
            source.title,
            source.version,
            counts.c.updated_at,
        )
        .join(PromptLabel, (PromptLabel.prompt_id == latest.id) & (PromptLabel.name == LATEST))
        .join(counts, counts.c.root_id == latest.root_id)
        .join(first, first.id == latest.root_id)
        .outerjoin(source, source.id == first.parent_id)
        .outerjoin(labels, labels.c.root_id == latest.root_id)
        .where(latest.project_id == project_id, ~latest.title.startswith(SCRATCH, autoescape=True))
        .order_by(latest.title)
    )
    if not archived:
        query = query.where(latest.archived_at.is_(None))
    return [
        [
            row[0],
            row[1],
            row[2],
            ", ".join(row[3] or ()),
            ", ".join(row[4]),
            row[5],
            f"{row[6]}@{row[7]}" if row[6] else "",
            row[8],
        ]
        for row in session.execute(query)
    ]
