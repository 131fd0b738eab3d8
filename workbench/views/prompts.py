"""How an answer, and a version, look."""

from __future__ import annotations

from typing import Any

from workbench.core.display import render
from workbench.core.versions import PromptResult, PromptVersion
from workbench.views.html import Html, join, status_line, tag, text_block

__all__ = ["status", "streaming"]


def streaming(text: str, *, end: bool = False) -> dict[str, str]:
    """Return what a cell shows while an answer arrives: its text so far, and that it is not the end."""
    if end:
        return {"text/plain": text, "text/html": text_block(text)}
    waiting = tag("span", "▌", style="color:var(--jp-brand-color1,#1976d2)")
    return {"text/plain": f"{text}▌", "text/html": text_block(join([text, waiting]))}


def status(result: PromptResult) -> dict[str, str]:
    """Return the grey line alone."""
    return {"text/plain": result.status_line, "text/html": status_line(result.status_line)}


@render.register
def _(result: PromptResult) -> dict[str, Any]:
    # The text comes from a model: it is shown as text, whatever format it claims.
    body = _shown(result)
    return {
        "text/plain": f"{result.text}\n{result.status_line}",
        "text/html": join([body, status_line(result.status_line)]),
    }


@render.register
def _(version: PromptVersion) -> dict[str, Any]:
    names = ", ".join(version.names) or "no variables"
    labels = f" · {', '.join(version.labels)}" if version.labels else ""
    note = f" · {version.note}" if version.note else ""
    system = (
        [
            tag("div", "system", style=_ROLE),
            text_block(version.system_prompt),
            tag("div", "user", style=_ROLE),
        ]
        if version.system_prompt
        else []
    )
    box = tag("div", *system, text_block(version.content), style=_BOX)
    return {
        "text/plain": str(version),
        "text/html": join([box, status_line(f"{version.ref} · {names}{labels}{note}")]),
    }


_BOX = (
    "border-left:3px solid var(--jp-border-color1,#bdbdbd);padding:4px 12px;"
    "font-family:var(--jp-code-font-family,monospace);font-size:13px"
)
_ROLE = "color:var(--jp-ui-font-color2,#757575);font-size:11px;text-transform:uppercase;letter-spacing:.05em"


def _shown(result: PromptResult) -> Html:
    if result.format in {"code", "json"}:
        return tag("pre", result.text, style="white-space:pre-wrap;margin:0")
    return text_block(result.text)
