"""The rules of fill_model, one by one, with prices worked out by hand."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.domain.contracts import PRODUCTS
from tbot.errors import ConfigError
from tbot.execution.fill_model import (
    BACKTEST_FILLS,
    FillSettings,
    MarketState,
    adverse_price,
    crossing_fill,
    limit_traded_through,
    market_fill,
    market_of,
    slippage,
    stop_fill,
    stop_triggered,
    trailed_stop,
)
from tbot.execution.market_state import Activity
from tbot_ext.records import NO_PRICE, Flag

BUY, SELL = 1, -1
SECOND, MINUTE = 1_000_000_000, 60_000_000_000
SYN = int(Flag.SYNTHETIC)


def market(bid: int | None = 100, ask: int | None = 102, last: int | None = 101) -> MarketState:
    return MarketState(spread_ticks=2, bid=bid, ask=ask, last=last)


def test_adverse_price_is_the_far_side_of_the_quote() -> None:
    assert adverse_price(market(), BUY) == 102
    assert adverse_price(market(), SELL) == 100


@pytest.mark.parametrize(
    ("side", "trade", "price"), [(BUY, 105, 105), (BUY, 95, 102), (SELL, 95, 95), (SELL, 105, 100)]
)
def test_a_trade_beyond_the_quote_makes_the_price_worse_never_better(side: int, trade: int, price: int) -> None:
    assert adverse_price(market(), side, trade) == price


def test_an_unknown_side_is_the_last_trade_with_the_typical_spread() -> None:
    assert adverse_price(market(ask=None), BUY) == 103
    assert adverse_price(market(bid=None), SELL) == 99
    assert adverse_price(market(bid=None, ask=None, last=None), BUY) is None


def test_a_quote_without_a_side_makes_that_side_unknown() -> None:
    state = market()
    state.on_quote(NO_PRICE, 110)
    assert (state.bid, state.ask) == (None, 110)


def test_market_orders_pay_the_spread_and_the_slippage() -> None:
    settings = FillSettings(market_slippage_ticks=3, stop_slippage_ticks=0)
    assert market_fill(market(), BUY, None, settings) == 105
    assert market_fill(market(), SELL, None, settings) == 97


@pytest.mark.parametrize(
    ("side", "stop", "trade", "hit"),
    [(SELL, 90, 91, False), (SELL, 90, 90, True), (SELL, 90, 80, True), (BUY, 90, 89, False), (BUY, 90, 90, True)],
)
def test_stops_trigger_at_or_through_their_price(side: int, stop: int, trade: int, hit: bool) -> None:
    assert stop_triggered(side, stop, trade) is hit


@pytest.mark.parametrize(
    ("bid", "trade", "price"),
    [
        (90, 90, 89),  # at the stop: stop price, one tick of slippage
        (85, 90, 84),  # the bid is lower already
        (90, 70, 69),  # gap: the trade is far below the stop and the quote is old
    ],
)
def test_a_sell_stop_fills_at_the_worse_of_stop_and_market(bid: int, trade: int, price: int) -> None:
    assert stop_fill(market(bid=bid, ask=bid + 2), SELL, 90, trade, FillSettings(0, 1)) == price


def test_a_stop_never_fills_better_than_its_price() -> None:
    assert stop_fill(market(bid=99, ask=101), SELL, 90, 90, FillSettings(0, 0)) == 90
    assert stop_fill(market(bid=99, ask=101), BUY, 110, 110, FillSettings(0, 0)) == 110


@pytest.mark.parametrize(
    ("side", "trade", "through"), [(BUY, 100, False), (BUY, 99, True), (SELL, 100, False), (SELL, 101, True)]
)
def test_a_limit_needs_a_trade_through_it_a_touch_is_not_enough(side: int, trade: int, through: bool) -> None:
    assert limit_traded_through(side, 100, trade) is through


def test_an_arriving_limit_that_crosses_fills_at_the_quote() -> None:
    assert crossing_fill(market(), BUY, 104) == 102
    assert crossing_fill(market(), BUY, 102) == 102
    assert crossing_fill(market(), BUY, 101) is None
    assert crossing_fill(market(), SELL, 99) == 100
    assert crossing_fill(market(), SELL, 101) is None
    assert crossing_fill(market(bid=None), SELL, 1) is None


def test_a_trailing_stop_only_moves_towards_the_market() -> None:
    assert trailed_stop(SELL, 90, 10, 105) == 95
    assert trailed_stop(SELL, 95, 10, 100) == 95
    assert trailed_stop(BUY, 110, 10, 95) == 105
    assert trailed_stop(BUY, 105, 10, 100) == 105


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"market_slippage_ticks": -1}, "cannot be negative"),
        ({"atr_slippage_permille": -1}, "cannot be negative"),
        ({"latency_ns": -1}, "allowed: 0 to 2000000000"),
        ({"latency_ns": 2_000_000_001}, "allowed: 0 to 2000000000"),
        ({"intrabar": "kind"}, "allowed: pessimistic, path"),
        ({"queue": "front"}, "allowed: through, share"),
        ({"queue_ahead": -1}, "cannot be negative"),
        ({"participation_percent": 0}, "allowed: 1 to 100"),
        ({"participation_percent": 101}, "allowed: 1 to 100"),
        ({"spread_by_hour": {"MNQ": (1,) * 23}}, "24 spreads"),
        ({"spread_by_hour": {"MNQ": (1,) * 23 + (-1,)}}, "none below 0"),
    ],
)
def test_settings_without_sense_are_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        FillSettings(**values)


def test_the_backtest_charges_more_than_paper_trading() -> None:
    paper, backtest = FillSettings(), BACKTEST_FILLS
    assert paper.latency_ns == paper.atr_slippage_permille == paper.size_slippage_ticks == 0
    assert backtest.latency_ns > 0
    assert backtest.atr_slippage_permille > 0
    assert backtest.stop_slippage_ticks >= paper.stop_slippage_ticks
    assert (paper.partial, backtest.partial) == (False, True)
    assert {paper.intrabar, backtest.intrabar} == {"pessimistic"}


# ------------------------------------------------------------------------------------------------------------ slippage
def active(*minutes: list[tuple[int, int]]) -> MarketState:
    """A market whose minutes had these (price, size) trades; the last minute is still forming."""
    state = market_of(PRODUCTS["MNQ"], FillSettings(atr_slippage_permille=1))
    for number, trades in enumerate(minutes):
        for second, (price, size) in enumerate(trades):
            state.on_trade(price, number * MINUTE + second * SECOND, size)
    return state


def test_slippage_grows_with_range_and_size_and_is_rounded_up() -> None:
    settings = FillSettings(1, 2, atr_slippage_permille=100, size_slippage_ticks=50)
    state = active([(100, 10), (110, 5)], [(90, 20), (100, 20)], [(500, 99)])
    # Minute 1: 100..110 = 10. Minute 2: 90..100, close before 110: 20. Mean 15, 100 permille of it 1.5 ticks.
    # Volume of the last whole minute 40: a size of 2 pays 50 x 2 / 40 = 2.5 ticks. Together 4.0, not one more.
    assert slippage(state, 1, settings, 2) == 5
    assert slippage(state, 2, settings, 2) == 6
    assert slippage(state, 1, settings, 3) == 1 + 6  # 1.5 + 3.75 = 5.25
    assert slippage(state, 0, FillSettings(atr_slippage_permille=100), 2) == 2  # 1.5
    # Market orders pay it beyond the ask (no quote: last 500 and the spread of 2), stops beyond the worse price.
    assert market_fill(state, BUY, 500, settings, 2) == 502 + 5
    assert stop_fill(state, BUY, 499, 500, settings, 2) == 502 + 6


def test_slippage_of_an_unknown_market_is_its_base() -> None:
    settings = FillSettings(1, 1, atr_slippage_permille=100, size_slippage_ticks=50)
    assert slippage(active(), 1, settings, 2) == 1
    assert slippage(active([(100, 5), (200, 5)]), 1, settings, 2) == 1  # the forming minute says nothing
    unsized = active([(100, 0), (110, 0)], [(100, 0)])
    assert slippage(unsized, 1, settings, 1_000) == 2  # range alone: 1.0


def test_the_range_is_that_of_fourteen_minutes() -> None:
    state = active(*[[(100, 1), (100 + n, 1), (100, 1)] for n in range(16)], [(100, 1)])
    assert state.activity is not None
    assert list(state.activity.ranges) == list(range(2, 16))


TRADES = st.lists(st.tuples(st.integers(0, 40), st.integers(90, 110), st.integers(0, 9)), max_size=40)


@given(TRADES, st.lists(st.integers(0, 40), max_size=4))
def test_activity_taken_at_once_is_that_taken_trade_by_trade(
    trades: list[tuple[int, int, int]], cuts: list[int]
) -> None:
    one, other, now = Activity(), Activity(), 0
    rows = []
    for seconds, price, size in trades:
        now += seconds * SECOND
        rows.append((now, price, size))
    for row in rows:
        one.on_print(*row)
    table = np.array(rows, np.int64).reshape(-1, 3)
    for part in np.split(table, sorted(min(cut, len(rows)) for cut in cuts)):
        other.absorb(part[:, 0], part[:, 1], part[:, 2])
    assert one == other


# ---------------------------------------------------------------------------------------------------- spread by hour
TABLE = tuple(10 + hour for hour in range(24))


def hourly() -> MarketState:
    return market_of(PRODUCTS["MNQ"], FillSettings(spread_by_hour={"MNQ": TABLE}))


@pytest.mark.parametrize(
    ("utc", "chicago"),
    [("2026-11-20T14:59:59", 8), ("2026-11-20T15:00:00", 9), ("2026-07-01T15:00:00", 10), ("2026-11-20T03:00:00", 21)],
)
def test_half_the_spread_of_the_hour_in_chicago_rounded_up(utc: str, chicago: int) -> None:
    at_ns = int(datetime.fromisoformat(utc + "+00:00").timestamp()) * SECOND
    state = hourly()
    state.on_trade(1_000, at_ns)
    half = (10 + chicago + 1) // 2
    assert (adverse_price(state, BUY, 1_000), adverse_price(state, SELL, 1_000)) == (1_000 + half, 1_000 - half)


def test_a_table_of_spreads_replaces_derived_quotes_but_no_real_ones() -> None:
    state = hourly()
    assert not state.on_quote(999, 1_001, int(Flag.DERIVED))
    assert state.ask is None
    assert state.on_quote(999, 1_001)
    assert adverse_price(state, BUY) == 1_001
    assert market().on_quote(1, 2, int(Flag.DERIVED))


# --------------------------------------------------------------------------------------------------------------- bars
def test_a_bar_begins_behind_the_last_print_of_another_or_with_the_minute() -> None:
    state = MarketState(1)
    seen = []
    for at_s, flags, aux in ((0, 0, 0), (1, SYN, 0), (2, SYN, 0), (3, SYN, 1), (4, SYN, 0), (5, SYN, 0), (60, SYN, 0),
                             (61, 0, 0), (62, SYN, 1)):  # fmt: skip
        state.on_trade(100, at_s * SECOND, 1, flags, aux)
        seen.append((state.opens, state.ends))
    assert seen == [
        (False, True), (True, False), (False, False), (False, True), (True, False), (False, False), (True, False),
        (False, True), (True, True),
    ]  # fmt: skip


def test_another_delivery_month_makes_prices_unknown() -> None:
    state = active([(100, 5), (200, 5)], [(100, 5)])
    state.on_quote(99, 101)
    state.forget()
    assert (state.bid, state.ask, state.last, adverse_price(state, BUY)) == (None, None, None, None)
    assert slippage(state, 0, FillSettings(atr_slippage_permille=100), 1) == 0
