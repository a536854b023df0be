"""When and at what price a simulated order fills: THE fill model of paper trading, backtest and simulated exchange.

The rules, in the order in which one tick of a contract applies them:

1. A tick first updates what is known of the market (best bid and ask, or last trade); then orders are looked at.
   An order takes part from the first tick *after* the moment it became working: a decision at a bar's close fills from
   the next tick, and a bracket leg cannot fill on the tick that filled its entry. `latency_ns` puts the moment at which
   it becomes working that much after its submission.
2. The adverse price is the ask for a buy and the bid for a sell; when the tick is a trade at a worse price than that,
   the trade's price (the quote is old then). While a side of the quote is unknown: last trade and the contract's
   typical spread on top; where `spread_by_hour` knows the contract, half the spread of that hour in Chicago, rounded
   up, and derived quotes (ruling 20), which know only one spread, count for nothing.
3. Market orders fill whole at the adverse price plus slippage.
4. Stops trigger on a trade at or through their price, never on a quote, and fill whole on that trade at the worse of
   stop price and adverse price, plus slippage. So a gap through the stop fills at the market behind the gap.
5. Limit orders fill only when a trade goes *through* their price by at least a tick (a touch is not enough: nobody
   knows the place in the queue), at the limit price, whole or (`partial`) by no more than their share of the contracts
   that went through. `queue = "share"` also fills them by trades *at* their price once more contracts were traded
   there than `queue_ahead`. One exception: a limit order that crosses the quote when it arrives fills on its first tick
   at the adverse price, which is better than its limit.
6. Stops come before limits: if one tick could fill the stop and the target of a position, the stop wins.
7. A trailing stop keeps its distance in ticks to the best trade since it became working; a trade is first tested
   against the old stop and only then moves it.
8. Slippage is a + b x ATR + c x size / volume, in ticks and rounded up: a for market orders or stops, ATR and volume
   of the last whole minutes (market_state.Activity; nothing known yet: 0).

Trades that were made from a bar (flag SYNTHETIC) are one open that is known to come first, one close that is known to
come last, and two extremes whose order is invented. For them:

9.  Between two prints of a bar the price does not jump: a stop inside a bar fills at its own price plus slippage; at
    the bar's open rule 4 holds (a gap).
10. `intrabar = "pessimistic"`: an order that ends a position and is traded through inside a bar only gets a mark, and
    fills at the bar's last print if it still works then. A stop that is touched fills at once. So a bar that touches
    stop and target is a stop. The open is the first price for certain: an open beyond a target fills it, at its limit.
11. A limit order that opens a position fills as soon as it is traded through, and its stop is tested against the same
    print: a bar that touches and breaks a zone is filled, then stopped.
12. A stop that was moved inside a bar is still there, too, until the bar ends: a print that reaches both fills at the
    old one. A trailing stop moves at the bar's last print. An order at market that was sent inside a bar fills no
    better than the price it was sent at.
13. `intrabar = "path"` believes the invented order: 10 and 12 do not hold.

Rolls:

14. When the ticks of another delivery month begin (a GAP that says NEW_CONTRACT), nothing tells any more what the old
    month is worth, and all prices become unknown. With `roll_closes` its orders expire and its position is closed where
    a market order would have filled on what was known last: the difference between two months is nobody's gain or
    loss. Without, positions and orders stay: in paper trading on a live feed the same record also follows a hole in
    the data that history could not fill, through which the venue would have kept them.

No impact beyond rule 8, and sizes of bars fill nothing in parts: how much of a bar's volume was beyond a price is
nothing that it tells.

Sources: projectx-gateway 7.4, 7.5 (what the venue's own simulation does), validation V2, V3 (nothing may look better
than the market was). All prices are integer ticks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tbot.domain.contracts import Product
from tbot.errors import ConfigError
from tbot.execution.market_state import Activity, MarketState

__all__ = ["BACKTEST_FILLS", "FillSettings", "MarketState", "market_of"]

MAX_LATENCY_NS = 2_000_000_000  # the shortest patience of the Desk is 3 s (C_NAKED_MAX); it must outlast an answer
_HOURS = 24


@dataclass(frozen=True, slots=True)
class FillSettings:
    """Costs and caution of simulated fills. ValueError (ConfigError) when a number makes no sense.

    The defaults are those of paper trading and of the simulated exchange: spread, one tick more on stops, whole fills.
    `latency_ns` is served by PaperBroker alone; the simulated exchange has a wire that takes its own time.
    """

    market_slippage_ticks: int = 0  # a, of market orders
    stop_slippage_ticks: int = 1  # a, of stops
    atr_slippage_permille: int = 0  # b: ticks of slippage for 1000 ticks of ATR (1m, see market_state.Activity)
    size_slippage_ticks: int = 0  # c: ticks for an order as large as the volume of the last whole minute
    intrabar: Literal["pessimistic", "path"] = "pessimistic"
    latency_ns: int = 0  # market time from submission until an order, a change or a cancel counts
    queue: Literal["through", "share"] = "through"
    # Contracts ahead of a limit order at its price. Why a constant: neither the gateway's quotes nor tapes carry
    # displayed sizes. The default is more than what usually rests at the best price of any contract of the table.
    queue_ahead: int = 1_000
    partial: bool = False  # limits fill by the contracts that went through them, where sizes are known
    participation_percent: int = 100  # of those contracts
    roll_closes: bool = False  # rule 14
    spread_by_hour: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # contract -> 24 spreads, Chicago hours

    def __post_init__(self) -> None:
        for name in (
            "market_slippage_ticks", "stop_slippage_ticks", "atr_slippage_permille", "size_slippage_ticks"
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ConfigError(f"fills: {name} is {getattr(self, name)}; slippage is a cost: it cannot be negative")
        if not 0 <= self.latency_ns <= MAX_LATENCY_NS:
            raise ConfigError(f"fills: latency_ns is {self.latency_ns}; allowed: 0 to {MAX_LATENCY_NS}")
        if self.intrabar not in ("pessimistic", "path"):
            raise ConfigError(f"fills: intrabar is {self.intrabar!r}; allowed: pessimistic, path")
        if self.queue not in ("through", "share"):
            raise ConfigError(f"fills: queue is {self.queue!r}; allowed: through, share")
        if self.queue_ahead < 0:
            raise ConfigError(f"fills: queue_ahead is {self.queue_ahead}; it cannot be negative")
        if not 1 <= self.participation_percent <= 100:
            raise ConfigError(f"fills: participation_percent is {self.participation_percent}; allowed: 1 to 100")
        for contract, spreads in self.spread_by_hour.items():
            if len(spreads) != _HOURS or min(spreads) < 0:
                raise ConfigError(
                    f"fills: spread_by_hour of {contract} must be {_HOURS} spreads in ticks, none below 0"
                )


# What a backtest charges unless it is told otherwise: beyond spread and fees 2 % of the 1m ATR (one tick in a usual
# minute of any contract of the table, more when it runs), 10 ticks x share of a minute's volume, 100 ms on the way, and
# targets by the contracts that went through them. Nothing is held over a roll.
BACKTEST_FILLS = FillSettings(
    atr_slippage_permille=20,
    size_slippage_ticks=10,
    latency_ns=100_000_000,
    partial=True,
    participation_percent=100,
    roll_closes=True,
)


def market_of(product: Product, settings: FillSettings) -> MarketState:
    """The empty state of one contract's market, with what these settings will ask of it."""
    asks = settings.atr_slippage_permille or settings.size_slippage_ticks
    return MarketState(
        product.spread_ticks,
        hourly=tuple(settings.spread_by_hour.get(product.symbol, ())),
        activity=Activity() if asks else None,
    )


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


