"""``wb.runs`` and what a run tells: found by a few characters, summed up by arm, honest about what is missing."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal

import pandas as pd
import psycopg
import pytest

from workbench.db.ledger import Claim, claim, finish, give_up
from workbench.db.ledger import Result as Answer
from workbench.db.run_frames import RUNS, SUMMARY
from workbench.errors import InputError, RunInterruptedError, UnknownReferenceError
from workbench.services.outcome import CURES


@pytest.fixture
def rows():
    return pd.DataFrame({"text": [f"t{n}" for n in range(20)], "label": ["Say t0"] * 20})


@pytest.fixture
def say(wb):
    return wb.prompts.save("say", "Say {{ text }}")


@pytest.fixture
def connection(ann_url):
    with psycopg.connect(ann_url.reveal(), autocommit=True) as connection:
        yield connection


def call(wb, run, n, **fields):
    """Return a call of a run that nobody has made yet."""
    (arm,) = run.plan["arms"]
    return Claim(
        id=uuid.uuid4(),
        run_at=run.created_at,
        run_id=run.id,
        prompt_id=uuid.UUID(arm["prompt_id"]),
        model_config_id=wb.models.choose(arm["model"]).config_id,
        input_variables={},
        request_payload={},
        request_digest=f"d{n}",
        case_key=f"extra {n}",
        **fields,
    )


def partial_run(wb, say, rows, connection):
    """A run of 20 calls, of which 12 were settled when it stopped: 10 done, 2 failed; 3 are of unknown fate."""
    run = wb.run(say, data=rows.head(10), scorers=["equals:@label"], progress=False)
    connection.execute("UPDATE wb.runs SET status = 'running', holder = 'x' WHERE id = %s", [run.id])
    calls = [call(wb, run, n) for n in range(5)]
    claim(connection, wb.scope, calls, lease=(run.id, "x"))
    failed = [
        Answer(id=each.id, run_at=each.run_at, status="failed", error_code="rate_limit", error_message="429")
        for each in calls[:2]
    ]
    finish(connection, failed)
    give_up(connection, run.id, status="unknown", code="unknown", message="gone")
    connection.execute("UPDATE wb.runs SET status = 'stopped', holder = NULL WHERE id = %s", [run.id])
    return run


@pytest.fixture
def partial(wb, say, rows, connection, admin_url):
    run = partial_run(wb, say, rows, connection)
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
        admin.execute("UPDATE wb.runs SET n_planned = 20 WHERE id = %s", [run.id])
        admin.execute("ALTER TABLE wb.executions DISABLE TRIGGER USER")
        admin.execute(
            "UPDATE wb.executions SET reserved = 0.01 WHERE id IN (SELECT id FROM wb.executions WHERE status = 'unknown' LIMIT 2)"
        )
        admin.execute("ALTER TABLE wb.executions ENABLE TRIGGER USER")
    return run.refresh()


def test_runs_are_listed_newest_first_and_found_by_a_few_characters(wb, say, rows):
    empty = wb.runs.list()
    assert list(empty.columns) == list(RUNS)
    assert "no runs yet" in str(empty)
    first = wb.run(say, data=rows.head(2), progress=False)
    second = wb.run(say, model=["fake/echo", "fake/flaky"], data=rows, progress=False)
    found = wb.runs.list()
    assert found["run_id"].tolist() == [str(second.id), str(first.id)]
    newest = found.iloc[0]
    assert (newest["planned"], newest["done"] + newest["failed"]) == (40, 40)
    assert (newest["models"], newest["prompts"]) == ("fake/echo, fake/flaky", "say@1")
    assert 0 <= newest["seconds"] < 30
    assert type(found[found["failed"] > 0]) is pd.DataFrame
    assert second.short_id in str(found)
    assert f"{newest['done']} of 40" in found._repr_mimebundle_()["text/html"]
    assert len(wb.runs.list(1)) == 1
    assert wb.runs.list(status="running").empty
    for name in (first.id, str(first.id), str(first.id)[:8], first.short_id.upper(), first):
        assert wb.runs.get(name).id == first.id


def test_what_names_no_run_is_said(wb, say, rows, admin_url):
    run = wb.run(say, data=rows.head(1), progress=False)
    for name in ("nothing", "12", "", "zzzzzzzz", "x" * 40):
        with pytest.raises(UnknownReferenceError, match="no run's id"):
            wb.runs.get(name)
    with pytest.raises(UnknownReferenceError, match="there is no run"):
        wb.runs.get(uuid.UUID(int=1))
    with pytest.raises(UnknownReferenceError, match="there is no run 00000000"):
        wb.runs.get("00000000")
    twin = uuid.UUID(f"{run.short_id}-0000-4000-8000-000000000000")
    with psycopg.connect(admin_url.reveal()) as admin:
        admin.execute(
            "INSERT INTO wb.runs (id, project_id, user_id, plan, plan_digest, n_planned, status)"
            " SELECT %s, project_id, user_id, plan, 'other', 1, 'stopped' FROM wb.runs WHERE id = %s",
            [twin, run.id],
        )
    with pytest.raises(UnknownReferenceError, match="2 runs begin with") as caught:
        wb.runs.get(run.short_id)
    assert str(twin)[:16] in caught.value.message
    assert wb.runs.get(str(twin)[:13]).id == twin
    with pytest.raises(InputError, match="never 'done'"):
        wb.runs.list(status="done")
    with pytest.raises(InputError, match="limit"):
        wb.runs.list(0)


def test_a_finished_run_is_resumed_only_for_what_failed(wb, say, rows):
    whole = wb.run(say, data=rows.head(3), progress=False)
    assert whole.resume().id == whole.id
    assert len(wb.runs.list()) == 1
    run = wb.run(say, model="fake/flaky", data=rows, progress=False)
    assert run.counts.failed > 0
    again = wb.runs.resume(run.short_id, retry_errors=True, progress=False)
    assert (again.id, again.status) == (run.id, "finished")
    assert len(again.frame()) == 20 + run.counts.failed
    assert again.counts == run.counts


def test_of_two_stopped_runs_of_one_plan_the_named_one_goes_on(wb, say, rows, connection):
    first, second = (wb.run(say, data=rows, resume=False, progress=False) for _ in range(2))
    connection.execute("UPDATE wb.runs SET status = 'stopped'")
    assert wb.runs.resume(first.short_id, progress=False).id == first.id
    assert (first.refresh().status, second.refresh().status) == ("finished", "stopped")
    wb.prompts.rename("say", "tell")
    assert second.resume().status == "finished"
    assert len(wb.runs.list()) == 2


def test_a_resumed_run_is_scored_as_it_was_asked_for(wb, say, rows):
    run = wb.run(say, model="fake/slow", data=rows, scorers=["equals:@label"], concurrency=5, background=True)
    while run.refresh().counts.done < 5:
        pass
    stopped = run.cancel()
    assert stopped.counts.scored == stopped.counts.done < 20
    resumed = stopped.resume()
    assert (resumed.counts.scored, resumed.counts.passed) == (20, 1)


def test_the_summary_has_a_row_for_each_arm_also_before_its_first_call(wb, say, rows):
    wb.prompts.save("say", "Please say {{ text }}")
    run = wb.run(["say@1", "say@2"], model=["fake/echo", "fake/flaky"], data=rows, progress=False)
    table = run.summary()
    assert list(table.columns) == list(SUMMARY)
    assert table["planned"].tolist() == [20] * 4
    assert (table["done"] + table["failed"]).tolist() == [20] * 4
    assert table["done"].sum() == run.counts.done
    assert table["tokens_prompt"].tolist()[0] == sum(-(-len(f"Say t{n}") // 4) for n in range(20))
    assert table["latency_p50_ms"].notna().all()
    assert (table["latency_p99_ms"] >= table["latency_p50_ms"]).all()


def test_a_card_groups_what_failed_and_names_the_cure_of_the_commonest(wb, say, rows):
    run = wb.run(say, model="fake/flaky", data=rows, progress=False)
    commonest = run.failures["error_code"].value_counts().sort_index(kind="stable").sort_values(kind="stable")
    shown = run._repr_mimebundle_()["text/html"]
    for code, n in commonest.items():
        assert f"{n} {code}" in shown
    assert CURES[run.failures["error_code"].value_counts().idxmax()][:20] in shown or len(
        set(commonest)
    ) < len(commonest)
    assert "without an answer:" in str(run)
    assert "PARTIAL" not in str(run)


def test_answers_from_the_cache_are_counted_apart(wb, say, rows):
    wb.run(say, data=rows, options={"temperature": 0}, progress=False)
    table = wb.run(say, data=rows, options={"temperature": 0}, progress=False).summary()
    assert table["cached"].tolist() == [20]
    assert table["latency_p50_ms"].isna().all()
    assert table["tokens_completion"].isna().all()
    assert "from cache" in str(table)


def test_a_partial_run_says_so_and_what_its_lost_calls_may_have_cost(wb, partial):
    assert partial.status == "stopped"
    assert (partial.counts.planned, partial.counts.done, partial.counts.failed, partial.counts.lost) == (
        20,
        10,
        2,
        3,
    )
    for told in (str(partial), str(partial.summary()), partial._repr_mimebundle_()["text/html"]):
        assert "PARTIAL" in told
        assert "of 20 planned calls 10 done, 2 failed, 3 without an answer, 5 not asked yet" in told
        assert "about $0.02 and 1 calls of unknown cost" in told
        assert "2 rate_limit" in told
        assert CURES["rate_limit"] in told
    table = partial.summary()
    assert table["lost_cost"].tolist() == [pytest.approx(0.02)]
    assert table["lost_cost_unknown"].tolist() == [1]
    assert set(partial.failures["status"]) == {"failed", "unknown"}
    listed = wb.runs.list(status="stopped").iloc[0]
    assert listed[["planned", "done", "failed", "lost"]].tolist() == [20, 10, 2, 3]


def test_the_arms_of_a_run_and_two_runs_are_compared(wb, rows):
    wb.prompts.save("say", "Say {{ text }}")
    wb.prompts.save("say", "Please say {{ text }}")
    rows["label"] = [f"Say t{n}" for n in range(20)]
    both = wb.run(["say@1", "say@2"], data=rows, scorers=["equals:@label"], progress=False)
    assert both.compare().effect == -1
    assert both.compare().verdict == "A_BETTER"
    first, second = (wb.run(f"say@{n}", data=rows, scorers=["equals:@label"], progress=False) for n in (1, 2))
    found = second.compare(first)
    assert (found.effect, found.verdict, found.question.metric) == (1, "B_BETTER", "pass")
    assert wb.last is found
    assert first.compare(second, metric="tokens").effect > 0
    with pytest.raises(InputError, match="has 1 arm, and two"):
        first.compare()
    with pytest.raises(InputError, match="has 2 arms"):
        first.compare(both)
    with pytest.raises(InputError, match="no metric"):
        first.compare(second, metric="equals")


def test_a_partial_run_gets_no_verdict(wb, partial, rows, say):
    whole = wb.run(say, model="fake/upper", data=rows.head(10), scorers=["equals:@label"], progress=False)
    found = whole.compare(partial)
    assert found.verdict == "INTERIM"
    assert found.p_value is None
    assert "PARTIAL: of 20 planned calls 10 done, 2 failed, 3 without an answer" in str(found)
    assert "Planned answers are missing" in str(found)


def test_a_test_whose_run_is_partial_gets_no_verdict_though_every_case_was_tried(wb, admin_url):
    wb.prompts.save("say", "Say {{ text }}")
    wb.prompts.save("say", "Please say {{ text }}")
    rows = [{"text": f"t{n}", "label": f"Say t{n}"} for n in range(40)]
    test = wb.ab.create("t", "say@1", "say@2", data=rows, scorers=["equals:@label"], samples=2)
    test.run(progress=False)
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:  # as after a crash
        admin.execute("ALTER TABLE wb.executions DISABLE TRIGGER USER")
        admin.execute(
            "UPDATE wb.executions SET status = 'unknown', passed = NULL WHERE sample = 1 AND case_key < '5'"
        )
        admin.execute("ALTER TABLE wb.executions ENABLE TRIGGER USER")
    found = test.analyze()
    assert found.verdict == "INTERIM"
    assert "PARTIAL: of 160 planned calls" in str(found)
    assert wb.ab.get("t").status != "completed"
    resumed = wb.runs.resume(wb.runs.list()["run_id"][0], retry_errors=True)
    assert resumed.counts.planned == 160


def test_a_run_is_exported_with_its_inputs(wb, say, rows, tmp_path):
    run = wb.run(say, data=rows.assign(text=["=danger", *rows["text"][1:]]), progress=False)
    assert run.export(tmp_path / "a.csv") == tmp_path / "a.csv"
    frame = pd.read_csv(tmp_path / "a.csv")
    assert len(frame) == 20
    assert frame["input_text"][0] == "'=danger"
    assert {"answer", "status", "input_label", "expected", "cost"} <= set(frame.columns)
    lines = run.export(tmp_path / "a.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["input_text"] == "=danger"
    assert dt.datetime.fromisoformat(json.loads(lines[0])["created_at"]).tzinfo
    assert isinstance(run.cost, Decimal)


def test_an_interrupted_run_names_its_id_in_the_cure(wb, say, rows):
    run = wb.run(say, model="fake/slow", data=rows, background=True, concurrency=2)
    run.cancel()
    with pytest.raises(RunInterruptedError) as caught:
        run.wait()
    assert f"wb.runs.resume('{run.short_id}')" in caught.value.cure
