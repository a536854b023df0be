"""Order blocks by the rule of smartmoneyconcepts 0.0.27 (smc.md section 14), on whole arrays.

Not for trading: rows tell of bars after them. The causal detector is `order_blocks` and never uses this.
"""
from libc.math cimport INFINITY, NAN
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from tbot_ext.compat_search cimport Search, search_any, search_close, search_first, search_open

import numpy as np

__all__ = ["order_blocks"]

cdef struct Tables:             # one row per bar but for the last three; ob NaN where no block stands
    double* ob
    float* top
    float* bottom
    double* mitigated
    uint8_t* broken             # shared by both passes, never taken back
    int64_t* rows               # of the blocks in the order in which they were made
    int64_t* bars               # that made them
    Py_ssize_t n_made


cdef Py_ssize_t _base(const double* back, int side, Py_ssize_t first, Py_ssize_t t) noexcept nogil:
    """The last bar of first..t-1 where side * back is lowest; -1 when there is none, or a NaN among them."""
    cdef Py_ssize_t i, best = -1
    cdef double price, sign = side, lowest = INFINITY
    for i in range(first, t):
        price = sign * back[i]
        if price > lowest:
            continue
        if price != price:
            return -1
        lowest, best = price, i
    return best


cdef void _live(const Tables* tables, int side, Py_ssize_t k, Py_ssize_t t, const Search* breaks,
                const Search* returns) noexcept nogil:
    """Row k, made at bar t: what the later bars leave of it."""
    cdef double far = -tables.bottom[k] if side > 0 else tables.top[k]
    cdef double near = tables.top[k] if side > 0 else -tables.bottom[k]
    cdef Py_ssize_t u = t
    if not tables.broken[k]:
        u = search_first(breaks, t + 1, far, True)
        if u < 0:
            return
        tables.broken[k] = 1
        tables.mitigated[k] = u - 1 if side > 0 else u
    if search_any(returns, u + 1, near):
        tables.ob[k] = tables.mitigated[k] = NAN
        tables.top[k] = tables.bottom[k] = NAN


cdef void _make(Tables* tables, int side, const double* high, const double* low, Py_ssize_t swing, Py_ssize_t t,
                const Search* breaks, const Search* returns) noexcept nogil:
    """The block of a swing beyond which bar t closes, and its life."""
    cdef Py_ssize_t k = _base(low if side > 0 else high, side, swing + 1, t)
    cdef bint upside_down = k < 0 and side > 0
    if k < 0:
        k = t - 1
    if tables.ob[k] != tables.ob[k]:  # else it keeps what the bullish pass left there
        tables.mitigated[k] = 0
    tables.ob[k] = side
    tables.rows[tables.n_made], tables.bars[tables.n_made] = k, t
    tables.n_made += 1
    tables.top[k] = <float>(low[k] if upside_down else high[k])
    tables.bottom[k] = <float>(high[k] if upside_down else low[k])
    _live(tables, side, k, t, breaks, returns)


cdef Py_ssize_t _first_close(const double* close, double sign, double level, Py_ssize_t t,
                             Py_ssize_t end) noexcept nogil:
    """The first of t..end-1 that closes beyond, or end. By the highest of sixteen: half the cost of sixteen tests."""
    cdef double price, highest
    cdef int k
    while t + 16 <= end:
        highest = -INFINITY
        for k in range(16):
            price = sign * close[t + k]
            if price > highest:
                highest = price
        if highest > level:
            break
        t += 16
    while t < end and not sign * close[t] > level:
        t += 1
    return t


cdef void _pass(Tables* tables, int side, const double* high, const double* low, const double* close,
                Py_ssize_t n, const int64_t* swings, Py_ssize_t n_swings, const Search* breaks,
                const Search* returns) noexcept nogil:
    """All blocks of one side. A swing counts until the next of its kind: scans never overlap, no row is made twice."""
    cdef const double* edge = high if side > 0 else low
    cdef double sign = side, level
    cdef Py_ssize_t k, t, end
    for k in range(n_swings):
        level = sign * edge[swings[k]]
        end = swings[k + 1] + 1 if k + 1 < n_swings else n
        t = _first_close(close, sign, level, swings[k] + 1, end)
        if t < end:
            _make(tables, side, high, low, swings[k], t, breaks, returns)


