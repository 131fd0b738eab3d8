"""Rules: scorers that only compare text. They cost nothing and always agree with themselves.

The names are promptfoo's. What each forgives:

=============  ====================================================================================
``equals``     white space around the answer
``iequals``    that, case, repeated white space, quotes and ``*`` ``_`` around, final punctuation
``contains``   nothing; the text stands somewhere in the answer
``icontains``  case
``starts-with``  white space before the answer
``regex``      nothing; the pattern is searched for (``(?i)`` at its start ignores case)
``one-of``     everything but the label: it is looked for as a whole word, whatever the case
``label``      the same, under another name
=============  ====================================================================================

``one-of:positive|negative`` reads "The review is positive." as ``positive``. An answer with none of
the labels, or with several, is *unparsed*: it fails, and a report counts it apart. It does not
understand the sentence: "not positive" is read as ``positive``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from workbench.core.cases import Case
from workbench.core.scoring import UNPARSED, Score, ScorerSpec
from workbench.errors import InputError, did_you_mean

__all__ = ["RULES", "OneOf", "Rule", "make_rule"]

_SHOWN: Final = 60
_AROUND: Final = " \t\r\n\f\v\u00a0'\"`*_“”„‘’‚«»‹›"
_FINAL: Final = _AROUND + ".,;:!?…。！？"


def _loose(text: str) -> str:
    return " ".join(text.lstrip(_AROUND).rstrip(_FINAL).casefold().split())


#: Name → how it reads when it holds, how when it does not, and the test itself.
_TESTS: Final[dict[str, tuple[str, str, Callable[[str, str], bool]]]] = {
    "equals": ("equals", "does not equal", lambda answer, target: answer.strip() == target.strip()),
    "iequals": ("equals", "does not equal", lambda answer, target: _loose(answer) == _loose(target)),
    "contains": ("contains", "does not contain", lambda answer, target: target in answer),
    "icontains": (
        "contains",
        "does not contain",
        lambda answer, target: target.casefold() in answer.casefold(),
    ),
    "starts-with": (
        "starts with",
        "does not start with",
        lambda answer, target: answer.lstrip().startswith(target),
    ),
    "regex": ("matches", "does not match", lambda answer, target: re.search(target, answer) is not None),
}
_LABEL_RULES: Final = ("one-of", "label")

RULES: Final = (*_TESTS, *_LABEL_RULES)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that holds or does not: value 1 or 0."""

    spec: ScorerSpec

    @property
    def name(self) -> str:
        """The rule as it was written."""
        return self.spec.text

    def score(self, answer: str, case: Case) -> Score:
        """Compare one answer; what cannot be compared gives a score with its ``error``."""
        try:
            target = _target(self.spec, case)
            yes, no, holds = _TESTS[self.spec.name]
            passed = holds(answer, target)
        except InputError as error:
            return Score(scorer=self.name, error=str(error))
        except re.error as error:
            return Score(scorer=self.name, error=f"{target!r:.60} is no regular expression: {error}")
        reason = f"{_short(answer)} {yes if passed else no} {_short(target)}"
        return Score(scorer=self.name, value=float(passed), passed=passed, reason=reason)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Finds the one label that an answer names, and compares it with the right one."""

    spec: ScorerSpec
    labels: tuple[str, ...]
    _pattern: re.Pattern[str] = field(repr=False)

    @classmethod
    def create(cls, spec: ScorerSpec) -> OneOf:
        """Read the labels, ``a|b|c``.

        Raises:
            InputError: fewer than two labels, or one of them twice.

        """
        labels = tuple(label.strip() for label in (spec.argument or "").split("|"))
        if len(labels) < 2 or not all(labels) or len({_fold(label) for label in labels}) < len(labels):
            raise InputError(
                f"{spec.text!r} needs two or more different labels",
                cure=f"write {spec.name}:positive|negative",
            )
        return cls(spec, labels, _label_pattern(labels))

    @property
    def name(self) -> str:
        """The rule as it was written."""
        return self.spec.text

    def score(self, answer: str, case: Case) -> Score:
        """Score one answer; ``parsed`` is the label found, in the spelling of the rule."""
        try:
            right = self._right(case)
        except InputError as error:
            return Score(scorer=self.name, error=str(error))
        found = self._found(answer)
        if len(found) != 1:
            what = f"several labels ({', '.join(found)})" if found else "no label"
            return Score(
                scorer=self.name, value=0.0, passed=False, reason=f"{UNPARSED}{what} in {_short(answer)}"
            )
        label = found[0]
        passed = label == right
        reason = f"{label!r} is right" if passed else f"{label!r}, but {right!r} is right"
        return Score(scorer=self.name, value=float(passed), passed=passed, reason=reason, parsed=label)

    def _found(self, answer: str) -> list[str]:
        groups = {match.lastgroup or "" for match in self._pattern.finditer(answer)}
        return [label for place, label in enumerate(self.labels) if f"label{place}" in groups]

    def _right(self, case: Case) -> str:
        text = _from_case(self.spec, case)
        for label in self.labels:
            if _fold(label) == _fold(text):
                return label
        raise InputError(f"the right answer {text!r:.60} is none of the labels {', '.join(self.labels)}")


def make_rule(spec: ScorerSpec) -> Rule | OneOf:
    """Return the rule of that name, checked as far as it can be without a case.

    Raises:
        InputError: the argument does not fit the rule.

    """
    if spec.name in _LABEL_RULES:
        return OneOf.create(spec)
    if spec.argument is not None and spec.column is not None:
        raise InputError(
            f"{spec.text!r} names both a text and a column to compare with",
            cure=f"write {spec.name}:@{spec.column}",
        )
    if spec.name == "regex" and spec.argument is not None:
        try:
            re.compile(spec.argument)
        except re.error as error:
            raise InputError(
                f"{spec.argument!r} is no regular expression: {error}",
                cure=r"put patterns in single quotes: -c 'regex:\d+'",
            ) from error
    return Rule(spec)


def _label_pattern(labels: Sequence[str]) -> re.Pattern[str]:
    """Match whole labels, the longest first, in groups named by their place.

    ``_positive_`` holds a label; "non-spam" holds no ``spam`` and "3.5" no ``3``.
    """
    longest = sorted(range(len(labels)), key=lambda place: -len(labels[place]))
    words = {place: r"\s+".join(map(re.escape, labels[place].split())) for place in longest}
    found = "|".join(f"(?P<label{place}>{pattern})" for place, pattern in words.items())
    return re.compile(rf"(?<![^\W_])(?<!\w-)(?<!\d[.,])(?:{found})(?![^\W_]|-\w|[.,]\d)", re.IGNORECASE)


def _target(spec: ScorerSpec, case: Case) -> str:
    target = _from_case(spec, case) if spec.argument is None else spec.argument
    if not target and spec.name not in {"equals", "iequals"}:
        raise InputError("there is nothing to compare with: the text is empty")
    return target


def _from_case(spec: ScorerSpec, case: Case) -> str:
    """Return the right answer: the column that the rule names, or the expected answer."""
    if spec.column is not None and spec.column not in case.inputs:
        raise InputError(
            f"the case has no column {spec.column!r}",
            cure=did_you_mean(spec.column, case.inputs) or f"it has: {', '.join(case.inputs)}",
        )
    value = case.expected if spec.column is None else case.inputs[spec.column]
    if value is None:
        what = "expected answer" if spec.column is None else f"value in {spec.column!r}"
        raise InputError(f"the case has no {what}", cure=f"name its column, {spec.name}:@label, or fill it")
    return _text(value)


def _text(value: Any) -> str:
    """Write a JSON value as an answer would: 1.0 from a column with gaps is 1."""
    if isinstance(value, str):
        return value
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


def _short(text: str) -> str:
    line = " ".join(text[: 2 * _SHOWN].split())
    return repr(line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…")


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())
