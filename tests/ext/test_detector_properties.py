"""The properties of smc.md section 16 on every sample file and on random bars: one detector, all patterns.

Section 16.4 (serialise and restore), 16.6 (brute force) and 16.7 (parity with the library) have files of their own; so
has 16.8 (candles).
"""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sample_bars import EIGHT_WEEKS, SAMPLES, sample
from smc_cases import bar_array, params_for, random_bars
from smc_properties import canonical, check_invariants, raw, same
from tbot_ext.bars import mark_session_breaks
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import CHECKED_BUILD, EVENT_DTYPE, TICK_DTYPE, EventCode, Kind

CUTS = 50
LAWFUL = 20_000  # bars of a file held to the laws
LONG = 30_000  # bars: such a file is cut in one run, and its last half as many alone are given noise
# The checked build is several times slower and looks for another kind of fault: four files are enough for it.
FILES = [name for name in SAMPLES if not CHECKED_BUILD or name in ("ES-csv", "GC-csv", "EURUSD", "NQ-2026")]
shared_sample = [pytest.mark.shared_data, pytest.mark.parametrize("name", FILES)]


def on_samples(test: Any) -> Any:
    for mark in shared_sample:
        test = mark(test)
    return test


def timeframe_of(name: str) -> int:
    return SAMPLES[name][2]


def events_of(bars: np.ndarray, params: Params | None = None) -> np.ndarray:
    return Detector(int(bars["timeframe_min"][0]), params).push_bars(bars)


