"""The one sanitiser: any HTML in, HTML that can neither run nor load anything out.

Allowed is what a report or a card needs: text, tables, inline styles from a list of harmless
properties, and small drawings in SVG. Scripts, event handlers, forms, frames, ids, remote images
and style sheets are removed.
"""

from __future__ import annotations

import re

import nh3

__all__ = ["clean"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TEXT = _words(
    "a abbr b bdi blockquote br cite code dd del details dfn div dl dt em figcaption figure footer h1 h2 h3 h4 "
    "h5 h6 header hr i img ins kbd li mark meter ol p pre progress q s samp section small span strong sub "
    "summary sup time u ul var wbr"
)
_TABLE = _words("table caption colgroup col thead tbody tfoot tr th td")
_SVG = _words("svg g line rect circle ellipse path polyline polygon text tspan title desc")
_REMOVED_WITH_CONTENT = _words(
    "script style iframe object embed template noscript textarea select math foreignobject"
)

_COMMON = _words("class style title role dir lang aria-label aria-hidden")
_SVG_ATTRIBUTES = _COMMON | _words(
    "viewBox preserveAspectRatio width height x y x1 y1 x2 y2 dx dy cx cy r rx ry d points transform fill "
    "fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-dasharray stroke-linecap stroke-linejoin "
    "opacity text-anchor dominant-baseline font-family font-size font-weight font-style"
)
_ATTRIBUTES: dict[str, frozenset[str]] = {
    **dict.fromkeys(_TEXT | _TABLE, _COMMON),
    **dict.fromkeys(_SVG, _SVG_ATTRIBUTES),
    "a": _COMMON | {"href"},
    "img": _COMMON | {"src", "alt", "width", "height"},
    "details": _COMMON | {"open"},
    "ol": _COMMON | {"start", "reversed"},
    "time": _COMMON | {"datetime"},
    "meter": _COMMON | {"value", "min", "max", "low", "high", "optimum"},
    "progress": _COMMON | {"value", "max"},
    "td": _COMMON | {"colspan", "rowspan", "align"},
    "th": _COMMON | {"colspan", "rowspan", "scope", "align"},
    "col": _COMMON | {"span"},
}

#: Nothing that can leave its box (position, transform) or load something (content, cursor).
_PROPERTY = re.compile(
    r"(?:background(?:-color)?|border(?:-[a-z-]+)?|box-shadow|box-sizing|caption-side|color|column-gap|display"
    r"|fill|fill-opacity|flex(?:-[a-z]+)?|float|font(?:-[a-z-]+)?|gap|grid-(?:template-)?(?:columns|rows|column|row)"
    r"|(?:justify|align|place)-(?:content|items|self)|letter-spacing|line-height|list-style(?:-type)?"
    r"|margin(?:-[a-z-]+)?|(?:min-|max-)?(?:width|height)|opacity|outline(?:-[a-z]+)?|overflow(?:-[a-z]+)?"
    r"|padding(?:-[a-z-]+)?|row-gap|stroke(?:-[a-z]+)?|table-layout|text-[a-z-]+|vertical-align|white-space"
    r"|word-break|dominant-baseline|order)"
)
_FUNCTION = re.compile(r"([a-z-]*)\(", re.IGNORECASE)
_FUNCTIONS = _words(
    "rgb rgba hsl hsla var calc min max clamp minmax repeat linear-gradient color-mix fit-content"
) | {""}
#: No backslash (escapes), no @, no angle brackets, no braces.
_VALUE = re.compile(r"[\w\s.,%#()+*/'\"!-]*")
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*")


def clean(html: str) -> str:
    """Return HTML without anything that runs, loads or leaves its place.

    Args:
        html: any text taken for HTML, such as a notebook's ``text/html`` output.

    >>> clean('<b onclick="x()">bold</b><script>x()</script>')
    '<b>bold</b>'

    """
    return nh3.clean(
        html,
        tags=set(_TEXT | _TABLE | _SVG),
        clean_content_tags=set(_REMOVED_WITH_CONTENT),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer nofollow",
    )


def _attribute(_tag: str, name: str, value: str) -> str | None:
    if name == "style":
        return _style(value)
    if name == "href":
        return value if _LINK.match(value) else None
    if name == "src":
        return value if _IMAGE.fullmatch(value) else None
    if "url(" in value.lower().replace("\\", ""):
        return None
    return value


def _style(value: str) -> str | None:
    kept = [declaration for part in value.split(";") if (declaration := _declaration(part))]
    return "; ".join(kept) or None


def _declaration(part: str) -> str | None:
    name, _, value = part.partition(":")
    name, value = name.strip().lower(), value.strip()
    if not (_PROPERTY.fullmatch(name) and value and _VALUE.fullmatch(value)):
        return None
    if not all(function.lower() in _FUNCTIONS for function in _FUNCTION.findall(value)):
        return None
    return f"{name}: {value}"
