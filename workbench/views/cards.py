"""How any result looks that has no view of its own: title, text, table, note."""

from __future__ import annotations

from typing import Any

from workbench.core.display import Rich, render
from workbench.views.html import Html, marked, output, progress_bar, status_line, table, tag, warning_list
from workbench.views.theme import colour

__all__ = ["card_html"]


@render.register
def _(value: Rich) -> dict[str, Any]:
    return {"text/plain": str(value), "text/html": card_html(value)}


def card_html(value: Rich) -> Html:
    """Return a result's card as HTML; a column without any cell is left out."""
    card = value.card()
    parts: list[Html] = []
    if card.title:
        parts.append(tag("div", card.title, style=f"{_TEXT};font-weight:600"))
    if card.text:
        parts.append(tag("div", card.text, style=f"{_TEXT};font-size:13px"))
    if card.bar is not None:
        parts.append(progress_bar(card.bar))
    if card.alerts:
        parts.append(warning_list(card.alerts))
    if card.columns:
        kept = [i for i in range(len(card.columns)) if not card.rows or any(row[i] for row in card.rows)]
        grid = table(
            [card.columns[i] for i in kept],
            [[marked(row[i]) if i in card.marked else row[i] for i in kept] for row in card.rows],
            numeric=[place for place, i in enumerate(kept) if i in card.numeric],
            style="border-collapse:collapse;font-size:13px;margin:0",
        )
        parts.append(tag("div", grid, style="overflow-x:auto;margin:6px 0"))
    if card.note:
        parts.append(status_line(card.note))
    return output(*parts)


_TEXT = f"color:{colour('text')};white-space:pre-wrap;overflow-wrap:anywhere"
