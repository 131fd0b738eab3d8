"""What an import finds and an export writes: prompt versions as plain records, and what was wrong, with its place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from workbench.core.values import plain
from workbench.errors import DataError, InputError

__all__ = [
    "DataRecord",
    "Found",
    "Issue",
    "PromptRecord",
    "by_place",
    "in_order",
    "mapping",
    "one_line",
    "optional_text",
    "short_title",
    "text_field",
    "texts_field",
    "version_field",
]

#: A file with more records than this is no library of prompts.
_MAX_RECORDS: Final = 200_000
_SHORT: Final = 60
_INCLUDE: Final = re.compile(r"""\{%-?\s*include\s+["'](?P<ref>[^"'\n]+)["']""")


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptRecord:
    """One version of a prompt, on its way in or out.

    Attributes:
        place: where it stands in the source: ``line 3``, ``record 2``, ``tone/3.md``.
        title: the family's name, as the source has it.
        content: the text as a cell has it; role lines and front matter may stand in it.
        system_prompt: the system text where it is not part of the content.
        version: its number in the source, or None.
        variables: declarations; None where they are what the text says.
        settings: model and options; front matter adds to them.
        tags: words to find it by.
        note: why it exists: the commit message.
        labels: names for this version, ``latest`` too where the source says.
        parent: the reference of the version that it came from; empty for the one before it.
        includes: reference in the text → the exact version that it meant, ``title@3``.
        builds_on: reference of a prompt that comes first → the exact version that it meant, in order.
        origin: what else the source said; kept, never used.

    """

    place: str
    title: str
    content: str
    system_prompt: str | None = None
    version: int | None = None
    variables: Sequence[Mapping[str, Any]] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    note: str = ""
    labels: tuple[str, ...] = ()
    parent: str = ""
    includes: Mapping[str, str] = field(default_factory=dict)
    builds_on: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def refs(self) -> list[str]:
        """References that the text itself includes."""
        return _INCLUDE.findall(f"{self.system_prompt or ''}\n{self.content}")

    @property
    def composed(self) -> bool:
        """Whether it is made of other prompts, which have to be stored before it."""
        return bool(self.includes or self.builds_on or self.refs)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataRecord:
    """Rows that came along with prompts.

    Attributes:
        name: of the dataset.
        rows: column → value.
        expected: the column of right answers, or None.

    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    expected: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """Something that a person should know about one record.

    Attributes:
        place: where in the source.
        title: of which prompt, or empty.
        reason: what is wrong, and the cure where there is one.

    """

    place: str
    title: str = ""
    reason: str


@dataclass(slots=True)
class Found:
    """What a reader found; it grows while the source is read.

    Attributes:
        records: versions, in the order of the source.
        failures: records that are left out.
        notes: what was changed or is not carried over.
        data: rows that came along.
        scorers: how the source judged answers, as scorers are written here.

    """

    records: list[PromptRecord] = field(default_factory=list)
    failures: list[Issue] = field(default_factory=list)
    notes: list[Issue] = field(default_factory=list)
    data: list[DataRecord] = field(default_factory=list)
    scorers: list[str] = field(default_factory=list)

    def add(self, record: PromptRecord) -> None:
        """Take a record.

        Raises:
            DataError: there are too many.

        """
        if len(self.records) >= _MAX_RECORDS:
            raise DataError(f"there are more than {_MAX_RECORDS:,} records", cure="split the file")
        self.records.append(record)

    def fail(self, place: str, reason: str | InputError, title: str = "") -> None:
        """Leave a record out."""
        self.failures.append(Issue(place=place, title=title, reason=one_line(reason)))

    def note(self, place: str, reason: str, title: str = "") -> None:
        """Say what a person should know."""
        self.notes.append(Issue(place=place, title=title, reason=reason))

    @contextmanager
    def trying(self, place: str, title: str = "") -> Iterator[None]:
        """Read one record: what is wrong with it is its failure, and the next one is read."""
        try:
            yield
        except InputError as error:
            self.fail(place, error, title)


def by_place(issues: Sequence[Issue]) -> tuple[Issue, ...]:
    """Return issues in the order of the source: line 9 comes before line 10."""
    return tuple(
        sorted(
            issues,
            key=lambda issue: [
                (0, int(part), "") if part.isdecimal() else (1, 0, part)
                for part in re.split(r"([0-9]{1,15})", issue.place)
            ],
        )
    )


def one_line(reason: str | InputError) -> str:
    """Return a reason, and an error's cure, in one line."""
    if isinstance(reason, str):
        return reason
    return f"{reason.message}; {reason.cure}" if reason.cure else reason.message


def mapping(value: Any, what: str) -> dict[str, Any]:
    """Return a JSON object with text keys and plain values; None is an empty one.

    Raises:
        DataError: it is something else, or holds what cannot be stored.

    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError(f"{what} is {_kind(value)}, not an object", cure='write it as {"name": value}')
    found: dict[str, Any] = plain(value, what=what)
    return found


def text_field(value: Any, what: str) -> str:
    """Return a text that must be there.

    Raises:
        DataError: it is missing, empty or no text.

    """
    if value is None or value == "":
        raise DataError(f"{what} is missing")
    if not isinstance(value, str):
        raise DataError(f"{what} is {_kind(value)}, not text")
    return str(plain(value, what=what))


def optional_text(value: Any, what: str) -> str:
    """Return a text that may be left out.

    Raises:
        DataError: it is no text.

    """
    return "" if value is None or value == "" else text_field(value, what)


def texts_field(value: Any, what: str) -> tuple[str, ...]:
    """Return a list of texts as it is; None is none, and a text with commas is several.

    Raises:
        DataError: it is something else.

    """
    if value is None:
        return ()
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, Sequence) or not all(isinstance(part, str) for part in value):
        raise DataError(f"{what} is {_kind(value)}, not a list of texts")
    return tuple(dict.fromkeys(plain(list(value), what=what)))


def version_field(value: Any) -> int | None:
    """Return a version's number, or None where there is none.

    Raises:
        DataError: it is no whole number from 1.

    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"[vV]?[0-9]{1,10}", value.strip()):
        value = int(value.strip().lstrip("vV"))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
        raise DataError(f"the version is {str(value)!r:.40}, not a whole number from 1")
    return value


