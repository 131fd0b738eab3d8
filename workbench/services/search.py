"""Search in prompts and in what models answered: ``wb.prompts.search``, ``wb.search_outputs``."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.core.refs import parse_ref
from workbench.core.search import (
    check_limit,
    clean_query,
    moment,
    shown_marks,
    single_line,
    typed,
    typed_words,
    whole_braces,
)
from workbench.db import search as queries
from workbench.db.columns import frame_of
from workbench.errors import InputError, UnknownModelError, UnknownReferenceError, did_you_mean

if TYPE_CHECKING:
    from workbench.services.found import Found
    from workbench.services.workbench import Workbench

__all__ = ["STATUSES", "Moment", "Search"]

#: A time as people give it: a datetime, a date, or either in ISO form.
Moment = str | dt.date | dt.datetime

#: What a call may be; only those that have an answer can be found by its words.
STATUSES = ("planned", "sent", "done", "failed", "lost", "unknown", "late")

#: Seconds that a search in answers may take up new ones: some thousands of them.
_PATIENCE = 5.0
_BATCH = 1_000


class Search:
    """Finds prompts and answers in every project that this person can read."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def prompts(
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
        """Find prompts by their words; see ``wb.prompts.search``."""
        shown, words = check_limit(limit), clean_query(text)
        named = {
            "tag": tag,
            "project": project,
            "model": model,
            "label": label,
            "since": since,
            "until": until,
        }
        filters = queries.Filters(
            projects=self.projects(project),
            tag=_text(tag, "tag"),
            model=_text(model, "model"),
            label=_text(label, "label"),
            since=moment(since, "since"),
            until=moment(until, "until", end=True),
            scratch=bool(scratch),
            all_versions=bool(all_versions),
        )
        hint = ""
        with self._wb.database.autocommit() as connection:
            query = queries.understood(connection, words)
            rows = queries.prompts(connection, query, filters, limit=shown) if query else []
            if not rows:
                meant, put = (
                    queries.corrected(connection, query, typed_words(words), filters.projects)
                    if query
                    else (None, {})
                )
                rows = (
                    queries.prompts(connection, meant, filters, limit=shown, match="similar") if meant else []
                )
                if not rows:
                    put = {}
                    rows = queries.prompts(
                        connection, None, filters, limit=shown, similar=words, match="similar"
                    )
                hint = _similar_hint(words, put) if rows else _nothing_hint(words, query, _named(named))
        return self._found(rows, queries.PROMPTS, ("prompt", f"with {typed(text)}"), hint, limit=shown)

    def with_variable(self, name: str, limit: int = 100, *, project: str | None = None) -> Found:
        """Find prompts that have a variable; see ``wb.prompts.with_variable``."""
        shown = check_limit(limit)
        variable = _text(name, "name") or ""
        filters = queries.Filters(projects=self.projects(project), variable=variable)
        with self._wb.database.driver() as connection:
            rows = queries.prompts(connection, None, filters, limit=shown)
        hint = "" if rows else f"no prompt has a variable {variable!r}; names are compared exactly"
        what = ("prompt", f"with the variable {variable}")
        return self._found(rows, queries.PROMPTS, what, hint, limit=shown, best="newest")

    def outputs(
        self,
        text: str,
        limit: int = 20,
        *,
        prompt: str | None = None,
        model: str | None = None,
        project: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
        status: str | None = None,
    ) -> Found:
        """Find answers by their words; see ``wb.search_outputs``."""
        shown, words = check_limit(limit), clean_query(text)
        projects = self.projects(project)
        filters = queries.OutputFilters(
            projects=projects,
            prompts=self._versions(prompt, projects),
            models=self._models(model),
            since=moment(since, "since"),
            until=moment(until, "until", end=True),
            status=_status(status),
        )
        complete = self._keep_words()
        with self._wb.database.driver() as connection:
            query = queries.understood(connection, words)
            rows = queries.outputs(connection, query, filters, limit=shown) if query else []
        named = {
            "prompt": prompt,
            "model": model,
            "project": project,
            "since": since,
            "until": until,
            "status": status,
        }
        hint = "" if rows else _nothing_hint(words, query, _named(named), exact=True)
        if not complete:
            hint = "; ".join(filter(None, [hint, "the newest answers are not searchable yet: search again"]))
        return self._found(rows, queries.OUTPUTS, ("answer", f"with {typed(text)}"), hint, limit=shown)

    def _found(
        self,
        rows: Sequence[tuple[Any, ...]],
        columns: Mapping[str, str],
        what: tuple[str, str],
        hint: str,
        *,
        limit: int,
        best: str = "best",
    ) -> Found:
        from workbench.services.found import Found

        place = list(columns).index("snippet")
        marked = [whole_braces(single_line(row[place] or "")) for row in rows]
        lines = [
            (*row[:place], shown_marks(text), *row[place + 1 :])
            for row, text in zip(rows, marked, strict=True)
        ]
        noun, asked = what
        count = f"the {best} {limit}" if len(rows) == limit else str(len(rows) or "no")
        heading = f"{count} {noun}{'' if len(rows) == 1 else 's'} {asked}"
        if len(rows) == limit:  # there may be more: how many is not counted
            hint = "; ".join(filter(None, [hint, "a higher limit shows more"]))
        found = Found.of(frame_of(lines, columns), marked=marked, heading=heading, hint=hint)
        self._wb.last = found
        return found

    def projects(self, name: str | None) -> list[uuid.UUID] | None:
        """Return the ids of the readable projects of a name, or None for no name.

        Raises:
            UnknownReferenceError: there is none.

        """
        if name is None:
            return None
        with self._wb.database.driver() as connection:
            found = queries.projects_named(connection, _text(name, "project") or "")
        if not found:
            known = self._wb.projects()
            cure = did_you_mean(name, known) or f"there are {', '.join(known[:10])}"
            raise UnknownReferenceError(f"there is no project {name!r:.300}", cure=cure)
        return found

    def _keep_words(self) -> bool:
        """Make what was answered since the last search searchable, for some seconds; whether that was all."""
        end = time.monotonic() + _PATIENCE
        while True:
            with self._wb.database.driver() as connection:
                if queries.keep_words(connection) < _BATCH:
                    return True
            if time.monotonic() > end:
                return False

    def _versions(self, prompt: str | None, projects: list[uuid.UUID] | None) -> list[uuid.UUID] | None:
        if prompt is None:
            return None
        ref = parse_ref(_text(prompt, "prompt") or "")
        with self._wb.database.driver() as connection:
            found = queries.versions_of(connection, ref, projects)
        if not found:
            raise UnknownReferenceError(
                f"no project that you can read has a prompt {str(ref)!r}",
                cure=f"look for it: wb.prompts.search({ref.title!r})",
            )
        return found

    def _models(self, model: str | None) -> list[uuid.UUID] | None:
        if model is None:
            return None
        with self._wb.database.driver() as connection:
            found = queries.models_like(connection, _text(model, "model") or "")
        if not found:
            known = self._wb.models.list()
            cure = did_you_mean(model, known) or "see those that were used: wb.models.list()"
            raise UnknownModelError(f"no call was made to a model {model!r:.300}", cure=cure)
        return found


