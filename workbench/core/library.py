"""The prompt library: templates that ship with the workbench, and those that a person published."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from workbench.core.body import PromptBody, parse_body
from workbench.core.chat import Message
from workbench.core.data_files import load_data, the
from workbench.core.display import Card, Rich
from workbench.errors import DataError, TemplateError

__all__ = ["Category", "LibraryPrompt", "parse_category"]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_TYPES: Final = ("string", "number", "integer", "boolean", "array", "object")
_VARIABLE_KEYS: Final = frozenset({"name", "type", "description", "required", "default", "example"})


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryPrompt(Rich):
    """A template to begin from.

    Attributes:
        name: what it is got by; unique among the official ones, and among one person's own.
        category: such as ``classification``.
        subcategory: a finer word within the category; may be empty.
        description: what it does, in a sentence.
        content: the whole text, role lines included, in the template language.
        variables: for each variable a mapping of ``name``, ``type``, ``description``, ``required``,
            ``default`` (what the text says where it is not given) and ``example``.
        tags: words to find it by.
        use_cases: what people use it for.
        models: families (or ids) of models that it suits.
        settings: options that belong to it, such as a temperature.
        answer_schema: the JSON schema of the answer, or None where the answer is text.
        is_official: whether it ships with the workbench.
        is_public: whether other people of this database can read it; every official one is.
        author: who published it; empty for an official one, or when that person is not known to you.

    """

    name: str
    category: str
    content: str
    subcategory: str = ""
    description: str = ""
    variables: Sequence[Mapping[str, Any]] = ()
    tags: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    answer_schema: Mapping[str, Any] | None = None
    is_official: bool = False
    is_public: bool = False
    author: str = ""

    @property
    def body(self) -> PromptBody:
        """The text, split into its turns."""
        return parse_body(self.content)

    @property
    def examples(self) -> dict[str, Any]:
        """An example value for each variable that has one; they fill the template."""
        return {str(each["name"]): each["example"] for each in self.variables if "example" in each}

    def render(self, **values: Any) -> tuple[Message, ...]:
        r"""Return the messages as they would be sent, with examples where no value is given.

        Raises:
            UndefinedVariableError: a variable has neither value nor example.

        Example:
            >>> wb.library.get("proofread").render(text="Helo.")[1].content  # doctest: +SKIP
            '<text>\nHelo.\n</text>'

        """
        return self.body.render({**self.examples, **values})

    @property
    def call(self) -> str:
        """Two lines of Python that use it."""
        needed = ", ".join(f"{each['name']}=…" for each in self.variables if each.get("required", True))
        return f'p = wb.library.use("{self.name}")\np({needed})'

    @property
    def place(self) -> str:
        """Where it stands: category, subcategory and who made it."""
        origin = "official" if self.is_official else f"by {self.author}" if self.author else "published here"
        return " · ".join(filter(None, [self.category, self.subcategory, origin]))

    def variable_rows(self) -> list[list[str]]:
        """Return name, type, whether it is needed, meaning and example of each variable, as short texts."""
        return [
            [
                str(each["name"]),
                str(each.get("type", "")),
                "yes" if each.get("required", True) else f"no: {_short(each.get('default'))}",
                str(each.get("description", "")),
                _short(each["example"]) if "example" in each else "",
            ]
            for each in self.variables
        ]

    def card(self) -> Card:
        """Return its variables under its name; the text itself is in the full view."""
        return Card(
            title=self.name,
            text=self.description,
            columns=("variable", "type", "needed", "meaning", "example"),
            rows=self.variable_rows(),
            note=self.place,
        )

    def __str__(self) -> str:
        parts = [f"{self.name} ({self.place})", self.description]
        if self.use_cases:
            parts.append("\n".join(["use it for", *(f"  - {use}" for use in self.use_cases)]))
        if self.variables:
            rows = (
                f"  {name} ({type_ or 'any'}, {'needed' if needed == 'yes' else f'if left out: {needed[4:]}'}) {meaning}".rstrip()
                for name, type_, needed, meaning, _ in self.variable_rows()
            )
            parts.append("\n".join(["variables", *rows]))
        if self.models:
            parts.append(f"suits {', '.join(self.models)}")
        if self.settings:
            parts.append("settings " + ", ".join(f"{name} {value}" for name, value in self.settings.items()))
        parts += [self.content, self.call]
        return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True, kw_only=True, slots=True)
class Category:
    """One file of the library.

    Attributes:
        name: as it stands in ``prompt_library.category``.
        title: for headings.
        about: one sentence.
        templates: in the order of the file.

    """

    name: str
    title: str
    about: str
    templates: tuple[LibraryPrompt, ...]


def parse_category(text: str, *, source: str) -> Category:
    """Read one file of official templates, and check every one of them.

    A template passes when its variables are exactly the declared ones, needed where it says so, and
    when it renders with its examples.

    Args:
        text: the YAML.
        source: the file's name, for messages.

    Raises:
        DataError: the file does not parse, or a template is not what it says; the message names it.

    """
    data = load_data(text, source=source, keys=("category", "title", "about", "templates"))
    name = the(data, "category", str, source)
    templates = the(data, "templates", list, source)
    return Category(
        name=name,
        title=the(data, "title", str, source),
        about=the(data, "about", str, source),
        templates=tuple(_template(name, each, source) for each in templates),
    )


def _template(category: str, data: Any, source: str) -> LibraryPrompt:
    if not isinstance(data, dict) or not _NAME.fullmatch(str(data.get("name", ""))):
        raise DataError(f"{source}: a template has no name of lower-case words and dashes")
    where = f"{source}, template {data['name']!r}"
    unknown = sorted(set(data) - _KEYS)
    if unknown:
        raise DataError(
            f"{where}: there is no key {unknown[0]!r}", cure=f"the keys are {', '.join(sorted(_KEYS))}"
        )
    template = LibraryPrompt(
        name=data["name"],
        category=category,
        subcategory=the(data, "subcategory", str, where),
        description=the(data, "description", str, where),
        content=the(data, "content", str, where).strip("\n"),
        variables=tuple(_variable(each, where) for each in the(data, "variables", list, where)),
        tags=_texts(data, "tags", where),
        use_cases=_texts(data, "use_cases", where),
        models=_texts(data, "models", where),
        settings=dict(data.get("settings", {})),
        answer_schema=data.get("answer_schema"),
        is_official=True,
        is_public=True,
    )
    _check(template, where)
    return template


_KEYS: Final = frozenset({
    "name", "subcategory", "description", "content", "variables", "tags", "use_cases", "models", "settings",
    "answer_schema",
})  # fmt: skip


def _variable(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not set(data) <= _VARIABLE_KEYS:
        raise DataError(
            f"{where}: a variable has the keys {', '.join(sorted(_VARIABLE_KEYS))}, not {data!r:.80}"
        )
    name = the(data, "name", str, where)
    if the(data, "type", str, where) not in _TYPES:
        raise DataError(
            f"{where}: {name} has the type {data['type']!r}", cure=f"types are {', '.join(_TYPES)}"
        )
    the(data, "description", str, where)
    required = data.get("required", True)
    if "example" not in data or required is ("default" in data):
        raise DataError(f"{where}: {name} needs an example, and a default exactly where it is not required")
    return {**data, "required": required}


def _check(template: LibraryPrompt, where: str) -> None:
    declared = {str(each["name"]): bool(each["required"]) for each in template.variables}
    try:
        body = template.body
        used = {name: name in body.required for name in body.variables}
        odd = sorted(name for name in declared.keys() | used.keys() if declared.get(name) != used.get(name))
        if odd:
            raise DataError(
                f"{where}: the declaration of {', '.join(odd)} is not what the text uses",
                cure="declare exactly the variables of the text; required is what has no | default(…)",
            )
        rendered = template.render()
    except TemplateError as error:
        raise DataError(f"{where}: {error.message}", cure=error.cure) from error
    if any(not message.content.strip() for message in rendered):
        raise DataError(f"{where}: with its examples a turn is empty")


def _texts(data: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    found = the(data, key, list, where)
    if not found or not all(isinstance(each, str) and each.strip() for each in found):
        raise DataError(f"{where}: {key} must be a list of texts")
    return tuple(found)


def _short(value: Any) -> str:
    text = "nothing" if value in ("", None, []) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:79]}…"
