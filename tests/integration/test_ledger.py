"""The hot path of the ledger: what is stored comes back as it was, and a group costs the same in a large table."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from decimal import Decimal
from types import MappingProxyType

import pytest
from psycopg import sql

from workbench.core.chat import Attempt
from workbench.db import ledger
from workbench.db.ledger import Claim, Result, claim, committed, finish
from workbench.errors import ConflictError

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)


@pytest.fixture
def connection(wb):
    with wb.database.dedicated() as connection:
        yield connection


@pytest.fixture
def call(wb):
    """Make the claim of a call outside any run."""
    prompt = wb.prompts.save("say", "Say {{ n }}")
    model = wb.models.choose("fake/echo").config_id

    def make(**fields):
        same = {"run_at": NOW, "prompt_id": prompt.id, "model_config_id": model, "request_digest": "d"}
        return Claim(id=uuid.uuid4(), **{"input_variables": {}, "request_payload": {}, **same, **fields})

    return make


def result(of, **fields):
    return Result(id=of.id, run_at=of.run_at, **{"status": "done", **fields})


def row(connection, of, *columns):
    return connection.execute(
        f"SELECT {', '.join(columns)} FROM wb.executions WHERE id = %s", [of.id]
    ).fetchone()


def test_every_field_comes_back_as_it_was(wb, connection, call):
    made = call(
        input_variables={"n": 1, "ä": ["ö", None, 0.1]}, request_payload=MappingProxyType({"m": {"x": 1}})
    )
    assert claim(connection, wb.scope, [made]) == {made.id}
    tries = (
        Attempt(
            n=1, started_at=NOW, duration_ms=7, http_status=429, error_code="rate_limit", retry_after_ms=0
        ),
        Attempt(n=2, started_at=NOW, duration_ms=9, http_status=200),
    )
    raw = {"choices": [{"text": 'quotes " and \\ and { and \u2028'}], "big": 2**53 + 1, "cost": 1e-7}
    done = result(
        made, response_data=raw, answer='{"a": [1, "\\u00e9"]}', cost=Decimal("0.0000000001"), cost_source="price",
        tokens_total=10, latency_ms=5, provider="x", finish_reason="stop", attempts=tries,
    )  # fmt: skip
    assert finish(connection, [done]) == {made.id}
    assert row(connection, made, "run_at", "input_variables", "request_payload", "response_data", "answer") == (
        NOW, {"n": 1, "ä": ["ö", None, 0.1]}, {"m": {"x": 1}}, raw, done.answer,
    )  # fmt: skip
    assert row(connection, made, "answer_json", "cost_estimate", "tokens_total", "tokens_prompt", "status") == (
        {"a": [1, "é"]}, Decimal("0.0000000001"), 10, None, "done",
    )  # fmt: skip
    stored = connection.execute(
        "SELECT n, started_at, duration_ms, http_status, error_code, retry_after_ms FROM wb.attempts WHERE execution_id = %s ORDER BY n",
        [made.id],
    ).fetchall()
    assert stored == [(1, NOW, 7, 429, "rate_limit", 0), (2, NOW, 9, 200, None, None)]


@pytest.mark.parametrize("odd", ["NUL \0 inside", "half \ud800 a pair", "written out: \\u0000 \\ud800"])
def test_what_postgresql_cannot_hold_is_kept_in_base64(wb, connection, call, odd):
    made, other = call(), call()
    claim(connection, wb.scope, [made, other])
    raw = {"text": odd, "huge": 2**70} if "\\" not in odd else {"text": odd}
    finish(connection, [result(made, response_data=raw, answer=odd), result(other, answer="plain")])
    kept, answer = row(connection, made, "response_data", "answer")
    if kept != raw:
        import base64
        import json

        assert json.loads(base64.b64decode(kept["json"])) == raw
    assert answer == ledger.storable(odd)
    assert row(connection, other, "answer") == ("plain",)


def test_a_result_is_stored_once_and_a_second_one_changes_nothing(wb, connection, call):
    made = call()
    claim(connection, wb.scope, [made])
    first, second = result(made, answer="first"), result(made, answer="second")
    assert committed(connection, [made], []) == {made.id}
    assert committed(connection, [], [first]) == set()
    assert finish(connection, [first]) == {made.id}
    assert finish(connection, [second]) == set()
    assert committed(connection, [], [first]) == {made.id}
    assert row(connection, made, "answer") == ("first",)


def test_a_lost_lease_claims_nothing(wb, connection, call):
    run = wb.run("say", data=[{"n": 1}], progress=False)
    connection.execute("UPDATE wb.runs SET status = 'running', holder = 'mine' WHERE id = %s", [run.id])
    made = call(run_id=run.id, run_at=run.created_at, case_key="k")
    with pytest.raises(ConflictError, match="taken this run over"):
        claim(connection, wb.scope, [made], lease=(run.id, "not mine"))
    assert row(connection, made, "id") is None
    assert claim(connection, wb.scope, [made], lease=(run.id, "mine")) == {made.id}
    again = call(run_id=run.id, run_at=run.created_at, case_key="k")
    assert claim(connection, wb.scope, [again], lease=(run.id, "mine")) == set()


def test_a_result_is_found_by_its_key_however_large_a_young_table_is(wb, connection, call):
    for _ in range(6):
        claims = [call() for _ in range(500)]
        claim(connection, wb.scope, claims)
        results = [result(each, answer="x" * 200) for each in claims]
        finish(connection, results)
    document = ledger._document([{"id": each.id, "kind": "result"} for each in results])
    kept = sql.SQL("EXPLAIN EXECUTE wb_finish_4 ({}, '[]', '{{}}')").format(
        document
    )  # as it was made at the start
    plan = "\n".join(line for (line,) in connection.execute(kept))
    assert (
        plan.count("Index Scan using pk_executions on executions e") == 2
    )  # the row, and the policy of its tries
    assert "ix_executions_project_id" not in plan
    assert "uq_executions_ledger" not in plan


def test_a_statement_is_prepared_again_after_the_driver_forgot_it(wb, connection, call):
    for number in range(6):
        claims = [call() for _ in range(3)]
        assert claim(connection, wb.scope, claims) == {each.id for each in claims}
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT 1")
        for _ in range(
            7
        ):  # now the driver prepares a statement of its own, and clears all others before that
            connection.execute(f"SELECT {number}")
        assert finish(connection, [result(each) for each in claims]) == {each.id for each in claims}


def test_a_statement_works_on_a_pooled_connection_that_rolls_back(wb, connection, call):
    for _ in range(4):
        claims = [call()]
        claim(connection, wb.scope, claims)
        with contextlib.suppress(ZeroDivisionError), wb.database.driver() as pooled:
            finish(pooled, [result(each) for each in claims])
            raise ZeroDivisionError
        with wb.database.driver() as pooled:
            assert finish(pooled, [result(each) for each in claims]) == {claims[0].id}
