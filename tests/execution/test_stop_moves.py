"""Stops that move to the entry and after the market: when, where to, how often, and what counts until it is shown."""

from typing import Any

import pytest

from desk_rig import PRICE, Rig, round_trips, settings
from tbot.domain.messages import FeedIn, ModifyStop, PlaceBracket
from tbot.errors import ConfigError
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
