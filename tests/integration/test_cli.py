"""The command line on real servers: what is printed where, exit codes, and what is never printed."""

from __future__ import annotations

import json
import os
import pty
import secrets
import select
import stat
import subprocess
import sys
import threading
import time
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from embedded_help import cleaned, open_home

from workbench.cli.app import run_command
from workbench.db import bootstrap
from workbench.db.connect import embedded_admin_url
from workbench.db.migrate import HEAD, upgrade
from workbench.services.housekeeping import copy_notebooks
from workbench.services.workbench import connect
from workbench.settings import Settings

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def cli(monkeypatch, tmp_path, capsys):
    """Run a command line in this process; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))  # for the kernels of reports

    def run(*arguments):
        capsys.readouterr()
        code = run_command([str(each) for each in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def anns(monkeypatch, ann_url, cli):
    """The command line as Ann, on a fresh database."""
    monkeypatch.setenv("DATABASE_URL", ann_url.reveal())
    return cli


def process(*arguments, **options):
    """Run a command line as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "workbench", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=120, **options
    )


def on_a_terminal(*arguments, answer=b""):
    """Run a command line on a terminal of its own, and type ``answer`` when it waits; (code, output)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["PYTHONPATH"] = str(CHECKOUT)
        os.execv(sys.executable, [sys.executable, "-m", "workbench", *map(str, arguments)])
    output, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.5)[0]:
            try:
                output += os.read(terminal, 65536)
            except OSError:  # the other side is closed
                break
        elif answer and b"?" in output:
            os.write(terminal, answer)
            answer = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), output.decode()


def checks(output):
    return {check["name"]: check for check in json.loads(output)}


# --- what a project holds ---


@pytest.fixture
def held(wb):
    """A project with a prompt in two versions, a run, and a test with its verdict."""
    wb.prompts.save("say", "Say {{ text }}")
    wb.prompts.save("say", "Please say {{ text }}\x1b[2Jgone", note="polite")
    rows = [{"text": f"t{n}", "label": f"Say t{n}"} for n in range(20)]
    test = wb.ab.create("polite", "say@1", "say@2", data=rows, scorers=["equals:@label"])
    test.run(progress=False)
    test.analyze()
    return wb


def test_prompts_runs_and_tests_are_listed(held, anns):
    (row,) = json.loads(anns("prompt", "list", "--json")[1])
    assert (row["prompt"], row["versions"], row["latest"], row["note"]) == ("say", 2, 2, "polite")
    assert anns("prompt", "list")[1].splitlines()[1].startswith("say")
    code, out, _ = anns("prompt", "history", "say", "--json")
    assert code == 0
    assert [(row["version"], row["note"]) for row in json.loads(out)] == [(2, "polite"), (1, "")]
    (run,) = json.loads(anns("run", "list", "--json")[1])
    assert (run["status"], run["planned"], run["done"], run["failed"], run["models"]) == (
        "finished",
        40,
        40,
        0,
        "fake/echo",
    )
    assert run["prompts"] == "say@1, say@2"
    (test,) = json.loads(anns("ab", "list", "--json")[1])
    assert (test["name"], test["verdict"], test["a"], test["looks"]) == ("polite", "A_BETTER", "say@1", 1)
    assert json.loads(anns("ab", "show", "polite", "--json")[1])["results"]["verdict"] == "A_BETTER"
    assert "A_BETTER" in anns("ab", "show", "polite")[1]


def test_versions_are_compared_labelled_and_rolled_back(held, anns):
    code, out, _ = anns("prompt", "diff", "say@1", "--words")
    assert (code, out.splitlines()[0]) == (0, "say@1 → say@2: +1/-1 lines in text")
    assert "[-Say-]{+Please say+}" in out
    assert json.loads(anns("prompt", "diff", "say", "--json")[1])["added"] == 1
    assert anns("prompt", "label", "say@1", "prod")[1] == "prod is say@1\n"
    assert json.loads(anns("prompt", "list", "--json")[1])[0]["labels"] == "prod@1"
    assert anns("prompt", "rollback", "say", "prod")[1] == "latest is say@1\n"
    assert "no label" in anns("prompt", "label", "say", "prod", "--remove")[1]
    code, _, err = anns("prompt", "rollback", "say", "prod")
    assert code == 2
    assert "has no label 'prod'" in err


def test_prompts_are_forked_renamed_tagged_and_archived(held, anns):
    assert anns("prompt", "fork", "say@1", "tell")[1] == "tell@1 has the content of say@1\n"
    assert anns("prompt", "tree", "tell")[1].splitlines()[1].startswith("└── @1 → tell")
    assert anns("prompt", "rename", "tell", "speak")[1] == "tell is now speak\n"
    assert anns("prompt", "tag", "speak", "a", "b")[1] == "speak@1: a, b\n"
    assert json.loads(anns("prompt", "tag", "speak", "a", "--remove", "--json")[1])["tags"] == ["b"]
    assert anns("prompt", "note", "speak", "why not")[1] == "speak@1: why not\n"
    assert "--restore" in anns("prompt", "archive", "speak")[1]
    assert [row["prompt"] for row in json.loads(anns("prompt", "list", "--json")[1])] == ["say"]
    assert anns("prompt", "archive", "speak", "--restore")[1] == "speak is back\n"


def test_tables_that_are_read_by_programs_are_never_cut(held, anns):
    _, out, _ = anns("run", "list")
    (run,) = json.loads(anns("run", "list", "--json")[1])
    assert run["run_id"] in out
    assert "…" not in out


def test_a_text_goes_into_a_file_as_it_is_and_cannot_steer_a_terminal(held, anns):
    assert "\x1b[2Jgone" in anns("prompt", "show", "say")[1]
    code, shown = on_a_terminal("prompt", "show", "say")
    assert code == 0
    assert "\\x1b[2Jgone" in shown
    assert "\x1b[2J" not in shown


def test_an_empty_project_prints_nothing_for_programs(anns):
    for words in (["prompt", "list"], ["run", "list"], ["ab", "list"], ["report", "list"]):
        code, out, err = anns(*words)
        assert (code, out) == (0, "")
        assert "yet" in err
        assert anns(*words, "--json")[1] == "[]\n"


def test_looking_into_a_project_that_is_not_there_makes_none(anns):
    code, out, err = anns("prompt", "list", "--project", "defualt")
    assert (code, out) == (2, "")
    assert "did you mean 'default'" in err


# --- errors ---


def test_an_error_is_two_lines_on_stderr(anns):
    code, out, err = anns("prompt", "show", "nothing")
    assert (code, out) == (2, "")
    assert err.splitlines() == ["project 'default' has no prompt 'nothing'", "→ there are no prompts yet"]


@pytest.mark.parametrize(
    "line", [["--debug", "prompt", "show", "nothing"], ["prompt", "show", "nothing", "--debug"]]
)
def test_debug_shows_the_traceback_wherever_it_stands(anns, line):
    code, _, err = anns(*line)
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1] == "→ there are no prompts yet"


def test_a_line_that_does_not_parse_ends_with_2(cli):
    for words in (["prompt", "shwo"], ["run", "list", "--limit", "x"], ["report", "run"], ["nothing"]):
        code, out, err = cli(*words)
        assert (code, out) == (2, "")
        assert "Error:" in err
    assert cli("--version")[:2] == (0, "workbench 0.1.0\n")


def test_a_home_that_cannot_be_made_is_an_error_in_two_lines(cli, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "file" / "home"))
    for words in (["lab"], ["db", "start"], ["clean"], ["models", "fetch"], ["doctor"]):
        code, _, err = cli(*words)
        assert code in {0, 1, 2}
        assert "Traceback" not in err
        assert (code == 2) == bool(err)


def test_an_interrupt_ends_with_130(monkeypatch, tmp_path):
    home = tmp_path / "home"
    (home / "reports").mkdir(parents=True)
    code, output = on_a_terminal("clean", answer=b"\x03")
    assert code == 130
    assert "Traceback" not in output
    assert (home / "reports").exists()


def test_a_pipe_that_closes_early_leaves_no_traceback(held, anns):
    command = f"{sys.executable} -m workbench prompt show say | true"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert "Traceback" not in done.stderr


# --- doctor and health ---


def test_doctor_finds_everything_well_and_prints_no_key(anns, monkeypatch, ann_url):
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-canary0123456789abcdef")
    code, out, err = anns("doctor", "--json")
    assert (code, err) == (0, "")
    found = checks(out)
    assert {
        "python",
        "packages",
        "home",
        "server",
        "login",
        "schema",
        "isolation",
        "models",
        "keys",
        "lab",
    } <= set(found)
    assert {check["status"] for check in found.values()} == {"ok"}
    assert f"revision {HEAD}" in found["schema"]["message"]
    assert "openrouter/…" in found["models"]["message"]
    assert "OPENROUTER_API_KEY" in found["keys"]["message"]
    text = anns("doctor")[1]
    for printed in (out, text):
        assert "canary" not in printed
        assert urlsplit(ann_url.reveal()).password not in printed
    assert text.splitlines()[0].startswith("ok    python")


def test_doctor_touches_nothing_on_a_new_machine(cli, tmp_path):
    code, out, _ = cli("doctor", "--json")
    assert code == 0
    assert checks(out)["server"]["status"] == "warn"
    assert checks(out)["models"]["cure"].startswith("workbench models fetch")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("ALTER TABLE wb.prompts NO FORCE ROW LEVEL SECURITY", "prompts"),
        ("ALTER TABLE wb.executions DISABLE ROW LEVEL SECURITY", "executions"),
        ("ALTER VIEW wb.v_costs SET (security_invoker = false)", "v_costs"),
        ("CREATE MATERIALIZED VIEW wb.m AS SELECT 1", "m"),
    ],
)
def test_doctor_notices_when_people_are_not_kept_apart(anns, admin_url, change, name):
    with psycopg.connect(admin_url.reveal()) as connection:
        connection.execute("SET ROLE wb_owner")
        connection.execute(change)
    code, out, _ = anns("doctor", "--json")
    assert code == 1
    assert checks(out)["isolation"]["status"] == "fail"
    assert checks(out)["isolation"]["message"].endswith(f": {name}")


def test_doctor_refuses_an_administrators_login(cli, monkeypatch, admin_url):
    monkeypatch.setenv("DATABASE_URL", admin_url.reveal())
    code, out, _ = cli("doctor", "--json")
    assert code == 1
    assert checks(out)["login"]["status"] == "fail"
    assert "db init" in checks(out)["login"]["cure"]


@pytest.mark.parametrize(("number", "cure"), [("0001", "db migrate"), ("9999", "upgrade")])
def test_doctor_names_the_cure_of_another_revision(anns, admin_url, number, cure):
    with psycopg.connect(admin_url.reveal()) as connection:
        connection.execute("UPDATE wb.alembic_version SET version_num = %s", [number])
    code, out, _ = anns("doctor", "--json")
    assert code == 1
    assert (checks(out)["schema"]["status"], cure in checks(out)["schema"]["cure"]) == ("fail", True)


def test_doctor_and_health_say_that_nobody_answers(cli, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:geheim@127.0.0.1:9/workbench")
    code, out, _ = cli("doctor")
    assert code == 1
    assert "does not answer" in out
    assert "geheim" not in out
    assert cli("health")[0] == 1


def test_a_cut_off_run_is_told(held, anns, ann_url):
    with psycopg.connect(ann_url.reveal()) as connection:
        connection.execute("UPDATE runs SET status = 'running', heartbeat_at = now() - interval '2 minutes'")
    assert checks(anns("doctor", "--json")[1])["runs"]["status"] == "warn"


def test_health_is_one_line_of_json_a_check(anns):
    code, out, _ = anns("health")
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert {check["status"] for check in found} == {"ok"}
    assert {"server", "database", "login", "schema", "isolation"} <= {check["name"] for check in found}


# --- the embedded server ---


@pytest.fixture(scope="module")
def embedded_home():
    with open_home() as home, cleaned(home):
        yield home


@pytest.fixture
def at_home(cli, monkeypatch, embedded_home):
    """The command line on an embedded server of its own."""
    monkeypatch.setenv("WORKBENCH_HOME", str(embedded_home))
    return cli


def test_the_embedded_server_starts_tells_and_stops(at_home, embedded_home):
    code, out, err = at_home("db", "start")
    assert code == 0
    assert "running" in out
    assert "running" not in err
    code, out, _ = at_home("db", "status", "--json")
    assert code == 0
    status = json.loads(out)
    assert (status["kind"], status["running"]) == ("embedded", True)
    assert checks(at_home("doctor", "--json")[1])["server"]["status"] == "ok"
    with connect(settings=Settings(home=embedded_home)):
        code, out, err = at_home("db", "stop")
        assert (code, out) == (2, "")
        assert "workbench db stop --force" in err
    assert at_home("db", "stop") == (0, "the embedded server is stopped\n", "")
    assert at_home("db", "stop")[0] == 0
    code, out, _ = at_home("db", "status")
    assert code == 1
    assert "not running" in out


def test_the_embedded_url_has_no_password_and_works(at_home):
    code, out, _ = at_home("db", "url")
    assert code == 0
    url = out.strip()
    assert urlsplit(url).password is None
    passfile = Path(parse_qs(urlsplit(url).query)["passfile"][0])
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT wb.me() IS NOT NULL").fetchone() == (True,)


def test_psql_is_the_person_with_the_tables_at_hand(at_home, embedded_home):
    assert process("db", "start").returncode == 0
    done = process("db", "psql", "-c", "select status, count(*) from executions group by 1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "status | count" in done.stdout
    done = process("db", "psql", "-tAc", "show search_path")
    assert done.stdout == "wb, public\n"
    assert process("db", "psql", "-v", "ON_ERROR_STOP=1", "-c", "select nonsense").returncode == 1
    done = process("db", "psql", "-f", "-", "--csv", input="select 1 as n;\n")
    assert done.stdout == "n\n1\n"


def test_migrating_an_embedded_database_that_is_new_enough_says_so(at_home):
    assert at_home("db", "migrate")[:2] == (0, f"the embedded database is at revision {HEAD}\n")


def test_clean_deletes_what_can_be_had_again_and_asks_first(cli, tmp_path):
    home = tmp_path / "home"
    for name in ("models/smollm2.gguf", "models/mine.gguf", "reports/a.html", "notebooks/a.ipynb"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x" * 1000)
    code, out, err = cli("clean")
    assert code == 2
    assert "smollm2.gguf" in out
    assert "--yes" in err
    assert "nothing was deleted" in on_a_terminal("clean", answer=b"n\n")[1]
    assert (home / "models" / "smollm2.gguf").exists()
    assert "deleted" in on_a_terminal("clean", answer=b"y\n")[1]
    left = sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())
    assert left == ["models/mine.gguf", "notebooks/a.ipynb"]
    assert cli("clean", "--yes") == (0, "there is nothing to delete\n", "")


def test_clean_deletes_the_embedded_database_only_when_told_to_and_free(cli, monkeypatch):
    with open_home() as home, cleaned(home) as server:
        monkeypatch.setenv("WORKBENCH_HOME", str(home))
        assert cli("db", "start")[0] == 0
        assert cli("clean", "--yes")[1] == "there is nothing to delete\n"
        with connect(settings=Settings(home=home)):
            assert cli("clean", "--database", "--yes")[0] == 2
        assert server.data.exists()
        code, out, _ = cli("clean", "--database", "--yes")
        assert code == 0
        assert str(server.data.parent) in out
        assert not server.data.parent.exists()
        assert not (home / "embedded").exists()


def test_an_external_database_is_neither_started_nor_deleted_from_here(anns):
    for words in (["db", "start"], ["db", "stop"], ["clean", "--database", "--yes"]):
        code, _, err = anns(*words)
        assert code == 2
        assert "→" in err


# --- an external server ---


def test_init_prepares_a_server_and_saves_the_persons_connection(cli, new_database, tmp_path, monkeypatch):
    name, home = f"ann{secrets.token_hex(4)}", tmp_path / "home"
    words = ["db", "init", new_database.reveal(), "--username", name]
    code, out, err = cli(*words)
    assert code == 0, err
    assert "workbench lab" in out
    assert stat.S_IMODE((home / "connection").stat().st_mode) == 0o600
    secret = urlsplit(new_database.reveal()).password
    url = cli("db", "url")[1].strip()
    assert "passfile=" in url
    for printed in (out, err, url):
        assert secret not in printed
    assert urlsplit(url).password is None
    assert cli("run", "list")[0] == 0
    assert json.loads(cli("db", "status", "--json")[1])["kind"] == "external"
    assert process("db", "psql", "-tAc", "select username from users").stdout == f"{name}\n"
    code, _, err = cli(*words)
    assert code == 2
    assert "--file" in err


def test_init_for_somebody_else_writes_a_file_that_they_can_use(cli, new_database, tmp_path, monkeypatch):
    name = f"bob{secrets.token_hex(4)}"
    monkeypatch.setenv("WORKBENCH_ADMIN_URL", new_database.reveal())
    words = ["db", "init", "--username", name, "--email", f"{name}@example.org", "--file", "bob.env"]
    code, out, _ = cli(*words)
    assert code == 0
    assert stat.S_IMODE((tmp_path / "bob.env").stat().st_mode) == 0o600
    assert not (tmp_path / "home").exists()
    assert cli(*words)[0] == 2
    (tmp_path / "bob.env").rename(tmp_path / ".env")
    code, out, _ = cli("doctor", "--json")
    assert (code, checks(out)["login"]["status"]) == (0, "ok")
    url = cli("db", "url")[1].strip()
    assert urlsplit(url).password is None
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT wb.me() IS NOT NULL").fetchone() == (True,)


def test_init_with_an_ordinary_login_names_what_it_needs(cli, ann_url):
    code, _, err = cli("db", "init", ann_url.reveal())
    assert code == 2
    assert "CREATEROLE" in err


@pytest.mark.parametrize(
    "url", ["embedded:///tmp/x", "mysql://a@b/c", "postgresql://a@127.0.0.1:9/x", "nonsense"]
)
def test_init_refuses_what_is_no_server(cli, url):
    code, out, err = cli("db", "init", url)
    assert (code, out) == (2, "")
    assert "→" in err


def test_migrate_brings_an_older_database_to_the_head(cli, server, new_database, monkeypatch, ann_url):
    bootstrap.create_database(server.admin_url("postgres"), urlsplit(new_database.reveal()).path.strip("/"))
    with psycopg.connect(new_database.reveal(), autocommit=True) as connection:
        bootstrap._make_roles(connection)
        bootstrap._make_database_rights(connection)
    upgrade(new_database, "0002")
    monkeypatch.setenv("DATABASE_URL", ann_url.reveal())
    code, _, err = cli("db", "migrate")
    assert code == 2
    assert "ADMIN_URL" in err
    monkeypatch.setenv("WORKBENCH_ADMIN_URL", new_database.reveal())
    code, out, _ = cli("db", "migrate")
    assert code == 0
    assert f"from revision 0002 to {HEAD}" in out
    assert f"is at revision {HEAD} already" in cli("db", "migrate", new_database.reveal())[1]


def test_migrate_refuses_a_database_without_a_schema(cli, embedded):
    code, _, err = cli("db", "migrate", embedded_admin_url(embedded, "postgres").reveal())
    assert code == 2
    assert "db init" in err


# --- models ---


class _Models(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"object": "list", "data": [{"id": "small", "object": "model"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Stay silent."""


