"""The executor's view of the rings: every contract's records since the last look, for quotes and paper fills."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from tbot.engine.settings import EngineSettings
from tbot.engine.worker import READER_SLOTS
from tbot.storage.tape import merge_order
from tbot.transport.shm import Segment
from tbot_ext.records import TICK_DTYPE
from tbot_ext.ring import RingReader

BATCH = 4096
Records = npt.NDArray[np.void]


class PriceRings:
    """One reader per contract in the executor's slot."""

    def __init__(self, settings: EngineSettings, restarted: bool) -> None:
        self._segments = {name: Segment.attach(settings.run_dir, settings.ring_name(name)) for name in settings.symbols}
        # After a restart the past is not replayed: what matters is the newest price, and proof comes from the broker.
        start: Literal["newest", "oldest"] = "newest" if restarted else "oldest"
        self.readers = {
            name: RingReader(segment.buf, READER_SLOTS["executor"], start) for name, segment in self._segments.items()
        }
        self._buffer = np.empty(BATCH, TICK_DTYPE)

    def take(self, name: str) -> Records:
        """Records of one contract since the last call, at most a batch, good until the next call; empty: none."""
        return self._buffer[: self.readers[name].read(self._buffer)]

    def take_until(self, heads: dict[str, int]) -> Records:
        """Records of all contracts up to the given ring positions, merged by (exchange time, contract, sequence)."""
        parts = []
        for name, head in heads.items():
            reader = self.readers[name]
            while reader.position < head:
                part = self.take(name)
                if not len(part):
                    break
                parts.append(part.copy())
        return merge_order(np.concatenate(parts)) if parts else self._buffer[:0]

    def publish(self) -> None:
        """Make the positions visible to the source."""
        for reader in self.readers.values():
            reader.publish()

    @property
    def lost(self) -> int:
        """Records lapped before they were read, all contracts."""
        return sum(reader.lost for reader in self.readers.values())

    def close(self) -> None:
        for reader in self.readers.values():
            reader.close()
        for segment in self._segments.values():
            segment.close()
