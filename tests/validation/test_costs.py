"""V3: the cost curve by hand, and its root exactly."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.errors import DataError
from tbot.validation.costs import MULTIPLES, CostParts, cost_curve, friction_cents


def parts(fees: list[int], commissions: list[int], spread: list[int], slippage: list[int]) -> CostParts:
    return CostParts(*(np.array(column, np.int64) for column in (fees, commissions, spread, slippage)))


def test_V3_a_curve_by_hand() -> None:
    """Two trips that would have made 600 without friction and bear 200: at three times their costs nothing is left."""
    costs = parts([36, 36], [25, 25], [30, 30], [19, -1])
    assert costs.total.tolist() == [110, 90]
    told = cost_curve(np.array([500, -100]), costs)
    assert (told.n, told.net_cents, told.frictionless_cents, told.costs_cents) == (2, 400, 600, 200)
    assert told.parts_cents == (("fees", 72), ("commissions", 50), ("spread", 60), ("slippage", 18))
    assert told.dies_at == 3.0
    assert told.multiples == MULTIPLES
    assert (MULTIPLES[0], MULTIPLES[4], MULTIPLES[-1]) == (0, 1, 4)
    assert (told.nets_cents[0], told.nets_cents[4], told.nets_cents[12], told.nets_cents[16]) == (600, 400, 0, -200)


cents = st.integers(-10_000, 10_000)


@given(st.lists(st.tuples(cents, *[st.integers(-500, 1000)] * 4), max_size=10))
def test_V3_the_root_is_where_the_line_crosses(rows: list[tuple[int, ...]]) -> None:
    net, *columns = np.array(rows, np.int64).reshape(-1, 5).T
    told = cost_curve(net, CostParts(*columns))
    assert told.net_at(1) == told.net_cents == net.sum()
    if told.frictionless_cents <= 0:
        assert told.dies_at == 0
    elif math.isinf(told.dies_at):
        assert told.net_at(1e6) > 0
    else:
        assert told.net_at(told.dies_at) == pytest.approx(0, abs=1e-6)
        assert told.net_at(told.dies_at * 1.01) < 0 < told.net_at(told.dies_at * 0.99)


def test_V3_without_costs_or_without_profit() -> None:
    none = [0, 0]
    assert cost_curve(np.array([5, 5]), parts(none, none, none, none)).dies_at == math.inf
    assert cost_curve(np.array([5, 5]), parts([1, 1], none, none, [-3, -3])).dies_at == math.inf, "friction that pays"
    assert cost_curve(np.array([-9, 5]), parts([1, 1], none, none, none)).dies_at == 0
    assert cost_curve(np.array([0, 0]), parts([1, 0], none, none, none)).dies_at == 1, "one cent against one cent"
    assert cost_curve(np.zeros(0, np.int64), parts([], [], [], [])).dies_at == 0


def test_V3_every_trip_needs_its_costs() -> None:
    with pytest.raises(DataError, match="spread"):
        cost_curve(np.array([5, 5]), parts([1, 1], [1, 1], [1], [1, 1]))


def test_V3_ticks_become_cents() -> None:
    told = friction_cents(np.array([0.5, 2.0, -1.0, 0.3]), np.array([125, 50, 50, 5]), np.array([1, 3, 2, 1]))
    assert told.tolist() == [63, 300, -100, 2]
