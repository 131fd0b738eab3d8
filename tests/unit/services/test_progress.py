"""Progress: its line says what became of the calls, and is no prophet before it can be one."""

from __future__ import annotations

import io
import time
from decimal import Decimal

import pytest

from workbench.services.progress import Progress, TextReporter


def at(seconds, **counts):
    return Progress(started=time.monotonic() - seconds, **counts)


def test_the_line_counts_what_went_well_failed_was_lost_and_what_it_costs():
    progress = at(10, total=100, label="tone@3", done=40, failed=2, lost=1, cached=5, tokens=4000)
    progress.cost, progress.note = Decimal("0.0123"), "waiting for the rate limit"
    line = progress.line()
    assert line.startswith(
        "tone@3: 43/100 · 2 failed · 1 lost · 5 from cache · 4.3/s · 400 tok/s · $0.0123 · 13 s left"
    )
    assert line.endswith(" · waiting for the rate limit")


def test_unknown_costs_are_said():
    assert "cost unknown" in at(5, total=10, done=3, cost_unknown=True).line()
    known = at(5, total=10, done=3, cost_unknown=True, cost=Decimal("0.5"))
    assert "$0.5 and more, unknown" in known.line()


@pytest.mark.parametrize(("seconds", "done"), [(0, 0), (0.5, 20), (5, 0), (5, 2)])
def test_at_the_start_no_time_is_promised(seconds, done):
    assert "left" not in at(seconds, total=100, done=done).line()


def test_what_was_settled_before_does_not_make_it_look_fast():
    resumed = at(10, total=1000, before=900, done=10)
    assert resumed.settled == 910
    assert "910/1,000 · 1.0/s" in resumed.line()
    assert resumed.left == pytest.approx(90, rel=0.05)


def test_a_burst_at_the_start_is_forgotten():
    progress = at(100, total=1000, done=500)
    now = time.monotonic()
    progress._marks.extend([(now - 60, 499, 0), (now - 30, 499, 0), (now - 10, 499, 0)])
    assert progress.left > 1000


def test_at_the_end_the_line_sums_up():
    progress = at(20, total=40, done=39, failed=1, tokens=1234)
    assert progress.line() == "40/40 · 1 failed · 2.0/s · 1,234 tok · $0 · 20 s"


def test_the_shares_are_of_all_calls():
    assert at(1, total=10, before=2, done=3, failed=1, lost=1).shares == (0.5, 0.1, 0.1)
    assert Progress(total=0).shares == (0, 0, 0)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_one_line_that_is_redrawn_and_never_wraps(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    reporter = TextReporter(stream)
    progress = at(10, total=100, label="a title that is quite long for a terminal", done=50)
    reporter.update(progress)
    reporter.update(progress)  # too soon
    progress.label = ""
    reporter.close(progress)
    lines = stream.getvalue().removesuffix("\n").split("\r")[1:]
    assert [len(line) for line in lines] == [39, 39]
    assert lines[0].endswith("…")
    assert stream.getvalue().count("\n") == 1


def test_a_file_gets_the_last_line_only():
    stream = io.StringIO()
    reporter = TextReporter(stream)
    reporter.update(Progress(total=1))
    reporter.close(Progress(total=1, done=1))
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("1/1")
