"""Liquidity pools and sweeps (smc.md section 9)."""
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

__all__ = ["POOL_DTYPE"]

POOL_DTYPE = np.dtype([("id", "<i8")])


cdef void pools_init(PoolState* pools) noexcept nogil:
    memset(pools, 0, sizeof(PoolState))


cdef void pools_shift(PoolState* pools, int64_t spread) noexcept nogil:
    pass


cdef void pools_react(PoolState* pools, const ParamValues* p, const BarSeries* series, double atr, double volume,
                      EventSink* sink) noexcept nogil:
    pass


cdef void pools_swing(PoolState* pools, const ParamValues* p, const BarSeries* series, int side, int64_t i,
                      int64_t level, double atr, double volume, EventSink* sink) noexcept nogil:
    pass


cdef void pools_period(PoolState* pools, const ParamValues* p, const BarSeries* series, const PeriodValues* period,
                       double atr, double volume, EventSink* sink) noexcept nogil:
    pass


cdef int pools_swept(const PoolState* pools, int side, int64_t first, int64_t last) noexcept nogil:
    return 0


cdef pools_array(const PoolState* pools, int timeframe_min):
    return np.empty(0, POOL_DTYPE)
