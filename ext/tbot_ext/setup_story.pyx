"""What a SetupBook has found, as plain rows for Python; and its whole state, for digests and tests.

A row of a zone, place or trigger holds the fields of `domain.messages.Evidence` in their order; the components of a
score come as numbers of four digits, without their names.
"""
from libc.stdint cimport int32_t, int64_t

from tbot_ext.frames cimport Frame
from tbot_ext.id_table cimport ids_get
from tbot_ext.outcome_book cimport outcome_book_state, outcome_book_take
from tbot_ext.place_book cimport HeldPlace, place_book_neighbours
from tbot_ext.records cimport EVENT_CHOCH, EVENT_SWEEP, Event
from tbot_ext.setup_book cimport KINDS_C, SetupBook
from tbot_ext.setups cimport Candidate, Setup
from tbot_ext.zone_book cimport HELD_LIVE, HeldZone, zone_book_nearest, zone_book_neighbours

from tbot_ext.params import TIMEFRAMES

from tbot_ext.setup_book import COUNTERS

__all__ = ["answer", "outcome_state", "outcomes", "state", "tell", "weigh"]

_KINDS = ("ob", "fvg", "ifvg", "breaker", "mitigation")     # in the order of HeldKind


cdef tuple _parts(const float* parts):
    cdef int k
    return tuple([round(<double>parts[k], 4) for k in range(5)])


cdef tuple _zone_row(const HeldZone* zone, bint in_full):
    cdef int64_t proximal = zone.top if zone.side > 0 else zone.bottom
    return (zone.newest, _KINDS[zone.kind], zone.side, zone.timeframe_min, zone.bottom, zone.top, proximal,
            zone.known_ns, 0, 0, zone.score, _parts(&zone.parts[0]) if in_full else ())


cdef tuple _place_row(const HeldPlace* place):
    """The side of a pool is where it lies: +1 above highs."""
    cdef int side = -place.serves if place.is_pool else place.serves
    return (place.newest, "pool" if place.is_pool else "level", side, place.timeframe_min, place.level, place.level,
            place.level, place.known_ns, place.source, place.members, place.score, ())


cdef tuple _trigger_row(const Event* row):
    kind = "sweep" if row.kind == EVENT_SWEEP else "choch" if row.kind == EVENT_CHOCH else "mss"
    return (row.id, kind, row.side, row.timeframe_min, row.bottom, row.top, row.level, row.known_ns, row.source, row.n,
            row.score, _parts(&row.parts[0]) if row.kind == EVENT_SWEEP else ())


cdef list _triggers(const Setup* setup):
    """In order of emission."""
    cdef int k
    rows = [_trigger_row(&setup.shifts[k]) for k in range(setup.shifts_n)]
    if setup.has_sweep:
        rows.append(_trigger_row(&setup.sweep))
    return sorted(rows)


cdef set _trigger_ids(const Setup* setup):
    """They, the swept pool, the confirmed CHoCH."""
    cdef int k
    found = set()
    for k in range(setup.shifts_n):
        found |= {setup.shifts[k].id, setup.shifts[k].parent_id}
    if setup.has_sweep:
        found |= {setup.sweep.id, setup.sweep.parent_id}
    return found


cdef list _neighbours(SetupBook book, set used):
    """What counted as confluence: zones in order of birth, then pools and levels."""
    cdef const HeldZone* zone = &book._zones.items[book._chosen.zone]
    cdef const HeldZone* other
    cdef const HeldPlace* place
    cdef int32_t* near = book._found
    cdef int k, n
    cdef list found = []
    n = zone_book_neighbours(book._zones, book._chosen.zone, book._best.near, book._rules.least_tf, near)
    for k in range(n):
        other = &book._zones.items[near[k]]
        used.add(other.newest)
        found.append((other.serial, _zone_row(other, False)))
    found = [row[1] for row in sorted(found)]
    n = place_book_neighbours(book._places, zone.side, zone.bottom, zone.top, book._best.near, book._rules.least_tf,
                              near)
    for k in range(n):
        place = &book._places.items[near[k]]
        used.update((place.id, place.newest))
        found.append(_place_row(place))
    return found


cdef tuple _target(SetupBook book, set used):
    """The pool or level that is the target, None: a multiple of the risk."""
    cdef const HeldPlace* place
    if book._best.place_id < 0:
        return None
    place = &book._places.items[ids_get(&book._places.table, book._best.place_id)]
    used.update((place.id, place.newest))
    return _place_row(place)


