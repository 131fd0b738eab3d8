"""Budgets: the verbs, and the triggers that count; however many claim at once, no amount is passed."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import textwrap
import threading
import uuid
from decimal import Decimal

import psycopg
import pytest

from workbench.cli.app import run_command
from workbench.errors import AccessDeniedError, InputError, UnknownReferenceError
from workbench.services.budget_table import BUDGETS

INSERT = (
    "INSERT INTO wb.executions (id, run_at, project_id, user_id, prompt_id, model_config_id, run_id, case_key, status, request_payload,"
    " request_digest, reserved)"
    " SELECT id, %(run_at)s, %(project)s, %(user)s, %(prompt)s, %(model)s, %(run)s, id::text, 'sent', '{}', 'd', %(reserved)s"
    " FROM unnest(%(ids)s::uuid[]) id RETURNING id"
)


@pytest.fixture
def ledger(wb):
    """Claim calls as the ledger does, and settle them."""
    return Ledger(wb)


class Ledger:
    def __init__(self, wb):
        self.database = wb.database
        self.values = {
            "run_at": dt.datetime.now(dt.UTC),
            "project": wb.project_id,
            "user": wb.database.user_id,
            "prompt": wb.prompts.save("say", "Say {{ n }}").id,
            "model": wb.models.choose("fake/echo").config_id,
            "run": None,
        }

    def claim(self, calls=1, reserved=1, **values):
        """Claim a group; gives the ids, or raises what the trigger raises."""
        with psycopg.connect(self.database.url.reveal(), autocommit=True) as connection:
            ids = [uuid.uuid4() for _ in range(calls)]
            connection.execute(INSERT, {**self.values, "ids": ids, "reserved": reserved, **values})
            return ids

    def settle(self, ids, status="done", cost=None):
        with psycopg.connect(self.database.url.reveal(), autocommit=True) as connection:
            connection.execute(
                "UPDATE wb.executions SET status = %s, cost_estimate = %s, cost_source = CASE WHEN %s::numeric IS NULL THEN NULL ELSE 'price' END"
                " WHERE id = ANY (%s) AND status = 'sent'",
                [status, cost, cost, ids],
            )


@pytest.fixture
def state(wb):
    """What the budgets hold: who, per → amount, spent, reserved, available."""

    def state():
        return {
            (row["who"], row["per"]): (row["amount"], row["spent"], row["reserved"], row["available"])
            for row in wb.budgets.list().to_dict(orient="records")
        }

    return state


def refused(error):
    return (error.value.sqlstate, json.loads(error.value.diag.message_hint or "{}"))


# --- verbs ---


def test_budgets_are_set_changed_listed_and_removed(wb):
    wb.use("support-bot")
    assert str(wb.budgets.set(5, per="day")) == "you per day: $5.00, $0 spent, $0 reserved, $5.00 left"
    wb.budgets.set("100", project="support-bot", per="month")
    wb.budgets.set(Decimal("0.000001"), project="support-bot")
    table = wb.budgets.list()
    assert list(table.columns) == list(BUDGETS)
    assert table[["who", "per", "amount"]].to_numpy().tolist() == [
        ["you", "day", 5.0],
        ["support-bot", "month", 100.0],
        ["support-bot", "total", 0.000001],
    ]
    assert wb.budgets.set(7.5, per="day")["amount"].tolist() == [7.5]
    assert len(wb.budgets.list()) == 3
    wb.budgets.remove(per="day")
    wb.budgets.remove(project="support-bot")
    assert wb.budgets.list()["who"].tolist() == ["support-bot"]
    assert wb.last is not None


def test_budgets_show_what_is_used(wb, ledger):
    assert str(wb.budgets.list()) == "no budgets"
    wb.budgets.set(4, per="day")
    ids = ledger.claim(2)
    ledger.settle(ids[:1], cost=Decimal("0.5"))
    table = wb.budgets.list()
    assert str(table) == "you per day: $4.00, $0.5 spent, $1.00 reserved, $2.50 left"
    assert table["used"].tolist() == [0.375]
    html = table._repr_mimebundle_()["text/html"]
    assert "████░░░░░░ 38 %" in html
    assert "00:00 UTC" in html
    assert type(table[table["used"] > 0.1]).__name__ == "DataFrame"


def test_what_cannot_be_a_budget(wb):
    for amount in (-1, "-0.01", float("nan"), float("inf"), "five", True, None, 10**8):
        with pytest.raises(InputError) as raised:
            wb.budgets.set(amount)
        assert raised.value.cure
    with pytest.raises(InputError, match="did you mean 'month'"):
        wb.budgets.set(1, per="months")
    with pytest.raises(UnknownReferenceError, match="did you mean 'default'"):
        wb.budgets.set(1, project="defualt")
    with pytest.raises(UnknownReferenceError, match="no budget is set"):
        wb.budgets.remove()
    wb.budgets.set(1, per="day")
    with pytest.raises(UnknownReferenceError, match=r"you have no budget in total\n→ there are: you per day"):
        wb.budgets.remove()
    with pytest.raises(UnknownReferenceError, match="project 'default' has no budget per day"):
        wb.budgets.remove(per="day", project="default")


def test_only_its_owner_sets_a_projects_budget(wb, bobs_wb, ann_url):
    wb.use("shared")
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        ann.execute(
            "INSERT INTO wb.project_members (project_id, user_id, role) VALUES (%s, %s, 'editor')",
            [wb.project_id, bobs_wb.database.user_id],
        )
    wb.budgets.set(3, project="shared")
    wb.budgets.set(9)
    assert bobs_wb.budgets.list()["who"].tolist() == ["shared"]
    for attempt in (
        lambda: bobs_wb.budgets.set(1000, project="shared"),
        lambda: bobs_wb.budgets.remove(project="shared"),
    ):
        with pytest.raises(AccessDeniedError, match=r"owner to set\n→ ask ann"):
            attempt()
    bobs_wb.use("shared", create=False)
    bobs_ledger = Ledger(wb)
    bobs_ledger.database, bobs_ledger.values["user"] = bobs_wb.database, bobs_wb.database.user_id
    bobs_ledger.claim(2)  # it binds him all the same, and Ann's own does not
    assert bobs_wb.budgets.list()["reserved"].tolist() == [2]
    assert wb.budgets.list()["reserved"].tolist() == [0, 2]
    with pytest.raises(psycopg.Error) as error:
        bobs_ledger.claim(2)
    assert refused(error)[0] == "WB001"


def test_the_command_line(ann_url, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", ann_url.reveal())

    def cli(*arguments):
        capsys.readouterr()
        return run_command(["run", "budget", *arguments]), *capsys.readouterr()

    assert cli("list")[:2] == (0, "")
    assert cli("set", "5", "--per", "day")[:2] == (
        0,
        "you per day: $5.00, $0 spent, $0 reserved, $5.00 left\n",
    )
    code, out, _ = cli("set", "100", "--project", "default", "--json")
    assert (code, json.loads(out)["available"]) == (0, 100)
    code, out, _ = cli("list", "--json")
    assert [(row["who"], row["per"], row["used"]) for row in json.loads(out)] == [
        ("you", "day", 0),
        ("default", "total", 0),
    ]
    code, out, _ = cli("list")
    assert (code, "0 %" in out) == (0, True)
    assert cli("remove", "--per", "day")[:2] == (0, "the budget of you per day is removed\n")
    for wrong in (
        ("set",), ("set", "many"), ("set", "nan"), ("set", "--", "-5"), ("set", "5", "--per", "week"),
        ("set", "5", "--project", "nowhere"), ("remove", "--per", "day"),
    ):  # fmt: skip
        code, out, err = cli(*wrong)
        assert (code, out) == (2, "")
        assert err


# --- what the triggers count ---


def test_a_claim_reserves_and_an_answer_spends(wb, ledger, state):
    wb.budgets.set(10)
    wb.budgets.set(20, per="month", project="default")
    ids = ledger.claim(4, reserved=2)
    assert state() == {("you", "total"): (10, 0, 8, 2), ("default", "month"): (20, 0, 8, 12)}
    ledger.settle(ids[:1], cost=Decimal("0.25"))
    assert state()["you", "total"] == (10, 0.25, 6, 3.75)
    with pytest.raises(psycopg.Error) as error:
        ledger.claim(2, reserved=2)
    assert refused(error) == ("WB001", {"amount": 10, "spent": 0.25, "reserved": 6, "asked": 4})
    assert error.value.diag.message_detail == "you"
    assert state()["default", "month"] == (20, 0.25, 6, 13.75)  # what was refused left nothing behind
    ledger.settle(ids[1:], cost=3)  # more than was reserved is charged all the same
    assert state()["you", "total"] == (10, 9.25, 0, 0.75)
    ledger.claim(5, reserved=0)  # what costs nothing goes on


def test_unknown_counts_as_spent_lost_releases_and_a_failure_costs_what_it_cost(wb, ledger, state):
    wb.budgets.set(10, per="day")
    unknown, lost, failed, free = ledger.claim(4, reserved=2)
    ledger.settle([unknown], "unknown")
    assert state()["you", "day"] == (10, 2, 6, 2)
    ledger.settle([lost], "lost")
    assert state()["you", "day"] == (10, 2, 4, 4)
    ledger.settle([failed], "failed", cost=Decimal("0.5"))
    ledger.settle([free], "failed")
    assert state()["you", "day"] == (10, 2.5, 0, 7.5)


def test_a_call_whose_price_nobody_knows_is_refused(wb, ledger, state):
    ledger.claim(1, reserved=None)
    wb.budgets.set(10)
    ledger.claim(1)
    with pytest.raises(psycopg.Error) as error:
        ledger.claim(1, reserved=None)
    assert refused(error)[0] == "WB002"
    assert state()["you", "total"] == (10, 0, 1, 9)


def test_a_budget_of_nothing_lets_only_free_calls_through(wb, ledger, state):
    wb.budgets.set(0)
    ledger.claim(3, reserved=0)
    with pytest.raises(psycopg.Error) as error:
        ledger.claim(1, reserved=Decimal("0.0000000001"))
    assert refused(error)[0] == "WB001"
    assert wb.budgets.list()["used"].tolist() == [1]


@pytest.mark.parametrize("per", ["day", "month", "total"])
def test_a_budget_that_is_opened_late_counts_what_was_spent_in_its_period(wb, ledger, state, admin_url, per):
    old = ledger.claim(3, reserved=4)
    ledger.settle(old, cost=3)
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
        admin.execute("ALTER TABLE wb.executions DISABLE TRIGGER USER")
        for number, days in enumerate((1, 40)):
            admin.execute(
                "UPDATE wb.executions SET created_at = date_trunc(%s, now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '1 s'"
                " - make_interval(days => %s) WHERE id = %s",
                ["month" if days == 40 else "day", days - 1, old[number]],
            )
        admin.execute("ALTER TABLE wb.executions ENABLE TRIGGER USER")
        in_month = admin.execute(
            "SELECT count(*)::int FROM wb.executions WHERE created_at >= date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
        ).fetchone()[0]
    unknown, flying = ledger.claim(2, reserved=1)
    ledger.settle([unknown], "unknown")
    wb.budgets.set(100, per=per)
    wb.budgets.set(100, per=per, project="default")
    spent = {"day": 3, "month": 3 * in_month, "total": 9}[per] + 1
    assert state()["you", per] == (100, spent, 1, 99 - spent)
    assert state()["default", per] == (100, spent, 1, 99 - spent)
    ledger.settle([flying], cost=2)
    assert state()["you", per] == (100, spent + 2, 0, 98 - spent)


def test_a_new_day_begins_with_nothing_spent(wb, ledger, state, admin_url):
    wb.budgets.set(5, per="day")
    wb.budgets.set(50, per="month")
    wb.budgets.set(500)
    flying = ledger.claim(1, reserved=2)
    ledger.settle(ledger.claim(1, reserved=3), cost=3)
    with pytest.raises(psycopg.Error):
        ledger.claim(1)
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
        admin.execute("UPDATE wb.budgets SET since = since - 1 WHERE per = 'day'")
        admin.execute("UPDATE wb.budgets SET since = since - interval '1 month' WHERE per = 'month'")
    assert state() == {
        ("you", "day"): (5, 0, 2, 3), ("you", "month"): (50, 0, 2, 48), ("you", "total"): (500, 3, 2, 495),
    }  # fmt: skip
    ledger.claim(3)
    with pytest.raises(psycopg.Error):
        ledger.claim(1)
    ledger.settle(flying, cost=1)  # it was asked for yesterday and is paid today
    assert state()["you", "day"] == (5, 1, 3, 1)


def test_raising_and_lowering_an_amount(wb, ledger, state):
    wb.budgets.set(2)
    ledger.claim(2)
    wb.budgets.set(3)
    ledger.claim(1)
    wb.budgets.set(1)
    assert state()["you", "total"] == (1, 0, 3, -2)
    with pytest.raises(psycopg.Error):
        ledger.claim(1)
    wb.budgets.remove()
    ledger.claim(10)


# --- many at once ---

CHILD = """
import json, sys, psycopg, random, uuid
url, insert, values, seed = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4])
rng = random.Random(seed)
claimed, refused = 0, 0
with psycopg.connect(url, autocommit=True) as connection:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(60):
        ids = [uuid.UUID(int=rng.getrandbits(128)) for _ in range(rng.randint(1, 7))]
        try:
            connection.execute(insert, {**values, "ids": ids})
        except psycopg.Error as error:
            assert error.sqlstate == "WB001", error
            refused += 1
            continue
        claimed += len(ids)
        for id in ids:  # some are answered at once, and cost less
            kind = rng.random()
            if kind < 0.5:
                connection.execute("UPDATE wb.executions SET status = 'done', cost_estimate = 0.01, cost_source = 'price' WHERE id = %s", [id])
            elif kind < 0.6:
                connection.execute("UPDATE wb.executions SET status = 'lost' WHERE id = %s", [id])
            elif kind < 0.7:
                connection.execute("UPDATE wb.executions SET status = 'unknown' WHERE id = %s", [id])