def short_title(text: str) -> str:
    r"""Return a title made of a text's first words.

    >>> short_title("Name three rivers in France\\nand their lengths")
    'Name three rivers in France'
    """
    line = next((line for line in text[:2000].splitlines() if line.strip()), "").replace("@", " at ")
    printable = "".join(" " if unicodedata.category(sign)[0] in "CZ" else sign for sign in line)
    words = " ".join(printable.split()).lstrip("- ")
    return words if len(words) <= _SHORT else f"{words[:_SHORT].rsplit(' ', 1)[0]}…"


def in_order(families: Mapping[str, Sequence[PromptRecord]]) -> list[str]:
    """Return the titles so that what a prompt includes, or was forked from, stands before it where possible."""
    done: dict[str, None] = {}
    stack = [(title, False) for title in reversed(list(families))]
    entered: set[str] = set()
    while stack:
        title, ready = stack.pop()
        if ready:
            done.setdefault(title)
        elif title not in entered:
            entered.add(title)
            stack.append((title, True))
            stack += [
                (need, False) for need in _needs(families[title]) if need in families and need not in entered
            ]
    return list(done)


def _needs(records: Sequence[PromptRecord]) -> list[str]:
    refs = [
        ref
        for record in records
        for ref in (record.parent, *record.includes.values(), *record.builds_on.values(), *record.refs)
    ]
    return [ref.partition("@")[0] for ref in refs if ref]


def _kind(value: Any) -> str:
    kinds = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
    }
    return kinds.get(type(value), f"a {type(value).__name__}")
