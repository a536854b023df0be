"""History of the simulated market in any unit: what was played, and what lies before it from the source.

Minutes that began after the source's start are built from the ticks that went out to the hub, so that history and hub
always agree; older ones are the source's own 1m bars. All buckets lie on the UTC clock, days too (projectx-gateway
6.5); weeks begin on Monday. Units of time without trades have no bar. Of what was played, every minute is kept, the
newest `KEPT_SECONDS` seconds and the newest `KEPT_TRADES` trades; tick bars count trades from the first one played.

After a roll the new month shows all that came before at its own level, and the old month ends; as at the real gateway
nothing finer than an hour is kept of a month that has expired. For tests history can be made to differ from what was
played: minutes altered by some ticks, or missing (F-DAT-07).
"""

from collections import deque
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import BY_ID
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.gateway.codec_tables import BarUnit
from tbot_ext.records import BAR_DTYPE, Kind

Bars = npt.NDArray[np.void]
Ticks = npt.NDArray[np.void]
Times = npt.NDArray[np.int64]

KEPT_SECONDS = 200_000  # 1 s bars per contract: more than two days of unbroken trading, 13 MB
KEPT_TRADES = 100_000  # per contract, 7 MB: 20 000 bars of five trades
_COMPACT_AT = 5_000  # trades that may wait before they become bars

_NS_PER_DAY = 86_400 * NS_PER_S
_PERIODS = {
    BarUnit.SECOND: NS_PER_S,
    BarUnit.MINUTE: NS_PER_MIN,
    BarUnit.HOUR: 60 * NS_PER_MIN,
    BarUnit.DAY: _NS_PER_DAY,
}
_MONDAY_NS = 3 * _NS_PER_DAY  # the epoch was a Thursday, its week began three days before
_NONE: Bars = np.zeros(0, BAR_DTYPE)
_PRICES = ("open", "high", "low", "close")
UNITS = (*_PERIODS, BarUnit.WEEK, BarUnit.MONTH, BarUnit.TICK)
EXPIRED_UNITS = (BarUnit.HOUR, BarUnit.DAY, BarUnit.WEEK, BarUnit.MONTH)


class HistorySource(Protocol):
    """What history needs of a market source."""

    @property
    def start_ns(self) -> int:
        """Market time at which it begins."""

    def history(self, symbol: str, from_ns: int, to_ns: int) -> Bars:
        """Complete 1m bars with from_ns <= start < to_ns."""


class _Change(NamedTuple):
    """Whole minutes in which history is not what was played."""

    from_ns: int
    to_ns: int
    ticks: int | None  # None: the minutes are missing


class _Played:
    """What was played of one contract: seconds, minutes and single trades, oldest first; prices of the month now."""

    def __init__(self) -> None:
        self.seconds = self.minutes = _NONE
        self._chunks: deque[Bars] = deque()  # single trades
        self._kept = self._total = 0  # trades in the chunks, trades ever
        self._waiting: list[Ticks] = []
        self._count = 0

    def add(self, trades: Ticks) -> None:
        self._waiting.append(trades)
        self._count += len(trades)
        if self._count > _COMPACT_AT:
            self.compact()

    def compact(self) -> None:
        """Make bars of the trades that wait."""
        if not self._waiting:
            return
        trades = np.concatenate(self._waiting)
        self._waiting, self._count = [], 0
        fresh = np.zeros(len(trades), BAR_DTYPE)
        fresh["start_ns"] = trades["exch_ns"]
        for name in _PRICES:
            fresh[name] = trades["price"]
        fresh["volume"] = trades["size"]
        fresh["trades"] = 1
        self.seconds = _join(self.seconds, fresh, BarUnit.SECOND)[-KEPT_SECONDS:]
        self.minutes = _join(self.minutes, fresh, BarUnit.MINUTE)
        self._total += len(fresh)
        self._kept += len(fresh)
        self._chunks.append(fresh)
        while self._kept - len(self._chunks[0]) >= KEPT_TRADES:
            self._kept -= len(self._chunks.popleft())

    def trades(self) -> tuple[Bars, int]:
        """The newest trades, each as a bar of its own, and how many there were before them."""
        trades = np.concatenate([_NONE, *self._chunks])[-KEPT_TRADES:]
        return trades, self._total - len(trades)

    def shift(self, ticks: int) -> None:
        self.compact()
        self.seconds, self.minutes = _moved(self.seconds, ticks), _moved(self.minutes, ticks)
        self._chunks = deque(_moved(chunk, ticks) for chunk in self._chunks)


