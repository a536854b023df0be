# The records that live in shared memory and on tapes: THE layout of everything that crosses a process as bytes.
# Prices are int64 counts of tick_size; times are UTC nanoseconds; sizes are contracts. Nothing here is a float price.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    LAYOUT_VERSION_C = 1

cdef enum TickKind:             # Tick.kind
    TICK_NONE = 0
    TICK_TRADE = 1              # price, size, side = aggressor (+1 buy, -1 sell, 0 unknown)
    TICK_QUOTE = 2              # price = best bid, price2 = best ask (or NO_PRICE), volume = session volume or -1
    TICK_GAP = 3                # data may be missing before this record; a new epoch starts here
    TICK_CLOCK = 4              # nothing traded: market time has reached exch_ns (closes bars of a quiet market)
    TICK_HISTORY = 5            # `size` bars from absolute index price2 of the history segment cover time up to exch_ns
    TICK_CONTEXT = 6            # a slow outside fact: side/price/price2/size by `aux` (its ContextKey)

cdef enum:
    CONTEXT_KEYS_C = 8          # ContextKey lies in 0..7 (tbot/domain/context.py tells what the fields mean)

cdef enum TickFlag:             # Tick.flags, Bar.flags and Event.flags share one numbering
    FLAG_SIZE_UNKNOWN = 1       # the source has no sizes: size is 1
    FLAG_SUSPECT = 2            # jump beyond the collar, not yet confirmed
    FLAG_SYNTHETIC = 4          # made from a bar, not a print of its own
    FLAG_DERIVED = 8            # a quote made from the last trade and the typical spread
    FLAG_INCOMPLETE = 16        # (bar) built from a stream with a gap in it
    FLAG_PARTIAL = 32           # (bar) still forming: for display only
    FLAG_WARMUP = 64            # (bar, event) from history: can never become an order
    FLAG_SESSION_BREAK = 128    # (bar, event) first after a session break, halt or roll
    FLAG_FROM_HISTORY = 256     # (bar) downloaded, not built from ticks
    FLAG_NO_COLOUR = 512        # (event) an order block without an opposite candle
    FLAG_BODY_ZONE = 1024       # (event) the zone was cut to the body of its candle
    FLAG_DUPLICATE = 2048       # (event) recorded only: parent_id names the zone that stands for it

cdef struct Tick:               # 64 bytes, one cache line
    uint64_t seq                # 2n+1 while tick n is being written, 2n+2 once whole (n counts from 0)
    int64_t exch_ns             # exchange time
    int64_t recv_ns             # when the frame left the socket
    int64_t price               # in ticks; meaning by kind
    int64_t price2              # in ticks; meaning by kind
    int32_t size                # contracts; meaning by kind
    int32_t aux                 # meaning by kind; of a SYNTHETIC trade: 1 = last print of its bar
    int64_t volume              # cumulative session volume of a quote, -1 unknown
    uint16_t contract_id
    uint8_t kind                # TickKind
    int8_t side
    uint16_t flags              # TickFlag
    uint16_t epoch              # raised by every gap and every new writer

cdef struct Bar:                # 64 bytes
    int64_t start_ns            # the bar covers [start_ns, start_ns + timeframe)
    int64_t open
    int64_t high
    int64_t low
    int64_t close
    int64_t volume              # contracts
    int64_t delta               # aggressive buys minus aggressive sells, contracts
    uint32_t trades             # prints
    uint16_t flags              # TickFlag
    uint16_t timeframe_min      # 1, 5, 15, 30 or 60

