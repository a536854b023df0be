"""V4: do zones hold better than bands put anywhere?

Osler's design (FRBNY Economic Policy Review 6(2), 2000): what happens at published levels is compared with what happens
at arbitrary ones, on the same prices. Here every zone is traded by one rule (first touch after birth; `ZoneRules`), and
so is each of at least 1 000 draws in which every zone is replaced by one of the same height and age:

* `jitter`: moved in price by as much as price moved between its birth and another moment of its session, and born then,
  so that it is as far from price as the zone was (all zones of a session are moved by the same time, round its ends);
* `shuffle`: its distance, height and side kept, but born when another zone of its session was born;
* `mirror`: on the other side of price at birth, as far away, traded the other way.

Two rulings, both measured on random walks, where nothing can be found. All draws keep the distance from price at
birth: a band that is moved alone is nearer or farther, and the pessimistic reading of bars (the bar that touches the
edge cannot reach the target) is kinder to the near one; zones born at price (fair value gaps) then "beat" such draws at
level 5 % in 31 of 100 series. And births are moved far, by a quarter to three quarters of a session: a bull zone
exists because price then rose, so one that is born shortly before knows the future (zones without any edge seem worse
than chance), and draws that are all born shortly after stand together on one side of the zone (which is first or last
among them too often).

Zones born near each other share their fate: they overlap, and one trend makes or breaks them all. So one random number
serves all zones of a session (one shift, one rotation of births, one coin), which keeps what depends on each other
together; draws zone by zone would spread less than the truth, and call chance a discovery. Sessions of less than
`BLOCK_BARS` bars (those of long timeframes) are taken together until they have as many.

The p-value is (r + 1) / (n + 1) (`multiple.monte_carlo_p`). A kind has to beat all three nulls, because each leaves
something out: on real prices jitter and shuffle move a band into an hour of another volatility, where a thin one is
jumped over (zones then look better than they are), and mirror, which stays in its hour, asks about the side alone. The
p-value is the largest of the three, which is conservative. Over kinds, timeframes and contracts the rate of false
discoveries is kept by `multiple.adjusted` (Benjamini, Hochberg: tests of overlapping zones depend on each other
positively).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tbot.errors import DataError
from tbot.validation.multiple import adjusted, monte_carlo_p, percentile_of
from tbot.validation.paths import Bars
from tbot.validation.trips import Bools, Floats, Ints
from tbot_ext.first_passage import TARGET, TIMED_OUT, zone_outcomes
from tbot_ext.records import Flag

Null = Literal["jitter", "shuffle", "mirror"]

NULLS: tuple[Null, ...] = ("jitter", "shuffle", "mirror")
DRAWS = 1000
BLOCK_BARS = 500
FAR = (0.25, 0.75)  # of a block: how far births are moved, round its ends
RATE = 0.05  # of false discoveries
NS_PER_DAY = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class ZoneRules:
    """How a zone is traded: entry at the edge that price comes to, stop `buffer_ticks` beyond the far edge, target
    `reward` times that distance; given up when not touched within `wait` bars, closed at the close after `horizon`.
    Costs are taken from every trade, of zones and draws alike."""

    reward: float = 1.0
    buffer_ticks: int = 2
    wait: int = 500
    horizon: int = 500
    cost_ticks: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """Bands in ticks, known at the close of bar `born`; side +1 is bought from above, -1 sold from below."""

    born: Ints
    top: Ints
    bottom: Ints
    side: Ints

    def take(self, keep: Bools) -> "Zones":
        return Zones(self.born[keep], self.top[keep], self.bottom[keep], self.side[keep])


@dataclass(frozen=True, slots=True)
class Traded:
    """What trading all zones gave: share of trades that reached the target, mean result in R."""

    trades: int
    hit_rate: float
    expectancy_r: float
    timed_out: int = 0


@dataclass(frozen=True, slots=True)
class NullTest:
    """The zones among the draws of one null: percentiles (0 to 100, ties half) and one-sided p-values."""

    null: Null
    draws: int
    draw_hit_rate: float  # means over the draws
    draw_expectancy_r: float
    percentile_hit: float
    percentile_r: float
    p_hit: float
    p_r: float


@dataclass(frozen=True, slots=True)
class LevelsResult:
    """One kind of zone on one timeframe of one contract. `p` is the largest of the nulls' p-values of the expectancy,
    `p_adjusted` what it is worth among all tests of the same call (None before `with_adjusted`)."""

    contract: str
    timeframe: str
    kind: str
    zones: int
    traded: Traded
    nulls: tuple[NullTest, ...]
    p: float
    p_adjusted: float | None = None

    @property
    def better(self) -> bool:
        """Distinguishable from random levels, at the rate of false discoveries `RATE`."""
        return (self.p if self.p_adjusted is None else self.p_adjusted) <= RATE

    @property
    def percentile(self) -> float:
        """The least percentile of the expectancy over the nulls: the null percentile of the verdict line."""
        return min(test.percentile_r for test in self.nulls)

    @property
    def verdict(self) -> str:
        """In words."""
        return "better than random levels" if self.better else "not distinguishable from random levels"


def levels_null(
    bars: Bars,
    zones: Zones,
    *,
    rng: np.random.Generator,
    rules: ZoneRules | None = None,
    draws: int = DRAWS,
    contract: str = "",
    timeframe: str = "",
    kind: str = "",
) -> LevelsResult | None:
    """Test zones against all three nulls; None when there is nothing to test (no zone was ever touched). DataError for
    zones outside the bars, or for less than one draw."""
    rules = rules or ZoneRules()
    if draws < 1:
        raise DataError("a null needs at least one draw; 1000 or more mean something")
    if len(zones.born) and (zones.born.min() < 0 or zones.born.max() >= len(bars)):
        raise DataError("a zone was born outside the bars")
    zones = zones.take(zones.top >= zones.bottom)
    market = Market.of(bars)
    real = market.trade(zones, rules)
    if not real.trades:
        return None
    maker = _Maker(market, zones)
    tests = tuple(_test(market, real, maker, null, rules, draws, rng) for null in NULLS)
    return LevelsResult(contract, timeframe, kind, len(zones.born), real, tests, max(test.p_r for test in tests))


def with_adjusted(results: Sequence[LevelsResult]) -> tuple[LevelsResult, ...]:
    """The results with p-values adjusted for how many they are."""
    values = adjusted(np.array([result.p for result in results], np.float64))
    return tuple(replace(result, p_adjusted=float(p)) for result, p in zip(results, values, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Bars as plain columns."""

    open: Ints
    high: Ints
    low: Ints
    close: Ints
    block: Ints  # number of the block of each bar

    @classmethod
    def of(cls, bars: Bars) -> "Market":
        opens, highs, lows, closes = (np.ascontiguousarray(bars[name]) for name in ("open", "high", "low", "close"))
        return cls(opens, highs, lows, closes, blocks(sessions(bars)))

    def outcomes(self, zones: Zones, rules: ZoneRules) -> tuple[Floats, Ints]:
        """Result in R before costs and state of each zone (tbot_ext.first_passage)."""
        result, state = np.empty(len(zones.born)), np.empty(len(zones.born), np.int8)
        zone_outcomes(
            self.open, self.high, self.low, self.close, zones.born, zones.top, zones.bottom, zones.side,
            rules.buffer_ticks, rules.reward, rules.wait, rules.horizon, result, state,
        )  # fmt: skip
        return result, state.astype(np.int64)

    def trade(self, zones: Zones, rules: ZoneRules) -> Traded:
        result, state = self.outcomes(zones, rules)
        made = np.isfinite(result)
        trades = int(made.sum())
        if not trades:
            return Traded(0, 0.0, 0.0)
        if rules.cost_ticks:
            result = result - rules.cost_ticks / (zones.top - zones.bottom + rules.buffer_ticks)
        hits, late = int((state == TARGET).sum()), int((state == TIMED_OUT).sum())
        return Traded(trades, hits / trades, float(result[made].mean()), late)


