"""How many cases a question needs, and how small a difference the cases at hand could show.

The difference is always a margin or a stated target, never the one that was observed: power
computed from the observed effect only repeats the p value.
"""

from __future__ import annotations

import math

from workbench.analysis.distributions import check_alpha, normal_quantile, z_two_sided
from workbench.errors import AnalysisInputError

__all__ = ["detectable", "detectable_binary", "required_pairs", "required_pairs_binary"]


def required_pairs(
    omega2: float,
    sigma2_a: float,
    sigma2_b: float,
    delta: float,
    *,
    k_a: int = 1,
    k_b: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
    deff: float = 1,
) -> int:
    """Return how many cases a paired comparison of means needs, rounded up.

    Args:
        omega2: variance over cases of the true difference between the arms.
        sigma2_a: variance of arm A's samples within one case.
        sigma2_b: the same for arm B.
        delta: the difference to detect, in the metric's own unit.
        k_a: samples per case of arm A.
        k_b: samples per case of arm B.
        alpha: two-sided level.
        power: wanted probability to detect ``delta``.
        deff: design effect of clusters, the robust variance over the plain one.

    Raises:
        AnalysisInputError: an argument is out of its range.

    Source: Miller 2024, arXiv 2411.00640, equation 9.

    >>> required_pairs(1 / 9, 0, 0, 0.03)
    969
    """
    _check(delta, alpha, power)
    if min(omega2, sigma2_a, sigma2_b) < 0 or min(k_a, k_b) < 1 or deff <= 0:
        raise AnalysisInputError(
            "a variance is negative, a number of samples is below 1, or the design effect is not positive",
            cure="variances from 0, samples from 1, deff above 0",
        )
    variance = (omega2 + sigma2_a / k_a + sigma2_b / k_b) * deff
    return _round_up((z_two_sided(alpha) + normal_quantile(power)) ** 2 * variance / delta**2)


def required_pairs_binary(discordant: float, delta: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return how many cases a paired comparison of two rates needs, rounded up.

    Args:
        discordant: share of cases whose answer differs between the arms.
        delta: the difference of rates to detect, as a share.
        alpha: two-sided level.
        power: wanted probability to detect ``delta``.

    Raises:
        AnalysisInputError: an argument is out of its range, or ``delta`` exceeds ``discordant``:
            rates cannot differ by more than the share of cases that change.

    Source: Connor 1987, Biometrics 43:207.

    >>> required_pairs_binary(0.1, 0.03)
    870
    """
    _check(delta, alpha, power)
    if not 0 < discordant <= 1:
        raise AnalysisInputError(f"the discordant share is {discordant!r}", cure="use a share in (0, 1]")
    if delta > discordant:
        raise AnalysisInputError(
            f"a difference of {delta:g} cannot occur while only {discordant:.3g} of the cases change",
            cure="ask for a smaller difference, or for cases on which the arms disagree more often",
        )
    root = z_two_sided(alpha) * math.sqrt(discordant)
    root += normal_quantile(power) * math.sqrt(discordant - delta**2)
    return _round_up((root / delta) ** 2)


def detectable(se: float, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest difference of means that data with this standard error would detect.

    >>> round(detectable(0.01), 4)
    0.028
    """
    return (z_two_sided(alpha) + normal_quantile(power)) * se


def detectable_binary(discordant: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Return the smallest difference of paired rates that ``n`` cases would detect, or None.

    The inverse of :func:`required_pairs_binary`, solved by δ = √π·sin θ; None where even a change
    in one direction only would be missed.

    >>> round(detectable_binary(0.1, 870), 4)
    0.03
    """
    z, z_power = z_two_sided(alpha), normal_quantile(power)
    reach = math.sqrt(n + z_power**2)
    if z > reach:
        return None
    angle = math.asin(z / reach) + math.atan2(z_power, math.sqrt(n))
    delta = math.sqrt(discordant) * math.sin(angle)
    return delta if angle < math.pi / 2 and delta <= discordant else None


def _round_up(n: float) -> int:
    return math.ceil(n - 1e-9)


def _check(delta: float, alpha: float, power: float) -> None:
    check_alpha(alpha)
    if not alpha < power < 1:
        raise AnalysisInputError(f"power is {power!r}", cure="use a probability above alpha, such as 0.8")
    if not 0 < delta < math.inf:
        raise AnalysisInputError(
            f"the difference to detect is {delta!r}", cure="use a positive number in the metric's own unit"
        )
