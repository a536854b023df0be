"""Stops that move to the entry and after the market: when, where to, how often, and what counts until it is shown."""

from typing import Any

import pytest

from desk_rig import PRICE, START_NS, Rig, round_trips, settings
from tbot.domain.messages import FeedIn, ModifyStop, PlaceBracket
from tbot.domain.timeframes import NS_PER_S
from tbot.errors import ConfigError
from tbot.execution.exposure import stop_level
from tbot.risk.limits import RiskLimits

ENTRY = PRICE["MNQ"] + 1  # what the scripted broker fills at, long or short


def holding(side: int = 1, percent: int = 100, **limits: Any) -> Rig:
    """A position with a stop of 40 ticks, its proof seen."""
    rig = Rig(settings(RiskLimits(break_even_percent=percent, **limits))).start()
    rig.signal(side=side, stop_ticks=40, target_ticks=200)
    rig.run(1)
    assert rig.view()["positions"][0]["protected"]
    return rig


def to(rig: Rig, bid: int) -> None:
    """The quote becomes bid / bid + 2."""
    rig.prices["MNQ"] = bid + 1
    rig.tick(0.25)


def moves(rig: Rig) -> list[int]:
    return [command.stop for command in rig.broker.sent(ModifyStop)]  # type: ignore[attr-defined]


def test_the_stop_moves_at_the_threshold_and_not_a_tick_before() -> None:
    rig = holding()
    to(rig, ENTRY + 39)
    assert moves(rig) == []
    to(rig, ENTRY + 40)
    assert moves(rig) == [ENTRY]
    rig.pump()
    assert rig.view()["positions"][0]["stop"] == ENTRY
    to(rig, ENTRY + 60)
    rig.run(10)
    assert moves(rig) == [ENTRY]  # it stands there already


def test_a_short_position_mirrors_it() -> None:
    rig = holding(side=-1)
    to(rig, ENTRY - 41)  # its ask is one tick too high
    assert moves(rig) == []
    to(rig, ENTRY - 42)
    assert moves(rig) == [ENTRY]


@pytest.mark.parametrize(("side", "expected"), [(1, ENTRY + 1), (-1, ENTRY)])
def test_an_average_between_two_ticks_goes_to_the_side_of_the_market(side: int, expected: int) -> None:
    rig = Rig(settings(RiskLimits(break_even_percent=50, max_micros=2))).start()
    rig.broker.fill_entries = False
    rig.signal(side=side, stop_ticks=40, target_ticks=200)
    (order,) = [order for order in rig.broker.working() if order.order_type == "market"]
    rig.broker.fill(order.order_id, 1, ENTRY)
    rig.broker.fill(order.order_id, 1, ENTRY + 1)
    rig.pump()
    rig.run(1)
    to(rig, ENTRY + side * 60)
    assert moves(rig) == [expected]


def test_it_is_off_unless_asked_for() -> None:
    rig = holding(percent=0)
    to(rig, ENTRY + 150)
    rig.run(5)
    assert moves(rig) == []


def test_nothing_moves_while_the_market_is_not_seen() -> None:
    rig = holding()
    rig.quote_age_ns = 4_000_000_000
    to(rig, ENTRY + 60)
    rig.quote_age_ns = 0
    rig.feed(FeedIn(rig.now_ns, "MNQ", "gap"))
    to(rig, ENTRY + 60)
    assert moves(rig) == []
    rig.feed(FeedIn(rig.now_ns, "MNQ", "ok"))
    to(rig, ENTRY + 60)
    assert moves(rig) == [ENTRY]


def test_nothing_moves_while_the_entry_may_still_fill() -> None:
    rig = Rig(settings(RiskLimits(break_even_percent=100))).start()
    rig.broker.fill_entries = False
    rig.signal(stop_ticks=40, target_ticks=200)
    (order,) = [order for order in rig.broker.working() if order.order_type == "market"]
    rig.broker.fill(order.order_id, 2)
    rig.pump()
    to(rig, ENTRY + 80)
    assert moves(rig) == []
    rig.run(8)  # what is not filled in time is cancelled; then the position is whole
    to(rig, ENTRY + 80)
    assert moves(rig) == [ENTRY]


def test_a_moved_stop_ends_the_trip_at_the_entry() -> None:
    rig = holding()
    to(rig, ENTRY + 40)
    rig.pump()
    leg = rig.broker.leg("SL")
    rig.broker.fill(leg.order_id, price=leg.stop)
    rig.pump()
    rig.tick()
    (trip,) = round_trips(rig)
    assert (trip.exit_reason, trip.gross_cents) == ("stop", 0)
    rig.assert_invariants()


