"""How prompts are found: by their references, and by their words."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from workbench.core.refs import LATEST, Ref, parse_ref
from workbench.core.versions import PromptVersion
from workbench.db.queries import prompts as queries
from workbench.errors import UnknownReferenceError, did_you_mean
from workbench.services.composing import with_includes

if TYPE_CHECKING:
    from workbench.services.found import Found
    from workbench.services.search import Moment
    from workbench.services.workbench import Workbench

__all__ = ["FindsPrompts", "cure_of"]

#: Names that an error lists.
_SHOWN = 10


class FindsPrompts:
    """Finds prompts: by reference in the project in use, by words in every project that the person can read."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

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
                    cure=cure_of(parsed.title, known, "prompts"),
                )
            found = queries.versions(session, root)
        name = parsed.label or LATEST
        chosen = [
            version
            for version in found
            if (name in version.labels if parsed.version is None else version.version == parsed.version)
        ]
        if not chosen:
            raise _not_in_family(parsed, found)
        return self._bound(chosen[0])

    def resolve(self, prompt: PromptVersion | str) -> PromptVersion:
        """Return a version as it is, or by its reference."""
        return prompt if isinstance(prompt, PromptVersion) else self.get(prompt)

    def by_id(self, prompt_id: uuid.UUID) -> PromptVersion:
        """Return a version by its row's id."""
        with self._wb.database.session() as session:
            return self._bound(queries.get_by_id(session, prompt_id))

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

    def _bound(self, version: PromptVersion) -> PromptVersion:
        return replace(with_includes(self._wb, version), caller=self._wb)


def cure_of(name: str, known: Sequence[str], what: str) -> str:
    """Return what to do about a name that is not there: the one that may be meant, else some of those that are."""
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return did_you_mean(name, known) or (
        f"it has {', '.join(known[:_SHOWN])}{more}" if known else f"there are no {what} yet"
    )


def _not_in_family(ref: Ref, versions: Sequence[PromptVersion]) -> UnknownReferenceError:
    if ref.version is not None:
        known = [f"{ref.title}@{version.version}" for version in versions]
        more = f" and {len(known) - _SHOWN} older ones" if len(known) > _SHOWN else ""
        return UnknownReferenceError(
            f"prompt {ref.title!r} has no version {ref.version}",
            cure=f"it has {', '.join(known[:_SHOWN])}{more}",
        )
    labels = sorted({label for version in versions for label in version.labels})
    return UnknownReferenceError(
        f"prompt {ref.title!r} has no label {ref.label!r}", cure=cure_of(str(ref.label), labels, "labels")
    )
