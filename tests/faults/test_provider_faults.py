"""Every fault of a provider that the reliability table names, on a real socket."""

from __future__ import annotations

import asyncio
import email.utils
import gzip
import itertools
import json
import socket
import time
import zlib

import psutil
import pytest

from tests.servers import Reply, ScriptedServer, completion, record, run, sse, stream_chunks
from workbench.core.chat import ChatRequest, Message
from workbench.errors import (
    AuthenticationError,
    BadResponseError,
    ConfigError,
    IncompleteAnswerError,
    PaymentRequiredError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRejectedError,
)
from workbench.providers.address import parse_address
from workbench.providers.base import Retry
from workbench.providers.http import MAX_BODY, _GuardedResolver
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.secret import Secret

REQUEST = ChatRequest(model="vendor/model", messages=(Message("user", "Say hello."),))
QUICK = Retry(base=0.001, cap=0.05, total_timeout=10, connect_timeout=2, read_timeout=2)
EVENT_STREAM = {"Content-Type": "text/event-stream"}
MiB = 2**20


def ask(url, *, retry=QUICK, on_text=None, request=REQUEST):
    async def main():
        provider = OpenAICompatible(name="mine", base_url=url, key=Secret("sk-canary"), retry=retry)
        try:
            return await provider.chat(request, on_text=on_text)
        finally:
            await provider.aclose()

    return run(main())


def failure(kind, script, *, stream=False, retry=QUICK):
    """Ask a server with that script; return the error and the server."""
    with ScriptedServer(script) as server, pytest.raises(kind) as caught:
        ask(server.url, retry=retry, on_text=str if stream else None)
    assert type(caught.value) is kind
    assert caught.value.cure
    assert len(caught.value.attempts) == len(server.asked)
    return caught.value, server


def stream(body, **more):
    return Reply(body=body, headers=EVENT_STREAM, framing="chunked", **more)


# Statuses, before the first byte of an answer


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 524, 529])
def test_a_passing_failure_is_tried_again_and_each_try_is_visible(status):
    with ScriptedServer([Reply(status=status), Reply(status=status), completion("at last")]) as server:
        response = ask(server.url)
    assert response.text == "at last"
    assert [attempt.http_status for attempt in response.attempts] == [status, status, 200]
    assert [attempt.n for attempt in response.attempts] == [1, 2, 3]
    assert response.attempts[0].error_code == ("rate_limit" if status == 429 else "unavailable")
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [500, 502, 503, 524, 529])
def test_after_five_tries_a_failing_server_is_given_up(status):
    error, server = failure(
        ProviderUnavailableError, Reply(status=status, body=b'{"error": {"message": "overloaded"}}')
    )
    assert len(server.asked) == 5
    assert error.http_status == status
    assert f"answered {status}: overloaded (5 tries)" in str(error)


def in_an_hour():
    return email.utils.formatdate(time.time() + 3600, usegmt=True)


@pytest.mark.parametrize(
    ("header", "asked_ms"),
    [("0.02", 20), ("1", 50), ("999999999999", 50), (in_an_hour(), 50), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
    ids=["seconds", "over-the-cap", "absurd", "date", "past-date"],
)
def test_retry_after_is_followed_up_to_the_cap(header, asked_ms):
    replies = [Reply(status=429, headers={"Retry-After": header}), completion()]
    started = time.perf_counter()
    with ScriptedServer(replies) as server:
        response = ask(server.url)
    assert response.attempts[0].retry_after_ms == pytest.approx(asked_ms, abs=1)
    assert time.perf_counter() - started < 2
    assert server.asked[1].at - server.asked[0].at >= asked_ms / 1000 - 0.005


@pytest.mark.parametrize("header", ["soon", "nan", "", "Wed, 99 Foo 2015", "-5"])
def test_an_unreadable_retry_after_is_no_reason_to_fail(header):
    with ScriptedServer([Reply(status=429, headers={"Retry-After": header}), completion()]) as server:
        assert ask(server.url).attempts[0].retry_after_ms in {None, 0}


def test_after_five_times_429_the_error_tells_how_long_to_wait():
    error, server = failure(RateLimitedError, Reply(status=429, headers={"Retry-After": "0.01"}))
    assert len(server.asked) == 5
    assert error.retry_after == 0.01


def test_a_wait_that_would_pass_the_deadline_is_not_begun():
    retry = Retry(base=0.001, total_timeout=1.0)
    started = time.perf_counter()
    _, server = failure(RateLimitedError, Reply(status=429, headers={"Retry-After": "30"}), retry=retry)
    assert len(server.asked) == 1
    assert time.perf_counter() - started < 0.9


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRejectedError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, AuthenticationError),
        (404, RequestRejectedError),
        (413, RequestRejectedError),
        (422, RequestRejectedError),
        (418, RequestRejectedError),
        (204, BadResponseError),
    ],
)
def test_what_will_not_pass_is_not_tried_again(status, kind):
    body = json.dumps(
        {"error": {"code": status, "message": "the provider's own words\x1b[31m" + "x" * 999}}
    ).encode()
    error, server = failure(kind, Reply(status=status, body=body if status != 204 else b""))
    assert len(server.asked) == 1
    assert error.http_status == status
    if status != 204:
        assert "the provider's own words [31mxx" in error.message
        assert len(error.message) < 400


