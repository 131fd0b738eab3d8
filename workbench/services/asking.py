"""Single calls: claimed, answered, committed, and only then returned."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from workbench.core.composition import body_of
from workbench.core.declarations import fill
from workbench.core.versions import PromptResult, PromptVersion
from workbench.db.ledger import Result
from workbench.db.ledger_writer import LedgerWriter
from workbench.errors import (
    AnswerKeptError,
    ContextTooLongError,
    DatabaseError,
    ProviderError,
    RunInterruptedError,
    WorkbenchError,
)
from workbench.services.attaching import read_attachments
from workbench.services.calls import (
    build_request,
    claim_of,
    failed,
    finished,
    not_sent,
    refused,
    request_of,
    reserve_of,
)
from workbench.services.limiting_slots import Wanted
from workbench.services.planning import check_read
from workbench.services.streaming import AnswerStream

if TYPE_CHECKING:
    from workbench.core.body import PromptBody
    from workbench.core.chat import ChatRequest, ChatResponse, Message
    from workbench.db.ledger import Claim
    from workbench.services.models import ChosenModel
    from workbench.services.schemas import AnswerSchema
    from workbench.services.workbench import Workbench

__all__ = ["Asking", "Place", "Question"]

OnText = Callable[[str], None]

#: Seconds that a cell waits for a database that restarts.
_PATIENCE = 3.0
#: A call that was stopped waits so long, in seconds, until its row says so.
_LAST_WORDS = 0.5


class Place(Protocol):
    """Where a call stands among others, such as a turn of a conversation; its text names it in messages."""

    def columns(self) -> Mapping[str, Any]:
        """Return what the call's row holds of it."""

    def held(self) -> AbstractContextManager[None]:
        """Keep the place while the call is claimed; called in a thread of its own.

        Raises:
            ConflictError: somebody else has it.

        """

    def answered(self, question: Question, result: PromptResult, response: ChatResponse) -> None:
        """Take the answer, after its COMMIT; called on the bridge's loop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One call that can be made; whatever can be checked before has been.

    Attributes:
        version: the prompt.
        body: its text, composed.
        values: the variables; those that the text reads are stored.
        model: who is asked.
        options: the version's with the call's on top.
        schema: what the answer must be, or None.
        request: what is sent.
        place: where the call stands among others, or None.

    """

    version: PromptVersion
    body: PromptBody
    values: Mapping[str, Any]
    model: ChosenModel
    options: Mapping[str, Any]
    schema: AnswerSchema | None
    request: ChatRequest
    place: Place | None = None


