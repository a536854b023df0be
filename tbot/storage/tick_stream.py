"""Pure steps between a stream of ticks and its consumers: order, derived quotes, clock records.

Replay and backtest must see the very same records, so both build their streams here. A stream is a numpy array of
TICK_DTYPE, or an iterable of such arrays; the classes carry their state from one array to the next, and the result
does not depend on where a stream was cut (tests/storage/test_tick_stream.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from tbot_ext.records import TICK_DTYPE, Flag, Kind

from tbot.domain.timeframes import NS_PER_MIN

Ticks = npt.NDArray[np.void]

CLOCK_GRACE_NS = 250_000_000  # smc.md section 1: a bar closes this long after its end when nothing trades
CLOCKS_PER_SILENCE = 120  # minutes; by then the longest bar (1h) has closed, more clocks would change nothing
QUOTE_REFRESH_NS = 250_000_000  # an unchanged derived quote is repeated with the first trade of each such span
_CARRIED_FLAGS = int(Flag.SUSPECT | Flag.SYNTHETIC)


def merge_order(ticks: Ticks) -> Ticks:
    """The ticks sorted by (exch_ns, contract_id, seq), equal keys in their old order; no copy when they are sorted."""
    if is_ordered(ticks):
        return ticks
    order = np.lexsort((ticks["seq"], ticks["contract_id"], ticks["exch_ns"]))
    return np.asarray(ticks[order])


def is_ordered(ticks: Ticks) -> bool:
    """True when the ticks are sorted by (exch_ns, contract_id, seq)."""
    if len(ticks) < 2:
        return True
    earlier, later = ticks[:-1], ticks[1:]
    time_up = later["exch_ns"] > earlier["exch_ns"]
    same_time = later["exch_ns"] == earlier["exch_ns"]
    contract_up = later["contract_id"] > earlier["contract_id"]
    same_contract = later["contract_id"] == earlier["contract_id"]
    seq_not_down = later["seq"] >= earlier["seq"]
    return bool(np.all(time_up | (same_time & (contract_up | (same_contract & seq_not_down)))))


def _carry_forward(signs: npt.NDArray[Any], carried: int) -> npt.NDArray[Any]:
    """Each zero replaced by the nearest earlier sign that is not zero, at the start by `carried`."""
    position = np.where(signs != 0, np.arange(len(signs)), -1)
    np.maximum.accumulate(position, out=position)
    return np.where(position >= 0, signs[np.maximum(position, 0)], carried)


class QuoteDeriver:
    """Quotes for contracts whose source has trades only (design.md section 8, ruling 20).

    A trade's aggressor, where unknown, follows the tick rule: above the last different price a buy, below it a sell.
    A buy trades at the ask, a sell at the bid, `spread_ticks` apart. The quote stands directly before its trade, flag
    DERIVED; trades keep the inferred side, because the gateway's wire has no word for "unknown". Trades of size 0
    make no quote.
    """

    def __init__(self, spread_ticks: Mapping[int, int]) -> None:
        """`spread_ticks` by contract id: the contracts to derive for, no others; every spread at least 1."""
        if any(spread < 1 for spread in spread_ticks.values()):
            raise ValueError("a spread must be at least one tick")
        self._spread = dict(spread_ticks)
        self._last: dict[int, tuple[int, int, int, int]] = {}  # contract id -> price, tick rule, bid, refresh span

    def push(self, ticks: Ticks) -> Ticks:
        """The ticks with derived quotes inserted and unknown aggressors filled in."""
        sides = ticks["side"].copy()
        bids = np.zeros(len(ticks), np.int64)
        spreads = np.zeros(len(ticks), np.int64)
        emit = np.zeros(len(ticks), bool)
        trades = (ticks["kind"] == Kind.TRADE) & (ticks["size"] > 0)
        for contract_id, spread in self._spread.items():
            rows = np.flatnonzero(trades & (ticks["contract_id"] == contract_id))
            if len(rows):
                sides[rows], bids[rows], emit[rows] = self._derive(ticks[rows], contract_id, spread)
                spreads[rows] = spread
        source = np.flatnonzero(emit)
        before = np.cumsum(emit)  # quotes inserted up to and including each row
        out = np.empty(len(ticks) + len(source), TICK_DTYPE)
        place = np.arange(len(ticks)) + before
        out[place] = ticks
        out["side"][place] = sides
        out[place[source] - 1] = self._quotes(ticks[source], bids[source], spreads[source])
        return out

    def _derive(self, trades: Ticks, contract_id: int, spread: int) -> tuple[Any, Any, Any]:
        price = trades["price"]
        span = trades["exch_ns"] // QUOTE_REFRESH_NS
        known = self._last.get(contract_id)
        old_price, old_rule, old_bid, old_span = known if known else (int(price[0]), 0, 0, 0)
        rule = _carry_forward(np.sign(np.diff(price, prepend=old_price)), old_rule)
        side = np.where(trades["side"] != 0, trades["side"], rule)
        bid = np.where(side > 0, price - spread, np.where(side < 0, price, price - spread // 2))
        emit = (np.diff(bid, prepend=old_bid) != 0) | (np.diff(span, prepend=old_span) != 0)
        emit[0] |= known is None
        self._last[contract_id] = (int(price[-1]), int(rule[-1]), int(bid[-1]), int(span[-1]))
        return side, bid, emit

    @staticmethod
    def _quotes(trades: Ticks, bids: npt.NDArray[Any], spreads: npt.NDArray[Any]) -> Ticks:
        quotes = np.zeros(len(trades), TICK_DTYPE)
        for name in ("seq", "exch_ns", "recv_ns", "contract_id", "epoch"):
            quotes[name] = trades[name]
        quotes["kind"] = Kind.QUOTE
        quotes["price"] = bids
        quotes["price2"] = bids + spreads
        quotes["volume"] = -1
        quotes["flags"] = (trades["flags"] & _CARRIED_FLAGS) | int(Flag.DERIVED)
        return quotes


class ClockInserter:
    """CLOCK records for minutes that nothing closes: the source's clock as a pure function of the stream.

    For each contract and each minute boundary B after its last trade a clock record of exch_ns = B + 250 ms is put
    in, unless a trade came by then; at most CLOCKS_PER_SILENCE in a row. It stands behind all records of its instant.
    Clock records already in the stream (a recorded tape) are taken out first. Trades of size 0 do not count.
    """

    def __init__(self) -> None:
        self._silence: dict[int, tuple[int, int]] = {}  # contract id -> first clock after its last trade, clocks done
        self._epoch: dict[int, int] = {}
        self._horizon: int | None = None

    def push(self, ticks: Ticks) -> Ticks:
        """The ticks with the clocks due before the newest of them; ValueError when they are not in time order."""
        ticks = np.asarray(ticks[ticks["kind"] != Kind.CLOCK])
        if not len(ticks):
            return ticks
        times = ticks["exch_ns"]
        if np.any(times[1:] < times[:-1]) or (self._horizon is not None and int(times[0]) < self._horizon):
            raise ValueError("clock records need a stream in order of exchange time")
        self._horizon = int(times[-1])
        found = [self._clocks(ticks, int(contract_id)) for contract_id in np.unique(ticks["contract_id"])]
        waiting = set(self._silence) - {int(contract_id) for contract_id in np.unique(ticks["contract_id"])}
        found += [self._quiet(contract_id, self._horizon) for contract_id in sorted(waiting)]
        return _merge_clocks(ticks, np.concatenate(found))

    def finish(self) -> Ticks:
        """The clocks up to the one that closes the minute of the last record."""
        if self._horizon is None:
            return np.zeros(0, TICK_DTYPE)
        through = self._horizon - self._horizon % NS_PER_MIN + NS_PER_MIN + CLOCK_GRACE_NS
        found = [self._quiet(contract_id, through + 1) for contract_id in sorted(self._silence)]
        if not found:
            return np.zeros(0, TICK_DTYPE)
        return _merge_clocks(np.zeros(0, TICK_DTYPE), np.concatenate(found))

    def _clocks(self, ticks: Ticks, contract_id: int) -> Ticks:
        own = ticks[ticks["contract_id"] == contract_id]
        trade_ns = own["exch_ns"][(own["kind"] == Kind.TRADE) & (own["size"] > 0)]
        assert self._horizon is not None
        if not len(trade_ns):
            self._epoch[contract_id] = int(own["epoch"][-1])
            return self._quiet(contract_id, self._horizon)
        first = trade_ns - trade_ns % NS_PER_MIN + NS_PER_MIN + CLOCK_GRACE_NS
        done = np.zeros(len(first), np.int64)
        if contract_id in self._silence:
            old_first, old_done = self._silence[contract_id]
            first = np.concatenate(([old_first], first))
            done = np.concatenate(([old_done], done))
            until = np.append(trade_ns, self._horizon)
        else:
            until = np.append(trade_ns[1:], self._horizon)
        due = np.clip((until - 1 - first) // NS_PER_MIN + 1, done, CLOCKS_PER_SILENCE)
        counts = due - done
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(done, counts)
        clock_ns = np.repeat(first, counts) + number * NS_PER_MIN
        self._silence[contract_id] = (int(first[-1]), int(due[-1]))
        at = np.searchsorted(own["exch_ns"], clock_ns, side="right") - 1
        epochs = np.where(at >= 0, own["epoch"][np.maximum(at, 0)], self._epoch.get(contract_id, 0))
        self._epoch[contract_id] = int(own["epoch"][-1])
        return _clock_records(clock_ns, contract_id, epochs)

    def _quiet(self, contract_id: int, before_ns: int) -> Ticks:
        """Clocks due before `before_ns` of a contract that has not traded since."""
        first, done = self._silence.get(contract_id, (before_ns, 0))
        due = min(max((before_ns - 1 - first) // NS_PER_MIN + 1, done), CLOCKS_PER_SILENCE)
        clock_ns = first + np.arange(done, due) * NS_PER_MIN
        if contract_id in self._silence:
            self._silence[contract_id] = (first, due)
        return _clock_records(clock_ns, contract_id, np.full(due - done, self._epoch.get(contract_id, 0)))


def _clock_records(clock_ns: npt.NDArray[Any], contract_id: int, epochs: npt.NDArray[Any]) -> Ticks:
    clocks = np.zeros(len(clock_ns), TICK_DTYPE)
    clocks["exch_ns"] = clock_ns
    clocks["recv_ns"] = clock_ns
    clocks["kind"] = Kind.CLOCK
    clocks["contract_id"] = contract_id
    clocks["volume"] = -1
    clocks["epoch"] = epochs
    return clocks


def _merge_clocks(ticks: Ticks, clocks: Ticks) -> Ticks:
    clocks = clocks[np.lexsort((clocks["contract_id"], clocks["exch_ns"]))]
    out = np.empty(len(ticks) + len(clocks), TICK_DTYPE)
    tick_place = np.arange(len(ticks)) + np.searchsorted(clocks["exch_ns"], ticks["exch_ns"], side="left")
    clock_place = np.arange(len(clocks)) + np.searchsorted(ticks["exch_ns"], clocks["exch_ns"], side="right")
    out[tick_place] = ticks
    out[clock_place] = clocks
    return out


def derive_quotes(ticks: Ticks, spread_ticks: Mapping[int, int]) -> Ticks:
    """`QuoteDeriver` on a whole tape, for those contracts of `spread_ticks` that have no quotes of their own."""
    quoted = set(np.unique(ticks["contract_id"][ticks["kind"] == Kind.QUOTE]).tolist())
    return QuoteDeriver({k: spread for k, spread in spread_ticks.items() if k not in quoted}).push(ticks)


def with_clock(ticks: Ticks) -> Ticks:
    """`ClockInserter` on a whole tape in time order, closing clocks included."""
    inserter = ClockInserter()
    body = inserter.push(ticks)
    return np.concatenate((body, inserter.finish()))


def lockstep_stream(chunks: Iterable[Ticks], spread_ticks: Mapping[int, int] | None = None) -> Iterator[Ticks]:
    """Derived quotes (for the contracts of `spread_ticks`) and clocks, chunk by chunk: memory stays flat."""
    deriver, inserter = QuoteDeriver(spread_ticks or {}), ClockInserter()
    for chunk in chunks:
        yield inserter.push(deriver.push(chunk))
    yield inserter.finish()