def sessions(bars: Bars) -> Ints:
    """Number of the session of each bar: begun by a break in trading, and after each 24 hours without one."""
    begun = (bars["flags"] & int(Flag.SESSION_BREAK)) != 0
    if len(bars):
        begun[0] = True
    first = np.maximum.accumulate(np.where(begun, np.arange(len(bars)), 0))
    day = (bars["start_ns"] - bars["start_ns"][first]) // NS_PER_DAY
    turn = begun.copy()
    turn[1:] |= np.diff(day) != 0
    return np.cumsum(turn).astype(np.int64)


def blocks(session: Ints) -> Ints:
    """Number of the block of each bar: whole sessions, as many as it takes for `BLOCK_BARS` bars."""
    out, number, held = np.zeros(len(session), np.int64), 0, 0
    if not len(session):
        return out
    starts = np.flatnonzero(np.diff(session, prepend=session[:1] - 1))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(session)], strict=True):
        if held >= BLOCK_BARS:
            number, held = number + 1, 0
        out[start:end] = number
        held += end - start
    return out


class _Maker:
    """Makes draws: zones as distances from price at birth, grouped by block."""

    def __init__(self, market: Market, zones: Zones) -> None:
        order = np.argsort(zones.born, kind="stable")
        self._born, self._side = zones.born[order], zones.side[order]
        top, bottom = zones.top[order], zones.bottom[order]
        self._height = top - bottom
        self._price = market.close
        price = market.close[self._born]
        # How far price has to come to the near edge; below 0 where it already lies in the zone, or beyond.
        self._distance = np.where(self._side > 0, price - top, bottom - price)
        block = market.block[self._born]
        _, first, self._block, sizes = np.unique(block, return_index=True, return_inverse=True, return_counts=True)
        self._blocks, self._first, self._size = len(sizes), first[self._block], sizes[self._block]
        self._begun = np.searchsorted(market.block, block)
        self._length = np.searchsorted(market.block, block, "right") - self._begun

    def draw(self, null: Null, rng: np.random.Generator) -> Zones:
        """One draw of all zones."""
        if null == "jitter":
            shift = (rng.uniform(*FAR, self._blocks)[self._block] * self._length).astype(np.int64)
            return self._placed(self._begun + (self._born - self._begun + shift) % self._length, self._side)
        if null == "shuffle":
            turn = np.rint(rng.uniform(*FAR, self._blocks)[self._block] * self._size).astype(np.int64)
            place = (np.arange(len(self._born)) - self._first + turn) % self._size
            return self._placed(self._born[self._first + place], self._side)
        coin = rng.integers(0, 2, self._blocks) * 2 - 1
        return self._placed(self._born, self._side * coin[self._block])

    def _placed(self, born: Ints, side: Ints) -> Zones:
        near = self._price[born] - side * self._distance
        top = np.where(side > 0, near, near + self._height)
        return Zones(born, top, top - self._height, np.ascontiguousarray(side))


def _test(
    market: Market, real: Traded, maker: _Maker, null: Null, rules: ZoneRules, draws: int, rng: np.random.Generator
) -> NullTest:
    rates, results = np.empty(draws), np.empty(draws)
    for number in range(draws):
        drawn = market.trade(maker.draw(null, rng), rules)
        rates[number], results[number] = drawn.hit_rate, drawn.expectancy_r
    return NullTest(
        null,
        draws,
        float(rates.mean()),
        float(results.mean()),
        percentile_of(real.hit_rate, rates),
        percentile_of(real.expectancy_r, results),
        monte_carlo_p(real.hit_rate, rates),
        monte_carlo_p(real.expectancy_r, results),
    )
