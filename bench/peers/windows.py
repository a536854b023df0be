"""The windows of the live recomputation, the same words for both sides; needs numpy alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np

WINDOW = 1_000
LIVE = ("fvg", "bos_choch", "ob", "liquidity")  # the swings they need are computed before them


def windows(n: int, count: int) -> Iterator[tuple[int, int]]:
    """(first, end) of the windows that end with each of the last `count` of `n` bars."""
    return ((end - WINDOW, end) for end in range(n - count + 1, n + 1))


def stacked(found: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """What each window gave, as one array per function and column."""
    first = found[0]
    return {
        f"{call}|{name}": np.stack([one[call][name] for one in found]) for call in first for name in first[call]
    }  # fmt: skip
