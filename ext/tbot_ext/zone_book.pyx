"""The zones of one contract that are alive, and which of them price enters. Rules: smc.md sections 5, 6, 7 and 11.

A zone's life is told by the events of its own timeframe. That price *enters* it is seen on the entry timeframe, whose
bars close first: a one-hour zone is entered in the minute in which it happens, not when its hour is over.

A breaker is a zone of its own with its own id and tests; a birth with the flag DUPLICATE is a record, not a zone. An
inverted gap keeps its id, bounds and score, changes sides, and has a life of its own: its tests count from there.
The same rules in Python, slow and plain, are what the tests hold this to: tests/support/plain_strategy.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from tbot_ext.id_table cimport ids_drop, ids_get, ids_put
from tbot_ext.records cimport (
    EVENT_BREAKER,
    EVENT_BREAKER_DEAD,
    EVENT_BREAKER_EXPIRED,
    EVENT_BREAKER_TESTED,
    EVENT_FVG,
    EVENT_FVG_DEAD,
    EVENT_FVG_EXPIRED,
    EVENT_FVG_FILLED,
    EVENT_FVG_HALF,
    EVENT_FVG_INVERTED,
    EVENT_FVG_TOUCHED,
    EVENT_MITIGATION_BLOCK,
    EVENT_MITIGATION_DEAD,
    EVENT_MITIGATION_EXPIRED,
    EVENT_MITIGATION_TESTED,
    EVENT_OB,
    EVENT_OB_BROKEN,
    EVENT_OB_EXPIRED,
    EVENT_OB_MITIGATED,
    EVENT_OB_REFRESHED,
    EVENT_OB_TESTED,
    FLAG_DUPLICATE,
    Event,
)

__all__ = []  # for the setup book only

cdef int64_t NEVER = <int64_t>1 << 62       # beyond any price


cdef void zone_book_init(ZoneBook* book, int64_t max_tests) noexcept nogil:
    memset(book, 0, sizeof(ZoneBook))
    book.free = -1
    book.max_tests = max_tests
    _relax(book)


cdef void _relax(ZoneBook* book) noexcept nogil:
    book.enter_low, book.enter_high, book.leave_low, book.leave_high = -NEVER, NEVER, -NEVER, NEVER


cdef void _guard(ZoneBook* book, const HeldZone* zone) noexcept nogil:
    """Let the next bar that may change this zone walk."""
    if zone.side > 0:
        if zone.inside:
            book.leave_high = min(book.leave_high, zone.top)
        else:
            book.enter_low = max(book.enter_low, zone.top)
    elif zone.inside:
        book.leave_low = max(book.leave_low, zone.bottom)
    else:
        book.enter_high = min(book.enter_high, zone.bottom)


# ---------------------------------------------------------------- coming and going

cdef void _unwatch(ZoneBook* book, HeldZone* zone) noexcept nogil:
    cdef int32_t last
    if zone.watched < 0:
        return
    book.watched_n -= 1
    last = book.watched[book.watched_n]
    book.watched[zone.watched] = last
    book.items[last].watched = zone.watched
    zone.watched = -1


cdef int _remove(ZoneBook* book, int32_t number, int32_t* lost) noexcept nogil:
    """Forget a zone or a filled gap; 1 and the number of its setup in `lost` when it had one."""
    cdef HeldZone* zone = &book.items[number]
    cdef int found = zone.setup >= 0
    if found:
        lost[0] = zone.setup
    _unwatch(book, zone)
    if zone.state == HELD_LIVE:
        book.live -= 1
    else:
        book.filled -= 1
    ids_drop(&book.table, zone.id)
    zone.state, zone.setup = HELD_NONE, -1
    zone.next_free = book.free
    book.free = number
    return found


cdef int32_t _oldest(const ZoneBook* book, int state) noexcept nogil:
    cdef int32_t i, oldest = -1
    for i in range(book.used):
        if book.items[i].state == state and (oldest < 0 or book.items[i].serial < book.items[oldest].serial):
            oldest = i
    return oldest


cdef int _add(ZoneBook* book, const Event* birth, int kind, double factor, int32_t* lost) noexcept nogil:
    """A new zone; the setups that are lost by the bound."""
    cdef int32_t number = ids_get(&book.table, birth.id)
    cdef int found = 0
    cdef HeldZone* zone
    if number >= 0:                                 # ids are unique in a sound stream
        found += _remove(book, number, &lost[found])
    number = book.free
    if number >= 0:
        book.free = book.items[number].next_free
    else:
        number = book.used
        book.used += 1
    zone = &book.items[number]
    memset(zone, 0, sizeof(HeldZone))
    zone.id = zone.newest = birth.id
    zone.known_ns, zone.top, zone.bottom = birth.known_ns, birth.top, birth.bottom
    zone.score, zone.side, zone.timeframe_min = birth.score * factor, birth.side, birth.timeframe_min
    memcpy(&zone.parts[0], &birth.parts[0], sizeof(zone.parts))
    zone.kind = <uint8_t>kind
    ids_put(&book.table, zone.id, number)
    return found + _go_live(book, number, &lost[found])


cdef int _go_live(ZoneBook* book, int32_t number, int32_t* lost) noexcept nogil:
    """A life begins: of a new zone, or of a gap that has inverted."""
    cdef HeldZone* zone = &book.items[number]
    zone.state, zone.setup, zone.watched = HELD_LIVE, -1, -1
    zone.tests = zone.inside = 0
    book.serial += 1
    zone.serial = book.serial
    book.live += 1
    if book.traded[zone.timeframe_min]:
        zone.watched = book.watched_n
        book.watched[book.watched_n] = number
        book.watched_n += 1
        _guard(book, zone)
    if book.live > ZONES_C:
        book.dropped += 1
        return _remove(book, _oldest(book, HELD_LIVE), lost)
    return 0


cdef int _invert(ZoneBook* book, const Event* event, int32_t number, int32_t* lost) noexcept nogil:
    cdef HeldZone* zone = &book.items[number]
    cdef int found = zone.setup >= 0
    if found:
        lost[0] = zone.setup
    _unwatch(book, zone)
    if zone.state == HELD_LIVE:
        book.live -= 1
    else:
        book.filled -= 1
    zone.kind, zone.side = HELD_IFVG, -zone.side
    zone.known_ns, zone.newest, zone.timeframe_min = event.known_ns, event.id, event.timeframe_min
    return found + _go_live(book, number, &lost[found])


cdef int _fill(ZoneBook* book, int32_t number, int32_t* lost) noexcept nogil:
    cdef HeldZone* zone = &book.items[number]
    cdef int found = zone.setup >= 0
    if found:
        lost[0] = zone.setup
    _unwatch(book, zone)
    zone.state, zone.setup = HELD_FILLED, -1
    book.live -= 1
    book.filled += 1
    if book.filled > ZONES_C:
        book.dropped += 1
        _remove(book, _oldest(book, HELD_FILLED), &lost[found])
    return found


# ---------------------------------------------------------------- events

cdef int zone_book_apply(ZoneBook* book, const Event* event, int32_t* lost) noexcept nogil:
    cdef int kind = event.kind
    cdef int32_t number
    if kind == EVENT_OB or kind == EVENT_FVG or kind == EVENT_BREAKER or kind == EVENT_MITIGATION_BLOCK:
        if event.flags & FLAG_DUPLICATE:
            return 0
        if kind == EVENT_OB:
            return _add(book, event, HELD_OB, 1.0, lost)
        if kind == EVENT_FVG:
            return _add(book, event, HELD_FVG, 100.0, lost)     # to 0..100
        return _add(book, event, HELD_BREAKER if kind == EVENT_BREAKER else HELD_MITIGATION, 1.0, lost)
    number = ids_get(&book.table, event.parent_id)
    if number < 0:
        return 0
    if kind == EVENT_FVG_INVERTED:
        return _invert(book, event, number, lost)
    if (kind == EVENT_OB_BROKEN or kind == EVENT_OB_EXPIRED or kind == EVENT_FVG_EXPIRED or kind == EVENT_FVG_DEAD
            or kind == EVENT_BREAKER_DEAD or kind == EVENT_BREAKER_EXPIRED or kind == EVENT_MITIGATION_DEAD
            or kind == EVENT_MITIGATION_EXPIRED):
        return _remove(book, number, lost)
    if book.items[number].state != HELD_LIVE:
        return 0
    if kind == EVENT_FVG_FILLED:
        return _fill(book, number, lost)
    _live_on(book, event, &book.items[number])
    return 0


cdef void _live_on(ZoneBook* book, const Event* event, HeldZone* zone) noexcept nogil:
    """What does not end a zone."""
    cdef int kind = event.kind
    cdef int64_t tested = 0
    if kind == EVENT_OB_REFRESHED:
        zone.score, zone.newest = event.score, event.id
        memcpy(&zone.parts[0], &event.parts[0], sizeof(zone.parts))
        return
    # Normally the entry timeframe saw a test first. It did not when its bars are missing: then the test is spent.
    if kind == EVENT_OB_TESTED or kind == EVENT_BREAKER_TESTED or kind == EVENT_MITIGATION_TESTED:
        tested = event.n
    elif kind == EVENT_OB_MITIGATED or kind == EVENT_FVG_TOUCHED or kind == EVENT_FVG_HALF:
        tested = 1
    else:
        return
    zone.tests = max(zone.tests, tested)
    if zone.tests >= book.max_tests:
        _unwatch(book, zone)


# ---------------------------------------------------------------- bars

cdef int zone_book_enter(ZoneBook* book, int64_t high, int64_t low, int64_t start_ns, int32_t* entered) noexcept nogil:
    """Zones that are known only since the bar's start are not tested by it.

    A bar wholly beyond a zone went through without trading inside it: the test is spent, nobody could have entered.
    """
    cdef HeldZone* zone
    cdef bint reached, beyond
    cdef int32_t i
    cdef int n = 0
    if (book.enter_low < low and high < book.enter_high and low <= book.leave_high and book.leave_low <= high):
        return 0
    _relax(book)
    i = book.watched_n
    while i > 0:                                    # backwards: one that leaves the list is replaced by a seen one
        i -= 1
        zone = &book.items[book.watched[i]]
        if zone.known_ns <= start_ns:
            if zone.side > 0:
                reached, beyond = low <= zone.top, high < zone.bottom
            else:
                reached, beyond = high >= zone.bottom, low > zone.top
            if reached and not zone.inside:
                zone.tests += 1
                if beyond:
                    book.passed_through += 1
                else:
                    entered[n] = book.watched[i]
                    n += 1
            zone.inside = reached
        if zone.tests >= book.max_tests:
            _unwatch(book, zone)
        else:
            _guard(book, zone)
    return n


# ---------------------------------------------------------------- questions

cdef int zone_book_neighbours(const ZoneBook* book, int32_t of, int64_t within, int least_tf,
                              int32_t* found) noexcept nogil:
    cdef const HeldZone* zone = &book.items[of]
    cdef const HeldZone* other
    cdef int64_t low = zone.bottom - within, high = zone.top + within
    cdef int32_t i
    cdef int n = 0
    for i in range(book.used):
        other = &book.items[i]
        if (other.state == HELD_LIVE and other.bottom <= high and other.top >= low and other.side == zone.side
                and other.timeframe_min >= least_tf and i != of):
            found[n] = i
            n += 1
    return n


cdef int32_t zone_book_nearest(const ZoneBook* book, int timeframe_min, int64_t price) noexcept nogil:
    cdef const HeldZone* zone
    cdef int32_t i, best = -1
    cdef int64_t away, least = NEVER
    for i in range(book.used):
        zone = &book.items[i]
        if zone.state != HELD_LIVE or zone.timeframe_min != timeframe_min:
            continue
        away = zone.bottom - price if price < zone.bottom else price - zone.top if price > zone.top else 0
        if best < 0 or away < least or (away == least and zone.serial > book.items[best].serial):
            best, least = i, away
    return best
