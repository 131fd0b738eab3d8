"""Prompts: save, get, history, labels."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.body import PromptBody, parse_body
from workbench.core.declarations import declare, read_declarations
from workbench.core.refs import LATEST, SCRATCH, check_label, check_title, parse_ref
from workbench.core.versions import PromptVersion, content_hash
from workbench.db.queries import prompts as queries
from workbench.errors import ConflictError, UnknownReferenceError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from workbench.services.workbench import Workbench

__all__ = ["Prompts", "body_of", "settings_of"]

#: Concurrent saves of one family collide on its version number; the loser takes the next one.
_TRIES = 8


class Prompts:
    """The prompts of the project in use: ``wb.prompts``."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def save(
        self,
        title: str,
        content: str,
        *,
        system_prompt: str | None = None,
        tags: Sequence[str] = (),
        note: str = "",
        settings: Mapping[str, Any] | None = None,
        variables: Any = None,
    ) -> PromptVersion:
        """Store a text as the next version of a prompt; the same content again is the same version.

        Args:
            title: the family's name; no ``@``.
            content: the template, with role lines and front matter where wanted.
            system_prompt: the system text; a ``system:`` part of the content may give it instead.
            tags: words to find it by; not part of the content.
            note: why this version exists; not part of the content.
            settings: model and options that belong to the content; ``schema`` among them is what an answer must be.
            variables: what the variables must be: ``{"text": "string", "n": {"type": "integer", "default": 3}}``.

        Raises:
            TemplateError: the template does not parse, or does not read a variable that is declared.
            SchemaError: the schema is none.
            NameTakenError: the title is not allowed.

        Example:
            >>> p = wb.prompts.save("tone", "Tone of: {{ text }}")  # doctest: +SKIP
            >>> p.ref  # doctest: +SKIP
            'tone@1'

        """
        body = parse_body(content, system=system_prompt)
        return self.save_body(title, body, tags=tags, note=note, settings=settings, variables=variables)

    def load(self, path: str | Path, title: str | None = None) -> PromptVersion:
        """Save the prompt of a file: text with front matter, or a chat as YAML or JSON.

        Args:
            path: the file; ``.yaml``, ``.yml`` and ``.json`` hold a chat, everything else text.
            title: the prompt's title; by default the front matter's, else the file's name without its ending.

        Raises:
            FileError: the file is missing, too large, or no text.
            TemplateError: its template or front matter is wrong.

        Example:
            >>> wb.prompts.load("prompts/tone.md").note  # doctest: +SKIP
            'prompts/tone.md at 3f9a2c4e1b7d'

        """
        from workbench.services.files import load_prompt

        return load_prompt(self._wb, path, title=title)

    def save_body(
        self,
        title: str | None,
        body: PromptBody,
        *,
        tags: Sequence[str] = (),
        note: str = "",
        settings: Mapping[str, Any] | None = None,
        variables: Any = None,
        label: str | None = None,
    ) -> PromptVersion:
        """Store a parsed body; without a title it goes to ``scratch/<hash>``. What is given wins over front matter."""
        label = label or body.front_matter.get("label")
        label = check_label(label) if label else None
        chosen = {**settings_of(body), **(settings or {})}
        if chosen.get("schema") is not None:
            chosen["schema"] = self._wb.schemas.read(chosen["schema"]).json
        draft = queries.Draft(
            title=check_title(title) if title else "",
            content=body.content,
            system_prompt=body.system,
            variables=_variables(body, variables),
            settings=chosen,
            tags=tuple(dict.fromkeys([*tags, *_texts(body.front_matter.get("tags", ()))])),
            note=note or str(body.front_matter.get("note", "")),
        )
        if not title:
            digest = content_hash(draft.content, draft.system_prompt, draft.variables, draft.settings)
            draft = replace(draft, title=f"{SCRATCH}{digest[:12]}")
        saved = self._bound(self._save(draft))
        return replace(self.label(saved.ref, label), change=saved.change) if label else saved

    def get(self, ref: str) -> PromptVersion:
        """Return a version: ``title``, ``title@3`` or ``title@label``.

        Raises:
            UnknownReferenceError: no such title, version or label.

        """
        parsed = parse_ref(ref)
        with self._wb.database.session() as session:
            root = queries.family(session, self._wb.project_id, parsed.title)
            if root is None:
                known = queries.titles(session, self._wb.project_id)
                raise UnknownReferenceError(
                    f"project {self._wb.project!r} has no prompt {parsed.title!r}",
                    cure=_cure(parsed.title, known, "prompts"),
                )
            found = queries.versions(session, root)
            if parsed.version is not None:
                chosen = [version for version in found if version.version == parsed.version]
                known = [f"{parsed.title}@{version.version}" for version in found]
            else:
                name = parsed.label or LATEST
                chosen = [version for version in found if name in version.labels]
                known = sorted({label for version in found for label in version.labels})
        if not chosen:
            raise UnknownReferenceError(
                f"prompt {parsed.title!r} has no {ref.partition('@')[2]!r}", cure=f"it has {', '.join(known)}"
            )
        return self._bound(chosen[0])

    def resolve(self, prompt: PromptVersion | str) -> PromptVersion:
        """Return a version as it is, or by its reference."""
        return prompt if isinstance(prompt, PromptVersion) else self.get(prompt)

    def by_id(self, prompt_id: uuid.UUID) -> PromptVersion:
        """Return a version by its row's id."""
        with self._wb.database.session() as session:
            return self._bound(queries.get_by_id(session, prompt_id))

    def list(self, *, scratch: bool = False) -> list[str]:
        """Return the titles of the project; those of untitled cells only with ``scratch``."""
        with self._wb.database.session() as session:
            return queries.titles(session, self._wb.project_id, scratch=scratch)

    def history(self, title: str) -> pd.DataFrame:
        """Return the versions of a prompt, newest first: version, labels, note, tags, created_at, content."""
        import pandas as pd

        root = self.get(title).root_id
        with self._wb.database.session() as session:
            rows = queries.versions(session, root)
        columns = ["version", "labels", "note", "tags", "created_at", "content"]
        data = [
            [row.version, ", ".join(row.labels), row.note, ", ".join(row.tags), row.created_at, row.content]
            for row in rows
        ]
        return pd.DataFrame(data, columns=columns)

    def label(self, ref: str, name: str) -> PromptVersion:
        """Make a label name a version: ``wb.prompts.label("tone@3", "prod")``."""
        name = check_label(name)
        version = self.get(ref)
        with self._wb.database.session() as session:
            queries.move_label(session, self._wb.scope, version.root_id, name, version.id)
        return self.get(version.ref)

    def keep(self, prompt: PromptVersion | str, title: str) -> PromptVersion:
        """Give an untitled prompt a title; its history comes along."""
        title = check_title(title)
        version = self.resolve(prompt)
        with self._wb.database.session() as session:
            queries.rename(session, version.root_id, title)
        return self.get(title)

    def _save(self, draft: queries.Draft) -> PromptVersion:
        for attempt in range(_TRIES):
            try:
                with self._wb.database.session() as session:
                    return queries.save(session, self._wb.scope, draft)
            except ConflictError:
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError  # unreachable: the last try raises

    def _bound(self, version: PromptVersion) -> PromptVersion:
        return replace(version, caller=self._wb)


def body_of(version: PromptVersion) -> PromptBody:
    """Return the parsed body of a version."""
    return parse_body(version.content, system=version.system_prompt)


def settings_of(body: PromptBody) -> dict[str, Any]:
    """Return what front matter says about model, options and answer: it is part of the content."""
    front = dict(body.front_matter)
    options = dict(front.get("options") or {})
    options |= {
        name: front[name] for name in ("temperature", "top_p", "max_tokens", "seed", "stop") if name in front
    }
    return options | {name: front[name] for name in ("model", "schema", "format") if name in front}


def _variables(body: PromptBody, given: Any) -> list[dict[str, Any]]:
    declared = {**read_declarations(body.front_matter.get("variables")), **read_declarations(given)}
    return declare(body.variables, body.required, declared)


def _texts(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _cure(name: str, known: Sequence[str], what: str) -> str:
    return did_you_mean(name, known) or (
        f"it has {', '.join(known[:10])}" if known else f"there are no {what} yet"
    )
