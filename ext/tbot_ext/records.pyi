import enum

import numpy as np

LAYOUT_VERSION: int
NO_PRICE: int
CHECKED_BUILD: bool
TICK_DTYPE: np.dtype[np.void]
BAR_DTYPE: np.dtype[np.void]
EVENT_DTYPE: np.dtype[np.void]

class Kind(enum.IntEnum):
    NONE = 0
    TRADE = 1
    QUOTE = 2
    GAP = 3
    CLOCK = 4
    HISTORY = 5
    CONTEXT = 6

class Flag(enum.IntFlag):
    SIZE_UNKNOWN = 1
    SUSPECT = 2
    SYNTHETIC = 4
    DERIVED = 8
    INCOMPLETE = 16
    PARTIAL = 32
    WARMUP = 64
    SESSION_BREAK = 128
    FROM_HISTORY = 256
    NO_COLOUR = 512
    BODY_ZONE = 1024
    DUPLICATE = 2048

class EventCode(enum.IntEnum):
    NONE = 0
    BAR = 1
    SWING_HIGH = 2
    SWING_LOW = 3
    BOS = 4
    CHOCH = 5
    OPENING_GAP = 6
    MSS = 7
    FVG = 10
    FVG_TOUCHED = 11
    FVG_HALF = 12
    FVG_FILLED = 13
    FVG_INVERTED = 14
    FVG_EXPIRED = 15
    FVG_DEAD = 16
    OB = 20
    OB_REFRESHED = 21
    OB_TESTED = 22
    OB_MITIGATED = 23
    OB_BROKEN = 24
    OB_EXPIRED = 25
    BREAKER = 30
    BREAKER_TESTED = 31
    BREAKER_DEAD = 32
    BREAKER_EXPIRED = 33
    MITIGATION_BLOCK = 35
    MITIGATION_TESTED = 36
    MITIGATION_DEAD = 37
    MITIGATION_EXPIRED = 38
    POOL = 40
    POOL_JOINED = 41
    SWEEP = 42
    RUN = 43
    POOL_EXPIRED = 44
    LEVEL = 50
    LEVEL_JOINED = 51
    LEVEL_TOUCHED = 52
    LEVEL_BROKEN = 53
    LEVEL_DEAD = 54
    LEVEL_EXPIRED = 55
    DAY = 60
    WEEK = 61
    ASIA = 62
    LONDON = 63
    NEW_YORK = 64
    OPENING_15 = 65
    OPENING_30 = 66
    PERIOD_HIGH_BROKEN = 67
    PERIOD_LOW_BROKEN = 68

class Source(enum.IntEnum):
    SWING = 0
    ROUND = 1
    DAY_HIGH = 601
    DAY_LOW = 602
    DAY_MID = 603
    DAY_CLOSE = 604
    WEEK_HIGH = 611
    WEEK_LOW = 612
    WEEK_MID = 613
    WEEK_CLOSE = 614
    ASIA_HIGH = 621
    ASIA_LOW = 622
    LONDON_HIGH = 631
    LONDON_LOW = 632
    NEW_YORK_HIGH = 641
    NEW_YORK_LOW = 642
    OPENING_15_HIGH = 651
    OPENING_15_LOW = 652
    OPENING_30_HIGH = 661
    OPENING_30_LOW = 662

def check_layout(name: str, dtype: np.dtype[np.void]) -> None: ...
