"""From an OpenAI-compatible answer, whole or in pieces, to text, finish reason and usage.

Nothing here trusts the server: every field may be missing, null, of another type, or absurd.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import orjson

from workbench.core.chat import Attempt, ChatResponse, Usage
from workbench.errors import BadResponseError, IncompleteAnswerError, ProviderError
from workbench.providers.base import OnText
from workbench.providers.choices import Choice
from workbench.providers.failures import Peer, excerpt, page_title, reported
from workbench.providers.sse import SseParser

__all__ = ["Answer", "Body", "decimal", "decode", "positive"]

_DONE = b"[DONE]"
_MAX_DEPTH = 100
_MAX_CHOICES = 128  # what providers allow at most
_MAX_TOKENS = 2**31 - 1  # what the ledger's integer columns hold
_MAX_AMOUNT = 10**8  # what its columns of money hold
_CUT = {
    "length": ("reached its length limit", "raise max_tokens, or ask for less"),
    "content_filter": ("was cut by the provider's content filter", "change the prompt or the model"),
    "error": ("ended with an error at the provider", "try again"),
}


class Body(Protocol):
    """The body of a reply with status 200, and what :class:`Answer` needs to know of its head.

    Attributes:
        started: ``time.perf_counter()`` when its request was sent.
        content_type: the media type, lower case, without parameters.

    """

    started: float
    content_type: str

    async def chunk(self) -> bytes:
        """Return the next bytes; empty at the end."""
        ...

    async def read(self) -> bytes:
        """Return the rest."""
        ...

    async def drain(self) -> None:
        """Let the body end, so that its connection can be used again."""
        ...


class Answer:
    """One answer while it arrives.

    Args:
        peer: who answers, for messages.
        model: the model that was asked, in case the answer does not say.
        streamed: whether a stream was asked for; a server may still answer in one piece.
        on_text: given each piece of the first choice's text, or None.

    """

    __slots__ = (
        "_choices", "_done", "_on_text", "_peer", "_started", "_streamed", "_ttft", "began", "latency_ms", "model", "raw",
    )  # fmt: skip

    def __init__(self, peer: Peer, model: str, *, streamed: bool, on_text: OnText | None) -> None:
        self._peer = peer
        self._on_text = on_text
        self._streamed = streamed
        self._started = 0.0
        self._ttft: int | None = None
        self._choices = {0: Choice()}  # by their index; the first is the answer
        self._done = False
        self.began = False
        self.model = model
        self.latency_ms = 0
        self.raw: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text so far; a refusal's words where the content is empty."""
        return self._choices[0].text

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended; None while it has not, or where the provider does not say."""
        return self._choices[0].finish_reason

    async def read(self, reply: Body) -> Answer:
        """Read a reply to its end.

        Raises:
            ProviderError: the reply is no answer, reports an error, or breaks off.

        """
        self.began = True
        self._started = reply.started
        try:
            first = await reply.chunk()
            events = "event-stream" in reply.content_type or (
                self._streamed and "json" not in reply.content_type
            )
            if events and first.lstrip()[:1] not in {b"{", b"<"}:  # a login page, or an error in plain JSON
                await self._read_events(reply, first)
            else:
                self._take(first + await reply.read())
        finally:
            self.latency_ms = _since(self._started)
        return self

    def response(self, trail: list[Attempt]) -> ChatResponse:
        """Return what is known of the answer."""
        provider = self.raw.get("provider")
        return ChatResponse(
            text=self.text,
            finish_reason=self.finish_reason,
            usage=_usage(self.raw.get("usage")),
            model=self.model,
            provider=provider if isinstance(provider, str) else None,
            raw=self.raw,
            latency_ms=self.latency_ms,
            ttft_ms=self._ttft,
            attempts=tuple(trail),
        )

    def check(self) -> None:
        """Raise IncompleteAnswerError when the provider says that the answer was cut."""
        if self.finish_reason in _CUT:
            what, cure = _CUT[self.finish_reason]
            raise IncompleteAnswerError(f"the answer of {self._peer} {what}", cure=cure, http_status=200)

    def _take(self, data: bytes) -> None:
        """Take an answer in one piece."""
        self.raw = body = self._object(data)
        self._keep(body)
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise self._bad("sent an answer without choices")
        choice = choices[0]
        if choice.get("error"):
            raise reported(self._peer, choice["error"])
        message = choice.get("message")
        if not isinstance(message, dict):
            raise self._bad("sent a choice without a message")
        self._choices[0].finish(choice)
        self._tell(self._choices[0].take_message(message))
        self._require_content()

    async def _read_events(self, reply: Body, chunk: bytes) -> None:
        parser = SseParser()
        try:
            while chunk and not self._take_events(parser.feed(chunk)):
                chunk = await reply.chunk()
            self._take_events(parser.close(), last=True)
        except IncompleteAnswerError:
            if not self._ended:
                raise
        finally:
            self._rebuild()
        if not self._ended:
            raise IncompleteAnswerError(
                f"the stream of {self._peer} ended without a finish reason: the answer is cut",
                cure="try again; the provider may bill what it had produced",
                http_status=200,
            )
        self._require_content()
        await reply.drain()

    def _take_events(self, events: list[bytes], *, last: bool = False) -> bool:
        """Take events up to the closing one; return whether it was there."""
        for data in events:
            if self._done or data.strip() == _DONE:
                self._done = True
                break
            try:
                chunk = self._object(data)
            except BadResponseError:
                if last:  # cut in the middle of an event: the missing finish reason tells it
                    break
                raise
            self._take_chunk(chunk)
        return self._done

    def _take_chunk(self, chunk: dict[str, Any]) -> None:
        choices = chunk.pop("choices", None)
        self.raw.update({name: value for name, value in chunk.items() if value is not None})
        self._keep(chunk)
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._take_delta(choice)

    def _take_delta(self, choice: dict[str, Any]) -> None:
        index = choice.get("index", 0)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < _MAX_CHOICES:
            return
        if index == 0 and choice.get("error"):
            raise reported(self._peer, choice["error"])
        piece = self._choices.setdefault(index, Choice()).take_delta(choice)
        if index == 0:
            self._tell(piece)

    def _tell(self, piece: str | None) -> None:
        if not piece:
            return
        if self._ttft is None and self._streamed:
            self._ttft = _since(self._started)
        if self._on_text is not None:
            self._on_text(piece)

    @property
    def _ended(self) -> bool:
        """Whether every choice that had begun came to its end."""
        return all(choice.finish_reason is not None for choice in self._choices.values())

    def _require_content(self) -> None:
        """Tell an empty answer, which a model may give, from one that is not there."""
        if self._choices[0].says_something or self.finish_reason in _CUT:
            return
        raise self._bad("sent an answer whose content is null")

    def _keep(self, body: Mapping[str, Any]) -> None:
        if body.get("error"):
            raise reported(self._peer, body["error"])
        if isinstance(body.get("model"), str):
            self.model = body["model"]

    def _rebuild(self) -> None:
        """Write the raw record of a stream as the same answer in one piece would have had it."""
        choices = [choice.record(index) for index, choice in sorted(self._choices.items())]
        self.raw = {**self.raw, "object": "chat.completion", "choices": choices}

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            value = decode(data)
        except ValueError as error:
            what = page_title(data) or excerpt(data[:2000].decode(errors="replace")) or "nothing"
            raise self._bad(f"sent no JSON but {what}") from error
        if not isinstance(value, dict):
            raise self._bad(f"sent JSON that is no object but {type(value).__name__}")
        return value

    def _bad(self, what: str) -> ProviderError:
        return BadResponseError(
            f"{self._peer} {what}", cure="check the server's URL and the model id", http_status=200
        )


def decode(data: bytes) -> Any:
    """Decode JSON; NaN and infinities become None, lone surrogates stay (orjson refuses both).

    Raises:
        ValueError: it is not JSON, or nested deeper than 100 levels: it could not be stored.

    """
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(data, parse_constant=lambda _: None)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    if data.count(b"[") + data.count(b"{") > _MAX_DEPTH:  # it may be deep: look
        level = [value]
        for _ in range(_MAX_DEPTH + 1):
            level = [child for node in level for child in _children(node)]
        if level:
            raise ValueError("nested too deeply")
    return value


def _children(node: object) -> Collection[Any]:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def decimal(value: object) -> Decimal | None:
    """Return an amount of money, not negative and below 100 million, from a JSON number or a string; else None.

    >>> decimal("0.00000015"), decimal("-1"), decimal(None)
    (Decimal('1.5E-7'), None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < _MAX_AMOUNT else None


def positive(value: object) -> int | None:
    """Return a whole number above 0 that the ledger's columns can hold, else None."""
    return _count(value) or None


def _usage(value: object) -> Usage:
    usage = value if isinstance(value, dict) else {}
    prompt = usage.get("prompt_tokens_details")
    completion = usage.get("completion_tokens_details")
    return Usage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        total_tokens=_count(usage.get("total_tokens")),
        cached_tokens=_count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else None,
        reasoning_tokens=_count(completion.get("reasoning_tokens")) if isinstance(completion, dict) else None,
        cost=decimal(usage.get("cost")),
    )


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_TOKENS:
        return None
    return value


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
