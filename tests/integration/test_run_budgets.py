"""What a run may spend, what is asked a second time, and what a colleague has asked already."""

from __future__ import annotations

import uuid
from decimal import Decimal

import psycopg
import pytest

from tests.servers import ScriptedServer, completion
from workbench.core.chat import ModelInfo
from workbench.db import ledger
from workbench.db.ledger import Claim, Result, claim
from workbench.db.queries.runs import settled
from workbench.errors import BudgetError
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.registry import Registry
from workbench.secret import Secret

#: What each answer costs; before the first one, the price list lets 0.00132 be reserved.
EACH = Decimal("0.00012")
PRICE = {"price_prompt": Decimal("0.00001"), "price_completion": Decimal("0.00001")}


@pytest.fixture
def provider():
    with ScriptedServer(completion("fine", usage={"cost": float(EACH), "total_tokens": 12})) as server:
        yield server


def point(wb, server):
    mine = OpenAICompatible(name="mine", base_url=server.url, key=Secret("sk-test"))
    wb.models._registry = Registry(wb.config, providers={"mine": mine})
    wb.default_model = "mine/m"
    with wb.database.session() as session:
        wb.models._store(session, ModelInfo(model_id="mine/m", name="m", **PRICE))


@pytest.fixture
def paid(wb, provider):
    wb.prompts.save("say", "Say {{ n }}")
    point(wb, provider)
    return wb


def rows(count):
    return [{"n": n} for n in range(count)]


def money(url, table="runs", where="true"):
    with psycopg.connect(url.reveal()) as connection:
        return connection.execute(f"SELECT reserved, spent FROM wb.{table} WHERE {where}").fetchall()


def test_a_runs_budget_is_spent_to_the_last_call_that_it_pays_for(paid, provider, ann_url):
    with pytest.raises(BudgetError, match=r"budget of the run, \$0.0061") as caught:
        paid.run("say", data=rows(200), budget=0.0061, concurrency=8, progress=False)
    assert "resume(budget=…)" in caught.value.cure
    stopped = paid.last
    assert stopped.counts.done == 50  # 50 × 0.00012 = 0.0060; one more would be 0.00612
    assert money(ann_url) == [(0, 50 * EACH)]
    resumed = stopped.resume(budget=1)
    assert (resumed.id, resumed.counts.done) == (stopped.id, 200)
    assert provider.billed == 200
    assert money(ann_url) == [(0, 200 * EACH)]


def test_a_budget_that_pays_for_no_call_sends_none(paid, provider):
    with pytest.raises(BudgetError, match="could exceed"):
        paid.run("say", data=rows(5), budget=0.0001, progress=False)
    assert provider.asked == []
    assert set(paid.last.frame()["status"]) <= {"lost"}


def test_the_budget_of_a_day_binds_runs_and_single_calls(paid, provider, ann_url):
    with paid.database.driver() as connection:
        connection.execute("INSERT INTO wb.budgets (user_id, per, amount) VALUES (wb.me(), 'day', 0.0031)")
    with pytest.raises(BudgetError, match="budget of you per day, "):
        paid.run("say", data=rows(50), concurrency=4, progress=False)
    assert provider.billed == 25
    with pytest.raises(BudgetError, match="per day"):
        paid.ask("say", variables={"n": 1})
    assert provider.billed == 25
    assert money(ann_url, "budgets") == [(0, 25 * EACH)]
    with paid.database.driver() as connection:
        connection.execute("UPDATE wb.budgets SET amount = 1")
    assert paid.last.resume().counts.done == 50
    assert paid.ask("say", variables={"n": 1}).text == "fine"
    assert money(ann_url, "budgets") == [(0, 51 * EACH)]


def test_a_projects_budget_is_everybodys(paid, bobs_wb, provider, ann_url):
    with paid.database.driver() as connection:
        connection.execute(
            "INSERT INTO wb.project_members (project_id, user_id, role) VALUES (%s, %s, 'editor')",
            [paid.project_id, bobs_wb.database.user_id],
        )
        connection.execute(
            "INSERT INTO wb.budgets (user_id, project_id, per, amount) VALUES (wb.me(), %s, 'total', 0.0026)",
            [paid.project_id],
        )
        connection.execute("UPDATE wb.projects SET name = 'shared' WHERE id = %s", [paid.project_id])
    bobs_wb.use("shared")
    point(bobs_wb, provider)
    paid.run("say", data=rows(10), progress=False)
    with pytest.raises(BudgetError, match="budget of the project, "):
        bobs_wb.run("say", data=rows(50), progress=False)
    assert provider.billed == 10 + 11
    assert money(ann_url, "budgets") == [(0, 21 * EACH)]


