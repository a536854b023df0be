"""V5: the price-path nulls on eight weeks of real 1m bars, with their holidays, quiet minutes and weekends."""

from decimal import Decimal

import numpy as np
import pytest

from shared_data import shared
from tbot.analytics.bar_tables import bars_of, file_columns
from tbot.validation.paths import NS_PER_MIN, Bars, bootstrap_bars, breaks, checked, flip_bars, permute_bars

pytestmark = pytest.mark.shared_data


@pytest.fixture(
    scope="module", params=[("MNQ_1m_tsx_20260120_20260318", "0.25"), ("MGC_1m_tsx_20260121_20260318", "0.1")]
)
def bars(request: pytest.FixtureRequest) -> Bars:
    name, tick = request.param
    path = shared(f"market/bars_1m/{name}.parquet")
    return bars_of(path, file_columns(path), Decimal(tick), 1)


@pytest.mark.parametrize("null", [bootstrap_bars, permute_bars, flip_bars])
@pytest.mark.parametrize("unit", ["ticks", "log"])
def test_V5_paths_of_real_bars_are_valid_and_lie_at_the_same_times(bars: Bars, null: object, unit: str) -> None:
    told = checked(null(bars, np.random.default_rng(1), unit=unit))  # type: ignore[operator]
    assert len(told) == len(bars) > 40_000
    assert (told["start_ns"] == bars["start_ns"]).all()
    assert (told["close"] != bars["close"]).mean() > 0.9
    scale = [some["open"] if unit == "log" else 1 for some in (told, bars)]
    ranges = [float(((some["high"] - some["low"]) / by).mean()) for some, by in zip((told, bars), scale, strict=True)]
    assert ranges[0] == pytest.approx(ranges[1], rel=0.1), "bars keep their size, in the unit of the moves"


def test_V5_permutation_of_real_bars_keeps_the_shape_of_the_day_exactly(bars: Bars) -> None:
    told = permute_bars(bars, np.random.default_rng(2))
    assert told["close"][-1] == bars["close"][-1]
    minute = bars["start_ns"] // NS_PER_MIN % 1440
    for column in ("volume", "high"):
        real = np.bincount(minute, bars[column] - (bars["low"] if column == "high" else 0))
        assert np.bincount(minute, told[column] - (told["low"] if column == "high" else 0)) == pytest.approx(real)
    over = np.flatnonzero(breaks(bars))
    gaps = [np.sort(some["open"][over] - some["close"][over - 1]) for some in (told, bars)]
    assert len(over) > 35
    assert (gaps[0] == gaps[1]).all()
