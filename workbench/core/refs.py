"""References: how people name a prompt, a version or a label in one word.

``title``, ``title@3`` (also ``title@v3``) and ``title@label``. A title holds no ``@`` and a label
never looks like a version, so a reference reads in one way only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from workbench.errors import InputError, NameTakenError, UnknownReferenceError

__all__ = [
    "LATEST",
    "SCRATCH",
    "Ref",
    "check_label",
    "check_tags",
    "check_title",
    "parse_ref",
    "texts",
]

#: The label that the system moves at every save.
LATEST: Final = "latest"
#: Prefix of the titles that the system gives to prompts without one.
SCRATCH: Final = "scratch/"

_MAX_TITLE: Final = 255
_MAX_LABEL: Final = 64
_MAX_TAG: Final = 200
_MAX_VERSION: Final = 2**31 - 1
_VERSION: Final = re.compile(r"[vV]?[0-9]+")
_LABEL: Final = re.compile(r"[^\W\d][\w.-]*")
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Ref:
    """A parsed reference; without version and label it means ``title@latest``.

    >>> str(Ref("classify", version=3))
    'classify@3'
    """

    title: str
    version: int | None = None
    label: str | None = None

    def __str__(self) -> str:
        mark = self.label if self.version is None else self.version
        return self.title if mark is None else f"{self.title}@{mark}"


def parse_ref(text: str) -> Ref:
    """Read a reference.

    Raises:
        UnknownReferenceError: the text cannot name any prompt.

    >>> parse_ref("classify@v3")
    Ref(title='classify', version=3, label=None)
    >>> parse_ref("classify@prod")
    Ref(title='classify', version=None, label='prod')
    """
    if not isinstance(text, str):
        raise UnknownReferenceError(
            f"{text!r:.100} is no reference, but a {type(text).__name__}",
            cure="write title, title@3 or title@label",
        )
    title, at, mark = text.partition("@")
    try:
        title = check_title(title, system=True)
        if not at:
            return Ref(title)
        if _VERSION.fullmatch(mark):
            return Ref(title, version=_version(mark))
        return Ref(title, label=check_label(mark, system=True))
    except InputError as error:
        raise UnknownReferenceError(
            f"{text!r:.300} is no reference: {error.message}",
            cure="write title, title@3 or title@label",
        ) from error


def check_title(title: str, *, system: bool = False) -> str:
    """Return a title as it is stored: trimmed, in Unicode's composed form (NFC).

    Args:
        title: the title that a person gave.
        system: whether titles reserved for the system (``scratch/…``) may pass.

    Raises:
        NameTakenError: the title is empty, too long, or not allowed; the message says which.

    """
    if not isinstance(title, str):
        raise NameTakenError(f"a title is text, not {title!r:.100}", cure="give one, such as 'classify'")
    name = unicodedata.normalize("NFC", title).strip()
    if not name:
        raise NameTakenError("a title cannot be empty", cure="give one, such as 'classify'")
    if len(name) > _MAX_TITLE:
        raise NameTakenError(f"the title has {len(name):,} characters", cure=f"shorten it to {_MAX_TITLE}")
    if "@" in name:
        raise NameTakenError(f"the title {name!r} contains @", cure="leave it out: title@3 names a version")
    if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
        raise NameTakenError(f"the title {name!r} contains a control character", cure="remove it")
    if name.startswith("-"):
        raise NameTakenError(
            f"the title {name!r} starts with -", cure="start it otherwise: options begin with -"
        )
    if name.startswith(SCRATCH) and not system:
        raise NameTakenError(
            f"titles that start with {SCRATCH} are the system's own",
            cure="choose another, such as 'drafts/…'",
        )
    return name


def check_label(label: str, *, system: bool = False) -> str:
    """Return a label that may be put on a version.

    Args:
        label: a word of letters, digits, ``_``, ``-`` and ``.`` that starts with a letter.
        system: whether ``latest``, which every save moves, may pass.

    Raises:
        NameTakenError: the label is not allowed; the message says why.

    """
    if not isinstance(label, str):
        raise NameTakenError(f"a label is text, not {label!r:.100}", cure="use a word, such as 'prod'")
    name = unicodedata.normalize("NFC", label).strip()
    if _VERSION.fullmatch(name):
        raise NameTakenError(f"the label {name!r} looks like a version", cure="use a word, such as 'prod'")
    if not _LABEL.fullmatch(name) or len(name) > _MAX_LABEL:
        raise NameTakenError(
            f"the label {name!r:.100} is not allowed",
            cure=f"use up to {_MAX_LABEL} letters, digits, _, - and ., a letter first, such as 'prod'",
        )
    if name == LATEST and not system:
        raise NameTakenError(
            f"the label {LATEST!r} is moved by every save, never by hand", cure="use another, such as 'prod'"
        )
    return name


def check_tags(tags: Any) -> tuple[str, ...]:
    """Return tags as they are stored: trimmed, each once.

    Args:
        tags: one tag, or several.

    Raises:
        InputError: a tag is empty, too long, no text, or has a control character.

    >>> check_tags("support")
    ('support',)
    """
    found = []
    for tag in texts(tags, what="tags"):
        name = unicodedata.normalize("NFC", tag).strip()
        if not name or len(name) > _MAX_TAG:
            raise InputError(
                f"the tag {name!r:.60} has {len(name):,} characters", cure=f"give it 1 to {_MAX_TAG}"
            )
        if any(unicodedata.category(character) in _UNPRINTABLE for character in name):
            raise InputError(f"the tag {name!r:.100} contains a control character", cure="remove it")
        found.append(name)
    return tuple(dict.fromkeys(found))


def texts(value: Any, *, what: str) -> tuple[str, ...]:
    """Return a list of texts; a text alone is a list of one, never of its letters.

    Raises:
        InputError: it is something else.

    >>> texts("dunning", what="builds_on")
    ('dunning',)
    """
    if isinstance(value, str):
        return (value,)
    found = tuple(value) if isinstance(value, Iterable) else (value,)
    if not all(isinstance(each, str) for each in found):
        raise InputError(
            f"{what} must be text, or a list of texts, not {value!r:.80}", cure="put each in quotes"
        )
    return found


def _version(mark: str) -> int:
    digits = mark.lstrip("vV").lstrip("0")
    if not digits:
        raise UnknownReferenceError("versions count from 1")
    if len(digits) > len(str(_MAX_VERSION)) or int(digits) > _MAX_VERSION:
        raise UnknownReferenceError("no version has so high a number")
    return int(digits)
