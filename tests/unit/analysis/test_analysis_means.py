from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from workbench.analysis import paired_t, sign_flip_test, welch_t
from workbench.analysis.means import skewness
from workbench.errors import AnalysisInputError

BRIEF = settings(max_examples=25, deadline=None)

samples = arrays(np.float64, st.integers(3, 40), elements=st.integers(-50, 50).map(lambda i: i / 4)).filter(
    lambda x: np.ptp(x) > 0
)


@BRIEF
@given(samples)
def test_paired_t_agrees_with_statsmodels(d):
    oracle = DescrStatsW(d)
    result = paired_t(d)
    t, p, df = oracle.ttest_mean(0)
    assert (result.effect / result.se, result.df) == pytest.approx((t, df))
    assert result.p == pytest.approx(p, abs=1e-12)
    assert (result.low, result.high) == pytest.approx(oracle.tconfint_mean())


@BRIEF
@given(samples, samples)
def test_welch_t_agrees_with_statsmodels(a, b):
    oracle = CompareMeans(DescrStatsW(b), DescrStatsW(a))
    result = welch_t(a, b)
    t, p, df = oracle.ttest_ind(usevar="unequal")
    assert (result.effect / result.se, result.df) == pytest.approx((t, df))
    assert result.p == pytest.approx(p, abs=1e-12)
    assert (result.low, result.high) == pytest.approx(oracle.tconfint_diff(usevar="unequal"))


@BRIEF
@given(arrays(np.float64, st.integers(1, 9), elements=st.integers(-9, 9)))
def test_exact_sign_flip_agrees_with_scipy_however_many_ties(d):
    for alternative in ("two-sided", "greater", "less"):
        oracle = stats.permutation_test(
            (d,), lambda x, axis: x.sum(axis=axis), permutation_type="samples",
            alternative=alternative, n_resamples=np.inf,
        ) if d.size > 1 else None  # fmt: skip
        p = sign_flip_test(d, alternative)
        assert 0 < p <= 1
        if oracle is not None and alternative != "two-sided":
            assert p == pytest.approx(oracle.pvalue)
    assert sign_flip_test(d, "greater") == pytest.approx(sign_flip_test(-d, "less"))


def test_random_sign_flips_are_near_the_t_test_and_repeat_with_their_seed():
    d = np.random.default_rng(5).normal(0.25, 1, 80)
    p = sign_flip_test(d, n_resamples=20_000, seed=3)
    assert p == pytest.approx(paired_t(d).p, abs=0.01)
    assert p == sign_flip_test(d, n_resamples=20_000, seed=3)
    assert p != sign_flip_test(d, n_resamples=20_000, seed=4)


def test_sign_flip_p_is_never_zero_and_exact_where_all_moved_alike():
    assert sign_flip_test(np.arange(1, 101), n_resamples=99) == pytest.approx(0.01)
    assert sign_flip_test(np.full(50, 0.1)) == pytest.approx(2.0**-49)
    assert sign_flip_test(np.full(50, -0.1), "greater") == 1.0
    assert sign_flip_test(np.zeros(50)) == 1.0


def test_sign_flip_leaves_the_global_generators_alone():
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global generator is what is watched
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    sign_flip_test(np.arange(1, 60), n_resamples=50)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


@BRIEF
@given(samples)
def test_skewness_is_the_biased_one(x):
    assert skewness(x) == pytest.approx(stats.skew(x, bias=True), abs=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: paired_t([1.0]),
        lambda: paired_t([2.0, 2.0, 2.0]),
        lambda: paired_t([0.3 - 0.1, 0.2, 0.2]),
        lambda: paired_t([1.0, np.nan]),
        lambda: paired_t([1.0, 2.0], alpha=5),
        lambda: welch_t([1.0], [1.0, 2.0]),
        lambda: welch_t([1.0, 1.0], [2.0, 2.0]),
        lambda: sign_flip_test([]),
        lambda: sign_flip_test([1.0], "bigger"),
        lambda: sign_flip_test([1.0], n_resamples=0),
    ],
)
def test_what_has_no_standard_error_is_refused_with_a_cure(call):
    with pytest.raises(AnalysisInputError):
        call()
