"""Levels in order of price: their strength, their events, and what a bar does to them (smc.md sections 8 and 13).

Swing levels and static levels live in two lists of this kind; the rules stand in `levels`. A list keeps the nearest
prices at which any of its levels could be touched or broken. A bar that reaches none leaves it asleep; any other looks
at the levels near the bar only. Whether the bar before traded in a band is read off that bar, so nothing is remembered
that a sleeping list could miss.
"""
from libc.math cimport ceil, exp2, fabs, floor, rint
from libc.stdint cimport INT64_MAX, INT64_MIN, int8_t, int64_t, uint8_t, uint16_t
from libc.string cimport memset

from tbot_ext.events cimport emit
from tbot_ext.params cimport MAX_AGE_C
from tbot_ext.records cimport (
    EVENT_LEVEL,
    EVENT_LEVEL_BROKEN,
    EVENT_LEVEL_DEAD,
    EVENT_LEVEL_EXPIRED,
    EVENT_LEVEL_TOUCHED,
    Bar,
    Event,
)
from tbot_ext.series cimport bar_at, clip, oldest_bar

__all__ = []  # for the detector only

cdef enum:
    SWEEP_C = 512               # bars between two looks at the whole list, at most
    AGES_C = 1024

# Half-life 250 bars. Room is made by comparing all levels, and exp2 would be most of that.
cdef double _AGES[AGES_C]


cdef void _fill_ages() noexcept:
    cdef int age
    for age in range(AGES_C):
        _AGES[age] = exp2(-age / 250.0)


_fill_ages()


# ---------------------------------------------------------------- strength and events

cdef inline int _breaks(const Level* level, int64_t t, int max_age) noexcept nogil:
    """How many of its breaks still count."""
    cdef int k, n = 0
    for k in range(BREAKS_C):
        n += t - level.breaks[k] <= max_age
    return n


cdef inline double _strength(const Level* level, const LevelMoment* now, double* shares) noexcept nogil:
    cdef int64_t age = now.t - level.last_touch
    cdef double strength
    shares[0] = clip((level.members + level.touches) / 6.0)
    shares[1] = _AGES[age] if age < AGES_C else exp2(-age / 250.0)
    shares[2] = clip(level.volume / (4.0 * now.volume)) if now.volume > 0.0 else 0.5
    shares[3] = _breaks(level, now.t, now.p.max_age)
    strength = shares[0] * 0.5 + shares[1] * 0.3 + shares[2] * 0.2 - 0.15 * shares[3]
    return strength if strength > 0.0 else 0.0


cdef void level_tell(Level* level, int kind, int64_t parent, const LevelMoment* now) noexcept nogil:
    """An event about a level; the first one is LEVEL, with `parent`, and comes once members + touches reach 2."""
    cdef double shares[4]
    cdef Event* event
    cdef int k
    if level.id == 0:
        if level.members + level.touches < 2 or kind == EVENT_LEVEL_EXPIRED:
            return
        kind = EVENT_LEVEL
    level.score = _strength(level, now, &shares[0])
    level.counted = <int>shares[3]
    event = emit(now.sink, now.bar, now.t, kind, level.side)
    if level.id == 0:
        level.id, level.known_ns = event.id, event.known_ns
        event.parent_id = parent
    else:
        event.parent_id = level.id
    event.origin, event.origin_ns = level.origin, level.origin_ns
    event.top, event.bottom = level.high, level.low
    event.level = level.first + <int64_t>rint(level.offset)
    event.volume, event.score = level.volume, level.score
    for k in range(4):
        event.parts[k] = <float>shares[k]
    event.n = <uint16_t>min(<int64_t>level.members + level.touches, 65535)
    event.source = level.source


# ---------------------------------------------------------------- the list

cdef void levels_list_init(LevelList* levels) noexcept nogil:
    cdef int k
    memset(levels, 0, sizeof(LevelList))
    for k in range(LEVELS_C):
        levels.order[k] = <uint8_t>k
    levels.fall, levels.rise = INT64_MIN, INT64_MAX


