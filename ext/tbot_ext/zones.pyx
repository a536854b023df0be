"""Zones: price bands with a life, in bounded lists with a guard (smc.md section 13).

Every list keeps the nearest prices at which any of its zones would change. A bar that reaches none of them leaves the
whole list asleep, which is exact because each next transition of a zone has one trigger price. Age is exact as well:
the oldest zone stands first, so one comparison tells whether any has outlived `max_age`.
"""
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t
from libc.string cimport memset

from tbot_ext.events cimport emit

import enum

import numpy as np

__all__ = ["ZONE_DTYPE", "ZoneState"]


class ZoneState(enum.IntEnum):
    """Where a live zone stands in its life; the names are those of smc.md sections 5 to 7."""
    OPEN = ZONE_OPEN
    TOUCHED = ZONE_TOUCHED
    HALF = ZONE_HALF
    FILLED = ZONE_FILLED
    INVERTED = ZONE_INVERTED
    ACTIVE = ZONE_ACTIVE
    TESTED = ZONE_TESTED
    MITIGATED = ZONE_MITIGATED


# Live zones for display. kind: EventCode.OB, FVG, BREAKER or MITIGATION_BLOCK; state: ZoneState; side: +1 bull, -1 bear
# (an inverted gap has the side it trades now); prices in ticks; born, origin: bar numbers; known_ns, origin_ns: UTC ns;
# fill: 0..1 of a gap.
ZONE_DTYPE = np.dtype([
    ("id", "<i8"), ("stack_id", "<i8"), ("known_ns", "<i8"), ("origin_ns", "<i8"), ("born", "<i8"), ("origin", "<i8"),
    ("top", "<i8"), ("bottom", "<i8"), ("volume", "<i8"), ("delta", "<i8"), ("score", "<f8"), ("fill", "<f8"),
    ("kind", "<u2"), ("state", "<u2"), ("tests", "<u2"), ("flags", "<u2"), ("side", "i1"), ("timeframe_min", "u1"),
])


cdef void zones_init(ZoneList* zones, int side) noexcept nogil:
    memset(zones, 0, sizeof(ZoneList))
    zones.side = side
    zones_relax(zones)


cdef void zones_shift(ZoneList* zones, int64_t spread) noexcept nogil:
    cdef int64_t step = spread if zones.side > 0 else -spread
    cdef int i
    for i in range(zones.n):
        zones.items[i].top += step
        zones.items[i].bottom += step
    zones.fall = INT64_MAX          # awake: the next bar walks the list and sets the guard


cdef void zones_relax(ZoneList* zones) noexcept nogil:
    zones.fall = INT64_MIN
    zones.rise_low = INT64_MAX
    zones.rise_high = INT64_MAX


cdef bint zones_asleep(const ZoneList* zones, const View* view, int64_t t, int max_age) noexcept nogil:
    if zones.n == 0:
        return True
    if t - zones.items[0].born > max_age:
        return False
    return view.low > zones.fall and view.low <= zones.rise_low and view.high <= zones.rise_high


cdef int zones_make_room(ZoneList* zones, int capacity, Zone* evicted) noexcept nogil:
    """The lowest score goes first, of equals the oldest; the zone about to be born does not compete."""
    cdef int i, worst = 0
    if zones.n < capacity:
        return 0
    for i in range(1, zones.n):
        if zones.items[i].score < zones.items[worst].score:
            worst = i
    evicted[0] = zones.items[worst]
    zones.n -= 1
    for i in range(worst, zones.n):
        zones.items[i] = zones.items[i + 1]
    return 1


cdef Event* emit_zone(EventSink* sink, const Bar* bar, int64_t t, int kind, const Zone* zone, int side) noexcept nogil:
    """An event about `zone`, whose prices are those of `side`; the caller sets parent, number and whatever differs."""
    cdef Event* event = emit(sink, bar, t, kind, side)
    cdef int k
    event.origin, event.origin_ns = zone.origin, zone.origin_ns
    if side > 0:
        event.top, event.bottom = zone.top, zone.bottom
    else:
        event.top, event.bottom = -zone.bottom, -zone.top
    event.volume, event.delta = zone.volume, zone.delta
    event.score = zone.score
    for k in range(5):
        event.parts[k] = zone.parts[k]
    event.flags |= zone.flags
    return event
