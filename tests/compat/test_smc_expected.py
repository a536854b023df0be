"""`tbot.compat.smc` against the expected files of the library's own project (EURUSD 15m, 24 424 bars), every row.

The files hold decimals: a float64 in its shortest form, so it must come back exactly; the float32 columns likewise once
they are read as float32.
"""

from typing import Any

import numpy as np
import pytest

from shared_data import shared
from smc_bars import read_csv_bars, read_csv_columns
from tbot.compat import smc

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def bars() -> dict[str, Any]:
    return read_csv_bars(shared("smc/EURUSD/EURUSD_15M.csv"))


@pytest.fixture(scope="module")
def swings(bars: dict[str, Any]) -> Any:
    return smc.swing_highs_lows(bars, swing_length=5)


def check(got: dict[str, Any], name: str, filled: int) -> None:
    """Every row of every column; `filled`: rows of the first column that hold something."""
    expected = read_csv_columns(shared(f"smc/EURUSD/{name}_result_data.csv"))
    assert list(got) == list(expected)
    for column, values in got.items():
        assert len(values) == 24_424
        np.testing.assert_array_equal(values, expected[column].astype(values.dtype), err_msg=column)
    assert int((~np.isnan(got[next(iter(got))])).sum()) == filled


def test_swing_highs_lows(swings: Any) -> None:
    check(swings, "swing_highs_lows", 2_708)


@pytest.mark.parametrize(("join", "name", "filled"), [(False, "fvg", 5_020), (True, "fvg_consecutive", 3_756)])
def test_fvg(join: bool, name: str, filled: int, bars: dict[str, Any]) -> None:
    check(smc.fvg(bars, join_consecutive=join), name, filled)


def test_bos_choch(bars: dict[str, Any], swings: Any) -> None:
    check(smc.bos_choch(bars, swings, close_break=True), "bos_choch", 676)


def test_ob(bars: dict[str, Any], swings: Any) -> None:
    check(smc.ob(bars, swings, close_mitigation=False), "ob", 66)


def test_liquidity(bars: dict[str, Any], swings: Any) -> None:
    check(smc.liquidity(bars, swings, range_percent=0.01), "liquidity", 498)


@pytest.mark.parametrize("time_frame", ["4h", "1D", "W"])
def test_previous_high_low(time_frame: str, bars: dict[str, Any]) -> None:
    got = smc.previous_high_low(bars, time_frame=time_frame)
    expected = read_csv_columns(shared(f"smc/EURUSD/previous_high_low_result_data_{time_frame}.csv"))
    assert list(got) == list(expected)
    for column, values in got.items():
        np.testing.assert_array_equal(values, expected[column].astype(values.dtype), err_msg=column)
