"""History of the simulated market in any unit: what was played as 1 s bars, what lies before it from the source.

Minutes that began after the source's start are built from the ticks that went out to the hub, so that history and hub
always agree; older ones are the source's own 1m bars. All buckets lie on the UTC clock, days too (projectx-gateway
6.5); weeks begin on Monday. Seconds and minutes without trades have no bar.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import BY_ID
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.gateway.codec_tables import BarUnit
from tbot_ext.records import BAR_DTYPE, Kind

Bars = npt.NDArray[np.void]
Ticks = npt.NDArray[np.void]

KEPT_SECONDS = 200_000  # 1 s bars per contract: more than two days of unbroken trading, 13 MB; older ones become 1m
_COMPACT_AT = 20_000  # trades that may wait before they become 1 s bars

_NS_PER_DAY = 86_400 * NS_PER_S
_PERIODS = {
    BarUnit.SECOND: NS_PER_S,
    BarUnit.MINUTE: NS_PER_MIN,
    BarUnit.HOUR: 60 * NS_PER_MIN,
    BarUnit.DAY: _NS_PER_DAY,
}
_MONDAY_NS = 3 * _NS_PER_DAY  # the epoch was a Thursday, its week began three days before
_NONE: Bars = np.zeros(0, BAR_DTYPE)
UNITS = (*_PERIODS, BarUnit.WEEK, BarUnit.MONTH)


class HistorySource(Protocol):
    """What history needs of a market source."""

    @property
    def start_ns(self) -> int:
        """Market time at which it begins."""

    def history(self, symbol: str, from_ns: int, to_ns: int) -> Bars:
        """Complete 1m bars with from_ns <= start < to_ns."""


class History:
    """Bars of all contracts of one source."""

    def __init__(self, source: HistorySource) -> None:
        self._source = source
        self._pending: dict[str, list[Ticks]] = {}
        self._seconds: dict[str, Bars] = {}
        self._minutes: dict[str, Bars] = {}  # of seconds that were given up
        # The first minute of which every trade was played here.
        self._own_ns = -(-source.start_ns // NS_PER_MIN) * NS_PER_MIN

    def add(self, ticks: Ticks) -> None:
        """Take in ticks that were played (all contracts, in order)."""
        trades = ticks[(ticks["kind"] == Kind.TRADE) & (ticks["size"] > 0)]
        for contract_id in np.unique(trades["contract_id"]).tolist():
            symbol = BY_ID[contract_id].symbol
            waiting = self._pending.setdefault(symbol, [])
            waiting.append(trades[trades["contract_id"] == contract_id])
            if sum(map(len, waiting)) > _COMPACT_AT:
                self._compact(symbol)

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
        start = int(bucket_starts(np.array([from_ns], np.int64), unit, number)[0])
        wide_ns = to_ns + _span_ns(unit, number)  # the last bar's own trades lie behind its start
        fine = self._played(symbol) if unit == BarUnit.SECOND else self._fine(symbol, start, wide_ns)
        fine = fine[(fine["start_ns"] >= start) & (fine["start_ns"] < wide_ns)]
        bars = aggregate(fine, unit, number)
        starts = bars["start_ns"]
        keep = (starts >= from_ns) & (starts <= to_ns)
        if not partial:
            keep &= _ends(starts, unit, number) <= now_ns
        kept: Bars = bars[keep][-limit:][::-1]
        return kept

    def _fine(self, symbol: str, from_ns: int, to_ns: int) -> Bars:
        """Bars of a minute or finer: the source's before the first whole played minute, then what was played."""
        played = self._played(symbol)
        minutes = self._minutes.get(symbol, _NONE)
        if from_ns >= self._own_ns:
            return np.concatenate((minutes, played))
        older = self._source.history(symbol, from_ns, min(self._own_ns, to_ns))
        older = older[older["start_ns"] < self._own_ns]
        # The source may know the minute in which it started, which was played in part only.
        boundary_ns = int(older["start_ns"][-1]) + NS_PER_MIN if len(older) else from_ns
        return np.concatenate((older, minutes, played[played["start_ns"] >= boundary_ns]))

    def _played(self, symbol: str) -> Bars:
        self._compact(symbol)
        return self._seconds.get(symbol, _NONE)

    def _compact(self, symbol: str) -> None:
        waiting = self._pending.pop(symbol, [])
        if not waiting:
            return
        trades = np.concatenate(waiting)
        fresh = np.zeros(len(trades), BAR_DTYPE)
        fresh["start_ns"] = trades["exch_ns"]
        for name in ("open", "high", "low", "close"):
            fresh[name] = trades["price"]
        fresh["volume"] = trades["size"]
        fresh["trades"] = 1
        old = self._seconds.get(symbol, _NONE)
        # The newest old second may go on in the fresh trades; late ones sort into their own second behind it.
        merged = np.concatenate((old, fresh))
        seconds = aggregate(merged, BarUnit.SECOND, 1)
        if len(seconds) > KEPT_SECONDS:
            cut_ns = int(seconds["start_ns"][-KEPT_SECONDS // 2])
            cut_ns -= cut_ns % NS_PER_MIN
            given_up = aggregate(seconds[seconds["start_ns"] < cut_ns], BarUnit.MINUTE, 1)
            self._minutes[symbol] = np.concatenate((self._minutes.get(symbol, _NONE), given_up))
            seconds = seconds[seconds["start_ns"] >= cut_ns]
        self._seconds[symbol] = seconds


def bucket_starts(times_ns: npt.NDArray[np.int64], unit: BarUnit, number: int) -> npt.NDArray[np.int64]:
    """Start of the bar of `number` units that holds each time; UTC ns."""
    if unit == BarUnit.MONTH:
        months = times_ns.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
        return _month_ns(months - months % number)
    shift = _MONDAY_NS if unit == BarUnit.WEEK else 0
    period = _span_ns(unit, number)
    return times_ns - (times_ns + shift) % period


def aggregate(bars: Bars, unit: BarUnit, number: int) -> Bars:
    """Bars of `number` units from finer ones, which need not be sorted; volumes and trade counts are summed."""
    if not len(bars):
        return bars
    starts = bucket_starts(bars["start_ns"], unit, number)
    order = np.argsort(starts, kind="stable")
    bars, starts = bars[order], starts[order]
    first = np.flatnonzero(np.diff(starts, prepend=starts[0] - 1))
    last = np.append(first[1:], len(bars)) - 1
    out = np.zeros(len(first), BAR_DTYPE)
    out["start_ns"] = starts[first]
    out["open"] = bars["open"][first]
    out["close"] = bars["close"][last]
    out["high"] = np.maximum.reduceat(bars["high"], first)
    out["low"] = np.minimum.reduceat(bars["low"], first)
    for name in ("volume", "trades"):
        out[name] = np.add.reduceat(bars[name], first)
    return out


def _span_ns(unit: BarUnit, number: int) -> int:
    """Length of a bar; of months the longest one."""
    if unit == BarUnit.MONTH:
        return 31 * number * _NS_PER_DAY
    return (7 * _NS_PER_DAY if unit == BarUnit.WEEK else _PERIODS[unit]) * number


def _ends(starts: npt.NDArray[np.int64], unit: BarUnit, number: int) -> npt.NDArray[np.int64]:
    if unit != BarUnit.MONTH:
        return starts + _span_ns(unit, number)
    months = starts.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64)
    return _month_ns(months + number)


def _month_ns(months: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return months.astype("datetime64[M]").astype("datetime64[ns]").astype(np.int64)
