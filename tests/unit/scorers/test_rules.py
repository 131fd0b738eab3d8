"""Rules score text alone; what they cannot read is counted apart from what is wrong."""

from __future__ import annotations

import sys

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from workbench.core.cases import Case
from workbench.core.scoring import Scorer, ScorerSpec, parse_scorer
from workbench.errors import DataError, InputError
from workbench.scorers import check_cases, get, names


def case(expected: object = "positive", **inputs: object) -> Case:
    return Case("k", inputs, expected, "k", None)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("equals", ("equals", None, None)),
        ("equals:@label", ("equals", None, "label")),
        ("equals:@my label", ("equals", None, "my label")),
        ("contains:sorry: no", ("contains", "sorry: no", None)),
        ("one-of:yes|no:@answer", ("one-of", "yes|no", "answer")),
        (r"regex:^\d+:\s", ("regex", r"^\d+:\s", None)),
        ("contains:a@b.c", ("contains", "a@b.c", None)),
    ],
)
def test_a_scorer_is_taken_apart(text, spec):
    assert parse_scorer(text) == ScorerSpec(text, *spec)


@pytest.mark.parametrize(
    "text", ["", ":", "Equals", "equals:", "equals:@", "equals:@ ", "@label", "a b", "1x"]
)
def test_what_is_no_scorer_is_an_input_error(text):
    with pytest.raises(InputError):
        parse_scorer(text)


@pytest.mark.parametrize(
    ("rule", "answer", "passed"),
    [
        ("equals", " positive\n", True),
        ("equals", "Positive", False),
        ("equals", "positive.", False),
        ("equals:@label", "neutral", True),
        ("equals:yes", "yes", True),
        ("iequals", "Positive", True),
        ("iequals", "**Positive.**", True),
        ("iequals", "“positive”.", True),
        ("iequals", "The review is positive", False),
        ("iequals:-5", "5", False),
        ("iequals:C++", "c++.", True),
        ("contains:pos", "it is positive", True),
        ("contains", "it is Positive", False),
        ("icontains", "it is Positive", True),
        ("starts-with", "\n positive, I think", True),
        ("starts-with", "I think positive", False),
        (r"regex:\bpos\w+$", "so positive", True),
        ("regex:^a", "b", False),
    ],
)
def test_a_rule_holds_or_not(rule, answer, passed):
    score = get(rule).score(answer, case(label="neutral"))
    assert (score.passed, score.value, score.error, score.unparsed) == (passed, float(passed), None, False)
    assert score.scorer == rule


LABELS = "one-of:positive|negative|very positive"


@pytest.mark.parametrize(
    ("answer", "parsed", "passed"),
    [
        ("Positive", "positive", True),
        ("positive.", "positive", True),
        ("The review is positive", "positive", True),
        ("**Positive**\n\nThe reviewer is glad; positive words abound.", "positive", True),
        ("_positive_", "positive", True),
        ("Label:positive", "positive", True),
        ("- negative", "negative", False),
        ("VERY  positive!", "very positive", False),
    ],
)
def test_the_one_label_of_an_answer_is_found(answer, parsed, passed):
    for rule in (LABELS, LABELS.replace("one-of", "label")):
        score = get(rule).score(answer, case())
        assert (score.parsed, score.passed, score.unparsed, score.error) == (parsed, passed, False, None)


@pytest.mark.parametrize(
    "answer", ["", "I cannot say", "positive or negative", "non-positive", "positives", "positive-ish"]
)
def test_an_answer_with_no_label_or_several_is_unparsed_and_fails(answer):
    score = get(LABELS).score(answer, case())
    assert (score.parsed, score.passed, score.value, score.error) == (None, False, 0.0, None)
    assert score.unparsed
    assert score.reason.startswith("unparsed: ")


def test_numbers_and_booleans_are_compared_as_an_answer_writes_them():
    assert get("equals").score("1", case(1.0)).passed
    assert get("equals").score("true", case(True)).passed  # noqa: FBT003 - a value
    assert get("one-of:1|2|3:@stars").score("I give 3 stars.", case(None, stars=3)).passed
    assert get("one-of:1|2|3").score("3.5", case(3)).unparsed


@pytest.mark.parametrize(
    ("rule", "expected", "message"),
    [
        ("equals", None, "no expected answer"),
        ("equals:@labl", "x", "did you mean 'label'?"),
        ("equals:@gap", "x", "no value in 'gap'"),
        ("contains", "", "nothing to compare with"),
        ("regex", "(", "no regular expression"),
        ("one-of:a|b", "c", "none of the labels a, b"),
    ],
)
def test_what_cannot_be_compared_is_an_error_of_the_score_not_a_failure(rule, expected, message):
    score = get(rule).score("x", case(expected, label="x", gap=None))
    assert message in (score.error or "")
    assert (score.value, score.passed) == (None, None)


def test_the_cases_are_checked_before_anything_is_paid_for():
    cases = [case("a", label="x"), case("a"), case("a")]
    with pytest.raises(
        DataError, match="equals:@label cannot score 2 of 3 cases: the case has no column 'label'"
    ):
        check_cases(get("equals:@label"), cases)
    check_cases(get("equals"), cases)


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("equls", "did you mean 'equals'?"),
        ("zzz", "the scorers are: equals, iequals"),
        ("one-of", "one-of:positive|negative"),
        ("one-of:a", "one-of:"),
        ("one-of:a|A", "one-of:"),
        ("one-of:a||b", "one-of:"),
        ("regex:(", "single quotes"),
        ("equals:x:@label", "write equals:@label"),
    ],
)
def test_a_scorer_that_cannot_be_is_refused_with_its_cure(text, cure):
    with pytest.raises(InputError) as caught:
        get(text)
    assert cure in caught.value.cure


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([*(n for n in names() if n != "regex"), LABELS, "regex:a+", "equals:@label"]),
    st.text(),
    st.text(),
)
def test_a_rule_scores_any_answer(rule, answer, expected):
    if rule in {"one-of", "label"}:
        rule = LABELS
    score = get(rule).score(answer, case(expected, label=expected))
    assert (score.error is None) == (score.passed is not None)


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: text.strip()))
def test_the_expected_answer_itself_always_passes(text):
    assert get("equals").score(text, case(text)).passed
    assert get("iequals").score(text, case(text)).passed
    assert get("contains").score(text, case(text)).passed
    assert get("icontains").score(text, case(text)).passed


PLUGIN = """
from workbench.core.scoring import Score

class Shout:
    def __init__(self, spec):
        self.name = spec.text
    def score(self, answer, case):
        return Score(scorer=self.name, value=1.0, passed=answer.isupper())

def not_a_scorer(spec):
    return 3
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "shouting_plugin.py").write_text(PLUGIN)
    info = tmp_path / "shouting-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[workbench.scorers]\nshout = shouting_plugin:Shout\nbroken = no_such_module:x\nodd = shouting_plugin:not_a_scorer\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("shouting_plugin", None)


@pytest.mark.usefixtures("plugin")
def test_a_package_adds_scorers_by_entry_points():
    scorer = get("shout:x")
    assert isinstance(scorer, Scorer)
    assert scorer.score("HA", case()).passed
    assert "shout" in names()


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("name", ["broken", "odd"])
def test_a_broken_package_is_named(name):
    with pytest.raises(InputError, match=f"the scorer '{name}' of shouting"):
        get(name)
