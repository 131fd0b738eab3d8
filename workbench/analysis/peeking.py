"""Evidence that may be looked at at any time: a confidence sequence and an e-value.

A fixed-size test that is looked at twenty times raises a false alarm 23 % of the time. What stands
here keeps its promise over all looks together, at the price of width.
"""

from __future__ import annotations

import math

from scipy import special

from workbench.analysis.distributions import Bounds, check_alpha, check_count
from workbench.errors import AnalysisInputError

__all__ = ["asymptotic_confidence_sequence", "e_value_paired_binary"]


def asymptotic_confidence_sequence(
    mean: float, sd: float, n: int, *, alpha: float = 0.05, n_plan: int = 500
) -> Bounds:
    """Return an interval for a mean that holds at every look at once (asymptotically).

    Args:
        mean: the mean so far.
        sd: the standard deviation behind it: standard error times √n.
        n: cases so far.
        alpha: one minus the confidence level over all looks together.
        n_plan: the size at which the sequence is tightest.

    Returns:
        (low, high) in the unit of ``mean``.

    Raises:
        AnalysisInputError: an argument is out of its range.

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, Annals of Statistics 52:2613.

    >>> low, high = asymptotic_confidence_sequence(0.0, 1.0, 500)
    >>> round(high, 3)
    0.136
    """
    check_alpha(alpha)
    check_count("n", n, at_least=1)
    check_count("n_plan", n_plan, at_least=1)
    if not 0 <= sd < math.inf:
        raise AnalysisInputError(f"sd is {sd!r}", cure="use a finite number from 0")
    tuning = 2 * math.log(1 / alpha)
    rho = n_plan / (tuning + math.log1p(tuning))
    half = sd * math.sqrt((n + rho) * math.log((n + rho) / (rho * alpha**2))) / n
    return mean - half, mean + half


def e_value_paired_binary(b: int, c: int) -> float:
    """Return the evidence against equal rates in paired yes/no data, valid at every look.

    A beta(½, ½) mixture over the share of discordant cases that go B's way. Under equal rates it
    ever exceeds 1/alpha with probability at most alpha, so ``min(1, 1 / largest value so far)`` is
    a p value at any time.

    Args:
        b: cases that only B passes.
        c: cases that only A passes.

    Returns:
        The e-value; 1 where no case is discordant; at most the largest float.

    Raises:
        AnalysisInputError: a count is negative or not whole.

    >>> e_value_paired_binary(0, 0)
    1.0
    >>> round(e_value_paired_binary(10, 0), 1)
    180.4
    """
    check_count("b", b)
    check_count("c", c)
    log_e = (b + c) * math.log(2) + float(special.betaln(b + 0.5, c + 0.5)) - math.log(math.pi)
    return 1.0 if b + c == 0 else math.exp(min(709.0, log_e))
