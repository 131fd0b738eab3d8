"""A kernel whose clock is a day wrong: whose turn it is, and when something was stored, the database's clock says."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time

import psycopg
import pytest

from tests.invariants import balance
from tests.servers import Reply, ScriptedServer, completion

pytestmark = pytest.mark.slow

DAY = 86_400

# Before anything else is imported: every way that Python code asks what time it is.
WRONG_CLOCK = """
import datetime, os, time
_by = float(os.environ["CLOCK_IS_WRONG_BY"])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _by
time.time_ns = lambda: _time_ns() + int(_by * 1e9)

class datetime_(datetime.datetime):
    __slots__ = ()
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
    @classmethod
    def utcnow(cls):
        return cls.fromtimestamp(time.time(), datetime.timezone.utc).replace(tzinfo=None)
    @classmethod
    def today(cls):
        return cls.now()

datetime.datetime = datetime_
"""

KERNEL = """
import sys
from pathlib import Path
import workbench
from workbench.errors import ConflictError
from workbench.services import holders
from workbench.settings import Settings
holders._PROC = Path("/nowhere")  # as on another machine: whether a kernel lives, its lease alone can tell
url, home, endpoint = sys.argv[1:]
settings = Settings(home=Path(home), endpoints={"mine": endpoint}, model="mine/m")
with workbench.connect(url, settings=settings) as wb:
    wb.prompts.save("say", "Say {{ n }}")
    try:
        run = wb.run("say", data=[{"n": n} for n in range(30)], concurrency=4, progress=False)
        print(run.status, run.counts.done, (wb.ask("say", variables={"n": 99}).text))
    except ConflictError as error:
        print("busy")
"""


@pytest.fixture
def provider(tmp_path):
    """A server that answers after ``provider.delay`` seconds."""
    fine = completion("fine").body
    with ScriptedServer(lambda _: Reply(body=fine, delay=provider.delay), bill=tmp_path / "bill") as provider:
        provider.delay = 0.05
        yield provider


@pytest.fixture
def kernel(ann_url, provider, tmp_path):
    """Start a kernel whose clock is wrong by so many seconds."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(WRONG_CLOCK)
    started = []

    def start(seconds):
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *sys.path]),
            "CLOCK_IS_WRONG_BY": str(seconds),
        }
        command = [sys.executable, "-c", textwrap.dedent(KERNEL)]
        words = [ann_url.reveal(), str(tmp_path / "home"), provider.url]
        started.append(
            subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True, env=environment)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()


def said(process):
    output, _ = process.communicate(timeout=60)
    return output.strip()


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_wrong_clock_changes_neither_the_run_nor_the_times_that_are_stored(kernel, by, admin_url, tmp_path):
    assert said(kernel(by)) == "finished 30 fine"
    with psycopg.connect(admin_url.reveal()) as admin:
        wrong = admin.execute(
            "SELECT count(*) FROM wb.executions WHERE abs(extract(epoch FROM now() - created_at)) > 600"
            " OR abs(extract(epoch FROM now() - finished_at)) > 600 OR finished_at < created_at"
        ).fetchone()
        runs = admin.execute(
            "SELECT count(*) FROM wb.runs WHERE abs(extract(epoch FROM now() - run_at)) > 600"
        ).fetchone()
    assert (wrong, runs) == ((0,), (0,))
    assert balance(tmp_path / "bill", admin_url, told=31, planned=31).broken == []


@pytest.mark.parametrize("by", [DAY, -DAY])
def test_a_kernel_from_tomorrow_does_not_take_a_living_run_and_one_from_yesterday_takes_a_dead_one(
    kernel, provider, by, admin_url, tmp_path
):
    provider.delay = 2
    first = kernel(-by)
    until(lambda: provider.billed >= 4)
    assert said(kernel(by)) == "busy"
    first.kill()
    first.wait()
    assert said(kernel(by)) == "busy"
    provider.delay = 0.05
    with psycopg.connect(admin_url.reveal()) as admin:  # as if a minute had passed
        admin.execute("UPDATE wb.runs SET heartbeat_at = now() - interval '2 min'")
    assert said(kernel(by)) == "finished 30 fine"
    found = balance(tmp_path / "bill", admin_url, kills=1, in_flight=4, told=31, planned=31)
    assert found.broken == []
