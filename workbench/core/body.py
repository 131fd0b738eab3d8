r"""The body of a prompt: front matter, a system prompt, and turns, split **before** rendering.

Because roles are found in the text that the author wrote, no value filled in later can open one.
A role line is exactly ``system:``, ``user:`` or ``assistant:`` alone on its line; ``\user:`` writes
such a line literally. Text before the first role line is a user's turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from workbench.core.chat import Message, Role
from workbench.core.front_matter import front_matter_lines, has_front_matter, split_front_matter
from workbench.core.templates import Template
from workbench.core.values import check_text
from workbench.errors import TemplateError

__all__ = ["PromptBody", "TemplateMessage", "join_turns", "parse_body"]

_ROLE_LINE: Final = re.compile(r"^(?P<escape>\\*)(?P<role>system|user|assistant):[ \t]*$", re.MULTILINE)
_BLANK_START: Final = re.compile(r"\A(?:[ \t]*\n)+")
_NEWLINE: Final = re.compile(r"\r\n?")


@dataclass(frozen=True, slots=True)
class TemplateMessage:
    """One turn before rendering: whose it is, and its template."""

    role: Literal["user", "assistant"]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptBody:
    """A prompt's text, split.

    Attributes:
        messages: the turns after the system prompt, at least one.
        system: the system prompt's template, or None; stored as ``prompts.system_prompt``.
        content: the turns in canonical text; stored as ``prompts.content``. It has role lines only
            when there is more than a single user's turn.
        front_matter: the settings above the text, checked and read-only.
        schema_line: the line on which they give a schema, or None; for messages.

    ``parse_body(body.content, system=body.system)`` gives the same messages, system and content.

    """

    messages: tuple[TemplateMessage, ...]
    system: str | None = None
    content: str
    front_matter: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    schema_line: int | None = field(default=None, compare=False)

    @property
    def variables(self) -> tuple[str, ...]:
        """The names that the templates read, in order of appearance, system prompt first.

        Raises:
            TemplateError: a template does not parse.

        """
        return _names(self._turns())[0]

    @property
    def required(self) -> tuple[str, ...]:
        """Those of the variables that must be given."""
        return _names(self._turns())[1]

    @property
    def text(self) -> str:
        """The whole prompt in one text, the system prompt as its first section; it parses to the same body."""
        if self.system is None:
            return self.content
        turns = [f"{message.role}:\n{_escape(message.text)}" for message in self.messages]
        return "\n\n".join([f"system:\n{_escape(self.system)}", *turns])

    def with_turns(self, system: str | None, messages: Sequence[TemplateMessage]) -> PromptBody:
        """Return the body with other turns, everything else as it is."""
        kept = tuple(messages)
        return replace(self, system=system, messages=kept, content=_canonical(kept))

    def render(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """Return the messages to send, system prompt first.

        Args:
            values: the variables by name; other names are ignored.

        Raises:
            UndefinedVariableError: a variable is not given, None or NaN without ``| default(…)``.
            TemplateError: a template does not parse, a value is no JSON value, or the text grows too long.

        """
        messages = []
        for role, template in _parsed(self._turns()):
            try:
                messages.append(Message(role, template.render(values)))
            except TemplateError as error:
                raise _named(error, role) from error
        return tuple(messages)

    def _turns(self) -> tuple[tuple[Role, str], ...]:
        turns = tuple((message.role, message.text) for message in self.messages)
        return turns if self.system is None else (("system", self.system), *turns)


# A run asks for the same prompt's parts thousands of times.
@lru_cache(maxsize=256)
def _parsed(turns: tuple[tuple[Role, str], ...]) -> tuple[tuple[Role, Template], ...]:
    parsed = []
    for role, text in turns:
        try:
            parsed.append((role, Template.parse(text)))
        except TemplateError as error:
            raise _named(error, role) from error
    return tuple(parsed)


@lru_cache(maxsize=256)
def _names(turns: tuple[tuple[Role, str], ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names that the turns read, and those of them that must be given."""
    templates = [template for _, template in _parsed(turns)]
    return _union(each.variables for each in templates), _union(each.required for each in templates)


