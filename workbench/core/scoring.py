"""Scores and scorers as values: what a scorer is asked, and what it answers.

A scorer is written as ``name[:argument][:@column]``. What an answer is compared with is, in this
order: the case's column after ``@``, the argument, the case's expected answer::

    equals                       the expected answer
    equals:@label                the column label
    contains:sorry               the text "sorry"
    one-of:positive|negative     these labels, against the expected answer
    one-of:yes|no:@answer        these labels, against the column answer
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from workbench.core.cases import Case
from workbench.errors import InputError

__all__ = ["UNPARSED", "Score", "Scorer", "ScorerSpec", "parse_scorer"]

#: Start of the reason of every answer in which a scorer could not find what it looked for.
UNPARSED: Final = "unparsed: "

_SPEC: Final = re.compile(
    r"(?P<name>[a-z][a-z0-9-]*)(?::(?!@)(?P<argument>.*?))?(?::@(?P<column>[^:@\n]+))?", re.DOTALL
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The result of one scorer on one answer.

    Attributes:
        scorer: the scorer as it was written, ``equals:@label``.
        value: from 0 (worst) to 1 (best); None when the scorer failed.
        passed: whether the answer is good enough; None when the scorer failed.
        reason: one line for people.
        error: why the scorer failed; None when it did not. A wrong answer is no error.
        parsed: what the scorer took out of the answer, such as the label that it found.

    """

    scorer: str
    value: float | None = None
    passed: bool | None = None
    reason: str = ""
    error: str | None = None
    parsed: str | None = None

    @property
    def unparsed(self) -> bool:
        """Whether the answer could not be read: counted apart from answers that are wrong."""
        return self.reason.startswith(UNPARSED)


@runtime_checkable
class Scorer(Protocol):
    """Sees an answer and its case and gives a score. It never raises for an answer's content."""

    @property
    def name(self) -> str:
        """The scorer as it was written, unique within a run."""

    def score(self, answer: str, case: Case) -> Score:
        """Score one answer."""


@dataclass(frozen=True, slots=True)
class ScorerSpec:
    """A scorer as it was written, taken apart.

    Attributes:
        text: all of it.
        name: which scorer.
        argument: the text after the first colon, or None.
        column: the case's column to compare with, or None.

    """

    text: str
    name: str
    argument: str | None = None
    column: str | None = None

    def __str__(self) -> str:
        return self.text


def parse_scorer(text: str) -> ScorerSpec:
    """Take a scorer's text apart; whether it exists is asked of ``workbench.scorers.get``.

    Raises:
        InputError: the text does not begin with a name, or a part after a colon is empty.

    >>> parse_scorer("equals:@label")
    ScorerSpec(text='equals:@label', name='equals', argument=None, column='label')
    """
    text = text.strip()
    match = _SPEC.fullmatch(text)
    if match is None or match["argument"] == "" or (match["column"] or "x").isspace():
        raise InputError(
            f"{text!r:.200} is no scorer",
            cure="write name, name:argument or name:@column, such as equals:@label or one-of:yes|no",
        )
    return ScorerSpec(text, match["name"], match["argument"], match["column"])
