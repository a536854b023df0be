"""The strategy restated the slow way: at every trigger everything is looked up anew in the list of all events so far.

Nothing is remembered but which zones have spoken. First tests only, entry timeframe 1m. Used to check the fold.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tbot.domain.contracts import Product
from tbot.strategy.trader import MarketView, StrategySettings
from tbot_ext.records import NO_PRICE, EventCode, Flag

MINUTE_NS = 60_000_000_000
Row = dict[str, Any]
WEIGHTS = {60: 0.35, 30: 0.25, 15: 0.25, 5: 0.15}
ENDS = {EventCode.OB_BROKEN, EventCode.OB_EXPIRED, EventCode.FVG_EXPIRED, EventCode.FVG_DEAD, EventCode.FVG_FILLED}
TOUCHES = {EventCode.OB_TESTED, EventCode.OB_MITIGATED, EventCode.FVG_TOUCHED, EventCode.FVG_HALF}


@dataclass(frozen=True)
class Band:
    """A zone from one birth (or inversion) to its end."""

    zone_id: int
    born: int  # index in the list
    side: int
    tf: int
    bottom: int
    top: int
    score: float
    known_ns: int


def bands_at(events: list[Row], now: int) -> list[Band]:
    """All zones alive after the events before index `now`, in order of birth."""
    alive: dict[int, Band] = {}
    gaps: dict[int, Band] = {}
    for index, event in enumerate(events[:now]):
        kind, parent = event["kind"], int(event["parent_id"])
        if kind in (EventCode.OB, EventCode.FVG):
            score = float(event["score"]) * (100 if kind == EventCode.FVG else 1)
            edges = int(event["bottom"]), int(event["top"])
            band = Band(
                int(event["id"]), index, int(event["side"]), int(event["timeframe_min"]), *edges, score,
                int(event["known_ns"]),
            )  # fmt: skip
            alive[band.zone_id] = band
            if kind == EventCode.FVG:
                gaps[band.zone_id] = band
        elif kind == EventCode.OB_REFRESHED and parent in alive:
            old = alive[parent]
            alive[parent] = Band(**{**old.__dict__, "score": float(event["score"])})
        elif kind == EventCode.FVG_INVERTED and parent in gaps:
            old = gaps[parent]
            turned = {"side": -old.side, "born": index, "known_ns": int(event["known_ns"])}
            alive.pop(parent, None)
            alive[parent] = Band(**{**old.__dict__, **turned})
        elif kind in ENDS:
            alive.pop(parent, None)
    return list(alive.values())


def is_entry_bar(event: Row) -> bool:
    return bool(event["kind"] == EventCode.BAR and event["timeframe_min"] == 1)


def first_test(events: list[Row], now: int, band: Band) -> Row | None:
    """The live bar that entered the band first and inside it; None when there is none or the test was spent."""
    for event in events[band.born + 1 : now]:
        if event["kind"] in TOUCHES and int(event["parent_id"]) == band.zone_id:
            return None
        if not is_entry_bar(event) or int(event["known_ns"]) - MINUTE_NS < band.known_ns:
            continue
        high, low = int(event["top"]), int(event["bottom"])
        if (low <= band.top) if band.side > 0 else (high >= band.bottom):
            overlaps = high >= band.bottom and low <= band.top
            return event if overlaps and not event["flags"] & Flag.WARMUP else None
    return None


def atr_at(events: list[Row], now: int, tf: int) -> float | None:
    """Wilder's average by its definition, over all bars so far."""
    ranges: list[int] = []
    last = None
    for bar in (e for e in events[:now] if e["kind"] == EventCode.BAR and e["timeframe_min"] == tf):
        high, low = int(bar["top"]), int(bar["bottom"])
        joined = last is not None and not bar["flags"] & Flag.SESSION_BREAK
        ranges.append(max(high, last) - min(low, last) if joined else high - low)
        last = int(bar["level"])
    if len(ranges) < 14:
        return None
    value = sum(ranges[:14]) / 14
    for one in ranges[14:]:
        value = (value * 13 + one) / 14
    return value


def levels_at(events: list[Row], now: int, side: int) -> list[tuple[int, int]]:
    """Swings against a trade of this side that no close of their timeframe and no greater swing has overtaken."""
    wanted = EventCode.SWING_HIGH if side > 0 else EventCode.SWING_LOW
    found = []
    for index, swing in enumerate(events[:now]):
        if swing["kind"] != wanted:
            continue
        later = [e for e in events[index + 1 : now] if e["timeframe_min"] == swing["timeframe_min"]]
        level = int(swing["level"])
        broken = any(e["kind"] == EventCode.BAR and (int(e["level"]) - level) * side > 0 for e in later)
        hidden = any(e["kind"] == wanted and (int(e["level"]) - level) * side >= 0 for e in later)
        if not broken and not hidden:
            found.append((level, int(swing["id"])))
    return found


