"""Entering and leaving zones, to the tick and to the nanosecond."""

import pytest

from event_builder import MINUTE_NS, START_NS, EventBuilder
from plain_strategy.events import rows_of
from plain_strategy.zone_book import ZoneBook
from tbot_ext.records import EventCode, Flag


def book_with(side: int, kind: str = "ob", max_tests: int = 1) -> tuple[ZoneBook, EventBuilder, int]:
    """A book with one 5m zone 100-110, known at START."""
    make, book = EventBuilder(), ZoneBook((5,), max_tests)
    zone = make.order_block(0, 5, side, 100, 110, 70.0) if kind == "ob" else make.gap(0, 5, side, 100, 110, 0.5)
    feed(book, make)
    return book, make, zone


def feed(book: ZoneBook, make: EventBuilder) -> list[int | None]:
    return [book.apply(row) for row in rows_of(make.take())]


@pytest.mark.parametrize(
    ("side", "high", "low", "entered", "passed"),
    [
        (+1, 120, 111, False, 0),
        (+1, 120, 110, True, 0),  # at the edge
        (+1, 120, 90, True, 0),  # through it, but it traded inside
        (+1, 100, 95, True, 0),  # its high is the lower edge
        (+1, 99, 95, False, 1),  # wholly beyond
        (-1, 99, 90, False, 0),
        (-1, 100, 90, True, 0),
        (-1, 120, 90, True, 0),
        (-1, 115, 110, True, 0),
        (-1, 115, 111, False, 1),
    ],
)
def test_which_bars_enter(side: int, high: int, low: int, entered: bool, passed: int) -> None:
    book, _, zone = book_with(side)
    assert [found.id for found in book.enter(high, low, START_NS)] == ([zone] if entered else [])
    assert book.passed_through == passed


def test_a_bar_that_began_before_the_birth_tests_nothing() -> None:
    book, _, zone = book_with(+1)
    assert book.enter(120, 105, START_NS - 1) == []
    assert [found.id for found in book.enter(120, 105, START_NS)] == [zone]


def test_a_new_test_needs_a_bar_outside() -> None:
    book, _, zone = book_with(+1, max_tests=3)
    seen = [[found.tests for found in book.enter(120, low, START_NS)] for low in (110, 105, 111, 108, 90, 111, 110)]
    assert seen == [[1], [], [], [2], [], [], [3]]
    assert book.enter(120, 111, START_NS) == []
    assert book.enter(120, 110, START_NS) == []  # three were allowed
    assert book.live[zone].tests == 3


@pytest.mark.parametrize("kind", [EventCode.OB_TESTED, EventCode.OB_MITIGATED])
def test_a_test_told_by_the_pipeline_is_spent(kind: EventCode) -> None:
    book, make, zone = book_with(+1)
    make.life(kind, 5, 5, zone, n=1)
    assert feed(book, make) == [None]
    assert book.enter(120, 105, START_NS) == []


def test_the_life_of_a_gap() -> None:
    book, make, gap = book_with(+1, "fvg")
    make.life(EventCode.FVG_FILLED, 5, 5, gap)
    assert feed(book, make) == [gap]
    assert not book.live
    make.life(EventCode.FVG_INVERTED, 10, 5, gap)
    assert feed(book, make) == [None]
    zone = book.live[gap]
    assert (zone.side, zone.kind, zone.bottom, zone.top, zone.score) == (-1, "ifvg", 100, 110, 50.0)
    assert zone.known_ns == START_NS + 10 * MINUTE_NS
    assert book.enter(105, 90, zone.known_ns - 1) == []
    assert book.enter(105, 90, zone.known_ns) == [zone]
    make.life(EventCode.FVG_DEAD, 15, 5, gap)
    assert feed(book, make) == [gap]
    assert not book.live


def test_a_gap_that_inverts_without_a_fill_told_is_turned_as_well() -> None:
    book, make, gap = book_with(+1, "fvg")
    make.life(EventCode.FVG_INVERTED, 10, 5, gap)
    assert feed(book, make) == [gap]  # the demand zone is gone, a setup on it dies
    assert book.live[gap].side == -1


def test_events_of_unknown_zones_are_harmless() -> None:
    book, make, _ = book_with(+1)
    for kind in EventCode:
        if kind not in (EventCode.OB, EventCode.FVG, EventCode.BREAKER, EventCode.MITIGATION_BLOCK):
            make.life(kind, 5, 5, 424242)
    assert set(feed(book, make)) == {None}
    assert len(book.live) == 1


@pytest.mark.parametrize(
    ("other", "distance"), [((110, 120), 0), ((111, 120), 1), ((90, 95), 5), ((90, 100), 0), ((102, 104), 0)]
)
def test_how_far_apart_zones_are(other: tuple[int, int], distance: int) -> None:
    book, make, zone = book_with(+1)
    near = make.order_block(0, 5, +1, *other, 50.0)
    feed(book, make)
    for one, another in ((zone, near), (near, zone)):
        assert [found.id for found in book.neighbours(book.live[one], distance, 5)] == [another]
        assert not distance or book.neighbours(book.live[one], distance - 1, 5) == []


def test_neighbours_are_other_live_zones_of_the_same_side_at_most_so_far_away() -> None:
    book, make, zone = book_with(+1)
    near = make.gap(0, 5, +1, 120, 130, 0.5)
    make.gap(0, 5, +1, 121, 130, 0.5)
    small = make.gap(0, 1, +1, 120, 130, 0.5)
    make.order_block(0, 15, -1, 105, 108, 50.0)
    dead = make.order_block(0, 15, +1, 105, 108, 50.0)
    make.life(EventCode.OB_BROKEN, 0, 15, dead)
    feed(book, make)
    assert [other.id for other in book.neighbours(book.live[zone], 10.0, 5)] == [near]
    assert [other.id for other in book.neighbours(book.live[zone], 10.0, 1)] == [near, small]


