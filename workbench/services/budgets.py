"""``wb.budgets``: what calls may cost, for one person or for everybody in a project."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from workbench.core.pricing import PERIODS
from workbench.db.queries import accounts, budgets
from workbench.errors import AccessDeniedError, InputError, UnknownReferenceError, did_you_mean

if TYPE_CHECKING:
    import uuid

    from workbench.db.engine import Session
    from workbench.services.budget_table import BudgetTable
    from workbench.services.workbench import Workbench

__all__ = ["Budgets"]

_MOST = Decimal(99_999_999)


class Budgets:
    """Budgets in US dollars that every claim of a call reserves from, in whichever process it is made.

    A call is refused before it is sent where a budget cannot pay for the most that it may cost.

    Example:
        >>> wb.budgets.set(5, per="day")  # doctest: +SKIP
        >>> wb.budgets.set(100, project="support-bot", per="month")  # doctest: +SKIP
        >>> wb.budgets.list()  # doctest: +SKIP

    """

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def set(self, amount: float | Decimal, *, per: str = "total", project: str | None = None) -> BudgetTable:
        """Set a budget, or change its amount; a new one counts what was spent in its period already.

        Args:
            amount: US dollars; 0 lets only calls through that cost nothing.
            per: ``day``, ``month`` or ``total``; a person and a project may have one of each.
            project: binds everybody in that project, which must be your own; None binds you, in every project.

        Returns:
            The budget as it is now.

        Raises:
            InputError: no such amount or period.
            UnknownReferenceError: there is no such project.
            AccessDeniedError: the project is somebody else's.

        """
        dollars = _amount(amount)
        _check_period(per)
        with self._wb.database.session() as session:
            project_id = self._project(session, project)
            budgets.set_budget(session, self._wb.database.user_id, project_id, per, dollars)
            rows = [row for row in budgets.budgets(session) if (row[-1], row[1]) == (project_id, per)]
        return self._table(rows)

    def list(self) -> BudgetTable:
        """Return the budgets that bind you, and those of every project that you can read.

        Returns:
            Columns ``who per amount spent reserved available used``: US dollars, and the part of the amount that is
            spent or reserved for calls in flight. ``who`` is ``you`` or a project.

        """
        with self._wb.database.session() as session:
            rows = budgets.budgets(session)
        return self._table(rows)

    def remove(self, *, per: str = "total", project: str | None = None) -> None:
        """Remove a budget.

        Raises:
            UnknownReferenceError: there is no such project, or no such budget.
            AccessDeniedError: the project is somebody else's.

        """
        _check_period(per)
        with self._wb.database.session() as session:
            project_id = self._project(session, project)
            if not budgets.remove_budget(session, self._wb.database.user_id, project_id, per):
                known = [f"{row[0]} {PERIODS[row[1]]}" for row in budgets.budgets(session)]
                whose = f"project {project!r} has" if project else "you have"
                raise UnknownReferenceError(
                    f"{whose} no budget {PERIODS[per]}",
                    cure=f"there are: {', '.join(known)}" if known else "no budget is set",
                )

    def _project(self, session: Session, name: str | None) -> uuid.UUID | None:
        """Return the id of the person's own project of that name; None for no name."""
        if name is None:
            return None
        known = accounts.projects(session)
        named = [project for project in known if project.name == name]
        own = next((each.id for each in named if each.user_id == self._wb.database.user_id), None)
        if own is not None:
            return own
        if named:
            owner = accounts.username(session, named[0].user_id)
            raise AccessDeniedError(
                f"the budget of project {name!r} is for its owner to set", cure=f"ask {owner or 'its owner'}"
            )
        names = sorted({project.name for project in known})
        cure = did_you_mean(name, names) or f"there are {', '.join(names)}"
        raise UnknownReferenceError(f"there is no project {name!r}", cure=cure)

    def _table(self, rows: Sequence[tuple[object, ...]]) -> BudgetTable:
        from workbench.services.budget_table import BudgetTable

        found = BudgetTable.of([row[:-1] for row in rows])
        self._wb.last = found
        return found


def _amount(value: object) -> Decimal:
    try:
        amount = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not 0 <= amount <= _MOST:
        raise InputError(
            f"a budget cannot be {value!r}",
            cure=f"give US dollars, from 0 to {_MOST:,}; remove() ends a budget",
        )
    return amount


def _check_period(per: str) -> None:
    if per not in PERIODS:
        near = did_you_mean(str(per), PERIODS)
        raise InputError(
            f"a budget cannot be per {per!r}{f'; {near}' if near else ''}",
            cure=f"use one of {', '.join(PERIODS)}",
        )
