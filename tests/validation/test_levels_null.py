"""V4 on markets whose answer is known: planted bands are found, a random walk is not, at the rate that is claimed."""

import numpy as np
import pytest

from level_markets import DAY_BARS, turning_market, walk_days
from tbot.commands.audit_levels import zones_of
from tbot.errors import DataError
from tbot.validation.levels_null import (
    NULLS,
    LevelsResult,
    Market,
    Traded,
    ZoneRules,
    Zones,
    blocks,
    levels_null,
    sessions,
    with_adjusted,
)
from tbot_ext.detector import Detector
from tbot_ext.first_passage import NO_TRADE, STOPPED, TARGET, TIMED_OUT, zone_outcomes
from tbot_ext.records import BAR_DTYPE, EventCode


def bars_from(rows: list[tuple[int, int, int, int]]) -> np.ndarray:
    bars = np.zeros(len(rows), BAR_DTYPE)
    bars["start_ns"], bars["timeframe_min"] = np.arange(len(rows)) * 60_000_000_000, 1
    for name, column in zip(("open", "high", "low", "close"), zip(*rows, strict=True), strict=True):
        bars[name] = column
    return bars


def mirrored(bars: np.ndarray, zones: Zones) -> tuple[np.ndarray, Zones]:
    turned = bars.copy()
    turned["open"], turned["close"] = 1000 - bars["open"], 1000 - bars["close"]
    turned["high"], turned["low"] = 1000 - bars["low"], 1000 - bars["high"]
    return turned, Zones(zones.born, 1000 - zones.bottom, 1000 - zones.top, -zones.side)


def one(born: int, top: int, bottom: int, side: int = 1) -> Zones:
    return Zones(*(np.array([value], np.int64) for value in (born, top, bottom, side)))


# Zone 90..100 known at the close of bar 0; stop 88, risk 12, target 112.
BIRTH = (110, 111, 109, 110)
STORIES = {
    "touched, then the target": ([(108, 108, 99, 101), (101, 113, 100, 112)], 1.0, TARGET),
    "the target is only touched": ([(108, 108, 99, 101), (101, 112, 100, 105)], 5 / 12, TIMED_OUT),
    "touched and stopped in one bar": ([(108, 108, 88, 100), (101, 120, 100, 119)], -1.0, STOPPED),
    "the touching bar cannot reach the target": ([(108, 120, 100, 101), (101, 102, 87, 90)], -1.0, STOPPED),
    "gap through the stop": ([(108, 108, 99, 101), (80, 85, 79, 84)], -20 / 12, STOPPED),
    "gap beyond the target": ([(108, 108, 99, 101), (118, 119, 117, 118)], 1.0, TARGET),
    "opens inside the zone": ([(95, 113, 94, 112)], 17 / 12, TARGET),
    "opens beyond the zone": ([(85, 99, 84, 98)], np.nan, NO_TRADE),
    "never touched": ([(108, 109, 101, 108)], np.nan, NO_TRADE),
    "a bar that reaches both later": ([(108, 108, 99, 101), (101, 120, 80, 101)], -1.0, STOPPED),
}


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("side", [1, -1])
def test_V4_outcomes_by_hand(name: str, side: int) -> None:
    rows, expected, state = STORIES[name]
    bars, zones = bars_from([BIRTH, *rows]), one(0, 100, 90)
    if side < 0:
        bars, zones = mirrored(bars, zones)
    result, got = Market.of(bars).outcomes(zones, ZoneRules())
    assert got.tolist() == [state]
    assert result.tolist() == pytest.approx([expected], nan_ok=True)


