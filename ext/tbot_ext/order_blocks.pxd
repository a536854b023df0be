# Order blocks with their whole life (smc.md section 6).
from libc.stdint cimport int32_t, int64_t

from tbot_ext.events cimport EventSink
from tbot_ext.gaps cimport GapState
from tbot_ext.params cimport MAX_ZONES_C, ParamValues
from tbot_ext.pools cimport PoolState
from tbot_ext.records cimport Bar
from tbot_ext.series cimport BarSeries
from tbot_ext.structure cimport StructureBreak
from tbot_ext.zones cimport Zone, ZoneList

cdef enum:
    BROKEN_C = 2 * MAX_ZONES_C

cdef struct BlockState:         # index 0: bull, 1: bear
    ZoneList lists[2]
    Zone broken[BROKEN_C]       # by the newest bar, in order of emission: what breakers are made of
    int32_t broken_side[BROKEN_C]
    int32_t broken_n

cdef void blocks_init(BlockState* blocks) noexcept nogil
cdef void blocks_shift(BlockState* blocks, int64_t spread) noexcept nogil
# Score and parts of a block, and of a zone that a failed leg leaves: 0.30 displacement (of 3 ATR), 0.25 volume, 0.20
# gap, 0.15 sweep, 0.10 structure. displacement in ATR, volf 0..1, the rest 0 or 1.
cdef void blocks_score(Zone* zone, double displacement, double volf, int unfilled_gap, int swept,
                       int choch) noexcept nogil
# All blocks born before bar t react to it.
cdef void blocks_react(BlockState* blocks, const ParamValues* p, const Bar* bar, int64_t t,
                       EventSink* sink) noexcept nogil
# The newest bar of the series broke structure: the block from which that move started, if it qualifies.
cdef void blocks_birth(BlockState* blocks, const ParamValues* p, const BarSeries* series, const StructureBreak* broken,
                       const GapState* gaps, const PoolState* pools, double atr, double volume,
                       EventSink* sink) noexcept nogil
