"""Prompts: save, get, history, labels, and what one does with versions: diff, roll back, fork, rename, archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.core.body import PromptBody, parse_body
from workbench.core.diff import Diff, diff_versions, line_delta
from workbench.core.lineage import PromptTree, plant
from workbench.core.refs import LATEST, SCRATCH, check_label, check_tags, check_title, parse_ref
from workbench.core.values import check_text, storable
from workbench.core.versions import PromptVersion
from workbench.db.queries import families
from workbench.db.queries import prompts as queries
from workbench.errors import NameTakenError, UnknownReferenceError
from workbench.services.finding import FindsPrompts, cure_of
from workbench.services.saving import draft_of, name_taken, store, taken

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["Prompts"]


class Prompts(FindsPrompts):
    """The prompts of the project in use: ``wb.prompts``."""

    def save(
        self,
        title: str,
        content: str,
        *,
        system_prompt: str | None = None,
        tags: str | Sequence[str] = (),
        note: str = "",
        settings: Mapping[str, Any] | None = None,
        builds_on: str | Sequence[str] = (),
        variables: Any = None,
    ) -> PromptVersion:
        """Store a text as the next version of a prompt; the same content again is the same version.

        Args:
            title: the family's name; no ``@``.
            content: the template, with role lines and front matter where wanted.
            system_prompt: the system text; a ``system:`` part of the content may give it instead.
            tags: words to find it by; not part of the content. Of a text that is there already, they are added.
            note: why this version exists; not part of the content. Of a text that is there already, it replaces the note.
            settings: model and options that belong to the content; ``schema`` among them is what an answer must be,
                and what stands under ``options`` goes to the provider as it is.
            builds_on: references of prompts whose system text and turns come first; the versions that they name now
                are part of the content, as are those of ``{% include "title@label" %}`` in the text.
            variables: what the variables must be: ``{"text": "string", "n": {"type": "integer", "default": 3}}``.

        Raises:
            TemplateError: the template does not parse, or does not read a variable that is declared; a setting is
                misspelt or of a wrong type.
            CompositionError: the prompt would include itself, or includes what cannot stand inside a text.
            UnknownReferenceError: an included prompt does not exist.
            SchemaError: the schema is none.
            NameTakenError: the title is not allowed, or its prompt is archived.

        Example:
            >>> p = wb.prompts.save("tone", "Tone of: {{ text }}")  # doctest: +SKIP
            >>> p.ref  # doctest: +SKIP
            'tone@1'

        """
        body = parse_body(content, system=system_prompt)
        return self.save_body(
            check_title(title),
            body,
            tags=tags,
            note=note,
            settings=settings,
            builds_on=builds_on,
            variables=variables,
        )

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
        from workbench.services.files import prompt_of_file

        name, body, given = prompt_of_file(self._wb, path, title=title)
        return self.save_body(name, body, **given)

    def save_body(self, title: str | None, body: PromptBody, **given: Any) -> PromptVersion:
        """Store a parsed body; without a title it goes to ``scratch/<hash>``. What is given wins over front matter.

        ``given`` is what ``save`` takes beside the text, and ``label``, a name for the version.
        """
        label = given.pop("label", None) or body.front_matter.get("label")
        label = check_label(label) if label else None
        return self.save_draft(draft_of(self._wb, title, body, **given), label=label)

    def save_draft(self, draft: queries.Draft, *, label: str | None = None) -> PromptVersion:
        """Store a draft that has been checked, and make a label name it."""
        saved = self._told(self._bound(store(self._wb, draft)))
        if label is None:
            return saved
        return replace(self.label(saved.ref, label), change=saved.change, delta=saved.delta)

    def list(self, *, scratch: bool = False, archived: bool = False) -> list[str]:
        """Return the titles of the project; those of untitled cells and archived ones only where asked for."""
        with self._wb.database.session() as session:
            return queries.titles(session, self._wb.project_id, scratch=scratch, archived=archived)

    def overview(self, *, archived: bool = False) -> pd.DataFrame:
        """Return the project's prompts: prompt, versions, latest, labels, tags, note, forked_from, updated_at."""
        import pandas as pd

        with self._wb.database.session() as session:
            found = families.overview(session, self._wb.project_id, archived=archived)
        columns = ["prompt", "versions", "latest", "labels", "tags", "note", "forked_from", "updated_at"]
        return pd.DataFrame(found, columns=columns)

    def compare(self, first: str, second: str | None = None) -> Diff:
        """Return what changed from one reference to another; without the second, to the latest version.

        Of a title alone: what its latest version changed in the one that it came from.
        """
        ref = parse_ref(first)
        if second is not None or str(ref) != ref.title:
            return self.diff(first, second or ref.title)
        version = self.get(first)
        return self.diff(self.by_id(version.parent_id) if version.parent_id else version, version)

    def history(self, title: str) -> pd.DataFrame:
        """Return the versions of a prompt, newest first.

        Columns: version, labels, note, tags, parent (the version it came from), delta (lines that came and went),
        author, created_at, content.
        """
        import pandas as pd

        root = self.get(title).root_id
        with self._wb.database.session() as session:
            rows = queries.versions(session, root)
            authors = families.authors(session, root)
        known = {row.id: row for row in rows}
        data = []
        for row in rows:
            parent = known.get(row.parent_id) if row.parent_id else None
            data.append(
                {
                    "version": row.version,
                    "labels": ", ".join(row.labels),
                    "note": row.note,
                    "tags": ", ".join(row.tags),
                    "parent": parent.ref if parent else "",
                    "delta": line_delta(parent, row) if parent else "",
                    "author": authors.get(row.id, ""),
                    "created_at": row.created_at,
                    "content": row.content,
                }
            )
        return pd.DataFrame(data)

    def diff(self, a: PromptVersion | str, b: PromptVersion | str) -> Diff:
        """Return what changed from one version to another, of one prompt or of two.

        Example:
            >>> print(wb.prompts.diff("tone@prod", "tone"))  # doctest: +SKIP
            tone@3 → tone@4: +1/-1 lines in text

        """
        return diff_versions(self.resolve(a), self.resolve(b))

    def label(self, ref: PromptVersion | str, name: str) -> PromptVersion:
        """Make a label name a version: ``wb.prompts.label("tone@3", "prod")``."""
        name = check_label(name)
        version = self.resolve(ref)
        with self._wb.database.session() as session:
            queries.move_label(session, self._wb.scope, version.root_id, name, version.id)
        return self.get(version.ref)

    def unlabel(self, title: str, name: str) -> None:
        """Take a label off a prompt.

        Raises:
            UnknownReferenceError: the prompt has no such label.

        """
        version = self.get(f"{parse_ref(title).title}@{check_label(name)}")
        with self._wb.database.session() as session:
            queries.remove_label(session, version.root_id, name)

    def rollback(self, title: str, version: int | str) -> PromptVersion:
        """Make an earlier version the one that the title alone means; nothing is deleted.

        Args:
            title: the prompt.
            version: a number, or a label.

        Example:
            >>> wb.prompts.rollback("tone", 3).ref  # doctest: +SKIP
            'tone@3'

        """
        chosen = self.get(f"{parse_ref(title).title}@{version}")
        with self._wb.database.session() as session:
            queries.move_label(session, self._wb.scope, chosen.root_id, LATEST, chosen.id)
        return self.get(chosen.ref)

    def fork(self, ref: PromptVersion | str, new_title: str, *, note: str = "") -> PromptVersion:
        """Begin a new prompt with the content of a version; ``tree`` shows where it came from.

        The same fork again is the one that is there.

        Raises:
            NameTakenError: there is another prompt of that title.

        """
        title = check_title(new_title)
        source = self.resolve(ref)
        kept = storable(note or f"forked from {source.ref}", what="the note")
        with taken(title), self._wb.database.session() as session:
            new = queries.fork(session, self._wb.scope, source, title, note=kept)
        return self.by_id(new)

    def tree(self, title: str) -> PromptTree:
        """Return the prompts that a prompt was forked from, and those that were forked from it, as a tree."""
        root = self.get(title).root_id
        with self._wb.database.session() as session:
            return plant(families.families(session, self._wb.project_id), root)

    def rename(self, title: str, new_title: str) -> PromptVersion:
        """Give a prompt another title; its versions, labels and executions stay with it.

        Raises:
            NameTakenError: there is a prompt of that title.

        """
        version = self.get(parse_ref(title).title)
        return self._renamed(version, new_title)

    def keep(self, prompt: PromptVersion | str, title: str) -> PromptVersion:
        """Give an untitled prompt a title; its history comes along.

        Raises:
            NameTakenError: there is a prompt of that title, or this one has a title already.

        """
        version = self.resolve(prompt)
        if not version.title.startswith(SCRATCH):
            raise NameTakenError(
                f"{version.title} has a title already",
                cure=f"%promptcmd rename {version.title} {title}, or wb.prompts.rename({version.title!r}, {title!r})",
            )
        return self._renamed(version, title)

    def archive(self, title: str) -> None:
        """Hide a prompt from lists and searches. Its versions and executions stay, and can still be called by name."""
        self._archive(title, archived=True)

    def restore(self, title: str) -> PromptVersion:
        """Bring an archived prompt back."""
        self._archive(title, archived=False)
        return self.get(parse_ref(title).title)

    def tag(
        self, ref: PromptVersion | str, add: Sequence[str] | str = (), *, remove: Sequence[str] | str = ()
    ) -> PromptVersion:
        """Put tags on a version, or take some off; tags are no content, so no new version comes of it.

        Raises:
            InputError: a tag is empty, or longer than 200 characters.
            UnknownReferenceError: a tag that is to come off is not there.

        """
        more, gone = check_tags(add), check_tags(remove)
        version = self.resolve(ref)
        with self._wb.database.session() as session:
            had = queries.retag(session, version.id, add=more, remove=gone)
            absent = [tag for tag in gone if tag not in had]
            if absent:
                raise UnknownReferenceError(
                    f"{version.ref} has no tag {absent[0]!r}", cure=cure_of(absent[0], had, "tags")
                )
        return self.by_id(version.id)

    def note(self, ref: PromptVersion | str, text: str) -> PromptVersion:
        """Write why a version was made, in place of what its note says now.

        Raises:
            DataError: the note cannot be stored.

        """
        note = storable(check_text(text, what="a note"), what="the note")
        version = self.resolve(ref)
        with self._wb.database.session() as session:
            queries.annotate(session, version.id, note=note)
        return self.by_id(version.id)

    def used_by(self, ref: PromptVersion | str) -> Sequence[str]:
        """Return the references of the versions that include exactly this one."""
        version = self.resolve(ref)
        with self._wb.database.session() as session:
            return families.users_of(session, version.id)

    def _renamed(self, version: PromptVersion, new_title: str) -> PromptVersion:
        title = check_title(new_title)
        with taken(title), self._wb.database.session() as session:
            owner = queries.family(session, self._wb.project_id, title)
            if owner is not None and owner != version.root_id:
                raise name_taken(title)
            queries.rename(session, version.root_id, title)
        return self.by_id(version.id)

    def _archive(self, title: str, *, archived: bool) -> None:
        version = self.get(parse_ref(title).title)
        with self._wb.database.session() as session:
            queries.archive(session, version.root_id, archived=archived)

    def _told(self, version: PromptVersion) -> PromptVersion:
        """Say of a new version how it differs from the one that it came from."""
        if version.change != "new" or version.parent_id is None:
            return version
        with self._wb.database.session() as session:
            parent = queries.get_by_id(session, version.parent_id)
        return replace(version, delta=line_delta(parent, version))
