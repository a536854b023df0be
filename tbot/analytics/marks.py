"""What a trader would mark on a chart, taken from events: bands, lines and points by bar number, prices in ticks.

A mark begins with the bar at whose close it became known (`known`); where it was drawn from (`origin`) is kept beside.
A birth that is a record only (flag DUPLICATE: another zone stands for it) has no life of its own and is no mark.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tbot.analytics.detect import Events, bounds
from tbot_ext.records import NO_PRICE, EventCode, Flag

E = EventCode


class Row(NamedTuple):
    """One event, plain numbers."""

    id: int
    parent: int
    kind: int
    side: int
    origin: int
    known: int
    top: int
    bottom: int
    score: float
    n: int


@dataclass(frozen=True, slots=True)
class Band:
    """A zone: OB, FVG, IFVG (an inverted gap), BREAKER, MITIGATION, LEVEL."""

    id: int
    kind: str
    side: int
    origin: int
    known: int
    end: int | None  # bar at whose close it ended, None while it lives
    top: int
    bottom: int
    score: float
    state: str  # active, tested, mitigated, broken, ...
    n: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A level: POOL, BOS, CHOCH, MSS and the highs and lows of periods (PDH, PWL, ...)."""

    id: int
    kind: str
    side: int
    price: int
    origin: int
    known: int
    end: int | None
    n: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """SWING_HIGH, SWING_LOW and SWEEP; a sweep's extreme lies on one of the bars from `bar` to `known`."""

    id: int
    kind: str
    side: int
    bar: int
    known: int
    price: int


@dataclass(frozen=True, slots=True)
class Marks:
    bands: tuple[Band, ...]
    lines: tuple[Line, ...]
    points: tuple[Point, ...]


_BIRTHS = {
    E.OB: "OB", E.FVG: "FVG", E.BREAKER: "BREAKER", E.MITIGATION_BLOCK: "MITIGATION", E.LEVEL: "LEVEL",
}  # fmt: skip
_STATES = {
    E.OB_TESTED: "tested", E.OB_MITIGATED: "mitigated", E.FVG_TOUCHED: "touched", E.FVG_HALF: "half",
    E.BREAKER_TESTED: "tested", E.MITIGATION_TESTED: "tested", E.LEVEL_TOUCHED: "touched",
}  # fmt: skip
_ENDS = {
    E.OB_BROKEN: "broken", E.OB_EXPIRED: "expired", E.FVG_FILLED: "filled", E.FVG_EXPIRED: "expired",
    E.FVG_DEAD: "dead", E.BREAKER_DEAD: "dead", E.BREAKER_EXPIRED: "expired", E.MITIGATION_DEAD: "dead",
    E.MITIGATION_EXPIRED: "expired", E.LEVEL_DEAD: "dead", E.LEVEL_EXPIRED: "expired",
}  # fmt: skip
_PERIODS = {
    E.DAY: ("PDH", "PDL"), E.WEEK: ("PWH", "PWL"), E.ASIA: ("Asia H", "Asia L"), E.LONDON: ("London H", "London L"),
    E.NEW_YORK: ("NY H", "NY L"), E.OPENING_15: ("OR15 H", "OR15 L"), E.OPENING_30: ("OR30 H", "OR30 L"),
}  # fmt: skip
PERIOD_NAMES = frozenset(name for names in _PERIODS.values() for name in names)


def rows_of(events: Events) -> list[Row]:
    """Events as rows of plain numbers, without those that are records only."""
    events = events[(events["flags"] & int(Flag.DUPLICATE)) == 0]
    top, bottom = bounds(events)
    columns: list[Any] = [
        events[name].tolist() for name in ("id", "parent_id", "kind", "side", "origin", "known", "score", "n")
    ]
    ids, parents, kinds, sides, origins, knowns, scores, numbers = columns
    parts = zip(
        ids, parents, kinds, sides, origins, knowns, top.tolist(), bottom.tolist(), scores, numbers, strict=True
    )
    return [Row(*part) for part in parts]


def marks_of(events: Events, kinds: Collection[EventCode], first: int, last: int) -> Marks:
    """Everything of these kinds that was there between the closes of bars `first` and `last`."""
    rows = [row for row in rows_of(events) if row.known <= last]
    wanted = {int(kind) for kind in kinds}
    bands = _bands(rows, wanted)
    lines = [*_breaks(rows, wanted), *_pools(rows, wanted), *_periods(rows, wanted)]
    return Marks(
        tuple(band for band in bands if _there(band, first)),
        tuple(line for line in lines if _there(line, first)),
        tuple(point for point in _points(rows, wanted) if point.bar >= first),
    )


def _there(mark: Band | Line, first: int) -> bool:
    return mark.end is None or mark.end >= first


