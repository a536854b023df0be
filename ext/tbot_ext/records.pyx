"""The records of shared memory and tapes as numpy dtypes, compared with the C structs at import.

`TICK_DTYPE`, `BAR_DTYPE` and `EVENT_DTYPE` describe exactly the structs of `records.pxd`. If size or offset of any
field differs, the import raises `RuntimeError`: a process that cannot agree on the layout must not start.
"""
from libc.stdint cimport INT64_MIN

import enum

import numpy as np

LAYOUT_VERSION = LAYOUT_VERSION_C
NO_PRICE = INT64_MIN
CHECKED_BUILD = bool(TBOT_CHECKED)

cdef extern from *:
    """
    #ifndef TBOT_CHECKED
    #define TBOT_CHECKED 0
    #endif
    """
    int TBOT_CHECKED


class Kind(enum.IntEnum):
    """What a tick record carries (see `records.pxd` for the meaning of its fields)."""
    NONE = TICK_NONE
    TRADE = TICK_TRADE
    QUOTE = TICK_QUOTE
    GAP = TICK_GAP
    CLOCK = TICK_CLOCK
    HISTORY = TICK_HISTORY
    CONTEXT = TICK_CONTEXT


class Flag(enum.IntFlag):
    """Flags of ticks, bars and events; one numbering for all three."""
    SIZE_UNKNOWN = FLAG_SIZE_UNKNOWN
    SUSPECT = FLAG_SUSPECT
    SYNTHETIC = FLAG_SYNTHETIC
    DERIVED = FLAG_DERIVED
    INCOMPLETE = FLAG_INCOMPLETE
    PARTIAL = FLAG_PARTIAL
    WARMUP = FLAG_WARMUP
    SESSION_BREAK = FLAG_SESSION_BREAK
    FROM_HISTORY = FLAG_FROM_HISTORY
    NO_COLOUR = FLAG_NO_COLOUR
    BODY_ZONE = FLAG_BODY_ZONE
    DUPLICATE = FLAG_DUPLICATE


class EventCode(enum.IntEnum):
    """Kinds of pipeline events; the names are what users see."""
    NONE = EVENT_NONE
    BAR = EVENT_BAR
    SWING_HIGH = EVENT_SWING_HIGH
    SWING_LOW = EVENT_SWING_LOW
    BOS = EVENT_BOS
    CHOCH = EVENT_CHOCH
    OPENING_GAP = EVENT_OPENING_GAP
    MSS = EVENT_MSS
    FVG = EVENT_FVG
    FVG_TOUCHED = EVENT_FVG_TOUCHED
    FVG_HALF = EVENT_FVG_HALF
    FVG_FILLED = EVENT_FVG_FILLED
    FVG_INVERTED = EVENT_FVG_INVERTED
    FVG_EXPIRED = EVENT_FVG_EXPIRED
    FVG_DEAD = EVENT_FVG_DEAD
    OB = EVENT_OB
    OB_REFRESHED = EVENT_OB_REFRESHED
    OB_TESTED = EVENT_OB_TESTED
    OB_MITIGATED = EVENT_OB_MITIGATED
    OB_BROKEN = EVENT_OB_BROKEN
    OB_EXPIRED = EVENT_OB_EXPIRED
    BREAKER = EVENT_BREAKER
    BREAKER_TESTED = EVENT_BREAKER_TESTED
    BREAKER_DEAD = EVENT_BREAKER_DEAD
    BREAKER_EXPIRED = EVENT_BREAKER_EXPIRED
    MITIGATION_BLOCK = EVENT_MITIGATION_BLOCK
    MITIGATION_TESTED = EVENT_MITIGATION_TESTED
    MITIGATION_DEAD = EVENT_MITIGATION_DEAD
    MITIGATION_EXPIRED = EVENT_MITIGATION_EXPIRED
    POOL = EVENT_POOL
    POOL_JOINED = EVENT_POOL_JOINED
    SWEEP = EVENT_SWEEP
    RUN = EVENT_RUN
    POOL_EXPIRED = EVENT_POOL_EXPIRED
    LEVEL = EVENT_LEVEL
    LEVEL_JOINED = EVENT_LEVEL_JOINED
    LEVEL_TOUCHED = EVENT_LEVEL_TOUCHED
    LEVEL_BROKEN = EVENT_LEVEL_BROKEN
    LEVEL_DEAD = EVENT_LEVEL_DEAD
    LEVEL_EXPIRED = EVENT_LEVEL_EXPIRED
    DAY = EVENT_DAY
    WEEK = EVENT_WEEK
    ASIA = EVENT_ASIA
    LONDON = EVENT_LONDON
    NEW_YORK = EVENT_NEW_YORK
    OPENING_15 = EVENT_OPENING_15
    OPENING_30 = EVENT_OPENING_30
    PERIOD_HIGH_BROKEN = EVENT_PERIOD_HIGH_BROKEN
    PERIOD_LOW_BROKEN = EVENT_PERIOD_LOW_BROKEN


