"""Support and resistance (smc.md section 8)."""
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

__all__ = ["LEVEL_DTYPE"]

LEVEL_DTYPE = np.dtype([("id", "<i8")])


cdef void levels_init(LevelState* levels) noexcept nogil:
    memset(levels, 0, sizeof(LevelState))


cdef void levels_shift(LevelState* levels, int64_t spread) noexcept nogil:
    pass


cdef void levels_react(LevelState* levels, const ParamValues* p, const BarSeries* series, double atr, double volume,
                       EventSink* sink) noexcept nogil:
    pass


cdef void levels_swing(LevelState* levels, const ParamValues* p, const BarSeries* series, int side, int64_t i,
                       int64_t price, double atr, double volume, EventSink* sink) noexcept nogil:
    pass


cdef void levels_period(LevelState* levels, const ParamValues* p, const BarSeries* series, const PeriodValues* period,
                        double atr, double volume, EventSink* sink) noexcept nogil:
    pass


cdef void levels_round(LevelState* levels, const ParamValues* p, const BarSeries* series, double atr, double volume,
                       EventSink* sink) noexcept nogil:
    pass


cdef levels_array(const LevelState* levels, int timeframe_min):
    return np.empty(0, LEVEL_DTYPE)
