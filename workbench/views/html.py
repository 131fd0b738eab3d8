"""The only place that builds tags: everything that is not already ``Html`` is escaped.

Model output, prompts, titles and numbers come in as plain values; what goes out is :class:`Html`.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

__all__ = ["Html", "escape", "join", "status_line", "table", "tag", "text_block"]

_VOID = frozenset({"br", "hr", "line", "rect", "circle", "path"})


class Html(str):
    """Text that is safe to put into a page; only this module makes it from tags."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Return any value as text with its markup neutralised; ``Html`` passes as it is."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def join(parts: Iterable[object], separator: str = "") -> Html:
    """Return the parts, each escaped unless it is ``Html``."""
    return Html(escape(separator).join(escape(part) for part in parts))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Return an element: ``tag("div", "a < b", class_="note")``.

    A trailing underscore of an attribute is dropped, other underscores become hyphens; None leaves it out.

    >>> tag("b", "a < b", class_="x")
    '<b class="x">a &lt; b</b>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def table(
    columns: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numeric: Sequence[int] = (),
    **attributes: object,
) -> Html:
    """Return a table; ``numeric`` are the positions of columns that are aligned to the right."""
    aligned = dict.fromkeys(numeric, "text-align:right")
    head = tag(
        "tr", *(tag("th", cell, style=aligned.get(i, "text-align:left")) for i, cell in enumerate(columns))
    )
    body = [
        tag("tr", *(tag("td", cell, style=aligned.get(i, "text-align:left")) for i, cell in enumerate(row)))
        for row in rows
    ]
    return tag("table", tag("thead", head), tag("tbody", *body), **attributes)


def status_line(text: object) -> Html:
    """Return the grey line that ends an answer."""
    return tag(
        "div",
        text,
        class_="wb-status",
        style="color:var(--jp-ui-font-color2,#757575);font-size:12px;margin-top:4px",
    )


def text_block(text: object) -> Html:
    """Return model text as it is: escaped, with its line breaks."""
    return tag("div", text, class_="wb-text", style="white-space:pre-wrap;overflow-wrap:anywhere")
