"""Support and resistance from swings, and static levels: period values and round numbers (smc.md section 8).

Details the rule leaves open, settled here.

Price. A level lies at `first + offset`: the price of its first member, and the volume-weighted mean of its members'
distances from it, at most half the tolerance. Whole prices and small distances are kept apart so that shifted and
mirrored prices give exactly shifted and mirrored levels. What a bar does is compared with whole ticks: `low` and `high`
are the first and last within the tolerance. Events carry them as bottom and top; `level` is the offset rounded half to
even. The tolerance is frozen at birth; nothing is born while the ATR is undefined.

Members. A swing joins the nearest level with low <= price <= high; of equally near ones the oldest, and of two born
together the one with the higher first price if it is a high, the lower if it is a low. When one bar is known as both,
high and low are placed against the levels as they were before either: they never join each other's new level, and when
both join one, that is one event. Each counts as a member and adds its bar's volume.

Role. +1 support, -1 resistance: by the newest close at birth; exactly on the level by the kind of swing or value (high:
resistance, low: support). A mid or a close has no kind: there the last close off the level decides, and if there is
none the role is 0 until the first one, which is neither touch nor break. Later only breaks change it.

Touch: the bar traded in the band, closed off the exact level on the side of its role, and the bar before did not trade
in the band as it is now. Break: a close beyond the band on the far side, touched or not. Either is possible from the
bar after birth on. The third break within max_age bars gives LEVEL_DEAD instead of LEVEL_BROKEN; both carry the new
role.

Events. LEVEL when members and touches reach 2, with the id all later events name; nothing is said before, and nothing
of a level that ends before. n = members + touches, origin = the newest member's bar, score = strength. parts: count,
age, volume, each 0..1, and breaks within the last max_age bars.

Ends. A weak level (members + touches < 2) expires when t - born > max_age. A strong one stays until it is killed, or
has to make room: the lowest strength goes first, of equals the oldest, of those born together the one farther from the
close, and both if they are equally far. Where max_zones is 1 and one bar brings two new levels, the nearer one is made,
none if they are equally near.

Static levels have a fixed price and 2 members from the start, are not joined, and do not count towards max_zones. Of a
session or an opening range they are its high and low; day and week add mid and close (those of a session are nobody's
reference, and would only crowd the list). The next period of a kind replaces the values of the last. A mid between two
ticks lies at the one on the side of the period's close, with an offset of half a tick, and its tolerance is at least
that half. (Always rounding down would not survive a mirror.) Origin and volume are those of the bar that made the
value, else of the newest bar. Round numbers: the pair of multiples around the close, which moves only when a close lies
beyond it, to the multiples around that close (on a multiple: to those it came through). It is first set by a close
between two. A multiple that stays in the pair keeps its level, or stays dead. Nothing moves while the ATR is undefined.
A shift drops the pair without an event.
"""
cimport cython
from libc.math cimport fabs, rint
from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memset

from tbot_ext.level_list cimport (
    Level,
    LevelList,
    LevelMoment,
    level_above,
    level_at,
    level_band,
    level_fresh,
    level_role,
    level_tell,
    levels_enter,
    levels_find,
    levels_forget,
    levels_list_init,
    levels_list_react,
    levels_list_shift,
    levels_make_room,
    levels_rank,
)
from tbot_ext.records cimport (
    EVENT_DAY,
    EVENT_LEVEL,
    EVENT_LEVEL_EXPIRED,
    EVENT_LEVEL_JOINED,
    EVENT_WEEK,
    SOURCE_PART_CLOSE,
    SOURCE_PART_HIGH,
    SOURCE_PART_LOW,
    SOURCE_PART_MID,
    SOURCE_ROUND,
    SOURCE_SWING,
    Bar,
)
from tbot_ext.series cimport bar_at

import numpy as np

__all__ = ["LEVEL_DTYPE"]

