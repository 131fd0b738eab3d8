from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.analysis import (
    AnalysisTypeError,
    compare,
    e_value_paired_binary,
    mcnemar,
    miettinen_nurminen_interval,
    paired_t,
    required_pairs,
    tango_interval,
    welch_t,
)
from workbench.errors import AnalysisInputError

BRIEF = settings(max_examples=25, deadline=None)

RNG = np.random.default_rng(20)
NOISE = RNG.normal(0, 1, (2, 400))


# what it says


def test_the_example_of_a_pass_rate_is_said_word_for_word(frame, table):
    result = compare(frame(*table(275, 31, 9, 85)), metric="pass", n_planned=400, mde=0.03)
    assert result.text == (
        "Pass rate: A 71.0 % → B 76.5 %, +5.5 pp (95 % CI +2.5 to +8.8), McNemar mid-p = 0.0004,"
        " n = 400 paired cases: 31 changed for the better, 9 for the worse.\n"
        "Verdict: B BETTER. To detect 3 pp with 80 % power at this rate of change"
        " you need 870 cases (you have 400)."
    )
    assert str(result) == result.text
    assert (result.required_n, result.n_pairs, result.n_cases, result.n_clusters) == (870, 400, 400, 400)


def test_without_a_planned_size_the_verdict_is_labelled_exploratory(frame, table):
    result = compare(frame(*table(275, 31, 9, 85)))
    assert result.verdict == "B_BETTER"
    assert "Exploratory: no sample size was planned." in result.text


def test_words_never_claim_more_than_the_data(frame, table):
    texts = [
        compare(frame(*table(60, 10, 9, 21)), margin=margin, n_planned=n).text
        for margin in (None, 0.02, 0.5)
        for n in (None, 50, 500)
    ]
    for text in texts:
        assert not re.search(r"no difference|no effect|probability|% likely|-\d", text)


def test_money_and_time_are_better_when_lower_whatever_the_default(frame):
    a, b = 0.003 + NOISE[0] / 1e4, 0.002 + NOISE[1] / 1e4
    cost = compare(frame(a, b).rename(columns={"value": "cost"}), metric="cost")
    assert cost.question.kind == "cost"
    assert (cost.verdict, cost.effect < 0) == ("B_BETTER", True)
    assert cost.text.startswith("Cost per call: A $0.00")
    assert "−$0.00" in cost.text
    latency = compare(frame(a * 1e6, b * 1e6).rename(columns={"value": "latency_ms"}), metric="latency")
    assert latency.verdict == "B_BETTER"
    assert re.search(r"A 2,9\d\d ms → B 2,0\d\d ms, −9\d\d ms", latency.text)


def test_higher_is_better_decides_the_verdict_and_never_a_sign(frame):
    data = frame(NOISE[0], NOISE[1] + 1)
    up, down = compare(data), compare(data, higher_is_better=False)
    assert (up.verdict, down.verdict) == ("B_BETTER", "A_BETTER")
    assert up.effect == down.effect > 0
    assert (up.better, up.worse) == (down.worse, down.better)


# the decision table


def test_row_2_clusters_take_the_robust_standard_error(frame):
    shared = np.repeat(RNG.normal(0, 1, 40), 10)
    data = frame(NOISE[0], NOISE[0] + NOISE[1] * 0.2 + shared)
    plain = compare(data)
    robust = compare(data.assign(cluster_id=[f"k{i // 10}" for i in range(400)] * 2))
    assert (robust.test, robust.details["row"], robust.n_clusters) == ("CR2 t", 2, 40)
    assert robust.se > 2 * plain.se
    assert "in 40 clusters" in robust.text


