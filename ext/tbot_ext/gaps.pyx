"""Fair value gaps: OPEN, TOUCHED, HALF, FILLED, and INVERTED when a bar closes through a filled one (smc.md section 5).

Details the rule leaves open, settled here. A gap lives while `t - born <= max_age` and is EXPIRED by the next bar
before it could react to it, whatever its state. An inverted gap keeps its place in the list of its birth side; its
events carry the side it trades now. `n` of a birth event is the gap's place in its stack of adjacent gaps, 1 first.
parts: size, volume, body, and in life-cycle events the fill (0..1) as the fourth. No gap is born while the ATR is
undefined.
"""
from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memset

from tbot_ext.events cimport minutes_ns
from tbot_ext.records cimport (
    EVENT_FVG,
    EVENT_FVG_DEAD,
    EVENT_FVG_EXPIRED,
    EVENT_FVG_FILLED,
    EVENT_FVG_HALF,
    EVENT_FVG_INVERTED,
    EVENT_FVG_TOUCHED,
    EVENT_OPENING_GAP,
    FLAG_SESSION_BREAK,
    Event,
)
from tbot_ext.series cimport View, bar_at, clip, oldest_bar, view_bar, volume_factor
from tbot_ext.zones cimport (
    ZONE_FILLED,
    ZONE_HALF,
    ZONE_INVERTED,
    ZONE_OPEN,
    ZONE_TOUCHED,
    Zone,
    emit_zone,
    zones_asleep,
    zones_init,
    zones_make_room,
    zones_relax,
    zones_shift,
)

__all__ = []  # for the detector only


cdef void gaps_init(GapState* gaps) noexcept nogil:
    memset(gaps, 0, sizeof(GapState))
    zones_init(&gaps.lists[0], 1)
    zones_init(&gaps.lists[1], -1)
    gaps.stacks[0].origin = gaps.stacks[1].origin = -2


cdef void gaps_shift(GapState* gaps, int64_t spread) noexcept nogil:
    zones_shift(&gaps.lists[0], spread)
    zones_shift(&gaps.lists[1], spread)


# ---------------------------------------------------------------- life

cdef void _emit_life(const Zone* zone, int side, const Bar* bar, int64_t t, int kind, EventSink* sink) noexcept nogil:
    """A life-cycle event; an inverted gap has changed sides."""
    cdef Event* event = emit_zone(sink, bar, t, kind, zone, side)
    event.parent_id = zone.id
    event.n = zone.stack_n
    if zone.state == ZONE_INVERTED:
        event.side = -side


