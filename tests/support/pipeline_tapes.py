"""Random record tapes for the pipeline, and what came out of it as plain data."""

import ctypes
from typing import Any

import numpy as np

from tbot_ext.bars import BarBuilder
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import BAR_DTYPE, EVENT_DTYPE, TICK_DTYPE, Flag, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 1_700_002_800 * SECOND  # a whole hour, UTC ns


def record(kind: int, ts: int, price: int = 0, **more: int) -> np.ndarray:
    """One record as an array."""
    tick = np.zeros(1, TICK_DTYPE)
    tick["kind"], tick["exch_ns"], tick["price"], tick["volume"] = kind, ts, price, -1
    if kind == Kind.TRADE:
        tick["size"] = 1
    for name, value in more.items():
        tick[name] = value
    return tick


def history_record(through: int, first: int, count: int) -> np.ndarray:
    return record(Kind.HISTORY, through, price2=first, size=count)


def random_tape(seed: int, minutes: int, per_minute: int = 6, gaps: bool = True) -> np.ndarray:
    """Trades, quotes and clocks of a restless market with quiet minutes, halts, late and reordered prints."""
    rng = np.random.default_rng(seed)
    n = minutes * per_minute
    times = np.sort(rng.integers(0, minutes * 60 * 1000, n)) * 1_000_000
    if gaps:
        times += np.cumsum(np.where(rng.random(n) < 4 / n, rng.integers(1, 80, n), 0)) * MINUTE
    tape = np.zeros(n, TICK_DTYPE)
    tape["exch_ns"] = HOUR + times + np.where(rng.random(n) < 0.05, rng.integers(-90, 0, n), 0) * SECOND
    tape["kind"] = rng.choice([Kind.TRADE, Kind.QUOTE, Kind.CLOCK], n, p=[0.8, 0.15, 0.05])
    tape["price"] = 5000 + np.cumsum(rng.integers(-3, 4, n))
    tape["price2"] = tape["price"] + 1
    tape["size"] = rng.integers(0, 6, n)
    tape["side"] = rng.integers(-1, 2, n)
    tape["volume"] = -1
    return tape


def state(pipeline: ContractPipeline) -> tuple[Any, ...]:
    """Everything a decision may look at."""
    p = pipeline
    return (
        p.now_ns, p.last_price, p.last_trade_ns, p.bid, p.ask, p.quote_ns, p.quote_seq, p.ring_seq, p.live, p.pending,
    )  # fmt: skip


def feed_all(pipeline: ContractPipeline, ticks: np.ndarray) -> np.ndarray:
    """All events of an array."""
    parts = [np.empty(0, EVENT_DTYPE)]
    at = 0
    while at < len(ticks) or pipeline.pending:
        at = pipeline.feed(ticks, at)
        parts.append(pipeline.events.copy())
    return np.concatenate(parts)


def feed_stops(pipeline: ContractPipeline, ticks: np.ndarray) -> list[tuple[bytes, tuple[Any, ...]]]:
    """(events, state) of every stop that gave events."""
    stops = []
    at = 0
    while at < len(ticks) or pipeline.pending:
        at = pipeline.feed(ticks, at)
        if len(pipeline.events):
            stops.append((pipeline.events.tobytes(), state(pipeline)))
    return stops


def drain_stops(pipeline: ContractPipeline, reader: RingReader, limit: int) -> list[tuple[bytes, tuple[Any, ...]]]:
    """The same from a ring, until it is empty."""
    stops = []
    while pipeline.drain(reader, limit):
        if len(pipeline.events):
            stops.append((pipeline.events.tobytes(), state(pipeline)))
    return stops


def ring_of(capacity: int, contract_id: int = 0) -> tuple[RingWriter, RingReader]:
    buffer = (ctypes.c_uint64 * (ring_bytes(capacity) // 8))()
    view = memoryview(buffer).cast("B")
    format_ring(view, capacity, contract_id, 1)
    return RingWriter(view), RingReader(view, 0)


def push_all(writer: RingWriter, ticks: np.ndarray) -> None:
    for t in ticks:
        writer.push(
            int(t["kind"]), int(t["exch_ns"]), 0, int(t["price"]), int(t["price2"]), int(t["size"]), int(t["aux"]),
            int(t["volume"]), int(t["side"]), int(t["flags"]),
        )  # fmt: skip


def bars_of_tape(ticks: np.ndarray) -> np.ndarray:
    """All bars of a tape in order of publication."""
    return BarBuilder().push_ticks(ticks)


def minutes_of_tape(ticks: np.ndarray) -> np.ndarray:
    """Its finished 1m bars, as a history source would give them: without flags."""
    bars = bars_of_tape(ticks)
    minutes = np.array(bars[bars["timeframe_min"] == 1], BAR_DTYPE)
    minutes["flags"] = 0
    return minutes


def without_source(events: np.ndarray) -> np.ndarray:
    """A copy without the flags that only tell where bars came from."""
    copy = events.copy()
    copy["flags"] &= 0xFFFF ^ int(Flag.WARMUP | Flag.FROM_HISTORY | Flag.INCOMPLETE)
    return copy
