from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from workbench.core.chat import ModelInfo, Usage
from workbench.core.pricing import FREE, Cost, Price, PriceTable, cost_of

PRICE = Price(prompt=Decimal("0.00000015"), completion=Decimal("0.0000006"))


def test_the_providers_own_cost_wins():
    usage = Usage(prompt_tokens=1000, completion_tokens=1000, cost=Decimal("0.5"))
    assert cost_of(usage, PRICE) == Cost(Decimal("0.5"), "provider")


def test_tokens_times_price_is_exact():
    cost = cost_of(Usage(prompt_tokens=1000, completion_tokens=500), PRICE)
    assert cost == Cost(Decimal("0.0004500000"), "price")


def test_cached_tokens_have_their_own_price_and_a_call_may_have_one():
    price = Price(prompt=Decimal(4), completion=Decimal(1), cached=Decimal(1), request=Decimal(10))
    assert price.amount(prompt_tokens=5, completion_tokens=0, cached_tokens=3) == 10 + 2 * 4 + 3
    assert price.amount(prompt_tokens=5, completion_tokens=0, cached_tokens=99) == 10 + 5


def test_without_tokens_or_price_the_cost_is_unknown_never_zero():
    assert cost_of(Usage(prompt_tokens=5, completion_tokens=5)) == Cost(None, None)
    assert cost_of(Usage(prompt_tokens=5), PRICE) == Cost(None, None)
    assert cost_of(Usage(), FREE) == Cost(None, None)


def test_what_runs_here_costs_exactly_nothing():
    assert cost_of(Usage(prompt_tokens=5, completion_tokens=5), FREE) == Cost(Decimal(0), "price")


def test_a_table_takes_models_with_both_prices_only():
    models = [
        ModelInfo(model_id="a/b", name="b", price_prompt=Decimal(1), price_completion=Decimal(2)),
        ModelInfo(model_id="a/c", name="c", price_prompt=Decimal(1)),
    ]
    table = PriceTable.of(models)
    assert dict(table) == {"a/b": Price(prompt=Decimal(1), completion=Decimal(2))}
    assert table.get("a/c") is None
    assert len(table) == 1


tokens = st.integers(0, 10**6)


@given(tokens, tokens, tokens, tokens)
def test_more_tokens_never_cost_less_and_parts_add_up(prompt, completion, more_prompt, more_completion):
    one = PRICE.amount(prompt_tokens=prompt, completion_tokens=completion)
    two = PRICE.amount(prompt_tokens=more_prompt, completion_tokens=more_completion)
    both = PRICE.amount(prompt_tokens=prompt + more_prompt, completion_tokens=completion + more_completion)
    assert both == one + two >= one
