"""``%%prompt``, ``%prompt``, ``%promptcmd``, ``%ab`` and ``%wb``."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from workbench.core.keys import find_key
from workbench.core.versions import PromptResult
from workbench.errors import InputError
from workbench.magics.display import Stream, make_room, owns_cell, show_started, show_status
from workbench.magics.grammar import PromptLine, format_help, parse_ab, parse_command, parse_line
from workbench.magics.session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from workbench.magics.config import Workbench

__all__ = ["WorkbenchMagics"]


@magics_class
class WorkbenchMagics(Magics):
    """The magics; what they know of the kernel is the shell and one session."""

    def __init__(self, shell: InteractiveShell, config: Workbench) -> None:
        super().__init__(shell)
        self.session = Session(shell, config)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    def prompt(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """Write, call and keep prompts: ``%%prompt TITLE`` over a text, ``%prompt TITLE`` for a saved one."""
        from workbench.magics.requests import cell_of
        from workbench.services.cells import perform

        _refuse_key(line)
        parsed = parse_line(line, magic="%prompt" if cell is None else "%%prompt")
        if parsed.help:
            print(format_help("prompt"))  # noqa: T201 - a magic's help is its output
            return None
        scope = {**self.shell.user_ns, **(local_ns or {})}
        stream = None if parsed.quiet or parsed.data or not owns_cell() else Stream()
        with stream or nullcontext():
            workbench = self.session.workbench()
            result = perform(workbench, cell_of(workbench, parsed, cell, scope, stream))
        return self._give(parsed, result)

    @no_var_expand
    @needs_local_scope
    @line_magic
    def ab(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Plan, run and show A/B tests: ``%ab run tone@1 tone@2 -d reviews -c equals:@label``."""
        from workbench.magics.requests import test_of

        parsed = parse_ab(line)
        if parsed.help:
            print(format_help("ab"))  # noqa: T201 - a magic's help is its output
            return None
        scope = {**self.shell.user_ns, **(local_ns or {})}
        return self._give(parsed, test_of(self.session.workbench(), parsed, scope))

    @no_var_expand
    @line_magic
    def promptcmd(self, line: str) -> Any:
        """Look after prompts: ``%promptcmd list``, ``diff tone@1 tone@2``, ``label tone@3 prod``, ``rollback tone 2``."""
        from workbench.magics.commands import command_of

        parsed = parse_command(line)
        if parsed.help:
            print(format_help("promptcmd"))  # noqa: T201 - a magic's help is its output
            return None
        return self._give(parsed, command_of(self.session.workbench(), parsed))

    @line_magic
    def wb(self, line: str) -> Any:
        """Show the connection; ``%wb use PROJECT`` changes the project."""
        from workbench.magics.requests import wb_of

        return wb_of(self.session.workbench(), line)

    def _give(self, parsed: Any, result: Any) -> Any:
        """Store and show as the line asks: ``NAME <<`` drops the final display, ``NAME =<<`` keeps it."""
        if parsed.store is not None:
            self.shell.user_ns[parsed.store] = result
        if parsed.store is None or parsed.show:
            make_room()
            return result
        if isinstance(parsed, PromptLine) and not parsed.quiet:
            if isinstance(result, PromptResult):
                make_room()
                show_status(result)
            elif parsed.background:
                make_room()
                show_started(result, parsed.store)
        return None


def _refuse_key(line: str) -> None:
    kind = find_key(line)
    if kind:
        raise InputError(
            f"the line holds what looks like a provider's key ({kind}); nothing was sent",
            cure="remove it and revoke it: it now stands in this notebook and in IPython's history",
        )
