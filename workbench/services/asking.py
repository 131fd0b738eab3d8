"""Single calls: claimed, answered, committed, and only then returned."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workbench.core.composition import body_of
from workbench.core.versions import PromptResult, PromptVersion
from workbench.db.ledger import Result
from workbench.db.ledger_writer import LedgerWriter
from workbench.errors import DatabaseError, ProviderError, RunInterruptedError
from workbench.services.calls import build_request, claim_of, failed, finished

if TYPE_CHECKING:
    from workbench.core.chat import ChatRequest, ChatResponse
    from workbench.db.ledger import Claim
    from workbench.services.models import ChosenModel
    from workbench.services.workbench import Workbench

__all__ = ["Asking"]

OnText = Callable[[str], None]


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
            ProviderError: the provider failed; the failure has its row.

        """
        chosen = self._wb.models.choose(model, version)
        work = self._answer(version, variables, chosen, options or {}, on_text)
        future = self._wb.bridge.submit(work)
        try:
            return self._wb.bridge.wait(future, on_tick=on_tick)
        except KeyboardInterrupt:
            future.cancel()
            raise RunInterruptedError(
                "stopped; the call is stored as unknown, with the text that had arrived",
                cure="run the cell again",
            ) from None

    async def aask(
        self, version: PromptVersion, variables: Mapping[str, Any], *, model: str | None = None
    ) -> PromptResult:
        """Answer one call, awaited on the caller's loop."""
        chosen = await asyncio.to_thread(self._wb.models.choose, model, version)
        return await asyncio.wrap_future(
            self._wb.bridge.submit(self._answer(version, variables, chosen, {}, None))
        )

    def close(self) -> None:
        """Write what is waiting."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _answer(
        self,
        version: PromptVersion,
        variables: Mapping[str, Any],
        model: ChosenModel,
        options: Mapping[str, Any],
        on_text: OnText | None,
    ) -> PromptResult:
        body = body_of(version)
        request = build_request(
            body, variables, model, {**version.settings, **options}, stream=on_text is not None
        )
        now = dt.datetime.now(dt.UTC)
        claim = claim_of(request, body, variables, prompt_id=version.id, model=model, run_at=now)
        await self._commit(self._ledger().claim([claim]))
        result, error = await self._call(claim, request, model, on_text)
        try:
            await self._commit(self._ledger().finish(result))
        except DatabaseError as lost:
            if error is None:
                lost.message += "; the answer had come and could not be stored: it may be billed"
            raise
        if error is not None:
            raise error
        shown = str(options.get("format") or version.settings.get("format") or "text")
        return _prompt_result(version, result, model, shown)

    async def _call(
        self, claim: Claim, request: ChatRequest, model: ChosenModel, on_text: OnText | None
    ) -> tuple[Result, ProviderError | None]:
        pieces: list[str] = []

        def heard(piece: str) -> None:
            pieces.append(piece)
            if on_text is not None:
                on_text(piece)

        try:
            response: ChatResponse = await model.provider.chat(
                request, on_text=heard if request.stream else None
            )
        except ProviderError as error:
            return failed(claim, error, model), error
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
        return finished(claim, response, model), None

    def _ledger(self) -> LedgerWriter:
        if self._writer is None:
            self._writer = LedgerWriter(self._wb.database, self._wb.scope)
        return self._writer

    async def _commit(self, future: Any) -> None:
        await asyncio.wrap_future(future)


def _prompt_result(version: PromptVersion, result: Result, model: ChosenModel, shown: str) -> PromptResult:
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
    )
