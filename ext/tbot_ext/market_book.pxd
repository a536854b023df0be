# What is known of one contract's market, and the ticks that wait to go into its ring.
from libc.stdint cimport int8_t, int32_t, int64_t, uint16_t

from tbot_ext.records cimport Tick

cdef enum:
    BATCH_TICKS = 1024              # of one contract that wait at most

cdef class MarketBook:
    cdef readonly str broker_id
    cdef readonly str symbol_id
    cdef readonly int contract_id
    cdef double tick_size
    cdef bytes broker               # as they stand in a frame; empty when they cannot stand there as they are
    cdef bytes symbol

    cdef public int64_t bid         # ticks or NO_PRICE, as merged from the sparse quotes
    cdef public int64_t ask
    cdef public int64_t last
    cdef public int64_t volume      # cumulative of the session, -1 unknown
    cdef public int64_t updated_ns
    cdef public int64_t good        # last price that was not suspect
    cdef public int64_t last_trade_ns       # newest accepted print
    cdef public int64_t fence_ns    # prints up to here were seen before the last reconnect
    cdef int64_t candidate          # a jump that waits for proof
    cdef int64_t candidate_ns
    cdef int64_t candidate_message

    cdef Tick* ticks
    cdef int n                      # of them in use
    cdef int events                 # quotes and trade messages since `clear`
    cdef readonly int64_t data_ns   # newest time of the last tick of an event since `clear`; 0: none
    cdef readonly int64_t trade_ns  # the same of trades
    cdef readonly list minutes      # starts of the minutes of prints that are not suspect, since `clear`
    cdef int64_t newest_minute

    cdef int64_t grid(self, double value) noexcept nogil
    cdef int judged(self, int64_t low, int64_t high, int64_t exch_ns, int64_t message) noexcept nogil
    cdef int merged(self, int64_t updated_ns, int64_t exch_ns, int64_t bid, int64_t ask, int64_t last, int64_t volume,
                    int64_t message) noexcept nogil
    cdef int printed(self, int64_t exch_ns, int64_t price, int64_t message) noexcept nogil
    cdef void add_quote(self, int64_t exch_ns, int64_t recv_ns, int flags) noexcept nogil
    cdef void seat(self, Tick* tick, int64_t exch_ns, int64_t recv_ns, int64_t price, int32_t size,
                   int8_t side) noexcept nogil
    cdef int note(self, Tick* newest, int count) except -1
