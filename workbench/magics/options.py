"""Options of a magic's line as a table: reading, checking and help all come from it.

No option takes an optional value, so a title is never eaten by the option before it.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.errors import InputError, OptionError, did_you_mean

__all__ = [
    "Option",
    "Variable",
    "choice",
    "format_options",
    "number",
    "parameter",
    "provider_option",
    "read_options",
    "split_line",
    "text",
    "whole",
]

_SPACE: Final = " \t\r\n"
_QUOTES: Final = "'\""
_NAME: Final = re.compile(r"[^\W\d]\w*")
_PAIR: Final = re.compile(r"(?P<name>[^=:]+)(?P<how>:?=)(?P<value>.*)", re.DOTALL)
_SHOWN: Final = 60
_WIDTH: Final = 32


@dataclass(frozen=True, slots=True)
class Variable:
    """``-p name=@variable``: the value is the notebook's variable of that name."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One row of the table.

    Attributes:
        field: name of the attribute that it sets.
        names: how it is written, the short form first.
        help: one line for people.
        metavar: name of its value in the help; empty for a flag.
        read: turns the value's text into a value; raises ``ValueError`` with the reason.
        many: whether it may be given several times: the values are collected.
        pairs: whether its values are (name, value) pairs: they are collected in a dict.

    """

    field: str
    names: tuple[str, ...]
    help: str
    metavar: str = ""
    read: Callable[[str], Any] = str
    many: bool = False
    pairs: bool = False

    @property
    def empty(self) -> Any:
        """The value when the option is not given."""
        if self.pairs:
            return {}
        if self.many:
            return ()
        return None if self.metavar else False


def split_line(line: str, *, magic: str) -> list[str]:
    r"""Split a line as a shell does: quotes group, ``#`` at the start of a word begins a comment.

    Raises:
        OptionError: a quote is not closed, or a backslash outside quotes would get lost.

    >>> split_line("tone -c 'regex:\\d+'  # a comment", magic="%prompt")
    ['tone', '-c', 'regex:\\d+']
    """
    try:
        return shlex.split(_without_comment(line, magic))
    except ValueError as error:
        raise OptionError(f"{magic}: the line ends in a backslash", cure="remove it") from error


def _without_comment(line: str, magic: str) -> str:
    """Cut the comment off; shlex would also cut ``issue#12``, and not say which quote is open."""
    quote, opened, at_start, place = "", 0, True, 0
    while place < len(line):
        character = line[place]
        if character == "\\" and quote != "'":
            if not quote:
                _check_backslash(line, place, magic)
            at_start, place = False, place + 2
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote, opened = character, place
        elif character == "#" and at_start:
            return line[:place]
        at_start, place = not quote and character in _SPACE, place + 1
    if quote:
        raise OptionError(
            f"{magic}: the quote {quote} in {line[line.rfind(' ', 0, opened) + 1 :]:.{_SHOWN}} is not closed",
            cure='close it; an apostrophe stands inside the other quotes: --note "don\'t"',
        )
    return line


def _check_backslash(line: str, place: int, magic: str) -> None:
    if line[place + 1 : place + 2].isalnum():
        raise OptionError(
            f"{magic}: the backslash in {line[place:]:.{_SHOWN}} would get lost",
            cure="put the word in single quotes, such as -c 'regex:\\d+'",
        )


def read_options(
    words: Iterable[str], options: Sequence[Option], *, magic: str
) -> tuple[dict[str, Any], list[str]]:
    """Read the options among the words of a line.

    ``--name value``, ``--name=value``, ``-n value`` and ``-nvalue`` are the forms.

    Args:
        words: the words, from :func:`split_line`.
        options: the table.
        magic: the magic's name, for messages.

    Returns:
        A value for every field of the table, and the words that are no options, in order.

    Raises:
        OptionError: an option is unknown, given twice, or its value is missing or wrong.

    """
    reader = _Reader(options, magic)
    others = []
    queue = iter(words)
    for word in queue:
        if word.startswith("-") and word != "-":
            reader.take(word, queue)
        else:
            others.append(word)
    return reader.values, others


