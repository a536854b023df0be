# Liquidity pools and sweeps (smc.md section 9). Index 0: buy-side (above highs), 1: sell-side, with prices negated.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

from tbot_ext.events cimport EventSink
from tbot_ext.params cimport MAX_RECLAIM_C, MAX_ZONES_C, ParamValues
from tbot_ext.periods cimport PeriodValues
from tbot_ext.records cimport Bar
from tbot_ext.series cimport SERIES_C, BarSeries

cdef enum:
    # A run waits for MAX_RECLAIM_C bars at most. Until then every pool of a full list may have been taken, and all that
    # was born meanwhile: one from a swing and five from periods per bar and side.
    RUNS_C = MAX_ZONES_C + 8 * MAX_RECLAIM_C
    SWEPT_C = 64                # bars that may still become a swing: a power of two above MAX_WINDOW_C

cdef struct Pool:               # prices as the side sees them: a sell-side pool holds negated ones
    int64_t id                  # of its birth event
    int64_t known_ns
    int64_t born                # number of the bar at whose close it became known
    int64_t joined              # the same of its newest member
    int64_t origin              # number of the newest member's bar, -1 unknown
    int64_t origin_ns
    int64_t level               # of the highest member, ticks: stops rest beyond it
    int64_t low                 # of the lowest member
    int64_t tolerance           # ticks, frozen at birth
    int64_t volume              # contracts of the members' bars
    double score                # strength at its last event
    int32_t members             # a period's extreme counts as two
    uint16_t source             # EventSource
    uint8_t marks               # periods whose latest value it holds: bit EventKind - EVENT_DAY

cdef struct TakenPool:          # what SWEEP and RUN say about a pool
    int64_t id
    int64_t bar                 # number of the bar that took it
    int64_t level
    double strength             # at that bar
    uint16_t source

cdef struct SweptPool:
    Pool pool
    int64_t bar                 # number of the bar that swept it, -1 none

cdef struct PoolList:           # one side
    int64_t nearest             # level of the pool that is taken first, INT64_MAX without pools
    int64_t due                 # no pool expires by a bar before this one
    int32_t n
    int32_t waiting
    int32_t side
    # Furthest first, so that the pools near price come and go at the end; of equal levels the newest first.
    Pool items[MAX_ZONES_C]
    TakenPool runs[RUNS_C]      # waiting for a close back, nearest first
    SweptPool swept[SWEPT_C]    # by bar number & (SWEPT_C - 1): the furthest pool that bar swept

cdef struct PoolState:
    PoolList lists[2]
    uint8_t swept[SERIES_C]     # by bar number & (SERIES_C - 1): bit 0 a buy-side, bit 1 a sell-side pool was swept

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
