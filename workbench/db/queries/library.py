"""The prompt library: official templates, one's own, and those that others made public."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import Select, delete, func, select

from workbench.core.library import LibraryPrompt
from workbench.db.tables import LibraryPrompt as Row
from workbench.db.tables import User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["add", "categories", "find", "get", "names", "official_for", "remove"]


def find(session: Session, *, category: str | None = None, words: Iterable[str] = ()) -> list[LibraryPrompt]:
    """Return the templates that hold every word somewhere, by category and name; case does not matter."""
    query = _all().order_by(Row.category, Row.name, Row.is_official.desc(), Row.created_at)
    if category is not None:
        query = query.where(Row.category == category)
    described = func.concat_ws(
        " ",
        Row.name,
        Row.category,
        Row.subcategory,
        Row.description,
        Row.use_cases,
        func.array_to_string(Row.tags, " "),
        Row.content,
    )
    for word in words:
        query = query.where(described.icontains(word, autoescape=True))
    return [_template(row, author) for row, author in session.execute(query)]


def get(session: Session, user_id: uuid.UUID, name: str) -> LibraryPrompt | None:
    """Return the template of that name: one's own, else the official one, else the oldest public one."""
    query = _all().where(Row.name == name)
    mine = func.coalesce(Row.created_by == user_id, False)
    found = session.execute(
        query.order_by(mine.desc(), Row.is_official.desc(), Row.created_at, Row.id).limit(1)
    ).one_or_none()
    return _template(found[0], found[1]) if found else None


def names(session: Session, *, official: bool = False) -> list[str]:
    """Return the names of all templates that this person can read, or of the official ones."""
    query = select(Row.name).distinct().order_by(Row.name)
    return list(session.scalars(query.where(Row.is_official) if official else query))


def categories(session: Session) -> list[str]:
    """Return the categories that have a template."""
    return list(session.scalars(select(Row.category).distinct().order_by(Row.category)))


def official_for(session: Session, family: str) -> tuple[str, ...]:
    """Return the names of the official templates that recommend a family of models."""
    query = select(Row.name).where(Row.is_official, Row.model_recommendations.contains([family]))
    return tuple(session.scalars(query.order_by(Row.name)))


def add(session: Session, user_id: uuid.UUID, template: LibraryPrompt) -> None:
    """Store a person's own template."""
    session.add(
        Row(
            name=template.name,
            category=template.category,
            subcategory=template.subcategory or None,
            description=template.description or None,
            content=template.content,
            variables=[dict(variable) for variable in template.variables],
            tags=list(template.tags),
            model_recommendations=list(template.models),
            use_cases="\n".join(template.use_cases),
            settings=dict(template.settings),
            answer_schema=None if template.answer_schema is None else dict(template.answer_schema),
            is_public=template.is_public,
            created_by=user_id,
        )
    )


def remove(session: Session, user_id: uuid.UUID, name: str) -> bool:
    """Delete a person's own template; whether there was one."""
    statement = delete(Row).where(Row.created_by == user_id, Row.name == name).returning(Row.id)
    return session.execute(statement).first() is not None


def _all() -> Select[Row, str | None]:
    return select(Row, User.username).outerjoin(User, User.id == Row.created_by)


def _template(row: Row, author: str | None) -> LibraryPrompt:
    return LibraryPrompt(
        name=row.name,
        category=row.category,
        content=row.content,
        subcategory=row.subcategory or "",
        description=row.description or "",
        variables=tuple(row.variables),
        tags=tuple(row.tags),
        use_cases=tuple((row.use_cases or "").splitlines()),
        models=tuple(row.model_recommendations or ()),
        settings=dict(row.settings),
        answer_schema=row.answer_schema,
        is_official=row.is_official,
        is_public=row.is_public,
        author=author or "",
    )
