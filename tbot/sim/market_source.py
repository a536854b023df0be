"""What a source of ticks is: the one interface between generators, tapes and the simulated market."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product

Ticks = npt.NDArray[np.void]


class MarketSource(Protocol):
    """Where ticks come from. Times are UTC ns, prices ticks."""

    @property
    def contracts(self) -> list[Product]:
        """The products it has data for."""

    @property
    def start_ns(self) -> int:
        """Market time at which it begins."""

    @property
    def end_ns(self) -> int | None:
        """Market time of its last record; None when it never ends."""

    def advance(self, to_ns: int) -> Ticks:
        """All trades and quotes with exch_ns <= to_ns since the last call, sorted by (exch_ns, contract_id)."""

    def history(self, symbol: str, from_ns: int, to_ns: int) -> Ticks:
        """Complete 1m bars (BAR_DTYPE) with from_ns <= start < to_ns, none later than the current market time."""
