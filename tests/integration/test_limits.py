"""Limits that processes share: buckets by the database's clock, refusals that everybody hears of, two real processes."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psycopg
import pytest
from servers import Reply, ScriptedServer, completion

from workbench.cli.app import run_command
from workbench.db import limits, limits_state
from workbench.db.limits import give_back, refused, set_limit, take
from workbench.db.limits_state import Own, Permit
from workbench.errors import (
    ConflictError,
    InputError,
    RunInterruptedError,
    UnknownModelError,
    UnknownReferenceError,
)
from workbench.services.limiting_slots import Window
from workbench.services.limits import LIMITS
from workbench.services.workbench import connect
from workbench.settings import Settings

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def me(wb):
    return wb.database.user_id


@pytest.fixture
def ask(wb, me):
    """Take permits of lab/m, each time in a transaction of its own."""

    def ask(calls=1, *, model="m", tokens=0.0):
        with wb.database.driver() as connection:
            return take(connection, me, "lab", model, calls=calls, tokens=tokens)

    return ask


@pytest.fixture
def refuse(wb, me):
    def refuse(retry_after=None, *, model="m"):
        with wb.database.driver() as connection:
            return refused(connection, me, "lab", model, retry_after=retry_after)

    return refuse


@pytest.fixture
def limit(wb, me):
    def limit(model="", **fields):
        with wb.database.driver() as connection:
            set_limit(connection, me, "lab", model, **fields)

    return limit


@pytest.fixture
def later(ann_url):
    """Let time pass for the limits: what they remember moves into the past."""

    def later(seconds):
        with psycopg.connect(ann_url.reveal()) as ann:
            ann.execute(
                "UPDATE wb.rate_limits SET refilled_at = refilled_at - make_interval(secs => %(s)s),"
                " blocked_until = blocked_until - make_interval(secs => %(s)s)",
                {"s": seconds},
            )

    return later


@pytest.fixture
def rows(ann_url):
    def rows(columns="model, pace"):
        with psycopg.connect(ann_url.reveal()) as ann:
            return ann.execute(f"SELECT {columns} FROM wb.rate_limits ORDER BY model").fetchall()

    return rows


@pytest.fixture
def buckets(ask, limit, later):
    return ask, limit, later


# --- buckets ---


def test_without_a_row_everything_is_granted_and_nobody_asks_for_a_second(ask):
    assert ask(1000) == Permit(granted=1000, quiet=1.0)


def test_a_bucket_fills_by_the_minute_and_holds_ten_seconds(ask, limit, later):
    limit(rpm=60)
    first = ask(5)
    assert (first.granted, first.limit, first.why) == (0, "lab", "rate")
    assert 0.8 < first.wait <= 1
    later(3)
    assert ask(5).granted == 3
    later(3600)
    assert ask(100).granted == 10
    assert ask(1).granted == 0


def test_a_bucket_always_holds_one_call(ask, limit, later):
    limit(rpm=1)
    later(59)
    assert ask().granted == 0
    later(10)
    assert ask(3).granted == 1
    assert ask().granted == 0


def test_nothing_of_the_refill_is_lost_to_many_small_permits(ask, limit):
    limit(rpm=6000)  # 100 a second
    start, granted, looks = time.monotonic(), 0, 0
    while (seconds := time.monotonic() - start) < 2:
        granted += ask(20).granted
        looks += 1
    assert looks > 20
    assert 100 * seconds * 0.95 - 2 <= granted <= 100 * (time.monotonic() - start) + 2


def test_tokens_are_a_second_bucket(ask, limit, later):
    limit(tpm=6000, rpm=600)
    later(5)  # 500 tokens, 50 calls
    assert ask(20, tokens=20 * 100).granted == 5
    later(3600)  # full: 1,000 tokens
    assert ask(20, tokens=20 * 100).granted == 10
    late = ask(1, tokens=300)
    assert (late.granted, late.why) == (0, "rate")
    assert 2.5 < late.wait <= 3
    later(20)
    assert ask(1, tokens=5000).granted == 0
    later(31)
    assert ask(1, tokens=5000).granted == 1  # although the bucket is smaller than the call


def test_of_two_limits_the_tighter_one_counts_and_both_are_charged(ask, limit, later, rows):
    limit(rpm=60)
    limit("m", rpm=6)
    later(11)  # full: 10 for all, one for m
    assert ask(8).granted == 1
    assert 9 <= ask(60, model="other").granted <= 10  # a second may have passed
    later(5)
    assert ask(1, model="other").granted == 1
    tight = ask(1)
    assert (tight.granted, tight.limit, tight.why) == (0, "lab/m", "rate")


def test_what_was_not_used_goes_back(ask, limit, later, wb, me):
    limit(rpm=60, tpm=60_000)
    later(5)
    assert ask(5, tokens=500).granted == 5
    assert ask(5, tokens=500).granted == 0
    with wb.database.driver() as connection:
        give_back(connection, me, "lab", "m", calls=2, tokens=200)
    assert ask(5, tokens=500).granted == 2
    with wb.database.driver() as connection:
        give_back(connection, me, "lab", "m", tokens=-60_000)  # it took far more than was thought
    later(10)
    assert ask(1, tokens=100).granted == 0


def test_eight_threads_take_no_permit_twice(wb, me, limit, later):
    limit(rpm=60)
    later(60)  # the bucket is full: 10
    granted = []

    def grab():
        for _ in range(5):
            with wb.database.driver() as connection:
                granted.append(take(connection, me, "lab", "m", calls=3).granted)

    threads = [threading.Thread(target=grab) for _ in range(8)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 10 <= sum(granted) <= 10 + (time.monotonic() - start) + 1


def test_who_looks_in_vain_writes_nothing(ask, limit, rows):
    limit(rpm=1)
    before = rows("xmin, ctid")
    for _ in range(5):
        assert ask().granted == 0
    assert rows("ctid") == [(each[1],) for each in before]


def test_a_clock_that_was_set_back_holds_nobody_up(ask, limit, later, refuse, rows):
    limit(rpm=600)
    later(-86_400)
    ask()
    assert rows("refilled_at <= clock_timestamp()") == [(True,)]
    refuse(5)
    later(-86_400)
    assert ask().wait <= 60
    assert rows("blocked_until <= clock_timestamp() + interval '60 s'") == [(True,)]


def test_a_row_that_somebody_holds_is_waited_for_only_briefly(ask, limit, ann_url, monkeypatch):
    limit(rpm=600)
    monkeypatch.setattr(limits, "LOCK_TIMEOUT", "100ms")
    with psycopg.connect(ann_url.reveal()) as ann:
        ann.execute("UPDATE wb.rate_limits SET pace = 1")
        with pytest.raises(ConflictError):
            ask()


# --- refusals ---


def test_a_refusal_keeps_everybody_waiting_and_is_remembered_without_a_limit(ask, refuse, rows, wb, me):
    assert refuse(7) == 7
    permit = ask()
    assert (permit.granted, permit.why, permit.limit) == (0, "refused", "lab/m")
    assert 6.5 < permit.wait <= 7
    assert ask(model="other").granted == 1
    assert rows("model, pace, requests_per_minute, tokens_per_minute, concurrency") == [
        ("m", 0.7, None, None, None)
    ]


def test_absurd_and_missing_retry_after(refuse, later):
    assert refuse(86_400) == 60
    later(61)
    assert refuse(0) == 0.5
    later(1)
    assert refuse(-5) == 0.5


def test_the_back_off_doubles_and_ends_at_a_minute(refuse, later, rows):
    waits = []
    for _ in range(9):
        waits.append(refuse())
        later(waits[-1])
    assert waits[:5] == pytest.approx([1, 2, 4, 8, 16], rel=0.15)
    assert waits[-1] == 60
    for _ in range(5):
        refuse()
        later(60)
    assert rows("pace >= 0.05 AND pace < 0.06") == [(True,)]


def test_refusals_that_come_together_are_one(refuse, rows):
    refuse(5)
    assert refuse(3) == pytest.approx(5, abs=0.5)
    assert refuse() == pytest.approx(5, abs=0.5)
    assert refuse(9) == 9
    assert rows() == [("m", 0.7)]


def test_a_refusal_empties_the_bucket_and_slows_it(ask, refuse, limit, later):
    limit("m", rpm=600)
    later(60)
    refuse(1)
    later(1)
    assert ask(50).granted == 0
    later(1)
    assert ask(50).granted == pytest.approx(10 * 0.7, abs=1)


def test_a_refusal_is_noted_with_the_limit_that_there_is(refuse, limit, rows):
    limit(rpm=600)
    refuse(1)
    assert rows("model, pace") == [("", 0.7)]
    limit("m", rpm=60)
    refuse(1)
    assert rows("model, pace") == [("", 0.7), ("m", 0.7)]


def test_the_pace_is_back_after_two_minutes_and_what_only_remembered_it_is_gone(
    ask, refuse, limit, later, rows
):
    refuse(1)
    later(21)
    assert ask(9) == Permit(granted=9, quiet=0.2)  # limits nothing, but somebody else may be refused soon
    later(10)
    ask()
    assert rows() == [("m", 0.7)]
    later(10)
    assert ask() == Permit(granted=1, quiet=1.0)
    assert rows() == []
    limit("m", rpm=600)
    refuse(1)
    later(61)
    ask(1)
    assert rows("round(pace::numeric, 1)::float8") == [(pytest.approx(1.0, abs=0.21),)]
    later(120)
    ask(1)
    assert rows("model, pace") == [("m", 1)]


# --- calls in flight ---


@pytest.fixture
def lab(wb):
    """A model of a server that nobody asks; makes calls in flight."""
    wb.models.endpoint("lab", "http://127.0.0.1:9/v1")
    prompt = wb.prompts.save("say", "Say {{ n }}")

    def sent(model="lab/m", **fields):
        row = {
            "run_at": dt.datetime.now(dt.UTC),
            "project_id": wb.project_id,
            "user_id": wb.database.user_id,
            "prompt_id": prompt.id,
            "model_config_id": wb.models.choose(model).config_id,
            "status": "sent",
            "request_payload": "{}",
            "request_digest": "d",
            **fields,
        }
        with wb.database.driver() as connection:
            names = ", ".join(row)
            values = ", ".join(f"%({name})s" for name in row)
            return connection.execute(
                f"INSERT INTO wb.executions ({names}) VALUES ({values}) RETURNING id", row
            ).fetchone()[0]

    return sent


def test_what_is_in_flight_leaves_less_to_grant(ask, limit, lab, later, ann_url):
    limit(concurrency=3)
    limit("m", concurrency=2)
    later(1)
    assert ask(9).granted == 2
    settling = ask(9)
    assert (settling.granted, settling.why) == (0, "full")
    assert 0 < settling.wait <= 0.15
    later(1)
    call = lab()
    assert ask(9).granted == 1
    later(1)
    lab("lab/other")
    assert ask(9, model="other").granted == 1
    later(1)
    lab("lab/other")
    full = ask(9)
    assert (full.granted, full.why, full.limit) == (0, "full", "lab")
    with psycopg.connect(ann_url.reveal()) as ann:
        ann.execute("UPDATE wb.executions SET status = 'failed', error_code = 'x' WHERE id = %s", [call])
    assert ask(9).granted == 1


def test_who_was_granted_last_need_not_wait_for_the_ledger(limit, later, lab, wb, me):
    limit(concurrency=5)
    later(1)

    def ask(calls, own):
        with wb.database.driver() as connection:
            return take(connection, me, "lab", "m", calls=calls, own=own)

    own = Own().plus(ask(1, Own()))
    second = ask(2, own)
    assert second.granted == 2
    own = own.plus(second)
    assert ask(9, Own()).granted == 0  # somebody else: the three may not be in the ledger yet
    assert ask(1, own).granted == 0  # somebody waits, so by now it waits too
    lab()
    later(1)
    assert ask(9, Own()).granted == 4


def test_calls_of_a_lost_kernel_do_not_count_for_ever(buckets, lab, wb, ann_url, admin_url):
    ask, limit, later = buckets
    limit(concurrency=2)
    run = wb.run("say", data=[{"n": 1}], progress=False)
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        ann.execute("UPDATE wb.runs SET status = 'running', heartbeat_at = now() WHERE id = %s", [run.id])
        lab(run_id=run.id, run_at=run.created_at, case_key="k")
        lab()
        later(1)
        assert ask(9).granted == 0
        ann.execute("UPDATE wb.runs SET heartbeat_at = now() - interval '61 s' WHERE id = %s", [run.id])
        assert ask(9).granted == 1
    later(1)
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
        admin.execute("ALTER TABLE wb.executions DISABLE TRIGGER USER")
        admin.execute("UPDATE wb.executions SET created_at = now() - interval '11 min' WHERE run_id IS NULL")
    assert ask(9).granted == 2


def test_counting_looks_at_an_index(buckets, lab, wb, admin_url):
    ask, limit, later = buckets
    limit(concurrency=5)
    lab()
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
        admin.execute("ALTER TABLE wb.executions DISABLE TRIGGER USER")
        admin.execute(
            "INSERT INTO wb.executions (run_at, project_id, user_id, prompt_id, model_config_id, status, request_payload, request_digest)"
            " SELECT now(), project_id, user_id, prompt_id, model_config_id, 'done', '{}', n::text FROM wb.executions, generate_series(1, 30000) n"
        )
        admin.execute("ANALYZE wb.executions")
    with wb.database.driver() as connection:
        key = {"user": wb.database.user_id, "provider": "lab", "model": "m", "lease": 60}
        plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + limits_state._STATE, key))
    assert "ix_executions_sent" in plan
    assert "Seq Scan on executions" not in plan
    later(1)
    assert ask(9).granted == 4


# --- the window of a process ---


def test_a_window_halves_once_for_calls_that_were_sent_together_and_grows_by_answers():
    window = Window()
    window.in_flight = 16
    sent = time.perf_counter()
    assert window.room
    assert window.narrow(sent)
    assert not window.narrow(sent)
    assert (window.limit, window.room) == (8, False)
    window.in_flight = 8
    assert window.narrow(time.perf_counter())
    assert window.limit == 4
    for _ in range(20):
        window.widen()
    assert window.limit == 5
    for _ in range(20 * 10):
        window.widen()
    assert window.limit == 15
    for _ in range(20):
        window.widen()
    assert window.limit is None
    window.in_flight = 1
    window.narrow(time.perf_counter())
    window.narrow(time.perf_counter())
    assert window.limit == 1


# --- real calls ---


def endpoint(wb, server):
    wb.models.endpoint("lab", server.url)
    return wb.models.choose("lab/m")


def test_a_refusal_is_told_at_once_and_halves_the_calls_in_flight(wb, rows):
    in_flight = []

    def script(asked):
        in_flight.append(server.in_flight)
        if asked.n == 30:
            return Reply(status=429, headers={"Retry-After": "1"}, body=b"{}")
        return Reply(body=completion("ok").body, delay=0.05)

    with ScriptedServer(script) as server:
        endpoint(wb, server)
        wb.prompts.save("say", "Say {{ n }}")
        run = wb.run(
            "say", model="lab/m", data=[{"n": n} for n in range(120)], concurrency=12, progress=False
        )
        assert run.counts.done == 120
        refused_at = next(each.at for each in server.asked if each.n == 30)
        after = [each for each in server.asked if each.at > refused_at + 0.3]
        assert after[0].at > refused_at + 0.95
        assert max(in_flight[:30]) == 12
        soon = [in_flight[each.n] for each in after[:15]]
        assert max(soon) <= 7  # six, and the refused call itself once more
    assert rows("model, pace < 1") == [("m", True)]


def test_a_run_keeps_to_its_limit_says_what_it_waits_for_and_finishes(wb, limit):
    lines = []

    class Listener:
        def update(self, progress):
            lines.append(progress.line())

        def close(self, progress):
            lines.append(progress.line())

    wb.reporter = Listener
    with ScriptedServer(completion("ok")) as server:
        endpoint(wb, server)
        wb.prompts.save("say", "Say {{ n }}")
        limit(rpm=600)
        start = time.time()
        run = wb.run("say", model="lab/m", data=[{"n": n} for n in range(25)])
        assert run.counts.done == 25
        for place, asked in enumerate(sorted(server.asked, key=lambda each: each.at), 1):
            assert place <= 10 * (asked.at - start) + 1.5
        assert time.time() - start < 4
    assert any("waiting for the rate limit of lab" in line for line in lines)
    assert "waiting" not in lines[-1]


def test_what_the_cache_answers_is_not_held_up(wb, limit, later):
    wb.prompts.save("say", "Say {{ n }}")
    data = [{"n": n} for n in range(60)]
    wb.run("say", data=data, options={"temperature": 0}, progress=False)
    with wb.database.driver() as connection:
        set_limit(connection, wb.database.user_id, "fake", "", rpm=60)
    with psycopg.connect(wb.database.url.reveal()) as ann:
        ann.execute("UPDATE wb.rate_limits SET refilled_at = now() - interval '1 h'")
    start = time.monotonic()
    run = wb.run("say", data=data, options={"temperature": 0}, progress=False)
    assert run.counts.cached == 60
    assert time.monotonic() - start < 15  # and not a minute


def test_an_interrupt_while_the_limit_is_waited_for_ends_at_once(wb, limit):
    with ScriptedServer(completion("ok")) as server:
        endpoint(wb, server)
        wb.prompts.save("say", "Say {{ n }}")
        limit(rpm=1)
        threading.Timer(1.5, os.kill, [os.getpid(), signal.SIGINT]).start()
        start = time.monotonic()
        with pytest.raises(RunInterruptedError, match="0 of 9"):
            wb.run("say", model="lab/m", data=[{"n": n} for n in range(9)], progress=False)
        assert time.monotonic() - start < 5
        assert not server.asked


def test_a_limit_of_concurrency_does_not_stop_a_run_on_itself(wb, limit):
    with ScriptedServer(Reply(body=completion("ok").body, delay=0.02)) as server:
        endpoint(wb, server)
        wb.prompts.save("say", "Say {{ n }}")
        limit(concurrency=2)
        run = wb.run("say", model="lab/m", data=[{"n": n} for n in range(12)], concurrency=12, progress=False)
        assert run.counts.done == 12
        assert server.max_in_flight <= 2


def test_single_calls_ask_too(wb, limit, later):
    with ScriptedServer(completion("ok")) as server:
        endpoint(wb, server)
        wb.prompts.save("say", "Say {{ n }}")
        limit(rpm=120)
        later(0.5)
        start = time.monotonic()
        for n in range(3):
            wb.ask("say", variables={"n": n}, model="lab/m")
        assert 0.9 < time.monotonic() - start < 3
        assert len(server.asked) == 3


def test_headers_that_say_nothing_is_left_are_heeded(wb, rows):
    headers = {
        "x-ratelimit-limit-requests": "30",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    with ScriptedServer(Reply(body=completion("ok").body, headers=headers)) as server:
        endpoint(wb, server)
        wb.prompts.save("say", "Say {{ n }}")
        for n in range(2):
            wb.ask("say", variables={"n": n}, model="lab/m")
        assert server.asked[1].at - server.asked[0].at > 1.9
    assert rows("model, pace") == [("m", 1)]  # told to others, and nobody is slowed for it


def test_tokens_that_were_not_foreseen_are_charged_afterwards(ann_url, limit, later, rows, tmp_path):
    usage = {"prompt_tokens": 10, "completion_tokens": 690, "total_tokens": 700}
    with ScriptedServer(completion("ok", usage=usage)) as server:
        limit(tpm=6000)
        later(3600)  # full: 1,000 tokens
        with connect(ann_url.reveal(), settings=Settings(home=tmp_path)) as wb:
            endpoint(wb, server)
            wb.prompts.save("say", "Say {{ n }}")
            wb.ask("say", variables={"n": 1}, model="lab/m", options={"max_tokens": 5})
            assert rows("tokens_left > 980") == [(True,)]
    assert rows("tokens_left > 250 AND tokens_left < 350") == [(True,)]


# --- two processes ---

CHILD = """
import asyncio, json, sys, time, uuid, datetime as dt
from concurrent.futures import ThreadPoolExecutor
import workbench
from workbench.core.chat import ChatRequest, Message
from workbench.services.limiting_slots import Wanted

