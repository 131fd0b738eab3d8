"""Tables of prompts: CSV, and JSON lines, which is also what is exported in full.

The columns are ``title`` and ``content``, and where wanted ``system_prompt version variables settings tags note
labels parent includes builds_on``. What is exported as JSON lines is read back to the same versions.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from workbench.core.exchange.documents import items, load_json
from workbench.core.exchange.records import (
    Found,
    PromptRecord,
    mapping,
    optional_text,
    text_field,
    texts_field,
    version_field,
)
from workbench.core.values import plain
from workbench.errors import DataError

__all__ = ["check_heading", "csv_columns", "is_record", "read_csv", "read_jsonl", "write_jsonl"]

_SAME: Final = {
    "name": "title", "prompt": "content", "template": "content", "text": "content", "system": "system_prompt",
    "commit_message": "note", "commitmessage": "note", "label": "labels", "tag": "tags",
}  # fmt: skip
_FIELDS: Final = frozenset(
    {
        "title",
        "content",
        "system_prompt",
        "version",
        "variables",
        "settings",
        "tags",
        "note",
        "labels",
        "parent",
        "includes",
        "builds_on",
        "origin",
    }
)
#: What an export says for people and other programs; it is found anew here.
_TOLD: Final = frozenset({"created_at", "content_hash", "ref", "id"})
_MAX_FIELD: Final = 2_000_000


def is_record(item: Any) -> bool:
    """Whether a JSON object has a title and a text."""
    return isinstance(item, dict) and {"title", "content"} <= {
        _SAME.get(str(name).lower(), str(name).lower()) for name in item
    }


def csv_columns(text: str) -> tuple[str, list[str]]:
    """Return the delimiter and the columns of a CSV text, or no columns when it is none with title and content."""
    head = text.lstrip("\ufeff").split("\n", 1)[0].rstrip("\r")
    for delimiter in ",;\t":
        try:
            columns = [_column(name) for name in next(csv.reader([head], delimiter=delimiter), [])]
        except (csv.Error, DataError):  # it is no heading at all
            continue
        if {"title", "content"} <= set(columns):
            return delimiter, columns
    return ",", []


def check_heading(text: str) -> None:
    """Find a heading of which one of the two columns is missing, most often misspelt.

    Raises:
        DataError: it is one.

    """
    head = text.lstrip("\ufeff").lstrip().split("\n", 1)[0].rstrip("\r")
    for delimiter in ",;\t":
        try:
            columns = [_column(name) for name in next(csv.reader([head], delimiter=delimiter), [])]
        except (csv.Error, DataError):
            continue
        missing = [name for name in ("title", "content") if name not in columns]
        if len(columns) > 1 and len(missing) == 1:
            close = difflib.get_close_matches(missing[0], columns, n=1)
            raise DataError(
                f"the first line names the columns {', '.join(columns):.200}, and none is {missing[0]!r}",
                cure=f"rename {close[0]!r} to {missing[0]!r}" if close else f"name one {missing[0]!r}",
            )


def read_jsonl(text: str) -> Found:
    """Read JSON lines, or a JSON list, of prompts.

    Raises:
        DataError: the text is no JSON, or holds no list.

    """
    found = Found()
    for place, item in items(text, found, what="the file"):
        with found.trying(place):
            if not isinstance(item, dict):
                raise DataError("this is no object with title and content")
            _take({_column(str(name)): value for name, value in item.items()}, place, found)
    return found


def read_csv(text: str) -> Found:
    """Read CSV with a heading; the delimiter is a comma, a semicolon or a tab. Lists and objects stand in cells as JSON.

    Raises:
        DataError: the heading has no title and content.

    """
    delimiter, columns = csv_columns(text)
    if not columns:
        check_heading(text)
        raise DataError("the first line does not name the columns title and content", cure="name them there")
    if len(set(columns)) < len(columns):
        raise DataError("the first line names a column twice", cure="rename one")
    found = Found()
    with _long_fields():
        for place, cells in _rows(text, delimiter, found):
            if place == "line 1" or not any(cell.strip() for cell in cells):
                continue
            with found.trying(place):
                if len(cells) != len(columns):
                    raise DataError(f"the row has {len(cells)} cells, the heading {len(columns)}")
                values = dict(zip(columns, cells, strict=True))
                _take({name: _cell(name, value) for name, value in values.items()}, place, found)
    return found


def write_jsonl(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return one JSON object a line, in the order of the rows and of their fields."""
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def _take(fields: Mapping[str, Any], place: str, found: Found) -> None:
    title = text_field(fields.get("title"), "the title")
    unknown = [name for name in fields if name not in _FIELDS and name not in _TOLD]
    if unknown and not found.records:
        found.note(place, f"these columns are not read: {', '.join(unknown[:10])}")
    found.add(
        PromptRecord(
            place=place,
            title=title,
            content=text_field(fields.get("content"), "the content"),
            system_prompt=optional_text(fields.get("system_prompt"), "the system prompt") or None,
            version=version_field(fields.get("version")),
            variables=_variables(fields.get("variables")),
            settings=mapping(fields.get("settings") or {}, "the settings"),
            tags=texts_field(fields.get("tags"), "the tags"),
            note=optional_text(fields.get("note"), "the note"),
            labels=texts_field(fields.get("labels"), "the labels"),
            parent=optional_text(fields.get("parent"), "the parent"),
            includes=mapping(fields.get("includes") or {}, "the includes"),
            builds_on=mapping(fields.get("builds_on") or {}, "builds_on"),
            origin=mapping(fields.get("origin") or {}, "the origin"),
        )
    )


def _variables(value: Any) -> Sequence[Mapping[str, Any]] | None:
    """Return declarations; names alone, or nothing, leave it to the text."""
    if value in (None, "", []):
        return None
    if not isinstance(value, list):
        raise DataError("the variables are no list", cure='write [{"name": "text", "type": "any"}]')
    if all(isinstance(each, str) for each in value):
        return None
    declared: list[Mapping[str, Any]] = []
    for each in value:
        fields = mapping(each, "a variable")
        text_field(fields.get("name"), "a variable's name")
        declared.append(fields)
    return declared


def _cell(name: str, value: str) -> Any:
    """Return what a cell means: a list of words may stand there as JSON or with commas."""
    text = value.strip()
    if not text and name != "content":
        return None
    if name in {"settings", "variables", "includes", "builds_on", "origin"} or (
        name in {"tags", "labels"} and text.startswith("[")
    ):
        if name == "variables" and not text.startswith("["):
            return [part.strip() for part in text.split(",")]
        return load_json(text, what=f"the column {name}")
    return value


def _rows(text: str, delimiter: str, found: Found) -> Iterator[tuple[str, list[str]]]:
    """Give the rows with the line where each begins; one that does not parse is a failure."""
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        place = f"line {line}"
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            found.fail(place, f"the row does not parse: {error}")
            cells = []
        line = max(reader.line_num + 1, line + 1)
        yield place, cells


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(_MAX_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _column(name: str) -> str:
    word = str(plain(name, what="a column's name")).strip().lower().replace(" ", "_")
    return _SAME.get(word, word)