class Source(enum.IntEnum):
    """What a level or pool is made of; swings, round numbers, or a value of a finished period."""
    SWING = SOURCE_SWING
    ROUND = SOURCE_ROUND
    DAY_HIGH = 10 * EVENT_DAY + SOURCE_PART_HIGH
    DAY_LOW = 10 * EVENT_DAY + SOURCE_PART_LOW
    DAY_MID = 10 * EVENT_DAY + SOURCE_PART_MID
    DAY_CLOSE = 10 * EVENT_DAY + SOURCE_PART_CLOSE
    WEEK_HIGH = 10 * EVENT_WEEK + SOURCE_PART_HIGH
    WEEK_LOW = 10 * EVENT_WEEK + SOURCE_PART_LOW
    WEEK_MID = 10 * EVENT_WEEK + SOURCE_PART_MID
    WEEK_CLOSE = 10 * EVENT_WEEK + SOURCE_PART_CLOSE
    ASIA_HIGH = 10 * EVENT_ASIA + SOURCE_PART_HIGH
    ASIA_LOW = 10 * EVENT_ASIA + SOURCE_PART_LOW
    LONDON_HIGH = 10 * EVENT_LONDON + SOURCE_PART_HIGH
    LONDON_LOW = 10 * EVENT_LONDON + SOURCE_PART_LOW
    NEW_YORK_HIGH = 10 * EVENT_NEW_YORK + SOURCE_PART_HIGH
    NEW_YORK_LOW = 10 * EVENT_NEW_YORK + SOURCE_PART_LOW
    OPENING_15_HIGH = 10 * EVENT_OPENING_15 + SOURCE_PART_HIGH
    OPENING_15_LOW = 10 * EVENT_OPENING_15 + SOURCE_PART_LOW
    OPENING_30_HIGH = 10 * EVENT_OPENING_30 + SOURCE_PART_HIGH
    OPENING_30_LOW = 10 * EVENT_OPENING_30 + SOURCE_PART_LOW


TICK_DTYPE = np.dtype([
    ("seq", "<u8"), ("exch_ns", "<i8"), ("recv_ns", "<i8"), ("price", "<i8"), ("price2", "<i8"),
    ("size", "<i4"), ("aux", "<i4"), ("volume", "<i8"),
    ("contract_id", "<u2"), ("kind", "u1"), ("side", "i1"), ("flags", "<u2"), ("epoch", "<u2"),
])
BAR_DTYPE = np.dtype([
    ("start_ns", "<i8"), ("open", "<i8"), ("high", "<i8"), ("low", "<i8"), ("close", "<i8"),
    ("volume", "<i8"), ("delta", "<i8"), ("trades", "<u4"), ("flags", "<u2"), ("timeframe_min", "<u2"),
])
EVENT_DTYPE = np.dtype([
    ("id", "<i8"), ("parent_id", "<i8"), ("known_ns", "<i8"), ("origin_ns", "<i8"), ("origin", "<i8"),
    ("known", "<i8"), ("top", "<i8"), ("bottom", "<i8"), ("level", "<i8"), ("volume", "<i8"), ("delta", "<i8"),
    ("score", "<f8"), ("parts", "<f4", (5,)), ("kind", "<u2"), ("side", "i1"), ("timeframe_min", "u1"),
    ("flags", "<u2"), ("n", "<u2"), ("contract_id", "<u2"), ("source", "<u2"),
])


