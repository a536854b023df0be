"""MarketBook: the merged sparse quote of one contract, its last good price, and a jump that waits for proof.

The one place where a quote is merged and a price is judged: the general decoder of market frames and the scanner both
come here. Prices are ticks or NO_PRICE. A missing field of a message means unchanged, never 0. The scanner also keeps
its ticks here until the owner has written them into the contract's ring.
"""
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport fabs, rint
from libc.stdint cimport INT64_MIN, int8_t, int32_t, int64_t, uint16_t
from libc.string cimport memset

from tbot_ext.records cimport FLAG_SUSPECT, TICK_QUOTE, TICK_TRADE, Tick
from tbot_ext.ring cimport RingWriter

__all__ = ["MAX_WAITING", "MarketBook"]

cdef enum:
    COLLAR_TICKS_C = 400            # C_PRICE_COLLAR: within 2 % and 400 ticks of the last good price
    COLLAR_PERCENT_C = 2
    CONFIRM_NS_C = 1000000000       # a jump is confirmed by a second print or quote within 1 s

MAX_WAITING = BATCH_TICKS

cdef int64_t NS_PER_MIN = 60000000000
cdef double MAX_EXACT = 9007199254740992.0      # 2**53: above it a binary float no longer holds every integer


cdef inline int64_t _collar(int64_t price) noexcept nogil:
    cdef int64_t percent = price * COLLAR_PERCENT_C // 100
    return percent if percent < COLLAR_TICKS_C else COLLAR_TICKS_C


