"""Hypothetical brackets: what would have become of every setup, also of those that nobody traded.

A bracket has the entry, stop and target that the strategy itself would use (`SetupBook._plan`). It is laid at the close
of a bar and followed over the bars of the entry timeframe that come after it, never over the one it was laid at:

* a bar that reaches the stop ends it there, one tick worse (a stop is a market order once it is touched); a bar that
  lies wholly beyond the stop was a gap, and costs its far end;
* a bar that trades through the target by at least a tick ends it there; one that only touches it does not (V2);
* both in one bar: the stop, because nobody knows which came first and the worse is the honest guess;
* the horizon is over: the bar's close; a session break: the last close before it, since nothing is held over it;
* a bar with a gap or a suspect print in it: unclean, no result, because nobody knows what traded.

It is known when the bar is: `resolved_ns` is the market time of the record that closed it, not the bar's own end.
Nothing here counts costs; `strategy.outcomes` does.
"""
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from tbot_ext.frames cimport frame_atr, frame_of
from tbot_ext.params cimport TIMEFRAMES_C
from tbot_ext.records cimport FLAG_INCOMPLETE, FLAG_SESSION_BREAK, FLAG_SUSPECT, Event

import numpy as np

__all__ = ["ENDS", "FATES", "OUTCOME_DTYPE", "STAGES"]

STAGES = ("test", "trigger")
FATES = (
    "untriggered", "signal", "score_too_low", "target_below_cost", "outscored", "news", "dollar_stale",
    "against_dollar",
)
ENDS = ("open", "stop", "target", "time", "break", "unclean")

OUTCOME_DTYPE = np.dtype([
    ("zone_id", "<i8"), ("born_ns", "<i8"), ("decided_ns", "<i8"), ("ended_ns", "<i8"), ("resolved_ns", "<i8"),
    ("entry", "<i8"), ("stop", "<i8"), ("target", "<i8"), ("exit", "<i8"), ("against", "<i8"), ("favour", "<i8"),
    ("score", "<f8"), ("weight", "<f8"), ("atr_zone", "<f8"), ("atr_entry", "<f8"), ("atr_hour", "<f8"),
    ("parts", "<f4", (5,)), ("bars", "<i4"), ("contract_id", "<u2"), ("test", "<u2"), ("nth", "<u2"),
    ("together", "<u2"), ("kind", "u1"), ("timeframe_min", "u1"), ("stage", "u1"), ("fate", "u1"), ("end", "u1"),
    ("side", "i1"), ("trend", "i1"), ("hour_known", "u1"),
])
if OUTCOME_DTYPE.itemsize != sizeof(Outcome):
    raise RuntimeError("OUTCOME_DTYPE and the C struct differ; rebuild the extensions")

_NONE = np.zeros(0, OUTCOME_DTYPE)      # mostly nothing has ended since the last call
_NONE.flags.writeable = False


cdef void outcome_book_init(OutcomeBook* book, int64_t horizon_ns) noexcept nogil:
    memset(book, 0, sizeof(OutcomeBook))
    book.horizon_ns = horizon_ns


cdef void outcome_book_lay(OutcomeBook* book, const Setup* setup, const HeldZone* zone, const Candidate* found,
                           const Frame* frames, int entry, double weight, int64_t contract_id, int64_t decided_ns,
                           Stage stage, int fate) noexcept nogil:
    cdef const Frame* hour = &frames[TIMEFRAMES_C - 1]
    cdef Outcome* o
    cdef int k
    if book.followed_n == FOLLOWED_C:
        book.not_laid += 1
        return
    o = &book.followed[book.followed_n]
    book.followed_n += 1
    memset(o, 0, sizeof(Outcome))
    o.zone_id, o.born_ns, o.decided_ns = zone.id, zone.known_ns, decided_ns
    o.entry, o.stop, o.target, o.score, o.weight = found.entry, found.stop, found.target, found.plain, weight
    o.atr_zone = frame_atr(&frames[frame_of(zone.timeframe_min)])
    o.atr_entry, o.atr_hour = frame_atr(&frames[entry]), frame_atr(hour)
    o.hour_known = o.atr_entry > 0 and o.atr_hour > 0
    for k in range(5):
        o.parts[k] = <float>found.parts[k]
    o.contract_id, o.test = <uint16_t>contract_id, <uint16_t>setup.test
    o.nth = setup.laid if stage == STAGE_TRIGGER else 1
    o.kind, o.timeframe_min, o.side = zone.kind, zone.timeframe_min, zone.side
    o.stage, o.fate, o.end = <uint8_t>stage, <uint8_t>fate, END_OPEN
    o.trend = <int8_t>(hour.trend * zone.side)


