from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["SESSION_BREAK_MIN", "BarBuilder", "join_minutes", "mark_session_breaks"]

SESSION_BREAK_MIN: int

@final
class BarBuilder:
    def push(
        self, kind: int, exch_ns: int, price: int = 0, size: int = 0, side: int = 0, flags: int = 0, seq: int = 0
    ) -> npt.NDArray[np.void]: ...
    def push_ticks(self, ticks: npt.NDArray[np.void]) -> npt.NDArray[np.void]: ...
    def partial(self, timeframe_min: int) -> np.void | None: ...
    @property
    def counters(self) -> dict[str, int]: ...

def mark_session_breaks(bars: npt.NDArray[np.void]) -> npt.NDArray[np.void]: ...
def join_minutes(bars: npt.NDArray[np.void], timeframe_min: int) -> npt.NDArray[np.void]: ...
