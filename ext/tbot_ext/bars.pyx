"""BarBuilder: 1m, 5m, 15m, 30m and 1h bars from ticks, by smc.md section 1.

Only prints with size > 0 make bars, in buckets of exchange time anchored at the UTC epoch. A bar is published once, by
the first print of a later bucket or by a CLOCK record at or past its end, and never changes afterwards: a print for a
closed bucket is late, counted and left out. Empty buckets give no bar. Higher bars are made of finished minutes only.

When several bars close together, the one that ended first comes first; of those that end together the longest, so that
a 1m decision sees the 1h bar of the same instant. A bucket the clock has passed is closed even if it was empty: a print
for it would have to enter a higher bar that may be published.

A bar carries SESSION_BREAK when 15 minutes or more lie between its start and that of the minute before it. Why: the
shortest halt of the sessions we know is 15 minutes (equity indices before June 2021), the daily one is an hour; a
calendar would say the same only for days it covers, and an unplanned halt not at all. A contract in which nobody trades
for a quarter of an hour has no price that could be compared across that hole either. A higher bar carries the flag of
its first minute: a break in its middle is no distance to its predecessor.
"""
cimport cython
from libc.stdint cimport INT64_MIN, int64_t, uint16_t
from libc.string cimport memset

from tbot_ext.events cimport minutes_ns
from tbot_ext.records cimport (
    FLAG_INCOMPLETE,
    FLAG_PARTIAL,
    FLAG_SESSION_BREAK,
    FLAG_SIZE_UNKNOWN,
    FLAG_SUSPECT,
    FLAG_SYNTHETIC,
    FLAG_WARMUP,
    TICK_CLOCK,
    TICK_GAP,
    TICK_TRADE,
    Bar,
    Tick,
)

import numpy as np

from tbot_ext.records import BAR_DTYPE, TICK_DTYPE

__all__ = ["SESSION_BREAK_MIN", "BarBuilder", "join_minutes", "mark_session_breaks"]

SESSION_BREAK_MIN = 15

cdef enum:
    SESSION_BREAK_MIN_C = 15
    FROM_TICK = FLAG_SIZE_UNKNOWN | FLAG_SUSPECT | FLAG_SYNTHETIC     # flags of a print that its bar takes over

cdef int* HIGHER_MIN = [5, 15, 30, 60]


# ---------------------------------------------------------------- the open minute

cdef int64_t floor_minutes(int64_t ts_ns, int64_t minutes) noexcept nogil:
    """Start of the bucket that holds ts_ns; a time on a boundary belongs to the bucket it starts."""
    cdef int64_t period = minutes_ns(minutes)
    cdef int64_t past = ts_ns % period
    return ts_ns - past - (period if past < 0 else 0)


cdef void minute_init(MinuteBuilder* m) noexcept nogil:
    memset(m, 0, sizeof(MinuteBuilder))
    m.closed_through_ns = INT64_MIN
    m.incomplete_until_ns = INT64_MIN


cdef void _open_minute(MinuteBuilder* m, const Tick* t, int64_t start) noexcept nogil:
    memset(&m.bar, 0, sizeof(Bar))
    m.bar.start_ns = start
    m.bar.timeframe_min = 1
    m.bar.open = m.bar.high = m.bar.low = m.bar.close = t.price
    if start <= m.incomplete_until_ns:
        m.bar.flags = FLAG_INCOMPLETE
    m.end_ns = start + minutes_ns(1)
    m.closed_through_ns = start
    m.open_ns = m.close_ns = t.exch_ns
    m.open_seq = m.close_seq = t.seq
    m.is_open = 1


