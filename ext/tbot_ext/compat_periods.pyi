import numpy as np
import numpy.typing as npt

__all__ = ["gather_periods", "previous_levels"]

_Ints = npt.NDArray[np.int64]
_Singles = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]

def gather_periods(
    labels: _Ints, open: _Doubles, high: _Doubles, low: _Doubles, close: _Doubles
) -> tuple[_Ints, _Doubles, _Doubles]: ...
def previous_levels(
    times: _Ints,
    high: _Doubles,
    low: _Doubles,
    labels: _Ints,
    highs: _Singles,
    lows: _Singles,
    previous_high: _Singles,
    previous_low: _Singles,
    broken_high: npt.NDArray[np.int32],
    broken_low: npt.NDArray[np.int32],
) -> None: ...
