import numpy as np
import numpy.typing as npt

__all__ = ["liquidity_pools", "structure_breaks"]

_Singles = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]

def structure_breaks(
    rising: _Doubles,
    falling: _Doubles,
    kinds: _Doubles,
    levels: _Doubles,
    bos: _Doubles,
    choch: _Doubles,
    level: _Singles,
    broken: _Doubles,
) -> None: ...
def liquidity_pools(
    side: int,
    prices: _Doubles,
    rows: npt.NDArray[np.int64],
    levels: _Doubles,
    near: _Doubles,
    far: _Doubles,
    narrow: bool,
    kinds: _Singles,
    level: _Singles,
    end: _Singles,
    swept: _Singles,
) -> None: ...
