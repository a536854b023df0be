"""StreamWatch: the part of a lock-step driver that runs for each record of a merged stream (backtest).

It numbers records as the rings would, finds the next exchange instant in which anything may happen, and keeps what a
consumer must know of the records before it: newest quote and trade of each contract, range of trades. It only ever
errs on the side of looking: an instant that it names may turn out to be quiet, one that it passes over is.
"""
cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint16_t
from libc.string cimport memset

from tbot_ext.records cimport TICK_GAP, TICK_HISTORY, TICK_QUOTE, TICK_TRADE, Tick

import numpy as np

from tbot_ext.records import TICK_DTYPE

__all__ = ["StreamWatch", "instant", "market_from", "survey"]


@cython.final
cdef class StreamWatch:
    """Watches over the contracts given by id; ValueError for bad arguments. `first_epoch` is that of a fresh ring."""

    def __init__(self, contract_ids, int first_epoch=1):
        cdef Seat* seat
        memset(&self._seat_of[0], 0, sizeof(self._seat_of))
        memset(&self._seats[0], 0, sizeof(self._seats))
        self._n = 0
        for contract_id in contract_ids:
            if not 0 <= contract_id <= 65535 or self._n == SEATS_C or self._seat_of[contract_id]:
                raise ValueError(f"contract id {contract_id} is out of range, there twice, or one too many")
            seat = &self._seats[self._n]
            self._n += 1
            self._seat_of[contract_id] = self._n
            seat.contract_id, seat.epoch = contract_id, <uint16_t>first_epoch
            seat.trade_low = seat.bid_low = seat.ask_low = seat.quote_ns = INT64_MIN
            seat.trade_high = seat.bid_high = seat.ask_high = INT64_MAX
            seat.last_quote = seat.last_whole = seat.last_trade = -1

    cdef int _seat(self, int contract_id) except -1:
        if not 0 <= contract_id <= 65535 or not self._seat_of[contract_id]:
            raise ValueError(f"contract id {contract_id} is not watched")
        return self._seat_of[contract_id] - 1

    # ------------------------------------------------------------ numbers
    def number(self, ticks):
        """Set `seq` and `epoch` of a writable TICK_DTYPE array as the first writer of each contract's ring would."""
        if ticks.dtype != TICK_DTYPE or ticks.ndim != 1:
            raise ValueError(f"ticks must be a one-dimensional TICK_DTYPE array, not {ticks.dtype}")
        cdef unsigned char[::1] view = ticks.view(np.uint8)
        cdef int code = 0
        if len(ticks):
            with nogil:
                code = self._number(<Tick*>&view[0], view.shape[0] // <int64_t>sizeof(Tick))
        if code < 0:
            raise ValueError("a record belongs to a contract that is not watched")

    cdef int _number(self, Tick* ticks, int64_t n) noexcept nogil:
        cdef int64_t i
        cdef Seat* seat
        cdef Tick* t
        for i in range(n):
            t = &ticks[i]
            if not self._seat_of[t.contract_id]:
                return -1
            seat = &self._seats[self._seat_of[t.contract_id] - 1]
            if t.kind == TICK_GAP:                          # a gap's own record is the first of the new epoch
                seat.epoch = <uint16_t>(seat.epoch + 1)
            t.epoch = seat.epoch
            seat.written += 1
            t.seq = <unsigned long long>(2 * seat.written)
        return 0

    # ------------------------------------------------------------ what would be news
    def trades(self, int contract_id, double low, double high):
        """A trade at or outside these prices is news; low above high: every trade and quote is."""
        cdef Seat* seat = &self._seats[self._seat(contract_id)]
        seat.every = low > high
        seat.trade_low = INT64_MIN if low < -9e18 else <int64_t>low
        seat.trade_high = INT64_MAX if high > 9e18 else <int64_t>high

    def quotes(self, int contract_id, bids, asks, bint waiting, bint watched):
        """A two-sided quote at or outside these prices, each (low, high) or None, is news.

        `waiting`: so is the next two-sided quote in any case. `watched`: so is an instant in which the newest is stale.
        """
        cdef Seat* seat = &self._seats[self._seat(contract_id)]
        seat.bid_low, seat.bid_high = (INT64_MIN, INT64_MAX) if bids is None else bids
        seat.ask_low, seat.ask_high = (INT64_MIN, INT64_MAX) if asks is None else asks
        seat.waiting, seat.watched = waiting, watched

    def seen(self, int contract_id, int64_t quote_ns):
        """The newest two-sided quote of a contract has this exchange time."""
        self._seats[self._seat(contract_id)].quote_ns = quote_ns

    cdef bint _news(self, const Tick* t) noexcept nogil:
        cdef Seat* seat
        cdef bint whole
        if t.kind == TICK_GAP or t.kind == TICK_HISTORY:
            return True
        if not self._seat_of[t.contract_id]:
            return False
        seat = &self._seats[self._seat_of[t.contract_id] - 1]
        if t.kind == TICK_TRADE:
            return seat.every or t.price <= seat.trade_low or t.price >= seat.trade_high
        if t.kind != TICK_QUOTE:
            return False
        whole = t.price != INT64_MIN and t.price2 != INT64_MIN
        if seat.every or (seat.waiting and whole):
            return True
        if not whole:
            return False
        seat.quote_ns = t.exch_ns
        return (t.price <= seat.bid_low or t.price >= seat.bid_high
                or t.price2 <= seat.ask_low or t.price2 >= seat.ask_high)

    cdef int64_t _oldest(self) noexcept nogil:
        """Exchange time of the oldest newest quote of the watched contracts; INT64_MAX when none is watched."""
        cdef int64_t oldest = INT64_MAX
        cdef int i
        for i in range(self._n):
            if self._seats[i].watched and self._seats[i].quote_ns < oldest:
                oldest = self._seats[i].quote_ns
        return oldest

    cdef int64_t _find(
        self, const Tick* ticks, int64_t i, int64_t end, int64_t due_ns, int64_t stale_ns
    ) noexcept nogil:
        cdef int64_t instant = i, oldest = self._oldest(), now_ns
        if i >= end:
            return end
        now_ns = ticks[i].exch_ns
        while i < end:
            if ticks[i].exch_ns != now_ns:
                # Whether a quote is too old is asked at the end of an instant.
                if oldest != INT64_MAX and now_ns - stale_ns > oldest:
                    oldest = self._oldest()
                    if now_ns - stale_ns > oldest:
                        return instant
                instant, now_ns = i, ticks[i].exch_ns
            if now_ns >= due_ns or self._news(&ticks[i]):
                return instant
            i += 1
        if oldest != INT64_MAX and now_ns - stale_ns > self._oldest():
            return instant
        return end

    cdef void _pass(self, const Tick* ticks, int64_t i, int64_t end) noexcept nogil:
        cdef Seat* seat
        cdef const Tick* t
        while i < end:
            t = &ticks[i]
            if self._seat_of[t.contract_id]:
                seat = &self._seats[self._seat_of[t.contract_id] - 1]
                if t.kind == TICK_TRADE:
                    seat.low = t.price if seat.last_trade < 0 or t.price < seat.low else seat.low
                    seat.high = t.price if seat.last_trade < 0 or t.price > seat.high else seat.high
                    seat.last_trade = i
                elif t.kind == TICK_QUOTE:
                    seat.last_quote = i
                    if t.price != INT64_MIN and t.price2 != INT64_MIN:
                        seat.last_whole = i
            i += 1

    def find(self, ticks, Py_ssize_t start, Py_ssize_t end, int64_t due_ns, int64_t stale_ns):
        """(index where the first instant that may be news begins, what was passed over), `end` when there is none.

        `start` begins an instant; `end` ends one. From `due_ns` on every instant is news. A watched contract's quote is
        too old `stale_ns` after its exchange time. Passed over: for each contract with any trade or quote among these
        records (contract id, last quote as (bid, ask, flags), last two-sided quote as (bid, ask, exch_ns, recv_ns, seq,
        epoch), index of the last trade, lowest and highest trade price); None and -1 where there was none.
        """
        if ticks.dtype != TICK_DTYPE or ticks.ndim != 1:
            raise ValueError(f"ticks must be a one-dimensional TICK_DTYPE array, not {ticks.dtype}")
        if not 0 <= start <= end <= len(ticks):
            raise ValueError(f"{start} to {end} is no part of {len(ticks)} records")
        if start == end:
            return end, []
        cdef const unsigned char[::1] view = ticks.view(np.uint8)
        cdef const Tick* items = <const Tick*>&view[0]
        cdef int64_t found
        cdef Seat* seat
        cdef int i
        for i in range(self._n):
            self._seats[i].last_quote = self._seats[i].last_whole = self._seats[i].last_trade = -1
        with nogil:
            found = self._find(items, start, end, due_ns, stale_ns)
            self._pass(items, start, found)
        passed = []
        for i in range(self._n):
            seat = &self._seats[i]
            if seat.last_quote >= 0 or seat.last_trade >= 0:
                passed.append((seat.contract_id, _last_quote(items, seat.last_quote),
                               _last_whole(items, seat.last_whole), seat.last_trade, seat.low, seat.high))
        return found, passed


cdef object _last_quote(const Tick* items, int64_t i):
    return (items[i].price, items[i].price2, items[i].flags) if i >= 0 else None


cdef object _last_whole(const Tick* items, int64_t i):
    cdef const Tick* t = &items[i]
    return (t.price, t.price2, t.exch_ns, t.recv_ns, t.seq, t.epoch) if i >= 0 else None


# ---------------------------------------------------------------- questions about an array

cdef const unsigned char[::1] _bytes(ticks):
    if ticks.dtype != TICK_DTYPE or ticks.ndim != 1:
        raise ValueError(f"ticks must be a one-dimensional TICK_DTYPE array, not {ticks.dtype}")
    return ticks.view(np.uint8)


def instant(ticks, Py_ssize_t index):
    """Where the exchange instant of a record begins, where it ends (the index after it), and its time in ns.

    IndexError for a record that is not there.
    """
    cdef const unsigned char[::1] view = _bytes(ticks)
    cdef Py_ssize_t n = view.shape[0] // <Py_ssize_t>sizeof(Tick), first = index, after = index + 1
    if not 0 <= index < n:
        raise IndexError(f"there is no record {index} among {n}")
    cdef const Tick* items = <const Tick*>&view[0]
    while first > 0 and items[first - 1].exch_ns == items[index].exch_ns:
        first -= 1
    while after < n and items[after].exch_ns == items[index].exch_ns:
        after += 1
    return first, after, items[index].exch_ns


def market_from(ticks, Py_ssize_t start, int64_t at_ns):
    """Index from `start` on of the first trade or quote at or after an exchange time; the length when there is none.

    The records must be in order of time.
    """
    cdef const unsigned char[::1] view = _bytes(ticks)
    cdef Py_ssize_t n = view.shape[0] // <Py_ssize_t>sizeof(Tick), i = start, end = n, middle
    if not 0 <= start <= n:
        raise ValueError(f"start must lie in 0..{n}, not {start}")
    if n == 0:
        return 0
    cdef const Tick* items = <const Tick*>&view[0]
    while i < end:
        middle = (i + end) // 2
        if items[middle].exch_ns < at_ns:
            i = middle + 1
        else:
            end = middle
    while i < n and items[i].kind != TICK_TRADE and items[i].kind != TICK_QUOTE:
        i += 1
    return i


def survey(ticks):
    """({contract id: all flags that its records have}, indexes of the GAP records); ValueError with over 255 contracts.
    """
    cdef const unsigned char[::1] view = _bytes(ticks)
    cdef Py_ssize_t n = view.shape[0] // <Py_ssize_t>sizeof(Tick), i
    cdef uint16_t ids[SEATS_C]
    cdef uint16_t flags[SEATS_C]
    cdef int seats = 0, k = 0
    cdef const Tick* t
    cdef list gaps = []
    for i in range(n):
        t = <const Tick*>&view[i * <Py_ssize_t>sizeof(Tick)]
        if k >= seats or ids[k] != t.contract_id:       # mostly that of the record before
            k = 0
            while k < seats and ids[k] != t.contract_id:
                k += 1
            if k == SEATS_C:
                raise ValueError(f"there are records of more than {SEATS_C} contracts")
            if k == seats:
                ids[k], flags[k] = t.contract_id, 0
                seats += 1
        flags[k] |= t.flags
        if t.kind == TICK_GAP:
            gaps.append(i)
    return {ids[k]: flags[k] for k in range(seats)}, gaps
