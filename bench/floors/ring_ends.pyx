# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The two ends of a ring hop in compiled code: the ring's own cost, without that of calls from Python.

The counterpart of hops.c, stamp for stamp: the sender stamps the monotonic clock, puts the record, wakes; the receiver
stamps when it holds the record and publishes its position, which the sender waits for before the next one leaves.
"""
from libc.stdint cimport int64_t, uint64_t

from tbot_ext.records cimport TICK_TRADE, Tick
from tbot_ext.ring cimport NEXT_GOT, RingReader, RingWriter

cdef extern from *:
    """
    static inline unsigned long long acquired(const void* word)
    {
        return __atomic_load_n((const unsigned long long*)word, __ATOMIC_ACQUIRE);
    }
    """
    uint64_t acquired(const void* word) noexcept nogil

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* now)
    int nanosleep(const timespec* length, timespec* left)


cdef int64_t SECOND = 1000000000


cdef int64_t now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef void rest(int64_t ns, bint busy) noexcept nogil:
    cdef timespec length
    cdef int64_t end = now_ns() + ns
    if busy:
        while now_ns() < end:
            pass
        return
    length.tv_sec = ns // 1000000000
    length.tv_nsec = ns % 1000000000
    nanosleep(&length, NULL)


def receive(RingReader reader, int64_t[::1] took, bint spin):
    """Durations in ns of len(took) hops."""
    cdef Tick tick
    cdef int done
    cdef int rounds = <int>took.shape[0]
    with nogil:
        for done in range(rounds):
            while reader.next(&tick) != NEXT_GOT:
                if not spin:
                    reader._sleep(now_ns() + SECOND)
            took[done] = now_ns() - tick.recv_ns
            reader.publish_position(reader.position)


def send(RingWriter writer, int slot, int rounds, int64_t pause, bint spin):
    """One record after the other to the reader in `slot`."""
    cdef Tick tick
    cdef int number
    tick.kind = TICK_TRADE
    tick.exch_ns = tick.price = tick.price2 = tick.volume = 0
    tick.size = tick.aux = 0
    tick.side = 0
    tick.flags = 0
    with nogil:
        for number in range(rounds):
            while <uint64_t>number != acquired(&writer._header.readers[slot].position):
                if not spin:
                    rest(pause, False)
            rest(pause, spin)
            tick.recv_ns = now_ns()
            writer.put(&tick)
            writer.wake_readers()
