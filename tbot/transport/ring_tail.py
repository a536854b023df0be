"""The newest records of a ring for somebody who only looks: no reader slot, not one byte written.

`RingReader` has a line of its own in the ring's header, and there are eight. A screen takes none: it maps the file
read-only, copies slots, and keeps those whose sequence says before and after the copy that they are whole. What was
overwritten meanwhile is left out; a screen that misses a tick draws the next one.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tbot_ext.records import TICK_DTYPE
from tbot_ext.ring_layout import HEADER_BYTES, reader_positions

_CAPACITY_WORD, _HEAD_WORD = 3, 16  # places in the header, in 64-bit words (ring_layout.pxd)


class RingTail:
    """Reads on from where it was. `buf`: payload of a ring's segment. RingLayoutError when it holds no sound ring."""

    def __init__(self, buf: memoryview) -> None:
        reader_positions(buf)  # checks the header
        self._header: npt.NDArray[np.uint64] = np.frombuffer(buf, np.uint64, HEADER_BYTES // 8)
        self._capacity = int(self._header[_CAPACITY_WORD])
        self._slots: npt.NDArray[Any] = np.frombuffer(buf, TICK_DTYPE, self._capacity, HEADER_BYTES)
        self.position = 0  # number of the next record to read

    @property
    def written(self) -> int:
        """Number of records ever written."""
        return int(self._header[_HEAD_WORD])

    def read(self) -> npt.NDArray[np.void]:
        """A copy of the whole records since the last call, as far as the ring still has them, oldest first."""
        head = self.written
        # The very oldest are being overwritten while we look.
        first = max(self.position, head - self._capacity + self._capacity // 16)
        self.position = head
        if first >= head:
            return self._slots[:0].copy()
        places = np.arange(first, head) & (self._capacity - 1)
        records: npt.NDArray[np.void] = self._slots[places]
        wanted = 2 * np.arange(first, head, dtype=np.uint64) + 2
        whole = (records["seq"] == wanted) & (self._slots["seq"][places] == wanted)
        sound: npt.NDArray[np.void] = records[whole]
        return sound

    def close(self) -> None:
        """Let go of the segment's memory."""
        self._header = np.empty(0, np.uint64)
        self._slots = np.empty(0, TICK_DTYPE)
