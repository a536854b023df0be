"""Bars for detector tests, and the comparison of compiled events with the reference, field by field."""

import csv
import datetime as dt
import random
from pathlib import Path
from typing import Any

import numpy as np

import ref_smc
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import BAR_DTYPE, NO_PRICE, EventCode, Flag

MINUTE, START = ref_smc.MINUTE, ref_smc.START
KIND_NAMES = {code.value: code.name for code in EventCode}


def random_bars(seed: int, n: int, step: int = 3, breaks: bool = True) -> list[ref_smc.B]:
    """Small integers, so that ties, dojis, zero ranges, exact touches and gaps all happen often."""
    rng = random.Random(seed)
    bars = []
    price = rng.randint(-5, 30)
    drift = 0
    for t in range(n):
        if t % 20 == 0:
            drift = rng.choice((-1, 0, 0, 1))
        if rng.random() < 0.15:
            price += rng.randint(-2 * step, 2 * step)  # gaps between bars
        open_ = price
        close = open_ + rng.randint(-step, step) + drift
        high = max(open_, close) + rng.choice((0, 0, 1, 2))
        low = min(open_, close) - rng.choice((0, 0, 1, 2))
        volume = rng.choice((0, 1, 2, 5, 9))
        bars.append(ref_smc.B(open_, high, low, close, volume, breaks and t > 0 and rng.random() < 0.03))
        price = close
    return bars


def params_for(seed: int) -> Params:
    """Short windows, small caps and every mode, so that rare paths are common."""
    rng = random.Random(seed * 7919 + 1)
    return Params(
        L=rng.choice((1, 2, 3, 5)),
        R=rng.choice((1, 2, 3, 5)),
        break_mode=rng.choice(("close", "close", "wick")),
        break_buffer=rng.choice((0, 0, 1)),
        atr_n=rng.choice((1, 3, 14)),
        fvg_min_ticks=rng.choice((1, 1, 2)),
        fvg_min_atr=rng.choice((0.0, 0.0, 0.3)),
        fvg_need_body=rng.choice((True, False)),
        ob_pick=rng.choice(("last_opposite", "extreme")),
        ob_search=rng.choice((0, 2, 5)),
        ob_zone=rng.choice(("wick", "body")),
        ob_min_disp_atr=rng.choice((0.0, 0.5, 1.0)),
        ob_max_height_atr=rng.choice((0.5, 1.5, 3.5)),
        zone_break=rng.choice(("close", "wick")),
        max_age=rng.choice((4, 20, 500)),
        max_zones=rng.choice((1, 2, 5, 64)),
        eq_tol_atr=rng.choice((0.0, 0.1, 0.5)),
        eq_tol_ticks=rng.choice((0, 1, 2)),
        sweep_reclaim=rng.choice((0, 1, 3, 6)),
        sr_tol_atr=rng.choice((0.0, 0.25, 0.7)),
        sr_tol_ticks=rng.choice((0, 1, 2)),
        round_step=rng.choice((0, 0, 4, 7)),
    )


