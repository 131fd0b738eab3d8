"""How a template of the library looks."""

from __future__ import annotations

from typing import Any

from workbench.core.display import render
from workbench.core.library import LibraryPrompt
from workbench.views.html import Html, join, output, status_line, table, tag, text_block
from workbench.views.theme import colour

__all__ = ["template_html"]


def template_html(template: LibraryPrompt) -> Html:
    """Return a template: what it does, its text by turns, its variables, and two lines that use it."""
    body = template.body
    turns = [("system", body.system)] if body.system else []
    turns += [(message.role, message.text) for message in body.messages]
    box = tag(
        "div",
        *(join([tag("div", role, style=_ROLE), text_block(text)]) for role, text in turns),
        style=_BOX,
    )
    uses = (
        tag("ul", *(tag("li", use) for use in template.use_cases), style=_TEXT)
        if template.use_cases
        else None
    )
    return output(
        tag("div", template.name, style=f"{_TEXT};font-weight:600"),
        tag("div", template.description, style=_TEXT) if template.description else None,
        uses,
        box,
        _variables(template),
        tag("pre", template.call, style=f"{_CODE};margin:6px 0"),
        status_line(_about(template)),
    )


def _variables(template: LibraryPrompt) -> Html | None:
    if not template.variables:
        return None
    grid = table(
        ["variable", "type", "needed", "meaning", "example"],
        template.variable_rows(),
        style="border-collapse:collapse;font-size:13px;margin:0",
    )
    return tag("div", grid, style="overflow-x:auto;margin:6px 0")


def _about(template: LibraryPrompt) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in template.settings.items())
    parts = [
        template.place,
        f"suits {', '.join(template.models)}" if template.models else "",
        settings,
        ", ".join(template.tags),
        "answers with JSON: answer_schema" if template.answer_schema else "",
    ]
    return " · ".join(part for part in parts if part)


@render.register
def _(template: LibraryPrompt) -> dict[str, Any]:
    return {"text/plain": str(template), "text/html": template_html(template)}


_TEXT = f"color:{colour('text')};white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px"
_CODE = f"color:{colour('text')};font-family:var(--jp-code-font-family,monospace);font-size:13px;white-space:pre-wrap"
_BOX = f"border-left:3px solid {colour('line')};padding:4px 12px;{_CODE}"
_ROLE = f"color:{colour('dim')};font-size:11px;text-transform:uppercase;letter-spacing:.05em"