class Asking:
    """Calls one prompt once. A single call is never answered from an earlier one."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench
        self._writer: LedgerWriter | None = None

    def question(
        self,
        version: PromptVersion,
        variables: Mapping[str, Any],
        *,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
        attach: Any = (),
        messages: Sequence[Message] | None = None,
        place: Place | None = None,
    ) -> Question:
        """Check everything that can be checked before a call.

        Args:
            version: the prompt.
            variables: its values.
            model: who is asked; by default the version's, or the default model.
            options: on top of the version's settings.
            attach: what goes with the last user's message.
            messages: what is sent in the place of the rendered prompt.
            place: where the call stands among others.

        Raises:
            UndefinedVariableError: the text needs a value that is not given.
            InputError: a value is given that the prompt does not read.
            VariableTypeError: a value is not what its variable was declared as.
            SchemaError: the schema is none.
            FileError: what is attached cannot be.

        """
        merged = {**version.settings, **(options or {})}
        body, chosen, schema = (
            body_of(version),
            self._wb.models.choose(model, version),
            self._wb.schemas.of(merged),
        )
        values = variables if messages is not None else fill(version.variables, variables, give="{}=…")
        if messages is None:
            check_read([version], variables)
        request = (
            request_of(messages, chosen, merged, schema=schema)
            if messages is not None
            else build_request(body, values, chosen, merged, schema=schema)
        )
        return Question(
            version=version,
            body=body,
            values=values,
            model=chosen,
            options=merged,
            schema=schema,
            request=request.with_attachments(read_attachments(attach)),
            place=place,
        )

    def answer(
        self, question: Question, *, on_text: OnText | None = None, on_tick: Callable[[], None] | None = None
    ) -> PromptResult:
        """Make one call and wait for it; an interrupt stores what had arrived and stops.

        Raises:
            RunInterruptedError: the person stopped it.
            ProviderError: the provider failed, or its answer does not match the schema; the failure has its row.

        """
        future = self._wb.bridge.submit(self._answer(question, on_text))
        try:
            return self._wb.bridge.wait(future, on_tick=on_tick)
        except KeyboardInterrupt:
            future.cancel()
            raise RunInterruptedError(
                "stopped; the call is stored as unknown, with the text that had arrived",
                cure="run the cell again",
            ) from None

    async def aanswer(self, make: Callable[[], Question]) -> PromptResult:
        """Make one call, awaited on the caller's loop; the question is made in a thread of its own."""
        question = await asyncio.to_thread(make)
        return await asyncio.wrap_future(self._wb.bridge.submit(self._answer(question, None)))

    def stream(self, make: Callable[[], Question]) -> AnswerStream:
        """Return a call that is made, piece by piece, when it is read."""
        return AnswerStream(self._wb, lambda: self._streamed(make()))

    def close(self) -> None:
        """Write what is waiting."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _streamed(self, question: Question) -> Callable[[OnText], Any]:
        return lambda on_text: self._answer(question, on_text)

    async def _answer(self, question: Question, on_text: OnText | None) -> PromptResult:
        if on_text is not None:
            question = replace(question, request=replace(question.request, stream=True))
        claim = claim_of(
            question.request,
            question.body,
            question.values,
            prompt_id=question.version.id,
            model=question.model,
            run_at=dt.datetime.now(dt.UTC),
            reserved=reserve_of(question.request, question.model),
            **(question.place.columns() if question.place else {}),
        )
        await self._wb.limiter.permits([Wanted.of(question.model, question.request)])
        await self._claim(claim, question.place)
        settled = asyncio.ensure_future(self._settle(question, *await self._call(claim, question, on_text)))
        try:
            return await asyncio.shield(settled)
        except asyncio.CancelledError:  # too late: the whole answer is there, and whoever keeps it shall know
            await asyncio.wait([settled])
            if not settled.cancelled():
                settled.exception()
            raise

    async def _settle(
        self,
        question: Question,
        result: Result,
        response: ChatResponse | None,
        parsed: Any,
        error: WorkbenchError | None,
    ) -> PromptResult:
        """Commit the row of a call, then give its answer or its failure."""
        try:
            outcome = await asyncio.wrap_future(self._ledger().finish([result]))
            if (lost := outcome[result.id]) is not None:
                raise lost
        except AnswerKeptError:
            raise
        except DatabaseError as lost:
            if error is None:
                lost.message += "; the answer had come and could not be stored: it may be billed"
            raise
        if error is not None:
            raise _measured(error, question)
        answer = _prompt_result(question, result, response, parsed=parsed)
        if question.place is not None and response is not None:
            question.place.answered(question, answer, response)
        return answer

    async def _claim(self, claim: Claim, place: Place | None) -> None:
        """Commit the claim; who stops in the meantime leaves a row that says that nothing was sent."""

        def commit(place: Place) -> None:
            with place.held():
                self._ledger().claim([claim]).result()

        waiting: asyncio.Future[Any] = (
            asyncio.wrap_future(self._ledger().claim([claim]))
            if place is None
            else asyncio.ensure_future(asyncio.to_thread(commit, place))
        )
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            await asyncio.wait([waiting])
            if not waiting.cancelled() and waiting.exception() is None:
                self._ledger().finish([not_sent(claim, "stopped by the person before the call was sent")])
            raise

    async def _call(
        self, claim: Claim, question: Question, on_text: OnText | None
    ) -> tuple[Result, ChatResponse | None, Any, WorkbenchError | None]:
        """Return the row of the call, the answer, what its schema made of it, and what went wrong."""
        model, schema = question.model, question.schema
        pieces: list[str] = []

        def heard(piece: str) -> None:
            pieces.append(piece)
            if on_text is not None:
                on_text(piece)

        try:
            response: ChatResponse = await self._wb.limiter.chat(
                model, question.request, on_text=heard if question.request.stream else None
            )
            parsed = None if schema is None else schema.read(response)
        except ProviderError as error:
            return failed(claim, error, model), None, None, error
        except WorkbenchError as error:  # the request or a setting is wrong: nothing was sent
            return refused(claim, error), None, None, error
        except asyncio.CancelledError:
            stored = self._ledger().finish([_interrupted(claim, "".join(pieces), model)])
            await asyncio.wait([asyncio.wrap_future(stored)], timeout=_LAST_WORDS)
            raise
        return finished(claim, response, model), response, parsed, None

    def _ledger(self) -> LedgerWriter:
        if self._writer is None:
            self._writer = LedgerWriter(self._wb.database, self._wb.scope, patience=_PATIENCE)
        return self._writer


def _prompt_result(
    question: Question, result: Result, response: ChatResponse | None, *, parsed: Any
) -> PromptResult:
    version, schema = question.version, question.schema
    asked = next((each for each in reversed(question.request.messages) if each.role == "user"), None)
    return PromptResult(
        text=result.answer or "",
        execution_id=result.id,
        prompt=f"{version.title} v{version.version}",
        model=question.model.model_id,
        change=version.news,
        finish_reason=result.finish_reason,
        tokens_prompt=result.tokens_prompt,
        tokens_completion=result.tokens_completion,
        tokens_cached=result.tokens_cached,
        tokens_reasoning=result.tokens_reasoning,
        cost=result.cost,
        cost_source=result.cost_source,
        latency_ms=result.latency_ms or 0,
        ttft_ms=result.ttft_ms,
        format=str(question.options.get("format") or ("json" if schema else "text")),
        parsed=parsed,
        choices=response.choices if response else (),
        tool_calls=response.tool_calls if response else (),
        logprobs=response.logprobs if response else None,
        attached=tuple(map(str, asked.attachments)) if asked else (),
    )


def _interrupted(claim: Claim, text: str, model: ChosenModel) -> Result:
    return Result(
        id=claim.id,
        run_at=claim.run_at,
        status="unknown",
        answer=text or None,
        provider=model.provider.host,
        error_code="interrupted",
        error_message="stopped by the person while the answer was arriving; it may have been billed",
    )


def _measured(error: WorkbenchError, question: Question) -> WorkbenchError:
    """Say which message makes a request too long: the provider only says that it is."""
    messages = question.request.messages
    if isinstance(error, ContextTooLongError) and messages:
        sizes = [len(message.content) for message in messages]
        longest = max(range(len(sizes)), key=sizes.__getitem__)
        error.message += (
            f"; {question.place or 'the request'} has {len(sizes)} messages of {sum(sizes):,} characters, the longest"
            f" is message {longest + 1} ({messages[longest].role}) with {sizes[longest]:,}"
        )
    return error
