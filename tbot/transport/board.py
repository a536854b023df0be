"""A contract's board: what its worker knows of the market, left in shared memory for whoever draws it.

Why it exists: a screen that attaches late cannot make these bars and zones itself. The history segment ends where the
run began, the ring holds a minute or two, and the detector parameters are the engine's own. So the worker lays down
closed bars, zones, levels and pools as its own pipeline has them, when a minute has closed, between its beats, never on
the way of a tick. Writer and readers know nothing of each other and never wait.

Layout of the segment: sequence (u64), length in bytes (u64), CRC-32 (u64), then the picture. The sequence is odd while
the picture changes. The CRC makes a picture that was torn show on machines that reorder memory, too: a reader keeps
the one it had, and looks again at its next turn.
"""

import zlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tbot.domain.timeframes import TIMEFRAMES_MIN
from tbot_ext.levels import LEVEL_DTYPE
from tbot_ext.pools import POOL_DTYPE
from tbot_ext.records import BAR_DTYPE
from tbot_ext.zones import ZONE_DTYPE

Rows = npt.NDArray[np.void]

BARS_SHOWN = 600  # newest closed bars of each timeframe
ZONES_SHOWN = 200  # of each timeframe, the newest
LINES_SHOWN = 60  # levels, and pools, of each timeframe
PARTS = (
    ("bars", BAR_DTYPE, BARS_SHOWN),
    ("zones", ZONE_DTYPE, ZONES_SHOWN),
    ("levels", LEVEL_DTYPE, LINES_SHOWN),
    ("pools", POOL_DTYPE, LINES_SHOWN),
)
_HEAD = 3  # words before the picture
_FACTS = 4  # market_ns, live, epoch, minutes
_COUNTS = len(PARTS) * len(TIMEFRAMES_MIN)
_FIXED = 8 * (_FACTS + _COUNTS)
BOARD_BYTES = 8 * _HEAD + _FIXED + sum(dtype.itemsize * most for _, dtype, most in PARTS) * len(TIMEFRAMES_MIN)


class Market(Protocol):
    """What a board shows of a pipeline (tbot_ext.pipeline.ContractPipeline)."""

    @property
    def now_ns(self) -> int: ...
    @property
    def live(self) -> bool: ...
    @property
    def epoch(self) -> int: ...
    @property
    def minutes(self) -> int: ...
    @property
    def resets(self) -> int: ...
    def bars(self, timeframe_min: int, n: int = 500) -> Rows: ...
    def zones(self, timeframe_min: int) -> Rows: ...
    def levels(self, timeframe_min: int) -> Rows: ...
    def pools(self, timeframe_min: int) -> Rows: ...


@dataclass(frozen=True, slots=True)
class Board:
    """One picture; rows by timeframe in minutes. Prices in ticks, times UTC ns of market time."""

    market_ns: int = 0  # of the newest record the worker had taken
    live: bool = False  # history is stitched and no gap is open
    epoch: int = 0  # of the ring
    minutes: int = 0  # 1m bars so far
    bars: dict[int, Rows] | None = None
    zones: dict[int, Rows] | None = None
    levels: dict[int, Rows] | None = None
    pools: dict[int, Rows] | None = None

    def rows(self, part: str, timeframe_min: int) -> Rows:
        """The rows of a part ("bars", "zones", "levels", "pools"); none of them where nothing was laid down yet."""
        held: dict[int, Rows] | None = getattr(self, part)
        if held is None:
            return np.empty(0, next(dtype for name, dtype, _ in PARTS if name == part))
        return held[timeframe_min]


def picture(market: Market) -> bytes:
    """A pipeline's bars and zones as the bytes of a board."""
    counts: list[int] = []
    rows: list[bytes] = []
    for name, _, most in PARTS:
        for minutes in TIMEFRAMES_MIN:
            found = market.bars(minutes, most) if name == "bars" else getattr(market, name)(minutes)[-most:]
            counts.append(len(found))
            rows.append(found.tobytes())
    facts = [market.now_ns, int(market.live), market.epoch, market.minutes, *counts]
    return b"".join([np.array(facts, np.int64).tobytes(), *rows])


def board_of(data: bytes) -> Board:
    """The picture back; ValueError when these are no bytes of one."""
    numbers = np.frombuffer(data, np.int64, _FACTS + _COUNTS)
    counts = [int(count) for count in numbers[_FACTS:]]
    parts: dict[str, dict[int, Rows]] = {}
    at, place = _FIXED, 0
    for name, dtype, most in PARTS:
        parts[name] = {}
        for minutes in TIMEFRAMES_MIN:
            count = counts[place]
            if not 0 <= count <= most:
                raise ValueError(f"{count} {name} are more than a board has")
            parts[name][minutes] = np.frombuffer(data, dtype, count, at)
            at += count * dtype.itemsize
            place += 1
    return Board(int(numbers[0]), bool(numbers[1]), int(numbers[2]), int(numbers[3]), **parts)


class BoardWriter:
    """The worker's end; `buf` is the writable payload of the segment."""

    def __init__(self, buf: memoryview) -> None:
        self._words = np.frombuffer(buf, np.uint64, _HEAD)
        self._room = np.frombuffer(buf, np.uint8, offset=8 * _HEAD)
        self._sequence = int(self._words[0]) | 1  # a predecessor may have died while writing
        self._shown: tuple[Any, ...] = ()

    def show(self, market: Market) -> bool:
        """Lay a new picture down when a bar has closed or the market began anew; False when nothing changed."""
        state = (market.minutes, market.resets, market.live)
        if state == self._shown:
            return False
        data = picture(market)
        self._words[0] = self._sequence
        self._words[1], self._words[2] = len(data), zlib.crc32(data)
        self._room[: len(data)] = np.frombuffer(data, np.uint8)
        self._words[0] = self._sequence + 1
        self._sequence += 2
        self._shown = state
        return True

    def close(self) -> None:
        """Let go of the segment's memory."""
        self._words, self._room = np.empty(0, np.uint64), np.empty(0, np.uint8)


class BoardReader:
    """A screen's end; `buf` may be, and should be, read-only."""

    def __init__(self, buf: memoryview) -> None:
        self._words = np.frombuffer(buf, np.uint64, _HEAD)
        self._room = np.frombuffer(buf, np.uint8, offset=8 * _HEAD)
        self._sequence = 0

    def read(self) -> Board | None:
        """The picture when it is another one than at the last call and whole, else None."""
        sequence, length, crc = (int(word) for word in self._words)
        if sequence == self._sequence or sequence & 1 or not _FIXED <= length <= len(self._room):
            return None
        data = self._room[:length].tobytes()
        if int(self._words[0]) != sequence or zlib.crc32(data) != crc:
            return None
        self._sequence = sequence
        return board_of(data)

    def close(self) -> None:
        """Let go of the segment's memory."""
        self._words, self._room = np.empty(0, np.uint64), np.empty(0, np.uint8)
