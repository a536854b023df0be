# Support and resistance levels, and the static levels that behave like them (smc.md section 8).
from libc.stdint cimport int32_t, int64_t

from tbot_ext.events cimport EventSink
from tbot_ext.level_list cimport LevelList
from tbot_ext.params cimport ParamValues
from tbot_ext.periods cimport PeriodValues
from tbot_ext.series cimport BarSeries

cdef struct FreshSwing:
    int64_t bar
    int64_t price
    int32_t side
    int32_t target              # place of the level it joins, -1 none

cdef struct LevelState:
    LevelList swings
    LevelList statics
    FreshSwing fresh[2]         # became known at the newest bar
    int32_t fresh_n
    int32_t round_known
    int64_t round_low           # the lower of the two round numbers around price

cdef void levels_init(LevelState* levels) noexcept nogil
cdef void levels_shift(LevelState* levels, int64_t spread) noexcept nogil
# Step 2: levels known before the newest bar are touched, broken, killed, expire.
cdef void levels_react(LevelState* levels, const ParamValues* p, const BarSeries* series, double atr, double volume,
                       EventSink* sink) noexcept nogil
# Step 7: bar i became known as a swing high (side +1) or low (-1) at the newest bar; `price` in ticks, not negated.
cdef void levels_swing(LevelState* levels, int side, int64_t i, int64_t price) noexcept nogil
# Step 7, once after the newest bar's swings: they join levels or open some, both at once.
cdef void levels_settle(LevelState* levels, const ParamValues* p, const BarSeries* series, double atr, double volume,
                        EventSink* sink) noexcept nogil
# Step 7: a period ended; its values replace those of the one before.
cdef void levels_period(LevelState* levels, const ParamValues* p, const BarSeries* series, const PeriodValues* period,
                        double atr, double volume, EventSink* sink) noexcept nogil
# Step 7: the round numbers around the newest close.
cdef void levels_round(LevelState* levels, const ParamValues* p, const BarSeries* series, double atr, double volume,
                       EventSink* sink) noexcept nogil
# LEVEL_DTYPE, in order of price.
cdef levels_array(const LevelState* levels, int timeframe_min)