def test_no_credit_left_is_not_a_rate_limit():
    body = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
    _, server = failure(PaymentRequiredError, Reply(status=429, body=body))
    assert len(server.asked) == 1


def test_a_flagged_prompt_is_not_a_wrong_key():
    body = b'{"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"], "provider_name": "Up"}}}'
    error, _ = failure(RequestRejectedError, Reply(status=403, body=body))
    assert "flagged (from Up)" in error.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "plain"}', "plain"),
        (b'{"detail": [{"msg": "field required"}]}', "field required"),
        (b"just text", "just text"),
        (b"<html><head><title>502 Bad Gateway</title>", "a web page titled '502 Bad Gateway'"),
        (b"[1, 2]", "[1,2]"),
        (b"", "answered 400"),
        (b"\xff\x00\xfe", "answered 400"),
    ],
)
def test_the_providers_message_is_found_in_any_shape(body, words):
    error, _ = failure(RequestRejectedError, Reply(status=400, body=body))
    assert words in error.message


def test_a_status_whose_body_never_ends_is_still_told():
    endless = itertools.chain([b"busy"], itertools.repeat(b"x" * 65536))
    error, _ = failure(RequestRejectedError, Reply(status=400, body=endless, framing="chunked"))
    assert "busy" in error.message


# No answer at all


def test_a_port_of_this_machine_where_nothing_listens_is_named_after_two_tries():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ProviderUnavailableError, match=f"nothing answers at 127.0.0.1:{port}") as caught:
        ask(f"http://127.0.0.1:{port}/v1")
    assert [attempt.error_code for attempt in caught.value.attempts] == ["connect"] * 2
    assert not any(attempt.ambiguous for attempt in caught.value.attempts)


def test_a_host_that_does_not_exist_is_named():
    with pytest.raises(
        ProviderUnavailableError, match=r"no address was found for no-such-host\.invalid"
    ) as caught:
        ask("https://no-such-host.invalid/v1", retry=Retry(tries=2, base=0.001))
    assert [attempt.error_code for attempt in caught.value.attempts] == ["dns", "dns"]


@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_request_that_got_no_reply_is_sent_once_more_and_no_oftener(end):
    error, server = failure(ProviderUnavailableError, Reply(status=0, end=end))
    assert len(server.asked) == 2
    assert [attempt.error_code for attempt in error.attempts] == ["disconnected", "disconnected"]
    assert all(attempt.ambiguous for attempt in error.attempts)
    with ScriptedServer([Reply(status=0, end=end), completion("second")]) as server:
        assert ask(server.url).text == "second"


def test_silence_before_the_answer_ends_in_a_read_timeout_and_one_more_try():
    retry = Retry(base=0.001, read_timeout=0.1)
    error, server = failure(ProviderUnavailableError, Reply(status=0, end="hang"), retry=retry)
    assert len(server.asked) == 2
    assert [attempt.error_code for attempt in error.attempts] == ["read_timeout", "read_timeout"]
    assert "fell silent" in error.message


