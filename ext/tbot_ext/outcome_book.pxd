# What would have become of setups, traded or not: hypothetical brackets, followed bar by bar.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t

from tbot_ext.frames cimport Frame
from tbot_ext.records cimport Event
from tbot_ext.setups cimport Candidate, Setup
from tbot_ext.zone_book cimport HeldZone

cdef enum:
    FOLLOWED_C = 512            # brackets followed at once; one more is not laid, and counted
    ENDED_C = 2048              # ended and not taken yet; one more is lost, and counted
    ENDED_MANY_C = ENDED_C - FOLLOWED_C  # so many, and somebody should take them: a bar ends FOLLOWED_C at most
    STOP_SLIP_C = 1             # ticks that a stop costs beyond its price

cdef enum Stage:
    STAGE_TEST                  # at the close of the bar that entered the zone, without waiting for a trigger
    STAGE_TRIGGER               # at the close that triggered the setup: where the strategy itself would enter

cdef enum Fate:                 # whether the strategy traded it, or why not; names: FATES
    FATE_UNTRIGGERED            # of STAGE_TEST: the strategy never trades without a trigger
    FATE_SIGNAL
    FATE_SCORE_TOO_LOW
    FATE_TARGET_BELOW_COST
    FATE_OUTSCORED              # a better setup spoke at the same close
    FATE_NEWS                   # outside facts forbade the signal
    FATE_DOLLAR_STALE
    FATE_AGAINST_DOLLAR

cdef enum End:                  # names: ENDS
    END_OPEN, END_STOP, END_TARGET, END_TIME, END_BREAK, END_UNCLEAN

cdef struct Outcome:            # 168 bytes; prices and distances in ticks, times UTC ns
    int64_t zone_id             # event of the zone's birth
    int64_t born_ns             # the zone became known
    int64_t decided_ns          # close of the bar at which the bracket was laid
    int64_t ended_ns            # close of the bar that ended it
    int64_t resolved_ns         # market time at which this was known
    int64_t entry, stop, target
    int64_t exit                # price
    int64_t against             # furthest that bars went against the entry, and in its favour, >= 0
    int64_t favour
    double score                # 0..100, before any weight
    double weight               # that it was multiplied by
    double atr_zone             # of the zone's, the entry timeframe and 1h, 0 unknown
    double atr_entry
    double atr_hour
    float parts[5]              # zone, mtf, trigger, confluence, location
    int32_t bars                # of the entry timeframe that it lasted
    uint16_t contract_id
    uint16_t test               # of the zone
    uint16_t nth                # bracket of this stage of this test
    uint16_t together           # brackets of its stage and side laid at the same close
    uint8_t kind                # HeldKind
    uint8_t timeframe_min
    uint8_t stage
    uint8_t fate
    uint8_t end
    int8_t side
    int8_t trend                # of 1h at the decision: +1 with the trade, -1 against it, 0 none
    uint8_t hour_known          # both ATRs are known

cdef struct OutcomeBook:
    Outcome followed[FOLLOWED_C]    # in the order in which they were laid
    Outcome ended[ENDED_C]          # in the order in which they ended
    int32_t followed_n
    int32_t ended_n
    int64_t horizon_ns          # longest time that a bracket is followed
    int64_t last_close          # of the entry timeframe
    int64_t last_ns
    int64_t not_laid
    int64_t lost
    int64_t digest              # of all that ended so far: equal histories, equal numbers

cdef void outcome_book_init(OutcomeBook* book, int64_t horizon_ns) noexcept nogil
# Follows a judged setup from the next bar on. `frames`: of all timeframes; `entry`: which of them is the entry's.
cdef void outcome_book_lay(OutcomeBook* book, const Setup* setup, const HeldZone* zone, const Candidate* found,
                           const Frame* frames, int entry, double weight, int64_t contract_id, int64_t decided_ns,
                           Stage stage, int fate) noexcept nogil
# A closed bar of the entry timeframe; what it ends is known at `now_ns` of market time.
cdef void outcome_book_bar(OutcomeBook* book, const Event* bar, int64_t now_ns) noexcept nogil
# Of the brackets laid at this close, `first` the first of them: how many there are of each side.
cdef void outcome_book_count(OutcomeBook* book, int32_t first) noexcept nogil
# All that ended, OUTCOME_DTYPE, and forgets them.
cdef object outcome_book_take(OutcomeBook* book)
# Everything that later outcomes depend on, as plain values.
cdef object outcome_book_state(const OutcomeBook* book)
