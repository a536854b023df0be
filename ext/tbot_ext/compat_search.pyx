"""A tree of maxima over a frozen series: "where does price first lie beyond this level" in O(log n) instead of O(n).

Sixteen values have one node. A search runs along its group, climbs when the group has nothing, and comes down into the
first node that may have something. Most levels are met within a few bars, and then it never leaves its group.
"""
from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc
from libc.string cimport memset

__all__ = ["any_beyond", "first_beyond"]


cdef double _value(const Search* search, int level, Py_ssize_t i) noexcept nogil:
    return search.level[level][i] if level else search.sign * search.values[i]


cdef double _highest(const Search* search, int level, Py_ssize_t group) noexcept nogil:
    """Of the sixteen values of `level` below node `group`; NaN counts for nothing."""
    cdef Py_ssize_t i, end = min((group + 1) << FAN_BITS_C, search.size[level])
    cdef double value, highest = -INFINITY
    for i in range(group << FAN_BITS_C, end):
        value = _value(search, level, i)
        if value > highest:
            highest = value
    return highest


cdef int search_open(Search* search, const double* values, Py_ssize_t n, int sign) noexcept nogil:
    cdef Py_ssize_t i, nodes = 0
    cdef int level = 0
    memset(search, 0, sizeof(Search))
    search.values = values
    search.sign = sign
    search.size[0] = n
    while search.size[level] > FAN_C:
        search.size[level + 1] = (search.size[level] + FAN_C - 1) >> FAN_BITS_C
        level += 1
        nodes += search.size[level]
    search.levels = level + 1
    if not nodes:
        return 0
    search.nodes = <double*>malloc((search.size[1] + nodes) * sizeof(double))
    if search.nodes == NULL:
        return -1
    search.later = search.nodes
    nodes = search.size[1]
    for level in range(1, search.levels):
        search.level[level] = search.nodes + nodes
        nodes += search.size[level]
        for i in range(search.size[level]):
            search.level[level][i] = _highest(search, level - 1, i)
    for i in range(search.size[1] - 1, -1, -1):
        search.later[i] = search.level[1][i]
        if i + 1 < search.size[1] and search.later[i + 1] > search.later[i]:
            search.later[i] = search.later[i + 1]
    return 0


cdef void search_close(Search* search) noexcept nogil:
    free(search.nodes)
    search.nodes = NULL


cdef inline Py_ssize_t _scan(const double* values, double sign, Py_ssize_t i, Py_ssize_t end, double bound,
                             bint strict) noexcept nogil:
    """The first of i..end-1 that lies beyond, or end."""
    if strict:
        while i < end and not sign * values[i] > bound:
            i += 1
    else:
        while i < end and not sign * values[i] >= bound:
            i += 1
    return i


cdef Py_ssize_t search_first(const Search* search, Py_ssize_t start, double bound, bint strict) noexcept nogil:
    cdef Py_ssize_t i = start, end
    cdef int level = 0
    if start >= search.size[0]:
        return -1
    while True:
        end = min((i | (FAN_C - 1)) + 1, search.size[level])
        if level == 0:
            i = _scan(search.values, search.sign, i, end, bound, strict)
        else:
            i = _scan(search.level[level], 1.0, i, end, bound, strict)
        if i < end:
            if level == 0:
                return i
            level -= 1
            i <<= FAN_BITS_C
        elif i >= search.size[level]:
            return -1
        else:  # i is the first of its group here, so its node has not been looked at
            level += 1
            i >>= FAN_BITS_C


cdef bint search_any(const Search* search, Py_ssize_t start, double bound) noexcept nogil:
    cdef Py_ssize_t group = (start >> FAN_BITS_C) + 1, end = min(group << FAN_BITS_C, search.size[0])
    if start >= search.size[0]:
        return False
    if _scan(search.values, search.sign, start, end, bound, True) < end:
        return True
    return end < search.size[0] and search.later[group] > bound


cdef void search_lowered(Search* search, Py_ssize_t i) noexcept nogil:
    cdef int level
    cdef double highest
    for level in range(1, search.levels):
        i >>= FAN_BITS_C
        highest = _highest(search, level - 1, i)
        if search.level[level][i] == highest:
            return
        search.level[level][i] = highest


def first_beyond(const double[::1] values, Py_ssize_t start, double bound, bint strict=True, int sign=1):
    """For tests: the first i >= start with sign * values[i] > bound (or >= it, not strict), or -1."""
    cdef Search search
    cdef Py_ssize_t found
    if start < 0:
        raise ValueError(f"start must not be negative, but is {start}")
    if search_open(&search, first_item(values), values.shape[0], sign) < 0:
        raise MemoryError
    found = search_first(&search, start, bound, strict)
    search_close(&search)
    return found


def any_beyond(const double[::1] values, Py_ssize_t start, double bound, int sign=1):
    """For tests: whether there is an i >= start with sign * values[i] > bound."""
    cdef Search search
    cdef bint found
    if start < 0:
        raise ValueError(f"start must not be negative, but is {start}")
    if search_open(&search, first_item(values), values.shape[0], sign) < 0:
        raise MemoryError
    found = search_any(&search, start, bound)
    search_close(&search)
    return found
