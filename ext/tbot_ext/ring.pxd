# TickRing: one writer, up to eight readers, fixed capacity, in a buffer shared by processes (layout: ring_layout.pxd).
# The writer never waits. Memory is borrowed: writer and reader hold a view of the buffer until close(), and a mapping
# cannot be closed before.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from tbot_ext.records cimport Tick
from tbot_ext.ring_layout cimport ReaderLine, RingView

cdef enum NextResult:               # what RingReader.next returns
    NEXT_LAPPED = -1                # records were lost: `lost` raised, `position` moved on; call again
    NEXT_EMPTY = 0
    NEXT_GOT = 1

cdef class RingWriter(RingView):
    cdef uint64_t _head             # the writer's own copy of the header's head
    cdef uint32_t _epoch
    cdef uint32_t _generation

    # Write one record; contract_id, seq and epoch are set here, a GAP record raises the epoch. Returns its number, or
    # -1 when the writer is closed or a newer writer took over. Does not wake anybody: call wake_readers afterwards.
    cdef int64_t put(self, const Tick* tick) noexcept nogil
    # Wake sleeping readers; costs one fence and one load when nobody sleeps.
    cdef void wake_readers(self) noexcept nogil

    cdef bint _adopt(self) except -1
    cdef int _mark_new_writer(self) except -1
    cdef void _raise_epoch(self) noexcept nogil
    cdef int64_t _checked(self, int64_t n) except -1

cdef class RingReader(RingView):
    cdef ReaderLine* _line          # this reader's published cursor, NULL when closed
    cdef uint32_t _bit              # this reader's bit in `sleepers`
    cdef bint _waiting
    cdef readonly int slot          # 0..7
    cdef readonly uint64_t position     # number of the next record to read
    cdef readonly uint64_t lost         # records lapped (or damaged), each counted once

    # Copy the next record into out: NEXT_GOT, NEXT_EMPTY (also when closed) or NEXT_LAPPED. Never waits, never spins.
    cdef int next(self, Tick* out) noexcept nogil
    # True when next() would return something else than NEXT_EMPTY.
    cdef bint ready(self) noexcept nogil
    # Make a position visible to reader_positions(). The reader must be open.
    cdef void publish_position(self, uint64_t position) noexcept nogil

    cdef int _load(self, uint64_t* words) noexcept nogil
    cdef int _resync(self) noexcept nogil
    cdef int _sleep(self, int64_t deadline_ns) noexcept nogil
