from __future__ import annotations

import asyncio
import json
import traceback
from decimal import Decimal

import pytest

from tests.servers import (
    ConnectProxy,
    Reply,
    ScriptedServer,
    completion,
    make_ca,
    record,
    run,
    sse,
    stream_chunks,
)
from workbench.core.chat import ChatRequest, Message
from workbench.core.pricing import PriceTable, cost_of
from workbench.errors import (
    AuthenticationError,
    BadResponseError,
    ConfigError,
    InputError,
    KeyUnavailableError,
    ProviderUnavailableError,
)
from workbench.providers.base import Retry
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.openrouter import OpenRouter
from workbench.providers.registry import Registry
from workbench.secret import Secret
from workbench.settings import Settings

KEY = Secret("sk-canary-0123456789abcdef")
REQUEST = ChatRequest(
    model="vendor/model",
    messages=(Message("system", "Be terse."), Message("user", "Say hello.")),
    options={"temperature": 0, "max_tokens": 16},
)
QUICK = Retry(base=0.001, total_timeout=10, connect_timeout=2, read_timeout=2)
EVENT_STREAM = {"Content-Type": "text/event-stream"}


def ask(provider, request=REQUEST, **more):
    async def main():
        try:
            return await provider.chat(request, **more)
        finally:
            await provider.aclose()

    return run(main())


def compatible(url, **more):
    return OpenAICompatible(name="mine", base_url=url, **{"key": KEY, "retry": QUICK, **more})


def test_a_request_is_sent_whole_and_its_answer_comes_back():
    with ScriptedServer(completion("Hello")) as server:
        response = ask(compatible(server.url))
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.json == {
        "model": "vendor/model",
        "messages": [{"role": "system", "content": "Be terse."}, {"role": "user", "content": "Say hello."}],
        "temperature": 0,
        "max_tokens": 16,
    }
    assert asked.headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert asked.headers["content-type"] == "application/json"
    assert (response.text, response.usage.cost) == ("Hello", Decimal("0.00012"))
    (attempt,) = response.attempts
    assert (attempt.n, attempt.http_status, attempt.error_code) == (1, 200, None)
    assert attempt.started_at.tzinfo is not None


def test_text_is_handed_on_while_the_stream_is_still_open():
    pieces = [sse([chunk], done=False) for chunk in stream_chunks(["Hel", "lo"])]
    body = [pieces[0], 0.2, b"".join(pieces[1:]), b"data: [DONE]\n\n"]
    times = []

    async def main(url):
        provider = compatible(url)
        clock = asyncio.get_running_loop().time
        response = await provider.chat(REQUEST, on_text=lambda piece: times.append((piece, clock())))
        times.append(("end", clock()))
        await provider.aclose()
        return response

    with ScriptedServer(Reply(body=body, framing="chunked", headers=EVENT_STREAM)) as server:
        response = run(main(server.url))
    assert [piece for piece, _ in times] == ["Hel", "lo", "end"]
    assert times[-1][1] - times[0][1] >= 0.15
    assert response.ttft_ms < 150 <= response.latency_ms
    assert server.asked[0].json["stream_options"] == {"include_usage": True}


def test_a_connection_is_used_again_after_whole_and_streamed_answers():
    def script(asked):
        if not asked.json.get("stream"):
            return completion()
        events = sse(stream_chunks(["hi"]))
        return Reply(body=[events, 0.02], framing="chunked", headers=EVENT_STREAM)  # the end comes late

    async def main(url):
        provider = compatible(url)
        for on_text in (None, str, None, str):
            await provider.chat(REQUEST, on_text=on_text)
        await provider.aclose()

    with ScriptedServer(script) as server:
        run(main(server.url))
    assert (len(server.asked), server.connections) == (4, 1)


def test_many_calls_run_at_once():
    async def main(url):
        provider = compatible(url)
        answers = await asyncio.gather(*(provider.chat(REQUEST) for _ in range(32)))
        await provider.aclose()
        return answers

    reply = Reply(body=json.dumps(record()).encode(), delay=0.1)
    with ScriptedServer(reply) as server:
        answers = run(main(server.url))
    assert len(answers) == 32
    assert server.max_in_flight >= 24


def test_text_that_is_no_unicode_reaches_the_server_losslessly():
    request = ChatRequest(model="m", messages=(Message("user", "a\x00b\ud800c 😀"),))
    with ScriptedServer(completion()) as server:
        ask(compatible(server.url), request)
    assert server.asked[0].json["messages"][0]["content"] == "a\x00b\ud800c 😀"


