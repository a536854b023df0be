"""Slow, obvious reference for smc.md sections 0 to 10, on plain Python ints, both sides written out; 7 is joined in.

Where the streaming code carries state from bar to bar, this looks at the whole list: a swing is tested against its
windows, a zone's life is read off all bars after its birth. The order of emission is made at the end, by sorting.
Details that the page leaves open are those stated in the docstrings of the compiled modules.
"""

from dataclasses import dataclass, field
from typing import Any

import ref_pools
from ref_periods import PERIOD_KINDS, Period, periods

MINUTE = 60_000_000_000
START = 1_700_000_040_000_000_000 // (60 * MINUTE) * 60 * MINUTE  # of bars that name no time; a whole hour
BREAK_FLAG = 128  # first bar after a session break
NO_COLOUR, BODY_ZONE = 512, 1024
KEPT_BARS = 1024
# What the reference speaks of: events are compared when their kind starts with one of these.
KINDS: tuple[str, ...] = (
    "SWING", "BOS", "CHOCH", "MSS", "OPENING_GAP", "FVG", "OB", "BREAKER", "MITIGATION", "LEVEL", "POOL", "SWEEP",
    "RUN", *PERIOD_KINDS,
)  # fmt: skip


@dataclass(frozen=True)
class B:
    o: int
    h: int
    l: int  # noqa: E741  # the page's own letter
    c: int
    v: int
    after_break: bool = False
    start_ns: int | None = None  # None: directly after the bar before it


def starts_of(bars: list[B], minutes: int = 1, start: int = START) -> list[int]:
    """When each bar starts, UTC ns."""
    starts: list[int] = []
    for bar in bars:
        following = starts[-1] + minutes * MINUTE if starts else start
        starts.append(following if bar.start_ns is None else bar.start_ns)
    return starts


@dataclass
class Ev:
    t: int  # known
    step: tuple[int, ...]  # order of emission inside one bar
    kind: str
    side: int
    origin: int
    top: int
    bottom: int
    level: int | None = None
    score: float = 0.0
    parts: tuple[float, ...] = ()
    n: int = 0
    flags: int = 0
    zone: "Zone | None" = None  # of a life-cycle event, or what a zone was made of
    born: "Zone | None" = None  # of a birth event
    parent: "Ev | None" = None  # the event that this one adds to


@dataclass
class Zone:
    side: int
    born: int
    origin: int
    top: int
    bottom: int
    score: float
    parts: tuple[float, ...]
    flags: int = 0
    stack_n: int = 0
    end: int | None = None
    number: int = 0  # in order of birth
    life: list[tuple[int, str, int, float]] = field(default_factory=list)  # (bar, kind, n, fill)


def clip(x: float) -> float:
    return min(1.0, max(0.0, x))


def atr_values(bars: list[B], n: int) -> list[float | None]:
    ranges = []
    for t, bar in enumerate(bars):
        tr = bar.h - bar.l
        if t > 0 and not bar.after_break:
            tr = max(tr, abs(bar.h - bars[t - 1].c), abs(bar.l - bars[t - 1].c))
        ranges.append(tr)
    values: list[float | None] = []
    for t in range(len(bars)):
        if t + 1 < n:
            values.append(None)
        elif t + 1 == n:
            values.append(sum(ranges[:n]) / n)
        else:
            values.append((values[-1] * (n - 1) + ranges[t]) / n)  # type: ignore[operator]
    return values


def volume_means(bars: list[B]) -> list[float]:
    means = []
    for t in range(len(bars)):
        window = [bar.v for bar in bars[max(0, t - 49) : t + 1]]
        means.append(sum(window) / len(window))
    return means


def volume_factor(volume: float, mean: float) -> float:
    return clip(volume / (2 * mean)) if mean > 0 else 0.5


