"""Structure breaks and liquidity by the rules of smartmoneyconcepts 0.0.27 (smc.md section 14), on whole arrays.

Not for trading: rows tell of bars after them. The causal detectors are in `structure` and never use these.
"""
from libc.math cimport NAN
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from tbot_ext.compat_search cimport (
    Search,
    first_item,
    search_close,
    search_first,
    search_lowered,
    search_open,
)

__all__ = ["liquidity_pools", "structure_breaks"]

cdef struct Leg:                # one swing of the list
    Py_ssize_t row
    double kind
    double level


# ---------------------------------------------------------------- BOS and CHoCH

cdef int _pattern(const Leg* legs, bint* choch) noexcept nogil:
    """Side of the break that four swings in a row make, 0 for none. Levels in the order a, b, d, e."""
    cdef double side = legs[3].kind
    cdef double a = side * legs[0].level, b = side * legs[1].level, d = side * legs[2].level, e = side * legs[3].level
    if side != 1 and side != -1:
        return 0
    if legs[0].kind != -side or legs[1].kind != side or legs[2].kind != -side:
        return 0
    choch[0] = e > b and b > a and a > d
    if choch[0] or (a < d and d < b and b < e):
        return <int>side
    return 0


cdef void _find_breaks(const double[::1] kinds, const double[::1] levels, const Search* rises, const Search* falls,
                       Py_ssize_t* live, double[::1] bos, double[::1] choch, float[::1] level,
                       double[::1] broken) noexcept nogil:
    """In the order of rows. The break bars of `live` rows only rise, so what a new break removes lies on top."""
    cdef Leg[4] legs
    cdef bint is_choch = False
    cdef Py_ssize_t i, j, row, n_live = 0
    cdef int side
    cdef float price
    memset(legs, 0, sizeof(legs))  # kind 0 makes no pattern
    for i in range(kinds.shape[0]):
        if kinds[i] != kinds[i]:
            continue
        legs[0], legs[1], legs[2] = legs[1], legs[2], legs[3]
        legs[3].row, legs[3].kind, legs[3].level = i, kinds[i], levels[i]
        side = _pattern(legs, &is_choch)
        if side == 0:
            continue
        row, price = legs[1].row, <float>legs[1].level
        if side > 0:
            j = search_first(rises, row + 2, price, True)
        else:
            j = search_first(falls, row + 2, -price, True)
        if j < 0:
            continue
        while n_live and broken[live[n_live - 1]] >= j:
            n_live -= 1
            bos[live[n_live]] = choch[live[n_live]] = level[live[n_live]] = NAN  # the break bar stays
        live[n_live] = row
        n_live += 1
        broken[row] = j
        if is_choch:
            choch[row] = side
        else:
            bos[row] = side
        if price != 0:
            level[row] = price


def structure_breaks(const double[::1] rising, const double[::1] falling, const double[::1] kinds,
                     const double[::1] levels, double[::1] bos, double[::1] choch, float[::1] level,
                     double[::1] broken):
    """Write each break at the row of the broken swing; `rising` and `falling` prices must go beyond its level.

    `kinds` and `levels` are the swings, NaN where there is none. The last four arrays come filled with NaN.
    """
    cdef Py_ssize_t n = rising.shape[0]
    cdef Py_ssize_t* live
    cdef Search rises, falls
    if not (falling.shape[0] == kinds.shape[0] == levels.shape[0] == n):
        raise ValueError("prices and swings must have one length")
    if not (bos.shape[0] == choch.shape[0] == level.shape[0] == broken.shape[0] == n):
        raise ValueError("the outputs must have the length of the prices")
    live = <Py_ssize_t*>malloc((n + 1) * sizeof(Py_ssize_t))
    if live == NULL:
        raise MemoryError
    if search_open(&rises, first_item(rising), n, 1) < 0:
        free(live)
        raise MemoryError
    if search_open(&falls, first_item(falling), n, -1) < 0:
        free(live)
        search_close(&rises)
        raise MemoryError
    with nogil:
        _find_breaks(kinds, levels, &rises, &falls, live, bos, choch, level, broken)
        search_close(&falls)
        search_close(&rises)
        free(live)


# ---------------------------------------------------------------- liquidity

cdef double _add(double a, double b, bint narrow) noexcept nogil:
    return <float>(a + b) if narrow else a + b


cdef void _group(int side, const Search* sweeps, Search* members, const int64_t[::1] rows, double[::1] levels,
                 const double[::1] near, const double[::1] far, bint narrow, float[::1] kinds, float[::1] level,
                 float[::1] end, float[::1] swept) noexcept nogil:
    cdef Py_ssize_t a, k, row, taken, count
    cdef double total
    for a in range(rows.shape[0]):
        if levels[a] != levels[a]:  # grouped already, or no level
            continue
        row = rows[a]
        taken = search_first(sweeps, row + 1, far[a], False)
        total, count = _add(0.0, levels[a], narrow), 1
        k = search_first(members, a + 1, near[a], False)
        while k >= 0 and (taken < 0 or rows[k] < taken):
            if levels[k] <= far[a]:
                total, count = _add(total, levels[k], narrow), count + 1
                row = rows[k]
                levels[k] = NAN
                search_lowered(members, k)
            k = search_first(members, k + 1, near[a], False)
        if count > 1:
            total = total / count
            kinds[rows[a]] = side
            level[rows[a]] = <float>(side * total + 0.0)  # never -0.0, as a sum that begins with 0 never is
            end[rows[a]] = row
            swept[rows[a]] = taken if taken > 0 else 0


def liquidity_pools(int side, const double[::1] prices, const int64_t[::1] rows, double[::1] levels,
                    const double[::1] near, const double[::1] far, bint narrow, float[::1] kinds, float[::1] level,
                    float[::1] end, float[::1] swept):
    """Group the swings of one side: those whose level lies in near..far of the first, before a price reaches far.

    All prices come multiplied by `side`, so that far lies above. `rows` are the bars of the swings, rising. `levels` is
    used up. `narrow`: sums are made in float32. The last four arrays come filled with NaN.
    """
    cdef Py_ssize_t k, n = prices.shape[0], m = rows.shape[0]
    cdef Search sweeps, members
    if not (levels.shape[0] == near.shape[0] == far.shape[0] == m):
        raise ValueError("rows, levels, near and far must have one length")
    if not (kinds.shape[0] == level.shape[0] == end.shape[0] == swept.shape[0] == n):
        raise ValueError("the outputs must have the length of the prices")
    for k in range(m):
        if not 0 <= rows[k] < n or (k and rows[k - 1] >= rows[k]):
            raise ValueError("rows must be rising bar numbers")
    if search_open(&sweeps, first_item(prices), n, 1) < 0:
        raise MemoryError
    if search_open(&members, first_item(levels), m, 1) < 0:
        search_close(&sweeps)
        raise MemoryError
    with nogil:
        _group(side, &sweeps, &members, rows, levels, near, far, narrow, kinds, level, end, swept)
        search_close(&members)
        search_close(&sweeps)
