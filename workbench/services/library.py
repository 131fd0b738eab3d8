"""The prompt library: templates to begin from, and a place for one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.core.composition import body_of
from workbench.core.library import LibraryPrompt
from workbench.core.refs import check_title
from workbench.core.values import plain
from workbench.core.versions import PromptVersion
from workbench.db.queries import library as queries
from workbench.errors import ConflictError, DataError, NameTakenError, UnknownReferenceError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

    from workbench.services.workbench import Workbench

__all__ = ["Library"]

_MAX_CATEGORY = 100


class Library:
    """Templates that ship with the workbench, one's own, and those that others made public: ``wb.library``."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench

    def list(self, category: str | None = None, search: str | None = None) -> pd.DataFrame:
        """Return the templates, a row each, by category and name.

        Args:
            category: only those of one category, such as ``"extraction"``.
            search: words that must all stand in a template's name, description, use cases, tags or text.

        Returns:
            Columns ``name category subcategory description variables tags models official author``.

        Raises:
            UnknownReferenceError: there is no such category.

        Example:
            >>> wb.library.list("judging")["name"].tolist()  # doctest: +SKIP
            ['judge-against-reference', 'judge-faithfulness', 'judge-instructions', 'judge-pair', 'judge-with-rubric']

        """
        import pandas as pd

        with self._wb.database.session() as session:
            if category is not None and category not in (known := queries.categories(session)):
                cure = did_you_mean(category, known) or f"there are {', '.join(known)}"
                raise UnknownReferenceError(f"the library has no category {category!r:.100}", cure=cure)
            words = (search or "").replace("\0", " ").split()
            found = queries.find(session, category=category, words=words)
        columns = ["name", "category", "subcategory", "description", "variables", "tags", "models", "official", "author"]  # fmt: skip
        data = [
            [
                each.name,
                each.category,
                each.subcategory,
                each.description,
                ", ".join(str(variable["name"]) for variable in each.variables),
                ", ".join(each.tags),
                ", ".join(each.models),
                each.is_official,
                each.author,
            ]
            for each in found
        ]
        return pd.DataFrame(data, columns=columns)

    def get(self, name: str) -> LibraryPrompt:
        """Return a template: one's own of that name, else the official one, else one that others made public.

        Raises:
            UnknownReferenceError: there is none (did you mean …?).

        Example:
            >>> wb.library.get("route-ticket").render(message="It burns!")  # doctest: +SKIP

        """
        with self._wb.database.session() as session:
            found = queries.get(session, self._wb.database.user_id, name.replace("\0", " "))
            known = [] if found else queries.names(session)
        if found is None:
            cure = did_you_mean(name, known) or "look with wb.library.list(), or: workbench library list"
            raise UnknownReferenceError(f"the library has no template {name!r:.300}", cure=cure)
        self._wb.last = found
        return found

    def use(
        self,
        template: str | LibraryPrompt,
        title: str | None = None,
        *,
        tags: Sequence[str] = (),
        note: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> PromptVersion:
        """Save a template as a prompt of this project: its settings, the declarations of its variables, its schema.

        It is yours to change from there.

        A family that has the title already gets the text as a version.

        Args:
            template: a name, or a template.
            title: of the prompt; by default the template's name.
            tags: further tags; ``library:<name>`` is always one.
            note: why it is used; where it came from is added.
            settings: options instead of the template's own, its schema among them; ``{}`` for a model that refuses
                a temperature or a schema.

        Raises:
            UnknownReferenceError: there is no such template.
            NameTakenError: the title is not allowed.

        Example:
            >>> route = wb.library.use("route-ticket", "support/route")  # doctest: +SKIP
            >>> route(message="I was charged twice.", teams=teams).json["team"]  # doctest: +SKIP
            'payments'

        """
        chosen = template if isinstance(template, LibraryPrompt) else self.get(template)
        origin = f"from the library: {chosen.name}"
        version = self._wb.prompts.save(
            chosen.name if title is None else title,
            chosen.content,
            tags=[*tags, f"library:{chosen.name}"],
            note=f"{note} ({origin})" if note else origin,
            settings=_settings(chosen) if settings is None else settings,
            variables=chosen.variables,
        )
        self._wb.last = version
        return version

    def add(
        self,
        prompt: str | PromptVersion,
        category: str,
        *,
        name: str | None = None,
        subcategory: str = "",
        description: str = "",
        tags: Sequence[str] | None = None,
        use_cases: Sequence[str] = (),
        models: Sequence[str] = (),
        answer_schema: Mapping[str, Any] | None = None,
        public: bool = False,
    ) -> LibraryPrompt:
        """Publish a version of a prompt as a template, for all your projects or for everybody.

        Args:
            prompt: a version or its reference.
            category: an official one such as ``"extraction"``, or another word.
            name: by default the prompt's title.
            subcategory: a finer word.
            description: what it does, in a sentence; by default the version's note.
            tags: by default the version's.
            use_cases: what to use it for.
            models: families or ids that it suits.
            answer_schema: the JSON schema of the answer.
            public: whether everybody on this database may read and use it.

        Raises:
            UnknownReferenceError: there is no such prompt.
            NameTakenError: the name is an official template's, or one of yours has it already.
            DataError: a text cannot be stored.

        Example:
            >>> wb.library.add("tone@3", "classification", public=True)  # doctest: +SKIP

        """
        version = self._wb.prompts.resolve(prompt)
        chosen = check_title(version.title if name is None else name)
        values = plain(
            {
                "category": _category(category),
                "subcategory": subcategory,
                "description": description or version.note,
                "tags": list(version.tags if tags is None else tags),
                "use_cases": list(use_cases),
                "models": list(models),
                "answer_schema": answer_schema,
            },
            what="the template",
        )
        template = LibraryPrompt(
            name=chosen,
            category=values["category"],
            subcategory=values["subcategory"],
            description=values["description"],
            content=body_of(version).text,
            variables=version.variables,
            tags=tuple(values["tags"]),
            use_cases=tuple(" ".join(str(use).split()) for use in values["use_cases"]),
            models=tuple(values["models"]),
            settings={key: value for key, value in version.settings.items() if key != "schema"},
            answer_schema=values["answer_schema"] or version.settings.get("schema"),
            is_public=public,
        )
        self._store(template)
        return self.get(chosen)

    def remove(self, name: str) -> None:
        """Take one of your own templates out of the library; prompts that were made from it stay.

        Raises:
            UnknownReferenceError: none of yours has that name.

        """
        with self._wb.database.session() as session:
            removed = queries.remove(session, self._wb.database.user_id, name.replace("\0", " "))
        if not removed:
            raise UnknownReferenceError(
                f"you have no template {name!r:.300} in the library", cure="only your own ones can be removed"
            )

    def _store(self, template: LibraryPrompt) -> None:
        with self._wb.database.session() as session:
            if template.name in queries.names(session, official=True):
                raise NameTakenError(
                    f"{template.name!r} is an official template", cure="choose another name with name=…"
                )
        try:
            with self._wb.database.session() as session:
                queries.add(session, self._wb.database.user_id, template)
        except ConflictError as error:
            raise NameTakenError(
                f"you have a template {template.name!r} in the library already",
                cure=f"choose another name, or first wb.library.remove({template.name!r})",
            ) from error


def _settings(template: LibraryPrompt) -> dict[str, Any]:
    schema = {} if template.answer_schema is None else {"schema": template.answer_schema}
    return {**template.settings, **schema}


def _category(given: str) -> str:
    name = " ".join(given.split())
    if not 0 < len(name) <= _MAX_CATEGORY:
        raise DataError(
            f"a category has 1 to {_MAX_CATEGORY} characters, not {len(name):,}",
            cure="use a word, such as 'extraction'",
        )
    return name
