from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import pytest

Frame = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def frame() -> Frame:
    """Long rows of two arms; the same cases in both, unless ``paired`` is false."""

    def build(a: Sequence[Any], b: Sequence[Any], *, paired: bool = True, **columns: Any) -> pd.DataFrame:
        other = "c" if paired else "z"
        cases = [f"c{i}" for i in range(len(a))] + [f"{other}{i}" for i in range(len(b))]
        variants = ["A"] * len(a) + ["B"] * len(b)
        return pd.DataFrame({"case_id": cases, "variant": variants, "value": [*a, *b], **columns})

    return build


@pytest.fixture(scope="session")
def table() -> Callable[[int, int, int, int], tuple[list[int], list[int]]]:
    """Paired yes/no answers: both pass, only B passes, only A passes, both fail."""

    def build(both: int, b: int, c: int, neither: int) -> tuple[list[int], list[int]]:
        return [1] * both + [0] * b + [1] * c + [0] * neither, [1] * both + [1] * b + [0] * c + [0] * neither

    return build
