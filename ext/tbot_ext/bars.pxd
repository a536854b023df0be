# Bars from ticks (smc.md section 1): the open minute, and the four higher timeframes made of finished minutes.
# Both structs live in their owner (BarBuilder here, ContractPipeline in pipeline.pyx); nothing here allocates.
from libc.stdint cimport int64_t, uint8_t, uint64_t

from tbot_ext.records cimport Bar, Tick

cdef enum:
    HIGHER_C = 4                # 5, 15, 30 and 60 minutes
    BURST_C = 16                # more than one record can close: 4 overdue, 5 ending with the minute, 4 by clock

cdef enum MinuteResult:         # bits returned by minute_trade and minute_clock
    MINUTE_CLOSED = 1           # *closed holds a finished bar
    MINUTE_OPENED = 2           # a new bar was opened

cdef struct MinuteBuilder:
    Bar bar                     # the open bar, valid while `is_open`
    int64_t end_ns              # of the open bar
    int64_t open_ns             # key of the first print so far: exchange time, then sequence
    uint64_t open_seq
    int64_t close_ns            # key of the last print so far
    uint64_t close_seq
    int64_t closed_through_ns   # every bucket that starts before is closed, traded or not
    int64_t incomplete_until_ns     # data may be missing up to here
    int64_t late_ticks          # for a closed bucket: never changes a bar
    int64_t zero_size           # size <= 0 or no price: no print
    int64_t out_of_order        # older than a print of the same, still open bar
    int64_t trades              # prints that entered a bar
    uint8_t is_open
    uint8_t taint_next          # the bar that the next print enters has a gap in it

cdef struct Aggregator:
    Bar bars[HIGHER_C]
    int64_t end_ns[HIGHER_C]
    int64_t last_start_ns       # start of the newest minute taken; INT64_MIN before the first
    uint8_t has[HIGHER_C]       # bars[i] is forming

cdef void minute_init(MinuteBuilder* m) noexcept nogil
cdef int minute_trade(MinuteBuilder* m, const Tick* t, Bar* closed) noexcept nogil
cdef int minute_clock(MinuteBuilder* m, int64_t now_ns, Bar* closed) noexcept nogil
cdef void minute_gap(MinuteBuilder* m, int64_t now_ns) noexcept nogil

cdef void aggregate_init(Aggregator* a) noexcept nogil
# Takes one finished minute, writes every bar that is finished with it to out[], in order of publication.
cdef int aggregate(Aggregator* a, const Bar* minute, Bar* out) noexcept nogil
# Market time reached now_ns: writes the higher bars whose end has come without a bar in their last minute.
cdef int aggregate_clock(Aggregator* a, int64_t now_ns, Bar* out) noexcept nogil
# The forming bar of a timeframe, the open minute included; 1 if there is one.
cdef int forming_bar(const Aggregator* a, const MinuteBuilder* m, int timeframe_min, Bar* out) noexcept nogil
cdef int64_t floor_minutes(int64_t ts_ns, int64_t minutes) noexcept nogil

cdef class BarBuilder:
    cdef MinuteBuilder _minute
    cdef Aggregator _higher
    cdef Bar _out[BURST_C]
    cdef int64_t _clock_ns

    cdef int _take(self, const Tick* t) noexcept nogil
