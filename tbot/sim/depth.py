"""The book behind the quotes: a plausible number of contracts at every price, made only when somebody subscribes.

The best prices are those of the quotes, always; how much stands there and behind is drawn from a seed. Every tick from
the best price on holds something, `LEVELS` of them and up to `SLACK` more. Prints take from the best level, the best
prices move with the quotes, single levels change at the product's own pace, and only what changed is told. A snapshot
begins with a Reset row, and so does a new start after a jump of more than the whole book.

Measured: about 62 rows a second of MNQ in the late morning and 104 around the close, a snapshot of more than 10 KB
(projectx-gateway 11.3, 11.4), best sizes of ES and GC (market-microstructure 3). The other sizes and the paces are
assumed, and so is the use of the kinds of rows, of which only the names are documented: Bid and Ask set a level (0
removes it), BestBid and BestAsk too when it is the best one, NewBestBid and NewBestAsk say that the price is the best
from now on; Trade is a print, Fill a print that used its level up, High and Low are the session's.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NS_PER_S
from tbot.gateway.codec_tables import DomType
from tbot.sim.mid_path import NEW_YORK, NS_PER_HOUR
from tbot_ext.records import NO_PRICE

LEVELS = 60  # a side; with both sides a snapshot is about 13 KB
SLACK = 20  # levels that may be left over behind them before they are removed
_QUIET_NS = 10 * NS_PER_S  # without trades and quotes for so long the book stands still
_MOST_CHANGES = 50  # in one update
_NEAR = 0.15  # chance that the change of a level is at this one and not further back
_GROWTH, _GROWTH_LEVELS = 0.12, 12  # median size grows by this part of the best one per level, so far back
_SIZE_LIMIT = 5000

# exchange ns, price ticks, resting size, size left, kind
Row = tuple[int, int, int, int, DomType]


@dataclass(frozen=True, slots=True)
class DepthProfile:
    """How one product's book looks in regular hours."""

    size: float  # median contracts at the best price
    spread: float  # standard deviation of its logarithm
    changes: float  # levels that change a second by themselves
    night: float  # factor on both sizes and changes outside 09:00-16:00 New York


_FX = DepthProfile(25, 0.7, 8, 0.4)
PROFILES: dict[str, DepthProfile] = {
    "MNQ": DepthProfile(7, 0.7, 5, 0.5),
    "NQ": DepthProfile(2.5, 0.6, 5, 0.6),
    "MES": DepthProfile(60, 0.7, 25, 0.3),
    "ES": DepthProfile(100, 0.7, 25, 0.22),
    "MGC": DepthProfile(8, 0.8, 10, 0.6),
    "GC": DepthProfile(3, 0.8, 10, 0.7),
}


class _Side:
    """Bids or asks: every price from the best to the farthest, and its size."""

    def __init__(self, sign: int) -> None:
        self.sign = sign  # +1 bids, -1 asks: better is higher times sign
        self.sizes: dict[int, int] = {}
        self.best = self.far = NO_PRICE
        self.level = DomType.BID if sign > 0 else DomType.ASK
        self.at_best = DomType.BEST_BID if sign > 0 else DomType.BEST_ASK
        self.new_best = DomType.NEW_BEST_BID if sign > 0 else DomType.NEW_BEST_ASK


