"""MLflow's prompt registry: ``dict(prompt_version)`` as JSON, or the rows of its SQLite store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from workbench.core.exchange.chat import settings_from, turns_from
from workbench.core.exchange.documents import items, load_json
from workbench.core.exchange.records import (
    Found,
    PromptRecord,
    mapping,
    optional_text,
    text_field,
    version_field,
)
from workbench.core.exchange.syntax import from_jinja, from_mustache
from workbench.errors import DataError

__all__ = ["is_mlflow", "read_mlflow", "read_mlflow_rows"]

_TEXT: Final = "mlflow.prompt.text"
_TYPE: Final = "_mlflow_prompt_type"
_FORMAT: Final = "_mlflow_prompt_response_format"
_CONFIG: Final = "_mlflow_prompt_model_config"
_OWN: Final = ("mlflow.", "_mlflow_")


def is_mlflow(item: Any) -> bool:
    """Whether a JSON object looks like one of MLflow's prompt versions, or a prompt with its versions."""
    if not isinstance(item, dict):
        return False
    if "name" in item and isinstance(item.get("versions"), list):
        return any(isinstance(each, dict) and "template" in each for each in item["versions"])
    return {"name", "template"} <= item.keys()


def read_mlflow(text: str) -> Found:
    """Read prompt versions: a list of them, or of prompts with ``versions``, or a JSON line each.

    Raises:
        DataError: the text is no JSON, or holds no list.

    """
    found = Found()
    return _read(_flat(items(text, found, what="the MLflow export"), found), found)


def read_mlflow_rows(rows: Iterable[Mapping[str, Any]]) -> Found:
    """Read prompt versions from rows of its database: name, version, description, tags, aliases."""
    found = Found()
    return _read(((f"{row['name']} version {row['version']}", _from_row(row)) for row in rows), found)


def _read(versions: Iterable[tuple[str, Any]], found: Found) -> Found:
    for place, item in versions:
        title = str(item.get("name", ""))[:80] if isinstance(item, dict) else ""
        with found.trying(place, title):
            found.add(_record(place, item, found))
    return found


def _flat(values: Iterable[tuple[str, Any]], found: Found) -> Iterable[tuple[str, Any]]:
    """Give the versions of prompts that have them in a list, each with what it shares with the others."""
    for place, item in values:
        if not isinstance(item, dict) or not isinstance(item.get("versions"), list):
            yield place, item
            continue
        aliases: dict[str, Any] = {}
        with found.trying(place, str(item.get("name", ""))[:80]):
            aliases = mapping(item["aliases"], "the aliases") if isinstance(item.get("aliases"), dict) else {}
        for number, version in enumerate(item["versions"], 1):
            if isinstance(version, dict):
                own = [name for name, target in aliases.items() if str(target) == str(version.get("version"))]
                merged = {"name": item.get("name"), **version}
                yield f"{place}, version {number}", merged | ({"aliases": own} if own else {})
            else:
                yield f"{place}, version {number}", version


def _record(place: str, item: Any, found: Found) -> PromptRecord:
    fields = mapping(item, "the prompt version")
    title = text_field(fields.get("name"), "the name")
    template = fields.get("template")
    if isinstance(template, str):
        content = _convert(text_field(template, "the template"))
    else:
        content, left = turns_from(template, _convert)
        for note in left:
            found.note(place, note, title)
    settings, rest = settings_from(fields.get("model_config"), what="the model_config")
    rest = {"model_config": rest} if rest else {}
    if fields.get("response_format"):
        rest["response_format"] = fields["response_format"]
    if rest:
        found.note(place, f"kept as origin only: {', '.join(rest)}", title)
    when = fields.get("creation_timestamp")
    return PromptRecord(
        place=place,
        title=title,
        content=content,
        version=version_field(fields.get("version")),
        settings=settings,
        tags=_tags(fields.get("tags")),
        labels=_aliases(fields.get("aliases")),
        note=optional_text(fields.get("commit_message") or fields.get("description"), "the commit message"),
        origin=rest | ({"creation_timestamp": when} if when else {}),
    )


def _convert(template: str) -> str:
    """MLflow renders a template with ``{% … %}`` by Jinja, and any other by replacing ``{{ name }}``."""
    if "{%" in template and "%}" in template:
        return from_jinja(template)
    return from_mustache(template, any_name=False)[0]


def _tags(value: Any) -> tuple[str, ...]:
    if isinstance(value, list):  # as its REST interface writes them
        value = {
            each["key"]: each.get("value", "") for each in value if isinstance(each, dict) and "key" in each
        }
    tags = mapping(value, "the tags")
    return tuple(
        name if setting in {"", "true", None} else f"{name}:{setting}"
        for name, setting in tags.items()
        if not name.startswith(_OWN)
    )


def _aliases(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    names = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise DataError("the aliases are no list of texts")
    return tuple(dict.fromkeys(names))


def _from_row(row: Mapping[str, Any]) -> dict[str, Any]:
    tags = dict(row["tags"])
    template: Any = tags.get(_TEXT)
    if tags.get(_TYPE) == "chat" and isinstance(template, str):
        template = _json(template)
    return {
        "name": row["name"],
        "version": row["version"],
        "template": template,
        "commit_message": row["description"],
        "tags": tags,
        "aliases": list(row["aliases"]),
        "model_config": _json(tags.get(_CONFIG)),
        "response_format": _json(tags.get(_FORMAT)),
        "creation_timestamp": row.get("creation_time"),
    }


def _json(text: Any) -> Any:
    """Return what a tag holds; what is no JSON stays as it is, and is refused where it is used."""
    try:
        return load_json(text, what="the tag") if isinstance(text, str) else None
    except DataError:
        return text