def test_F_ORD_02_a_refused_move_keeps_the_old_price_and_is_not_asked_for_ever() -> None:
    rig = holding()
    rig.broker.script["modify"] = ["rejected"] * 20
    to(rig, ENTRY + 60)
    rig.run(30)
    assert moves(rig) == [ENTRY] * 3
    assert rig.view()["positions"][0]["stop"] == ENTRY - 40
    assert rig.state == "ACTIVE"


def test_F_ORD_02_an_ambiguous_move_counts_as_the_old_price_until_it_is_shown() -> None:
    rig = holding()
    rig.broker.deaf = True
    rig.broker.script["modify"] = ["ambiguous_done"]
    rig.broker.script["query"] = ["lose"]
    to(rig, ENTRY + 60)
    rig.pump()
    assert rig.view()["positions"][0]["stop"] == ENTRY - 40  # the worse of the two
    rig.run(15)
    assert rig.view()["positions"][0]["stop"] == ENTRY  # an answer showed it
    assert len(rig.broker.sent(PlaceBracket)) == 1


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("done", ["accept", "ambiguous_done"])
def test_F_NET_08_a_stop_never_moves_away_while_the_event_of_a_move_is_missing(side: int, done: str) -> None:
    """The order still shows the price before the accepted move, so a lesser trail looks like a gain (section 2)."""
    rig = holding(side, percent=0, trail_percent=50)
    rig.broker.deaf = True
    rig.broker.script["modify"] = [done]
    to(rig, ENTRY + side * 60)
    rig.pump()
    to(rig, ENTRY + side * 30)
    rig.run(20)
    assert len(moves(rig)) == 1
    to(rig, ENTRY + side * 90)
    rig.run(3)
    assert len(moves(rig)) == 2
    assert side * (moves(rig)[1] - moves(rig)[0]) > 0


def test_F_ORD_02_an_answer_that_never_comes_holds_up_nothing_else() -> None:
    rig = holding()
    rig.broker.silent = True
    to(rig, ENTRY + 60)
    rig.broker.silent = False
    assert moves(rig) == [ENTRY]
    rig.operator("flatten")
    rig.run(15)
    assert rig.view()["flat"]
    assert rig.broker.size("MNQ") == 0


@pytest.mark.parametrize("percent", [-1, 1001])
def test_the_threshold_has_bounds(percent: int) -> None:
    with pytest.raises(ConfigError, match="break_even_percent"):
        RiskLimits(break_even_percent=percent)


# ---------------------------------------------------------------------------------------------------------- trailing
def trailing(side: int = 1, percent: int = 50, **limits: Any) -> Rig:
    return holding(side, 0, trail_percent=percent, **limits)


@pytest.mark.parametrize("side", [1, -1])
def test_a_trailing_stop_starts_once_its_distance_is_gained_and_follows_in_steps(side: int) -> None:
    rig = trailing(side)

    def exit_at(gain: int) -> None:
        """The price at which the position could be left is `gain` ticks better than the entry."""
        to(rig, ENTRY + gain if side > 0 else ENTRY - gain - 2)
        rig.run(2)

    exit_at(19)
    assert moves(rig) == []
    exit_at(20)
    assert moves(rig) == [ENTRY]
    exit_at(23)
    assert moves(rig) == [ENTRY]  # a step has 4 ticks
    exit_at(24)
    exit_at(10)  # never away
    exit_at(60)
    assert moves(rig) == [ENTRY, ENTRY + side * 4, ENTRY + side * 40]
    assert rig.view()["positions"][0]["stop"] == ENTRY + side * 40


def test_a_trailing_stop_is_never_nearer_than_the_least_bracket() -> None:
    rig = trailing(percent=1)
    to(rig, ENTRY + 3)
    assert moves(rig) == []
    to(rig, ENTRY + 4)
    assert moves(rig) == [ENTRY]


def test_the_closer_of_break_even_and_trailing_counts() -> None:
    rig = holding(percent=25, trail_percent=100)
    to(rig, ENTRY + 10)
    assert moves(rig) == [ENTRY]
    rig.run(3)
    to(rig, ENTRY + 40)  # the trailing stop would stand at the entry, where it is
    rig.run(3)
    to(rig, ENTRY + 50)
    assert moves(rig) == [ENTRY, ENTRY + 10]


