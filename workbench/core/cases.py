"""Cases: one row of data as a value, under a key that stays the same wherever the row stands.

The key decides what is paired in a comparison and what a resumed run still has to do, so it never
depends on the position of a row.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.core.values import plain, storable
from workbench.errors import DataError, did_you_mean

__all__ = ["Case", "content_key", "make_cases"]

_KEY_DIGITS: Final = 32
_EXACT: Final = 2.0**53
_MAX_SHOWN: Final = 12
_ENCODE: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Case:
    """One row to be answered.

    Attributes:
        key: its identity; unique among the cases of a dataset.
        inputs: every column of the row as JSON values (NaN is None), the special ones too.
        expected: the right answer, or None.
        cluster: cases that are not independent share one; a case of its own has its key.
        split: ``"train"``, ``"test"`` …, or None.

    """

    key: str
    inputs: Mapping[str, Any]
    expected: Any
    cluster: str
    split: str | None


def content_key(inputs: Mapping[str, Any], occurrence: int) -> str:
    """Return the key of a row that has none of its own.

    It is the first 128 bits of the SHA-256 of the row as canonical JSON (sorted names; 1.0 is 1)
    and of how many equal rows stood before it, so it survives sorting, and a column that pandas
    has turned from whole numbers to floats.

    Args:
        inputs: JSON values by column.
        occurrence: 0 for the first of equal rows, 1 for the second …

    Returns:
        32 hexadecimal digits.

    """
    return _digest(_canonical(dict(inputs)), occurrence)


def make_cases(
    records: Sequence[Mapping[str, Any]],
    *,
    key: str | None = None,
    expected: str | None = None,
    cluster: str | None = None,
    split: str | None = None,
) -> list[Case]:
    """Turn rows into cases.

    Without ``key`` a case's key is :func:`content_key` of its columns except ``expected``,
    ``cluster`` and ``split`` (a corrected label leaves the case the same case), and equal rows share
    a cluster. With ``key`` that column is the key.

    Args:
        records: rows, such as ``df.to_dict("records")``.
        key: column of unique keys.
        expected: column of right answers.
        cluster: column that says which cases belong together.
        split: column of split names.

    Raises:
        DataError: no rows; a column that is not there; a key that is missing or repeated; a value
            that JSON or PostgreSQL cannot hold.

    """
    if not records:
        raise DataError("there are no rows", cure="pass at least one row")
    for column in (key, expected, cluster, split):
        _require(column, records)
    _check_names(records)
    rows = [_row(record, position) for position, record in enumerate(records)]
    keys, groups = _given_keys(rows, key) if key else _content_keys(rows, {expected, cluster, split})
    labels = _texts(rows, cluster)
    splits = _texts(rows, split)
    return [
        Case(own, row, row.get(expected) if expected else None, label or group, part)
        for own, row, group, label, part in zip(keys, rows, groups, labels, splits, strict=True)
    ]


def _require(column: str | None, records: Sequence[Mapping[str, Any]]) -> None:
    if column is None or any(column in record for record in records):
        return
    known = [str(name) for name in records[0]]
    more = ", …" if len(known) > _MAX_SHOWN else ""
    raise DataError(
        f"there is no column {column!r}",
        cure=did_you_mean(column, known) or f"the columns are: {', '.join(known[:_MAX_SHOWN])}{more}",
    )


def _check_names(records: Sequence[Mapping[str, Any]]) -> None:
    for name in dict.fromkeys(name for record in records for name in record):
        if not isinstance(name, str):
            raise DataError(f"the column name {name!r} is no text", cure="df.columns = df.columns.map(str)")
        storable(name, what=f"the column name {name!r}")


def _row(record: Mapping[str, Any], position: int) -> dict[str, Any]:
    try:
        return {name: plain(value, what=name) for name, value in record.items()}
    except DataError as error:
        raise DataError(
            f"row {position} (the first is 0), column {error.message}", cure=error.cure
        ) from error


def _given_keys(rows: Sequence[Mapping[str, Any]], column: str) -> tuple[list[str], list[str]]:
    """Return the values of the key column, twice: each case is its own cluster."""
    first: dict[str, int] = {}
    for position, row in enumerate(rows):
        value = row.get(column)
        if value is None or value == "":
            raise DataError(
                f"the key {column!r} is missing in row {position} (the first is 0)",
                cure="fill it, drop the row, or leave key= out: keys are then made from the content",
            )
        own = _text(value)
        if own in first:
            raise DataError(
                f"the key {column!r} has the value {own!r:.100} in rows {first[own]} and {position} (the first is 0)",
                cure="keys must be unique; drop the repeated rows, or leave key= out",
            )
        first[own] = position
    return list(first), list(first)


def _content_keys(rows: Sequence[Mapping[str, Any]], apart: set[str | None]) -> tuple[list[str], list[str]]:
    """Return each row's content key, and the key of the first row that equals it."""
    keys: list[str] = []
    groups: list[str] = []
    seen: dict[str, int] = {}
    for row in rows:
        content = _canonical({name: value for name, value in row.items() if name not in apart})
        group = _digest(content, 0)
        occurrence = seen.get(group, 0)
        seen[group] = occurrence + 1
        keys.append(_digest(content, occurrence) if occurrence else group)
        groups.append(group)
    return keys, groups


def _texts(rows: Sequence[Mapping[str, Any]], column: str | None) -> list[str | None]:
    if column is None:
        return [None] * len(rows)
    return [None if row.get(column) is None else _text(row[column]) for row in rows]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _canonical(value)


def _canonical(value: Any) -> str:
    return _ENCODE(_exact(value))


def _exact(value: Any) -> Any:
    """Write whole floats as integers, as PostgreSQL's jsonb does when it compares numbers."""
    kind = type(value)
    if kind is float:
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if kind is dict:
        return {name: inner if type(inner) is str else _exact(inner) for name, inner in value.items()}
    if kind is list:
        return [_exact(inner) for inner in value]
    return value


def _digest(content: str, occurrence: int) -> str:
    return hashlib.sha256(f"{content}\n{occurrence}".encode()).hexdigest()[:_KEY_DIGITS]
