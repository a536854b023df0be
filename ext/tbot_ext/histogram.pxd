# LatencyHistogram: fixed log-linear buckets, one writer, readable by others while it is written.
#
# Values below 64 have a bucket each; above, every power of two is cut into 64 buckets of equal width. A bucket is thus
# at most 1/64 = 1.6 % of its value wide. 2048 buckets reach 2**37 ns = 137 s.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from cpython.buffer cimport Py_buffer

cdef enum:
    SUB_BITS = 6                    # log2 of the buckets per power of two
    BUCKETS = 2048                  # (37 - SUB_BITS + 1) << SUB_BITS

cdef struct HistogramData:          # all words 64 bits wide, so that a copy in shared memory can be read word by word
    uint64_t magic
    uint64_t layout                 # version
    uint64_t largest                # ns, of all values recorded
    uint64_t smallest               # ns, all bits set while empty
    uint64_t below                  # negative values, counted in bucket 0: two clocks disagreed
    uint64_t above                  # values beyond the last bucket, counted in it
    uint64_t pad[10]
    uint64_t counts[BUCKETS]

cdef class LatencyHistogram:
    cdef Py_buffer _view
    cdef object _owned              # the array behind an unshared histogram
    cdef HistogramData* _data       # NULL when closed

    # Count one duration in ns. One writer; a few ns; nothing is allocated.
    cdef void add(self, int64_t ns) noexcept nogil
    cdef void add_times(self, int64_t ns, uint64_t times) noexcept nogil

    cdef HistogramData* _open(self) except NULL