def test_R9_moves_of_one_stop_keep_their_distance_in_time() -> None:
    rig = trailing(move_gap_ns=10 * 10**9)
    for bid in range(ENTRY + 20, ENTRY + 80, 4):
        to(rig, bid)
    rig.run(5)
    assert len(moves(rig)) == 1
    rig.run(5)
    assert moves(rig) == [ENTRY, ENTRY + 56]


def test_F_ORD_02_only_failed_moves_in_a_row_count() -> None:
    rig = trailing()
    rig.broker.script["modify"] = ["rejected", "ambiguous", "accept", "rejected", "rejected", "rejected", "accept"]
    for step in range(12):
        to(rig, ENTRY + 20 + 8 * step)
        rig.run(3)
    # Two failures, one success, three failures: no more.
    assert len(moves(rig)) == 6


def test_F_ORD_02_an_ambiguous_move_that_an_answer_shows_done_is_no_failure() -> None:
    rig = trailing()
    rig.broker.script["modify"] = ["ambiguous_done"] * 20
    for step in range(8):
        to(rig, ENTRY + 20 + 8 * step)
        rig.run(3)
    assert len(moves(rig)) == 8


def test_F_ORD_02_a_move_without_an_answer_is_doubted_until_a_list_shows_it() -> None:
    rig = trailing()
    rig.broker.silent = True
    to(rig, ENTRY + 40)
    rig.run(9)
    engine = rig.desk._engines[1001]
    moved = engine.manager.moves.of[rig.broker.leg("SL").order_id]
    assert not moved.proven
    rig.broker.silent = False
    rig.run(15)
    assert (moved.proven, moved.failed) == (True, 1)
    assert rig.view()["positions"][0]["stop"] == ENTRY + 20


def test_R10_until_a_move_is_proven_the_worse_price_counts_even_when_an_event_shows_the_new_one() -> None:
    rig = trailing()
    rig.broker.script["modify"] = ["ambiguous_done"]
    rig.broker.script["query"] = ["lose"]
    to(rig, ENTRY + 40)
    engine = rig.desk._engines[1001]
    assert rig.view()["positions"][0]["stop"] == ENTRY + 20  # the hub says so
    assert stop_level(engine.picture, engine.manager.moves, "MNQ")[0] == ENTRY - 40  # REST decides
    rig.run(15)
    assert stop_level(engine.picture, engine.manager.moves, "MNQ")[0] == ENTRY + 20


def test_F_ACC_02_a_strangers_stop_is_never_moved() -> None:
    rig = holding(percent=100, trail_percent=50)
    foreign = rig.broker.place_foreign("MNQ", -1, 1, "stop", ENTRY - 20)
    rig.pump()
    to(rig, ENTRY + 60)
    rig.run(10)
    assert {command.order_id for command in rig.broker.sent(ModifyStop)} == {rig.broker.leg("SL").order_id}
    assert foreign not in {command.order_id for command in rig.broker.sent(ModifyStop)}


def test_a_new_day_forgets_the_moves_of_orders_that_are_over() -> None:
    rig = trailing()
    to(rig, ENTRY + 40)
    engine = rig.desk._engines[1001]
    engine.manager.new_day(0)
    assert len(engine.manager.moves.of) == 1
    rig.operator("flatten")
    rig.run(5)
    engine.manager.new_day(0)
    assert engine.manager.moves.of == {}


def test_F_TIM_08_an_answer_to_a_move_that_comes_in_the_next_trading_day_is_taken() -> None:
    """Its order is over and forgotten by then."""
    seventeen = START_NS + 8 * 3_600 * NS_PER_S  # in Chicago
    limits = RiskLimits(break_even_percent=100)
    rig = Rig(settings(limits), now_ns=seventeen - 4 * NS_PER_S).start()
    day = rig.desk.day(1001)
    rig.signal(stop_ticks=40, target_ticks=200)
    rig.run(1)
    rig.broker.silent = True
    to(rig, ENTRY + 60)
    rig.broker.silent = False
    assert moves(rig) == [ENTRY]
    rig.broker.fill(rig.broker.leg("SL").order_id, price=ENTRY)
    rig.pump()
    rig.run(30)
    assert rig.desk.day(1001) != day
    assert (rig.state, rig.broker.size("MNQ")) == ("ACTIVE", 0)
