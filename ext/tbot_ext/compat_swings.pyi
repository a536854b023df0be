import numpy as np
import numpy.typing as npt

__all__ = ["fair_value_gaps", "swings"]

_Doubles = npt.NDArray[np.float64]

def swings(high: _Doubles, low: _Doubles, length: int, kinds: _Doubles, level: _Doubles) -> None: ...
def fair_value_gaps(
    open: _Doubles,
    high: _Doubles,
    low: _Doubles,
    close: _Doubles,
    join: bool,
    kinds: _Doubles,
    top: _Doubles,
    bottom: _Doubles,
    mitigated: _Doubles,
) -> None: ...
