"""What a backtest reads: a stream of tick records in merge order, and what is known about it.

The stream is what replay plays (storage.replay_stream): opening records, quotes for contracts that have none, clocks.
Files are opened by storage.sources.open_sources.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tbot.domain.contracts import BY_ID
from tbot.storage.tick_stream import Ticks
from tbot_ext.stream import survey


class Source(Protocol):
    """Data of one run; `stream` can be asked for again and gives the same."""

    @property
    def contracts(self) -> Mapping[int, str]:
        """Product symbols by contract id, ascending."""

    @property
    def data_hash(self) -> str:
        """Names the data: equal hashes, equal streams."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of it: holes, assumptions; one sentence each."""

    def stream(self) -> Iterator[Ticks]:
        """Records in merge order, in parts of any length."""


@dataclass(frozen=True)
class ArraySource:
    """Records that are in memory already, opening records and clocks included."""

    chunks: tuple[Ticks, ...]
    notes: tuple[str, ...] = ()

    @property
    def contracts(self) -> dict[int, str]:
        """By the records."""
        found = {number for chunk in self.chunks for number in survey(np.ascontiguousarray(chunk))[0]}
        return {number: BY_ID[number].symbol for number in sorted(found)}

    @property
    def data_hash(self) -> str:
        """Of the bytes of the records."""
        digest = hashlib.sha256()
        for chunk in self.chunks:
            digest.update(np.ascontiguousarray(chunk).view(np.uint8).data)
        return digest.hexdigest()

    def stream(self) -> Iterator[Ticks]:
        """The arrays as they are."""
        return iter(self.chunks)
