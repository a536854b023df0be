"""Pure steps between a stream of ticks and its consumers: order, derived quotes, clock records.

Replay and backtest must see the very same records, so both build their streams here. A stream is a numpy array of
TICK_DTYPE, or an iterable of such arrays; the classes carry their state from one array to the next, and the result
does not depend on where a stream was cut (tests/storage/test_tick_stream.py).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.domain.timeframes import NS_PER_MIN
from tbot_ext.records import TICK_DTYPE, Flag, Kind

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


def merge_streams(streams: Sequence[Iterable[Ticks]]) -> Iterator[Ticks]:
    """Several streams, each in merge order, as one in merge order; memory: about one array of each stream.

    Equal keys come in the order of `streams`. One stream is passed on as it is.
    """
    if len(streams) == 1:
        yield from streams[0]
        return
    sources = [iter(stream) for stream in streams]
    heads = [_next_part(source) for source in sources]
    while any(len(head) for head in heads):
        # A stream that goes on may have more records of its head's last instant: that instant is not ready.
        border_ns = min(int(head["exch_ns"][-1]) for head in heads if len(head))
        ready = []
        for number, source in enumerate(sources):
            while len(heads[number]) and int(heads[number]["exch_ns"][-1]) == border_ns:
                more = _next_part(source)
                if not len(more):
                    break
                heads[number] = np.concatenate((heads[number], more))
            end = int(np.searchsorted(heads[number]["exch_ns"], border_ns, side="right"))
            ready.append(heads[number][:end])
            heads[number] = heads[number][end:] if end < len(heads[number]) else _next_part(source)
        merged = np.concatenate(ready)
        by_time = np.asarray(merged[np.argsort(merged["exch_ns"], kind="stable")])  # runs: far quicker than lexsort
        yield merge_order(by_time)


def _next_part(source: Iterator[Ticks]) -> Ticks:
    """The next array that is not empty; an empty one at the end."""
    return next((part for part in source if len(part)), np.zeros(0, TICK_DTYPE))


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
        if not self._spread or not len(ticks):
            return ticks
        contract = np.ascontiguousarray(ticks["contract_id"])
        trades = (ticks["kind"] == Kind.TRADE) & (ticks["size"] > 0)
        sides = ticks["side"].copy()
        bids = np.zeros(len(ticks), np.int64)
        spreads = np.zeros(len(ticks), np.int64)
        emit = np.zeros(len(ticks), bool)
        for contract_id, spread in self._spread.items():
            rows = np.flatnonzero(trades & (contract == contract_id))
            if len(rows):
                sides[rows], bids[rows], emit[rows] = self._derive(ticks, rows, contract_id, spread)
                spreads[rows] = spread
        copies = emit.astype(np.int64) + 1
        out = np.repeat(ticks, copies)
        last = np.cumsum(copies) - 1  # where each row itself went; its quote stands directly before
        out["side"][last] = sides
        source = np.flatnonzero(emit)
        at = last[source] - 1
        out["kind"][at] = Kind.QUOTE
        out["price"][at] = bids[source]
        out["price2"][at] = bids[source] + spreads[source]
        out["volume"][at] = -1
        out["flags"][at] = (ticks["flags"][source] & _CARRIED_FLAGS) | int(Flag.DERIVED)
        for name in ("size", "aux", "side"):
            out[name][at] = 0
        return out

    def _derive(self, ticks: Ticks, rows: npt.NDArray[Any], contract_id: int, spread: int) -> tuple[Any, Any, Any]:
        price = ticks["price"][rows]
        known_side = ticks["side"][rows]
        span = ticks["exch_ns"][rows] // QUOTE_REFRESH_NS
        known = self._last.get(contract_id)
        old_price, old_rule, old_bid, old_span = known if known else (int(price[0]), 0, 0, 0)
        rule = _carry_forward(np.sign(np.diff(price, prepend=old_price)), old_rule)
        side = np.where(known_side != 0, known_side, rule)
        bid = np.where(side > 0, price - spread, np.where(side < 0, price, price - spread // 2))
        emit = (np.diff(bid, prepend=old_bid) != 0) | (np.diff(span, prepend=old_span) != 0)
        emit[0] |= known is None
        self._last[contract_id] = (int(price[-1]), int(rule[-1]), int(bid[-1]), int(span[-1]))
        return side, bid, emit


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
        kinds = np.ascontiguousarray(ticks["kind"])
        if np.any(kinds == Kind.CLOCK):
            ticks = np.asarray(ticks[kinds != Kind.CLOCK])
            kinds = np.ascontiguousarray(ticks["kind"])
        if not len(ticks):
            return ticks
        times = np.ascontiguousarray(ticks["exch_ns"])
        if np.any(times[1:] < times[:-1]) or (self._horizon is not None and int(times[0]) < self._horizon):
            raise ValueError("clock records need a stream in order of exchange time")
        self._horizon = int(times[-1])
        contract = np.ascontiguousarray(ticks["contract_id"])
        trades = (kinds == Kind.TRADE) & (ticks["size"] > 0)
        present = np.flatnonzero(np.bincount(contract)).tolist()
        found = []
        for contract_id in present:
            own = contract == contract_id
            clock_ns = self._clocks(contract_id, times[trades & own], self._horizon)
            found.append(_clock_records(clock_ns, contract_id, self._epochs(contract_id, ticks, own, clock_ns)))
        found += [self._quiet(k, self._horizon) for k in sorted(set(self._silence) - set(present))]
        clocks = np.concatenate(found)
        return _merge_clocks(ticks, clocks) if len(clocks) else ticks

    def finish(self) -> Ticks:
        """The clocks up to the one that closes the minute of the last record."""
        if self._horizon is None:
            return np.zeros(0, TICK_DTYPE)
        through = self._horizon - self._horizon % NS_PER_MIN + NS_PER_MIN + CLOCK_GRACE_NS
        found = [self._quiet(contract_id, through + 1) for contract_id in sorted(self._silence)]
        if not found:
            return np.zeros(0, TICK_DTYPE)
        return _merge_clocks(np.zeros(0, TICK_DTYPE), np.concatenate(found))

    def _clocks(self, contract_id: int, trade_ns: npt.NDArray[Any], horizon: int) -> npt.NDArray[Any]:
        """Times of the clocks due before `horizon`, given this contract's new trades; remembers the silence after."""
        new = contract_id not in self._silence
        if not len(trade_ns):
            return np.zeros(0, np.int64) if new else self._quiet_ns(contract_id, horizon)
        # Only the trades before a minute's end can be followed by silence: those whose next trade is in a later minute.
        first_boundary = int(trade_ns[0]) - int(trade_ns[0]) % NS_PER_MIN + NS_PER_MIN
        boundaries = np.arange(first_boundary, int(trade_ns[-1]) + 1, NS_PER_MIN)
        after = np.unique(np.append(np.searchsorted(trade_ns, boundaries, side="left"), len(trade_ns)))
        last_ns = trade_ns[after - 1]
        until = np.append(trade_ns[after[:-1]], horizon)
        first = last_ns - last_ns % NS_PER_MIN + NS_PER_MIN + CLOCK_GRACE_NS
        done = np.zeros(len(first), np.int64)
        if not new:
            old_first, old_done = self._silence[contract_id]
            first, done = np.append(old_first, first), np.append(old_done, done)
            until = np.append(trade_ns[0], until)
        due = np.clip((until - 1 - first) // NS_PER_MIN + 1, done, CLOCKS_PER_SILENCE)
        counts = due - done
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(done, counts)
        self._silence[contract_id] = (int(first[-1]), int(due[-1]))
        return np.asarray(np.repeat(first, counts) + number * NS_PER_MIN)

    def _epochs(
        self, contract_id: int, ticks: Ticks, own: npt.NDArray[np.bool_], clock_ns: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        """The contract's epoch at each clock."""
        carried = self._epoch.get(contract_id, 0)
        self._epoch[contract_id] = int(ticks["epoch"][len(own) - 1 - int(np.argmax(own[::-1]))])
        if not len(clock_ns):
            return np.zeros(0, np.int64)
        at = np.searchsorted(ticks["exch_ns"][own], clock_ns, side="right") - 1
        return np.where(at >= 0, ticks["epoch"][own][np.maximum(at, 0)], carried)

    def _quiet(self, contract_id: int, before_ns: int) -> Ticks:
        """Clocks due before `before_ns` of a contract without new records."""
        clock_ns = self._quiet_ns(contract_id, before_ns)
        return _clock_records(clock_ns, contract_id, np.full(len(clock_ns), self._epoch.get(contract_id, 0)))

    def _quiet_ns(self, contract_id: int, before_ns: int) -> npt.NDArray[Any]:
        first, done = self._silence[contract_id]
        due = min(max((before_ns - 1 - first) // NS_PER_MIN + 1, done), CLOCKS_PER_SILENCE)
        self._silence[contract_id] = (first, due)
        return first + np.arange(done, due) * NS_PER_MIN


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
    """Each clock behind all ticks of its instant; clocks of one instant by contract."""
    clocks = clocks[np.lexsort((clocks["contract_id"], clocks["exch_ns"]))]
    behind = np.searchsorted(ticks["exch_ns"], clocks["exch_ns"], side="right")
    out = np.empty(len(ticks) + len(clocks), TICK_DTYPE)
    place = behind + np.arange(len(clocks))
    out[place] = clocks
    edges = [0, *behind.tolist(), len(ticks)]
    for number, (start, end) in enumerate(pairwise(edges)):  # runs of ticks between clocks, copied whole
        if start < end:
            out[start + number : end + number] = ticks[start:end]
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
