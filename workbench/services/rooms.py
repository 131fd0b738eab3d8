"""The rooms of the workbench that are opened at their first use: each loads its module then, and is kept."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from workbench.services.budgets import Budgets
    from workbench.services.exchange import Exchange
    from workbench.services.experiments import Experiments
    from workbench.services.framing import Frames
    from workbench.services.library import Library
    from workbench.services.limiting import Limiter
    from workbench.services.own_settings import OwnSettings
    from workbench.services.reports import Reports
    from workbench.services.search import Search
    from workbench.services.workbench import Workbench

__all__ = ["Rooms"]


class Rooms:
    """What ``wb.<room>`` is, besides what every session needs at once."""

    @property
    def _whole(self) -> Workbench:
        return cast("Workbench", self)

    @cached_property
    def ab(self) -> Experiments:
        """A/B tests."""
        from workbench.services.experiments import Experiments

        return Experiments(self._whole)

    @cached_property
    def budgets(self) -> Budgets:
        """What calls may cost."""
        from workbench.services.budgets import Budgets

        return Budgets(self._whole)

    @cached_property
    def exchange(self) -> Exchange:
        """Import and export of prompts."""
        from workbench.services.exchange import Exchange

        return Exchange(self._whole)

    @cached_property
    def frames(self) -> Frames:
        """Rows as DataFrames."""
        from workbench.services.framing import Frames

        return Frames(self._whole)

    @cached_property
    def library(self) -> Library:
        """The prompt library: templates to begin from."""
        from workbench.services.library import Library

        return Library(self._whole)

    @cached_property
    def limiter(self) -> Limiter:
        """Who may call now; used on the bridge's loop."""
        from workbench.services.limiting import Limiter

        return Limiter(self._whole.database)

    @cached_property
    def reports(self) -> Reports:
        """Reports: executed notebooks."""
        from workbench.services.reports import Reports

        return Reports(self._whole)

    @cached_property
    def settings(self) -> OwnSettings:
        """What this person has chosen for themselves."""
        from workbench.services.own_settings import OwnSettings

        return OwnSettings(self._whole)

    @cached_property
    def searching(self) -> Search:
        """Search; its verbs are ``wb.prompts.search`` and ``wb.search_outputs``."""
        from workbench.services.search import Search

        return Search(self._whole)
