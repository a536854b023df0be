"""Liquidity pools and support/resistance levels that are alive, as events tell it. Rules: smc.md sections 8 to 10.

Both are kept the same way: a price, and the side of the trade that they serve when they lie close to its zone. A pool
below lows and a support serve a long; a pool above highs and a resistance serve a short. Whatever serves the other side
is where a trade may be met: its target.

A pool lives until it is run, swept or expired; a re-formed pool is a new one that takes its old one's place. A level
lives until it is dead or expired; when it breaks it changes roles. One whose role is not known yet (a middle or a close
that no close has left) serves nobody until an event of it tells.

Kept in no order: events are a hundred times as many as decisions, and a few hundred places are looked through quickly.
The same rules in Python, slow and plain, are what the tests hold this to: tests/support/plain_strategy.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset

from tbot_ext.id_table cimport ids_drop, ids_get, ids_put
from tbot_ext.records cimport (
    EVENT_LEVEL,
    EVENT_LEVEL_DEAD,
    EVENT_LEVEL_EXPIRED,
    EVENT_LEVEL_JOINED,
    EVENT_LEVEL_TOUCHED,
    EVENT_POOL,
    EVENT_POOL_EXPIRED,
    EVENT_POOL_JOINED,
    EVENT_RUN,
    EVENT_SWEEP,
    SOURCE_SWING,
    Event,
)

__all__ = []  # for the setup book only


cdef void place_book_init(PlaceBook* book) noexcept nogil:
    memset(book, 0, sizeof(PlaceBook))


cdef int _remove(PlaceBook* book, int64_t id) noexcept nogil:
    """Forget a place; returns its members, 0 when there is no such place."""
    cdef int32_t number = ids_get(&book.table, id)
    cdef int members
    if number < 0:
        return 0
    members = book.items[number].members
    ids_drop(&book.table, id)
    book.n -= 1
    if number != book.n:
        book.items[number] = book.items[book.n]
        ids_put(&book.table, book.items[number].id, number)
    return members


cdef void _add(PlaceBook* book, const Event* birth) noexcept nogil:
    cdef HeldPlace* place
    cdef int32_t i
    cdef int64_t oldest
    if birth.kind == EVENT_POOL:
        _remove(book, birth.parent_id)
    _remove(book, birth.id)                         # ids are unique in a sound stream
    place = &book.items[book.n]
    place.id = place.newest = birth.id
    place.level, place.known_ns, place.score = birth.level, birth.known_ns, birth.score
    place.source, place.members, place.timeframe_min = birth.source, birth.n, birth.timeframe_min
    place.is_pool = birth.kind == EVENT_POOL
    # A pool's stops rest beyond it, so those above highs serve a short.
    place.serves = -birth.side if place.is_pool else birth.side
    ids_put(&book.table, place.id, book.n)
    book.n += 1
    if book.n > PLACES_C:
        oldest = book.items[0].id
        for i in range(book.n):
            oldest = min(oldest, book.items[i].id)
        _remove(book, oldest)
        book.dropped += 1


cdef int place_book_apply(PlaceBook* book, const Event* event) noexcept nogil:
    cdef int kind = event.kind
    cdef int32_t number
    cdef HeldPlace* place
    if kind == EVENT_POOL or kind == EVENT_LEVEL:
        _add(book, event)
        return 0
    if (kind == EVENT_RUN or kind == EVENT_SWEEP or kind == EVENT_POOL_EXPIRED or kind == EVENT_LEVEL_DEAD
            or kind == EVENT_LEVEL_EXPIRED):
        return _remove(book, event.parent_id)
    number = ids_get(&book.table, event.parent_id)
    if number < 0:
        return 0
    place = &book.items[number]
    if event.side and not place.is_pool:
        place.serves = event.side
    if kind == EVENT_POOL_JOINED or kind == EVENT_LEVEL_JOINED or kind == EVENT_LEVEL_TOUCHED:
        place.level, place.members, place.score = event.level, event.n, event.score
    place.newest = event.id
    return 0


# ---------------------------------------------------------------- questions

cdef bint _told(const PlaceBook* book, const HeldPlace* place, const int32_t* found, int n) noexcept nogil:
    """Whether one of these tells of the same place."""
    cdef const HeldPlace* other
    cdef int i
    if place.source == SOURCE_SWING:
        return False
    for i in range(n):
        other = &book.items[found[i]]
        if other.source == place.source and other.level == place.level:
            return True
    return False


cdef int place_book_neighbours(const PlaceBook* book, int side, int64_t bottom, int64_t top, int64_t within,
                               int least_tf, int32_t* found) noexcept nogil:
    cdef const HeldPlace* place
    cdef int64_t low = bottom - within, high = top + within
    cdef int32_t i, number
    cdef int n = 0, k, kept = 0
    for i in range(book.n):
        place = &book.items[i]
        if place.serves != side or place.level < low or place.level > high or place.timeframe_min < least_tf:
            continue
        k = n
        while k > 0 and book.items[found[k - 1]].id > place.id:
            found[k] = found[k - 1]
            k -= 1
        found[k] = i
        n += 1
    for k in range(n):
        number = found[k]
        if not _told(book, &book.items[number], found, kept):
            found[kept] = number
            kept += 1
    return kept


cdef int32_t place_book_ahead(const PlaceBook* book, int side, int64_t price, double least) noexcept nogil:
    cdef const HeldPlace* place
    cdef const HeldPlace* best = NULL
    cdef int32_t i, found = -1
    cdef int64_t away
    for i in range(book.n):
        place = &book.items[i]
        away = (place.level - price) * side
        if place.serves != -side or <double>away < least:
            continue
        if best == NULL or away < (best.level - price) * side or (place.level == best.level and place.id < best.id):
            best, found = place, i
    return found