# Reported levels for display. top, bottom: the band, level: its price, all in ticks; born, origin: bar numbers;
# known_ns: of its LEVEL event, UTC ns; breaks, score: at its last event; source: Source; side: +1 support,
# -1 resistance, 0 not decided yet.
LEVEL_DTYPE = np.dtype([
    ("id", "<i8"), ("known_ns", "<i8"), ("born", "<i8"), ("origin", "<i8"), ("level", "<i8"), ("top", "<i8"),
    ("bottom", "<i8"), ("volume", "<i8"), ("score", "<f8"), ("members", "<i4"), ("touches", "<i4"), ("breaks", "<i4"),
    ("source", "<u2"), ("side", "i1"), ("timeframe_min", "u1"),
])

cdef void _now(LevelMoment* now, const ParamValues* p, const BarSeries* series, double atr, double volume,
               EventSink* sink) noexcept nogil:
    now.p, now.series, now.atr, now.volume, now.sink = p, series, atr, volume, sink
    now.t = series.n - 1
    now.bar = bar_at(series, now.t)


cdef double _tolerance(const LevelMoment* now) noexcept nogil:
    return max(<double>now.p.sr_tol_ticks, now.p.sr_tol_atr * now.atr)


cdef void levels_react(LevelState* levels, const ParamValues* p, const BarSeries* series, double atr, double volume,
                       EventSink* sink) noexcept nogil:
    cdef LevelMoment now
    _now(&now, p, series, atr, volume, sink)
    levels.fresh_n = 0
    levels_list_react(&levels.swings, &now)
    levels_list_react(&levels.statics, &now)


# ---------------------------------------------------------------- swings

cdef void levels_swing(LevelState* levels, int side, int64_t i, int64_t price) noexcept nogil:
    cdef FreshSwing* swing = &levels.fresh[levels.fresh_n]
    swing.side, swing.bar, swing.price = side, i, price
    levels.fresh_n += 1


cdef int _nearest(LevelList* levels, const FreshSwing* swing) noexcept nogil:
    """Place of the nearest level with the swing in its band, -1 if there is none."""
    cdef const Level* level
    cdef const Level* best = NULL
    cdef int64_t last = swing.price + levels.reach
    cdef int k, found = -1
    cdef double distance, shortest = 0.0
    for k in range(levels_find(levels, swing.price - levels.reach - 1), levels.n):
        level = level_at(levels, k)
        if level.whole > last:
            break
        if swing.price < level.low or swing.price > level.high:
            continue
        distance = fabs(level_above(level, swing.price))
        if found >= 0 and not distance < shortest:
            if distance > shortest or level.born > best.born:
                continue
            if level.born == best.born and swing.side * (level.first - best.first) < 0:
                continue
        found, best, shortest = levels.order[k], level, distance
    return found


cdef void _join(Level* level, const FreshSwing* swing, const LevelMoment* now) noexcept nogil:
    """One more member. Price and band follow, the order of the list does not yet."""
    cdef const Bar* bar = bar_at(now.series, swing.bar)
    cdef double weight = <double>max(bar.volume, 1)
    level.members += 1
    level.moment += weight * <double>(swing.price - level.first)
    level.weight += weight
    level.volume += bar.volume
    level.last_touch = now.t
    level.origin, level.origin_ns = swing.bar, bar.start_ns
    level.offset = max(-0.5 * level.tolerance, min(0.5 * level.tolerance, level.moment / level.weight))
    level_band(level)


cdef void _settle_joins(LevelState* levels, const LevelMoment* now) noexcept nogil:
    cdef LevelList* joined = &levels.swings
    cdef Level* level
    cdef int k, slot
    for k in range(levels.fresh_n):
        slot = levels.fresh[k].target
        if slot < 0 or (k == 1 and slot == levels.fresh[0].target):
            continue
        level = &joined.items[slot]
        levels_forget(joined, levels_rank(joined, slot))
        _join(level, &levels.fresh[k], now)
        if k == 0 and levels.fresh_n == 2 and levels.fresh[1].target == slot:
            _join(level, &levels.fresh[1], now)
        levels_enter(joined, slot)
        level_tell(level, EVENT_LEVEL_JOINED, -1, now)


