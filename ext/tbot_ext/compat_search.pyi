import numpy as np
import numpy.typing as npt

__all__ = ["any_beyond", "first_beyond"]

def first_beyond(
    values: npt.NDArray[np.float64], start: int, bound: float, strict: bool = True, sign: int = 1
) -> int: ...
def any_beyond(values: npt.NDArray[np.float64], start: int, bound: float, sign: int = 1) -> bool: ...
