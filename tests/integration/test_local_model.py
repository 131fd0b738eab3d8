"""The real local model in its real child process. Shapes and life cycles only, never its wisdom."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Literal

import psutil
import pytest
from pydantic import BaseModel

from tests.local_model import home_with_weights
from tests.servers import run
from workbench.core.chat import ChatRequest, Message
from workbench.errors import (
    ContextTooLongError,
    IncompleteAnswerError,
    ProviderUnavailableError,
    RequestRejectedError,
    WeightsError,
)
from workbench.providers.local import LocalProvider
from workbench.providers.registry import Registry
from workbench.services.workbench import connect
from workbench.settings import Settings

pytestmark = pytest.mark.model

REQUEST = ChatRequest(
    model="smollm2",
    messages=(Message("user", "Say hello in one short sentence."),),
    options={"temperature": 0, "max_tokens": 32},
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return home_with_weights(tmp_path_factory.mktemp("home"))


def with_provider(home, use):
    async def main():
        provider = LocalProvider(home)
        try:
            return await use(provider)
        finally:
            await provider.aclose()

    return run(main())


def children():
    mine = psutil.Process().children()
    return [child for child in mine if "workbench.providers.local_server" in " ".join(child.cmdline())]


def is_dead(pid):
    """A zombie that nobody has reaped yet is dead."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def dies_within(pid, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_dead(pid):
            return True
        time.sleep(0.01)
    return is_dead(pid)


def test_an_answer_has_text_usage_and_a_cost_of_exactly_zero(home):
    response = with_provider(home, lambda provider: provider.chat(REQUEST))
    assert response.text
    assert response.finish_reason == "stop"
    assert response.usage.prompt_tokens > 0
    assert response.usage.completion_tokens > 0
    assert (response.usage.cost, response.model) == (0, "smollm2")
    assert children() == []


def test_the_registry_leads_to_the_model_and_streams(home):
    async def main():
        registry = Registry(Settings(home=home))
        found = registry.resolve("local/smollm2")
        pieces = []
        response = await found.provider.chat(REQUEST, on_text=pieces.append)
        models = await found.provider.models()
        await registry.aclose()
        return registry.available(), pieces, response, models

    available, pieces, response, models = run(main())
    assert available[0] == "local/smollm2"
    assert len(pieces) > 3
    assert "".join(pieces) == response.text
    assert response.ttft_ms is not None
    assert response.usage.completion_tokens > 0
    assert [(model.model_id, model.price_prompt) for model in models] == [("local/smollm2", 0)]


def test_two_runs_of_the_same_calls_are_identical_and_share_one_child(home):
    texts = [f"The weather in {place} is" for place in ("Oslo", "Rome", "Lima", "Cairo", "Perth", "Quito")]

    async def both(provider):
        async def once():
            options = {"temperature": 0, "max_tokens": 8}
            requests = [
                ChatRequest(model="smollm2", messages=(Message("user", text),), options=options)
                for text in texts
            ]
            failures = await asyncio.gather(*map(provider.chat, requests), return_exceptions=True)
            return [getattr(one, "partial_text", None) or one.text for one in failures]

        first = await once()
        assert len(children()) == 1
        return first, await once()

    first, second = with_provider(home, both)
    assert first == second


def test_a_cut_answer_is_incomplete_and_costs_nothing(home):
    request = ChatRequest(
        model="smollm2",
        messages=(Message("user", "Count to one hundred."),),
        options={"temperature": 0, "max_tokens": 4},
    )
    with pytest.raises(IncompleteAnswerError) as caught:
        with_provider(home, lambda provider: provider.chat(request))
    assert caught.value.partial_text
    assert caught.value.response.usage.cost == 0
    assert caught.value.response.usage.completion_tokens == 4


def test_a_prompt_beyond_the_context_is_rejected_with_the_servers_words(home):
    request = ChatRequest(model="smollm2", messages=(Message("user", "word " * 3000),))
    with pytest.raises(RequestRejectedError, match="context"):
        with_provider(home, lambda provider: provider.chat(request))


def test_the_child_wants_its_key_and_shows_it_in_no_process_list(home):
    async def use(provider):
        await provider.chat(REQUEST)
        (child,) = children()
        (connection,) = [one for one in child.net_connections() if one.status == "LISTEN"]
        return child.cmdline(), child.environ(), connection.laddr

    command, environment, (host, port) = with_provider(home, use)
    assert host == "127.0.0.1"
    assert command[1:] == ["-m", "workbench.providers.local_server"]
    assert not any("KEY" in name for name in environment)
    assert port


