"""Front matter: the settings that a prompt brings along, as YAML between two ``---`` lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import yaml

from workbench.core.strict_yaml import StrictLoader
from workbench.core.values import plain
from workbench.errors import DataError, TemplateError, did_you_mean

__all__ = ["FORMATS", "FRONT_MATTER_KEYS", "has_front_matter", "split_front_matter"]

FORMATS: Final = ("text", "markdown", "json", "html", "code")

_FENCE: Final = re.compile(r"---[ \t]*\n(?P<yaml>(?:.*\n)*?)---[ \t]*(?:\n|\Z)")
_MAX_SIZE: Final = 10_000
_CURE: Final = "to begin the text itself with ---, put the line user: before it"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_texts(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and bool(value) and all(map(_is_text, value)))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_between(low: float, high: float) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

    return check


_KEYS: Final[dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "model": ("a model id, or a list of them", _is_texts),
    "options": ("a mapping of the provider's options", lambda value: isinstance(value, dict)),
    "temperature": ("a number from 0 to 2", _is_between(0, 2)),
    "top_p": ("a number from 0 to 1", _is_between(0, 1)),
    "max_tokens": ("a whole number from 1", lambda value: _is_whole(value) and value >= 1),
    "seed": ("a whole number", _is_whole),
    "stop": ("text, or a list of texts", _is_texts),
    "schema": ("a JSON schema, or the name of one", lambda value: isinstance(value, dict) or _is_text(value)),
    "format": (f"one of {', '.join(FORMATS)}", lambda value: value in FORMATS),
    "tags": ("text, or a list of texts", _is_texts),
    "title": ("text", _is_text),
    "label": ("text", _is_text),
    "note": ("text", _is_text),
    "with": ("a reference to build on, or a list of them", _is_texts),
}

FRONT_MATTER_KEYS: Final = tuple(_KEYS)


def has_front_matter(text: str) -> bool:
    """Whether a text would be taken to begin with front matter."""
    return _FENCE.match(text) is not None


def split_front_matter(text: str) -> tuple[Mapping[str, Any], str]:
    r"""Split the front matter from a text whose newlines are ``\n``.

    There is front matter only when line 1 is ``---`` and another line ``---`` follows.

    Returns:
        Its keys with checked JSON values, read-only, and the rest of the text.

    Raises:
        TemplateError: the YAML does not parse, is no mapping, or has an unknown or ill-typed key.

    >>> split_front_matter("---\nmodel: local/smollm2\n---\nHello")
    (mappingproxy({'model': 'local/smollm2'}), 'Hello')
    """
    match = _FENCE.match(text)
    if match is None:
        return MappingProxyType({}), text
    values = _load(match["yaml"])
    for name, value in values.items():
        _check(name, value)
    return MappingProxyType(values), text[match.end() :]


def _load(text: str) -> dict[str, Any]:
    if len(text) > _MAX_SIZE:
        raise TemplateError(f"the front matter is longer than {_MAX_SIZE:,} characters", cure=_CURE)
    try:
        loaded = yaml.load(text, Loader=StrictLoader)  # noqa: S506 - a stricter SafeLoader
        values = plain({} if loaded is None else loaded, what="the front matter")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 2 if error.problem_mark else 1
        raise TemplateError(f"front matter, line {line}: {error.problem}", cure=_CURE) from error
    except DataError as error:
        raise TemplateError(error.message, cure=error.cure) from error
    except (yaml.YAMLError, ValueError) as error:
        raise TemplateError(f"the front matter does not parse: {error}", cure=_CURE) from error
    if not isinstance(values, dict):
        raise TemplateError("the front matter is no mapping of key: value lines", cure=_CURE)
    return values


def _check(name: str, value: Any) -> None:
    if name not in _KEYS:
        raise TemplateError(
            f"the front matter has no key {name!r:.80}",
            cure=did_you_mean(name, _KEYS) or f"the keys are: {', '.join(_KEYS)}",
        )
    meaning, fits = _KEYS[name]
    if not fits(value):
        raise TemplateError(f"the front matter's {name} must be {meaning}, not {value!r:.80}")
