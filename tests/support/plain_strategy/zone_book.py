"""The zones of one contract that are alive, and which of them price enters. Rules: smc.md sections 5, 6, 7 and 11.

A zone's life is told by the events of its own timeframe. That price *enters* it is seen on the entry timeframe, whose
bars close first: a one-hour zone is entered in the minute in which it happens, not when its hour is over.

A breaker is a zone of its own with its own id and tests; a birth with the flag DUPLICATE is a record, not a zone.
"""

from collections.abc import Iterable
from typing import Literal

from plain_strategy.events import EventRow
from tbot_ext.records import EventCode, Flag

ZoneKind = Literal["ob", "fvg", "ifvg", "breaker", "mitigation"]

# The pipeline keeps 64 zones per side, kind and timeframe, fewer than this in all; the bound is for a broken stream.
_MAX_ZONES = 4096
_NEVER = 2**62  # beyond any price

_DUPLICATE = int(Flag.DUPLICATE)

_BIRTHS: dict[int, tuple[ZoneKind, float]] = {
    # kind of zone, and the factor that brings its score to 0..100
    EventCode.OB: ("ob", 1.0),
    EventCode.FVG: ("fvg", 100.0),
    EventCode.BREAKER: ("breaker", 1.0),
    EventCode.MITIGATION_BLOCK: ("mitigation", 1.0),
}
_COUNTED_TESTS = frozenset({EventCode.OB_TESTED, EventCode.BREAKER_TESTED, EventCode.MITIGATION_TESTED})
_TESTS = _COUNTED_TESTS | {EventCode.OB_MITIGATED, EventCode.FVG_TOUCHED, EventCode.FVG_HALF}
_ENDS = frozenset(
    {
        EventCode.OB_BROKEN,
        EventCode.OB_EXPIRED,
        EventCode.FVG_EXPIRED,
        EventCode.FVG_DEAD,
        EventCode.BREAKER_DEAD,
        EventCode.BREAKER_EXPIRED,
        EventCode.MITIGATION_DEAD,
        EventCode.MITIGATION_EXPIRED,
    }
)
_INVERTED, _FILLED, _REFRESHED = int(EventCode.FVG_INVERTED), int(EventCode.FVG_FILLED), int(EventCode.OB_REFRESHED)
ZONE_EVENTS = frozenset(_BIRTHS) | _TESTS | _ENDS | {
    EventCode.OB_REFRESHED,
    EventCode.FVG_FILLED,
    EventCode.FVG_INVERTED,
}  # fmt: skip


class Zone:
    """A price band in which we expect price to turn. Prices in ticks, score 0..100."""

    __slots__ = (
        "bottom",
        "event_ids",
        "id",
        "inside",
        "kind",
        "known_ns",
        "parts",
        "score",
        "side",
        "tests",
        "timeframe_min",
        "top",
    )

    def __init__(self, birth: EventRow, kind: ZoneKind, side: int, score: float, zone_id: int) -> None:
        self.id = zone_id  # of the birth event, also after a gap inverted
        self.kind: ZoneKind = kind
        self.side = side  # +1 demand, -1 supply
        self.timeframe_min = birth.timeframe_min
        self.top = birth.top
        self.bottom = birth.bottom
        self.score = score
        self.parts = birth.parts  # components of the score, in the order of its formula
        self.known_ns = birth.known_ns
        self.tests = 0
        self.inside = False  # price has not left since the last test
        self.event_ids: tuple[int, ...] = (birth.id,)

    @property
    def proximal(self) -> int:
        """The edge that price reaches first."""
        return self.top if self.side > 0 else self.bottom

    @property
    def distal(self) -> int:
        """The far edge."""
        return self.bottom if self.side > 0 else self.top

    def state(self) -> tuple[object, ...]:
        """Everything that later outputs depend on, for digests."""
        return tuple(getattr(self, name) for name in self.__slots__)