def swings(bars: list[B], left: int, right: int) -> list[tuple[int, int, int]]:
    """(bar, +1 high or -1 low, price), in order of becoming known, the high first."""
    found = []
    for i in range(left, len(bars) - right):
        before, after = bars[i - left : i], bars[i + 1 : i + right + 1]
        if bars[i].h > max(b.h for b in before) and bars[i].h >= max(b.h for b in after):
            found.append((i, 1, bars[i].h))
        if bars[i].l < min(b.l for b in before) and bars[i].l <= min(b.l for b in after):
            found.append((i, -1, bars[i].l))
    return found


def breaks(bars: list[B], known: list[tuple[int, int, int]], p: Any) -> list[Ev]:
    """BOS and CHoCH; step 4."""
    events: list[Ev] = []
    broken: set[tuple[int, int]] = set()
    trend = 0
    for t, bar in enumerate(bars):
        order = (-1, 1) if bar.c >= bar.o else (1, -1)
        for place, side in enumerate(order):
            earlier = [swing for swing in known if swing[1] == side and swing[0] + p.R < t]
            if not earlier:
                continue
            i, _, level = earlier[-1]
            if (i, side) in broken:
                continue
            if side > 0:
                x = bar.h if p.break_mode == "wick" else bar.c
                beyond = x > level + p.break_buffer
            else:
                x = bar.l if p.break_mode == "wick" else bar.c
                beyond = x < level - p.break_buffer
            if not beyond:
                continue
            kind = "CHOCH" if trend == -side else "BOS"
            events.append(Ev(t, (4, place), kind, side, i, level, level, level))
            broken.add((i, side))
            trend = side
    return events


# ---------------------------------------------------------------- gaps


def gap_life(bars: list[B], zone: Zone, p: Any) -> None:
    """OPEN, TOUCHED, HALF, FILLED, INVERTED, DEAD or EXPIRED: all read off the bars after birth."""
    state = "OPEN"
    for u in range(zone.born + 1, len(bars)):
        if u - zone.born > p.max_age:
            zone.life.append((u, "FVG_EXPIRED", zone.stack_n, 0.0))
            zone.end = u
            return
        bar = bars[u]
        if state == "INVERTED":
            if (bar.c > zone.top) if zone.side > 0 else (bar.c < zone.bottom):
                zone.life.append((u, "FVG_DEAD", zone.stack_n, 0.0))
                zone.end = u
                return
            continue
        since = bars[zone.born + 1 : u + 1]
        if zone.side > 0:
            depth = zone.top - min(b.l for b in since)
            touch, half, full = bar.l <= zone.top, 2 * bar.l <= zone.top + zone.bottom, bar.l <= zone.bottom
            through = bar.c < zone.bottom
        else:
            depth = max(b.h for b in since) - zone.bottom
            touch, half, full = bar.h >= zone.bottom, 2 * bar.h >= zone.top + zone.bottom, bar.h >= zone.top
            through = bar.c > zone.top
        fill = clip(depth / (zone.top - zone.bottom))
        for old, new, happened in (("OPEN", "TOUCHED", touch), ("TOUCHED", "HALF", half), ("HALF", "FILLED", full)):
            if state == old and happened:
                state = new
                zone.life.append((u, "FVG_" + new, zone.stack_n, fill))
        if state == "FILLED" and through:
            state = "INVERTED"
            zone.life.append((u, "FVG_INVERTED", zone.stack_n, 1.0))


def gap_at(bars: list[B], t: int, side: int, p: Any, atr: float, vmed: float) -> Zone | None:
    first, middle, last = bars[t - 2], bars[t - 1], bars[t]
    if side > 0:
        bottom, top, coloured = first.h, last.l, middle.c > middle.o
    else:
        bottom, top, coloured = last.h, first.l, middle.c < middle.o
    size = top - bottom
    if size < p.fvg_min_ticks or size < p.fvg_min_atr * atr or (p.fvg_need_body and not coloured):
        return None
    sizef = clip(size / atr)
    volf = volume_factor(middle.v, vmed)
    spread = middle.h - middle.l
    bodyf = clip(abs(middle.c - middle.o) / spread) if spread else 0.0
    return Zone(side, t, t - 1, top, bottom, sizef * 0.5 + volf * 0.3 + bodyf * 0.2, (sizef, volf, bodyf))


