"""How a diff looks: lines as in a patch, the changed words marked; and how a tree of forks looks."""

from __future__ import annotations

from typing import Any

from workbench.core.diff import Diff, DiffLine, DiffPart, shown
from workbench.core.display import render
from workbench.core.lineage import PromptTree
from workbench.views.html import Html, output, status_line, tag
from workbench.views.theme import colour

__all__ = ["diff_html", "part_html"]

# Half-transparent tints and a coloured bar can be told apart on white and on black; the sign says it without colour.
_TINT = {"-": "rgba(196,48,58,.12)", "+": "rgba(26,127,55,.14)"}
_WORD = {"-": "rgba(196,48,58,.32)", "+": "rgba(26,127,55,.34)"}
_BAR = {"-": "#c4303a", "+": "#1a7f37", "=": "transparent"}
_TAG = {"-": "del", "+": "ins"}
_MONO = "font-family:var(--jp-code-font-family,monospace);font-size:13px"
_BOX = f"{_MONO};color:{colour('text')};border:1px solid {colour('line')};border-radius:4px;overflow:hidden;margin:4px 0"
_LINE = "white-space:pre-wrap;overflow-wrap:anywhere;padding:1px 8px 1px 6px;line-height:1.45"
_NAME = f"color:{colour('dim')};font-size:11px;text-transform:uppercase;letter-spacing:.05em;margin-top:6px"


@render.register
def _(diff: Diff) -> dict[str, Any]:
    return {"text/plain": str(diff), "text/html": diff_html(diff)}


@render.register
def _(tree: PromptTree) -> dict[str, Any]:
    text = tag("div", str(tree), style=f"{_MONO};color:{colour('text')};white-space:pre;overflow-x:auto")
    return {"text/plain": str(tree), "text/html": output(text)}


def diff_html(diff: Diff) -> Html:
    """Return a diff: a box for each part that differs, and one grey line."""
    return output(*(part_html(part) for part in diff.parts), status_line(diff.summary))


def part_html(part: DiffPart) -> Html:
    """Return one part: its name and its lines."""
    lines = [_line(line) for line in shown(part)]
    return tag("div", tag("div", part.name, style=_NAME), tag("div", *lines, style=_BOX))


def _line(line: DiffLine) -> Html:
    whole = len(line.segments) == 1
    pieces = [
        segment.text
        if whole or segment.op == "="
        else tag(_TAG[segment.op], segment.text, style=f"background:{_WORD[segment.op]};text-decoration:none")
        for segment in line.segments
    ]
    sign = tag("span", f"{' ' if line.op == '=' else line.op} ", style=f"color:{colour('dim')}")
    tint = f"background:{_TINT[line.op]};" if line.op in _TINT else ""
    return tag("div", sign, *pieces, style=f"{_LINE};{tint}border-left:3px solid {_BAR[line.op]}")
