"""Single calls: claimed, answered, committed, and only then returned."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.composition import body_of
from workbench.core.declarations import fill
from workbench.core.versions import PromptResult, PromptVersion
from workbench.db.ledger import Result
from workbench.db.ledger_writer import LedgerWriter
from workbench.errors import DatabaseError, ProviderError, RunInterruptedError
from workbench.services.calls import build_request, claim_of, failed, finished
from workbench.services.planning import check_read

if TYPE_CHECKING:
    from workbench.core.chat import ChatRequest, ChatResponse
    from workbench.db.ledger import Claim
    from workbench.services.models import ChosenModel
    from workbench.services.schemas import AnswerSchema
    from workbench.services.workbench import Workbench

__all__ = ["Asking"]

OnText = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    """One call, before it is rendered: options are the version's with the call's on top."""

    version: PromptVersion
    values: Mapping[str, Any]
    model: ChosenModel
    options: Mapping[str, Any]
    schema: AnswerSchema | None


class Asking:
    """Calls one prompt once. A single call is never answered from an earlier one."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench
        self._writer: LedgerWriter | None = None

    def ask(
        self,
        version: PromptVersion,
        variables: Mapping[str, Any],
        *,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        on_text: OnText | None = None,
        on_tick: Callable[[], None] | None = None,
    ) -> PromptResult:
        """Answer one call and wait for it; an interrupt stores what had arrived and stops.

        Raises:
            RunInterruptedError: the person stopped it.
            VariableTypeError: a value is not what its variable was declared as; nothing was called.
            InputError: a value is given that the prompt does not read; nothing was called.
            SchemaError: the schema is none; nothing was called.
            ProviderError: the provider failed, or its answer does not match the schema; the failure has its row.

        """
        question = self._question(version, variables, model, options or {})
        future = self._wb.bridge.submit(self._answer(question, on_text))
        try:
            return self._wb.bridge.wait(future, on_tick=on_tick)
        except KeyboardInterrupt:
            future.cancel()
            raise RunInterruptedError(
                "stopped; the call is stored as unknown, with the text that had arrived",
                cure="run the cell again",
            ) from None

    async def aask(
        self,
        version: PromptVersion,
        variables: Mapping[str, Any],
        *,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> PromptResult:
        """Answer one call, awaited on the caller's loop."""
        question = await asyncio.to_thread(self._question, version, variables, model, options or {})
        return await asyncio.wrap_future(self._wb.bridge.submit(self._answer(question, None)))

    def close(self) -> None:
        """Write what is waiting."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _question(
        self,
        version: PromptVersion,
        variables: Mapping[str, Any],
        model: str | None,
        options: Mapping[str, Any],
    ) -> _Question:
        """Check everything that can be checked before a call."""
        values = fill(version.variables, variables, give="{}=…")
        check_read([version], variables)
        merged = {**version.settings, **options}
        return _Question(
            version=version,
            values=values,
            model=self._wb.models.choose(model, version),
            options=merged,
            schema=self._wb.schemas.of(merged),
        )

    async def _answer(self, question: _Question, on_text: OnText | None) -> PromptResult:
        version, values, model = question.version, question.values, question.model
        body = body_of(version)
        request = build_request(
            body, values, model, question.options, schema=question.schema, stream=on_text is not None
        )
        now = dt.datetime.now(dt.UTC)
        claim = claim_of(request, body, values, prompt_id=version.id, model=model, run_at=now)
        await self._commit(self._ledger().claim([claim]))
        result, parsed, error = await self._call(claim, request, question, on_text)
        try:
            await self._commit(self._ledger().finish(result))
        except DatabaseError as lost:
            if error is None:
                lost.message += "; the answer had come and could not be stored: it may be billed"
            raise
        if error is not None:
            raise error
        shown = str(question.options.get("format") or ("json" if question.schema else "text"))
        return _prompt_result(version, result, model, shown=shown, parsed=parsed)

    async def _call(
        self, claim: Claim, request: ChatRequest, question: _Question, on_text: OnText | None
    ) -> tuple[Result, Any, ProviderError | None]:
        """Return the row of the call, what its schema made of the answer, and what went wrong."""
        model, schema = question.model, question.schema
        pieces: list[str] = []

        def heard(piece: str) -> None:
            pieces.append(piece)
            if on_text is not None:
                on_text(piece)

        try:
            response: ChatResponse = await model.provider.chat(
                request, on_text=heard if request.stream else None
            )
            parsed = None if schema is None else schema.read(response)
        except ProviderError as error:
            return failed(claim, error, model), None, error
        except asyncio.CancelledError:
            interrupted = Result(
                id=claim.id,
                run_at=claim.run_at,
                status="unknown",
                answer="".join(pieces) or None,
                provider=model.provider.host,
                error_code="interrupted",
                error_message="stopped by the person while the answer was arriving; it may have been billed",
            )
            self._ledger().finish(interrupted)
            raise
        return finished(claim, response, model), parsed, None

    def _ledger(self) -> LedgerWriter:
        if self._writer is None:
            self._writer = LedgerWriter(self._wb.database, self._wb.scope)
        return self._writer

    async def _commit(self, future: Any) -> None:
        await asyncio.wrap_future(future)


def _prompt_result(
    version: PromptVersion, result: Result, model: ChosenModel, *, shown: str, parsed: Any
) -> PromptResult:
    return PromptResult(
        text=result.answer or "",
        execution_id=result.id,
        prompt=f"{version.title} v{version.version}",
        model=model.model_id,
        change=version.news,
        finish_reason=result.finish_reason,
        tokens_prompt=result.tokens_prompt,
        tokens_completion=result.tokens_completion,
        cost=result.cost,
        cost_source=result.cost_source,
        latency_ms=result.latency_ms or 0,
        ttft_ms=result.ttft_ms,
        format=shown,
        parsed=parsed,
    )
