"""What the fake model does with tools, pictures and a context that is too short: enough to try all of it offline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from workbench.core.chat import ChatRequest
from workbench.errors import ContextTooLongError
from workbench.providers.fake_json import value_of

__all__ = ["SHORT_CONTEXT", "look_answer", "short_answer", "tool_answer"]

#: Tokens that ``fake/short`` can read.
SHORT_CONTEXT: Final = 100


def tool_answer(request: ChatRequest, text: str) -> str | dict[str, Any]:
    """Ask for those tools that the text names, else for the first; repeat what they gave back.

    Args:
        request: its option ``tools`` lists what may be called; without any the answer is the text.
        text: the last user's message; arguments are cut from it.

    """
    results = []
    for message in reversed(request.messages):
        if message.role != "tool":
            break
        results.append(message.content)
    tools = _functions(request.options.get("tools"))
    choice = request.options.get("tool_choice")
    if results or not tools or choice == "none":
        return "; ".join(reversed(results)) if results else text
    forced = choice.get("function", {}).get("name") if isinstance(choice, Mapping) else None
    named = [each for each in tools if each["name"] == forced] or [
        each for each in tools if each["name"] in text
    ]
    calls = [
        {
            "id": f"call_{request.digest()[:8]}_{place}",
            "type": "function",
            "function": {"name": each["name"], "arguments": _arguments(each, request, text)},
        }
        for place, each in enumerate(named or tools[:1])
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def look_answer(request: ChatRequest) -> str:
    """Tell what is attached to the messages, by kind and size; the fake sees no more of a picture."""
    seen = [str(each) for message in request.messages for each in message.attachments]
    return "; ".join(seen) or "nothing is attached"


def short_answer(request: ChatRequest, text: str, tokens: int) -> str:
    """Repeat the text, unless the messages have more tokens than fit.

    Raises:
        ContextTooLongError: they have.

    """
    if tokens > SHORT_CONTEXT:
        raise ContextTooLongError(
            f"fake/{request.model} reads at most {SHORT_CONTEXT} tokens, and these are {tokens:,}",
            cure="send less",
            http_status=400,
        )
    return text


def _functions(tools: object) -> Sequence[Mapping[str, Any]]:
    records = (
        [each.get("function") for each in tools if isinstance(each, Mapping)]
        if isinstance(tools, list)
        else []
    )
    return [each for each in records if isinstance(each, Mapping) and isinstance(each.get("name"), str)]


def _arguments(function: Mapping[str, Any], request: ChatRequest, text: str) -> str:
    schema = function.get("parameters")
    value = value_of(schema, request, text) if isinstance(schema, Mapping) else {}
    return json.dumps(value, ensure_ascii=False)
