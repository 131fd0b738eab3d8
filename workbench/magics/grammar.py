"""The grammar of the magics' lines: text in, one frozen value out, nothing looked up.

``[NAME ('<<'|'=<<')] [verb] [REF …] option*``. ``NAME <<`` keeps the result in a variable and drops
the final display, ``NAME =<<`` shows it too. ``%prompt`` has no verb; ``%ab`` and ``%promptcmd``
always have one.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from workbench.core.refs import Ref, parse_ref
from workbench.errors import InputError, OptionError, did_you_mean
from workbench.magics.options import Option, Variable, read_options, split_line
from workbench.magics.tables import (
    AB_OPTIONS,
    AB_VERBS,
    COMMAND_OPTIONS,
    COMMAND_VERBS,
    EXAMPLES,
    PROMPT_OPTIONS,
    format_help,
)

__all__ = [
    "AbLine",
    "CommandLine",
    "PromptLine",
    "Variable",
    "format_help",
    "parse_ab",
    "parse_command",
    "parse_line",
]

_STORE: Final = re.compile(r"(?P<name>[^\s<=]*)\s*(?P<how>=?<<)(?P<rest>.*)", re.DOTALL)
_SEARCH: Final = re.compile(r"\s*(?:\S+\s*=?<<\s*)?search\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptLine:
    """What stands on a line of ``%prompt`` or ``%%prompt``; None, (), {} or False where nothing does.

    Attributes:
        store: variable that takes the result (``NAME <<``), or None.
        show: whether the result is shown at the end; False after ``<<``.
        refs: the prompts; at most one for ``%%prompt``.
        parameters: variable → text, JSON value, or :class:`Variable`.
        options: the provider's options, typed.

    """

    store: str | None = None
    show: bool = True
    refs: tuple[Ref, ...] = ()
    models: tuple[str, ...] = ()
    system: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    format: str | None = None
    schema: str | None = None
    data: str | None = None
    samples: int | None = None
    concurrency: int | None = None
    checks: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    vs: str | None = None
    save_as: str | None = None
    no_execute: bool = False
    includes: tuple[Ref, ...] = ()
    attach: tuple[str, ...] = ()
    source: str | None = None
    label: str | None = None
    tags: tuple[str, ...] = ()
    note: str | None = None
    budget: float | None = None
    dry_run: bool = False
    no_cache: bool = False
    fresh: bool = False
    retry_errors: bool = False
    background: bool = False
    raw: bool = False
    yes: bool = False
    quiet: bool = False
    help: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AbLine:
    """What stands on a line of ``%ab``.

    Attributes:
        verb: one of ``AB_VERBS``; empty only with ``help``.
        refs: the arms, two or more, for ``plan`` and ``run`` of a new test.
        test: name or variable of a test that exists already; for all verbs but ``list``.

    """

    store: str | None = None
    show: bool = True
    verb: str
    refs: tuple[Ref, ...] = ()
    test: str | None = None
    data: str | None = None
    metric: str | None = None
    budget: float | None = None
    mde: float | None = None
    margin: float | None = None
    alpha: float | None = None
    power: float | None = None
    design: str | None = None
    models: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    samples: int | None = None
    name: str | None = None
    holdout: bool = False
    guards: tuple[str, ...] = ()
    yes: bool = False
    quiet: bool = False
    help: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandLine:
    """What stands on a line of ``%promptcmd``: a verb of ``COMMAND_VERBS`` and its words."""

    store: str | None = None
    show: bool = True
    verb: str
    words: tuple[str, ...] = ()
    limit: int | None = None
    outputs: bool = False
    tag: str | None = None
    project: str | None = None
    model: str | None = None
    label: str | None = None
    since: str | None = None
    until: str | None = None
    prompt: str | None = None
    status: str | None = None
    yes: bool = False
    quiet: bool = False
    help: bool = False


def parse_line(line: str, *, magic: str = "%%prompt") -> PromptLine:
    """Read a line of ``%prompt`` or ``%%prompt``.

    Args:
        line: what stands after the magic's name.
        magic: ``"%%prompt"`` for a cell, which takes one title, or ``"%prompt"``, which takes several.

    Raises:
        OptionError: the line does not parse; the message says where and what to write.

    >>> parse_line("ans << summarise@prod -t 0").refs
    (Ref(title='summarise', version=None, label='prod'),)
    """
    store, show, values, words = _read(line, PROMPT_OPTIONS, magic)
    refs = _refs(words, magic)
    if magic.startswith("%%") and len(refs) > 1:
        raise OptionError(
            f"{magic}: a cell has one title, not {len(refs)}",
            cure="put a title with spaces in quotes; the prompt's text goes below the line",
        )
    if values["vs"] and not refs:
        raise OptionError(f"{magic}: --vs needs a title", cure=f"write {magic} TITLE --vs {values['vs']}")
    return PromptLine(store=store, show=show, refs=refs, **values)


def parse_ab(line: str, *, magic: str = "%ab") -> AbLine:
    """Read a line of ``%ab``.

    Raises:
        OptionError: the line does not parse, or its verb is missing or unknown.

    >>> parse_ab("res << run classify@3 classify@4 -d reviews").verb
    'run'
    """
    store, show, values, words = _read(line, AB_OPTIONS, magic)
    if values["help"]:
        return AbLine(store=store, show=show, verb="", **values)
    verb, *rest = _with_verb(words, AB_VERBS, magic)
    if verb == "list" and rest:
        raise OptionError(f"{magic}: list takes no names", cure=f"write {magic} show {rest[0]}")
    if verb in {"plan", "run"} and len(rest) > 1:
        return AbLine(store=store, show=show, verb=verb, refs=_refs(rest, magic), **values)
    if verb != "list" and len(rest) != 1:
        what = "two prompts, or the name of a test" if verb in {"plan", "run"} else "the name of one test"
        raise OptionError(f"{magic}: {verb} needs {what}", cure=_example("ab", verb))
    return AbLine(store=store, show=show, verb=verb, test=rest[0] if rest else None, **values)


def parse_command(line: str, *, magic: str = "%promptcmd") -> CommandLine:
    """Read a line of ``%promptcmd``.

    Raises:
        OptionError: the line does not parse, or its verb is missing or unknown.

    >>> parse_command("diff classify@3 classify@4").words
    ('classify@3', 'classify@4')
    """
    try:
        store, show, values, words = _read(line, COMMAND_OPTIONS, magic)
    except OptionError as error:
        if not _SEARCH.match(line):
            raise
        cure = f"{error.cure}; a word that is left out stands in quotes: search 'refund -draft'"
        raise OptionError(error.message, cure=cure) from error
    if values["help"]:
        return CommandLine(store=store, show=show, verb="", **values)
    verb, *rest = _with_verb(words, COMMAND_VERBS, magic)
    return CommandLine(store=store, show=show, verb=verb, words=tuple(rest), **values)


def _read(
    line: str, options: Sequence[Option], magic: str
) -> tuple[str | None, bool, dict[str, Any], list[str]]:
    """Return the variable to store in, whether to show, the options' values, and the other words."""
    match = _STORE.match(line.lstrip())
    store = _variable(match["name"], magic) if match else None
    rest = match["rest"] if match else line
    values, words = read_options(split_line(rest, magic=magic), options, magic=magic)
    if stray := {"<<", "=<<"} & set(words):
        raise OptionError(
            f"{magic}: {stray.pop()} stands after one name, at the start", cure="write NAME << …"
        )
    return store, match is None or match["how"] == "=<<", values, words


