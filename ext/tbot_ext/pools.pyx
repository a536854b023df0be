"""Liquidity pools, where stops rest, and the bars that take them: SWEEP or RUN (smc.md section 9).

Details the rule leaves open, settled here.

Birth. Every known swing is a member of a pool, a lone one of a pool of its own; the tolerance is
max(eq_tol_ticks, floor(eq_tol_atr * ATR)) ticks. A swing joins the nearest pool of its side whose level is within that
pool's tolerance, of two equally near the one nearer to price. No pool is opened while the ATR is undefined; joining and
re-forming need none. A re-formed pool is a new one, aged 0, whose parent is the swept one; it keeps that one's
tolerance and source, not its marks. Only the furthest pool that a bar swept at its own close can be re-formed by it,
before its swing could join another.

Periods. High and low of a finished day, week or session count as two members and make the pool's source; opening
ranges make no pools. The pool is marked and does not expire by age until the next period of that kind has ended. If the
bar of the extreme is no longer kept, `origin` is -1 and `origin_ns` the start of the period.

End. A pool lives while its newest member has been known for at most `max_age` bars and is EXPIRED by the next bar
before it could react. Of a full side the weakest pool goes, of equals the oldest, marked or not; the one to be born
does not compete.

Events of one bar and side: pools that expire, then those taken, then runs closed back, each nearest first. A run is
closed back by one of the `sweep_reclaim` bars after the taking one, never by that bar itself.

POOL, POOL_JOINED, POOL_EXPIRED: top and bottom are the highest and the lowest member, n the members, score the strength
(above 1), volume that of the members' bars. SWEEP, RUN: origin is the bar that took the level, top and bottom lie
between the level and the extreme of the excursion; n is the place in the cluster, so that the first of the cluster has
the id `id - n + 1`. score is 0 for a RUN; parts: strength, wick, volume, depth, and how many bars the close back came
later. A delayed sweep is scored as if the bars since the taking were one candle with their mean volume, with ATR and
volume mean of now and the strength of then.
"""
from libc.math cimport floor
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t
from libc.string cimport memset

from tbot_ext.events cimport emit, minutes_ns
from tbot_ext.records cimport (
    EVENT_DAY,
    EVENT_NEW_YORK,
    EVENT_POOL,
    EVENT_POOL_EXPIRED,
    EVENT_POOL_JOINED,
    EVENT_RUN,
    EVENT_SWEEP,
    SOURCE_PART_HIGH,
    SOURCE_PART_LOW,
    SOURCE_SWING,
    Event,
)
from tbot_ext.series cimport View, bar_at, clip, view_bar, volume_factor

import numpy as np

__all__ = ["POOL_DTYPE"]

# Unswept pools for display. side: +1 buy-side (above highs), -1 sell-side; prices in ticks; top, bottom: of the
# members; born, origin: bar numbers; known_ns, origin_ns: UTC ns; score: strength at its last event; source: Source.
POOL_DTYPE = np.dtype([
    ("id", "<i8"), ("known_ns", "<i8"), ("origin_ns", "<i8"), ("born", "<i8"), ("origin", "<i8"), ("level", "<i8"),
    ("top", "<i8"), ("bottom", "<i8"), ("score", "<f8"), ("members", "<i4"), ("source", "<u2"), ("side", "i1"),
    ("timeframe_min", "u1"),
])

cdef struct Member:             # what makes or joins a pool
    int64_t bar                 # -1 unknown
    int64_t bar_ns
    int64_t level               # as the side sees it
    int64_t volume
    int weight                  # members it counts for
    int source
    uint8_t mark

cdef struct Excursion:          # one bar or several, as one candle
    View view
    int64_t first_ns
    int64_t volume
    int64_t delta
    int64_t bars


cdef void pools_init(PoolState* pools) noexcept nogil:
    cdef PoolList* pool_list
    cdef int index, k
    memset(pools, 0, sizeof(PoolState))
    for index in range(2):
        pool_list = &pools.lists[index]
        pool_list.side = -1 if index else 1
        pool_list.nearest = pool_list.due = INT64_MAX
        for k in range(SWEPT_C):
            pool_list.swept[k].bar = -1