def evict(zones: list[Zone], side: int, t: int, p: Any) -> Zone | None:
    """The zone that must go before one more is born at t; its life ends there."""
    live = [zone for zone in zones if zone.side == side and (zone.end is None or zone.end > t)]
    if len(live) < p.max_zones:
        return None
    worst = min(live, key=lambda zone: (zone.score, zone.born))
    worst.end = t
    worst.life = [item for item in worst.life if item[0] <= t]
    return worst


def gaps(bars: list[B], p: Any, atrs: list[float | None], vmeds: list[float]) -> tuple[list[Zone], list[Ev]]:
    """Zones and the events of step 3 (births, opening gaps, evictions)."""
    zones: list[Zone] = []
    events: list[Ev] = []
    for t in range(2, len(bars)):
        atr = atrs[t]
        if not atr:
            continue
        for place, side in enumerate((1, -1)):
            zone = gap_at(bars, t, side, p, atr, vmeds[t])
            if zone is None:
                continue
            if any(bar.after_break for bar in bars[t - 2 : t + 1]):
                zone.flags = BREAK_FLAG
                events.append(zone_event(zone, t, (3, place, 0), "OPENING_GAP", 0))
                continue
            gone = evict(zones, side, t, p)
            if gone is not None:
                events.append(zone_event(gone, t, (3, place, 0), "FVG_EXPIRED", gone.stack_n, life=True))
            last = [other for other in zones if other.side == side and other.origin == zone.origin - 1]
            zone.stack_n = last[0].stack_n + 1 if last else 1
            zone.number = len(zones)
            gap_life(bars, zone, p)
            zones.append(zone)
            events.append(zone_event(zone, t, (3, place, 1), "FVG", zone.stack_n, born=True))
    return zones, events


# ---------------------------------------------------------------- order blocks


def block_life(bars: list[B], zone: Zone, p: Any) -> None:
    """ACTIVE, TESTED(n), MITIGATED, BROKEN or EXPIRED."""
    tests, mitigated, inside = 0, False, False
    for u in range(zone.born + 1, len(bars)):
        if u - zone.born > p.max_age:
            zone.life.append((u, "OB_EXPIRED", tests, 0.0))
            zone.end = u
            return
        bar = bars[u]
        if zone.side > 0:
            touch, half, beyond = bar.l <= zone.top, 2 * bar.l <= zone.top + zone.bottom, bar.h < zone.bottom
            broken = (bar.l if p.zone_break == "wick" else bar.c) < zone.bottom
        else:
            touch, half, beyond = bar.h >= zone.bottom, 2 * bar.h >= zone.top + zone.bottom, bar.l > zone.top
            broken = (bar.h if p.zone_break == "wick" else bar.c) > zone.top
        if touch and not inside and not beyond and not mitigated:
            tests += 1
            zone.life.append((u, "OB_TESTED", tests, 0.0))
        if half and not beyond and not mitigated:
            mitigated = True
            zone.life.append((u, "OB_MITIGATED", tests, 0.0))
        inside = touch
        if broken:
            zone.life.append((u, "OB_BROKEN", tests, 0.0))
            zone.end = u
            return


