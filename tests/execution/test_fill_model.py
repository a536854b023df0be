"""The rules of fill_model, one by one, with prices worked out by hand."""

import pytest

from tbot.execution.fill_model import (
    FillSettings,
    MarketState,
    adverse_price,
    crossing_fill,
    limit_traded_through,
    market_fill,
    stop_fill,
    stop_triggered,
    trailed_stop,
)
from tbot_ext.records import NO_PRICE

BUY, SELL = 1, -1


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


def test_negative_slippage_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        FillSettings(market_slippage_ticks=-1)
