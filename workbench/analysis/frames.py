"""The border of the floor: a DataFrame comes in, checked arrays with one entry per case go on.

Values read from JSONB arrive as bool, Decimal or text; failed calls arrive as rows too. What can
be used is converted, what cannot is named, and nothing is dropped without being counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from workbench.analysis.distributions import FloatArray, IntArray
from workbench.errors import AnalysisInputError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["AnalysisTypeError", "BoolArray", "Cases", "Kind", "Rows", "infer_kind", "per_case", "read_rows"]

Kind = Literal["binary", "ordinal", "score", "cost", "latency", "tokens", "preference"]
BoolArray = npt.NDArray[np.bool_]

#: Metric names that people type → the columns that hold them in the workbench's own frames.
_COLUMNS = {
    "pass": ("pass", "passed"),
    "passed": ("passed", "pass"),
    "latency": ("latency", "latency_ms"),
    "score": ("score",),
    "cost": ("cost",),
    "tokens": ("tokens", "tokens_completion"),
}
_KINDS_BY_NAME: dict[str, Kind] = {
    "pass": "binary",
    "passed": "binary",
    "cost": "cost",
    "latency": "latency",
    "latency_ms": "latency",
    "ttft_ms": "latency",
    "tokens": "tokens",
    "tokens_prompt": "tokens",
    "tokens_completion": "tokens",
}
_KEYS = frozenset({"case_id", "cluster_id", "variant", "sample", "status", "unparsed"})
#: Squares, cubes and products of variances stay finite below it, and above 0 from its inverse.
_LARGEST = 1e60
_DONE = frozenset({"ok", "done"})
_PENDING = frozenset({"planned", "sent"})
_PREFERENCES = frozenset({"A", "B", "tie"})


class AnalysisTypeError(AnalysisInputError, TypeError):
    """A value that should be a number is none; the message names the column and a row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Checked rows, one entry per execution.

    Attributes:
        case: number of the row's case, an index into ``case_ids``.
        is_b: whether the row belongs to arm B.
        value: the metric; NaN where the row failed, is pending, or holds no finite number.
        failed: whether the execution failed.
        pending: whether it has not been answered yet.
        unparsed: whether its answer arrived but could not be read.
        case_ids: the cases, in order of appearance.
        cluster: number of each case's cluster.

    """

    case: IntArray
    is_b: BoolArray
    value: FloatArray
    failed: BoolArray
    pending: BoolArray
    unparsed: BoolArray
    case_ids: pd.Index[Any]
    cluster: IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """One entry per case, samples averaged; NaN where an arm has no usable value.

    Attributes:
        case_ids: the cases.
        cluster: number of each case's cluster.
        a: mean of arm A's samples.
        b: mean of arm B's samples.
        k_a: samples of arm A that were used.
        k_b: samples of arm B that were used.

    """

    case_ids: pd.Index[Any]
    cluster: IntArray
    a: FloatArray
    b: FloatArray
    k_a: IntArray
    k_b: IntArray

    @property
    def has_a(self) -> BoolArray:
        """Which cases have a usable value of arm A."""
        return self.k_a > 0

    @property
    def has_b(self) -> BoolArray:
        """Which cases have a usable value of arm B."""
        return self.k_b > 0

    @property
    def has_both(self) -> BoolArray:
        """Which cases are pairs."""
        return self.has_a & self.has_b

    def where(self, keep: BoolArray) -> Cases:
        """Return the chosen cases only."""
        return Cases(
            case_ids=self.case_ids[keep],
            cluster=self.cluster[keep],
            a=self.a[keep],
            b=self.b[keep],
            k_a=self.k_a[keep],
            k_b=self.k_b[keep],
        )


def read_rows(df: pd.DataFrame, metric: str) -> Rows:
    """Check a long frame and turn it into arrays.

    Args:
        df: columns ``case_id``, ``variant`` ('A' or 'B') and the metric; optionally ``cluster_id``,
            ``sample``, ``status``, ``unparsed`` (whether a scorer could not read the answer).
        metric: the metric's name: its column; or what the column ``value`` holds, where the frame has no
            other column than the keys, or the name is one of the workbench's own.

    Raises:
        AnalysisInputError: a column is missing, a key is empty, a variant is unknown, a case has
            two clusters, or a (case, variant, sample) stands there twice.
        AnalysisTypeError: a value is not a number.

    """
    if not isinstance(df, pd.DataFrame):
        raise AnalysisTypeError(
            f"the rows are a {type(df).__name__}", cure="give a pandas DataFrame with one row per answer"
        )
    column = _value_column(df, metric)
    for name in ("case_id", "variant"):
        if name not in df.columns:
            raise _missing_column(df, name)
    pending, failed = _states(df)
    case, case_ids = _factorize(df["case_id"], "case_id")
    is_b = _variants(df["variant"])
    _refuse_duplicates(df, case, is_b)
    unusable = pending | failed
    value = np.full(len(df), np.nan)
    value[~unusable] = _numbers(df[~unusable] if unusable.any() else df, column)
    value[~np.isfinite(value)] = np.nan
    value[np.abs(value) < 1 / _LARGEST] = 0.0
    if (np.abs(value) > _LARGEST).any():
        odd = _label(df[column], np.abs(value) > _LARGEST)
        raise AnalysisInputError(
            f"column {column!r} holds a number beyond ±{_LARGEST:g} in row {odd!r}",
            cure="no variance can be computed from it: use a larger unit",
        )
    return Rows(
        case=case,
        is_b=is_b,
        value=value,
        failed=failed,
        pending=pending,
        unparsed=_flags(df, "unparsed") & ~unusable,
        case_ids=case_ids,
        cluster=_clusters(df, case, len(case_ids)),
    )


def _flags(df: pd.DataFrame, column: str) -> BoolArray:
    """Return an optional column of yes and no; missing is no."""
    if column not in df.columns:
        return np.zeros(len(df), dtype=np.bool_)
    return df[column].astype("boolean").fillna(value=False).to_numpy(dtype=np.bool_)


def per_case(rows: Rows, *, failed_as: float | None = None) -> Cases:
    """Average the samples within each (case, variant).

    Args:
        rows: checked rows.
        failed_as: the value that a failed execution counts as; None drops it.

    """
    value = rows.value
    if failed_as is not None:
        value = np.where(rows.failed, failed_as, value)
    usable = ~np.isnan(value)
    n = len(rows.case_ids)
    cell = rows.case[usable] + n * rows.is_b[usable]
    count = np.bincount(cell, minlength=2 * n)
    total = np.bincount(cell, weights=value[usable], minlength=2 * n)
    mean = np.full(2 * n, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return Cases(
        case_ids=rows.case_ids, cluster=rows.cluster, a=mean[:n], b=mean[n:], k_a=count[:n], k_b=count[n:]
    )


def infer_kind(rows: Rows, metric: str, kind: str) -> Kind:
    """Return the kind of a metric, from its name, then from its values.

    Raises:
        AnalysisInputError: the kind is unknown, or a yes/no metric holds other numbers.

    """
    known = ("auto", "binary", "ordinal", "score", "cost", "latency", "tokens", "preference")
    if kind not in known:
        cure = did_you_mean(kind, known) or f"use one of {', '.join(known)}"
        raise AnalysisInputError(f"there is no kind {kind!r}", cure=cure)
    if kind == "preference":
        raise _preference_refused(metric)
    values = rows.value[~np.isnan(rows.value)]
    zero_one = bool(((values == 0) | (values == 1)).all())
    resolved = cast("Kind", kind) if kind != "auto" else _KINDS_BY_NAME.get(metric)
    if resolved == "binary" and not zero_one:
        odd = float(values[(values != 0) & (values != 1)][0])
        case = rows.case_ids[rows.case[rows.value == odd][0]]
        raise AnalysisInputError(
            f"{metric!r} is a yes/no metric but holds {odd:g} (case {case!r})",
            cure="give 0 or 1, or choose kind='score'",
        )
    if resolved is not None:
        return resolved
    if values.size and zero_one:
        return "binary"
    whole = bool((values == np.round(values)).all())
    return "ordinal" if values.size and whole and np.unique(values).size <= 10 else "score"


def _value_column(df: pd.DataFrame, metric: str) -> str:
    # a misspelt name must not fall through to 'value', except where it can only be a label: it is one of
    # the workbench's own names, or the frame holds nothing but keys and 'value'
    label = metric in _COLUMNS or set(df.columns) <= _KEYS | {"value"}
    for name in (*_COLUMNS.get(metric, (metric,)), *(("value",) if label else ())):
        if name in df.columns:
            return str(name)
    raise _missing_column(df, metric)


def _missing_column(df: pd.DataFrame, name: str) -> AnalysisInputError:
    columns = [str(column) for column in df.columns]
    cure = did_you_mean(name, columns) or f"the columns are {', '.join(columns) or 'none'}"
    return AnalysisInputError(f"the rows have no column {name!r}", cure=cure)


def _states(df: pd.DataFrame) -> tuple[BoolArray, BoolArray]:
    """Return which rows are pending and which failed; a missing status is a good answer."""
    if "status" not in df.columns:
        return np.zeros(len(df), dtype=np.bool_), np.zeros(len(df), dtype=np.bool_)
    codes, names = pd.factorize(df["status"])
    # code -1 stands for a missing status and picks the last entry
    pending = np.array([*(name in _PENDING for name in names), False])
    failed = np.array([*(name not in _DONE | _PENDING for name in names), False])
    return pending[codes], failed[codes]


def _factorize(keys: pd.Series[Any], name: str) -> tuple[IntArray, pd.Index[Any]]:
    try:
        codes, uniques = pd.factorize(keys)
    except TypeError as error:
        raise AnalysisInputError(
            f"column {name!r} holds a value that cannot be a key", cure="use text or numbers"
        ) from error
    if (codes < 0).any():
        raise AnalysisInputError(
            f"column {name!r} is empty in row {_label(keys, codes < 0)}", cure="give every row its key"
        )
    return codes.astype(np.int64), pd.Index(uniques)


def _variants(variant: pd.Series[Any]) -> BoolArray:
    codes, names = _factorize(variant, "variant")
    for name in names:
        if name not in {"A", "B"}:
            raise AnalysisInputError(
                f"column 'variant' holds {name!r}",
                cure="name the arms 'A' and 'B'; compare more than two arms pair by pair",
            )
    return np.array([*(name == "B" for name in names), False])[codes]


def _refuse_duplicates(df: pd.DataFrame, case: IntArray, is_b: BoolArray) -> None:
    sample = np.zeros(len(df), dtype=np.int64)
    if "sample" in df.columns:
        codes, names = pd.factorize(df["sample"])
        # a missing sample number (code -1) is sample 0, also beside rows that say 0
        zero = next((i for i, name in enumerate(names) if name == 0), len(names))
        sample = np.where(codes < 0, zero, codes)
    key = (case * 2 + is_b) * (int(sample.max(initial=0)) + 1) + sample
    order = np.argsort(key, kind="stable")
    again = np.flatnonzero(np.diff(key[order]) == 0)
    if again.size:
        row = df.iloc[int(order[again[0] + 1])]
        which = f", sample {row['sample']}" if "sample" in df.columns else ""
        raise AnalysisInputError(
            f"case {row['case_id']!r}, variant {row['variant']!r}{which} stands there more than once",
            cure="number repeated answers in a column 'sample', or drop the copies",
        )


def _clusters(df: pd.DataFrame, case: IntArray, n_cases: int) -> IntArray:
    if "cluster_id" not in df.columns:
        return np.arange(n_cases, dtype=np.int64)
    named = df["cluster_id"]
    if named.isna().any():
        named = named.astype(object).where(named.notna(), df["case_id"])
    codes, names = _factorize(named, "cluster_id")
    cluster = np.zeros(n_cases, dtype=np.int64)
    cluster[case] = codes
    unlike = np.flatnonzero(cluster[case] != codes)
    if unlike.size:
        row = int(unlike[0])
        both = f"{names[codes[row]]!r} and {names[cluster[case[row]]]!r}"
        raise AnalysisInputError(
            f"case {df['case_id'].iloc[row]!r} stands in two clusters, {both}", cure="give it one"
        )
    return cluster


def _numbers(df: pd.DataFrame, name: str) -> FloatArray:
    """Return a column as floats, NaN where it is null."""
    column = df[name]
    if pd.api.types.is_bool_dtype(column) or (
        pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)
    ):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    values = column.astype(object).to_numpy()
    present = np.asarray(column.notna(), dtype=np.bool_)
    result = np.full(len(column), np.nan)
    found = values[present]
    words = set(found) if all(isinstance(value, str) for value in found) else set()
    if words and words <= {"true", "false"}:
        result[present] = found == "true"
        return result
    if words and words <= _PREFERENCES:
        raise _preference_refused(name)
    try:
        result[present] = found.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise _not_a_number(df, name, present) from error
    return result


def _not_a_number(df: pd.DataFrame, name: str, present: BoolArray) -> AnalysisTypeError:
    row = next(int(i) for i in np.flatnonzero(present) if not _is_number(df[name].iloc[i]))
    shown = repr(df[name].iloc[row])
    shown = shown if len(shown) <= 40 else f"{shown[:39]}…"
    return AnalysisTypeError(
        f"column {name!r} holds {shown} in row {df.index[row]!r} (case {df['case_id'].iloc[row]!r}),"
        " which is not a number",
        cure="convert the column, or choose a metric that is a number in every row",
    )


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]  # that it may not be one is the question
    except (TypeError, ValueError):
        return False
    return True


def _preference_refused(name: str) -> AnalysisInputError:
    return AnalysisInputError(
        f"{name!r} holds preferences (A, B, tie), for which no test is computed here yet",
        cure="compare the arms on a pass, score, cost or latency metric",
    )


def _label(keys: pd.Series[Any], mask: npt.NDArray[np.bool_]) -> Hashable:
    return cast("Hashable", keys.index[int(np.flatnonzero(mask)[0])])
