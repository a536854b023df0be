"""Sizing: exact cents, never above the budget, never above a limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.contracts import PRODUCTS
from tbot.risk.limits import RiskLimits
from tbot.risk.sizing import size_for, worst_per_contract_cents

LIMITS = RiskLimits()


def test_worst_case_of_one_contract_by_hand() -> None:
    # MNQ: (40 + 4) ticks of 50 cents, 61 cents a side. ES: (8 + 4) ticks of 12.50, 1.89 a side.
    assert worst_per_contract_cents(PRODUCTS["MNQ"], 40, 4) == 44 * 50 + 122
    assert worst_per_contract_cents(PRODUCTS["ES"], 8, 4) == 12 * 1250 + 378


@pytest.mark.parametrize(
    ("symbol", "stop", "budget", "most", "expected"),
    [
        ("MNQ", 40, 20_000, 50, 5),  # 8 would fit the budget, 5 micros is the limit
        ("MNQ", 100, 20_000, 50, 3),  # 5322 each
        ("MNQ", 100, 5_322, 50, 1),  # exactly one
        ("MNQ", 100, 5_321, 50, 0),  # one cent short
        ("MNQ", 40, 20_000, 2, 2),
        ("MNQ", 40, 20_000, 0, 0),
        ("ES", 8, 20_000, 5, 1),
        ("ES", 12, 20_000, 5, 0),  # 20378
    ],
)
def test_sizes_by_table(symbol: str, stop: int, budget: int, most: int, expected: int) -> None:
    size, risk = size_for(PRODUCTS[symbol], stop, budget, most, LIMITS)
    assert size == expected
    assert risk == size * worst_per_contract_cents(PRODUCTS[symbol], stop, LIMITS.slip_ticks)


@given(st.sampled_from(sorted(PRODUCTS)), st.integers(1, 5_000), st.integers(-50_000, 200_000), st.integers(-5, 200))
def test_I6_never_above_budget_or_limit_and_never_one_too_few(symbol: str, stop: int, budget: int, most: int) -> None:
    product = PRODUCTS[symbol]
    size, risk = size_for(product, stop, budget, most, LIMITS)
    cap = min(most, LIMITS.max_contracts(product.micros))
    assert 0 <= size <= max(0, cap)
    assert risk <= max(0, budget)
    assert size >= cap or (size + 1) * worst_per_contract_cents(product, stop, LIMITS.slip_ticks) > budget
