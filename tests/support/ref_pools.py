"""Slow, obvious reference for smc.md section 9: liquidity pools, sweeps and runs, both sides written out.

A pool is the list of its members; level, strength and tolerance are worked out from them whenever they are asked for,
and every bar looks at every pool there ever was. A run is closed back when the bars since it say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor
from types import SimpleNamespace
from typing import Any

from tbot_ext.records import EventCode

FIRST_PERIOD, LAST_PERIOD = 60, 64  # EventCode of DAY .. NEW_YORK


@dataclass(frozen=True)
class Member:
    bar: int
    price: int
    volume: int
    weight: int
    known: int


@dataclass(eq=False)
class Pool:
    side: int
    born: int
    tol: int
    source: int
    members: list[Member]
    number: int  # in order of birth
    marks: set[int] = field(default_factory=set)
    end: int | None = None  # taken or expired
    swept: int | None = None  # by this bar, at its own close
    ran: int | None = None  # beyond it at this bar's close
    strength: float = 0.0  # when taken

    @property
    def level(self) -> int:
        prices = [member.price for member in self.members]
        return max(prices) if self.side > 0 else min(prices)

    @property
    def count(self) -> int:
        return sum(member.weight for member in self.members)

    @property
    def volume(self) -> int:
        return sum(member.volume for member in self.members)


@dataclass
class PoolEvent:
    t: int
    step: tuple[int, ...]
    kind: str
    side: int
    origin: int
    top: int
    bottom: int
    level: int
    score: float
    parts: tuple[float, ...]
    n: int
    source: int
    volume: int
    flags: int = 0
    zone: Pool | None = None
    born: Pool | None = None


def clip(x: float) -> float:
    return min(1.0, max(0.0, x))


def volume_factor(volume: float, mean: float) -> float:
    return clip(volume / (2 * mean)) if mean > 0 else 0.5


def period_values(period: Any, bars: Sequence[Any]) -> SimpleNamespace:
    """What `Pools.period` wants of a finished period of ref_periods."""
    return SimpleNamespace(
        kind=EventCode[period.kind], high=period.high, low=period.low, high_bar=period.high_bar, low_bar=period.low_bar,
        high_volume=bars[period.high_bar].v, low_volume=bars[period.low_bar].v,
        high_gone=period.high_broken == period.t, low_gone=period.low_broken == period.t,
    )  # fmt: skip


class Pools:
    def __init__(self, bars: Sequence[Any], p: Any, atrs: Sequence[float | None], vmeds: Sequence[float]) -> None:
        self.bars, self.p, self.atrs, self.vmeds = bars, p, atrs, vmeds
        self.all: list[Pool] = []
        self.events: list[PoolEvent] = []

    def live(self, side: int) -> list[Pool]:
        """Nearest first, of equal levels the older one."""
        pools = [pool for pool in self.all if pool.side == side and pool.end is None]
        if side > 0:
            return sorted(pools, key=lambda pool: (pool.level, pool.number))
        return sorted(pools, key=lambda pool: (-pool.level, pool.number))

    def strength(self, pool: Pool, t: int) -> float:
        return pool.count + clip((t - pool.born) / 100) + volume_factor(pool.volume, self.vmeds[t])

    def say(self, t: int, step: int, kind: str, pool: Pool, zone: Pool | None, born: Pool | None = None) -> None:
        prices = [member.price for member in pool.members]
        self.events.append(
            PoolEvent(
                t, (step, 9, len(self.events)), kind, pool.side, pool.members[-1].bar, max(prices), min(prices),
                pool.level, self.strength(pool, t), (), pool.count, pool.source, pool.volume, 0, zone, born,
            )
        )  # fmt: skip

    # ------------------------------------------------------------ reactions

    def expire(self, t: int, side: int) -> None:
        for pool in self.live(side):
            if not pool.marks and t - pool.members[-1].known > self.p.max_age:
                self.say(t, 2, "POOL_EXPIRED", pool, pool)
                pool.end = t

    def take(self, t: int, side: int) -> None:
        bar = self.bars[t]
        place = 0
        for pool in self.live(side):
            if not (bar.h > pool.level if side > 0 else bar.l < pool.level):
                continue
            place += 1
            pool.end, pool.strength = t, self.strength(pool, t)
            if bar.c < pool.level if side > 0 else bar.c > pool.level:
                pool.swept = t
                self.say_taken(t, t, "SWEEP", pool, place)
            else:
                pool.ran = t
                self.say_taken(t, t, "RUN", pool, place)

    def reclaim(self, t: int, side: int) -> None:
        place = 0
        waiting = [pool for pool in self.all if pool.side == side and pool.ran is not None]
        waiting.sort(key=lambda pool: (side * pool.level, pool.number))
        for pool in waiting:
            assert pool.ran is not None
            if not 1 <= t - pool.ran <= self.p.sweep_reclaim:
                continue
            closes = [bar.c for bar in self.bars[pool.ran : t + 1]]
            inside = [c < pool.level if side > 0 else c > pool.level for c in closes]
            if inside[-1] and not any(inside[:-1]):
                place += 1
                self.say_taken(t, pool.ran, "SWEEP", pool, place)

    def say_taken(self, t: int, u: int, kind: str, pool: Pool, place: int) -> None:
        """Bars u..t as one candle."""
        candle = self.bars[u : t + 1]
        high, low = max(bar.h for bar in candle), min(bar.l for bar in candle)
        open_, close = candle[0].o, candle[-1].c
        volume = sum(bar.v for bar in candle)
        if pool.side > 0:
            wick, depth, top, bottom = high - max(open_, close), high - pool.level, high, pool.level
        else:
            wick, depth, top, bottom = min(open_, close) - low, pool.level - low, pool.level, low
        parts = (
            clip(pool.strength / 4),
            wick / (high - low) if high > low else 0.0,
            volume_factor(volume / len(candle), self.vmeds[t]),
            1.0 if depth <= 0.5 * (self.atrs[t] or 0.0) else 0.0,
            float(t - u),
        )
        score = 0.35 * parts[0] + 0.35 * parts[1] + 0.2 * parts[2] + 0.1 * parts[3] if kind == "SWEEP" else 0.0
        side = -pool.side if kind == "SWEEP" else pool.side
        self.events.append(
            PoolEvent(
                t, (2, 9, len(self.events)), kind, side, u, top, bottom, pool.level, score, parts, place, pool.source,
                volume, 0, pool,
            )
        )  # fmt: skip

    # ------------------------------------------------------------ births

    def swing(self, t: int, i: int, side: int, price: int) -> None:
        member = Member(i, price, self.bars[i].v, 1, t)
        swept = [pool for pool in self.all if pool.side == side and pool.swept == i]
        if swept:
            old = max(swept, key=lambda pool: (side * pool.level, pool.number))
            if abs(price - old.level) <= old.tol:
                self.open(t, Pool(side, t, old.tol, old.source, [*old.members, member], len(self.all)), old)
                return
        self.enter(t, side, member, 0, set())

    def enter(self, t: int, side: int, member: Member, source: int, marks: set[int]) -> None:
        pools = [pool for pool in self.live(side) if abs(member.price - pool.level) <= pool.tol]
        if pools:
            pool = min(pools, key=lambda pool: (abs(member.price - pool.level), side * pool.level, pool.number))
            pool.members.append(member)
            pool.source = source or pool.source
            pool.marks |= marks
            self.say(t, 7, "POOL_JOINED", pool, pool)
            return
        atr = self.atrs[t]
        if atr:
            tol = max(self.p.eq_tol_ticks, floor(self.p.eq_tol_atr * atr))
            self.open(t, Pool(side, t, tol, source, [member], len(self.all), marks), None)

    def open(self, t: int, pool: Pool, parent: Pool | None) -> None:
        live = self.live(pool.side)
        if len(live) >= self.p.max_zones:
            weakest = min(live, key=lambda other: (self.strength(other, t), other.number))
            self.say(t, 7, "POOL_EXPIRED", weakest, weakest)
            weakest.end = t
        self.all.append(pool)
        self.say(t, 7, "POOL", pool, parent, pool)

    def period(self, t: int, values: Any) -> None:
        """`values`: kind, high, low, high_bar, low_bar, high_volume, low_volume, high_gone, low_gone."""
        if not FIRST_PERIOD <= values.kind <= LAST_PERIOD:
            return
        for pool in self.all:
            pool.marks.discard(values.kind)
        if not values.high_gone:
            member = Member(values.high_bar, values.high, values.high_volume, 2, t)
            self.enter(t, 1, member, 10 * values.kind + 1, {values.kind})
        if not values.low_gone:
            member = Member(values.low_bar, values.low, values.low_volume, 2, t)
            self.enter(t, -1, member, 10 * values.kind + 2, {values.kind})

    def run(self, known: Sequence[tuple[int, int, int]], periods: Sequence[tuple[int, Any]] = ()) -> list[PoolEvent]:
        """All events in order of emission. `known`: swings (bar, side, price) in order of becoming known; `periods`:
        (bar at which it became known, values) of finished periods in order of emission."""
        for t in range(len(self.bars)):
            for side in (1, -1):
                self.expire(t, side)
                self.take(t, side)
                self.reclaim(t, side)
            for i, side, price in known:
                if i + self.p.R == t:
                    self.swing(t, i, side, price)
            for when, values in periods:
                if when == t:
                    self.period(t, values)
        return self.events


def swept(events: Sequence[PoolEvent], side: int, first: int, last: int, now: int) -> bool:
    """Whether, as far as known at `now`, a bar in first..last swept a pool of that side (+1 buy-side)."""
    return any(
        event.kind == "SWEEP" and event.side == -side and first <= event.origin <= last and event.t <= now
        for event in events
    )
