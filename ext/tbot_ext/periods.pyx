"""Period levels: trading day, week, sessions of Asia, London and New York, opening ranges (smc.md section 10).

A bar belongs to a period when start <= its start < end. Edges are wall-clock times of named zones, found anew for each
occurrence, so a change of clocks moves them:

    DAY         17:00 to 16:00 Chicago, named by the date on which it ends, a weekday
    WEEK        Sunday 17:00 to Friday 16:00 Chicago
    ASIA ...    the parameter `sessions`, where the local date of the start is a weekday
    OPENING_15  the first 15 minutes of New York's session, OPENING_30 the first 30

A period is finished by the first bar that closes at or after its end. That bar is part of it if it starts before the
end; a longer bar that overlaps the end is therefore taken in whole. A bar after a hole may finish one period and be the
last of the next: both events come with it. Until the next one of its kind is finished, the values stay, and the first
bar beyond the high or the low gives PERIOD_HIGH_BROKEN or PERIOD_LOW_BROKEN (side +1 or -1), once each. A bar that came
after the end and finished the period has often traded beyond already: that event then follows the period's own at once.

Details the rule leaves open, settled here. Bars that start from 16:00 to 17:00 Chicago belong to no day, though to the
week (markets of 2013 traded until 16:15), and bars of the weekend to neither; they may break levels all the same. An
early close changes no end: the day is then finished by the first bar of the next. A period without bars never was. A
period that began before the first bar after start-up or a reset is incomplete: it gives no event and no values, and is
shown with `complete` 0. An opening range is made only of bars that fit: its start and its length are whole multiples of
theirs; it does not care when the session ends. Where a change of clocks leaves nothing between start and end, there is
no period.
"""
from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t, uint16_t
from libc.string cimport memset

from tbot_ext.bars cimport floor_minutes
from tbot_ext.events cimport emit, minutes_ns
from tbot_ext.local_time cimport CHICAGO_C, day_number, days_ns, utc_offset_ns, wall_to_utc_ns, weekday
from tbot_ext.params cimport SESSIONS_C
from tbot_ext.records cimport (
    EVENT_DAY,
    EVENT_PERIOD_HIGH_BROKEN,
    EVENT_PERIOD_LOW_BROKEN,
    SOURCE_PART_HIGH,
    SOURCE_PART_LOW,
    Bar,
    Event,
)
from tbot_ext.series cimport View, bar_at, view_bar

import numpy as np

__all__ = ["PERIOD_DTYPE"]

# A copy for display: `id` is that of the event, -1 for none; prices in ticks; state 0 running, 1 finished.
PERIOD_DTYPE = np.dtype([
    ("id", "<i8"), ("start_ns", "<i8"), ("end_ns", "<i8"), ("high", "<i8"), ("low", "<i8"), ("close", "<i8"),
    ("bars", "<i8"), ("kind", "<u2"), ("state", "u1"), ("complete", "u1"), ("high_broken", "u1"), ("low_broken", "u1"),
    ("timeframe_min", "u1"),
])

cdef enum:
    DAY = 0                     # places in the arrays of PeriodState
    WEEK = 1
    ASIA = 2
    NEW_YORK = 4
    OPENING_15 = 5
    OPENING_30 = 6
    MONDAY_TO_FRIDAY = 0x1F     # bits of weekdays, Monday 1
    FRIDAY = 0x10
    OPEN_MIN = 17 * 60          # Chicago, the evening before
    CLOSE_MIN = 16 * 60
    DATES = 10                  # from the day before an instant on: a week and what may be over of it

cdef int SIDES[2]
SIDES[0], SIDES[1] = 1, -1


# ---------------------------------------------------------------- when

cdef void _rule(PeriodRule* rule, int zone, int weekdays, int start_day, int start_min, int end_day,
                int end_min) noexcept nogil:
    memset(rule, 0, sizeof(PeriodRule))
    rule.zone, rule.weekdays = zone, weekdays
    rule.start_day, rule.start_min, rule.end_day, rule.end_min = start_day, start_min, end_day, end_min


cdef void periods_bind(PeriodState* periods, const ParamValues* p) noexcept nogil:
    cdef int i, overnight
    _rule(&periods.rules[DAY], CHICAGO_C, MONDAY_TO_FRIDAY, -1, OPEN_MIN, 0, CLOSE_MIN)
    _rule(&periods.rules[WEEK], CHICAGO_C, FRIDAY, -5, OPEN_MIN, 0, CLOSE_MIN)
    for i in range(SESSIONS_C):
        overnight = p.sessions[i].end_min <= p.sessions[i].start_min
        _rule(&periods.rules[ASIA + i], p.sessions[i].zone, MONDAY_TO_FRIDAY, 0, p.sessions[i].start_min, overnight,
              p.sessions[i].end_min)
    for i in range(OPENING_15, PERIODS_C):
        periods.rules[i] = periods.rules[NEW_YORK]
        periods.rules[i].length_min = 15 if i == OPENING_15 else 30


