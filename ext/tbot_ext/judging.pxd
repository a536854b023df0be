# What the strategy knows when it judges a setup, and what a judged one is as a trade. Declarations and leaf functions:
# no module to import.
from libc.math cimport ceil, floor, rint
from libc.stdint cimport int32_t, int64_t, uint8_t

from tbot_ext.facts cimport Verdict, verdict_score
from tbot_ext.outcome_book cimport FATE_AGAINST_DOLLAR, FATE_DOLLAR_STALE, FATE_NEWS, FATE_OUTSCORED, FATE_SCORE_TOO_LOW
from tbot_ext.outcome_book cimport FATE_TARGET_BELOW_COST
from tbot_ext.params cimport TIMEFRAMES_C
from tbot_ext.place_book cimport PlaceBook, place_book_ahead
from tbot_ext.setups cimport Candidate
from tbot_ext.zone_book cimport HeldZone

cdef enum:                      # counters, in the order of COUNTERS
    TESTS, TESTS_WARMUP, DIED_NO_TRIGGER, DIED_ZONE, TRIGGERS_IDLE, TRIGGERS, WARMUP, DATA_ONLY, NOT_LIVE, UNCLEAN_BAR
    TOO_LATE, NO_QUOTE, NO_ATR, NO_RISK, TARGET_BELOW_COST, SCORE_TOO_LOW, OUTSCORED, SIGNALS
    NEWS, DOLLAR_STALE, AGAINST_DOLLAR
    COUNTERS_C

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
    int64_t contract_id
    int64_t horizon_min         # longest that a hypothetical bracket is followed
    uint8_t data_only
    uint8_t facts               # outside facts count even where the stream has told none
    uint8_t follow              # lay hypothetical brackets (outcome_book)

# Entry, stop and target; the rule that forbids the trade (a counter), -1 when none does. The entry is the adverse side
# of the quote. The stop lies beyond the distal edge by max(least ticks, a share of the ATR), rounded away from the
# entry; the target is the nearest opposing pool or level that lies far enough, else a multiple of the risk, rounded
# towards the entry.
cdef inline int plan_trade(const Rules* rules, const PlaceBook* places, const HeldZone* zone, double atr,
                           const Market* market, Candidate* found) noexcept nogil:
    cdef double distance = max(<double>rules.stop_min_ticks, rules.stop_atr * atr)
    cdef int side = zone.side
    cdef int64_t risk
    cdef int32_t place
    found.entry = market.ask if side > 0 else market.bid
    found.stop = <int64_t>(floor(zone.bottom - distance) if side > 0 else ceil(zone.top + distance))
    risk = (found.entry - found.stop) * side
    if risk <= 0:
        return NO_RISK                          # price is already where the stop would be
    # Whole ticks: 1.1 * 50 is 55.00000000000001, and 55 ticks are far enough.
    place = place_book_ahead(places, side, found.entry, ceil(rules.min_rr * risk - 1e-6))
    if place >= 0:
        found.target, found.place_id = places.items[place].level, places.items[place].id
    else:
        found.target, found.place_id = found.entry + side * <int64_t>floor(rules.default_rr * risk), -1
    if (found.target - found.entry) * side * rules.tick_value_cents < rules.cost_multiple * rules.round_turn_cents:
        return TARGET_BELOW_COST
    return -1

# The score by its parts, 0..100, plain and multiplied by the weight of its pattern. Rounded far below any meaning, so
# that a sum such as 59.99999999 is not taken for less than 60. With no part smaller it is never smaller.
cdef inline void sum_up(const Rules* rules, double weight, Candidate* found) noexcept nogil:
    cdef double total = 0.0
    cdef int k
    for k in range(5):
        total += rules.weights[k] * found.parts[k]
    found.plain = rint(100.0 * total * 1e6) / 1e6
    found.score = min(100.0, rint(100.0 * total * weight * 1e6) / 1e6)

# Of a judged setup, by its counter; one that may be traded is outscored until it turns out to be the best.
cdef inline int fate_of(int refused) noexcept nogil:
    return (FATE_SCORE_TOO_LOW if refused == SCORE_TOO_LOW else FATE_TARGET_BELOW_COST if refused == TARGET_BELOW_COST
            else FATE_NEWS if refused == NEWS else FATE_DOLLAR_STALE if refused == DOLLAR_STALE
            else FATE_AGAINST_DOLLAR if refused == AGAINST_DOLLAR else FATE_OUTSCORED)

# What news and the dollar index make of a setup that was judged: its score, and whether it may be traded.
cdef inline int with_facts(const Rules* rules, const Verdict* verdict, int refused, Candidate* found) noexcept nogil:
    if refused >= 0 and refused != SCORE_TOO_LOW:
        return refused
    found.score = verdict_score(verdict, found.score)
    if found.score < rules.min_score:
        return AGAINST_DOLLAR if refused < 0 else SCORE_TOO_LOW
    return verdict.refused
