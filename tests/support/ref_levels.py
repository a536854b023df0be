"""Slow, obvious reference for smc.md section 8: support and resistance, period values and round numbers as levels.

Every bar looks at every level, price and band are made anew from the list of members, and counts from lists of bars.
Details that the page leaves open are those stated in the docstring of `tbot_ext.levels`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from ref_smc import B, Ev
from tbot_ext.records import EventCode

ROUND = 1
HIGH, LOW, MID, CLOSE = 1, 2, 3, 4
DAY, WEEK = 60, 61


@dataclass
class Period:
    """A finished period, as far as levels need it. `event`: what its own event's `born` is, for parents."""

    kind: int  # EventCode
    high: int
    low: int
    close: int
    high_bar: int = -1
    low_bar: int = -1
    high_volume: int = 0
    low_volume: int = 0
    event: Any = None


@dataclass
class LevelEv(Ev):
    source: int = 0
    volume: int = 0


@dataclass(eq=False)
class Level:
    first: int
    tol: float
    born: int
    source: int = 0
    fixed: float = 0.0  # static levels: the offset
    side: int = 0
    origin: int = 0
    volume: int = 0
    made: int = 0  # static levels: members from the start
    members: list[tuple[int, int]] = field(default_factory=list)  # (price, volume)
    touches: list[int] = field(default_factory=list)
    joins: list[int] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    reported: bool = False

    def __post_init__(self) -> None:
        self.put()

    def put(self) -> None:
        """Price and band, from all members."""
        self.offset = self.fixed
        if self.members:
            weights = [max(1, v) for _, v in self.members]
            total = sum(w * (p - self.first) for w, (p, _) in zip(weights, self.members, strict=True))
            self.offset = max(-0.5 * self.tol, min(0.5 * self.tol, float(Fraction(total, sum(weights)))))
        self.lo = self.first + math.ceil(self.offset - self.tol)
        self.hi = self.first + math.floor(self.offset + self.tol)

    @property
    def place(self) -> tuple[int, float, int, int, int]:
        """By price, then by birth."""
        down = math.floor(self.offset)
        return self.first + down, self.offset - down, self.born, self.first, self.source

    @property
    def n(self) -> int:
        return self.made + len(self.members) + len(self.touches)

    def above(self, price: int) -> float:
        return (price - self.first) - self.offset

    def traded(self, bar: B) -> bool:
        return bar.h >= self.lo and bar.l <= self.hi

    def shares(self, t: int, max_age: int, vmed: float) -> tuple[float, float, float, float]:
        last = max([self.born, *self.joins, *self.touches])
        volume = min(1.0, self.volume / (4 * vmed)) if vmed > 0 else 0.5
        counted = sum(t - u <= max_age for u in self.breaks)
        return min(1.0, self.n / 6), math.exp2(-(t - last) / 250.0), volume, float(counted)

    def strength(self, t: int, max_age: int, vmed: float) -> float:
        count, age, volume, breaks = self.shares(t, max_age, vmed)
        return max(0.0, count * 0.5 + age * 0.3 + volume * 0.2 - 0.15 * breaks)


