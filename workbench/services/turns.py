"""A turn of a conversation: its place in the ledger, which one kernel at a time can take."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.core.chat import Message
from workbench.core.replies import message_of
from workbench.db.queries import conversations as queries
from workbench.errors import ConflictError

if TYPE_CHECKING:
    from workbench.core.chat import ChatResponse
    from workbench.core.versions import PromptResult
    from workbench.db.engine import Database
    from workbench.services.asking import Question

__all__ = ["Turn"]

#: A turn that is in flight is waited for so long, in seconds, looking so often.
_PATIENCE, _PAUSE = 1.0, 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """The place of a call in its conversation.

    Attributes:
        conversation_id: which conversation.
        title: its title, for messages.
        number: of the turn, from 1.
        database: where its row is locked.
        begin: stores the conversation if it is new.
        go_on: takes the turn's number, its messages and its answer into the history.

    """

    conversation_id: uuid.UUID
    title: str
    number: int
    database: Database
    begin: Callable[[], None]
    go_on: Callable[[int, Sequence[Message], Message], None]

    def columns(self) -> Mapping[str, Any]:
        """Return what the call's row holds of it."""
        return {"conversation_id": self.conversation_id, "turn": self.number}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep others from taking the turn until the claim is committed.

        A turn in flight is waited for a moment: who left an answer early, and says something else, need not know that
        its row is still being written.
        """
        self.begin()
        until = time.monotonic() + _PATIENCE
        while True:
            with self.database.session() as session:
                state = queries.hold(session, self.conversation_id)
                if state.answered >= self.number:
                    raise ConflictError(
                        f"the conversation {self.title!r} has gone on elsewhere: turn {state.answered} is answered",
                        cure="read it first: chat.refresh(), then say it again",
                    )
                if state.in_flight is None:
                    yield
                    return
            if time.monotonic() >= until:
                raise ConflictError(
                    f"turn {state.in_flight} of the conversation {self.title!r} is being answered",
                    cure="wait for it, then chat.refresh(); after a crash the turn is free again within 11 minutes",
                )
            time.sleep(_PAUSE)

    def answered(self, question: Question, result: PromptResult, response: ChatResponse) -> None:
        """Take the answer into the history."""
        said = message_of(response.raw) or {"role": "assistant", "content": response.text}
        self.go_on(self.number, question.request.messages, Message.of(said, result.execution_id))

    def __str__(self) -> str:
        return f"turn {self.number} of the conversation {self.title!r}"