BLOCKS = [
    (EventCode.BREAKER, "breaker", EventCode.BREAKER_TESTED, EventCode.BREAKER_DEAD, EventCode.BREAKER_EXPIRED),
    (
        EventCode.MITIGATION_BLOCK,
        "mitigation",
        EventCode.MITIGATION_TESTED,
        EventCode.MITIGATION_DEAD,
        EventCode.MITIGATION_EXPIRED,
    ),
]


@pytest.mark.parametrize(("birth", "kind", "tested", "dead", "expired"), BLOCKS)
def test_the_life_of_breakers_and_mitigation_blocks(
    birth: EventCode, kind: str, tested: EventCode, dead: EventCode, expired: EventCode
) -> None:
    for end in (dead, expired):
        make, book = EventBuilder(), ZoneBook((5,), 2)
        zone = make.add(birth, 0, 5, side=-1, bottom=100, top=110, score=64.0)
        feed(book, make)
        found = book.live[zone]
        assert (found.kind, found.side, found.score, found.id) == (kind, -1, 64.0, zone)
        make.life(tested, 5, 5, zone, n=1)
        feed(book, make)
        assert book.enter(105, 90, START_NS) == [found]  # the second test
        make.life(end, 10, 5, zone)
        assert feed(book, make) == [zone]
        assert not book.live
        assert book.enter(120, 90, START_NS) == []


def test_a_breaker_lives_beside_its_dead_order_block() -> None:
    book, make, block = book_with(+1)
    make.life(EventCode.OB_BROKEN, 5, 5, block)
    breaker = make.add(EventCode.BREAKER, 5, 5, side=-1, bottom=100, top=110, score=40.0, parent_id=block)
    assert feed(book, make) == [block, None]
    assert list(book.live) == [breaker]


def test_a_duplicate_is_recorded_and_no_zone() -> None:
    book, make, zone = book_with(+1)
    copy = make.add(
        EventCode.BREAKER, 5, 5, int(Flag.DUPLICATE), side=-1, bottom=100, top=110, score=40.0, parent_id=zone
    )
    make.life(EventCode.BREAKER_DEAD, 10, 5, copy)
    assert feed(book, make) == [None, None]
    assert list(book.live) == [zone]


def test_nearest_is_the_newest_that_contains_the_price_else_the_newest_of_the_nearest() -> None:
    make, book = EventBuilder(), ZoneBook((5,), 1)
    make.order_block(0, 5, +1, 100, 110, 50.0)
    inside = make.order_block(0, 5, -1, 105, 120, 50.0)
    make.order_block(0, 15, +1, 100, 110, 50.0)
    feed(book, make)
    for price, expected in ((107, inside), (104, inside - 1), (120, inside), (95, inside - 1), (130, inside)):
        (found,) = book.nearest([5], price)
        assert found.id == expected, price
    assert book.nearest([30], 100) == []
    assert [found.timeframe_min for found in book.nearest([60, 15, 30, 5], 100)] == [15, 5]
    # Refreshed is not new; inverted is.
    gap = make.gap(0, 30, +1, 100, 110, 0.5)
    block = make.order_block(0, 30, +1, 100, 110, 0.5)
    make.life(EventCode.FVG_FILLED, 5, 30, gap)
    make.life(EventCode.FVG_INVERTED, 5, 30, gap)
    make.life(EventCode.OB_REFRESHED, 10, 30, block, score=60.0)
    feed(book, make)
    (found,) = book.nearest([30], 107)
    assert found.id == gap


@pytest.mark.parametrize("seed", range(4))
def test_the_guard_skips_only_bars_that_change_nothing(seed: int) -> None:
    """Against a book that walks through all zones at every bar: the same entries, the same state."""
    import random

    chance = random.Random(seed)
    make, quick, slow = EventBuilder(), ZoneBook((5,), 3), ZoneBook((5,), 3)
    price, alive, skipped, found = 1000, [], 0, 0
    for minute in range(600):
        if chance.random() < 0.2:
            edge = price + chance.randint(-30, 30)
            alive.append(make.order_block(minute, 5, chance.choice([1, -1]), edge, edge + chance.randint(1, 8), 50.0))
        if alive and chance.random() < 0.1:
            make.life(EventCode.OB_BROKEN, minute, 5, alive.pop(chance.randrange(len(alive))))
        for row in rows_of(make.take()):
            quick.apply(row)
            slow.apply(row)
        price += chance.randint(-6, 6)
        high, low = price + chance.randint(0, 4), price - chance.randint(0, 4)
        start = START_NS + minute * MINUTE_NS
        slow._enter_low = 2**62  # always reached
        before = quick._enter_low, quick._enter_high
        entered = [zone.id for zone in quick.enter(high, low, start)]
        skipped += before[0] < low and high < before[1]
        assert entered == [zone.id for zone in slow.enter(high, low, start)]
        assert quick.state() == slow.state()
        found += len(entered)
    assert skipped > 50
    assert found > 50


def test_an_inverted_gap_keeps_the_parts_of_its_score() -> None:
    make, book = EventBuilder(), ZoneBook((5,), 1)
    gap = make.add(EventCode.FVG, 0, 5, side=1, bottom=100, top=110, score=0.5, parts=(1.0, 0.25, 0.1, 0, 0))
    make.life(EventCode.FVG_INVERTED, 5, 5, gap)
    feed(book, make)
    assert book.live[gap].parts == (1.0, 0.25, 0.1, 0.0, 0.0)
