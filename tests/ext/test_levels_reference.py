"""Support and resistance from swings against the slow reference, in a mirror, after shifts, and over many bars."""

import collections

import numpy as np
import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ref_smc
from level_cases import compare, events_of
from shared_data import shared
from smc_cases import MINUTE, START, bar_array, mirrored, params_for, plain_bars, random_bars, read_bars
from tbot_ext.bars import mark_session_breaks
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import BAR_DTYPE, EventCode, Source

FIELDS = ("known", "kind", "side", "origin", "top", "bottom", "level", "score", "n", "source", "volume")


@pytest.mark.parametrize("seed", range(150))
def test_equals_the_reference(seed: int) -> None:
    compare(random_bars(seed + 500, 250, step=2 + seed % 4), params_for(seed))


def test_the_random_bars_reach_every_kind_of_event_of_swing_levels() -> None:
    seen: collections.Counter[str] = collections.Counter()
    for seed in range(150):
        events = events_of(random_bars(seed + 500, 250, step=2 + seed % 4), params_for(seed))
        seen.update(EventCode(kind).name for kind in events[events["source"] == Source.SWING]["kind"].tolist())
    assert min(seen[code.name] for code in EventCode if code.name.startswith("LEVEL")) > 50


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_reference_with_full_lists_and_wide_bands(seed: int) -> None:
    """Longer walks with many levels that lie close and whose tolerances differ widely."""
    params = Params(
        L=1, R=1 + seed % 2, atr_n=1, sr_tol_atr=0.5 * (seed % 4), sr_tol_ticks=seed % 3, max_zones=(12, 64)[seed % 2]
    )
    assert len(compare(random_bars(seed + 900, 500, step=(2, 4, 8)[seed % 3]), params)) > 100


def nasdaq_bars() -> np.ndarray:
    table = parquet.read_table(shared("market/bars_1m/NQ_1m_tsx_20260120_20260318.parquet")).slice(5000, 2000)
    bars = np.zeros(len(table), BAR_DTYPE)
    bars["start_ns"] = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    bars["timeframe_min"] = 1
    for name in ("open", "high", "low", "close"):
        bars[name] = np.rint(table[name].to_numpy() / 0.25)
    bars["volume"] = table["volume"].to_numpy()
    return bars


@pytest.mark.shared_data
def test_equals_the_reference_on_real_nasdaq_bars() -> None:
    bars = plain_bars(mark_session_breaks(nasdaq_bars()))
    kinds = collections.Counter(compare(bars, Params(round_step=400)))
    assert min(kinds[name] for name in ("LEVEL", "LEVEL_JOINED", "LEVEL_TOUCHED", "LEVEL_BROKEN")) > 50


@pytest.mark.shared_data
@pytest.mark.parametrize("first", [0, 2100])
def test_equals_the_reference_on_real_bars(first: int) -> None:
    bars = mark_session_breaks(read_bars(shared("smc/ES_201312_1m_20131006_09.csv"), 0.25))[first : first + 2000]
    assert len(compare(plain_bars(bars), Params(round_step=20))) > 300


# ---------------------------------------------------------------- properties


def rows_of(events: np.ndarray, sign: int = 1) -> list[tuple[object, ...]]:
    """What events say, apart from their numbers, seen in a mirror for sign -1; order within a bar does not matter."""
    if sign < 0:
        events = events.copy()
        events["side"] *= -1
        events["level"] *= -1
        events["top"], events["bottom"] = -events["bottom"].copy(), -events["top"].copy()
    return sorted((*map(float, e.tolist()[:11]), *e["parts"].tolist()) for e in events[[*FIELDS, "parts"]])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[ref_smc.B], Params]:
    seed = draw(st.integers(0, 10**6))
    bars = random_bars(seed, draw(st.integers(20, 250)), step=draw(st.integers(1, 8)))
    return bars, params_for(draw(st.integers(0, 10**6)))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_mirrored_prices_give_mirrored_levels(case: tuple[list[ref_smc.B], Params]) -> None:
    bars, params = case
    assert rows_of(events_of(mirrored(bars), params), -1) == rows_of(events_of(bars, params))


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(-(10**9), 10**9), st.integers(0, 250))
def test_shifted_prices_give_shifted_levels_in_a_roll_as_well(
    case: tuple[list[ref_smc.B], Params], spread: int, cut: int
) -> None:
    bars, params = case[0], case[1].replace(round_step=0)
    ours = Detector(1, params).push_bars(bar_array(bars))
    shifted = bar_array(bars)
    for name in ("open", "high", "low", "close"):
        shifted[name][cut:] += spread
    rolled = Detector(1, params)
    parts = [rolled.push_bars(shifted[:cut])]
    rolled.roll_shift(spread)
    parts.append(rolled.push_bars(shifted[cut:]))
    parts[1]["level"] -= np.where(parts[1]["level"] == np.iinfo(np.int64).min, 0, spread)
    for name in ("top", "bottom"):
        parts[1][name] -= spread
    assert np.concatenate(parts).tobytes() == ours.tobytes()


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 250), st.integers(0, 10**6))
def test_later_bars_change_nothing(case: tuple[list[ref_smc.B], Params], cut: int, noise: int) -> None:
    bars, params = case
    cut = min(cut, len(bars))
    whole = events_of(bars, params)
    other = [*bars[:cut], *random_bars(noise, 60)]
    for events in (events_of(bars[:cut], params) if cut else whole[:0], events_of(other, params)):
        assert events[events["known"] < cut].tobytes() == whole[whole["known"] < cut].tobytes()


def test_all_state_is_bounded_over_many_bars() -> None:
    rng = np.random.default_rng(5)
    n = 100_000
    bars = np.zeros(n, BAR_DTYPE)
    bars["start_ns"], bars["timeframe_min"] = START + np.arange(n) * MINUTE, 1
    bars["open"] = np.cumsum(rng.integers(-4, 5, n))
    bars["close"] = bars["open"] + rng.integers(-4, 5, n)
    bars["high"] = np.maximum(bars["open"], bars["close"]) + rng.integers(0, 3, n)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - rng.integers(0, 3, n)
    bars["volume"] = rng.integers(0, 100, n)
    detector = Detector(1, Params(L=1, R=1, max_zones=16, round_step=50))
    events = detector.push_bars(bars)
    levels = detector.levels()
    assert 0 < len(levels[levels["source"] == Source.SWING]) <= 16
    assert len(levels) <= 16 + 18 + 2  # with the values of periods and the round numbers
    assert (np.diff(levels["level"]) >= 0).all()
    ours = events[(events["kind"] >= EventCode.LEVEL) & (events["kind"] <= EventCode.LEVEL_EXPIRED)]
    assert (ours["bottom"] <= ours["level"]).all()
    assert (ours["level"] <= ours["top"]).all()
    ends = ours[np.isin(ours["kind"], [EventCode.LEVEL_DEAD, EventCode.LEVEL_EXPIRED])]["parent_id"]
    births = ours[ours["kind"] == EventCode.LEVEL]["id"]
    assert len(set(ends.tolist())) == len(ends)
    assert set(births.tolist()) - set(ends.tolist()) == set(levels["id"].tolist())
