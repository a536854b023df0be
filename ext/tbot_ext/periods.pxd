# Values of finished periods: trading day, week, sessions, opening ranges (smc.md section 10).
from libc.stdint cimport int32_t, int64_t, uint8_t

from tbot_ext.events cimport EventSink
from tbot_ext.params cimport ParamValues
from tbot_ext.series cimport BarSeries

cdef enum:
    PERIODS_C = 7               # day, week, Asia, London, New York, opening range of 15 and of 30 minutes
    ENDED_C = 2 * PERIODS_C     # that one bar can end: a kind's old one, and the one of which it is the last bar

cdef struct PeriodValues:       # a period that has just ended; prices in ticks
    int64_t event_id            # of its event
    int64_t high
    int64_t low
    int64_t close
    int64_t high_bar            # number of the first bar that made the high; the series may have forgotten that bar
    int64_t low_bar
    int64_t high_start_ns       # of that bar
    int64_t low_start_ns
    int64_t high_volume         # contracts of that bar
    int64_t low_volume
    int64_t start_ns
    int64_t end_ns
    uint8_t kind                # EventKind: EVENT_DAY ...
    uint8_t high_gone           # the bar at which it became known has already traded beyond
    uint8_t low_gone

cdef struct PeriodRule:         # when a kind of period happens; dates are local ones, counted from an anchor date
    int32_t zone                # local_time.zone_index
    int32_t weekdays            # bit per weekday (Monday 1) on which an anchor date may lie
    int32_t start_day           # days from the anchor date to the date of the start
    int32_t start_min           # minutes after local midnight
    int32_t end_day
    int32_t end_min
    int32_t length_min          # of an opening range, which ends by length; else 0

cdef struct PeriodEdge:         # index 0: the high, 1: the low with its price negated
    int64_t price
    int64_t bar                 # number of the first bar that made it
    int64_t bar_ns              # its start
    int64_t volume              # of that bar
    uint8_t broken              # by a bar after it became known

cdef struct Period:
    int64_t id                  # of its event, -1 none
    int64_t start_ns
    int64_t end_ns
    int64_t bars                # taken in; 0: not begun
    int64_t first_bar
    int64_t first_ns
    int64_t close
    int64_t volume
    int64_t delta
    PeriodEdge edges[2]
    uint8_t complete            # its bars were seen from the start: it may be used

cdef struct PeriodState:        # by kind, in the order of EVENT_DAY ...
    PeriodRule rules[PERIODS_C]
    Period running[PERIODS_C]   # begun, or the next to begin
    Period finished[PERIODS_C]  # the newest one
    int64_t guards[2]           # a bar breaks nothing that is finished unless it trades beyond (index as for edges)
    int64_t stream_ns           # start of the first bar taken, INT64_MIN before it

cdef void periods_init(PeriodState* periods, const ParamValues* p) noexcept nogil
# Zones are numbered anew in every process: to be called as well after a state came from another one.
cdef void periods_bind(PeriodState* periods, const ParamValues* p) noexcept nogil
cdef void periods_shift(PeriodState* periods, int64_t spread) noexcept nogil
# Step 2: the first bar beyond the high or the low of a finished period.
cdef void periods_react(PeriodState* periods, const BarSeries* series, EventSink* sink) noexcept nogil
# Step 7: takes the newest bar in; returns how many periods (at most ENDED_C) it ended, written to out[] and emitted.
cdef int periods_push(PeriodState* periods, const BarSeries* series, EventSink* sink, PeriodValues* out) noexcept nogil
# PERIOD_DTYPE: finished and running periods.
cdef periods_array(const PeriodState* periods, int timeframe_min)