def tell(SetupBook book not None, tuple bias_timeframes_min):
    """The setup that was found, and everything that its score or plan rests on; it is then no longer `found`.

    Returns (numbers, rows, used): (decided_ns, zone id, test, entered_ns, entry, stop, target, near, score, leg low or
    None, leg high or None), (zone, triggers, bias, neighbours, target or None, trends of these timeframes, the five
    parts of the score), event ids in ascending order. `bias`: of each of these timeframes the zone at or nearest to
    price. ValueError when nothing was found.
    """
    cdef const Candidate* best = &book._best
    cdef const Setup* setup = &book._chosen
    cdef const HeldZone* zone
    cdef const Frame* hour = &book._frames[4]
    cdef int32_t number
    cdef int k
    cdef list bias = [], trends = [], neighbours
    cdef set used
    cdef object low = None, high = None
    cdef tuple target, numbers, rows
    if best.setup < 0:
        raise ValueError("nothing was found that could be told")
    book._best.setup = -1
    zone = &book._zones.items[setup.zone]
    used = _trigger_ids(setup)
    used.update((setup.bar_event, zone.id, zone.newest, hour.high_event, hour.low_event))
    neighbours = _neighbours(book, used)
    for minutes in bias_timeframes_min:
        number = zone_book_nearest(book._zones, minutes, best.entry)
        if number >= 0:
            bias.append(_zone_row(&book._zones.items[number], False))
        k = TIMEFRAMES.index(minutes)
        trends.append(book._frames[k].trend)
        used.add(book._frames[k].trend_event)
    target = _target(book, used)
    used.discard(-1)
    if hour.low_event >= 0:
        low = hour.low
    if hour.high_event >= 0:
        high = hour.high
    numbers = (best.decided_ns, zone.id, setup.test, setup.entered_ns, best.entry, best.stop, best.target, best.near,
               best.score, low, high)
    rows = (_zone_row(zone, True), _triggers(setup), bias, neighbours, target, trends,
            [best.parts[k] for k in range(5)])
    return numbers, rows, tuple(sorted(used))


# ---------------------------------------------------------------- the whole state

cdef list _zones(SetupBook book):
    """Live zones in order of birth, then gaps that may still invert."""
    cdef const HeldZone* zone
    cdef int32_t i
    cdef list found = []
    for i in range(book._zones.used):
        zone = &book._zones.items[i]
        if zone.state:
            found.append((zone.state != HELD_LIVE, zone.serial, zone.id, *_zone_row(zone, True), zone.tests,
                          bool(zone.inside), zone.watched >= 0))
    return [(row[0], *row[2:]) for row in sorted(found)]


cdef tuple _frame(const Frame* frame):
    atr = frame.atr if frame.ranges == frame.atr_n else None
    return (atr, frame.ranges, frame.range_sum, frame.last_close, frame.trend, frame.trend_event, frame.high,
            frame.high_event, frame.low, frame.low_event)


def state(SetupBook book not None):
    """Everything that later outputs depend on, by name, as tuples and lists of plain values in a fixed order.

    zones: (filled, id, fields of Evidence, tests, inside, watched). places: (id, fields of Evidence, serves). frames:
    (ATR or None, ..., trend, ...) by timeframe in minutes.
    """
    cdef const Setup* setup
    cdef const HeldPlace* place
    cdef int32_t i
    cdef list setups = [], places = []
    for i in range(book._setups_n):
        setup = &book._setups[i]
        setups.append((book._zones.items[setup.zone].id, setup.test, setup.bar, setup.bar_event, setup.entered_ns,
                       _triggers(setup)))
    for i in range(book._places.n):
        place = &book._places.items[i]
        places.append((place.id, *_place_row(place), place.serves))
    return {
        "zones": _zones(book),
        "places": sorted(places),
        "frames": {minutes: _frame(&book._frames[i]) for i, minutes in enumerate(TIMEFRAMES)},
        "setups": sorted(setups),
        "bar_flags": book._bar_flags,
        "spoken": book._spoken,
        "passed_through": book._zones.passed_through,
        "dropped": (book._zones.dropped, book._places.dropped),
    }


def answer(SetupBook book not None, longs, shorts):
    """The verdict of the outside facts on trades of either side, at the choice that waits for it: (counter that counts
    the refusal, "" for none; points of the score). Then a setup may be `found`.
    """
    cdef int k
    if not book._asks:
        raise ValueError("nothing was asked")
    for k, (refused, points) in enumerate((longs, shorts)):
        book._verdicts[k].refused = COUNTERS.index(refused) if refused else -1
        book._verdicts[k].points = points
    book._asks = False
    book._choose(&book._asked_at, book._asked_ns)
    book._count()


# ---------------------------------------------------------------- outcomes and weights

def outcomes(SetupBook book not None):
    """The hypothetical brackets that ended since the last call, OUTCOME_DTYPE, in the order in which they ended."""
    return outcome_book_take(book._outcomes)


def outcome_state(SetupBook book not None):
    """(followed brackets, last close, its time, a digest of all that ended), (not laid, lost)."""
    return outcome_book_state(book._outcomes), (book._outcomes.not_laid, book._outcomes.lost)


def weigh(SetupBook book not None, rows, int64_t until_ns):
    """Multiply scores from here on by `rows` (by kind, then by timeframe), for market times before `until_ns`."""
    cdef int kind, frame
    if len(rows) != KINDS_C or any(len(row) != len(TIMEFRAMES) for row in rows):
        raise ValueError(f"weights must be {KINDS_C} rows of {len(TIMEFRAMES)}")
    for kind in range(KINDS_C):
        for frame in range(<int>len(TIMEFRAMES)):
            book._weights[kind][frame] = rows[kind][frame]
    book._weighed_until_ns = until_ns
