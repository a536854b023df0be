# Liquidity pools and sweeps (smc.md section 9). Index 0: buy-side (above highs), 1: sell-side, with prices negated.
from libc.stdint cimport int64_t

from tbot_ext.events cimport EventSink
from tbot_ext.params cimport ParamValues
from tbot_ext.periods cimport PeriodValues
from tbot_ext.records cimport Bar
from tbot_ext.series cimport BarSeries

cdef struct PoolState:
    int64_t n

cdef void pools_init(PoolState* pools) noexcept nogil
cdef void pools_shift(PoolState* pools, int64_t spread) noexcept nogil
# Step 2: pools known before bar t (the newest of the series) are taken, reclaimed, expire.
cdef void pools_react(PoolState* pools, const ParamValues* p, const BarSeries* series, double atr, double volume,
                      EventSink* sink) noexcept nogil
# Step 7: bar i became known as a swing high (side +1) or low (-1) at the newest bar; `level` as the side sees it.
cdef void pools_swing(PoolState* pools, const ParamValues* p, const BarSeries* series, int side, int64_t i,
                      int64_t level, double atr, double volume, EventSink* sink) noexcept nogil
# Step 7: a period ended; its high and low hold liquidity.
cdef void pools_period(PoolState* pools, const ParamValues* p, const BarSeries* series, const PeriodValues* period,
                       double atr, double volume, EventSink* sink) noexcept nogil
# 1 if a pool of that side (+1 buy-side, -1 sell-side) was swept by a bar in first..last, as far as known now.
cdef int pools_swept(const PoolState* pools, int side, int64_t first, int64_t last) noexcept nogil
# POOL_DTYPE, nearest first, buy-side before sell-side.
cdef pools_array(const PoolState* pools, int timeframe_min)
