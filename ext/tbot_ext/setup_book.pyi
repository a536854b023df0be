from typing import Any, final

import numpy as np
import numpy.typing as npt

from tbot_ext.pipeline import ContractPipeline

__all__ = ["COUNTERS", "SetupBook"]

COUNTERS: tuple[str, ...]

@final
class SetupBook:
    def __init__(
        self,
        rules: dict[str, Any],
        max_tests: int,
        zone_timeframes_min: tuple[int, ...],
        atr_n: dict[int, int],
        counters: dict[str, int],
    ) -> None: ...
    def fold(
        self,
        events: npt.NDArray[np.void],
        at: int,
        now_ns: int,
        bid: int,
        ask: int,
        live: bool,
        facts: bool = False,
    ) -> int: ...
    def feed(self, pipeline: ContractPipeline, ticks: npt.NDArray[np.void], start: int = 0) -> tuple[int, int]: ...
    @property
    def asks(self) -> bool: ...
    @property
    def found(self) -> bool: ...
    @property
    def open_setups(self) -> int: ...