def test_without_the_key_the_child_answers_nobody(home):
    async def use(provider):
        await provider.chat(REQUEST)
        (child,) = children()
        (connection,) = [one for one in child.net_connections() if one.status == "LISTEN"]
        url = f"http://127.0.0.1:{connection.laddr.port}/v1/chat/completions"
        data = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
        with pytest.raises(urllib.error.HTTPError, match="401"):
            await asyncio.to_thread(urllib.request.urlopen, url, data, 5)

    with_provider(home, use)


def test_a_killed_child_is_told_and_started_again_by_the_next_call(home):
    async def use(provider):
        await provider.chat(REQUEST)
        (child,) = children()
        child.kill()
        assert dies_within(child.pid, 2)
        return (await provider.chat(REQUEST)).text

    assert with_provider(home, use)


def test_a_child_killed_during_a_call_gives_a_typed_error(home):
    async def use(provider):
        await provider.chat(REQUEST)
        (child,) = children()
        long = ChatRequest(
            model="smollm2", messages=(Message("user", "Write a long story."),), options={"temperature": 0}
        )
        asyncio.get_running_loop().call_later(0.15, child.kill)
        await provider.chat(long)

    with pytest.raises(ProviderUnavailableError, match="the server of local/smollm2 ended") as caught:
        with_provider(home, use)
    assert "local-smollm2.log" in caught.value.cure


def test_weights_that_are_none_give_a_typed_error_that_names_the_log(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "broken.gguf").write_bytes(b"not weights")
    request = ChatRequest(model="broken", messages=(Message("user", "hi"),))
    with pytest.raises(ProviderUnavailableError, match="did not start") as caught:
        with_provider(tmp_path, lambda provider: provider.chat(request))
    assert str(tmp_path / "logs" / "local-broken.log") in caught.value.cure
    assert children() == []


def test_missing_weights_give_the_command_that_fetches_them(tmp_path):
    with pytest.raises(WeightsError, match="workbench models fetch smollm2"):
        with_provider(tmp_path, lambda provider: provider.chat(REQUEST))


def test_a_call_cancelled_while_the_child_starts_leaves_no_orphan(home):
    async def use(provider):
        task = asyncio.create_task(provider.chat(REQUEST))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with_provider(home, use)
    assert children() == []


PARENT = """
import asyncio, sys
from pathlib import Path
from workbench.core.chat import ChatRequest, Message
from workbench.providers.local import LocalProvider
request = ChatRequest(model="smollm2", messages=(Message("user", "Say hello."),), options={"temperature": 0, "max_tokens": 32})
async def main():
    provider = LocalProvider(Path(sys.argv[1]))
    await provider.chat(request)
    (task,) = provider._children.values()
    print(task.result().process.pid, flush=True)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
            print((await provider.chat(request)).text[:0] + "answered", flush=True)
with asyncio.Runner() as runner:
    runner.run(main())
"""


@pytest.fixture
def parent(home):
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    yield process, int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_child_ends_within_a_second_of_its_parents_kill(parent):
    process, child = parent
    assert not is_dead(child)
    process.kill()
    assert dies_within(child, 1.0)


def test_an_interrupt_of_the_parents_group_does_not_reach_the_child(parent):
    process, child = parent
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout.readline().strip() == "answered"
    assert not is_dead(child)


def test_the_model_answers_in_the_shape_of_a_schema(home, ann_url):
    class Review(BaseModel):
        tone: Literal["positive", "negative"]
        stars: int

    with connect(ann_url.reveal(), settings=Settings(home=home, model="local/smollm2")) as wb:
        review = wb.prompts.save("review", "Tone and stars (1 to 5) of this review: {{ text }}")
        options = {"temperature": 0, "max_tokens": 64}
        result = wb.ask(review, variables={"text": "I love it."}, schema=Review, options=options)
        run = wb.run(
            review,
            data=[{"text": "Awful."}, {"text": "Nice."}],
            schema=Review,
            options=options,
            progress=False,
        )
    assert isinstance(result.parsed, Review)
    assert (run.counts.done, run.counts.failed) == (2, 0)


def test_a_real_conversation_streams_and_knows_when_it_is_too_long(home, ann_url):
    with connect(ann_url.reveal(), settings=Settings(home=home, model="local/smollm2")) as wb:
        chat = wb.chat(system="You are a friendly assistant.", options={"temperature": 0, "max_tokens": 200})
        first = chat.say("Say hello in one short sentence.")
        stream = chat.stream("Say goodbye in one short sentence.")
        pieces = list(stream)
        before = chat.history
        with pytest.raises(ContextTooLongError, match="turn 3 of the conversation"):
            chat.say("word " * 3000)
        again = wb.chats.get(chat.id)
    assert first.text
    assert len(pieces) > 1
    assert "".join(pieces) == stream.result.text
    assert again.history == before == chat.history
    assert (len(before), chat.turns) == (5, 2)