class DepthMaker:
    """One contract's book for as long as somebody looks at it."""

    def __init__(self, product: Product, seed: int, now_ns: int) -> None:
        self._profile = PROFILES.get(product.symbol, _FX)
        self._draw = random.Random(f"{seed} {product.contract_id} {now_ns}")
        self._bids, self._asks = _Side(1), _Side(-1)
        self._now_ns = now_ns
        self._high: int | None = None
        self._low: int | None = None

    @property
    def bids(self) -> list[tuple[int, int]]:
        """(price, size), best first."""
        return sorted(self._bids.sizes.items(), reverse=True)

    @property
    def asks(self) -> list[tuple[int, int]]:
        """(price, size), best first."""
        return sorted(self._asks.sizes.items())

    def snapshot(self, at_ns: int) -> list[Row]:
        """The whole book as rows; the first one is a Reset."""
        rows: list[Row] = [(at_ns, 0, 0, 0, DomType.RESET)]
        for side, levels in ((self._asks, self.asks), (self._bids, self.bids)):
            rows += [(at_ns, price, size, size, side.level) for price, size in levels]
            if levels:
                rows.append((at_ns, levels[0][0], levels[0][1], 0, side.at_best))
        return rows

    def update(
        self,
        now_ns: int,
        bid: int,
        ask: int,
        prints: Iterable[tuple[int, int, int]] = (),
        *,
        quoted_ns: int | None = None,
        high: int | None = None,
        low: int | None = None,
    ) -> list[Row]:
        """Rows that lead from the book so far to the one at `now_ns` with these best prices (NO_PRICE: none).

        `prints` are (price, size, side of the aggressor) since the last update, `quoted_ns` the exchange time of the
        newest trade or quote, `high` and `low` the session's.
        """
        at_ns = now_ns if quoted_ns is None else quoted_ns
        elapsed_s = (now_ns - self._now_ns) / NS_PER_S
        self._now_ns = now_ns
        if self._jumps(self._bids, bid) or self._jumps(self._asks, ask):
            self._fill(self._bids, bid)
            self._fill(self._asks, ask)
            self._high, self._low = high, low
            return self.snapshot(at_ns)
        traded: dict[tuple[int, int], int] = {}
        for price, size, aggressor in prints:
            if size:
                traded[price, aggressor] = traded.get((price, aggressor), 0) + size
        rows = self._move(self._bids, bid, at_ns) + self._move(self._asks, ask, at_ns)
        for (price, aggressor), size in traded.items():
            rows += self._trade(price, size, self._asks if aggressor > 0 else self._bids, at_ns)
        rows += self._extremes(high, low, at_ns)
        if elapsed_s > 0 and now_ns - at_ns < _QUIET_NS:
            rows += self._stir(elapsed_s, at_ns)
        return rows

    # ------------------------------------------------------------------------------------------------------ changes
    @staticmethod
    def _jumps(side: _Side, best: int) -> bool:
        if NO_PRICE in (side.best, best):
            return side.best != best
        return abs(best - side.best) >= LEVELS

    def _fill(self, side: _Side, best: int) -> None:
        side.sizes = {}
        side.best = side.far = best
        if best == NO_PRICE:
            return
        side.far = _far(best, side.sign, LEVELS)
        for price in range(best, side.far - side.sign, -side.sign):
            side.sizes[price] = self._size(abs(best - price))

    def _move(self, side: _Side, best: int, at_ns: int) -> list[Row]:
        """The best price is another one: levels that are gone, that are new, and the far end."""
        if best == side.best:
            return []
        rows: list[Row] = []
        sign, old = side.sign, side.best
        for price in range(old, best, -sign):  # worse than before: what stood before it is gone
            del side.sizes[price]
            rows.append((at_ns, price, 0, 0, side.level))
        for price in range(old + sign, best, sign):
            rows.append(self._set(side, price, self._size(abs(best - price)), at_ns))
        if best not in side.sizes:
            side.sizes[best] = self._size(0)
        side.best = best
        rows.append((at_ns, best, side.sizes[best], 0, side.new_best))
        least, most = _far(best, sign, LEVELS), _far(best, sign, LEVELS + SLACK)
        for price in range(side.far - sign, least - sign, -sign):
            rows.append(self._set(side, price, self._size(abs(best - price)), at_ns))
            side.far = price
        if (most - side.far) * sign > 0:
            end = _far(best, sign, LEVELS + SLACK // 2)
            for price in range(side.far, end, sign):
                del side.sizes[price]
                rows.append((at_ns, price, 0, 0, side.level))
            side.far = end
        return rows

    def _trade(self, price: int, size: int, side: _Side, at_ns: int) -> list[Row]:
        """A print took from a side; what is left of the best level is told."""
        if price != side.best:
            used_up = price not in side.sizes
            return [(at_ns, price, size, 0, DomType.FILL if used_up else DomType.TRADE)]
        left = side.sizes[price] = max(1, side.sizes[price] - size)
        return [(at_ns, price, size, left, DomType.TRADE), (at_ns, price, left, 0, side.at_best)]

    def _stir(self, elapsed_s: float, at_ns: int) -> list[Row]:
        """Levels that change by themselves, mostly near the best price."""
        expected = self._profile.changes * elapsed_s * (1.0 if _is_day(at_ns) else self._profile.night)
        count = min(_MOST_CHANGES, int(expected) + (self._draw.random() < expected % 1))
        rows = []
        for _ in range(count):
            side = self._bids if self._draw.random() < 0.5 else self._asks
            place = 0
            while place < LEVELS - 1 and self._draw.random() > _NEAR:
                place += 1
            price = side.best - side.sign * place
            if price in side.sizes:
                rows.append(self._set(side, price, self._size(place), at_ns))
        return rows

    def _extremes(self, high: int | None, low: int | None, at_ns: int) -> list[Row]:
        rows: list[Row] = []
        if high is not None and high != self._high:
            rows.append((at_ns, high, 0, 0, DomType.HIGH))
        if low is not None and low != self._low:
            rows.append((at_ns, low, 0, 0, DomType.LOW))
        self._high, self._low = high, low
        return rows

    def _set(self, side: _Side, price: int, size: int, at_ns: int) -> Row:
        side.sizes[price] = size
        if price == side.best:
            return (at_ns, price, size, 0, side.at_best)
        return (at_ns, price, size, size, side.level)

    def _size(self, place: int) -> int:
        profile = self._profile
        median = profile.size * (1.0 if _is_day(self._now_ns) else profile.night)
        median *= 1 + _GROWTH * min(place, _GROWTH_LEVELS)
        return min(_SIZE_LIMIT, max(1, round(median * self._draw.lognormvariate(0, profile.spread))))


def _far(best: int, sign: int, levels: int) -> int:
    """The farthest of so many levels; no bid stands at nothing or below."""
    return max(1, best - levels + 1) if sign > 0 else best + levels - 1


def _is_day(at_ns: int) -> bool:
    return _is_day_hour(at_ns // NS_PER_HOUR)


@lru_cache(maxsize=64)
def _is_day_hour(hour: int) -> bool:
    return 9 <= datetime.fromtimestamp(hour * 3600, UTC).astimezone(NEW_YORK).hour < 16