def parse_body(text: str, *, system: str | None = None) -> PromptBody:
    r"""Split a prompt's text.

    Args:
        text: the body of a cell, a file, or a stored ``content``.
        system: a system prompt given beside it, such as the stored ``system_prompt``; it is a
            template too. Blank means none.

    Raises:
        TemplateError: the front matter is wrong, a turn is empty, or there are two system prompts.
        DataError: it is no text.

    >>> parse_body("system:\nYou are terse.\nuser:\nSummarise {{ text }}").messages
    (TemplateMessage(role='user', text='Summarise {{ text }}'),)
    """
    check_text(text, what="a prompt")
    if system is not None:
        check_text(system, what="a system prompt")
    whole = _NEWLINE.sub("\n", text)
    front_matter, rest = split_front_matter(whole)
    turns = _split(rest)
    own_system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    given = _tidy(_NEWLINE.sub("\n", system or ""))
    if own_system and given:
        raise TemplateError(
            "there are two system prompts: the section system: and the one given beside the text",
            cure="leave one of them out",
        )
    messages = tuple(_message(role, text) for role, text in turns)
    if not messages:
        raise TemplateError("the prompt has no user message", cure="write its text below the line user:")
    return PromptBody(
        messages=messages,
        system=own_system or given or None,
        content=_canonical(messages),
        front_matter=front_matter,
        schema_line=front_matter_lines(whole)["schema"] if "schema" in front_matter else None,
    )


def join_turns(turns: Iterable[tuple[str, str]]) -> str:
    r"""Return the text of a prompt whose turns are given: :func:`parse_body` finds the same turns in it.

    Args:
        turns: (role, template) in order, ``system`` first where there is one. A line of a template that
            looks like a role line is written as ``\\user:``.

    >>> join_turns([("system", "Be terse."), ("user", "Tone of {{ text }}")])
    'system:\nBe terse.\n\nuser:\nTone of {{ text }}'
    """
    return "\n\n".join(f"{role}:\n{_escape(_NEWLINE.sub(chr(10), text))}" for role, text in turns)


def _split(text: str) -> list[tuple[str, str]]:
    """Return (role, tidied and unescaped text) of each section, in order."""
    turns: list[tuple[str, str]] = []
    role, start = "", 0
    for match in _ROLE_LINE.finditer(text):
        if match["escape"]:
            continue
        turns.append((role, text[start : match.start()]))
        role, start = match["role"], match.end()
    turns.append((role, text[start:]))
    head = _tidy(turns[0][1])
    sections = [(role, _unescape(_tidy(section))) for role, section in turns[1:]]
    return [("user", _unescape(head)), *sections] if head else sections


def _message(role: str, text: str) -> TemplateMessage:
    if role == "system":
        raise TemplateError(
            "the section system: must come first, and once", cure="move its text to the top of the prompt"
        )
    if not text:
        raise TemplateError(f"the section {role}: is empty", cure="write its text, or remove the line")
    return TemplateMessage(cast("Literal['user', 'assistant']", role), text)


def _canonical(messages: Sequence[TemplateMessage]) -> str:
    texts = [_escape(message.text) for message in messages]
    alone = len(messages) == 1 and messages[0].role == "user"
    if alone and not has_front_matter(texts[0]):
        return texts[0]
    return join_turns((message.role, message.text) for message in messages)


def _tidy(text: str) -> str:
    """Drop blank lines at the start and white space at the end; indentation stays."""
    return _BLANK_START.sub("", text).rstrip()


def _escape(text: str) -> str:
    return _ROLE_LINE.sub(r"\\\g<0>", text)


def _unescape(text: str) -> str:
    return _ROLE_LINE.sub(lambda match: match[0].removeprefix("\\"), text)


def _union(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))


def _named(error: TemplateError, role: str) -> TemplateError:
    """Say in which message a template's line stands."""
    return type(error)(f"{role} message, {error.message}", cure=error.cure)