def block_from(
    bars: list[B], event: Ev, p: Any, atr: float, vmed: float, all_gaps: list[Zone], liquidity: list[Any]
) -> Zone | None:
    """Rules 1 to 4 of section 6 and the score."""
    t, side = event.t, event.side
    span = range(max(event.origin + 1, t + 1 - KEPT_BARS), t)
    if not span:
        return None
    if side > 0:
        k = max(span, key=lambda i: (-bars[i].l, i))
        candidates = [i for i in range(max(span.start, k - p.ob_search), k + 1) if bars[i].c < bars[i].o]
    else:
        k = max(span, key=lambda i: (bars[i].h, i))
        candidates = [i for i in range(max(span.start, k - p.ob_search), k + 1) if bars[i].c > bars[i].o]
    flags = 0
    j = k
    if p.ob_pick == "last_opposite":
        j = candidates[-1] if candidates else k
        flags = 0 if candidates else NO_COLOUR
    low, high = min(b.l for b in bars[j : k + 1]), max(b.h for b in bars[j : k + 1])
    wick = (low, bars[j].h) if side > 0 else (bars[j].l, high)
    body = (low, max(bars[j].o, bars[j].c)) if side > 0 else (min(bars[j].o, bars[j].c), high)
    bottom, top = wick if p.ob_zone == "wick" else body
    if top - bottom > p.ob_max_height_atr * atr:
        if p.ob_zone == "wick":
            flags |= BODY_ZONE
        bottom, top = body
        if top - bottom > p.ob_max_height_atr * atr:
            return None
    if top == bottom:
        bottom, top = (bottom, top + 1) if side > 0 else (bottom - 1, top)
    d = (bars[t].c - bottom) / atr if side > 0 else (top - bars[t].c) / atr
    if d < p.ob_min_disp_atr:
        return None
    volf = volume_factor(sum(b.v for b in bars[j : k + 1]) / (k - j + 1), vmed)
    fvgf = 0.0
    for gap in all_gaps:
        filled = [item[0] for item in gap.life if item[1] == "FVG_FILLED"]
        alive = gap.born <= t and (gap.end is None or gap.end > t)
        if gap.side == side and k + 1 <= gap.origin <= t - 1 and alive and not (filled and filled[0] <= t):
            fvgf = 1.0
    sweepf = 1.0 if ref_pools.swept(liquidity, -side, j, k, t) else 0.0
    parts = (clip(d / 3), volf, fvgf, sweepf, 1.0 if event.kind == "CHOCH" else 0.5)
    score = 100.0 * (0.30 * parts[0] + 0.25 * parts[1] + 0.20 * parts[2] + 0.15 * parts[3] + 0.10 * parts[4])
    return Zone(side, t, j, top, bottom, score, parts, flags)


def blocks(
    bars: list[B],
    p: Any,
    broken: list[Ev],
    atrs: list[float | None],
    vmeds: list[float],
    all_gaps: list[Zone],
    liquidity: list[Any],
) -> tuple[list[Zone], list[Ev]]:
    """Zones and the events of step 5 (births, refreshes, evictions)."""
    zones: list[Zone] = []
    events: list[Ev] = []
    for event in broken:
        t, atr = event.t, atrs[event.t]
        if not atr:
            continue
        zone = block_from(bars, event, p, atr, vmeds[t], all_gaps, liquidity)
        if zone is None:
            continue
        place = event.step[1]
        twins = [
            other
            for other in zones
            if other.side == zone.side
            and other.origin == zone.origin
            and (other.end is None or other.end > t)
            and not any(u <= t for u, *_ in other.life)
        ]
        if twins:
            twins[0].score, twins[0].parts = zone.score, zone.parts
            events.append(zone_event(twins[0], t, (5, place, 0), "OB_REFRESHED", 0, life=True))
            continue
        gone = evict(zones, zone.side, t, p)
        if gone is not None:
            tests = sum(kind == "OB_TESTED" for _, kind, *_ in gone.life)
            events.append(zone_event(gone, t, (5, place, 0), "OB_EXPIRED", tests, life=True))
        zone.number = len(zones)
        block_life(bars, zone, p)
        zones.append(zone)
        events.append(zone_event(zone, t, (5, place, 1), "OB", 0, born=True))
    return zones, events


# ---------------------------------------------------------------- periods


def finished_periods(bars: list[B], p: Any, minutes: int) -> list[tuple[Period, Zone]]:
    """Finished periods in order of becoming known, each with the token that stands for it among the events."""
    finished, _ = periods([(b.h, b.l, b.c, b.v, 0) for b in bars], starts_of(bars, minutes), p.sessions, minutes)
    return [(x, Zone(0, x.t or 0, x.first, x.high, x.low, 0.0, ())) for x in finished]


