"""The judge of the other tests sees what it is there to see: each invariant is broken on purpose, and named."""

from __future__ import annotations

import json
import time

import psycopg
import pytest

from tests.invariants import balance, digest_of, read_bill
from tests.servers import ScriptedServer, completion
from workbench.services.workbench import connect
from workbench.settings import Settings


@pytest.fixture
def answered(ann_url, admin_url, tmp_path):
    """A run of eight answers: its bill, and an administrator's connection that may break what no person can."""
    bill = tmp_path / "bill.jsonl"
    with ScriptedServer(completion("fine"), bill=bill) as server:
        settings = Settings(home=tmp_path / "home", endpoints={"mine": server.url}, model="mine/m")
        with connect(ann_url.reveal(), settings=settings) as wb:
            wb.prompts.save("say", "Say {{ n }}")
            wb.run("say", data=[{"n": n} for n in range(8)], options={"temperature": 0.25}, progress=False)
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
        yield bill, admin


def spoil(admin, statement):
    """Change rows as no person and no program of ours can."""
    admin.execute("SET session_replication_role = replica")
    admin.execute("DROP INDEX wb.uq_executions_ledger")
    assert admin.execute(statement).rowcount == 1


ONE = "(SELECT id FROM wb.executions ORDER BY id LIMIT 1)"
COLUMNS = "run_at, run_id, project_id, user_id, prompt_id, model_config_id, case_id, case_key, variant, sample, purpose, input_variables, request_payload, request_digest"


def copy(status, finished="clock_timestamp()"):
    return f"INSERT INTO wb.executions ({COLUMNS}, status, finished_at) SELECT {COLUMNS}, '{status}', {finished} FROM wb.executions WHERE id = {ONE}"


def test_a_run_without_a_fault_is_in_balance(answered, admin_url):
    bill, _ = answered
    found = balance(bill, admin_url, told=8, planned=8)
    assert found.broken == []
    assert (found.calls, found.done, found.billed, found.unstored) == (8, 8, 8, 0)
    assert set(map(len, read_bill(bill).values())) == {1}


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (f"DELETE FROM wb.executions WHERE id = {ONE}", ["I1", "I3"]),
        (f"UPDATE wb.executions SET status = 'unknown' WHERE id = {ONE}", ["I3"]),
        (copy("done"), ["I4"]),
        (copy("sent", "NULL"), ["I4"]),
        (f"UPDATE wb.executions SET finished_at = finished_at - interval '1 h' WHERE id = {ONE}", ["I4"]),
    ],
)
def test_a_broken_invariant_is_named(answered, admin_url, statement, says):
    bill, admin = answered
    spoil(admin, statement)
    assert sorted({each[:2] for each in balance(bill, admin_url).broken}) == says


def test_a_call_that_was_made_a_third_time_is_named(answered, admin_url):
    bill, admin = answered
    spoil(admin, copy("unknown"))
    assert balance(bill, admin_url).broken == []
    admin.execute(copy("unknown"))
    assert [each[:2] for each in balance(bill, admin_url).broken] == ["I5"]


def test_a_bill_without_a_row_an_answer_in_a_file_and_a_missing_one_are_named(answered, admin_url, tmp_path):
    bill, _ = answered
    (tmp_path / "home" / "spool").mkdir(parents=True)
    (tmp_path / "home" / "spool" / "1.jsonl").write_text('["[{}]", "[]", []]\n')
    with bill.open("a") as file:
        file.write(json.dumps({"n": 9, "at": time.time(), "body": json.dumps({"model": "m"})}) + "\n")
    found = balance(bill, admin_url, told=9, planned=9, home=tmp_path / "home")
    assert [each[:2] for each in found.broken] == ["I1", "I3", "I2", "I2", "I1"]
    assert "BROKEN I1" in str(found)


def test_what_a_kill_may_lose_is_bounded(answered, admin_url):
    bill, admin = answered
    spoil(admin, f"UPDATE wb.executions SET status = 'unknown' WHERE id = {ONE}")
    found = balance(bill, admin_url, kills=1, in_flight=4, planned=8)
    assert found.broken == []
    assert (found.done, found.open, found.unstored, found.bound) == (7, 1, 1, 8)


def test_the_digest_is_the_ledgers(answered, admin_url):
    bill, admin = answered
    stored = {row[0] for row in admin.execute("SELECT request_digest FROM wb.executions")}
    lines = [json.loads(line)["body"] for line in bill.read_text().splitlines()]
    assert {digest_of(json.loads(line)) for line in lines} == stored
