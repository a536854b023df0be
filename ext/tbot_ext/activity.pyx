"""How much one contract moved and traded in its last whole minutes, for slippage that grows with it.

The measure of range is the mean true range of the last 14 minutes that had trades: highest of high and the close
before, less the lowest of low and the close before (Wilder 1978, simple mean). The minute that is still forming does
not count, so what an order pays never depends on prices after it.
"""
cimport cython
from libc.stdint cimport INT64_MIN, int64_t

from tbot_ext.records cimport FLAG_SIZE_UNKNOWN, TICK_TRADE, Tick

import numpy as np

from tbot_ext.records import TICK_DTYPE

__all__ = ["Activity", "pass_over"]

cdef int64_t NS_PER_MIN = 60000000000


@cython.final
cdef class Activity:
    """A fold over one contract's trades, oldest first. Prices in ticks, times UTC ns, size in contracts, 0 unknown."""

    def __cinit__(self):
        self._minute = INT64_MIN

    cdef void take(self, int64_t at_ns, int64_t price, int64_t size) noexcept nogil:
        cdef int64_t minute = at_ns // NS_PER_MIN, before
        if minute == self._minute:
            self._high, self._low = max(self._high, price), min(self._low, price)
            self._close = price
            self._size += size
            return
        if self._minute != INT64_MIN:
            before = self._before if self._has_before else self._close
            self._ranges[self._count % ACTIVITY_C] = max(self._high, before) - min(self._low, before)
            self._count += 1
            self._volume = self._size
            self._before, self._has_before = self._close, True
        self._minute = minute
        self._high = self._low = self._close = price
        self._size = size

    def on_print(self, int64_t at_ns, int64_t price, int64_t size):
        """Take one trade."""
        self.take(at_ns, price, size)

    def absorb(self, at_ns, price, size):
        """The same for arrays of trades; ValueError when they differ in length."""
        cdef const int64_t[::1] times = np.ascontiguousarray(at_ns, np.int64)
        cdef const int64_t[::1] prices = np.ascontiguousarray(price, np.int64)
        cdef const int64_t[::1] sizes = np.ascontiguousarray(size, np.int64)
        cdef Py_ssize_t i, n = times.shape[0]
        if prices.shape[0] != n or sizes.shape[0] != n:
            raise ValueError("times, prices and sizes must have one length")
        with nogil:
            for i in range(n):
                self.take(times[i], prices[i], sizes[i])

    @property
    def ranges(self):
        """True ranges of the last whole minutes that had trades, oldest first, 14 at most."""
        cdef int64_t i
        return tuple([self._ranges[i % ACTIVITY_C] for i in range(max(0, self._count - ACTIVITY_C), self._count)])

    @property
    def volume(self):
        """Contracts of the last whole minute; 0: sizes unknown, or no whole minute yet."""
        return self._volume

    def state(self):
        """Everything that later outputs depend on, as plain values."""
        forming = None if self._minute == INT64_MIN else (
            self._minute, self._high, self._low, self._close, self._size)
        return (self.ranges, self._volume, forming, self._before if self._has_before else None)

    def __eq__(self, other):
        return isinstance(other, Activity) and self.state() == other.state()


def pass_over(ticks, int contract_id, Activity activity=None):
    """Let `activity` take all trades of a contract in a TICK_DTYPE array but the last two.

    Returns those as (price, exch_ns, size, flags, aux, side), the older one first; None where there is none. ValueError
    for another array.
    """
    if ticks.dtype != TICK_DTYPE or ticks.ndim != 1:
        raise ValueError(f"ticks must be a one-dimensional TICK_DTYPE array, not {ticks.dtype}")
    cdef int64_t i = len(ticks), last = -1, older = -1, k
    if i == 0:
        return None, None
    cdef const unsigned char[::1] raw = ticks.view(np.uint8)
    cdef const Tick* tick = <const Tick*>&raw[0]
    with nogil:
        while i > 0 and older < 0:
            i -= 1
            if tick[i].kind == TICK_TRADE and tick[i].contract_id == contract_id:
                if last < 0:
                    last = i
                else:
                    older = i
        if activity is not None and older > 0:
            for k in range(older):
                if tick[k].kind == TICK_TRADE and tick[k].contract_id == contract_id:
                    activity.take(tick[k].exch_ns, tick[k].price,
                                  0 if tick[k].flags & FLAG_SIZE_UNKNOWN else <int64_t>tick[k].size)
    return _trade(tick, older), _trade(tick, last)


cdef object _trade(const Tick* ticks, int64_t i):
    cdef const Tick* t = &ticks[i]
    return (t.price, t.exch_ns, t.size, t.flags, t.aux, t.side) if i >= 0 else None