def test_row_2_with_few_changed_answers_takes_the_larger_p(frame, table):
    a, b = table(30, 6, 0, 4)
    data = frame(a, b).assign(cluster_id=[i // 2 for i in range(40)] * 2)
    assert compare(data).p_value >= mcnemar(6, 0)


def test_few_clusters_give_an_interval_but_no_verdict(frame):
    data = frame(NOISE[0][:30], NOISE[1][:30] + 3).assign(cluster_id=[i % 3 for i in range(30)] * 2)
    result = compare(data)
    assert (result.verdict, result.p_value) == ("NO_INFERENCE", None)
    assert result.low is not None
    assert "W_FEW_CLUSTERS" in result.warnings


def test_row_3_is_mcnemar_with_tango(frame, table):
    result = compare(frame(*table(50, 12, 3, 20)))
    assert result.p_value == mcnemar(12, 3)
    assert (result.low, result.high) == tango_interval(12, 3, 85)
    assert (result.test, result.interval, result.df) == ("McNemar mid-p", "Tango score", None)


def test_row_4_is_computed_by_t_and_says_so(frame):
    d = np.concatenate([np.linspace(-1, 1, 110), np.linspace(4, 9, 10)])
    result = compare(frame(np.zeros(120), d), seed=4)
    assert result.test == "paired t"
    assert "W_SKEW" in result.warnings
    assert result.details["seed"] == 4
    assert 0 < result.details["sign_flip_p"] < 1
    assert "the values are skewed" in result.text


def test_hopeless_skew_gets_no_verdict(frame):
    d = np.concatenate([np.linspace(-0.1, 0.1, 57), [30, 35, 40]])
    result = compare(frame(np.zeros(60), d))
    assert (result.verdict, result.p_value, result.low) == ("NO_INFERENCE", None, None)
    assert "no method keeps its level" in result.text


def test_row_5_is_the_paired_t(frame):
    result = compare(frame(NOISE[0], NOISE[1] + 0.2))
    t = paired_t(NOISE[1] + 0.2 - NOISE[0])
    assert (result.effect, result.se, result.df, result.p_value, result.low, result.high) == pytest.approx(t)
    assert result.effect_size == pytest.approx(t.effect / t.se / 20)
    correlation = np.corrcoef(NOISE[0], NOISE[1])[0, 1]
    assert result.details["correlation"] == pytest.approx(correlation)


def test_row_5_repeated_yes_no_answers_are_averaged_within_the_case(frame):
    a, b = RNG.integers(0, 2, (3, 60)), RNG.integers(0, 2, (3, 60))
    data = pd.concat([frame(a[k], b[k], sample=k) for k in range(3)])
    result = compare(data)
    assert (result.test, result.n_pairs, result.arms["A"].n_rows) == ("paired t", 60, 180)
    assert result.effect == pytest.approx(b.mean() - a.mean())
    assert result.se == pytest.approx(paired_t(b.mean(axis=0) - a.mean(axis=0)).se)
    assert "pp" in result.text


def test_row_6_cases_in_both_arms_of_an_unpaired_set_are_clusters(frame):
    data = frame(NOISE[0][:100], NOISE[1][:100], paired=False)
    data.loc[data["case_id"] == "z0", "case_id"] = "c0"
    data.loc[data["case_id"] == "z1", "case_id"] = "c1"
    result = compare(data)
    assert (result.test, result.details["row"], result.n_pairs, result.n_cases) == ("CR2 t", 6, 0, 198)
    assert result.se == pytest.approx(welch_t(NOISE[0][:100], NOISE[1][:100]).se, rel=0.02)


def test_row_7_is_miettinen_nurminen_with_fisher_where_counts_are_small(frame):
    result = compare(frame([1] * 2 + [0] * 38, [1] * 5 + [0] * 35, paired=False))
    assert (result.low, result.high) == miettinen_nurminen_interval(5, 40, 2, 40)
    assert result.details["row"] == 7
    assert "Fisher" in result.text
    assert result.details["fisher_p"] == pytest.approx(0.4315, abs=1e-3)
    big = compare(frame([1] * 20 + [0] * 20, [1] * 25 + [0] * 15, paired=False))
    assert "Fisher" not in big.text


def test_row_8_is_welch(frame):
    result = compare(frame(NOISE[0][:80], NOISE[1][:60] + 1, paired=False))
    t = welch_t(NOISE[0][:80], NOISE[1][:60] + 1)
    assert (result.effect, result.se, result.df, result.p_value, result.low, result.high) == pytest.approx(t)
    assert (result.verdict, result.n_pairs, result.n_cases) == ("B_BETTER", 0, 140)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, 1, 0], "binary"),
        ([True, False, True, True], "binary"),
        ([1, 2, 3, 5], "ordinal"),
        ([1.5, 2, 3, 5], "score"),
        (range(11, 33), "score"),
    ],
)
def test_the_kind_is_inferred_from_the_values(frame, values, kind):
    assert compare(frame(list(values), list(values)[::-1])).question.kind == kind


# verdicts


