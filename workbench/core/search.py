"""What a person types to find something, and what is shown of what was found."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from workbench.errors import InputError

__all__ = [
    "CLOSE",
    "MAX_QUERY",
    "OPEN",
    "check_limit",
    "clean_query",
    "moment",
    "near_words",
    "shown_marks",
    "shown_of",
    "single_line",
    "stems_of",
    "typed",
    "typed_words",
    "whole_braces",
    "without_marks",
]

#: Stand around a word that was found: private characters, which no text may bring along. Views turn them into marks.
OPEN: Final = "\ue000"
CLOSE: Final = "\ue001"
#: Characters of a query.
MAX_QUERY: Final = 1_000

_MAX_ROWS: Final = 1_000
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]*>")
_LEXEME: Final = re.compile(r"(!?)'((?:[^']|'')+)'")
#: Words that are looked at for a misspelling; a longer query is no typo.
_MAX_WORDS: Final = 6


def clean_query(text: str) -> str:
    r"""Return a query as the database can read it: one line, no control characters, no tags.

    ``/``, ``.`` and ``_`` separate words, as they do in what is searched; a tag such as ``<b>`` is none there.

    Raises:
        InputError: there is nothing in it, or too much.

    >>> clean_query(' refund/"late  payment"\x00 ')
    'refund "late payment"'
    """
    if not isinstance(text, str):
        raise InputError(
            f"a search is text, not {type(text).__name__}",
            cure="write it as 'refund', or '\"late payment\" -draft'",
        )
    if len(text) > MAX_QUERY:
        raise InputError(
            f"the search has {len(text):,} characters",
            cure=f"shorten it to {MAX_QUERY:,}; a few words find more",
        )
    words = " ".join(_TAG.sub(" ", typed(text)).translate(str.maketrans("/._<>", "     ")).split())
    if not any(letter.isalnum() for letter in words):
        raise InputError(
            f"there is no word in the search {text.strip()!r:.60}", cure="give one or more words to look for"
        )
    return words


def typed(text: str) -> str:
    r"""Return a query as it was typed, on one line and without control characters: what a heading shows.

    >>> typed(" <b>late</b>\n payment ")
    '<b>late</b> payment'
    """
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def check_limit(limit: object) -> int:
    """Return how many rows are wanted.

    Raises:
        InputError: it is no whole number from 1 to 1,000.

    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= _MAX_ROWS:
        raise InputError(f"limit is {limit!r:.60}", cure=f"give a whole number from 1 to {_MAX_ROWS:,}")
    return limit


def moment(value: str | dt.date | dt.datetime | None, name: str, *, end: bool = False) -> dt.datetime | None:
    """Return a time with its zone, by default the local one.

    Args:
        value: a datetime, a date, or either in ISO form; a date means its beginning.
        name: of the argument, for the message.
        end: a date means the beginning of the next day, so that the day is part of what ends then.

    Raises:
        InputError: it is no time.

    >>> moment("2026-11-25T09:00:00+00:00", "since").isoformat()
    '2026-11-25T09:00:00+00:00'
    """
    if value is None:
        return None
    found: dt.date | dt.datetime = _parsed(value, name) if isinstance(value, str) else value
    if not isinstance(found, dt.date):
        raise InputError(
            f"{name} is {value!r:.60}, not a time", cure="write it as 2026-11-25 or 2026-11-25T09:00"
        )
    try:
        if not isinstance(found, dt.datetime):
            day = found + dt.timedelta(days=1) if end else found
            found = dt.datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the next line gives it the local zone
        return found if found.tzinfo else found.astimezone()
    except (OverflowError, OSError) as error:
        raise InputError(
            f"{name} is {value!s:.60}, out of range", cure="give a year from 1970 to 9998"
        ) from error


def _parsed(text: str, name: str) -> dt.date | dt.datetime:
    try:
        return (dt.date if re.fullmatch(r"\d{4}-\d\d-\d\d", text.strip()) else dt.datetime).fromisoformat(
            text.strip()
        )
    except ValueError as error:
        raise InputError(
            f"{name} is {text!r:.60}, not a time", cure="write it as 2026-11-25 or 2026-11-25T09:00"
        ) from error


def typed_words(query: str) -> list[str]:
    """Return the words of a query that may be misspelt, in lower case: no numbers, none that is excluded.

    >>> typed_words('Refnd OR "late payment" -draft 2024')
    ['refnd', 'late', 'payment']
    """
    found = re.findall(r"(?<![\w-])[^\W\d_]{3,30}(?!\w)", query.lower())
    return list(dict.fromkeys(word for word in found if word.isalpha() and word != "or"))[:_MAX_WORDS]


def near_words(word: str) -> list[str]:
    """Return every word that one slip of the keys makes of this one, itself first.

    A slip leaves out, adds or changes a letter, or swaps two neighbours.

    >>> "refund" in near_words("refnd"), "receive" in near_words("recieve")
    (True, True)
    """
    halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    near = [word]
    near += [left + right[1:] for left, right in halves if right]
    near += [left + right[1] + right[0] + right[2:] for left, right in halves if len(right) > 1]
    near += [left + letter + right[1:] for left, right in halves if right for letter in _LETTERS]
    near += [left + letter + right for left, right in halves for letter in _LETTERS]
    return list(dict.fromkeys(near))


def single_line(text: str) -> str:
    """Return a snippet on one line."""
    return " ".join(text.split())


def whole_braces(text: str) -> str:
    """Return a snippet in which no variable is cut in half.

    >>> whole_braces("Hello {{ name … name }} of {{ firm }}")
    'Hello {{ name }} … {{ name }} of {{ firm }}'
    """
    parts = []
    for part in text.split(" … "):
        whole = f"{part} }}}}" if part.rfind("{{") > part.rfind("}}") else part
        first = whole.find("}}")
        parts.append(f"{{{{ {whole}" if first >= 0 and "{{" not in whole[:first] else whole)
    return " … ".join(parts)


def shown_marks(text: str) -> str:
    r"""Return a snippet for a terminal or a table: «these words» were found.

    >>> shown_marks("a \ue000refund\ue001 of")
    'a «refund» of'
    """
    return text.replace(OPEN, "«").replace(CLOSE, "»")


def without_marks(text: str) -> str:
    """Return the plain text of a snippet."""
    return text.replace(OPEN, "").replace(CLOSE, "")


def stems_of(query: str) -> list[str]:
    """Return how the words of a tsquery begin in a text; the end of a stem may be spelt otherwise there.

    >>> stems_of("'polici' & ( 'tone' | !'draft':* )")
    ['polic', 'tone']
    """
    stems = [stem.replace("''", "'") for negated, stem in _LEXEME.findall(query) if not negated]
    return [stem[:-1] if len(stem) > 4 else stem for stem in stems]


def shown_of(query: str) -> str:
    """Return the tsquery of what a snippet marks: any of the words; of a phrase, the phrase.

    >>> shown_of("'polici' & ( 'tone' | !'draft':* )")
    "'polici' | 'tone'"
    """
    if "<" in query:
        return query
    return " | ".join(f"'{stem}'" for negated, stem in _LEXEME.findall(query) if not negated)
