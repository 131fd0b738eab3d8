"""One test at least for every line of the table of bad inputs, and for every warning."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from workbench.analysis import compare, mcnemar, tango_interval
from workbench.analysis.wording import WARNINGS
from workbench.errors import AnalysisInputError

RNG = np.random.default_rng(8)
NOISE = RNG.normal(0, 1, (2, 200))


@pytest.mark.parametrize(("a", "b"), [([1.5, 2], []), ([], [1.5]), ([], []), ([np.nan], [1.0])])
def test_an_empty_arm_is_no_data_and_no_exception(frame, a, b):
    result = compare(frame(a, b), margin=0.1)
    numbers = (result.effect, result.low, result.high, result.p_value, result.se, result.mde)
    assert (result.verdict, *numbers) == ("NO_DATA", *[None] * 6)
    assert "no usable value" in result.text


def test_one_pair_has_an_effect_and_nothing_else(frame):
    result = compare(frame([1.5], [2.0]))
    assert (result.verdict, result.effect, result.n_pairs) == ("NO_INFERENCE", 0.5, 1)
    assert (result.se, result.low, result.p_value) == (None, None, None)


def test_one_cluster_has_an_effect_and_nothing_else(frame):
    result = compare(frame(NOISE[0], NOISE[1]).assign(cluster_id="k"))
    assert (result.verdict, result.n_clusters) == ("NO_INFERENCE", 1)
    assert (result.se, result.low, result.p_value) == (None, None, None)
    assert result.effect == pytest.approx((NOISE[1] - NOISE[0]).mean())


def test_one_case_in_an_unpaired_arm_has_no_inference(frame):
    assert compare(frame([1.0, 2.0, 4.0], [3.0], paired=False)).verdict == "NO_INFERENCE"


def test_identical_yes_no_answers_have_tangos_interval_and_p_one(frame):
    result = compare(frame([1, 0, 1, 1] * 10, [1, 0, 1, 1] * 10))
    z2 = 1.959964**2
    assert (result.low, result.high) == pytest.approx((-z2 / (40 + z2), z2 / (40 + z2)), abs=1e-6)
    assert (result.p_value, result.verdict) == (1.0, "INCONCLUSIVE")
    assert "Identical on all 40 cases." in result.text


def test_identical_numbers_have_no_interval(frame):
    result = compare(frame([0.3, 0.5, 0.1], [0.1 + 0.2, 0.5, 0.1]))
    assert (result.effect, result.low, result.verdict) == (0.0, None, "INCONCLUSIVE")
    assert "Identical on all 3 cases." in result.text


def test_identical_answers_in_clusters_count_the_clusters(frame):
    result = compare(frame([1, 0] * 20, [1, 0] * 20).assign(cluster_id=[i // 4 for i in range(40)] * 2))
    assert (result.low, result.high) == tango_interval(0, 0, 10)


@pytest.mark.parametrize("sign", [1, -1])
def test_yes_no_answers_that_all_change_alike(frame, sign):
    zeros, ones = [0] * 20, [1] * 20
    result = compare(frame(zeros, ones) if sign > 0 else frame(ones, zeros))
    assert result.p_value == pytest.approx(2.0**-19 - 2.0**-20) == mcnemar(20, 0)
    assert (result.low, result.high) == tango_interval(*((20, 0, 20) if sign > 0 else (0, 20, 20)))
    assert result.verdict == ("B_BETTER" if sign > 0 else "A_BETTER")


def test_numbers_that_all_change_alike_have_the_exact_sign_flip_p(frame):
    a = np.array([0.1, 0.2, 0.5, 0.7, 0.9, 1.3])
    result = compare(frame(a, a + 0.1))
    assert (result.p_value, result.low, result.test) == (2.0**-5, None, "exact sign-flip")
    assert result.verdict == "B_BETTER"
    clustered = compare(frame(a, a + 0.1).assign(cluster_id=[0, 0, 1, 1, 2, 2] * 2))
    assert clustered.p_value == 2.0**-2
    assert compare(frame(np.arange(5000.0), np.arange(5000.0) + 1)).p_value > 0


@pytest.mark.parametrize(("a", "b"), [([2.5] * 9, [3.5] * 9), ([1] * 9, [0] * 9), ([4] * 9, [4] * 9)])
def test_constant_unpaired_arms_have_an_effect_and_no_inference(frame, a, b):
    result = compare(frame(a, b, paired=False))
    assert (result.verdict, result.low, result.p_value) == ("NO_INFERENCE", None, None)
    assert result.effect == b[0] - a[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
def test_values_that_are_no_numbers_are_dropped_and_counted(frame, bad):
    data = frame([bad, *NOISE[0][1:]], NOISE[1])
    result = compare(data)
    assert (result.n_pairs, result.arms["A"].n_dropped, result.arms["A"].n_missing) == (199, 1, 1)
    assert "W_MISSING" not in result.warnings
    assert "Missing or not finite: 1 in A, 0 in B, dropped." in result.text
    data.loc[:11, "value"] = bad
    assert "W_MISSING" in compare(data).warnings


def test_a_failed_execution_does_not_pass(frame):
    a, b = [1] * 150 + [0] * 50, [1] * 150 + [0] * 50
    data = frame(a, b, status=["ok"] * 200 + ["failed"] * 20 + ["ok"] * 180)
    result = compare(data)
    assert (result.effect, result.verdict, result.arms["B"].n_failed) == (-0.1, "A_BETTER", 20)
    assert "Failed executions: 0 in A, 20 in B, counted as not passed." in result.text
    assert "With failures dropped instead: 0.0 pp" in result.text
    assert "INCONCLUSIVE" in result.text
    lower = compare(data, higher_is_better=False)
    assert "counted as passed" in lower.text


def test_a_failed_execution_is_dropped_from_a_score_unless_a_worst_value_is_given(frame):
    a, b = 5 + NOISE[0], 5.4 + NOISE[1]
    data = frame(a, b, status=["done"] * 200 + ["timeout"] * 30 + ["done"] * 170)
    result = compare(data)
    assert (result.n_pairs, result.verdict) == (170, "B_BETTER")
    assert "dropped." in result.text
    assert "With failures counted as" in result.text
    given = compare(data, worst=0)
    assert given.n_pairs == 200
    assert given.verdict != "B_BETTER"
    assert "With failures dropped instead:" in given.text


def test_failures_that_change_nothing_are_counted_without_a_second_verdict(frame):
    data = frame(NOISE[0], NOISE[1] + 2, status=["failed"] + ["done"] * 399)
    text = compare(data).text
    assert "Failed executions: 1 in A, 0 in B, dropped." in text
    assert "instead" not in text


def test_answers_that_have_not_come_yet_are_no_failures(frame):
    data = frame([1] * 40, [1] * 40, status=["ok"] * 60 + ["sent"] * 10 + ["planned"] * 10)
    result = compare(data)
    assert (result.n_pairs, result.effect, result.arms["B"].n_pending) == (20, 0.0, 20)
    assert result.arms["B"].n_failed == 0


def test_a_case_in_one_arm_only_is_left_out_and_above_a_fifth_both_results_are_printed(frame):
    few = compare(frame(NOISE[0], NOISE[1][:170]))
    assert (few.n_pairs, few.n_cases, few.arms["B"].n_missing) == (170, 200, 30)
    assert "unpaired" not in few.text
    many = compare(frame(NOISE[0], NOISE[1][:140]))
    assert "60 of 200 cases stand in one arm only and were left out; with them, unpaired:" in many.text


@pytest.mark.parametrize(
    "convert",
    [
        lambda v: [bool(x) for x in v],
        lambda v: [Decimal(x) for x in v],
        lambda v: [str(x) for x in v],
        lambda v: ["true" if x else "false" for x in v],
        lambda v: pd.array([bool(x) for x in v], dtype="boolean"),
        lambda v: pd.array(v, dtype="Int64"),
        lambda v: pd.Series([str(x) for x in v], dtype="category"),
        lambda v: [Decimal(x) if i % 2 else str(x) for i, x in enumerate(v)],
    ],
)
def test_values_from_jsonb_are_converted(frame, table, convert):
    data = frame(*table(20, 9, 2, 9))
    assert compare(data.assign(value=convert(data["value"].tolist()))).text == compare(data).text


def test_a_value_that_is_no_number_is_named_with_its_column_and_row(frame):
    data = frame([1, 2, 3], [2, 3, 4]).rename(columns={"value": "helpful"}).astype({"helpful": object})
    data.loc[4, "helpful"] = "n/a"
    with pytest.raises(TypeError, match=r"'helpful' holds 'n/a' in row 4 \(case 'c1'\)") as error:
        compare(data, metric="helpful")
    assert isinstance(error.value, AnalysisInputError)


@pytest.mark.parametrize("bad", [{"a": 1}, [1], "x" * 500, pd.Timestamp("2026-01-01")])
def test_any_json_value_that_is_no_number_is_refused_briefly(frame, bad):
    with pytest.raises(TypeError) as error:
        compare(frame([1.0, bad], [2.0, 3.0]))
    assert len(str(error.value)) < 250


def test_a_whole_column_of_dates_is_refused(frame):
    with pytest.raises(TypeError):
        compare(frame(pd.to_datetime(["2026-01-01"] * 2), pd.to_datetime(["2026-01-02"] * 2)))


def test_numbers_that_no_variance_can_be_computed_from(frame):
    with pytest.raises(AnalysisInputError, match=r"beyond ±1e\+60 in row 1"):
        compare(frame([1.0, -1e300, 2.0], [2.0, 3.0, 5.0]))
    assert compare(frame([5e-324, 1e-300, 0.0], [0.0, 0.0, 0.0])).effect == 0


def test_preferences_are_refused_by_name(frame):
    with pytest.raises(AnalysisInputError, match="preferences"):
        compare(frame(["A", "B"], ["tie", "A"]))


def test_duplicates_are_never_averaged_silently(frame):
    data = frame([1, 2, 3], [2, 3, 4])
    with pytest.raises(AnalysisInputError, match="case 'c1', variant 'B' stands there more than once"):
        compare(pd.concat([data, data.iloc[[4]]]))
    numbered = pd.concat([data.assign(sample=0), data.assign(sample=1)])
    assert compare(numbered).n_pairs == 3
    with pytest.raises(AnalysisInputError, match="sample 1"):
        compare(pd.concat([numbered, data.iloc[[4]].assign(sample=1)]))
    missing = pd.concat([data.assign(sample=0), data.iloc[[0]].assign(sample=np.nan)])
    with pytest.raises(AnalysisInputError, match="more than once"):
        compare(missing)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("variant", "C", "'variant' holds 'C'"),
        ("variant", None, "'variant' is empty in row 1"),
        ("case_id", None, "'case_id' is empty in row 1"),
        ("case_id", {}, "'case_id' holds a value that cannot be a key"),
        ("cluster_id", "k9", "stands in two clusters"),
    ],
)
def test_broken_keys_are_named(frame, column, value, message):
    data = frame([1, 2, 3], [2, 3, 4]).assign(cluster_id="k").astype(object)
    data[column] = [value if row == 1 else old for row, old in data[column].items()]
    with pytest.raises(AnalysisInputError, match=message):
        compare(data)


@pytest.mark.parametrize("column", ["case_id", "variant", "value"])
def test_a_missing_column_is_named(frame, column):
    with pytest.raises(AnalysisInputError, match=f"no column '{column}'"):
        compare(frame([1, 2], [2, 3]).drop(columns=column))


def test_a_missing_cluster_is_the_case_itself(frame):
    data = frame(NOISE[0][:40], NOISE[1][:40])
    plain = compare(data)
    assert compare(data.assign(cluster_id=None)).text == plain.text
    # a paraphrase names the case that it came from; the original names nothing
    paraphrases = [None if i < 20 else f"c{i - 20}" for i in range(40)] * 2
    assert compare(data.assign(cluster_id=paraphrases)).n_clusters == 20


def test_a_case_answered_by_strange_keys_is_still_json_safe(frame):
    data = frame([1, 2, 3], [2, 3, 5])
    data["case_id"] = [("x", i % 3) for i in range(6)]
    assert compare(data).to_dict()["rows"][0]["case_id"] == ["x", 0]


def _warned(data, **arguments):
    return set(compare(data, **arguments).warnings)


def test_every_warning_fires_where_it_should_and_is_explained(frame):
    a, b = NOISE
    clustered = frame(a, b).assign(cluster_id=[i % 8 for i in range(200)] * 2)
    lost = frame(a, b)
    lost.loc[:24, "value"] = np.nan
    uneven = pd.concat([frame(a, b, sample=0), frame(a[:50], [], sample=1)])
    cases = {
        "W_SMALL_N": frame(a[:29], b[:29]),
        "W_DISCORDANT": frame([0] * 40 + [1] * 5, [0] * 36 + [1] * 9),
        "W_CEILING": frame([1] * 100, [1] * 97 + [0] * 3),
        "W_TIES": frame([1, 2, 3, 4] * 30, [1, 2, 3, 5] * 30),
        "W_MISSING": lost,
        "W_SRM": lost,
        "W_K_UNEQUAL": uneven,
        "W_SKEW": frame(np.zeros(200), np.exp(2 * a)),
        "W_FEW_CLUSTERS": clustered,
    }
    assert set(cases) == set(WARNINGS)
    clean = _warned(frame(a, b))
    assert clean == set()
    for code, data in cases.items():
        result = compare(data)
        assert code in result.warnings
        assert f"{code}: {WARNINGS[code]}." in result.text


def test_unequal_unpaired_arms_are_a_mismatch(frame):
    assert "W_SRM" in _warned(frame(NOISE[0], NOISE[1][:100], paired=False))
    assert "W_SRM" not in _warned(frame(NOISE[0], NOISE[1][:180], paired=False))
    lost = frame([np.nan] * 20 + list(NOISE[0][20:]), NOISE[1], paired=False)
    assert "W_MISSING" in _warned(lost)


def test_skewed_arms_warn_in_unpaired_data_too(frame):
    assert "W_SKEW" in _warned(frame(np.exp(3 * NOISE[0]), NOISE[1], paired=False))


def test_a_ceiling_turns_round_where_lower_is_better(frame):
    data = frame([0] * 97 + [1] * 3, [0] * 96 + [1] * 4)
    assert "W_CEILING" in _warned(data, higher_is_better=False)
    assert "W_CEILING" not in _warned(data)
