"""Real kernels that are interrupted, paused and killed in the middle of paid work."""

from __future__ import annotations

import time

import psycopg
import pytest

from tests.invariants import balance
from tests.kernel import Kernel
from tests.proxy import DatabaseProxy, Fault
from tests.servers import Reply, ScriptedServer, completion
from workbench.services.workbench import connect
from workbench.settings import Settings

pytestmark = pytest.mark.slow

FINE = completion("fine").body
START = """
%load_ext workbench
import workbench
wb = workbench.connect()
data = [{"n": n} for n in range(24)]
"""
RUN = "run = wb.run('say', data=data, concurrency=4, progress=False); print(run.status, run.counts.done)"


@pytest.fixture
def proxy(ann_url):
    with DatabaseProxy(ann_url) as proxy:
        yield proxy


@pytest.fixture
def provider(tmp_path):
    """A server that answers after 0.2 s; ``slow.reply`` may be changed."""
    with ScriptedServer(lambda _: provider.reply, bill=tmp_path / "bill") as provider:
        provider.reply = Reply(body=FINE, delay=0.2)
        yield provider


@pytest.fixture
def kernel(ann_url, proxy, provider, tmp_path):
    """Make a kernel that is connected through the proxy."""
    settings = Settings(home=tmp_path / "home", endpoints={"mine": provider.url}, model="mine/m")
    with connect(ann_url.reveal(), settings=settings) as wb:
        wb.prompts.save("say", "Say {{ n }}")
    with Kernel(
        {
            "DATABASE_URL": proxy.url.reveal(),
            "WORKBENCH_HOME": str(tmp_path / "home"),
            "WORKBENCH_MODEL": "mine/m",
            "WORKBENCH_ENDPOINT_MINE": provider.url,
        }
    ) as kernel:
        assert kernel.run(START).error == ""
        yield kernel


@pytest.fixture
def rows(admin_url):
    def read():
        with psycopg.connect(admin_url.reveal()) as connection:
            query = "SELECT status || coalesce(' ' || error_code, ''), count(*) FROM wb.executions GROUP BY 1"
            return dict(connection.execute(query).fetchall())

    return read


@pytest.fixture
def in_balance(admin_url, tmp_path):
    def check(**facts):
        found = balance(tmp_path / "bill", admin_url, home=tmp_path / "home", **facts)
        assert found.broken == [], found
        return found

    return check


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def completes(kernel):
    """The kernel can be used at once, and the same run again gives every answer."""
    assert kernel.run("1 + 1", seconds=5).text == "2"
    assert kernel.run(RUN).text == "finished 24\n"


def test_the_first_interrupt_lets_what_is_in_flight_finish(kernel, provider, rows, in_balance):
    kernel.start(RUN)
    until(lambda: provider.billed >= 6)
    kernel.interrupt()
    began = time.monotonic()
    outcome = kernel.wait()
    assert time.monotonic() - began < 2
    assert outcome.error == "RunInterruptedError"
    assert len(outcome.traceback.splitlines()) <= 3
    assert set(rows()) <= {"done", "lost not_sent"}
    stored = rows()["done"]
    assert f"{stored} of 24 calls are answered and stored" in outcome.traceback
    assert stored == len(provider.asked)
    completes(kernel)
    assert len(provider.asked) == 24
    in_balance(told=24, planned=24)


def test_the_second_interrupt_waits_for_nothing(kernel, provider, rows, in_balance):
    kernel.start(RUN)
    until(lambda: provider.billed >= 4)
    provider.reply = Reply(body=FINE, delay=30)
    until(lambda: provider.in_flight == 4)
    time.sleep(0.5)
    kernel.interrupt()
    time.sleep(1)
    kernel.interrupt()
    began = time.monotonic()
    outcome = kernel.wait()
    assert time.monotonic() - began < 3
    assert outcome.error == "RunInterruptedError"
    assert rows()["unknown interrupted"] >= 4
    assert "sent" not in rows()
    provider.reply = Reply(body=FINE, delay=0.05)
    completes(kernel)
    in_balance(told=24, planned=24)


def test_what_is_in_flight_is_waited_for_ten_seconds_and_then_unknown(kernel, provider, rows, in_balance):
    kernel.start(RUN)
    until(lambda: provider.billed >= 4)
    provider.reply = Reply(body=FINE, delay=60)
    until(lambda: provider.in_flight == 4)
    time.sleep(0.5)
    kernel.interrupt()
    began = time.monotonic()
    outcome = kernel.wait()
    assert 9 < time.monotonic() - began < 13
    assert outcome.error == "RunInterruptedError"
    assert rows()["unknown interrupted"] >= 4
    provider.reply = Reply(body=FINE, delay=0.05)
    completes(kernel)
    in_balance(told=24, planned=24)


