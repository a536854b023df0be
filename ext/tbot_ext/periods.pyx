"""Period levels (smc.md section 10)."""
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

__all__ = ["PERIOD_DTYPE"]

PERIOD_DTYPE = np.dtype([("id", "<i8")])


cdef void periods_init(PeriodState* periods, const ParamValues* p) noexcept nogil:
    memset(periods, 0, sizeof(PeriodState))


cdef void periods_shift(PeriodState* periods, int64_t spread) noexcept nogil:
    pass


cdef void periods_react(PeriodState* periods, const BarSeries* series, EventSink* sink) noexcept nogil:
    pass


cdef int periods_push(PeriodState* periods, const BarSeries* series, EventSink* sink, PeriodValues* out) noexcept nogil:
    return 0


cdef periods_array(const PeriodState* periods, int timeframe_min):
    return np.empty(0, PERIOD_DTYPE)
