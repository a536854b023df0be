"""Latency histograms: fixed log-linear buckets from 1 ns to 137 s, at most 1.6 % wide, mergeable.

Percentiles and the maximum are what latency is judged by; a mean is not offered. A percentile is the upper end of its
bucket (never less than the true value, at most 1.6 % more) and never more than the true maximum.
"""
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t

import math
import struct

from tbot_ext.atomics cimport load_relaxed, store_relaxed

cdef extern from *:
    """
    static inline int tbot_log2_64(uint64_t value) { return 63 - __builtin_clzll(value); }
    """
    int _log2 "tbot_log2_64" (uint64_t value) noexcept nogil      # of a value > 0

cdef uint64_t MAGIC = 0x31545349484F4254                          # the bytes "TBOHIST1" in memory order
cdef uint64_t EMPTY = <uint64_t>-1

LAYOUT = 1
HISTOGRAM_BYTES = sizeof(HistogramData)
LARGEST_NS = (1 << 37) - 1
_HEAD = struct.Struct("<8sIIQQQQ")      # magic, layout, number of pairs, largest, smallest, below, above
_PAIR = struct.Struct("<IQ")            # bucket, count
_SNAPSHOT_MAGIC = b"TBOTHIST"


cdef uint32_t _bucket(uint64_t value) noexcept nogil:
    cdef int shift
    if value < 1 << SUB_BITS:
        return <uint32_t>value
    shift = _log2(value) - SUB_BITS
    return (<uint32_t>shift << SUB_BITS) + <uint32_t>(value >> shift)


cdef uint64_t _upper(uint32_t bucket) noexcept nogil:
    # The largest value that falls into a bucket.
    cdef int shift
    if bucket < 2 << SUB_BITS:
        return bucket
    shift = <int>(bucket >> SUB_BITS) - 1
    return ((<uint64_t>(bucket & ((1 << SUB_BITS) - 1)) + (1 << SUB_BITS) + 1) << shift) - 1