@pytest.fixture
def models_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Models) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def test_a_named_server_is_listed_and_its_models_are_stored(anns, models_server):
    code, out, err = anns(
        "models", "list"
    )  # nothing is configured: what answers by script is there, and named so
    assert (code, "fake/echo" in out, "answer by script" in err) == (0, True, True)
    assert anns("models", "endpoint", "add", "rack", models_server)[0] == 0
    (offered,) = [
        each for each in json.loads(anns("models", "list", "--json")[1]) if each["family"] != "fake"
    ]
    assert (offered["model"], offered["family"], offered["context_length"]) == ("rack/…", "", None)
    assert "1 models of rack" in anns("models", "sync", "rack")[1]
    listed = json.loads(anns("models", "list", "--json")[1])
    assert [(row["model"], row["family"]) for row in listed][:2] == [("rack/small", "other"), ("rack/…", "")]
    assert {row["family"] for row in listed[2:]} == {"fake"}
    assert "workbench models show" in anns("models", "list")[2]
    assert "rack/…" in checks(anns("doctor", "--json")[1])["models"]["message"]
    assert anns("models", "endpoint", "add", "openai", models_server)[0] == 2


def test_fetching_needs_no_database_and_names_what_there_is(cli):
    code, _, err = cli("models", "fetch", "smolm2")
    assert code == 2
    assert "smollm2" in err


