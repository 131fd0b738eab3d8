"""Langfuse's prompts, as its public API gives them: ``GET /api/public/v2/prompts/{name}?version=…``."""

from __future__ import annotations

from typing import Any

from workbench.core.exchange.chat import settings_from, turns_from
from workbench.core.exchange.documents import items
from workbench.core.exchange.records import (
    Found,
    PromptRecord,
    mapping,
    optional_text,
    text_field,
    texts_field,
    version_field,
)
from workbench.core.exchange.syntax import from_langfuse_references, from_mustache
from workbench.core.values import plain
from workbench.errors import DataError

__all__ = ["is_langfuse", "read_langfuse"]


def is_langfuse(item: Any) -> bool:
    """Whether a JSON object looks like one of Langfuse's prompts, or like a line of its list."""
    if not isinstance(item, dict) or "name" not in item:
        return False
    return ("prompt" in item and bool({"labels", "type", "commitMessage"} & item.keys())) or (
        isinstance(item.get("versions"), list) and "lastConfig" in item
    )


def read_langfuse(text: str) -> Found:
    """Read prompts: one object, a list, ``{"data": […]}``, or a JSON line each.

    Raises:
        DataError: the text is no JSON, or holds no list.

    """
    found = Found()
    for place, item in items(text, found, what="the Langfuse export"):
        title = str(item.get("name", ""))[:80] if isinstance(item, dict) else ""
        with found.trying(place, title):
            found.add(_record(place, item, found))
    return found


def _record(place: str, item: Any, found: Found) -> PromptRecord:
    fields = mapping(item, "the prompt")
    title = text_field(fields.get("name"), "the name")
    if "prompt" not in fields and "versions" in fields:
        raise DataError(
            "this is a line of the list of prompts, without any text",
            cure="get each version: GET /api/public/v2/prompts/NAME?version=1",
        )
    notes: list[str] = []

    def convert(text: str) -> str:
        parts, renamed = from_mustache(text)
        notes.extend(f"the variable {old!r} is called {new!r}" for old, new in renamed.items())
        linked, refs = from_langfuse_references(parts)
        notes.extend(f"it includes {ref}" for ref in refs)
        return linked

    prompt = fields.get("prompt")
    if isinstance(prompt, str):
        content = convert(text_field(prompt, "the prompt"))
    else:
        content, left = turns_from(prompt, convert)
        notes += left
    settings, rest = settings_from(fields.get("config"), what="the config")
    if rest:
        notes.append(f"of its config is kept as origin only: {', '.join(rest)}")
    for note in notes:
        found.note(place, note, title)
    return PromptRecord(
        place=place,
        title=title,
        content=content,
        version=version_field(fields.get("version")),
        settings=settings,
        tags=texts_field(fields.get("tags"), "the tags"),
        labels=texts_field(fields.get("labels"), "the labels"),
        note=optional_text(fields.get("commitMessage"), "the commit message"),
        origin=plain(
            {name: fields[name] for name in ("createdAt", "createdBy") if fields.get(name)}
            | ({"config": rest} if rest else {}),
            what="the origin",
        ),
    )
