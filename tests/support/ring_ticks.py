"""Records whose every word follows from one number, so that a mixed one shows; and a look into a ring's bytes."""

import struct

import numpy as np
import numpy.typing as npt

from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import format_ring, ring_bytes

CONTRACT = 7
RUN = 2024
Ticks = npt.NDArray[np.void]

# Offsets drawn in ring_layout.pxd; the tests state them again because processes of two builds must agree on them.
HEAD = 128
EPOCH = 136
SLEEPERS = 256
SLOTS = 1536


def new_ring(capacity: int) -> npt.NDArray[np.uint8]:
    """An empty ring in memory of this process."""
    buffer = np.zeros(ring_bytes(capacity), np.uint8)
    format_ring(buffer, capacity, CONTRACT, RUN)
    return buffer


def stamped(first: int, count: int) -> Ticks:
    """`count` trades numbered from `first` (in exch_ns); every other word is that number times an odd constant."""
    n = np.arange(first, first + count, dtype=np.uint64)
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["exch_ns"] = n
    ticks["recv_ns"] = (n * np.uint64(0x9E3779B97F4A7C15)).view(np.int64)
    ticks["price"] = (n * np.uint64(0xC2B2AE3D27D4EB4F)).view(np.int64)
    ticks["price2"] = (n * np.uint64(0x165667B19E3779F9)).view(np.int64)
    ticks["size"] = (n * np.uint64(0x27D4EB2F165667C5) >> np.uint64(33)).astype(np.int32)
    ticks["aux"] = (n & np.uint64(0x7FFFFFFF)).astype(np.int32)
    ticks["volume"] = (n * np.uint64(0xFF51AFD7ED558CCD)).view(np.int64)
    ticks["contract_id"] = CONTRACT
    ticks["kind"] = Kind.TRADE
    ticks["side"] = (n % np.uint64(3)).astype(np.int8) - 1
    ticks["flags"] = (n & np.uint64(0xFFFF)).astype(np.uint16)
    return ticks


def torn(ticks: Ticks) -> int:
    """How many of these trades are not, word for word, what `stamped` made of their number."""
    wrong = np.zeros(len(ticks), bool)
    for index in range(0, len(ticks), 4096):
        part = ticks[index : index + 4096]
        right = _stamp(part["exch_ns"].view(np.uint64))
        for name in TICK_DTYPE.names or ():
            if name not in ("seq", "epoch"):  # set by the ring
                wrong[index : index + 4096] |= part[name] != right[name]
    return int(wrong.sum())


def _stamp(numbers: npt.NDArray[np.uint64]) -> Ticks:
    # One at a time would be slow; the numbers of a lapped reader are not consecutive, hence the gather.
    if len(numbers) == 0:
        return stamped(0, 0)
    first = int(numbers.min())
    if int(numbers.max()) - first < 1 << 20:
        return stamped(first, int(numbers.max()) - first + 1)[(numbers - np.uint64(first)).astype(np.int64)]
    return np.concatenate([stamped(int(n), 1) for n in numbers])


def word(buffer: npt.NDArray[np.uint8], offset: int) -> int:
    """The 64-bit word at a byte offset."""
    return int(struct.unpack_from("<Q", buffer, offset)[0])


def poke(buffer: npt.NDArray[np.uint8], offset: int, value: int) -> None:
    """Store a 64-bit word at a byte offset, as a damaged or killed process would have left it."""
    struct.pack_into("<Q", buffer, offset, value)


def sleepers(buffer: npt.NDArray[np.uint8] | memoryview) -> int:
    """The bits of the readers that sleep, or are about to."""
    return int(struct.unpack_from("<I", buffer, SLEEPERS)[0])