def period_events(ended: list[tuple[Period, Zone]]) -> list[Ev]:
    events = []
    for period, token in ended:
        for t, step, kind, side, origin, top, bottom, level, n in period.events():
            life, born = (token, None) if side else (None, token)
            events.append(Ev(t, step, kind, side, origin, top, bottom, level, n=n, zone=life, born=born))
    return events


# ---------------------------------------------------------------- all together


def zone_event(
    zone: Zone, t: int, step: tuple[int, ...], kind: str, n: int, life: bool = False, born: bool = False
) -> Ev:
    inverted = kind in ("FVG_INVERTED", "FVG_DEAD")
    if kind == "FVG_EXPIRED":
        inverted = any(u <= t and what == "FVG_INVERTED" for u, what, *_ in zone.life)
    side = -zone.side if inverted else zone.side
    fills = [item[3] for item in zone.life if item[0] <= t and item[1] in ("FVG_TOUCHED", "FVG_HALF", "FVG_FILLED")]
    parts = tuple(zone.parts)
    if len(parts) == 3:
        parts = (*parts, fills[-1] if fills else 0.0, 0.0)
    return Ev(
        t, step, kind, side, zone.origin, zone.top, zone.bottom, None, zone.score, parts, n, zone.flags,
        zone if life else None, zone if born else None,
    )  # fmt: skip


def life_events(zones: list[Zone], section: int) -> list[Ev]:
    """Step 2: reactions of zones born before, by section, the bull's list first, oldest zone first."""
    events = []
    for zone in zones:
        for place, (u, kind, n, fill) in enumerate(zone.life):
            step = (2, section, 0 if zone.side > 0 else 1, zone.number, place)
            event = zone_event(zone, u, step, kind, n, life=True)
            if kind in ("FVG_TOUCHED", "FVG_HALF", "FVG_FILLED"):
                event.parts = (*event.parts[:3], fill, 0.0)
            events.append(event)
    return events


def score_at(events: list[Ev]) -> None:
    """Life-cycle events carry the score their block had then: the one of its birth or of its last refresh."""
    current: dict[int, tuple[float, tuple[float, ...]]] = {}
    for event in events:
        if event.kind in ("OB", "OB_REFRESHED"):
            current[id(event.born or event.zone)] = (event.score, event.parts)
        elif event.kind.startswith("OB_"):
            event.score, event.parts = current[id(event.zone)]


def all_events(bars: list[B], p: Any, minutes: int = 1) -> list[Any]:
    """Every event of sections 3 to 10 in order of emission."""
    import ref_breakers  # these two are written in terms of this module
    import ref_levels

    atrs, vmeds = atr_values(bars, p.atr_n), volume_means(bars)
    known = swings(bars, p.L, p.R)
    broken = breaks(bars, known, p)
    ended = finished_periods(bars, p, minutes)
    gap_zones, gap_events = gaps(bars, p, atrs, vmeds)
    values = [(x.t, ref_pools.period_values(x, bars)) for x, _ in ended]
    liquidity = ref_pools.Pools(bars, p, atrs, vmeds).run(known, values)
    block_zones, block_events = blocks(bars, p, broken, atrs, vmeds, gap_zones, liquidity)
    breaker_zones, breaker_events = ref_breakers.breakers(bars, p, broken, known, gap_zones, block_zones)
    fixed = [(x.t or 0, ref_levels.period_values(x, token, bars)) for x, token in ended]
    events: list[Any] = broken + gap_events + block_events + breaker_events + liquidity
    events += ref_breakers.shifts(bars, broken, gap_zones, atrs)
    events += life_events(gap_zones, 5) + life_events(block_zones, 6) + life_events(breaker_zones, 7)
    events += ref_levels.level_events(bars, p, known, atrs, vmeds, fixed)
    events += period_events(ended)
    for i, side, price in known:
        kind = "SWING_HIGH" if side > 0 else "SWING_LOW"
        events.append(Ev(i + p.R, (6, 0 if side > 0 else 1), kind, side, i, price, price, price))
    events.sort(key=lambda event: (event.t, event.step))
    score_at(events)
    return events
