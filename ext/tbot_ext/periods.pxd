# Values of finished periods: trading day, week, sessions, opening ranges (smc.md section 10).
from libc.stdint cimport int64_t, uint8_t

from tbot_ext.events cimport EventSink
from tbot_ext.params cimport ParamValues
from tbot_ext.series cimport BarSeries

cdef enum:
    PERIODS_C = 7               # day, week, Asia, London, New York, opening range of 15 and of 30 minutes

cdef struct PeriodValues:       # a period that has just ended; prices in ticks
    int64_t event_id            # of its event
    int64_t high
    int64_t low
    int64_t close
    int64_t high_bar            # number of the first bar that made the high, -1 if the series has forgotten it
    int64_t low_bar
    int64_t high_volume         # contracts of that bar
    int64_t low_volume
    int64_t start_ns
    int64_t end_ns
    uint8_t kind                # EventKind: EVENT_DAY ...
    uint8_t high_gone           # the bar at which it became known has already traded beyond
    uint8_t low_gone

cdef struct PeriodState:
    int64_t n

cdef void periods_init(PeriodState* periods, const ParamValues* p) noexcept nogil
cdef void periods_shift(PeriodState* periods, int64_t spread) noexcept nogil
# Step 2: the first bar beyond the high or the low of a finished period.
cdef void periods_react(PeriodState* periods, const BarSeries* series, EventSink* sink) noexcept nogil
# Step 7: takes the newest bar in; returns how many periods (at most PERIODS_C) it ended, written to out[] and emitted.
cdef int periods_push(PeriodState* periods, const BarSeries* series, EventSink* sink, PeriodValues* out) noexcept nogil
# PERIOD_DTYPE: finished and running periods.
cdef periods_array(const PeriodState* periods, int timeframe_min)
