"""Plain values: what a template may print and what a case may hold is JSON, nothing else.

Rows come from DataFrames, SQL and notebooks, so scalars of numpy and pandas arrive here. They are
known by what they offer (``dtype``, ``isoformat``, ``iloc``), so that neither library is imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from workbench.errors import DataError

__all__ = ["MAX_ROWS", "check_text", "plain", "storable"]

#: Rows of a DataFrame, or values of a Series, that one value may have: examples for a prompt, not a data set.
MAX_ROWS = 1_000

_MAX_DEPTH = 32
_MAX_BITS = 1_000
_MISSING = frozenset({"NAType", "NaTType"})


def plain(value: Any, *, what: str, depth: int = 0) -> Any:
    """Return a value as JSON holds it: dict, list, str, int, float, bool or None.

    NaN, NaT and ``pandas.NA`` become None; dates become ISO 8601 text; a ``Decimal`` becomes a
    number; arrays and Series become lists; the rows of a DataFrame become dicts.

    Args:
        value: anything.
        what: what the value is, for the message: ``"the variable 'doc'"``.
        depth: how deep the value lies inside another.

    Raises:
        DataError: the value, or something inside it, has no JSON form.

    >>> plain({"when": date(2024, 1, 2), "score": float("nan")}, what="the row")
    {'when': '2024-01-02', 'score': None}
    """
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return storable(str.__str__(value), what=what)
    if isinstance(value, (int, float)):
        return _number(value, what)
    if depth > _MAX_DEPTH:
        raise DataError(
            f"{what} is nested deeper than {_MAX_DEPTH} levels, or contains itself",
            cure="flatten it first",
        )
    if isinstance(value, Mapping):
        return {_key(name, what): plain(inner, what=what, depth=depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, what=what, depth=depth + 1) for inner in value]
    return _foreign(value, what, depth)


def check_text(value: Any, *, what: str) -> str:
    """Return a value that must be text.

    Args:
        value: anything.
        what: what it is, with its article: ``"a note"``.

    Raises:
        DataError: it is none.

    """
    if not isinstance(value, str):
        raise DataError(f"{what} is text, not {value!r:.80}", cure="give it as a string")
    return value


def storable(text: str, *, what: str) -> str:
    """Return a text that PostgreSQL can store and JSON over HTTP can carry.

    Raises:
        DataError: it holds a NUL character, or half a surrogate pair.

    """
    if "\x00" in text:
        raise DataError(f"{what} holds a NUL character", cure="remove it: text.replace('\\x00', '')")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{what} holds half a surrogate pair, which is no character",
                cure="read the data with its right encoding, or text.encode('utf-8', 'replace').decode()",
            ) from error
    return text


def _number(value: float, what: str) -> int | float | None:
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise DataError(f"{what} holds a whole number of more than {_MAX_BITS} bits", cure="make it text")
        return int(value)
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise DataError(
            f"{what} holds an infinite number, which JSON cannot",
            cure="replace it, for instance by df.replace([np.inf, -np.inf], np.nan)",
        )
    return float(value)


def _key(name: Any, what: str) -> str:
    if isinstance(name, str):
        return storable(str.__str__(name), what=what)
    if isinstance(name, int) and not isinstance(name, bool):
        return str(int(name))
    raise DataError(
        f"{what} holds a dict whose key {name!r} is a {type(name).__name__}",
        cure="use text as keys",
    )


def _foreign(value: Any, what: str, depth: int) -> Any:
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, Decimal):
        return _decimal(value, what)
    if isinstance(value, UUID):
        return str(value)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    to_frame = getattr(value, "DataFrame", None)  # the rows of a query, as jupysql gives them
    if callable(to_frame) or hasattr(value, "iloc"):
        return _rows(to_frame() if callable(to_frame) else value, what, depth)
    if hasattr(value, "dtype") and hasattr(value, "ndim"):
        return _array(value, what, depth)
    raise DataError(
        f"{what} holds a {type(value).__name__}; only text, numbers, True/False, None, lists and dicts can be used",
        cure=_cure(value),
    )


def _decimal(value: Decimal, what: str) -> int | float | None:
    if value.is_nan():
        return None
    if value.as_tuple().exponent == 0:
        return _number(int(value), what)
    return _number(float(value), what)


def _rows(value: Any, what: str, depth: int) -> list[Any]:
    """Return the values of a pandas Series, or the rows of a DataFrame as dicts; the index is left out."""
    if len(value) > MAX_ROWS:
        raise DataError(
            f"{what} holds {len(value):,} rows; as one value at most {MAX_ROWS:,} can be used",
            cure="pass fewer, such as df.head(20); to answer every row, give them as data: data=df, or -d df",
        )
    if not hasattr(value, "columns"):
        return [plain(inner, what=what, depth=depth + 1) for inner in value]
    names = [str(name) if isinstance(name, int) else name for name in value.columns]
    if len({*names}) < len(names) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{what} holds a DataFrame whose column names are not texts, each there once",
            cure="rename them: df.columns = ['text', 'label']",
        )
    columns = [list(value.iloc[:, place]) for place in range(len(names))]
    return [
        {name: plain(inner, what=what, depth=depth + 2) for name, inner in zip(names, row, strict=True)}
        for row in zip(*columns, strict=True)
    ]


def _array(value: Any, what: str, depth: int) -> Any:
    if value.ndim:
        return [plain(inner, what=what, depth=depth + 1) for inner in value]
    # A datetime64 of nanoseconds gives a bare integer as its item; only its text keeps the meaning.
    if getattr(value.dtype, "kind", "") in "mM":
        text = str(value)
        return None if text == "NaT" else text
    item = value.item()
    if type(item) is type(value):  # a long double has no Python counterpart and returns itself
        item = float(item)
    return plain(item, what=what, depth=depth + 1)


def _cure(value: Any) -> str:
    if hasattr(value, "to_dicts") and hasattr(value, "columns"):
        return "pass df.to_dicts(), or one column as a list"
    if isinstance(value, bytes | bytearray):
        return "decode it first: value.decode()"
    if hasattr(value, "__dataclass_fields__"):
        return "pass dataclasses.asdict(value)"
    if isinstance(value, set | frozenset | range) or hasattr(value, "__next__"):
        return "pass list(value)"
    return "pass str(value), or the parts that the prompt needs"