cdef int minute_trade(MinuteBuilder* m, const Tick* t, Bar* closed) noexcept nogil:
    """Take one print. Open and close go by (time, sequence); of equal keys the first opens, the last closes."""
    cdef int result = 0
    cdef int64_t start
    if t.size <= 0 or t.price == INT64_MIN:
        m.zero_size += 1
        return 0
    if m.is_open and m.bar.start_ns <= t.exch_ns < m.end_ns:
        if t.price > m.bar.high:
            m.bar.high = t.price
        elif t.price < m.bar.low:
            m.bar.low = t.price
        if t.exch_ns > m.close_ns or (t.exch_ns == m.close_ns and t.seq >= m.close_seq):
            m.bar.close = t.price
            m.close_ns, m.close_seq = t.exch_ns, t.seq
        else:
            m.out_of_order += 1
            if t.exch_ns < m.open_ns or (t.exch_ns == m.open_ns and t.seq < m.open_seq):
                m.bar.open = t.price
                m.open_ns, m.open_seq = t.exch_ns, t.seq
    else:
        start = floor_minutes(t.exch_ns, 1)
        if start < m.closed_through_ns:
            m.late_ticks += 1
            return 0
        if m.is_open:
            closed[0] = m.bar
            result = MINUTE_CLOSED
        _open_minute(m, t, start)
        result |= MINUTE_OPENED
    m.trades += 1
    m.bar.trades += 1
    m.bar.volume += t.size
    m.bar.delta += t.side * t.size
    m.bar.flags |= t.flags & FROM_TICK
    if m.taint_next:
        m.bar.flags |= FLAG_INCOMPLETE
        m.taint_next = 0
    return result


cdef int minute_clock(MinuteBuilder* m, int64_t now_ns, Bar* closed) noexcept nogil:
    """Market time reached now_ns: close the open bar if its end has come."""
    cdef int64_t boundary = floor_minutes(now_ns, 1)
    if boundary <= m.closed_through_ns:
        return 0
    m.closed_through_ns = boundary
    if not m.is_open:
        return 0
    closed[0] = m.bar
    m.is_open = 0
    return MINUTE_CLOSED


cdef void minute_gap(MinuteBuilder* m, int64_t now_ns) noexcept nogil:
    """Data may be missing up to now_ns: the open bar, that of now_ns and that of the next print are incomplete."""
    if m.is_open:
        m.bar.flags |= FLAG_INCOMPLETE
    m.taint_next = 1
    if now_ns > m.incomplete_until_ns:
        m.incomplete_until_ns = now_ns


# ---------------------------------------------------------------- higher timeframes

cdef void aggregate_init(Aggregator* a) noexcept nogil:
    memset(a, 0, sizeof(Aggregator))
    a.last_start_ns = INT64_MIN


cdef void _merge(Bar* bar, const Bar* minute) noexcept nogil:
    bar.high = max(bar.high, minute.high)
    bar.low = min(bar.low, minute.low)
    bar.close = minute.close
    bar.volume += minute.volume
    bar.delta += minute.delta
    bar.trades += minute.trades
    # WARMUP is that of the newest minute (the one that finishes the bar), SESSION_BREAK that of the first.
    bar.flags = <uint16_t>((bar.flags & ~FLAG_WARMUP) | (minute.flags & ~FLAG_SESSION_BREAK))


cdef int aggregate(Aggregator* a, const Bar* minute, Bar* out) noexcept nogil:
    cdef int n = aggregate_clock(a, minute.start_ns, out)
    cdef int i
    cdef int64_t end_ns = minute.start_ns + minutes_ns(1)
    cdef Bar one = minute[0]
    if a.last_start_ns != INT64_MIN and one.start_ns - a.last_start_ns >= minutes_ns(SESSION_BREAK_MIN_C):
        one.flags |= FLAG_SESSION_BREAK
    a.last_start_ns = one.start_ns
    for i in range(HIGHER_C - 1, -1, -1):
        if a.has[i]:
            _merge(&a.bars[i], &one)
        else:
            a.bars[i] = one
            a.bars[i].start_ns = floor_minutes(one.start_ns, HIGHER_MIN[i])
            a.bars[i].timeframe_min = <uint16_t>HIGHER_MIN[i]
            a.end_ns[i] = a.bars[i].start_ns + minutes_ns(HIGHER_MIN[i])
            a.has[i] = 1
        if a.end_ns[i] == end_ns:
            out[n] = a.bars[i]
            a.has[i] = 0
            n += 1
    out[n] = one
    return n + 1


