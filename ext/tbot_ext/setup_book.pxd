# The strategy of one contract as far as it is bookkeeping and judging: events in, the best triggered setup out.
from libc.stdint cimport int32_t, int64_t, uint8_t

from tbot_ext.facts cimport Verdict
from tbot_ext.frames cimport Frame
from tbot_ext.judging cimport COUNTERS_C, Market, Rules
from tbot_ext.outcome_book cimport OutcomeBook, Stage
from tbot_ext.params cimport TIMEFRAMES_C
from tbot_ext.place_book cimport PLACES_C, PlaceBook
from tbot_ext.records cimport Event
from tbot_ext.setups cimport Candidate, Setup
from tbot_ext.zone_book cimport ZONES_C, HeldZone, ZoneBook

cdef enum:
    TRIGGERS_C = 3072           # of one close: no bar gives more events (events.pxd)

cdef enum:
    KINDS_C = 5                 # of zones (HeldKind)

cdef class SetupBook:
    cdef Rules _rules
    cdef Frame _frames[TIMEFRAMES_C]
    cdef ZoneBook* _zones
    cdef PlaceBook* _places
    cdef Setup* _setups         # ZONES_C + 1 of them
    cdef int32_t _setups_n
    cdef Event* _triggers       # of the close whose events are coming in
    cdef int32_t _triggers_n
    cdef int64_t _spoken        # the last CHoCH that gave a signal, -1
    cdef int64_t _bar_flags     # of the last bar of the entry timeframe
    cdef int64_t _counters[COUNTERS_C]
    cdef Candidate _best        # waits to be told
    cdef Setup _chosen          # its setup
    cdef uint8_t _facts         # the stream tells outside facts: they are asked for before a choice
    cdef uint8_t _asks          # a choice waits for them
    cdef Market _asked_at       # the market of that choice
    cdef int64_t _asked_ns      # its close
    cdef Verdict _verdicts[2]   # of longs and shorts, for that choice
    cdef int32_t* _found        # room for zones entered, neighbours
    cdef OutcomeBook* _outcomes
    cdef double _weights[KINDS_C][TIMEFRAMES_C]     # that scores are multiplied by, by kind and timeframe of the zone
    cdef int64_t _weighed_until_ns  # the weights hold for market times before this
    cdef dict _told             # the counters as Python sees them

    cdef int64_t _fold(self, const Event* events, int64_t at, int64_t n, const Market* market) noexcept nogil
    cdef void _on_event(self, const Event* event, const Market* market) noexcept nogil
    cdef void _on_zone(self, const Event* event) noexcept nogil
    cdef void _on_trigger(self, const Event* event, int members) noexcept nogil
    cdef void _on_entry_bar(self, const Event* bar, const Market* market) noexcept nogil
    cdef void _close(self, int32_t number) noexcept nogil
    cdef void _lay_tests(self, const Event* bar, const Market* market) noexcept nogil
    cdef bint _concerns(self, const Setup* setup, const Event* trigger) noexcept nogil
    cdef bint _waited(self, const Setup* setup) noexcept nogil
    cdef void _remember(self, Setup* setup) noexcept nogil
    cdef int _refusal(self, const Market* market, int64_t decided_ns, int64_t flags) noexcept nogil
    cdef void _decide(self, const Market* market) noexcept nogil
    cdef void _choose(self, const Market* market, int64_t decided_ns) noexcept nogil
    cdef int _judge(self, int32_t number, const Market* market, Candidate* found) noexcept nogil
    cdef void _lay(self, int32_t number, const Candidate* found, int64_t decided_ns, Stage stage,
                   int fate) noexcept nogil
    cdef bint _better(self, const Candidate* one, const Candidate* other) noexcept nogil
    cdef double _mtf(self, int side) noexcept nogil
    cdef double _trigger(self, const Setup* setup) noexcept nogil
    cdef _count(self)
