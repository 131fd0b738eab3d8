"""Conversations: calls that follow each other; their messages stand in the executions."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, Now, OwnerId, Pk, ProjectId

__all__ = ["Conversation"]


class Conversation(Base):
    """A chat that begins with one version of a prompt; each turn is an execution with its number in ``turn``."""

    __tablename__ = "conversations"

    id: Mapped[Pk]
    project_id: Mapped[ProjectId]
    user_id: Mapped[OwnerId]
    prompt_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.prompts.id", ondelete="CASCADE"), index=True)
    title: Mapped[str]
    options: Mapped[Json]
    created_at: Mapped[Now]
