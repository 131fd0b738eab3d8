from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis import cluster_mean, welch_t
from workbench.analysis.clusters import cluster_difference
from workbench.errors import AnalysisInputError

BRIEF = settings(max_examples=25, deadline=None)


def _by_matrices(y, x, cluster, coefficient):
    """CR2 of one OLS coefficient with Satterthwaite df, straight from Bell and McCaffrey's definition."""
    bread = np.linalg.inv(x.T @ x)
    rest = np.eye(len(y)) - x @ bread @ x.T
    residuals = rest @ y
    weights = []
    for g in np.unique(cluster):
        mine = cluster == g
        values, vectors = np.linalg.eigh(rest[np.ix_(mine, mine)])
        roots = np.where(values > 1e-10, np.abs(values) ** -0.5, 0)
        adjust = vectors @ np.diag(roots) @ vectors.T
        weights.append(rest[:, mine] @ adjust @ x[mine] @ bread[coefficient])
    weights = np.array(weights)
    scores = [w @ y for w in weights]
    assert np.allclose(residuals, y - x @ bread @ x.T @ y)
    p = weights @ weights.T
    return (bread @ x.T @ y)[coefficient], np.sqrt(np.sum(np.square(scores))), np.trace(p) ** 2 / np.sum(p**2)


@st.composite
def clustered(draw):
    n = draw(st.integers(6, 30))
    y = np.array(draw(st.lists(st.integers(-20, 20), min_size=n, max_size=n)), dtype=float)
    cluster = np.array([0, 1, *draw(st.lists(st.integers(0, 5), min_size=n - 2, max_size=n - 2))])
    return y, cluster


@BRIEF
@given(clustered())
def test_cluster_mean_is_cr2_by_matrices(data):
    y, cluster = data
    expected = _by_matrices(y, np.ones((len(y), 1)), cluster, 0)
    assert cluster_mean(y, cluster) == pytest.approx(expected, abs=1e-9)


@BRIEF
@given(clustered(), st.randoms(use_true_random=False))
def test_cluster_difference_is_cr2_of_a_regression_on_the_variant(data, order):
    y, cluster = data
    n = len(y)
    is_b = np.array([i % 2 for i in range(n)], dtype=bool)
    order.shuffle(is_b)
    if min(np.unique(cluster[is_b]).size, np.unique(cluster[~is_b]).size) < 2:
        return
    x = np.column_stack([np.ones(n), is_b])
    expected = _by_matrices(y, x, cluster, 1)
    result = cluster_difference(y[~is_b], cluster[~is_b], y[is_b], cluster[is_b])
    assert result == pytest.approx(expected, abs=1e-9)


def test_without_clusters_it_is_the_ordinary_standard_error():
    rng = np.random.default_rng(2)
    y, z = rng.normal(size=40), rng.normal(size=25)
    mean, se, df = cluster_mean(y, np.arange(40))
    assert (mean, se, df) == pytest.approx((y.mean(), y.std(ddof=1) / np.sqrt(40), 39))
    result = cluster_difference(y, np.arange(40), z, np.arange(40, 65))
    assert result.se == pytest.approx(welch_t(y, z).se)


def test_names_of_clusters_may_be_anything():
    y = [1.0, 2.0, 4.0, 8.0]
    assert cluster_mean(y, ["x", "x", None, "y"]) == cluster_mean(y, [7, 7, 1, 3])


@pytest.mark.parametrize(
    "call",
    [
        lambda: cluster_mean([1.0, 2.0], ["x", "x"]),
        lambda: cluster_mean([1.0, 2.0], ["x"]),
        lambda: cluster_mean([1.0, 2.0], ["x", "y"], kind="CR9"),
        lambda: cluster_difference(np.ones(2), np.array([0, 0]), np.ones(2), np.array([1, 2])),
    ],
)
def test_too_few_clusters_are_refused(call):
    with pytest.raises(AnalysisInputError):
        call()