print(json.dumps([claimed, refused]))
"""


@pytest.mark.slow
def test_eight_processes_together_never_pass_a_projects_amount(wb, ledger, ann_url, admin_url):
    wb.budgets.set(3, project="default")
    wb.budgets.set(1000)
    values = {name: str(value) if value is not None else None for name, value in ledger.values.items()}
    values["reserved"] = "0.02"
    command = [sys.executable, "-c", textwrap.dedent(CHILD), ann_url.reveal(), INSERT, json.dumps(values)]
    children = [
        subprocess.Popen([*command, str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for seed in range(8)
    ]
    for child in children:
        assert child.stdout.readline().strip() == "ready"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    most = Decimal(0)
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
        while any(child.poll() is None for child in children):
            held = admin.execute(
                "SELECT b.spent + b.reserved, s.held FROM wb.budgets b CROSS JOIN ("
                " SELECT coalesce(sum(CASE WHEN status IN ('sent', 'unknown') THEN reserved ELSE coalesce(cost_estimate, 0) END), 0) AS held"
                " FROM wb.executions WHERE status <> 'lost') s WHERE b.project_id IS NOT NULL"
            ).fetchone()
            assert held[0] == held[1]  # one statement, one snapshot: the budget holds what the ledger holds
            most = max(most, *held)
        results = [json.loads(child.communicate(timeout=60)[0]) for child in children]
        exact = admin.execute(
            "SELECT spent, reserved FROM wb.budgets WHERE project_id IS NOT NULL"
        ).fetchone()
        counted = admin.execute(
            "SELECT sum(CASE WHEN status = 'unknown' THEN reserved ELSE cost_estimate END),"
            " sum(reserved) FILTER (WHERE status = 'sent'), count(*) FROM wb.executions"
        ).fetchone()
    assert most <= 3
    assert most > Decimal("2.8")
    assert all(child.returncode == 0 for child in children)
    assert sum(refusals for _, refusals in results) > 0
    assert exact == counted[:2]
    assert sum(claimed for claimed, _ in results) == counted[2]


def test_of_many_claims_at_once_exactly_as_many_pass_as_are_paid_for(wb, ledger):
    wb.budgets.set(10, project="default", per="day")
    passed, states = [], set()

    def grab():
        for _ in range(10):
            try:
                passed.extend(ledger.claim(1))
            except psycopg.Error as error:
                states.add(error.sqlstate)

    threads = [threading.Thread(target=grab) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 10
    assert states == {"WB001"}
    assert wb.budgets.list()["available"].tolist() == [0]
