"""V12: a planted regime is found, noise is not (more often than allowed), and labels are those of the calendar."""

import math

import numpy as np
import pytest

from tbot.errors import DataError
from tbot.validation.bootstrap import stationary_indices
from tbot.validation.regimes import bands, by_regime, flags, hours, terciles, weekdays
from trip_builder import clustered

HOURS = np.array([f"{hour:02d}" for hour in range(8)])


def labelled(seed: int, days: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values, day, labels): one trip an hour, dependent within days, without any edge."""
    rng = np.random.default_rng(seed)
    values, day = clustered(rng, days, 8, common=0.7)
    return values, day, np.tile(HOURS, days)


def test_V12_a_planted_hour_stands_out_and_no_other() -> None:
    values, day, hour = labelled(1)
    values[hour == "03"] += 1.5
    told = by_regime(values, day, {"hour": hour}, np.random.default_rng(1), draws=1000)
    assert [group.label for group in told.standing_out] == ["03"]
    group = told.groups[3]
    assert (group.dimension, group.label, group.n, group.days) == ("hour", "03", 60, 60)
    assert group.expectancy.estimate == pytest.approx(values[hour == "03"].mean())
    assert group.expectancy.low > 0.5
    assert (group.p_value, told.q, told.rule, told.against) == (pytest.approx(1 / 1001), 0.05, "by", "zero")
    rest = by_regime(values, day, {"hour": hour}, np.random.default_rng(1), against="rest", draws=1000)
    assert rest.groups[3].stands_out
    assert sum(group.stands_out for group in rest.groups[:3]) < 3


def test_V12_against_zero_all_groups_of_a_losing_run_lose() -> None:
    values, day, hour = labelled(2)
    told = by_regime(values - 2, day, {"hour": hour}, np.random.default_rng(1), draws=500)
    assert len(told.standing_out) == 8
    assert all(group.expectancy.high < 0 for group in told.groups)
    told = by_regime(values - 2, day, {"hour": hour}, np.random.default_rng(1), against="rest", draws=500)
    assert not told.standing_out, "the hours do not differ from each other"


@pytest.mark.parametrize("against", ["zero", "rest"])
def test_V12_single_groups_are_tested_at_their_nominal_rate(against: str) -> None:
    p = []
    for seed in range(120):
        values, day, hour = labelled(seed, 30)
        told = by_regime(values, day, {"hour": hour}, np.random.default_rng(seed), against=against, draws=199,
                         mean_block=1.0)  # fmt: skip
        p.append(told.groups[0].p_value)
    assert np.mean(np.array(p, float) <= 0.1) == pytest.approx(0.1, abs=0.082)
    assert np.mean(p) == pytest.approx(0.5, abs=0.09)


@pytest.mark.parametrize("against", ["zero", "rest"])
def test_V12_the_test_is_that_of_a_slow_reading(against: str) -> None:
    """Days with unequal numbers of trips: each resample's difference over its own standard error, trip by trip."""
    rng = np.random.default_rng(6)
    day = np.sort(rng.integers(0, 12, 80))
    values, label = rng.standard_normal(80) + 0.3, np.where(rng.random(80) < 0.5, "a", "b")
    told = by_regime(values, day, {"x": label}, np.random.default_rng(3), against=against, draws=60, mean_block=1.0)
    days = np.unique(day)

    def studied(drawn: np.ndarray) -> tuple[float, float]:
        mean, parts = 0.0, np.zeros(len(drawn))
        for name, sign in (("a", 1), ("b", -1)) if against == "rest" else (("a", 1),):
            groups = [values[(day == days[place]) & (label == name)] for place in drawn]
            joined = np.concatenate(groups)
            mean += sign * joined.mean()
            parts += sign * np.array([(group - joined.mean()).sum() for group in groups]) / len(joined)
        return mean, float(np.sqrt((parts**2).sum()))

    mean, error = studied(np.arange(len(days)))
    draws = [studied(row) for row in stationary_indices(len(days), 1.0, 60, np.random.default_rng(3))]
    extreme = sum(abs(one - mean) / its >= abs(mean) / error for one, its in draws)
    assert told.groups[0].p_value == pytest.approx((extreme + 1) / 61)
    assert 0 < extreme < 60


