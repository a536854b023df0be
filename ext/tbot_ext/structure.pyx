"""BOS, CHoCH and MSS: a close (or a wick) beyond the latest known swing (smc.md section 4).

A break against the trend so far is a CHoCH, every other one a BOS, the first included. A level breaks once; an equal
close is no break. A new swing replaces the old one whether or not that was broken.

Details the rule leaves open, settled here. A market structure shift is an event of its own, MSS, with side, origin and
level of its CHoCH, whose id is its parent. It comes directly after the CHoCH when the bar's body, whichever way it
points, measures at least one ATR or a gap of the CHoCH's side became known at the same bar; otherwise at the next bar
if such a gap becomes known there, whatever else that bar does, after the gap and before the breaks of that bar. An
OPENING_GAP is no such gap. Two CHoCHs of one bar (wick mode) may each have theirs, in the order of the CHoCHs. A body
measures nothing while the ATR is undefined or 0.
"""
from libc.stdint cimport int64_t

from tbot_ext.events cimport emit
from tbot_ext.gaps cimport gaps_born
from tbot_ext.records cimport EVENT_BOS, EVENT_CHOCH, EVENT_MSS, Event
from tbot_ext.series cimport View, view_bar

__all__ = []  # for the detector only

cdef double SHIFT_BODY_ATR = 1.0    # a body that makes a CHoCH a market structure shift, in ATR


cdef void structure_shift(StructureState* state, int64_t spread) noexcept nogil:
    cdef int k
    state.last[0].level += spread
    state.last[1].level -= spread
    for k in range(state.pending_n):
        state.pending[k].swing.level += state.pending[k].side * spread


cdef void structure_swing(StructureState* state, int side, int64_t i, int64_t start_ns, int64_t level) noexcept nogil:
    """A swing became known; `level` as its side sees it."""
    cdef SwingPoint* swing = &state.last[0 if side > 0 else 1]
    swing.bar = i
    swing.start_ns = start_ns
    swing.level = level
    swing.known = 1
    swing.crossed = 0


cdef int64_t _emit_break(const SwingPoint* swing, int side, int kind, const Bar* bar, int64_t t, int64_t parent_id,
                         EventSink* sink) noexcept nogil:
    """An event about the break of a swing; returns its id."""
    cdef Event* event = emit(sink, bar, t, kind, side)
    event.parent_id = parent_id
    event.origin, event.origin_ns = swing.bar, swing.start_ns
    event.level = event.top = event.bottom = side * swing.level
    return event.id


# ---------------------------------------------------------------- market structure shifts

cdef void _shift_or_wait(StructureState* state, const GapState* gaps, const SwingPoint* swing, int64_t choch_id,
                         int side, const Bar* bar, int64_t t, double atr, EventSink* sink) noexcept nogil:
    """Bar t gave a CHoCH: a shift now, or perhaps with the next bar."""
    cdef int64_t body = bar.close - bar.open
    cdef PendingShift* pending
    if body < 0:
        body = -body
    if (atr > 0.0 and body >= SHIFT_BODY_ATR * atr) or gaps_born(gaps, side, t):
        _emit_break(swing, side, EVENT_MSS, bar, t, choch_id, sink)
        return
    pending = &state.pending[state.pending_n]
    state.pending_n += 1
    pending.swing, pending.choch_id, pending.side = swing[0], choch_id, side


cdef void structure_follow(StructureState* state, const GapState* gaps, const Bar* bar, int64_t t,
                           EventSink* sink) noexcept nogil:
    cdef const PendingShift* pending
    cdef int k
    for k in range(state.pending_n):
        pending = &state.pending[k]
        if gaps_born(gaps, pending.side, t):
            _emit_break(&pending.swing, pending.side, EVENT_MSS, bar, t, pending.choch_id, sink)
    state.pending_n = 0


# ---------------------------------------------------------------- breaks

cdef int _test_side(StructureState* state, const ParamValues* p, const GapState* gaps, const Bar* bar, int64_t t,
                    double atr, int side, EventSink* sink, StructureBreak* out) noexcept nogil:
    cdef SwingPoint* swing = &state.last[0 if side > 0 else 1]
    cdef int64_t event_id
    cdef View view
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
    event_id = _emit_break(swing, side, EVENT_CHOCH if out.choch else EVENT_BOS, bar, t, -1, sink)
    if out.choch:
        _shift_or_wait(state, gaps, swing, event_id, side, bar, t, atr, sink)
    return 1


cdef int structure_push(StructureState* state, const ParamValues* p, const GapState* gaps, const Bar* bar, int64_t t,
                        double atr, EventSink* sink, StructureBreak* out) noexcept nogil:
    # An outside bar in wick mode breaks both: against its close first, so that the last trend agrees with the bar.
    cdef int first = -1 if bar.close >= bar.open else 1
    cdef int n = _test_side(state, p, gaps, bar, t, atr, first, sink, out)
    return n + _test_side(state, p, gaps, bar, t, atr, -first, sink, &out[n])