cdef bint _react(Zone* zone, int side, const View* view, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    """Lets one gap react to a bar; False when that was its end."""
    if zone.state == ZONE_INVERTED:
        if view.close > zone.top:
            _emit_life(zone, side, bar, t, EVENT_FVG_DEAD, sink)
            return False
        return True
    # The fill is set by transitions only: at each of them this low is the lowest since birth, guard or no guard.
    cdef float fill = <float>clip(<double>(zone.top - view.low) / (zone.top - zone.bottom))
    if zone.state == ZONE_OPEN and view.low <= zone.top:
        zone.state, zone.parts[3] = ZONE_TOUCHED, fill
        _emit_life(zone, side, bar, t, EVENT_FVG_TOUCHED, sink)
    if zone.state == ZONE_TOUCHED and 2 * view.low <= zone.top + zone.bottom:
        zone.state, zone.parts[3] = ZONE_HALF, fill
        _emit_life(zone, side, bar, t, EVENT_FVG_HALF, sink)
    if zone.state == ZONE_HALF and view.low <= zone.bottom:
        zone.state, zone.parts[3] = ZONE_FILLED, fill
        _emit_life(zone, side, bar, t, EVENT_FVG_FILLED, sink)
    if zone.state == ZONE_FILLED and view.close < zone.bottom:
        zone.state = ZONE_INVERTED
        _emit_life(zone, side, bar, t, EVENT_FVG_INVERTED, sink)
    return True


cdef void _watch(ZoneList* zones, const Zone* zone) noexcept nogil:
    """Tighten the list's guard to the price at which this gap changes next."""
    cdef int64_t price
    if zone.state == ZONE_INVERTED:
        zones.rise_high = min(zones.rise_high, zone.top)
        return
    if zone.state == ZONE_OPEN:
        price = zone.top
    elif zone.state == ZONE_TOUCHED:
        price = (zone.top + zone.bottom) >> 1           # the arithmetic shift rounds down for negative prices, too
    elif zone.state == ZONE_HALF:
        price = zone.bottom
    else:
        price = zone.bottom - 1
    zones.fall = max(zones.fall, price)


cdef void gaps_react(GapState* gaps, const ParamValues* p, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    cdef ZoneList* zones
    cdef Zone* zone
    cdef View view
    cdef int index, i, kept
    for index in range(2):
        zones = &gaps.lists[index]
        view_bar(&view, bar, zones.side)
        if zones_asleep(zones, &view, t, p.max_age):
            continue
        zones_relax(zones)
        kept = 0
        for i in range(zones.n):
            zone = &zones.items[i]
            if t - zone.born > p.max_age:
                _emit_life(zone, zones.side, bar, t, EVENT_FVG_EXPIRED, sink)
                continue
            if not _react(zone, zones.side, &view, bar, t, sink):
                continue
            _watch(zones, zone)
            if kept != i:
                zones.items[kept] = zone[0]
            kept += 1
        zones.n = kept


# ---------------------------------------------------------------- birth

cdef void _measure(Zone* zone, const Bar* middle, double atr, double volume) noexcept nogil:
    """Score and its components; the middle bar carries volume and body."""
    cdef int64_t spread = middle.high - middle.low
    cdef int64_t body = middle.close - middle.open
    cdef double size = clip((zone.top - zone.bottom) / atr)
    cdef double volf = volume_factor(<double>middle.volume, volume)
    cdef double bodyf = clip(<double>(body if body >= 0 else -body) / spread) if spread > 0 else 0.0
    zone.score = size * 0.5 + volf * 0.3 + bodyf * 0.2
    zone.parts[0], zone.parts[1], zone.parts[2] = <float>size, <float>volf, <float>bodyf
    zone.volume, zone.delta = middle.volume, middle.delta


cdef void _keep(GapState* gaps, int index, Zone* zone, const ParamValues* p, const Bar* bar, int64_t t,
                EventSink* sink) noexcept nogil:
    """Enter a new gap in its list and stack, and emit its birth."""
    cdef ZoneList* zones = &gaps.lists[index]
    cdef GapStack* stack = &gaps.stacks[index]
    cdef Zone evicted
    cdef Event* event
    if zones_make_room(zones, p.max_zones, &evicted):
        _emit_life(&evicted, zones.side, bar, t, EVENT_FVG_EXPIRED, sink)
    event = emit_zone(sink, bar, t, EVENT_FVG, zone, zones.side)
    zone.id = event.id
    if stack.origin + 1 != zone.origin:
        stack.stack_id = zone.id
        stack.n = 0
    stack.origin = zone.origin
    stack.n += 1
    zone.stack_id = stack.stack_id
    zone.stack_n = event.n = <uint16_t>min(stack.n, 65535)
    zones.items[zones.n] = zone[0]
    zones.n += 1
    _watch(zones, zone)


cdef void gaps_birth(GapState* gaps, const ParamValues* p, const BarSeries* series, double atr, double volume,
                     EventSink* sink) noexcept nogil:
    cdef int64_t t = series.n - 1
    cdef const Bar* bar
    cdef const Bar* middle
    cdef const Bar* first
    cdef View newest, body, oldest
    cdef Zone zone
    cdef int index, side
    if t - 2 < oldest_bar(series) or not atr > 0.0:
        return
    bar, middle, first = bar_at(series, t), bar_at(series, t - 1), bar_at(series, t - 2)
    for index in range(2):
        side = gaps.lists[index].side
        view_bar(&newest, bar, side)
        view_bar(&oldest, first, side)
        if newest.low - oldest.high < p.fvg_min_ticks or newest.low - oldest.high < p.fvg_min_atr * atr:
            continue
        view_bar(&body, middle, side)
        if p.fvg_need_body and body.close <= body.open:
            continue
        memset(&zone, 0, sizeof(Zone))
        zone.born, zone.known_ns = t, bar.start_ns + minutes_ns(bar.timeframe_min)
        zone.origin, zone.origin_ns = t - 1, middle.start_ns
        zone.top, zone.bottom = newest.low, oldest.high
        _measure(&zone, middle, atr, volume)
        if (first.flags | middle.flags | bar.flags) & FLAG_SESSION_BREAK:
            zone.flags = FLAG_SESSION_BREAK
            emit_zone(sink, bar, t, EVENT_OPENING_GAP, &zone, side)
        else:
            _keep(gaps, index, &zone, p, bar, t, sink)


cdef int gaps_born(const GapState* gaps, int side, int64_t t) noexcept nogil:
    cdef const ZoneList* zones = &gaps.lists[0 if side > 0 else 1]
    return zones.n > 0 and zones.items[zones.n - 1].born == t


cdef int gaps_unfilled(const GapState* gaps, int side, int64_t first, int64_t last) noexcept nogil:
    cdef const ZoneList* zones = &gaps.lists[0 if side > 0 else 1]
    cdef int i
    for i in range(zones.n - 1, -1, -1):
        if zones.items[i].origin < first:
            return 0
        if zones.items[i].origin <= last and zones.items[i].state < ZONE_FILLED:
            return 1
    return 0