cdef void _settle_births(LevelState* levels, const LevelMoment* now) noexcept nogil:
    cdef LevelList* born = &levels.swings
    cdef FreshSwing* chosen[2]
    cdef Level* level
    cdef int64_t gap
    cdef int k, slot, n = 0
    for k in range(levels.fresh_n):
        if levels.fresh[k].target < 0:
            chosen[n] = &levels.fresh[k]
            n += 1
    if n > now.p.max_zones:
        gap = (chosen[0].price - now.bar.close) - (now.bar.close - chosen[1].price)     # the high comes first
        n = 0 if gap == 0 else 1
        if gap > 0:
            chosen[0] = chosen[1]
    while n > 0 and born.n + n > now.p.max_zones:
        levels_make_room(born, now)
    for k in range(n):
        slot = born.order[born.n]
        level = &born.items[slot]
        level_fresh(level, chosen[k].price, 0.0, _tolerance(now), now)
        level.source = SOURCE_SWING
        level.volume = 0
        _join(level, chosen[k], now)
        level.side = level_role(level, -chosen[k].side, now)
        levels_enter(born, slot)
        born.due = min(born.due, now.t + now.p.max_age)


cdef void levels_settle(LevelState* levels, const ParamValues* p, const BarSeries* series, double atr, double volume,
                        EventSink* sink) noexcept nogil:
    cdef LevelMoment now
    cdef int k
    _now(&now, p, series, atr, volume, sink)
    for k in range(levels.fresh_n):
        levels.fresh[k].target = _nearest(&levels.swings, &levels.fresh[k])
    _settle_joins(levels, &now)
    if atr > 0.0:
        _settle_births(levels, &now)
    levels.fresh_n = 0


# ---------------------------------------------------------------- static levels

cdef int _static(LevelList* levels, int source, int64_t price) noexcept nogil:
    """Place by price of a static level, -1 if it is dead; `price` tells round numbers apart."""
    cdef const Level* level
    cdef int k
    for k in range(levels.n):
        level = level_at(levels, k)
        if level.source == source and (source != SOURCE_ROUND or level.first == price):
            return k
    return -1


cdef void _end_static(LevelList* levels, int source, int64_t price, const LevelMoment* now) noexcept nogil:
    cdef int k = _static(levels, source, price)
    if k >= 0:
        level_tell(level_at(levels, k), EVENT_LEVEL_EXPIRED, -1, now)
        levels_forget(levels, k)


cdef Level* _start_static(LevelList* levels, int source, int64_t price, double offset,
                          const LevelMoment* now) noexcept nogil:
    """A static level, not yet entered in the list nor reported."""
    cdef Level* level = &levels.items[levels.order[levels.n]]
    level_fresh(level, price, offset, max(_tolerance(now), fabs(offset)), now)
    level.source = <uint16_t>source
    level.members = 2
    return level


cdef void _enter_static(LevelList* levels, Level* level, int on, int64_t parent, const LevelMoment* now) noexcept nogil:
    level.side = level_role(level, on, now)
    level_tell(level, EVENT_LEVEL, parent, now)
    levels_enter(levels, levels.order[levels.n])


cdef void _made_by(Level* level, int64_t i, int64_t start_ns, int64_t volume) noexcept nogil:
    """Bar i made the value; it may be older than what the series keeps."""
    level.origin, level.origin_ns, level.volume = i, start_ns, volume


