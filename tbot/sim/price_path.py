"""A market made from a seed: trades, quotes and bar history of any of our contracts, without any exchange's data.

`SyntheticMarket` is what the embedded gateway plays to a newcomer and what tests and benches load the engine with. Its
numbers are those of real recordings (market-microstructure.md; profiles.py), its prices are nobody's.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import DEFAULT_SYMBOLS, PRODUCTS, Product
from tbot.domain.timeframes import NS_PER_MIN
from tbot.domain.trading_hours import SessionCalendar
from tbot.errors import ConfigError
from tbot.sim.mid_path import NS_PER_HOUR, RATE_ON_LEVEL, Hour, MidPath, is_open_hour, open_hours_before
from tbot.sim.profiles import FAMILIES, PROFILES, Floats, rate_curve
from tbot.sim.tick_maker import TickMaker, bars_from_ticks
from tbot.storage.sessions import load_sessions
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE

Ticks = npt.NDArray[np.void]
Bars = npt.NDArray[np.void]

HOURS_PER_DAY = 23  # of a trading day
_LEVEL_VARIANCE = 0.7**2 + 0.25**2  # of the log volume; makes the mean rate what the table says


class _Line:
    """One contract's generator and its bars so far."""

    def __init__(self, seed: int, product: Product, activity: float, first_mid: float) -> None:
        self.product = product
        self.profile = PROFILES[product.symbol]
        self.group = FAMILIES[self.profile.family].group
        self.maker = TickMaker(seed, product.contract_id, self.profile, self.group, first_mid)
        self.bars: list[Bars] = []
        self._rate = rate_curve(self.profile) * activity

    def rates(self, hour: Hour) -> Floats:
        """Prints a second in each minute of the hour: the day's curve times the level of activity."""
        curve = self._rate[hour.ny_minute : hour.ny_minute + 60]
        rates: Floats = curve * np.exp(RATE_ON_LEVEL * hour.level[self.group]) / _MEAN_OF_LEVEL
        return rates


# exp(0.8 x) of a log-normal whose exp(x) has mean 1
_MEAN_OF_LEVEL = float(np.exp((RATE_ON_LEVEL**2 - RATE_ON_LEVEL) * _LEVEL_VARIANCE / 2))


