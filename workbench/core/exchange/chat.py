"""Other tools' lists of messages, and their models and options, in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from workbench.core.body import join_turns
from workbench.core.chat import BODY_FIELDS
from workbench.core.exchange.records import mapping
from workbench.errors import DataError

__all__ = ["model_id", "settings_from", "turns_from"]

_ROLES: Final = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
}
_OPENAI: Final = re.compile(r"(?:gpt-|chatgpt-|o[1-9](?:-|$))")
_VENDOR: Final = re.compile(r"[a-z0-9][a-z0-9-]*/\S+")

#: What belongs to the call and not to the version.
_NOT_OPTIONS: Final = frozenset(
    {"model", "models", "messages", "stream", "stream_options", "n", "tools", "tool_choice", "provider"}
)
_OPTIONS: Final = BODY_FIELDS - _NOT_OPTIONS
_SAME: Final = {
    "stop_sequences": "stop", "maxTokens": "max_tokens", "max_new_tokens": "max_tokens", "max_output_tokens": "max_tokens",
    "topP": "top_p", "topK": "top_k", "frequencyPenalty": "frequency_penalty", "presencePenalty": "presence_penalty",
}  # fmt: skip


def turns_from(messages: Any, convert: Callable[[str], str]) -> tuple[str, list[str]]:
    r"""Return the text of a prompt from a list of chat messages, and what is left out of it.

    Args:
        messages: objects with ``role`` and ``content``; a content may be a list of text parts.
        convert: writes one text in our template language.

    Raises:
        DataError: it is no such list, has a role that a prompt has not, or a system message among the others.

    >>> turns_from([{"role": "user", "content": "Hello"}], str)
    ('user:\nHello', [])
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise DataError("the messages are no list", cure='write [{"role": "user", "content": "…"}]')
    system: list[str] = []
    turns: list[tuple[str, str]] = []
    left: list[str] = []
    for number, message in enumerate(messages, 1):
        what = f"message {number}"
        if not isinstance(message, Mapping):
            raise DataError(f"{what} is no object")
        if message.get("type") == "placeholder":
            left.append(f"the placeholder {str(message.get('name'))!r:.80} for other messages is left out")
            continue
        role = _role(message, what)
        text = convert(_text(message.get("content"), what))
        if role != "system":
            turns.append((role, text))
        elif turns:
            raise DataError(f"{what} is a system message that does not come first")
        else:
            system.append(text)
    if len(system) > 1:
        left.append(f"{len(system)} system messages became one")
    head = [("system", "\n\n".join(system))] if system else []
    return join_turns([*head, *turns]), left


def settings_from(config: Any, *, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a tool's configuration into settings of a version and everything else.

    Args:
        config: the tool's object; the model may stand under ``model`` or ``model_name``.
        what: what it is, for messages.

    Returns:
        ``{"model": …, "temperature": …}`` with what maps, and what does not.

    Raises:
        DataError: it is no object.

    >>> settings_from({"model": "gpt-4o", "temperature": 0, "languages": ["en"]}, what="the config")
    ({'model': 'openai/gpt-4o', 'temperature': 0}, {'languages': ['en']})
    """
    given = mapping(config, what)
    settings: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    vendor = given.get("provider")
    name = next((given[key] for key in ("model", "model_name") if isinstance(given.get(key), str)), None)
    model = model_id(name, vendor=vendor if isinstance(vendor, str) else "") if name else None
    if model:
        settings["model"] = model
    for key, value in given.items():
        own = _SAME.get(key, key)
        if own in _OPTIONS and value is not None:
            settings[own] = value
        elif not model or key not in {"model", "model_name", "provider"}:
            rest[key] = value
    return settings, rest


def model_id(name: str, *, vendor: str = "") -> str | None:
    """Return our id of a model that another tool names, or None where it has none.

    >>> model_id("gpt-4o-mini"), model_id("llama3.2", vendor="ollama"), model_id("claude-3-opus")
    ('openai/gpt-4o-mini', 'ollama/llama3.2', None)
    """
    vendor = vendor.lower()
    if vendor == "ollama":
        return f"ollama/{name}"
    if _VENDOR.fullmatch(name):
        return name
    if "/" not in name and (vendor == "openai" or (not vendor and _OPENAI.match(name))):
        return f"openai/{name}"
    return None


def _role(message: Mapping[str, Any], what: str) -> str:
    role = message.get("role")
    if not isinstance(role, str) or role.lower() not in _ROLES:
        raise DataError(
            f"{what} has the role {str(role)!r:.40}", cure="the roles are system, user and assistant"
        )
    return _ROLES[role.lower()]


def _text(content: Any, what: str) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and content and all(_is_text_part(part) for part in content):
        return "\n".join(part["text"] for part in content)
    raise DataError(
        f"{what} has a content that is not text", cure="pictures and tool calls cannot be carried over"
    )


def _is_text_part(part: Any) -> bool:
    return (
        isinstance(part, Mapping)
        and part.get("type") in {"text", "input_text"}
        and isinstance(part.get("text"), str)
    )
