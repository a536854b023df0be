"""V15: trade statistics against numbers worked out by hand, and against slow references over random trips."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.backtest.results import TRIP_DTYPE
from tbot.errors import DataError
from tbot.validation.summary import (
    Drawdown,
    daily_net,
    drawdown,
    exposed_ns,
    losing_streak,
    sharpe_ratio,
    sortino_ratio,
    summarise,
)
from tbot.validation.trips import trips_of
from trip_builder import MINUTE_NS, make_trips

results = st.lists(st.integers(-500, 500), max_size=40)


def test_V15_a_week_by_hand() -> None:
    trips = make_trips([300, -100, -100, 0, -200, 400], [0, 0, 1, 1, 3, 3], costs=20, risk=200, size=2)
    told = summarise(trips)
    assert (told.n, told.wins, told.losses, told.net_cents, told.gross_cents, told.costs_cents) == (
        6,
        2,
        3,
        300,
        420,
        120,
    )
    assert (told.win_rate, told.profit_factor) == (pytest.approx(2 / 6), pytest.approx(700 / 400))
    assert (told.average_win_cents, told.average_loss_cents) == (350, pytest.approx(400 / 3))
    assert (told.expectancy_cents, told.expectancy_ticks, told.expectancy_r) == (50, 0.5, 0.25)
    assert (told.losing_streak, told.days, told.n_with_risk) == (3, 3, 6)
    fall = told.drawdown
    assert (fall.depth_cents, fall.peak, fall.trough, fall.recovered, fall.trips, fall.longest_trips) == (
        400,
        1,
        5,
        6,
        5,
        5,
    )
    # days: +200, -100, +200; mean 100, sample deviation sqrt(30 000), downside sqrt(10 000 / 3)
    assert told.sharpe == pytest.approx(100 / math.sqrt(30_000) * math.sqrt(252))
    assert told.sortino == pytest.approx(100 / math.sqrt(10_000 / 3) * math.sqrt(252))
    assert told.exposed_ns == 6 * 5 * MINUTE_NS
    assert told.exposure == pytest.approx(30 / (3 * 1440 + 15)), "from the first entry to the last exit"


def test_V15_days_without_a_trip_count_where_they_are_known() -> None:
    trips = make_trips([200, -100], [0, 2])
    assert daily_net(trips).tolist() == [200, -100]
    days = np.arange(trips.day[0], trips.day[0] + 4)
    assert daily_net(trips, days).tolist() == [200, 0, -100, 0]
    assert summarise(trips, days).days == 4


def test_V15_one_cent_is_a_win_or_a_loss_and_nothing_is_neither() -> None:
    told = summarise(make_trips([1, 0, -1, -1]))
    assert (told.wins, told.losses, told.profit_factor, told.losing_streak) == (1, 2, 0.5, 2)
    assert drawdown(np.array([0, 1, 0, 5])) == Drawdown(0, 0, 0, 0, 0, 0)


def test_V15_nothing_traded_defines_nothing() -> None:
    told = summarise(make_trips([]))
    assert (told.n, told.net_cents, told.losing_streak, told.exposed_ns, told.drawdown.depth_cents) == (0, 0, 0, 0, 0)
    undefined = (told.win_rate, told.profit_factor, told.expectancy_cents, told.expectancy_ticks, told.sharpe)
    assert set(undefined) == {None}
    assert told.sortino is told.expectancy_r is told.exposure is None


def test_V15_no_loss_and_no_spread_define_no_ratio() -> None:
    told = summarise(make_trips([100, 100, 100]))
    assert told.profit_factor is told.sharpe is told.sortino is None
    assert told.win_rate == 1


def test_V15_a_drawdown_that_lasts_is_open() -> None:
    fall = drawdown(np.array([100, -300, 50, 100]))
    assert (fall.depth_cents, fall.peak, fall.trough, fall.recovered, fall.trips) == (300, 1, 2, None, 3)


def test_V15_the_longest_drawdown_may_be_another_one_than_the_deepest() -> None:
    fall = drawdown(np.array([-10, 2, 2, 2, 2, 10, -100, 100]))
    assert (fall.depth_cents, fall.trips, fall.longest_trips) == (100, 2, 6)


@given(results)
def test_V15_drawdown_and_streak_are_those_of_a_slow_reading(net: list[int]) -> None:
    equity = [sum(net[:i]) for i in range(len(net) + 1)]
    worst = max(max(equity[: i + 1]) - equity[i] for i in range(len(equity)))
    fall = drawdown(np.array(net, np.int64))
    assert fall.depth_cents == worst
    assert equity[fall.peak] - equity[fall.trough] == worst
    if fall.recovered is not None:
        assert equity[fall.recovered] >= equity[fall.peak]
    stretches = "".join("L" if x < 0 else "W" for x in net if x).split("W")
    assert losing_streak(np.array(net, np.int64)) == max(map(len, stretches))


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12))
def test_V15_exposure_counts_overlapping_trips_once(spans: list[tuple[int, int]]) -> None:
    spans.sort(key=lambda span: span[0] + span[1])
    entry, length = np.array(spans, np.int64).reshape(-1, 2).T
    minutes = {minute for start, long in spans for minute in range(start, start + long)}
    assert exposed_ns(entry, entry + length) == len(minutes)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.floats(0.1, 1000))
def test_V15_the_ratios_do_not_depend_on_the_capital(values: list[float], capital: float) -> None:
    daily = np.round(np.array(values), 6)
    for ratio in (sharpe_ratio, sortino_ratio):
        one, other = ratio(daily), ratio(daily / capital)
        assert (one is None and other is None) or one == pytest.approx(other, rel=1e-6)


def test_V15_the_ratios_of_twelve_months_by_hand() -> None:
    """Mean 0.01, sum of squares about it 0.0050, sum of squares of the losses 0.0010."""
    months = np.array([0.03, -0.01, 0.02, 0.04, -0.02, 0.01, 0.00, 0.02, -0.01, 0.03, -0.02, 0.03])
    assert months.mean() == pytest.approx(0.01)
    assert sharpe_ratio(months) == pytest.approx(0.01 / math.sqrt(0.0050 / 11))
    assert sortino_ratio(months) == pytest.approx(0.01 / math.sqrt(0.0010 / 12))


def test_V15_damaged_trips_are_refused_in_one_sentence() -> None:
    trips = make_trips([1, 2, 3])
    for name, column in (
        ("net_cents", np.zeros(2, np.int64)),
        ("exit_ns", trips.entry_ns - 1),
        ("day", trips.day[::-1]),
        ("size", np.zeros(3, np.int64)),
        ("tick_value_cents", np.zeros(3, np.int64)),
    ):
        with pytest.raises(DataError):
            replace(trips, **{name: column})


def test_V15_the_table_of_a_backtest_becomes_columns() -> None:
    table = np.zeros(2, TRIP_DTYPE)
    table["contract"] = "MNQ"
    table["size"], table["closed_ns"], table["opened_ns"] = 2, [200, 100], [150, 50]
    table["net_cents"], table["gross_cents"], table["day"] = [700, -300], [900, -100], [20001, 20000]
    table["mae_ticks"], table["risk_cents"] = [-1, 6], [0, 600]
    trips = trips_of(table, {"MNQ": 50})
    assert (trips.net_cents.tolist(), trips.worst_cents.tolist()) == ([-300, 700], [-600, 0])
    assert (trips.net_ticks.tolist(), trips.net_r[0], np.isnan(trips.net_r[1])) == ([-3.0, 7.0], -0.5, True)
    assert trips.select(trips.net_cents > 0).exit_ns.tolist() == [200]
    with pytest.raises(DataError, match="MNQ"):
        trips_of(table, {"ES": 1250})