cdef class LatencyHistogram:
    """A histogram of durations in ns, in memory of its own or in a shared buffer of HISTOGRAM_BYTES, aligned to 8.

    A buffer of zeros becomes an empty histogram; one that holds a histogram is continued, so that a restarted process
    keeps counting; anything else raises ValueError. Exactly one writer; other processes may attach to the same buffer
    and read while it counts. Holds the buffer until `close()`.
    """

    def __cinit__(self, buf=None):
        cdef HistogramData* data
        if buf is None:
            self._owned = buf = bytearray(sizeof(HistogramData))
        PyObject_GetBuffer(buf, &self._view, PyBUF_WRITABLE)
        data = <HistogramData*>self._view.buf
        if self._view.len < <Py_ssize_t>sizeof(HistogramData) or <uintptr_t>data % 8 != 0:
            raise ValueError(f"a histogram needs {HISTOGRAM_BYTES} bytes aligned to 8, not {self._view.len} bytes")
        if data.magic == 0:
            data.layout = <uint64_t>LAYOUT
            data.smallest = EMPTY
            data.magic = MAGIC
        if data.magic != MAGIC or data.layout != <uint64_t>LAYOUT:
            raise ValueError("the buffer holds no histogram of this build")
        self._data = data

    def __dealloc__(self):
        PyBuffer_Release(&self._view)

    cdef HistogramData* _open(self) except NULL:
        if self._data == NULL:
            raise ValueError("this LatencyHistogram is closed")
        return self._data

    cdef void add(self, int64_t ns) noexcept nogil:
        self.add_times(ns, 1)

    cdef void add_times(self, int64_t ns, uint64_t times) noexcept nogil:
        # Relaxed loads and stores: there is one writer, and a reader only needs each word whole. Nothing is paired, so
        # `count` is summed from the buckets instead of kept, and always agrees with the percentiles.
        cdef HistogramData* data = self._data
        cdef uint64_t value
        cdef uint32_t bucket
        if data == NULL:
            return
        value = <uint64_t>ns if ns > 0 else 0
        bucket = _bucket(value) if value < <uint64_t>1 << 37 else BUCKETS - 1
        store_relaxed(&data.counts[bucket], load_relaxed(&data.counts[bucket]) + times)
        if value > load_relaxed(&data.largest):
            store_relaxed(&data.largest, value)
        if value < load_relaxed(&data.smallest):
            store_relaxed(&data.smallest, value)
        if ns < 0:
            store_relaxed(&data.below, load_relaxed(&data.below) + times)
        elif value >= <uint64_t>1 << 37:
            store_relaxed(&data.above, load_relaxed(&data.above) + times)

    def record(self, int64_t ns, int64_t times=1):
        """Count one duration in ns, so many times (none below 1); a negative one counts as 0, one beyond 137 s in the
        last bucket.
        """
        self._open()
        if times > 0:
            self.add_times(ns, <uint64_t>times)

    def merge(self, LatencyHistogram other not None):
        """Add all counts of another histogram to this one."""
        cdef HistogramData* mine = self._open()
        cdef HistogramData* theirs = other._open()
        cdef int i
        for i in range(BUCKETS):
            store_relaxed(&mine.counts[i], mine.counts[i] + load_relaxed(&theirs.counts[i]))
        store_relaxed(&mine.largest, max(mine.largest, load_relaxed(&theirs.largest)))
        store_relaxed(&mine.smallest, min(mine.smallest, load_relaxed(&theirs.smallest)))
        store_relaxed(&mine.below, mine.below + load_relaxed(&theirs.below))
        store_relaxed(&mine.above, mine.above + load_relaxed(&theirs.above))

    def percentile(self, double q):
        """The duration in ns that `q` percent of the values (0 to 100) do not exceed, 0 when empty.

        Defined by rank: the smallest value with at least ceil(q/100 * count) values at or below it; at most 1.6 % more
        than it. ValueError for a `q` outside 0..100.
        """
        cdef HistogramData* data = self._open()
        cdef uint64_t counts[BUCKETS]
        cdef uint64_t total = 0
        cdef uint64_t seen = 0
        cdef uint64_t rank
        cdef int i
        if not 0 <= q <= 100:
            raise ValueError(f"a percentile lies between 0 and 100, not at {q}")
        for i in range(BUCKETS):        # a copy: the writer may go on counting meanwhile
            counts[i] = load_relaxed(&data.counts[i])
            total += counts[i]
        if total == 0:
            return 0
        rank = max(1, min(total, math.ceil(q / 100 * total)))
        for i in range(BUCKETS):
            seen += counts[i]
            if seen >= rank:
                break
        return min(max(_upper(i), load_relaxed(&data.smallest)), load_relaxed(&data.largest))

    @property
    def count(self):
        """Number of values recorded."""
        cdef HistogramData* data = self._open()
        cdef uint64_t total = 0
        cdef int i
        for i in range(BUCKETS):
            total += load_relaxed(&data.counts[i])
        return total

    @property
    def max(self):
        """The largest value in ns, exact; 0 when empty."""
        return load_relaxed(&self._open().largest)

    @property
    def min(self):
        """The smallest value in ns, exact; 0 when empty."""
        cdef uint64_t smallest = load_relaxed(&self._open().smallest)
        return 0 if smallest == EMPTY else smallest

    @property
    def negative(self):
        """Values below zero (counted as 0): a sign of two clocks that disagree."""
        return load_relaxed(&self._open().below)

    @property
    def beyond(self):
        """Values beyond the last bucket (137 s)."""
        return load_relaxed(&self._open().above)

    def clear(self):
        """Forget all values. For the writer only."""
        cdef HistogramData* data = self._open()
        cdef int i
        for i in range(BUCKETS):
            store_relaxed(&data.counts[i], 0)
        store_relaxed(&data.largest, 0)
        store_relaxed(&data.smallest, EMPTY)
        store_relaxed(&data.below, 0)
        store_relaxed(&data.above, 0)

    def snapshot(self):
        """All counts as compact bytes, for messages and files; `from_snapshot` reads them back."""
        cdef HistogramData* data = self._open()
        cdef uint64_t count
        cdef int i
        pairs = []
        for i in range(BUCKETS):
            count = load_relaxed(&data.counts[i])
            if count:
                pairs.append(_PAIR.pack(i, count))
        head = _HEAD.pack(_SNAPSHOT_MAGIC, LAYOUT, len(pairs), load_relaxed(&data.largest),
                          load_relaxed(&data.smallest), load_relaxed(&data.below), load_relaxed(&data.above))
        return head + b"".join(pairs)

    @classmethod
    def from_snapshot(cls, bytes snapshot not None):
        """The histogram a snapshot was taken of; ValueError for anything that is no snapshot of this layout."""
        cdef LatencyHistogram histogram = cls()
        cdef HistogramData* data = histogram._data
        cdef int64_t last = -1
        if len(snapshot) < _HEAD.size:
            raise ValueError("this is no snapshot of a histogram: too short")
        magic, layout, pairs, largest, smallest, below, above = _HEAD.unpack_from(snapshot)
        if magic != _SNAPSHOT_MAGIC or layout != LAYOUT or len(snapshot) != _HEAD.size + pairs * _PAIR.size:
            raise ValueError("this is no snapshot of a histogram of this layout")
        for bucket, count in _PAIR.iter_unpack(memoryview(snapshot)[_HEAD.size:]):
            if not last < bucket < BUCKETS:
                raise ValueError(f"the snapshot of a histogram is damaged at bucket {bucket}")
            data.counts[<uint32_t>bucket] = count
            last = bucket
        data.largest, data.smallest, data.below, data.above = largest, smallest, below, above
        return histogram

    def close(self):
        """Release a shared buffer; every later call raises ValueError. May be called twice."""
        self._data = NULL
        PyBuffer_Release(&self._view)
