from typing import final

import numpy as np
import numpy.typing as npt

from tbot_ext.params import Params

__all__ = ["Detector"]

@final
class Detector:
    def __init__(
        self, timeframe_min: int, params: Params | None = None, contract_id: int = 0, bar_events: bool = False
    ) -> None: ...
    def push_bar(
        self,
        start_ns: int,
        open: int,
        high: int,
        low: int,
        close: int,
        volume: int = 0,
        delta: int = 0,
        flags: int = 0,
    ) -> npt.NDArray[np.void]: ...
    def push_bars(self, bars: npt.NDArray[np.void]) -> npt.NDArray[np.void]: ...
    def bars(self, n: int = 500) -> npt.NDArray[np.void]: ...
    def zones(self) -> npt.NDArray[np.void]: ...
    def unbroken_swings(self, side: int) -> npt.NDArray[np.int64]: ...
    @property
    def timeframe_min(self) -> int: ...
    @property
    def bar_count(self) -> int: ...
    @property
    def trend(self) -> int: ...
    @property
    def atr(self) -> float: ...
    @property
    def volume_mean(self) -> float: ...
    @property
    def outliers(self) -> int: ...
