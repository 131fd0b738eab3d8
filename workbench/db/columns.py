"""Rows as DataFrames whose columns are declared: the same names and types, also when there are no rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TIME", "Columns", "frame_of"]

#: Name → type, in order.
Columns = Mapping[str, str]

#: The type of a moment.
TIME = "datetime64[us, UTC]"


def frame_of(rows: Sequence[Sequence[Any]], columns: Columns) -> pd.DataFrame:
    """Return rows as a DataFrame with declared columns: name → type."""
    import pandas as pd

    data = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    # As arrays that nobody else holds: pandas would align the index of each Series with every other, and copy them.
    arrays = {name: _array(values, kind) for (name, kind), values in zip(columns.items(), data, strict=True)}
    return pd.DataFrame(arrays, copy=False)


def _array(values: Sequence[Any], kind: Any) -> Any:
    """Return a column; a Series takes twice as long to be made, which is seen in small frames."""
    import numpy as np
    import pandas as pd

    if kind == "str":
        return pd.array([None if value is None else str(value) for value in values], dtype=_type_of(kind))
    if kind == TIME:
        naive = [None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None) for value in values]
        return pd.DatetimeIndex(np.array(naive, dtype="datetime64[us]")).tz_localize("UTC").array
    if kind == "object":  # pandas must not guess what is in it
        return pd.Series(list(values), dtype=kind).array
    return pd.array(list(values), dtype=_type_of(kind))


@cache
def _type_of(kind: Any) -> Any:
    """To find a type by its name takes pandas longer than to make a small column."""
    import pandas as pd

    return pd.api.types.pandas_dtype(kind)
