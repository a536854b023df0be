"""What fault plans and tests can do to the simulated market while it runs.

Every control takes a symbol (`MNQ`, or `*` for all) and acts from the first nanosecond after what has been played.
Prices and moves are ticks, times market seconds. Exchange, history and hub see the same steered ticks; only `alter` and
`holes` make history differ from what was played, which is what they are for.
"""

import itertools
from collections.abc import Callable, Iterable

from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.errors import ConfigError
from tbot.execution.book_types import Order
from tbot.sim.exchange import Exchange
from tbot.sim.history import History
from tbot.sim.steered_source import Insert, SteeredSource
from tbot_ext.records import NO_PRICE, Kind

LEAST_PRICE = 0.2  # of the price that is left, at least, after a move down
# Price of the next delivery month above this one, in percent (market-microstructure 5); currencies are assumed.
ROLL_PERCENT = {"NQ": 0.9, "ES": 0.8, "GC": 0.7}
_OTHER_ROLL_PERCENT = 0.25


class MarketControls:
    """The controls of one market."""

    def __init__(
        self, source: SteeredSource, history: History, exchange: Exchange, quote: Callable[[str], tuple[int, int]]
    ) -> None:
        """`quote` gives the newest bid and ask of a symbol, NO_PRICE where unknown."""
        self._source = source
        self._history = history
        self._exchange = exchange
        self._quote = quote
        self._symbols = tuple(product.symbol for product in source.contracts)

    # ------------------------------------------------------------------------------------------------------ prices
    def gap(self, symbol: str, ticks: int) -> None:
        """The price jumps by so many ticks and stays there (market.gap)."""
        for each in self._each(symbol):
            self._shift(each, [(0, ticks)])

    def spike(self, symbol: str, ticks: int, seconds: float = 0.5) -> None:
        """The price jumps by so many ticks and comes back as much after so long."""
        for each in self._each(symbol):
            self._shift(each, [(0, ticks), (_ns(seconds), -ticks)])

    def drift(self, symbol: str, ticks: int, seconds: float) -> None:
        """The price moves by so many ticks, one at a time, evenly over so long; on top of what it does by itself."""
        for each in self._each(symbol):
            step, count = (1 if ticks > 0 else -1), abs(ticks)
            span_ns = _ns(seconds)
            self._shift(each, [(span_ns * (k + 1) // count, step) for k in range(count)])

    def drift_to_loss(self, symbol: str, side: int, ticks: int, seconds: float) -> None:
        """The price drifts against a position of `side` (+1 long, -1 short) (market.drift_to_loss)."""
        if side not in (1, -1) or ticks < 1:
            raise ConfigError("market.drift_to_loss: give side 1 or -1 of the position, and ticks of at least 1")
        self.drift(symbol, -side * ticks, seconds)

    def chase(self, symbol: str, kind: str = "any", through: int = 1, seconds: float = 0.2) -> int | None:
        """The price jumps to the nearest working order, trades there, and comes back (adversarial prices).

        `kind` is stop, limit or any; the trade is `through` ticks beyond the order's price, so that a limit order fills
        and a stop is behind a small gap. Returns the trade's price, None when no such order works.
        """
        if kind not in ("stop", "limit", "any"):
            raise ConfigError(f"market.chase: kind is stop, limit or any, not {kind!r}")
        (each,) = self._each(symbol)
        bid, ask = self._quote(each)
        if NO_PRICE in (bid, ask):
            return None
        found = [self._chased(order, kind, through, bid, ask) for order in self._working(each)]
        moves = [move for move in found if move is not None]
        if not moves:
            return None
        by, side = min(moves, key=lambda move: abs(move[0]))
        self._shift(each, [(0, by), (_ns(seconds), -by)])
        self._source.insert(each, [Insert(0, Kind.TRADE, 0, 0, 1, side)], (bid, ask))
        return by + (ask if side > 0 else bid)

    # ------------------------------------------------------------------------------------------------- odd records
    def halt(self, symbol: str, seconds: float) -> None:
        """No trades and no quotes for so long; 0 ends a halt. Whether orders are taken is the venue's affair."""
        for each in self._each(symbol):
            self._source.silence(each, _ns(seconds), self._quote(each))

    def one_sided(self, symbol: str, side: int, seconds: float) -> None:
        """For so long quotes have no ask (side 1: limit up) or no bid (-1: limit down)."""
        if side not in (1, -1):
            raise ConfigError("market.one_sided: the side that is gone is 1 (ask) or -1 (bid)")
        for each in self._each(symbol):
            self._source.one_sided(each, side, _ns(seconds), self._quote(each))

    def prints(self, symbol: str, count: int = 1, size: int = 1, side: int = 1, offset: int = 0) -> None:
        """So many trades with one time stamp at ask (side 1) or bid (-1), `offset` ticks away from it.

        Size 0 occurs in recordings: it goes out to the hub, but matches no order and makes no bar.
        """
        if side not in (1, -1) or size < 0 or not 1 <= count <= 100_000:
            raise ConfigError("market.prints: give side 1 or -1, size 0 or more, and a count of 1 to 100000")
        for each in self._each(symbol):
            row = Insert(0, Kind.TRADE, offset, offset, size, side)
            self._source.insert(each, [row] * count, self._quote(each))

    def quote(self, symbol: str, bid_offset: int, ask_offset: int, seconds: float = 0.5) -> None:
        """One quote with bid and ask so many ticks away from where they are: a locked or crossed book, a wide spread.

        After so long, or with the source's next quote, it is as it was.
        """
        for each in self._each(symbol):
            rows = [Insert(0, Kind.QUOTE, bid_offset, ask_offset), Insert(_ns(seconds), Kind.QUOTE, 0, 0)]
            self._source.insert(each, rows, self._quote(each))

    # ----------------------------------------------------------------------------------------------------- history
    def alter(self, symbol: str, ticks: int, minutes_ago: int = 1, minutes: int = 1) -> None:
        """History shows prices `ticks` off in so many minutes, the first one so many ago (history.alter).

        0 is the minute that is forming. What was played and what the hub said stays as it was.
        """
        for each in self._each(symbol):
            self._history.alter(each, *self._minutes(minutes_ago, minutes), ticks)

    def holes(self, symbol: str, minutes_ago: int = 1, minutes: int = 1) -> None:
        """History has no bars for so many minutes, the first one so many ago (history.holes)."""
        for each in self._each(symbol):
            self._history.hole(each, *self._minutes(minutes_ago, minutes))

    def heal(self, symbol: str) -> None:
        """History is again what was played."""
        for each in self._each(symbol):
            self._history.heal(each)

    # ---------------------------------------------------------------------------------------------------- plumbing
    def roll_ticks(self, symbol: str) -> int:
        """How much higher the next month usually trades."""
        family = self._exchange.products[symbol].family
        bid, _ = self._quote(symbol)
        price = self._exchange.states[symbol].last or (0 if bid == NO_PRICE else bid)
        return round(price * ROLL_PERCENT.get(family, _OTHER_ROLL_PERCENT) / 100)

    def _each(self, symbol: str) -> tuple[str, ...]:
        if symbol == "*":
            return self._symbols
        if symbol not in self._symbols:
            raise ConfigError(f"this market has no {symbol!r}; it has {', '.join(self._symbols)}, or * for all")
        return (symbol,)

    def _shift(self, symbol: str, steps: list[tuple[int, int]]) -> None:
        quote = self._quote(symbol)
        to_come = self._source.moved(symbol) - self._source.level(symbol)
        lowest = to_come + min(itertools.accumulate(ticks for _, ticks in steps), default=0)
        known = quote[0] if quote[0] != NO_PRICE else self._exchange.states[symbol].last
        if known is not None and known + lowest < LEAST_PRICE * known:
            raise ConfigError(f"a move of {symbol} by {lowest} ticks leaves less than a fifth of the price; move less")
        self._source.shift(symbol, steps, quote)

    def _minutes(self, minutes_ago: int, minutes: int) -> tuple[int, int]:
        if minutes_ago < 0 or minutes < 1:
            raise ConfigError("history: minutes_ago is 0 or more, minutes 1 or more")
        now_ns = self._source.now_ns
        first = now_ns - now_ns % NS_PER_MIN - minutes_ago * NS_PER_MIN
        return first, first + minutes * NS_PER_MIN

    def _working(self, symbol: str) -> Iterable[Order]:
        for account in self._exchange.accounts.values():
            for order in account.book.living_orders():
                if order.contract == symbol and order.status == "open":
                    yield order

    @staticmethod
    def _chased(order: Order, kind: str, through: int, bid: int, ask: int) -> tuple[int, int] | None:
        """(ticks to move, side of the trade) that reach an order."""
        if order.stop is not None and kind != "limit":
            side = order.side
            level = order.stop + side * through
        elif order.limit is not None and kind != "stop":
            side = -order.side
            level = order.limit + side * through
        else:
            return None
        return level - (ask if side > 0 else bid), side


def _ns(seconds: float) -> int:
    if not 0 <= seconds <= 10**6:
        raise ConfigError(f"a time is 0 to a million seconds, not {seconds}")
    return round(seconds * NS_PER_S)
