"""How prompts are found: the two verbs of ``wb.prompts`` that search."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.services.found import Found
    from workbench.services.search import Moment
    from workbench.services.workbench import Workbench

__all__ = ["FindsPrompts"]


class FindsPrompts:
    """Finds prompts in every project that the person can read."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

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
