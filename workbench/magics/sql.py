"""A ``%sql`` that loads jupysql at its first use, connected to the workbench's database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from workbench.magics.session import Session

__all__ = ["ALIAS", "add_lazy_sql", "load_sql", "remove_lazy_sql", "show_as_before", "show_as_text"]

#: The connection's name in jupysql.
ALIAS = "workbench"

_MARK = "_workbench_lazy_sql"
_RESULT = ("sql.run.resultset", "ResultSet")


def add_lazy_sql(shell: InteractiveShell, session: Session) -> None:
    """Register the stub, unless a ``%sql`` is there already."""
    if "sql" in shell.magics_manager.magics["line"]:
        return

    def line_magic(line: str) -> Any:
        """Load jupysql, then run the line as SQL on the workbench's database."""
        load_sql(shell, session)
        return shell.run_line_magic("sql", line)

    def cell_magic(line: str, cell: str) -> Any:
        """Load jupysql, then run the cell as SQL on the workbench's database."""
        load_sql(shell, session)
        return shell.run_cell_magic("sql", line, cell)

    for kind, function in (("line", line_magic), ("cell", cell_magic)):
        setattr(function, _MARK, True)
        shell.register_magic_function(function, magic_kind=kind, magic_name="sql")


def remove_lazy_sql(shell: InteractiveShell) -> None:
    """Take the stub away where jupysql has not replaced it."""
    for kind in ("line", "cell"):
        found = shell.magics_manager.magics[kind].get("sql")
        if getattr(found, _MARK, False):
            del shell.magics_manager.magics[kind]["sql"]


def load_sql(shell: InteractiveShell, session: Session) -> None:
    """Load jupysql and add the connection; options that the person set stay as they are."""
    workbench = session.workbench()
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("sql", None)
    shell.extension_manager.load_extension("sql")
    from sql.connection import ConnectionManager

    config = shell.magics_manager.registry["SqlMagic"]
    if "SqlMagic" not in shell.config:
        # Colons inside JSON and LIKE patterns with % then work as they stand.
        config.named_parameters = "enabled"
        config.displaycon = False
        config.feedback = 0
    ConnectionManager.set(workbench.database.small_engine(), displaycon=False, alias=ALIAS, config=config)


def show_as_text(shell: InteractiveShell) -> None:
    """Show the rows of a query by our own table: in jupysql's the HTML in a cell is part of the page and runs."""

    def rows(result: Any) -> str:
        from workbench.views.rows import rows_html

        result.fetch_for_repr_if_needed()
        limit = shell.magics_manager.registry["SqlMagic"].displaylimit or None
        shown = result[:limit]
        more = f"the first {limit} rows; %config SqlMagic.displaylimit = 0 shows all"
        return rows_html(result.field_names, shown, note=more if len(shown) == limit else "")

    shell.display_formatter.formatters["text/html"].for_type_by_name(*_RESULT, rows)


def show_as_before(shell: InteractiveShell) -> None:
    """Give jupysql its own table back."""
    shell.display_formatter.formatters["text/html"].pop(".".join(_RESULT), None)