cdef inline bint _before(const Level* a, const Level* b) noexcept nogil:
    """Order of price, then of birth. Whole ticks first: sums of large and small numbers would round differently after
    a shift of all prices."""
    if a.whole != b.whole:
        return a.whole < b.whole
    if a.part != b.part:
        return a.part < b.part
    if a.born != b.born:
        return a.born < b.born
    if a.first != b.first:
        return a.first < b.first
    return a.source < b.source


cdef int levels_find(LevelList* levels, int64_t price) noexcept nogil:
    cdef int first = 0, last = levels.n, middle
    while first < last:
        middle = (first + last) >> 1
        if level_at(levels, middle).whole < price:
            first = middle + 1
        else:
            last = middle
    return first


cdef void _watch(LevelList* levels, const Level* level) noexcept nogil:
    """Tighten the guard to what this level waits for. One without a role wants to see every bar."""
    if level.side >= 0:
        levels.fall = max(levels.fall, level.high)
    if level.side <= 0:
        levels.rise = min(levels.rise, level.low)


cdef void levels_enter(LevelList* levels, int slot) noexcept nogil:
    cdef const Level* level = &levels.items[slot]
    cdef int k = levels_find(levels, level.whole)
    cdef int i
    while k < levels.n and _before(level_at(levels, k), level):
        k += 1
    for i in range(levels.n, k, -1):
        levels.order[i] = levels.order[i - 1]
    levels.order[k] = <uint8_t>slot
    levels.n += 1
    levels.reach = max(levels.reach, <int64_t>ceil(level.tolerance))
    _watch(levels, level)


cdef void levels_forget(LevelList* levels, int k) noexcept nogil:
    cdef uint8_t slot = levels.order[k]
    cdef int i
    levels.n -= 1
    for i in range(k, levels.n):
        levels.order[i] = levels.order[i + 1]
    levels.order[levels.n] = slot


cdef int levels_rank(const LevelList* levels, int slot) noexcept nogil:
    cdef int k = 0
    while levels.order[k] != slot:
        k += 1
    return k


cdef void levels_make_room(LevelList* levels, const LevelMoment* now) noexcept nogil:
    """The weakest goes, of equals the oldest, then the one farther from the close; two alike in all that go both."""
    cdef Level* level
    cdef int k, worst = -1, twin = -1
    cdef int64_t born = 0
    cdef double shares[4]
    cdef double strength, far, least = 0.0, distance = 0.0
    for k in range(levels.n):
        level = level_at(levels, k)
        strength = _strength(level, now, &shares[0])
        if worst >= 0 and (strength > least or (strength == least and level.born > born)):
            continue
        far = fabs(level_above(level, now.bar.close))
        if worst >= 0 and strength == least and level.born == born:
            if far < distance:
                continue
            if far == distance:
                twin = k
                continue
        worst, twin, least, born, distance = k, -1, strength, level.born, far
    level_tell(level_at(levels, worst), EVENT_LEVEL_EXPIRED, -1, now)
    if twin >= 0:
        level_tell(level_at(levels, twin), EVENT_LEVEL_EXPIRED, -1, now)
        levels_forget(levels, twin)    # stands behind the other
    levels_forget(levels, worst)


cdef void level_band(Level* level) noexcept nogil:
    level.low = level.first + <int64_t>ceil(level.offset - level.tolerance)
    level.high = level.first + <int64_t>floor(level.offset + level.tolerance)
    level.whole = level.first + <int64_t>floor(level.offset)
    level.part = level.offset - floor(level.offset)


cdef void level_fresh(Level* level, int64_t price, double offset, double tolerance,
                      const LevelMoment* now) noexcept nogil:
    cdef int k
    memset(level, 0, sizeof(Level))
    level.first, level.offset, level.tolerance = price, offset, tolerance
    level.born = level.last_touch = level.origin = now.t
    level.origin_ns, level.volume = now.bar.start_ns, now.bar.volume
    for k in range(BREAKS_C):
        level.breaks[k] = -MAX_AGE_C - 1        # so long ago that it never counts
    level_band(level)


cdef int8_t level_role(const Level* level, int on, const LevelMoment* now) noexcept nogil:
    """Its role at birth: by the newest close, exactly on it `on`, and without such the last close off it."""
    cdef int64_t i
    cdef double above = level_above(level, now.bar.close)
    if above == 0.0 and on != 0:
        return <int8_t>on
    for i in range(now.t, oldest_bar(now.series) - 1, -1):
        above = level_above(level, bar_at(now.series, i).close)
        if above != 0.0:
            return 1 if above > 0.0 else -1
    return 0


