"""Slow, obvious reference for smc.md section 7 and the market structure shifts of section 4, both sides written out.

A zone's life is read off all bars after its birth, as in `ref_smc`, which this completes. Details that the page leaves
open are those stated in the docstrings of the compiled modules.
"""

from typing import Any

import ref_smc
from ref_smc import B, Ev, Zone, clip

DUPLICATE = 2048
REMEMBERED_SWINGS = 64
TESTED = {"BREAKER": "BREAKER_TESTED", "MITIGATION_BLOCK": "MITIGATION_TESTED"}
DEAD = {"BREAKER": "BREAKER_DEAD", "MITIGATION_BLOCK": "MITIGATION_DEAD"}
EXPIRED = {"BREAKER": "BREAKER_EXPIRED", "MITIGATION_BLOCK": "MITIGATION_EXPIRED"}


def shifts(bars: list[B], broken: list[Ev], gaps: list[Zone], atrs: list[float | None]) -> list[Ev]:
    """MSS of every CHoCH that has a body of an ATR, or a gap of its side at its bar or at the next."""
    events = []
    for choch in broken:
        if choch.kind != "CHOCH":
            continue
        t, side, place = choch.t, choch.side, choch.step[1]
        atr = atrs[t]
        gap_bars = {gap.born for gap in gaps if gap.side == side}
        at_once = (bool(atr) and abs(bars[t].c - bars[t].o) >= 1.0 * (atr or 0.0)) or t in gap_bars
        if not at_once and t + 1 not in gap_bars:
            continue
        known, step = (t, (4, place, 1)) if at_once else (t + 1, (3, 9, place))
        level = choch.top
        events.append(Ev(known, step, "MSS", side, choch.origin, level, level, level, parent=choch))
    return events


def life(bars: list[B], zone: Zone, kind: str, p: Any) -> None:
    """ACTIVE, TESTED(n), then DEAD or EXPIRED."""
    tests, inside = 0, False
    for u in range(zone.born + 1, len(bars)):
        if u - zone.born > p.max_age:
            zone.life.append((u, EXPIRED[kind], tests, 0.0))
            zone.end = u
            return
        bar = bars[u]
        if zone.side > 0:
            touched, traded = bar.l <= zone.top, bar.l <= zone.top and bar.h >= zone.bottom
            dead = bar.c < zone.bottom
        else:
            touched, traded = bar.h >= zone.bottom, bar.h >= zone.bottom and bar.l <= zone.top
            dead = bar.c > zone.top
        if traded and not inside:
            tests += 1
            zone.life.append((u, TESTED[kind], tests, 0.0))
        inside = touched
        if dead:
            zone.life.append((u, DEAD[kind], tests, 0.0))
            zone.end = u
            return


def broken_blocks(blocks: list[Zone], t: int) -> list[Zone]:
    """In the order in which they are reported: bulls before bears, oldest first."""
    found = [zone for zone in blocks if any(u == t and kind == "OB_BROKEN" for u, kind, *_ in zone.life)]
    return sorted(found, key=lambda zone: (-zone.side, zone.number))


def flipped(bars: list[B], block: Zone, t: int, atr: float, p: Any) -> Zone:
    if block.side > 0:
        distance = block.bottom - (bars[t].l if p.zone_break == "wick" else bars[t].c)
    else:
        distance = (bars[t].h if p.zone_break == "wick" else bars[t].c) - block.top
    score = block.score * (0.5 + 0.5 * clip(distance / atr))
    return Zone(-block.side, t, block.origin, block.top, block.bottom, score, block.parts, block.flags)


