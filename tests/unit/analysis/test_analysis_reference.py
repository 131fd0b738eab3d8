"""Published or independently computed values; ``tests/reference/statistics_cases.json`` names each source."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench import analysis

REFERENCE = Path(__file__).parents[2] / "reference"
CASES = {case["id"]: case for case in json.loads((REFERENCE / "statistics_cases.json").read_text("utf-8"))}


def _case(name):
    case = CASES[name]
    return case["input"], case["expected"], case["tolerance"]


@pytest.mark.parametrize(
    ("method", "key"),
    [("asymptotic", "p_asymptotic"), ("corrected", "p_cc"), ("exact", "p_exact"), ("midp", "p_midp")],
)
def test_mcnemar_gives_the_published_p_values(method, key):
    given, expected, tolerance = _case("mcnemar_bentur")
    p = analysis.mcnemar(given["n12"], given["n21"], method=method)
    assert p == pytest.approx(expected[key], abs=tolerance)


def test_tango_interval_of_the_bentur_data():
    given, expected, tolerance = _case("tango_bentur")
    assert analysis.tango_interval(**given) == pytest.approx(expected["ci"], abs=tolerance)


@pytest.mark.parametrize(("alternative", "key"), [("two-sided", "p_two_sided"), ("greater", "p_greater")])
def test_sign_flip_counts_darwins_maize_exactly(alternative, key):
    given, expected, tolerance = _case("darwin_permutation")
    assert analysis.sign_flip_test(given["d"], alternative) == pytest.approx(expected[key], abs=tolerance)


def test_paired_t_of_students_sleep_data():
    given, expected, tolerance = _case("sleep_paired_t")
    result = analysis.paired_t(np.subtract(given["a"], given["b"]))
    assert result.effect / result.se == pytest.approx(expected["t"], abs=tolerance["t"])
    assert result.df == expected["df"]
    assert result.p == pytest.approx(expected["p"], abs=tolerance["p"])
    assert (result.low, result.high) == pytest.approx(expected["ci"], abs=tolerance["ci"])
    assert result.effect == pytest.approx(expected["mean"], abs=tolerance["mean"])


@pytest.mark.parametrize("name", ["wilson_81_263", "wilson_0_20"])
def test_wilson_intervals_of_newcombes_table(name):
    given, expected, tolerance = _case(name)
    assert analysis.wilson_interval(**given) == pytest.approx(expected["wilson"], abs=tolerance)


def test_intervals_of_newcombes_unpaired_example():
    given, expected, tolerance = _case("newcombe_56_48")
    assert analysis.miettinen_nurminen_interval(**given) == pytest.approx(expected["mn"], abs=tolerance)
    assert analysis.newcombe_interval(**given) == pytest.approx(expected["newcombe"], abs=tolerance)


def test_sample_ratio_mismatch_of_kohavis_example():
    given, expected, tolerance = _case("srm_kohavi")
    p = analysis.sample_ratio_mismatch(given["n"], given["ratio"])
    assert p == pytest.approx(expected["p"], abs=tolerance)


def test_required_pairs_of_millers_example():
    given, expected, tolerance = _case("miller_n")
    assert analysis.required_pairs(**given) == pytest.approx(expected["n"], abs=tolerance)


def _sample(total, sum_of_squares, n):
    """Values with exactly this sum and sum of squares."""
    mean = total / n
    spread = np.linspace(-1, 1, n)
    return mean + spread * math.sqrt((sum_of_squares - n * mean**2) / np.sum(spread**2))


def test_welch_t_of_growthbooks_absolute_test():
    given, expected, tolerance = _case("gb_welch_abs")
    a, b = (_sample(given[f"sum_{arm}"], given[f"ss_{arm}"], given[f"n_{arm}"]) for arm in "ab")
    result = analysis.welch_t(a, b)
    assert result.effect == pytest.approx(expected["effect"], abs=1e-3)
    assert result.se == pytest.approx(expected["se"], abs=tolerance)
    assert (result.low, result.high) == pytest.approx(expected["ci"], abs=tolerance)
    assert result.p == pytest.approx(expected["p"], abs=tolerance)


def test_confidence_sequence_of_growthbooks_sequential_test():
    given, expected, tolerance = _case("gb_sequential_prop")
    p_a, p_b = given["x_a"] / given["n_a"], given["x_b"] / given["n_b"]
    lift = (p_b - p_a) / p_a
    variance = p_b * (1 - p_b) / given["n_b"] / p_a**2 + p_a * (1 - p_a) / given["n_a"] * p_b**2 / p_a**4
    n = given["n_a"] + given["n_b"]
    interval = analysis.asymptotic_confidence_sequence(
        lift, math.sqrt(variance * n), n, alpha=0.05, n_plan=given["tuning"]
    )
    assert lift == pytest.approx(expected["effect"], abs=tolerance)
    assert interval == pytest.approx(expected["ci"], abs=tolerance)


@pytest.mark.parametrize("kind", ["CR0", "CR1", "CR2", "CR3"])
def test_cluster_mean_agrees_with_clubsandwich(kind):
    given, expected, tolerance = _case("cluster_sleepstudy")
    data = pd.read_csv(REFERENCE / given["file"])
    mean, se, df = analysis.cluster_mean(data[given["y"]], data[given["cluster"]], kind)
    assert mean == pytest.approx(expected["mean"], abs=tolerance)
    assert se == pytest.approx(expected[kind], abs=tolerance)
    if kind == "CR2":
        assert df == pytest.approx(expected["df_CR2"], abs=tolerance)