def test_a_server_that_does_not_accept_ends_in_a_connect_timeout():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.settimeout(0)
            filler.connect_ex(full.getsockname())
        with pytest.raises(ProviderUnavailableError, match="did not accept") as caught:
            ask(url, retry=Retry(tries=2, base=0.001, connect_timeout=0.1))
        for filler in fillers:
            filler.close()
    assert [attempt.error_code for attempt in caught.value.attempts] == ["connect_timeout", "connect_timeout"]


def test_the_deadline_holds_for_the_whole_call():
    started = time.perf_counter()
    error, _ = failure(
        ProviderUnavailableError, Reply(status=0, end="hang"), retry=Retry(total_timeout=1.5, read_timeout=60)
    )
    assert 1.4 < time.perf_counter() - started < 15  # far from the read timeout, also on a busy machine
    assert error.attempts[-1].error_code == "deadline"
    assert error.attempts[-1].ambiguous
    assert "did not finish within 1.5 s" in error.message


def test_a_server_that_speaks_no_http_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:

        async def main():
            loop = asyncio.get_running_loop()
            server.settimeout(0)

            async def babble():
                connection, _ = await loop.sock_accept(server)
                await loop.sock_sendall(connection, b"SSH-2.0-OpenSSH_9.2\r\n")
                return connection

            babbling = asyncio.create_task(babble())
            provider = OpenAICompatible(
                name="mine", base_url=f"http://127.0.0.1:{server.getsockname()[1]}", retry=QUICK
            )
            try:
                await provider.chat(REQUEST)
            finally:
                (await babbling).close()
                await provider.aclose()

        with pytest.raises(BadResponseError, match="not HTTP"):
            run(main())


def test_a_cancelled_call_leaves_no_open_connection():
    async def main(url):
        provider = OpenAICompatible(name="mine", base_url=url, retry=QUICK)
        task = asyncio.create_task(provider.chat(REQUEST, on_text=str))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.aclose()

    with ScriptedServer(stream([sse(stream_chunks(["a"])[:1], done=False)], end="hang")) as server:
        run(main(server.url))
        assert server.in_flight == 1


# Status 200, and no answer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "slow down"}, RateLimitedError),
        ({"code": 502, "message": "upstream"}, ProviderUnavailableError),
        ({"code": "invalid_api_key", "message": "no"}, BadResponseError),
        ({"code": 401, "message": "no"}, AuthenticationError),
        ("plain", BadResponseError),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_in_a_200_is_typed_and_never_sent_again(error, kind, streamed):
    reply = (
        stream([sse([{"error": error}])]) if streamed else Reply(body=json.dumps({"error": error}).encode())
    )
    found, server = failure(kind, reply, stream=streamed)
    assert len(server.asked) == 1
    assert found.partial_text == ""
    assert found.attempts[0].http_status == 200
    assert found.attempts[0].error_code == kind.code


def test_a_mid_stream_error_keeps_the_text_and_the_usage_and_is_never_sent_again():
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "cost": 0.5}
    chunks = [
        *stream_chunks(["half an ", "answer"], finish=None, usage=usage),
        {"error": {"code": 502, "message": "upstream died"}},
    ]
    said = []
    with ScriptedServer(stream([sse(chunks)])) as server, pytest.raises(IncompleteAnswerError) as caught:
        ask(server.url, on_text=said.append)
    error = caught.value
    assert len(server.asked) == 1
    assert "".join(said) == error.partial_text == "half an answer"
    assert "upstream died" in error.message
    assert float(error.response.usage.cost) == 0.5
    assert error.response.attempts == error.attempts


def test_a_truncated_answer_is_incomplete_with_its_text_usage_and_cost():
    for streamed in (False, True):
        reply = (
            stream([sse(stream_chunks(["cut he"], finish="length"))])
            if streamed
            else completion("cut he", finish="length")
        )
        error, _ = failure(IncompleteAnswerError, reply, stream=streamed)
        assert error.code == "incomplete"
        assert error.partial_text == error.response.text == "cut he"
        assert error.response.finish_reason == "length"
        assert error.response.usage.completion_tokens == 3
        assert str(error.response.usage.cost) == "0.00012"


def test_a_stream_without_finish_reason_is_incomplete():
    for done in (True, False):
        error, server = failure(
            IncompleteAnswerError, stream([sse(stream_chunks(["cut"], finish=None), done=done)]), stream=True
        )
        assert error.partial_text == "cut"
        assert len(server.asked) == 1


