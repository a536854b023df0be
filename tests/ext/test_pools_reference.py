"""Liquidity pools against the slow reference of smc.md section 9, and the properties of section 16."""

import collections
import dataclasses
import random

import numpy as np
import pytest

import ref_smc
from pool_cases import KINDS, Row, assert_pools_same, shifted, side_rows
from shared_data import shared
from smc_cases import bar_array, compiled_rows, mirrored, params_for, plain_bars, random_bars, read_bars
from tbot_ext.bars import mark_session_breaks
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import BAR_DTYPE


def walk(seed: int) -> list[ref_smc.B]:
    """With spikes, which reach several pools at once."""
    bars = random_bars(seed + 5000, 220, step=1 + seed % 4)
    for t in range(0, len(bars), 5 + seed % 7):
        reach = seed * t % 17
        bars[t] = dataclasses.replace(bars[t], h=bars[t].h + reach, l=bars[t].l - (reach if t % 3 else 0))
        if t % 2:
            bars[t] = dataclasses.replace(bars[t], c=bars[t].h)
    return bars


@pytest.mark.parametrize("seed", range(12))
def test_pools_of_periods_equal_the_reference_when_bars_are_hours_apart(seed: int) -> None:
    """Periods then end at bars that are already beyond their high or low: such an edge makes no pool."""
    rng = random.Random(seed)
    at, bars = ref_smc.START, []
    for bar in random_bars(seed, 300, step=4):
        at += 60_000_000_000 * rng.choice((1, 1, 7, 60, 400))
        bars.append(dataclasses.replace(bar, start_ns=at))
    assert_pools_same(bars, params_for(seed).replace(L=1, R=1, atr_n=1))


@pytest.mark.parametrize("seed", range(150))
def test_pools_equal_the_reference(seed: int) -> None:
    assert_pools_same(walk(seed), params_for(seed + 5000))


def test_the_random_bars_reach_every_kind_and_case() -> None:
    """Guards the test above: a case that never occurs would be compared with nothing."""
    seen: collections.Counter[str] = collections.Counter()
    for seed in range(150):
        rows = [
            Row(*row)
            for row in compiled_rows(Detector(1, params_for(seed + 5000)).push_bars(bar_array(walk(seed))))
            if row[1].startswith(KINDS)
        ]
        seen.update(row.kind for row in rows)
        seen["re-formed"] += sum(row.kind == "POOL" and row.parent >= 0 for row in rows)
        seen["delayed"] += sum(row.kind == "SWEEP" and row.origin < row.t for row in rows)
        seen["cluster"] += sum(row.kind in ("SWEEP", "RUN") and row.n > 1 for row in rows)
        seen["delayed cluster"] += sum(row.kind == "SWEEP" and row.origin < row.t and row.n > 1 for row in rows)
    assert len(seen) == 9
    assert min(seen.values()) >= 20, seen


def parquet_bars(name: str) -> np.ndarray:
    """1m bars of a parquet file (ts, open, high, low, close, volume), prices in ticks of 0.25."""
    path = shared(f"market/bars_1m/{name}")
    table = pytest.importorskip("pyarrow.parquet").read_table(path)
    bars = np.zeros(table.num_rows, BAR_DTYPE)
    bars["start_ns"] = table["ts"].to_numpy().astype("M8[ns]").astype(np.int64)
    for column in ("open", "high", "low", "close"):
        bars[column] = np.rint(table[column].to_numpy() / 0.25).astype(np.int64)
    bars["volume"], bars["timeframe_min"] = table["volume"].to_numpy(), 1
    return bars


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "first"),
    [("ES", 0), ("ES", 2100), ("NQ_1m_tsx_20260120_20260318.parquet", 20_000)],
)
def test_pools_equal_the_reference_on_real_bars(name: str, first: int) -> None:
    bars = read_bars(shared("smc/ES_201312_1m_20131006_09.csv"), 0.25) if name == "ES" else parquet_bars(name)
    kinds = assert_pools_same(plain_bars(mark_session_breaks(bars)[first : first + 2000]), Params())
    assert min(kinds.count("SWEEP"), kinds.count("RUN"), kinds.count("POOL_JOINED")) > 5


@pytest.mark.parametrize("seed", range(20))
def test_constants_change_nothing_and_mirrors_swap_the_sides(seed: int) -> None:
    bars, params = walk(seed), params_for(seed)
    for side in (1, -1):
        rows = side_rows(bars, params, side)
        moved = side_rows(shifted(bars, -777), params, side)
        assert [
            row._replace(top=row.top + 777, bottom=row.bottom + 777, level=row.level + 777) for row in moved
        ] == rows
        turned = side_rows(mirrored(bars), params, -side)
        assert [
            row._replace(side=-row.side, top=-row.bottom, bottom=-row.top, level=-row.level) for row in turned
        ] == rows


@pytest.mark.parametrize("seed", range(10))
def test_each_pool_lives_along_the_drawn_arrows_and_knows_no_future(seed: int) -> None:
    bars, params = walk(seed), params_for(seed)
    rows = [row for side in (1, -1) for row in side_rows(bars, params, side)]
    for cut in range(60, len(bars), 40):
        for side in (1, -1):
            known = [row for row in side_rows(bars, params, side) if row.t < cut]
            assert side_rows(bars[:cut], params, side) == known
            assert [row for row in side_rows(bars[:cut] + random_bars(99, 50), params, side) if row.t < cut] == known
    assert all(row.origin <= row.t and row.bottom <= row.top for row in rows)
    assert all(0.0 <= row.score <= 1.0 for row in rows if row.kind == "SWEEP")
    for side in (1, -1):
        rows = side_rows(bars, params, side)
        for birth in (row for row in rows if row.kind == "POOL"):
            life = [row.kind for row in rows if row.parent == birth.id and row.kind != "POOL"]
            while life and life[0] == "POOL_JOINED":
                life.pop(0)
            assert life in ([], ["RUN"], ["SWEEP"], ["RUN", "SWEEP"], ["POOL_EXPIRED"])


@pytest.mark.parametrize("seed", range(12))
def test_a_shift_moves_pools_runs_and_swept_levels(seed: int) -> None:
    bars, params = random_bars(seed, 300), params_for(seed).replace(round_step=0)
    array, moved = bar_array(bars), bar_array(shifted(bars, 1000))
    for cut in (37, 151, 152, 153, 240):
        rolled, straight = Detector(1, params), Detector(1, params)
        rolled.push_bars(array[:cut])
        rolled.roll_shift(1000)
        straight.push_bars(moved[:cut])
        assert rolled.pools().tobytes() == straight.pools().tobytes()
        assert rolled.push_bars(moved[cut:]).tobytes() == straight.push_bars(moved[cut:]).tobytes()