def test_an_unknown_price_cannot_keep_a_budget(wb, provider):
    wb.prompts.save("say", "Say {{ n }}")
    wb.models.endpoint("dear", provider.url)
    with wb.database.driver() as connection:
        connection.execute("INSERT INTO wb.budgets (user_id, per, amount) VALUES (wb.me(), 'month', 5)")
    with pytest.raises(BudgetError, match="price of a call is unknown") as caught:
        wb.run("say", model="dear/m", data=rows(3), progress=False)
    assert "models sync" in caught.value.cure
    assert provider.asked == []


def test_a_colleagues_identical_call_is_a_hit_where_one_may_read_it(paid, bobs_wb, provider):
    options = {"temperature": 0}
    paid.run("say", data=rows(4), options=options, progress=False)
    point(bobs_wb, provider)
    bobs_wb.prompts.save("say", "Say {{ n }}")
    alone = bobs_wb.run("say", data=rows(4), options=options, progress=False)
    assert (alone.counts.cached, provider.billed) == (0, 8)
    with paid.database.driver() as connection:
        connection.execute("UPDATE wb.projects SET is_public = true")
    paid.run("say", data=[{"n": 77}], options=options, progress=False)
    shared = bobs_wb.run("say", data=[{"n": 77}], options=options, progress=False)
    assert (shared.counts.cached, provider.billed) == (1, 9)
    frame = shared.frame()
    assert (frame["cost"].tolist(), frame["cost_source"].tolist()) == ([0.0], ["cache"])


@pytest.fixture
def claimed(paid):
    """Claim one more call of a run, as its kernel would."""

    def make(connection, run):
        made = Claim(
            id=uuid.uuid4(),
            run_at=run.created_at,
            run_id=run.id,
            case_key="gone",
            prompt_id=paid.prompts.get("say").id,
            model_config_id=paid.models.choose("mine/m").config_id,
            input_variables={},
            request_payload={},
            request_digest="d",
            reserved=2 * EACH,
        )
        assert claim(connection, paid.scope, [made]) == {made.id}
        return made

    return make


def lose(connection, run):
    """Leave the run's open calls as a kernel does that is killed."""
    ledger.give_up(connection, run.id, status="unknown", code="unknown", message="killed")


def test_a_call_of_unknown_fate_is_made_once_more_and_no_oftener(paid, claimed):
    run = paid.run("say", data=rows(4), progress=False)

    def left_alone(*, retry_errors):
        with paid.database.session() as session:
            return {key[0] for key in settled(session, run.id, retry_errors=retry_errors)}

    with paid.database.dedicated() as connection:
        claimed(connection, run)
        lose(connection, run)
        assert "gone" not in left_alone(retry_errors=False)
        claimed(connection, run)
        lose(connection, run)
    assert "gone" in left_alone(retry_errors=False)
    assert "gone" not in left_alone(retry_errors=True)


def test_an_answer_to_a_call_that_was_given_up_is_late_and_counts_for_nothing_but_money(
    paid, claimed, ann_url
):
    run = paid.run("say", data=rows(1), progress=False, budget=1)
    with paid.database.dedicated() as connection:
        made = claimed(connection, run)
        assert money(ann_url) == [(2 * EACH, EACH)]
        lose(connection, run)
        assert money(ann_url) == [(0, 3 * EACH)]  # it may have been billed
        answer = Result(
            id=made.id, run_at=made.run_at, run_id=run.id, status="done", answer="late", cost=EACH
        )
        assert ledger.finish(connection, [answer]) == set()
        assert ledger.finish_documents(connection, ledger.documents([answer])) == {}
        assert money(ann_url) == [(0, 2 * EACH)]
        found = connection.execute(
            "SELECT status, answer FROM wb.executions WHERE id = %s", [made.id]
        ).fetchone()
    assert found == ("late", "late")
    assert paid.runs.get(run.id).counts.done == 1
