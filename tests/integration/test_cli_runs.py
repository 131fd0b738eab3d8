"""``workbench run …`` as a shell meets it: on a real database, with fake models."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pandas as pd
import psycopg
import pytest

from workbench.cli.app import run_command
from workbench.core.pricing import Price

pytestmark = pytest.mark.slow


@pytest.fixture
def cli(wb, monkeypatch, capsys):
    """Run a command line as ann; returns its exit code, what it printed, and what it said on stderr."""
    monkeypatch.setenv("DATABASE_URL", wb.environment()["DATABASE_URL"])
    monkeypatch.setenv("WORKBENCH_MODEL", "fake/echo")

    def run(*arguments):
        capsys.readouterr()
        code = run_command([str(each) for each in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def reviews(wb, tmp_path):
    wb.prompts.save("tone", "Tone of {{ text }}")
    wb.prompts.save("tone", "Please: tone of {{ text }}")
    path = tmp_path / "reviews.csv"
    frame = pd.DataFrame({"text": [f"t{n}" for n in range(10)], "label": ["Tone of t0"] * 10})
    frame.to_csv(path, index=False)
    return path


def test_a_table_is_answered_from_a_shell(cli, reviews, wb):
    code, out, err = cli(
        "run", "start", "tone@1", "-d", reviews, "-c", "equals:@label", "-r", 2, "-j", 4, "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert (found["status"], found["done"], found["planned"], found["passed"]) == ("finished", 20, 20, 2)
    assert found["arms"][0]["prompt"] == "tone"
    assert (found["partial"], found["alerts"]) == (False, [])
    assert "20/20" in err
    assert wb.runs.get(found["run_id"]).counts.done == 20
    code, out, err = cli(
        "run", "start", "tone@1", "tone@2", "-d", reviews, "-m", "fake/echo", "-m", "fake/upper", "-q"
    )
    assert (code, err) == (0, "")
    assert out.count("10") >= 4
    assert "40 of 40 done" in out


def test_a_dry_run_calls_nothing(cli, reviews, wb):
    code, out, _ = cli("run", "start", "tone@1", "-d", reviews, "--dry-run")
    assert (code, "10 calls = 1 arm × 10 cases × 1 sample" in out, "nothing was sent" in out) == (
        0,
        True,
        True,
    )
    plan = json.loads(cli("run", "start", "tone@1", "-d", reviews, "--dry-run", "--json")[1])
    assert (plan["n_calls"], plan["arms"][0]["calls"]) == (10, 10)
    assert wb.frames.executions().empty


def test_a_saved_dataset_variables_and_failures(cli, reviews, wb):
    wb.datasets.save("saved", [{"text": f"t{n}"} for n in range(20)])
    wb.prompts.save("say", "{{ how }} {{ text }}")
    code, out, _ = cli(
        "run", "start", "say", "-d", "@saved", "-p", "how=loudly", "-m", "fake/flaky", "--json"
    )
    found = json.loads(out)
    assert code == 1
    assert found["failed"] > 0
    assert found["alerts"][0]["code"] == "without an answer"
    assert "loudly t" in wb.runs.get(found["run_id"]).frame()["answer"].dropna().iloc[0]
    before = len(wb.frames.executions())
    cli(
        "run",
        "start",
        "say",
        "-d",
        "saved",
        "-p",
        "how=x",
        "-m",
        "fake/flaky",
        "--retry-errors",
        "--fresh",
        "--no-cache",
        "-q",
    )
    assert len(wb.frames.executions()) == before + 20


def test_what_is_dear_needs_a_yes_or_a_budget(cli, reviews, wb, monkeypatch):
    wb.models.endpoint("dear", "http://127.0.0.1:9/v1")
    from decimal import Decimal

    from workbench.services.models import Models

    price, choose = Price(prompt=Decimal(1), completion=Decimal(1)), Models.choose
    from dataclasses import replace

    monkeypatch.setattr(
        Models, "choose", lambda *given, **named: replace(choose(*given, **named), price=price)
    )
    code, _, err = cli("run", "start", "tone@1", "-d", reviews)
    assert code == 2
    assert "add --yes to run it" in err
    assert "10 calls" in err
    assert wb.frames.executions().empty
    assert cli("run", "start", "tone@1", "-d", reviews, "--yes", "-q")[0] == 0
    assert cli("run", "start", "tone@1", "-d", reviews, "--budget", "1000", "-q")[0] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["tone"], "needs 'text'"),
        (["tone", "-d", "nowhere.csv"], "cannot be read"),
        (["tone", "-d", "nowhere"], "no dataset 'nowhere'"),
        (["tone", "-d", "select 1"], "not SQL"),
        (["tune", "-d", "{csv}"], "did you mean 'tone'"),
        (["tone", "-d", "{csv}", "-c", "equalz"], "equalz"),
        (["tone", "-d", "{csv}", "-p", "x"], "no variable"),
        (["tone", "-d", "{csv}", "-r", "0"], "range"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_called(cli, reviews, wb, words, says):
    code, _, err = cli("run", "start", *(word.replace("{csv}", str(reviews)) for word in words))
    assert code == 2
    assert says in err
    assert wb.frames.executions().empty


def test_runs_are_listed_shown_exported_resumed_and_cancelled(cli, reviews, wb, tmp_path, ann_url):
    run = wb.run("tone@1", data=pd.read_csv(reviews), progress=False)
    with psycopg.connect(ann_url.reveal()) as connection:
        connection.execute("UPDATE wb.runs SET status = 'stopped' WHERE id = %s", [run.id])
    assert [row["run_id"] for row in json.loads(cli("run", "list", "--status", "stopped", "--json")[1])] == [
        str(run.id)
    ]
    assert json.loads(cli("run", "list", "--status", "running", "--json")[1]) == []
    code, out, _ = cli("run", "show", run.short_id)
    assert code == 0
    assert "tone@1" in out
    assert "10 of 10 done" in out
    code, out, _ = cli("run", "resume", run.short_id, "-q")
    assert (code, "finished" in out) == (0, True)
    code, out, _ = cli("run", "cancel", run.short_id, "--json")
    assert json.loads(out)["status"] == "finished"
    code, out, _ = cli("run", "export", run.short_id, tmp_path / "a.csv")
    assert (code, "10 of 10 done" in out) == (0, True)
    assert len(pd.read_csv(tmp_path / "a.csv")) == 10
    assert cli("run", "export", run.short_id, tmp_path / "a.xlsx")[0] == 2
    code, _, err = cli("run", "show", "00000000")
    assert (code, "there is no run 00000000" in err) == (2, True)


def test_ctrl_c_leaves_a_run_that_goes_on(wb, reviews, ann_url, tmp_path):
    import os
    import signal

    environment = {
        **wb.environment(),
        "WORKBENCH_MODEL": "fake/slow",
        "WORKBENCH_HOME": str(tmp_path / "cli"),
    }
    words = [sys.executable, "-m", "workbench", "run", "start", "tone@1", "-d", str(reviews), "-j", "2"]
    process = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while wb.runs.list().empty or wb.runs.list()["done"][0] < 2:
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    run = wb.runs.get(wb.runs.list()["run_id"][0])
    assert (process.returncode, out) == (130, "")
    assert f"wb.runs.resume('{run.short_id}')" in err
    assert run.status == "stopped"
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert "10 of 10 done" in done.stdout
    assert "settled before" in done.stderr
    assert len(wb.runs.list()) == 1
