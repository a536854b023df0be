"""The strategy restated the slow way: at every trigger everything is looked up anew in the list of all events so far.

Nothing is remembered but which zones and CHoCHs have spoken. First tests only, entry timeframe 1m. Checks the fold.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tbot.domain.contracts import Product
from tbot.domain.messages import Signal
from tbot.strategy.trader import MarketView, StrategySettings
from tbot_ext.records import NO_PRICE, EventCode, Flag, Source

MINUTE_NS = 60_000_000_000
Row = dict[str, Any]
WEIGHTS = {60: 0.35, 30: 0.25, 15: 0.25, 5: 0.15}
BIRTHS = {EventCode.OB: 1, EventCode.FVG: 100, EventCode.BREAKER: 1, EventCode.MITIGATION_BLOCK: 1}
ENDS = {
    EventCode[name]
    for name in [
        "OB_BROKEN",
        "OB_EXPIRED",
        "FVG_EXPIRED",
        "FVG_DEAD",
        "FVG_FILLED",
        "BREAKER_DEAD",
        "BREAKER_EXPIRED",
        "MITIGATION_DEAD",
        "MITIGATION_EXPIRED",
    ]
}
TOUCHES = {
    EventCode[name]
    for name in ["OB_TESTED", "OB_MITIGATED", "FVG_TOUCHED", "FVG_HALF", "BREAKER_TESTED", "MITIGATION_TESTED"]
}
GONE = {
    EventCode[name] for name in ["POOL", "POOL_EXPIRED", "RUN", "SWEEP", "LEVEL_DEAD", "LEVEL_EXPIRED"]
}  # of a place when it is the event's parent
MOVED = {EventCode.POOL_JOINED, EventCode.LEVEL_JOINED, EventCode.LEVEL_TOUCHED}
TRIGGERS = {EventCode.CHOCH, EventCode.MSS, EventCode.SWEEP}


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
        if kind in BIRTHS:
            if event["flags"] & Flag.DUPLICATE:
                continue
            score = float(event["score"]) * BIRTHS[kind]
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


def places_at(events: list[Row], now: int) -> list[tuple[int, int, int, int, int]]:
    """(id, side that it serves, price, timeframe, source) of every pool and level that is alive."""
    found = []
    told: dict[int, list[Row]] = {}
    for event in events[:now]:
        told.setdefault(int(event["parent_id"]), []).append(event)
    for birth in events[:now]:
        if birth["kind"] not in (EventCode.POOL, EventCode.LEVEL):
            continue
        later = told.get(int(birth["id"]), [])
        if any(e["kind"] in GONE for e in later):
            continue
        level = [int(e["level"]) for e in [birth, *later] if e is birth or e["kind"] in MOVED][-1]
        roles = [int(e["side"]) for e in later if e["kind"] in MOVED | {EventCode.LEVEL_BROKEN} and e["side"]]
        role = [int(birth["side"]), *(roles if birth["kind"] == EventCode.LEVEL else [])][-1]
        serves = -role if birth["kind"] == EventCode.POOL else role
        found.append((int(birth["id"]), serves, level, int(birth["timeframe_min"]), int(birth["source"])))
    return found


@dataclass
class Memory:
    """What has been said."""

    spoken: set[tuple[int, int]]  # (zone, birth index) of zones that had their trigger
    chochs: set[int]  # that gave a signal
    ignored: set[int]  # MSS that confirmed one of those


Result = tuple[int, int, int, int, float, int]
Judged = tuple[float, int, int, int, int, int, set[int]]  # score, timeframe, zone, stop, target, side, its CHoCHs


def short(signal: Signal) -> Result:
    """What is compared."""
    return signal.zone_id, signal.side, signal.stop, signal.target, signal.score, signal.decided_ns


def signals_of(
    batches: list[tuple[np.ndarray, MarketView]], product: Product, settings: StrategySettings
) -> list[Result]:
    """(zone, side, stop, target, score, decided_ns) of every signal."""
    events: list[Row] = []
    memory = Memory(set(), set(), set())
    out: list[Result] = []
    for batch, view in batches:
        names = [name for name in batch.dtype.names if name != "parts"]
        rows = [dict(zip(names, raw, strict=True)) for raw in batch[names].tolist()]
        for at in sorted({int(row["known_ns"]) for row in rows}):
            news = [row for row in rows if int(row["known_ns"]) == at]
            events += news
            out += decide(events, news, view, product, settings, memory)
    return out


def decide(
    events: list[Row],
    news: list[Row],
    view: MarketView,
    product: Product,
    settings: StrategySettings,
    memory: Memory,
) -> list[Result]:
    """The signal of one instant, whose events are `news`, if there is one."""
    memory.ignored |= {
        int(e["id"]) for e in news if e["kind"] == EventCode.MSS and int(e["parent_id"]) in memory.chochs
    }
    fresh = [e for e in news if is_trigger(e, memory)]
    if not fresh or not clean(events, fresh[0]):
        return []
    decided = int(fresh[0]["known_ns"])
    bad_quote = NO_PRICE in (view.bid, view.ask) or view.bid > view.ask
    if not view.live or view.now_ns >= decided + MINUTE_NS or bad_quote:
        return []
    found = judge_all(events, decided, view, product, settings, memory)
    if not found:
        return []
    score, _, zone, stop, target, side, chochs = min(found, key=lambda row: (-row[0], -row[1], row[2]))
    memory.chochs |= chochs
    return [(zone, side, stop, target, score, decided)]


def is_trigger(event: Row, memory: Memory) -> bool:
    return event["kind"] in TRIGGERS and int(event["timeframe_min"]) == 1 and int(event["id"]) not in memory.ignored


def clean(events: list[Row], trigger: Row) -> bool:
    """Neither it nor the bar at whose close it was known is of warm-up, incomplete or suspect."""
    bars = [e for e in events if is_entry_bar(e) and int(e["known_ns"]) <= int(trigger["known_ns"])]
    flags = int(trigger["flags"]) | (int(bars[-1]["flags"]) if bars else 0)
    return not flags & (Flag.WARMUP | Flag.INCOMPLETE | Flag.SUSPECT)


def triggers_of(events: list[Row], band: Band, test: Row, memory: Memory) -> list[Row]:
    """All clean triggers of a zone since the bar that tested it."""
    found = []
    for event in events:
        if int(event["known_ns"]) < int(test["known_ns"]) or int(event["side"]) != band.side:
            continue
        if not is_trigger(event, memory) or not clean(events, event):
            continue
        wick = int(event["bottom"] if band.side > 0 else event["top"])
        if event["kind"] != EventCode.SWEEP or band.bottom <= wick <= band.top:
            found.append(event)
    return found


def judge_all(
    events: list[Row],
    decided: int,
    view: MarketView,
    product: Product,
    settings: StrategySettings,
    memory: Memory,
) -> list[Judged]:
    """Every setup that is triggered at this instant and may be traded."""
    now = len(events)
    bands = bands_at(events, now)
    places = places_at(events, now)
    bar_now = max(int(e["known"]) for e in events if is_entry_bar(e))
    found: list[Judged] = []
    for band in bands:
        side, key = band.side, (band.zone_id, band.born)
        if band.tf not in settings.zone_timeframes_min or key in memory.spoken:
            continue
        test = first_test(events, now, band)
        if test is None or bar_now - int(test["known"]) > settings.trigger_bars:
            continue
        triggers = triggers_of(events, band, test, memory)
        atr = atr_at(events, now, band.tf)
        if not any(int(e["known_ns"]) == decided for e in triggers) or atr is None:
            continue
        entry = view.ask if side > 0 else view.bid
        room = max(settings.stop_min_ticks, settings.stop_atr * atr)
        stop = math.floor(band.bottom - room) if side > 0 else math.ceil(band.top + room)
        risk = (entry - stop) * side
        if risk <= 0:
            continue
        ahead = [(level - entry) * side for _, serves, level, _, _ in places if serves == -side]
        reward = min((d for d in ahead if d >= 1.5 * risk), default=2 * risk)
        if reward * product.tick_value_cents < 4 * product.round_turn_cents:
            continue
        score = score_of(events, band, bands, places, triggers, atr, entry)
        if score >= settings.min_score:
            chochs = {int(e["id"]) for e in triggers if e["kind"] == EventCode.CHOCH}
            found.append((score, band.tf, band.zone_id, stop, entry + side * reward, side, chochs))
    chosen = {row[2] for row in found}
    memory.spoken.update((band.zone_id, band.born) for band in bands if band.zone_id in chosen)
    return found


def score_of(
    events: list[Row],
    band: Band,
    bands: list[Band],
    places: list[tuple[int, int, int, int, int]],
    triggers: list[Row],
    atr: float,
    entry: int,
) -> float:
    """The weighted sum of section 11."""
    mtf = 0.0
    for tf, weight in WEIGHTS.items():
        breaks = [
            int(e["side"]) for e in events if e["kind"] in (EventCode.BOS, EventCode.CHOCH) and e["timeframe_min"] == tf
        ]
        mtf += weight * (bool(breaks) and breaks[-1] == band.side)
    near: set[tuple[int, ...]] = set()
    for other in bands:
        apart = max(other.bottom - band.top, band.bottom - other.top, 0)
        if other.side == band.side and other.zone_id != band.zone_id and other.tf >= 5 and apart <= 0.25 * atr:
            near.add((other.zone_id,))
    for place_id, serves, level, tf, source in places:
        apart = max(level - band.top, band.bottom - level, 0)
        if serves == band.side and tf >= 5 and apart <= 0.25 * atr:
            near.add((place_id,) if source == Source.SWING else (source, level))
    swept = any(e["kind"] == EventCode.SWEEP for e in triggers)
    shifted = any(e["kind"] != EventCode.SWEEP for e in triggers)
    trigger = {(True, True): 1.0, (True, False): 0.7, (False, True): 0.5}[swept, shifted]
    highs = [int(e["level"]) for e in events if e["kind"] == EventCode.SWING_HIGH and e["timeframe_min"] == 60]
    lows = [int(e["level"]) for e in events if e["kind"] == EventCode.SWING_LOW and e["timeframe_min"] == 60]
    location = 0
    if highs and lows and highs[-1] > lows[-1]:
        middle = (highs[-1] + lows[-1]) / 2
        location = entry <= middle if band.side > 0 else entry >= middle
    near_share = min(1, len(near) / 3)
    parts = 0.35 * band.score / 100 + 0.25 * mtf + 0.15 * trigger + 0.15 * near_share + 0.1 * location
    return round(100 * parts, 6)
