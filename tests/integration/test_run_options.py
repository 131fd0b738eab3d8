"""Every option of the magics' run family, on fake models in a real IPython shell."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest

from workbench.analysis import Comparison
from workbench.core.pricing import Price
from workbench.errors import ConfirmationNeededError, OptionError
from workbench.services.estimating import Plan
from workbench.services.listing import Listing
from workbench.services.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def df(shell, cell):
    cell("%%prompt tone -N\nTone of {{ text }}")
    shell.user_ns["df"] = pd.DataFrame(
        {"text": [f"t{n}" for n in range(12)], "label": [f"Tone of t{n % 6}" for n in range(12)]}
    )
    return shell.user_ns["df"]


def made(wb):
    return int((wb.frames.executions()["cost_source"] != "cache").sum())


def test_every_option_does_what_it_says(cell, df, wb, shell):
    plan = cell("%prompt tone -d df -r 2 --dry-run")
    assert isinstance(plan, Plan)
    assert (plan.n_calls, made(wb)) == (24, 0)

    run = cell("%prompt tone -d df -r 2 -j 3 -c equals:@label -t 0")  # -d -r -j, and what goes with them
    assert isinstance(run, Run)
    assert (run.counts.done, run.counts.passed, made(wb)) == (24, 12, 24)
    assert "24/24" in cell.out.err

    quiet = cell("%prompt tone -d df -r 2 -t 0 -q")  # from the cache
    assert (cell.out.err, quiet.counts.cached, made(wb)) == ("", 24, 24)
    fresh = cell("%prompt tone -d df -r 2 -t 0 --no-cache -q")
    assert (fresh.counts.cached, made(wb)) == (0, 48)

    flaky = cell("%prompt tone -d df -m fake/flaky -q")
    failed = flaky.counts.failed
    assert failed > 0
    again = cell("%prompt tone -d df -m fake/flaky -q")
    assert again.id != flaky.id  # a finished run is made anew
    retried = again.resume(retry_errors=True)
    assert (retried.id, len(retried.frame())) == (again.id, 12 + failed)

    assert cell("%prompt tone -d df --budget 0.01 --yes -q").counts.done == 12
    assert isinstance(
        cell("%%prompt tone -d df -c equals:@label --vs 1 -j 2 --yes -q\nPlease: {{ text }}"), Comparison
    )


def test_bg_returns_at_once_and_fresh_and_resume_choose_the_run(cell, df, wb, shell):
    assert cell("%prompt run1 << tone -d df -m fake/slow -j 3 --bg") is None
    run = shell.user_ns["run1"]
    assert run.status == "running"
    assert (
        f"run {run.short_id} goes on in the background: run1.progress, run1.wait(), run1.cancel()"
        in cell.out.err
    )
    while run.refresh().counts.done < 3:
        pass
    run.cancel()
    going_on = cell("%prompt tone -d df -m fake/slow -j 12 --dry-run")
    assert going_on.settled == run.counts.done
    assert cell("%prompt tone -d df -m fake/slow -j 12 --dry-run --fresh").settled == 0
    fresh = cell("%prompt tone -d df -m fake/slow -j 12 --fresh --bg -q")
    assert (fresh.id != run.id, cell.out.err) == (True, "")
    assert fresh.wait().counts.done == 12
    resumed = cell("%prompt tone -d df -m fake/slow -j 12 -q")
    assert (resumed.id, resumed.counts.done) == (run.id, 12)
    assert "resumed" not in cell.out.err


def test_retry_errors_asks_again_where_an_unfinished_run_has_failed(cell, df, wb, shell):
    cell("failing = df.assign(text=['x'] * 12)")
    run = cell("%prompt tone -d df -m fake/flaky -q")
    import psycopg

    with psycopg.connect(wb.database.url.reveal()) as connection:
        connection.execute("UPDATE wb.runs SET status = 'stopped' WHERE id = %s", [run.id])
    same = cell("%prompt tone -d df -m fake/flaky -q")
    assert (same.id, len(same.frame())) == (run.id, 12)
    with psycopg.connect(wb.database.url.reveal()) as connection:
        connection.execute("UPDATE wb.runs SET status = 'stopped' WHERE id = %s", [run.id])
    retried = cell("%prompt tone -d df -m fake/flaky --retry-errors -q")
    assert (retried.id, len(retried.frame())) == (run.id, 12 + run.counts.failed)


def test_one_call_can_go_on_in_the_background_too(cell, df):
    run = cell("%prompt tone -p text=alone -m fake/slow --bg")
    assert run.wait().frame()["answer"].tolist() == ["Tone of alone"]


def test_a_dear_plan_waits_for_a_yes(cell, df, wb):
    wb.models.endpoint("dear", "http://127.0.0.1:9/v1")
    dear = replace(wb.models.choose("dear/m"), price=Price(prompt=Decimal(1), completion=Decimal(1)))
    echo = replace(wb.models.choose("fake/echo"), price=dear.price)
    wb.models._chosen["fake/echo"] = echo
    with pytest.raises(ConfirmationNeededError, match="this would cost about"):
        cell("%prompt tone -d df -q")
    with pytest.raises(ConfirmationNeededError):
        cell("%prompt tone -d df --bg -q")
    assert wb.frames.executions().empty
    assert cell("%prompt tone -d df --yes -q").counts.done == 12
    assert cell("%prompt tone -d df --budget 1000 -q").counts.done == 12


@pytest.mark.parametrize("option", ["--bg", "--fresh", "--retry-errors"])
def test_what_a_test_cannot_do_is_refused(cell, df, wb, option):
    with pytest.raises(OptionError, match=f"{option} does not go with --vs") as caught:
        cell(f"%%prompt tone -d df -c equals:@label --vs 1 {option}\nPlease: {{{{ text }}}}")
    assert f"leave {option} out" in caught.value.cure
    assert wb.frames.executions().empty


def test_runs_are_listed_and_shown_by_promptcmd(cell, df):
    run = cell("%prompt tone -d df -q")
    listed = cell("%promptcmd runs -n 5")
    assert isinstance(listed, Listing)
    assert listed["run_id"].tolist() == [str(run.id)]
    assert cell(f"%promptcmd runs {run.short_id}").id == run.id
