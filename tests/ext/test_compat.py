"""Kernels of the drop-in for smartmoneyconcepts against a slow reference, on small whole numbers with many ties."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ref_compat
from smc_calls import Plan, difference, random_bars, results
from tbot.compat import smc
from tbot_ext.compat_blocks import order_blocks
from tbot_ext.compat_periods import gather_periods, previous_levels
from tbot_ext.compat_search import any_beyond, first_beyond
from tbot_ext.compat_structure import liquidity_pools, structure_breaks
from tbot_ext.compat_swings import fair_value_gaps, swings

FAN = 16
SCALES = (1.0, 0.25, 0.1)

moves = st.lists(st.tuples(*(st.integers(low, 3) for low in (-3, -2, 0, 0, 0))), max_size=90)


def bars_from(rows: list[tuple[int, ...]], scale: float) -> dict[str, Any]:
    """Each row: move to the open, move to the close, wick above, wick below, volume."""
    opens, closes, price = [], [], 3
    for to_open, to_close, *_ in rows:
        opens.append(price + to_open)
        price = opens[-1] + to_close
        closes.append(price)
    o, c = np.array(opens, float), np.array(closes, float)
    up, down, volume = (np.array([row[k] for row in rows], float) for k in (2, 3, 4))
    bars = {"open": o, "high": np.maximum(o, c) + up, "low": np.minimum(o, c) - down, "close": c}
    return {name: column * scale for name, column in bars.items()} | {"volume": volume}


def check(bars: dict[str, Any], plan: Plan) -> None:
    for (call, mine), (_, expected) in zip(results(smc, bars, plan), results(ref_compat, bars, plan), strict=True):
        assert not difference(mine, expected), call


@settings(max_examples=150, deadline=None)
@given(moves, st.sampled_from(SCALES), st.integers(1, 4), st.sampled_from([0.0, 0.05, 0.2]))
def test_every_function_equals_the_reference(
    rows: list[tuple[int, ...]], scale: float, length: int, percent: float
) -> None:
    check(bars_from(rows, scale), Plan((length,), (percent,)))


@pytest.mark.parametrize("seed", range(6))
def test_longer_walks_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    check(random_bars(rng, 400, SCALES[seed % 3], 2 + seed), Plan((1, 2, 3, 7, 50), (0.01, 0.1)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_swings_of_any_make_are_taken(data: st.DataObject) -> None:
    """Kinds in any order, other numbers among them, levels that are no bar's."""
    bars = bars_from(data.draw(moves), data.draw(st.sampled_from(SCALES)))
    n = len(bars["close"])
    kinds = data.draw(st.lists(st.sampled_from([1.0, -1.0, np.nan, 0.0, 2.0]), min_size=n, max_size=n))
    levels = data.draw(st.lists(st.integers(-6, 12), min_size=n, max_size=n))
    given_ = {"HighLow": np.array(kinds), "Level": np.array(levels, float)}
    for flag in (True, False):
        for name in ("bos_choch", "ob"):
            assert not difference(getattr(smc, name)(bars, given_, flag), getattr(ref_compat, name)(bars, given_, flag))
    assert not difference(smc.liquidity(bars, given_, 0.1), ref_compat.liquidity(bars, given_, 0.1))


@pytest.mark.parametrize("seed", range(4))
def test_previous_levels_equal_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = random_bars(rng, 300, SCALES[seed % 3])
    if seed % 2:
        bars = {name: column[rng.permutation(300)] for name, column in bars.items()}  # each column by itself
    days = bars["time"].astype("M8[D]").astype("M8[us]").astype(np.int64)
    expected = ref_compat.previous_high_low(bars, [int(x) for x in days])
    assert not difference(smc.previous_high_low(bars, "1D"), expected)
    assert expected["BrokenHigh"].sum() > 20


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0, 3.0, np.nan, np.inf, -np.inf]), max_size=3 * FAN * FAN),
    st.integers(0, 3 * FAN * FAN),
    st.sampled_from([-1.0, 0.0, 2.0, 3.0, np.inf, -np.inf, np.nan]),
    st.booleans(),
    st.sampled_from([1, -1]),
)
def test_the_search_finds_the_first(values: list[float], start: int, bound: float, strict: bool, sign: int) -> None:
    found = [i for i, x in enumerate(values) if i >= start and (sign * x > bound if strict else sign * x >= bound)]
    assert first_beyond(np.array(values), start, bound, strict, sign) == (found[0] if found else -1)
    if strict:
        assert any_beyond(np.array(values), start, bound, sign) == bool(found)


@pytest.mark.parametrize("n", [FAN**2 - 1, FAN**2, FAN**2 + 1, FAN**3 + 5])
def test_the_search_climbs_and_comes_down(n: int) -> None:
    values = np.zeros(n)
    for place in {0, 1, FAN - 1, FAN, n // 2, n - 2, n - 1}:
        values[place] = 1.0
        for start in {0, 1, FAN, max(place - 1, 0), place, place + 1, n - 1, n, n + 7}:
            assert first_beyond(values, start, 0.0) == (place if start <= place else -1)
            assert any_beyond(values, start, 0.0) == (start <= place)
        values[place] = 0.0


def test_lengths_that_differ_are_refused() -> None:
    """Why here: nothing behind these checks looks at bounds."""
    d3, d4, f3, i3 = np.zeros(3), np.zeros(4), np.zeros(3, np.float32), np.zeros(3, np.int64)
    f4, n3, none = np.zeros(4, np.float32), np.zeros(3, np.int32), np.zeros(0, np.int64)
    calls: list[tuple[Any, list[Any]]] = [
        (swings, [d3, d3, 1, d3, d3]),
        (fair_value_gaps, [d3, d3, d3, d3, False, d3, d3, d3, d3]),
        (structure_breaks, [d3, d3, d3, d3, d3, d3, f3, d3]),
        (order_blocks, [d3, d3, d3, d3, d3, none, none, d3, f3, f3, d3]),
        (gather_periods, [i3, d3, d3, d3, d3]),
        (previous_levels, [i3, d3, d3, i3, f3, f3, f3, f3, n3, n3]),
    ]
    for kernel, arguments in calls:
        for place, value in enumerate(arguments):
            if isinstance(value, np.ndarray) and len(value):
                longer = {"f": f4 if value.dtype == np.float32 else d4, "i": np.zeros(4, value.dtype)}[value.dtype.kind]
                wrong = [*arguments[:place], longer, *arguments[place + 1 :]]
                with pytest.raises(ValueError, match="length"):
                    kernel(*wrong)


@pytest.mark.parametrize("rows", [[-1, 1], [0, 3], [1, 1], [2, 0]])
def test_rows_outside_are_refused(rows: list[int]) -> None:
    singles, doubles, none = [np.zeros(3, np.float32) for _ in range(4)], np.zeros(3), np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="rising bar numbers"):
        liquidity_pools(1, doubles, np.array(rows), np.zeros(2), np.zeros(2), np.zeros(2), False, *singles)
    for swings_ in ((np.array(rows), none), (none, np.array(rows))):
        with pytest.raises(ValueError, match="rising bar numbers"):
            order_blocks(*[doubles] * 5, *swings_, doubles, singles[0], singles[1], doubles)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="start"):
        first_beyond(np.zeros(3), -1, 0.0)
    with pytest.raises(ValueError, match="start"):
        any_beyond(np.zeros(3), -1, 0.0)
    with pytest.raises(ValueError, match="negative"):
        swings(np.zeros(3), np.zeros(3), -1, np.zeros(3), np.zeros(3))
