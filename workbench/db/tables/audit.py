"""The audit log: one SHA-256 chain per person, written by triggers only."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column

from workbench.db.base import Base, Json, Now, Pk

__all__ = ["AuditLog"]


class AuditLog(Base):
    """Who did what to which thing. No foreign key: history outlives what it tells of."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        UniqueConstraint("user_id", "seq"),
        Index("ix_audit_logs_created_at", text("created_at DESC")),
        Index(None, "resource_type", "resource_id"),
    )

    id: Mapped[Pk]
    user_id: Mapped[uuid.UUID]
    seq: Mapped[int]
    action: Mapped[str] = mapped_column(String(100))
    resource_type: Mapped[str | None] = mapped_column(String(50))
    resource_id: Mapped[uuid.UUID | None]
    details: Mapped[Json]
    ip_address: Mapped[Any | None] = mapped_column(INET)
    user_agent: Mapped[str | None]
    created_at: Mapped[Now]
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
