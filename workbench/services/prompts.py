"""Prompts: save, get, history, labels."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.core.body import PromptBody, parse_body
from workbench.core.refs import LATEST, SCRATCH, check_label, check_title, parse_ref
from workbench.core.versions import PromptVersion, content_hash
from workbench.db.queries import prompts as queries
from workbench.errors import ConflictError, UnknownReferenceError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from workbench.services.found import Found
    from workbench.services.search import Moment
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
    ) -> PromptVersion:
        """Store a text as the next version of a prompt; the same content again is the same version.

        Args:
            title: the family's name; no ``@``.
            content: the template, with role lines and front matter where wanted.
            system_prompt: the system text; a ``system:`` part of the content may give it instead.
            tags: words to find it by; not part of the content.
            note: why this version exists; not part of the content.
            settings: model and options that belong to the content.

        Raises:
            TemplateError: the template does not parse.
            NameTakenError: the title is not allowed.

        Example:
            >>> p = wb.prompts.save("tone", "Tone of: {{ text }}")  # doctest: +SKIP
            >>> p.ref  # doctest: +SKIP
            'tone@1'

        """
        body = parse_body(content, system=system_prompt)
        return self.save_body(title, body, tags=tags, note=note, settings=settings)

    def save_body(
        self,
        title: str | None,
        body: PromptBody,
        *,
        tags: Sequence[str] = (),
        note: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> PromptVersion:
        """Store a parsed body; without a title it goes to ``scratch/<hash>``."""
        front = settings_of(body)
        draft = queries.Draft(
            title=check_title(title) if title else "",
            content=body.content,
            system_prompt=body.system,
            variables=_variables(body),
            settings={**front, **(settings or {})},
            tags=tuple(dict.fromkeys([*tags, *_texts(body.front_matter.get("tags", ()))])),
            note=note or str(body.front_matter.get("note", "")),
        )
        if not title:
            digest = content_hash(draft.content, draft.system_prompt, draft.variables, draft.settings)
            draft = replace(draft, title=f"{SCRATCH}{digest[:12]}")
        return self._bound(self._save(draft))

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

    def search(
        self,
        text: str,
        limit: int = 20,
        *,
        tag: str | None = None,
        project: str | None = None,
        model: str | None = None,
        label: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        scratch: bool = False,
        all_versions: bool = False,
    ) -> Found:
        """Find prompts by the words of their title, tags, note, text and system text, best first.

        Words are reduced to their stems; quotes make a phrase, ``OR`` an alternative, ``-word`` excludes. Where
        nothing has the words, those are looked for that may be meant, and titles that are like it (``match`` is
        then ``similar``). Each prompt is one row, its newest version that matches.

        Args:
            text: the words.
            limit: at most so many rows, up to 1,000.
            tag: only with this tag.
            project: only in this project; by default in every one that you can read.
            model: only those that name this model, or that it has answered.
            label: only versions with this label.
            since: only versions saved then or later: a datetime, a date, or either in ISO form.
            until: only versions saved before then; a date includes its day.
            scratch: those of untitled cells too.
            all_versions: every version that matches, not one row a prompt.

        Returns:
            A DataFrame that shows the words marked: prompt, version, label, tags, snippet, rank, match, created_at,
            project, prompt_id.

        Raises:
            InputError: no word, too long a text, or an argument that cannot be.
            UnknownReferenceError: there is no such project.

        Example:
            >>> wb.prompts.search('"late payment" OR refund -draft', tag="support")  # doctest: +SKIP

        """
        return self._wb.searching.prompts(
            text,
            limit,
            tag=tag,
            project=project,
            model=model,
            label=label,
            since=since,
            until=until,
            scratch=scratch,
            all_versions=all_versions,
        )

    def with_variable(self, name: str, limit: int = 100, *, project: str | None = None) -> Found:
        """Return the prompts that have a variable of exactly this name, newest first.

        Args:
            name: of the variable.
            limit: at most so many.
            project: only in this project; by default in every one that you can read.

        Example:
            >>> wb.prompts.with_variable("company_name")  # doctest: +SKIP

        """
        return self._wb.searching.with_variable(name, limit, project=project)

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
    """Return what front matter says about model and options: it is part of the content."""
    front = dict(body.front_matter)
    options = dict(front.get("options") or {})
    options |= {
        name: front[name] for name in ("temperature", "top_p", "max_tokens", "seed", "stop") if name in front
    }
    return options | ({"model": front["model"]} if "model" in front else {})


def _variables(body: PromptBody) -> list[dict[str, Any]]:
    required = set(body.required)
    return [{"name": name, "type": "any", "required": name in required} for name in body.variables]


def _texts(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value


def _cure(name: str, known: Sequence[str], what: str) -> str:
    return did_you_mean(name, known) or (
        f"it has {', '.join(known[:10])}" if known else f"there are no {what} yet"
    )
