# The zones of one contract that are alive for the strategy, and which of them price enters.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

from tbot_ext.id_table cimport IdTable
from tbot_ext.records cimport Event

cdef enum:
    # The pipeline keeps 64 zones per side, kind and timeframe, fewer in all; the bound is for a broken stream.
    ZONES_C = 4096              # live ones at most, and as many filled gaps
    PLACES_OF_ZONES_C = 2 * ZONES_C + 2

cdef enum HeldKind:
    HELD_OB, HELD_FVG, HELD_IFVG, HELD_BREAKER, HELD_MITIGATION

cdef enum HeldState:
    HELD_NONE, HELD_LIVE, HELD_FILLED   # filled: a gap that is no zone any more but may still invert

cdef struct HeldZone:           # a price band in which the strategy expects price to turn
    int64_t id                  # of the birth event, also after a gap inverted
    int64_t serial              # in order of birth; an inversion is one
    int64_t newest              # event that told of it last
    int64_t known_ns
    int64_t top                 # ticks
    int64_t bottom
    int64_t tests
    double score                # 0..100
    float parts[5]              # of the score, in the order of its formula
    int32_t watched             # its place in the list of the watched ones, -1
    int32_t setup               # number of its open setup, -1
    int32_t next_free
    int8_t side                 # +1 demand, -1 supply
    uint8_t timeframe_min
    uint8_t kind                # HeldKind
    uint8_t state               # HeldState
    uint8_t inside              # price has not left since the last test

cdef struct ZoneBook:
    IdTable table
    HeldZone items[PLACES_OF_ZONES_C]
    int32_t used                # places of items that were ever used
    int32_t free                # first free one below them, -1 none
    int32_t live
    int32_t filled
    int32_t watched[PLACES_OF_ZONES_C]  # live zones of a traded timeframe that may still be tested
    int32_t watched_n
    # Prices that a bar must reach to change any watched zone: nearest edges of those it is outside of, and of those it
    # is inside of. Too near is safe, it costs a walk: additions move them, removals do not, a walk starts anew.
    int64_t enter_low, enter_high, leave_low, leave_high
    int64_t serial              # of the newest
    int64_t passed_through      # bars beyond a zone that never traded inside it
    int64_t dropped             # by the bound; 0 with a sound pipeline
    int64_t max_tests
    uint8_t traded[256]         # by timeframe in minutes

cdef void zone_book_init(ZoneBook* book, int64_t max_tests) noexcept nogil
# Takes in an event of a zone. Setups that lost their zone are put into `lost` (room for 2); returns how many.
cdef int zone_book_apply(ZoneBook* book, const Event* event, int32_t* lost) noexcept nogil
# The zones that a bar of the entry timeframe tests anew are put into `entered` (room for all); returns how many.
cdef int zone_book_enter(ZoneBook* book, int64_t high, int64_t low, int64_t start_ns, int32_t* entered) noexcept nogil
# Other live zones of the side of `of` within so many ticks, of `least_tf` minutes and longer; returns how many.
cdef int zone_book_neighbours(const ZoneBook* book, int32_t of, int64_t within, int least_tf,
                              int32_t* found) noexcept nogil
# Of one timeframe: the newest live zone with `price` in it, else the newest of the nearest; -1 none.
cdef int32_t zone_book_nearest(const ZoneBook* book, int timeframe_min, int64_t price) noexcept nogil
