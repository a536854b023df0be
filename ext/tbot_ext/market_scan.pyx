"""MarketScanner: quotes and trades straight from the bytes of the market hub, for the shapes the gateway writes.

It knows one spelling of each frame: members without spaces or escapes, plain decimal numbers, times in UTC. A record
that differs in anything (another order of the envelope, an unknown member, a null, a price off the grid, a stamp out of
bounds, a print seen before) is left where it is and untouched, for the general decoder to read, judge and count. So the
scanner never refuses and never accepts what the general decoder would not; where it accepts, both give the same ticks
and leave the same book behind (tests hold them against each other).

Numbers are exact: up to 15 digits with up to 15 places are a whole number below 2**53 over a power of ten below 10**22,
and one division of two exact doubles rounds correctly (W. D. Clinger, "How to read floating point numbers accurately",
1990), so the price is the double that a JSON parser delivers. Days are counted by the civil calendar's shifted year
(the method of H. Hinnant, "chrono-compatible low-level date algorithms").
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT32_MAX, INT64_MIN, int8_t, int32_t, int64_t
from libc.string cimport memcmp

from tbot_ext.market_book cimport BATCH_TICKS, MarketBook
from tbot_ext.records cimport Tick

__all__ = ["MAX_BOOKS", "MarketScanner"]

cdef enum:
    MAX_BOOKS_C = 64
    PREFIX = 27                         # bytes of `{"type":1,"target":"Gateway`
    MIDDLE = 22                         # bytes of `Quote","arguments":["` and of Trade's, with the quote behind
    DIGITS = 15

MAX_BOOKS = MAX_BOOKS_C

cdef const char* HEAD = b'{"type":1,"target":"Gateway'
cdef const char* QUOTE = b'Quote","arguments":["'
cdef const char* TRADE = b'Trade","arguments":["'
cdef int64_t NS_PER_S = 1000000000
cdef int64_t NS_PER_MIN = 60000000000
cdef int64_t NO_TIME = INT64_MIN
cdef double[16] POWERS
cdef int64_t[10] SCALE


cdef int _fill_tables() except -1:
    cdef int i
    POWERS[0], SCALE[9] = 1.0, 1
    for i in range(1, 16):
        POWERS[i] = POWERS[i - 1] * 10.0        # exact up to 10**22
    for i in range(8, -1, -1):
        SCALE[i] = SCALE[i + 1] * 10
    return 0


_fill_tables()


cdef struct Members:                    # what a quote or a print said; `seen` has a bit for each member
    unsigned int seen
    int64_t updated_ns
    int64_t exch_ns
    double bid
    double ask
    double last
    int64_t volume
    int64_t side_type

cdef enum:                              # bits of Members.seen
    UPDATED = 1
    STAMP = 2
    BID = 4
    ASK = 8
    LAST = 16
    VOLUME = 32
    SYMBOL = 64
    CONTRACT = 128
    CHANGE = 256
    PERCENT = 512
    OPEN = 1024
    HIGH = 2048
    LOW = 4096
    TYPE = 8192
    PRICE = 16384


cdef inline bint _digit(unsigned char c) noexcept nogil:
    return 48 <= c <= 57


cdef class MarketScanner:
    """Reads for the given books; `max_future_ns`, `max_past_ns`: how far a stamp may lie from market time.

    A frame is never longer than the bytes given: what has no separator yet is left. Not thread-safe.
    """

    cdef list _books
    cdef list _touched
    cdef int64_t _max_future_ns
    cdef int64_t _max_past_ns
    cdef int64_t _now_ns
    cdef char[16] _minute               # text of the newest minute met, and its start
    cdef int64_t _minute_ns
    cdef public int64_t message         # number of the newest frame, whoever read it
    cdef readonly int records           # of the last `scan`: records taken
    cdef readonly int items             # quotes and prints in them
    cdef readonly int suspect
    cdef readonly int crossed
    cdef readonly int out_of_order

    def __init__(self, books, max_future_ns, max_past_ns):
        self._books = list(books)[:MAX_BOOKS_C]
        self._touched = []
        self._max_future_ns = min(max_future_ns, 1 << 62)
        self._max_past_ns = min(max_past_ns, 1 << 62)
        self._minute[0] = 0
        self.message = 0

    def set_books(self, books):
        """Other books from now on; the first 64 are scanned for. A book that stays begins empty, as after a `scan`."""
        self._forget_waiting()
        self._books = list(books)[:MAX_BOOKS_C]

    @property
    def touched(self):
        """The books of the last `scan` that have ticks waiting."""
        return self._touched

    def scan(self, bytes data not None, Py_ssize_t at, int64_t recv_ns, int64_t now_ns, int most):
        """Take whole records from `at` on, at most `most`, until one is not known; returns where it stopped.

        Ticks wait in the books of `touched`, in order, until the next call, which begins by forgetting them.
        """
        cdef const unsigned char* start = <const unsigned char*>PyBytes_AS_STRING(data)
        cdef const unsigned char* p
        cdef const unsigned char* end = start + PyBytes_GET_SIZE(data)
        cdef const unsigned char* found
        self._forget_waiting()
        self.records = self.items = self.suspect = self.crossed = self.out_of_order = 0
        self._now_ns = now_ns
        if not 0 <= at <= end - start:
            raise ValueError(f"{at} is no place in {end - start} bytes")
        p = start + at
        while self.records < most:
            found = self._record(p, end, recv_ns)
            if found == NULL:
                break
            p = found
            self.records += 1
        return p - start

    cdef int _forget_waiting(self) except -1:
        # Whoever forgets a touched book without this never touches it again: its ticks would wait for ever.
        for book in self._touched:
            (<MarketBook>book).clear()
        self._touched = []
        return 0

    cdef const unsigned char* _record(self, const unsigned char* p, const unsigned char* end,
                                      int64_t recv_ns) except? NULL:
        # The place behind the record, or NULL: not known, nothing changed.
        cdef MarketBook book
        cdef bint quote
        if end - p < PREFIX + MIDDLE or memcmp(p, HEAD, PREFIX) != 0:
            return NULL
        p += PREFIX
        quote = memcmp(p, QUOTE, MIDDLE - 1) == 0
        if not quote and memcmp(p, TRADE, MIDDLE - 1) != 0:
            return NULL
        p += MIDDLE - 1
        book = self._book_of(p, end)
        if book is None:
            return NULL
        p += PyBytes_GET_SIZE(book.broker) + 2
        if quote:
            return self._quote(book, p, end, recv_ns)
        return self._trades(book, p, end, recv_ns)

    cdef MarketBook _book_of(self, const unsigned char* p, const unsigned char* end):
        # The book whose id stands here, followed by quote and comma.
        cdef Py_ssize_t size
        cdef MarketBook book
        for item in self._books:
            book = <MarketBook>item
            size = PyBytes_GET_SIZE(book.broker)
            if (size and end - p > size + 2 and p[size] == c'"' and p[size + 1] == c","
                    and memcmp(p, PyBytes_AS_STRING(book.broker), size) == 0):
                return book
        return None

    # ------------------------------------------------------------ quotes
    cdef const unsigned char* _quote(self, MarketBook book, const unsigned char* p, const unsigned char* end,
                                     int64_t recv_ns) except? NULL:
        cdef Members m
        cdef int64_t bid = INT64_MIN, ask = INT64_MIN, last = INT64_MIN
        cdef int64_t exch_ns
        cdef int flags
        p = self._members(book, p, end, True, &m)
        if p == NULL or end - p < 3 or p[0] != c"]" or p[1] != c"}" or p[2] != 0x1E:
            return NULL
        if not m.seen & UPDATED:
            if not m.seen & STAMP:
                return NULL
            m.updated_ns = m.exch_ns
        exch_ns = m.exch_ns if m.seen & STAMP else m.updated_ns
        if not self._timely(m.updated_ns) or not self._timely(exch_ns) or m.updated_ns < book.updated_ns:
            return NULL
        if m.seen & BID:
            bid = book.grid(m.bid)
        if m.seen & ASK:
            ask = book.grid(m.ask)
        if m.seen & LAST:
            last = book.grid(m.last)
        if bid == -1 or ask == -1 or last == -1 or book.n == BATCH_TICKS:
            return NULL
        # Everything is good: from here on the book changes.
        self.message += 1
        self.items += 1
        flags = book.merged(m.updated_ns, exch_ns, bid, ask, last, m.volume if m.seen & VOLUME else -1, self.message)
        if flags < 0:
            return p + 3
        if flags:
            self.suspect += 1
            if book.bid != INT64_MIN and book.ask != INT64_MIN and book.bid > book.ask:
                self.crossed += 1
        book.add_quote(exch_ns, recv_ns, flags)
        self._touch(book)
        book.note(&book.ticks[book.n], 1)
        return p + 3

    # ------------------------------------------------------------ trades
    cdef const unsigned char* _trades(self, MarketBook book, const unsigned char* p, const unsigned char* end,
                                      int64_t recv_ns) except? NULL:
        cdef Members m
        cdef int64_t price
        cdef int count = 0
        cdef unsigned int needed = PRICE | STAMP | VOLUME
        if p == end or p[0] != c"[":
            return NULL
        while True:
            p = self._members(book, p + 1, end, False, &m)
            if p == NULL or p == end or m.seen & needed != needed or book.n + count == BATCH_TICKS:
                return NULL
            price = book.grid(m.bid)
            if price < 0 or not 1 <= m.volume <= INT32_MAX or not self._timely(m.exch_ns) or m.exch_ns <= book.fence_ns:
                return NULL
            book.seat(&book.ticks[book.n + count], m.exch_ns, recv_ns, price, <int32_t>m.volume, _side(&m))
            count += 1
            if p[0] != c",":
                break
        if end - p < 4 or p[0] != c"]" or p[1] != c"]" or p[2] != c"}" or p[3] != 0x1E:
            return NULL
        self.message += 1
        self.items += count
        self._apply(book, count)
        self._touch(book)
        book.note(&book.ticks[book.n + count - 1], count)
        return p + 4

    cdef void _apply(self, MarketBook book, int count) noexcept:
        cdef int i
        cdef Tick* t
        for i in range(count):
            t = &book.ticks[book.n + i]
            if t.exch_ns < book.last_trade_ns:
                self.out_of_order += 1
            t.flags = <unsigned short>book.printed(t.exch_ns, t.price, self.message)
            if t.flags:
                self.suspect += 1

    cdef int _touch(self, MarketBook book) except -1:
        if book.events == 0:
            self._touched.append(book)
        return 0

    cdef inline bint _timely(self, int64_t stamp_ns) noexcept:
        return stamp_ns - self._now_ns <= self._max_future_ns and self._now_ns - stamp_ns <= self._max_past_ns

    # ------------------------------------------------------------ members
    cdef const unsigned char* _members(self, MarketBook book, const unsigned char* p, const unsigned char* end,
                                       bint quote, Members* m) noexcept:
        # An object with the members of a quote or of a print, each at most once; the place behind it, or NULL.
        cdef unsigned int bit
        cdef const unsigned char* name
        m.seen = 0
        if p == end or p[0] != c"{":
            return NULL
        while True:
            p += 1                              # over { or ,
            if p == end or p[0] != c'"':
                return NULL
            p += 1
            name = p
            while p < end and p[0] != c'"' and p - name < 16:
                p += 1
            if end - p < 4 or p[0] != c'"' or p[1] != c":":
                return NULL
            bit = _quote_member(name, p - name) if quote else _print_member(name, p - name)
            if bit == 0 or m.seen & bit:
                return NULL
            m.seen |= bit
            p = self._value(book, bit, p + 2, end, m)
            if p == NULL or p == end:
                return NULL
            if p[0] == c"}":
                return p + 1
            if p[0] != c",":
                return NULL

    cdef const unsigned char* _value(self, MarketBook book, unsigned int bit, const unsigned char* p,
                                     const unsigned char* end, Members* m) noexcept:
        cdef double unused
        if bit & (UPDATED | STAMP):
            return self._time(p, end, &m.updated_ns if bit == UPDATED else &m.exch_ns)
        if bit == SYMBOL:
            return _text(p, end, book.symbol)
        if bit == CONTRACT:
            return _text(p, end, book.broker)
        if bit == VOLUME:
            return _whole(p, end, &m.volume)
        if bit == TYPE:
            return _whole(p, end, &m.side_type)
        if bit & (BID | PRICE):
            return _decimal(p, end, &m.bid)
        if bit == ASK:
            return _decimal(p, end, &m.ask)
        if bit == LAST:
            return _decimal(p, end, &m.last)
        if p[0] == c"-":                        # change and its kin are not used: they only have to be numbers
            p += 1
        return _decimal(p, end, &unused)

    cdef const unsigned char* _time(self, const unsigned char* p, const unsigned char* end, int64_t* ns) noexcept:
        # `"YYYY-MM-DDTHH:MM:SS[.1-9 digits](Z|+00:00)"`: the shortest has 22 bytes.
        cdef int64_t whole
        cdef int places = 0
        if end - p < 22 or p[0] != c'"' or p[17] != c":":
            return NULL
        p += 1
        if memcmp(p, self._minute, 16) != 0:
            whole = _minute_start(p)
            if whole == NO_TIME:
                return NULL
            self._minute_ns = whole
            for i in range(16):
                self._minute[i] = <char>p[i]
        if not _digit(p[17]) or p[17] > c"5" or not _digit(p[18]):
            return NULL
        whole = (p[17] - 48) * 10 + p[18] - 48
        p += 19
        if p[0] == c".":
            p += 1
            while p < end and _digit(p[0]) and places < 10:
                whole = whole * 10 + p[0] - 48
                places += 1
                p += 1
            if not 1 <= places <= 9:
                return NULL
        ns[0] = self._minute_ns + whole * SCALE[places]
        if end - p >= 2 and p[0] == c"Z" and p[1] == c'"':
            return p + 2
        if end - p >= 7 and memcmp(p, b'+00:00"', 7) == 0:
            return p + 7
        return NULL


cdef inline int8_t _side(const Members* m) noexcept nogil:
    if not m.seen & TYPE:
        return 0
    return 1 if m.side_type == 0 else -1 if m.side_type == 1 else 0


cdef unsigned int _quote_member(const unsigned char* name, Py_ssize_t size) noexcept nogil:
    if size == 7:
        return BID if memcmp(name, b"bestBid", 7) == 0 else ASK if memcmp(name, b"bestAsk", 7) == 0 else 0
    if size == 9:
        return STAMP if memcmp(name, b"timestamp", 9) == 0 else LAST if memcmp(name, b"lastPrice", 9) == 0 else 0
    if size == 11:
        return UPDATED if memcmp(name, b"lastUpdated", 11) == 0 else 0
    if size == 8:
        return CONTRACT if memcmp(name, b"contract", 8) == 0 else 0
    if size == 6:
        if memcmp(name, b"symbol", 6) == 0:
            return SYMBOL
        return VOLUME if memcmp(name, b"volume", 6) == 0 else CHANGE if memcmp(name, b"change", 6) == 0 else 0
    if size == 4:
        return OPEN if memcmp(name, b"open", 4) == 0 else HIGH if memcmp(name, b"high", 4) == 0 else 0
    if size == 3:
        return LOW if memcmp(name, b"low", 3) == 0 else 0
    return PERCENT if size == 13 and memcmp(name, b"changePercent", 13) == 0 else 0


cdef unsigned int _print_member(const unsigned char* name, Py_ssize_t size) noexcept nogil:
    if size == 5:
        return PRICE if memcmp(name, b"price", 5) == 0 else 0
    if size == 9:
        return STAMP if memcmp(name, b"timestamp", 9) == 0 else 0
    if size == 6:
        return VOLUME if memcmp(name, b"volume", 6) == 0 else 0
    if size == 4:
        return TYPE if memcmp(name, b"type", 4) == 0 else 0
    if size == 8:
        return SYMBOL if memcmp(name, b"symbolId", 8) == 0 else 0
    return CONTRACT if size == 10 and memcmp(name, b"contractId", 10) == 0 else 0


cdef const unsigned char* _text(const unsigned char* p, const unsigned char* end, bytes expected) noexcept:
    # Exactly this text, in quotes.
    cdef Py_ssize_t size = PyBytes_GET_SIZE(expected)
    if size == 0 or end - p < size + 2 or p[0] != c'"' or p[size + 1] != c'"':
        return NULL
    return p + size + 2 if memcmp(p + 1, PyBytes_AS_STRING(expected), size) == 0 else NULL


cdef const unsigned char* _whole(const unsigned char* p, const unsigned char* end, int64_t* value) noexcept nogil:
    # A whole number of at most 15 digits, without sign. Whoever reads on sees whether more follows than belongs here.
    cdef const unsigned char* start = p
    cdef int64_t number = 0
    while p < end and _digit(p[0]) and p - start <= DIGITS:
        number = number * 10 + p[0] - 48
        p += 1
    if p == start or p - start > DIGITS or (start[0] == c"0" and p - start > 1):
        return NULL
    value[0] = number
    return p


cdef const unsigned char* _decimal(const unsigned char* p, const unsigned char* end, double* value) noexcept nogil:
    # A decimal number of at most 15 digits without sign and exponent, as the double nearest to it.
    cdef const unsigned char* start = p
    cdef int64_t number = 0
    cdef int places = 0
    while p < end and _digit(p[0]) and p - start <= DIGITS:
        number = number * 10 + p[0] - 48
        p += 1
    if p == start or (start[0] == c"0" and p - start > 1):
        return NULL
    if p < end and p[0] == c".":
        p += 1
        while p < end and _digit(p[0]) and p - start <= DIGITS + 1:
            number = number * 10 + p[0] - 48
            places += 1
            p += 1
        if places == 0:
            return NULL
        start += 1
    if p - start > DIGITS:
        return NULL
    value[0] = <double>number / POWERS[places]
    return p


cdef int64_t _minute_start(const unsigned char* p) noexcept nogil:
    # UTC ns of `YYYY-MM-DDTHH:MM`, NO_TIME when it is none or outside 1970 to 2200.
    cdef int year, month, day, hour, minute, shifted, i
    cdef bint leap
    for i in range(16):
        if i == 4 or i == 7:
            if p[i] != c"-":
                return NO_TIME
        elif i == 10:
            if p[i] != c"T":
                return NO_TIME
        elif i == 13:
            if p[i] != c":":
                return NO_TIME
        elif not _digit(p[i]):
            return NO_TIME
    year = (p[0] - 48) * 1000 + (p[1] - 48) * 100 + (p[2] - 48) * 10 + p[3] - 48
    month, day = (p[5] - 48) * 10 + p[6] - 48, (p[8] - 48) * 10 + p[9] - 48
    hour, minute = (p[11] - 48) * 10 + p[12] - 48, (p[14] - 48) * 10 + p[15] - 48
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1970 <= year <= 2200 or not 1 <= month <= 12 or day < 1 or hour > 23 or minute > 59:
        return NO_TIME
    if month == 2:
        if day > (29 if leap else 28):
            return NO_TIME
    elif day > (30 if month == 4 or month == 6 or month == 9 or month == 11 else 31):
        return NO_TIME
    shifted = year - 1 if month <= 2 else year          # years from March on: the leap day is their last
    day += (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 - 1
    day += 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400 - 719468
    return ((<int64_t>day * 24 + hour) * 60 + minute) * NS_PER_MIN