cdef class MarketBook:
    """One contract: the gateway's id and symbol id, the number of its ring, the size of a tick.

    Not thread-safe. An id that JSON would have to escape is never matched by the scanner, which is no fault: the
    general decoder reads such frames.
    """

    def __cinit__(self, *args, **kwargs):
        self.ticks = <Tick*>PyMem_Malloc(BATCH_TICKS * sizeof(Tick))
        if self.ticks == NULL:
            raise MemoryError()
        memset(self.ticks, 0, BATCH_TICKS * sizeof(Tick))

    def __init__(self, str broker_id not None, str symbol_id not None, int contract_id, double tick_size):
        if not 0 <= contract_id <= 65535 or not tick_size > 0:
            raise ValueError(f"contract {contract_id} with ticks of {tick_size} is none")
        self.broker_id, self.symbol_id = broker_id, symbol_id
        self.contract_id, self.tick_size = contract_id, tick_size
        self.broker, self.symbol = _as_written(broker_id), _as_written(symbol_id)
        self.good = INT64_MIN
        self.last_trade_ns = self.fence_ns = 0
        self.minutes = []
        self.forget_quote()
        self.clear()

    def __dealloc__(self):
        PyMem_Free(self.ticks)

    # ------------------------------------------------------------ quotes and prices
    def forget_quote(self):
        """After a gap "unchanged" refers to something we did not see: the quote is unknown again."""
        self.bid = self.ask = self.last = INT64_MIN
        self.volume = -1
        self.updated_ns = 0
        self.candidate = INT64_MIN
        self.candidate_ns = 0
        self.candidate_message = -1

    @property
    def crossed(self):
        """Bid above ask: gives no entry and proves nothing about the price."""
        return self.bid != INT64_MIN and self.ask != INT64_MIN and self.bid > self.ask

    def judge(self, int64_t low, int64_t high, int64_t exch_ns, int64_t message):
        """Flags of a print (low = high) or quote (bid, ask): 0, or SUSPECT for an unconfirmed jump (design ruling 19).

        `message` numbers the frame it came in: two prints of one frame are no independent witnesses.
        """
        return self.judged(low, high, exch_ns, message)

    def merge(self, int64_t updated_ns, int64_t exch_ns, int64_t bid, int64_t ask, int64_t last, int64_t volume,
              int64_t message):
        """Take a quote's fields (NO_PRICE and -1: unchanged); its flags, or -1 while no side is known."""
        return self.merged(updated_ns, exch_ns, bid, ask, last, volume, message)

    def trade(self, int64_t exch_ns, int64_t price, int64_t message):
        """Take a print; its flags."""
        return self.printed(exch_ns, price, message)

    cdef int64_t grid(self, double value) noexcept nogil:
        # Product.float_to_ticks with the bounds of PricedBook.ticks_of, operation by operation; -1: refused.
        cdef double scaled, whole
        if not 0 < value < MAX_EXACT:
            return -1
        scaled = value / self.tick_size
        whole = rint(scaled)                    # halves to even, as Python's round
        if not 0 < whole < MAX_EXACT or fabs(scaled - whole) > 1e-6:
            return -1
        return <int64_t>whole

    cdef int judged(self, int64_t low, int64_t high, int64_t exch_ns, int64_t message) noexcept nogil:
        cdef int64_t good = self.good
        cdef int64_t collar, away
        if good != INT64_MIN:
            collar = _collar(good)
            if low < good - collar or high > good + collar:
                collar = _collar(self.candidate) if self.candidate != INT64_MIN else 0
                away = exch_ns - self.candidate_ns
                if (self.candidate == INT64_MIN or self.candidate_message == message
                        or away > CONFIRM_NS_C or away < -<int64_t>CONFIRM_NS_C
                        or low < self.candidate - collar or high > self.candidate + collar):
                    self.candidate = (low + high) // 2
                    self.candidate_ns = exch_ns
                    self.candidate_message = message
                    return FLAG_SUSPECT
        self.good = (low + high) // 2
        self.candidate = INT64_MIN
        return 0

    cdef int merged(self, int64_t updated_ns, int64_t exch_ns, int64_t bid, int64_t ask, int64_t last, int64_t volume,
                    int64_t message) noexcept nogil:
        self.updated_ns = updated_ns
        if volume >= 0:
            self.volume = volume
        if bid != INT64_MIN:
            self.bid = bid
        if ask != INT64_MIN:
            self.ask = ask
        if last != INT64_MIN:
            self.last = last
        bid, ask = self.bid, self.ask
        if bid == INT64_MIN and ask == INT64_MIN:
            return -1                           # nothing but the session's numbers yet
        if bid == INT64_MIN:
            bid = ask
        elif ask == INT64_MIN:
            ask = bid
        if bid > ask:
            return FLAG_SUSPECT
        return self.judged(bid, ask, exch_ns, message)

    cdef int printed(self, int64_t exch_ns, int64_t price, int64_t message) noexcept nogil:
        if exch_ns > self.last_trade_ns:
            self.last_trade_ns = exch_ns
        return self.judged(price, price, exch_ns, message)

    # ------------------------------------------------------------ ticks that wait
    def clear(self):
        """Forget the ticks that wait, and what was told of them."""
        self.n = self.events = 0
        self.data_ns = self.trade_ns = 0
        self.newest_minute = -1
        if self.minutes:
            self.minutes = []

    @property
    def waiting(self):
        """How many ticks wait."""
        return self.n

    def write(self, RingWriter writer not None):
        """Write the ticks that wait into the contract's ring and wake its readers once; they go on waiting here.

        Raises as RingWriter.push does; ValueError for the ring of another contract.
        """
        cdef int i
        if writer._open().contract_id != <unsigned int>self.contract_id:
            raise ValueError(f"these are ticks of contract {self.contract_id}, the ring is another one's")
        for i in range(self.n):
            writer._checked(writer.put(&self.ticks[i]))
        writer.wake_readers()

    def rows(self):
        """The ticks that wait as the arguments of RingWriter.push: for tests, and for writers that are no ring."""
        cdef int i
        cdef Tick* t
        found = []
        for i in range(self.n):
            t = &self.ticks[i]
            found.append((t.kind, t.exch_ns, t.recv_ns, t.price, t.price2, t.size, t.aux, t.volume, t.side, t.flags))
        return found

    cdef void add_quote(self, int64_t exch_ns, int64_t recv_ns, int flags) noexcept nogil:
        cdef Tick* t = &self.ticks[self.n]
        t.exch_ns, t.recv_ns = exch_ns, recv_ns
        t.price, t.price2, t.size, t.volume = self.bid, self.ask, 0, self.volume
        t.kind, t.side, t.flags = TICK_QUOTE, 0, <uint16_t>flags

    cdef void seat(self, Tick* t, int64_t exch_ns, int64_t recv_ns, int64_t price, int32_t size,
                   int8_t side) noexcept nogil:
        t.exch_ns, t.recv_ns = exch_ns, recv_ns
        t.price, t.price2, t.size, t.volume = price, 0, size, -1
        t.kind, t.side, t.flags = TICK_TRADE, side, 0

    cdef int note(self, Tick* newest, int count) except -1:
        # The last `count` ticks are those of one event, `newest` its last one.
        cdef int i
        cdef int64_t minute
        cdef Tick* t
        self.events += 1
        self.n += count
        if count and newest.exch_ns > self.data_ns:
            self.data_ns = newest.exch_ns
        if count and newest.kind == TICK_TRADE:
            if newest.exch_ns > self.trade_ns:
                self.trade_ns = newest.exch_ns
            for i in range(self.n - count, self.n):
                t = &self.ticks[i]
                minute = t.exch_ns - t.exch_ns % NS_PER_MIN
                if not t.flags and minute != self.newest_minute:
                    self.newest_minute = minute
                    self.minutes.append(minute)
        return 0


cdef bytes _as_written(str name):
    # As the name stands in a frame: printable ASCII without quote and backslash stands there as it is.
    if not name.isascii() or not name.isprintable() or '"' in name or "\\" in name:
        return b""
    return name.encode()
