"""A folder of files that git can compare: a folder for each prompt, a file for each version.

::

    support/tone/prompt.json      title and labels; note, tags and what the text cannot say, by version
    support/tone/1.md             the text, as one would write it in a cell
    support/tone/2.md

A title that is not a plain path (capitals, spaces, dots, a reserved name) gets a folder with a part of its hash,
``tone-of-voice~3f2a9c51``, and its exact form stands in ``prompt.json``. The same prompts give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from workbench.core.body import join_turns, parse_body
from workbench.core.exchange.documents import load_json
from workbench.core.exchange.records import (
    Found,
    PromptRecord,
    mapping,
    optional_text,
    text_field,
    texts_field,
    version_field,
)
from workbench.errors import DataError, TemplateError

__all__ = ["INDEX", "MARK", "folder_of", "is_index", "is_version_file", "read_family", "write_family"]

#: The file of a prompt's folder that says what the texts do not.
INDEX: Final = "prompt.json"
#: What that file says of itself.
MARK: Final = "workbench-prompt/1"

_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}(?:/[a-z0-9][a-z0-9_-]{0,59}){0,5}")
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:/|$)")
_VERSION_FILE: Final = re.compile(r"(?P<version>[1-9][0-9]{0,9})\.md")
_DIGITS: Final = 12
_HOISTED: Final = ("model", "temperature", "top_p", "max_tokens", "seed", "stop")


def folder_of(title: str) -> str:
    """Return the folder of a title: a path with ``/`` that every file system takes, different for different titles.

    >>> folder_of("support/tone"), folder_of("Tone of voice")
    ('support/tone', 'tone-of-voice~54eea377cc25')
    """
    if _PLAIN.fullmatch(title) and not any(_RESERVED.match(part) for part in title.split("/")):
        return title
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].strip("-") or "prompt"
    return f"{word}~{hashlib.sha256(title.encode()).hexdigest()[:_DIGITS]}"


def is_version_file(name: str) -> bool:
    """Whether a file's name is that of a version: ``3.md``."""
    return _VERSION_FILE.fullmatch(name) is not None


def is_index(text: str) -> bool:
    """Whether a text is the index of a prompt's folder."""
    try:
        found = load_json(text, what=INDEX)
    except DataError:
        return False
    return isinstance(found, dict) and found.get("format") == MARK


def write_family(records: Sequence[PromptRecord]) -> dict[str, str]:
    """Return the files of one prompt: name → text.

    Args:
        records: all its versions, in order, with their numbers; ``variables`` only where they are not what the
            text says.

    """
    files: dict[str, str] = {}
    versions: dict[str, dict[str, Any]] = {}
    labels: dict[str, int] = {}
    before = ""
    for record in records:
        number = record.version or 0
        text, said = _version_text(record)
        about: dict[str, Any] = {"note": record.note} if record.note else {}
        if record.tags:
            about["tags"] = list(record.tags)
        if record.variables is not None:
            about["variables"] = [dict(variable) for variable in record.variables]
        if not said:
            about["settings"] = dict(record.settings)
        if record.parent != before:
            about["parent"] = record.parent
        if record.includes:
            about["includes"] = dict(record.includes)
        if record.builds_on:
            about["builds_on"] = dict(record.builds_on)
        versions[str(number)] = about
        labels |= dict.fromkeys(record.labels, number)
        files[f"{number}.md"] = text
        before = f"{record.title}@{number}"
    index = {
        "format": MARK,
        "title": records[0].title,
        "labels": dict(sorted(labels.items())),
        "versions": versions,
    }
    files[INDEX] = f"{json.dumps(index, ensure_ascii=False, indent=2)}\n"
    return files