class _Reader:
    def __init__(self, options: Sequence[Option], magic: str) -> None:
        self.magic = magic
        self.table = {name: option for option in options for name in option.names}
        self.values = {option.field: option.empty for option in options}
        self._given: set[str] = set()

    def take(self, word: str, queue: Iterator[str]) -> None:
        """Read one option, and its value from the words that follow."""
        name, attached = self._find(word)
        option = self.table[name]
        if option.field in self._given and not (option.many or option.pairs):
            raise self._error(f"{name} is given twice", "leave one of them out")
        self._given.add(option.field)
        if not option.metavar:
            if attached is not None:
                raise self._error(f"{name} takes no value", f"write {name} alone")
            self.values[option.field] = True
            return
        given = next(queue, None) if attached is None else attached
        if given is None or (attached is None and given.partition("=")[0] in self.table):
            raise self._error(f"{name} needs a value", f"write {name} {option.metavar}")
        self._store(name, option, self._value(name, option, given))

    def _find(self, word: str) -> tuple[str, str | None]:
        """Return an option's name as written, and the value that is attached to it."""
        if word in self.table:
            return word, None
        name, equals, value = word.partition("=")
        if equals and name in self.table:
            return name, value
        short = word[:2]
        if short in self.table and self.table[short].metavar:
            return short, word[2:]
        letters = [f"-{letter}" for letter in word[1:]]
        if all(letter in self.table for letter in letters):
            raise self._error(
                f"short options are not joined: {word!r:.{_SHOWN}}", f"write {' '.join(letters)}"
            )
        raise self._error(
            f"there is no option {name!r:.{_SHOWN}}",
            did_you_mean(name, self.table) or f"%{self.magic.lstrip('%')} --help lists the options",
        )

    def _value(self, name: str, option: Option, given: str) -> Any:
        try:
            return option.read(given)
        except InputError as error:
            raise self._error(f"{name}: {error.message}", error.cure) from error
        except ValueError as error:
            raise self._error(
                f"{name} {error}, not {given!r:.{_SHOWN}}", f"write {name} {option.metavar}"
            ) from error

    def _store(self, name: str, option: Option, value: Any) -> None:
        if option.pairs:
            key, inner = value
            if key in self.values[option.field]:
                raise self._error(f"{name} {key} is given twice", "leave one of them out")
            self.values[option.field][key] = inner
        elif option.many:
            self.values[option.field] += (value,)
        else:
            self.values[option.field] = value

    def _error(self, message: str, cure: str) -> OptionError:
        return OptionError(f"{self.magic}: {message}", cure=cure)


def text(given: str) -> str:
    """Read any text that is not blank."""
    if not given.strip():
        raise ValueError("must be a text")
    return given


def number(low: float, high: float = math.inf, *, above: bool = False) -> Callable[[str], float]:
    """Return a reader of numbers from ``low`` to ``high``; ``above`` excludes ``low`` itself."""
    what = f"must be a number {'above' if above else 'from'} {low:g}" + (
        "" if high == math.inf else f" to {high:g}"
    )

    def read(given: str) -> float:
        try:
            value = float(given)
        except ValueError as error:
            raise ValueError(what) from error
        if not (math.isfinite(value) and low <= value <= high) or (above and value == low):
            raise ValueError(what)
        return value

    return read


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``low`` to ``high``."""
    what = f"must be a whole number from {low:,}" + ("" if high is None else f" to {high:,}")

    def read(given: str) -> int:
        try:
            value = int(given)
        except ValueError as error:
            raise ValueError(what) from error
        if value < low or (high is not None and value > high):
            raise ValueError(what)
        return value

    return read


def choice(*names: str) -> Callable[[str], str]:
    """Return a reader of one of some words."""

    def read(given: str) -> str:
        if given not in names:
            guess = did_you_mean(given, names)
            raise ValueError(f"must be one of {', '.join(names)}" + (f" ({guess})" if guess else ""))
        return given

    return read


def parameter(given: str) -> tuple[str, Any]:
    """Read ``name=text``, ``name:=JSON`` or ``name=@variable``."""
    name, how, value = _pair(given)
    if not _NAME.fullmatch(name):
        raise ValueError("must begin with a variable's name")
    if how == ":=":
        return name, _json(value)
    if not value.startswith("@"):
        return name, value
    if not _NAME.fullmatch(value[1:]):
        raise ValueError("must name a variable after @; for a text with @ write name:='\"@text\"'")
    return name, Variable(value[1:])


def provider_option(given: str) -> tuple[str, Any]:
    """Read ``name=value``, where numbers, true and false are typed, or ``name:=JSON``."""
    name, how, value = _pair(given)
    if how == ":=":
        return name, _json(value)
    try:
        typed = _json(value)
    except ValueError:
        return name, value
    return name, typed if isinstance(typed, bool | int | float) else value


def _pair(given: str) -> tuple[str, str, str]:
    match = _PAIR.fullmatch(given)
    if match is None:
        raise ValueError("must be name=text, name:=JSON or name=@variable")
    return match["name"], match["how"], match["value"]


def _json(given: str) -> Any:
    try:
        return json.loads(given, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError("must hold JSON after := (text in double quotes, all in single quotes)") from error


def _finite(given: str) -> float:
    value = float(given)
    if not math.isfinite(value):
        raise ValueError("JSON has no NaN and no infinity")
    return value


def format_options(options: Sequence[Option]) -> str:
    """Return the table as lines of help."""
    lines = []
    for option in options:
        form = f"{', '.join(option.names)} {option.metavar}".rstrip()
        several = " (repeatable)" if option.many or option.pairs else ""
        gap = "\n" + " " * (_WIDTH + 2) if len(form) >= _WIDTH else " " * (_WIDTH - len(form))
        lines.append(f"  {form}{gap}{option.help}{several}")
    return "\n".join(lines)
