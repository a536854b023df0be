"""A dollar index from the currency futures of the same gateway: a fold over their quotes, with trend and correlation.

The official index is 50.14348112 times the product of six exchange rates, each to the power of its weight. Futures
quote dollars per foreign unit, so every power is negative. There is no Swedish future: its 4.2 % are shared among the
other five in proportion, and the level is set once (LEVEL), so that it equals the official formula on the ECB's
reference rates of 2026-01-02. Futures carry interest, too: changes can be compared with the spot index, the level only
roughly. When a future rolls to another month, the jump between the months is taken out.

Everything is added up in whole billionths of the logarithm, so the result does not depend on the order of additions,
and a bar of logarithms is a bar of the index.

Sources: ICE, "U.S. Dollar Index contracts" (formula, weights); projectx-gateway.md 9.4 (futures as they are quoted).
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.domain.context import CORRELATION_SCALE, INDEX_SCALE, DollarState
from tbot.domain.contracts import BY_ID, PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.strategy.dollar import DollarSettings
from tbot_ext.bars import BarBuilder
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Flag, Kind

Ticks = npt.NDArray[np.void]

OFFICIAL_LEVEL = 50.14348112
# Thousandths, of dollars per unit of the currency; the signs are those of the official powers of such rates.
OFFICIAL_WEIGHTS = {"EUR": -576, "JPY": -136, "GBP": -119, "CAD": -91, "SEK": -42, "CHF": -36}
LEGS = {"6E": "EUR", "6J": "JPY", "6B": "GBP", "6C": "CAD", "6S": "CHF"}
LEG_IDS = frozenset(PRODUCTS[symbol].contract_id for symbol in LEGS)
LEVEL = 53.6618305
LOG_SCALE = 1_000_000_000  # units of one in the logarithm; 100 000 of them are one basis point
_BP = LOG_SCALE // 10_000
_SHARED = sum(OFFICIAL_WEIGHTS[currency] for currency in LEGS.values())
_LEAST_SAMPLES = 10


def official(usd_per_unit: dict[str, float]) -> float:
    """The index by the official formula, from dollars per unit of each of the six currencies."""
    powers = (OFFICIAL_WEIGHTS[currency] / 1000 * math.log(rate) for currency, rate in usd_per_unit.items())
    return OFFICIAL_LEVEL * math.exp(math.fsum(powers)) if usd_per_unit.keys() == OFFICIAL_WEIGHTS.keys() else math.nan


def without_sweden(usd_per_unit: dict[str, float]) -> float:
    """The index as the futures give it, from dollars per unit of the five currencies."""
    powers = (OFFICIAL_WEIGHTS[currency] / -_SHARED * math.log(rate) for currency, rate in usd_per_unit.items())
    return LEVEL * math.exp(math.fsum(powers))


def good_quotes(ticks: Ticks) -> npt.NDArray[Any]:
    """Which records are quotes that tell a price: two-sided, not crossed, not SUSPECT, above zero."""
    good = (ticks["kind"] == Kind.QUOTE) & (ticks["price"] > 0) & (ticks["price2"] >= ticks["price"])
    good &= (ticks["flags"] & int(Flag.SUSPECT)) == 0
    return np.asarray(good & (ticks["price2"] != NO_PRICE))


def index_units(log_units: int) -> int:
    """1 / INDEX_SCALE of a point from the logarithm of the index."""
    return round(math.exp(log_units / LOG_SCALE) * INDEX_SCALE)


class Leg:
    """One future: from the middle of its quote to its part of the logarithm."""

    def __init__(self, symbol: str) -> None:
        product = PRODUCTS[symbol]
        self.contract_id = product.contract_id
        self._weight = OFFICIAL_WEIGHTS[LEGS[symbol]] / -_SHARED
        self._half_tick = float(product.tick_size) / 2
        self._known: dict[int, int] = {}
        self._shift = 0
        self._rolled = False
        self.units: int | None = None
        self.quote_ns = 0

    def part(self, middle2: int) -> int:
        """Of bid plus ask in ticks, without what rolls have taken out."""
        found = self._known.get(middle2)
        if found is None:
            if len(self._known) > 50_000:
                self._known.clear()
            found = round(self._weight * math.log(middle2 * self._half_tick) * LOG_SCALE)
            self._known[middle2] = found
        return found

    def roll(self) -> None:
        """Another month follows: its first quote counts as much as the last one of the old month."""
        self._rolled = self.units is not None

    def take(self, middles2: npt.NDArray[Any], times_ns: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The parts of several quotes, in order; the last one is kept."""
        if not len(middles2):
            return np.zeros(0, np.int64)
        values, places = np.unique(middles2, return_inverse=True)
        parts = np.array([self.part(value) for value in values.tolist()], np.int64)[places] + self._shift
        if self._rolled:
            assert self.units is not None
            jump = self.units - int(parts[0])
            self._shift += jump
            parts += jump
            self._rolled = False
        self.units, self.quote_ns = int(parts[-1]), int(times_ns[-1])
        return parts