def test_a_long_request_is_sent_whole():
    request = ChatRequest(model="m", messages=(Message("user", "x" * 3_000_000),))
    with ScriptedServer(completion()) as server:
        ask(compatible(server.url), request)
    assert len(server.asked[0].json["messages"][0]["content"]) == 3_000_000


@pytest.mark.parametrize("options", [{"stop": {1, 2}}, {"temperature": float("nan"), "seed": 2**70}])
def test_a_request_that_cannot_be_sent_is_refused_before_the_call(options):
    with ScriptedServer(completion()) as server, pytest.raises(InputError) as caught:
        ask(compatible(server.url), ChatRequest(model="m", messages=(), options=options))
    assert caught.value.cure
    assert server.asked == []


def test_models_are_listed():
    listing = {"data": [{"id": "a", "max_model_len": 4096}, {"no": "id"}, "x", {"id": "b", "name": "B"}]}
    with ScriptedServer(Reply(body=json.dumps(listing).encode())) as server:

        async def main():
            provider = compatible(server.url)
            found = await provider.models()
            await provider.aclose()
            return found

        models = run(main())
    assert [(model.model_id, model.name, model.context_length) for model in models] == [
        ("mine/a", "a", 4096),
        ("mine/b", "B", None),
    ]
    assert models[0].price_prompt is None


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"data": 1}', b"[]"])
def test_a_list_of_models_that_is_none_is_a_bad_response(body):
    async def main(url):
        provider = compatible(url)
        try:
            await provider.models()
        finally:
            await provider.aclose()

    with ScriptedServer(Reply(body=body)) as server, pytest.raises(BadResponseError):
        run(main(server.url))


def test_openrouter_sends_its_headers_and_reads_prices_and_costs():
    record_ = {
        "id": "vendor/model",
        "name": "Vendor: Model",
        "context_length": 128000,
        "top_provider": {"max_completion_tokens": 4096},
        "pricing": {
            "prompt": "0.00000015",
            "completion": "0.0000006",
            "request": "0",
            "input_cache_read": "0.000000075",
        },
    }
    route = {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}, "top_provider": None}

    def script(asked):
        return (
            Reply(body=json.dumps({"data": [record_, route]}).encode())
            if asked.method == "GET"
            else completion()
        )

    async def main(url):
        provider = OpenRouter(key=KEY, base_url=url, retry=QUICK)
        found = await provider.models(), await provider.chat(REQUEST)
        await provider.aclose()
        return found

    with ScriptedServer(script) as server:
        (model, auto), response = run(main(server.url))
    assert server.asked[1].headers["x-openrouter-title"] == "Prompt Workbench"
    assert "http-referer" in server.asked[1].headers
    assert (model.model_id, model.context_length, model.max_tokens) == (
        "openrouter/vendor/model",
        128000,
        4096,
    )
    assert (model.price_prompt, model.price_completion) == (Decimal("1.5E-7"), Decimal("6E-7"))
    assert auto.price_prompt is None
    table = PriceTable.of([model, auto])
    assert list(table) == ["openrouter/vendor/model"]
    assert cost_of(response.usage, table["openrouter/vendor/model"]) == (Decimal("0.0001200000"), "provider")


def test_openrouter_without_a_key_asks_nothing_of_the_network():
    with (
        ScriptedServer(completion()) as server,
        pytest.raises(KeyUnavailableError, match="OPENROUTER_API_KEY"),
    ):
        ask(OpenRouter(key=None, base_url=server.url))
    assert server.asked == []


def test_a_registry_leads_to_the_endpoint_with_its_own_key_and_to_no_other():
    with ScriptedServer(completion("one")) as one, ScriptedServer(completion("two")) as two:
        settings = Settings.from_env(
            {
                "HOME": "/nonexistent",
                "WORKBENCH_ENDPOINT_ONE": one.url,
                "WORKBENCH_ENDPOINT_ONE_KEY": "key-one",
                "OPENROUTER_API_KEY": "key-router",
            }
        )

        async def main():
            registry = Registry(settings, endpoints={"two": two.url})
            texts = []
            for model_id in ("one/vendor/model", "two/m"):
                found = registry.resolve(model_id)
                request = ChatRequest(model=found.model, messages=(Message("user", "hi"),))
                texts.append((await found.provider.chat(request)).text)
            await registry.aclose()
            return texts

        assert run(main()) == ["one", "two"]
    assert one.asked[0].headers["authorization"] == "Bearer key-one"
    assert one.asked[0].json["model"] == "vendor/model"
    assert "authorization" not in two.asked[0].headers