cdef enum EventKind:            # Event.kind; life-cycle events name their zone, pool, level or period in parent_id
    EVENT_NONE = 0
    EVENT_BAR = 1               # top = high, bottom = low, level = close, volume, delta; known = bar number
    EVENT_SWING_HIGH = 2        # level
    EVENT_SWING_LOW = 3
    EVENT_BOS = 4               # level = the swing's price, origin = the swing's bar
    EVENT_CHOCH = 5
    EVENT_OPENING_GAP = 6
    EVENT_MSS = 7               # parent_id = the CHoCH that it confirms
    EVENT_FVG = 10
    EVENT_FVG_TOUCHED = 11
    EVENT_FVG_HALF = 12
    EVENT_FVG_FILLED = 13
    EVENT_FVG_INVERTED = 14
    EVENT_FVG_EXPIRED = 15
    EVENT_FVG_DEAD = 16         # an inverted gap closed through
    EVENT_OB = 20
    EVENT_OB_REFRESHED = 21
    EVENT_OB_TESTED = 22        # n = which test
    EVENT_OB_MITIGATED = 23
    EVENT_OB_BROKEN = 24
    EVENT_OB_EXPIRED = 25
    EVENT_BREAKER = 30          # parent_id = the broken order block, -1 when it comes from structure
    EVENT_BREAKER_TESTED = 31   # n = which test
    EVENT_BREAKER_DEAD = 32
    EVENT_BREAKER_EXPIRED = 33
    EVENT_MITIGATION_BLOCK = 35
    EVENT_MITIGATION_TESTED = 36
    EVENT_MITIGATION_DEAD = 37
    EVENT_MITIGATION_EXPIRED = 38
    EVENT_POOL = 40             # level; side +1 above highs (buy-side), -1 below lows; n = members
    EVENT_POOL_JOINED = 41
    EVENT_SWEEP = 42            # side = where it points: a swept buy-side pool is bearish; n = place in its cluster
    EVENT_RUN = 43
    EVENT_POOL_EXPIRED = 44
    EVENT_LEVEL = 50            # side +1 support, -1 resistance; n = members + touches
    EVENT_LEVEL_JOINED = 51
    EVENT_LEVEL_TOUCHED = 52
    EVENT_LEVEL_BROKEN = 53     # side = the new role
    EVENT_LEVEL_DEAD = 54
    EVENT_LEVEL_EXPIRED = 55
    EVENT_DAY = 60              # a finished period: top = high, bottom = low, level = close
    EVENT_WEEK = 61
    EVENT_ASIA = 62
    EVENT_LONDON = 63
    EVENT_NEW_YORK = 64
    EVENT_OPENING_15 = 65
    EVENT_OPENING_30 = 66
    EVENT_PERIOD_HIGH_BROKEN = 67
    EVENT_PERIOD_LOW_BROKEN = 68

cdef enum EventSource:          # Event.source: what a level or a pool is made of
    SOURCE_SWING = 0
    SOURCE_ROUND = 1
    # Of a period: 10 * its EventKind + one of these.
    SOURCE_PART_HIGH = 1
    SOURCE_PART_LOW = 2
    SOURCE_PART_MID = 3
    SOURCE_PART_CLOSE = 4

cdef struct Event:              # 128 bytes
    int64_t id                  # unique within one contract's pipeline, increasing in order of emission
    int64_t parent_id           # the zone a life-cycle event belongs to; -1 none
    int64_t known_ns            # close time of the bar at whose close it became known
    int64_t origin_ns           # start of the anchor bar
    int64_t origin              # bar number of the anchor bar
    int64_t known               # bar number at whose close it became known
    int64_t top                 # in ticks
    int64_t bottom              # in ticks
    int64_t level               # in ticks; of swings, breaks and bars
    int64_t volume              # contracts
    int64_t delta               # contracts
    double score                # 0..100 for order blocks, 0..1 for gaps
    float parts[5]              # the components of the score, in the order of its formula
    uint16_t kind               # EventKind
    int8_t side                 # +1 bull, -1 bear, 0 none
    uint8_t timeframe_min
    uint16_t flags              # TickFlag
    uint16_t n                  # number of the test, or of the stack
    uint16_t contract_id
    uint16_t source             # EventSource

# A price that is not known is INT64_MIN (NO_PRICE in Python).