def read_family(folder: str, index: str, texts: Mapping[str, str], found: Found) -> None:
    """Read one prompt's folder.

    Args:
        folder: its path, for places.
        index: the text of ``prompt.json``.
        texts: name → text of its version files.
        found: what the records are added to.

    """
    place = f"{folder}/{INDEX}"
    with found.trying(place):
        said = mapping(load_json(index, what=INDEX), INDEX)
        if said.get("format") != MARK:
            raise DataError(
                f"its format is {str(said.get('format'))!r:.60}, not {MARK!r}", cure="use a newer workbench"
            )
        title = text_field(said.get("title"), "the title")
        about = mapping(said.get("versions"), "versions")
        numbers = sorted(
            {version_field(name.removesuffix(".md")) or 0 for name in texts}
            | {_number(each) for each in about}
        )
        named = {
            name: version_field(number) for name, number in mapping(said.get("labels"), "labels").items()
        }
        _read_versions(folder, title, found, numbers=numbers, about=about, texts=texts, named=named)


def _read_versions(
    folder: str,
    title: str,
    found: Found,
    *,
    numbers: Sequence[int],
    about: Mapping[str, Any],
    texts: Mapping[str, str],
    named: Mapping[str, int | None],
) -> None:
    before = ""
    for number in numbers:
        place = f"{folder}/{number}.md"
        with found.trying(place, title):
            if f"{number}.md" not in texts:
                raise DataError(f"{INDEX} names version {number}, and its file is not there")
            own = mapping(about.get(str(number)), f"version {number} in {INDEX}")
            declared = own.get("variables")
            found.add(
                PromptRecord(
                    place=place,
                    title=title,
                    content=texts[f"{number}.md"].removesuffix("\n"),
                    version=number,
                    variables=None if declared is None else _objects(declared),
                    settings=mapping(own.get("settings"), "settings"),
                    tags=texts_field(own.get("tags"), "tags"),
                    note=optional_text(own.get("note"), "note"),
                    labels=tuple(label for label, at in named.items() if at == number),
                    parent=optional_text(own.get("parent", before), "parent"),
                    includes=mapping(own.get("includes"), "includes"),
                    builds_on=mapping(own.get("builds_on"), "builds_on"),
                )
            )
        before = f"{title}@{number}"


def _version_text(record: PromptRecord) -> tuple[str, bool]:
    """Return a version's file, and whether it says the settings: what does not survive being read goes elsewhere."""
    body = parse_body(record.content, system=record.system_prompt)
    turns = [(message.role, message.text) for message in body.messages]
    alone = body.system is None and len(turns) == 1
    text = (
        body.content if alone else join_turns([*([("system", body.system)] if body.system else []), *turns])
    )
    front = _front_matter(record.settings) if record.settings else ""
    if front:
        try:
            again = parse_body(f"{front}{text}")
        except TemplateError:
            again = None
        if (
            again is not None
            and (again.content, again.system) == (body.content, body.system)
            and _same(_said(again.front_matter), record.settings)
        ):
            return f"{front}{text}\n", True
    return f"{text}\n", not record.settings


def _front_matter(settings: Mapping[str, Any]) -> str:
    top = {name: settings[name] for name in _HOISTED if name in settings}
    more = {name: value for name, value in settings.items() if name not in top}
    front = {**top, **({"options": more} if more else {})}
    return f"---\n{yaml.dump(front, Dumper=_Dumper, allow_unicode=True, sort_keys=True, width=10_000)}---\n"


def _said(front: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that front matter gives, if it holds nothing else."""
    if front.keys() - {*_HOISTED, "options"}:
        return {}
    hoisted = {name: front[name] for name in _HOISTED if name in front}
    return {**dict(front.get("options") or {}), **hoisted}


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two settings make the same content: 1 and 1.0 do not."""
    return json.dumps(one, sort_keys=True) == json.dumps(dict(other), sort_keys=True)


class _Dumper(yaml.SafeDumper):
    """Writes every value out: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base's signature
        return True


def _objects(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise DataError("variables is no list")
    return [mapping(each, "a variable") for each in value]


def _number(text: str) -> int:
    number = version_field(text)
    if number is None:
        raise DataError(f"versions in {INDEX} has an empty number")
    return number
