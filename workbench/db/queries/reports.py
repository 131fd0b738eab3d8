"""Reports."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from workbench.db.scope import Scope
from workbench.db.tables import AuditLog, Report

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["audit_head", "end", "insert", "newest"]


def audit_head(session: Session) -> tuple[int, str] | None:
    """Return number and hash of the newest entry of the person's own audit chain, or None."""
    row = session.execute(
        select(AuditLog.seq, AuditLog.hash).order_by(AuditLog.seq.desc()).limit(1)
    ).one_or_none()
    return (row[0], row[1].hex()) if row else None


def insert(session: Session, scope: Scope, *, name: str, parameters: dict[str, Any]) -> Report:
    """Store that a report begins."""
    row = Report(project_id=scope.project_id, user_id=scope.user_id, name=name, parameters=parameters)
    session.add(row)
    session.flush()
    return row


def end(
    session: Session,
    report_id: uuid.UUID,
    *,
    status: str,
    notebook_path: str,
    html_path: str | None,
    error: str | None,
) -> None:
    """Store how a report ended."""
    session.execute(
        update(Report)
        .where(Report.id == report_id)
        .values(
            status=status,
            notebook_path=notebook_path,
            html_path=html_path,
            error=error,
            finished_at=func.clock_timestamp(),
        )
    )


def newest(session: Session, project_id: uuid.UUID, *, limit: int = 50) -> list[Report]:
    """Return the project's reports, newest first."""
    return list(
        session.scalars(
            select(Report)
            .where(Report.project_id == project_id)
            .order_by(Report.created_at.desc())
            .limit(limit)
        )
    )
