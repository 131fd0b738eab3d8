"""Conversations: begun, found, continued by one kernel at a time."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql
from sqlalchemy import case, func, null, select, text, update

from workbench.db.columns import frame_of
from workbench.db.scope import Scope
from workbench.db.tables import Conversation, Execution
from workbench.errors import AccessDeniedError

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy.orm import Session

    from workbench.db.engine import Database

__all__ = [
    "CONVERSATIONS",
    "State",
    "Stored",
    "Turn",
    "add",
    "find",
    "frame",
    "hold",
    "read",
    "rename",
    "titles",
]

#: A call lasts at most ten minutes: one that is older has lost its kernel.
LOST_SECONDS: Final = 660

_TIME = "datetime64[us, UTC]"

#: Columns of ``wb.chats.list()``.
CONVERSATIONS: Final[Mapping[str, str]] = {
    "conversation_id": "str", "title": "str", "prompt": "str", "version": "Int64", "model": "str", "turns": "Int64",
    "tokens": "Int64", "cost": "float64", "person": "str", "created_at": _TIME, "last_at": _TIME,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """How far a conversation is: its last answered turn, and the turn that is being answered, or None."""

    answered: int
    in_flight: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One answered turn.

    Attributes:
        id: the execution.
        turn: its number, from 1.
        messages: how many messages its request had.

    """

    id: uuid.UUID
    turn: int
    messages: int
    model: str
    tokens_prompt: int | None
    tokens_completion: int | None
    cost: float | None
    latency_ms: int | None
    created_at: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What a conversation has come to: its answered turns, the last one's request and answer."""

    turns: Sequence[Turn] = ()
    payload: Mapping[str, Any] | None = None
    response: Mapping[str, Any] | None = None
    answer: str = ""


def add(
    session: Session,
    scope: Scope,
    *,
    conversation_id: uuid.UUID,
    prompt_id: uuid.UUID,
    title: str,
    options: Mapping[str, Any],
) -> None:
    """Store a new conversation."""
    session.add(
        Conversation(
            id=conversation_id,
            project_id=scope.project_id,
            user_id=scope.user_id,
            prompt_id=prompt_id,
            title=title,
            options=dict(options),
        )
    )


def find(session: Session, project_id: uuid.UUID, wanted: uuid.UUID | str) -> Conversation | None:
    """Return a conversation of a project by its id, or the newest one of that title."""
    match = Conversation.id == wanted if isinstance(wanted, uuid.UUID) else Conversation.title == wanted
    return session.scalars(
        select(Conversation)
        .where(Conversation.project_id == project_id, match)
        .order_by(Conversation.created_at.desc())
        .limit(1)
    ).one_or_none()


def titles(session: Session, project_id: uuid.UUID) -> list[str]:
    """Return the titles of a project's conversations, the newest first."""
    query = (
        select(Conversation.title)
        .where(Conversation.project_id == project_id)
        .order_by(Conversation.created_at.desc())
    )
    return list(dict.fromkeys(session.scalars(query)))


def rename(session: Session, conversation_id: uuid.UUID, title: str) -> None:
    """Give a conversation another title."""
    session.execute(update(Conversation).where(Conversation.id == conversation_id).values(title=title))


def hold(session: Session, conversation_id: uuid.UUID) -> State:
    """Keep every other kernel from taking a turn until the transaction ends; return how far the conversation is.

    A claim on another connection is not kept out: it needs the conversation's key only. A call that was in flight when
    its kernel ended becomes ``unknown``.

    Raises:
        AccessDeniedError: the conversation is another person's.

    """
    own = select(Conversation.id).where(Conversation.id == conversation_id).with_for_update(key_share=True)
    if session.scalars(own).one_or_none() is None:
        raise AccessDeniedError(
            "the conversation is another person's: it can be read, not continued",
            cure="begin one of your own: wb.chat(…)",
        )
    session.execute(
        update(Execution)
        .where(
            Execution.conversation_id == conversation_id,
            Execution.status == "sent",
            Execution.created_at < func.clock_timestamp() - text(f"interval '{LOST_SECONDS} s'"),
        )
        .values(
            status="unknown",
            error_code="unknown",
            error_message="the kernel ended while this call was in flight; it may have been billed",
            finished_at=func.clock_timestamp(),
        )
    )
    row = session.execute(
        select(
            func.max(Execution.turn).filter(Execution.status == "done"),
            func.max(Execution.turn).filter(Execution.status == "sent"),
        ).where(Execution.conversation_id == conversation_id)
    ).one()
    return State(answered=row[0] or 0, in_flight=row[1])


def read(session: Session, conversation_id: uuid.UUID) -> Stored:
    """Return the answered turns of a conversation."""
    from workbench.db.tables import ModelConfig

    messages = Execution.request_payload["messages"]
    rows = session.execute(
        select(
            Execution.id,
            Execution.turn,
            func.jsonb_array_length(messages),
            case((Execution.request_payload.has_key("messages"), null()), else_=Execution.request_payload),
            ModelConfig.model_id,
            Execution.tokens_prompt,
            Execution.tokens_completion,
            Execution.cost_estimate,
            Execution.execution_time_ms,
            Execution.created_at,
        )
        .join(ModelConfig, ModelConfig.id == Execution.model_config_id)
        .where(Execution.conversation_id == conversation_id, Execution.status == "done")
        .order_by(Execution.turn)
    ).all()
    if not rows:
        return Stored()
    last = session.execute(
        select(Execution.request_payload, Execution.response_data, Execution.answer).where(
            Execution.id == rows[-1][0]
        )
    ).one()
    turns = [
        Turn(
            id=row[0],
            turn=row[1],
            messages=row[2] if row[2] is not None else len(_whole(row[3]).get("messages", [])),
            model=row[4],
            tokens_prompt=row[5],
            tokens_completion=row[6],
            cost=None if row[7] is None else float(row[7]),
            latency_ms=row[8],
            created_at=row[9],
        )
        for row in rows
    ]
    return Stored(turns=turns, payload=_whole(last[0]), response=_whole(last[1]), answer=last[2] or "")


def frame(database: Database, project_id: uuid.UUID) -> pd.DataFrame:
    """Return a project's conversations, the one that was talked in last first."""
    names = sql.SQL(", ").join(
        sql.SQL("conversation AS title") if name == "title" else sql.Identifier(name)
        for name in CONVERSATIONS
    )
    query = sql.SQL(
        "SELECT {} FROM wb.v_conversations WHERE project_id = {} ORDER BY coalesce(last_at, created_at) DESC, conversation_id"
    ).format(names, project_id)
    with database.driver() as connection:
        return frame_of(connection.execute(query).fetchall(), CONVERSATIONS)


def _whole(stored: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return a document as it was before the ledger had to wrap it: jsonb holds no NUL and no lone surrogate."""
    if stored and set(stored) == {"encoding", "json"}:
        found = json.loads(base64.b64decode(stored["json"]))
        return found if isinstance(found, dict) else {}
    return stored or {}
