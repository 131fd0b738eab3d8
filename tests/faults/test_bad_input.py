"""Whatever a person gets wrong, or the world does to them: a typed error with a cure, soon, and nothing answered is lost."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager

import pandas as pd
import psycopg
import pytest

from tests.servers import ConnectProxy, Reply, ScriptedServer, completion
from workbench.errors import (
    AuthenticationError,
    BudgetError,
    ConflictError,
    DatabaseUrlError,
    DataError,
    NoModelError,
    PaymentRequiredError,
    ProviderUnavailableError,
    SchemaVersionError,
    ServerUnavailableError,
    UndefinedVariableError,
    UnknownModelError,
    WeightsError,
)
from workbench.providers.base import Retry
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.registry import Registry
from workbench.secret import Secret
from workbench.services.workbench import connect
from workbench.settings import Settings

QUICK = Retry(base=0.001, cap=0.05, total_timeout=10, connect_timeout=2, read_timeout=2)
ROWS = [{"n": n} for n in range(20)]


@contextmanager
def refused(kind, match=None, *, seconds=5.0):
    """The block fails in time with that kind of error, which also says what to do."""
    began = time.monotonic()
    with pytest.raises(kind, match=match) as caught:
        yield caught
    assert time.monotonic() - began < seconds
    assert type(caught.value) is kind
    assert caught.value.cure


@pytest.fixture
def answered(wb):
    """A workbench with a run of two answers, which every fault must leave as they are."""
    wb.prompts.save("say", "Say {{ n }}")
    wb.run("say", data=[{"n": -1}, {"n": -2}], progress=False)
    yield wb
    with wb.database.driver() as connection:
        kept = connection.execute(
            "SELECT count(*) FROM wb.executions WHERE status = 'done' AND input_variables ->> 'n' IN ('-1', '-2')"
        ).fetchone()
    assert kept == (2,)


@pytest.fixture
def ask_server(answered):
    """Make ``mine/m`` the model of a server with that script; gives the server and the run's rows."""

    @contextmanager
    def start(script, retry=QUICK):
        with ScriptedServer(script) as server:
            point(answered, server.url, retry)
            yield server

    return start


def point(wb, url, retry=QUICK):
    """Let ``mine/m`` lead to that URL, with this patience."""
    mine = OpenAICompatible(name="mine", base_url=url, key=Secret("sk-test"), retry=retry)
    wb.models._registry = Registry(wb.config, providers={"mine": mine})


def run(wb, rows=ROWS, **options):
    options = {"concurrency": 4, "progress": False, **options}
    return wb.run("say", model="mine/m", data=rows, **options)


def statuses(url):
    with psycopg.connect(url.reveal()) as connection:
        query = "SELECT status, count(*) FROM wb.executions WHERE model_config_id IN (SELECT id FROM wb.model_configs WHERE model_id = 'mine/m') GROUP BY 1"
        return dict(connection.execute(query).fetchall())


def number(asked):
    return int(asked.json["messages"][0]["content"].removeprefix("Say "))


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


# --- the database cannot be used ---


@pytest.mark.parametrize(
    ("url", "kind", "names"),
    [
        ("postgresql://ann:geheim@127.0.0.1:1/team", ServerUnavailableError, "'team' on 127.0.0.1:1 does not answer"),
        ("postgresql://ann:geheim@no-such-host.invalid/team", ServerUnavailableError, "no-such-host.invalid"),
        ("mysql://ann:geheim@db.example.org/team", DatabaseUrlError, "'mysql' is not a kind of database"),
        ("postgresql://ann:geheim@db.example.org", DatabaseUrlError, "names no database"),
        ("postgresql://ann:geheim@db.example.org:port/team", DatabaseUrlError, "cannot be read"),
        ("postgresql://ann:geheim@127.0.0.1:1/team?colour=red", DatabaseUrlError, "colour"),
        ("embedded://team", DatabaseUrlError, "absolute path"),
        ("nonsense", DatabaseUrlError, "no scheme"),
    ],
)  # fmt: skip
def test_a_url_that_leads_nowhere(tmp_path, url, kind, names):
    with refused(kind, names) as caught:
        connect(url, settings=Settings(home=tmp_path))
    assert "geheim" not in str(caught.value)


def test_a_wrong_password(ann_url, tmp_path):
    password = ann_url.reveal().split(":")[2].split("@")[0]
    with refused(DatabaseUrlError, "refuses this login") as caught:
        connect(ann_url.reveal().replace(password, "wrong"), settings=Settings(home=tmp_path))
    assert "wrong" not in str(caught.value)


def test_a_superusers_url(admin_url, tmp_path):
    with refused(DatabaseUrlError, "administrator's: row-level security would not bind it") as caught:
        connect(admin_url.reveal(), settings=Settings(home=tmp_path))
    assert "workbench db init" in caught.value.cure


