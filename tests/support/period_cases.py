"""Bars with real times for period tests, and the comparison of compiled period events with the reference."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from ref_periods import PERIOD_KINDS, periods
from shared_data import shared
from tbot.domain.trading_hours import CHICAGO
from tbot_ext.bars import BarBuilder
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, EventCode, Kind

MINUTE = 60_000_000_000
ALL = {*PERIOD_KINDS[:-1], "PERIOD_HIGH_BROKEN", "PERIOD_LOW_BROKEN"}
CODES = {code.value: code.name for code in EventCode if code.name in ALL}


def bars_at(zone: dt.tzinfo, *rows: tuple[Any, ...], minutes: int = 1) -> np.ndarray:
    """Bars from ("YYYY-MM-DD HH:MM" in the zone, open, high, low, close), volume 1."""
    made = []
    for clock, *prices in rows:
        start = int(dt.datetime.fromisoformat(clock).replace(tzinfo=zone).timestamp()) * 1_000_000_000
        made.append((start, *prices, 1, 0, 1, 0, minutes))
    return np.array(made, BAR_DTYPE)


def period_events(bars: np.ndarray, params: Params | None = None) -> list[tuple[Any, ...]]:
    """(known, kind, side, origin, top, bottom, level, volume, delta, n, source, place, place of the parent).

    Places count period events alone, so they can be compared.
    """
    events = Detector(int(bars["timeframe_min"][0]), params or Params()).push_bars(bars)
    events = events[np.isin(events["kind"], list(CODES))]
    places = {-1: -1} | {int(e["id"]): place for place, e in enumerate(events)}
    names = ("side", "origin", "top", "bottom", "level", "volume", "delta", "n", "source")
    return [
        (int(e["known"]), CODES[int(e["kind"])], *(int(e[name]) for name in names), place, places[int(e["parent_id"])])
        for place, e in enumerate(events)
    ]


def shown(bars: np.ndarray, kind: str) -> np.ndarray:
    """Rows of `periods()` of one kind after these bars, the finished before the running one."""
    detector = Detector(int(bars["timeframe_min"][0]), Params())
    detector.push_bars(bars)
    rows = detector.periods()
    chosen: np.ndarray = rows[rows["kind"] == EventCode[kind]]
    return chosen


def reference_events(bars: np.ndarray, params: Params, minutes: int) -> tuple[list[tuple[Any, ...]], list[Any]]:
    """The same rows from the reference, and what it shows at the end."""
    rows = [tuple(int(bar[name]) for name in ("high", "low", "close", "volume", "delta")) for bar in bars]
    finished, last = periods(rows, [int(start) for start in bars["start_ns"]], params.sessions, minutes)
    found = []
    for number, period in enumerate(finished):
        for t, step, kind, side, origin, top, bottom, level, n in period.events():
            sums, source = ((0, 0), 0) if side else ((period.volume, period.delta), 0)
            if side:
                source = 10 * EventCode[period.kind] + (1 if side > 0 else 2)
            found.append(((t, step), (t, kind, side, origin, top, bottom, level, *sums, n, source), number))
    found.sort(key=lambda item: item[0])
    births = {number: place for place, (_, row, number) in enumerate(found) if row[2] == 0}
    events = [(*row, place, births[number] if row[2] else -1) for place, (_, row, number) in enumerate(found)]
    return events, last


def assert_as_reference(bars: np.ndarray, params: Params, minutes: int) -> list[str]:
    """Compare all events, and what `periods()` shows at the end. Returns the kinds seen."""
    expected, last = reference_events(bars, params, minutes)
    got = period_events(bars, params)
    for ours, theirs in zip(got, expected, strict=False):
        assert ours == theirs, f"{ours} is not {theirs}"
    assert len(got) == len(expected)
    detector = Detector(minutes, params)
    detector.push_bars(bars)
    names = (
        "kind", "start_ns", "end_ns", "high", "low", "close", "bars", "state", "complete", "high_broken", "low_broken",
        "timeframe_min",
    )  # fmt: skip
    assert [tuple(int(row[name]) for name in names) for row in detector.periods()] == [
        (
            EventCode[p.kind], p.start_ns, p.end_ns, p.high, p.low, p.close, p.bars, int(p.t is not None),
            int(p.complete), int(p.high_broken is not None), int(p.low_broken is not None), minutes,
        )
        for p in last
    ]  # fmt: skip
    return [row[1] for row in got]


# ---------------------------------------------------------------- bars


def market_minutes(first: str, days: int, gap: float) -> np.ndarray:
    """Starts (UTC ns) of the minutes in which a market of Chicago's hours trades, from a date on.

    `gap` below 1: with holes of random length, up to `gap` of two hours each, edges of sessions included; one day is a
    holiday and one closes at noon. 1: without.
    """
    start = dt.datetime.fromisoformat(first)
    rng = np.random.default_rng(days)
    made = []
    for k in range(days):
        evening = start + dt.timedelta(days=k)
        if evening.weekday() in (4, 5) or (gap < 1 and k == 10):
            continue
        opened = evening.replace(hour=17, tzinfo=CHICAGO).timestamp()
        length = 19 * 60 if gap < 1 and k == 15 else 23 * 60
        made.append(int(opened) * 1_000_000_000 + np.arange(length, dtype=np.int64) * MINUTE)
    starts = np.concatenate(made)
    if gap < 1:
        kept = np.ones(len(starts), bool)
        for at in rng.integers(0, len(starts), len(starts) // 150):
            kept[at : at + int(rng.integers(1, 120 * gap))] = False
        starts = starts[kept]
    return starts


def walk(seed: int, starts: np.ndarray, minutes: int = 1) -> np.ndarray:
    """Bars of small steps at these times: extremes are often equal, often just exceeded."""
    rng = np.random.default_rng(seed + 1000)
    n = len(starts)
    bars = np.zeros(n, BAR_DTYPE)
    moves = rng.integers(-2, 3, n)
    bars["start_ns"], bars["timeframe_min"] = starts, minutes
    bars["close"] = 100 + np.cumsum(moves)
    bars["open"] = bars["close"] - moves
    bars["high"] = np.maximum(bars["open"], bars["close"]) + rng.integers(0, 2, n)
    bars["low"] = np.minimum(bars["open"], bars["close"]) - rng.integers(0, 2, n)
    bars["volume"], bars["delta"] = rng.integers(0, 9, n), rng.integers(-4, 5, n)
    return bars


def aggregated(bars: np.ndarray, minutes: int) -> np.ndarray:
    """1m bars as bars of a longer timeframe, by the builder of the product: four prints per minute make its prices."""
    if minutes == 1:
        return bars
    ticks = np.zeros(4 * len(bars), TICK_DTYPE)
    ticks["kind"], ticks["side"] = Kind.TRADE, 1
    for k, name in enumerate(("open", "high", "low", "close")):
        ticks["exch_ns"][k::4] = bars["start_ns"] + k
        ticks["price"][k::4] = bars[name]
        ticks["size"][k::4] = 1 + (bars["volume"] if k == 3 else 0)
    made = BarBuilder().push_ticks(ticks)
    chosen: np.ndarray = made[made["timeframe_min"] == minutes]
    return chosen


def parquet_bars(name: str, tick_size: float) -> np.ndarray:
    """1m bars of a file of real data (ts, open, high, low, close, volume), prices in ticks."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(shared(f"market/bars_1m/{name}"))
    bars = np.zeros(table.num_rows, BAR_DTYPE)
    bars["start_ns"] = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    for field in ("open", "high", "low", "close"):
        bars[field] = np.rint(table[field].to_numpy() / tick_size)
    bars["volume"], bars["timeframe_min"] = table["volume"].to_numpy(), 1
    return bars