def _text(value: object, name: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > 300:
        raise InputError(
            f"{name} is {value!r:.60}", cure=f"give a {name} as text on one line, or leave it out"
        )
    return value.strip()


def _status(status: str | None) -> str | None:
    if status is not None and status not in STATUSES:
        cure = did_you_mean(str(status), STATUSES) or f"use one of {', '.join(STATUSES)}"
        raise InputError(f"there is no status {status!r:.60}", cure=cure)
    return status


def _named(filters: Mapping[str, Any]) -> list[str]:
    """Return the filters as they were typed."""
    return [f"{name}={value!s}" for name, value in filters.items() if value is not None]


def _similar_hint(words: str, put: Mapping[str, Sequence[str]]) -> str:
    if not put:
        return f"nothing has the words {words}; these titles are like it"
    meant = ", ".join(f"{' or '.join(found[:3])} for {word}" for word, found in put.items())
    return f"nothing has the words {words}; searched for {meant}"


def _nothing_hint(words: str, query: str | None, filters: Sequence[str], *, exact: bool = False) -> str:
    """Say what was too narrow, or too common; with ``exact``, that similar words were not looked for."""
    if query is None:
        return f"{words!r} has only words that are too common to be searched for; add another one"
    advice = []
    if filters:
        advice.append(f"leave out {', '.join(filters)}")
    if len(words.split()) > 1 and " or " not in words.lower():
        advice.append("write OR between words of which one is enough")
    if exact and not advice:
        return "answers are searched for the words as they are spelt, their endings apart; try another word"
    return "; ".join(advice) or "try another word, or a part of one"
