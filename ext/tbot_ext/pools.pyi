import numpy as np

__all__ = ["POOL_DTYPE"]

POOL_DTYPE: np.dtype[np.void]
