"""Worth of open positions: R10's worst case and F-RSK-01's value now, by hand."""

import pytest

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Quote
from tbot.domain.positions import Position
from tbot.domain.timeframes import NS_PER_S
from tbot.risk.limits import RiskLimits
from tbot.risk.valuation import open_worst_cents, reserve_cents, unrealised_cents

MNQ, LIMITS = PRODUCTS["MNQ"], RiskLimits()
LONG, SHORT = Position(2, 2_000), Position(-2, 2_000)


def quote(bid: int, ask: int, age_s: float = 0) -> Quote:
    return Quote(bid, ask, 0, 1, int(age_s * NS_PER_S))


@pytest.mark.parametrize(
    ("position", "at", "ticks"),
    [
        (LONG, quote(990, 992), -20),  # bid of a long one
        (SHORT, quote(990, 992), 16),  # ask of a short one
        (LONG, quote(990, 992, 10), -20),
        (LONG, quote(990, 992, 10.1), -20 - 60),  # stale: the last price minus the stop distance
        (LONG, None, -60),
    ],
)
def test_F_RSK_01_value_now(position: Position, at: Quote | None, ticks: int) -> None:
    assert unrealised_cents(MNQ, position, at, 30, LIMITS.quote_stale_ns) == ticks * 50 - 2 * 61


@pytest.mark.parametrize(
    ("position", "stop", "at", "lost"),
    [
        (LONG, (970, 40), quote(1_005, 1_007), 60),  # entry to stop; profit counts as 0
        (SHORT, (1_030, 40), quote(995, 997), 60),
        (LONG, (None, 40), quote(1_000, 1_001), 80),  # no proven stop: the approved distance
        (LONG, (970, 40), quote(960, 961), 80),  # already beyond the stop
        (LONG, (1_010, 40), quote(1_020, 1_021), 0),  # stop in profit
        (LONG, (970, 40), None, 60),
    ],
)
def test_I12_worst_case_of_an_open_position(
    position: Position, stop: tuple[int | None, int], at: Quote | None, lost: int
) -> None:
    assert open_worst_cents(MNQ, position, stop, at, LIMITS) == (lost + 8) * 50 + 2 * 61


def test_flat_is_worth_nothing_and_reserve_is_fees_and_two_ticks() -> None:
    assert unrealised_cents(MNQ, Position(), quote(1, 2), 5, 1) == 0
    assert open_worst_cents(MNQ, Position(), (None, 5), None, LIMITS) == 0
    assert reserve_cents(MNQ, SHORT, LIMITS) == 2 * 61 + 2 * 2 * 50