def test_every_verdict_can_be_reached(frame):
    a, b = NOISE
    found = {
        compare(frame(a, b + 1)).verdict,
        compare(frame(a, b - 1)).verdict,
        compare(frame(a, b), margin=1).verdict,
        compare(frame(a, b)).verdict,
        compare(frame(a, b), n_planned=1000).verdict,
        compare(frame(a, [])).verdict,
        compare(frame([1.5], [2.5])).verdict,
    }
    everything = "B_BETTER A_BETTER EQUIVALENT INCONCLUSIVE INTERIM NO_DATA NO_INFERENCE"
    assert found == set(everything.split())


def test_equivalent_stands_beside_better(frame):
    result = compare(frame(NOISE[0], NOISE[0] + 0.3 + NOISE[1] * 0.1), margin=0.5)
    assert (result.verdict, result.equivalent) == ("B_BETTER", True)
    assert "B BETTER, but by less than 0.5 points" in result.text
    assert compare(frame(*NOISE)).equivalent is None
    assert compare(frame(*NOISE), margin=0.01).equivalent is False


def test_a_target_sets_the_cases_needed_and_the_observed_effect_never_does(frame):
    with_target = compare(frame(*NOISE), mde=0.1, margin=0.3)
    assert with_target.question.target == 0.1
    assert with_target.required_n == required_pairs(with_target.se**2 * 400, 0, 0, 0.1)
    shifted = compare(frame(NOISE[0], NOISE[1] + 5), mde=0.1)
    assert shifted.required_n == with_target.required_n
    without = compare(frame(*NOISE))
    assert without.required_n is None
    assert required_pairs(without.se**2 * 400, 0, 0, without.mde) == 400


def test_a_target_beyond_the_cases_that_change_is_said_to_be_impossible(frame, table):
    result = compare(frame(*table(300, 6, 4, 90)), mde=0.1)
    assert result.required_n is None
    assert "Too few cases change at all for a difference of 10 pp" in result.text


# peeking


def test_below_the_planned_size_p_is_hidden_and_the_sequence_shown(frame, table):
    result = compare(frame(*table(275, 31, 9, 85)), n_planned=900)
    assert (result.verdict, result.p_value, result.equivalent) == ("INTERIM", None, None)
    assert result.interval == "asymptotic confidence sequence"
    low, high = tango_interval(31, 9, 400)
    assert result.low < low < high < result.high
    assert result.details["e_value"] == e_value_paired_binary(31, 9)
    assert "n = 400 of 900 planned paired cases" in result.text
    assert not [name for name in result.details if name.endswith("_p")]
    assert " p =" not in result.text


@pytest.mark.parametrize(("n", "shown"), [(29, False), (30, True)])
def test_an_interim_interval_waits_for_thirty_cases(frame, n, shown):
    d = np.linspace(-1, 1.2, n)
    result = compare(frame(np.zeros(n), d), n_planned=100)
    assert (result.low is not None) is shown
    assert ("too early" in result.text) is not shown


@pytest.mark.parametrize(("n", "shown"), [(190, False), (210, True)])
def test_an_interim_interval_of_skewed_differences_waits_for_two_hundred(frame, n, shown):
    d = np.exp(np.linspace(-2, 2, n))
    result = compare(frame(np.zeros(n), d), n_planned=1000)
    assert "W_SKEW" in result.warnings
    assert (result.low is not None) is shown


def test_an_interim_interval_of_pass_rates_waits_for_ten_changed_cases(frame, table):
    assert compare(frame(*table(50, 6, 3, 20)), n_planned=900).low is None
    assert compare(frame(*table(50, 6, 4, 20)), n_planned=900).low is not None


def test_failed_answers_count_towards_the_planned_size(frame):
    data = frame(*NOISE, status=["failed"] * 5 + ["done"] * 795)
    result = compare(data, n_planned=400)
    assert (result.verdict != "INTERIM", result.n_pairs, result.n_done) == (True, 395, 400)
    data.loc[:4, "status"] = "planned"
    assert compare(data, n_planned=400).verdict == "INTERIM"


# metamorphic


