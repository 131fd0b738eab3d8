"""Prompts of the command-line tool ``llm``: what its log holds, and its template files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from workbench.core.body import join_turns
from workbench.core.exchange.chat import settings_from
from workbench.core.exchange.documents import load_yaml
from workbench.core.exchange.records import Found, PromptRecord, mapping, optional_text, short_title
from workbench.core.exchange.syntax import from_dollars, literal
from workbench.core.values import storable
from workbench.errors import DataError

__all__ = ["is_llm_template", "read_llm_rows", "read_llm_template"]

_TAG: Final = "llm"
_FOLDER: Final = "llm/"
_KEPT: Final = (
    "schema_object",
    "extract",
    "extract_last",
    "fragments",
    "system_fragments",
    "attachments",
    "tools",
)
_FIELDS: Final = frozenset(
    {"name", "prompt", "system", "model", "defaults", "options", "attachment_types", "functions", *_KEPT}
)


def is_llm_template(document: Any) -> bool:
    """Whether a YAML mapping looks like a template of ``llm``."""
    return (
        isinstance(document, dict)
        and bool({"prompt", "system"} & document.keys())
        and document.keys() <= _FIELDS
    )


def read_llm_rows(rows: Iterable[Mapping[str, Any]]) -> Found:
    """Read the log: each different pair of prompt and system prompt is a version.

    What was sent is text, so nothing in it is a variable. Prompts that begin alike are versions of one family.

    Args:
        rows: place, prompt, system, oldest first.

    """
    found = Found()
    seen: set[tuple[str, str]] = set()
    empty = 0
    for row in rows:
        prompt, system = (row.get("prompt") or ""), (row.get("system") or "")
        if not prompt.strip():
            empty += 1
            continue
        if (prompt, system) in seen:
            continue
        seen.add((prompt, system))
        with found.trying(row["place"]):
            storable(prompt + system, what="the prompt")
            turns = [("system", literal(system))] if system.strip() else []
            found.add(
                PromptRecord(
                    place=row["place"],
                    title=f"{_FOLDER}{short_title(prompt) or 'untitled'}",
                    content=join_turns([*turns, ("user", literal(prompt))]),
                    tags=(_TAG,),
                    origin={
                        name: row[name]
                        for name in ("model", "datetime_utc")
                        if isinstance(row.get(name), str)
                    },
                )
            )
    if empty:
        found.note(
            "logs.db", f"{empty:,} responses have no prompt text (attachments or tools only) and are left out"
        )
    return found


def read_llm_template(text: str, *, title: str) -> Found:
    """Read a template file; ``$name`` is a variable, with its default.

    Args:
        text: the YAML.
        title: the file's name without its ending.

    Raises:
        DataError: the text is no template.

    """
    found = Found()
    document = load_yaml(text, what="the template")
    if isinstance(document, str):
        document = {"prompt": document}
    if not is_llm_template(document):
        raise DataError("this is no template of llm", cure="it has the keys prompt or system")
    with found.trying("the template", title):
        found.add(_template(mapping(document, "the template"), title, found))
    return found


def _template(fields: Mapping[str, Any], title: str, found: Found) -> PromptRecord:
    defaults = mapping(fields.get("defaults"), "the defaults")
    system = from_dollars(optional_text(fields.get("system"), "system"), defaults)
    prompt = from_dollars(optional_text(fields.get("prompt"), "prompt") or "$input", defaults)
    settings, rest = settings_from(
        {
            **mapping(fields.get("options"), "the options"),
            **({"model": fields["model"]} if fields.get("model") else {}),
        },
        what="the options",
    )
    rest |= {name: fields[name] for name in _KEPT if fields.get(name)}
    if rest:
        found.note("the template", f"kept as origin only: {', '.join(rest)}", title)
    if fields.get("functions"):
        found.note("the template", "its Python functions are left out", title)
    turns = [("system", system)] if system.strip() else []
    return PromptRecord(
        place="the template",
        title=title,
        content=join_turns([*turns, ("user", prompt)]),
        settings=settings,
        tags=(_TAG,),
        origin=rest,
    )