cdef void periods_init(PeriodState* periods, const ParamValues* p) noexcept nogil:
    cdef int k
    memset(periods, 0, sizeof(PeriodState))
    periods_bind(periods, p)
    periods.stream_ns = INT64_MIN
    for k in range(PERIODS_C):
        periods.running[k].start_ns = periods.running[k].end_ns = INT64_MIN
    _guard(periods)


cdef int64_t _instant(const PeriodRule* rule, int64_t day, int32_t minute) noexcept nogil:
    return wall_to_utc_ns(rule.zone, days_ns(day) + minutes_ns(minute))


cdef void _next(Period* run, const PeriodRule* rule, int64_t after_ns, int timeframe_min) noexcept nogil:
    """The first occurrence that ends later than after_ns, not begun."""
    cdef int64_t today = day_number(after_ns + utc_offset_ns(rule.zone, after_ns)), start, end = INT64_MAX
    cdef int64_t anchor
    memset(run, 0, sizeof(Period))
    run.id = -1
    for anchor in range(today - 1, today - 1 + DATES):
        if not rule.weekdays >> weekday(anchor) & 1:
            continue
        start = _instant(rule, anchor + rule.start_day, rule.start_min)
        end = start + minutes_ns(rule.length_min)
        if rule.length_min == 0:
            end = _instant(rule, anchor + rule.end_day, rule.end_min)
        elif floor_minutes(start, timeframe_min) != start or rule.length_min % timeframe_min:
            continue
        if end > max(after_ns, start):
            run.start_ns, run.end_ns = start, end
            return
    # None of them fits the bars: no bar belongs to it, and the next dates are tried when these are over.
    run.start_ns, run.end_ns = INT64_MAX, end


# ---------------------------------------------------------------- finished ones

cdef void _guard(PeriodState* periods) noexcept nogil:
    """The nearest price beyond which a bar breaks something."""
    cdef const Period* done
    cdef int k, index
    periods.guards[0] = periods.guards[1] = INT64_MAX
    for k in range(PERIODS_C):
        done = &periods.finished[k]
        for index in range(2):
            if done.complete and not done.edges[index].broken:
                periods.guards[index] = min(periods.guards[index], done.edges[index].price)


