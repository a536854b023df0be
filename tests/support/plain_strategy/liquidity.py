"""Liquidity pools and support/resistance levels that are alive, as events tell it. Rules: smc.md sections 8 to 10.

Both are kept the same way: a price, and the side of the trade that they serve when they lie close to its zone. A pool
below lows and a support serve a long; a pool above highs and a resistance serve a short. Whatever serves the other side
is where a trade may be met: its target.

A pool lives until it is run, swept or expired; a re-formed pool is a new one that takes its old one's place. A level
lives until it is dead or expired; when it breaks it changes roles. One whose role is not known yet (a middle or a close
that no close has left) serves nobody until an event of it tells. Prices are kept in order, so that an event and a
decision cost a binary search.
"""

from bisect import bisect_left, insort
from math import ceil, floor

from plain_strategy.events import EventRow
from tbot_ext.records import EventCode, Source

# The pipeline keeps a few hundred pools and levels in all; the bound is for a broken stream.
_MAX_PLACES = 4096

_POOL_ENDS = frozenset({EventCode.RUN, EventCode.SWEEP, EventCode.POOL_EXPIRED})
_LEVEL_ENDS = frozenset({EventCode.LEVEL_DEAD, EventCode.LEVEL_EXPIRED})
_ENDS = _POOL_ENDS | _LEVEL_ENDS
_MOVES = frozenset({EventCode.POOL_JOINED, EventCode.LEVEL_JOINED, EventCode.LEVEL_TOUCHED})
_BIRTHS = frozenset({EventCode.POOL, EventCode.LEVEL})
LIQUIDITY_EVENTS = _ENDS | _MOVES | _BIRTHS | {EventCode.LEVEL_BROKEN}


class Place:
    """A price at which orders rest. Prices in ticks."""

    __slots__ = (
        "event_ids",
        "id",
        "is_pool",
        "known_ns",
        "level",
        "members",
        "score",
        "serves",
        "source",
        "timeframe_min",
    )

    def __init__(self, birth: EventRow) -> None:
        self.id = birth.id
        self.is_pool = birth.kind == EventCode.POOL
        self.level = birth.level
        # Side of the trades whose stop it guards: a pool's stops rest beyond it, so those above highs serve a short.
        self.serves = -birth.side if self.is_pool else birth.side
        self.timeframe_min = birth.timeframe_min
        self.source = birth.source
        self.members = birth.n
        self.score = birth.score
        self.known_ns = birth.known_ns
        self.event_ids: tuple[int, ...] = (birth.id,)

    @property
    def key(self) -> tuple[int, ...]:
        """What makes two places one: every timeframe and both detectors tell of the same previous day's high."""
        return (self.id,) if self.source == Source.SWING else (self.source, self.level)

    def state(self) -> tuple[object, ...]:
        """Everything that later outputs depend on, for digests."""
        return tuple(getattr(self, name) for name in self.__slots__)


class LiquidityBook:
    """All live pools and levels of one contract by the id of their birth event."""

    def __init__(self) -> None:
        self.live: dict[int, Place] = {}
        self._prices: dict[int, list[tuple[int, int]]] = {1: [], -1: [], 0: []}  # by side served: (level, id)
        self.dropped = 0  # by the bound; 0 with a sound pipeline

    def apply(self, event: EventRow) -> Place | None:
        """Take in an event of a pool or a level; returns the one that it ends. Unknown ones are passed over."""
        kind = event.kind
        if kind in _BIRTHS:
            self._add(Place(event), event.parent_id)
            return None
        if kind in _ENDS:
            return self._remove(event.parent_id)
        place = self.live.get(event.parent_id)
        if place is not None:
            self._unlist(place)
            if event.side and not place.is_pool:
                place.serves = event.side
            if kind in _MOVES:
                place.level, place.members, place.score = event.level, event.n, event.score
            place.event_ids = (place.id, event.id)
            insort(self._prices[place.serves], (place.level, place.id))
        return None

    def _add(self, place: Place, replaces: int) -> None:
        if place.is_pool:
            self._remove(replaces)
        self._remove(place.id)  # ids are unique in a sound stream
        self.live[place.id] = place
        insort(self._prices[place.serves], (place.level, place.id))
        if len(self.live) > _MAX_PLACES:
            self._remove(next(iter(self.live)))
            self.dropped += 1

    def _remove(self, place_id: int) -> Place | None:
        place = self.live.pop(place_id, None)
        if place is not None:
            self._unlist(place)
        return place

    def _unlist(self, place: Place) -> None:
        prices = self._prices[place.serves]
        del prices[bisect_left(prices, (place.level, place.id))]

    def neighbours(self, side: int, bottom: int, top: int, within: float, least_tf: int) -> list[Place]:
        """What serves a trade of this side within so many ticks of a band, of `least_tf` minutes and longer.

        Oldest first; of several tellings of one place (same named source and price) the oldest stands for all.
        """
        prices = self._prices[side]
        first = bisect_left(prices, (ceil(bottom - within), -1))
        beyond = bisect_left(prices, (floor(top + within) + 1, -1))
        found: dict[tuple[int, ...], Place] = {}
        for place_id in sorted(place_id for _, place_id in prices[first:beyond]):
            place = self.live[place_id]
            if place.timeframe_min >= least_tf:
                found.setdefault(place.key, place)
        return list(found.values())

    def ahead(self, side: int, price: int, least: float) -> Place | None:
        """The nearest place against a trade of this side, at least so many ticks beyond `price`; None when none is.

        At the same price the one that is known longest is named.
        """
        prices = self._prices[-side]
        if side > 0:
            index = bisect_left(prices, (ceil(price + least), -1))
        else:
            index = bisect_left(prices, (floor(price - least) + 1, -1)) - 1
            if index >= 0:
                index = bisect_left(prices, (prices[index][0], -1))
        return self.live[prices[index][1]] if 0 <= index < len(prices) else None

    def state(self) -> tuple[object, ...]:
        """Everything that later outputs depend on, for digests. Order counts: it breaks ties."""
        return (tuple(place.state() for place in self.live.values()), self.dropped)
