"""How a conversation looks: a transcript, every word of it as text."""

from __future__ import annotations

from typing import Any

from workbench.core.chat import Message
from workbench.core.conversations import Transcript
from workbench.core.display import render
from workbench.core.replies import ToolCall
from workbench.views.html import Html, output, status_line, tag, text_block
from workbench.views.theme import colour

__all__ = ["calls_html", "transcript_html"]


def transcript_html(transcript: Transcript) -> Html:
    """Return a conversation: who said what, what was attached, what was to be called."""
    return output(
        tag("div", transcript.title, style=f"{_TEXT};font-weight:600"),
        *(_turn(message) for message in transcript.messages),
        status_line(transcript.note),
    )


def calls_html(calls: tuple[ToolCall, ...]) -> Html | None:
    """Return the tool calls of an answer, a line each; None where there are none."""
    lines = [tag("div", f"→ {call}", tag("span", f"  {call.id}", style=_DIM)) for call in calls]
    return tag("div", *lines, style=_CODE) if lines else None


def _turn(message: Message) -> Html:
    answers = f" {message.tool_call_id}" if message.tool_call_id else ""
    return tag(
        "div",
        tag("div", f"{message.role}{answers}", style=_ROLE),
        text_block(message.content) if message.content else None,
        *(status_line(each) for each in message.attachments),
        calls_html(message.tool_calls),
        style=_SIDE[message.role == "user"],
    )


@render.register
def _(transcript: Transcript) -> dict[str, Any]:
    return {"text/plain": str(transcript), "text/html": transcript_html(transcript)}


_TEXT = f"color:{colour('text')};white-space:pre-wrap;overflow-wrap:anywhere"
_CODE = f"{_TEXT};font-family:var(--jp-code-font-family,monospace);font-size:13px"
_DIM = f"color:{colour('dim')};font-size:11px"
_ROLE = f"color:{colour('dim')};font-size:11px;text-transform:uppercase;letter-spacing:.05em"
#: What a person said has the accent's colour at its side.
_SIDE = {
    said: f"border-left:3px solid {colour('accent' if said else 'line')};padding:2px 12px;margin:8px 0;color:{colour('text')}"
    for said in (True, False)
}
