"""One call, from template to ledger row: what single calls and runs have in common."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from workbench.core.body import PromptBody
from workbench.core.chat import ChatRequest, ChatResponse, Message
from workbench.core.pricing import cost_of
from workbench.db.ledger import Claim, Result
from workbench.errors import ProviderError, WorkbenchError
from workbench.services.attaching import attachments_of
from workbench.services.models import ChosenModel
from workbench.services.schemas import AnswerSchema

__all__ = [
    "ANSWER_TOKENS",
    "CHARS_PER_TOKEN",
    "build_request",
    "claim_of",
    "expected_tokens",
    "failed",
    "finished",
    "not_sent",
    "refused",
    "request_of",
    "reserve_of",
]

#: Characters of English per token, for estimates before the first answer.
CHARS_PER_TOKEN = 4
#: Tokens of an answer where neither a limit nor an earlier answer tells, and of what stands around a message.
ANSWER_TOKENS = 128
_MESSAGE_CHARS = 16
#: Tokens of a picture: most models count 300 to 1,500, whatever its size in bytes.
_FILE_TOKENS = 1_000

#: Settings of a prompt that are not options of the request.
_NOT_OPTIONS = frozenset({"model", "schema", "format", "attach"})


def build_request(
    body: PromptBody,
    values: Mapping[str, Any],
    model: ChosenModel,
    options: Mapping[str, Any],
    *,
    schema: AnswerSchema | None = None,
    stream: bool = False,
) -> ChatRequest:
    """Render a prompt strictly into what the provider is asked; the option ``attach`` names a column of files.

    Raises:
        UndefinedVariableError: a value is missing, None or NaN.
        FileError: a file cannot be attached.

    """
    request = request_of(body.render(values), model, options, schema=schema, stream=stream)
    column = options.get("attach")
    return request if column is None else request.with_attachments(attachments_of(column, values))


def request_of(
    messages: Sequence[Message],
    model: ChosenModel,
    options: Mapping[str, Any],
    *,
    schema: AnswerSchema | None = None,
    stream: bool = False,
) -> ChatRequest:
    """Return the request that carries messages.

    A ``response_format`` among the options goes before the schema's own; None asks for none, for servers that
    know no schemas.
    """
    kept = {name: value for name, value in options.items() if name not in _NOT_OPTIONS}
    if schema is not None:
        kept = {"response_format": schema.response_format, **kept}
    if kept.get("response_format", ...) is None:
        del kept["response_format"]
    return ChatRequest(model=model.local_id, messages=tuple(messages), options=kept, stream=stream)


def claim_of(
    request: ChatRequest,
    body: PromptBody,
    values: Mapping[str, Any],
    *,
    prompt_id: uuid.UUID,
    model: ChosenModel,
    run_at: dt.datetime,
    **place: Any,
) -> Claim:
    """Return the ledger's row of a call that is about to be made; only the variables that the prompt names are kept."""
    from workbench.core.values import plain

    used = {
        name: plain(values[name], what=f"the variable {name!r}") for name in body.variables if name in values
    }
    return Claim(
        id=uuid.uuid4(),
        run_at=run_at,
        prompt_id=prompt_id,
        model_config_id=model.config_id,
        input_variables=used,
        request_payload=request.payload(),
        request_digest=request.digest(),
        **place,
    )


def expected_tokens(request: ChatRequest) -> tuple[int, int]:
    """Estimate the tokens of a request and of its answer, from the length of the texts and ``max_tokens``."""
    characters = sum(len(message.content) + _MESSAGE_CHARS for message in request.messages)
    files = sum(len(message.attachments) for message in request.messages)
    limit = request.options.get("max_tokens") or request.options.get("max_completion_tokens")
    answer = limit if isinstance(limit, int) and limit > 0 else ANSWER_TOKENS  # else the provider refuses it
    return -(-characters // CHARS_PER_TOKEN) + files * _FILE_TOKENS, answer


def reserve_of(request: ChatRequest, model: ChosenModel) -> Decimal | None:
    """Return what the price list lets a call cost, in USD, or None where nobody knows the price."""
    if model.price is None:
        return None
    prompt, answer = expected_tokens(request)
    return model.price.amount(prompt_tokens=prompt, completion_tokens=answer)


def finished(claim: Claim, response: ChatResponse, model: ChosenModel) -> Result:
    """Return the ledger's row of a complete answer."""
    return _result(claim, response, model, status="done")


def failed(claim: Claim, error: ProviderError, model: ChosenModel) -> Result:
    """Return the ledger's row of a failure; a partial answer is kept with it and never scored."""
    if error.response is not None:
        return _result(
            claim, error.response, model, status="failed", error_code=error.code, error_message=error.message
        )
    return Result(
        id=claim.id,
        run_at=claim.run_at,
        run_id=claim.run_id,
        status="failed",
        answer=error.partial_text or None,
        provider=model.provider.host,
        error_code=error.code,
        error_message=error.message,
        attempts=error.attempts,
    )


def refused(claim: Claim, error: WorkbenchError) -> Result:
    """Return the ledger's row of a call that could not be sent: the request or a setting is wrong."""
    return Result(
        id=claim.id,
        run_at=claim.run_at,
        run_id=claim.run_id,
        status="failed",
        error_code=error.code,
        error_message=error.message,
    )


def not_sent(claim: Claim, why: str) -> Result:
    """Return the ledger's row of a claimed call that nobody sent any more."""
    return Result(
        id=claim.id,
        run_at=claim.run_at,
        run_id=claim.run_id,
        status="lost",
        error_code="not_sent",
        error_message=f"{why}; nothing was billed",
    )


def _result(claim: Claim, response: ChatResponse, model: ChosenModel, **fields: Any) -> Result:
    cost = cost_of(response.usage, model.price)
    return Result(
        id=claim.id,
        run_at=claim.run_at,
        run_id=claim.run_id,
        response_data=response.raw,
        answer=response.text,
        finish_reason=response.finish_reason,
        provider=response.provider or model.provider.host,
        tokens_prompt=response.usage.prompt_tokens,
        tokens_completion=response.usage.completion_tokens,
        tokens_total=response.usage.total_tokens,
        tokens_cached=response.usage.cached_tokens,
        tokens_reasoning=response.usage.reasoning_tokens,
        cost=cost.amount,
        cost_source=cost.source,
        latency_ms=response.latency_ms,
        ttft_ms=response.ttft_ms,
        attempts=response.attempts,
        **fields,
    )
