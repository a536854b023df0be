"""The census of bench/: outcomes by hand, the control as blind as it claims, and a report that ends."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bar_samples import csv_text, walk
from event_builder import EventBuilder
from tbot.analytics.bar_tables import parse_tick_size
from tbot.analytics.detect import find, params_of
from tbot_ext.detector import Detector
from tbot_ext.records import BAR_DTYPE, Flag
from tbot_ext.records import EventCode as E

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def census() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pattern_census", ROOT / "bench" / "pattern_census.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pattern_census"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def bars_of(*rows: tuple[int, int, int, int]) -> np.ndarray:
    """Bars of open, high, low, close."""
    bars = walk(len(rows))
    for bar, row in zip(bars, rows, strict=True):
        bar["open"], bar["high"], bar["low"], bar["close"] = row
    return bars


ZONE = 100  # the far edge; the testing bar closes at 105, its ATR is 10: held at 115
TESTING = (110, 110, 103, 105)
CASES = [
    ([(105, 114, 101, 112)], None),  # one tick short, no close below
    ([(105, 115, 104, 112)], True),  # exactly one ATR
    ([(105, 106, 99, 100)], None),  # trades below, closes at the edge: not beyond
    ([(105, 106, 98, 99), (99, 130, 99, 130)], False),
    ([(105, 115, 90, 95)], True),  # both on one bar: its high came before its close
    ([(105, 110, 101, 105), (105, 120, 105, 118)], True),
]


@pytest.mark.parametrize(("later", "expected"), CASES)
def test_outcome_by_hand(census: ModuleType, later: list[tuple[int, int, int, int]], expected: bool | None) -> None:
    bars = bars_of(TESTING, *later)
    assert census.outcome(census.Prices.of(bars, 1), 0, ZONE, 10.0) is expected
    mirrored = bars.copy()
    mirrored["high"], mirrored["low"] = -bars["low"], -bars["high"]
    mirrored["open"], mirrored["close"] = -bars["open"], -bars["close"]
    assert census.outcome(census.Prices.of(mirrored, -1), 0, ZONE, 10.0) is expected


def test_a_testing_bar_that_closes_through_has_failed(census: ModuleType) -> None:
    bars = bars_of((110, 110, 95, 99), (99, 150, 99, 150))
    assert census.outcome(census.Prices.of(bars, 1), 0, ZONE, 10.0) is False


def test_first_test(census: ModuleType) -> None:
    bars = bars_of((120, 121, 118, 120), (120, 120, 111, 115), (115, 116, 110, 112), (112, 112, 90, 95))
    prices = census.Prices.of(bars, 1)
    assert census.first_test(prices, 0, 100, 110, False) == 2
    assert census.first_test(prices, 0, 100, 109, False) == 3
    assert census.first_test(prices, 0, 50, 60, False) is None
    jumped = census.Prices.of(bars_of((120, 121, 118, 120), (90, 95, 90, 92)), 1)
    assert census.first_test(jumped, 0, 100, 110, False) is None
    assert census.first_test(jumped, 0, 100, 110, True) == 1


def test_outcomes_of_events_written_by_hand(census: ModuleType) -> None:
    """One block that held at its first test, one that failed, one never tested."""
    quiet = [(110, 112, 108, 110)] * 20  # ATR 4
    bars = bars_of(*quiet, (110, 110, 104, 106), (106, 111, 105, 109), (109, 109, 80, 82), (82, 83, 81, 82))
    make = EventBuilder()
    held = make.order_block(16, 1, 1, 100, 105, 50.0)
    failed = make.order_block(17, 1, 1, 90, 95, 50.0)
    make.order_block(18, 1, -1, 150, 160, 50.0)
    make.add(E.OB_TESTED, 21, parent_id=held, n=1, side=1)
    make.add(E.OB_TESTED, 23, parent_id=held, n=2, side=1)
    make.add(E.OB_TESTED, 23, parent_id=failed, n=1, side=1)
    zones, _ = census.outcomes(make.take(), bars, E.OB, 1)
    assert (zones.held, zones.failed, zones.open) == (1, 1, 0)  # the ATR is 4.14 by then: 106 to 111 is enough


def test_the_atr_is_that_of_the_detector(census: ModuleType) -> None:
    bars = walk(300, seed=8, pause_at=150)
    bars = find(bars, parse_tick_size("1"), 1, params_of(None, 1)).bars
    series, detector = census.atr_series(bars), Detector(1)
    for k in range(len(bars)):
        detector.push_bars(bars[k : k + 1])
        assert np.isnan(series[k]) if k < 13 else series[k] == pytest.approx(detector.atr, rel=1e-12)
    assert bars.dtype == BAR_DTYPE


def test_wilson(census: ModuleType) -> None:
    """50 of 100 and 0 of 10, values from the formula's author's usual tables."""
    assert census.wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert census.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert census.wilson(0, 0) == (0.0, 1.0)


def test_on_a_random_walk_zones_are_no_better_than_their_controls(census: ModuleType) -> None:
    """Nothing can be known about a walk: rates of zones and controls agree within their noise."""
    bars = walk(60_000, seed=11)
    found = find(bars, parse_tick_size("0.25"), 1, params_of(None, 1))
    zones, controls = census.outcomes(found.events, found.bars, E.FVG, 1)
    assert min(zones.n, controls.n) > 3000
    gap = zones.held / zones.n - controls.held / controls.n
    assert abs(gap) < 0.06


def test_the_report(census: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "ES_a.csv", tmp_path / "NQ_b.csv"]
    for seed, path in enumerate(files):
        path.write_text(csv_text(walk(3000, seed)))
    arguments = [*map(str, files), "--timeframes", "1m,5m"]
    assert census.main(arguments) == 0
    first = capsys.readouterr().out
    assert census.main(arguments) == 0
    assert capsys.readouterr().out == first  # seeded
    for text in ("## ES_a.csv, tick 0.25", "## All 2 files", "| 5m | OB |", "control held", "swept", "Wilson"):
        assert text in first
    assert census.main([*map(str, files), "--timeframes", "2m"]) == 2
    assert census.main([str(tmp_path / "missing.csv"), "--tick-size", "0.25"]) == 9


def test_births_that_are_records_only_are_not_counted(census: ModuleType) -> None:
    make = EventBuilder()
    first = make.add(E.BREAKER, 40, side=-1, bottom=10, top=20)
    make.add(E.BREAKER, 41, flags=int(Flag.DUPLICATE), parent_id=first, side=-1, bottom=10, top=20)
    dead = make.add(E.BREAKER_DEAD, 60, parent_id=first, side=-1)
    events = census.zones_only(make.take())
    assert events["id"].tolist() == [first, dead]
    assert census.life_rows("1m", events) == [["1m", "BREAKER", 1, "tested 0.0 %, dead 100.0 %, expired 0.0 %"]]
