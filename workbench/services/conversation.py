"""One conversation: each turn is a call of its own, whose row holds every message that was sent."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from workbench.core.chat import Message
from workbench.core.composition import body_of
from workbench.core.conversations import Transcript, headline, history_of, opening, with_bytes
from workbench.core.display import Rich
from workbench.core.replies import ToolCall, message_of
from workbench.core.values import plain
from workbench.core.versions import PromptResult, PromptVersion
from workbench.db.columns import frame_of
from workbench.db.queries import conversations as queries
from workbench.errors import InputError
from workbench.services.asking import Question
from workbench.services.attaching import read_attachments
from workbench.services.streaming import AnswerStream
from workbench.services.turns import Turn

if TYPE_CHECKING:
    import pandas as pd

    from workbench.core.attachments import Attachment
    from workbench.services.workbench import Workbench

__all__ = ["Chat"]

_FRAME = {
    "turn": "Int64", "role": "str", "content": "str", "tool_calls": "str", "attachments": "str", "execution_id": "str",
    "model": "str", "tokens_prompt": "Int64", "tokens_completion": "Int64", "cost": "float64", "latency_ms": "Int64",
    "created_at": "datetime64[us, UTC]",
}  # fmt: skip


class Chat(Rich):
    """A conversation with a model. What the next call begins with is its ``history``, and nothing else.

    Attributes:
        id: of the conversation; it is stored by the first ``say``.
        title: to find it by.
        version: the prompt that it begins with.
        model: who answers the next turn; may be set.
        options: sampling options and ``tools`` of the next turn; may be set.
        variables: the values of the prompt's variables.
        turns: how many were answered.

    """

    def __init__(
        self,
        workbench: Workbench,
        version: PromptVersion,
        *,
        model: str | None,
        options: Mapping[str, Any],
        variables: Mapping[str, Any],
        title: str,
        stored: uuid.UUID | None = None,
    ) -> None:
        self._wb = workbench
        self._project = (workbench.project_id, workbench.project)
        self._is_stored = stored is not None
        self._history: tuple[Message, ...] = ()
        self.id = stored or uuid.uuid4()
        self.title = title
        self.version = version
        self.model = model
        self.options = dict(options)
        self.variables = dict(variables)
        self.turns = 0

    @property
    def history(self) -> list[Message]:
        """The messages so far: role, content, and the execution that sent or gave each; empty before the first turn."""
        return list(self._history)

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """What the last answer asks to be called, and ``reply`` has to answer."""
        return self._history[-1].tool_calls if self._history and self._history[-1].role == "assistant" else ()

    def say(
        self, text: str, *, attach: Any = (), on_text: Callable[[str], None] | None = None
    ) -> PromptResult:
        """Say something and wait for the answer. A turn that fails leaves the history as it was before.

        Args:
            text: sent as it is; it is no template.
            attach: pictures or PDFs: a path, bytes, an https address, or a list of them.
            on_text: given each piece of the answer as it arrives.

        Raises:
            ConflictError: the conversation has gone on, or is going on, in another kernel.
            ContextTooLongError: the history is longer than what the model can read; the message names the longest turn.
            ProviderError: the provider failed.

        Example:
            >>> chat.say("And in French?").text  # doctest: +SKIP

        """
        return self._answer(self._said(text, attach), on_text)

    async def asay(self, text: str, *, attach: Any = ()) -> PromptResult:
        """Say something, and await the answer."""
        return await self._wb.asking.aanswer(lambda: self._said(text, attach))

    def stream(self, text: str, *, attach: Any = ()) -> AnswerStream:
        """Say something, and read the answer piece by piece; the turn counts once it was read to its end."""
        return self._wb.asking.stream(lambda: self._said(text, attach))

    def astream(self, text: str, *, attach: Any = ()) -> AnswerStream:
        """Say something, and read the answer on the caller's loop: ``async for piece in chat.astream("…")``."""
        return self.stream(text, attach=attach)

    def reply(
        self,
        tool_call_id: str | Mapping[str, Any],
        content: Any = None,
        *,
        on_text: Callable[[str], None] | None = None,
    ) -> PromptResult:
        """Give back what a called tool returned, and wait for the next answer.

        Args:
            tool_call_id: the call's id; where the answer asked for several, a mapping from each id to its content.
            content: what the tool returned: a text, or a value that becomes JSON.
            on_text: given each piece of the answer as it arrives.

        Raises:
            InputError: the last answer did not ask for that call, or for others too.

        Example:
            >>> chat.reply(chat.tool_calls[0].id, {"celsius": 21})  # doctest: +SKIP

        """
        return self._answer(self._replied(tool_call_id, content), on_text)

    async def areply(self, tool_call_id: str | Mapping[str, Any], content: Any = None) -> PromptResult:
        """Give back what a called tool returned, and await the next answer."""
        return await self._wb.asking.aanswer(lambda: self._replied(tool_call_id, content))

    def refresh(self, *, attach: Sequence[Attachment] = ()) -> Self:
        """Read the history again, as far as it has come in any kernel.

        Args:
            attach: files that it holds and that are too large for the ledger.

        """
        if not self._is_stored:
            return self
        with self._wb.database.session() as session:
            stored = queries.read(session, self.id)
        known = [*attach, *(each for message in self._history for each in message.attachments)]
        if stored.turns:
            said = message_of(stored.response) or {"role": "assistant", "content": stored.answer}
            counts = [(turn.id, turn.messages) for turn in stored.turns]
            records = (stored.payload or {}).get("messages", [])
            answer = Message.of(said, stored.turns[-1].id)
            self._history = with_bytes(history_of(records, counts, answer), known)
            self.turns = stored.turns[-1].turn
        return self

    def rename(self, title: str) -> Self:
        """Give the conversation another title."""
        self.title = title.strip() or self.title
        if self._is_stored:
            with self._wb.database.session() as session:
                queries.rename(session, self.id, self.title)
        return self

    def frame(self) -> pd.DataFrame:
        """Return the history, a row each message; tokens, cost and time stand with the answers.

        Returns:
            Columns ``turn role content tool_calls attachments execution_id model tokens_prompt tokens_completion cost
            latency_ms created_at``: USD, milliseconds.

        """
        turns: dict[uuid.UUID | None, queries.Turn] = {}
        if self._is_stored:
            with self._wb.database.session() as session:
                turns = {turn.id: turn for turn in queries.read(session, self.id).turns}
        rows = []
        for message in self._history:
            turn = turns.get(message.execution_id)
            told = turn if message.role == "assistant" and turn is not None else None
            rows.append(
                (
                    turn.turn if turn else None,
                    message.role,
                    message.content,
                    ", ".join(map(str, message.tool_calls)),
                    ", ".join(map(str, message.attachments)),
                    message.execution_id,
                    told and told.model,
                    told and told.tokens_prompt,
                    told and told.tokens_completion,
                    told and told.cost,
                    told and told.latency_ms,
                    turn.created_at if turn else None,
                )
            )
        return frame_of(rows, _FRAME)

    @property
    def transcript(self) -> Transcript:
        """The conversation to read."""
        turns = f"{self.turns} turn{'' if self.turns == 1 else 's'}"
        note = " · ".join(filter(None, (turns, self.version.ref, self.model)))
        return Transcript(title=self.title or "A new conversation", messages=self._history, note=note)

    def __str__(self) -> str:
        return str(self.transcript)

    def __repr__(self) -> str:
        return f"<Chat {self.title!r}: {self.turns} turns, {self.id}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Mapping[str, Any]:
        return self.transcript._repr_mimebundle_(include, exclude)

    def _answer(self, question: Question, on_text: Callable[[str], None] | None) -> PromptResult:
        result = self._wb.asking.answer(question, on_text=on_text)
        self._wb.last = result
        return result

    def _said(self, text: str, attach: Any) -> Question:
        """Return the call of the next turn."""
        files = read_attachments(attach)
        if not text.strip() and not files:
            raise InputError("there is nothing to say", cure="say a text, or attach something")
        if self.tool_calls:
            raise InputError(
                f"the last answer waits for {', '.join(map(str, self.tool_calls))}",
                cure=f"reply first: chat.reply({self.tool_calls[0].id!r}, …)",
            )
        if not self._history:
            values, messages = opening(body_of(self.version), self.version.variables, self.variables, text)
            self.title = self.title or headline(text) or "chat"
            return self._question(messages, values, files)
        return self._question((*self._history, Message("user", text)), self.variables, files)

    def _replied(self, tool_call_id: str | Mapping[str, Any], content: Any) -> Question:
        given = tool_call_id if isinstance(tool_call_id, Mapping) else {tool_call_id: content}
        asked = {call.id: call for call in self.tool_calls}
        wrong = [name for name in given if name not in asked]
        if wrong:
            waiting = ", ".join(f"{call.id} ({call.name})" for call in asked.values())
            raise InputError(
                f"no tool call {wrong[0]!r} waits for a reply",
                cure=f"waiting: {waiting}" if waiting else "say something first: chat.say(…)",
            )
        missing = [name for name in asked if name not in given]
        if missing:
            raise InputError(
                f"the answer asked for {len(asked)} calls, and {', '.join(missing)} would stay without a reply",
                cure="reply to all at once: chat.reply({id: content, …})",
            )
        replies = [Message("tool", _as_text(given[name]), tool_call_id=name) for name in asked]
        return self._question((*self._history, *replies), self.variables, ())

    def _question(
        self, messages: Sequence[Message], values: Mapping[str, Any], files: Sequence[Attachment]
    ) -> Question:
        if self._project[0] != self._wb.project_id:
            raise InputError(
                f"the conversation belongs to project {self._project[1]!r}",
                cure=f"go there first: wb.use({self._project[1]!r})",
            )
        gone = [each for message in messages for each in message.attachments if not each.is_stored]
        if gone:
            raise InputError(
                f"the history holds {gone[0]}, too large for the ledger: only its SHA-256 is known, {gone[0].sha256}",
                cure=f"give the file again: wb.chats.get({str(self.id)!r}, attach=[…])",
            )
        return self._wb.asking.question(
            self.version,
            values,
            model=self.model,
            options=self.options,
            attach=files,
            messages=messages,
            place=Turn(
                conversation_id=self.id,
                title=self.title,
                number=self.turns + 1,
                database=self._wb.database,
                begin=self._store,
                go_on=self._go_on,
            ),
        )

    def _store(self) -> None:
        """Store the conversation before its first turn is claimed."""
        if self._is_stored:
            return
        options = {
            "model": self.model,
            "options": self._wb.schemas.plain(self.options),
            "variables": plain(self.variables, what="the variables"),
        }
        with self._wb.database.session() as session:
            queries.add(
                session,
                self._wb.scope,
                conversation_id=self.id,
                prompt_id=self.version.id,
                title=self.title,
                options=options,
            )
        self._is_stored = True

    def _go_on(self, turn: int, messages: Sequence[Message], answer: Message) -> None:
        kept = tuple(
            message if message.execution_id else replace(message, execution_id=answer.execution_id)
            for message in messages
        )
        self._history, self.turns = (*kept, answer), turn
        self.version = replace(self.version, change="")  # what saving it changed is told once


def _as_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return json.dumps(plain(content, what="the tool's result"), ensure_ascii=False)