class History:
    """Bars of all contracts of one source."""

    def __init__(self, source: HistorySource) -> None:
        self._source = source
        self._played: dict[str, _Played] = {}
        self._changes: dict[str, list[_Change]] = {}
        self._offset: dict[str, int] = {}  # ticks from the source's level to that of the month now
        # By broker id: the minute it ended in, what it traded in this minute, its offset.
        self._expired: dict[str, tuple[int, Bars, int]] = {}
        # The first minute of which every trade was played here.
        self._own_ns = -(-source.start_ns // NS_PER_MIN) * NS_PER_MIN

    def add(self, ticks: Ticks) -> None:
        """Take in ticks that were played (all contracts, in order)."""
        trades = ticks[(ticks["kind"] == Kind.TRADE) & (ticks["size"] > 0)]
        for contract_id in np.unique(trades["contract_id"]).tolist():
            played = self._played.setdefault(BY_ID[contract_id].symbol, _Played())
            played.add(trades[trades["contract_id"] == contract_id])

    # --------------------------------------------------------------------------------------------------- steering
    def alter(self, symbol: str, from_ns: int, to_ns: int, ticks: int) -> None:
        """All minutes that [from_ns, to_ns) touches show prices that are off by `ticks`."""
        self._change(symbol, from_ns, to_ns, ticks)

    def hole(self, symbol: str, from_ns: int, to_ns: int) -> None:
        """All minutes that [from_ns, to_ns) touches are missing."""
        self._change(symbol, from_ns, to_ns, None)

    def heal(self, symbol: str) -> None:
        """History is again what was played."""
        self._changes.pop(symbol, None)

    def roll(self, symbol: str, old_broker_id: str, ticks: int, now_ns: int) -> None:
        """The month ends at `now_ns`; the next one has always been `ticks` higher."""
        offset = self._offset.get(symbol, 0)
        end_ns = now_ns - now_ns % NS_PER_MIN
        last = self._fine(symbol, BarUnit.MINUTE, end_ns, now_ns + 1).copy()
        self._expired[old_broker_id] = (end_ns, last, offset)
        self._offset[symbol] = offset + ticks
        if symbol in self._played:
            self._played[symbol].shift(ticks)

    def _change(self, symbol: str, from_ns: int, to_ns: int, ticks: int | None) -> None:
        first = from_ns - from_ns % NS_PER_MIN
        last = -(-to_ns // NS_PER_MIN) * NS_PER_MIN
        self._changes.setdefault(symbol, []).append(_Change(first, last, ticks))

    # ------------------------------------------------------------------------------------------------------- bars
    def bars(
        self,
        symbol: str,
        unit: BarUnit,
        number: int,
        from_ns: int,
        to_ns: int,
        *,
        limit: int,
        partial: bool,
        now_ns: int,
    ) -> Bars:
        """Bars with from_ns <= start <= to_ns, the newest `limit` of them, newest first.

        A bar that is still forming at `now_ns` is left out unless `partial`.
        """
        number = _capped(unit, number)
        if unit == BarUnit.TICK:
            bars = self._tick_bars(symbol, number, partial=partial)
        else:
            start = int(bucket_starts(np.array([from_ns], np.int64), unit, number)[0])
            wide_ns = to_ns + _span_ns(unit, number)  # the last bar's own trades lie behind its start
            bars = aggregate(self._changed(symbol, self._fine(symbol, unit, start, wide_ns)), unit, number)
            if not partial:
                bars = bars[_ends(bars["start_ns"], unit, number) <= now_ns]
        starts = bars["start_ns"]
        kept: Bars = bars[(starts >= from_ns) & (starts <= to_ns)][-limit:][::-1]
        return kept

    def expired_bars(
        self, symbol: str, broker_id: str, unit: BarUnit, number: int, from_ns: int, to_ns: int, *, limit: int
    ) -> Bars:
        """Bars of a month that is not the active one; none of a month that was never played, none below an hour."""
        if broker_id not in self._expired or unit not in EXPIRED_UNITS:
            return _NONE
        end_ns, last, offset = self._expired[broker_id]
        number = _capped(unit, number)
        start = int(bucket_starts(np.array([from_ns], np.int64), unit, number)[0])
        wide_ns = to_ns + _span_ns(unit, number)
        fine = _moved(self._fine(symbol, BarUnit.MINUTE, start, min(end_ns, wide_ns)), offset - self._offset[symbol])
        fine = np.concatenate((fine, _between(last, start, wide_ns)))
        bars = aggregate(self._changed(symbol, fine), unit, number)
        starts = bars["start_ns"]
        kept: Bars = bars[(starts >= from_ns) & (starts <= to_ns)][-limit:][::-1]
        return kept

    def _fine(self, symbol: str, unit: BarUnit, from_ns: int, to_ns: int) -> Bars:
        """Bars of a minute (of a second, if that is the unit) that start in [from_ns, to_ns)."""
        played = self._played.get(symbol)
        if played is not None:
            played.compact()
        if unit == BarUnit.SECOND:
            return _NONE if played is None else _between(played.seconds, from_ns, to_ns)
        minutes = _NONE if played is None else played.minutes
        if from_ns < self._own_ns:
            older = self._source.history(symbol, from_ns, min(self._own_ns, to_ns))
            older = _moved(older[older["start_ns"] < self._own_ns], self._offset.get(symbol, 0))
            # The source may know the minute in which it started, which was played in part only.
            boundary_ns = int(older["start_ns"][-1]) + NS_PER_MIN if len(older) else from_ns
            return np.concatenate((older, _between(minutes, boundary_ns, to_ns)))
        return _between(minutes, from_ns, to_ns)

    def _tick_bars(self, symbol: str, number: int, *, partial: bool) -> Bars:
        """Bars of `number` trades each; the oldest is left out when its first trades are no longer kept."""
        played = self._played.get(symbol)
        if played is None:
            return _NONE
        played.compact()
        trades, before = played.trades()
        trades = trades[-before % number :]
        whole = len(trades) if partial else len(trades) - len(trades) % number
        trades = trades[:whole]
        bars = _grouped(trades, np.arange(whole, dtype=np.int64) // number, trades["start_ns"][::number])
        return self._changed(symbol, bars)

    def _changed(self, symbol: str, bars: Bars) -> Bars:
        """What history says of bars of a minute or finer."""
        for change in self._changes.get(symbol, ()):
            inside = (bars["start_ns"] >= change.from_ns) & (bars["start_ns"] < change.to_ns)
            if change.ticks is None:
                bars = bars[~inside]
            else:
                bars = bars.copy()
                for name in _PRICES:
                    bars[name][inside] += change.ticks
        return bars


def bucket_starts(times_ns: Times, unit: BarUnit, number: int) -> Times:
    """Start of the bar of `number` units that holds each time; UTC ns."""
    if unit == BarUnit.MONTH:
        months = times_ns.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
        return _month_ns(months - months % number)
    shift = _MONDAY_NS if unit == BarUnit.WEEK else 0
    period = _span_ns(unit, number)
    return times_ns - (times_ns + shift) % period


def aggregate(bars: Bars, unit: BarUnit, number: int) -> Bars:
    """Bars of `number` units from finer ones, which need not be sorted; volumes and trade counts are summed."""
    starts = bucket_starts(bars["start_ns"], unit, number)
    if np.any(starts[1:] < starts[:-1]):
        order = np.argsort(starts, kind="stable")
        bars, starts = bars[order], starts[order]
    return _grouped(bars, starts)


def _grouped(bars: Bars, key: Times, starts: Times | None = None) -> Bars:
    """One bar for each run of equal keys; its start is the key, unless `starts` says otherwise."""
    if not len(bars):
        return _NONE
    first = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    last = np.append(first[1:], len(bars)) - 1
    out = np.zeros(len(first), BAR_DTYPE)
    out["start_ns"] = key[first] if starts is None else starts
    out["open"] = bars["open"][first]
    out["close"] = bars["close"][last]
    out["high"] = np.maximum.reduceat(bars["high"], first)
    out["low"] = np.minimum.reduceat(bars["low"], first)
    for name in ("volume", "trades"):
        out[name] = np.add.reduceat(bars[name], first)
    return out


def _join(old: Bars, fresh: Bars, unit: BarUnit) -> Bars:
    """Older bars and fresh trades as bars of one `unit`; only the end of the old ones can go on in the fresh."""
    begin = bucket_starts(fresh["start_ns"].min(keepdims=True), unit, 1)[0]
    split = int(np.searchsorted(old["start_ns"], begin))
    return np.concatenate((old[:split], aggregate(np.concatenate((old[split:], fresh)), unit, 1)))


def _between(bars: Bars, from_ns: int, to_ns: int) -> Bars:
    first, last = np.searchsorted(bars["start_ns"], (from_ns, to_ns))
    return np.asarray(bars[first : max(first, last)])


def _moved(bars: Bars, ticks: int) -> Bars:
    if not ticks or not len(bars):
        return bars
    bars = bars.copy()
    for name in _PRICES:
        bars[name] += ticks
    return bars


def _capped(unit: BarUnit, number: int) -> int:
    """A number of units that leaves all times within 64 bits: at most about fifty years."""
    return min(number, 10**9 if unit == BarUnit.TICK else 18_250 * _NS_PER_DAY // _span_ns(unit, 1))


def _span_ns(unit: BarUnit, number: int) -> int:
    """Length of a bar; of months the longest one."""
    if unit == BarUnit.MONTH:
        return 31 * number * _NS_PER_DAY
    return (7 * _NS_PER_DAY if unit == BarUnit.WEEK else _PERIODS[unit]) * number


def _ends(starts: Times, unit: BarUnit, number: int) -> Times:
    if unit != BarUnit.MONTH:
        return starts + _span_ns(unit, number)
    months = starts.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    return _month_ns(months + number)


def _month_ns(months: Times) -> Times:
    return months.astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)
