"""Front matter: the settings that a prompt brings along, as YAML between two ``---`` lines.

The same keys are settings where a prompt is saved from Python or imported, with the same checks.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import yaml

from workbench.core.declarations import read_declarations
from workbench.core.strict_yaml import StrictLoader
from workbench.core.values import plain
from workbench.errors import DataError, TemplateError, did_you_mean

__all__ = [
    "FORMATS",
    "FRONT_MATTER_KEYS",
    "SETTINGS",
    "check_keys",
    "check_settings",
    "front_matter_lines",
    "has_front_matter",
    "read_yaml",
    "split_front_matter",
]

FORMATS: Final = ("text", "markdown", "json", "html", "code")

_FENCE: Final = re.compile(r"---[ \t]*\n(?P<yaml>(?:.*\n)*?)---[ \t]*(?:\n|\Z)")
_MAX_SIZE: Final = 10_000
_TEXT_KEYS: Final = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:int"})
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
    "variables": ("a mapping of name: type", lambda value: isinstance(value, dict | list)),
    "format": (f"one of {', '.join(FORMATS)}", lambda value: value in FORMATS),
    "tags": ("text, or a list of texts", _is_texts),
    "title": ("text", _is_text),
    "label": ("text", _is_text),
    "note": ("text", _is_text),
    "with": ("a reference to build on, or a list of them", _is_texts),
}

FRONT_MATTER_KEYS: Final = tuple(_KEYS)

#: Those of the keys that are settings: content of the version.
SETTINGS: Final = (
    "model", "temperature", "top_p", "max_tokens", "seed", "stop", "schema", "format",
)  # fmt: skip
#: Names of providers' options that look like one of ours.
_NO_SLIP: Final = frozenset(
    {
        "top_k",
        "top_a",
        "top_n",
        "min_p",
        "models",
        "stop_token_ids",
        "min_tokens",
        "max_new_tokens",
        "max_completion_tokens",
    }
)
_LIKE: Final = 0.75


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
    values = read_yaml(match["yaml"], what="front matter", first_line=2, cure=_CURE)
    return MappingProxyType(values), text[match.end() :]


def front_matter_lines(text: str) -> Mapping[str, int]:
    r"""Return the line of each key of a text's front matter, for messages; a key inside another is ``outer.inner``.

    >>> front_matter_lines("---\nmodel: local/smollm2\n---\nHello")
    {'model': 2}
    """
    match = _FENCE.match(text)
    return {} if match is None else _load(match["yaml"], "front matter", 2, _CURE)[1]


def read_yaml(
    text: str,
    *,
    what: str,
    first_line: int = 1,
    cure: str = "",
    also: Mapping[str, Callable[[Any], bool]] = MappingProxyType({}),
    limit: int = _MAX_SIZE,
) -> dict[str, Any]:
    """Read front matter's keys from YAML.

    Args:
        text: the YAML.
        what: what it is, for messages, which begin with it and the line.
        first_line: the number of the text's first line.
        cure: what to do when it is no such YAML.
        also: further keys, with a check of each.
        limit: characters that it may have.

    Raises:
        TemplateError: the YAML does not parse, is no mapping, or has an unknown or ill-typed key.

    >>> read_yaml("temperature: 0", what="front matter")
    {'temperature': 0}
    """
    if len(text) > limit:
        raise TemplateError(f"the {what} is longer than {limit:,} characters", cure=cure)
    values, lines = _load(text, what, first_line, cure)
    check_keys(values, what=what, lines=lines, also=also)
    return values


def check_keys(
    values: Mapping[str, Any],
    *,
    what: str,
    lines: Mapping[str, int] = MappingProxyType({}),
    also: Mapping[str, Callable[[Any], bool]] = MappingProxyType({}),
) -> None:
    """Check front matter's keys and values.

    Args:
        values: JSON values by key.
        what: what they stand in, for messages.
        lines: the line of each key; those of ``variables`` as ``variables.name``.
        also: further keys, with a check of each.

    Raises:
        TemplateError: a key is unknown, or its value ill-typed.

    """
    for name, value in values.items():
        place = f"{what}, line {lines[name]}" if name in lines else what
        if name in also:
            try:
                fits = also[name](value)
            except TemplateError as error:
                raise TemplateError(f"{place}: {error.message}", cure=error.cure) from error
            if not fits:
                raise TemplateError(f"{place}: {name} cannot be {value!r:.80}")
            continue
        _check(name, value, place)
        if name == "variables":
            _check_variables(value, what, place, lines)


def check_settings(values: Mapping[str, Any], *, strict: bool = True) -> dict[str, Any]:
    """Return the settings of a prompt as they are stored; what stands under ``options`` goes to the provider as it is.

    Args:
        values: setting → value; None leaves one open. The schema is not looked at: it may be a class.
        strict: refuse names that look misspelt, and what is no setting but an argument of its own; not for what
            another tool wrote.

    Raises:
        TemplateError: a value does not fit, or a name is none; the message names the key.
        DataError: a value has no JSON form.

    >>> check_settings({"temperature": 0, "options": {"top_k": 5}})
    {'top_k': 5, 'temperature': 0}
    """
    if not isinstance(values, Mapping):
        raise TemplateError(
            f"settings must be a mapping, not {values!r:.80}", cure="write settings={'temperature': 0}"
        )
    given = {name: value for name, value in values.items() if name != "options"}
    options = values.get("options") or {}
    _check("options", options, "settings")
    for name, value in given.items():
        if name in SETTINGS and name != "schema" and value is not None:
            _check(name, value, "settings")
        if isinstance(value, float) and not math.isfinite(value):
            raise TemplateError(f"settings: {name} cannot be {value!r}", cure="JSON has no such number")
        if strict and name not in SETTINGS:
            _check_slip(str(name))
    schema = {"schema": given.pop("schema")} if "schema" in given else {}
    kept: dict[str, Any] = plain({**options, **given}, what="settings")
    return {**kept, **schema}


def _check_slip(name: str) -> None:
    if name in _KEYS:
        raise TemplateError(
            f"settings: {name} is no setting", cure=f"give it beside them, or as {name}: in front matter"
        )
    close = difflib.get_close_matches(name, SETTINGS, n=1, cutoff=_LIKE)
    if close and name not in _NO_SLIP:
        raise TemplateError(
            f"settings: there is no key {name!r:.80}",
            cure=f"did you mean {close[0]!r}? An option of the provider's stands under options: {{'options': {{{name!r:.80}: …}}}}",
        )


def _load(text: str, what: str, first_line: int, cure: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the values, and the line of each key; a key inside another as ``variables.name``."""
    try:
        loader = StrictLoader(text)
        node = loader.get_single_node()
        lines = _lines(node, first_line)
        loaded = loader.construct_document(node) if node is not None else {}
        values = plain({} if loaded is None else loaded, what=f"the {what}")
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + first_line if error.problem_mark else first_line
        raise TemplateError(f"{what}, line {line}: {error.problem}", cure=cure) from error
    except DataError as error:
        raise TemplateError(error.message, cure=error.cure) from error
    except (yaml.YAMLError, ValueError) as error:
        raise TemplateError(f"the {what} does not parse: {error}", cure=cure) from error
    if not isinstance(values, dict):
        raise TemplateError(f"the {what} is no mapping of key: value lines", cure=cure)
    return values, lines


