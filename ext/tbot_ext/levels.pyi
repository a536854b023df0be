import numpy as np

__all__ = ["LEVEL_DTYPE"]

LEVEL_DTYPE: np.dtype[np.void]
