"""From records to rows: each is checked by itself, and many are written at once."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from workbench.core.body import parse_body
from workbench.core.composition import include_refs
from workbench.core.exchange.records import Found, PromptRecord, in_order
from workbench.core.keys import find_key
from workbench.core.refs import check_label, check_tags, check_title
from workbench.core.values import plain, storable
from workbench.db.queries import exchange as queries
from workbench.db.queries.prompts import Draft
from workbench.errors import (
    AccessDeniedError,
    ConflictError,
    DatabaseError,
    DataError,
    DiskFullError,
    InputError,
    NameTakenError,
    ServerUnavailableError,
)
from workbench.services.composing import pin
from workbench.services.saving import bases_of, checked_settings, settings_of, variables_of

if TYPE_CHECKING:
    from workbench.services.workbench import Workbench

__all__ = ["Intake"]

#: So many versions are written in one transaction.
_GROUP: Final = 200
_TRIES: Final = 8
_MAX_TEXT: Final = 1_000_000
#: What stops an import: no other record would fare better.
_FATAL: Final = (AccessDeniedError, DiskFullError, ServerUnavailableError)
_CLOSED: Final = {
    "archived": "its prompt is archived, so it takes no new version",
    "rubric": "there is a rubric of that title",
}

_Ready = tuple[PromptRecord, queries.Incoming]


class Intake:
    """Stores what a reader found; failures and notes go to ``found``.

    Attributes:
        new: versions that were added.
        same: versions that were there.
        moved: labels that name another version than before.
        versions: references of both, in the order of the source.

    """

    def __init__(
        self, workbench: Workbench, found: Found, progress: Callable[[int, int], None] | None
    ) -> None:
        self._wb = workbench
        self._found = found
        self._progress = progress
        self._done = 0
        self._owners: dict[str, str] = {}
        self._refs: dict[int, str] = {}
        self._placed: dict[str, str] = {}  # reference in the source → reference here
        self.new = self.same = self.moved = 0

    @property
    def versions(self) -> list[str]:
        """References of the stored versions, in the order of the source."""
        order = {id(record): place for place, record in enumerate(self._found.records)}
        return [ref for _, ref in sorted((order[record], ref) for record, ref in self._refs.items())]

    def store(self) -> None:
        """Store every record that can be stored.

        Raises:
            DatabaseError: the database is away or full, or refuses this person; what was told is stored.

        """
        for group in self._groups():
            ready = [prepared for family in group if (prepared := self._prepared(family))]
            if ready:
                self._write(ready)
            self._done += sum(map(len, group))
            if self._progress is not None:
                self._progress(self._done, len(self._found.records))

    def _groups(self) -> Iterator[list[list[PromptRecord]]]:
        """Give groups of families; what includes others comes after them, in a group of its own."""
        families: dict[str, list[PromptRecord]] = {}
        for record in self._found.records:
            families.setdefault(record.title, []).append(record)
        group: list[list[PromptRecord]] = []
        for title in in_order(families):
            family = families[title]
            if all(record.version is not None for record in family):
                family.sort(key=lambda record: record.version or 0)
            if group and (
                sum(map(len, group)) + len(family) > _GROUP or any(each.composed for each in family)
            ):
                yield group
                group = []
            group.append(family)
        if group:
            yield group

    def _prepared(self, family: Sequence[PromptRecord]) -> list[_Ready]:
        ready = []
        for record in family:
            with self._found.trying(record.place, record.title[:80]):
                ready.append((record, self._incoming(record)))
        return ready

    def _incoming(self, record: PromptRecord) -> queries.Incoming:
        """Return a record as it will be stored.

        Raises:
            InputError: it cannot be; the message says why.

        """
        title = self._title(record)
        _refuse_keys(record)
        body = parse_body(record.content, system=record.system_prompt)
        if len(body.content) + len(body.system or "") > _MAX_TEXT:
            raise DataError(
                f"the text is longer than {_MAX_TEXT:,} characters", cure="pass long texts as variables"
            )
        front = body.front_matter
        tags = [front["tags"]] if isinstance(front.get("tags"), str) else front.get("tags", ())
        exact = {ref: self._placed.get(at, at) for ref, at in {**record.includes, **record.builds_on}.items()}
        bases = tuple(dict.fromkeys([*bases_of(body), *record.builds_on]))
        includes = pin(self._wb, title, include_refs(body), bases, exact=exact)
        draft = Draft(
            title=title,
            content=body.content,
            system_prompt=body.system,
            variables=variables_of(body, includes, record.variables),  # also parses every template
            settings=checked_settings(self._wb, {**settings_of(body), **record.settings}),
            tags=check_tags([*record.tags, *tags]),
            note=storable(record.note or str(front.get("note", "")), what="the note"),
            includes=includes,
        )
        return queries.Incoming(
            draft=draft,
            number=record.version,
            labels=self._labels(record),
            parent=record.parent,
            origin=plain(dict(record.origin), what="the origin"),
        )

    def _title(self, record: PromptRecord) -> str:
        """Return a title that is allowed; ``@`` is written out, and said."""
        given = unicodedata.normalize("NFC", storable(record.title, what="the title")).strip()
        title = check_title(given.replace("@", "-at-"))
        owner = self._owners.setdefault(title, given)
        if owner != given:
            raise NameTakenError(
                f"the titles {owner!r:.100} and {given!r:.100} would both become {title!r:.100}",
                cure="rename one of them in the source",
            )
        if title != given:
            self._found.note(record.place, f"the title {given!r:.100} has become {title!r:.100}", title)
        return title

    def _labels(self, record: PromptRecord) -> tuple[str, ...]:
        labels = []
        for label in record.labels:
            try:
                labels.append(check_label(label, system=True))
            except InputError as error:
                self._found.note(record.place, f"left out: {error.message}", record.title)
        return tuple(dict.fromkeys(labels))

    def _write(self, families: Sequence[Sequence[_Ready]]) -> None:
        """Write families in one transaction; when the database refuses them, the half with the fault is found."""
        try:
            outcomes = self._save([[incoming for _, incoming in family] for family in families])
        except _FATAL:
            raise
        except (DatabaseError, DataError) as error:
            self._write_apart(families, error)
            return
        for family, results in zip(families, outcomes, strict=True):
            for (record, incoming), outcome in zip(family, results, strict=True):
                self._count(record, incoming, outcome)

    def _write_apart(self, families: Sequence[Sequence[_Ready]], error: DatabaseError | DataError) -> None:
        if len(families) == 1 and len(families[0]) == 1:
            record, _ = families[0][0]
            self._found.fail(record.place, f"the database refuses it: {error.message}", record.title)
        elif len(families) == 1:  # the versions of one family, in their order
            for each in families[0]:
                self._write([[each]])
        else:
            middle = len(families) // 2
            self._write(families[:middle])
            self._write(families[middle:])

    def _save(self, families: Sequence[Sequence[queries.Incoming]]) -> list[list[queries.Outcome]]:
        for attempt in range(_TRIES):
            try:
                with self._wb.database.session() as session:
                    return queries.save_families(session, self._wb.scope, families)
            except ConflictError:  # somebody saved one of these titles for the first time just now
                if attempt == _TRIES - 1:
                    raise
        raise AssertionError  # unreachable: the last try raises

    def _count(self, record: PromptRecord, incoming: queries.Incoming, outcome: queries.Outcome) -> None:
        title = incoming.draft.title
        if outcome.change in _CLOSED:
            self._found.fail(record.place, _CLOSED[outcome.change], title)
            return
        self.new += outcome.change == "new"
        self.same += outcome.change == "same"
        self.moved += outcome.moved
        ref = f"{title}@{outcome.version}"
        self._refs[id(record)] = ref
        self._placed[f"{record.title}@{record.version or outcome.version}"] = ref
        if incoming.number is not None and incoming.number != outcome.version:
            why = "has the same content" if outcome.change == "same" else "is the next free number"
            self._found.note(record.place, f"version {incoming.number} is {ref} here, which {why}", title)


def _refuse_keys(record: PromptRecord) -> None:
    texts = [record.content, record.system_prompt or "", record.note, *record.tags]
    objects = [record.settings, list(record.variables or ()), record.origin]
    for text in [*texts, json.dumps(objects, default=str)]:
        kind = find_key(text)
        if kind:
            raise DataError(
                f"it holds a provider key, {kind}",
                cure="take it out of the source, and revoke it: others may have read it",
            )
