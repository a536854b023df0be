# Breaker and mitigation blocks (smc.md section 7). Index 0: bull, 1: bear, as the zone's own side sees prices.
from libc.stdint cimport int32_t, int64_t

from tbot_ext.events cimport EventSink
from tbot_ext.gaps cimport GapState
from tbot_ext.order_blocks cimport BlockState
from tbot_ext.params cimport ParamValues
from tbot_ext.pools cimport PoolState
from tbot_ext.records cimport Bar
from tbot_ext.series cimport BarSeries
from tbot_ext.structure cimport StructureBreak
from tbot_ext.zones cimport ZoneList

cdef enum:
    MARKS_C = 64                # known swings remembered per side; a power of two

cdef struct SwingMark:
    int64_t bar
    int64_t level               # ticks, as the swing's side sees it: a low is negated

cdef struct SwingMemory:        # the last known swings of one side
    SwingMark items[MARKS_C]
    int64_t n                   # swings taken so far; swing k is at k & (MARKS_C - 1)

cdef struct BreakerState:
    ZoneList lists[2]           # breakers and mitigation blocks together, told apart by Zone.kind
    SwingMemory swings[2]       # highs [0], lows [1]

cdef void breakers_init(BreakerState* breakers) noexcept nogil
cdef void breakers_shift(BreakerState* breakers, int64_t spread) noexcept nogil
# Step 2: all breakers born before bar t react to it; then the blocks that it broke become breakers.
cdef void breakers_react(BreakerState* breakers, const ParamValues* p, const Bar* bar, int64_t t,
                         const BlockState* blocks, double atr, EventSink* sink) noexcept nogil
# Step 5, after the order block of the same break: the zone that the failed leg leaves, if it qualifies.
cdef void breakers_birth(BreakerState* breakers, const ParamValues* p, const BarSeries* series,
                         const StructureBreak* broken, const GapState* gaps, const PoolState* pools, double atr,
                         double volume, EventSink* sink) noexcept nogil
# Step 7: bar i became known as a swing high (side +1) or low (-1); `level` as the side sees it.
cdef void breakers_swing(BreakerState* breakers, int side, int64_t i, int64_t level) noexcept nogil
