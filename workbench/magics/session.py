"""The kernel's connection: opened at the first use, or the one that the person opened."""

from __future__ import annotations

import atexit
import sys
from typing import TYPE_CHECKING

from workbench.magics.display import CellReporter, Notice, attended, make_room

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from workbench.magics.config import Workbench as Config
    from workbench.services.workbench import Workbench

__all__ = ["Session"]

#: The variable that holds the workbench, unless the person uses that name.
VARIABLE = "wb"


class Session:
    """Gives the magics their workbench, with the kernel's settings applied."""

    def __init__(self, shell: InteractiveShell, config: Config) -> None:
        self._shell = shell
        self._config = config
        self._own: Workbench | None = None
        self._chose_model = False

    def workbench(self) -> Workbench:
        """Return the person's ``wb`` if there is one, else connect; the first connection becomes ``wb``."""
        from workbench.services.workbench import Workbench, connect

        found = self._shell.user_ns.get(VARIABLE)
        if not isinstance(found, Workbench):
            if self._own is None:
                self._own = connect(progress=Notice())
                make_room()
                atexit.register(self.close)
            found = self._own
            self._shell.user_ns.setdefault(VARIABLE, found)
        self._apply(found)
        return found

    def adopt(self, _info: object = None) -> None:
        """Let the person's own ``wb`` show its progress in the cell; called before each cell, opens nothing."""
        loaded = sys.modules.get("workbench.services.workbench")
        found = self._shell.user_ns.get(VARIABLE)
        if loaded is not None and isinstance(found, loaded.Workbench):
            self._show_in_cells(found)

    def close(self) -> None:
        """Close the connection that was opened here."""
        if self._own is not None:
            self._own.close()
            self._own = None
        atexit.unregister(self.close)

    def _apply(self, workbench: Workbench) -> None:
        config = self._config
        if config.model or self._chose_model:  # emptied again: what the environment says
            workbench.default_model = config.model or workbench.config.model
            self._chose_model = bool(config.model)
        if "confirm_over" in config._trait_values:  # noqa: SLF001 - traitlets' record of what was set or asked for
            workbench.confirm_over = config.confirm_over
        if config.project and config.project != workbench.project:
            workbench.use(config.project)
        self._show_in_cells(workbench)

    @staticmethod
    def _show_in_cells(workbench: Workbench) -> None:
        workbench.reporter = CellReporter
        workbench.attended = attended()
