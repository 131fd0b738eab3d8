"""Datasets and their cases, each case under a stable content key."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, JsonList, Now, OwnerId, Pk, ProjectId

__all__ = ["Case", "Dataset"]


class Dataset(Base):
    """A named, versioned list of cases; one without a name holds the rows of a DataFrame that was run."""

    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("project_id", "name", "version"),
        UniqueConstraint("project_id", "name", "content_hash"),
    )

    id: Mapped[Pk]
    project_id: Mapped[ProjectId]
    user_id: Mapped[OwnerId]
    name: Mapped[str] = mapped_column(String(255))
    version: Mapped[int] = mapped_column(Integer)
    columns: Mapped[JsonList]
    n_cases: Mapped[int] = mapped_column(Integer)
    content_hash: Mapped[str]
    settings: Mapped[Json]
    created_at: Mapped[Now]


class Case(Base):
    """One row of inputs, with the expected answer where there is one."""

    __tablename__ = "cases"
    __table_args__ = (UniqueConstraint("dataset_id", "case_key"), UniqueConstraint("dataset_id", "position"))

    id: Mapped[Pk]
    dataset_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("wb.datasets.id", ondelete="CASCADE"))
    project_id: Mapped[ProjectId]
    position: Mapped[int] = mapped_column(Integer)
    case_key: Mapped[str]
    inputs: Mapped[dict[str, Any]]
    expected: Mapped[Any | None] = mapped_column(JSONB)
    cluster_id: Mapped[str | None]
    split: Mapped[str | None]