cdef void pools_shift(PoolState* pools, int64_t spread) noexcept nogil:
    cdef PoolList* pool_list
    cdef int64_t step
    cdef int index, k
    for index in range(2):
        pool_list = &pools.lists[index]
        step = pool_list.side * spread
        for k in range(pool_list.n):
            pool_list.items[k].level += step
            pool_list.items[k].low += step
        for k in range(pool_list.waiting):
            pool_list.runs[k].level += step
        for k in range(SWEPT_C):
            pool_list.swept[k].pool.level += step
            pool_list.swept[k].pool.low += step
        _look(pool_list)


cdef void _look(PoolList* pool_list) noexcept nogil:
    """The level at which the list wakes; after every change of its nearest pool."""
    pool_list.nearest = pool_list.items[pool_list.n - 1].level if pool_list.n else INT64_MAX


cdef double _strength(const Pool* pool, int64_t t, double volume) noexcept nogil:
    return pool.members + clip((t - pool.born) / 100.0) + volume_factor(<double>pool.volume, volume)


cdef Event* _emit_pool(EventSink* sink, const Bar* bar, int64_t t, int kind, int side, Pool* pool,
                       double volume) noexcept nogil:
    cdef Event* event = emit(sink, bar, t, kind, side)
    pool.score = _strength(pool, t, volume)
    event.parent_id = pool.id
    event.origin, event.origin_ns = pool.origin, pool.origin_ns
    event.level = side * pool.level
    event.top, event.bottom = max(event.level, side * pool.low), min(event.level, side * pool.low)
    event.volume, event.score = pool.volume, pool.score
    event.n, event.source = <uint16_t>min(pool.members, 65535), pool.source
    return event


# ---------------------------------------------------------------- expiry

cdef bint _outlived(const Pool* pool, int64_t t, int max_age) noexcept nogil:
    return pool.marks == 0 and t - pool.joined > max_age


cdef void _expire(PoolList* pool_list, const ParamValues* p, const Bar* bar, int64_t t, double volume,
                  EventSink* sink) noexcept nogil:
    """Lets pools go that have outlived `max_age`, and finds out when the next one may."""
    cdef Pool* pool
    cdef int i, kept = 0
    pool_list.due = INT64_MAX
    for i in range(pool_list.n - 1, -1, -1):
        if _outlived(&pool_list.items[i], t, p.max_age):
            _emit_pool(sink, bar, t, EVENT_POOL_EXPIRED, pool_list.side, &pool_list.items[i], volume)
    for i in range(pool_list.n):
        pool = &pool_list.items[i]
        if _outlived(pool, t, p.max_age):
            continue
        if pool.marks == 0:
            pool_list.due = min(pool_list.due, pool.joined + p.max_age + 1)
        if kept != i:
            pool_list.items[kept] = pool[0]
        kept += 1
    pool_list.n = kept
    _look(pool_list)


cdef void _make_room(PoolList* pool_list, const ParamValues* p, const Bar* bar, int64_t t, double volume,
                     EventSink* sink) noexcept nogil:
    """The weakest pool of a full list goes, of equals the oldest."""
    cdef double strength, least = 0.0
    cdef int i, worst = -1
    if pool_list.n < p.max_zones:
        return
    for i in range(pool_list.n):
        strength = _strength(&pool_list.items[i], t, volume)
        if worst < 0 or strength < least or (strength == least
                                             and pool_list.items[i].id < pool_list.items[worst].id):
            worst, least = i, strength
    _emit_pool(sink, bar, t, EVENT_POOL_EXPIRED, pool_list.side, &pool_list.items[worst], volume)
    pool_list.n -= 1
    for i in range(worst, pool_list.n):
        pool_list.items[i] = pool_list.items[i + 1]


# ---------------------------------------------------------------- taken

cdef void _measure(Excursion* excursion, const BarSeries* series, int side, int64_t first, int64_t last) noexcept nogil:
    """Bars first..last as one candle, as the side sees it."""
    cdef const Bar* bar = bar_at(series, first)
    cdef View view
    cdef int64_t i
    view_bar(&excursion.view, bar, side)
    excursion.first_ns, excursion.bars = bar.start_ns, last - first + 1
    excursion.volume, excursion.delta = bar.volume, bar.delta
    for i in range(first + 1, last + 1):
        bar = bar_at(series, i)
        view_bar(&view, bar, side)
        excursion.view.high = max(excursion.view.high, view.high)
        excursion.view.low = min(excursion.view.low, view.low)
        excursion.view.close = view.close
        excursion.volume += bar.volume
        excursion.delta += bar.delta