def signals_of(
    batches: list[tuple[np.ndarray, MarketView]], product: Product, settings: StrategySettings
) -> list[tuple[int, int, int, int, float, int]]:
    """(zone, side, stop, target, score, decided_ns) of every signal."""
    events: list[Row] = []
    spoken: set[tuple[int, int]] = set()
    out = []
    for batch, view in batches:
        names = [name for name in batch.dtype.names if name != "parts"]
        for raw in batch[names].tolist():
            event = dict(zip(names, raw, strict=True))
            events.append(event)
            if event["kind"] != EventCode.CHOCH or event["timeframe_min"] != 1 or event["flags"] & Flag.WARMUP:
                continue
            bar = next((e for e in reversed(events) if is_entry_bar(e)), None)
            unclean = int(event["flags"]) | (int(bar["flags"]) if bar is not None else 0)
            late = view.now_ns >= int(event["known_ns"]) + MINUTE_NS
            bad_quote = NO_PRICE in (view.bid, view.ask) or view.bid > view.ask
            if not view.live or unclean & (Flag.INCOMPLETE | Flag.SUSPECT) or late or bad_quote:
                continue
            found = judge_all(events, int(event["side"]), view, product, settings, spoken)
            if found:
                best = min(found, key=lambda row: (-row[0], -row[1], row[2]))
                out.append((best[2], int(event["side"]), best[3], best[4], best[0], int(event["known_ns"])))
    return out


def judge_all(
    events: list[Row],
    side: int,
    view: MarketView,
    product: Product,
    settings: StrategySettings,
    spoken: set[tuple[int, int]],
) -> list[tuple[float, int, int, int, int]]:
    """(score, timeframe, zone, stop, target) of every setup that the newest event triggers."""
    now = len(events)
    entry = view.ask if side > 0 else view.bid
    bands = bands_at(events, now)
    bar_now = max(int(e["known"]) for e in events if is_entry_bar(e))
    found = []
    for band in bands:
        if band.side != side or band.tf not in settings.zone_timeframes_min or (band.zone_id, band.born) in spoken:
            continue
        test = first_test(events, now, band)
        atr = atr_at(events, now, band.tf)
        if test is None or bar_now - int(test["known"]) > settings.trigger_bars or atr is None:
            continue
        room = max(settings.stop_min_ticks, settings.stop_atr * atr)
        stop = math.floor(band.bottom - room) if side > 0 else math.ceil(band.top + room)
        risk = (entry - stop) * side
        if risk <= 0:
            continue
        edges = [other.bottom if side > 0 else other.top for other in bands if other.side == -side]
        ahead = [(level - entry) * side for level, _ in levels_at(events, now, side)]
        ahead += [(edge - entry) * side for edge in edges]
        reward = min((d for d in ahead if d >= 1.5 * risk), default=2 * risk)
        if reward * product.tick_value_cents < 4 * product.round_turn_cents:
            continue
        score = score_of(events, band, bands, atr, entry)
        if score >= settings.min_score:
            found.append((score, band.tf, band.zone_id, stop, entry + side * reward))
    for row in found:
        spoken.update((band.zone_id, band.born) for band in bands if band.zone_id == row[2])
    return found


def score_of(events: list[Row], band: Band, bands: list[Band], atr: float, entry: int) -> float:
    """The weighted sum of section 11."""
    mtf = 0.0
    for tf, weight in WEIGHTS.items():
        breaks = [
            int(e["side"]) for e in events if e["kind"] in (EventCode.BOS, EventCode.CHOCH) and e["timeframe_min"] == tf
        ]
        mtf += weight * (bool(breaks) and breaks[-1] == band.side)
    near = 0
    for other in bands:
        if other.side == band.side and other.zone_id != band.zone_id:
            apart = max(other.bottom - band.top, band.bottom - other.top, 0)
            near += apart <= 0.25 * atr
    highs = [int(e["level"]) for e in events if e["kind"] == EventCode.SWING_HIGH and e["timeframe_min"] == 60]
    lows = [int(e["level"]) for e in events if e["kind"] == EventCode.SWING_LOW and e["timeframe_min"] == 60]
    location = 0
    if highs and lows and highs[-1] > lows[-1]:
        middle = (highs[-1] + lows[-1]) / 2
        location = entry <= middle if band.side > 0 else entry >= middle
    near_share = min(1, near / 3)
    return round(100 * (0.35 * band.score / 100 + 0.25 * mtf + 0.15 * 0.5 + 0.15 * near_share + 0.1 * location), 6)
