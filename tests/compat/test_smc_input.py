"""What `tbot.compat.smc` takes, what it gives back, and what it refuses."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tbot.compat.smc
from smc_calls import SIX, difference, random_bars, six_calls
from tbot.compat import smc

DTYPES = {
    "swing_highs_lows": {"HighLow": "f8", "Level": "f8"},
    "fvg": {"FVG": "f8", "Top": "f8", "Bottom": "f8", "MitigatedIndex": "f8"},
    "bos_choch": {"BOS": "f8", "CHOCH": "f8", "Level": "f4", "BrokenIndex": "f8"},
    "ob": {"OB": "f8", "Top": "f4", "Bottom": "f4", "OBVolume": "f4", "MitigatedIndex": "f8", "Percentage": "f4"},
    "liquidity": {"Liquidity": "f4", "Level": "f4", "End": "f4", "Swept": "f4"},
    "previous_high_low": {"PreviousHigh": "f4", "PreviousLow": "f4", "BrokenHigh": "i4", "BrokenLow": "i4"},
}
DEFAULTS = {
    "swing_highs_lows": {"swing_length": 50},
    "fvg": {"join_consecutive": False},
    "bos_choch": {"close_break": True},
    "ob": {"close_mitigation": False},
    "liquidity": {"range_percent": 0.01},
    "previous_high_low": {"time_frame": "1D"},
}


def some(n: int = 120) -> dict[str, Any]:
    return random_bars(np.random.default_rng(5), n)


def calls(bars: Any, swings: Any = None) -> dict[str, Callable[[], Any]]:
    return six_calls(smc, bars, smc.swing_highs_lows(bars, 3) if swings is None else swings, 3)


def types(table: dict[str, Any]) -> dict[str, str]:
    return {name: values.dtype.str[1:] for name, values in table.items()}


@pytest.mark.parametrize("name", SIX)
def test_names_and_defaults_are_the_librarys(name: str) -> None:
    parameters = inspect.signature(getattr(smc, name)).parameters
    assert next(iter(parameters)) == "ohlc"
    assert {k: p.default for k, p in parameters.items() if p.default is not p.empty} == DEFAULTS[name]
    assert ("swing_highs_lows" in parameters) == (name in ("bos_choch", "ob", "liquidity"))


@pytest.mark.parametrize("name", SIX)
def test_columns_have_the_librarys_order_and_types(name: str) -> None:
    got = calls(some())[name]()
    assert types(got) == DTYPES[name]
    assert list(got) == list(DTYPES[name])


def test_both_ways_of_importing_give_the_functions() -> None:
    from tbot.compat.smc import smc as as_class

    assert as_class.__version__ == "0.0.27"
    for name in SIX:
        assert getattr(as_class, name) is getattr(tbot.compat.smc, name)
    assert not difference(as_class().fvg(some()), smc.fvg(some()))


def test_names_of_columns_may_have_any_case() -> None:
    bars = some()
    shouted = {name.upper(): column for name, column in bars.items()} | {"Spread": "not looked at"}
    for name, call in calls(bars).items():
        assert not difference(calls(shouted)[name](), call())


def test_lists_and_strided_arrays_are_taken() -> None:
    bars = some()
    lists = {name: column if name == "time" else column.tolist() for name, column in bars.items()}
    strided = {name: np.repeat(column, 2)[::2] for name, column in bars.items()}
    for name, call in calls(bars).items():
        assert not difference(calls(lists)[name](), call())
        assert not difference(calls(strided)[name](), call())


def test_nothing_given_is_written_to() -> None:
    bars = some()
    swings = smc.swing_highs_lows(bars, 3)
    expected = {name: call() for name, call in calls(bars, swings).items()}
    for column in (*bars.values(), *swings.values()):
        column.setflags(write=False)
    for name, call in calls(bars, swings).items():
        assert not difference(call(), expected[name])


def test_float32_prices_stay_float32_where_the_library_keeps_them() -> None:
    bars = {name: column if name == "time" else column.astype(np.float32) for name, column in some().items()}
    got = {name: types(call()) for name, call in calls(bars).items()}
    assert got["swing_highs_lows"] == {"HighLow": "f8", "Level": "f4"}
    assert got["fvg"] == {"FVG": "f8", "Top": "f4", "Bottom": "f4", "MitigatedIndex": "f8"}
    assert got["ob"] == DTYPES["ob"]


def test_integer_prices_give_the_same_as_floats() -> None:
    bars = some()
    whole = {name: column if name == "time" else column.astype(np.int32) for name, column in bars.items()}
    for name, call in calls(bars).items():
        assert not difference(calls(whole)[name](), call())


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "int"])
def test_times_may_have_any_unit(unit: str) -> None:
    bars = some()
    nanoseconds = bars["time"].astype("M8[ns]")
    other = bars | {"time": nanoseconds.astype(np.int64) if unit == "int" else nanoseconds.astype(f"M8[{unit}]")}
    assert not difference(smc.previous_high_low(other, "4h"), smc.previous_high_low(bars, "4h"))


@pytest.mark.parametrize("n", range(6))
def test_few_bars_or_none_give_as_many_rows(n: int) -> None:
    for name, call in calls(some(n)).items():
        assert [len(column) for column in call().values()] == [n] * len(DTYPES[name])


def test_missing_and_infinite_prices_do_no_harm() -> None:
    """What comes out then is compared with the library elsewhere; here that it stays inside its arrays."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        bars = some(200)
        for name in ("open", "high", "low", "close", "volume"):
            for value in (np.nan, np.inf, -np.inf):
                bars[name][rng.random(200) < rng.choice([0.0, 0.05, 0.9])] = value
        for call in calls(bars).values():
            assert {len(column) for column in call().values()} == {200}


