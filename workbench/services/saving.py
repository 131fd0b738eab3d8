"""From a parsed body to a stored version: what counts as its content, and how concurrent saves take turns."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from workbench.core.body import PromptBody
from workbench.core.composition import compose, include_refs
from workbench.core.declarations import declare, read_declarations
from workbench.core.front_matter import check_settings
from workbench.core.refs import SCRATCH, check_tags, check_title, texts
from workbench.core.values import check_text, storable
from workbench.core.versions import Include, PromptVersion
from workbench.db.queries import prompts as queries
from workbench.errors import ConflictError, NameTakenError, SchemaError
from workbench.services.composing import pin

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = [
    "bases_of",
    "checked_settings",
    "draft_of",
    "name_taken",
    "preview",
    "settings_of",
    "store",
    "taken",
    "variables_of",
]

#: Concurrent saves of one family collide on its version number; the loser takes the next one.
_TRIES: Final = 8
_OPTIONS: Final = ("temperature", "top_p", "max_tokens", "seed", "stop")


def draft_of(
    workbench: Workbench,
    title: str | None,
    body: PromptBody,
    *,
    tags: str | Sequence[str] = (),
    note: str = "",
    settings: Mapping[str, Any] | None = None,
    builds_on: str | Sequence[str] = (),
    variables: Any = None,
) -> queries.Draft:
    """Return what is to be stored: front matter below what is given, includes pinned, variables declared.

    Raises:
        InputError: it cannot be stored; the message says why. Nothing is.

    """
    own = check_settings({} if settings is None else settings)
    try:
        chosen = checked_settings(workbench, {**settings_of(body), **own})
    except SchemaError as error:
        if body.schema_line is None or "schema" in own:
            raise
        raise SchemaError(
            f"front matter, line {body.schema_line}: {error.message}", cure=error.cure
        ) from error
    bases = tuple(dict.fromkeys([*bases_of(body), *texts(builds_on, what="builds_on")]))
    includes = pin(workbench, title, include_refs(body), bases)
    draft = queries.Draft(
        title=check_title(title) if title else "",
        content=body.content,
        system_prompt=body.system,
        variables=variables_of(body, includes, variables),
        settings=chosen,
        tags=check_tags([*texts(tags, what="tags"), *_texts(body.front_matter.get("tags", ()))]),
        note=storable(
            check_text(note, what="a note") or str(body.front_matter.get("note", "")), what="the note"
        ),
        includes=includes,
    )
    return draft if title else replace(draft, title=f"{SCRATCH}{draft.hash[:12]}")


def preview(workbench: Workbench, draft: queries.Draft) -> PromptVersion:
    """Return a draft as the version that it would become: it can be checked and planned, and has no number yet."""
    unsaved = uuid.uuid4()
    return PromptVersion(
        id=unsaved,
        root_id=unsaved,
        project_id=workbench.project_id,
        title=draft.title,
        version=0,
        content=draft.content,
        system_prompt=draft.system_prompt,
        variables=draft.variables,
        settings=draft.settings,
        tags=tuple(draft.tags),
        note=draft.note,
        includes=tuple(draft.includes),
        content_hash=draft.hash,
        caller=workbench,
    )


def store(workbench: Workbench, draft: queries.Draft) -> PromptVersion:
    """Store a draft as the next version of its family, unless it has it already.

    Raises:
        ConflictError: others saved the same title at the same time, again and again.

    """
    for attempt in range(_TRIES):
        try:
            with workbench.database.session() as session:
                return queries.save(session, workbench.scope, draft)
        except ConflictError:
            if attempt == _TRIES - 1:
                raise
    raise AssertionError  # unreachable: the last try raises


def checked_settings(workbench: Workbench, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as they are stored, their schema as JSON.

    Raises:
        TemplateError: a setting is of a wrong type.
        SchemaError: the schema is none.

    """
    chosen = check_settings(settings, strict=False)
    if chosen.get("schema") is not None:
        chosen["schema"] = workbench.schemas.read(chosen["schema"]).json
    return chosen


@contextmanager
def taken(title: str) -> Iterator[None]:
    """Say that a title is taken where somebody else took it between the look and the write."""
    try:
        yield
    except ConflictError as error:
        raise name_taken(title) from error


def name_taken(title: str) -> NameTakenError:
    """Return the error for a title that another prompt has."""
    return NameTakenError(
        f"there is a prompt {title!r} already", cure="choose another title, or rename that one first"
    )


def bases_of(body: PromptBody) -> Sequence[str]:
    """Return the references that front matter builds on."""
    return _texts(body.front_matter.get("with", ()))


def settings_of(body: PromptBody) -> dict[str, Any]:
    """Return what front matter says about model, options and answer: it is part of the content."""
    front = dict(body.front_matter)
    options = dict(front.get("options") or {})
    options |= {name: front[name] for name in _OPTIONS if name in front}
    return options | {name: front[name] for name in ("model", "schema", "format") if name in front}


def variables_of(
    body: PromptBody, includes: Sequence[Include] = (), given: Any = None
) -> list[dict[str, Any]]:
    """Return the variables of a whole prompt, as they are stored; what an included prompt declared holds on.

    Raises:
        TemplateError: a template does not parse, or does not read a variable that is declared.

    """
    inherited = {
        str(record["name"]): told
        for each in includes
        for record in each.pinned.variables
        if (told := _told(record))
    }
    own = {**read_declarations(body.front_matter.get("variables")), **read_declarations(given)}
    whole = compose(body, includes)
    return declare(whole.variables, whole.required, {**inherited, **own})


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was declared of a variable; nothing where it was only found."""
    told = {key: value for key, value in record.items() if key not in {"name", "required"}}
    return {} if told == {"type": "any"} else told


def _texts(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
