import enum

import numpy as np

__all__ = ["ZONE_DTYPE", "ZoneState"]

ZONE_DTYPE: np.dtype[np.void]

class ZoneState(enum.IntEnum):
    OPEN = 0
    TOUCHED = 1
    HALF = 2
    FILLED = 3
    INVERTED = 4
    ACTIVE = 10
    TESTED = 11
    MITIGATED = 12
