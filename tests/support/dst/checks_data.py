"""Checks of market data and of borders: I8 rings, I20 hostile input, I21 validity and counts, I22 candles.

They live outside the trading world: each judges evidence of its own kind, gathered around the real part.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dst.referee import other_check
from tbot_ext.records import NO_PRICE, Flag, Kind

Ticks = npt.NDArray[np.void]


@dataclass
class RingTrace:
    """What a writer published and what one reader took, in order. `lost` as the reader counted it."""

    published: Ticks  # record i has number i
    taken: Ticks
    lost: int
    start: int = 0  # number of the first record that the reader could have had
    whole: bool = True  # it read on until nothing was left


@other_check("I8")
def ring_oracle(trace: RingTrace) -> Iterator[str]:
    """Byte-equal to what was published, in rising order, and every loss counted."""
    numbers = (trace.taken["seq"] // 2 - 1).tolist()
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        yield "sequence numbers do not rise"
    for number, tick in zip(numbers, trace.taken, strict=True):
        known = trace.published[number] if 0 <= number < len(trace.published) else None
        names = [name for name in trace.taken.dtype.names or () if name not in ("seq", "epoch")]
        if known is None or any(tick[name] != known[name] for name in names):
            yield f"record {number} is not what was published"
    end = len(trace.published) if trace.whole or not numbers else numbers[-1] + 1
    missing = end - trace.start - len(numbers)
    if missing != trace.lost:
        yield f"{missing} records are missing, {trace.lost} were counted as lost"


@dataclass
class Crossing:
    """One input at one border: what it cost, and what came out beside a value or the border's own refusal."""

    border: str
    size: int  # bytes
    cpu_s: float
    escaped: str = ""  # an exception that the border does not promise
    peak_bytes: int = 0


CPU_FREE_S = 0.01  # I20: at no input more than 10 ms ...
CPU_PER_BYTE_S = 4e-6  # ... but for size: 1 MiB may take its time
PEAK_BYTES = 16 << 20


@other_check("I20")
def border_oracle(crossings: list[Crossing]) -> Iterator[str]:
    """Nothing escapes, nothing costs out of proportion. CPU time is the thread's own (ruling 27)."""
    for crossing in crossings:
        if crossing.escaped:
            yield f"{crossing.border}: {crossing.escaped} at an input of {crossing.size} bytes"
        if crossing.peak_bytes > PEAK_BYTES:
            yield f"{crossing.border}: {crossing.peak_bytes} bytes for an input of {crossing.size}"
        if crossing.cpu_s > CPU_FREE_S + crossing.size * CPU_PER_BYTE_S:
            yield f"{crossing.border}: {crossing.cpu_s:.3f} s of processor time for {crossing.size} bytes"


@dataclass
class Decoded:
    """What went into the market decoder and what it says became of it."""

    items: int  # as counted by whoever made the input; -1: not known
    counts: Counter[str] = field(default_factory=Counter)
    ticks: list[tuple[int, ...]] = field(default_factory=list)  # the arguments of RingWriter.push
    now_ns: int = 0


# Counts that are no reason to drop.
TOTALS = frozenset({"items", "accepted", "dropped", "other_target", "crossed", "suspect", "trade_out_of_order"})


@other_check("I21")
def counts_oracle(seen: Decoded) -> Iterator[str]:
    """In = accepted + dropped, each drop under a reason; everything accepted is valid."""
    counts = seen.counts
    if counts["items"] != counts["accepted"] + counts["dropped"]:
        yield f"{counts['items']} items, {counts['accepted']} accepted, {counts['dropped']} dropped"
    if seen.items >= 0 and counts["items"] != seen.items:
        yield f"{seen.items} items came, {counts['items']} were counted"
    named = sum(count for name, count in counts.items() if name not in TOTALS)
    if named != counts["dropped"]:
        yield f"{counts['dropped']} were dropped, {named} of them with a reason"
    for kind, exch_ns, _recv_ns, price, price2, size, _aux, volume, side, _flags in seen.ticks:
        prices = [value for value in (price, price2) if value != NO_PRICE]
        if kind == Kind.TRADE and (price == NO_PRICE or price <= 0 or size <= 0 or side not in (-1, 0, 1)):
            yield f"a print of {size} at {price} was accepted"
        if kind == Kind.QUOTE and (any(value <= 0 for value in prices) or volume < -1):
            yield f"a quote of {price} to {price2} was accepted"
        if not 0 <= seen.now_ns - exch_ns + 10 * 10**9 <= 6 * 24 * 3600 * 10**9:
            yield f"a stamp {(exch_ns - seen.now_ns) / 1e9:.0f} s from now was accepted"


@dataclass
class Candles:
    """Bars of the clean sequence, and of the same market as it was delivered otherwise."""

    clean: Ticks
    other: Ticks
    ended: bool = True  # both saw the market to its end: no bar may be missing unflagged


FLAGGED = int(Flag.INCOMPLETE)
SOURCES = int(Flag.WARMUP | Flag.FROM_HISTORY)


@other_check("I22")
def candle_oracle(candles: Candles) -> Iterator[str]:
    """Every bar is that of the clean sequence, or says that it is incomplete; none appears twice."""
    values = ("open", "high", "low", "close", "volume")
    names = [name for name in values if name in (candles.clean.dtype.names or ())]
    clean = {(int(bar["timeframe_min"]), int(bar["start_ns"])): bar for bar in candles.clean}
    seen: set[tuple[int, int]] = set()
    for bar in candles.other:
        key = (int(bar["timeframe_min"]), int(bar["start_ns"]))
        if key in seen:
            yield f"the bar {key} was published twice"
        seen.add(key)
        known = clean.get(key)
        same = known is not None and all(bar[name] == known[name] for name in names)
        if not same and not int(bar["flags"]) & FLAGGED:
            yield f"the bar {key} differs from the clean one and does not say so"
