"""Local time of named zones without a Python call: UTC offsets of the tz database, 1990 to 2060, as tables.

`zoneinfo` knows the rules but not when they change next, so a zone's changes are found by bisection when it is first
named: its offset is compared week by week, and no two changes of any zone lie that close. Before 1990 and after 2060
the first and the last offset hold. A table is complete before its number is given out and never changes afterwards.
"""
from libc.stdint cimport INT64_MIN, int32_t, int64_t

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

__all__ = ["utc_from_wall", "utc_offset", "zone_index"]

cdef enum:
    ZONES_C = 64
    CHANGES_C = 256             # of one zone; the most that any has is 170

cdef struct ZoneTable:
    int64_t utc_ns[CHANGES_C]   # from here on offset_ns holds; the first INT64_MIN
    int64_t wall_ns[CHANGES_C]  # the same as a wall-clock time: the later one of before and after the change
    int64_t offset_ns[CHANGES_C]
    int32_t n

cdef ZoneTable _zones[ZONES_C]
cdef int64_t SECOND_NS = 1_000_000_000

_numbers = {}                   # of zones by name
_WEEK = 7 * 86_400              # seconds
_FIRST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp())
_LAST = int(datetime(2061, 1, 1, tzinfo=UTC).timestamp())


# ---------------------------------------------------------------- tables

def _changes(zone):
    """[(UTC second from which it holds, offset in seconds)] of a zone, the first at _FIRST."""
    def offset(second):
        return round(datetime.fromtimestamp(second, zone).utcoffset().total_seconds())

    now = offset(_FIRST)
    found = [(_FIRST, now)]
    for start in range(_FIRST, _LAST, _WEEK):
        low, end = start, min(start + _WEEK, _LAST)
        while offset(end) != now:
            high = end
            while high - low > 1:
                middle = (low + high) // 2
                if offset(middle) == now:
                    low = middle
                else:
                    high = middle
            low, now = high, offset(high)
            found.append((low, now))
    return found


cpdef int zone_index(name) except -1:
    """Number of a zone of the tz database ("America/Chicago"), the same as long as the process lives."""
    cdef ZoneTable* table
    cdef int64_t before
    if name in _numbers:
        return _numbers[name]
    try:
        zone = ZoneInfo(name)
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"unknown time zone {name!r}: use a name of the tz database such as Europe/London") from error
    changes = _changes(zone)
    if len(_numbers) == ZONES_C or len(changes) > CHANGES_C:
        raise ValueError(f"no room for time zone {name!r}: {len(_numbers)} zones and {len(changes)} changes of it")
    table = &_zones[len(_numbers)]
    for second, offset in changes:
        before = table.offset_ns[table.n - 1] if table.n else offset * SECOND_NS
        table.offset_ns[table.n] = offset * SECOND_NS
        table.utc_ns[table.n] = second * SECOND_NS if table.n else INT64_MIN
        table.wall_ns[table.n] = table.utc_ns[table.n] + max(before, table.offset_ns[table.n]) if table.n else INT64_MIN
        table.n += 1
    _numbers[name] = len(_numbers)
    return _numbers[name]


# ---------------------------------------------------------------- leaves

cdef int _place(const int64_t* edges, int n, int64_t at) noexcept nogil:
    """The last of n rising edges that is not after `at`; the first always counts."""
    cdef int low = 0, high = n, middle
    while high - low > 1:
        middle = (low + high) >> 1
        if edges[middle] <= at:
            low = middle
        else:
            high = middle
    return low


cdef int64_t utc_offset_ns(int zone, int64_t utc_ns) noexcept nogil:
    cdef const ZoneTable* table = &_zones[zone]
    return table.offset_ns[_place(&table.utc_ns[0], table.n, utc_ns)]


cdef int64_t wall_to_utc_ns(int zone, int64_t wall_ns) noexcept nogil:
    cdef const ZoneTable* table = &_zones[zone]
    return wall_ns - table.offset_ns[_place(&table.wall_ns[0], table.n, wall_ns)]


cdef int64_t day_number(int64_t wall_ns) noexcept nogil:
    cdef int64_t past = wall_ns % 86400000000000LL      # a constant: ext/README.md, traps
    if past < 0:
        past += days_ns(1)
    return (wall_ns - past) // 86400000000000LL


cdef int weekday(int64_t day) noexcept nogil:
    cdef int past = <int>((day + 3) % 7)                    # 1970-01-01 was a Thursday
    return past + 7 if past < 0 else past


# ---------------------------------------------------------------- for Python

def utc_offset(name, int64_t utc_ns):
    """Local time minus UTC in nanoseconds at an instant (UTC ns). Raises ValueError for an unknown zone."""
    return utc_offset_ns(zone_index(name), utc_ns)


def utc_from_wall(name, int64_t wall_ns):
    """UTC nanoseconds of a wall-clock time, given as nanoseconds since 1970-01-01 00:00 on the clocks of the zone.

    Of a time that comes twice the earlier one; a time that a clock change leaves out is read by the clock as it was
    before the change. Raises ValueError for an unknown zone.
    """
    return wall_to_utc_ns(zone_index(name), wall_ns)


if zone_index("America/Chicago") != CHICAGO_C:
    raise RuntimeError("America/Chicago must be the first zone")
