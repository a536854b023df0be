"""Pools and levels as their events tell of them, and what a zone and a trade find among them."""

import pytest

from event_builder import START_NS, EventBuilder
from plain_strategy.events import rows_of
from plain_strategy.liquidity import LIQUIDITY_EVENTS, LiquidityBook, Place
from tbot_ext.records import EventCode, Source


class Shelf:
    """A book and the pen that writes its events."""

    def __init__(self) -> None:
        self.make, self.book = EventBuilder(), LiquidityBook()

    def near(self, side: int, within: float = 10, least_tf: int = 1) -> list[int]:
        """Ids of what serves this side near the band 100-110."""
        return [place.id for place in self._read().neighbours(side, 100, 110, within, least_tf)]

    def ahead(self, side: int, price: int = 100, least: float = 1) -> int | None:
        place = self._read().ahead(side, price, least)
        return None if place is None else place.id

    def place(self, place_id: int) -> Place:
        return self._read().live[place_id]

    def _read(self) -> LiquidityBook:
        for row in rows_of(self.make.take()):
            self.book.apply(row)
        return self.book


@pytest.mark.parametrize(("level", "near"), [(89, False), (90, True), (105, True), (120, True), (121, False)])
def test_near_is_to_the_tick_and_inside_counts(level: int, near: bool) -> None:
    shelf = Shelf()
    pool = shelf.make.pool(0, -1, level)
    assert shelf.near(+1) == ([pool] if near else [])
    assert shelf.near(-1) == []


def test_lows_and_supports_serve_a_long_highs_and_resistances_a_short() -> None:
    shelf = Shelf()
    below, above = shelf.make.pool(0, -1, 100), shelf.make.pool(0, +1, 110)
    support, resistance = shelf.make.level(0, +1, 100), shelf.make.level(0, -1, 110)
    assert shelf.near(+1) == [below, support]
    assert shelf.near(-1) == [above, resistance]
    assert shelf.ahead(+1) == above
    assert shelf.ahead(-1, 111) == below


@pytest.mark.parametrize("end", [EventCode.RUN, EventCode.SWEEP, EventCode.POOL_EXPIRED])
def test_a_taken_or_old_pool_is_gone(end: EventCode) -> None:
    shelf = Shelf()
    pool = shelf.make.pool(0, +1, 150)
    shelf.make.life(end, 1, 5, pool)
    assert shelf.ahead(+1) is None
    shelf.make.life(EventCode.SWEEP, 2, 5, pool)  # a late sweep after the run finds nothing
    assert shelf.ahead(+1) is None


def test_a_pool_that_another_joins_moves_and_grows() -> None:
    shelf = Shelf()
    pool = shelf.make.pool(0, +1, 150)
    joined = shelf.make.life(EventCode.POOL_JOINED, 1, 5, pool, level=152, n=2, score=0.5)
    place = shelf.place(pool)
    assert (place.level, place.members, place.score, place.event_ids) == (152, 2, 0.5, (pool, joined))


def test_a_re_formed_pool_takes_the_place_of_the_old_one() -> None:
    shelf = Shelf()
    old = shelf.make.pool(0, +1, 150)
    again = shelf.make.pool(1, +1, 151, parent_id=old, n=2)
    assert shelf.ahead(+1) == again
    assert list(shelf.book.live) == [again]


def test_a_broken_level_changes_roles_and_stays_where_it_is() -> None:
    shelf = Shelf()
    level = shelf.make.level(0, -1, 105)
    assert (shelf.near(-1), shelf.near(+1)) == ([level], [])
    broken = shelf.make.life(EventCode.LEVEL_BROKEN, 1, 5, level, side=1)
    assert (shelf.near(-1), shelf.near(+1)) == ([], [level])
    assert shelf.place(level).level == 105
    assert shelf.place(level).event_ids == (level, broken)


def test_a_level_without_a_role_serves_nobody_until_one_is_told() -> None:
    shelf = Shelf()
    level = shelf.make.level(0, 0, 105)
    assert (shelf.near(+1), shelf.near(-1)) == ([], [])
    assert (shelf.ahead(+1, 90), shelf.ahead(-1, 120)) == (None, None)
    shelf.make.life(EventCode.LEVEL_TOUCHED, 1, 5, level, level=105, n=3, side=-1)
    assert (shelf.near(-1), shelf.ahead(+1, 90)) == ([level], level)


@pytest.mark.parametrize("move", [EventCode.LEVEL_JOINED, EventCode.LEVEL_TOUCHED])
def test_a_level_moves_with_its_members(move: EventCode) -> None:
    shelf = Shelf()
    level = shelf.make.level(0, -1, 150)
    shelf.make.life(move, 1, 5, level, level=148, n=3)
    assert (shelf.place(level).level, shelf.place(level).members) == (148, 3)