cdef int aggregate_clock(Aggregator* a, int64_t now_ns, Bar* out) noexcept nogil:
    cdef int i, chosen, n = 0
    while True:
        chosen = -1
        for i in range(HIGHER_C - 1, -1, -1):
            if a.has[i] and a.end_ns[i] <= now_ns and (chosen < 0 or a.end_ns[i] < a.end_ns[chosen]):
                chosen = i
        if chosen < 0:
            return n
        out[n] = a.bars[chosen]
        a.has[chosen] = 0
        n += 1


cdef int forming_bar(const Aggregator* a, const MinuteBuilder* m, int timeframe_min, Bar* out) noexcept nogil:
    cdef int i
    cdef int64_t start
    cdef bint found = False
    for i in range(HIGHER_C):
        if HIGHER_MIN[i] == timeframe_min and a.has[i]:
            out[0] = a.bars[i]
            found = True
    if m.is_open:
        start = floor_minutes(m.bar.start_ns, timeframe_min)
        if not found:
            out[0] = m.bar
            out.start_ns = start
            out.timeframe_min = <uint16_t>timeframe_min
            found = True
        elif start == out.start_ns and m.bar.start_ns > a.last_start_ns:
            _merge(out, &m.bar)
    if found:
        out.flags |= FLAG_PARTIAL
    return found


# ---------------------------------------------------------------- for Python

@cython.final
cdef class BarBuilder:
    """All five timeframes from one contract's records; bars come out in order of publication, each exactly once.

    TRADE and CLOCK records count; a GAP marks the bars it touches INCOMPLETE; all other kinds are passed over.
    """

    def __cinit__(self):
        minute_init(&self._minute)
        aggregate_init(&self._higher)
        self._clock_ns = INT64_MIN

    cdef int _take(self, const Tick* t) noexcept nogil:
        """Bars that this record finished, in self._out."""
        cdef Bar closed
        cdef int result, n = 0
        if t.kind == TICK_TRADE:
            result = minute_trade(&self._minute, t, &closed)
        elif t.kind == TICK_CLOCK:
            result = minute_clock(&self._minute, t.exch_ns, &closed)
        else:
            if t.kind == TICK_GAP:
                minute_gap(&self._minute, t.exch_ns)
            return 0
        if result & MINUTE_CLOSED:
            n = aggregate(&self._higher, &closed, &self._out[0])
        if result & MINUTE_OPENED or t.kind == TICK_CLOCK:
            n += aggregate_clock(&self._higher, self._minute.closed_through_ns, &self._out[n])
        return n

    def push(self, int kind, long long exch_ns, long long price=0, int size=0, int side=0, int flags=0, seq=0):
        """Take one record (times UTC ns, prices ticks); returns a BAR_DTYPE array of the bars it finished."""
        cdef Tick t
        memset(&t, 0, sizeof(Tick))
        t.kind, t.exch_ns, t.price, t.size = kind, exch_ns, price, size
        t.side, t.flags, t.seq = side, flags, seq
        cdef int n = self._take(&t)
        return _copy(&self._out[0], n)

    def push_ticks(self, ticks):
        """Take a TICK_DTYPE array; returns all bars it finished. Raises ValueError for another dtype."""
        if ticks.dtype != TICK_DTYPE:
            raise ValueError(f"ticks must have TICK_DTYPE, not {ticks.dtype}")
        cdef Py_ssize_t count = len(ticks)
        cdef Py_ssize_t i = 0, used = 0, room = 8192
        cdef list parts = []
        if count == 0:
            return np.empty(0, BAR_DTYPE)
        cdef const unsigned char[::1] raw = np.ascontiguousarray(ticks).view(np.uint8)
        cdef const Tick* tick = <const Tick*>&raw[0]
        cdef unsigned char[::1] space
        cdef Bar* out
        cdef int n, k
        while i < count:
            part = np.empty(room, BAR_DTYPE)
            space = part.view(np.uint8)
            out = <Bar*>&space[0]
            used = 0
            with nogil:
                while i < count and used + BURST_C <= room:
                    n = self._take(&tick[i])
                    i += 1
                    for k in range(n):
                        out[used + k] = self._out[k]
                    used += n
            parts.append(part[:used])
        return np.concatenate(parts)

    def partial(self, int timeframe_min):
        """The forming bar, flagged PARTIAL, or None: for display, never for a detector. Raises ValueError."""
        if timeframe_min not in (1, 5, 15, 30, 60):
            raise ValueError(f"timeframe {timeframe_min} is not one of 1, 5, 15, 30, 60 minutes")
        cdef Bar bar
        if not forming_bar(&self._higher, &self._minute, timeframe_min, &bar):
            return None
        return _copy(&bar, 1)[0]

    @property
    def counters(self):
        """Prints by what became of them: trades (in a bar), late_ticks, zero_size, out_of_order (in a bar, too)."""
        return {
            "trades": self._minute.trades,
            "late_ticks": self._minute.late_ticks,
            "zero_size": self._minute.zero_size,
            "out_of_order": self._minute.out_of_order,
        }


