"""BOS and CHoCH: a close (or a wick) beyond the latest known swing (smc.md section 4).

A break against the trend so far is a CHoCH, every other one a BOS, the first included. A level breaks once; an equal
close is no break. A new swing replaces the old one whether or not that was broken.
"""
from libc.stdint cimport int64_t

from tbot_ext.events cimport emit
from tbot_ext.records cimport EVENT_BOS, EVENT_CHOCH, Event
from tbot_ext.series cimport View, view_bar

__all__ = []  # for the detector only


cdef void structure_shift(StructureState* state, int64_t spread) noexcept nogil:
    state.last[0].level += spread
    state.last[1].level -= spread


cdef void structure_swing(StructureState* state, int side, int64_t i, int64_t start_ns, int64_t level) noexcept nogil:
    """A swing became known; `level` as its side sees it."""
    cdef SwingPoint* swing = &state.last[0 if side > 0 else 1]
    swing.bar = i
    swing.start_ns = start_ns
    swing.level = level
    swing.known = 1
    swing.crossed = 0


cdef int _test_side(StructureState* state, const ParamValues* p, const Bar* bar, int64_t t, int side,
                    EventSink* sink, StructureBreak* out) noexcept nogil:
    cdef SwingPoint* swing = &state.last[0 if side > 0 else 1]
    cdef View view
    cdef Event* event
    if not swing.known or swing.crossed:
        return 0
    view_bar(&view, bar, side)
    if (view.high if p.break_wick else view.close) <= swing.level + p.break_buffer:
        return 0
    out.side = side
    out.choch = state.trend == -side
    out.swing_bar = swing.bar
    swing.crossed = 1
    state.trend = side
    event = emit(sink, bar, t, EVENT_CHOCH if out.choch else EVENT_BOS, side)
    event.origin, event.origin_ns = swing.bar, swing.start_ns
    event.level = event.top = event.bottom = side * swing.level
    return 1


cdef void structure_follow(StructureState* state, const GapState* gaps, const Bar* bar, int64_t t,
                           EventSink* sink) noexcept nogil:
    pass


cdef int structure_push(StructureState* state, const ParamValues* p, const GapState* gaps, const Bar* bar, int64_t t,
                        double atr, EventSink* sink, StructureBreak* out) noexcept nogil:
    # An outside bar in wick mode breaks both: against its close first, so that the last trend agrees with the bar.
    cdef int first = -1 if bar.close >= bar.open else 1
    cdef int n = _test_side(state, p, bar, t, first, sink, out)
    return n + _test_side(state, p, bar, t, -first, sink, &out[n])
