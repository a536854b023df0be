# What a driver in lock-step does with each record of a merged stream: number it, and look whether anything may happen.
from libc.stdint cimport int64_t, uint8_t, uint16_t

from tbot_ext.records cimport Tick

cdef enum:
    SEATS_C = 255               # contracts of one stream at most

cdef struct Seat:               # one contract: what would be news, and what was passed over
    uint16_t contract_id
    uint16_t epoch              # of its last record
    int64_t written             # records numbered so far
    int64_t trade_low           # news: a trade at or below ...
    int64_t trade_high          # ... or at or above
    int64_t bid_low             # news: a two-sided quote with a bid at or below this ...
    int64_t bid_high
    int64_t ask_low
    int64_t ask_high
    uint8_t every               # news: any trade or quote
    uint8_t waiting             # news: any two-sided quote
    uint8_t watched             # news: time passes while its two-sided quote is too old
    int64_t quote_ns            # exchange time of the newest two-sided quote, INT64_MIN before the first
    int64_t last_quote          # index of the newest quote, two-sided quote and trade passed over, -1 none
    int64_t last_whole
    int64_t last_trade
    int64_t low, high           # of the trades passed over

cdef class StreamWatch:
    cdef Seat _seats[SEATS_C]
    cdef uint8_t _seat_of[65536]            # 1 + index of a contract's seat, 0 none
    cdef int _n

    cdef int _seat(self, int contract_id) except -1
    cdef int64_t _oldest(self) noexcept nogil
    # Index of the first record of the first instant in [i, end) that may be news, else end.
    cdef int64_t _find(self, const Tick* ticks, int64_t i, int64_t end, int64_t due_ns, int64_t stale_ns) noexcept nogil
    cdef bint _news(self, const Tick* t) noexcept nogil
    cdef void _pass(self, const Tick* ticks, int64_t i, int64_t end) noexcept nogil
    # Sets seq and epoch of n records; -1 for one of a contract without a seat.
    cdef int _number(self, Tick* ticks, int64_t n) noexcept nogil
