"""Reports: one row for each execution of a report notebook."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import CheckConstraint, String, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, Now, OwnerId, Pk, ProjectId

__all__ = ["Report"]


class Report(Base):
    """An executed notebook: its parameters, its files, how it ended."""

    __tablename__ = "reports"
    __table_args__ = (CheckConstraint("status IN ('running', 'complete', 'failed')", name="status"),)

    id: Mapped[Pk]
    project_id: Mapped[ProjectId]
    user_id: Mapped[OwnerId]
    name: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(server_default=text("'running'"))
    parameters: Mapped[Json]
    notebook_path: Mapped[str | None]
    html_path: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[Now]
    finished_at: Mapped[dt.datetime | None]
