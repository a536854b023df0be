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

class EventCode(enum.IntEnum):
    NONE = 0
    BAR = 1
    SWING_HIGH = 2
    SWING_LOW = 3
    BOS = 4
    CHOCH = 5
    OPENING_GAP = 6
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

def check_layout(name: str, dtype: np.dtype[np.void]) -> None: ...
