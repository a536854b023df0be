"""What a backtest reads: a stream of tick records in merge order, and what is known about it.

The stream is what replay plays (storage.replay_stream): opening records, quotes for contracts that have none, clocks.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from tbot.domain.contracts import BY_ID, PRODUCTS
from tbot.storage.replay_stream import contract_ids, replay_stream
from tbot.storage.tape import TapeReader
from tbot.storage.tick_stream import Ticks

_HASHED = 1 << 20


class Source(Protocol):
    """Data of one run; `stream` can be asked for again and gives the same."""

    @property
    def contracts(self) -> tuple[str, ...]:
        """Product symbols, by contract id."""

    @property
    def data_hash(self) -> str:
        """Names the data: equal hashes, equal streams."""

    @property
    def holes(self) -> tuple[str, ...]:
        """What is missing in it, one sentence each."""

    def stream(self) -> Iterator[Ticks]:
        """Records in merge order, in parts of any length."""


@dataclass(frozen=True)
class ArraySource:
    """Records that are in memory already, opening records and clocks included."""

    chunks: tuple[Ticks, ...]
    holes: tuple[str, ...] = ()

    @property
    def contracts(self) -> tuple[str, ...]:
        found = {number for chunk in self.chunks for number in np.unique(chunk["contract_id"]).tolist()}
        return tuple(BY_ID[number].symbol for number in sorted(found))

    @property
    def data_hash(self) -> str:
        return _digest(chunk.tobytes() for chunk in self.chunks)

    def stream(self) -> Iterator[Ticks]:
        return iter(self.chunks)


class TapeSource:
    """One tape. Opened for each question, so that nothing stays open between runs."""

    holes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        """DataError when it is no tape or holds no contract that this version knows."""
        self._path = path
        with TapeReader(path) as tape:
            self.contracts = tuple(BY_ID[number].symbol for number in contract_ids(tape))

    @property
    def data_hash(self) -> str:
        """Of the bytes of the file."""
        with self._path.open("rb") as file:
            return _digest(iter(lambda: file.read(_HASHED), b""))

    def stream(self) -> Iterator[Ticks]:
        with TapeReader(self._path) as tape:
            yield from replay_stream(tape)


def contract_numbers(source: Source) -> tuple[int, ...]:
    """The contract ids of a source."""
    return tuple(PRODUCTS[symbol].contract_id for symbol in source.contracts)


def _digest(parts: Iterable[bytes]) -> str:
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        found.update(part)
    return found.hexdigest()
