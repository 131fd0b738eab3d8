"""Differences of means: paired and Welch's t, and the sign-flip permutation test."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from workbench.analysis.distributions import (
    FloatArray,
    check_alpha,
    check_count,
    clip_p,
    t_p_value,
    t_quantile,
)
from workbench.errors import AnalysisInputError

__all__ = ["Alternative", "TResult", "is_constant", "paired_t", "sign_flip_test", "skewness", "welch_t"]

Alternative = Literal["two-sided", "greater", "less"]

_EXACT_UP_TO = 20  # 2**20 sums take 8 MB
_CHUNK_CELLS = 1_000_000  # two arrays of 8 MB at a time


class TResult(NamedTuple):
    """What a t test says.

    Attributes:
        effect: the difference of means, B - A, in the metric's own unit.
        se: its standard error.
        df: degrees of freedom; Welch's need not be whole.
        p: two-sided p value.
        low: lower end of the confidence interval.
        high: upper end.

    """

    effect: float
    se: float
    df: float
    p: float
    low: float
    high: float


def paired_t(d: npt.ArrayLike, alpha: float = 0.05) -> TResult:
    """Return the paired t test of a mean difference of 0.

    Args:
        d: one difference B - A per case.
        alpha: one minus the confidence level of the interval.

    Raises:
        AnalysisInputError: fewer than two differences, one that is not finite, or all the same
            (they have no standard error; use :func:`sign_flip_test`).

    >>> result = paired_t([1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4])
    >>> round(result.effect, 2), round(result.p, 4)
    (1.58, 0.0028)
    """
    values = _finite("d", d, at_least=2)
    if is_constant(values):
        raise AnalysisInputError(
            f"all {values.size} differences are {values[0]:g}: they have no standard error",
            cure="use sign_flip_test, which needs none",
        )
    se = float(values.std(ddof=1)) / math.sqrt(values.size)
    return _t_result(float(values.mean()), se, values.size - 1, alpha)


def welch_t(a: npt.ArrayLike, b: npt.ArrayLike, alpha: float = 0.05) -> TResult:
    """Return Welch's t test for two independent arms, mean of B minus mean of A.

    Args:
        a: one value per case of arm A.
        b: one value per case of arm B.
        alpha: one minus the confidence level of the interval.

    Raises:
        AnalysisInputError: fewer than two values in an arm, one that is not finite, or both arms
            constant.

    Source: Welch 1947, Biometrika 34:28; degrees of freedom by Satterthwaite.

    >>> round(welch_t([1, 2, 3, 4], [2, 4, 6, 8]).effect, 2)
    2.5
    """
    first, second = _finite("a", a, at_least=2), _finite("b", b, at_least=2)
    if is_constant(first) and is_constant(second):
        raise AnalysisInputError("both arms are constant: their difference has no standard error")
    var_a = float(first.var(ddof=1)) / first.size
    var_b = float(second.var(ddof=1)) / second.size
    df = (var_a + var_b) ** 2 / (var_a**2 / (first.size - 1) + var_b**2 / (second.size - 1))
    return _t_result(float(second.mean() - first.mean()), math.sqrt(var_a + var_b), df, alpha)


def _t_result(effect: float, se: float, df: float, alpha: float) -> TResult:
    check_alpha(alpha)
    half = t_quantile(1 - alpha / 2, df) * se
    return TResult(effect, se, df, t_p_value(effect / se, df), effect - half, effect + half)


def sign_flip_test(
    d: npt.ArrayLike, alternative: Alternative = "two-sided", n_resamples: int = 10_000, seed: int = 0
) -> float:
    """Return the p value of the paired sign-flip permutation test of the mean.

    Up to 20 differences other than 0 every assignment of signs is counted; beyond that
    ``n_resamples`` random ones are drawn from a generator of its own, and the observed one counts
    as one of them, so that p is never 0.

    Args:
        d: one difference B - A per case.
        alternative: ``two-sided``, ``greater`` (B above A) or ``less``.
        n_resamples: random assignments where there are too many to count.
        seed: seed of the generator.

    Raises:
        AnalysisInputError: no differences, one that is not finite, or an unknown alternative.

    Source: Fisher 1935, The Design of Experiments, section 21.

    >>> darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    >>> sign_flip_test(darwin) == 1726 / 2**15
    True
    """
    values = _finite("d", d, at_least=1)
    check_count("n_resamples", n_resamples, at_least=1)
    if alternative not in {"two-sided", "greater", "less"}:
        cure = "use 'two-sided', 'greater' or 'less'"
        raise AnalysisInputError(f"there is no alternative {alternative!r}", cure=cure)
    sizes = np.abs(values[values != 0])
    observed = float(values.sum())
    slack = 1e-12 * float(sizes.sum())
    if sizes.size <= _EXACT_UP_TO:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return clip_p(_as_extreme(sums, observed, slack, alternative) / sums.size)
    if np.ptp(sizes) <= slack and abs(observed) >= sizes.sum() - slack:
        return _all_one_way(observed, sizes.size, alternative)
    count = sum(
        _as_extreme(sums, observed, slack, alternative) for sums in _random_sums(sizes, n_resamples, seed)
    )
    return clip_p((count + 1) / (n_resamples + 1))


def _random_sums(sizes: FloatArray, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Yield sums under random signs: one random byte looks up the sum of eight signed values."""
    signs = 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) - 1
    groups = -(-sizes.size // 8)
    table = np.pad(sizes, (0, 8 * groups - sizes.size)).reshape(groups, 8) @ signs.T
    start_of_group = 256 * np.arange(groups)
    generator = np.random.default_rng(seed)
    step = max(1, _CHUNK_CELLS // groups)
    for start in range(0, n_resamples, step):
        shape = (min(step, n_resamples - start), groups)
        yield table.ravel()[generator.integers(0, 256, shape, dtype=np.uint8) + start_of_group].sum(axis=1)


def _all_one_way(observed: float, n: int, alternative: Alternative) -> float:
    """Return the exact p value where every case moved by the same amount in the same direction."""
    if alternative == "two-sided":
        return clip_p(2.0 ** (1 - n))
    return clip_p(2.0**-n) if (observed > 0) == (alternative == "greater") else 1.0


def _as_extreme(sums: FloatArray, observed: float, slack: float, alternative: Alternative) -> int:
    if alternative == "greater":
        return int(np.count_nonzero(sums >= observed - slack))
    if alternative == "less":
        return int(np.count_nonzero(sums <= observed + slack))
    return int(np.count_nonzero(np.abs(sums) >= abs(observed) - slack))


def is_constant(values: FloatArray, scale: float = 0.0) -> bool:
    """Whether values differ by no more than rounding.

    Args:
        values: at least one finite value.
        scale: the size of the numbers that the values were computed from, where it is larger than
            the values themselves: 0.3 - 0.1 and 0.2 are the same difference.

    """
    size = max(scale, float(np.abs(values).max()))
    return float(np.ptp(values)) <= 1e-12 * size


def skewness(values: FloatArray) -> float:
    """Return the biased sample skewness g1; 0 where the values are constant."""
    if is_constant(values):
        return 0.0
    scaled = (values - values.mean()) / values.std()
    return float(np.mean(scaled * scaled * scaled))  # ``** 3`` is twenty times slower


def _finite(name: str, values: npt.ArrayLike, *, at_least: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size < at_least:
        raise AnalysisInputError(f"{name} has {array.size} values", cure=f"give at least {at_least}")
    if not np.isfinite(array).all():
        raise AnalysisInputError(f"{name} holds a value that is not finite", cure="drop it, and count it")
    return array
