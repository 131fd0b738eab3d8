"""``-d NAME``: a DataFrame of the notebook, a snippet of ``%%sql --save``, or a dataset; never two of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.getipython import get_ipython

from workbench.errors import DataError, OptionError, UnknownReferenceError, did_you_mean
from workbench.services.datasets import is_sql

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = ["find_data"]


def find_data(workbench: Workbench, name: str, scope: Mapping[str, Any]) -> Any:
    """Return what ``-d NAME`` means.

    Args:
        workbench: for its datasets.
        name: a variable, a snippet or a dataset; ``@NAME`` a dataset only.
        scope: the notebook's variables.

    Raises:
        OptionError: it is SQL, or several things have that name.
        UnknownReferenceError: nothing has that name.
        DataError: the snippet's query fails.

    """
    if is_sql(name):
        raise OptionError(
            f"-d takes a name, not SQL: {name:.60}",
            cure="name its result, %%sql rows << SELECT …, then -d rows; or save it, %%sql --save rows, then -d rows",
        )
    if name.startswith("@"):
        return workbench.datasets.get(name[1:])
    variable = scope.get(name)
    found: dict[str, Any] = {}
    if _holds_rows(variable):
        found["a variable"] = variable
    if name in _snippets():
        found["a saved query"] = None
    if name.partition("@")[0] in (datasets := workbench.datasets.list()):
        found["a dataset"] = name
    if len(found) > 1:
        cure = f"write -d @{name} for the dataset" if "a dataset" in found else "rename one of them"
        raise OptionError(f"-d {name}: {' and '.join(found)} have that name", cure=cure)
    if not found:
        raise _nothing(workbench, name, scope, datasets)
    (kind,) = found
    return _rows_of_snippet(name) if kind == "a saved query" else found[kind]


def _holds_rows(value: Any) -> bool:
    return (
        hasattr(value, "columns")  # a DataFrame; a saved dataset, too
        or hasattr(value, "DataFrame")  # the rows of a %%sql cell
        or (
            isinstance(value, list | tuple) and bool(value) and all(isinstance(row, Mapping) for row in value)
        )
    )


def _snippets() -> set[str]:
    """The names of the queries that ``%%sql --save`` keeps; jupysql is not loaded for them."""
    module = sys.modules.get("sql.store")
    return set(getattr(module, "store", ()))


def _rows_of_snippet(name: str) -> Any:
    """Read a saved query by the person's own connection, as a cell of theirs would."""
    try:
        rows = get_ipython().run_line_magic("sql", f"--with {name} SELECT * FROM {name}")  # noqa: S608 - a name of the person's own, run as they
    except UsageError as error:
        said = str(error.__context__ or error).strip().splitlines()[0]
        raise DataError(
            f"-d {name}: the saved query fails: {said}",
            cure=f"try it: %sqlcmd snippets {name}",
        ) from error
    if rows is None:
        raise DataError(f"-d {name}: the saved query gives no rows", cure=f"try it: %sqlcmd snippets {name}")
    return rows


def _nothing(
    workbench: Workbench, name: str, scope: Mapping[str, Any], datasets: list[str]
) -> UnknownReferenceError:
    if name in scope:
        return UnknownReferenceError(
            f"-d {name}: the variable {name!r} is a {type(scope[name]).__name__}, not a DataFrame",
            cure="give a DataFrame, a list of dicts, the rows of a %%sql cell, or a dataset",
        )
    frames = [key for key, value in scope.items() if not key.startswith("_") and _holds_rows(value)]
    hint = did_you_mean(name, [*frames, *_snippets(), *datasets])
    return UnknownReferenceError(
        f"there is no DataFrame, saved query or dataset {name!r} in project {workbench.project!r}",
        cure=hint or "wb.datasets.list() lists the datasets",
    )
