"""Chat over the protocol that most servers speak: ``POST /chat/completions``, whole or streamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from workbench.core.chat import Attempt, ChatRequest, ChatResponse, ModelInfo
from workbench.errors import BadResponseError, IncompleteAnswerError, InputError, ProviderError
from workbench.providers.address import parse_address
from workbench.providers.answers import Answer, decode, positive
from workbench.providers.base import OnText, Retry
from workbench.providers.failures import Peer
from workbench.providers.http import Http, Reply
from workbench.providers.limits import Heard, heard
from workbench.secret import Secret

__all__ = ["OpenAICompatible"]


class OpenAICompatible:
    """A server that speaks OpenAI's chat protocol.

    Args:
        name: our name for it, the first part of its models' full ids.
        base_url: up to and without ``/chat/completions``; https, or http on this machine.
        key: sent to this host alone; None for a server that wants none.
        key_cure: tells how to set the key, for messages.
        headers: sent with every request.
        private: the server may live in a private network.
        concurrency: calls in flight that the server takes well.
        retry: how patient a call is.

    Attributes:
        listener: told the head of each reply to a chat, on the event loop's thread; None for nobody.

    Raises:
        ConfigError: the URL is refused.

    >>> OpenAICompatible(name="ollama", base_url="http://127.0.0.1:11434/v1").host
    '127.0.0.1:11434'
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        key: Secret | None = None,
        key_cure: str = "",
        headers: Mapping[str, str] | None = None,
        private: bool = False,
        concurrency: int = 8,
        retry: Retry | None = None,
    ) -> None:
        self.listener: Callable[[Heard], None] | None = None
        address = parse_address(base_url, private=private)
        self.name = name
        self.host = address.netloc
        self.concurrency = concurrency
        peer = Peer(
            name=name,
            address=address,
            key_cure=key_cure or f"set WORKBENCH_ENDPOINT_{name.upper().replace('-', '_')}_KEY",
        )
        self._http = Http(peer, key=key, headers=headers, retry=retry or Retry())

    async def chat(self, request: ChatRequest, *, on_text: OnText | None = None) -> ChatResponse:
        """Answer one request; streams when ``on_text`` is given or the request says so.

        Raises:
            InputError: the request cannot be written as JSON.
            ProviderError: no answer came, or not a whole one.

        """
        if on_text is not None and not request.stream:
            request = replace(request, stream=True)
        answer = Answer(self._http.peer, request.model, streamed=request.stream, on_text=on_text)
        body = _encode(request)
        trail: list[Attempt] = []
        try:
            await self._http.request(
                "POST", "/chat/completions", body, answer.read, trail=trail, heard=self._hears(request.model)
            )
            answer.check()
        except ProviderError as error:
            raise _with_answer(error, answer, trail) from error.__cause__
        return answer.response(trail)

    async def models(self) -> list[ModelInfo]:
        """Return what ``GET /models`` lists; most servers tell no prices."""
        return [
            ModelInfo(
                model_id=f"{self.name}/{record['id']}",
                name=str(record.get("name") or record["id"]),
                context_length=positive(record.get("context_length") or record.get("max_model_len")),
                raw=record,
            )
            for record in await self._records()
        ]

    async def aclose(self) -> None:
        """Close all connections; may be called twice."""
        await self._http.aclose()

    def _hears(self, model: str) -> Callable[[int, Mapping[str, str], float], None] | None:
        listener = self.listener
        if listener is None:
            return None
        return lambda status, headers, sent_at: listener(heard(self.name, model, status, headers, sent_at))

    async def _records(self) -> list[dict[str, Any]]:
        trail: list[Attempt] = []
        try:
            found = await self._http.request("GET", "/models", None, self._read_json, trail=trail)
        except ProviderError as error:
            error.attempts = tuple(trail)
            raise
        data = found.get("data") if isinstance(found, dict) else None
        if not isinstance(data, list):
            raise BadResponseError(
                f"{self._http.peer} sent no list of models", cure="check the server's URL", attempts=trail
            )
        return [record for record in data if isinstance(record, dict) and isinstance(record.get("id"), str)]

    async def _read_json(self, reply: Reply) -> Any:
        data = await reply.read()
        try:
            return decode(data)
        except ValueError as error:
            raise BadResponseError(
                f"{self._http.peer} sent no JSON", cure="check the server's URL", http_status=200
            ) from error


def _with_answer(error: ProviderError, answer: Answer, trail: list[Attempt]) -> ProviderError:
    """Tell the error what is known of the answer; once text came, the failure is an incomplete answer."""
    if answer.text and not isinstance(error, IncompleteAnswerError):
        error = IncompleteAnswerError(
            f"the answer broke off: {error.message}", cure=error.cure, http_status=error.http_status
        )
    error.attempts = tuple(trail)
    error.partial_text = answer.text
    error.response = answer.response(trail) if answer.began else None
    return error


def _encode(request: ChatRequest) -> bytes:
    body = request.body()
    try:
        return orjson.dumps(body)
    except TypeError:
        pass
    try:  # lone surrogates, and integers beyond 64 bits, are only written by the standard library
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the request cannot be written as JSON: {error}",
            cure="use text, numbers, lists and mappings as options",
        ) from error