def test_V12_noise_over_many_groups_has_a_discovery_no_more_often_than_q() -> None:
    found = 0
    for seed in range(80):
        values, day, hour = labelled(seed, 40)
        dimensions = {"hour": hour, "weekday": weekdays(day)}
        told = by_regime(
            values, day, dimensions, np.random.default_rng(seed), q=0.1, rule="bh", draws=499, mean_block=1.0
        )
        assert len(told.groups) == 15
        found += bool(told.standing_out)
    assert found / 80 <= 0.2


def test_V12_few_days_are_shown_but_not_tested() -> None:
    values, day, _ = labelled(3, 20)
    rare = np.where(day < 3, "rare", "often")
    told = by_regime(values, day, {"kind": rare}, np.random.default_rng(1), draws=200)
    often, group = told.groups
    assert (group.label, group.n, group.days, group.p_value, group.adjusted_p) == ("rare", 24, 3, None, None)
    assert group.expectancy.low == -math.inf
    assert often.p_value is not None
    told = by_regime(values, day, {"kind": rare}, np.random.default_rng(1), against="rest", draws=200)
    assert [one.p_value for one in told.groups] == [None, None]


def test_V12_unlabelled_trips_are_in_no_group() -> None:
    values, day, hour = labelled(4, 20)
    told = by_regime(values, day, {"hour": np.where(hour == "00", "", hour)}, np.random.default_rng(1), draws=100)
    assert [group.label for group in told.groups] == HOURS[1:].tolist()


def test_V12_nothing_traded_and_results_without_spread() -> None:
    none = np.zeros(0)
    told = by_regime(none, none.astype(int), {"hour": none.astype(str)}, np.random.default_rng(1))
    assert told.groups == ()
    flat = by_regime(np.full(20, 7.0), np.arange(20), {"all": np.full(20, "x")}, np.random.default_rng(1), draws=50)
    assert (flat.groups[0].p_value, flat.groups[0].expectancy.low) == (None, 7)
    with pytest.raises(DataError, match="hour"):
        by_regime(np.ones(3), np.arange(3), {"hour": np.array(["a"])}, np.random.default_rng(1))


# ------------------------------------------------------------------------------------------------ labels
def test_V12_hours_follow_the_clock_of_the_zone() -> None:
    """15:30 UTC is 09:30 in Chicago in winter and 10:30 in summer; Helsinki is 17:30 and 18:30."""
    winter, summer = 1_768_491_000, 1_784_129_400
    at = np.array([winter, summer]) * 1_000_000_000
    assert hours(at).tolist() == ["09", "10"]
    assert hours(at, "Europe/Helsinki").tolist() == ["17", "18"]


def test_V12_weekdays_of_trading_days() -> None:
    assert weekdays(np.array([0, 4, 20_000])).tolist() == ["Thu", "Mon", "Fri"]


def test_V12_terciles_bands_and_flags() -> None:
    assert terciles(np.array([1.0, 9, 5, 2, 8, 4, np.nan])).tolist() == [
        "low",
        "high",
        "middle",
        "low",
        "high",
        "middle",
        "",
    ]
    assert terciles(np.full(3, 2.0)).tolist() == ["low"] * 3
    assert terciles(np.array([np.nan])).tolist() == [""]
    assert bands(np.array([0, 1, 2.9, 3, 99, np.nan]), (1, 3)).tolist() == ["<1", "1..3", "1..3", ">=3", ">=3", ""]
    assert flags(np.array([True, False]), "news", "quiet").tolist() == ["news", "quiet"]