class Levels:
    def __init__(self, bars: list[B], p: Any, atrs: list[float | None], vmeds: list[float]) -> None:
        self.bars, self.p, self.atrs, self.vmeds = bars, p, atrs, vmeds
        self.swings: list[Level] = []
        self.statics: list[Level] = []
        self.pair: int | None = None
        self.events: list[Ev] = []

    def tell(self, level: Level, t: int, step: int, kind: str, parent: Any = None) -> None:
        if not level.reported and (level.n < 2 or kind == "LEVEL_EXPIRED"):
            return
        birth = not level.reported
        level.reported = True
        self.events.append(
            LevelEv(
                t, (step, 8, len(self.events)), "LEVEL" if birth else kind, level.side, level.origin, level.hi,
                level.lo, level.first + round(level.offset), level.strength(t, self.p.max_age, self.vmeds[t]),
                level.shares(t, self.p.max_age, self.vmeds[t]), level.n, 0, parent if birth else level,
                level if birth else None, source=level.source, volume=level.volume,
            )
        )  # fmt: skip

    def tol(self, t: int) -> float:
        return max(float(self.p.sr_tol_ticks), self.p.sr_tol_atr * (self.atrs[t] or 0.0))

    def role(self, level: Level, t: int, on: int) -> int:
        if level.above(self.bars[t].c) == 0 and on:
            return on
        off = [level.above(bar.c) for bar in self.bars[max(0, t - 1023) : t + 1] if level.above(bar.c) != 0]
        return 0 if not off else 1 if off[-1] > 0 else -1

    # ------------------------------------------------------------ step 2

    def react(self, t: int) -> None:
        self.swings = [x for x in self.swings if x.n >= 2 or t - x.born <= self.p.max_age]
        for levels in (self.swings, self.statics):
            for level in sorted(levels, key=lambda x: x.place):
                if not self.survives(level, t):
                    levels.remove(level)

    def survives(self, level: Level, t: int) -> bool:
        bar = self.bars[t]
        if level.side == 0:
            level.side = 0 if level.above(bar.c) == 0 else 1 if level.above(bar.c) > 0 else -1
        elif (level.side > 0 and bar.c < level.lo) or (level.side < 0 and bar.c > level.hi):
            level.side = -level.side
            level.breaks.append(t)
            dead = sum(t - u <= self.p.max_age for u in level.breaks) == 3
            if level.reported:
                self.tell(level, t, 2, "LEVEL_DEAD" if dead else "LEVEL_BROKEN")
            return not dead
        elif level.traded(bar) and not level.traded(self.bars[t - 1]) and level.side * level.above(bar.c) > 0:
            level.touches.append(t)
            self.tell(level, t, 2, "LEVEL_TOUCHED")
        return True

    # ------------------------------------------------------------ step 7: swings

    def target(self, side: int, price: int) -> Level | None:
        near = [x for x in self.swings if x.lo <= price <= x.hi]
        return min(near, key=lambda x: (abs(x.above(price)), x.born, -side * x.first), default=None)

    def take(self, t: int, i: int, found: list[tuple[int, int]]) -> None:
        """found: (side, price) of bar i, the high first."""
        bar = self.bars[i]
        placed = [(side, price, self.target(side, price)) for side, price in found]
        joined = list(dict.fromkeys(level for _, _, level in placed if level is not None))
        for level in joined:
            for _, price, own in placed:
                if own is level:
                    self.join(level, t, i, price, bar.v)
            self.tell(level, t, 7, "LEVEL_JOINED")
        fresh = [(side, price) for side, price, level in placed if level is None]
        if not fresh or not self.atrs[t]:
            return
        if len(fresh) > self.p.max_zones:
            nearest = min(abs(price - self.bars[t].c) for _, price in fresh)
            fresh = [swing for swing in fresh if abs(swing[1] - self.bars[t].c) == nearest]
            if len(fresh) == 2:
                return
        while len(self.swings) + len(fresh) > self.p.max_zones:
            self.make_room(t)
        for side, price in fresh:
            level = Level(price, self.tol(t), t)
            self.join(level, t, i, price, bar.v)
            level.side = self.role(level, t, -side)
            self.swings.append(level)

    def join(self, level: Level, t: int, i: int, price: int, volume: int) -> None:
        level.members.append((price, volume))
        level.joins.append(t)
        level.volume += volume
        level.origin = i
        level.put()

    def make_room(self, t: int) -> None:
        def rank(x: Level) -> tuple[float, int, float]:
            return x.strength(t, self.p.max_age, self.vmeds[t]), x.born, -abs(x.above(self.bars[t].c))

        least = min(rank(x) for x in self.swings)
        gone = [x for x in self.swings if rank(x) == least]
        for level in sorted(gone, key=lambda x: x.place):
            self.tell(level, t, 7, "LEVEL_EXPIRED")
            self.swings.remove(level)

    # ------------------------------------------------------------ step 7: static levels

    def end(self, t: int, level: Level) -> None:
        self.tell(level, t, 7, "LEVEL_EXPIRED")
        self.statics.remove(level)

    def start(self, t: int, level: Level, on: int, parent: Any) -> None:
        level.made = 2
        level.side = self.role(level, t, on)
        self.tell(level, t, 7, "LEVEL", parent)
        self.statics.append(level)

    def period(self, t: int, x: Period) -> None:
        for part in (HIGH, LOW, MID, CLOSE):
            for level in [y for y in self.statics if y.source == 10 * x.kind + part]:
                self.end(t, level)
        if not self.atrs[t]:
            return
        for part, price, i, volume, on in (
            (HIGH, x.high, x.high_bar, x.high_volume, -1),
            (LOW, x.low, x.low_bar, x.low_volume, 1),
        ):
            level = Level(price, self.tol(t), t, 10 * x.kind + part, volume=volume, origin=i)
            self.start(t, level, on, x.event)
        if x.kind not in (DAY, WEEK):
            return
        here = self.bars[t].v
        middle = Fraction(x.high + x.low, 2)
        first = math.ceil(middle) if x.close > middle else math.floor(middle)
        offset = float(middle - first)
        tol = max(self.tol(t), abs(offset))
        self.start(t, Level(first, tol, t, 10 * x.kind + MID, offset, volume=here, origin=t), 0, x.event)
        self.start(t, Level(x.close, self.tol(t), t, 10 * x.kind + CLOSE, volume=here, origin=t), 0, x.event)

    def round_numbers(self, t: int) -> None:
        step, close = self.p.round_step, self.bars[t].c
        if not step or not self.atrs[t]:
            return
        old = () if self.pair is None else (self.pair, self.pair + step)
        if old and old[0] <= close <= old[1]:
            return
        if close % step:
            low = close - close % step
        elif not old:
            return
        else:
            low = close - step if close > old[1] else close
        self.pair = low
        for price in old:
            if price not in (low, low + step):
                for level in [x for x in self.statics if x.source == ROUND and x.first == price]:
                    self.end(t, level)
        for price, on in ((low, 1), (low + step, -1)):
            if price not in old:
                level = Level(price, self.tol(t), t, ROUND, volume=self.bars[t].v, origin=t)
                self.start(t, level, on, None)


def period_values(period: Any, event: Any, bars: list[B]) -> Period:
    """A finished period of ref_periods as levels see it; `event` stands for its own event."""
    return Period(
        EventCode[period.kind], period.high, period.low, period.close, period.high_bar, period.low_bar,
        bars[period.high_bar].v, bars[period.low_bar].v, event,
    )  # fmt: skip


def level_events(
    bars: list[B],
    p: Any,
    known: list[tuple[int, int, int]],
    atrs: list[float | None],
    vmeds: list[float],
    periods: Iterable[tuple[int, Period]] = (),
) -> list[Ev]:
    """Events of section 8. known: as `ref_smc.swings`; periods: (bar at whose close it is known, values), in order."""
    levels = Levels(bars, p, atrs, vmeds)
    ended = list(periods)
    for t in range(len(bars)):
        levels.react(t)
        found = [(side, price) for i, side, price in known if i + p.R == t]
        levels.take(t, t - p.R, found)
        for at, period in ended:
            if at == t:
                levels.period(t, period)
        levels.round_numbers(t)
    return levels.events
