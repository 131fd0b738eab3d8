"""A/B tests, their arms and looks."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from workbench.db.tables import AbArm, AbLook, AbTest, Run

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["add_look", "arms", "find", "insert", "looks", "names", "runs_of", "set_status", "store_verdict"]


def find(session: Session, project_id: uuid.UUID, name: str) -> AbTest | None:
    """Return the test of that name, or None."""
    return session.scalars(
        select(AbTest).where(AbTest.project_id == project_id, AbTest.name == name)
    ).one_or_none()


def names(session: Session, project_id: uuid.UUID) -> list[str]:
    """Return the names of the project's tests, newest first."""
    return list(
        session.scalars(
            select(AbTest.name).where(AbTest.project_id == project_id).order_by(AbTest.created_at.desc())
        )
    )


def insert(session: Session, test: AbTest, found: Sequence[AbArm]) -> AbTest:
    """Store a draft and its arms."""
    session.add(test)
    session.flush()
    for arm in found:
        arm.ab_test_id = test.id
        session.add(arm)
    session.flush()
    return test


def arms(session: Session, test_id: uuid.UUID) -> list[AbArm]:
    """Return the arms, A first."""
    return list(session.scalars(select(AbArm).where(AbArm.ab_test_id == test_id).order_by(AbArm.variant)))


def set_status(session: Session, test_id: uuid.UUID, status: str) -> None:
    """Move a test to ``running``, ``completed`` or ``stopped``."""
    values: dict[str, Any] = {"status": status}
    if status in {"completed", "stopped"}:
        values["completed_at"] = func.clock_timestamp()
    session.execute(update(AbTest).where(AbTest.id == test_id).values(**values))


def store_verdict(session: Session, test_id: uuid.UUID, results: Mapping[str, Any]) -> None:
    """Store the comparison that a person is shown."""
    session.execute(update(AbTest).where(AbTest.id == test_id).values(results=dict(results)))


def add_look(
    session: Session,
    test_id: uuid.UUID,
    user_id: uuid.UUID,
    *,
    n_cases: int,
    verdict: str,
    result: Mapping[str, Any],
) -> int:
    """Record a look at the data; return its number."""
    newest = session.scalars(select(func.max(AbLook.look)).where(AbLook.ab_test_id == test_id)).one()
    look = (newest or 0) + 1
    session.add(
        AbLook(
            ab_test_id=test_id,
            look=look,
            user_id=user_id,
            n_cases=n_cases,
            verdict=verdict,
            result=dict(result),
        )
    )
    session.flush()
    return look


def looks(session: Session, test_id: uuid.UUID) -> int:
    """Return how many looks were taken."""
    return session.scalars(select(func.count()).select_from(AbLook).where(AbLook.ab_test_id == test_id)).one()


def runs_of(session: Session, test_id: uuid.UUID) -> list[Run]:
    """Return the runs of a test, oldest first."""
    return list(session.scalars(select(Run).where(Run.ab_test_id == test_id).order_by(Run.run_at)))
