from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from workbench.analysis import (
    agresti_min_interval,
    mcnemar,
    miettinen_nurminen_interval,
    newcombe_interval,
    tango_interval,
    wilson_interval,
)
from workbench.analysis.unpaired_binary import fisher_exact, miettinen_nurminen_p
from workbench.errors import AnalysisInputError

BRIEF = settings(max_examples=25, deadline=None)

counts = st.integers(0, 60)


@st.composite
def paired_tables(draw):
    b, c = draw(counts), draw(counts)
    return b, c, b + c + draw(st.integers(0 if b + c else 1, 200))


@st.composite
def arms(draw):
    n1, n2 = draw(st.integers(1, 80)), draw(st.integers(1, 80))
    return draw(st.integers(0, n1)), n1, draw(st.integers(0, n2)), n2


@BRIEF
@given(counts, counts)
def test_mcnemar_agrees_with_statsmodels(b, c):
    cells = [[3, c], [b, 5]]
    assert mcnemar(b, c, method="exact") == pytest.approx(sm_mcnemar(cells, exact=True).pvalue)
    if b + c:
        chi2 = sm_mcnemar(cells, exact=False, correction=False).pvalue
        assert mcnemar(b, c, method="asymptotic") == pytest.approx(chi2)


@BRIEF
@given(counts, counts)
def test_mid_p_takes_half_of_the_observed_probability_and_ignores_the_labels(b, c):
    k, m = min(b, c), b + c
    by_definition = min(1.0, 2 * stats.binom.cdf(k, m, 0.5) - stats.binom.pmf(k, m, 0.5))
    assert mcnemar(b, c) == pytest.approx(by_definition if m else 1.0)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_p_is_never_zero_however_large_the_table():
    for method in ("midp", "exact", "asymptotic", "corrected"):
        assert 0 < mcnemar(5000, 0, method=method) < 1e-300


@BRIEF
@given(paired_tables(), st.sampled_from([0.01, 0.05, 0.1]))
def test_tango_ends_are_where_the_score_statistic_equals_z(table, alpha):
    b, c, n = table
    z = stats.norm.isf(alpha / 2)

    def score(d):
        # the constrained likelihood maximised by brute force over the share that only A passes
        def loss(q):
            p = q + d
            return -(b * math.log(max(p, 1e-300)) + c * math.log(max(q, 1e-300))
                     + (n - b - c) * math.log(max(1 - p - q, 1e-300)))  # fmt: skip

        q = optimize.minimize_scalar(
            loss, bounds=(max(0, -d), (1 - d) / 2), method="bounded", options={"xatol": 1e-10}
        ).x
        return (b - c - n * d) / math.sqrt(n * (2 * q + d * (1 - d)))

    low, high = tango_interval(b, c, n, alpha)
    assert -1 <= low <= (b - c) / n <= high <= 1
    if low > -0.99:
        assert score(low) == pytest.approx(z, abs=2e-3)
    if high < 0.99:
        assert score(high) == pytest.approx(-z, abs=2e-3)


@BRIEF
@given(paired_tables())
def test_paired_intervals_turn_round_with_the_arms(table):
    b, c, n = table
    for interval in (tango_interval, agresti_min_interval):
        low, high = interval(b, c, n)
        assert interval(c, b, n) == pytest.approx((-high, -low), abs=1e-12)


@BRIEF
@given(paired_tables())
def test_a_small_mid_p_never_meets_a_tango_interval_that_holds_zero(table):
    b, c, n = table
    low, high = tango_interval(b, c, n)
    assert mcnemar(b, c) >= 0.05 or low > 0 or high < 0


@pytest.mark.parametrize("n", [1, 12, 400])
def test_tango_without_a_discordant_case_has_its_closed_form(n):
    z2 = stats.norm.isf(0.025) ** 2
    assert tango_interval(0, 0, n) == pytest.approx((-z2 / (n + z2), z2 / (n + z2)), abs=1e-12)


def test_tango_reaches_the_ends_when_every_case_changes():
    assert tango_interval(9, 0, 9)[1] == 1.0
    assert tango_interval(0, 9, 9)[0] == -1.0


@BRIEF
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_agrees_with_statsmodels(arm):
    expected = proportion_confint(*arm, method="wilson")
    assert wilson_interval(*arm) == pytest.approx(expected, abs=1e-12)


@BRIEF
@given(arms())
def test_newcombe_agrees_with_statsmodels(both):
    expected = confint_proportions_2indep(*both, method="newcomb", compare="diff")
    assert newcombe_interval(*both) == pytest.approx(expected, abs=1e-9)


def _likelihood_score(d, x1, n1, x2, n2):
    def loss(p2):
        p1 = p2 + d
        return -(stats.binom.logpmf(x1, n1, p1) + stats.binom.logpmf(x2, n2, p2))

    bounds = (max(0, -d) + 1e-12, min(1, 1 - d) - 1e-12)
    p2 = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-11}).x
    p1, total = p2 + d, n1 + n2
    variance = (p1 * (1 - p1) / n1 + p2 * (1 - p2) / n2) * total / (total - 1)
    return (x1 / n1 - x2 / n2 - d) / math.sqrt(variance)


@pytest.mark.parametrize(
    "both", [(56, 70, 48, 80), (9, 10, 3, 10), (0, 15, 6, 22), (10, 10, 2, 31), (5, 56, 0, 29), (1, 2, 1, 3)]
)
def test_miettinen_nurminen_ends_solve_the_score_equation(both):
    z = stats.norm.isf(0.025)
    low, high = miettinen_nurminen_interval(*both)
    for end, sign in ((low, 1), (high, -1)):
        if abs(end) < 0.999:
            assert _likelihood_score(end, *both) == pytest.approx(sign * z, abs=1e-3)


@BRIEF
@given(arms())
def test_miettinen_nurminen_interval_and_p_always_agree(both):
    x1, n1, x2, n2 = both
    low, high = miettinen_nurminen_interval(*both)
    assert -1 <= low <= x1 / n1 - x2 / n2 <= high <= 1
    assert (miettinen_nurminen_p(*both) < 0.05) == (low > 1e-12 or high < -1e-12)
    assert miettinen_nurminen_interval(x2, n2, x1, n1) == pytest.approx((-high, -low), abs=1e-9)


@BRIEF
@given(arms())
def test_fisher_agrees_with_scipy(both):
    x1, n1, x2, n2 = both
    expected = stats.fisher_exact([[x1, n1 - x1], [x2, n2 - x2]]).pvalue
    assert fisher_exact(*both) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mcnemar(-1, 3),
        lambda: mcnemar(1.5, 3),
        lambda: mcnemar(1, 3, method="mid"),
        lambda: tango_interval(5, 6, 10),
        lambda: tango_interval(0, 0, 0),
        lambda: tango_interval(1, 2, 10, alpha=0),
        lambda: agresti_min_interval(1, 2, 10, alpha=1),
        lambda: wilson_interval(5, 4),
        lambda: newcombe_interval(1, 0, 1, 4),
        lambda: miettinen_nurminen_interval(1, 4, np.nan, 4),
    ],
)
def test_impossible_arguments_are_refused(call):
    with pytest.raises(AnalysisInputError):
        call()