@pytest.mark.parametrize("statement", ["INSERT INTO wb.executions", "UPDATE wb.executions"])
def test_an_interrupt_while_the_ledger_commits_loses_nothing(
    kernel, proxy, provider, rows, in_balance, statement
):
    provider.reply = Reply(body=FINE, delay=0.02)
    slow = proxy.break_at(3, Fault(kind="slow", seconds=1.5), matching=statement)
    kernel.start(RUN)
    until(slow.is_set)
    time.sleep(0.2)
    kernel.interrupt()
    outcome = kernel.wait()
    assert outcome.error == "RunInterruptedError"
    assert set(rows()) <= {"done", "lost not_sent"}
    assert rows()["done"] == len(provider.asked)
    completes(kernel)
    assert len(provider.asked) == 24
    in_balance(told=24, planned=24)


def test_an_interrupt_while_a_run_is_opened_pays_nothing_and_leaves_it_free(
    kernel, proxy, provider, in_balance
):
    kernel.run("data = wb.datasets.save('rows', data)")
    opened = proxy.break_at(1, Fault(kind="slow", seconds=1.5), matching="INSERT INTO wb.runs")
    kernel.start(RUN)
    until(opened.is_set)
    proxy.break_at(1, Fault(kind="slow", seconds=1.5), matching="COMMIT")
    time.sleep(1.7)  # now it is the COMMIT that is on its way
    kernel.interrupt()
    assert kernel.wait().error in {"KeyboardInterrupt", "RunInterruptedError"}
    assert provider.asked == []
    completes(kernel)
    in_balance(told=24, planned=24)


def test_an_interrupt_while_a_run_is_ended_leaves_it_whole(kernel, proxy, provider, in_balance):
    provider.reply = Reply(body=FINE, delay=0.02)
    ended = proxy.break_at(1, Fault(kind="slow", seconds=1.5), matching="UPDATE wb.runs SET status")
    kernel.start(RUN)
    until(ended.is_set)
    time.sleep(0.2)
    kernel.interrupt()
    assert kernel.wait().error in {"KeyboardInterrupt", "RunInterruptedError", ""}
    completes(kernel)
    found = in_balance(told=24)
    assert found.billed in {24, 48}  # a run that was ended in spite of it is made anew


SHORT_LEASE = """
import workbench.db.engine, workbench.db.ledger_writer, workbench.db.queries.runs
workbench.db.engine.IDLE_SECONDS = 3
workbench.db.ledger_writer.HEARTBEAT_SECONDS, workbench.db.queries.runs.LEASE_SECONDS = 0.5, 3
"""


def test_a_kernel_that_slept_beyond_its_lease_sends_nothing_more_and_says_who_has_its_run(
    kernel, provider, rows, in_balance, ann_url, tmp_path
):
    assert kernel.run(SHORT_LEASE).error == ""
    provider.reply = Reply(body=FINE, delay=1)
    kernel.start(RUN)
    until(lambda: provider.billed >= 4 and provider.in_flight == 4)
    time.sleep(0.2)  # every call that was begun is on its way; the next ones are claimed already
    kernel.pause()
    provider.reply = Reply(body=FINE, delay=0.05)
    with Kernel(
        {
            "DATABASE_URL": ann_url.reveal(),
            "WORKBENCH_HOME": str(tmp_path / "other"),
            "WORKBENCH_MODEL": "mine/m",
            "WORKBENCH_ENDPOINT_MINE": provider.url,
        }
    ) as other:
        assert other.run(SHORT_LEASE + START).error == ""
        time.sleep(3)
        assert other.run(RUN).text == "finished 24\n"
    asked = len(provider.asked)
    kernel.go_on()
    outcome = kernel.wait()
    assert outcome.error == "ConflictError"
    assert "another kernel has taken this run over" in outcome.traceback
    assert rows()["done"] == 24
    assert len(provider.asked) == asked
    in_balance(kills=1, in_flight=4, told=24, planned=24)


def test_a_kernel_that_sleeps_in_a_transaction_keeps_the_others_waiting_no_longer_than_its_lease(
    ann_url, proxy, provider, in_balance, tmp_path
):
    environment = {
        "WORKBENCH_MODEL": "mine/m",
        "WORKBENCH_ENDPOINT_MINE": provider.url,
        "WORKBENCH_HOME": str(tmp_path / "home"),
    }
    provider.reply = Reply(body=FINE, delay=0.02)
    with (
        Kernel({**environment, "DATABASE_URL": proxy.url.reveal()}) as kernel,
        Kernel({**environment, "DATABASE_URL": ann_url.reveal()}) as other,
    ):
        save = "wb.prompts.save('say', 'Say {{ n }}'); data = wb.datasets.save('rows', data)"
        for each in (kernel, other):
            assert each.run(SHORT_LEASE + START + save).error == ""
        opened = proxy.break_at(1, Fault(kind="slow", seconds=1), matching="INSERT INTO wb.runs")
        kernel.start(RUN)
        until(opened.is_set)
        kernel.pause()
        time.sleep(1.5)
        began = time.monotonic()
        assert other.run(RUN, seconds=30).text == "finished 24\n"
        assert time.monotonic() - began < 10
        kernel.go_on()
        outcome = kernel.wait()
        assert outcome.error == "ServerUnavailableError"
        assert kernel.run("1 + 1", seconds=5).text == "2"
    assert len(provider.asked) == 24
    in_balance(told=24, planned=24)
