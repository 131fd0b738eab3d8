"""One call to a chat model, as values: what is asked, what is answered, what was tried."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Self, cast

from workbench.core.attachments import Attachment, read_part
from workbench.core.replies import ToolCall, choices_of, logprobs_of, message_of, text_of, tool_calls_of
from workbench.errors import InputError

__all__ = ["Attempt", "ChatRequest", "ChatResponse", "Message", "ModelInfo", "Role", "Usage"]

Role = Literal["system", "user", "assistant", "tool"]

#: Body fields that may be stored in ``executions.request_payload``; headers never are.
BODY_FIELDS = frozenset(
    {
        "model", "messages", "temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens",
        "seed", "stop", "n", "presence_penalty", "frequency_penalty", "repetition_penalty", "logprobs",
        "top_logprobs", "response_format", "tools", "tool_choice", "reasoning", "reasoning_effort", "provider",
        "models", "stream", "stream_options", "logit_bias", "grammar", "cache_prompt", "parallel_tool_calls", "plugins",
    }
)  # fmt: skip

#: One way to write what is hashed; made once, because a run hashes thousands.
_CANONICAL = json.JSONEncoder(sort_keys=True, default=str)

#: Failures after which nobody but the provider knows whether the call was carried out.
_AMBIGUOUS = frozenset({"read_timeout", "disconnected", "deadline", "cancelled"})


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: a role and its text, and what goes with it.

    Attributes:
        role: whose turn it is; ``tool`` for what a called function gave back.
        content: the text.
        attachments: pictures and documents, sent after the text.
        tool_calls: what the assistant asks to be called.
        tool_call_id: of a tool's turn: the call that it answers.
        reasoning: of an assistant's turn: OpenRouter's ``reasoning_details``; some models want them back.
        execution_id: within a conversation, the call that sent the turn first, or that gave it.

    """

    role: Role
    content: str
    attachments: tuple[Attachment, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: tuple[Any, ...] = field(default=(), repr=False)
    execution_id: uuid.UUID | None = field(default=None, compare=False)

    @classmethod
    def of(cls, record: Mapping[str, Any], execution_id: uuid.UUID | None = None) -> Self:
        """Return a message of a stored request, or of an answer."""
        content, reasoning = record.get("content"), record.get("reasoning_details")
        parts = content if isinstance(content, list) else []
        identifier = record.get("tool_call_id")
        return cls(
            role=cast("Role", str(record.get("role") or "assistant")),
            content=text_of(content) or text_of(record.get("refusal")) or "",
            attachments=tuple(found for part in parts if (found := read_part(part)) is not None),
            tool_calls=tool_calls_of(record),
            tool_call_id=identifier if isinstance(identifier, str) else None,
            reasoning=tuple(reasoning) if isinstance(reasoning, list) else (),
            execution_id=execution_id,
        )

    def record(self, *, stored: bool = False) -> dict[str, Any]:
        """Return the message as a provider takes it; ``stored`` as the ledger keeps it, large attachments by digest."""
        record: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.attachments:
            text = [{"type": "text", "text": self.content}] if self.content else []
            record["content"] = text + [each.part(stored=stored) for each in self.attachments]
        if self.tool_calls:
            record["content"] = self.content or None
            record["tool_calls"] = [call.record() for call in self.tool_calls]
        if self.tool_call_id is not None:
            record["tool_call_id"] = self.tool_call_id
        if self.reasoning:
            record["reasoning_details"] = list(self.reasoning)
        return record


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """What is asked.

    Attributes:
        model: the id that the provider itself uses, without our provider prefix.
        messages: the turns, rendered.
        options: sampling options by the provider's own names (``temperature``, ``max_tokens`` …).
        stream: whether the answer is asked for piece by piece.

    """

    model: str
    messages: tuple[Message, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False

    def body(self, *, stored: bool = False) -> dict[str, Any]:
        """Return the JSON body of an OpenAI-compatible request; ``stored`` with large attachments by their digest."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message.record(stored=stored) for message in self.messages],
            **self.options,
        }
        if self.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return body

    def payload(self) -> dict[str, Any]:
        """Return what may be stored of the request: the allow-listed fields of the body."""
        return {name: value for name, value in self.body(stored=True).items() if name in BODY_FIELDS}

    def with_attachments(self, attachments: tuple[Attachment, ...]) -> Self:
        """Return the request with attachments on its last user's message.

        Raises:
            InputError: there is no such message.

        """
        if not attachments:
            return self
        last = max((n for n, each in enumerate(self.messages) if each.role == "user"), default=None)
        if last is None:
            raise InputError("the prompt has no user's turn to attach to", cure="end it with a section user:")
        message = self.messages[last]
        more = replace(message, attachments=(*message.attachments, *attachments))
        return replace(self, messages=(*self.messages[:last], more, *self.messages[last + 1 :]))

    def digest(self) -> str:
        """Return the SHA-256 of what determines the answer: model, messages and options."""
        content = {
            name: value for name, value in self.body().items() if name not in {"stream", "stream_options"}
        }
        return hashlib.sha256(_CANONICAL.encode(content).encode()).hexdigest()

    @property
    def deterministic(self) -> bool:
        """Whether the same request should give the same answer: temperature 0, or a seed."""
        return self.options.get("temperature") == 0 or self.options.get("seed") is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens and money as the provider reported them; None where it said nothing."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One HTTP try of one call.

    Attributes:
        n: counted from 1.
        started_at: when the request was sent, with its time zone.
        duration_ms: to the end of the answer, or to the failure.
        http_status: None when no answer came.
        error_code: None when the try was answered, else what failed: a provider error's ``code``, or
            ``dns``, ``connect``, ``connect_timeout``, ``proxy``, ``tls``, ``read_timeout``,
            ``disconnected``, ``deadline``, ``cancelled``.
        retry_after_ms: how long the provider asked us to wait, at most 60,000.

    """

    n: int
    started_at: datetime
    duration_ms: int
    http_status: int | None = None
    error_code: str | None = None
    retry_after_ms: int | None = None

    @property
    def ambiguous(self) -> bool:
        """Whether the request went out and no answer came: it may have been billed."""
        return self.http_status is None and self.error_code in _AMBIGUOUS


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatResponse:
    """What was answered, in full.

    Attributes:
        text: the answer.
        finish_reason: ``stop``, ``length`` …, the last non-null one; None when the provider gave none.
        usage: tokens and cost.
        model: the model id that the provider says answered.
        provider: the upstream provider where a router names one.
        raw: the provider's JSON (for a stream: rebuilt from its chunks).
        latency_ms: from the last try's request to the end of the answer.
        ttft_ms: to the first piece of text; None without streaming.
        attempts: every HTTP try, oldest first.

    """

    text: str
    finish_reason: str | None
    usage: Usage
    model: str
    provider: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    latency_ms: int = 0
    ttft_ms: int | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts of all choices: several where ``n`` asked for them; the first is ``text``."""
        return choices_of(self.raw)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """What the first choice asks to be called."""
        return tool_calls_of(message_of(self.raw))

    @property
    def logprobs(self) -> list[Any] | None:
        """The first choice's tokens with their log probabilities, where they were asked for."""
        return logprobs_of(self.raw)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """What a provider says about one of its models.

    Attributes:
        model_id: our full id, ``<provider>/<provider's id>``.
        name: for people.
        context_length: in tokens.
        max_tokens: the longest answer, in tokens.
        price_prompt: USD per prompt token; None when unknown.
        price_completion: USD per completion token; None when unknown.
        price_cached: USD per prompt token read from the provider's cache; None means as ``price_prompt``.
        price_request: USD per call, on top.
        supports_streaming: whether the server can stream.
        raw: the provider's own record.

    """

    model_id: str
    name: str
    context_length: int | None = None
    max_tokens: int | None = None
    price_prompt: Decimal | None = None
    price_completion: Decimal | None = None
    price_cached: Decimal | None = None
    price_request: Decimal = Decimal(0)
    supports_streaming: bool = True
    raw: Mapping[str, Any] = field(default_factory=dict)
