"""The few distribution functions that every test here needs, on ``scipy.special`` alone.

``scipy.stats`` would do the same after loading for almost a second.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from workbench.errors import AnalysisInputError

__all__ = [
    "Bounds",
    "FloatArray",
    "IntArray",
    "bisect",
    "check_alpha",
    "check_count",
    "clip_p",
    "distinct",
    "normal_quantile",
    "t_p_value",
    "t_quantile",
    "z_two_sided",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Bounds = tuple[float, float]


def clip_p(p: float) -> float:
    """Keep a p value inside (0, 1]: what underflows is tiny, not impossible."""
    return min(1.0, max(sys.float_info.min, float(p)))


def normal_quantile(probability: float) -> float:
    """Return the standard normal quantile."""
    return float(special.ndtri(probability))


def z_two_sided(alpha: float) -> float:
    """Return z such that a standard normal lies outside ±z with probability ``alpha``."""
    return normal_quantile(1 - alpha / 2)


def t_quantile(probability: float, df: float) -> float:
    """Return the quantile of Student's t with ``df`` degrees of freedom (need not be whole)."""
    return float(special.stdtrit(df, probability))


def t_p_value(t: float, df: float) -> float:
    """Return the two-sided p value of Student's t."""
    return clip_p(2 * float(special.stdtr(df, -abs(t))))


def bisect(above: Callable[[float], bool], low: float, high: float) -> float:
    """Return where ``above`` turns from true (at ``low``) to false (at ``high``), to full precision.

    The ends themselves are never asked: score statistics are 0/0 there.
    """
    for _ in range(200):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if above(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def distinct(codes: IntArray) -> int:
    """Return how many different whole numbers from 0 there are; several times faster than a sort."""
    return int(np.count_nonzero(np.bincount(codes)))


def check_alpha(alpha: float) -> None:
    """Refuse a level outside (0, 1).

    Raises:
        AnalysisInputError: the level is not a probability strictly between 0 and 1.

    """
    if not 0 < alpha < 1:
        raise AnalysisInputError(f"alpha is {alpha!r}", cure="use a level between 0 and 1, such as 0.05")


def check_count(name: str, value: float, *, at_least: int = 0, at_most: float = math.inf) -> None:
    """Refuse a count that is not a whole number within its range.

    Raises:
        AnalysisInputError: names the count and its range.

    """
    if not (at_least <= value <= at_most and float(value).is_integer()):
        limit = f"between {at_least} and {at_most:g}" if math.isfinite(at_most) else f"of at least {at_least}"
        raise AnalysisInputError(f"{name} is {value!r}", cure=f"use a whole number {limit}")
