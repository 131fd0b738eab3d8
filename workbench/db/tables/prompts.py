"""Prompts: one row a version, immutable in its content; labels that move; the shipped library."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from workbench.db.base import Base, Json, JsonList, Now, OwnerId, Pk, ProjectId, Tags

__all__ = ["LibraryPrompt", "Prompt", "PromptLabel", "prompt_words"]

# What separates words in titles, paths and names also does so in a query: "a/b", "a.b" and "a_b" are two words each.
# The bounds keep a text of any size below the megabyte that a tsvector can hold.
_SEARCH = """
setweight(to_tsvector('english', translate(title, '/._', '   ')), 'A') ||
setweight(to_tsvector('english', translate(wb.tag_words(tags), '/._', '   ')), 'B') ||
setweight(to_tsvector('english', translate(left(note, 20000), '/._', '   ')), 'C') ||
to_tsvector('english', translate(left(content, 60000), '/._', '   ')) ||
to_tsvector('english', translate(left(coalesce(system_prompt, ''), 20000), '/._', '   '))
"""


class Prompt(Base):
    """One version of a prompt. The family is ``root_id``; ``parent_id`` is the version it came from."""

    __tablename__ = "prompts"
    __table_args__ = (
        UniqueConstraint("root_id", "version"),
        UniqueConstraint("root_id", "content_hash"),
        UniqueConstraint("root_id", "id"),
        UniqueConstraint("project_id", "title", "version"),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("kind IN ('prompt', 'rubric')", name="kind"),
        Index("ix_prompts_tags", "tags", postgresql_using="gin"),
        Index(
            "ix_prompts_variables",
            "variables",
            postgresql_using="gin",
            postgresql_ops={"variables": "jsonb_path_ops"},
        ),
        Index("ix_prompts_search", "search", postgresql_using="gin"),
        Index(
            "ix_prompts_includes",
            "includes",
            postgresql_using="gin",
            postgresql_ops={"includes": "jsonb_path_ops"},
            postgresql_where=text("includes <> '[]'::jsonb"),
        ),
        Index(
            "ix_prompts_title_words",
            text("to_tsvector('english', translate(title, '/._', '   '))"),
            postgresql_using="gin",
        ),
        Index(
            "ix_prompts_title_trgm", "title", postgresql_using="gin", postgresql_ops={"title": "gin_trgm_ops"}
        ),
        Index(None, "project_id", "created_at"),
        Index("ix_prompts_created_at", text("created_at DESC")),
    )

    id: Mapped[Pk]
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.projects.id", ondelete="CASCADE"))
    user_id: Mapped[OwnerId]
    root_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.prompts.id", ondelete="CASCADE"))
    parent_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("wb.prompts.id", ondelete="SET NULL"), index=True
    )
    version: Mapped[int] = mapped_column(server_default=text("1"))
    kind: Mapped[str] = mapped_column(server_default=text("'prompt'"))
    title: Mapped[str] = mapped_column(String(255))
    content: Mapped[str]
    system_prompt: Mapped[str | None]
    variables: Mapped[JsonList]
    settings: Mapped[Json]
    content_hash: Mapped[str]
    tags: Mapped[Tags]
    note: Mapped[str] = mapped_column(server_default=text("''"))
    is_template: Mapped[bool] = mapped_column(server_default=text("false"))
    extra: Mapped[dict[str, Any]] = mapped_column("metadata", JSONB, server_default=text("'{}'::jsonb"))
    archived_at: Mapped[dt.datetime | None]
    created_at: Mapped[Now]
    updated_at: Mapped[Now]
    includes: Mapped[JsonList]
    search: Mapped[Any] = mapped_column(TSVECTOR, Computed(_SEARCH, persisted=True), deferred=True)


#: The words of each project's prompts as they are written, for words that are misspelt. Written by a trigger only.
prompt_words = Table(
    "prompt_words",
    Base.metadata,
    Column("project_id", ForeignKey("wb.projects.id", ondelete="CASCADE"), nullable=False),
    Column("word", Text(collation="C"), nullable=False),
    Index(None, "project_id", "word"),
)


class PromptLabel(Base):
    """A movable name (``prod``, ``latest``) for one version of a family."""

    __tablename__ = "prompt_labels"
    __table_args__ = (
        ForeignKeyConstraint(
            ["root_id", "prompt_id"], ["wb.prompts.root_id", "wb.prompts.id"], ondelete="CASCADE"
        ),
        Index(None, "root_id", "prompt_id"),
    )

    root_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    prompt_id: Mapped[uuid.UUID]
    project_id: Mapped[ProjectId]
    user_id: Mapped[OwnerId]
    updated_at: Mapped[Now]


class LibraryPrompt(Base):
    """A template that ships with the workbench, or that a person published."""

    __tablename__ = "prompt_library"
    __table_args__ = (
        UniqueConstraint("created_by", "name"),
        Index("uq_prompt_library_official_name", "name", unique=True, postgresql_where=text("is_official")),
        CheckConstraint("NOT is_official OR (is_public AND created_by IS NULL)", name="official"),
        Index(None, "tags", postgresql_using="gin"),
    )

    id: Mapped[Pk]
    category: Mapped[str] = mapped_column(String(100))
    subcategory: Mapped[str | None] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    content: Mapped[str]
    variables: Mapped[JsonList]
    tags: Mapped[Tags]
    model_recommendations: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    use_cases: Mapped[str | None]
    settings: Mapped[Json]
    answer_schema: Mapped[dict[str, Any] | None]
    is_official: Mapped[bool] = mapped_column(server_default=text("false"))
    is_public: Mapped[bool] = mapped_column(server_default=text("false"))
    created_by: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("wb.users.id", ondelete="SET NULL"), index=True
    )
    created_at: Mapped[Now]
