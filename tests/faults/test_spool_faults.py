"""The database is away, and the files that keep answers meanwhile cannot be written either."""

from __future__ import annotations

import datetime as dt
import subprocess
import threading
import time
import uuid
from contextlib import suppress

import pytest

from tests.invariants import balance, spooled
from tests.mounts import can_mount, mounted
from tests.proxy import DatabaseProxy, Fault
from tests.servers import Reply, ScriptedServer, completion
from workbench.db.ledger import Claim, Result, claim, documents
from workbench.db.spool import Drained
from workbench.errors import DatabaseError, ServerUnavailableError
from workbench.services.workbench import connect
from workbench.settings import Settings

pytestmark = pytest.mark.slow

LONG = completion("long " * 4_000).body  # 20 kB
ROWS = [{"n": n} for n in range(40)]


@pytest.fixture
def proxy(ann_url):
    with DatabaseProxy(ann_url) as proxy:
        yield proxy


@pytest.fixture
def provider(tmp_path):
    with ScriptedServer(Reply(body=LONG, delay=0.1), bill=tmp_path / "bill") as server:
        yield server


@pytest.fixture
def opened(proxy, provider, tmp_path, monkeypatch):
    """Ann's workbench behind the proxy; it waits for the database for a second."""
    monkeypatch.setattr("workbench.services.running.PATIENCE", 1.0)
    settings = Settings(home=tmp_path / "home", endpoints={"mine": provider.url}, model="mine/m")
    with connect(proxy.url.reveal(), settings=settings) as wb:
        wb.prompts.save("say", "Say {{ n }}")
        wb.datasets.save("rows", ROWS)
        yield wb


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "home" / "spool"


@pytest.fixture
def in_balance(admin_url, tmp_path):
    def check(**facts):
        found = balance(tmp_path / "bill", admin_url, home=tmp_path / "home", **facts)
        assert found.broken == [], found
        return found

    return check


def run(wb):
    return wb.run("say", data="rows", concurrency=8, progress=False)


def when_billed(provider, least, act):
    def watch():
        while provider.billed < least:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def ends(wb, provider, proxy, kind=ServerUnavailableError):
    """The run ends soon, nothing more is sent, and the error says what became of the answers."""
    thread = when_billed(provider, 12, proxy.down)
    with pytest.raises(kind) as caught:
        run(wb)
    thread.join()
    asked = len(provider.asked)
    time.sleep(0.3)
    assert len(provider.asked) == asked < 40
    assert caught.value.cure
    return caught.value


def goes_on(wb, proxy):
    proxy.up()
    finished = run(wb)
    assert (finished.status, finished.counts.done) == ("finished", 40)


def test_what_was_answered_while_the_database_was_away_is_never_asked_again(
    opened, provider, proxy, spool, in_balance
):
    error = ends(opened, provider, proxy)
    assert spooled(spool.parent) > 0
    assert f"{spooled(spool.parent)} answers are kept in {spool}" in error.message
    goes_on(opened, proxy)
    assert in_balance(told=40, planned=40).unstored == 0
    assert provider.billed == 40


@pytest.mark.parametrize("kind", ["before", "after", "torn", "error"])
def test_a_drain_that_breaks_is_repeated_and_stores_each_answer_once(
    opened, provider, proxy, in_balance, kind
):
    ends(opened, provider, proxy)
    done = proxy.break_at(1, Fault(kind=kind), matching="UPDATE wb.executions")
    proxy.up()
    with suppress(DatabaseError):
        run(opened)
    assert done.is_set()
    found = opened.last if opened.last is not None and opened.last.status == "finished" else run(opened)
    assert found.counts.done == 40
    in_balance(told=40, planned=40)
    assert provider.billed == 40


