# Local time of named zones in compiled code. Zones have small numbers that hold within one process only: what is kept
# or sent names them by text.
from libc.stdint cimport int64_t

cdef enum:
    CHICAGO_C = 0               # the one zone that is always there, with this number

cdef inline int64_t days_ns(int64_t days) noexcept nogil:
    return days * 86400000000000LL

# Number of a zone of the tz database, read when it is first asked for; ValueError if there is none of that name.
cpdef int zone_index(name) except -1

# Nothing below checks `zone`: it must come from zone_index.
cdef int64_t utc_offset_ns(int zone, int64_t utc_ns) noexcept nogil         # local minus UTC
# UTC of a wall-clock time (local nanoseconds as if they were UTC). Of a time that comes twice the earlier one; one that
# a clock change leaves out is read by the clock as it was before. Both as `datetime` does with fold=0.
cdef int64_t wall_to_utc_ns(int zone, int64_t wall_ns) noexcept nogil
cdef int64_t day_number(int64_t wall_ns) noexcept nogil                     # days since 1970-01-01
cdef int weekday(int64_t day) noexcept nogil                                # Monday 0
