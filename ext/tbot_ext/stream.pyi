from collections.abc import Iterable
from typing import final

import numpy as np
import numpy.typing as npt

__all__ = ["StreamWatch"]

@final
class StreamWatch:
    def __init__(self, contract_ids: Iterable[int], first_epoch: int = 1) -> None: ...
    def number(self, ticks: npt.NDArray[np.void]) -> None: ...
    def trades(self, contract_id: int, low: float, high: float) -> None: ...
    def quotes(
        self, contract_id: int, bids: tuple[int, int] | None, asks: tuple[int, int] | None, waiting: bool, watched: bool
    ) -> None: ...
    def seen(self, contract_id: int, quote_ns: int) -> None: ...
    def find(
        self, ticks: npt.NDArray[np.void], start: int, end: int, due_ns: int, stale_ns: int
    ) -> tuple[int, list[tuple[int, int, int, int, int, int]]]: ...
