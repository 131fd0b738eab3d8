"""Servers that we did not write: what they answer is understood, what they break is survived, and their journal agrees."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import psycopg
import pytest

from tests.foreign_servers import aimock, llmock
from tests.invariants import balance
from tests.servers import run
from workbench.core.chat import ChatRequest, Message
from workbench.errors import IncompleteAnswerError, ProviderError, RequestRejectedError
from workbench.providers.base import Retry
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.registry import Registry
from workbench.services.workbench import connect
from workbench.settings import Settings

pytestmark = pytest.mark.npm

QUICK = Retry(base=0.01, cap=0.1, total_timeout=20, connect_timeout=2, read_timeout=5)
LONG = " ".join(f"word{n}" for n in range(200))
ANSWERS = {
    "Say": {"content": "fine"},
    "Tell": {"content": LONG},
    "Cut": {"content": "cut he", "finishReason": "length"},
    "Forbidden": {"error": {"message": "flagged", "type": "invalid_request_error"}, "status": 400},
}


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    with aimock(tmp_path_factory.mktemp("aimock"), ANSWERS) as mock:
        yield mock


@pytest.fixture
def broken(mock):
    """The server, whose answers may be broken; afterwards they are whole again."""
    yield mock
    mock.chaos()


def ask(url, text, *, on_text=None, retry=QUICK):
    async def main():
        provider = OpenAICompatible(name="mine", base_url=url, retry=retry)
        try:
            request = ChatRequest(model="gpt-4o", messages=(Message("user", text),))
            return await provider.chat(request, on_text=on_text)
        finally:
            await provider.aclose()

    return run(main())


def test_whole_and_streamed_answers_of_aimock(mock):
    whole = ask(mock.url, "Tell me.")
    assert (whole.text, whole.finish_reason) == (LONG, "stop")
    assert whole.usage.total_tokens > 0
    pieces = []
    streamed = ask(mock.url, "Tell me.", on_text=pieces.append)
    assert streamed.text == "".join(pieces) == LONG
    assert len(pieces) > 10
    assert streamed.usage.total_tokens == whole.usage.total_tokens


def test_what_aimock_refuses_or_cuts_is_typed(mock):
    with pytest.raises(RequestRejectedError, match="flagged"):
        ask(mock.url, "Forbidden")
    for on_text in (None, str):
        with pytest.raises(IncompleteAnswerError) as caught:
            ask(mock.url, "Cut", on_text=on_text)
        assert caught.value.partial_text == "cut he"


@pytest.mark.parametrize("rate", ["dropRate", "malformedRate", "disconnectRate", "rateLimitRate"])
def test_whatever_aimock_breaks_ends_in_a_typed_error_after_as_many_tries_as_may_be(broken, rate):
    broken.chaos(**{rate: 1})
    before = len(broken.journal())
    with pytest.raises(ProviderError) as caught:
        ask(broken.url, "Say it.", retry=Retry(tries=3, base=0.01, cap=0.05, read_timeout=5))
    tries = {"dropRate": 3, "malformedRate": 1, "disconnectRate": 2, "rateLimitRate": 3}
    assert len(caught.value.attempts) == tries[rate]
    assert len(broken.journal()) - before == tries[rate]
    assert caught.value.cure


def test_a_batch_on_a_server_that_breaks_a_fifth_of_its_answers_agrees_with_its_journal(
    broken, ann_url, admin_url, tmp_path
):
    before = len(broken.journal())
    broken.chaos(dropRate=0.08, rateLimitRate=0.06, disconnectRate=0.06, latencyMs=5)
    settings = Settings(home=tmp_path / "home", model="mine/m")
    with connect(ann_url.reveal(), settings=settings) as wb:
        mine = OpenAICompatible(name="mine", base_url=broken.url, retry=QUICK)
        wb.models._registry = Registry(wb.config, providers={"mine": mine})
        wb.prompts.save("say", "Say {{ n }}")
        data = [{"n": n} for n in range(200)]
        first = wb.run("say", data=data, concurrency=8, progress=False)
        counts = (first.counts.done, first.counts.failed)
        assert sum(counts) == 200
        assert counts[0] >= 190
    found = balance(broken.write_bill(tmp_path / "bill"), admin_url, told=counts[0], planned=200)
    assert found.broken == []
    assert (found.billed, found.unstored) == (counts[0], 0)
    asked = broken.journal()[before:]
    with psycopg.connect(admin_url.reveal()) as connection:
        tries = connection.execute("SELECT coalesce(http_status, 0) FROM wb.attempts").fetchall()
    # Each request that it saw is a try in the ledger, under the status that it says it gave.
    given = Counter(entry["response"]["status"] for entry in asked)
    assert len(tries) == len(asked)
    assert Counter(status for (status,) in tries if status) == Counter(
        {status: n for status, n in given.items() if status >= 200}
    )


def test_answers_of_llmock_which_streams_or_not_as_it_is_set(tmp_path):
    for streams in (False, True):
        folder = tmp_path / str(streams)
        folder.mkdir()
        with llmock(folder, stream=streams) as url:
            answers = [ask(url, "Hello.", on_text=str if streams else None) for _ in range(3)]
            assert all(answer.text for answer in answers)
            assert all(answer.finish_reason == "stop" for answer in answers)
            with suppress(ProviderError):  # asked the other way round, it answers in its own way all the same
                assert ask(url, "Hello.", on_text=None if streams else str).text
