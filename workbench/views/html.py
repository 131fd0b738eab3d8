"""The only place that builds tags: everything that is not already ``Html`` is escaped.

Model output, prompts, titles and numbers come in as plain values; what goes out is :class:`Html`.
Looks are inline styles on JupyterLab's own variables, because a style sheet is lost when a notebook
is reopened untrusted and when a report is cleaned.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from workbench.core.search import CLOSE, OPEN, without_marks
from workbench.views.theme import colour

__all__ = [
    "Html",
    "escape",
    "join",
    "marked",
    "output",
    "plot_text",
    "progress_bar",
    "status_line",
    "table",
    "tag",
    "text_block",
    "warning_list",
]

_VOID = frozenset({"br", "hr", "line", "rect", "circle", "path"})
_NAME = re.compile(r"[a-z][a-z0-9]*")
_ATTRIBUTE = re.compile(r"(?!on)[a-zA-Z][a-zA-Z0-9-]*")
_FORBIDDEN = frozenset({"script", "style", "iframe", "object", "embed", "base", "link", "meta"})
_LINK = re.compile(r"(?:https?://|mailto:|#)", re.IGNORECASE)


class Html(str):
    """Text that is safe to put into a page; only this module makes it from tags."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return any value as text with its markup neutralised; ``Html`` passes as it is.

    What cannot stand in a UTF-8 page (a lone surrogate, NUL) becomes a replacement character.

    >>> escape("<b>&</b>")
    '&lt;b&gt;&amp;&lt;/b&gt;'
    """
    if isinstance(value, Html):
        return value
    return Html(_escaped(value))


def _escaped(value: object) -> str:
    text = str(value).encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return html.escape(text, quote=True)


def join(parts: Iterable[object], separator: str = "") -> Html:
    """Return the parts, each escaped unless it is ``Html``."""
    return Html(escape(separator).join(escape(part) for part in parts))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Return an element: ``tag("div", "a < b", class_="note")``.

    A trailing underscore of an attribute is dropped, other underscores become hyphens; None leaves it out.

    Args:
        name: of the element; elements that run or load something are refused.
        children: values, escaped unless they are ``Html``; None is left out.
        attributes: values, always escaped; event handlers and links that run are refused.

    Raises:
        ValueError: a programming error: a name that must not be written.

    >>> tag("b", "a < b", class_="x")
    '<b class="x">a &lt; b</b>'
    """
    if not _NAME.fullmatch(name) or name in _FORBIDDEN:
        raise ValueError(f"the element {name!r} must not be written")
    written = "".join(
        _attribute(key.rstrip("_").replace("_", "-"), value)
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(child for child in children if child is not None)}</{name}>")


def _attribute(name: str, value: object) -> str:
    if not _ATTRIBUTE.fullmatch(name) or name.lower() == "srcdoc":
        raise ValueError(f"the attribute {name!r} must not be written")
    if name in {"href", "src"} and not _LINK.match(str(value)):
        raise ValueError(f"a link must begin with https, http, mailto or #, not {str(value)[:20]!r}")
    # also what is Html already: inside quotes a tag is only text
    return f' {name}="{_escaped(value)}"'


def table(
    columns: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numeric: Sequence[int] = (),
    **attributes: object,
) -> Html:
    """Return a table without stripes; ``numeric`` are the positions of columns that are aligned to the right."""
    right = frozenset(numeric)
    sides = ["right" if i in right else "left" for i in range(len(columns))]
    head = tag("tr", *(tag("th", cell, style=_HEAD[side]) for cell, side in zip(columns, sides, strict=True)))
    body = [
        tag(
            "tr",
            *(tag("td", cell, style=_CELL[side]) for cell, side in zip(row, sides, strict=True)),
            style=_ROW,
        )
        for row in rows
    ]
    return tag("table", tag("thead", head), tag("tbody", *body), **attributes)


_ROW = "background:none"  # JupyterLab's stripes have the colour of the page, not of a card
_CELL = {
    "left": "text-align:left;padding:3px 8px",
    "right": "text-align:right;padding:3px 8px;white-space:nowrap",
}
_HEAD = {
    side: f"{style};font-weight:600;color:{colour('text')};border-bottom:1px solid {colour('line')}"
    for side, style in _CELL.items()
}


def output(*parts: object) -> Html:
    """Return what a cell shows: level with the cell's number, and two dollar signs are no formula."""
    return tag("div", *parts, class_="wb-output mathjax_ignore", style="padding-top:3px")


def progress_bar(shares: Sequence[float]) -> Html:
    """Return a bar: shares of the whole that went well, that failed, that were lost; the rest is empty.

    >>> progress_bar((0.5, 0, 0)).count("width:50.0%")
    1
    """
    kept = [min(1.0, max(0.0, share)) for share in shares]
    parts = [
        tag("div", style=f"width:{100 * share:.1f}%;height:6px;background:{colour(role)}")
        for share, role in zip(kept, _BAR, strict=False)
        if share > 0
    ]
    return tag(
        "div",
        *parts,
        class_="wb-bar",
        role="progressbar",
        aria_valuemin=0,
        aria_valuemax=100,
        aria_valuenow=round(100 * sum(kept)),
        style=f"display:flex;overflow:hidden;max-width:480px;height:6px;background:{colour('line')};border-radius:3px;margin:6px 0",
    )


_BAR = ("accent", "warn", "dim")


def status_line(text: object) -> Html:
    """Return the grey line that ends an answer."""
    style = f"color:{colour('dim')};font-size:12px;margin-top:4px"
    return tag("div", text, class_="wb-status", style=style)


def text_block(text: object) -> Html:
    """Return model text as it is: escaped, with its line breaks, in its own direction."""
    return tag("div", text, class_="wb-text", dir="auto", style="white-space:pre-wrap;overflow-wrap:anywhere")


def marked(text: str) -> Html:
    r"""Return a snippet with the words that were found as marks; everything else is text.

    >>> marked("a \ue000<b>\ue001")
    'a <mark style="background:none;color:inherit;font-weight:700">&lt;b&gt;</mark>'
    """
    parts = _MARKED.split(text)
    return join(
        tag("mark", part, style=_MARK) if place % 2 else without_marks(part)
        for place, part in enumerate(parts)
    )


# Bold rather than coloured: it can be read in every theme, and in a report.
_MARK = "background:none;color:inherit;font-weight:700"
_MARKED = re.compile(f"{OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")


def warning_list(warnings: Iterable[tuple[object, object]]) -> Html:
    """Return one line per warning: its code and what it means; nothing where there are none."""
    lines = [
        tag("div", tag("code", code, style=_CODE), " ", explanation, style="margin:3px 0")
        for code, explanation in warnings
    ]
    return tag("div", *lines, class_="wb-warnings", style=_WARNINGS) if lines else Html()


_WARNINGS = f"border-left:3px solid {colour('warn')};padding:2px 0 2px 10px;margin:10px 0"
_CODE = f"font-size:11px;font-weight:600;color:{colour('text')};background:none;padding:0"


def plot_text(value: object) -> str:
    """Return any value as a plotly label that shows as it is: no markup, no links, no TeX.

    Plotly reads a small HTML in every label, decodes entities after that, and takes what stands
    between two dollar signs for a formula.

    >>> plot_text("<b>$1 & $2</b>")
    '&lt;b&gt;&#36;1 &amp; &#36;2&lt;/b&gt;'
    """
    return html.escape(str(value), quote=False).replace("$", "&#36;")
