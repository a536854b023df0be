from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from tbot_ext.ring_layout import RingLayoutError, RingView, SharedBuffer, format_ring, reader_positions, ring_bytes

__all__ = ["USES_FUTEX", "RingLayoutError", "RingReader", "RingWriter", "format_ring", "reader_positions", "ring_bytes"]

USES_FUTEX: bool

class RingWriter(RingView):
    def __new__(cls, buf: SharedBuffer, *, contract_id: int | None = None, run_id: int | None = None) -> Self: ...
    @property
    def epoch(self) -> int: ...
    def push(
        self,
        kind: int,
        exch_ns: int,
        recv_ns: int,
        price: int,
        price2: int = 0,
        size: int = 0,
        aux: int = 0,
        volume: int = -1,
        side: int = 0,
        flags: int = 0,
        *,
        wake: bool = True,
    ) -> int: ...
    def push_many(self, ticks: npt.NDArray[np.void], *, wake: bool = True) -> int: ...
    def gap(self, exch_ns: int, recv_ns: int) -> int: ...
    def wake(self) -> None: ...

class RingReader(RingView):
    def __new__(
        cls,
        buf: SharedBuffer,
        slot: int,
        start: Literal["oldest", "newest"] | int = "oldest",
        *,
        contract_id: int | None = None,
        run_id: int | None = None,
    ) -> Self: ...
    @property
    def slot(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    def read(self, out: npt.NDArray[np.void]) -> int: ...
    def wait(self, timeout_ns: int) -> bool: ...
    def publish(self, position: int | None = None) -> None: ...
