# Breaks of structure: BOS, CHoCH and market structure shifts (smc.md section 4).
from libc.stdint cimport int32_t, int64_t, uint8_t

from tbot_ext.events cimport EventSink
from tbot_ext.gaps cimport GapState
from tbot_ext.params cimport ParamValues
from tbot_ext.records cimport Bar

cdef struct SwingPoint:
    int64_t bar                 # number of the swing's bar
    int64_t start_ns
    int64_t level               # ticks, as the side sees it: a swing low is negated
    uint8_t known               # there is one
    uint8_t crossed             # already broken: a level breaks once

cdef struct PendingShift:       # a CHoCH of the newest bar that a gap of the next one may yet make a shift
    SwingPoint swing
    int64_t choch_id            # of its event
    int32_t side

cdef struct StructureState:
    SwingPoint last[2]          # latest known swing high [0], swing low [1]
    PendingShift pending[2]     # in order of emission
    int32_t pending_n
    int32_t trend               # -1, 0, +1

cdef struct StructureBreak:
    int64_t swing_bar
    int32_t side                # +1: a swing high was broken
    int32_t choch               # 1: against the trend so far, 0: BOS

cdef void structure_shift(StructureState* state, int64_t spread) noexcept nogil
cdef void structure_swing(StructureState* state, int side, int64_t i, int64_t start_ns, int64_t level) noexcept nogil
# Tests bar t against the latest known swings; returns how many breaks (0..2) were written to out[] and emitted.
cdef int structure_push(StructureState* state, const ParamValues* p, const GapState* gaps, const Bar* bar, int64_t t,
                        double atr, EventSink* sink, StructureBreak* out) noexcept nogil
# Before it, at every bar: a gap known with bar t may make the CHoCH of bar t - 1 a market structure shift.
cdef void structure_follow(StructureState* state, const GapState* gaps, const Bar* bar, int64_t t,
                           EventSink* sink) noexcept nogil