@pytest.mark.parametrize("end", [EventCode.LEVEL_DEAD, EventCode.LEVEL_EXPIRED])
def test_a_dead_or_old_level_is_gone(end: EventCode) -> None:
    shelf = Shelf()
    shelf.make.life(end, 1, 5, shelf.make.level(0, -1, 150))
    assert shelf.ahead(+1) is None


def test_the_target_is_the_nearest_far_enough_and_the_oldest_at_one_price() -> None:
    shelf = Shelf()
    shelf.make.pool(0, +1, 109)
    shelf.make.pool(0, +1, 130, tf=60)
    first = shelf.make.level(0, -1, 110, tf=60)
    shelf.make.pool(0, +1, 110, tf=1)
    assert shelf.ahead(+1, 100, 10.0) == first  # exactly far enough
    assert shelf.ahead(+1, 100, 10.1) != first
    assert shelf.ahead(+1, 130, 0.1) is None  # nothing beyond
    assert shelf.ahead(-1, 100, 0.1) is None


def test_one_named_place_counts_once_however_often_it_is_told() -> None:
    shelf = Shelf()
    low = {"source": int(Source.DAY_LOW)}
    first = shelf.make.level(0, +1, 100, tf=60, **low)
    shelf.make.level(0, +1, 100, tf=5, **low)
    shelf.make.pool(0, -1, 100, tf=5, **low)
    other_price = shelf.make.level(0, +1, 101, tf=15, **low)
    other_name = shelf.make.level(0, +1, 100, tf=15, source=int(Source.WEEK_LOW))
    swings = [shelf.make.level(0, +1, 100, tf=tf) for tf in (60, 5)]  # found by two timeframes: two reasons
    assert shelf.near(+1) == [first, other_price, other_name, *swings]


def test_short_timeframes_can_be_left_out() -> None:
    shelf = Shelf()
    shelf.make.pool(0, -1, 100, tf=1)
    kept = shelf.make.pool(0, -1, 100, tf=5)
    assert shelf.near(+1, least_tf=5) == [kept]


def test_a_place_remembers_where_it_comes_from() -> None:
    shelf = Shelf()
    level = shelf.make.level(3, -1, 150, tf=15, source=int(Source.ROUND), score=0.25, n=4)
    place = shelf.place(level)
    assert (place.source, place.score, place.members, place.timeframe_min) == (Source.ROUND, 0.25, 4, 15)
    assert place.known_ns == START_NS + 180_000_000_000
    assert not place.is_pool


def test_what_is_said_of_unknown_places_is_harmless() -> None:
    shelf = Shelf()
    pool = shelf.make.pool(0, +1, 150)
    for kind in LIQUIDITY_EVENTS:
        if kind not in (EventCode.POOL, EventCode.LEVEL):
            shelf.make.life(kind, 1, 5, 424242)
    assert shelf.ahead(+1) == pool
    assert list(shelf.book.live) == [pool]


def test_the_mirror_image_finds_the_mirrored_places() -> None:
    """Prices in order or not: a search downwards finds what a search upwards finds in the turned market."""
    import random

    chance = random.Random(3)
    up, down, told = Shelf(), Shelf(), []
    for _ in range(400):
        level, side = chance.randint(60, 150), chance.choice([1, -1])
        if told and chance.random() < 0.5:
            place = chance.choice(told)
            up.make.life(EventCode.LEVEL_JOINED, 1, 5, place, level=level, side=side)
            down.make.life(EventCode.LEVEL_JOINED, 1, 5, place, level=-level, side=-side)
        else:
            told.append(up.make.level(0, side, level))
            assert down.make.level(0, -side, -level) == told[-1]
        if chance.random() < 0.3:
            gone = told.pop(chance.randrange(len(told)))
            for shelf in (up, down):
                shelf.make.life(EventCode.LEVEL_DEAD, 1, 5, gone)
        price, least = chance.randint(60, 150), chance.choice([0.5, 1, 3.5, 10])
        for look in (1, -1):
            found = up.ahead(look, price, least)
            assert found == down.ahead(-look, -price, least)
            away = [
                ((place.level - price) * look, place.id)
                for place in up.book.live.values()
                if place.serves == -look and (place.level - price) * look >= least
            ]
            assert found == (min(away)[1] if away else None)
            near = [place.id for place in down.book.neighbours(-look, -110, -100, 7.5, 1)]
            assert up.near(look, 7.5) == near
            served = [place.id for place in up.book.live.values() if place.serves == look]
            assert near == [one for one in served if 92.5 <= up.book.live[one].level <= 117.5]
    assert len(told) > 20


def test_an_id_told_twice_is_the_newer_one() -> None:
    shelf = Shelf()
    first = shelf.make.level(0, -1, 150)
    shelf.make.add(EventCode.LEVEL, 1, 5, id=first, side=-1, level=160, n=2)
    assert shelf.ahead(+1) == first
    assert shelf.place(first).level == 160
    shelf.make.life(EventCode.LEVEL_DEAD, 1, 5, first)
    assert shelf.ahead(+1) is None
