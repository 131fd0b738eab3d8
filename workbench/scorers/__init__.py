"""Rules and judges: they see text and give a score."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Final

from workbench.core.cases import Case
from workbench.core.scoring import Scorer, ScorerSpec, parse_scorer
from workbench.errors import DataError, InputError, did_you_mean
from workbench.scorers.rules import RULES, make_rule

__all__ = ["GROUP", "check_cases", "get", "names"]

#: Entry points of this group are callables that take a ``ScorerSpec`` and return a ``Scorer``.
GROUP: Final = "workbench.scorers"


def names() -> tuple[str, ...]:
    """Return the name of every scorer that is there, the built-in rules first."""
    return tuple(dict.fromkeys([*RULES, *sorted(entry_points(group=GROUP).names)]))


def get(spec: str | ScorerSpec) -> Scorer:
    """Return the scorer that a text names.

    Args:
        spec: such as ``"equals:@label"``; see :mod:`workbench.core.scoring`.

    Raises:
        InputError: there is no such scorer, its argument does not fit, or its package is broken.

    >>> get("icontains:paris").name
    'icontains:paris'
    """
    spec = parse_scorer(spec) if isinstance(spec, str) else spec
    return make_rule(spec) if spec.name in RULES else _plugin(spec)


def check_cases(scorer: Scorer, cases: Sequence[Case]) -> None:
    """Make sure, before any call is paid for, that a rule finds in each case what it compares with.

    Only for scorers that cost nothing: each case is scored once, with an empty answer.

    Raises:
        DataError: some cases lack the column or the expected answer.

    """
    errors = [error for error in (scorer.score("", case).error for case in cases) if error]
    if errors:
        raise DataError(f"{scorer.name} cannot score {len(errors):,} of {len(cases):,} cases: {errors[0]}")


def _plugin(spec: ScorerSpec) -> Scorer:
    found = entry_points(group=GROUP, name=spec.name)
    if not found:
        raise InputError(
            f"there is no scorer {spec.name!r}",
            cure=did_you_mean(spec.name, names()) or f"the scorers are: {', '.join(names())}",
        )
    point = next(iter(found))
    package = point.dist.name if point.dist else "an unknown package"
    try:
        scorer = point.load()(spec)
    except (ImportError, AttributeError, TypeError) as error:
        raise InputError(
            f"the scorer {spec.name!r} of {package} cannot be loaded: {error}",
            cure=f"repair or remove {package}",
        ) from error
    if not isinstance(scorer, Scorer):
        raise InputError(f"the scorer {spec.name!r} of {package} has no name or no score(answer, case)")
    return scorer
