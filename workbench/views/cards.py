"""How any result looks that has no view of its own: title, text, table, note."""

from __future__ import annotations

from typing import Any

from workbench.core.display import Rich, render
from workbench.views.html import Html, join, status_line, table, tag

__all__ = ["card_html"]


@render.register
def _(value: Rich) -> dict[str, Any]:
    return {"text/plain": str(value), "text/html": card_html(value)}


def card_html(value: Rich) -> Html:
    """Return a result's card as HTML."""
    card = value.card()
    parts: list[Html] = []
    if card.title:
        parts.append(tag("div", card.title, style="font-weight:600"))
    if card.text:
        parts.append(tag("div", card.text, style="white-space:pre-wrap;font-size:13px"))
    if card.columns:
        parts.append(
            table(
                card.columns,
                card.rows,
                numeric=card.numeric,
                style="border-collapse:collapse;font-size:13px;margin:4px 0",
            )
        )
    if card.note:
        parts.append(status_line(card.note))
    return join(parts)