# --- reports ---


def notebook(path, *cells):
    tagged = [{"tags": ["parameters"]}, *[{} for _ in cells[1:]]]
    found = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"c{n}",
            "metadata": tags,
            "outputs": [],
            "source": source,
        }
        for n, (source, tags) in enumerate(zip(cells, tagged, strict=True))
    ]
    path.write_text(json.dumps({"cells": found, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.fixture
def browser(monkeypatch, tmp_path):
    """A browser that writes down what it was asked to open."""
    program, page = tmp_path / "browser", tmp_path / "opened"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {page}\n')
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    monkeypatch.setattr(webbrowser, "_tryorder", None)  # it reads BROWSER once in a process
    monkeypatch.setattr(webbrowser, "_browsers", {})
    return page


def test_a_report_runs_is_listed_and_opens(anns, tmp_path, browser):
    path = notebook(tmp_path / "weekly.ipynb", 'project: str = ""\ndays: int = 7', "print('days', days + 1)")
    code, out, err = anns("report", "run", path, "-p", "days=20", "--open")
    assert code == 0, err
    assert err.splitlines()[-1] == "cell 3 of 3"
    page = Path(out.strip())
    assert "days 21" in page.read_text()
    assert browser.read_text() == page.as_uri()
    (row,) = json.loads(anns("report", "list", "--json")[1])
    assert (row["name"], row["status"], row["parameters"]["days"]) == ("weekly", "complete", 20)
    assert row["id"][:8] in anns("report", "list")[1]
    assert str(page) in anns("report", "show", row["id"][:6])[1]
    browser.unlink()
    assert anns("report", "open")[0] == 0
    assert browser.read_text() == page.as_uri()
    page.unlink()
    code, _, err = anns("report", "open", row["id"])
    assert code == 2
    assert "workbench report run weekly" in err


def test_a_report_that_fails_is_an_error_and_stays_listed(anns, tmp_path):
    path = notebook(tmp_path / "broken.ipynb", 'project: str = ""', "1 / 0")
    code, out, err = anns("report", "run", path)
    assert (code, out) == (2, "")
    assert "ZeroDivisionError" in err
    (row,) = json.loads(anns("report", "list", "--json")[1])
    assert row["status"] == "failed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "weekli"], "there is no report"),
        (["run", "weekly.ipynb", "-p", "days=many"], "declared type int"),
        (["run", "weekly.ipynb", "-p", "dais=1"], "did you mean 'days'?"),
        (["run", "weekly.ipynb", "-p", "days"], "NAME=VALUE"),
        (["show", "ffff"], "no report"),
        (["open"], "no report"),
    ],
)
def test_reports_that_cannot_be_are_refused(anns, tmp_path, words, said):
    notebook(tmp_path / "weekly.ipynb", 'project: str = ""\ndays: int = 7')
    code, out, err = anns("report", *words)
    assert (code, out) == (2, "")
    assert said in err


# --- lab ---


def test_lab_starts_on_a_copy_that_keeps_a_persons_edits(tmp_path):
    done = process("lab", "--no-browser", "--port", "0", "--", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout.split(".")[0]) >= 4
    copies = tmp_path / "home" / "notebooks"
    shipped = {path.name for path in (CHECKOUT / "notebooks").glob("*.ipynb")}
    assert shipped
    assert {path.name for path in copies.glob("*.ipynb")} == shipped
    first = copies / min(shipped)
    first.write_text("mine")
    (copies / "own.ipynb").write_text("mine")
    copy_notebooks(Settings(home=tmp_path / "home"))
    assert first.read_text() == "mine"
    assert (copies / "own.ipynb").exists()


# --- the demo ---


@pytest.mark.model
def test_the_demo_ends_with_a_verdict_and_a_report(anns, tmp_path):
    from local_model import home_with_weights

    home_with_weights(tmp_path / "home")
    code, out, err = anns("demo", "--quick")
    assert code == 0, err
    report = next(line.split(maxsplit=1)[1] for line in out.splitlines() if line.startswith("report:"))
    assert Path(report).is_file()
    assert json.loads(anns("ab", "list", "--project", "quickstart", "--json")[1])[0]["verdict"]


# --- search ---


def test_prompts_and_answers_are_found_from_the_command_line(held, anns):
    code, out, err = anns("prompt", "search", "please")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["prompt", "version", "label", "snippet", "project"]
    assert "«Please» say" in out
    (row,) = json.loads(anns("prompt", "search", "say", "-", "--label", "latest", "--json")[1])
    assert (row["prompt"], row["version"], row["match"]) == ("say", 2, "words")
    assert (
        len(json.loads(anns("run", "search", "say", "--prompt", "say@1", "--limit", "3", "--json")[1])) == 3
    )
    assert json.loads(anns("prompt", "search", "zebra", "--json")[1]) == []
    assert anns("prompt", "search", "zebra") == (
        0,
        "",
        "no prompts with zebra: try another word, or a part of one\n",
    )
    code, out, err = anns("prompt", "search", "plese")
    assert (code, "nothing has the words plese; searched for please for plese" in err) == (0, True)
    assert "say" in out
    code, _, err = anns("run", "search", "say", "--status", "dome")
    assert (code, "did you mean 'done'?" in err) == (2, True)
