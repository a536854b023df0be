import numpy as np

__all__ = ["ENDS", "FATES", "OUTCOME_DTYPE", "STAGES"]

STAGES: tuple[str, ...]
FATES: tuple[str, ...]
ENDS: tuple[str, ...]
OUTCOME_DTYPE: np.dtype[np.void]