cdef void _break(Period* done, int kind, int index, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil:
    cdef Event* event = emit(sink, bar, t, EVENT_PERIOD_LOW_BROKEN if index else EVENT_PERIOD_HIGH_BROKEN, SIDES[index])
    event.parent_id = done.id
    event.origin, event.origin_ns = t, bar.start_ns
    event.level = event.top = event.bottom = SIDES[index] * done.edges[index].price
    event.source = <uint16_t>(10 * kind + (SOURCE_PART_LOW if index else SOURCE_PART_HIGH))
    done.edges[index].broken = 1


cdef void periods_react(PeriodState* periods, const BarSeries* series, EventSink* sink) noexcept nogil:
    cdef int64_t t = series.n - 1
    cdef const Bar* bar = bar_at(series, t)
    cdef Period* done
    cdef View view
    cdef int k, index
    if bar.high <= periods.guards[0] and -bar.low <= periods.guards[1]:
        return
    for k in range(PERIODS_C):
        done = &periods.finished[k]
        for index in range(2):
            view_bar(&view, bar, SIDES[index])
            if done.complete and not done.edges[index].broken and view.high > done.edges[index].price:
                _break(done, EVENT_DAY + k, index, bar, t, sink)
    _guard(periods)


# ---------------------------------------------------------------- the running ones

cdef void _take(PeriodState* periods, int k, const Bar* bar, int64_t t) noexcept nogil:
    """The running period of kind k takes a bar in."""
    cdef Period* run = &periods.running[k]
    cdef PeriodEdge* edge
    cdef View view
    cdef int index
    if run.bars == 0:
        run.first_bar, run.first_ns = t, bar.start_ns
        run.complete = run.start_ns >= periods.stream_ns
    for index in range(2):
        view_bar(&view, bar, SIDES[index])
        edge = &run.edges[index]
        if run.bars == 0 or view.high > edge.price:
            edge.price, edge.bar, edge.bar_ns, edge.volume = view.high, t, bar.start_ns, bar.volume
    run.bars += 1
    run.close = bar.close
    run.volume += bar.volume
    run.delta += bar.delta


cdef int _finish(PeriodState* periods, int k, const BarSeries* series, EventSink* sink,
                 PeriodValues* out) noexcept nogil:
    """The running period of kind k becomes the finished one; 1 if it may be used: emitted, and written to *out."""
    cdef int64_t t = series.n - 1
    cdef const Bar* bar = bar_at(series, t)
    cdef Period* done = &periods.finished[k]
    cdef Event* event
    cdef View view
    cdef int index
    done[0] = periods.running[k]
    if not done.complete:
        return 0
    event = emit(sink, bar, t, EVENT_DAY + k, 0)
    done.id = event.id
    event.origin, event.origin_ns = done.first_bar, done.first_ns
    event.top, event.bottom, event.level = done.edges[0].price, -done.edges[1].price, done.close
    event.volume, event.delta = done.volume, done.delta
    event.n = <uint16_t>min(done.bars, 65535)
    for index in range(2):      # beyond already: only a bar that starts after the end can be
        view_bar(&view, bar, SIDES[index])
        if view.high > done.edges[index].price:
            _break(done, EVENT_DAY + k, index, bar, t, sink)
    _values(done, EVENT_DAY + k, out)
    return 1


cdef void _values(const Period* done, int kind, PeriodValues* out) noexcept nogil:
    """What levels and pools are told of a period."""
    out.event_id, out.kind = done.id, <uint8_t>kind
    out.start_ns, out.end_ns = done.start_ns, done.end_ns
    out.high, out.low, out.close = done.edges[0].price, -done.edges[1].price, done.close
    out.high_bar, out.high_start_ns = done.edges[0].bar, done.edges[0].bar_ns
    out.low_bar, out.low_start_ns = done.edges[1].bar, done.edges[1].bar_ns
    out.high_volume, out.low_volume = done.edges[0].volume, done.edges[1].volume
    out.high_gone, out.low_gone = done.edges[0].broken, done.edges[1].broken


cdef int periods_push(PeriodState* periods, const BarSeries* series, EventSink* sink, PeriodValues* out) noexcept nogil:
    cdef int64_t t = series.n - 1
    cdef const Bar* bar = bar_at(series, t)
    cdef int64_t close_ns = bar.start_ns + minutes_ns(bar.timeframe_min)
    cdef Period* run
    cdef bint over = False
    cdef int k, n = 0
    if periods.stream_ns == INT64_MIN:
        periods.stream_ns = bar.start_ns
    for k in range(PERIODS_C):
        run = &periods.running[k]
        if bar.start_ns >= run.end_ns:
            if run.bars > 0:
                over = True
                n += _finish(periods, k, series, sink, &out[n])
            _next(run, &periods.rules[k], bar.start_ns, bar.timeframe_min)
        if bar.start_ns >= run.start_ns:
            _take(periods, k, bar, t)
            if close_ns >= run.end_ns:
                over = True
                n += _finish(periods, k, series, sink, &out[n])
                _next(run, &periods.rules[k], run.end_ns, bar.timeframe_min)
    if over:
        _guard(periods)
    return n


# ---------------------------------------------------------------- another contract, display

cdef void _shift(Period* period, int64_t spread) noexcept nogil:
    period.edges[0].price += spread
    period.edges[1].price -= spread
    period.close += spread


cdef void periods_shift(PeriodState* periods, int64_t spread) noexcept nogil:
    cdef int k
    for k in range(PERIODS_C):
        _shift(&periods.running[k], spread)
        _shift(&periods.finished[k], spread)
    _guard(periods)


cdef tuple _row(const Period* period, int kind, int state, int timeframe_min):
    return (
        period.id, period.start_ns, period.end_ns, period.edges[0].price, -period.edges[1].price, period.close,
        period.bars, kind, state, period.complete, period.edges[0].broken, period.edges[1].broken, timeframe_min,
    )


cdef periods_array(const PeriodState* periods, int timeframe_min):
    """In the order of kinds, the finished one before the running one."""
    cdef int k
    rows = []
    for k in range(PERIODS_C):
        if periods.finished[k].bars > 0:
            rows.append(_row(&periods.finished[k], EVENT_DAY + k, 1, timeframe_min))
        if periods.running[k].bars > 0:
            rows.append(_row(&periods.running[k], EVENT_DAY + k, 0, timeframe_min))
    return np.array(rows, PERIOD_DTYPE)