class Trend:
    """Two exponential averages of bar closes: rising while the fast one lies above the slow one by the band.

    0 until `slow` closes have come: averages that have just begun say nothing.
    """

    def __init__(self, settings: DollarSettings) -> None:
        self._gains = 2 / (settings.trend_fast + 1), 2 / (settings.trend_slow + 1)
        self._band = settings.trend_band_bp * _BP
        self._needed = settings.trend_slow
        self._means: tuple[float, float] | None = None
        self.closes = 0

    def push(self, close: int) -> None:
        """The next bar's close, in log units."""
        self.closes += 1
        if self._means is None:
            self._means = (float(close), float(close))
        else:
            fast, slow = self._means
            self._means = fast + self._gains[0] * (close - fast), slow + self._gains[1] * (close - slow)

    @property
    def side(self) -> int:
        if self._means is None or self.closes < self._needed:
            return 0
        apart = self._means[0] - self._means[1]
        return 0 if abs(apart) < max(self._band, 1.0) else (1 if apart > 0 else -1)


class Correlation:
    """Pearson's, of the last `window` pairs of whole numbers; sums are exact, so old pairs leave no trace."""

    def __init__(self, window: int) -> None:
        self._pairs: deque[tuple[int, int]] = deque()
        self._window = window
        self._sums = [0, 0, 0, 0, 0]  # x, y, xx, yy, xy

    def push(self, x: int, y: int) -> None:
        """One more pair."""
        self._pairs.append((x, y))
        self._add(x, y, 1)
        if len(self._pairs) > self._window:
            self._add(*self._pairs.popleft(), -1)

    def _add(self, x: int, y: int, sign: int) -> None:
        for place, value in enumerate((x, y, x * x, y * y, x * y)):
            self._sums[place] += sign * value

    @property
    def value(self) -> float | None:
        """None while there are too few pairs, or one side has not moved at all."""
        n = len(self._pairs)
        x, y, xx, yy, xy = self._sums
        spread_x, spread_y = n * xx - x * x, n * yy - y * y
        if n < max(_LEAST_SAMPLES, self._window // 2) or not spread_x or not spread_y:
            return None
        return (n * xy - x * y) / math.sqrt(spread_x) / math.sqrt(spread_y)


@dataclass(frozen=True, slots=True)
class MinuteClose:
    """The index at the end of a minute in which something came, and how each contract has moved with it."""

    end_ns: int
    state: DollarState
    correlations: dict[int, float | None]

    def of(self, contract_id: int) -> DollarState:
        """As one contract's decider is told."""
        state = self.state
        share = self.correlations.get(contract_id)
        told = None if share is None else round(share * CORRELATION_SCALE)
        return DollarState(state.trend, state.index, state.minute_ns, told, state.stale)


class DollarIndex:
    """Fold over records in order of exchange time: `push` gives the minutes that ended.

    A minute ends with the first record of a later one, of whatever contract (so CLOCK records end the quiet ones);
    nothing is told of minutes without any record, and nothing at all until every leg has had a quote. Quotes that are
    crossed, one-sided, SUSPECT or not above zero are passed over. `contracts`: ids whose correlation is followed.
    """

    def __init__(self, settings: DollarSettings, contracts: Iterable[int] = ()) -> None:
        self._settings = settings
        self._legs = {PRODUCTS[symbol].contract_id: Leg(symbol) for symbol in LEGS}
        self._builder = BarBuilder()
        self._trend = Trend(settings)
        self._level = round(math.log(LEVEL) * LOG_SCALE)
        self._others = {number: _Other(settings.correlation_minutes) for number in contracts}
        self._minute_ns = 0  # end of the minute that is open
        self._last: tuple[int, int] | None = None  # end and log units of the last minute told
        self.bars: deque[np.void] = deque(maxlen=64)  # of trend_min minutes, in log units

    def push(self, ticks: Ticks) -> list[MinuteClose]:
        """Take records in order of exchange time."""
        if not len(ticks):
            return []
        followed = np.isin(ticks["contract_id"], [*self._legs, *self._others])
        rolls = np.flatnonzero((ticks["kind"] == Kind.GAP) & (ticks["aux"] == NEW_CONTRACT) & followed)
        closes: list[MinuteClose] = []
        edges = [0, *rolls.tolist(), len(ticks)]
        for number, (start, end) in enumerate(pairwise(edges)):
            if number:
                self._roll(int(ticks["contract_id"][start]))
            closes += self._take(ticks[start:end])
        return closes

    def _roll(self, contract_id: int) -> None:
        if contract_id in self._legs:
            self._legs[contract_id].roll()
        if contract_id in self._others:
            self._others[contract_id].forget()

    def end_minute(self) -> list[MinuteClose]:
        """The minute that is open is over: whoever has a clock need not wait for the first record of a later one."""
        ends_ns = np.array([self._minute_ns] if self._minute_ns else [], np.int64)
        self._minute_ns = 0
        return self._fold(np.zeros(0, TICK_DTYPE), ends_ns)

    def _take(self, ticks: Ticks) -> list[MinuteClose]:
        return self._fold(ticks, self._ends(np.ascontiguousarray(ticks["exch_ns"]))) if len(ticks) else []

    def _fold(self, ticks: Ticks, ends_ns: npt.NDArray[Any]) -> list[MinuteClose]:
        """Take records in, among which these minutes end."""
        times = np.ascontiguousarray(ticks["exch_ns"])
        places = np.searchsorted(times, ends_ns)
        good = good_quotes(ticks)
        owners = ticks["contract_id"]
        quoted = [
            self._quotes(leg, ticks, np.flatnonzero(good & (owners == number))) for number, leg in self._legs.items()
        ]
        moments = [self._moments(places, one) for one in quoted]
        bars = iter(self._index_bars(times, ends_ns, quoted))
        others = {}
        for number, other in self._others.items():
            rows = np.flatnonzero(good & (owners == number))
            others[number] = other.take(ticks["price"][rows] + ticks["price2"][rows], rows, places)
        return list(self._closes(ends_ns.tolist(), moments, bars, others))

    def _ends(self, times: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Ends of the minutes that these records finish: those of which there was a record."""
        own = np.unique(times // NS_PER_MIN) * NS_PER_MIN + NS_PER_MIN
        own = own[own > self._minute_ns]
        before = [self._minute_ns] if self._minute_ns and len(own) else []
        if len(own):
            self._minute_ns = int(own[-1])
        return np.array([*before, *own[:-1].tolist()], np.int64)

    def _quotes(self, leg: Leg, ticks: Ticks, rows: npt.NDArray[Any]) -> "_Quoted":
        before = leg.units, leg.quote_ns
        times = ticks["exch_ns"][rows]
        parts = leg.take(ticks["price"][rows] + ticks["price2"][rows], times)
        return _Quoted(rows, parts, times, *before)

    def _moments(self, places: npt.NDArray[Any], quoted: "_Quoted") -> list[tuple[int | None, int]]:
        """Part and quote time of a leg at the end of each minute."""
        found: list[tuple[int | None, int]] = []
        for place in np.searchsorted(quoted.rows, places).tolist():
            if place:
                found.append((int(quoted.parts[place - 1]), int(quoted.times_ns[place - 1])))
            else:
                found.append((quoted.units, quoted.quote_ns))
        return found

    def _index_bars(self, times: npt.NDArray[Any], ends_ns: npt.NDArray[Any], quoted: list["_Quoted"]) -> Ticks:
        """The bars of the index that end with these minutes, by the builder that makes all bars."""
        rows = np.unique(np.concatenate([one.rows for one in quoted]))
        total = np.full(len(rows), self._level, np.int64)
        known = np.ones(len(rows), bool)
        for one in quoted:
            place = np.searchsorted(one.rows, rows, side="right")
            padded = np.concatenate(([0 if one.units is None else one.units], one.parts))
            total += padded[place]
            if one.units is None:
                known &= place > 0
        prints = np.zeros(int(known.sum()), TICK_DTYPE)
        prints["kind"], prints["size"] = Kind.TRADE, 1
        prints["exch_ns"], prints["price"] = times[rows[known]], total[known]
        clocks = np.zeros(len(ends_ns), TICK_DTYPE)
        clocks["kind"], clocks["exch_ns"] = Kind.CLOCK, ends_ns
        both = np.concatenate((clocks, prints))
        return self._builder.push_ticks(both[np.argsort(both["exch_ns"], kind="stable")])

    def _closes(
        self,
        ends_ns: list[int],
        moments: list[list[tuple[int | None, int]]],
        bars: Iterator[np.void],
        others: dict[int, list[int | None]],
    ) -> Iterator[MinuteClose]:
        waiting = next(bars, None)
        for number, end_ns in enumerate(ends_ns):
            while waiting is not None and _bar_end_ns(waiting) <= end_ns:
                if waiting["timeframe_min"] == self._settings.trend_min:
                    self._trend.push(int(waiting["close"]))
                    self.bars.append(waiting)
                waiting = next(bars, None)
            parts = [leg[number] for leg in moments]
            units = [part for part, _ in parts if part is not None]
            if len(units) < len(parts):
                continue
            now = self._level + sum(units)
            self._note_returns(end_ns, now, {key: values[number] for key, values in others.items()})
            stale = any(end_ns - quote_ns > self._settings.stale_s * NS_PER_S for _, quote_ns in parts)
            state = DollarState(self._trend.side, index_units(now), end_ns, None, stale)
            yield MinuteClose(end_ns, state, {key: other.correlation.value for key, other in self._others.items()})

    def _note_returns(self, end_ns: int, now: int, values: dict[int, int | None]) -> None:
        """One pair of returns for each contract, of two minutes that follow each other."""
        follows = self._last is not None and self._last[0] + NS_PER_MIN == end_ns
        move = now - self._last[1] if self._last is not None else 0
        for key, value in values.items():
            self._others[key].minute(value, move if follows else None)
        self._last = (end_ns, now)


@dataclass(frozen=True, slots=True)
class _Quoted:
    """The quotes of one leg in a part of the stream, and what was known of it before."""

    rows: npt.NDArray[Any]
    parts: npt.NDArray[Any]
    times_ns: npt.NDArray[Any]
    units: int | None
    quote_ns: int


class _Other:
    """A contract beside the index: its price at the end of each minute."""

    def __init__(self, window: int) -> None:
        self.correlation = Correlation(window)
        self._middle2: int | None = None  # newest
        self._minute: int | None = None  # log units at the end of the last minute

    def forget(self) -> None:
        """Another month follows."""
        self._middle2 = self._minute = None

    def take(self, middles2: npt.NDArray[Any], rows: npt.NDArray[Any], places: npt.NDArray[Any]) -> list[int | None]:
        """The newest price (bid plus ask, ticks) at each of these places; the last one is kept."""
        before = self._middle2
        found = [int(middles2[at - 1]) if at else before for at in np.searchsorted(rows, places).tolist()]
        if len(middles2):
            self._middle2 = int(middles2[-1])
        return found

    def minute(self, middle2: int | None, move: int | None) -> None:
        """The end of a minute; `move`: of the index since the minute before, None when there was none."""
        now = None if middle2 is None else round(math.log(middle2) * LOG_SCALE)
        if now is not None and self._minute is not None and move is not None:
            self.correlation.push(move, now - self._minute)
        self._minute = now


def _bar_end_ns(bar: np.void) -> int:
    return int(bar["start_ns"]) + int(bar["timeframe_min"]) * NS_PER_MIN


def leg_symbols(contracts: Iterable[int]) -> tuple[str, ...]:
    """Which legs are among these contracts."""
    return tuple(BY_ID[number].symbol for number in sorted(set(contracts) & LEG_IDS))