def test_a_line_that_the_database_never_takes_is_set_aside_and_stops_no_other(opened, provider, proxy, spool):
    ends(opened, provider, proxy)
    kept = spooled(spool.parent)
    (file,) = spool.iterdir()
    good = file.read_bytes()
    bad = good.splitlines(keepends=True)[0].replace(b'\\"status\\":\\"done\\"', b'\\"status\\":\\"dome\\"')
    assert bad not in good
    file.write_bytes(bad + good)
    goes_on(opened, proxy)
    assert provider.billed == 40
    (refused,) = spool.iterdir()
    assert refused.suffix == ".refused"
    assert refused.read_bytes() == bad
    assert kept > 0


if can_mount():

    def test_a_read_only_spool_ends_the_run_and_counts_what_may_be_billed(
        opened, provider, proxy, spool, in_balance
    ):
        with mounted(spool, "ro,size=1m"):
            error = ends(opened, provider, proxy)
            assert "could not be stored" in error.message
            assert "they may be billed" in error.message
            goes_on(opened, proxy)
        found = in_balance(kills=1, in_flight=8, told=40, planned=40)
        said = [int(word) for word in error.message.replace(",", "").split() if word.isdecimal()]
        assert found.unstored == provider.billed - 40 <= sum(said)

    def test_a_full_spool_ends_the_run_and_what_fits_is_kept(opened, provider, proxy, spool, in_balance):
        with mounted(spool, "size=400k"):
            error = ends(opened, provider, proxy)
            assert "are kept in" in error.message
            assert "could not be stored" in error.message
            goes_on(opened, proxy)
            assert list(spool.iterdir()) == []
        in_balance(kills=1, in_flight=8, told=40, planned=40)

    def test_a_spool_that_cannot_be_written_is_no_harm_when_the_database_comes_back_in_time(
        opened, provider, proxy, spool, in_balance, monkeypatch
    ):
        monkeypatch.setattr("workbench.services.running.PATIENCE", 10.0)
        for options in ("ro,size=1m", "size=32k"):
            opened.datasets.save("rows", ROWS)
            before = provider.billed

            def restart():
                proxy.down()
                time.sleep(1.5)
                proxy.up()

            with mounted(spool, options):
                thread = when_billed(provider, before + 12, restart)
                finished = opened.run("say", data="rows", concurrency=8, progress=False, resume=False)
                thread.join()
            assert (finished.status, finished.counts.done) == ("finished", 40)
            assert provider.billed == before + 40
        in_balance(told=80)

    def test_what_is_kept_after_space_was_freed_is_not_spoilt_by_what_did_not_fit(opened, spool):
        run_at, model = dt.datetime.now(dt.UTC), opened.models.choose("fake/echo").config_id
        prompt = opened.prompts.get("say").id
        same = {"run_at": run_at, "prompt_id": prompt, "model_config_id": model, "request_digest": "d"}
        claims = [Claim(id=uuid.uuid4(), input_variables={}, request_payload={}, **same) for _ in range(2)]
        long, short = (
            Result(id=each.id, run_at=run_at, status="done", answer=answer)
            for each, answer in zip(claims, ("long " * 30_000, "short"), strict=True)
        )
        with mounted(spool, "size=64k"), opened.database.dedicated() as connection:
            claim(connection, opened.scope, claims)
            with pytest.raises(DatabaseError, match="can be kept neither"):
                opened.database.spool.keep(documents([long]))
            subprocess.run(["mount", "-o", "remount,size=1m", spool], check=True)
            opened.database.spool.keep(documents([short]))
            assert opened.database.spool.drain(connection) == Drained(stored=1)
            found = connection.execute("SELECT answer FROM wb.executions WHERE status = 'done'").fetchall()
        assert found == [("short",)]

    def test_a_kernel_with_a_full_spool_can_be_closed(provider, proxy, spool, tmp_path, monkeypatch):
        monkeypatch.setattr("workbench.services.running.PATIENCE", 0.5)
        settings = Settings(home=tmp_path / "home", endpoints={"mine": provider.url}, model="mine/m")
        wb = connect(proxy.url.reveal(), settings=settings)
        wb.prompts.save("say", "Say {{ n }}")
        wb.datasets.save("rows", ROWS)
        with mounted(spool, "size=64k"):
            ends(wb, provider, proxy)
            wb.close()