def bar_array(bars: list[ref_smc.B], minutes: int = 1, start: int = START) -> np.ndarray:
    rows = [
        (at, b.o, b.h, b.l, b.c, b.v, b.v // 2, 1, int(b.after_break) * 128, minutes)
        for at, b in zip(ref_smc.starts_of(bars, minutes, start), bars, strict=True)
    ]
    return np.array(rows, BAR_DTYPE)


def mirrored(bars: list[ref_smc.B]) -> list[ref_smc.B]:
    return [ref_smc.B(-b.o, -b.l, -b.h, -b.c, b.v, b.after_break, b.start_ns) for b in bars]


def read_bars(path: Path, tick_size: float) -> np.ndarray:
    """1m bars of a CSV file (Date UTC, open, high, low, close, volume), prices in ticks."""
    rows = []
    with path.open() as lines:
        for row in csv.DictReader(lines):
            start = int(dt.datetime.fromisoformat(row["Date"] + "+00:00").timestamp()) * 1_000_000_000
            prices = [round(float(row[name]) / tick_size) for name in ("open", "high", "low", "close")]
            rows.append((start, *prices, int(float(row["volume"])), 0, 0, 0, 1))
    return np.array(rows, BAR_DTYPE)


def plain_bars(bars: np.ndarray) -> list[ref_smc.B]:
    names = ("open", "high", "low", "close", "volume")
    return [
        ref_smc.B(*(int(bar[name]) for name in names), bool(bar["flags"] & Flag.SESSION_BREAK), int(bar["start_ns"]))
        for bar in bars
    ]  # fmt: skip


def compiled_rows(events: np.ndarray) -> list[tuple[Any, ...]]:
    """Everything a compiled event says, as plain values."""
    names = ["known", "kind", "side", "origin", "top", "bottom", "level", "score", "n", "flags", "id", "parent_id"]
    return [
        (
            known, KIND_NAMES[kind], side, origin, top, bottom, None if level == NO_PRICE else level, score,
            tuple(parts), *rest,
        )
        for (known, kind, side, origin, top, bottom, level, score, *rest), parts in zip(
            events[names].tolist(), events["parts"].tolist(), strict=True
        )
    ]  # fmt: skip


def reference_rows(bars: list[ref_smc.B], params: Params) -> list[tuple[Any, ...]]:
    """The same from the reference; ids are places in the order of emission."""
    events = ref_smc.all_events(bars, params)
    births = {id(event.born): place + 1 for place, event in enumerate(events) if event.born is not None}
    places = {id(event): place + 1 for place, event in enumerate(events)}
    rows = []
    for place, e in enumerate(events):
        parts = tuple(float(np.float32(x)) for x in (*e.parts, *(0.0,) * (5 - len(e.parts))))
        flags = e.flags | (128 if bars[e.t].after_break else 0)
        parent = -1
        if e.zone is not None:
            parent = births[id(e.zone)]
        elif getattr(e, "parent", None) is not None:
            parent = places[id(e.parent)]
        rows.append(
            (
                e.t, e.kind, e.side, e.origin, e.top, e.bottom, e.level, e.score, parts, e.n, flags, place + 1, parent,
            )
        )  # fmt: skip
    return rows


def chosen(rows: list[tuple[Any, ...]], prefix: str | tuple[str, ...], ids: dict[int, int]) -> list[tuple[Any, ...]]:
    """Rows whose kind starts with `prefix`, ids counted anew among them; parents outside the choice become -2."""
    kept = [row for row in rows if row[1].startswith(prefix)]
    ids.update({row[-2]: place for place, row in enumerate(kept, 1)})
    return [(*row[:-2], ids[row[-2]], ids.get(row[-1], -1 if row[-1] == -1 else -2)) for row in kept]


def assert_same(bars: list[ref_smc.B], params: Params, prefix: str | tuple[str, ...] = ref_smc.KINDS) -> list[str]:
    """Compare compiled and reference events of these kinds, field by field. Returns the kinds seen."""
    got = chosen(compiled_rows(Detector(1, params).push_bars(bar_array(bars))), prefix, {})
    expected = chosen(reference_rows(bars, params), prefix, {})
    for place, (ours, theirs) in enumerate(zip(got, expected, strict=False)):
        assert ours == theirs, f"event {place} of {params}"
    assert len(got) == len(expected)
    return [row[1] for row in got]


def bars_of(*rows: tuple[int, ...]) -> list[ref_smc.B]:
    """Bars from (open, high, low, close[, volume[, after_break]])."""
    return [ref_smc.B(*row[:4], row[4] if len(row) > 4 else 1, len(row) > 5 and bool(row[5])) for row in rows]


def found(bars: list[ref_smc.B], params: Params, prefix: str | tuple[str, ...]) -> list[tuple[Any, ...]]:
    """(bar, kind, side, origin, top, bottom) of the compiled events whose kind starts with `prefix`."""
    rows = compiled_rows(Detector(1, params).push_bars(bar_array(bars)))
    return [row[:6] for row in rows if row[1].startswith(prefix)]
