"""Runs: every call a durable row, settled calls never asked again, failures told and kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pandas as pd
import psycopg
import pytest

from workbench.db import frames
from workbench.errors import (
    BudgetError,
    ConflictError,
    DataError,
    InputError,
    RunInterruptedError,
    UndefinedVariableError,
    UnknownModelError,
    UnknownReferenceError,
)
from workbench.services import holders


@pytest.fixture
def reviews():
    return pd.DataFrame(
        {"text": [f"review {n}" for n in range(20)], "label": [f"Tone of: review {n % 2}" for n in range(20)]}
    )


@pytest.fixture
def tone(wb):
    return wb.prompts.save("tone", "Tone of: {{ text }}")


def statuses(url):
    with psycopg.connect(url.reveal()) as connection:
        return dict(connection.execute("SELECT status, count(*) FROM wb.executions GROUP BY 1").fetchall())


def test_a_run_stores_one_row_a_call_and_gives_it_as_a_frame(wb, tone, reviews, ann_url):
    run = wb.run(tone, data=reviews, samples=2, scorers=["equals:@label"], progress=False)
    assert (run.status, run.counts.done, run.counts.planned) == ("finished", 40, 40)
    assert statuses(ann_url) == {"done": 40}
    frame = run.frame()
    assert list(frame.columns) == list(frames.EXECUTIONS)
    assert set(frame["answer"]) == {f"Tone of: review {n}" for n in range(20)}
    assert frame["passed"].sum() == 4
    assert wb.last is run
    with psycopg.connect(ann_url.reveal()) as connection:
        assert connection.execute("SELECT count(*) FROM wb.attempts").fetchone()[0] >= 40
        assert connection.execute("SELECT count(*) FROM wb.evaluations").fetchone() == (40,)


def test_versions_times_models(wb, tone, reviews):
    wb.prompts.save("tone", "What tone has {{ text }}?")
    run = wb.run(
        ["tone@1", "tone@2"], model=["fake/echo", "fake/upper"], data=reviews.head(3), progress=False
    )
    summary = run.summary()
    assert len(summary) == 4
    assert summary["calls"].tolist() == [3, 3, 3, 3]


def test_a_finished_run_is_made_anew_and_deterministic_answers_come_from_the_cache(wb, tone, reviews):
    first = wb.run(tone, data=reviews, options={"temperature": 0}, progress=False)
    second = wb.run(tone, data=reviews, options={"temperature": 0}, progress=False)
    third = wb.run(tone, data=reviews, options={"temperature": 0}, cache="off", progress=False)
    warm = wb.run(tone, data=reviews, options={"temperature": 0.7}, progress=False)
    again = wb.run(tone, data=reviews, options={"temperature": 0.7}, progress=False)
    assert len({run.id for run in (first, second, third)}) == 3
    assert [run.counts.cached for run in (first, second, third, warm, again)] == [0, 20, 0, 0, 0]
    assert set(second.frame()["cost_source"]) == {"cache"}


def test_an_interrupted_run_keeps_its_answers_and_resumes_where_it_stopped(wb, tone, reviews, ann_url):
    def interrupt():
        while statuses(ann_url).get("done", 0) < 3:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(RunInterruptedError, match="answered and stored"):
        wb.run(tone, model="fake/slow", data=reviews, concurrency=2, progress=False)
    thread.join()
    stopped = wb.last
    assert stopped.status == "stopped"
    assert 3 <= stopped.counts.done < 20
    assert "sent" not in statuses(ann_url)
    resumed = stopped.resume()
    assert resumed.id == stopped.id
    assert (resumed.status, resumed.counts.done) == ("finished", 20)
    assert statuses(ann_url)["done"] == 20


@pytest.mark.parametrize("told", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["seen", "lease"])
def test_after_kill_9_the_run_is_resumed_and_no_answered_case_is_asked_again(
    wb, tone, reviews, ann_url, tmp_path, monkeypatch, told
):
    script = textwrap.dedent(
        """
        import sys, pandas as pd, workbench
        from workbench.settings import Settings
        from pathlib import Path
        wb = workbench.connect(sys.argv[1], settings=Settings(home=Path(sys.argv[2]), model="fake/slow"))
        data = pd.DataFrame({"text": [f"review {n}" for n in range(20)], "label": [f"Tone of: review {n % 2}" for n in range(20)]})
        wb.run("tone", data=data, concurrency=2, progress=False)
        """
    )
    child = subprocess.Popen([sys.executable, "-c", script, ann_url.reveal(), str(tmp_path / "child")])
    while statuses(ann_url).get("done", 0) < 3:
        assert child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    done = statuses(ann_url)["done"]
    if not told:  # as on another machine
        monkeypatch.setattr(holders, "_PROC", tmp_path)
        with pytest.raises(ConflictError, match="another kernel"):
            wb.run("tone", model="fake/slow", data=reviews, concurrency=2, progress=False)
        with psycopg.connect(ann_url.reveal()) as connection:  # as if a minute had passed
            connection.execute("UPDATE wb.runs SET heartbeat_at = now() - interval '2 min'")
    run = wb.run("tone", model="fake/slow", data=reviews, concurrency=20, progress=False)
    found = statuses(ann_url)
    assert run.counts.done == 20
    assert found["done"] == 20
    # in flight; answered but not committed; claimed ahead
    assert found.get("unknown", 0) <= 2 + 2 + 2
    assert done <= 20 - len(run.frame().query("status == 'unknown'"))


def test_a_failure_is_a_row_and_can_be_retried(wb, tone, reviews):
    run = wb.run(tone, model="fake/flaky", data=reviews, progress=False)
    assert run.counts.failed == len(run.failures) > 0
    assert run.failures["error_code"].notna().all()
    assert run.counts.done + run.counts.failed == 20
    assert f"{run.counts.failed} failed" in str(run)


def test_what_would_fail_is_said_before_the_first_call(wb, tone, reviews, ann_url):
    with pytest.raises(UndefinedVariableError, match="did you mean 'texts'"):
        wb.run(tone, data=reviews.rename(columns={"text": "texts"}))
    with pytest.raises(DataError, match="no rows"):
        wb.run(tone, data=reviews.iloc[:0])
    with pytest.raises(DataError, match="row 1 has no value"):
        wb.run(tone, data=[{"text": "a"}, {"text": None}])
    with pytest.raises(UnknownModelError):
        wb.run(tone, model="nonsense", data=reviews)
    with pytest.raises(UnknownReferenceError, match="did you mean 'tone'"):
        wb.run("tune", data=reviews)
    with pytest.raises(UnknownReferenceError):
        wb.run(tone, data="nowhere")
    with pytest.raises(DataError, match="data of type int"):
        wb.run(tone, data=3)
    with pytest.raises(InputError, match="samples"):
        wb.run(tone, data=reviews, samples=0)
    with pytest.raises(InputError):
        wb.run(tone, data=reviews, scorers=["equalz"])
    assert statuses(ann_url) == {}


def test_a_budget_without_a_known_price_is_refused(wb, tone, reviews, monkeypatch):
    wb.models.endpoint("mine", "http://127.0.0.1:9/v1")
    with pytest.raises(BudgetError, match="price of mine/m"):
        wb.run(tone, model="mine/m", data=reviews, budget=1.0)


def test_a_prompt_maps_over_a_table(wb, tone, reviews):
    assert tone.map(reviews.head(2), progress=False).frame()["answer"].tolist() == [
        "Tone of: review 0",
        "Tone of: review 1",
    ]


def test_variables_alone_are_one_case(wb, tone):
    run = wb.run(tone, variables={"text": "once"}, samples=3, progress=False)
    assert run.frame()["answer"].tolist() == ["Tone of: once"] * 3


def test_json_answers_become_typed_columns(wb):
    wb.prompts.save("json", '{"label": "{{ word }}", "confidence": {{ sure }}}')
    run = wb.run("json", data=[{"word": "a", "sure": 0.5}, {"word": "b", "sure": 1}], progress=False)
    frame = run.frame(fields={"label": "text", "confidence": "float8"}).sort_values("label")
    assert frame["label"].tolist() == ["a", "b"]
    assert frame["confidence"].tolist() == [0.5, 1.0]
    with pytest.raises(DataError, match="'label' is not always float8"):
        run.frame(fields={"label": "float8"})
    with pytest.raises(InputError, match="unknown type"):
        run.frame(fields={"label": "strng"})


def test_a_plan_calls_nothing(wb, tone, reviews, ann_url):
    plan = wb.plan(tone, data=reviews, samples=2)
    assert plan.n_calls == 40
    assert plan.cost == 0
    assert "nothing was sent" in str(plan)
    assert statuses(ann_url) == {}


def test_two_kernels_cannot_both_claim_a_call(wb, tone, ann_url):
    """The unique index, asked directly: of many claims of one call one wins."""
    import datetime as dt
    import uuid

    from workbench.db.ledger import Claim, claim

    model = wb.models.choose("fake/echo").config_id
    run = wb.run(tone, variables={"text": "x"}, samples=2, progress=False)
    key = {"run_id": run.id, "run_at": run.created_at, "case_key": "k", "sample": 0}

    def one():
        claimed = Claim(
            id=uuid.uuid4(),
            prompt_id=tone.id,
            model_config_id=model,
            input_variables={},
            request_payload={},
            request_digest="d",
            **key,
        )
        with wb.database.driver() as connection:
            won.append(len(claim(connection, wb.scope, [claimed])))

    won: list[int] = []
    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [0] * 7 + [1]
    assert isinstance(run.created_at, dt.datetime)
