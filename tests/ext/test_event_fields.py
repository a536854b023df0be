"""Times, volume, delta and source of the events of sections 3 to 7, which the comparison of rows leaves out.

Pools, levels and periods have theirs compared in their own files.
"""

import numpy as np
import pytest

from smc_cases import bar_array, params_for, random_bars
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode

MINUTE = 60_000_000_000
OF_ORIGIN = ("SWING_HIGH", "SWING_LOW", "FVG", "OPENING_GAP")  # volume and delta are those of one bar
STRUCTURE = ("BOS", "CHOCH", "MSS")
BLOCKS = ("OB_", "BREAKER_", "MITIGATION_", "FVG_")  # life-cycle events: as their birth


def uneven_bars(seed: int) -> np.ndarray:
    """Bars with holes between them, and a delta that cannot be told from the volume."""
    bars = bar_array(random_bars(seed, 250, step=2 + seed % 4))
    rng = np.random.default_rng(seed)
    bars["start_ns"] += np.cumsum(rng.integers(0, 3, len(bars))) * MINUTE
    bars["delta"] = rng.integers(-50, 51, len(bars))
    return bars


def base_of_move(bars: np.ndarray, swing: int, t: int, side: int) -> int:
    """The last bar with the lowest low (bear: highest high) between a swing and its break."""
    prices = bars["low"][swing + 1 : t] if side > 0 else -bars["high"][swing + 1 : t]
    return swing + 1 + max(i for i, price in enumerate(prices) if price == prices.min())


def expected_sums(bars: np.ndarray, events: np.ndarray) -> list[tuple[int, int, int] | None]:
    """(volume, delta, source) of each event, None where another file looks after it."""
    sums = list(zip(bars["volume"].tolist(), bars["delta"].tolist(), strict=True))
    found: dict[int, tuple[int, int, int]] = {}
    parents = {int(e["id"]): EventCode(e["kind"]).name for e in events}
    swing = {1: 0, -1: 0}
    rows: list[tuple[int, int, int] | None] = []
    for e in events:
        kind, parent, origin, side = EventCode(e["kind"]).name, int(e["parent_id"]), int(e["origin"]), int(e["side"])
        row: tuple[int, int, int] | None = None
        if kind in OF_ORIGIN:
            row = (*sums[origin], 0)
        elif kind in STRUCTURE:
            row = (0, 0, 0)
            if kind != "MSS":
                swing[side] = origin
        elif kind == "OB":
            span = sums[origin : base_of_move(bars, swing[side], int(e["known"]), side) + 1]
            row = (sum(v for v, _ in span), sum(d for _, d in span), 0)
        elif kind in ("BREAKER", "MITIGATION_BLOCK"):
            row = found[parent] if parents.get(parent) == "OB" else (*sums[origin], 0)
        elif kind.startswith(BLOCKS):
            row = found[parent]
        if row is not None:
            found[int(e["id"])] = row
        rows.append(row)
    return rows


@pytest.mark.parametrize("seed", range(40))
def test_times_volume_delta_and_source(seed: int) -> None:
    bars = uneven_bars(seed)
    events = Detector(1, params_for(seed), contract_id=7).push_bars(bars)
    assert len(events) > 50
    assert (events["contract_id"] == 7).all()
    assert (events["timeframe_min"] == 1).all()
    assert np.array_equal(events["known_ns"], bars["start_ns"][events["known"]] + MINUTE)
    assert np.array_equal(events["origin_ns"], bars["start_ns"][events["origin"]])
    expected = expected_sums(bars, events)
    for e, row in zip(events, expected, strict=True):
        assert row is None or (int(e["volume"]), int(e["delta"]), int(e["source"])) == row, e


def test_a_saved_state_holds_the_same_bytes_however_the_bars_came() -> None:
    """Runs wait in it; what lay on the stack when they were written down must not."""
    bars = bar_array(random_bars(7, 400, step=5))
    bars["trades"] = 0
    params = Params(L=1, R=1, sweep_reclaim=20)
    at_once, singly = Detector(1, params), Detector(1, params)
    assert (at_once.push_bars(bars)["kind"] == EventCode.RUN).sum() > 50
    for bar in bars:
        names = ("start_ns", "open", "high", "low", "close", "volume", "delta", "flags")
        singly.push_bar(*(int(bar[name]) for name in names))
    assert singly.state() == at_once.state()
