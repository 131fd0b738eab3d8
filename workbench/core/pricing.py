"""What a call costs: prices per token, and where a figure came from.

Money is :class:`~decimal.Decimal` from end to end. A cost that nobody can know is None, never 0:
a sum over runs must not look cheaper because a provider was silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Literal, NamedTuple

from workbench.core.chat import ModelInfo, Usage

__all__ = ["FREE", "PERIODS", "Cost", "CostSource", "Price", "PriceTable", "cost_of"]

CostSource = Literal["provider", "price", "cache"]

#: What a budget may be for, and how that is said; days and months begin at 00:00 UTC.
PERIODS: Mapping[str, str] = MappingProxyType({"day": "per day", "month": "per month", "total": "in total"})

#: The resolution of every stored amount: numeric(18,10).
_STEP = Decimal("1e-10")


class Cost(NamedTuple):
    """An amount in USD and where it came from; both None when it cannot be known.

    ``source`` is ``"provider"`` (the answer said so), ``"price"`` (tokens × the price table) or
    ``"cache"`` (nothing was called).
    """

    amount: Decimal | None
    source: CostSource | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """USD per token.

    Attributes:
        prompt: per prompt token.
        completion: per completion token.
        cached: per prompt token read from the provider's own cache; None means as ``prompt``.
        request: per call, whatever its length.

    """

    prompt: Decimal
    completion: Decimal
    cached: Decimal | None = None
    request: Decimal = Decimal(0)

    def amount(self, *, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Decimal:
        """Return the USD for so many tokens, rounded half-even to 10 places.

        Cached tokens are a part of the prompt tokens, as providers report them.

        >>> Price(prompt=Decimal("1e-6"), completion=Decimal("2e-6")).amount(
        ...     prompt_tokens=100, completion_tokens=50
        ... )
        Decimal('0.0002000000')
        """
        cached = min(cached_tokens, prompt_tokens)
        cached_price = self.prompt if self.cached is None else self.cached
        total = (
            self.request
            + self.prompt * (prompt_tokens - cached)
            + cached_price * cached
            + self.completion * completion_tokens
        )
        return total.quantize(_STEP, rounding=ROUND_HALF_EVEN)


#: The price of what runs here.
FREE = Price(prompt=Decimal(0), completion=Decimal(0))


@dataclass(frozen=True, slots=True)
class PriceTable(Mapping[str, Price]):
    """Prices by full model id.

    >>> table = PriceTable({"local/smollm2": FREE})
    >>> table["local/smollm2"].prompt
    Decimal('0')
    """

    prices: Mapping[str, Price] = field(default_factory=dict)

    @classmethod
    def of(cls, models: Iterable[ModelInfo]) -> PriceTable:
        """Take the prices that providers list; a model without both prices is left out."""
        return cls(
            {
                model.model_id: Price(
                    prompt=model.price_prompt,
                    completion=model.price_completion,
                    cached=model.price_cached,
                    request=model.price_request,
                )
                for model in models
                if model.price_prompt is not None and model.price_completion is not None
            }
        )

    def __getitem__(self, model_id: str) -> Price:
        return self.prices[model_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.prices)

    def __len__(self) -> int:
        return len(self.prices)


def cost_of(usage: Usage, price: Price | None = None) -> Cost:
    """Return what a call cost.

    The provider's own figure wins; without one, tokens × price; without tokens or price, unknown.

    >>> cost_of(Usage(prompt_tokens=10, completion_tokens=5))
    Cost(amount=None, source=None)
    """
    if usage.cost is not None:
        return Cost(usage.cost.quantize(_STEP, rounding=ROUND_HALF_EVEN), "provider")
    if price is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return Cost(None, None)
    amount = price.amount(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens or 0,
    )
    return Cost(amount, "price")
