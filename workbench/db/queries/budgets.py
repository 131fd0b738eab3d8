"""Budgets: set, list, remove. What they hold is counted by the ledger's triggers alone."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert

from workbench.db.tables import Budget

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["budgets", "remove_budget", "set_budget"]

_BUDGETS = text("""
SELECT coalesce(project, 'you'), per, amount, spent, reserved, available,
       CASE WHEN amount > 0 THEN (spent + reserved) / amount ELSE 1 END, project_id
FROM wb.v_budgets
ORDER BY project_id IS NOT NULL, project, project_id, array_position('{day,month,total}', per)
""")


def set_budget(
    session: Session, user_id: uuid.UUID, project_id: uuid.UUID | None, per: str, amount: Decimal
) -> None:
    """Set a project's budget, or without one the person's own; a new one counts what was spent already."""
    new = insert(Budget).values(user_id=user_id, project_id=project_id, per=per, amount=amount)
    change = {"amount": new.excluded.amount}
    session.execute(
        new.on_conflict_do_update(index_elements=["project_id", "per"], set_=change)
        if project_id is not None
        else new.on_conflict_do_update(
            index_elements=["user_id", "per"], index_where=Budget.project_id.is_(None), set_=change
        )
    )


def budgets(session: Session) -> list[tuple[Any, ...]]:
    """Return the budgets that bind this person, and those of projects that they can read.

    Whose, per, amount, spent, reserved, available (USD), the part that is used, the project's id; own ones first.
    """
    return [tuple(row) for row in session.execute(_BUDGETS)]


def remove_budget(session: Session, user_id: uuid.UUID, project_id: uuid.UUID | None, per: str) -> bool:
    """Remove a budget; return whether there was one."""
    whose = (
        Budget.project_id == project_id
        if project_id is not None
        else Budget.project_id.is_(None) & (Budget.user_id == user_id)
    )
    found = session.execute(delete(Budget).where(whose, Budget.per == per).returning(Budget.id))
    return found.first() is not None
