"""Order blocks: born by a break of structure, then ACTIVE, TESTED, MITIGATED, BROKEN or EXPIRED (smc.md section 6).

Details the rule leaves open, settled here. The base of the move is looked for in the bars still kept (1024). A block
lives while `t - born <= max_age` and is EXPIRED by the next bar before it could react to it. After MITIGATED only its
end is reported, no further tests. A bar that gaps through the zone breaks it without test or mitigation: it did not
trade there. parts: displacement, volume, gap, sweep, structure, each 0..1.
"""
from libc.stdint cimport int64_t
from libc.string cimport memset

from tbot_ext.events cimport minutes_ns
from tbot_ext.gaps cimport gaps_unfilled
from tbot_ext.pools cimport PoolState, pools_swept
from tbot_ext.records cimport (
    EVENT_OB,
    EVENT_OB_BROKEN,
    EVENT_OB_EXPIRED,
    EVENT_OB_MITIGATED,
    EVENT_OB_REFRESHED,
    EVENT_OB_TESTED,
    FLAG_BODY_ZONE,
    FLAG_NO_COLOUR,
    Event,
)
from tbot_ext.series cimport View, bar_at, clip, oldest_bar, view_bar, volume_factor
from tbot_ext.zones cimport (
    ZONE_ACTIVE,
    ZONE_MITIGATED,
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


cdef void blocks_init(BlockState* blocks) noexcept nogil:
    blocks.broken_n = 0
    zones_init(&blocks.lists[0], 1)
    zones_init(&blocks.lists[1], -1)


cdef void blocks_shift(BlockState* blocks, int64_t spread) noexcept nogil:
    zones_shift(&blocks.lists[0], spread)
    zones_shift(&blocks.lists[1], spread)


# ---------------------------------------------------------------- life

cdef void _emit_life(const Zone* zone, int side, const Bar* bar, int64_t t, int kind, EventSink* sink) noexcept nogil:
    cdef Event* event = emit_zone(sink, bar, t, kind, zone, side)
    event.parent_id = zone.id
    event.n = zone.tests


cdef bint _react(Zone* zone, int side, const ParamValues* p, const View* view, const Bar* bar, int64_t t,
                 EventSink* sink) noexcept nogil:
    """Lets one block react to a bar: test, mitigate and break, in this order; False when that was its end."""
    cdef bint touched = view.low <= zone.top
    if touched and view.high >= zone.bottom:
        if zone.state != ZONE_MITIGATED and not zone.inside:
            zone.state = ZONE_TESTED
            zone.tests += 1
            _emit_life(zone, side, bar, t, EVENT_OB_TESTED, sink)
        if zone.state == ZONE_TESTED and 2 * view.low <= zone.top + zone.bottom:
            zone.state = ZONE_MITIGATED
            _emit_life(zone, side, bar, t, EVENT_OB_MITIGATED, sink)
    zone.inside = touched
    if (view.low if p.zone_break_wick else view.close) < zone.bottom:
        _emit_life(zone, side, bar, t, EVENT_OB_BROKEN, sink)
        return False
    return True


cdef void _watch(ZoneList* zones, const Zone* zone) noexcept nogil:
    """Tighten the list's guard to the prices at which this block changes next."""
    cdef int64_t price
    if zone.state == ZONE_MITIGATED:
        price = zone.bottom - 1
    elif zone.inside:
        price = (zone.top + zone.bottom) >> 1           # the arithmetic shift rounds down for negative prices, too
        zones.rise_low = min(zones.rise_low, zone.top)
    else:
        price = zone.top
    zones.fall = max(zones.fall, price)


cdef void blocks_react(BlockState* blocks, const ParamValues* p, const Bar* bar, int64_t t,
                       EventSink* sink) noexcept nogil:
    cdef ZoneList* zones
    cdef Zone* zone
    cdef View view
    cdef int index, i, kept
    blocks.broken_n = 0
    for index in range(2):
        zones = &blocks.lists[index]
        view_bar(&view, bar, zones.side)
        if zones_asleep(zones, &view, t, p.max_age):
            continue
        zones_relax(zones)
        kept = 0
        for i in range(zones.n):
            zone = &zones.items[i]
            if t - zone.born > p.max_age:
                _emit_life(zone, zones.side, bar, t, EVENT_OB_EXPIRED, sink)
                continue
            if not _react(zone, zones.side, p, &view, bar, t, sink):
                blocks.broken[blocks.broken_n], blocks.broken_side[blocks.broken_n] = zone[0], zones.side
                blocks.broken_n += 1
                continue
            _watch(zones, zone)
            if kept != i:
                zones.items[kept] = zone[0]
            kept += 1
        zones.n = kept


# ---------------------------------------------------------------- birth

cdef int64_t _base(const BarSeries* series, int side, int64_t first, int64_t last) noexcept nogil:
    """Number of the bar with the lowest low in first..last, the last one on ties."""
    cdef View view
    cdef int64_t i, best = first, lowest = 0
    for i in range(first, last + 1):
        view_bar(&view, bar_at(series, i), side)
        if i == first or view.low <= lowest:
            best, lowest = i, view.low
    return best


cdef int64_t _opposite(const BarSeries* series, int side, int64_t first, int64_t k) noexcept nogil:
    """Number of the latest bar in first..k that closed against the move, -1 if none did."""
    cdef View view
    cdef int64_t i
    for i in range(k, first - 1, -1):
        view_bar(&view, bar_at(series, i), side)
        if view.close < view.open:
            return i
    return -1


cdef bint _bounds(Zone* zone, const ParamValues* p, const BarSeries* series, int side, int64_t k,
                  double atr) noexcept nogil:
    """Edges of a block with anchor zone.origin and base k; False when it is too tall even as a body."""
    cdef View view
    view_bar(&view, bar_at(series, k), side)
    zone.bottom = view.low
    view_bar(&view, bar_at(series, zone.origin), side)
    zone.top = max(view.open, view.close) if p.ob_body else view.high
    if zone.top - zone.bottom > p.ob_max_height_atr * atr:
        if p.ob_body:
            return False
        zone.top = max(view.open, view.close)
        zone.flags |= FLAG_BODY_ZONE
        if zone.top - zone.bottom > p.ob_max_height_atr * atr:
            return False
    if zone.top == zone.bottom:
        zone.top += 1
    return True


cdef void _measure(Zone* zone, const BarSeries* series, int64_t k, int unfilled_gap, int swept, int choch,
                   double displacement, double volume) noexcept nogil:
    """Volume, delta, score and its components of a block with anchor zone.origin and base k."""
    cdef double volf
    cdef int64_t i
    for i in range(zone.origin, k + 1):
        zone.volume += bar_at(series, i).volume
        zone.delta += bar_at(series, i).delta
    volf = volume_factor(<double>zone.volume / (k - zone.origin + 1), volume)
    blocks_score(zone, displacement, volf, unfilled_gap, swept, choch)


cdef void blocks_score(Zone* zone, double displacement, double volf, int unfilled_gap, int swept,
                       int choch) noexcept nogil:
    cdef double dispf = clip(displacement / 3.0)
    cdef double gapf = 1.0 if unfilled_gap else 0.0
    cdef double sweepf = 1.0 if swept else 0.0
    cdef double structf = 1.0 if choch else 0.5
    zone.score = 100.0 * (0.30 * dispf + 0.25 * volf + 0.20 * gapf + 0.15 * sweepf + 0.10 * structf)
    zone.parts[0], zone.parts[1], zone.parts[2] = <float>dispf, <float>volf, <float>gapf
    zone.parts[3], zone.parts[4] = <float>sweepf, <float>structf


cdef bint _refresh(ZoneList* zones, const Zone* fresh, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    """If an untested block has the same anchor, give it the new score instead of a twin."""
    cdef Zone* zone
    cdef int i, k
    for i in range(zones.n):
        zone = &zones.items[i]
        if zone.origin == fresh.origin and zone.state == ZONE_ACTIVE:
            zone.score = fresh.score
            for k in range(5):
                zone.parts[k] = fresh.parts[k]
            _emit_life(zone, zones.side, bar, t, EVENT_OB_REFRESHED, sink)
            return True
    return False


cdef void blocks_birth(BlockState* blocks, const ParamValues* p, const BarSeries* series, const StructureBreak* broken,
                       const GapState* gaps, const PoolState* pools, double atr, double volume,
                       EventSink* sink) noexcept nogil:
    cdef ZoneList* zones = &blocks.lists[0 if broken.side > 0 else 1]
    cdef int side = broken.side
    cdef int64_t t = series.n - 1
    cdef const Bar* bar = bar_at(series, t)
    cdef int64_t first = max(broken.swing_bar + 1, oldest_bar(series))
    cdef int64_t k, j
    cdef double displacement
    cdef Zone zone, evicted
    cdef View view
    if not atr > 0.0 or first > t - 1:
        return
    memset(&zone, 0, sizeof(Zone))
    k = _base(series, side, first, t - 1)
    j = k
    if not p.ob_extreme:
        j = _opposite(series, side, max(first, k - p.ob_search), k)
        if j < 0:
            j = k
            zone.flags = FLAG_NO_COLOUR
    zone.origin, zone.origin_ns = j, bar_at(series, j).start_ns
    zone.born, zone.known_ns = t, bar.start_ns + minutes_ns(bar.timeframe_min)
    zone.state = ZONE_ACTIVE
    if not _bounds(&zone, p, series, side, k, atr):
        return
    view_bar(&view, bar, side)
    displacement = (view.close - zone.bottom) / atr
    if displacement < p.ob_min_disp_atr:
        return
    _measure(&zone, series, k, gaps_unfilled(gaps, side, k + 1, t - 1), pools_swept(pools, -side, j, k), broken.choch,
             displacement, volume)
    if _refresh(zones, &zone, bar, t, sink):
        return
    if zones_make_room(zones, p.max_zones, &evicted):
        _emit_life(&evicted, side, bar, t, EVENT_OB_EXPIRED, sink)
    zone.id = emit_zone(sink, bar, t, EVENT_OB, &zone, side).id
    zones.items[zones.n] = zone
    zones.n += 1
    _watch(zones, &zone)