@pytest.mark.parametrize("name", SIX)
@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
def test_columns_of_unequal_length_are_refused(name: str, column: str) -> None:
    bars, swings = some(), smc.swing_highs_lows(some(), 3)
    bars[column] = bars[column][:-1]
    if column == "volume" and name not in ("ob", "previous_high_low"):
        calls(bars, swings)[name]()  # not read
    else:
        with pytest.raises(ValueError, match="must have one length"):
            calls(bars, swings)[name]()


@pytest.mark.parametrize("name", SIX)
def test_missing_columns_are_named(name: str) -> None:
    swings = smc.swing_highs_lows(some(), 3)
    for column in ("open", "high", "low", "close", "volume"):
        bars = some()
        del bars[column]
        if column == "volume" and name not in ("ob", "previous_high_low"):
            calls(bars, swings)[name]()
            continue
        with pytest.raises(LookupError, match=f'"{column}"'):
            calls(bars, swings)[name]()
        with pytest.raises(ValueError, match=f'"{column}"'):
            calls(bars, swings)[name]()


@pytest.mark.parametrize("name", ["bos_choch", "ob", "liquidity"])
def test_swings_must_belong_to_the_bars(name: str) -> None:
    bars = some()
    for rows in (119, 121, 0):
        swings = {"HighLow": np.zeros(rows), "Level": np.zeros(rows)}
        with pytest.raises(ValueError, match="a row for each bar"):
            calls(bars, swings)[name]()
    with pytest.raises(ValueError, match='"HighLow"'):
        calls(bars, {"Level": np.zeros(120)})[name]()


@pytest.mark.parametrize("wrong", [None, 3, "bars", [1, 2], np.zeros((5, 5))])
def test_other_things_than_tables_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="DataFrame or a mapping"):
        smc.fvg(wrong)


@pytest.mark.parametrize("column", [["a"] * 120, np.zeros((120, 2)), np.zeros(120, complex), np.zeros(120, "f2"), 1.0])
def test_columns_must_hold_numbers_in_one_dimension(column: Any) -> None:
    with pytest.raises(ValueError, match="column 'low' of ohlc"):
        smc.fvg(some() | {"low": column})


def test_a_column_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        smc.fvg(some() | {"High": some()["high"]})


@pytest.mark.parametrize("wrong", [2.5, "3", None])
def test_the_swing_length_is_a_whole_number(wrong: Any) -> None:
    with pytest.raises(TypeError):
        smc.swing_highs_lows(some(), wrong)
    with pytest.raises(ValueError, match="negative"):
        smc.swing_highs_lows(some(), -1)


def test_the_range_is_a_number() -> None:
    with pytest.raises(TypeError, match="range_percent"):
        smc.liquidity(some(), smc.swing_highs_lows(some(), 3), range_percent="1%")  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["15m", "4H", "1M", "", "0D", "-1D", "foo", "99999999999D", "1.5h", None, 60])
def test_unknown_time_frames_are_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="time_frame"):
        smc.previous_high_low(some(), wrong)


@pytest.mark.parametrize(
    ("times", "text"),
    [
        (None, "missing"),
        (np.zeros(119, "M8[s]"), "one time for each bar"),
        (np.full(120, np.datetime64("NaT", "s")), "none may be missing"),
        (np.full(120, np.datetime64("2400-01-01", "s")), "1679"),
        (np.zeros(120), "datetime64"),
    ],
)
def test_unusable_times_are_refused(times: Any, text: str) -> None:
    bars = some()
    bars.pop("time")
    with pytest.raises(ValueError, match=text):
        smc.previous_high_low(bars if times is None else bars | {"time": times})


def test_pandas_is_not_needed() -> None:
    """In a process where importing it fails."""
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "import numpy as np; from tbot.compat import smc\n"
        "p = np.arange(20.0) % 7; bars = dict(open=p, high=p + 1, low=p - 1, close=p)\n"
        "print(type(smc.bos_choch(bars, smc.swing_highs_lows(bars, 2))).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "dict"