# ---------------------------------------------------------------- life

cdef bint _react(Level* level, const Bar* before, const LevelMoment* now) noexcept nogil:
    """Lets one level react to a bar; False when that was its end."""
    cdef const Bar* bar = now.bar
    cdef double above = level_above(level, bar.close)
    cdef bint dead
    if level.side == 0:
        level.side = (above > 0.0) - (above < 0.0)
        return True
    if (bar.close < level.low) if level.side > 0 else (bar.close > level.high):
        level.side = -level.side
        dead = _breaks(level, now.t, now.p.max_age) >= BREAKS_C - 1
        level.breaks[2], level.breaks[1], level.breaks[0] = level.breaks[1], level.breaks[0], now.t
        if level.id:
            level_tell(level, EVENT_LEVEL_DEAD if dead else EVENT_LEVEL_BROKEN, -1, now)
        return not dead
    if bar.low > level.high or bar.high < level.low or level.side * above <= 0.0:
        return True
    if before.low > level.high or before.high < level.low:
        level.touches += 1
        level.last_touch = now.t
        level_tell(level, EVENT_LEVEL_TOUCHED, -1, now)
    return True


cdef void _sweep(LevelList* levels, const LevelMoment* now) noexcept nogil:
    """Look at all: weak levels of old age go, silently; the next look and the largest tolerance are found again."""
    cdef const Level* level
    cdef int k = 0
    levels.reach = 0
    levels.due = now.t + SWEEP_C
    while k < levels.n:
        level = level_at(levels, k)
        if level.members + level.touches < 2:
            if now.t - level.born > now.p.max_age:
                levels_forget(levels, k)
                continue
            levels.due = min(levels.due, level.born + now.p.max_age)
        levels.reach = max(levels.reach, <int64_t>ceil(level.tolerance))
        k += 1


cdef void _guard(LevelList* levels, int first, int end) noexcept nogil:
    """Find the guard again after the levels first..end - 1 by price reacted.

    Below them stand supports only, above them resistances only; the outward walk ends where none can be nearer.
    """
    cdef const Level* level
    cdef int k
    levels.fall, levels.rise = INT64_MIN, INT64_MAX
    for k in range(end - 1, -1, -1):
        level = level_at(levels, k)
        if k < first and level.whole + levels.reach + 1 < levels.fall:
            break
        if level.side >= 0:
            levels.fall = max(levels.fall, level.high)
    for k in range(first, levels.n):
        level = level_at(levels, k)
        if k >= end and level.whole - levels.reach > levels.rise:
            break
        if level.side <= 0:
            levels.rise = min(levels.rise, level.low)


cdef void levels_list_react(LevelList* levels, const LevelMoment* now) noexcept nogil:
    """Asleep unless the bar reaches a level; then only levels near it are looked at.

    After each bar a support's band begins at or below the close, or at most one tolerance above it if a member has just
    moved it; a resistance's mirrored. So a level that this bar can touch or break lies within two tolerances of what
    the bar and the close before it span. One tick more covers the rounding to whole ticks.
    """
    cdef const Bar* bar = now.bar
    cdef const Bar* before
    cdef int64_t margin, last
    cdef int first, k
    if levels.n == 0:
        return
    if now.t > levels.due:
        _sweep(levels, now)
    elif bar.low > levels.fall and bar.high < levels.rise:
        return
    before = bar_at(now.series, now.t - 1)
    margin = 2 * levels.reach + 1
    last = max(bar.high, before.close) + margin
    first = k = levels_find(levels, min(bar.low, before.close) - margin)
    while k < levels.n and level_at(levels, k).whole <= last:
        if _react(level_at(levels, k), before, now):
            k += 1
        else:
            levels_forget(levels, k)
    _guard(levels, first, k)


cdef void levels_list_shift(LevelList* levels, int64_t spread) noexcept nogil:
    cdef Level* level
    cdef int k
    for k in range(levels.n):
        level = level_at(levels, k)
        level.first += spread
        level.whole += spread
        level.low += spread
        level.high += spread
    levels.fall = INT64_MAX             # awake: the next bar finds the guard