cdef void _emit_taken(EventSink* sink, const Bar* bar, int64_t t, int kind, int side, const TakenPool* taken,
                      const Excursion* excursion, double atr, double volume, int place) noexcept nogil:
    """A SWEEP (which points the other way) or RUN of a pool of `side`."""
    cdef Event* event = emit(sink, bar, t, kind, -side if kind == EVENT_SWEEP else side)
    cdef const View* view = &excursion.view
    cdef double strengthf = clip(taken.strength / 4.0), wick = 0.0
    cdef double volf = volume_factor(<double>excursion.volume / excursion.bars, volume)
    cdef double depthf = 1.0 if view.high - taken.level <= 0.5 * atr else 0.0
    if view.high > view.low:
        wick = <double>(view.high - max(view.open, view.close)) / (view.high - view.low)
    event.parent_id = taken.id
    event.origin, event.origin_ns = taken.bar, excursion.first_ns
    event.level = side * taken.level
    event.top, event.bottom = max(event.level, side * view.high), min(event.level, side * view.high)
    event.volume, event.delta = excursion.volume, excursion.delta
    if kind == EVENT_SWEEP:
        event.score = 0.35 * strengthf + 0.35 * wick + 0.2 * volf + 0.1 * depthf
    event.parts[0], event.parts[1], event.parts[2] = <float>strengthf, <float>wick, <float>volf
    event.parts[3], event.parts[4] = <float>depthf, <float>(t - taken.bar)
    event.n, event.source = <uint16_t>place, taken.source


cdef void _wait(PoolList* pool_list, const TakenPool* taken) noexcept nogil:
    """Enter a run among those that wait for a close back."""
    cdef int i = pool_list.waiting
    while i > 0 and pool_list.runs[i - 1].level > taken.level:
        pool_list.runs[i] = pool_list.runs[i - 1]
        i -= 1
    pool_list.runs[i] = taken[0]
    pool_list.waiting += 1


cdef void _take(PoolList* pool_list, const ParamValues* p, const BarSeries* series, uint8_t* swept, double atr,
                double volume, EventSink* sink) noexcept nogil:
    """The newest bar has traded beyond the nearest pool, perhaps beyond others."""
    cdef int64_t t = series.n - 1
    cdef const Bar* bar = bar_at(series, t)
    cdef SweptPool* furthest = &pool_list.swept[t & (SWEPT_C - 1)]
    cdef Excursion excursion
    cdef TakenPool taken
    cdef Pool* pool
    cdef int place = 0
    memset(&taken, 0, sizeof(TakenPool))    # its padding, too: a saved state holds the same bytes for the same bars
    _measure(&excursion, series, pool_list.side, t, t)
    while pool_list.n and pool_list.items[pool_list.n - 1].level < excursion.view.high:
        pool_list.n -= 1
        pool = &pool_list.items[pool_list.n]
        taken.id, taken.bar, taken.level, taken.source = pool.id, t, pool.level, pool.source
        taken.strength = _strength(pool, t, volume)
        place += 1
        if excursion.view.close < pool.level:
            _emit_taken(sink, bar, t, EVENT_SWEEP, pool_list.side, &taken, &excursion, atr, volume, place)
            furthest.pool, furthest.bar = pool[0], t
            swept[t & (SERIES_C - 1)] |= _bit(pool_list.side)
        else:
            _emit_taken(sink, bar, t, EVENT_RUN, pool_list.side, &taken, &excursion, atr, volume, place)
            if p.sweep_reclaim > 0:
                _wait(pool_list, &taken)
    _look(pool_list)


