"""A statement of the ledger breaks on the way there or on the way back: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from tests.invariants import balance
from tests.proxy import DatabaseProxy, Fault
from tests.servers import Reply, ScriptedServer, completion
from workbench.errors import (
    ConflictError,
    DatabaseError,
    DiskFullError,
    RunInterruptedError,
    ServerUnavailableError,
)
from workbench.services.workbench import connect
from workbench.settings import Settings

pytestmark = pytest.mark.slow

ROWS = [{"n": n} for n in range(24)]
CLAIM, RESULT = "INSERT INTO wb.executions", "UPDATE wb.executions"


@pytest.fixture
def proxy(ann_url):
    with DatabaseProxy(ann_url) as proxy:
        yield proxy


@pytest.fixture
def provider(tmp_path):
    """A server that answers after 20 ms and keeps a bill."""
    with ScriptedServer(Reply(body=completion("fine").body, delay=0.02), bill=tmp_path / "bill") as server:
        yield server


@pytest.fixture
def wb(proxy, provider, tmp_path):
    """Ann's workbench behind the proxy."""
    settings = Settings(home=tmp_path / "home", endpoints={"mine": provider.url}, model="mine/m")
    with connect(proxy.url.reveal(), settings=settings) as wb:
        wb.prompts.save("say", "Say {{ n }}")
        wb.datasets.save("rows", ROWS)
        yield wb


@pytest.fixture
def in_balance(admin_url, tmp_path):
    """Hold the bill against the database."""

    def check(**facts):
        found = balance(tmp_path / "bill", admin_url, home=tmp_path / "home", **facts)
        assert found.broken == [], found
        return found

    return check


def run(wb, rows="rows", **options):
    return wb.run("say", data=rows, **{"concurrency": 4, "progress": False, **options})


@contextmanager
def refused(kind, *, seconds):
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        yield caught
    assert time.monotonic() - began < seconds
    assert caught.value.cure


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("kind", ["before", "after", "torn"])
@pytest.mark.parametrize("statement", [CLAIM, RESULT])
def test_a_connection_cut_around_a_statement_of_the_ledger_is_mended_unseen(
    wb, proxy, provider, in_balance, statement, kind, n
):
    done = proxy.break_at(n, Fault(kind=kind), matching=statement)
    finished = run(wb)
    assert done.is_set()
    assert (finished.status, finished.counts.done, finished.counts.failed) == ("finished", 24, 0)
    assert len(provider.asked) == 24
    assert in_balance(told=24, planned=24).unstored == 0


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
@pytest.mark.parametrize("statement", [CLAIM, RESULT])
def test_a_conflict_of_transactions_is_tried_again_and_never_with_its_call(
    wb, proxy, provider, in_balance, statement, sqlstate
):
    broken = [proxy.break_at(n, Fault(kind="error", sqlstate=sqlstate), matching=statement) for n in (2, 4)]
    finished = run(wb)
    assert all(done.is_set() for done in broken)
    assert (finished.status, finished.counts.done) == ("finished", 24)
    assert len(provider.asked) == 24
    in_balance(told=24, planned=24)


@pytest.mark.parametrize("kind", ["before", "after", "error"])
@pytest.mark.parametrize("statement", ["INSERT INTO wb.runs", "SELECT wb.users.id"])
def test_a_run_that_cannot_be_opened_pays_nothing(wb, proxy, provider, in_balance, statement, kind):
    done = proxy.break_at(1, Fault(kind=kind), matching=statement)
    with refused(DatabaseError, seconds=5) as caught:
        run(wb)
    assert done.is_set()
    assert type(caught.value) is (ConflictError if kind == "error" else ServerUnavailableError)
    assert provider.asked == []
    in_balance()


@pytest.mark.parametrize("kind", ["before", "after"])
@pytest.mark.parametrize("statement", ["UPDATE wb.runs SET status", "COMMIT"])
def test_a_run_whose_end_cannot_be_written_has_every_answer(wb, proxy, provider, in_balance, statement, kind):
    def when_all_are_stored():
        while provider.billed < 24:
            time.sleep(0.005)
        proxy.break_at(1, Fault(kind=kind), matching=statement)

    thread = threading.Thread(target=when_all_are_stored)
    thread.start()
    with suppress(ServerUnavailableError):
        run(wb)
    thread.join()
    proxy.mend()
    again = run(wb, retry_errors=True)
    assert (again.status, again.counts.done) == ("finished", 24)
    in_balance(told=24)


def test_a_database_that_is_down_is_told_before_anything_is_paid(wb, proxy, provider, tmp_path):
    proxy.down()
    with refused(ServerUnavailableError, seconds=5):
        run(wb)
    with refused(ServerUnavailableError, seconds=5):
        wb.ask("say", variables={"n": 1})
    with refused(ServerUnavailableError, seconds=5):
        connect(proxy.url.reveal(), settings=Settings(home=tmp_path))
    assert provider.asked == []


@pytest.mark.slow
def test_a_database_that_says_nothing_is_told_within_five_seconds(proxy, tmp_path):
    proxy.stall()
    with refused(ServerUnavailableError, seconds=5):
        connect(proxy.url.reveal(), settings=Settings(home=tmp_path))


def test_no_space_on_the_servers_disk_ends_the_run_before_the_next_paid_call(wb, proxy, provider, in_balance):
    proxy.break_at(3, Fault(kind="error", sqlstate="53100"), matching=CLAIM)
    with refused(DiskFullError, seconds=10):
        run(wb)
    asked = len(provider.asked)
    assert asked < 24
    time.sleep(0.3)
    assert len(provider.asked) == asked
    again = run(wb)
    assert (again.status, again.counts.done) == ("finished", 24)
    in_balance(kills=1, in_flight=4, planned=24)


@pytest.mark.slow
def test_an_interrupt_gives_the_kernel_back_although_the_database_says_nothing(
    wb, proxy, provider, in_balance
):
    silent = proxy.break_at(3, Fault(kind="silent"), matching=RESULT)

    def interrupt():
        assert silent.wait(10)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    began = time.monotonic()
    cutter = threading.Timer(30, proxy.cut)  # so that a test that fails ends
    cutter.start()
    with pytest.raises(RunInterruptedError):
        run(wb)
    took = time.monotonic() - began
    cutter.cancel()
    thread.join()
    proxy.cut()
    assert took < 15
    assert run(wb).counts.done == 24
    in_balance(kills=1, in_flight=4, planned=24)
