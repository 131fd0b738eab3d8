"""The database goes away in the middle of paid work: soon an error that counts what is lost, and everything stored is kept."""

from __future__ import annotations

import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from embedded_help import ROOT, cleaned, open_home

from tests.servers import Reply, ScriptedServer, completion
from workbench.db.connect import embedded_admin_url
from workbench.db.embedded import EmbeddedServer
from workbench.errors import AnswerKeptError, DatabaseError, DiskFullError, ServerUnavailableError
from workbench.services.workbench import connect
from workbench.settings import Settings

pytestmark = pytest.mark.slow

FINE = completion("fine").body


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A stopped server with a prepared database, to be copied."""
    home = tmp_path_factory.mktemp("prepared")
    with cleaned(home) as server:
        connect(settings=Settings(home=home)).close()
        server.stop(force=True)
        yield server, home


@pytest.fixture
def server(prepared, tmp_path):
    """A server of the test's own, with the workbench's database in it."""
    stopped, home = prepared
    (tmp_path / "home").mkdir()
    subprocess.run(["cp", "-a", home / "embedded", tmp_path / "home"], check=True)
    with cleaned(tmp_path / "home", like=stopped) as server:
        yield server


@contextmanager
def workbench(home, provider):
    with connect(settings=Settings(home=home, endpoints={"mine": provider.url}, model="mine/m")) as wb:
        wb.prompts.save("say", "Say {{ n }}")
        yield wb


@pytest.fixture
def slow():
    with ScriptedServer(Reply(body=FINE, delay=0.2)) as provider:
        yield provider


def rows(server, query="SELECT status, count(*) FROM wb.executions GROUP BY 1"):
    with psycopg.connect(embedded_admin_url(server).reveal()) as connection:
        return dict(connection.execute(query).fetchall())


def when(condition, act):
    """Do something in another thread as soon as the condition holds; gives when that was."""
    done = []

    def watch():
        while not condition():
            time.sleep(0.01)
        act()
        done.append(time.monotonic())

    thread = threading.Thread(target=watch)
    thread.start()
    return thread, done


def test_a_database_that_stops_ends_the_run_and_a_resume_completes_it(server, slow, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.services.running.PATIENCE", 2.0)
    with workbench(tmp_path / "home", slow) as wb:
        data = [{"n": n} for n in range(200)]
        thread, stopped = when(lambda: slow.billed >= 40, lambda: server.stop(force=True))
        with pytest.raises(ServerUnavailableError, match="does not answer") as caught:
            wb.run("say", data=data, concurrency=8, progress=False)
        thread.join()
        assert time.monotonic() - stopped[0] < 6
        asked = len(slow.asked)
        time.sleep(0.5)
        assert len(slow.asked) == asked
        assert "are kept in" in caught.value.message
        assert "wb.runs.resume('" in caught.value.cure
        (spool,) = (tmp_path / "home/spool").iterdir()
        assert str(spool) in caught.value.message
        assert (spool.stat().st_mode & 0o777, spool.parent.stat().st_mode & 0o777) == (0o600, 0o700)

        server.ensure()
        before = rows(server)
        assert before["done"] >= 40 - 8 - 8
        # Each request had its row before it was sent, and what was answered but not stored is kept.
        assert asked <= before["done"] + before["sent"]
        run = wb.run("say", data=data, concurrency=50, progress=False)  # the same kernel need not wait
        assert (run.status, run.counts.done) == ("finished", 200)
        assert slow.billed == 200  # nothing that was answered is asked again
        after = rows(server)
        assert after["done"] == 200
        assert set(after) <= {"done", "unknown", "lost"}
        assert run.short_id in caught.value.cure
        assert not list((tmp_path / "home/spool").iterdir())


def test_what_an_ended_process_kept_is_stored_when_the_next_one_connects(server, slow, tmp_path, monkeypatch):
    monkeypatch.setattr("workbench.services.running.PATIENCE", 0.5)
    data = [{"n": n} for n in range(40)]
    with workbench(tmp_path / "home", slow) as wb:
        thread, _ = when(lambda: slow.billed >= 16, lambda: server.stop(force=True))
        with pytest.raises(ServerUnavailableError, match="are kept in"):
            wb.run("say", data=data, concurrency=8, progress=False)
        thread.join()
    (spool,) = (tmp_path / "home/spool").iterdir()
    with spool.open("ab") as file:
        file.write(b'["cut off by a cra')
    said = []
    with connect(
        settings=Settings(home=tmp_path / "home", endpoints={"mine": slow.url}, model="mine/m"),
        progress=said.append,
    ) as wb:
        assert any(
            "answers that the database could not take before" in line and "1 cut off by a crash" in line
            for line in said
        )
        assert not spool.exists()
        assert rows(server)["done"] == slow.billed
        wb.database.engine.dispose()
        with psycopg.connect(embedded_admin_url(server).reveal()) as admin:
            admin.execute("UPDATE wb.runs SET heartbeat_at = now() - interval '2 min'")
        assert wb.run("say", data=data, concurrency=8, progress=False).counts.done == 40
    assert slow.billed == 40


def test_a_restart_of_the_database_is_waited_for(server, slow, tmp_path):
    def restart():
        server.stop(force=True)
        server.ensure()

    with workbench(tmp_path / "home", slow) as wb:
        thread, _ = when(lambda: slow.billed >= 20, restart)
        run = wb.run("say", data=[{"n": n} for n in range(60)], concurrency=8, progress=False)
        thread.join()
        assert (run.status, run.counts.done) == ("finished", 60)
    assert slow.billed == 60
    assert rows(server) == {"done": 60}


def test_connections_that_are_cut_again_and_again_lose_nothing(server, slow, tmp_path):
    cut = "SELECT count(pg_terminate_backend(pid)), 0 FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'workbench'"
    with workbench(tmp_path / "home", slow) as wb:
        threads = [
            when(lambda least=least: slow.billed >= least, lambda: rows(server, cut))[0]
            for least in (10, 20, 30, 40)
        ]
        run = wb.run("say", data=[{"n": n} for n in range(60)], concurrency=8, progress=False)
        for thread in threads:
            thread.join()
        assert (run.status, run.counts.done) == ("finished", 60)
    assert slow.billed == 60
    assert rows(server) == {"done": 60}


def test_a_single_answer_that_could_not_be_stored_is_told_and_kept(server, tmp_path):
    with (
        ScriptedServer(Reply(body=FINE, delay=0.5)) as provider,
        workbench(tmp_path / "home", provider) as wb,
    ):
        thread, _ = when(lambda: provider.asked, lambda: server.stop(force=True))
        with pytest.raises(AnswerKeptError, match="what was answered is kept in"):
            wb.ask("say", variables={"n": 1})
        thread.join()
        with pytest.raises(ServerUnavailableError):
            wb.ask("say", variables={"n": 2})
        assert len(provider.asked) == 1
        server.ensure()
        assert wb.ask("say", variables={"n": 2}).text == "fine"
    assert rows(server) == {"done": 2}


def test_an_answer_that_cannot_be_stored_takes_no_other_along(server, tmp_path):
    server.ensure()
    with psycopg.connect(embedded_admin_url(server).reveal()) as admin:
        admin.execute("ALTER TABLE wb.executions ADD CHECK (answer <> 'forbidden')")
    with (
        ScriptedServer(
            lambda asked: completion("forbidden" if b"Say 7" in asked.body else "fine")
        ) as provider,
        workbench(tmp_path / "home", provider) as wb,
    ):
        with pytest.raises(
            DatabaseError, match=r"violates check constraint.*; 1 of the answers could not be"
        ):
            wb.run("say", data=[{"n": n} for n in range(8)], concurrency=8, progress=False)
        assert wb.last.counts.done == 7


def can_mount():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line)
    return ROOT and bool(int(line.split()[1], 16) & 1 << 21)


if can_mount():

    @contextmanager
    def small_disk(megabytes):
        with open_home() as home:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", home], check=True
            )
            try:
                yield home
            finally:
                subprocess.run(["umount", "--lazy", home], check=True)

    def test_a_full_disk_is_told_before_anything_is_made():
        with small_disk(16) as home:
            with pytest.raises(DiskFullError, match="MB") as caught:
                connect(settings=Settings(home=home))
            assert caught.value.cure
            assert not EmbeddedServer(home).data.exists()

    def test_a_disk_that_fills_up_ends_the_run_and_space_lets_it_go_on(prepared, slow):
        stopped, prepared_home = prepared
        with small_disk(128) as home, cleaned(home, like=stopped) as server:
            subprocess.run(["cp", "-a", prepared_home / "embedded", home], check=True)
            filler = home / "filler"

            def fill():
                with suppress(OSError), filler.open("wb", buffering=0) as file:
                    while True:
                        file.write(bytes(2**16))

            with workbench(home, slow) as wb:
                data = [{"n": n, "long": "x" * 20_000} for n in range(400)]
                when(lambda: slow.billed >= 20, fill)[0].join(0)
                with pytest.raises(DatabaseError, match="may be billed") as caught:
                    wb.run("say", data=data, concurrency=16, progress=False)
                assert caught.value.cure
                filler.unlink()
                server.ensure()
                kept = rows(server)["done"]
                assert kept >= 20 - 16
                run = wb.run("say", data=data, concurrency=50, progress=False)
                assert run.counts.done == 400
                assert len(slow.asked) <= 400 + 2 * 16 + 32
