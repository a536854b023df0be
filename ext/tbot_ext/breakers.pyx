"""Breaker and mitigation blocks: what a broken order block, and what a failed leg leaves behind (smc.md section 7).

Details the rule leaves open, settled here.

From an order block: the breaker has the block's bounds, origin, volume, delta, zone flags and parts, its own side, and
the broken block as parent. The break distance runs from the far edge to the breaking price: the close, or the extreme
in wick mode. At a bar all live breakers react first; then the new ones are born in the order in which their blocks
broke. None is born while the ATR is undefined or 0.

From structure, in the words of a bearish break of SL: B is the latest known swing high if it lies after SL, P the
latest known swing high before SL among the last 64 (one on the bar of SL is neither); both are needed. The zone is the
range of the last down-close candle in SL - ob_search .. SL, as far as bars are kept (1024); it closed below its open,
so that range is never empty. A zone beyond whose far edge the breaking bar has already closed is not born: it would be
dead. Score and parts are those of an order block of that side: displacement from the far edge to the close, volume of
the candle, gaps after the candle; 1 for a sweep when B lies beyond P, which makes it a BREAKER, 0 for a
MITIGATION_BLOCK. When a breaker born of an order block at the same bar shares a price with it (edges included), or a
live zone of its side has the same origin and bounds, it is emitted with flag DUPLICATE and the id of that zone as
parent, and not kept; the breaker of the same bar is looked for first, the oldest first.

Life of both kinds: ACTIVE, TESTED, then DEAD by a close beyond the far edge (in wick mode, too), or EXPIRED, either by
the first bar with `t - born > max_age` before it could react to it, or because max_zones zones of the side stand, both
kinds counted together. Entries are counted as for an order block: a new test needs a bar that stays away in between, a
bar that gaps through tests nothing. `n` = tests so far.
"""
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from tbot_ext.events cimport minutes_ns
from tbot_ext.gaps cimport gaps_unfilled
from tbot_ext.order_blocks cimport blocks_score
from tbot_ext.records cimport (
    EVENT_BREAKER,
    EVENT_BREAKER_DEAD,
    EVENT_BREAKER_EXPIRED,
    EVENT_BREAKER_TESTED,
    EVENT_MITIGATION_BLOCK,
    EVENT_MITIGATION_DEAD,
    EVENT_MITIGATION_EXPIRED,
    EVENT_MITIGATION_TESTED,
    FLAG_DUPLICATE,
    Event,
)
from tbot_ext.series cimport View, bar_at, clip, oldest_bar, view_bar, volume_factor
from tbot_ext.zones cimport (
    ZONE_ACTIVE,
    ZONE_TESTED,
    Zone,
    emit_zone,
    zones_asleep,
    zones_init,
    zones_make_room,
    zones_relax,
    zones_shift,
)

__all__ = []  # for the detector only


cdef void breakers_init(BreakerState* breakers) noexcept nogil:
    memset(breakers, 0, sizeof(BreakerState))
    zones_init(&breakers.lists[0], 1)
    zones_init(&breakers.lists[1], -1)


cdef void breakers_shift(BreakerState* breakers, int64_t spread) noexcept nogil:
    cdef int k
    zones_shift(&breakers.lists[0], spread)
    zones_shift(&breakers.lists[1], spread)
    for k in range(MARKS_C):
        breakers.swings[0].items[k].level += spread
        breakers.swings[1].items[k].level -= spread


cdef void breakers_swing(BreakerState* breakers, int side, int64_t i, int64_t level) noexcept nogil:
    cdef SwingMemory* memory = &breakers.swings[0 if side > 0 else 1]
    memory.items[memory.n & (MARKS_C - 1)].bar = i
    memory.items[memory.n & (MARKS_C - 1)].level = level
    memory.n += 1


# ---------------------------------------------------------------- life

cdef void _emit_life(const Zone* zone, int side, const Bar* bar, int64_t t, int kind, EventSink* sink) noexcept nogil:
    cdef Event* event = emit_zone(sink, bar, t, kind, zone, side)
    event.parent_id = zone.id
    event.n = zone.tests