def test_a_wrong_key_appears_in_no_message_and_no_traceback():
    body = json.dumps(
        {"error": {"message": f"Incorrect API key provided: {KEY.reveal()}", "code": 401}}
    ).encode()
    with ScriptedServer(Reply(status=401, body=body)) as server, pytest.raises(AuthenticationError) as caught:
        ask(compatible(server.url))
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.response)
    assert KEY.reveal() not in text
    assert "Incorrect API key provided: ***" in text
    assert "WORKBENCH_ENDPOINT_MINE_KEY" in caught.value.cure


def test_a_key_with_a_line_break_is_refused_without_showing_it():
    with pytest.raises(KeyUnavailableError) as caught:
        compatible("http://127.0.0.1:1", key=Secret("sk-canary\r\nX-Evil: 1"))
    assert "canary" not in str(caught.value)


@pytest.fixture
def clean_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


HOST = "model.example.test"


def test_a_remote_host_is_reached_through_the_proxy_with_the_companys_ca(clean_proxies, tmp_path):
    ca, tls = make_ca(tmp_path, HOST)
    clean_proxies.setenv("SSL_CERT_FILE", str(ca))
    server = ScriptedServer(completion("through"), tls=tls)
    with server, ConnectProxy(server.port, credentials="me:pass") as proxy:
        clean_proxies.setenv("HTTPS_PROXY", f"http://me:pass@127.0.0.1:{proxy.port}")
        assert ask(compatible(f"https://{HOST}/v1")).text == "through"
    assert proxy.tunnels == [f"{HOST}:443"]
    assert KEY.reveal().encode() not in b"".join(proxy.heads)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY.reveal()}"
    assert "proxy-authorization" not in server.asked[0].headers


def test_a_certificate_of_an_unknown_ca_is_refused_at_once_and_the_cure_names_the_variable(
    clean_proxies, tmp_path
):
    _, tls = make_ca(tmp_path, HOST)
    with ScriptedServer(completion(), tls=tls) as server, ConnectProxy(server.port) as proxy:
        clean_proxies.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ProviderUnavailableError, match="SSL_CERT_FILE") as caught:
            ask(compatible(f"https://{HOST}/v1"))
    assert [attempt.error_code for attempt in caught.value.attempts] == ["tls"]
    assert server.asked == []


def test_a_certificate_of_another_host_is_refused(clean_proxies, tmp_path):
    ca, tls = make_ca(tmp_path, "other.example.test")
    clean_proxies.setenv("SSL_CERT_FILE", str(ca))
    with ScriptedServer(completion(), tls=tls) as server, ConnectProxy(server.port) as proxy:
        clean_proxies.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ProviderUnavailableError):
            ask(compatible(f"https://{HOST}/v1"))
    assert server.asked == []


def test_a_proxy_that_refuses_is_named_and_one_that_is_not_there_is_tried_again(clean_proxies):
    with ConnectProxy(1, credentials="me:pass") as proxy:
        clean_proxies.setenv("HTTPS_PROXY", f"http://me:wrong-secret@127.0.0.1:{proxy.port}")
        with pytest.raises(ProviderUnavailableError, match="407") as caught:
            ask(compatible(f"https://{HOST}/v1"))
    assert "wrong-secret" not in "".join(traceback.format_exception(caught.value))
    assert [attempt.error_code for attempt in caught.value.attempts] == ["proxy"]
    assert "HTTPS_PROXY" in caught.value.cure
    with pytest.raises(ProviderUnavailableError, match="does not answer") as caught:
        ask(compatible(f"https://{HOST}/v1"))
    assert [attempt.error_code for attempt in caught.value.attempts] == ["proxy"] * 5


def test_an_unsupported_proxy_is_refused_with_a_cure(clean_proxies):
    clean_proxies.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(ConfigError, match="socks5"):
        compatible(f"https://{HOST}/v1")


def test_loopback_never_goes_through_a_proxy_nor_reads_netrc(clean_proxies, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password from-netrc\n")
    clean_proxies.setenv("NETRC", str(netrc))
    with ScriptedServer(completion("direct")) as server, ConnectProxy(server.port) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
            clean_proxies.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert ask(compatible(server.url, key=None)).text == "direct"
    assert proxy.heads == []
    assert "authorization" not in server.asked[0].headers


def test_no_proxy_is_honoured(clean_proxies):
    with ConnectProxy(1) as proxy:
        clean_proxies.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        clean_proxies.setenv("NO_PROXY", "example.test")
        with pytest.raises(ProviderUnavailableError):
            ask(compatible(f"https://{HOST}/v1", retry=Retry(tries=1, total_timeout=5)))
    assert proxy.heads == []
