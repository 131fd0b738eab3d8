"""Runs in the background: they return at once, are watched, stopped, resumed, and lose neither answers nor errors."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

import pandas as pd
import psycopg
import pytest

from tests.servers import Reply, ScriptedServer
from workbench.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConflictError,
    DataError,
    RunInterruptedError,
    UndefinedVariableError,
)

pytestmark = pytest.mark.slow

CHILD = """
import sys, time, pandas as pd, workbench
from pathlib import Path
from workbench.errors import WorkbenchError
from workbench.settings import Settings
wb = workbench.connect(sys.argv[1], settings=Settings(home=Path(sys.argv[2]), model="fake/slow"))
data = pd.DataFrame({"text": [f"review {n}" for n in range(40)]})
"""


@pytest.fixture
def reviews():
    return pd.DataFrame({"text": [f"review {n}" for n in range(40)], "label": ["Tone of: review 0"] * 40})


@pytest.fixture
def tone(wb):
    return wb.prompts.save("tone", "Tone of: {{ text }}")


@pytest.fixture
def child(ann_url, tmp_path):
    """Start a Python of its own on ann's database; whatever is left of it is ended."""
    started = []

    def start(code):
        source = CHILD + textwrap.dedent(code)
        words = [sys.executable, "-c", source, ann_url.reveal(), str(tmp_path / "child")]
        started.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def statuses(url):
    with psycopg.connect(url.reveal()) as connection:
        return dict(connection.execute("SELECT status, count(*) FROM wb.executions GROUP BY 1").fetchall())


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_it_returns_at_once_and_is_waited_for(wb, tone, reviews):
    start = time.monotonic()
    run = wb.run(tone, model="fake/slow", data=reviews, concurrency=20, background=True)
    assert time.monotonic() - start < 1
    assert run.status == "running"
    assert wb.last is run
    assert "/40" in run.progress
    assert "running" in str(run)
    assert run.wait(0.1) is run
    assert run.status == "running"
    wb.last = "something else"
    assert run.wait() is run
    assert (run.status, run.counts.done, run.error) == ("finished", 40, None)
    assert wb.last == "something else"
    assert len(run.frame()) == 40


def test_several_go_on_at_once_and_scores_are_given_at_the_end(wb, tone, reviews):
    runs = [
        wb.run(tone, model="fake/slow", data=reviews.head(5 + n), scorers=["equals:@label"], background=True)
        for n in range(3)
    ]
    assert len(wb.runs.list(status="running")) == 3
    assert [run.wait().counts.scored for run in runs] == [5, 6, 7]
    assert wb.runs.list(status="running").empty


def test_the_same_plan_again_is_the_run_that_goes_on(wb, tone, reviews):
    first = wb.run(tone, model="fake/slow", data=reviews, background=True)
    again = wb.run(tone, model="fake/slow", data=reviews, background=True)
    assert again.id == first.id
    with pytest.raises(ConflictError, match="the background of this kernel"):
        wb.run(tone, model="fake/slow", data=reviews)
    with pytest.raises(ConflictError, match="goes on in the background"):
        first.resume()
    fresh = wb.run(tone, model="fake/slow", data=reviews, background=True, resume=False)
    assert fresh.id != first.id
    first.wait()
    fresh.wait()


def test_what_is_wrong_beforehand_is_said_at_once(wb, tone, reviews):
    with pytest.raises(UndefinedVariableError):
        wb.run(tone, data=reviews[["label"]], background=True)
    with pytest.raises(DataError):
        wb.run(tone, data=[{"text": "a"}], scorers=["equals:@label"], background=True)


def test_cancel_stores_what_was_in_flight_and_the_run_can_be_resumed(wb, tone, reviews, ann_url):
    run = wb.run(tone, model="fake/slow", data=reviews, concurrency=4, background=True)
    until(lambda: statuses(ann_url).get("done", 0) >= 4)
    start = time.monotonic()
    assert run.cancel() is run
    assert time.monotonic() - start < 5
    assert run.status == "stopped"
    assert 4 < run.counts.done < 40
    assert {"sent", "unknown"}.isdisjoint(statuses(ann_url))
    with pytest.raises(RunInterruptedError, match=r"wb\.runs\.resume"):
        run.wait()
    assert "PARTIAL" in str(run)
    resumed = wb.runs.resume(run.short_id, background=True).wait()
    assert resumed.id == run.id
    assert (resumed.status, resumed.counts.done) == ("finished", 40)
    assert statuses(ann_url)["done"] == 40
    assert wb.runs.cancel(run).status == "finished"


def test_an_error_is_shown_and_raised_by_whoever_waits(wb, tone, reviews):
    refused = Reply(status=401, body=b'{"error": {"message": "no such key", "code": 401}}')
    with ScriptedServer(refused) as server:
        wb.models.endpoint("mine", server.url)
        run = wb.run(tone, model="mine/m", data=reviews, background=True)
        with pytest.raises(AuthenticationError):
            run.wait()
    assert isinstance(run.error, AuthenticationError)
    shown = run._repr_mimebundle_()["text/html"]
    assert "AuthenticationError" in shown
    assert run.error.cure.split()[0] in shown
    assert "AuthenticationError" in str(run)


