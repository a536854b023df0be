# The layout of a TickRing in a buffer shared by processes, and what writer and reader have in common.
#
#   offset     0  constant   magic, versions, sizes, contract, run      written once by format_ring
#            128  writer     head, epoch, generation                    stored by the writer only
#            256  sleepers   one bit per sleeping reader = futex word   set by readers, cleared by the writer
#            512  readers    8 x 128 bytes: published position, lost    each stored by its reader only
#           1536  slots      capacity x 64 bytes: record n lies in slot n & (capacity - 1)
#
# Words stored by different processes lie at least 128 bytes apart (two cache lines: processors fetch them in pairs).
from cpython.buffer cimport Py_buffer
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    RING_VERSION = 1
    READERS = 8                     # reader slots of a ring
    WORDS = 8                       # 64-bit words of a slot

cdef struct ReaderLine:             # 128 bytes
    uint64_t position               # number of the next record to read, all bits set when the slot is unused
    uint64_t lost                   # records lapped so far
    uint64_t pad[14]

cdef struct RingHeader:             # 1536 bytes
    uint64_t magic
    uint32_t ring_version
    uint32_t record_version         # LAYOUT_VERSION of records
    uint64_t size                   # of header and slots, in bytes
    uint64_t capacity               # in records, a power of two
    uint64_t run_id
    uint32_t contract_id
    uint32_t slots_offset
    uint64_t pad0[10]
    uint64_t head                   # number of whole records ever written
    uint32_t epoch                  # of the newest record, 0..65535, wraps: compare for equality only
    uint32_t generation             # raised by every new writer: an older one finds out and stops
    uint64_t pad1[14]
    uint32_t sleepers               # bit per reader slot; the futex word
    uint32_t pad2[31]
    uint64_t reserved[16]
    ReaderLine readers[READERS]


# What the slot of record n holds until n is begun: the sequence of the record one lap before, or nothing yet.
cdef inline uint64_t seq_before(uint64_t n, uint64_t capacity) noexcept nogil:
    return 0 if n < capacity else 2 * (n - capacity) + 2


# Number of the oldest record worth reading. Why a margin of a sixteenth: the very oldest lies in the slot that is
# overwritten next, and a reader that resumes there is lapped again at once.
cdef inline uint64_t oldest_safe(uint64_t head, uint64_t capacity) noexcept nogil:
    return 0 if head < capacity else head - capacity + capacity // 16


cdef class RingView:                # base of RingWriter and RingReader: holds a checked buffer until close()
    cdef Py_buffer _view
    cdef RingHeader* _header        # NULL when closed
    cdef uint64_t* _slots
    cdef uint64_t _mask             # capacity - 1

    cdef RingHeader* _open(self) except NULL    # the header, or ValueError when closed
    cdef int _release(self) except -1
