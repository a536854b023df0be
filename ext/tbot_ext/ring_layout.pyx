"""The layout of a ring: laying one out, checking one on attach, and the base of writer and reader (see `ring`).

Nothing in shared memory is believed unchecked: a stale file, or one of another build, must not become a wild pointer.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, Py_buffer, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint16_t, uint64_t, uintptr_t
from libc.string cimport memset

from tbot_ext.atomics cimport load_acquire, store_release
from tbot_ext.records cimport LAYOUT_VERSION_C, Tick

cdef enum:
    MIN_CAPACITY = 16

cdef uint64_t MAGIC = 0x31474E4952424F54        # the bytes "TOBRING1" in memory order
cdef uint64_t NO_POSITION = <uint64_t>-1
cdef uint64_t MAX_CAPACITY = <uint64_t>1 << 32  # 256 GiB of slots: a larger number is a mistake

HEADER_BYTES = sizeof(RingHeader)
READER_SLOTS = READERS

if sizeof(RingHeader) != 512 + 128 * READERS or sizeof(ReaderLine) != 128 or sizeof(Tick) != WORDS * 8:
    raise RuntimeError("RingHeader, ReaderLine or Tick has not the size drawn in ring_layout.pxd on this platform")


class RingLayoutError(ValueError):
    """The buffer holds no ring, a damaged one, or not the ring that was asked for."""


cdef bint _is_capacity(uint64_t capacity) noexcept nogil:
    return MIN_CAPACITY <= capacity <= MAX_CAPACITY and capacity & (capacity - 1) == 0


def ring_bytes(capacity):
    """Bytes of a ring of `capacity` records; ValueError unless it is a power of two, at least 16."""
    cdef uint64_t records = capacity if 0 <= capacity <= <object>MAX_CAPACITY else 0
    if not _is_capacity(records):
        raise ValueError(f"the capacity of a ring is a power of two from {MIN_CAPACITY} to 2**32, not {capacity}")
    return sizeof(RingHeader) + records * sizeof(Tick)


def format_ring(buf, capacity, contract_id, run_id):
    """Lay out an empty ring in a writable buffer of at least `ring_bytes(capacity)` bytes, aligned to 8 bytes.

    For the creator of the buffer, before any writer or reader attaches: whatever was in it is gone. Raises ValueError
    for a bad capacity or a buffer that is too small, OverflowError for a `contract_id` beyond 16 or a `run_id` beyond
    64 bits.
    """
    cdef uint64_t size = ring_bytes(capacity)
    cdef uint16_t contract = contract_id
    cdef uint64_t run = run_id
    cdef Py_buffer view
    cdef RingHeader* header
    cdef int i
    PyObject_GetBuffer(buf, &view, PyBUF_WRITABLE)
    try:
        if <uint64_t>view.len < size or <uintptr_t>view.buf % 8 != 0:
            raise ValueError(f"a ring of {capacity} records needs {size} bytes aligned to 8, not {view.len} bytes")
        memset(view.buf, 0, size)
        header = <RingHeader*>view.buf
        header.ring_version = RING_VERSION
        header.record_version = LAYOUT_VERSION_C
        header.size = size
        header.capacity = capacity
        header.run_id = run
        header.contract_id = contract
        header.slots_offset = sizeof(RingHeader)
        for i in range(READERS):
            header.readers[i].position = NO_POSITION
        store_release(&header.magic, MAGIC)     # pairs with load_acquire in _check: the rest of the header is there
    finally:
        PyBuffer_Release(&view)


cdef RingHeader* _check(Py_buffer* view, contract_id, run_id) except NULL:
    cdef RingHeader* header = <RingHeader*>view.buf
    cdef uint64_t capacity
    if <uint64_t>view.len < sizeof(RingHeader) or <uintptr_t>view.buf % 8 != 0:
        raise RingLayoutError(f"a buffer of {view.len} bytes, or one not aligned to 8, can hold no ring")
    if load_acquire(&header.magic) != MAGIC:    # pairs with store_release in format_ring
        raise RingLayoutError("the buffer holds no ring (wrong magic number)")
    if header.ring_version != RING_VERSION or header.record_version != LAYOUT_VERSION_C:
        raise RingLayoutError(
            f"the ring has layout {header.ring_version}.{header.record_version}, this build expects "
            f"{RING_VERSION}.{LAYOUT_VERSION_C}: all processes of a run must come from one build"
        )
    capacity = header.capacity
    if not _is_capacity(capacity) or header.slots_offset != sizeof(RingHeader):
        raise RingLayoutError(f"the ring's header is damaged: capacity {capacity}, slots at {header.slots_offset}")
    if header.size != sizeof(RingHeader) + capacity * sizeof(Tick) or header.size > <uint64_t>view.len:
        raise RingLayoutError(f"a ring of {capacity} records does not fit into a buffer of {view.len} bytes")
    if header.contract_id > 0xFFFF or (contract_id is not None and header.contract_id != contract_id):
        raise RingLayoutError(f"the ring carries contract {header.contract_id}, not {contract_id}")
    if run_id is not None and header.run_id != run_id:
        raise RingLayoutError(f"the ring belongs to run {header.run_id}, not {run_id}")
    return header


def reader_positions(buf):
    """Published position (number of the next record to read) of each of the eight reader slots, -1 for an unused one.

    The buffer may be read-only. Raises RingLayoutError if it holds no sound ring.
    """
    cdef Py_buffer view
    cdef RingHeader* header
    cdef uint64_t position
    cdef int i
    positions = []
    PyObject_GetBuffer(buf, &view, PyBUF_SIMPLE)
    try:
        header = _check(&view, None, None)
        for i in range(READERS):
            # Pairs with store_release in publish_position: what a reader did before is visible to who asks.
            position = load_acquire(&header.readers[i].position)
            positions.append(-1 if position == NO_POSITION else position)
    finally:
        PyBuffer_Release(&view)
    return positions


cdef class RingView:
    """What RingWriter and RingReader share: a checked ring in a borrowed buffer, held until `close()`."""

    def __cinit__(self, buf, *args, contract_id=None, run_id=None, **kwargs):
        PyObject_GetBuffer(buf, &self._view, PyBUF_WRITABLE)
        self._header = _check(&self._view, contract_id, run_id)
        self._slots = <uint64_t*>(<char*>self._header + sizeof(RingHeader))
        self._mask = self._header.capacity - 1

    def __dealloc__(self):
        PyBuffer_Release(&self._view)           # does nothing when there is nothing to release

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    cdef RingHeader* _open(self) except NULL:
        if self._header == NULL:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._header

    cdef int _release(self) except -1:
        self._header = NULL
        self._slots = NULL
        PyBuffer_Release(&self._view)
        return 0

    @property
    def capacity(self):
        """Records the ring holds."""
        return self._open().capacity

    @property
    def contract_id(self):
        """The contract of every record of this ring."""
        return self._open().contract_id

    @property
    def run_id(self):
        """The run this ring was laid out for."""
        return self._open().run_id

    @property
    def written(self):
        """Number of records ever written to the ring, by all its writers."""
        return load_acquire(&self._open().head)         # pairs with store_release in RingWriter.put

    def close(self):
        """Release the buffer; every later call raises ValueError. May be called twice."""
        self._release()