def _lines(node: yaml.Node | None, first_line: int) -> dict[str, int]:
    """Walk a tree's keys: each is text, and stands there once."""
    lines: dict[str, int] = {}
    stack = [("", node)]
    while stack:
        path, found = stack.pop()
        if isinstance(found, yaml.SequenceNode):
            stack += [(path, each) for each in found.value]
        if not isinstance(found, yaml.MappingNode):
            continue
        seen: set[str] = set()
        for key, value in found.value:
            name = str(key.value)
            if key.tag not in _TEXT_KEYS or name in seen:
                problem = f"the key {name!r:.80} " + (
                    "stands there twice" if name in seen else "is no text: put it in quotes"
                )
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(name)
            lines.setdefault(f"{path}{name}", key.start_mark.line + first_line)
            stack.append((f"{path}{name}.", value))
    return lines


def _check(name: str, value: Any, place: str) -> None:
    if name not in _KEYS:
        raise TemplateError(
            f"{place}: there is no key {name!r:.80}",
            cure=did_you_mean(name, _KEYS) or f"the keys are: {', '.join(_KEYS)}",
        )
    meaning, fits = _KEYS[name]
    if not fits(value):
        raise TemplateError(f"{place}: {name} must be {meaning}, not {value!r:.80}")


def _check_variables(value: Any, what: str, place: str, lines: Mapping[str, int]) -> None:
    """Check each declaration by itself, so that the message has its line."""
    entries = [{name: entry} for name, entry in value.items()] if isinstance(value, dict) else [value]
    for entry in entries:
        try:
            read_declarations(entry)
        except TemplateError as error:
            line = lines.get(f"variables.{next(iter(entry))}") if isinstance(entry, dict) else None
            where = place if line is None else f"{what}, line {line}"
            raise TemplateError(f"{where}: {error.message}", cure=error.cure) from error