cdef void _reclaim(PoolList* pool_list, const ParamValues* p, const BarSeries* series, uint8_t* swept, double atr,
                   double volume, EventSink* sink) noexcept nogil:
    """Runs of earlier bars that the newest one closes back are sweeps after all; those that waited long enough go."""
    cdef int64_t t = series.n - 1
    cdef const Bar* bar = bar_at(series, t)
    cdef int64_t close = bar.close * pool_list.side
    cdef TakenPool* run
    cdef Excursion excursion
    cdef int i, kept = 0, place = 0
    for i in range(pool_list.waiting):
        run = &pool_list.runs[i]
        if run.bar < t and close < run.level:
            place += 1
            _measure(&excursion, series, pool_list.side, run.bar, t)
            _emit_taken(sink, bar, t, EVENT_SWEEP, pool_list.side, run, &excursion, atr, volume, place)
            swept[run.bar & (SERIES_C - 1)] |= _bit(pool_list.side)
            continue
        if t - run.bar >= p.sweep_reclaim:
            continue
        if kept != i:
            pool_list.runs[kept] = run[0]
        kept += 1
    pool_list.waiting = kept


cdef void pools_react(PoolState* pools, const ParamValues* p, const BarSeries* series, double atr, double volume,
                      EventSink* sink) noexcept nogil:
    cdef int64_t t = series.n - 1
    cdef const Bar* bar = bar_at(series, t)
    cdef PoolList* pool_list
    cdef int index
    pools.swept[t & (SERIES_C - 1)] = 0
    for index in range(2):
        pool_list = &pools.lists[index]
        if t >= pool_list.due:
            _expire(pool_list, p, bar, t, volume, sink)
        if (-bar.low if index else bar.high) > pool_list.nearest:
            _take(pool_list, p, series, &pools.swept[0], atr, volume, sink)
        if pool_list.waiting:
            _reclaim(pool_list, p, series, &pools.swept[0], atr, volume, sink)


cdef uint8_t _bit(int side) noexcept nogil:
    return 1 if side > 0 else 2


cdef int pools_swept(const PoolState* pools, int side, int64_t first, int64_t last) noexcept nogil:
    cdef int64_t i
    for i in range(first, last + 1):
        if pools.swept[i & (SERIES_C - 1)] & _bit(side):
            return 1
    return 0


# ---------------------------------------------------------------- birth

cdef void _add(Pool* pool, const Member* member, int64_t t) noexcept nogil:
    pool.members += member.weight
    pool.volume += member.volume
    pool.level, pool.low = max(pool.level, member.level), min(pool.low, member.level)
    pool.origin, pool.origin_ns, pool.joined = member.bar, member.bar_ns, t
    pool.marks |= member.mark
    if member.source != SOURCE_SWING:
        pool.source = <uint16_t>member.source


cdef int _nearest(const PoolList* pool_list, int64_t level) noexcept nogil:
    """Place of the nearest pool within its own tolerance, -1 if none."""
    cdef int64_t distance, least = 0
    cdef int i, best = -1
    for i in range(pool_list.n - 1, -1, -1):
        distance = pool_list.items[i].level - level
        if best >= 0 and distance >= least:
            break                                       # from here on they are further and further above
        distance = distance if distance >= 0 else -distance
        if distance <= pool_list.items[i].tolerance and (best < 0 or distance < least):
            best, least = i, distance
    return best


cdef void _join(PoolList* pool_list, int i, const Member* member, const Bar* bar, int64_t t, double volume,
                EventSink* sink) noexcept nogil:
    """A higher level may carry the pool past others."""
    cdef Pool pool = pool_list.items[i]
    _add(&pool, member, t)
    _emit_pool(sink, bar, t, EVENT_POOL_JOINED, pool_list.side, &pool, volume)
    while i > 0 and (pool_list.items[i - 1].level < pool.level or (pool_list.items[i - 1].level == pool.level
                                                                   and pool_list.items[i - 1].id < pool.id)):
        pool_list.items[i] = pool_list.items[i - 1]
        i -= 1
    pool_list.items[i] = pool
    _look(pool_list)


cdef void _open(PoolList* pool_list, Pool* pool, int64_t parent_id, const ParamValues* p, const Bar* bar, int64_t t,
                double volume, EventSink* sink) noexcept nogil:
    """Enter a pool born now, at its place, and emit its birth."""
    cdef Event* event
    cdef int i
    _make_room(pool_list, p, bar, t, volume, sink)
    pool.born, pool.known_ns = t, bar.start_ns + minutes_ns(bar.timeframe_min)
    event = _emit_pool(sink, bar, t, EVENT_POOL, pool_list.side, pool, volume)
    event.parent_id = parent_id
    pool.id = event.id
    i = pool_list.n
    while i > 0 and pool_list.items[i - 1].level <= pool.level:
        pool_list.items[i] = pool_list.items[i - 1]
        i -= 1
    pool_list.items[i] = pool[0]
    pool_list.n += 1
    if pool.marks == 0:
        pool_list.due = min(pool_list.due, pool.joined + p.max_age + 1)
    _look(pool_list)


