"""ATR, volume mean and swings against hand-made values and the slow reference."""

import random

import pytest

import ref_smc
from smc_cases import random_bars
from tbot_ext.indicators import Atr, Swings, VolumeMean


def test_atr_is_seeded_with_the_mean_of_the_first_true_ranges() -> None:
    atr = Atr(3)
    assert atr.push(10, 8, 9) is None  # range 2
    assert atr.push(12, 11, 11) is None  # from the close 9: 3
    assert atr.push(11, 5, 6) == (2 + 3 + 6) / 3
    assert atr.push(7, 5, 7) == ((2 + 3 + 6) / 3 * 2 + 2) / 3


def test_atr_ignores_the_hole_of_a_session_break() -> None:
    atr = Atr(1)
    atr.push(10, 9, 10)
    assert atr.push(101, 100, 100, session_break=True) == 1
    assert atr.push(101, 99, 100) == 2


def test_atr_of_one_bar_is_its_range() -> None:
    assert Atr(1).push(7, 3, 4) == 4


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 2, 14])
def test_atr_equals_the_reference(seed: int, n: int) -> None:
    bars = random_bars(seed, 200)
    atr = Atr(n)
    assert [atr.push(b.h, b.l, b.c, b.after_break) for b in bars] == ref_smc.atr_values(bars, n)


def test_volume_mean_is_of_the_last_fifty() -> None:
    rng = random.Random(5)
    volumes = [rng.randint(0, 1000) for _ in range(300)]
    mean = VolumeMean()
    for t, volume in enumerate(volumes):
        window = volumes[max(0, t - 49) : t + 1]
        assert mean.push(volume) == sum(window) / len(window)


def feed(swings: Swings, highs: list[int]) -> list[list[tuple[int, int, int]]]:
    """Lows lie far below and fall for ever, so that only highs can be swings."""
    return [swings.push(high, -1000 - t, high - 1) for t, high in enumerate(highs)]


def test_a_swing_is_known_r_bars_later() -> None:
    found = feed(Swings(2, 3), [1, 2, 9, 3, 4, 5, 6])
    assert found == [[], [], [], [], [], [(1, 2, 9)], []]


def test_the_first_bars_and_the_last_make_no_swing() -> None:
    assert not any(feed(Swings(2, 2), [9, 8, 7, 6, 5]))  # the highest is bar 0
    assert not any(feed(Swings(2, 2), [1, 2, 3, 4, 5]))  # the highest is the last


def test_of_a_plateau_the_first_bar_counts() -> None:
    found = feed(Swings(2, 2), [1, 2, 7, 7, 7, 2, 1, 1])
    assert [item for step in found for item in step] == [(1, 2, 7)]


def test_equal_highs_further_apart_are_two_swings() -> None:
    found = feed(Swings(1, 1), [1, 7, 3, 7, 1])
    assert [item for step in found for item in step] == [(1, 1, 7), (1, 3, 7)]


def test_a_flat_stretch_has_none() -> None:
    swings = Swings(2, 2)
    assert not any(swings.push(5, 5, 5) for _ in range(50))


def test_an_outside_bar_is_both_the_high_first() -> None:
    swings = Swings(1, 1)
    found = [swings.push(high, low, 5) for high, low in ((6, 4), (9, 1), (6, 4))]
    assert found == [[], [], [(1, 1, 9), (-1, 1, 1)]]


@pytest.mark.parametrize("seed", range(20))
def test_swings_equal_the_reference(seed: int) -> None:
    rng = random.Random(seed)
    left, right = rng.randint(1, 12), rng.randint(1, 12)
    bars = random_bars(seed, 300, step=2)
    swings = Swings(left, right)
    got = [(t, item) for t, b in enumerate(bars) for item in swings.push(b.h, b.l, b.c)]
    expected = [(i + right, (side, i, price)) for i, side, price in ref_smc.swings(bars, left, right)]
    assert got == [(t, (side, i, price)) for t, (side, i, price) in expected]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("side", [1, -1])
def test_unbroken_swings_are_those_no_later_close_and_no_later_swing_passed(seed: int, side: int) -> None:
    left, right = 2, 2
    bars = random_bars(seed + 50, 200, step=3)
    known = [(i, side * price) for i, s, price in ref_smc.swings(bars, left, right) if s == side]
    swings = Swings(left, right)
    for t, bar in enumerate(bars):
        swings.push(bar.h, bar.l, bar.c)
        expected = [
            (i, side * price)
            for place, (i, price) in enumerate(known)
            if i + right <= t
            # a close of the bar at which a swing becomes known is no later close: it lies inside the swing's window
            and all(side * b.c <= price for b in bars[i + right + 1 : t + 1])
            and all(later[1] < price for later in known[place + 1 :] if later[0] + right <= t)
        ]
        assert swings.unbroken(side) == expected


def test_the_stack_is_bounded_and_keeps_the_newest() -> None:
    swings = Swings(1, 1)
    for k in range(100):  # ever lower highs
        for high in (1000 - 2 * k, 1001 - 2 * k):
            swings.push(high, -5000 - k, -4000)
    prices = [price for _, price in swings.unbroken(1)]
    assert len(prices) == 64
    assert prices == sorted(prices, reverse=True)
    assert prices[-1] == 1001 - 2 * 98


@pytest.mark.parametrize(("left", "right"), [(0, 5), (5, 0), (61, 5), (5, 61), (-1, 1)])
def test_windows_out_of_range_are_refused(left: int, right: int) -> None:
    with pytest.raises(ValueError, match="L and R"):
        Swings(left, right)


def test_largest_windows_work() -> None:
    swings = Swings(60, 60)
    highs = [*range(100), *range(98, 0, -1)]
    found = [item for step in feed(swings, highs) for item in step]
    assert found == [(1, 99, 99)]
