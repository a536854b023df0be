# The strategy of one contract as far as it is bookkeeping and judging: events in, the best triggered setup out.
from libc.stdint cimport int32_t, int64_t, uint8_t

from tbot_ext.facts cimport Verdict
from tbot_ext.frames cimport Frame
from tbot_ext.params cimport TIMEFRAMES_C
from tbot_ext.place_book cimport PLACES_C, PlaceBook
from tbot_ext.records cimport Event
from tbot_ext.zone_book cimport ZONES_C, HeldZone, ZoneBook

cdef enum:
    TRIGGERS_C = 3072           # of one close: no bar gives more events (events.pxd)

cdef enum:                      # counters, in the order of COUNTERS
    TESTS, TESTS_WARMUP, DIED_NO_TRIGGER, DIED_ZONE, TRIGGERS_IDLE, TRIGGERS, WARMUP, DATA_ONLY, NOT_LIVE, UNCLEAN_BAR
    TOO_LATE, NO_QUOTE, NO_ATR, NO_RISK, TARGET_BELOW_COST, SCORE_TOO_LOW, OUTSCORED, SIGNALS
    NEWS, DOLLAR_STALE, AGAINST_DOLLAR
    COUNTERS_C

cdef struct Setup:              # a zone that price has entered and that waits for its trigger
    int32_t zone
    int32_t shifts_n
    int64_t test                # which test of the zone
    int64_t bar                 # number of the entry bar that entered it
    int64_t bar_event
    int64_t entered_ns
    Event shifts[2]             # the last CHoCH since then, the MSS that confirms it, or both
    Event sweep                 # the last sweep inside the zone since then
    uint8_t has_sweep
    uint8_t found               # triggered at this close, and could be traded

cdef struct Market:             # where the pipeline stopped
    int64_t now_ns
    int64_t bid                 # ticks, INT64_MIN unknown
    int64_t ask
    uint8_t live                # history is stitched and no gap is open

cdef struct Rules:              # the strategy's options and what it needs of the product
    int64_t entry_min, trigger_bars, stop_min_ticks, confluence_full, cost_multiple
    int64_t tick_value_cents, round_turn_cents
    int64_t least_tf            # shortest timeframe whose zones, pools and levels are confluence
    double min_score, min_rr, default_rr, stop_atr, confluence_atr
    double mtf[TIMEFRAMES_C]    # weight of each timeframe's trend
    double weights[5]           # of zone, mtf, trigger, confluence, location
    double sweep_and_shift, sweep_alone, shift_alone  # worth of a setup's triggers
    uint8_t data_only
    uint8_t facts               # outside facts count even where the stream has told none

cdef struct Candidate:          # a triggered setup that could be traded
    int32_t setup               # its number, -1: none
    double score
    double parts[5]             # zone, mtf, trigger, confluence, location
    int64_t entry, stop, target     # ticks
    int64_t near                # ticks
    int64_t decided_ns
    int64_t place_id            # what the target is, -1: a multiple of the risk

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
    cdef dict _told             # the counters as Python sees them

    cdef int64_t _fold(self, const Event* events, int64_t at, int64_t n, const Market* market) noexcept nogil
    cdef void _on_event(self, const Event* event) noexcept nogil
    cdef void _on_zone(self, const Event* event) noexcept nogil
    cdef void _on_trigger(self, const Event* event, int members) noexcept nogil
    cdef void _on_entry_bar(self, const Event* bar) noexcept nogil
    cdef void _close(self, int32_t number) noexcept nogil
    cdef bint _concerns(self, const Setup* setup, const Event* trigger) noexcept nogil
    cdef bint _waited(self, const Setup* setup) noexcept nogil
    cdef void _remember(self, Setup* setup) noexcept nogil
    cdef int _refusal(self, const Market* market, int64_t decided_ns, int64_t flags) noexcept nogil
    cdef void _decide(self, const Market* market) noexcept nogil
    cdef void _choose(self, const Market* market, int64_t decided_ns) noexcept nogil
    cdef int _plan(self, const HeldZone* zone, double atr, const Market* market, Candidate* found) noexcept nogil
    cdef int _judge(self, int32_t number, const Market* market, Candidate* found) noexcept nogil
    cdef int _with_facts(self, int refused, Candidate* found) noexcept nogil
    cdef bint _better(self, const Candidate* one, const Candidate* other) noexcept nogil
    cdef double _mtf(self, int side) noexcept nogil
    cdef double _trigger(self, const Setup* setup) noexcept nogil
    cdef _count(self)