cdef void _enter(PoolList* pool_list, const Member* member, const ParamValues* p, const BarSeries* series, double atr,
                 double volume, EventSink* sink) noexcept nogil:
    """Joins the nearest pool within tolerance, else opens one."""
    cdef int64_t t = series.n - 1
    cdef int i = _nearest(pool_list, member.level)
    cdef Pool pool
    if i >= 0:
        _join(pool_list, i, member, bar_at(series, t), t, volume, sink)
    elif atr > 0.0:
        memset(&pool, 0, sizeof(Pool))
        pool.level = pool.low = member.level
        pool.tolerance = max(p.eq_tol_ticks, <int64_t>floor(p.eq_tol_atr * atr))
        _add(&pool, member, t)
        _open(pool_list, &pool, -1, p, bar_at(series, t), t, volume, sink)


cdef void pools_swing(PoolState* pools, const ParamValues* p, const BarSeries* series, int side, int64_t i,
                      int64_t level, double atr, double volume, EventSink* sink) noexcept nogil:
    cdef PoolList* pool_list = &pools.lists[0 if side > 0 else 1]
    cdef const SweptPool* swept = &pool_list.swept[i & (SWEPT_C - 1)]
    cdef int64_t t = series.n - 1
    cdef Member member
    cdef Pool pool
    member.bar, member.bar_ns, member.level = i, bar_at(series, i).start_ns, level
    member.volume, member.weight, member.source, member.mark = bar_at(series, i).volume, 1, SOURCE_SWING, 0
    if swept.bar == i and level - swept.pool.level <= swept.pool.tolerance:
        pool = swept.pool
        pool.marks = 0
        _add(&pool, &member, t)
        _open(pool_list, &pool, swept.pool.id, p, bar_at(series, t), t, volume, sink)
    else:
        _enter(pool_list, &member, p, series, atr, volume, sink)


cdef void _unmark(PoolList* pool_list, uint8_t mark, const ParamValues* p) noexcept nogil:
    """The period before has had its time: from now on its pool ages as others do."""
    cdef Pool* pool
    cdef int i
    for i in range(pool_list.n):
        pool = &pool_list.items[i]
        if pool.marks & mark:
            pool.marks &= <uint8_t>~mark
            pool_list.due = min(pool_list.due, pool.joined + p.max_age + 1)


cdef void pools_period(PoolState* pools, const ParamValues* p, const BarSeries* series, const PeriodValues* period,
                       double atr, double volume, EventSink* sink) noexcept nogil:
    cdef PoolList* pool_list
    cdef Member member
    cdef int index
    if not EVENT_DAY <= <int>period.kind <= EVENT_NEW_YORK:
        return
    for index in range(2):
        pool_list = &pools.lists[index]
        member.mark = <uint8_t>(1 << (period.kind - EVENT_DAY))
        _unmark(pool_list, member.mark, p)
        if period.low_gone if index else period.high_gone:
            continue
        member.bar = period.low_bar if index else period.high_bar
        member.bar_ns = period.low_start_ns if index else period.high_start_ns
        member.level = -period.low if index else period.high
        member.volume = period.low_volume if index else period.high_volume
        member.weight = 2
        member.source = 10 * period.kind + (SOURCE_PART_LOW if index else SOURCE_PART_HIGH)
        _enter(pool_list, &member, p, series, atr, volume, sink)


# ---------------------------------------------------------------- copies for Python

cdef pools_array(const PoolState* pools, int timeframe_min):
    cdef const Pool* pool
    cdef int index, i, side
    rows = []
    for index in range(2):
        side = pools.lists[index].side
        for i in range(pools.lists[index].n - 1, -1, -1):
            pool = &pools.lists[index].items[i]
            rows.append((
                pool.id, pool.known_ns, pool.origin_ns, pool.born, pool.origin, side * pool.level,
                pool.level if side > 0 else -pool.low, pool.low if side > 0 else -pool.level,
                pool.score, pool.members, pool.source, side, timeframe_min,
            ))
    return np.array(rows, POOL_DTYPE)
