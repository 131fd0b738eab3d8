"""Two yes/no rates from different cases: score tests and intervals for their difference.

Every function returns the first rate minus the second, so B goes first.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from workbench.analysis.distributions import (
    Bounds,
    FloatArray,
    IntArray,
    bisect,
    check_alpha,
    check_count,
    clip_p,
    z_two_sided,
)

__all__ = [
    "fisher_exact",
    "miettinen_nurminen_interval",
    "miettinen_nurminen_p",
    "newcombe_interval",
    "wilson_interval",
]


def wilson_interval(x: int, n: int, alpha: float = 0.05) -> Bounds:
    """Return Wilson's score interval for one rate.

    Args:
        x: successes.
        n: trials.
        alpha: one minus the confidence level.

    Returns:
        (low, high) as shares within [0, 1].

    Raises:
        AnalysisInputError: impossible counts or level.

    Source: Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3.

    >>> low, high = wilson_interval(81, 263)
    >>> round(low, 4), round(high, 4)
    (0.2553, 0.3662)
    """
    _check_arm("x", x, "n", n)
    check_alpha(alpha)
    z2 = z_two_sided(alpha) ** 2
    centre = (x + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (x * (n - x) / n + z2 / 4)) / (n + z2)
    low = 0.0 if x == 0 else max(0.0, centre - half)
    high = 1.0 if x == n else min(1.0, centre + half)
    return low, high


def newcombe_interval(x1: int, n1: int, x2: int, n2: int, alpha: float = 0.05) -> Bounds:
    """Return Newcombe's hybrid score interval for the difference of two independent rates.

    Args:
        x1: successes of the first arm (B).
        n1: cases of the first arm.
        x2: successes of the second arm (A).
        n2: cases of the second arm.
        alpha: one minus the confidence level.

    Returns:
        (low, high) of the first rate minus the second, within [-1, 1].

    Raises:
        AnalysisInputError: impossible counts or level.

    Source: Newcombe 1998, Statistics in Medicine 17:873, method 10.

    >>> low, high = newcombe_interval(56, 70, 48, 80)
    >>> round(low, 4), round(high, 4)
    (0.0524, 0.3339)
    """
    _check_arms(x1, n1, x2, n2, alpha)
    low1, high1 = wilson_interval(x1, n1, alpha)
    low2, high2 = wilson_interval(x2, n2, alpha)
    p1, p2 = x1 / n1, x2 / n2
    return p1 - p2 - math.hypot(p1 - low1, high2 - p2), p1 - p2 + math.hypot(high1 - p1, p2 - low2)


def miettinen_nurminen_interval(x1: int, n1: int, x2: int, n2: int, alpha: float = 0.05) -> Bounds:
    """Return Miettinen and Nurminen's score interval for the difference of two independent rates.

    Arguments, result and errors are those of :func:`newcombe_interval`. The variance carries
    their factor N/(N - 1).

    Source: Miettinen and Nurminen 1985, Statistics in Medicine 4:213.

    >>> low, high = miettinen_nurminen_interval(56, 70, 48, 80)
    >>> round(low, 4), round(high, 4)
    (0.0528, 0.3382)
    """
    _check_arms(x1, n1, x2, n2, alpha)
    z, estimate = z_two_sided(alpha), x1 / n1 - x2 / n2

    def reach(difference: float) -> float:
        return z * _constrained_se(difference, x1, n1, x2, n2)

    low = bisect(lambda d: estimate - d > reach(d), -1.0, estimate)
    high = bisect(lambda d: d - estimate < reach(d), estimate, 1.0)
    return max(-1.0, low), min(1.0, high)


def miettinen_nurminen_p(x1: int, n1: int, x2: int, n2: int) -> float:
    """Return the two-sided p value of the score test that belongs to the interval.

    It is below alpha exactly where the interval of that level excludes 0; 1 where every case of
    both arms has the same answer.

    Raises:
        AnalysisInputError: impossible counts.

    >>> round(miettinen_nurminen_p(56, 70, 48, 80), 4)
    0.0083
    """
    _check_arms(x1, n1, x2, n2, 0.5)
    total = n1 + n2
    pooled = (x1 + x2) / total
    se = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2) * total / (total - 1))
    if se == 0:
        return 1.0
    return clip_p(2 * float(special.ndtr(-abs(x1 / n1 - x2 / n2) / se)))


def fisher_exact(x1: int, n1: int, x2: int, n2: int) -> float:
    """Return Fisher's exact two-sided p value for two independent rates.

    Two-sided in the usual sense: the probability of all tables no likelier than this one.

    Raises:
        AnalysisInputError: impossible counts.

    >>> round(fisher_exact(3, 4, 1, 4), 4)
    0.4857
    """
    _check_arms(x1, n1, x2, n2, 0.5)
    successes = x1 + x2
    first = np.arange(max(0, successes - n2), min(successes, n1) + 1)
    log_mass = _log_choose(n1, first) + _log_choose(n2, successes - first)
    log_mass -= special.logsumexp(log_mass)
    as_rare = log_mass <= log_mass[x1 - first[0]] + 1e-7
    return clip_p(float(np.exp(log_mass[as_rare]).sum()))


def _log_choose(n: int, k: IntArray) -> FloatArray:
    return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)


def _constrained_se(difference: float, x1: int, n1: int, x2: int, n2: int) -> float:
    """Return the standard error under the likeliest rates that differ by ``difference``.

    The second rate solves a cubic; its one root inside the range has a trigonometric form
    (Miettinen and Nurminen 1985, appendix).
    """
    total, successes = n1 + n2, x1 + x2
    l2 = (n1 + 2 * n2) * difference - total - successes
    l1 = (n2 * difference - total - 2 * x2) * difference + successes
    l0 = x2 * difference * (1 - difference)
    shift = l2 / (3 * total)
    q = shift**3 - l1 * l2 / (6 * total**2) + l0 / (2 * total)
    s = math.copysign(math.sqrt(max(0.0, shift**2 - l1 / (3 * total))), q)
    angle = (math.pi + math.acos(min(1.0, max(-1.0, q / s**3)))) / 3 if s else math.pi / 2
    p2 = min(1.0, max(0.0, 2 * s * math.cos(angle) - shift))
    p1 = min(1.0, max(0.0, p2 + difference))
    variance = p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2
    return math.sqrt(variance * total / (total - 1))


def _check_arm(x_name: str, x: int, n_name: str, n: int) -> None:
    check_count(n_name, n, at_least=1)
    check_count(x_name, x, at_most=n)


def _check_arms(x1: int, n1: int, x2: int, n2: int, alpha: float) -> None:
    _check_arm("x1", x1, "n1", n1)
    _check_arm("x2", x2, "n2", n2)
    check_alpha(alpha)