def _variable(name: str, magic: str) -> str:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise OptionError(
            f"{magic}: {name!r:.60} before << cannot be the name of a variable",
            cure=f"write {magic} ans << …",
        )
    return name


def _refs(words: Sequence[str], magic: str) -> tuple[Ref, ...]:
    refs = []
    for word in words:
        name, equals, _ = word.partition("=")
        if equals and name.rstrip(":").isidentifier():
            raise OptionError(
                f"{magic}: {word!r:.60} is no title", cure=f"write -p {word:.60} for a variable"
            )
        try:
            refs.append(parse_ref(word))
        except InputError as error:
            raise OptionError(f"{magic}: {error.message}", cure=error.cure) from error
    return tuple(refs)


def _with_verb(words: Sequence[str], verbs: Sequence[str], magic: str) -> list[str]:
    """Return the words, the first of which is a verb."""
    if words and words[0] in verbs:
        return list(words)
    name = magic.lstrip("%")
    if not words:
        raise OptionError(
            f"{magic} needs a verb: {', '.join(verbs)}", cure=f"for instance {EXAMPLES[name][0]}"
        )
    begins = [verb for verb in verbs if verb.startswith(words[0])]
    raise OptionError(
        f"{magic}: {words[0]!r:.60} is no verb",
        cure=did_you_mean(words[0], begins or verbs) or f"the verb comes first: {', '.join(verbs)}",
    )


def _example(magic: str, verb: str) -> str:
    return next(f"for instance {example}" for example in EXAMPLES[magic] if f" {verb} " in example)
