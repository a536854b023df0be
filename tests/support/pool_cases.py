"""Events of liquidity pools for their tests, one side at a time, and their comparison with the slow reference."""

from typing import NamedTuple

import ref_pools
import ref_smc
from smc_cases import assert_same, bar_array, compiled_rows
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import EventCode

KINDS = ("POOL", "SWEEP", "RUN")


class Row(NamedTuple):
    t: int
    kind: str
    side: int
    origin: int
    top: int
    bottom: int
    level: int
    score: float
    parts: tuple[float, ...]
    n: int
    flags: int
    id: int
    parent: int


def shifted(bars: list[ref_smc.B], by: int) -> list[ref_smc.B]:
    return [ref_smc.B(b.o + by, b.h + by, b.l + by, b.c + by, b.v, b.after_break) for b in bars]


def side_rows(bars: list[ref_smc.B], params: Params, side: int) -> list[Row]:
    """Events of one side's pools; ids are places among them."""
    rows = [Row(*row) for row in compiled_rows(Detector(1, params).push_bars(bar_array(bars)))]
    rows = [row for row in rows if row.kind.startswith(KINDS)]
    rows = [row for row in rows if row.side == (-side if row.kind == "SWEEP" else side)]
    ids = {row.id: place for place, row in enumerate(rows, 1)}
    return [row._replace(id=ids[row.id], parent=ids.get(row.parent, row.parent)) for row in rows]


def assert_pools_same(bars: list[ref_smc.B], params: Params) -> list[str]:
    """What assert_same compares, and source, volume, delta and times, and the pools that are left."""
    kinds = assert_same(bars, params, KINDS)
    detector = Detector(1, params)
    array = bar_array(bars)
    events = detector.push_bars(array)
    atrs, vmeds = ref_smc.atr_values(bars, params.atr_n), ref_smc.volume_means(bars)
    reference = ref_pools.Pools(bars, params, atrs, vmeds)
    ended = [(x.t, ref_pools.period_values(x, bars)) for x, _ in ref_smc.finished_periods(bars, params, 1)]
    expected = reference.run(ref_smc.swings(bars, params.L, params.R), ended)
    chosen = [event for event in events if EventCode(event["kind"]).name.startswith(KINDS)]
    assert [(int(e["source"]), int(e["volume"])) for e in chosen] == [(e.source, e.volume) for e in expected]
    for event in chosen:
        first, last = int(event["origin"]), int(event["known"])
        taken = EventCode(event["kind"]).name in ("SWEEP", "RUN")
        assert int(event["origin_ns"]) == int(array["start_ns"][first])
        assert int(event["delta"]) == (int(array["delta"][first : last + 1].sum()) if taken else 0)
    left = [(pool.side, pool.level, pool.count, pool.born) for side in (1, -1) for pool in reference.live(side)]
    shown = [tuple(int(pool[name]) for name in ("side", "level", "members", "born")) for pool in detector.pools()]
    assert shown == left
    return kinds
