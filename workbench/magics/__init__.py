"""The IPython face: each magic parses its line, calls one verb, and hands the result to a view."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["register", "unregister"]

_NAMES = ("prompt", "promptcmd", "ab", "wb")
_RUN = ("workbench.services.run", "Run")


def register(shell: InteractiveShell) -> None:
    """Add the magics, ``%config Workbench`` and, unless there is one, a ``%sql`` that loads itself."""
    from workbench.magics.config import Workbench
    from workbench.magics.display import show_run
    from workbench.magics.magics import WorkbenchMagics
    from workbench.magics.sql import add_lazy_sql, show_as_text
    from workbench.services.accessor import watch_pandas

    config = Workbench(parent=shell)
    shell.configurables.append(config)
    magics = WorkbenchMagics(shell, config)
    shell.register_magics(magics)
    shell.events.register("pre_run_cell", magics.session.adopt)
    add_lazy_sql(shell, magics.session)
    show_as_text(shell)
    shell.display_formatter.ipython_display_formatter.for_type_by_name(*_RUN, show_run)
    watch_pandas()


def unregister(shell: InteractiveShell) -> None:
    """Take the magics away, close the connection that they opened."""
    from workbench.magics.config import Workbench
    from workbench.magics.magics import WorkbenchMagics
    from workbench.magics.sql import remove_lazy_sql, show_as_before

    remove_lazy_sql(shell)
    show_as_before(shell)
    shell.display_formatter.ipython_display_formatter.pop(".".join(_RUN), None)
    magics = shell.magics_manager.registry.pop(WorkbenchMagics.__name__, None)
    if isinstance(magics, WorkbenchMagics):
        shell.events.unregister("pre_run_cell", magics.session.adopt)
        magics.session.close()
    for kind in ("line", "cell"):
        for name in _NAMES:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.configurables[:] = [found for found in shell.configurables if not isinstance(found, Workbench)]
