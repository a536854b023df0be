"""join_minutes: the same higher bars as the builder makes of the ticks themselves."""

import numpy as np
import pytest

from bar_samples import MINUTE, walk
from tbot_ext.bars import BarBuilder, join_minutes
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Flag, Kind


def ticks_of(bars: np.ndarray) -> np.ndarray:
    """Four prints a minute that make these bars, volumes aside."""
    ticks = np.zeros(4 * len(bars), TICK_DTYPE)
    ticks["kind"], ticks["size"], ticks["side"] = Kind.TRADE, np.arange(len(ticks)) % 7 + 1, 1
    ticks["exch_ns"] = np.repeat(bars["start_ns"], 4) + np.tile(np.arange(4) * 10**10, len(bars))
    ticks["price"] = np.stack([bars[name] for name in ("open", "high", "low", "close")], axis=1).ravel()
    return ticks


@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
@pytest.mark.parametrize("seed", [1, 2])
def test_equal_to_the_bars_built_from_ticks(minutes: int, seed: int) -> None:
    bars = walk(4000, seed, pause_at=1234)
    bars = bars[np.random.default_rng(seed).random(len(bars)) < 0.7]  # quiet minutes have no bar
    built = BarBuilder().push_ticks(ticks_of(bars))
    ones = built[built["timeframe_min"] == 1]
    assert len(ones) > 2000
    joined = join_minutes(ones, minutes)
    assert (joined == built[built["timeframe_min"] == minutes]).all()
    assert len(joined) == (built["timeframe_min"] == minutes).sum()
    assert (joined["flags"] & Flag.SESSION_BREAK).any()


def test_a_bar_that_still_forms_is_left_out() -> None:
    bars = walk(11)
    assert len(join_minutes(bars[:4], 5)) == 0
    assert len(join_minutes(bars[:5], 5)) == 1
    assert len(join_minutes(bars[:9], 5)) == 1
    assert len(join_minutes(bars, 5)) == 2
    assert join_minutes(bars[:0], 5).dtype == BAR_DTYPE


def test_refusals() -> None:
    bars = walk(10)
    for minutes in (1, 0, 7, 240):
        with pytest.raises(ValueError, match="not one of 5, 15, 30, 60"):
            join_minutes(bars, minutes)
    with pytest.raises(ValueError, match="BAR_DTYPE"):
        join_minutes(bars["start_ns"], 5)
    with pytest.raises(ValueError, match="bar 3 is no 1m bar"):
        join_minutes(np.concatenate([bars[:3], walk(1, minutes=5)]), 5)
    bars["start_ns"][4] -= MINUTE
    with pytest.raises(ValueError, match="bar 4 starts at or before"):
        join_minutes(bars, 5)
