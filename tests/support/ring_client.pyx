# cython: language_level=3, boundscheck=False, cdivision=True
"""A foreign module that cimports the ring, as a pipeline does; fast enough to meet the writer inside a slot.

Built by `ring_client_build`. The loops run without the GIL and without Python between two records.
"""
from libc.stdint cimport int8_t, int32_t, int64_t, uint16_t, uint64_t

from tbot_ext.records cimport TICK_CLOCK, TICK_TRADE, Tick
from tbot_ext.ring cimport NEXT_GOT, NEXT_LAPPED, RingReader, RingWriter

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* now)


cdef int64_t _now_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef bint _whole(const Tick* t) noexcept nogil:
    # The same arithmetic as ring_ticks.stamped.
    cdef uint64_t n = <uint64_t>t.exch_ns
    return (
        t.seq == 2 * n + 2
        and t.recv_ns == <int64_t>(n * 0x9E3779B97F4A7C15u)
        and t.price == <int64_t>(n * 0xC2B2AE3D27D4EB4Fu)
        and t.price2 == <int64_t>(n * 0x165667B19E3779F9u)
        and t.size == <int32_t>((n * 0x27D4EB2F165667C5u) >> 33)
        and t.aux == <int32_t>(n & 0x7FFFFFFF)
        and t.volume == <int64_t>(n * 0xFF51AFD7ED558CCDu)
        and t.side == <int8_t>(n % 3) - 1
        and t.flags == <uint16_t>(n & 0xFFFF)
        and t.kind == TICK_TRADE
    )


def drain(RingReader reader, int limit):
    """What up to `limit` calls of next() give: "lapped", "empty" or (number, price)."""
    cdef Tick tick
    cdef int result
    found = []
    for _ in range(limit):
        result = reader.next(&tick)
        if result == NEXT_GOT:
            found.append((tick.seq // 2 - 1, tick.price))
        else:
            found.append("lapped" if result == NEXT_LAPPED else "empty")
    return found


def put(RingWriter writer, int kind, int64_t price):
    """One record through the C interface; its number, or -1. `ready` of a reader shows whether it came."""
    cdef Tick tick
    tick.kind = kind
    tick.price = price
    tick.exch_ns = tick.recv_ns = tick.price2 = tick.volume = 0
    tick.size = tick.aux = 0
    tick.side = 0
    tick.flags = 0
    cdef int64_t n = writer.put(&tick)
    writer.wake_readers()
    return n


def ready(RingReader reader):
    """The C interface's ready()."""
    return bool(reader.ready())


def hammer(RingReader reader, int64_t patience_ns):
    """Read `stamped` records up to a CLOCK record; (got, torn, disorder, laps), or got = -1 when it never came."""
    cdef Tick tick
    cdef int result
    cdef int64_t got = 0, torn = 0, disorder = 0, laps = 0
    cdef uint64_t idle = 0
    cdef uint64_t last = 0
    cdef int64_t end = _now_ns() + patience_ns
    with nogil:
        while True:
            result = reader.next(&tick)
            if result == NEXT_GOT:
                got += 1
                disorder += tick.seq <= last
                last = tick.seq
                if tick.kind == TICK_CLOCK:
                    break
                torn += not _whole(&tick)
            elif result == NEXT_LAPPED:
                laps += 1
            else:
                idle += 1
                if idle % 65536 == 0 and _now_ns() > end:
                    got = -1
                    break
    return got, torn, disorder, laps


def chase(RingReader reader, int64_t duration_ns):
    """Read the record about to be overwritten, again and again; (got, torn, laps).

    The reader is put back to one lap behind the head each time: the slot in which the writer is, or was when the system
    took it off the processor, which makes a torn record likely even where both share one processor.
    """
    cdef Tick tick
    cdef int result
    cdef int64_t got = 0, torn = 0, laps = 0
    cdef uint64_t head, capacity = reader.capacity
    cdef uint64_t turn = 0
    cdef int64_t end = _now_ns() + duration_ns
    with nogil:
        while True:
            head = reader._header.head
            if head >= capacity:
                reader.position = head - capacity
                result = reader.next(&tick)
                got += result == NEXT_GOT
                laps += result == NEXT_LAPPED
                torn += result == NEXT_GOT and tick.kind == TICK_TRADE and not _whole(&tick)
            turn += 1
            if turn % 1024 == 0 and _now_ns() > end:
                break
    return got, torn, laps


def ping_pong(RingReader reader, RingWriter writer, int rounds, uint64_t seed, bint serve, int64_t timeout_ns):
    """Sleep until each other's record, at another moment each round; returns wake-ups missed, at most 1.

    The pause before falling asleep follows the time the last answer took, give or take, so that the record often comes
    between the look at the ring and the sleep. A missed wake-up shows as a wait that lasts its whole time-out.
    """
    cdef Tick tick, sent
    cdef int64_t begun, pause, answer_ns = 2000
    cdef uint64_t state = seed * 2 + 1
    cdef int number
    cdef int missed = 0
    sent.kind = TICK_TRADE
    sent.exch_ns = sent.recv_ns = sent.price = sent.price2 = sent.volume = 0
    sent.size = sent.aux = 0
    sent.side = 0
    sent.flags = 0
    with nogil:
        for number in range(rounds):
            if serve:
                writer.put(&sent)
                writer.wake_readers()
            begun = _now_ns()
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            pause = <int64_t>(state % <uint64_t>(answer_ns + 200))
            while _now_ns() - begun < pause:
                pass
            reader._sleep(begun + timeout_ns)
            if _now_ns() - begun >= timeout_ns or reader.next(&tick) != NEXT_GOT:
                missed = 1
                break
            answer_ns = (answer_ns * 7 + min(_now_ns() - begun, 20000)) // 8
            if not serve:
                writer.put(&sent)
                writer.wake_readers()
    return missed
