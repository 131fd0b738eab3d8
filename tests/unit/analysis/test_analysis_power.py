from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from workbench.analysis import (
    asymptotic_confidence_sequence,
    benjamini_hochberg,
    e_value_paired_binary,
    holm,
    required_pairs,
    required_pairs_binary,
    sample_ratio_mismatch,
)
from workbench.analysis.power import detectable, detectable_binary
from workbench.errors import AnalysisInputError

BRIEF = settings(max_examples=25, deadline=None)


@BRIEF
@given(st.floats(0.02, 0.9), st.integers(20, 100_000))
def test_the_detectable_difference_of_rates_needs_just_the_cases_at_hand(discordant, n):
    delta = detectable_binary(discordant, n)
    if delta is None:
        assert n <= 8 or required_pairs_binary(discordant, discordant) > n
    else:
        assert 0 <= required_pairs_binary(discordant, delta) - n <= 1


@BRIEF
@given(st.floats(0.01, 10), st.integers(10, 10_000))
def test_the_detectable_difference_of_means_needs_just_the_cases_at_hand(variance, n):
    assert abs(required_pairs(variance, 0, 0, detectable((variance / n) ** 0.5)) - n) <= 1


def test_required_pairs_reach_their_power_by_noncentral_t():
    n = required_pairs(1.0, 0, 0, 0.2)
    df, shift = n - 1, 0.2 * n**0.5
    power = stats.nct.sf(stats.t.isf(0.025, df), df, shift)
    assert power == pytest.approx(0.8, abs=0.01)


def test_samples_shrink_the_noise_and_clusters_cost_cases():
    assert required_pairs(0.1, 0.4, 0.4, 0.1, k_a=4, k_b=4) == required_pairs(0.3, 0, 0, 0.1)
    assert required_pairs(0.1, 0, 0, 0.05, deff=2) == required_pairs(0.2, 0, 0, 0.05)


def test_a_difference_above_the_share_that_changes_is_refused():
    with pytest.raises(AnalysisInputError, match="cannot occur"):
        required_pairs_binary(0.02, 0.03)


@pytest.mark.parametrize("change", [{"delta": 0}, {"delta": -1}, {"power": 0.01}, {"alpha": 2}, {"k_a": 0}])
def test_power_refuses_impossible_arguments(change):
    arguments = {"omega2": 1.0, "sigma2_a": 0, "sigma2_b": 0, "delta": 0.1} | change
    with pytest.raises(AnalysisInputError):
        required_pairs(**arguments)


@settings(max_examples=10, deadline=None)  # the oracle collects garbage at every call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_p_values_agree_with_statsmodels(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1])


@BRIEF
@given(st.lists(st.integers(1, 5000), min_size=2, max_size=4))
def test_sample_ratio_mismatch_is_the_chi_squared_test(counts):
    assert sample_ratio_mismatch(counts) == pytest.approx(stats.chisquare(counts).pvalue, abs=1e-12)


@pytest.mark.parametrize("m", [1, 7, 50])
def test_the_e_value_has_mean_one_under_equal_rates(m):
    mass = stats.binom.pmf(range(m + 1), m, 0.5)
    values = [e_value_paired_binary(b, m - b) for b in range(m + 1)]
    assert float(np.dot(mass, values)) == pytest.approx(1.0)


def test_the_e_value_stays_a_number_for_any_table():
    assert e_value_paired_binary(0, 0) == 1.0
    assert 1e300 < e_value_paired_binary(100_000, 0) < float("inf")


def test_twenty_looks_at_the_sequence_keep_the_level():
    rng = np.random.default_rng(11)
    looks = np.arange(50, 1001, 50)
    alarms = 0
    for _ in range(400):
        d = rng.normal(size=1000)
        total, squares = np.cumsum(d), np.cumsum(d**2)
        for n in looks:
            mean = total[n - 1] / n
            sd = ((squares[n - 1] - n * mean**2) / (n - 1)) ** 0.5
            low, high = asymptotic_confidence_sequence(mean, sd, int(n), n_plan=1000)
            if low > 0 or high < 0:
                alarms += 1
                break
    assert alarms / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


@pytest.mark.parametrize(
    "call",
    [
        lambda: holm([0.5, 1.5]),
        lambda: benjamini_hochberg([float("nan")]),
        lambda: sample_ratio_mismatch([5]),
        lambda: sample_ratio_mismatch([5, 5], [1, 0]),
        lambda: asymptotic_confidence_sequence(0, -1, 10),
        lambda: asymptotic_confidence_sequence(0, 1, 0),
        lambda: required_pairs_binary(0, 0.1),
    ],
)
def test_impossible_arguments_are_refused_here_too(call):
    with pytest.raises(AnalysisInputError):
        call()