def from_structure(
    bars: list[B], broken: Ev, p: Any, known: list[tuple[int, int, int]], atr: float, vmed: float, gaps: list[Zone]
) -> tuple[str, Zone] | None:
    """The zone that the failed leg leaves, before the question whether another stands for it."""
    t, side, start = broken.t, broken.side, broken.origin
    others = [swing for swing in known if swing[1] == -side and swing[0] + p.R < t][-REMEMBERED_SWINGS:]
    if not others or others[-1][0] <= start:
        return None
    before = [swing for swing in others if swing[0] < start]
    if not before:
        return None
    b, previous = others[-1][2], before[-1][2]
    anchors = [
        i
        for i in range(max(start - p.ob_search, t + 1 - ref_smc.KEPT_BARS, 0), start + 1)
        if (bars[i].c > bars[i].o if side > 0 else bars[i].c < bars[i].o)
    ]
    if not anchors:
        return None
    i = anchors[-1]
    top, bottom = bars[i].h, bars[i].l
    if side > 0:
        taken, depth = b < previous, bars[t].c - bottom
    else:
        taken, depth = b > previous, top - bars[t].c
    if depth < 0:
        return None
    kind = "BREAKER" if taken else "MITIGATION_BLOCK"
    fvgf = 0.0
    for gap in gaps:
        filled = [item[0] for item in gap.life if item[1] == "FVG_FILLED"]
        alive = gap.born <= t and (gap.end is None or gap.end > t)
        if gap.side == side and i + 1 <= gap.origin <= t - 1 and alive and not (filled and filled[0] <= t):
            fvgf = 1.0
    parts = (
        clip(depth / atr / 3), ref_smc.volume_factor(bars[i].v, vmed), fvgf, 1.0 if taken else 0.0,
        1.0 if broken.kind == "CHOCH" else 0.5,
    )  # fmt: skip
    score = 100.0 * (0.30 * parts[0] + 0.25 * parts[1] + 0.20 * parts[2] + 0.15 * parts[3] + 0.10 * parts[4])
    return kind, Zone(side, t, i, top, bottom, score, parts)


class Keeper:
    """All zones ever kept, and the events of their births and evictions."""

    def __init__(self, bars: list[B], p: Any) -> None:
        self.bars, self.p = bars, p
        self.zones: list[Zone] = []
        self.kinds: dict[int, str] = {}
        self.events: list[Ev] = []

    def live(self, side: int, t: int) -> list[Zone]:
        return [zone for zone in self.zones if zone.side == side and (zone.end is None or zone.end > t)]

    def stand_in(self, zone: Zone) -> Zone | None:
        live = self.live(zone.side, zone.born)
        for other in live:
            if other.born == zone.born and set(range(other.bottom, other.top + 1)) & set(
                range(zone.bottom, zone.top + 1)
            ):
                return other
        for other in live:
            if (other.origin, other.top, other.bottom) == (zone.origin, zone.top, zone.bottom):
                return other
        return None

    def keep(self, zone: Zone, kind: str, step: tuple[int, ...], block: Zone | None = None) -> None:
        t = zone.born
        gone = ref_smc.evict(self.zones, zone.side, t, self.p)
        if gone is not None:
            tests = sum(what.endswith("_TESTED") for _, what, *_ in gone.life)
            what = EXPIRED[self.kinds[id(gone)]]
            self.events.append(ref_smc.zone_event(gone, t, (*step, 0), what, tests, life=True))
        zone.number = len(self.zones)
        life(self.bars, zone, kind, self.p)
        self.zones.append(zone)
        self.kinds[id(zone)] = kind
        event = ref_smc.zone_event(zone, t, (*step, 1), kind, 0, born=True)
        event.zone = block  # the parent
        self.events.append(event)


def breakers(
    bars: list[B], p: Any, broken: list[Ev], known: list[tuple[int, int, int]], gaps: list[Zone], blocks: list[Zone]
) -> tuple[list[Zone], list[Ev]]:
    """Zones, and the events of their births and evictions: from blocks in step 2, from structure in step 5."""
    atrs, vmeds = ref_smc.atr_values(bars, p.atr_n), ref_smc.volume_means(bars)
    keeper = Keeper(bars, p)
    for t in range(len(bars)):
        atr = atrs[t]
        if not atr:
            continue
        for place, block in enumerate(broken_blocks(blocks, t)):
            keeper.keep(flipped(bars, block, t, atr, p), "BREAKER", (2, 7, 2, place), block)
        for event in (event for event in broken if event.t == t):
            made = from_structure(bars, event, p, known, atr, vmeds[t], gaps)
            if made is None:
                continue
            kind, zone = made
            step = (5, event.step[1], 7)
            stand_in = keeper.stand_in(zone)
            if stand_in is None:
                keeper.keep(zone, kind, step)
                continue
            zone.flags = DUPLICATE
            recorded = ref_smc.zone_event(zone, t, step, kind, 0)
            recorded.zone = stand_in
            keeper.events.append(recorded)
    return keeper.zones, keeper.events