cdef void levels_period(LevelState* levels, const ParamValues* p, const BarSeries* series, const PeriodValues* period,
                        double atr, double volume, EventSink* sink) noexcept nogil:
    cdef LevelList* statics = &levels.statics
    cdef LevelMoment now
    cdef Level* level
    cdef bint whole = <int>period.kind == EVENT_DAY or <int>period.kind == EVENT_WEEK
    cdef int base = 10 * period.kind, part
    cdef int64_t doubled = period.high + period.low, mid
    cdef double offset
    _now(&now, p, series, atr, volume, sink)
    for part in range(1, 5):
        _end_static(statics, base + part, 0, &now)
    if not atr > 0.0:
        return
    level = _start_static(statics, base + SOURCE_PART_HIGH, period.high, 0.0, &now)
    _made_by(level, period.high_bar, period.high_start_ns, period.high_volume)
    _enter_static(statics, level, -1, period.event_id, &now)
    level = _start_static(statics, base + SOURCE_PART_LOW, period.low, 0.0, &now)
    _made_by(level, period.low_bar, period.low_start_ns, period.low_volume)
    _enter_static(statics, level, 1, period.event_id, &now)
    if not whole:
        return
    mid, offset = doubled >> 1, 0.5 if doubled & 1 else 0.0
    if offset > 0.0 and period.close > mid:
        mid, offset = mid + 1, -0.5
    level = _start_static(statics, base + SOURCE_PART_MID, mid, offset, &now)
    _enter_static(statics, level, 0, period.event_id, &now)
    level = _start_static(statics, base + SOURCE_PART_CLOSE, period.close, 0.0, &now)
    _enter_static(statics, level, 0, period.event_id, &now)


@cython.cdivision(True)  # so that the checked build, too, needs no exception here; the step is above 0
cdef inline int64_t _over_multiple(int64_t price, int64_t step) noexcept nogil:
    """How far a price lies above the multiple at or below it."""
    cdef int64_t rest = price % step
    return rest + step if rest < 0 else rest


cdef void levels_round(LevelState* levels, const ParamValues* p, const BarSeries* series, double atr, double volume,
                       EventSink* sink) noexcept nogil:
    cdef LevelList* statics = &levels.statics
    cdef LevelMoment now
    cdef int64_t old = levels.round_low, step = p.round_step, fresh, over, price
    cdef int k, known = levels.round_known
    _now(&now, p, series, atr, volume, sink)
    if not atr > 0.0 or (known and old <= now.bar.close <= old + step):
        return
    over = _over_multiple(now.bar.close, step)
    if not known and over == 0:
        return
    fresh = now.bar.close - over
    if over == 0 and now.bar.close > old:
        fresh -= step
    levels.round_low, levels.round_known = fresh, 1
    for k in range(2):
        price = old + k * step
        if known and price != fresh and price != fresh + step:
            _end_static(statics, SOURCE_ROUND, price, &now)
    for k in range(2):
        price = fresh + k * step
        if not known or (price != old and price != old + step):
            _enter_static(statics, _start_static(statics, SOURCE_ROUND, price, 0.0, &now), -1 if k else 1, -1, &now)


# ---------------------------------------------------------------- for the detector

cdef void levels_init(LevelState* levels) noexcept nogil:
    memset(levels, 0, sizeof(LevelState))
    levels_list_init(&levels.swings)
    levels_list_init(&levels.statics)


cdef void levels_shift(LevelState* levels, int64_t spread) noexcept nogil:
    cdef int k
    levels.round_known = 0              # multiples do not move with the contract
    for k in range(levels.statics.n - 1, -1, -1):
        if level_at(&levels.statics, k).source == SOURCE_ROUND:
            levels_forget(&levels.statics, k)
    levels_list_shift(&levels.swings, spread)
    levels_list_shift(&levels.statics, spread)


cdef levels_array(const LevelState* levels, int timeframe_min):
    cdef const Level* level
    cdef int i, k
    cdef const LevelList* lists[2]
    lists[0], lists[1] = &levels.swings, &levels.statics
    rows = []
    for i in range(2):
        for k in range(lists[i].n):
            level = &lists[i].items[lists[i].order[k]]
            if level.id:
                price = level.first + <int64_t>rint(level.offset)
                rows.append((price, level.id, (
                    level.id, level.known_ns, level.born, level.origin, price, level.high, level.low, level.volume,
                    level.score, level.members, level.touches, level.counted, level.source, level.side, timeframe_min,
                )))
    return np.array([row for _, _, row in sorted(rows)], LEVEL_DTYPE)