def noise_after(bars: np.ndarray, cut: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """The bars before `cut` and then bars that have nothing to do with them."""
    end = min(len(bars), cut + length)
    changed = bars[:end].copy()
    span = changed[cut:]
    centre = rng.integers(-2, 3) * 40 + bars["close"][cut - 1]
    prices = np.sort(centre + np.cumsum(rng.integers(-30, 31, (len(span), 4)), axis=0), axis=1)
    turned = rng.random(len(span)) < 0.5
    span["low"], span["high"] = prices[:, 0], prices[:, 3]
    span["open"] = np.where(turned, prices[:, 1], prices[:, 2])
    span["close"] = np.where(turned, prices[:, 2], prices[:, 1])
    span["volume"] = rng.integers(0, 500, len(span))
    return changed


def known_before(events: np.ndarray, cut: int) -> np.ndarray:
    return events[: np.searchsorted(events["known"], cut)]


# ---------------------------------------------------------------- 1 and 2: causality


@on_samples
def test_events_of_a_prefix_are_a_prefix_of_the_events(name: str) -> None:
    """16.1: at 50 cuts a file the shorter run has said exactly what the longer one had said by then."""
    bars = sample(name)
    whole = events_of(bars)
    cuts = np.random.default_rng(1).integers(1, len(bars), CUTS)
    if len(bars) > LONG:
        assert_said_at_cuts(bars, whole, cuts)
        return
    for cut in cuts:
        part = events_of(bars[:cut])
        assert same(part, known_before(whole, cut)), f"cut at bar {cut}"


def assert_said_at_cuts(bars: np.ndarray, whole: np.ndarray, cuts: np.ndarray) -> None:
    """Prefix invariance in one run: a detector that was never given more than bars[:cut] has said the same."""
    detector = Detector(int(bars["timeframe_min"][0]))
    said = fed = 0
    for cut in sorted(cuts.tolist()):
        part = detector.push_bars(bars[fed:cut])
        assert same(part, known_before(whole, cut)[said:]), f"cut at bar {cut}"
        fed, said = cut, said + len(part)


@on_samples
def test_no_event_depends_on_what_comes_later(name: str) -> None:
    """16.2: after each of 50 cuts the bars are replaced by noise; what was said up to the cut stays."""
    bars = sample(name)[-LONG // 2 :]
    whole = events_of(bars)
    rng = np.random.default_rng(2)
    changed_something = 0
    for cut in rng.integers(1, len(bars), CUTS):
        other = events_of(noise_after(bars, cut, 300, rng))
        assert same(known_before(other, cut), known_before(whole, cut)), f"cut at bar {cut}"
        later = known_before(whole, cut + 300)[len(known_before(whole, cut)) :]
        changed_something += raw(other[len(known_before(other, cut)) :]) != raw(later)
    assert changed_something > CUTS * 0.9  # the noise does something


@given(st.integers(0, 10**6), st.integers(10, 220), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_causality_on_random_bars_and_every_mode(seed: int, cut: int, more: int) -> None:
    params = params_for(seed)
    bars = bar_array(random_bars(seed, cut + more, step=2 + seed % 4))
    whole = events_of(bars, params)
    assert raw(events_of(bars[:cut], params)) == raw(known_before(whole, cut))
    other = noise_after(bars, cut, more, np.random.default_rng(seed))
    assert raw(known_before(events_of(other, params), cut)) == raw(known_before(whole, cut))


# ---------------------------------------------------------------- 3: scale, shift, mirror


def shifted(bars: np.ndarray, constant: int) -> np.ndarray:
    moved = bars.copy()
    for field in ("open", "high", "low", "close"):
        moved[field] += constant
    return moved


def mirrored(bars: np.ndarray) -> np.ndarray:
    turned = bars.copy()
    turned["open"], turned["close"] = -bars["open"], -bars["close"]
    turned["high"], turned["low"] = -bars["low"], -bars["high"]
    turned["delta"] = -bars["delta"]
    return turned


@on_samples
def test_a_constant_added_to_all_prices_changes_nothing_else(name: str) -> None:
    bars = sample(name)[:2500]
    expected = canonical(events_of(bars))
    for constant in (-777_777, 10**9 + 7):
        assert canonical(events_of(shifted(bars, constant)), shift=constant) == expected


@on_samples
def test_mirrored_prices_swap_bull_and_bear_exactly(name: str) -> None:
    bars = sample(name)[:4000]
    assert canonical(events_of(mirrored(bars)), mirror=True) == canonical(events_of(bars))


@given(st.integers(0, 10**6), st.integers(-1000, 1000))
@settings(max_examples=60, deadline=None)
def test_shift_and_mirror_on_random_bars_and_every_mode(seed: int, constant: int) -> None:
    """Shift leaves out round numbers. Wick mode with a doji breaks down before up, so mirror is for the close there."""
    params = params_for(seed)
    bars = bar_array(random_bars(seed, 200, step=2 + seed % 4))
    whole = canonical(events_of(bars, params.replace(round_step=0)))
    assert canonical(events_of(shifted(bars, constant), params.replace(round_step=0)), shift=constant) == whole
    params = params.replace(break_mode="close")
    assert canonical(events_of(mirrored(bars), params), mirror=True) == canonical(events_of(bars, params))


# ---------------------------------------------------------------- 4: warm-up and live


@on_samples
def test_bars_one_by_one_or_in_parts_give_the_same(name: str) -> None:
    bars = sample(name)[:6000]
    whole = events_of(bars)
    detector = Detector(timeframe_of(name))
    cuts = np.sort(np.random.default_rng(4).integers(0, len(bars), 40))
    parts = [detector.push_bars(part) for part in np.split(bars[:5800], cuts[cuts < 5800])]
    for bar in bars[5800:]:
        names = ("start_ns", "open", "high", "low", "close", "volume", "delta", "flags")
        parts.append(detector.push_bar(*(int(bar[field]) for field in names)))
    assert raw(np.concatenate(parts)) == raw(whole)


# ---------------------------------------------------------------- 5: laws of every event


@on_samples
def test_laws_of_events_on_real_bars(name: str) -> None:
    seen = check_invariants(events_of(sample(name)[:LAWFUL]))
    assert seen["OB"] > 20
    assert seen["FVG"] > 20


@pytest.mark.parametrize("seed", range(80))
def test_laws_of_events_on_random_bars(seed: int) -> None:
    check_invariants(events_of(bar_array(random_bars(seed, 400, step=2 + seed % 4)), params_for(seed)))


@pytest.mark.shared_data
def test_eight_weeks_show_every_kind_of_event() -> None:
    """Guards the laws above: a kind that never occurs would be held to nothing."""
    seen: Counter[str] = Counter()
    for name in EIGHT_WEEKS:
        for minutes, events in by_timeframe(sample(name)).items():
            assert (events["timeframe_min"] == minutes).all()
            seen += check_kinds(events)
    missing = {code.name for code in EventCode} - set(seen) - {"NONE"}
    assert missing == set()


def check_kinds(events: np.ndarray) -> Counter[str]:
    kinds, counts = np.unique(events["kind"], return_counts=True)
    return Counter({EventCode(int(k)).name: int(n) for k, n in zip(kinds, counts, strict=True)})


def by_timeframe(bars: np.ndarray) -> dict[int, np.ndarray]:
    """Events of all five timeframes as the pipeline gives them from 1m bars."""
    tick = np.zeros(1, TICK_DTYPE)
    tick["kind"], tick["exch_ns"], tick["size"] = Kind.HISTORY, 2**62, len(bars)
    pipeline = ContractPipeline(0, history=bars)
    pipeline.feed(tick)
    parts = [pipeline.events.copy()]
    while pipeline.pending:
        pipeline.feed(tick, 1)
        parts.append(pipeline.events.copy())
    events = np.concatenate(parts)
    return {minutes: events[events["timeframe_min"] == minutes] for minutes in (1, 5, 15, 30, 60)}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", EIGHT_WEEKS)
def test_the_pipeline_says_what_single_detectors_say(name: str) -> None:
    """All five timeframes from 1m bars: each detector of the pipeline equals one fed with that timeframe's bars."""
    bars = sample(name)
    for minutes, events in by_timeframe(bars).items():
        held = events[events["kind"] == EventCode.BAR]
        again = np.zeros(len(held), bars.dtype)
        again["start_ns"], again["timeframe_min"] = held["known_ns"] - minutes * 60_000_000_000, minutes
        again["high"], again["low"], again["close"] = held["top"], held["bottom"], held["level"]
        assert len(again)
        # opens are not in BAR events: aggregate them from the minutes
        first = np.searchsorted(bars["start_ns"], again["start_ns"])
        again["open"], again["volume"], again["flags"] = bars["open"][first], held["volume"], held["flags"]
        single = Detector(minutes, bar_events=True).push_bars(again)
        assert len(single) == len(events)
        for field in EVENT_DTYPE.names or ():
            if field not in ("id", "parent_id"):
                assert np.array_equal(single[field], events[field]), field


def test_marking_breaks_twice_changes_nothing() -> None:
    bars = bar_array(random_bars(3, 50))
    assert np.array_equal(mark_session_breaks(mark_session_breaks(bars)), mark_session_breaks(bars))
