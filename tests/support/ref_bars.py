"""Slow, obvious reference for bars from ticks: smc.md section 1, restated on plain Python ints.

Everything is computed from the list of all records so far: which prints count, then one bar per bucket, then the order
of publication. Nothing is carried along, so nothing can be carried along wrongly.
"""

from dataclasses import dataclass

MINUTE = 60_000_000_000
TIMEFRAMES = (1, 5, 15, 30, 60)
TRADE, CLOCK = 1, 4
SESSION_BREAK = 128


@dataclass(frozen=True)
class Record:
    kind: int
    ts: int
    price: int = 0
    size: int = 0
    side: int = 0
    seq: int = 0


@dataclass(frozen=True)
class RefBar:
    timeframe: int
    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    delta: int
    trades: int
    session_break: bool

    @property
    def end(self) -> int:
        return self.start + self.timeframe * MINUTE


def bucket(ts: int, minutes: int) -> int:
    return ts // (minutes * MINUTE) * (minutes * MINUTE)


def split(records: list[Record]) -> tuple[list[Record], int, int, int | None]:
    """(prints that count, late ones, zero-size ones, time through which every bucket is closed)."""
    counted: list[Record] = []
    late = zero = 0
    closed_through: int | None = None
    for record in records:
        if record.kind == TRADE:
            if record.size <= 0:
                zero += 1
                continue
            reached = bucket(record.ts, 1)
            if closed_through is not None and reached < closed_through:
                late += 1
                continue
            counted.append(record)
        elif record.kind == CLOCK:
            reached = bucket(record.ts, 1)
        else:
            continue
        closed_through = reached if closed_through is None else max(closed_through, reached)
    return counted, late, zero, closed_through


def minute_bars(counted: list[Record]) -> list[RefBar]:
    """One bar per minute with prints; open and close by (exchange time, sequence, arrival)."""
    bars: list[RefBar] = []
    for start in sorted({bucket(record.ts, 1) for record in counted}):
        prints = [record for record in counted if bucket(record.ts, 1) == start]
        ordered = sorted(enumerate(prints), key=lambda item: (item[1].ts, item[1].seq, item[0]))
        prices = [record.price for record in prints]
        bars.append(
            RefBar(
                1,
                start,
                ordered[0][1].price,
                max(prices),
                min(prices),
                ordered[-1][1].price,
                sum(record.size for record in prints),
                sum(record.size * record.side for record in prints),
                len(prints),
                bool(bars) and start - bars[-1].start >= 15 * MINUTE,
            )
        )
    return bars


def group(minutes: list[RefBar], timeframe: int) -> list[RefBar]:
    """Higher bars of finished minutes."""
    bars = []
    for start in sorted({bucket(bar.start, timeframe) for bar in minutes}):
        inside = [bar for bar in minutes if bucket(bar.start, timeframe) == start]
        bars.append(
            RefBar(
                timeframe,
                start,
                inside[0].open,
                max(bar.high for bar in inside),
                min(bar.low for bar in inside),
                inside[-1].close,
                sum(bar.volume for bar in inside),
                sum(bar.delta for bar in inside),
                sum(bar.trades for bar in inside),
                inside[0].session_break,
            )
        )
    return bars


def published(records: list[Record]) -> list[RefBar]:
    """All bars that are published after these records, in order: by end, of equal ends the longest first."""
    counted, _, _, closed_through = split(records)
    if closed_through is None:
        return []
    minutes = [bar for bar in minute_bars(counted) if bar.end <= closed_through]
    bars = [bar for timeframe in TIMEFRAMES for bar in group(minutes, timeframe) if bar.end <= closed_through]
    return sorted(bars, key=lambda bar: (bar.end, -bar.timeframe))
