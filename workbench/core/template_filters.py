"""The filters and tests of a template, and the meter that bounds what a template may do.

Every filter takes the meter first, asks it before it builds something large, and sees JSON only.
They give what Jinja's filters of the same name give, except ``tojson``, which does not escape HTML.
"""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from workbench.errors import TemplateError

__all__ = [
    "DEFAULTS",
    "FILTERS",
    "MAX_OUTPUT",
    "MAX_STEPS",
    "TESTS",
    "Meter",
    "arity_error",
    "kind",
    "text_of",
]

MAX_OUTPUT: Final = 1_000_000
MAX_STEPS: Final = 100_000

#: Characters (list items count one each) that cost as much as one step.
_CHARACTERS_PER_STEP: Final = 100
_LEEWAY: Final = 5
_KINDS: Final = {
    str: "text", bool: "True or False", int: "a number", float: "a number",
    list: "a list", dict: "a dict", type(None): "None or NaN",
}  # fmt: skip
_WORD: Final = re.compile(r"\w+")
_WORD_START: Final = re.compile(r"([-\s({\[<]+)")


class Meter:
    """What one rendering has used, and where it is.

    Attributes:
        line: the template's line that is being rendered, from 1.

    """

    __slots__ = ("line", "output", "steps")

    def __init__(self) -> None:
        self.line = 1
        self.steps = 0
        self.output = 0

    def step(self, count: int = 1) -> None:
        """Charge some steps; raises TemplateError beyond ``MAX_STEPS``."""
        self.steps += count
        if self.steps > MAX_STEPS:
            raise self.error(
                f"the template takes more than {MAX_STEPS:,} steps",
                cure="loop over fewer items, or prepare the text in Python and pass it as one variable",
            )

    def emit(self, text: str) -> None:
        """Count a piece of the output; raises TemplateError beyond ``MAX_OUTPUT`` bytes."""
        self.output += len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        self.bound(self.output)

    def bound(self, size: int) -> None:
        """Refuse a text that would be longer than any output may be."""
        if size > MAX_OUTPUT:
            raise self.error(
                f"the text would be longer than {MAX_OUTPUT:,} bytes",
                cure="shorten the values: {{ text | truncate(2000) }}",
            )

    def weigh(self, value: Any) -> None:
        """Charge what it costs to look at the whole of a value."""
        if isinstance(value, str):
            self.step(len(value) // _CHARACTERS_PER_STEP)
        elif isinstance(value, dict):
            self.step(len(value))
            for name, inner in value.items():
                self.weigh(name)
                self.weigh(inner)
        elif isinstance(value, list):
            self.step(len(value))
            for inner in value:
                self.weigh(inner)

    def error(self, message: str, *, cure: str = "") -> TemplateError:
        """Return the error with its line."""
        return TemplateError(f"line {self.line}: {message}", cure=cure)


def kind(value: Any) -> str:
    """Say in plain English what a JSON value is."""
    return _KINDS[type(value)]


def text_of(meter: Meter, value: Any) -> str:
    """Return how a value prints: text as it is, everything else as Python writes it."""
    if isinstance(value, str):
        return value
    meter.weigh(value)
    return str(value)


def _text(meter: Meter, value: Any) -> str:
    if isinstance(value, list | dict | None):
        raise meter.error(
            f"this filter takes text, not {kind(value)}",
            cure="make text of it first: {{ items | join(', ') }} or {{ doc | tojson }}",
        )
    text = str(value)
    meter.bound(len(text))
    meter.weigh(text)
    return text


def _items(meter: Meter, value: Any) -> list[Any]:
    """Return the items of a list, the keys of a dict, or the characters of a text."""
    if not isinstance(value, list | dict | str):
        raise meter.error(f"this filter takes a list, not {kind(value)}")
    meter.step(len(value))
    return list(value)


def _whole(meter: Meter, value: Any, name: str, *, low: int = 0, high: int = MAX_OUTPUT) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise meter.error(f"{name} must be a whole number from {low:,} to {high:,}, not {value!r:.40}")
    return value


def _truncate(meter: Meter, value: Any, length: Any = 255, killwords: Any = None, end: Any = "...") -> str:
    text = value if isinstance(value, str) else _text(meter, value)  # only its head is looked at
    tail = _text(meter, end)
    size = _whole(meter, length, "the length of truncate", low=len(tail))
    if len(text) <= size + _LEEWAY:
        return text
    cut = text[: size - len(tail)]
    return (cut if killwords else cut.rsplit(" ", 1)[0]) + tail


def _replace(meter: Meter, value: Any, old: Any, new: Any, count: Any = None) -> str:
    text, before, after = _text(meter, value), _text(meter, old), _text(meter, new)
    limit = -1 if count is None else _whole(meter, count, "the count of replace")
    found = text.count(before) if limit < 0 else min(text.count(before), limit)
    meter.bound(len(text) + found * max(0, len(after) - len(before)))
    return text.replace(before, after, limit)


def _indent(meter: Meter, value: Any, width: Any = 4, first: Any = None, blank: Any = None) -> str:
    text = _text(meter, value)
    if not isinstance(width, str):
        width = " " * _whole(meter, width, "the width of indent", high=200)
    head, *rest = lines = (text + "\n").splitlines()
    meter.bound(len(text) + len(lines) * len(width))
    indented = [width + line if line or blank else line for line in rest]
    return "\n".join([width + head if first else head, *indented])


def _trim(meter: Meter, value: Any, chars: Any = None) -> str:
    return _text(meter, value).strip(None if chars is None else _text(meter, chars))


def _title(meter: Meter, value: Any) -> str:
    text = _text(meter, value)
    meter.step(len(text) // 10)  # splitting by a pattern is slower than any other filter
    words = _WORD_START.split(text)
    return "".join(word[:1].upper() + word[1:].lower() for word in words if word)


def _wordcount(meter: Meter, value: Any) -> int:
    text = _text(meter, value)
    meter.step(len(text) // 10)
    return sum(1 for _ in _WORD.finditer(text))


def _join(meter: Meter, value: Any, separator: Any = "", attribute: Any = None) -> str:
    between = _text(meter, separator)
    parts = []
    for position, item in enumerate(_picked(meter, value, attribute)):
        if item is None:
            raise meter.error(
                f"item {position} of the list to join is None or NaN",
                cure="write {% for item in items if item is not none %}, or clean the list first",
            )
        parts.append(text_of(meter, item))
    meter.bound(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


def _picked(meter: Meter, value: Any, attribute: Any) -> list[Any]:
    """Return the items of a list, or one field of each."""
    items = _items(meter, value)
    if attribute is None:
        return items
    if not isinstance(attribute, str):
        raise meter.error(f"attribute must be the name of a field, not {kind(attribute)}")
    picked = []
    for position, item in enumerate(items):
        if not isinstance(item, dict) or attribute not in item:
            raise meter.error(f"item {position} of the list has no field {attribute!r:.60}")
        picked.append(item[attribute])
    return picked


def _lower_text(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _sort(
    meter: Meter, value: Any, reverse: Any = None, case_sensitive: Any = None, attribute: Any = None
) -> list[Any]:
    keys = _picked(meter, value, attribute)
    meter.weigh(keys)
    if not case_sensitive:
        keys = [_lower_text(key) for key in keys]
    items = _items(meter, value)
    try:
        order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))
    except TypeError as error:
        raise meter.error(
            "the items cannot be sorted: they are not of one kind", cure="sort in Python"
        ) from error
    return [items[position] for position in order]


def _unique(meter: Meter, value: Any, case_sensitive: Any = None, attribute: Any = None) -> list[Any]:
    keys = _picked(meter, value, attribute)
    seen: set[str] = set()
    kept = []
    for item, key in zip(_items(meter, value), keys, strict=True):
        mark = _json(meter, key if case_sensitive else _lower_text(key))
        if mark not in seen:
            seen.add(mark)
            kept.append(item)
    return kept


def _json(meter: Meter, value: Any, indent: Any = None) -> str:
    meter.weigh(value)
    if indent is not None:
        indent = _whole(meter, indent, "the indent of tojson", high=16)
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _length(meter: Meter, value: Any) -> int:
    if not isinstance(value, list | dict | str):
        raise meter.error(f"{kind(value)} has no length")
    return len(value)


def _int(meter: Meter, value: Any, default: Any = 0) -> Any:
    meter.weigh(value)
    for read in (int, lambda text: int(float(text))):
        try:
            return read(value)
        except (TypeError, ValueError, OverflowError):
            continue
    return default


def _float(meter: Meter, value: Any, default: Any = 0.0) -> Any:
    meter.weigh(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return number if abs(number) != float("inf") and number == number else default  # noqa: PLR0124 - NaN


def _round(meter: Meter, value: Any, precision: Any = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise meter.error(f"round takes a number, not {kind(value)}", cure="write {{ x | float | round(2) }}")
    return round(value, _whole(meter, precision, "the precision of round", low=-20, high=20))


def _dict_items(meter: Meter, value: Any) -> list[list[Any]]:
    if not isinstance(value, dict):
        raise meter.error(f"items takes a dict, not {kind(value)}")
    meter.step(len(value))
    return [[name, inner] for name, inner in value.items()]


def _reverse(meter: Meter, value: Any) -> Any:
    if isinstance(value, str):
        return _text(meter, value)[::-1]
    return _items(meter, value)[::-1]


def _edge(position: int) -> Callable[[Meter, Any], Any]:
    def pick(meter: Meter, value: Any) -> Any:
        if not isinstance(value, list | dict | str):
            raise meter.error(f"this filter takes a list, not {kind(value)}")
        if isinstance(value, dict):
            value = _items(meter, value)
        return value[position] if value else None

    return pick


def _default(_meter: Meter, value: Any, default: Any = "", boolean: Any = None) -> Any:
    return default if value is None or (boolean and not value) else value


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "capitalize": lambda meter, value: _text(meter, value).capitalize(),
    "count": _length,
    "d": _default,
    "default": _default,
    "escape": lambda meter, value: html.escape(_text(meter, value)),
    "first": _edge(0),
    "float": _float,
    "indent": _indent,
    "int": _int,
    "items": _dict_items,
    "join": _join,
    "last": _edge(-1),
    "length": _length,
    "list": _items,
    "lower": lambda meter, value: _text(meter, value).lower(),
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "sort": _sort,
    "string": text_of,
    "title": _title,
    "tojson": _json,
    "trim": _trim,
    "truncate": _truncate,
    "unique": _unique,
    "upper": lambda meter, value: _text(meter, value).upper(),
    "wordcount": _wordcount,
}

#: Filters whose input may be undefined, None or NaN.
DEFAULTS: Final = frozenset({"default", "d"})

#: Tests by name; ``defined`` and ``undefined`` are the renderer's own, since only it knows.
TESTS: Final[dict[str, Callable[[Any], bool]]] = {
    "boolean": lambda value: isinstance(value, bool),
    "defined": lambda value: value is not None,
    "even": lambda value: isinstance(value, int) and value % 2 == 0,
    "mapping": lambda value: isinstance(value, dict),
    "none": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float),
    "odd": lambda value: isinstance(value, int) and value % 2 == 1,
    "sequence": lambda value: isinstance(value, list | dict | str),
    "string": lambda value: isinstance(value, str),
    "undefined": lambda value: value is None,
}


def arity_error(name: str, count: int, keywords: Iterable[str]) -> str:
    """Say what is wrong with the arguments of a filter; empty when they fit.

    >>> arity_error("upper", 1, ())
    'too many positional arguments'
    """
    try:
        inspect.signature(FILTERS[name]).bind(None, None, *[None] * count, **dict.fromkeys(keywords))
    except TypeError as error:
        return str(error)
    return ""
