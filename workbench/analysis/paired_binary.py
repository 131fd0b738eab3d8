"""Two yes/no answers to the same cases: McNemar's test and intervals for the difference of two rates.

Orientation everywhere: ``b`` counts the cases where A fails and B passes, ``c`` those where A
passes and B fails, so the difference B - A is ``(b - c) / n``.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

from scipy import special

from workbench.analysis.distributions import Bounds, bisect, check_alpha, check_count, clip_p, z_two_sided
from workbench.errors import AnalysisInputError, did_you_mean

__all__ = ["McNemarMethod", "agresti_min_interval", "mcnemar", "tango_interval"]

McNemarMethod = Literal["midp", "exact", "asymptotic", "corrected"]


def mcnemar(b: int, c: int, *, method: McNemarMethod = "midp") -> float:
    """Return the two-sided p value for equal rates in paired yes/no data.

    Args:
        b: cases that only B passes.
        c: cases that only A passes.
        method: ``midp`` (default: holds its level and keeps its power), ``exact`` (conditional
            binomial, conservative), ``asymptotic`` (chi-squared), ``corrected`` (with continuity
            correction).

    Returns:
        The p value; 1 where no case is discordant.

    Raises:
        AnalysisInputError: a count is negative or not whole, or the method is unknown.

    Source: Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91.

    >>> round(mcnemar(1, 7), 3)
    0.039
    """
    check_count("b", b)
    check_count("c", c)
    if method not in get_args(McNemarMethod):
        known = get_args(McNemarMethod)
        cure = did_you_mean(str(method), known) or f"use one of {', '.join(known)}"
        raise AnalysisInputError(f"there is no McNemar method {method!r}", cure=cure)
    m, k = b + c, min(b, c)
    if m == 0:
        return 1.0
    if method == "midp":
        # 2·F(k) - f(k), written as F(k) + F(k-1) so that nothing cancels
        return clip_p(_half_binomial_cdf(k, m) + _half_binomial_cdf(k - 1, m))
    if method == "exact":
        return clip_p(2 * _half_binomial_cdf(k, m))
    distance = abs(b - c) if method == "asymptotic" else max(0, abs(b - c) - 1)
    return clip_p(float(special.chdtrc(1, distance**2 / m)))


def _half_binomial_cdf(k: int, m: int) -> float:
    return float(special.bdtr(k, m, 0.5)) if k >= 0 else 0.0


def tango_interval(b: int, c: int, n: int, alpha: float = 0.05) -> Bounds:
    """Return Tango's score interval for the difference of two paired rates.

    Args:
        b: cases that only B passes.
        c: cases that only A passes.
        n: all cases, concordant ones included.
        alpha: one minus the confidence level.

    Returns:
        (low, high) of the rate of B minus the rate of A, as shares within [-1, 1].

    Raises:
        AnalysisInputError: impossible counts or level.

    Source: Tango 1998, Statistics in Medicine 17:891.

    >>> low, high = tango_interval(1, 7, 21)
    >>> round(low, 3), round(high, 3)
    (-0.517, -0.026)
    """
    _check_table(b, c, n, alpha)
    z, estimate = z_two_sided(alpha), (b - c) / n

    def reach(difference: float) -> float:
        return z * _tango_sd(difference, b, c, n)

    low = bisect(lambda d: b - c - n * d > reach(d), -1.0, estimate)
    high = bisect(lambda d: n * d - (b - c) < reach(d), estimate, 1.0)
    return max(-1.0, low), min(1.0, high)


def _tango_sd(difference: float, b: int, c: int, n: int) -> float:
    """Return the standard deviation of b - c under the constrained maximum-likelihood rates."""
    linear = -b - c + (2 * n - b + c) * difference
    constant = -c * difference * (1 - difference)
    root = math.sqrt(max(0.0, linear**2 - 8 * n * constant))
    q = (root - linear) / (4 * n)
    return math.sqrt(max(0.0, n * (2 * q + difference * (1 - difference))))


def agresti_min_interval(b: int, c: int, n: int, alpha: float = 0.05) -> Bounds:
    """Return the adjusted Wald interval for the difference of two paired rates.

    Half a case is added to each of the four cells. Arguments, result and errors are those of
    :func:`tango_interval`.

    Source: Agresti and Min 2005, Statistics in Medicine 24:729.

    >>> low, high = agresti_min_interval(1, 7, 21)
    >>> round(low, 3), round(high, 3)
    (-0.493, -0.029)
    """
    _check_table(b, c, n, alpha)
    total, sum_, difference = n + 2, b + c + 1, b - c
    estimate = difference / total
    half = z_two_sided(alpha) * math.sqrt(sum_ - difference**2 / total) / total
    return max(-1.0, estimate - half), min(1.0, estimate + half)


def _check_table(b: int, c: int, n: int, alpha: float) -> None:
    check_count("b", b)
    check_count("c", c)
    check_count("n", n, at_least=1)
    check_alpha(alpha)
    if b + c > n:
        cure = "n counts every case, the concordant ones included"
        raise AnalysisInputError(f"b + c is {b + c}, more than n = {n}", cure=cure)