class ZoneBook:
    """All live zones by the id of their birth event."""

    def __init__(self, traded_timeframes: tuple[int, ...], max_tests: int) -> None:
        self._traded = frozenset(traded_timeframes)
        self._max_tests = max_tests
        self.live: dict[int, Zone] = {}
        self._filled: dict[int, Zone] = {}  # gaps that are no zones any more but may still invert
        self._watched: dict[int, Zone] = {}  # live zones of a traded timeframe that may still be tested
        # Prices that a bar must reach to change any watched zone: nearest edges of those it is outside of, and of those
        # it is inside of. Too near is safe, it costs a walk: additions move them, removals do not, a walk starts anew.
        self._enter_low, self._enter_high = -_NEVER, _NEVER
        self._leave_low, self._leave_high = -_NEVER, _NEVER
        self.passed_through = 0  # bars beyond a zone that never traded inside it
        self.dropped = 0  # by the bound; 0 with a sound pipeline

    def apply(self, event: EventRow) -> int | None:
        """Take in a zone event; returns the id of a zone that stopped being tradable, else None."""
        kind = event.kind
        birth = _BIRTHS.get(kind)
        if birth is not None:
            if event.flags & _DUPLICATE:
                return None
            self._add(Zone(event, birth[0], event.side, event.score * birth[1], event.id))
            return None
        zone = self.live.get(event.parent_id)
        if kind == _INVERTED:
            return self._invert(event)
        if kind in _ENDS:
            self._filled.pop(event.parent_id, None)
            return self._remove(event.parent_id)
        if zone is None:
            return None
        if kind == _FILLED:
            self._filled[zone.id] = zone
            return self._remove(zone.id)
        if kind == _REFRESHED:
            zone.score, zone.parts = event.score, event.parts
            zone.event_ids = (zone.event_ids[0], event.id)
        elif kind in _TESTS:
            # Normally the entry timeframe saw it first. It did not when its bars are missing: then the test is spent.
            tested = event.n if kind in _COUNTED_TESTS else 1
            zone.tests = max(zone.tests, tested)
            if zone.tests >= self._max_tests:
                self._watched.pop(zone.id, None)
        return None

    def enter(self, high: int, low: int, start_ns: int) -> list[Zone]:
        """The zones that a bar of the entry timeframe (prices in ticks) tests anew; zones born after its start are not.

        A bar wholly beyond a zone went through without trading inside it: the test is spent, nobody could have entered.
        """
        outside = self._enter_low < low and high < self._enter_high
        if outside and low <= self._leave_high and self._leave_low <= high:
            return []
        entered = []
        spent = []
        self._enter_low, self._enter_high, self._leave_low, self._leave_high = -_NEVER, _NEVER, -_NEVER, _NEVER
        for zone in self._watched.values():
            if zone.known_ns <= start_ns:
                if zone.side > 0:
                    reached, beyond = low <= zone.top, high < zone.bottom
                else:
                    reached, beyond = high >= zone.bottom, low > zone.top
                if reached and not zone.inside:
                    zone.tests += 1
                    if beyond:
                        self.passed_through += 1
                    else:
                        entered.append(zone)
                    if zone.tests >= self._max_tests:
                        spent.append(zone.id)
                zone.inside = reached
            self._guard(zone)
        for zone_id in spent:
            del self._watched[zone_id]
        return entered

    def neighbours(self, zone: Zone, within: float, least_tf: int) -> list[Zone]:
        """Other live zones of the same side within so many ticks, oldest first; of `least_tf` minutes and longer."""
        side, low, high = zone.side, zone.bottom - within, zone.top + within
        return [
            other
            for other in self.live.values()
            if other.bottom <= high
            and other.top >= low
            and other.side == side
            and other.timeframe_min >= least_tf
            and other.id != zone.id
        ]

    def nearest(self, timeframes: Iterable[int], price: int) -> list[Zone]:
        """Of each timeframe that has any: the newest live zone with `price` in it, else the newest of the nearest."""
        best: dict[int, tuple[int, Zone] | None] = dict.fromkeys(timeframes)
        for zone in self.live.values():  # oldest first
            minutes = zone.timeframe_min
            if minutes not in best:
                continue
            away = zone.bottom - price if price < zone.bottom else price - zone.top if price > zone.top else 0
            known = best[minutes]
            if known is None or away <= known[0]:
                best[minutes] = away, zone
        return [found[1] for found in best.values() if found is not None]

    def _add(self, zone: Zone) -> None:
        self.live[zone.id] = zone
        if zone.timeframe_min in self._traded:
            self._watched[zone.id] = zone
            self._guard(zone)
        for book in (self.live, self._filled):
            if len(book) > _MAX_ZONES:
                oldest = next(iter(book))
                del book[oldest]
                self._watched.pop(oldest, None)
                self.dropped += 1

    def _guard(self, zone: Zone) -> None:
        """Let the next bar that may change this zone walk."""
        if zone.side > 0:
            if zone.inside:
                if zone.top < self._leave_high:
                    self._leave_high = zone.top
            elif zone.top > self._enter_low:
                self._enter_low = zone.top
        elif zone.inside:
            if zone.bottom > self._leave_low:
                self._leave_low = zone.bottom
        elif zone.bottom < self._enter_high:
            self._enter_high = zone.bottom

    def _remove(self, zone_id: int) -> int | None:
        self._watched.pop(zone_id, None)
        return zone_id if self.live.pop(zone_id, None) is not None else None

    def _invert(self, event: EventRow) -> int | None:
        gap = self._filled.pop(event.parent_id, None) or self.live.get(event.parent_id)
        if gap is None:
            return None
        removed = self._remove(gap.id)
        # Same bounds, other side, a life of its own: its tests count from here.
        zone = Zone(event, "ifvg", -gap.side, gap.score, gap.id)
        zone.top, zone.bottom, zone.parts = gap.top, gap.bottom, gap.parts
        zone.event_ids = (gap.event_ids[0], event.id)
        self._add(zone)
        return removed

    def state(self) -> tuple[object, ...]:
        """Everything that later outputs depend on, for digests. Order counts: it breaks ties."""
        live = tuple(zone.state() for zone in self.live.values())
        filled = tuple(zone.state() for zone in self._filled.values())
        return (live, filled, tuple(self._watched), self.passed_through, self.dropped)
