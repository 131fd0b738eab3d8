"""A/B tests: the question is fixed first, the verdict is stored, every look is counted."""

from __future__ import annotations

import psycopg
import pytest

import workbench
from workbench.errors import InputError, NameTakenError, UnknownReferenceError


@pytest.fixture
def rows():
    return [{"text": f"t{n}", "label": f"Say t{n}" if n % 4 else "other"} for n in range(40)]


@pytest.fixture
def test(wb, rows):
    wb.prompts.save("say", "Say {{ text }}")
    wb.prompts.save("say", "Please say {{ text }}")
    wb.datasets.save("rows", rows, expected="label")
    return wb.ab.create("first", "say@2", "say@1", data="rows", scorers=["equals"])


def test_a_test_runs_both_arms_and_stores_its_verdict(wb, test, ann_url):
    assert (test.status, test.sample_size) == ("draft", 40)
    run = test.run(progress=False)
    assert run.counts.done == 80
    comparison = test.analyze()
    assert comparison.verdict == "B_BETTER"
    assert comparison.effect == pytest.approx(0.75)
    stored = wb.ab.get("first")
    assert (stored.status, stored.results["verdict"], stored.results["effect"]) == (
        "completed",
        "B_BETTER",
        0.75,
    )
    with psycopg.connect(ann_url.reveal()) as connection:
        assert connection.execute("SELECT verdict, effect, looks FROM wb.v_ab").fetchone() == (
            "B_BETTER",
            0.75,
            1,
        )
        assert connection.execute("SELECT count(DISTINCT variant) FROM wb.executions").fetchone() == (2,)


def test_running_it_again_calls_nothing(wb, test):
    first = test.run(progress=False)
    again = wb.ab.get("first").run(progress=False)
    assert first.id == again.id
    assert wb.frames.executions()["execution_id"].nunique() == 80


def test_the_arms_frame_and_the_flips(wb, test):
    test.run(progress=False)
    arms = wb.frames.arms("first")
    assert len(arms) == 80
    assert set(arms["variant"]) == {"A", "B"}
    flips = test.flips()
    assert len(flips) == 30
    assert {"text", "expected", "answer_a", "answer_b"} <= set(flips.columns)


def test_unparsed_answers_are_counted_apart_from_wrong_ones(wb):
    wb.prompts.save("say", "{{ said }}")
    wb.prompts.save("say", "{{ said }} or no")
    rows = [
        {"said": "yes", "label": "yes"},
        {"said": "no", "label": "yes"},
        {"said": "maybe", "label": "yes"},
    ]
    found = wb.ab.create(
        "parsed", "say@1", "say@2", data=rows, scorers=["one-of:yes|no:@label"], metric="one-of:yes|no:@label"
    )
    found.run(progress=False)
    comparison = found.analyze()
    assert (comparison.arms["A"].n_unparsed, comparison.arms["B"].n_unparsed) == (1, 1)
    assert "Unparsed answers: 1 in A, 1 in B." in comparison.text
    assert list(found.flips().columns)[-5:] == ["expected", "answer_a", "answer_b", "passed_a", "passed_b"]


def test_arms_that_differ_only_in_options_are_two_arms(wb, rows):
    wb.prompts.save("say", "Say {{ text }}")
    warm = workbench.arm("say@1", options={"temperature": 1})
    found = wb.ab.create("options", "say@1", warm, data=rows, scorers=["equals:@label"])
    assert found.run(progress=False).counts.done == 80
    assert found.analyze().effect == 0


def test_the_same_question_is_the_same_test(wb, test):
    asked = wb.ab.ask("say@1", "say@2", data="rows", scorers=["equals"])
    assert wb.ab.ask("say@1", "say@2", data="rows", scorers=["equals"]).id == asked.id
    assert wb.ab.ask("say@1", "say@2", data="rows", scorers=["iequals"]).id != asked.id
    with pytest.raises(NameTakenError, match="another question"):
        wb.ab.ask("say@1", "say@2", data="rows", scorers=["equals"], name="first")


def test_wrong_questions_are_refused(wb, test, rows):
    with pytest.raises(NameTakenError):
        wb.ab.create("first", "say@1", "say@2", data="rows", scorers=["equals"])
    with pytest.raises(InputError, match="needs a scorer"):
        wb.ab.create("x", "say@1", "say@2", data="rows")
    with pytest.raises(InputError, match="no metric"):
        wb.ab.create("x", "say@1", "say@2", data="rows", metric="pas", scorers=["equals"])
    with pytest.raises(UnknownReferenceError):
        wb.ab.create("x", "say@1", "say@9", data="rows", scorers=["equals"])
    with pytest.raises(UnknownReferenceError, match="did you mean 'first'"):
        wb.ab.get("firts")
    with pytest.raises(InputError, match="alpha"):
        wb.ab.create("x", "say@1", "say@2", data="rows", scorers=["equals"], alpha=5)


def test_before_all_cases_are_answered_there_is_no_verdict(wb, test):
    assert test.analyze().verdict == "NO_DATA"
    assert wb.ab.get("first").status == "draft"
    assert wb.ab.get("first").stop().status == "stopped"
