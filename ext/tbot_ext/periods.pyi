import numpy as np

__all__ = ["PERIOD_DTYPE"]

PERIOD_DTYPE: np.dtype[np.void]
