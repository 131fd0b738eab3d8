"""People and projects."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Text, cast, func, or_, select, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB, array, insert

from workbench.db.tables import Project, ProjectMember, User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["projects", "set_setting", "settings", "use_project", "username"]


def use_project(session: Session, user_id: uuid.UUID, name: str) -> Project:
    """Return the person's project of that name; else one they are a member of; else a new one."""
    member = select(ProjectMember.project_id).where(ProjectMember.user_id == user_id)
    found = session.scalars(
        select(Project)
        .where(Project.name == name, or_(Project.user_id == user_id, Project.id.in_(member)))
        .order_by((Project.user_id == user_id).desc(), Project.created_at)
        .limit(1)
    ).first()
    if found is not None:
        return found
    session.execute(insert(Project).values(user_id=user_id, name=name).on_conflict_do_nothing())
    return session.scalars(select(Project).where(Project.user_id == user_id, Project.name == name)).one()


def projects(session: Session) -> list[Project]:
    """Return every project that the person can read, by name."""
    return list(session.scalars(select(Project).order_by(Project.name)))


def username(session: Session, user_id: uuid.UUID) -> str | None:
    """Return a person's name, or None where it is not for this person to know."""
    return session.scalars(select(User.username).where(User.id == user_id)).one_or_none()


def settings(session: Session, user_id: uuid.UUID) -> dict[str, Any]:
    """Return the person's stored settings."""
    return session.scalars(select(User.settings).where(User.id == user_id)).one()


def set_setting(session: Session, user_id: uuid.UUID, path: Sequence[str], value: Any) -> None:
    """Change one stored setting in the database, where two writers at once both leave theirs.

    Args:
        session: the transaction.
        user_id: the person.
        path: leads to it; what is missing on the way becomes an object.
        value: anything that JSON can hold.

    """
    changed: ColumnElement[Any] = type_coerce(User.settings, JSONB)
    for depth in range(1, len(path)):
        place = array(path[:depth], type_=Text)
        changed = func.jsonb_set(changed, place, func.coalesce(changed.op("#>")(place), cast({}, JSONB)))
    changed = func.jsonb_set(changed, array(path, type_=Text), cast(value, JSONB))
    session.execute(update(User).where(User.id == user_id).values(settings=changed))
