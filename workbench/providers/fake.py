"""A model that is no model: deterministic, free and offline.

For tests, demonstrations and dry runs of a notebook: the whole path from prompt to verdict runs, and
only the words are made up. It is shipped, so nobody needs to mock a provider.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from workbench.core.chat import Attempt, ChatRequest, ChatResponse, ModelInfo, Usage
from workbench.errors import (
    IncompleteAnswerError,
    ProviderError,
    ProviderUnavailableError,
    RateLimitedError,
    RequestRejectedError,
    UnknownModelError,
    did_you_mean,
)
from workbench.providers.base import OnText, Provider
from workbench.providers.fake_json import json_answer
from workbench.providers.fake_tools import look_answer, short_answer, tool_answer
from workbench.secret import Secret
from workbench.settings import Settings

__all__ = ["SCRIPTS", "FakeProvider", "Script", "count_tokens", "create"]

#: From a request to the text of its answer, or to the whole message; may raise a ProviderError.
Script = Callable[[ChatRequest], str | Mapping[str, Any]]

_GOOD = frozenset({
    "amazing", "best", "excellent", "fantastic", "good", "great", "happy", "like", "love", "loved",
    "nice", "perfect", "recommend", "wonderful", "works",
})  # fmt: skip
_BAD = frozenset({
    "awful", "bad", "boring", "broke", "broken", "disappointed", "disappointing", "hate", "hated",
    "poor", "refund", "terrible", "useless", "waste", "worst",
})  # fmt: skip
_NOT = frozenset({"not", "no", "never", "don't", "isn't", "wasn't", "didn't", "doesn't"})


def count_tokens(text: str) -> int:
    """Return the fake's token count: one token for every four characters begun.

    >>> count_tokens("hello")
    2
    """
    return -(-len(text) // 4)


def _last_user(request: ChatRequest) -> str:
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def _prompt_tokens(request: ChatRequest) -> int:
    return sum(count_tokens(message.content) for message in request.messages)


def _sentiment(request: ChatRequest) -> str:
    """Count good and bad words of the last user message; "not" before a word turns it round."""
    words = re.findall(r"[a-z']+", _last_user(request).lower())
    score = 0
    for before, word in zip(["", *words], words, strict=False):
        value = (word in _GOOD) - (word in _BAD)
        score += -value if before in _NOT else value
    return "positive" if score >= 0 else "negative"


def _flaky(request: ChatRequest) -> str:
    """Fail for about three of ten requests, always the same ones: chosen by the request's digest."""
    text = _last_user(request)
    match int(request.digest()[:8], 16) % 10:
        case 0:
            raise RateLimitedError(
                "fake/flaky answered 429", cure="it always will, for this request", http_status=429
            )
        case 1:
            raise ProviderUnavailableError(
                "fake/flaky answered 503", cure="it always will, for this request", http_status=503
            )
        case 2:
            raise IncompleteAnswerError(
                "fake/flaky broke off",
                cure="it always will, for this request",
                partial_text=text[: len(text) // 2],
            )
    return text


def _json(request: ChatRequest) -> str:
    """Answer JSON that matches the schema of the request; of several words the one that the sentiment names."""
    return json_answer(request, _last_user(request), likely=_sentiment(request))


#: What stands behind ``fake/<name>``; ``slow`` is ``echo`` with a second's wait, ``short`` one that reads 100 tokens.
SCRIPTS: Mapping[str, Script] = MappingProxyType(
    {
        "echo": _last_user,
        "upper": lambda request: _last_user(request).upper(),
        "sentiment": _sentiment,
        "json": _json,
        "slow": _last_user,
        "flaky": _flaky,
        "tools": lambda request: tool_answer(request, _last_user(request)),
        "look": look_answer,
        "short": lambda request: short_answer(request, _last_user(request), _prompt_tokens(request)),
    }
)

_SLOW_SECONDS = 1.0


class FakeProvider:
    """Answers by a script.

    Args:
        script: a callable from request to text, or to the message of an answer; or a mapping from the last user
            message to the answer (a missing message is a RequestRejectedError); None for the scripts named by the
            model: ``echo``, ``upper``, ``sentiment``, ``json``, ``slow``, ``flaky``, ``tools``, ``look``, ``short``.
        latency: seconds until the answer is whole; a stream's pieces are spread over it.
        name: the first part of its models' ids.

    Tokens are counted by :func:`count_tokens`, and the cost is reported as exactly 0. The options ``n`` and
    ``logprobs`` are obeyed: as many choices, all the same, and a made-up log probability for each word.

    >>> FakeProvider(script=lambda request: "yes").name
    'fake'
    """

    host = "fake"
    concurrency = 32
    listener = None  # nobody is told of a reply: a failure that the script wants says nothing about limits

    def __init__(
        self, script: Script | Mapping[str, str] | None = None, *, latency: float = 0.0, name: str = "fake"
    ) -> None:
        self.name = name
        self._script = script
        self._latency = latency

    async def chat(self, request: ChatRequest, *, on_text: OnText | None = None) -> ChatResponse:
        """Answer one request; the pieces given to ``on_text`` are words with their spaces.

        Raises:
            ProviderError: whatever the script raises, with one attempt added.
            UnknownModelError: no script has that name.

        """
        script = self._find(request.model)
        started_at, clock = datetime.now(UTC), time.perf_counter()
        failure: ProviderError | None = None
        try:
            message = _message(script(request))
        except ProviderError as error:
            failure, message = error, _message(error.partial_text)
        text = message.get("content") or ""
        ttft = await self._deliver(text, request.model, clock, on_text)
        attempt = Attempt(
            n=1,
            started_at=started_at,
            duration_ms=_since(clock),
            http_status=200 if failure is None else failure.http_status,
            error_code=None if failure is None else failure.code,
        )
        response = _response(request, message, attempt, ttft=ttft, whole=failure is None)
        if failure is None:
            return response
        failure.attempts = (attempt,)
        failure.response = response if text else None
        raise failure

    async def models(self) -> list[ModelInfo]:
        """Return the named scripts, each free."""
        return [
            ModelInfo(
                model_id=f"{self.name}/{script}",
                name=script,
                price_prompt=Decimal(0),
                price_completion=Decimal(0),
            )
            for script in SCRIPTS
        ]

    async def aclose(self) -> None:
        """Nothing is open."""

    def _find(self, model: str) -> Script:
        if isinstance(self._script, Mapping):
            return self._look_up
        if self._script is not None:
            return self._script
        if model not in SCRIPTS:
            raise UnknownModelError(
                f"there is no model fake/{model}",
                cure=did_you_mean(model, SCRIPTS) or f"known: {', '.join(SCRIPTS)}",
            )
        return SCRIPTS[model]

    def _look_up(self, request: ChatRequest) -> str:
        answers = self._script if isinstance(self._script, Mapping) else {}
        asked = _last_user(request)
        if asked not in answers:
            raise RequestRejectedError(
                f"the fake's script has no answer to {asked[:80]!r}",
                cure="add it to the mapping",
                http_status=404,
            )
        return answers[asked]

    async def _deliver(self, text: str, model: str, clock: float, on_text: OnText | None) -> int | None:
        latency = self._latency or (_SLOW_SECONDS if self._script is None and model == "slow" else 0.0)
        pieces = re.findall(r"\s*\S+|\s+\Z", text) if on_text is not None else []
        first = None
        for piece in pieces:
            await asyncio.sleep(latency / len(pieces))
            first = _since(clock) if first is None else first
            if on_text is not None:
                on_text(piece)
        if not pieces:
            await asyncio.sleep(latency)
        return first


def create(settings: Settings, *, name: str, key: Secret | None = None) -> Provider:
    """Make the provider (entry point)."""
    del settings, key
    return FakeProvider(name=name)


def _message(given: str | Mapping[str, Any]) -> Mapping[str, Any]:
    return {"role": "assistant", "content": given} if isinstance(given, str) else given


def _response(
    request: ChatRequest, message: Mapping[str, Any], attempt: Attempt, *, ttft: int | None, whole: bool
) -> ChatResponse:
    text = message.get("content") or ""
    n = request.options.get("n")
    choices = n if isinstance(n, int) and n > 1 else 1
    prompt, completion = _prompt_tokens(request), count_tokens(text) * choices
    finish = ("tool_calls" if message.get("tool_calls") else "stop") if whole else None
    choice = {"message": message, "finish_reason": finish, **_logprobs(request, text)}
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cost": 0,
    }
    raw = {
        "id": "fake-" + hashlib.sha256(f"{request.digest()}{text!r}".encode()).hexdigest()[:16],
        "object": "chat.completion",
        "model": request.model,
        "choices": [{"index": index, **choice} for index in range(choices)],
        "usage": usage,
    }
    return ChatResponse(
        text=text,
        finish_reason=finish,
        usage=Usage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            cost=Decimal(0),
        ),
        model=request.model,
        raw=raw,
        latency_ms=attempt.duration_ms,
        ttft_ms=ttft,
        attempts=(attempt,),
    )


def _logprobs(request: ChatRequest, text: str) -> dict[str, Any]:
    if not request.options.get("logprobs"):
        return {}
    tokens = re.findall(r"\s*\S+|\s+\Z", text)
    return {"logprobs": {"content": [{"token": token, "logprob": -len(token) / 100} for token in tokens]}}


def _since(clock: float) -> int:
    return round((time.perf_counter() - clock) * 1000)
