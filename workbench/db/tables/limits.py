"""What calls may cost, and how fast they may be made."""

from __future__ import annotations

import datetime as dt
import uuid

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Money, Now, OwnerId, Pk

__all__ = ["Budget", "RateLimit"]


class Budget(Base):
    """A limit in US dollars: for one person, or for everybody in a project.

    ``spent`` and ``reserved`` are kept by the ledger's triggers alone; both begin anew with each day or month (UTC).
    """

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint("per IN ('day', 'month', 'total')", name="per"),
        CheckConstraint("amount >= 0", name="amount"),
        Index("uq_budgets_project_id_per", "project_id", "per", unique=True),
        Index(
            "uq_budgets_user_id_per",
            "user_id",
            "per",
            unique=True,
            postgresql_where=text("project_id IS NULL"),
        ),
    )

    id: Mapped[Pk]
    user_id: Mapped[OwnerId]
    project_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("wb.projects.id", ondelete="CASCADE"), index=True
    )
    per: Mapped[str]
    amount: Mapped[Money]
    since: Mapped[dt.date] = mapped_column(server_default=text("'-infinity'"))
    reserved: Mapped[Money] = mapped_column(server_default=text("0"))
    spent: Mapped[Money] = mapped_column(server_default=text("0"))
    created_at: Mapped[Now]
    updated_at: Mapped[Now]


class RateLimit(Base):
    """How fast one person may call a provider, or one model of it (``model`` is empty for all of them).

    Limits are NULL where there is none; the other columns are the state of the token bucket, shared by all processes.
    """

    __tablename__ = "rate_limits"
    __table_args__ = (
        CheckConstraint(
            "concurrency > 0 AND requests_per_minute > 0 AND tokens_per_minute > 0", name="positive"
        ),
        CheckConstraint("pace > 0 AND pace <= 1", name="pace"),
    )

    user_id: Mapped[OwnerId] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True, server_default=text("''"))
    concurrency: Mapped[int | None] = mapped_column(Integer)
    requests_per_minute: Mapped[float | None]
    tokens_per_minute: Mapped[float | None]
    requests_left: Mapped[float] = mapped_column(server_default=text("0"))
    tokens_left: Mapped[float] = mapped_column(server_default=text("0"))
    pace: Mapped[float] = mapped_column(server_default=text("1"))
    blocked_until: Mapped[dt.datetime | None]
    refilled_at: Mapped[Now]
