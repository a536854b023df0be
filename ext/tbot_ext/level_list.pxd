# Levels of one list, in order of price: what they are made of, and their life (smc.md section 8).
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t

from tbot_ext.events cimport EventSink
from tbot_ext.params cimport MAX_ZONES_C, ParamValues
from tbot_ext.records cimport Bar
from tbot_ext.series cimport BarSeries

cdef enum:
    LEVELS_C = MAX_ZONES_C      # per list; static levels are at most 20
    BREAKS_C = 3                # within max_age bars, and a level is dead

cdef struct Level:              # one array for both roles, so prices are never negated
    int64_t id                  # of its LEVEL event, 0 before
    int64_t known_ns            # of its LEVEL event
    int64_t born                # number of the bar at whose close its first swing, or its value, became known
    int64_t origin              # number of the newest member's bar
    int64_t origin_ns
    int64_t first               # price of the first member in ticks; the level itself lies at first + offset,
    int64_t whole               # which is whole + part with 0 <= part <= 1: its place in the order of price
    int64_t low                 # whole ticks within the tolerance: low <= price <= high is "in the level"
    int64_t high
    int64_t volume              # contracts, of all members' bars
    int64_t last_touch          # number of the bar of the newest birth, join or touch
    int64_t breaks[BREAKS_C]    # numbers of the bars that broke it, the newest first
    double offset               # ticks, at most half the tolerance
    double part
    double tolerance            # ticks, frozen
    double moment               # sum of weight * (price - first) over the members
    double weight
    double score                # strength at its last event
    int32_t members
    int32_t touches
    int32_t counted             # breaks that counted at its last event
    int8_t side                 # +1 support, -1 resistance, 0 as long as no bar has closed off it
    uint16_t source             # EventSource

cdef struct LevelList:
    Level items[LEVELS_C]
    uint8_t order[LEVELS_C]     # places in items[]: the n live ones by price, then the free ones
    int32_t n
    int64_t reach               # no tolerance is larger, whole ticks
    int64_t fall                # a bar changes no level while low > fall
    int64_t rise                # and high < rise
    int64_t due                 # and this is not yet the past

cdef struct LevelMoment:        # what a step knows of the newest bar; lives on the stack
    const ParamValues* p
    const BarSeries* series
    const Bar* bar
    int64_t t
    double atr
    double volume               # mean
    EventSink* sink

# How far a price lies above the level, ticks.
cdef inline double level_above(const Level* level, int64_t price) noexcept nogil:
    return (price - level.first) - level.offset

# The k-th by price.
cdef inline Level* level_at(LevelList* levels, int k) noexcept nogil:
    return &levels.items[levels.order[k]]

# Whoever changes first, offset or tolerance calls this: band and place in the order follow.
cdef void level_band(Level* level) noexcept nogil
# A new level without members or role, with origin and volume of the newest bar; does not enter any list.
cdef void level_fresh(Level* level, int64_t price, double offset, double tolerance,
                      const LevelMoment* now) noexcept nogil
# Its role at birth; `on`: what it is exactly on the newest close, 0 if the closes before decide.
cdef int8_t level_role(const Level* level, int on, const LevelMoment* now) noexcept nogil
# Emits an event about a level: LEVEL with that parent if it is its first, nothing while it is too weak.
cdef void level_tell(Level* level, int kind, int64_t parent, const LevelMoment* now) noexcept nogil

cdef void levels_list_init(LevelList* levels) noexcept nogil
cdef void levels_list_shift(LevelList* levels, int64_t spread) noexcept nogil
# All levels of the list, born before, react to the newest bar.
cdef void levels_list_react(LevelList* levels, const LevelMoment* now) noexcept nogil
# Rank of the first level at or above a price, rounded down.
cdef int levels_find(LevelList* levels, int64_t price) noexcept nogil
cdef int levels_rank(const LevelList* levels, int slot) noexcept nogil
# Gives items[slot], slot being order[n], its rank.
cdef void levels_enter(LevelList* levels, int slot) noexcept nogil
# Takes the k-th by price out; its slot becomes order[n].
cdef void levels_forget(LevelList* levels, int k) noexcept nogil
# One level, or two that are alike in everything, makes room for new ones.
cdef void levels_make_room(LevelList* levels, const LevelMoment* now) noexcept nogil