def mark_session_breaks(bars):
    """A copy of a BAR_DTYPE array of one timeframe with SESSION_BREAK set by the rule above.

    For bars that were not built here. Whatever their length, the hole counts that lies between the end of one and the
    start of the next: at least 14 minutes, because the last minute before a halt is part of the distance of 15.
    """
    marked = bars.copy()
    if len(marked) > 1:
        ends = marked["start_ns"] + marked["timeframe_min"].astype(np.int64) * 60_000_000_000
        holes = marked["start_ns"][1:] - ends[:len(ends) - 1]
        marked["flags"][1:][holes >= (SESSION_BREAK_MIN - 1) * 60_000_000_000] |= FLAG_SESSION_BREAK
    return marked


def join_minutes(bars, int timeframe_min):
    """The finished bars of 5, 15, 30 or 60 minutes made of a BAR_DTYPE array of 1m bars, oldest first.

    The same fold as live: flags and session breaks included, and the bar that still forms at the end is left out.
    Raises ValueError for another timeframe, and for bars that are not 1m bars or not strictly later one by one.
    """
    if timeframe_min not in (5, 15, 30, 60):
        raise ValueError(f"timeframe {timeframe_min} is not one of 5, 15, 30, 60 minutes")
    if bars.dtype != BAR_DTYPE:
        raise ValueError(f"bars must have BAR_DTYPE, not {bars.dtype}")
    cdef int64_t count = len(bars), i, used = 0
    cdef int k, n
    cdef Aggregator higher
    cdef Bar burst[BURST_C]
    result = np.empty(count, BAR_DTYPE)
    if count == 0:
        return result
    cdef const unsigned char[::1] raw = np.ascontiguousarray(bars).view(np.uint8)
    cdef unsigned char[::1] space = result.view(np.uint8)
    cdef const Bar* minutes = <const Bar*>&raw[0]
    cdef Bar* out = <Bar*>&space[0]
    aggregate_init(&higher)
    for i in range(count):
        if minutes[i].timeframe_min != 1:
            raise ValueError(f"bar {i} is no 1m bar")
        if i and minutes[i].start_ns <= minutes[i - 1].start_ns:
            raise ValueError(f"bar {i} starts at or before the start of the bar before it")
        n = aggregate(&higher, &minutes[i], &burst[0])
        for k in range(n):
            if burst[k].timeframe_min == timeframe_min:
                out[used] = burst[k]
                used += 1
    return result[:used].copy()


cdef _copy(const Bar* bars, int n):
    """A numpy copy of n bars."""
    result = np.empty(n, BAR_DTYPE)
    cdef unsigned char[::1] space
    cdef int i
    if n:
        space = result.view(np.uint8)
        for i in range(n):
            (<Bar*>&space[0])[i] = bars[i]
    return result
