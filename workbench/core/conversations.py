"""A conversation as values: how it begins, what it holds, how it reads."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.core.attachments import Attachment
from workbench.core.body import PromptBody
from workbench.core.chat import Message
from workbench.core.declarations import fill, fills
from workbench.core.display import Rich
from workbench.errors import UndefinedVariableError

__all__ = ["SLOT", "Transcript", "headline", "history_of", "open_variable", "opening", "spoken", "with_bytes"]

#: The variable that the first message of a conversation fills, where a prompt has it.
SLOT = "message"

_TITLE = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript(Rich):
    """A conversation to read: who said what, and what was sent along.

    Attributes:
        title: of the conversation.
        messages: in order; system text and the prompt's own turns included.
        note: the small line: how many turns, with whom.

    """

    title: str
    messages: Sequence[Message]
    note: str = ""

    def __str__(self) -> str:
        lines = [self.title]
        for message in self.messages:
            lines += ["", f"{message.role}:", *spoken(message)]
        return "\n".join([*lines, "", self.note])


def spoken(message: Message) -> list[str]:
    """Return the lines of one turn: its text, what is attached, what is to be called."""
    lines = [message.content] if message.content or not (message.attachments or message.tool_calls) else []
    lines += [f"[{each}]" for each in message.attachments]
    lines += [f"→ {call} [{call.id}]" for call in message.tool_calls]
    return [f"[{message.tool_call_id}] {lines[0]}", *lines[1:]] if message.tool_call_id else lines


def open_variable(
    body: PromptBody, records: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
) -> str | None:
    """Return the variable that the first message fills: ``message``, else the one that is left open; None for none.

    Raises:
        UndefinedVariableError: several are left open.

    """
    names = dict.fromkeys(str(record["name"]) for record in records)
    if SLOT in names and SLOT not in given:
        return SLOT
    needed = dict.fromkeys(str(record["name"]) for record in records if record.get("required"))
    needed |= dict.fromkeys(name for name in body.required if name not in fills(records))
    left = [name for name in needed if name not in given]
    if len(left) > 1:
        raise UndefinedVariableError(
            f"the first message fills one variable of the prompt, and {len(left)} are left open: {', '.join(left)}",
            cure="give the others: wb.chat(…, variables={…})",
        )
    return left[0] if left else None


def opening(
    body: PromptBody, records: Sequence[Mapping[str, Any]], given: Mapping[str, Any], text: str
) -> tuple[Mapping[str, Any], tuple[Message, ...]]:
    """Return the values and the messages of the first turn.

    The text fills the open variable; where there is none it stands below the prompt's last user's turn. It is never
    parsed as a template.

    Raises:
        UndefinedVariableError: several variables are left open.
        VariableTypeError: a value is not what its variable was declared as.

    """
    slot = open_variable(body, records, given)
    values = fill(records, {**given, **({slot: text} if slot else {})})
    messages = body.render(values)
    if slot:
        return values, messages
    if messages[-1].role == "user":
        return values, (*messages[:-1], replace(messages[-1], content=f"{messages[-1].content}\n\n{text}"))
    return values, (*messages, Message("user", text))


def history_of(
    records: Sequence[Mapping[str, Any]], turns: Sequence[tuple[uuid.UUID, int]], answer: Message
) -> tuple[Message, ...]:
    """Return the messages of a conversation from its last turn's request, and the answer to it.

    Args:
        records: the messages of that request.
        turns: of each turn, in order, its execution and how many messages its request had.
        answer: what the last turn gave.

    """
    given = {count: identifier for identifier, count in turns}
    messages = []
    for place, record in enumerate(records):
        sent = next((identifier for identifier, count in turns if count > place), None)
        messages.append(Message.of(record, given.get(place, sent)))
    return (*messages, answer)


def with_bytes(messages: Sequence[Message], known: Sequence[Attachment]) -> tuple[Message, ...]:
    """Return messages whose attachments are whole where their bytes are known: the ledger keeps large ones by digest."""
    whole = {each.sha256: each for each in known if each.sha256 and each.is_stored}
    return tuple(
        replace(
            message,
            attachments=tuple(
                each
                if each.is_stored
                else replace(each, url=whole[each.sha256].url)
                if each.sha256 in whole
                else each
                for each in message.attachments
            ),
        )
        if message.attachments
        else message
        for message in messages
    )


def headline(text: str) -> str:
    r"""Return the beginning of a message as a title.

    >>> headline("  How do I return\nthe shoes?  ")
    'How do I return the shoes?'
    """
    words = " ".join(text.split())
    return words if len(words) <= _TITLE else f"{words[: _TITLE - 1].rstrip()}…"
