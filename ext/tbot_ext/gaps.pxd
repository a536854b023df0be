# Fair value gaps with their whole life, inversion included (smc.md section 5).
from libc.stdint cimport int64_t

from tbot_ext.events cimport EventSink
from tbot_ext.params cimport ParamValues
from tbot_ext.records cimport Bar
from tbot_ext.series cimport BarSeries
from tbot_ext.zones cimport ZoneList

cdef struct GapStack:           # the newest gap of one side: the next one may stack on it
    int64_t origin              # -2 before the first
    int64_t stack_id
    int64_t n

cdef struct GapState:           # index 0: bull, 1: bear
    ZoneList lists[2]
    GapStack stacks[2]

cdef void gaps_init(GapState* gaps) noexcept nogil
cdef void gaps_shift(GapState* gaps, int64_t spread) noexcept nogil
# All gaps born before bar t react to it.
cdef void gaps_react(GapState* gaps, const ParamValues* p, const Bar* bar, int64_t t, EventSink* sink) noexcept nogil
# The newest three bars of the series may leave a gap, known at t = series.n - 1. atr, volume: section 2, with bar t.
cdef void gaps_birth(GapState* gaps, const ParamValues* p, const BarSeries* series, double atr, double volume,
                     EventSink* sink) noexcept nogil
# 1 if a gap of that side became known at bar t, the newest (an opening gap is none).
cdef int gaps_born(const GapState* gaps, int side, int64_t t) noexcept nogil
# 1 if a live gap of that side, not yet filled, has its middle bar in first..last.
cdef int gaps_unfilled(const GapState* gaps, int side, int64_t first, int64_t last) noexcept nogil