def test_a_database_that_does_not_exist(ann_url, database, tmp_path):
    with refused(DatabaseUrlError, "does not exist"):
        connect(ann_url.reveal().replace(database, "nowhere"), settings=Settings(home=tmp_path))


def test_a_database_without_a_schema(server, ann_url, database, new_database, tmp_path):
    from workbench.db import bootstrap

    name = new_database.reveal().rpartition("/")[2].partition("?")[0]
    bootstrap.create_database(server.admin_url("postgres"), name)
    with refused(SchemaVersionError, "no workbench schema") as caught:
        connect(ann_url.reveal().replace(database, name), settings=Settings(home=tmp_path))
    assert "workbench db init" in caught.value.cure


@pytest.mark.parametrize(
    ("found", "cure"), [("0001", "workbench db migrate"), ("9999", "pip install --upgrade")]
)
def test_a_schema_of_another_version(answered, admin_url, ann_url, found, cure):
    with psycopg.connect(admin_url.reveal()) as connection:
        connection.execute("UPDATE wb.alembic_version SET version_num = %s", [found])
    with refused(SchemaVersionError, f"revision {found}") as caught:
        connect(ann_url.reveal(), settings=answered.config)
    assert cure in caught.value.cure


# --- what is asked for cannot be done ---


def test_no_model(answered, ann_url):
    answered.default_model = None
    with refused(NoModelError, "no model was chosen"):
        answered.run("say", data=ROWS, progress=False)
    assert statuses(ann_url) == {}


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        ("local/smollm2", WeightsError, "workbench models fetch smollm2"),
        ("local/smolm2", WeightsError, "did you mean 'smollm2'"),
        ("fake/ecko", UnknownModelError, "did you mean 'echo'"),
        ("opnrouter/x", UnknownModelError, "did you mean 'openrouter'"),
        ("gpt-4o", UnknownModelError, "fake/echo"),
    ],
)
def test_a_model_that_is_not_there(answered, model, kind, said):
    with refused(kind) as caught:
        answered.run("say", data=ROWS, model=model, progress=False)
    assert said in caught.value.cure


def test_weights_that_are_damaged(answered):
    path = answered.config.home / "models" / "smollm2.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF, but cut off")
    with refused(WeightsError, "the weights of smollm2 have SHA-256") as caught:
        answered.run("say", data=ROWS, model="local/smollm2", progress=False)
    assert f"delete {path}" in caught.value.cure


def test_data_that_does_not_fit(answered):
    with refused(UndefinedVariableError, "needs 'n'.* did you mean 'nn'"):
        answered.run("say", data=pd.DataFrame({"nn": [1]}))
    with refused(UndefinedVariableError, "n"):
        answered.ask("say", variables={"m": 1})
    with refused(DataError, "no rows"):
        answered.run("say", data=pd.DataFrame({"n": []}))


# --- the provider fails in a run of 20 ---


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (402, PaymentRequiredError)])
def test_a_key_or_an_account_that_is_refused_ends_the_run_at_once(
    ask_server, answered, ann_url, status, kind
):
    broken = True

    def script(asked):
        return Reply(status) if broken and number(asked) >= 5 else completion(str(number(asked)))

    with ask_server(script) as server:
        with refused(kind, f"answered {status}"):
            run(answered)
        found = statuses(ann_url)
        assert found["done"] == 5
        assert 1 <= found["failed"] <= 4
        assert set(found) <= {"done", "failed", "lost"}
        assert len(server.asked) == found["done"] + found["failed"]
        broken = False
        resumed = answered.last.resume(retry_errors=True)
        assert (resumed.status, resumed.counts.done) == ("finished", 20)
        assert server.billed == 20


def test_a_rate_limit_is_waited_for_and_each_try_is_visible(ask_server, answered, ann_url):
    seen = set()

    def script(asked):
        if number(asked) % 4 or number(asked) in seen:
            return completion("fine")
        seen.add(number(asked))
        return Reply(429, headers={"Retry-After": "0"})

    with ask_server(script):
        assert run(answered).counts.done == 20
    with psycopg.connect(ann_url.reveal()) as connection:
        tries = connection.execute(
            "SELECT n, http_status, retry_after_ms FROM wb.attempts WHERE error_code = 'rate_limit'"
        ).fetchall()
    assert tries == [(1, 429, 0)] * 5


def test_a_server_error_is_a_failed_row_and_the_run_goes_on(ask_server, answered, ann_url):
    with ask_server(lambda asked: Reply(500) if number(asked) % 5 == 0 else completion("fine")):
        done = run(answered)
    assert (done.status, done.counts.done, done.counts.failed) == ("finished", 16, 4)
    assert set(done.failures["error_code"]) == {"unavailable"}
    assert statuses(ann_url) == {"done": 16, "failed": 4}