name, workers, seconds, ledger = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] == "ledger"
wb = workbench.connect()
model = wb.models.choose("lab/m")
prompt = wb.prompts.get("say")
limiter = wb.limiter

def claim():
    with wb.database.driver() as connection:
        return connection.execute(
            "INSERT INTO wb.executions (run_at, project_id, user_id, prompt_id, model_config_id, status, request_payload, request_digest)"
            " VALUES (clock_timestamp(), %s, %s, %s, %s, 'sent', '{}', 'd') RETURNING id",
            [wb.project_id, wb.database.user_id, prompt.id, model.config_id],
        ).fetchone()[0]

def finish(row):
    with wb.database.driver() as connection:
        connection.execute("UPDATE wb.executions SET status = 'done' WHERE id = %s", [row])

async def work(until):
    while time.time() < until:
        request = ChatRequest(model="m", messages=(Message("user", name),))
        if not await limiter.permits([Wanted.of(model, request)], unless=lambda: time.time() > until):
            return
        row = await asyncio.to_thread(claim) if ledger else None
        await limiter.chat(model, request)
        if ledger:
            await asyncio.to_thread(finish, row)

async def main():
    await asyncio.gather(*(work(time.time() + seconds) for _ in range(workers)))

print("ready", flush=True)
sys.stdin.readline()
wb.bridge.run(main())
wb.close()
"""


@pytest.fixture
def two(wb, ann_url, tmp_path):
    """Run two processes that make calls for some seconds against one server; they start together."""

    def two(server, *, workers=8, seconds=4.0, ledger=False):
        """Return when they began, with empty buckets."""
        wb.prompts.save("say", "Say {{ n }}")
        children = []
        for name in ("left", "right"):
            environment = {
                **os.environ,
                "PYTHONPATH": str(CHECKOUT),
                "DATABASE_URL": ann_url.reveal(),
                "WORKBENCH_HOME": str(tmp_path / name),
                "WORKBENCH_ENDPOINT_LAB": server.url,
            }
            mode = "ledger" if ledger else "plain"
            command = [sys.executable, "-c", textwrap.dedent(CHILD), name, str(workers), str(seconds), mode]
            children.append(
                subprocess.Popen(
                    command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
        for child in children:
            assert child.stdout.readline().strip() == "ready"
        with psycopg.connect(ann_url.reveal()) as ann:
            ann.execute("UPDATE wb.rate_limits SET requests_left = 0, refilled_at = clock_timestamp()")
        start = time.time()
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            child.communicate(timeout=60)
            assert child.returncode == 0
        return start

    return two


def who(asked):
    return asked.json["messages"][0]["content"]


@pytest.mark.slow
def test_two_processes_together_keep_to_one_rate(two, limit):
    with ScriptedServer(completion("ok")) as server:
        limit(rpm=1200)  # 20 a second
        start = two(server, seconds=5)
        times = sorted(each.at for each in server.asked)
        for place, at in enumerate(times, 1):
            assert place <= 20 * (at - start) + 2
        assert len(times) >= 20 * 5 * 0.6
        assert {who(each) for each in server.asked} == {"left", "right"}


@pytest.mark.slow
def test_two_processes_together_keep_to_one_concurrency(two, limit):
    with ScriptedServer(Reply(body=completion("ok").body, delay=0.3)) as server:
        limit(concurrency=3)
        two(server, seconds=5, ledger=True)
        assert server.max_in_flight == 3
        assert len(server.asked) >= 20
        assert {who(each) for each in server.asked} == {"left", "right"}


@pytest.mark.slow
def test_a_429_in_one_process_makes_the_other_wait(two):
    def script(asked):
        if asked.n == 60:
            return Reply(status=429, headers={"Retry-After": "4"}, body=b"{}")
        return Reply(body=completion("ok").body, delay=0.1)

    with ScriptedServer(script) as server:
        two(server, workers=3, seconds=9)
        refused_call = next(each for each in server.asked if each.n == 60)
        other = {"left": "right", "right": "left"}[who(refused_call)]
        times = [each.at - refused_call.at for each in server.asked if who(each) == other]
        assert any(at < 0 for at in times)
        assert not [at for at in times if 1.3 < at < 3.9]
        assert any(at > 4 for at in times)
        own = [each.at - refused_call.at for each in server.asked if who(each) == who(refused_call)]
        assert not [at for at in own if 0.3 < at < 3.9]
        assert any(at > 4 for at in own)


# --- verbs ---


def test_limits_are_set_one_by_one_listed_and_removed(wb, bobs_wb):
    wb.models.endpoint("lab", "http://127.0.0.1:9/v1")
    assert str(wb.models.limit("lab", rpm=200)) == "lab: at most 200 calls a minute"
    wb.models.limit("openai/gpt-4o", rpm=60, tpm=100_000)
    limit = wb.models.limit("openrouter/openai/gpt-4o", concurrency=8)
    assert (limit.name, limit.rpm, limit.tpm, limit.concurrency) == (
        "openrouter/openai/gpt-4o",
        60,
        100_000,
        8,
    )
    assert str(limit).endswith("at most 60 calls a minute, 100,000 tokens a minute, 8 at once")
    assert wb.models.limit("openai/gpt-4o", rpm=0.5).rpm == 0.5
    frame = wb.models.limits().set_index("name")
    assert list(wb.models.limits().columns) == list(LIMITS)
    assert list(frame.index) == ["lab", "openrouter/openai/gpt-4o"]
    assert frame.loc["lab", "rpm"] == 200
    assert frame["concurrency"].isna().tolist() == [True, False]
    assert frame.loc["openrouter/openai/gpt-4o", "in_flight"] == 0
    assert frame["pace"].tolist() == [1, 1]
    assert bobs_wb.models.limits().empty
    assert (
        bobs_wb.models.limits().dtypes.astype(str).to_dict()
        == wb.models.limits().dtypes.astype(str).to_dict()
    )
    assert wb.models.unlimit("openai/gpt-4o") == "openrouter/openai/gpt-4o"
    assert wb.models.unlimit("lab") == "lab"
    assert wb.models.limits().empty


def test_a_new_limit_starts_at_its_full_pace(wb, refuse):
    wb.models.endpoint("lab", "http://127.0.0.1:9/v1")
    refuse(7)
    frame = wb.models.limits()
    assert frame["name"].tolist() == ["lab/m"]
    assert frame["pace"].tolist() == [0.7]
    assert 6 < frame["blocked_s"].iloc[0] <= 7
    assert frame["rpm"].isna().all()
    wb.models.limit("lab/m", rpm=60)
    assert wb.models.limits()["pace"].tolist() == [1]


@pytest.mark.parametrize(
    "limits",
    [
        {}, {"rpm": 0}, {"rpm": -1}, {"tpm": float("nan")}, {"tpm": float("inf")}, {"rpm": True}, {"rpm": "60"},
        {"concurrency": 1.5}, {"concurrency": 0}, {"concurrency": 2**31}, {"rpm": 60, "tpm": 0},
    ],
)  # fmt: skip
def test_what_is_no_limit_is_refused_and_changes_nothing(wb, limits):
    with pytest.raises(InputError) as raised:
        wb.models.limit("openrouter", **limits)
    assert raised.value.cure
    assert wb.models.limits().empty


def test_names_that_mean_nothing(wb):
    with pytest.raises(UnknownModelError, match="did you mean 'openrouter'"):
        wb.models.limit("openruter", rpm=1)
    with pytest.raises(UnknownModelError, match="openrouter/openai/"):
        wb.models.limit("openai", rpm=1)
    with pytest.raises(UnknownModelError, match="did you mean 'echo'"):
        wb.models.limit("fake/ecko", rpm=1)
    with pytest.raises(UnknownReferenceError, match="none is set"):
        wb.models.unlimit("openrouter")
    wb.models.limit("fake/echo", rpm=60_000)
    with pytest.raises(UnknownReferenceError, match="did you mean 'fake/echo'"):
        wb.models.unlimit("fake")


def test_the_command_line(ann_url, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", ann_url.reveal())

    def cli(*arguments):
        capsys.readouterr()
        return run_command(["models", "limit", *arguments]), *capsys.readouterr()

    assert cli("openai/gpt-4o", "--rpm", "60", "--tpm", "100000", "--concurrency", "8")[:2] == (
        0,
        "openrouter/openai/gpt-4o: at most 60 calls a minute, 100,000 tokens a minute, 8 at once\n",
    )
    code, out, _ = cli("fake", "--concurrency", "3", "--json")
    assert (code, json.loads(out)) == (0, {"name": "fake", "rpm": None, "tpm": None, "concurrency": 3})
    code, out, _ = cli("--list", "--json")
    assert [row["name"] for row in json.loads(out)] == ["fake", "openrouter/openai/gpt-4o"]
    code, out, _ = cli("--list")
    assert (code, "openrouter/openai/gpt-4o" in out) == (0, True)
    assert cli("fake", "--remove")[:2] == (0, "fake has no limits any more\n")
    for wrong in (
        (), ("fake",), ("--rpm", "3"), ("fake", "--list"), ("fake", "--remove", "--rpm", "3"), ("--remove",),
        ("fake", "--rpm", "0"), ("fake", "--remove"), ("nowhere", "--rpm", "3"),
    ):  # fmt: skip
        code, out, err = cli(*wrong)
        assert (code, out) == (2, "")
        assert "→" in err