cdef void outcome_book_count(OutcomeBook* book, int32_t first) noexcept nogil:
    cdef int32_t i, j
    for i in range(first, book.followed_n):
        book.followed[i].together = 0
        for j in range(first, book.followed_n):
            book.followed[i].together += book.followed[j].side == book.followed[i].side


cdef inline void _end(Outcome* o, End how, int64_t exit, int64_t ended_ns) noexcept nogil:
    o.end, o.exit, o.ended_ns = <uint8_t>how, exit, ended_ns


cdef inline void _follow(Outcome* o, const Event* bar, int64_t horizon_ns) noexcept nogil:
    cdef int64_t worst = bar.bottom if o.side > 0 else bar.top
    cdef int64_t best = bar.top if o.side > 0 else bar.bottom
    o.bars += 1
    o.against = max(o.against, (o.entry - worst) * o.side)
    o.favour = max(o.favour, (best - o.entry) * o.side)
    if (worst - o.stop) * o.side <= 0:
        _end(o, END_STOP, worst if (best - o.stop) * o.side < 0 else o.stop - STOP_SLIP_C * o.side, bar.known_ns)
    elif (best - o.target) * o.side > 0:
        _end(o, END_TARGET, o.target, bar.known_ns)
    elif bar.known_ns - o.decided_ns >= horizon_ns:
        _end(o, END_TIME, bar.level, bar.known_ns)


cdef void outcome_book_bar(OutcomeBook* book, const Event* bar, int64_t now_ns) noexcept nogil:
    cdef int32_t i, kept = 0
    cdef Outcome* o
    for i in range(book.followed_n):
        o = &book.followed[i]
        if bar.flags & FLAG_SESSION_BREAK:
            _end(o, END_BREAK, book.last_close, book.last_ns)
        elif bar.flags & (FLAG_INCOMPLETE | FLAG_SUSPECT):
            _end(o, END_UNCLEAN, o.entry, bar.known_ns)
        else:
            _follow(o, bar, book.horizon_ns)
        if o.end == END_OPEN:
            if kept != i:
                book.followed[kept] = o[0]
            kept += 1
            continue
        o.resolved_ns = max(now_ns, bar.known_ns)
        book.digest = <int64_t>(<uint64_t>book.digest * 1099511628211ULL ^ <uint64_t>(
            o.decided_ns + o.zone_id * 31 + o.exit * 7 + o.end))
        if book.ended_n == ENDED_C:
            book.lost += 1
            continue
        book.ended[book.ended_n] = o[0]
        book.ended_n += 1
    book.followed_n = kept
    book.last_close, book.last_ns = bar.level, bar.known_ns


cdef object outcome_book_take(OutcomeBook* book):
    if not book.ended_n:
        return _NONE
    taken = np.zeros(book.ended_n, OUTCOME_DTYPE)
    cdef unsigned char[::1] space = taken.view(np.uint8)
    memcpy(&space[0], &book.ended[0], book.ended_n * sizeof(Outcome))
    book.ended_n = 0
    return taken


cdef object outcome_book_state(const OutcomeBook* book):
    cdef int32_t i
    cdef const Outcome* o
    rows = []
    for i in range(book.followed_n):
        o = &book.followed[i]
        rows.append((o.zone_id, o.decided_ns, o.entry, o.stop, o.target, o.stage, o.fate, o.against, o.favour))
    return rows, book.last_close, book.last_ns, book.digest
