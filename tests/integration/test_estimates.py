"""Estimates: from earlier answers where there are any, honest about what they rest on and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.servers import ScriptedServer, completion
from workbench.core.pricing import Price
from workbench.errors import ConfirmationNeededError
from workbench.services.cells import confirm


@pytest.fixture
def rows():
    return [{"text": "x" * (4 * n)} for n in range(1, 21)]


@pytest.fixture
def say(wb):
    return wb.prompts.save("say", "{{ text }}")


def priced(wb, model, price):
    chosen = replace(wb.models.choose(model), price=price)
    wb.models._chosen[model] = chosen
    return chosen


CHEAP = Price(prompt=Decimal("1e-6"), completion=Decimal("2e-6"))


@pytest.fixture
def dear(wb):
    wb.models.endpoint("dear", "http://127.0.0.1:9/v1")
    return "dear/m"


def test_without_earlier_answers_the_texts_and_the_limit_count(wb, say, rows, dear):
    priced(wb, dear, CHEAP)
    plan = wb.plan(say, model=dear, data=rows, options={"max_tokens": 10})
    (arm,) = plan.rows
    assert arm.tokens_completion == 200
    assert arm.tokens_prompt == pytest.approx(sum(n for n in range(1, 21)) + 20 * 4, abs=2)
    assert arm.cost == CHEAP.amount(prompt_tokens=arm.tokens_prompt, completion_tokens=200)
    assert arm.cost_low < arm.cost < arm.cost_high
    assert "at most 10 an answer" in arm.basis
    assert arm.seconds is None
    assert "time unknown" in str(plan)
    open_end = wb.plan(say, model=dear, data=rows)
    assert open_end.cost_high is None
    assert "for want of earlier ones" in str(open_end)


def test_earlier_answers_of_the_same_version_are_the_best_basis(wb, say, rows):
    wb.run(say, data=rows, progress=False)
    plan = wb.plan(say, data=rows, samples=2)
    assert (plan.rows[0].tokens_prompt, plan.rows[0].tokens_completion) == (420, 420)
    assert plan.rows[0].basis == "20 earlier answers to this version"
    assert plan.minutes is not None
    assert plan.cost == 0


def test_then_those_of_its_other_versions(wb, say, rows):
    wb.run(say, data=rows, progress=False)
    wb.prompts.save("say", "Please: {{ text }}")
    plan = wb.plan("say@2", data=rows)
    assert plan.rows[0].basis == "20 earlier answers to other versions of this prompt"
    assert plan.rows[0].tokens_completion == 210
    other = wb.plan("say@2", model="fake/upper", data=rows)
    assert "the texts" in other.rows[0].basis


def test_answers_from_the_cache_are_no_basis(wb, say, rows):
    wb.run(say, data=rows, options={"temperature": 0}, progress=False)
    wb.run(say, data=rows, options={"temperature": 0}, progress=False)
    assert "20 earlier answers" in wb.plan(say, data=rows).rows[0].basis


def test_what_the_provider_charged_is_known_without_a_price(wb, say, rows):
    def usage(cost):
        return {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": cost}

    replies = [completion("yes", usage=usage(0.01 if n % 2 else 0.03)) for n in range(20)]
    with ScriptedServer(replies) as server:
        wb.models.endpoint("mine", server.url)
        wb.run(say, model="mine/m", data=rows, progress=False, concurrency=1)
    plan = wb.plan(say, model="mine/m", data=rows, samples=5)
    assert plan.cost == pytest.approx(Decimal("2.0"))
    assert plan.cost_low < plan.cost < plan.cost_high
    assert f"(${plan.cost_low:.2f} to ${plan.cost_high:.2f})" in str(plan)
    assert "cost unknown" not in str(plan)


def test_an_unknown_price_is_named(wb, say, rows, dear):
    plan = wb.plan(say, model=[dear, "fake/echo"], data=rows)
    assert plan.cost is None
    for told in (str(plan), plan._repr_mimebundle_()["text/html"]):
        assert "nobody knows the price of dear/m" in told
        assert "workbench models sync" in told


def test_the_matrix_has_a_row_for_each_arm(wb, say, rows):
    wb.prompts.save("say", "Please: {{ text }}")
    plan = wb.plan(["say@1", "say@2"], model=["fake/echo", "fake/upper"], data=rows, samples=3)
    assert [row.label for row in plan.rows] == list(plan.arms)
    assert [row.calls for row in plan.rows] == [60] * 4
    shown = plan._repr_mimebundle_()["text/html"]
    assert all(label in shown for label in plan.arms)
    assert shown.count("<tr") == 5
    assert "nothing was sent" in shown


def test_what_an_unfinished_run_has_is_not_estimated_again(wb, say, rows):
    run = wb.run(say, model="fake/slow", data=rows, concurrency=5, background=True)
    while run.refresh().counts.done < 5:
        pass
    run.cancel()
    plan = wb.plan(say, model="fake/slow", data=rows)
    assert (plan.n_calls, plan.settled) == (20, run.counts.done)
    assert plan.rows[0].calls == 20 - run.counts.done
    assert f"run {run.short_id} of this plan is unfinished" in str(plan)
    assert wb.plan(say, model="fake/slow", data=rows, resume=False).settled == 0


@pytest.fixture
def plans(wb, say, rows, dear):
    """A free plan, and a dear one."""
    priced(wb, dear, Price(prompt=Decimal("0.1"), completion=Decimal("0.1")))
    return wb.plan(say, data=rows), wb.plan(say, model=dear, data=rows)


@pytest.mark.parametrize(
    ("kind", "given", "asks"),
    [
        ((True, False), {}, False),
        ((True, True), {}, True),
        ((True, True), {"confirmed": True}, False),
        ((True, True), {"budget": 0.5}, False),
        ((False, False), {}, False),
        ((False, True), {"confirmed": True}, True),
        ((False, True), {"budget": 0.5}, False),
    ],
)
def test_what_is_asked_before_a_run(wb, plans, kind, given, asks):
    attended, dear_plan = kind
    plan = plans[dear_plan]
    wb.attended = attended
    options = {"confirmed": False, "budget": None, **given}
    if not asks:
        confirm(wb, plan, **options)
        return
    with pytest.raises(ConfirmationNeededError) as caught:
        confirm(wb, plan, **options)
    assert "20 calls" in caught.value.message
    assert "--budget USD" in caught.value.cure
    assert ("--yes" in caught.value.cure) is attended


def test_unattended_an_unknown_price_needs_a_yes(wb, say, rows, dear):
    plan, wb.attended = wb.plan(say, model=dear, data=rows), False
    with pytest.raises(ConfirmationNeededError, match="has no budget"):
        confirm(wb, plan, confirmed=False, budget=None)
    confirm(wb, plan, confirmed=True, budget=None)


def test_unattended_a_yes_is_enough_for_what_is_small(wb, say, rows, dear):
    priced(wb, dear, CHEAP)
    plan, wb.attended = wb.plan(say, model=dear, data=rows), False
    with pytest.raises(ConfirmationNeededError, match="has no budget") as caught:
        confirm(wb, plan, confirmed=False, budget=None)
    assert caught.value.cure == "add --budget USD, or --yes"
    confirm(wb, plan, confirmed=True, budget=None)


def test_a_plan_says_where_it_stands_how_to_write_for_its_models(wb, say, rows, dear):
    plan = wb.plan(say, model=["dear/claude-sonnet-4", dear, "fake/echo"], data=rows)
    assert plan.advised == ("dear/claude-sonnet-4",)
    for told in (str(plan), plan._repr_mimebundle_()["text/html"]):
        assert "how to write for dear/claude-sonnet-4: %promptcmd models dear/claude-sonnet-4" in told
        assert "how to write for dear/m" not in told
