"""What slippage is measured by: a stretch taken at once is the same stretch taken trade by trade."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tbot.execution.market_state import MarketState
from tbot_ext.activity import Activity, pass_over
from tbot_ext.records import TICK_DTYPE, Flag, Kind

SECOND = 1_000_000_000
ROWS = st.lists(
    st.tuples(
        st.sampled_from([Kind.TRADE, Kind.TRADE, Kind.QUOTE, Kind.CLOCK]), st.integers(0, 40), st.integers(90, 110),
        st.integers(0, 9), st.sampled_from([1, 1, 1, 2]), st.sampled_from([0, 0, Flag.SIZE_UNKNOWN, Flag.SYNTHETIC]),
        st.integers(0, 1),
    ),
    max_size=50,
)  # fmt: skip


def ticks_of(rows: list[tuple[int, ...]]) -> np.ndarray:
    ticks = np.zeros(len(rows), TICK_DTYPE)
    now = 0
    for index, (kind, seconds, price, size, contract, flags, aux) in enumerate(rows):
        now += seconds * SECOND
        for name, value in zip(
            ("kind", "exch_ns", "price", "size", "contract_id", "flags", "aux"),
            (kind, now, price, size, contract, flags, aux),
            strict=True,
        ):
            ticks[name][index] = value
    return ticks


@given(ROWS, st.integers(0, 50), st.booleans())
def test_a_stretch_that_is_passed_over_is_that_stretch_trade_by_trade(
    rows: list[tuple[int, ...]], cut: int, asks: bool
) -> None:
    ticks = ticks_of(rows)
    one, other = (MarketState(1, activity=Activity() if asks else None) for _ in range(2))
    for row in ticks[ticks["contract_id"] == 1]:
        if row["kind"] == Kind.TRADE:
            one.on_trade(*(int(row[name]) for name in ("price", "exch_ns", "size", "flags", "aux", "side")))
    for part in (ticks[:cut], ticks[cut:]):
        other.pass_over(part, 1)
    assert one == other


def test_ranges_and_volume_worked_out_by_hand() -> None:
    activity = Activity()
    assert (activity.ranges, activity.volume) == ((), 0)
    for minute, price, size in [(0, 100, 3), (0, 104, 0), (0, 102, 2), (3, 110, 4), (3, 108, 1), (4, 108, 9)]:
        activity.on_print(minute * 60 * SECOND, price, size)
    assert activity.ranges == (4, 8)  # 104 - 100; 110 - the close of 102
    assert activity.volume == 5
    assert activity != Activity()
    assert activity != 1


def test_bad_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="TICK_DTYPE"):
        pass_over(np.zeros(3), 1)
    with pytest.raises(ValueError, match="one length"):
        Activity().absorb(np.zeros(2, np.int64), np.zeros(3, np.int64), np.zeros(2, np.int64))
    assert pass_over(np.zeros(0, TICK_DTYPE), 1) == (None, None)
