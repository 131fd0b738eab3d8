"""What a provider's answer holds beside its text: other choices, tool calls, log probabilities.

Nothing here trusts the server: every field may be missing, null or of another type.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ToolCall", "choices_of", "logprobs_of", "message_of", "text_of", "tool_calls_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A function that the model asks to be called. Nothing is ever called by itself.

    Attributes:
        id: what the reply to it must name.
        name: of the function.
        arguments: by name; where the model wrote no JSON object, its text as it came.
        text: the arguments as the model wrote them.

    """

    id: str
    name: str
    arguments: Mapping[str, Any] | str = field(hash=False)
    text: str = field(default="", repr=False)

    def record(self) -> dict[str, Any]:
        """Return the call as it is sent back within the conversation, and stored."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.text}}

    def __str__(self) -> str:
        if isinstance(self.arguments, str):
            return f"{self.name}({self.arguments})"
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


def text_of(content: object) -> str | None:
    """Return the text of a ``content``: a string, or a list of parts; None where it is neither.

    >>> text_of([{"type": "text", "text": "a"}, {"type": "image_url"}])
    'a'
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return None


def message_of(raw: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the message of the first choice; empty where there is none."""
    return next(_messages(raw), {})


def choices_of(raw: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the texts of all choices, in the provider's order; of a refusal its words."""
    return tuple(
        text_of(message.get("content")) or text_of(message.get("refusal")) or "" for message in _messages(raw)
    )


def tool_calls_of(message: Mapping[str, Any]) -> tuple[ToolCall, ...]:
    """Return the calls that a message asks for; those without a function's name are left out.

    >>> tool_calls_of({"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}]})
    (ToolCall(id='1', name='f', arguments={'a': 1}),)
    """
    found = message.get("tool_calls")
    return (
        tuple(call for record in found if (call := _call(record)) is not None)
        if isinstance(found, list)
        else ()
    )


def logprobs_of(raw: Mapping[str, Any] | None) -> list[Any] | None:
    """Return the tokens of the first choice with their log probabilities; None where the provider gave none."""
    choices = raw.get("choices") if raw else None
    first = choices[0] if isinstance(choices, list) and choices else None
    found = first.get("logprobs") if isinstance(first, dict) else None
    content = found.get("content") if isinstance(found, dict) else None
    return content if isinstance(content, list) else None


def _messages(raw: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    choices = raw.get("choices") if raw else None
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict):
            yield message


def _call(record: object) -> ToolCall | None:
    function = record.get("function") if isinstance(record, dict) else None
    if (
        not isinstance(record, dict)
        or not isinstance(function, dict)
        or not isinstance(function.get("name"), str)
    ):
        return None
    text = function.get("arguments")
    if not isinstance(text, str):  # some servers send the object itself
        text = json.dumps(text if text is not None else {}, ensure_ascii=False)
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    identifier = record.get("id")
    return ToolCall(
        id=identifier if isinstance(identifier, str) else "",
        name=function["name"],
        arguments=value if isinstance(value, dict) else text,
        text=text,
    )