def test_a_cost_beyond_reason_is_unknown(ask_server, answered):
    with ask_server(completion("fine", usage={"cost": 1e30, "total_tokens": 10**12})):
        done = run(answered)
    assert (done.counts.done, done.counts.cost_unknown) == (20, 20)


def test_a_provider_that_is_down_ends_the_run_after_twenty_calls(ask_server, answered, ann_url):
    with ask_server(Reply(503)), refused(ProviderUnavailableError, "answered 503"):
        run(answered, [{"n": n} for n in range(200)])
    found = statuses(ann_url)
    assert 20 <= found["failed"] <= 24
    assert set(found) == {"failed", "lost"}


def test_nothing_listening_ends_the_run_after_a_few_calls(answered, ann_url):
    port = closed_port()
    point(answered, f"http://127.0.0.1:{port}/v1", Retry())
    with refused(ProviderUnavailableError, f"nothing answers at 127.0.0.1:{port}"):
        run(answered, [{"n": n} for n in range(200)])
    found = statuses(ann_url)
    assert 3 <= found["failed"] <= 3 + 4
    assert set(found) == {"failed", "lost"}


def test_a_proxy_that_is_not_there(answered, monkeypatch, ann_url):
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{closed_port()}")
    point(answered, "https://models.example.org/v1")
    with refused(ProviderUnavailableError, "the proxy 127.0.0.1 does not answer") as caught:
        run(answered)
    assert "HTTPS_PROXY" in caught.value.cure
    assert statuses(ann_url)["failed"] <= 3 + 4


def test_a_proxy_that_refuses(answered, monkeypatch):
    with ConnectProxy(closed_port(), credentials="ann:right") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:geheim@127.0.0.1:{proxy.port}")
        point(answered, "https://models.example.org/v1")
        with refused(ProviderUnavailableError, "407") as caught:
            run(answered)
    assert "geheim" not in str(caught.value)


def test_the_budget_ends_the_run_before_it_is_passed(ask_server, answered, ann_url):
    from decimal import Decimal

    from workbench.core.chat import ModelInfo

    price = {"price_prompt": Decimal("0.00001"), "price_completion": Decimal("0.00001")}
    with answered.database.session() as session:
        answered.models._store(session, ModelInfo(model_id="mine/m", name="m", **price))
    with ask_server(completion("fine")):  # each costs 0.00012, as it says
        with refused(BudgetError, "could exceed the budget"):
            run(answered, [{"n": n} for n in range(200)], budget=0.0036)
        spent = answered.last.cost
        assert Decimal("0.0018") <= spent <= Decimal("0.0036")
        assert answered.last.resume(budget=1).counts.done == 200


# --- two kernels ---


def test_of_kernels_that_start_one_run_at_once_one_makes_it(ask_server, answered, ann_url, tmp_path):
    others = [connect(ann_url.reveal(), settings=Settings(home=tmp_path)) for _ in range(3)]
    kernels, ended = [answered, *others], []
    barrier = threading.Barrier(len(kernels))

    def start(wb):
        barrier.wait()
        try:
            ended.append(run(wb).counts.done)
        except ConflictError as error:
            ended.append(error.cure)

    with ask_server(Reply(body=completion("fine").body, delay=0.2)) as server:
        for other in others:
            point(other, server.url)
        data = answered.datasets.save("rows", ROWS)  # so that nobody saves the same data at once
        assert data
        threads = [threading.Thread(target=start, args=(wb,)) for wb in kernels]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.billed == 20
    for other in others:
        other.close()
    assert sorted(map(type, ended), key=str) == [int, str, str, str]
    assert statuses(ann_url) == {"done": 20}


def test_a_kernel_whose_run_was_taken_over_stops_and_leaves_it_alone(ask_server, answered, ann_url, tmp_path):
    failures = []

    def first():
        try:
            run(answered, resume=False)
        except ConflictError as error:
            failures.append(error)

    with (
        ask_server(Reply(body=completion("fine").body, delay=0.4)) as server,
        connect(ann_url.reveal(), settings=Settings(home=tmp_path)) as other,
    ):
        point(other, server.url)
        thread = threading.Thread(target=first)
        thread.start()
        while statuses(ann_url).get("done", 0) < 4:
            time.sleep(0.02)
        with psycopg.connect(ann_url.reveal()) as connection:  # as if it had slept for a minute
            connection.execute(
                "UPDATE wb.runs SET heartbeat_at = now() - interval '2 min' WHERE status = 'running'"
            )
        second = run(other)
        thread.join()
    assert (second.status, second.counts.done) == ("finished", 20)
    assert [error.message.split(";")[0] for error in failures] == ["another kernel has taken this run over"]
    assert answered.runs.get(second.id).status == "finished"
    found = statuses(ann_url)
    assert found["done"] == 20
    assert set(found) <= {"done", "late", "unknown"}
    assert found.get("late", 0) + found.get("unknown", 0) <= 4 + 4  # in flight, claimed ahead
