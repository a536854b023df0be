# How much one contract moved and traded in its last whole minutes.
from libc.stdint cimport int64_t

cdef enum:
    ACTIVITY_C = 14             # minutes whose true ranges are kept, as in the usual ATR

cdef class Activity:
    cdef int64_t _ranges[ACTIVITY_C]    # a ring
    cdef int64_t _count         # true ranges so far
    cdef int64_t _volume
    cdef int64_t _minute        # the forming one, INT64_MIN before the first
    cdef int64_t _high, _low, _close, _size
    cdef int64_t _before        # close of the minute before the forming one
    cdef int _has_before

    cdef void take(self, int64_t at_ns, int64_t price, int64_t size) noexcept nogil