cdef dict _struct_offsets():
    cdef Tick tick
    cdef Bar bar
    cdef Event event
    cdef char* t = <char*>&tick
    cdef char* b = <char*>&bar
    cdef char* e = <char*>&event
    return {
        "Tick": (sizeof(Tick), {
            "seq": <char*>&tick.seq - t, "exch_ns": <char*>&tick.exch_ns - t, "recv_ns": <char*>&tick.recv_ns - t,
            "price": <char*>&tick.price - t, "price2": <char*>&tick.price2 - t, "size": <char*>&tick.size - t,
            "aux": <char*>&tick.aux - t, "volume": <char*>&tick.volume - t,
            "contract_id": <char*>&tick.contract_id - t, "kind": <char*>&tick.kind - t, "side": <char*>&tick.side - t,
            "flags": <char*>&tick.flags - t, "epoch": <char*>&tick.epoch - t,
        }),
        "Bar": (sizeof(Bar), {
            "start_ns": <char*>&bar.start_ns - b, "open": <char*>&bar.open - b, "high": <char*>&bar.high - b,
            "low": <char*>&bar.low - b, "close": <char*>&bar.close - b, "volume": <char*>&bar.volume - b,
            "delta": <char*>&bar.delta - b, "trades": <char*>&bar.trades - b, "flags": <char*>&bar.flags - b,
            "timeframe_min": <char*>&bar.timeframe_min - b,
        }),
        "Event": (sizeof(Event), {
            "id": <char*>&event.id - e, "parent_id": <char*>&event.parent_id - e,
            "known_ns": <char*>&event.known_ns - e, "origin_ns": <char*>&event.origin_ns - e,
            "origin": <char*>&event.origin - e, "known": <char*>&event.known - e, "top": <char*>&event.top - e,
            "bottom": <char*>&event.bottom - e, "level": <char*>&event.level - e, "volume": <char*>&event.volume - e,
            "delta": <char*>&event.delta - e, "score": <char*>&event.score - e, "parts": <char*>&event.parts - e,
            "kind": <char*>&event.kind - e, "side": <char*>&event.side - e,
            "timeframe_min": <char*>&event.timeframe_min - e, "flags": <char*>&event.flags - e,
            "n": <char*>&event.n - e, "contract_id": <char*>&event.contract_id - e,
            "source": <char*>&event.source - e,
        }),
    }


def check_layout(name, dtype):
    """Compare a dtype with the C struct `name` ("Tick", "Bar", "Event"); RuntimeError names the first difference."""
    size, offsets = _struct_offsets()[name]
    if dtype.itemsize != size:
        raise RuntimeError(f"{name}: the dtype has {dtype.itemsize} bytes, the C struct {size}; rebuild the extensions")
    actual = {field: dtype.fields[field][1] for field in dtype.names}
    if actual != offsets:
        different = sorted(set(actual.items()) ^ set(offsets.items()))
        raise RuntimeError(f"{name}: field offsets differ between dtype and C struct: {different}")


if (sizeof(Tick), sizeof(Bar), sizeof(Event)) != (64, 64, 128):
    raise RuntimeError("Tick, Bar and Event must be 64, 64 and 128 bytes on this platform")
check_layout("Tick", TICK_DTYPE)
check_layout("Bar", BAR_DTYPE)
check_layout("Event", EVENT_DTYPE)
