"""Position arithmetic: worked examples and exactness over random fills."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.positions import Position

BUY, SELL = 1, -1


def test_long_round_trip() -> None:
    position = Position()
    assert position.apply(BUY, 2, 100) == 0
    assert (position.size, position.price_size_sum, position.side) == (2, 200, 1)
    assert position.apply(SELL, 2, 103) == 6
    assert (position.size, position.price_size_sum, position.side) == (0, 0, 0)


def test_short_round_trip() -> None:
    position = Position()
    position.apply(SELL, 3, 50)
    assert position.apply(BUY, 1, 60) == -10
    assert position.apply(BUY, 2, 45) == 10


def test_a_close_takes_its_share_rounded_down_and_the_rest_stays() -> None:
    position = Position()
    for price in (100, 100, 101):
        position.apply(BUY, 1, price)
    assert position.apply(SELL, 1, 100) == 0  # share 301 // 3 = 100
    assert position.price_size_sum == 201
    assert position.apply(SELL, 2, 100) == -1


def test_a_reversal_closes_and_opens_the_rest() -> None:
    position = Position()
    position.apply(BUY, 2, 100)
    assert position.closing_size(SELL, 5) == 2
    assert position.apply(SELL, 5, 110) == 20
    assert (position.size, position.price_size_sum) == (-3, 330)


@pytest.mark.parametrize(("side", "size"), [(0, 1), (2, 1), (1, 0), (-1, -1)])
def test_senseless_fills_are_refused(side: int, size: int) -> None:
    with pytest.raises(ValueError, match="a fill has side"):
        Position().apply(side, size, 100)


FILLS = st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 9), st.integers(-50, 10_000)), max_size=50)


@given(FILLS)
def test_realised_pnl_and_basis_are_the_cash_flow(fills: list[tuple[int, int, int]]) -> None:
    position = Position()
    realised = sum(position.apply(side, size, price) for side, size, price in fills)
    cash = -sum(side * size * price for side, size, price in fills)
    assert realised == cash + position.side * position.price_size_sum
    assert position.size == sum(side * size for side, size, _ in fills)
    assert position.size != 0 or position.price_size_sum == 0