cdef void _emit_expired(const Zone* zone, int side, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    cdef bint breaker = zone.kind == EVENT_BREAKER
    _emit_life(zone, side, bar, t, EVENT_BREAKER_EXPIRED if breaker else EVENT_MITIGATION_EXPIRED, sink)


cdef bint _react(Zone* zone, int side, const View* view, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    """Lets one zone react to a bar: a test, then its death; False when that was its end."""
    cdef bint breaker = zone.kind == EVENT_BREAKER
    cdef bint touched = view.low <= zone.top
    if touched and not zone.inside and view.high >= zone.bottom:
        zone.state = ZONE_TESTED
        zone.tests += 1
        _emit_life(zone, side, bar, t, EVENT_BREAKER_TESTED if breaker else EVENT_MITIGATION_TESTED, sink)
    zone.inside = touched
    if view.close < zone.bottom:
        _emit_life(zone, side, bar, t, EVENT_BREAKER_DEAD if breaker else EVENT_MITIGATION_DEAD, sink)
        return False
    return True


cdef void _watch(ZoneList* zones, const Zone* zone) noexcept nogil:
    """Tighten the list's guard to the prices at which this zone changes next."""
    if zone.inside:
        zones.fall = max(zones.fall, zone.bottom - 1)
        zones.rise_low = min(zones.rise_low, zone.top)
    else:
        zones.fall = max(zones.fall, zone.top)


cdef void _walk(ZoneList* zones, const ParamValues* p, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    cdef Zone* zone
    cdef View view
    cdef int i, kept = 0
    view_bar(&view, bar, zones.side)
    if zones_asleep(zones, &view, t, p.max_age):
        return
    zones_relax(zones)
    for i in range(zones.n):
        zone = &zones.items[i]
        if t - zone.born > p.max_age:
            _emit_expired(zone, zones.side, bar, t, sink)
            continue
        if not _react(zone, zones.side, &view, bar, t, sink):
            continue
        _watch(zones, zone)
        if kept != i:
            zones.items[kept] = zone[0]
        kept += 1
    zones.n = kept


# ---------------------------------------------------------------- birth

cdef void _born(Zone* zone, int kind, const Bar* bar, int64_t t) noexcept nogil:
    zone.kind, zone.state = <uint8_t>kind, ZONE_ACTIVE
    zone.tests = zone.inside = 0
    zone.born, zone.known_ns = t, bar.start_ns + minutes_ns(bar.timeframe_min)


cdef void _keep(ZoneList* zones, Zone* zone, int64_t parent_id, const ParamValues* p, const Bar* bar, int64_t t,
                EventSink* sink) noexcept nogil:
    """Enter a new zone in its list, and emit its birth."""
    cdef Zone evicted
    cdef Event* event
    if zones_make_room(zones, p.max_zones, &evicted):
        _emit_expired(&evicted, zones.side, bar, t, sink)
    event = emit_zone(sink, bar, t, zone.kind, zone, zones.side)
    event.parent_id = parent_id
    zone.id = event.id
    zones.items[zones.n] = zone[0]
    zones.n += 1
    _watch(zones, zone)


cdef void _flip(BreakerState* breakers, const Zone* block, int side, const ParamValues* p, const Bar* bar, int64_t t,
                double atr, EventSink* sink) noexcept nogil:
    """A block of `side` broke at bar t: a breaker of the other side."""
    cdef Zone zone = block[0]
    cdef View view
    view_bar(&view, bar, side)
    zone.score *= 0.5 + 0.5 * clip((block.bottom - (view.low if p.zone_break_wick else view.close)) / atr)
    zone.top, zone.bottom = -block.bottom, -block.top
    _born(&zone, EVENT_BREAKER, bar, t)
    _keep(&breakers.lists[1 if side > 0 else 0], &zone, block.id, p, bar, t, sink)


cdef void breakers_react(BreakerState* breakers, const ParamValues* p, const Bar* bar, int64_t t,
                         const BlockState* blocks, double atr, EventSink* sink) noexcept nogil:
    cdef int i
    _walk(&breakers.lists[0], p, bar, t, sink)
    _walk(&breakers.lists[1], p, bar, t, sink)
    if not atr > 0.0:
        return
    for i in range(blocks.broken_n):
        _flip(breakers, &blocks.broken[i], blocks.broken_side[i], p, bar, t, atr, sink)


cdef int _failed_leg(const SwingMemory* memory, int64_t swing_bar) noexcept nogil:
    """EventKind of the zone left by a leg from swing_bar whose end is the newest of the other side's swings, 0 if none.

    The end must lie after swing_bar; whether it reached beyond the last swing before swing_bar tells the kind.
    """
    cdef const SwingMark* mark
    cdef int64_t k, level
    if memory.n == 0 or memory.items[(memory.n - 1) & (MARKS_C - 1)].bar <= swing_bar:
        return 0
    level = memory.items[(memory.n - 1) & (MARKS_C - 1)].level
    for k in range(memory.n - 2, max(memory.n - MARKS_C, 0) - 1, -1):
        mark = &memory.items[k & (MARKS_C - 1)]
        if mark.bar < swing_bar:
            return EVENT_BREAKER if level > mark.level else EVENT_MITIGATION_BLOCK
    return 0


cdef int64_t _anchor(const BarSeries* series, int side, int64_t first, int64_t last) noexcept nogil:
    """Number of the latest bar in first..last that closed the way the structure broke, -1 if none did."""
    cdef View view
    cdef int64_t i
    for i in range(last, first - 1, -1):
        view_bar(&view, bar_at(series, i), side)
        if view.close > view.open:
            return i
    return -1


cdef int64_t _stand_in(const ZoneList* zones, const Zone* zone) noexcept nogil:
    """Id of the kept zone that stands for a new one, -1 if none does."""
    cdef const Zone* other
    cdef int i
    for i in range(zones.n):
        other = &zones.items[i]
        if other.born == zone.born and other.bottom <= zone.top and zone.bottom <= other.top:
            return other.id
    for i in range(zones.n):
        other = &zones.items[i]
        if other.origin == zone.origin and other.top == zone.top and other.bottom == zone.bottom:
            return other.id
    return -1


cdef void breakers_birth(BreakerState* breakers, const ParamValues* p, const BarSeries* series,
                         const StructureBreak* broken, const GapState* gaps, const PoolState* pools, double atr,
                         double volume, EventSink* sink) noexcept nogil:
    cdef int side = broken.side
    cdef ZoneList* zones = &breakers.lists[0 if side > 0 else 1]
    cdef int64_t t = series.n - 1
    cdef const Bar* bar = bar_at(series, t)
    cdef const Bar* anchor
    cdef int kind
    cdef int64_t i, stand_in
    cdef Zone zone
    cdef View view
    if not atr > 0.0:
        return
    kind = _failed_leg(&breakers.swings[1 if side > 0 else 0], broken.swing_bar)
    if not kind:
        return
    i = _anchor(series, side, max(broken.swing_bar - p.ob_search, oldest_bar(series)), broken.swing_bar)
    if i < 0:
        return
    anchor = bar_at(series, i)
    memset(&zone, 0, sizeof(Zone))
    view_bar(&view, anchor, side)
    zone.bottom, zone.top = view.low, view.high
    view_bar(&view, bar, side)
    if view.close < zone.bottom:
        return
    zone.origin, zone.origin_ns = i, anchor.start_ns
    zone.volume, zone.delta = anchor.volume, anchor.delta
    _born(&zone, kind, bar, t)
    blocks_score(&zone, (view.close - zone.bottom) / atr, volume_factor(<double>anchor.volume, volume),
                 gaps_unfilled(gaps, side, i + 1, t - 1), kind == EVENT_BREAKER, broken.choch)
    stand_in = _stand_in(zones, &zone)
    if stand_in < 0:
        _keep(zones, &zone, -1, p, bar, t, sink)
        return
    zone.flags = FLAG_DUPLICATE
    emit_zone(sink, bar, t, kind, &zone, side).parent_id = stand_in