STREAM = b": OPENROUTER PROCESSING\r\n\r\n" + sse(stream_chunks(["Grü", "ße 😀"]), end=b"\r\n")


@pytest.mark.parametrize("at", [0, 1, 30, 200, 203, 350, 500, len(STREAM) - 20, len(STREAM) - 1])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_disconnect_after_n_bytes_gives_a_typed_failure_or_the_right_text(at, end):
    with ScriptedServer(stream([STREAM[:at], 0.02], end=end)) as server:
        try:
            text, whole = ask(server.url, on_text=str).text, True
        except IncompleteAnswerError as error:
            text, whole = error.partial_text, False
    assert text == "Grüße 😀" if whole else "Grüße 😀".startswith(text)
    assert whole == (b'"stop"' in STREAM[:at])
    assert len(server.asked) == 1


def test_crlf_comments_and_split_characters_give_the_right_text():
    for size in (1, 2, 3, 7, 64):
        pieces = [STREAM[i : i + size] for i in range(0, len(STREAM), size)]
        with ScriptedServer(stream(pieces)) as server:
            assert ask(server.url, on_text=str).text == "Grüße 😀"


def test_a_whole_answer_cut_in_the_middle_is_incomplete():
    body = json.dumps(record("Hello")).encode()
    error, server = failure(IncompleteAnswerError, Reply(body=body[:50], length=len(body), end="close"))
    assert len(server.asked) == 1
    assert "in the middle of its answer" in error.message


def test_silence_in_the_middle_of_an_answer_is_incomplete():
    body = [sse(stream_chunks(["half"])[:1], done=False)]
    error, _ = failure(
        IncompleteAnswerError, stream(body, end="hang"), stream=True, retry=Retry(read_timeout=0.1)
    )
    assert (error.partial_text, error.attempts[0].error_code) == ("half", "incomplete")


@pytest.mark.parametrize(
    "body",
    [
        b"{bad json",
        b"",
        b"null",
        b"{}",
        json.dumps(record(choices=[])).encode(),
        json.dumps(record(text=None)).encode(),
    ],
    ids=["bad-json", "empty", "null", "no-choices", "empty-choices", "null-content"],
)
def test_a_200_without_an_answer_is_a_bad_response(body):
    error, server = failure(BadResponseError, Reply(body=body))
    assert len(server.asked) == 1
    assert error.attempts[0].http_status == 200


def test_bad_json_in_a_stream_is_a_bad_response_or_incomplete_once_text_came():
    failure(BadResponseError, stream([b"data: {bad\n\n"]), stream=True)
    text = sse(stream_chunks(["some"])[:1], done=False)
    error, _ = failure(IncompleteAnswerError, stream([text + b"data: {bad\n\n"]), stream=True)
    assert error.partial_text == "some"


def test_missing_usage_and_a_cost_of_nan_are_unknown_never_zero():
    without = {name: value for name, value in record().items() if name != "usage"}
    nan = json.dumps(record(usage={"prompt_tokens": 3, "cost": float("nan")})).encode()
    for body in (json.dumps(without).encode(), nan):
        with ScriptedServer(Reply(body=body)) as server:
            response = ask(server.url)
        assert response.text == "Hello"
        assert response.usage.cost is None


@pytest.mark.parametrize("streamed", [False, True])
def test_a_login_page_is_named_by_its_title(streamed):
    page = b"<!DOCTYPE html><html><head><title>Company sign-in</title></head></html>"
    error, _ = failure(
        BadResponseError, Reply(body=page, headers={"Content-Type": "text/html"}), stream=streamed
    )
    assert "Company sign-in" in error.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(status):
    with ScriptedServer(completion()) as other:
        error, _ = failure(BadResponseError, Reply(status=status, headers={"Location": f"{other.url}/steal"}))
    assert other.asked == []
    assert str(other.port) in error.message


# Too much, too long


def memory_grown(call):
    """Return how many MiB the process grew while the call ran, sampled every 5 ms."""
    process = psutil.Process()
    before = process.memory_info().rss
    peak = before

    async def watch():
        nonlocal peak
        while True:
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(0.005)

    async def main():
        watcher = asyncio.create_task(watch())
        try:
            await call()
        finally:
            watcher.cancel()

    run(main())
    return (peak - before) / MiB


