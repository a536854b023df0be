# Where detectors put events: a caller's array with a count. Declarations and leaf functions only, no module to import.
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint16_t
from libc.string cimport memset

from tbot_ext.records cimport Bar, Event

cdef enum:
    # One bar can give at most this many events. Its own 1; 4 for each of 128 gaps; 5 for each of 128 blocks (tested,
    # mitigated, broken, born as a breaker, another one evicted for it); 2 for each of 128 breakers; 1 for each of 84
    # levels (64, and 20 static), 128 pools and 448 waiting runs; 14 old periods broken; then 4 of gaps and 2 of shifts,
    # 4 of breaks, 8 of blocks and structural breakers; 2 swings; 14 periods that end, each broken twice at once, 42;
    # levels: 8 of swings, 72 of these periods, 4 round numbers; pools: 4 of swings, 40 of periods. Together 2273.
    BAR_EVENTS_C = 3072

cdef struct EventSink:
    Event* items                # borrowed
    int64_t capacity
    int64_t n                   # events in items
    int64_t next_id
    int64_t overflows           # events lost for want of room: stays 0, callers keep BAR_EVENTS_C free
    uint16_t contract_id

cdef inline int64_t minutes_ns(int64_t minutes) noexcept nogil:
    return minutes * 60000000000LL

# A new event with everything that follows from the bar at whose close it is known; the rest is 0, level unknown.
cdef inline Event* emit(EventSink* sink, const Bar* bar, int64_t t, int kind, int side) noexcept nogil:
    if sink.n >= sink.capacity:
        sink.overflows += 1
        sink.n = sink.capacity - 1
    cdef Event* event = &sink.items[sink.n]
    sink.n += 1
    memset(event, 0, sizeof(Event))
    event.id = sink.next_id
    sink.next_id += 1
    event.parent_id = -1
    event.known_ns = bar.start_ns + minutes_ns(bar.timeframe_min)
    event.known = t
    event.level = INT64_MIN
    event.kind = <uint16_t>kind
    event.side = side
    event.timeframe_min = <uint8_t>bar.timeframe_min
    event.flags = bar.flags
    event.contract_id = sink.contract_id
    return event
