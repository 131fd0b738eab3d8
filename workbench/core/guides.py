"""Families of models: which ids belong to one, how to write for it, and options to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from workbench.core.data_files import load_data, the
from workbench.core.display import Card, Rich
from workbench.errors import DataError

__all__ = ["TOPICS", "ModelFamily", "ModelGuide", "in_order", "parse_families"]

#: What advice is about, in the order in which it is shown; jsonb keeps none.
TOPICS: Final = (
    "system prompt", "instructions", "few-shot", "JSON output", "reasoning", "temperature", "length", "long input",
    "watch out",
)  # fmt: skip

_MILLION: Final = 1_000_000
_SHOWN: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFamily:
    """Models that want to be written to in the same way.

    Attributes:
        name: such as ``claude``; templates of the library recommend families by it.
        title: for people.
        rank: from 1; the first family whose pattern is found in a model's id is the model's.
        pattern: a POSIX regular expression, without regard to case.
        best_practices: topic → one or two sentences.
        settings: options to begin with; empty where the provider's defaults are best.

    """

    name: str
    title: str
    rank: int
    pattern: str
    best_practices: Mapping[str, str]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelGuide(Rich):
    """How to write for one model, and what is known of it.

    Attributes:
        model: the id that was asked for, in full.
        family: the name of its family; ``other`` where none is known.
        title: the family, for people.
        best_practices: topic → one or two sentences, in the order of ``TOPICS``.
        settings: options to begin with.
        context_length: tokens that fit into one call, or None when nobody said.
        max_tokens: the longest answer, in tokens, or None.
        price_prompt: USD per token, or None when nobody said.
        price_completion: USD per token, or None.
        templates: names of the official templates that recommend the family.

    """

    model: str
    family: str
    title: str
    best_practices: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    context_length: int | None = None
    max_tokens: int | None = None
    price_prompt: Decimal | None = None
    price_completion: Decimal | None = None
    templates: tuple[str, ...] = ()

    @property
    def facts(self) -> str:
        """Limits and price in one line; empty when nothing is known."""
        parts = []
        if self.context_length is not None:
            parts.append(f"context {self.context_length:,} tokens")
        if self.max_tokens is not None:
            parts.append(f"answers up to {self.max_tokens:,} tokens")
        if self.price_prompt is not None and self.price_completion is not None:
            prices = (f"${price * _MILLION:,.2f}" for price in (self.price_prompt, self.price_completion))
            parts.append(f"{' in, '.join(prices)} out per million tokens")
        return " · ".join(parts)

    @property
    def options(self) -> str:
        """The settings in one line."""
        return (
            ", ".join(f"{name} {value}" for name, value in self.settings.items()) or "the provider's defaults"
        )

    def card(self) -> Card:
        """Return the advice, a row each."""
        return Card(
            title=f"{self.model}: {self.title}",
            text=self.facts,
            columns=("topic", "advice"),
            rows=[
                *([topic, advice] for topic, advice in self.best_practices.items()),
                ["begin with", self.options],
            ],
            note=self._suits,
        )

    def __str__(self) -> str:
        head = [f"{self.model} (family {self.family}: {self.title})", *([self.facts] if self.facts else [])]
        advice = [f"  {topic}: {text}" for topic, text in self.best_practices.items()]
        suits = [f"  {self._suits}"] if self.templates else []
        return "\n".join([*head, *advice, f"  begin with: {self.options}", *suits])

    @property
    def _suits(self) -> str:
        more = len(self.templates) - _SHOWN
        shown = ", ".join(self.templates[:_SHOWN])
        return f"templates: {shown}{f' and {more} more' if more > 0 else ''}" if shown else ""


def in_order(advice: Mapping[str, str]) -> dict[str, str]:
    """Return advice in the order of ``TOPICS``; topics that an administrator added come last.

    >>> list(in_order({"length": "Short.", "system prompt": "One."}))
    ['system prompt', 'length']
    """
    ranks = {topic: place for place, topic in enumerate(TOPICS)}
    return dict(sorted(advice.items(), key=lambda item: (ranks.get(item[0], len(TOPICS)), item[0])))


def parse_families(text: str, *, source: str) -> tuple[ModelFamily, ...]:
    """Read the file of families; their order is their rank.

    Raises:
        DataError: it does not parse, or a family is incomplete; the message names it.

    """
    families = the(load_data(text, source=source, keys=("families",)), "families", list, source)
    found = tuple(_family(rank, each, source) for rank, each in enumerate(families, 1))
    _unique([family.name for family in found], source)
    return found


def _family(rank: int, data: Any, source: str) -> ModelFamily:
    if not isinstance(data, dict) or set(data) != {"name", "title", "pattern", "best_practices", "settings"}:
        raise DataError(
            f"{source}: family {rank} must have name, title, pattern, best_practices and settings"
        )
    name = the(data, "name", str, source)
    where = f"{source}, family {name!r}"
    practices = the(data, "best_practices", dict, where)
    strange = [topic for topic in practices if topic not in TOPICS]
    if strange or not practices or not isinstance(data["pattern"], str):
        raise DataError(
            f"{where}: {', '.join(map(str, strange)) or 'something'} is wrong",
            cure=f"topics are {', '.join(TOPICS)}",
        )
    return ModelFamily(
        name=name,
        title=the(data, "title", str, where),
        rank=rank,
        pattern=data["pattern"],
        best_practices={topic: the(practices, topic, str, where) for topic in practices},
        settings=the(data, "settings", dict, where),
    )


def _unique(names: Sequence[str], source: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{source}: {', '.join(twice)} stands there twice")