cdef int _open_all(Search* searches, const double* high, const double* low, const double* rising,
                   const double* falling, Py_ssize_t n) noexcept nogil:
    """-1 without memory; what was opened stays open."""
    if search_open(&searches[0], high, n, 1) < 0 or search_open(&searches[1], low, n, -1) < 0:
        return -1
    if rising == high and falling == low:
        searches[2], searches[3] = searches[0], searches[1]
        searches[2].nodes = searches[3].nodes = NULL  # not theirs to free
        return 0
    if search_open(&searches[2], rising, n, 1) < 0 or search_open(&searches[3], falling, n, -1) < 0:
        return -1
    return 0


cdef int _check_rows(const int64_t[::1] rows, Py_ssize_t n) except -1:
    cdef Py_ssize_t k
    for k in range(rows.shape[0]):
        if not 0 <= rows[k] < n or (k and rows[k - 1] >= rows[k]):
            raise ValueError("rows must be rising bar numbers")
    return 0


def order_blocks(const double[::1] high, const double[::1] low, const double[::1] close, const double[::1] rising,
                 const double[::1] falling, const int64_t[::1] swing_highs, const int64_t[::1] swing_lows,
                 double[::1] ob, float[::1] top, float[::1] bottom, double[::1] mitigated):
    """Write each block that stands at the end to its row; returns (rows, bars that made them) of all there ever were.

    `rising` breaks bear blocks, `falling` bull blocks: highs and lows, or the ends of the bodies. Swings are rising bar
    numbers. The last four arrays come filled with NaN. A row made by both sides comes twice, the standing block last.
    """
    cdef Py_ssize_t n = high.shape[0]
    cdef Tables tables
    cdef Search[4] searches
    cdef int k
    cdef bint opened
    if not (low.shape[0] == close.shape[0] == rising.shape[0] == falling.shape[0] == n):
        raise ValueError("all prices must have one length")
    if not (ob.shape[0] == top.shape[0] == bottom.shape[0] == mitigated.shape[0] == n):
        raise ValueError("the outputs must have the length of the prices")
    _check_rows(swing_highs, n)
    _check_rows(swing_lows, n)
    made, by = (np.empty(swing_highs.shape[0] + swing_lows.shape[0], np.int64) for _ in range(2))
    flags = np.zeros(n, np.uint8)
    cdef int64_t[::1] rows = made, bars = by
    cdef uint8_t[::1] broken = flags
    tables.n_made = 0
    if rows.shape[0] > 0:  # so there are bars
        tables.ob, tables.top, tables.bottom, tables.mitigated = &ob[0], &top[0], &bottom[0], &mitigated[0]
        tables.rows, tables.bars, tables.broken = &rows[0], &bars[0], &broken[0]
        memset(searches, 0, sizeof(searches))
        with nogil:
            # Why addresses: these loops are the drop-in's promise of speed, and every number in them was checked above.
            opened = _open_all(searches, &high[0], &low[0], &rising[0], &falling[0], n) == 0
            if opened:
                if swing_highs.shape[0]:
                    _pass(&tables, 1, &high[0], &low[0], &close[0], n, &swing_highs[0], swing_highs.shape[0],
                          &searches[3], &searches[0])
                if swing_lows.shape[0]:
                    _pass(&tables, -1, &high[0], &low[0], &close[0], n, &swing_lows[0], swing_lows.shape[0],
                          &searches[2], &searches[1])
            for k in range(4):
                search_close(&searches[k])
        if not opened:
            raise MemoryError
    return made[:tables.n_made], by[:tables.n_made]