def slippage(state: MarketState, base: int, settings: FillSettings, size: int) -> int:
    """Rule 8: ticks that an order of `size` contracts pays beyond the adverse price; `base` is its a."""
    activity = state.activity
    if activity is None:
        return base
    minutes, volume = len(activity.ranges), activity.volume
    over, under = 0, 1
    if minutes:
        over, under = settings.atr_slippage_permille * sum(activity.ranges), 1000 * minutes
    if volume:
        over, under = over * volume + settings.size_slippage_ticks * size * under, under * volume
    return base + -(-over // under)


def market_fill(state: MarketState, side: int, trade: int | None, settings: FillSettings, size: int = 1) -> int | None:
    """Rules 3 and 12: the fill price of a market order, None while there is no price at all."""
    price = adverse_price(state, side, trade)
    if price is None:
        return None
    sent_at = _sent_at(state, trade) if settings.intrabar == "pessimistic" else None
    if sent_at is not None:
        price = worse(side, price, sent_at + side * half_spread(state))
    return price + side * slippage(state, settings.market_slippage_ticks, settings, size)


def _sent_at(state: MarketState, trade: int | None) -> int | None:
    """The print at which an order was sent that meets its first tick inside a bar; None outside of bars."""
    if not state.synthetic:
        return None
    if trade is None:
        return None if state.ends else state.last
    return None if state.opens else state.before


def half_spread(state: MarketState) -> int:
    """What a table of spreads puts on top of a print (rule 2); without one the quotes have it in them."""
    return state.spread_ticks if state.hourly else 0


def stop_triggered(side: int, stop: int, trade: int) -> bool:
    """Rule 4: a buy stop triggers at or above its price, a sell stop at or below."""
    return trade >= stop if side > 0 else trade <= stop


def stop_fill(state: MarketState, side: int, stop: int, trade: int, settings: FillSettings, size: int = 1) -> int:
    """Rules 4 and 9: the fill price of a stop that `trade` triggered."""
    if state.synthetic and not state.opens:
        price = stop + side * half_spread(state)
    else:
        market = adverse_price(state, side, trade)
        price = stop if market is None else worse(side, stop, market)
    return price + side * slippage(state, settings.stop_slippage_ticks, settings, size)


def limit_traded_through(side: int, limit: int, trade: int) -> bool:
    """Rule 5: a buy fills by a trade below its limit, a sell by one above."""
    return trade < limit if side > 0 else trade > limit


def share_of_trades(settings: FillSettings, through: int, at_limit: int) -> int:
    """Rule 5: contracts that a limit order may have by now, given those traded through its price and at it."""
    share = through * settings.participation_percent // 100
    if settings.queue == "share":
        share += max(0, at_limit - settings.queue_ahead)
    return share


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
