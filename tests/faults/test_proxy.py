"""The proxy that the other tests lean on does to a statement what it says, and nothing to the others."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from tests.proxy import DatabaseProxy, Fault


@pytest.fixture
def proxy(ann_url):
    with DatabaseProxy(ann_url) as proxy:
        yield proxy


@pytest.fixture
def admin(admin_url):
    with psycopg.connect(admin_url.reveal(), autocommit=True) as connection:
        connection.execute("CREATE TABLE public.noted (n int)")
        connection.execute("GRANT ALL ON public.noted TO PUBLIC")
        yield connection


def noted(admin):
    return [n for (n,) in admin.execute("SELECT n FROM public.noted ORDER BY n")]


INSERT = "INSERT INTO public.noted VALUES (%s)"


def connect(proxy):
    return psycopg.connect(proxy.url.reveal(), autocommit=True, prepare_threshold=1, connect_timeout=2)


def test_it_passes_everything_on(proxy, admin):
    with connect(proxy) as connection:
        for n in range(5):
            connection.execute(INSERT, [n])
        long = connection.execute("SELECT repeat('x', 1000000), %s", ["y" * 1_000_000]).fetchone()
        with connection.cursor().copy("COPY public.noted FROM STDIN") as copy:
            copy.write_row([5])
        with connection.pipeline():
            connection.execute(INSERT, [6])
            connection.execute(INSERT, [7])
    assert long == ("x" * 1_000_000, "y" * 1_000_000)
    assert noted(admin) == list(range(8))
    assert [each.text for each in proxy.statements].count("INSERT INTO public.noted VALUES ($1)") >= 6


@pytest.mark.parametrize(("kind", "stored"), [("before", []), ("torn", []), ("error", []), ("after", [3])])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_broken_statement_is_carried_out_only_where_it_reached_the_server(
    proxy, admin, kind, stored, prepared
):
    with connect(proxy) as connection:
        before = [0, 1, 2] if prepared else []
        for n in before:
            connection.execute(INSERT, [n])
        done = proxy.break_at(1, Fault(kind=kind, sqlstate="40P01"), matching="INSERT")
        with pytest.raises(psycopg.OperationalError) as caught:
            connection.execute(INSERT, [3])
        assert done.wait(1)
        assert caught.value.sqlstate == ("40P01" if kind == "error" else None)
        assert connection.closed == (kind != "error")
    assert noted(admin) == before + stored
    with connect(proxy) as connection:
        connection.execute(INSERT, [4])
    assert noted(admin) == [*before, *stored, 4]


@pytest.mark.parametrize(("kind", "stored"), [("before", []), ("after", [1])])
def test_a_commit_can_be_broken_on_either_side(proxy, admin, kind, stored):
    with connect(proxy) as connection:
        proxy.break_at(1, Fault(kind=kind), matching="COMMIT")
        with pytest.raises(psycopg.OperationalError), connection.transaction():
            connection.execute(INSERT, [1])
    assert noted(admin) == stored


def two_rows(connection, cursor):
    with connection.transaction():
        cursor.execute(INSERT, [1])
        cursor.execute(INSERT, [2])


def test_an_error_ends_the_transaction_as_a_real_one_would(proxy, admin):
    with connect(proxy) as connection:
        proxy.break_at(2, Fault(kind="error"), matching="INSERT")
        with connection.cursor() as cursor, pytest.raises(psycopg.errors.SerializationFailure):
            two_rows(connection, cursor)
        connection.execute(INSERT, [3])
    assert noted(admin) == [3]


def test_nobody_gets_in_while_it_is_down_and_everybody_once_it_is_up(proxy, admin):
    standing = connect(proxy)
    proxy.refuse()
    standing.execute(INSERT, [1])
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(proxy)
    proxy.down()
    with pytest.raises(psycopg.OperationalError):
        standing.execute(INSERT, [2])
    proxy.up()
    with connect(proxy) as connection:
        done = proxy.break_at(1, Fault(kind="before", for_good=True))
        with pytest.raises(psycopg.OperationalError):
            connection.execute(INSERT, [3])
    assert done.is_set()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        connect(proxy)
    proxy.up()
    connect(proxy).close()
    assert noted(admin) == [1]


def test_silence_lasts_until_it_is_cut(proxy, admin):
    with connect(proxy) as connection:
        proxy.break_at(1, Fault(kind="silent"))
        cutter = threading.Timer(0.3, proxy.cut)
        cutter.start()
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            connection.execute(INSERT, [1])
        assert time.monotonic() - began >= 0.3
    proxy.stall()
    with pytest.raises(psycopg.OperationalError, match="timeout"):
        connect(proxy)
    proxy.up()
    connect(proxy).close()
    assert noted(admin) == []
