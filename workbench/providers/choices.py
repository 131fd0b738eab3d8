"""One choice of an answer while its pieces arrive: text, refusal, tool calls, log probabilities, why it ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workbench.core.replies import text_of

__all__ = ["Choice"]

_SURROGATE = re.compile("[\ud800-\udfff]")


class Choice:
    """What the pieces of one choice add up to.

    Attributes:
        parts: the pieces of its text.
        finish_reason: the last one that was not null.

    """

    __slots__ = ("_details", "_logprobs", "_more", "_refusal", "finish_reason", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._refusal: list[str] = []
        self._more: dict[str, Any] = {}  # what else the pieces told: reasoning, tool calls
        self._details: list[Any] = []
        self._logprobs: list[Any] = []
        self.finish_reason: str | None = None

    @property
    def text(self) -> str:
        """The text so far; a refusal's words where the content is empty."""
        return _joined(self.parts) or _joined(self._refusal)

    @property
    def says_something(self) -> bool:
        """Whether there is a text, which may be empty, a refusal or a tool call."""
        return bool(self.parts or any(self._refusal) or self._more.get("tool_calls"))

    def take_message(self, message: Mapping[str, Any]) -> str | None:
        """Take a whole message; return its text, None where it has none."""
        self._refusal.append(text_of(message.get("refusal")) or "")
        self._more = {name: value for name, value in message.items() if name == "tool_calls"}
        return self._add(message.get("content"))

    def take_delta(self, choice: Mapping[str, Any]) -> str | None:
        """Take one piece of a stream; return its text, None where it has none."""
        self.finish(choice)
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            self._logprobs.extend(logprobs["content"])
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return None
        piece = None
        for name, value in delta.items():
            if name == "content":
                piece = self._add(value)
            elif name == "refusal":
                self._refusal.append(text_of(value) or "")
            elif name == "tool_calls" and isinstance(value, list):
                self._add_calls(value)
            elif name == "reasoning_details" and isinstance(value, list):
                self._add_details(value)
            elif isinstance(value, str) and name != "role":
                self._more[name] = self._more.get(name, "") + value
        return piece

    def finish(self, choice: Mapping[str, Any]) -> None:
        """Take the reason why it ended; OpenRouter's usage chunk says null after the chunk that said "stop"."""
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self.finish_reason = reason

    def record(self, index: int) -> dict[str, Any]:
        """Return the choice as the same answer in one piece would have had it."""
        message = {"role": "assistant", "content": _joined(self.parts), **self._more}
        if self._refusal:
            message["refusal"] = _joined(self._refusal)
        if self._details:
            message["reasoning_details"] = self._details
        choice = {"index": index, "message": message, "finish_reason": self.finish_reason}
        if self._logprobs:
            choice["logprobs"] = {"content": self._logprobs}
        return choice

    def _add(self, content: object) -> str | None:
        piece = text_of(content)
        if piece is not None:
            self.parts.append(piece)
        return piece

    def _add_calls(self, calls: list[Any]) -> None:
        """Put the pieces of tool calls together: their arguments come in fragments."""
        known = self._more.setdefault("tool_calls", [])
        for piece in calls:
            if not isinstance(piece, dict):
                continue
            at = piece.pop("index", len(known))
            function = piece.get("function")
            fragment = function.get("arguments") if isinstance(function, dict) else None
            if isinstance(at, int) and 0 <= at < len(known):
                known[at]["function"]["arguments"] += fragment if isinstance(fragment, str) else ""
            elif isinstance(function, dict):
                started = fragment if isinstance(fragment, str) else ""
                known.append({**piece, "function": {**function, "arguments": started}})

    def _add_details(self, details: list[Any]) -> None:
        """Put the pieces of a model's reasoning together: a text or summary goes on in the next piece."""
        for piece in details:
            last = self._details[-1] if self._details else None
            if not (isinstance(piece, dict) and isinstance(last, dict) and _goes_on(last, piece)):
                self._details.append(piece)
                continue
            for name, value in piece.items():
                if name in _FRAGMENTS and isinstance(value, str):
                    last[name] = f"{last.get(name) or ''}{value}"
                elif value is not None:
                    last[name] = value


#: What comes in fragments; encrypted ``data`` is always whole.
_FRAGMENTS = frozenset({"text", "summary"})


def _goes_on(last: Mapping[str, Any], piece: Mapping[str, Any]) -> bool:
    same = all(last.get(name) == piece.get(name) for name in ("type", "index"))
    return same and "data" not in piece and "index" in piece


def _joined(parts: list[str]) -> str:
    """Join pieces; a character whose surrogates came in two pieces becomes whole again."""
    text = "".join(parts)
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