def _bands(rows: Iterable[Row], wanted: Collection[int]) -> list[Band]:
    bands: dict[int, Band] = {}
    inverted: dict[int, Band] = {}
    for row in rows:
        kind = E(row.kind)
        if kind in _BIRTHS and row.kind in wanted:
            bands[row.id] = Band(
                row.id, _BIRTHS[kind], row.side, row.origin, row.known, None, row.top, row.bottom, row.score, "active",
                row.n,
            )  # fmt: skip
        band = bands.get(row.parent)
        if band is None:
            continue
        if kind == E.FVG_INVERTED:
            inverted[band.id] = replace(
                band, kind="IFVG", side=row.side, origin=row.known, known=row.known, end=None, state="inverted"
            )
        elif kind in _ENDS and band.id in inverted:
            inverted[band.id] = replace(inverted[band.id], end=row.known, state=_ENDS[kind])
        elif kind in _ENDS:
            bands[band.id] = replace(band, end=row.known, state=_ENDS[kind])
        elif kind in _STATES:
            bands[band.id] = replace(band, state=_STATES[kind], n=max(row.n, band.n))
        elif kind == E.OB_REFRESHED:
            bands[band.id] = replace(band, score=row.score)
        elif kind == E.LEVEL_JOINED:
            bands[band.id] = replace(band, top=row.top, bottom=row.bottom, n=row.n)
        elif kind == E.LEVEL_BROKEN:
            bands[band.id] = replace(band, side=row.side, state="flipped")
    return [*bands.values(), *inverted.values()]


def _breaks(rows: Iterable[Row], wanted: Collection[int]) -> list[Line]:
    lines: dict[int, Line] = {}
    for row in rows:
        if row.kind in (E.BOS, E.CHOCH, E.MSS) and row.kind in wanted:
            line = Line(row.id, E(row.kind).name, row.side, row.top, row.origin, row.known, row.known)
            if row.kind == E.MSS and row.parent in lines:  # the same line, under its stronger name
                lines[row.parent] = replace(lines[row.parent], kind="MSS")
            else:
                lines[row.id] = line
    return list(lines.values())


def _outer(row: Row) -> int:
    """The level of a pool: its furthest member, beyond which the stops rest."""
    return row.top if row.side > 0 else row.bottom


def _pools(rows: Iterable[Row], wanted: Collection[int]) -> list[Line]:
    pools: dict[int, Line] = {}
    for row in rows:
        if row.kind == E.POOL and row.kind in wanted:
            pools[row.id] = Line(row.id, "POOL", row.side, _outer(row), row.origin, row.known, None, row.n)
        pool = pools.get(row.parent)
        if pool is None:
            continue
        if row.kind == E.POOL_JOINED:
            pools[pool.id] = replace(pool, price=_outer(row), n=row.n)
        elif row.kind in (E.SWEEP, E.RUN, E.POOL_EXPIRED) and pool.end is None:
            pools[pool.id] = replace(pool, end=row.known)
    return list(pools.values())


def _periods(rows: Iterable[Row], wanted: Collection[int]) -> list[Line]:
    """High and low of each finished period, in force until the next one of its kind is finished."""
    lines: list[Line] = []
    newest: dict[int, int] = {}  # kind -> place of its high in lines
    for row in rows:
        if row.kind not in wanted or row.kind not in _PERIODS or NO_PRICE in (row.top, row.bottom):
            continue
        place = newest.get(row.kind)
        if place is not None:
            lines[place] = replace(lines[place], end=row.known)
            lines[place + 1] = replace(lines[place + 1], end=row.known)
        newest[row.kind] = len(lines)
        high, low = _PERIODS[E(row.kind)]
        lines.append(Line(row.id, high, 1, row.top, row.origin, row.known, None))
        lines.append(Line(row.id, low, -1, row.bottom, row.origin, row.known, None))
    return lines


def _points(rows: Iterable[Row], wanted: Collection[int]) -> list[Point]:
    points = []
    for row in rows:
        if row.kind not in wanted:
            continue
        if row.kind in (E.SWING_HIGH, E.SWING_LOW):
            points.append(Point(row.id, E(row.kind).name, row.side, row.origin, row.known, row.top))
        elif row.kind == E.SWEEP:
            price = row.bottom if row.side > 0 else row.top
            points.append(Point(row.id, "SWEEP", row.side, row.origin, row.known, price))
    return points


def most_relevant(bands: Iterable[Band], price: int, most: Mapping[str, tuple[int, int]]) -> list[Band]:
    """By kind in the order of `most`: so many of the living, nearest first, and of those that are over, best first.

    A band that lies mostly inside another of its side that was chosen before adds nothing and is left out.
    """
    chosen: list[Band] = []
    everything = list(bands)
    for kind, (live, ended) in most.items():
        group = [band for band in everything if band.kind == kind]
        alive = [band for band in group if band.end is None]
        over = [band for band in group if band.end is not None]
        alive.sort(key=lambda b: (max(b.bottom - price, price - b.top, 0), -b.score, b.id))
        over.sort(key=lambda b: (-b.score, -b.id))
        for candidates, limit in ((alive, live), (over, ended)):
            taken = 0
            for band in candidates:
                if taken < limit and not any(_covers(other, band) for other in chosen):
                    chosen.append(band)
                    taken += 1
    return sorted(chosen, key=lambda b: (b.known, b.id))


def _covers(other: Band, band: Band) -> bool:
    """`other` shows most of what `band` would: same side, over six tenths of its height, while it is there."""
    common = min(other.top, band.top) - max(other.bottom, band.bottom)
    if other.side != band.side or common * 10 <= 6 * (band.top - band.bottom):
        return False
    if (other.kind == "LEVEL") != (band.kind == "LEVEL"):
        return False
    return other.end is None or (band.end is not None and other.known <= band.known and band.end <= other.end)
