"""When and at what price a simulated order fills: THE fill model of paper trading, backtest and simulated exchange.

The rules, in the order in which one tick of a contract applies them:

1. A tick first updates what is known of the market (best bid and ask, or last trade); then orders are looked at.
   An order takes part from the first tick *after* the moment it became working: a decision at a bar's close fills from
   the next tick, and a bracket leg cannot fill on the tick that filled its entry.
2. The adverse price is the ask for a buy and the bid for a sell; when the tick is a trade at a worse price than that,
   the trade's price (the quote is old then). While a side of the quote is unknown: last trade and the contract's
   typical spread on top.
3. Market orders fill whole at the adverse price plus slippage.
4. Stops trigger on a trade at or through their price, never on a quote, and fill whole on that trade at the worse of
   stop price and adverse price, plus slippage. So a gap through the stop fills at the market behind the gap.
5. Limit orders fill only when a trade goes *through* their price by at least a tick (a touch is not enough: nobody
   knows the place in the queue), whole, at the limit price. One exception: a limit order that crosses the quote when it
   arrives fills on its first tick at the adverse price, which is better than its limit.
6. Stops come before limits: if one tick could fill the stop and the target of a position, the stop wins.
7. A trailing stop keeps its distance in ticks to the best trade since it became working; a trade is first tested
   against the old stop and only then moves it.

Size at a price is not modelled: no impact, and whatever fills fills whole (a trade through a limit means that the queue
at its price is gone). The account book can execute an order in parts; only the simulated venue's controls make use of
it, because how large the parts would be is nothing that prices tell.

Sources: projectx-gateway 7.4, 7.5 (what the venue's own simulation does), validation V2 (nothing may look better than
the market was). All prices are integer ticks.
"""

from dataclasses import dataclass

from tbot_ext.records import NO_PRICE


@dataclass(frozen=True, slots=True)
class FillSettings:
    """Slippage in ticks, added on the adverse side. The defaults charge stops one tick beyond the spread."""

    market_slippage_ticks: int = 0
    stop_slippage_ticks: int = 1

    def __post_init__(self) -> None:
        if self.market_slippage_ticks < 0 or self.stop_slippage_ticks < 0:
            raise ValueError("slippage is a cost: it cannot be negative")


@dataclass(slots=True)
class MarketState:
    """What one contract's ticks have said so far; None is unknown. Prices in ticks."""

    spread_ticks: int  # typical spread, used while a side of the quote is unknown
    bid: int | None = None
    ask: int | None = None
    last: int | None = None

    def on_quote(self, bid: int, ask: int) -> None:
        """Take a quote; NO_PRICE on a side makes that side unknown."""
        self.bid = None if bid == NO_PRICE else bid
        self.ask = None if ask == NO_PRICE else ask

    def on_trade(self, price: int) -> None:
        self.last = price


def worse(side: int, first: int, second: int) -> int:
    """The price that is worse for an order of `side`: the higher for a buy, the lower for a sell."""
    return max(first, second) if side > 0 else min(first, second)


def adverse_price(state: MarketState, side: int, trade: int | None = None) -> int | None:
    """Rule 2; None while nothing is known about the market. `trade` is the price when the tick is a trade."""
    quote = state.ask if side > 0 else state.bid
    if quote is None:
        if state.last is None:
            return None
        return state.last + side * state.spread_ticks
    return quote if trade is None else worse(side, quote, trade)


def market_fill(state: MarketState, side: int, trade: int | None, settings: FillSettings) -> int | None:
    """Rule 3: the fill price of a market order, None while there is no price at all."""
    price = adverse_price(state, side, trade)
    return None if price is None else price + side * settings.market_slippage_ticks


def stop_triggered(side: int, stop: int, trade: int) -> bool:
    """Rule 4: a buy stop triggers at or above its price, a sell stop at or below."""
    return trade >= stop if side > 0 else trade <= stop


def stop_fill(state: MarketState, side: int, stop: int, trade: int, settings: FillSettings) -> int:
    """Rule 4: the fill price of a stop that `trade` triggered."""
    market = adverse_price(state, side, trade)
    price = stop if market is None else worse(side, stop, market)
    return price + side * settings.stop_slippage_ticks


def limit_traded_through(side: int, limit: int, trade: int) -> bool:
    """Rule 5: a buy fills by a trade below its limit, a sell by one above."""
    return trade < limit if side > 0 else trade > limit


def crossing_fill(state: MarketState, side: int, limit: int) -> int | None:
    """Rule 5, exception: the price at which an arriving limit order crosses the quote; None when it does not."""
    quote = state.ask if side > 0 else state.bid
    if quote is None or (quote - limit) * side > 0:
        return None
    return quote


def trailed_stop(side: int, stop: int, distance: int, trade: int) -> int:
    """Rule 7: the stop after `trade`; `distance` > 0 ticks. It only ever moves towards the market."""
    level = trade + side * distance
    return min(stop, level) if side > 0 else max(stop, level)
