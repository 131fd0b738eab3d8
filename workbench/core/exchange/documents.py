"""JSON and YAML that come from strangers: sizes and depths are bound, and every fault is one typed error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import yaml

from workbench.core.exchange.records import Found
from workbench.core.strict_yaml import WideLoader
from workbench.core.values import storable
from workbench.errors import DataError

__all__ = ["MAX_BYTES", "MAX_YAML", "decode", "items", "load_json", "load_yaml"]

#: The largest file that is read into memory, in bytes.
MAX_BYTES: Final = 50_000_000
#: YAML is read slowly, about 100 kB a second, so its files may be no longer than this.
MAX_YAML: Final = 2_000_000

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")


def decode(data: bytes, *, what: str) -> str:
    """Return the text of a file.

    Raises:
        DataError: it is too long, or not UTF-8.

    """
    if len(data) > MAX_BYTES:
        raise DataError(
            f"{what} has {len(data):,} bytes; {MAX_BYTES:,} are the most that is read", cure="split it"
        )
    if data.startswith(_UTF16):
        raise DataError(f"{what} is UTF-16", cure="save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{what} is not UTF-8: line {line}", cure="save it as UTF-8") from error


def load_json(text: str, *, what: str) -> Any:
    """Return what a JSON text says.

    Raises:
        DataError: it does not parse; the message has the line.

    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise DataError(f"{what} is no JSON: line {error.lineno}, {error.msg.lower()}") from error
    except RecursionError as error:
        raise DataError(f"{what} is nested too deeply", cure="flatten it") from error
    except ValueError as error:  # a number of thousands of digits, NaN
        raise DataError(f"{what} holds a number that JSON has not: {error!s:.80}") from error


def load_yaml(text: str, *, what: str) -> Any:
    """Return what a YAML text says; tags, anchors and aliases are refused.

    Raises:
        DataError: it does not parse, or uses what is refused; the message has the line.

    """
    if len(text) > MAX_YAML:
        raise DataError(
            f"{what} has {len(text):,} characters of YAML; {MAX_YAML:,} are the most that is read",
            cure="split it, or convert it to JSON",
        )
    storable(text, what=what)
    try:
        return yaml.load(text, Loader=WideLoader)  # noqa: S506 - a stricter SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}, " if error.problem_mark else ""
        raise DataError(
            f"{what} is no YAML that is read here: {line}{error.problem}",
            cure="write anchors out" if "anchor" in str(error.problem) else "",
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{what} is no YAML that is read here: {reason:.120}") from error


def items(text: str, found: Found, *, what: str) -> Iterator[tuple[str, Any]]:
    """Give (place, value) for each record of a JSON list, a JSON object, or JSON lines.

    An object's list under ``data``, ``prompts`` or ``versions`` stands for it. A line that does not parse is a failure.

    Raises:
        DataError: the text is one JSON document that does not parse.

    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_object(lines[0][1]):
        for number, line in lines:
            place = f"line {number}"
            with found.trying(place):
                yield place, load_json(line, what="the line")
        return
    document = load_json(text, what=what)
    if isinstance(document, dict):
        document = next(
            (document[name] for name in ("data", "prompts") if isinstance(document.get(name), list)),
            [document],
        )
    if not isinstance(document, list):
        raise DataError(f"{what} holds no records", cure="it should be a list of objects")
    for number, value in enumerate(document, 1):
        yield f"record {number}", value


def _is_object(line: str) -> bool:
    """Whether a line alone is a JSON object: then the text is JSON lines."""
    try:
        return line.lstrip().startswith("{") and isinstance(load_json(line, what="the line"), dict)
    except DataError:
        return False


def _refuse(name: str) -> None:
    raise ValueError(name)
