"""A report whose notebook does not reach its end is a row that says so, whatever ended it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress

import psutil
import psycopg
import pytest

from workbench.errors import ReportError
from workbench.services.reports import Reports

pytestmark = pytest.mark.slow


@pytest.fixture
def report(wb, tmp_path, monkeypatch):
    """Run a report of these cells; gives its row."""
    monkeypatch.chdir(tmp_path)

    def run(*cells, timeout=None):
        code = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
        content = {
            "cells": [{**code, "id": f"c{n}", "source": cell} for n, cell in enumerate(cells)],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = tmp_path / "nightly.ipynb"
        path.write_text(json.dumps(content))
        with suppress(ReportError):
            Reports(wb).run(str(path), clean=str, timeout=timeout)
        return wb.reports.get()

    return run


def stored(url):
    with psycopg.connect(url.reveal()) as connection:
        query = (
            "SELECT status, error, finished_at IS NOT NULL FROM wb.reports ORDER BY created_at DESC LIMIT 1"
        )
        return connection.execute(query).fetchone()


def test_a_report_that_reaches_its_end_is_complete(report, ann_url):
    report("1", "print('done')")
    assert stored(ann_url) == ("complete", None, True)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import os; os._exit(1)", "the kernel died in cell [2]"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the kernel died in cell [2]"),
        ("import sys; sys.exit(0)", "stopped in cell [2], before its end"),
        ("import time; time.sleep(60)", "cell [2] was still running when its 5 s were over"),
    ],
)
def test_a_report_that_does_not_is_failed_and_says_where(report, ann_url, cell, says):
    row = report("1", cell, "2", timeout=5 if "sleep" in cell else None)
    status, error, finished = stored(ann_url)
    assert (status, finished, row["status"]) == ("failed", True, "failed")
    assert says in error


def test_a_kernel_that_is_killed_from_outside_fails_its_report(report, ann_url, tmp_path):
    def kill():
        deadline = time.monotonic() + 60
        while not (tmp_path / "pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    began = time.monotonic()
    pid = "import os, pathlib, time; p = pathlib.Path('pid.new'); p.write_text(str(os.getpid())); p.rename('pid'); time.sleep(60)"
    report("1", pid, "2")
    thread.join()
    assert time.monotonic() - began < 40
    status, error, _ = stored(ann_url)
    assert (status, "the kernel died in cell [2]" in error) == ("failed", True)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
