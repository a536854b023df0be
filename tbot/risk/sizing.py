"""How many contracts: the worst case of one contract against a budget, in exact integer cents.

Worst case of one contract = (stop distance + C_SLIP_TICKS) x tick value + fees and commissions of the round turn
(failure-model.md R10).
"""

from tbot.domain.contracts import Product
from tbot.risk.limits import RiskLimits


def worst_per_contract_cents(product: Product, stop_ticks: int, slip_ticks: int) -> int:
    """Loss in cents of one contract that is stopped out `stop_ticks` away with `slip_ticks` of slippage."""
    return (stop_ticks + slip_ticks) * product.tick_value_cents + product.round_turn_cents


def size_for(product: Product, stop_ticks: int, budget_cents: int, most: int, limits: RiskLimits) -> tuple[int, int]:
    """(contracts, their worst case in cents): as many as the budget pays for, at most `most`; (0, 0) when none.

    `stop_ticks` is the distance of the stop and must be positive (the gate has checked it).
    """
    assert stop_ticks > 0, "sizing needs a stop distance"
    one = worst_per_contract_cents(product, stop_ticks, limits.slip_ticks)
    size = max(0, min(budget_cents // one, most, limits.max_contracts(product.micros)))
    return size, size * one
