"""Several p values at once, and whether the cases were split as planned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from workbench.analysis.distributions import FloatArray, check_count, clip_p
from workbench.errors import AnalysisInputError

__all__ = ["benjamini_hochberg", "holm", "sample_ratio_mismatch"]


def holm(p: npt.ArrayLike) -> FloatArray:
    """Return p values adjusted by Holm: any of them below alpha keeps the family's error at alpha.

    Args:
        p: p values, any order.

    Returns:
        Adjusted values in the same order, within [0, 1].

    Raises:
        AnalysisInputError: a value is not a probability.

    Source: Holm 1979, Scandinavian Journal of Statistics 6:65.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values, order = _ordered(p)
    factors = np.arange(values.size, 0, -1)
    return _in_order(np.maximum.accumulate(values[order] * factors), order)


def benjamini_hochberg(p: npt.ArrayLike) -> FloatArray:
    """Return p values adjusted by Benjamini and Hochberg: those below q hold the false discovery rate at q.

    Arguments, result and errors are those of :func:`holm`.

    Source: Benjamini and Hochberg 1995, JRSS B 57:289.

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.04, 0.04]
    """
    values, order = _ordered(p)
    scaled = values[order] * values.size / np.arange(1, values.size + 1)
    return _in_order(np.minimum.accumulate(scaled[::-1])[::-1], order)


def sample_ratio_mismatch(counts: Sequence[int], ratio: Sequence[float] | None = None) -> float:
    """Return the p value that cases were assigned in the planned ratio; below 0.001 is an alarm.

    Args:
        counts: cases assigned to each arm.
        ratio: planned shares, in any scale; equal by default.

    Raises:
        AnalysisInputError: fewer than two arms, counts that are not whole, or a bad ratio.

    Source: Pearson's chi-squared; Kohavi, Tang and Xu 2020, chapter 21.

    >>> f"{sample_ratio_mismatch([821_588, 815_482]):.1e}"
    '1.8e-06'
    """
    shares = np.ones(len(counts)) if ratio is None else np.asarray(ratio, dtype=np.float64)
    if len(counts) < 2 or shares.shape != (len(counts),) or not (shares > 0).all():
        raise AnalysisInputError(
            f"counts {list(counts)} do not fit ratio {shares.tolist()}",
            cure="give at least two counts and one positive share for each",
        )
    for count in counts:
        check_count("a count", count)
    observed = np.asarray(counts, dtype=np.float64)
    if observed.sum() == 0:
        return 1.0
    expected = observed.sum() * shares / shares.sum()
    return clip_p(float(special.chdtrc(len(counts) - 1, ((observed - expected) ** 2 / expected).sum())))


def _ordered(p: npt.ArrayLike) -> tuple[FloatArray, npt.NDArray[np.intp]]:
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise AnalysisInputError("these are not p values", cure="give one list of numbers within [0, 1]")
    return values, np.argsort(values, kind="stable")


def _in_order(adjusted: FloatArray, order: npt.NDArray[np.intp]) -> FloatArray:
    result = np.empty_like(adjusted)
    result[order] = np.minimum(1.0, adjusted)
    return result
