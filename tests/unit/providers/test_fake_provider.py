from __future__ import annotations

import time

import pytest

from tests.servers import run
from workbench.core.chat import ChatRequest, Message
from workbench.core.pricing import cost_of
from workbench.errors import ProviderError, RequestRejectedError, UnknownModelError
from workbench.providers.fake import FakeProvider, count_tokens


def request(text, model="echo", **options):
    messages = (
        Message("system", "Answer."),
        Message("user", "earlier"),
        Message("assistant", "x"),
        Message("user", text),
    )
    return ChatRequest(model=model, messages=messages, options=options)


def ask(text, model="echo", *, provider=None, **more):
    return run((provider or FakeProvider()).chat(request(text, model), **more))


@pytest.mark.parametrize(
    ("model", "text", "answer"),
    [
        ("echo", "Hello  there\n", "Hello  there\n"),
        ("upper", "Straße", "STRASSE"),
        ("sentiment", "I love it, great value", "positive"),
        ("sentiment", "It broke, a waste of money", "negative"),
        ("sentiment", "This is not good", "negative"),
    ],
)
def test_named_scripts_answer_by_their_rule(model, text, answer):
    assert ask(text, model).text == answer


def test_usage_is_counted_by_the_stated_rule_and_costs_nothing():
    response = ask("12345")
    assert response.usage.completion_tokens == count_tokens("12345") == 2
    assert response.usage.prompt_tokens == sum(map(count_tokens, ("Answer.", "earlier", "x", "12345")))
    assert response.usage.total_tokens == response.usage.prompt_tokens + 2
    assert cost_of(response.usage) == (0, "provider")


def test_a_script_may_be_a_callable_or_a_mapping():
    assert (
        ask("hi", "anything", provider=FakeProvider(script=lambda asked: asked.model * 2)).text
        == "anythinganything"
    )
    provider = FakeProvider(script={"hi": "ho"})
    assert ask("hi", "any", provider=provider).text == "ho"
    with pytest.raises(RequestRejectedError, match="no answer to 'hu'") as caught:
        ask("hu", "any", provider=provider)
    assert caught.value.attempts[0].error_code == "rejected"


@pytest.mark.parametrize("text", ["one two  three\n", " lead", "", "x", "  "])
def test_the_pieces_of_a_stream_are_the_text(text):
    pieces = []
    response = ask(text, on_text=pieces.append)
    assert "".join(pieces) == response.text == text
    assert (response.ttft_ms is None) == (not pieces)


def test_latency_is_kept_and_slow_is_slow():
    started = time.perf_counter()
    response = ask("a b c d", provider=FakeProvider(latency=0.1), on_text=str)
    assert 0.09 < time.perf_counter() - started < 0.5
    assert response.ttft_ms < 60
    assert 90 <= response.latency_ms < 500


def test_flaky_fails_for_some_requests_and_always_for_the_same():
    async def outcome(provider, text):
        try:
            return (await provider.chat(request(text, "flaky"))).text
        except ProviderError as error:
            return error.code if len(error.attempts) == 1 else "no attempt"

    async def all_of_them():
        return [await outcome(FakeProvider(), f"case {n}") for n in range(200)]

    first = run(all_of_them())
    assert first == run(all_of_them())
    failures = [code for code in first if not code.startswith("case")]
    assert set(failures) == {"rate_limit", "unavailable", "incomplete"}
    assert 30 < len(failures) < 90


def test_an_unknown_script_is_told_with_the_nearest_name():
    with pytest.raises(UnknownModelError, match="did you mean 'upper'"):
        ask("x", "uper")