def slow_outcome(bars: np.ndarray, born: int, top: int, bottom: int, side: int, rules: ZoneRules) -> float:
    """The rules of ZoneRules once more, in plain Python."""
    rows = [(side * int(b["open"]), *sorted((side * int(b["low"]), side * int(b["high"]))), side * int(b["close"]))
            for b in bars]  # fmt: skip
    near, far = (top, bottom) if side > 0 else (-bottom, -top)
    stop = far - rules.buffer_ticks
    risk = near - stop
    target = near + int(rules.reward * risk + 0.5)
    for at in range(born + 1, min(born + rules.wait, len(rows) - 1) + 1):
        if rows[at][1] <= near:
            break
    else:
        return np.nan
    entry = rows[at][0]
    if entry < far:
        return np.nan
    inside = entry <= near
    entry = min(entry, near)
    held = rows[at : at + rules.horizon]
    for number, (opened, low, high, _) in enumerate(held):
        if low <= stop:
            return ((min(opened, stop) if number or inside else stop) - entry) / risk
        if high > target and (number or inside):
            return (target - entry) / risk
    return (held[-1][3] - entry) / risk


@pytest.mark.parametrize("seed", range(4))
def test_V4_the_kernel_agrees_with_plain_python(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bars = walk_days(600, rng, bars_a_day=200)
    bars["open"][1:] += rng.integers(-15, 16, 599)  # gaps
    bars["high"], bars["low"] = np.maximum(bars["high"], bars["open"]), np.minimum(bars["low"], bars["open"])
    born = np.sort(rng.integers(0, 600, 300))
    bottom = bars["close"][born] + rng.integers(-60, 50, 300)
    zones = Zones(born, bottom + rng.integers(0, 25, 300), bottom, rng.choice((-1, 1), 300))
    rules = ZoneRules(
        reward=float(rng.choice((0.5, 1, 2.3))), buffer_ticks=int(rng.integers(1, 5)), wait=80, horizon=60
    )
    got, _ = Market.of(bars).outcomes(zones, rules)
    columns = (zones.born, zones.top, zones.bottom, zones.side)
    expected = [slow_outcome(bars, *(int(column[k]) for column in columns), rules) for k in range(300)]
    assert np.isfinite(expected).sum() > 100
    assert got.tolist() == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_V4_planted_bands_stand_above_all_draws(seed: int) -> None:
    bars, zones = turning_market(12_000, seed)
    result = levels_null(bars, zones, rng=np.random.default_rng(seed), draws=200)
    assert result is not None
    assert [test.null for test in result.nulls] == list(NULLS)
    assert result.percentile > 99
    assert all(test.percentile_hit > 99 for test in result.nulls)
    assert result.p == pytest.approx(1 / 201)
    assert result.traded.expectancy_r > 0.3
    assert result.better
    assert result.verdict == "better than random levels"


@pytest.mark.parametrize("seed", range(3))
def test_V4_the_same_bands_in_a_market_that_ignores_them_are_nothing(seed: int) -> None:
    bars, zones = turning_market(12_000, seed, strength=0.0)
    result = levels_null(bars, zones, rng=np.random.default_rng(seed), draws=200)
    assert result is not None
    assert not result.better
    assert result.verdict == "not distinguishable from random levels"


def p_values(seeds: range, draws: int, days: int) -> np.ndarray:
    """Of each null and of the largest of the three, for order blocks of the packaged detector on random walks."""
    rows = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        bars = walk_days(days * DAY_BARS, rng)
        zones = zones_of(Detector(1).push_bars(bars), EventCode.OB)
        result = levels_null(bars, zones, rng=rng, draws=draws)
        assert result is not None
        rows.append([*(test.p_r for test in result.nulls), result.p])
    return np.array(rows)


def assert_nominal(values: np.ndarray, sigmas: float) -> None:
    """Rejections at three levels within so many binomial standard deviations, and the middle in the middle."""
    n = len(values)
    for level in (0.05, 0.1, 0.25):
        off = np.abs((values[:, :3] <= level).mean(axis=0) - level) / np.sqrt(level * (1 - level) / n)
        assert (off < sigmas).all(), (level, off)
        assert (values[:, 3] <= level).mean() <= level + sigmas * np.sqrt(level * (1 - level) / n)
    assert (np.abs(values[:, :3].mean(axis=0) - 0.5) < sigmas * np.sqrt(1 / 12 / n)).all()


def test_V4_on_a_random_walk_percentiles_are_uniform() -> None:
    """40 seeds in the suite; 200 behind `long`."""
    assert_nominal(p_values(range(40), 99, 5), 3.3)


@pytest.mark.long
def test_V4_on_a_random_walk_the_null_test_rejects_at_its_nominal_rate() -> None:
    """200 seeds that no choice of this module was made on."""
    assert_nominal(p_values(range(3000, 3200), 199, 10), 3.3)


def test_V4_draws_keep_height_and_distance_and_mirror_keeps_neither_side() -> None:
    from tbot.validation.levels_null import _Maker

    rng = np.random.default_rng(5)
    bars = walk_days(4000, rng)
    zones = zones_of(Detector(1).push_bars(bars), EventCode.OB)
    maker, close = _Maker(Market.of(bars), zones), bars["close"]

    def shape(zones: Zones) -> np.ndarray:
        price = close[zones.born]
        away = np.where(zones.side > 0, price - zones.top, zones.bottom - price)
        return np.stack([zones.top - zones.bottom, away])

    session = sessions(bars)
    for null in NULLS:
        drawn = maker.draw(null, rng)
        assert (shape(drawn) == shape(zones)).all()
        assert (session[drawn.born] == session[zones.born]).all()
        if null == "mirror":
            assert (drawn.born == zones.born).all()
        else:
            assert (drawn.side == zones.side).all()
            assert (drawn.born != zones.born).mean() > 0.5
        if null == "shuffle":
            assert sorted(drawn.born) == sorted(zones.born)


def test_V4_short_sessions_are_taken_together() -> None:
    bars = walk_days(1200, np.random.default_rng(1), bars_a_day=300)
    assert np.bincount(sessions(bars))[1:].tolist() == [300] * 4
    assert np.bincount(blocks(sessions(bars))).tolist() == [600, 600]
    unbroken = walk_days(3000, np.random.default_rng(1), bars_a_day=1440)
    assert np.bincount(sessions(unbroken))[1:].tolist() == [1440, 1440, 120]


def test_V4_costs_come_off_every_trade() -> None:
    bars, zones = turning_market(4000, 1)
    market = Market.of(bars)
    free, paid = market.trade(zones, ZoneRules()), market.trade(zones, ZoneRules(cost_ticks=3.0))
    assert free.trades == paid.trades > 20
    assert free.expectancy_r - paid.expectancy_r == pytest.approx(3.0 / (8 + 2))  # bands of 8 ticks


def test_V4_many_tests_are_paid_for() -> None:
    rows = [LevelsResult("ES", "1m", "OB", 9, Traded(9, 0.5, 0.1), (), p) for p in (0.01, 0.04, 0.9, 0.5)]
    adjusted = with_adjusted(rows)
    assert [row.p_adjusted for row in adjusted] == pytest.approx([0.04, 0.08, 0.9, 2 / 3])
    assert [row.better for row in adjusted] == [True, False, False, False]
    assert rows[1].better  # alone it would have counted


def test_V4_nothing_to_test_is_no_result_and_nonsense_is_refused() -> None:
    bars = walk_days(500, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    none = np.zeros(0, np.int64)
    assert levels_null(bars, Zones(none, none, none, none), rng=rng) is None
    assert levels_null(bars, one(10, 10, 5), rng=rng) is None  # far below price: never touched
    with pytest.raises(DataError):
        levels_null(bars, one(500, 10, 5), rng=rng)
    with pytest.raises(DataError):
        levels_null(bars, one(5, 10, 5), rng=rng, draws=0)
    price = np.arange(5, dtype=np.int64)
    with pytest.raises(ValueError, match="at least 1"):
        zone_outcomes(*[price] * 8, 0, 1.0, 5, 5, np.zeros(5), np.zeros(5, np.int8))