@BRIEF
@given(st.data())
def test_swapping_the_arms_turns_the_answer_round(frame, data):
    binary = data.draw(st.booleans())
    paired = data.draw(st.booleans())
    element = st.integers(0, 1) if binary else st.integers(-30, 30).map(lambda i: i / 7)
    n = data.draw(st.integers(2, 30))
    a, b = (data.draw(st.lists(element, min_size=n, max_size=n)) for _ in "ab")
    there, back = compare(frame(a, b, paired=paired)), compare(frame(b, a, paired=paired))
    assert back.effect == pytest.approx(-there.effect, abs=1e-12)
    assert (back.p_value is None) == (there.p_value is None)
    if there.p_value is not None:
        assert back.p_value == pytest.approx(there.p_value, rel=1e-9)
    if there.low is not None:
        assert (-back.high, -back.low) == pytest.approx((there.low, there.high), abs=1e-9)
    mirror = {"B_BETTER": "A_BETTER", "A_BETTER": "B_BETTER"}
    assert back.verdict == mirror.get(there.verdict, there.verdict)


@BRIEF
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(frame, order):
    data = frame(NOISE[0][:40], NOISE[1][:40]).assign(cluster_id=[i // 3 for i in range(40)] * 2)
    positions = list(range(80))
    order.shuffle(positions)
    one = compare(data).to_dict(rows=False)
    other = compare(data.iloc[positions, ::-1]).to_dict(rows=False)
    assert one["text"] == other["text"]
    assert [one[k] for k in ("effect", "low", "high", "p_value")] == pytest.approx(
        [other[k] for k in ("effect", "low", "high", "p_value")]
    )


@BRIEF
@given(st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_scaling_scales_and_shifting_changes_nothing(frame, factor, shift):
    plain = compare(frame(NOISE[0][:50], NOISE[1][:50]))
    other = compare(frame(NOISE[0][:50] * factor + shift, NOISE[1][:50] * factor + shift))
    assert (other.effect, other.low, other.high, other.mde) == pytest.approx(
        tuple(factor * x for x in (plain.effect, plain.low, plain.high, plain.mde)), rel=1e-6
    )
    assert other.p_value == pytest.approx(plain.p_value, rel=1e-6)


# the value


def test_rows_hold_one_line_per_case(frame):
    result = compare(frame([1, 2, 5], [2, 2, 9]))
    assert result.rows.to_dict("list") == {
        "case_id": ["c0", "c1", "c2"], "a": [1, 2, 5], "b": [2, 2, 9], "d": [1, 0, 4],
    }  # fmt: skip


@pytest.mark.parametrize("n", [0, 1, 40])
def test_to_dict_is_strict_json_and_holds_every_field(frame, n):
    result = compare(frame(list(NOISE[0][:n]), list(NOISE[1][: n + 3])), margin=0.2)
    back = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    fields = """effect low high p_value verdict test interval n_cases n_pairs n_clusters df se effect_size
        equivalent required_n mde warnings arms rows text"""
    assert set(fields.split()) <= set(back)
    assert all(hasattr(result, name) for name in fields.split())
    assert "rows" not in result.to_dict(rows=False)


def test_the_result_is_frozen_and_prints_briefly(frame):
    result = compare(frame([1, 2, 5], [2, 2, 9]))
    with pytest.raises(AttributeError):
        result.effect = 0
    assert len(repr(result)) < 100


# arguments


@pytest.mark.parametrize(
    "arguments",
    [
        {"alpha": 0},
        {"alpha": 0.6},
        {"power": 0.01},
        {"margin": -0.1},
        {"mde": float("inf")},
        {"margin": 5},
        {"design": "anytime"},
        {"n_planned": 1},
        {"n_planned": 10.5},
        {"kind": "binar"},
        {"kind": "preference"},
        {"worst": 0.5},
    ],
)
def test_impossible_arguments_are_refused_with_a_cure(frame, arguments):
    with pytest.raises(AnalysisInputError) as error:
        compare(frame([0, 1, 1], [1, 1, 0]), **arguments)
    assert error.value.cure


def test_a_misspelt_metric_is_not_answered_from_another_column(frame):
    data = frame([0, 1], [1, 1], helpful=[1, 0, 1, 1])
    with pytest.raises(AnalysisInputError, match="did you mean 'helpful'"):
        compare(data, metric="helpfull")


def test_a_name_says_what_the_only_value_is(frame, table):
    assert compare(frame(*table(20, 9, 2, 9)), metric="polite").text.startswith("Pass rate of polite: A")


def test_something_that_is_no_frame_is_a_type_error():
    with pytest.raises(AnalysisTypeError, match="list"):
        compare([1, 2, 3])
