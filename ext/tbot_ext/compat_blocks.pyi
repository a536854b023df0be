import numpy as np
import numpy.typing as npt

__all__ = ["order_blocks"]

_Singles = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]

def order_blocks(
    high: _Doubles,
    low: _Doubles,
    close: _Doubles,
    rising: _Doubles,
    falling: _Doubles,
    swing_highs: npt.NDArray[np.int64],
    swing_lows: npt.NDArray[np.int64],
    ob: _Doubles,
    top: _Singles,
    bottom: _Singles,
    mitigated: _Doubles,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
