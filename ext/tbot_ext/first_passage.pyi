import numpy as np
import numpy.typing as npt

__all__ = ["NO_TRADE", "STOPPED", "TARGET", "TIMED_OUT", "bracket_outcomes", "zone_outcomes"]

NO_TRADE: int
STOPPED: int
TARGET: int
TIMED_OUT: int

_Ints = npt.NDArray[np.int64]

def bracket_outcomes(
    open: _Ints,
    high: _Ints,
    low: _Ints,
    close: _Ints,
    entry: _Ints,
    side: _Ints,
    stop: _Ints,
    target: _Ints,
    horizon: int,
    result: npt.NDArray[np.float64],
    state: npt.NDArray[np.int8],
) -> None: ...
def zone_outcomes(
    open: _Ints,
    high: _Ints,
    low: _Ints,
    close: _Ints,
    born: _Ints,
    top: _Ints,
    bottom: _Ints,
    side: _Ints,
    buffer: int,
    reward: float,
    wait: int,
    horizon: int,
    result: npt.NDArray[np.float64],
    state: npt.NDArray[np.int8],
) -> None: ...
