"""People, their projects, and who shares what."""

from __future__ import annotations

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, Now, OwnerId, Pk

__all__ = ["Project", "ProjectMember", "User"]


class User(Base):
    """A person. PostgreSQL authenticates; the login's name stands in ``wb_priv.logins``."""

    __tablename__ = "users"
    __table_args__ = (
        Index(
            "ix_users_settings",
            "settings",
            postgresql_using="gin",
            postgresql_ops={"settings": "jsonb_path_ops"},
        ),
    )

    id: Mapped[Pk]
    email: Mapped[str] = mapped_column(String(255), unique=True)
    username: Mapped[str] = mapped_column(String(100), unique=True)
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
    is_superuser: Mapped[bool] = mapped_column(server_default=text("false"))
    settings: Mapped[Json]
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class Project(Base):
    """A piece of work: everything else belongs to one."""

    __tablename__ = "projects"
    __table_args__ = (
        UniqueConstraint("user_id", "name"),
        Index("ix_projects_created_at", text("created_at DESC")),
    )

    id: Mapped[Pk]
    user_id: Mapped[OwnerId]
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    settings: Mapped[Json]
    is_public: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class ProjectMember(Base):
    """A person who may read or edit somebody else's project."""

    __tablename__ = "project_members"
    __table_args__ = (CheckConstraint("role IN ('reader', 'editor')", name="role"),)

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("wb.projects.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("wb.users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    role: Mapped[str]
    created_at: Mapped[Now]