class SyntheticMarket:
    """A `market.MarketSource` from a seed. The same arguments give the same market, however `advance` is called.

    One contract's path does not depend on which others are there. Generates whole minutes ahead; one thread at a time.
    """

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str] = DEFAULT_SYMBOLS,
        start_ns: int = 0,
        history_days: int = 5,
        *,
        always_open: bool = False,
        activity: float = 1.0,
        volatility: float = 1.0,
    ) -> None:
        """A market whose live part begins at `start_ns` (UTC ns of market time) after `history_days` trading days.

        `always_open` ignores the exchange's hours and holidays. `activity` scales the number of messages, `volatility`
        the moves. ConfigError for a symbol that is not in the tables.
        """
        unknown = [symbol for symbol in symbols if symbol not in PROFILES]
        if unknown or not symbols:
            raise ConfigError(
                f"No synthetic market for {unknown or 'no symbols'}; there is one for {', '.join(PROFILES)}."
            )
        self.contracts: list[Product] = sorted((PRODUCTS[s] for s in set(symbols)), key=lambda p: p.contract_id)
        self.start_ns = start_ns
        self.end_ns: int | None = None
        first_live = start_ns // NS_PER_HOUR
        self._calendar = None if always_open else SessionCalendar(load_sessions(), template_ok=True)
        is_open = None if always_open else self._is_open_hour
        first = open_hours_before(first_live, history_days * HOURS_PER_DAY, is_open)
        families = sorted({PROFILES[product.symbol].family for product in self.contracts}, key=list(FAMILIES).index)
        self._path = MidPath(seed, families, first, is_open=is_open, volatility=volatility)
        self._hour = self._path.next_hour()
        self._lines = {
            product.symbol: _Line(seed, product, activity, float(self._hour.mid[PROFILES[product.symbol].family][0, 0]))
            for product in self.contracts
        }
        self._now_ns = start_ns - 1
        self._minute = 0  # of the current hour, the next to be generated
        self._ready: list[Ticks] = []  # generated, not yet handed out
        self._make_history(start_ns - start_ns % NS_PER_MIN)

    def advance(self, to_ns: int) -> Ticks:
        """All trades and quotes with `start_ns <= exch_ns <= to_ns` since the last call, by (exch_ns, contract_id).

        Within one contract ticks of equal time stand in their order. ValueError when `to_ns` goes back.
        """
        if to_ns < self._now_ns:
            raise ValueError(f"market time cannot go back from {self._now_ns} to {to_ns}")
        while self._hour.start_ns + self._minute * NS_PER_MIN <= to_ns:
            self._ready.append(self._make_minute())
        self._now_ns = to_ns
        out: list[Ticks] = []
        while self._ready:
            ticks = self._ready[0]
            count = int(np.searchsorted(ticks["exch_ns"], to_ns, side="right"))
            out.append(ticks[:count])
            if count < len(ticks):
                self._ready[0] = ticks[count:]
                break
            del self._ready[0]
        return np.concatenate(out) if out else np.zeros(0, TICK_DTYPE)

    def history(self, symbol: str, from_ns: int, to_ns: int) -> Bars:
        """Complete 1m bars (UTC ns starts, prices in ticks) that start in [from_ns, to_ns), oldest first.

        Complete means that the minute ended by the time of the last `advance`. KeyError for an unknown symbol.
        """
        line = self._lines[symbol]
        if len(line.bars) > 1:
            line.bars = [np.concatenate(line.bars)]
        if not line.bars:
            return np.zeros(0, BAR_DTYPE)
        bars = line.bars[0]
        last = min(to_ns, max(self._now_ns, self.start_ns) - NS_PER_MIN + 1)
        begin, end = np.searchsorted(bars["start_ns"], [from_ns, last], side="left")
        return np.asarray(bars[begin : max(begin, end)].copy())

    def _make_history(self, until_ns: int) -> None:
        """Bars of all minutes before `until_ns`, a whole minute."""
        while self._hour.start_ns < until_ns:
            minutes = min(60, (until_ns - self._hour.start_ns) // NS_PER_MIN)
            for line in self._lines.values():
                if self._hour.new_session:
                    line.maker.session_volume = 0
                hour = self._hour
                seconds = (hour.mid[line.profile.family], hour.block[line.group], hour.burst[line.group])
                mid, block, burst = (values[:minutes] for values in seconds)
                bars = line.maker.past_bars(hour.start_ns, mid, block, burst, line.rates(hour)[:minutes])
                bars = bars[self._open_minutes(bars["start_ns"])]
                line.maker.session_volume += int(bars["volume"].sum())
                line.bars.append(bars)
            self._minute = minutes
            if minutes < 60:
                return
            self._next_hour()

    def _is_open_hour(self, hour: int) -> bool:
        """Whether some of an hour is open: early closes of holidays may lie within one."""
        ends = np.array([hour * NS_PER_HOUR, (hour + 1) * NS_PER_HOUR - NS_PER_MIN])
        return is_open_hour(hour) and bool(self._open_minutes(ends).any())

    def _open_minutes(self, starts_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which minutes of one hour (their starts, ascending) the exchange is open in, holidays included."""
        calendar, starts = self._calendar, starts_ns.tolist()
        if calendar is None or not starts or (calendar.is_open(starts[0]) and calendar.is_open(starts[-1])):
            return np.ones(len(starts), np.bool_)  # no pause begins and ends within an hour
        return np.array([calendar.is_open(start) for start in starts], np.bool_)

    def _next_hour(self) -> None:
        self._hour = self._path.next_hour()
        self._minute = 0

    def _make_minute(self) -> Ticks:
        """Generate the next open minute of every contract, in merge order; its bars join the history."""
        hour, minute = self._hour, self._minute
        start_ns = hour.start_ns + minute * NS_PER_MIN
        made = [np.zeros(0, TICK_DTYPE)]
        for line in self._lines.values() if self._open_minutes(np.array([start_ns])).all() else ():
            if hour.new_session and minute == 0:
                line.maker.session_volume = 0
            seconds = (hour.mid[line.profile.family], hour.block[line.group], hour.burst[line.group])
            mid, block, burst = (values[minute] for values in seconds)
            rate = float(line.rates(hour)[minute])
            ticks = line.maker.minute(start_ns, hour.ny_minute + minute, mid, block, burst, rate)
            line.bars.append(bars_from_ticks(ticks))
            made.append(ticks)
        self._minute += 1
        if self._minute == 60:
            self._next_hour()
        merged = np.concatenate(made)
        merged = merged[np.lexsort((merged["contract_id"], merged["exch_ns"]))]
        return np.asarray(merged[merged["exch_ns"] >= self.start_ns])
