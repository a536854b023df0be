"""Swings and fair value gaps by the rules of smartmoneyconcepts 0.0.27 (smc.md section 14), on whole arrays.

Not for trading: rows tell of bars after them. The causal detectors are in `indicators` and `gaps` and never use these.
"""
from libc.math cimport INFINITY, NAN, isfinite
from libc.stdlib cimport free, malloc

from tbot_ext.compat_search cimport Search, first_item, search_close, search_first, search_open

__all__ = ["fair_value_gaps", "swings"]


cdef void _mark_extremes(const double[::1] prices, int side, Py_ssize_t length, double* tops,
                         double[::1] kinds) noexcept nogil:
    """kinds[i] = side where the price is the highest (side +1) or lowest of bars i - length + 1 .. i + length.

    A window with a NaN or an infinity in it has no extreme, one that would begin before bar `length` does not exist
    (the library shifts first). Rows that have a kind keep it. Windows are taken in blocks of their own width: one that
    begins k bars into its block has the highest of the rest of the block (`tops`, room for one block) and of the first
    k bars of the next.
    """
    cdef Py_ssize_t k, i, start = length, width = 2 * length, unusable = -1
    cdef double price, top, sign = side
    while start <= prices.shape[0] - width:
        top = -INFINITY
        for k in range(width - 1, -1, -1):
            price = sign * prices[start + k]
            if isfinite(price):
                top = price if price > top else top
            elif start + k > unusable:
                unusable = start + k
            tops[k] = top
        top = -INFINITY
        for k in range(min(width, prices.shape[0] - width + 1 - start)):
            if k:
                price = sign * prices[start + width + k - 1]
                if isfinite(price):
                    top = price if price > top else top
                else:
                    unusable = start + width + k - 1
            i = start + k + length - 1
            price = sign * prices[i]
            if price == (tops[k] if tops[k] > top else top) and unusable < start + k and kinds[i] != kinds[i]:
                kinds[i] = side
        start += width


cdef void _keep_alternating(const double[::1] high, const double[::1] low, double[::1] kinds) noexcept nogil:
    """Of each run of one kind only the first highest (lowest) stays; then the ends get swings of the other kind."""
    cdef Py_ssize_t i, n = kinds.shape[0], first = 0, kept = -1
    for i in range(n):
        if kinds[i] != kinds[i]:
            continue
        if kept >= 0 and kinds[kept] == kinds[i]:
            if not (high[i] > high[kept] if kinds[i] > 0 else low[i] < low[kept]):
                kinds[i] = NAN
                continue
            kinds[kept] = NAN
        kept = i
    if kept < 0:
        return
    while kinds[first] != kinds[first]:
        first += 1
    kinds[0] = -kinds[first]
    kinds[n - 1] = -kinds[kept]


def swings(const double[::1] high, const double[::1] low, Py_ssize_t length, double[::1] kinds, double[::1] level):
    """Write +1 or -1 to `kinds` and the price to `level` at each swing of `length` bars. Both come filled with NaN."""
    cdef Py_ssize_t i, n = high.shape[0]
    cdef double* tops
    if low.shape[0] != n or kinds.shape[0] != n or level.shape[0] != n:
        raise ValueError("high, low, kinds and level must have one length")
    if length < 0:
        raise ValueError(f"length must not be negative, but is {length}")
    if length == 0 or n // 3 < length:  # no window fits
        return
    tops = <double*>malloc(2 * length * sizeof(double))
    if tops == NULL:
        raise MemoryError
    with nogil:
        _mark_extremes(high, 1, length, tops, kinds)
        _mark_extremes(low, -1, length, tops, kinds)
        free(tops)
        _keep_alternating(high, low, kinds)
        for i in range(n):
            if kinds[i] == kinds[i]:
                level[i] = high[i] if kinds[i] > 0 else low[i]


# ---------------------------------------------------------------- fair value gaps

cdef void _find_gaps(const double[::1] open, const double[::1] high, const double[::1] low, const double[::1] close,
                     bint join, double[::1] kinds, double[::1] top, double[::1] bottom) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(1, high.shape[0] - 1):
        if high[i - 1] < low[i + 1] and close[i] > open[i]:
            kinds[i], top[i], bottom[i] = 1, low[i + 1], high[i - 1]
        elif low[i - 1] > high[i + 1] and close[i] < open[i]:
            kinds[i], top[i], bottom[i] = -1, low[i - 1], high[i + 1]
        else:
            continue
        if join and kinds[i - 1] == kinds[i]:
            # On equal values the earlier one stays, as Python's max and min have it (0.0 and -0.0 are equal).
            if not top[i] > top[i - 1]:
                top[i] = top[i - 1]
            if not bottom[i] < bottom[i - 1]:
                bottom[i] = bottom[i - 1]
            kinds[i - 1] = top[i - 1] = bottom[i - 1] = NAN


def fair_value_gaps(const double[::1] open, const double[::1] high, const double[::1] low, const double[::1] close,
                    bint join, double[::1] kinds, double[::1] top, double[::1] bottom, double[::1] mitigated):
    """Write each gap at the row of its middle bar. The last four arrays come filled with NaN."""
    cdef Py_ssize_t i, j, n = high.shape[0]
    cdef Search falls, rises
    if not (open.shape[0] == low.shape[0] == close.shape[0] == n):
        raise ValueError("open, high, low and close must have one length")
    if not (kinds.shape[0] == top.shape[0] == bottom.shape[0] == mitigated.shape[0] == n):
        raise ValueError("the outputs must have the length of the prices")
    if search_open(&falls, first_item(low), n, -1) < 0:
        raise MemoryError
    if search_open(&rises, first_item(high), n, 1) < 0:
        search_close(&falls)
        raise MemoryError
    with nogil:
        _find_gaps(open, high, low, close, join, kinds, top, bottom)
        for i in range(1, n - 1):
            if kinds[i] != kinds[i]:
                continue
            if kinds[i] > 0:
                j = search_first(&falls, i + 2, -top[i], False)
            else:
                j = search_first(&rises, i + 2, bottom[i], False)
            mitigated[i] = j if j > 0 else 0
        search_close(&falls)
        search_close(&rises)