def bounded(script, *, stream=False, retry=QUICK):
    """Ask a server for too much; return the error, after checking time and memory."""
    caught = []

    async def call():
        provider = OpenAICompatible(name="mine", base_url=server.url, retry=retry)
        try:
            await provider.chat(REQUEST, on_text=str if stream else None)
        except ProviderError as error:
            caught.append(error)
        finally:
            await provider.aclose()

    with ScriptedServer(script) as server:
        assert memory_grown(call) <= 64
        assert len(server.asked) == 1
    return caught[0]


def test_a_body_of_a_gigabyte_is_cut_at_16_mib():
    giant = itertools.repeat(b"x" * 65536, 2**14)
    error = bounded(Reply(body=giant, length=2**30))
    assert isinstance(error, BadResponseError)
    assert "16 MiB" in error.message


def test_a_gzip_bomb_is_cut_at_16_mib():
    ten = gzip.compress(bytes(10 * MiB))
    error = bounded(Reply(body=ten * 100, headers={"Content-Encoding": "gzip"}))  # 1 GB from 1 MB
    assert isinstance(error, BadResponseError)
    assert "16 MiB" in error.message


def test_a_compressed_answer_is_read_and_a_broken_one_is_typed():
    body = json.dumps(record("packed")).encode()
    for encoding, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body))):
        with ScriptedServer(Reply(body=packed, headers={"Content-Encoding": encoding})) as server:
            assert ask(server.url).text == "packed"
    failure(BadResponseError, Reply(body=b"no gzip at all", headers={"Content-Encoding": "gzip"}))


def test_an_endless_stream_is_cut_at_16_mib_with_its_text_kept():
    event = sse([{"choices": [{"delta": {"content": "x" * 60_000}}]}], done=False)
    error = bounded(stream(itertools.repeat(event)), stream=True)
    assert isinstance(error, IncompleteAnswerError)
    assert MAX_BODY * 0.9 < len(error.partial_text) <= MAX_BODY


def test_an_endless_line_is_cut_at_16_mib():
    error = bounded(stream(itertools.chain([b"data: "], itertools.repeat(b"x" * 65536))), stream=True)
    assert isinstance(error, BadResponseError)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_that_trickles_is_cut_at_the_deadline(streamed):
    event = sse([{"choices": [{"delta": {"content": "drip "}}]}], done=False)
    reply = (
        stream(itertools.cycle([event, 0.05]))
        if streamed
        else Reply(body=itertools.cycle([b" ", 0.05]), length=10**6)
    )
    started = time.perf_counter()
    error, server = failure(
        IncompleteAnswerError, reply, stream=streamed, retry=Retry(total_timeout=0.4, read_timeout=5)
    )
    assert time.perf_counter() - started < 1.5
    assert error.attempts[0].error_code == "deadline"
    assert error.partial_text.startswith("drip drip") or not streamed
    assert len(server.asked) == 1


def test_endless_comments_are_cut_at_the_deadline():
    comments = itertools.cycle([b": OPENROUTER PROCESSING\n\n", 0.01])
    error, _ = failure(IncompleteAnswerError, stream(comments), stream=True, retry=Retry(total_timeout=0.3))
    assert error.partial_text == ""


# Where a request may go


def test_a_public_name_that_leads_to_this_machine_is_refused():
    name = socket.gethostname()  # every machine's own name leads to an address of its own

    async def look_up():
        return await _GuardedResolver(parse_address(f"https://{name}/v1")).resolve(name, 443)

    with pytest.raises(ConfigError, match="leads to"):
        run(look_up())


def test_the_witness_writes_one_line_for_each_answer_it_would_bill(tmp_path):
    bill = tmp_path / "bill.jsonl"
    with ScriptedServer([Reply(status=503), completion("one"), completion("two")], bill=bill) as server:
        ask(server.url)
        ask(server.url)
    lines = [json.loads(line) for line in bill.read_text().splitlines()]
    assert [line["n"] for line in lines] == [1, 2]
    assert server.billed == 2
    assert json.loads(lines[0]["body"])["model"] == "vendor/model"
