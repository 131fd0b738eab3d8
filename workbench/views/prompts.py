"""How an answer, and a version, look."""

from __future__ import annotations

from typing import Any

from workbench.core.declarations import signature
from workbench.core.display import render
from workbench.core.versions import Include, PromptResult, PromptVersion
from workbench.views.conversations import calls_html
from workbench.views.html import Html, join, output, status_line, tag, text_block
from workbench.views.theme import colour

__all__ = ["notice", "status", "streaming"]


def streaming(text: str, *, end: bool = False) -> dict[str, str]:
    """Return what a cell shows while an answer arrives: its text so far, and that it is not the end."""
    if end:
        return {"text/plain": text, "text/html": output(text_block(text))}
    waiting = tag("span", "▌", style=f"color:{colour('accent')}")
    return {"text/plain": f"{text}▌", "text/html": output(text_block(join([text, waiting])))}


def notice(line: str) -> dict[str, str]:
    """Return a grey line: what goes on before there is anything to show."""
    return {"text/plain": line, "text/html": output(status_line(line))}


def status(result: PromptResult) -> dict[str, str]:
    """Return the grey line alone."""
    return notice(result.status_line)


@render.register
def _(result: PromptResult) -> dict[str, Any]:
    # The text comes from a model: it is shown as text, whatever format it claims.
    body = _shown(result) if result.text or not result.tool_calls else None
    calls = [f"→ {call} [{call.id}]" for call in result.tool_calls]
    return {
        "text/plain": "\n".join([*([result.text] if body else []), *calls, result.status_line]),
        "text/html": output(body, calls_html(result.tool_calls), status_line(result.status_line)),
    }


@render.register
def _(version: PromptVersion) -> dict[str, Any]:
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
    return {"text/plain": str(version), "text/html": output(box, status_line(_about(version)))}


def _about(version: PromptVersion) -> str:
    """Return one line: what it is called, what it needs, what belongs to it."""
    settings = ", ".join(f"{name} {_named(name, value)}" for name, value in version.settings.items())
    parts = [
        f"{version.ref}{f' ({version.news or version.change})' if version.change else ''}",
        f"variables: {', '.join(map(signature, version.variables))}" if version.names else "no variables",
        settings,
        ", ".join(_included(each) for each in version.includes),
        f"labels: {', '.join(version.labels)}" if version.labels else "",
        version.note,
    ]
    return " · ".join(part for part in parts if part)


def _included(include: Include) -> str:
    pinned = include.version.ref if include.version is not None else "?"
    return f"{'builds on' if include.kind == 'with' else 'includes'} {pinned}"


def _named(name: str, value: Any) -> Any:
    """A schema is long: its title says which it is."""
    return value.get("title", "of its own") if name == "schema" and isinstance(value, dict) else value


_BOX = (
    f"border-left:3px solid {colour('line')};padding:4px 12px;color:{colour('text')};"
    "font-family:var(--jp-code-font-family,monospace);font-size:13px"
)
_ROLE = f"color:{colour('dim')};font-size:11px;text-transform:uppercase;letter-spacing:.05em"


def _shown(result: PromptResult) -> Html:
    if result.format in {"code", "json"}:
        return tag("pre", result.text, style="white-space:pre-wrap;margin:0")
    return text_block(result.text)