def test_what_a_persons_own_scorer_raises_is_not_lost(wb, tone, reviews, monkeypatch):
    class Broken:
        name = "broken"

        def score(self, _answer, _case):
            raise ZeroDivisionError("mine")

    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.append(arguments.exc_type))
    run = wb.run(tone, data=reviews, scorers=[Broken()], background=True)
    with pytest.raises(ZeroDivisionError, match="mine"):
        run.wait()
    assert run.refresh().counts.done == 40
    until(lambda: seen == [ZeroDivisionError])


def test_an_interrupt_of_waiting_leaves_the_run_alone(wb, tone, reviews):
    import os
    import signal

    run = wb.run(tone, model="fake/slow", data=reviews, concurrency=20, background=True)
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(RunInterruptedError, match="goes on"):
        run.wait()
    assert run.wait().status == "finished"


def test_a_run_of_another_kernel_loses_its_lease_and_says_why(wb, tone, child, ann_url):
    process = child(
        """
        try:
            wb.run("tone", data=data, concurrency=2, progress=False)
        except WorkbenchError as error:
            print(type(error).__name__, error)
        """
    )
    until(lambda: statuses(ann_url).get("done", 0) >= 2)
    (run_id,) = wb.runs.list(status="running")["run_id"]
    run = wb.runs.get(run_id[:8])
    assert "/40" in run.progress or "of 40" in run.progress
    assert run.cancel().status == "stopped"
    out, err = process.communicate(timeout=30)
    assert "RunInterruptedError the run was stopped from elsewhere" in out, err
    assert f"wb.runs.resume('{run.short_id}')" in out
    found = statuses(ann_url)
    assert {"sent", "unknown"}.isdisjoint(found)
    assert run.refresh().counts.done == found["done"] < 40
    with psycopg.connect(ann_url.reveal()) as connection:
        row = connection.execute("SELECT status, holder FROM wb.runs").fetchone()
    assert row == ("stopped", None)
    assert run.resume().counts.done == 40


def test_another_kernels_run_is_waited_for(wb, tone, child, ann_url):
    process = child('wb.run("tone", data=data.head(6), concurrency=2, progress=False)')
    until(lambda: statuses(ann_url).get("sent", 0) > 0)
    run = wb.runs.get(wb.runs.list()["run_id"][0])
    assert run.status == "running"
    assert run.wait(timeout=30).status == "finished"
    process.communicate(timeout=30)


def test_leaving_the_kernel_stops_it_cleanly_and_it_is_resumed(wb, tone, child, ann_url):
    process = child(
        """
        run = wb.run("tone", data=data, concurrency=4, background=True)
        while run.refresh().counts.done < 4:
            time.sleep(0.05)
        """
    )
    start = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 20
    assert (process.returncode, err) == (0, ""), out
    found = statuses(ann_url)
    assert {"sent", "unknown"}.isdisjoint(found)
    run = wb.runs.get(wb.runs.list()["run_id"][0])
    assert (run.status, run.counts.done) == ("stopped", found["done"])
    assert run.resume().counts.done == 40


def test_a_run_whose_kernel_was_killed_is_stopped_after_its_lease(wb, tone, child, ann_url):
    process = child('wb.run("tone", data=data, concurrency=2, progress=False)')
    until(lambda: statuses(ann_url).get("done", 0) >= 2)
    process.kill()
    process.wait()
    run = wb.runs.get(wb.runs.list()["run_id"][0])
    assert run.status == "running"
    assert run.counts.in_flight > 0
    with psycopg.connect(ann_url.reveal()) as connection:
        connection.execute("UPDATE wb.runs SET heartbeat_at = now() - interval '2 min'")
    assert run.refresh().status == "stopped"
    assert (run.counts.in_flight, run.counts.lost > 0) == (0, True)
    assert wb.runs.list()["status"].tolist() == ["stopped"]
    assert run.cancel().status == "stopped"
    assert "sent" not in statuses(ann_url)
    assert statuses(ann_url)["unknown"] == run.counts.lost


def test_somebody_elses_run_cannot_be_cancelled(wb, bobs_wb, tone, reviews, ann_url):
    run = wb.run(tone, data=reviews.head(2), progress=False)
    with psycopg.connect(ann_url.reveal()) as connection:
        connection.execute("UPDATE wb.projects SET is_public = true")
    theirs = bobs_wb.runs.get(run.id)
    with pytest.raises(AccessDeniedError, match="somebody else's"):
        theirs.cancel()
    with pytest.raises(ConflictError, match="another project"):
        theirs.resume()
    with psycopg.connect(ann_url.reveal()) as connection:
        connection.execute("UPDATE wb.runs SET status = 'stopped'")
    bobs_wb.project_id = wb.project_id
    with pytest.raises(ConflictError, match="somebody else's"):
        theirs.refresh().resume()
    assert len(theirs.frame()) == 2


def test_closing_the_workbench_stops_what_goes_on(ann_url, tmp_path, wb, tone, reviews):
    import workbench
    from workbench.settings import Settings

    settings = Settings(home=tmp_path / "other", model="fake/slow")
    with workbench.connect(ann_url.reveal(), settings=settings) as other:
        other.run("tone", data=reviews, concurrency=2, background=True)
        until(lambda: statuses(ann_url).get("done", 0) >= 2)
    assert "sent" not in statuses(ann_url)
    assert wb.runs.list()["status"].tolist() == ["stopped"]
