"""The note of a round trip: why it began and ended, what it went through, where time went."""

import pytest

from desk_rig import PRICE, Rig, round_trips, signal
from tbot.domain.messages import CommandResult, Fill, RoundTrip, SignalIn, SignalStamps, TimerIn
from tbot.domain.round_trips import Leg, Trip
from tbot.execution.trip_notes import Excursions

ENTRY = PRICE["MNQ"] + 1


def timer(rig: Rig, **ranges: tuple[int, int]) -> None:
    rig.now_ns += 500_000_000
    rig.broker.now_ns = rig.now_ns
    rig.feed(TimerIn(rig.now_ns, {name: rig.quote(name) for name in rig.prices}, ranges))


def leave(rig: Rig, kind: str = "TP") -> RoundTrip:
    leg = rig.broker.leg(kind)
    rig.broker.fill(leg.order_id, price=leg.limit or leg.stop)
    rig.pump()
    (trip,) = round_trips(rig)
    return trip


# ---------------------------------------------------------------------------------------------------------- excursions
@pytest.mark.parametrize(("side", "expected"), [(1, (31, 80)), (-1, (19, 80))])
def test_a_trip_tells_how_far_it_went_against_and_for_it(side: int, expected: tuple[int, int]) -> None:
    rig = Rig().start()
    rig.signal(1, side=side)
    timer(rig, MNQ=(ENTRY - 500, ENTRY + 500))  # began before the position was open
    timer(rig, MNQ=(ENTRY - 31, ENTRY + 5), ES=(1, 2))
    timer(rig, MNQ=(ENTRY - 3, ENTRY + 19))
    timer(rig)
    trip = leave(rig)
    assert (trip.mae_ticks, trip.mfe_ticks) == expected
    rig.run(6)
    rig.signal(2)
    leg = rig.broker.leg("SL")
    rig.broker.fill(leg.order_id, price=leg.stop)
    rig.pump()
    assert (round_trips(rig)[1].mae_ticks, round_trips(rig)[1].mfe_ticks) == (None, None)  # over before the next timer


def test_excursions_round_to_the_side_that_flatters_less() -> None:
    trip = Trip("MNQ", 1, 0, 2, [Leg(1, 1, 0, 1, 100), Leg(2, 1, 0, 1, 101)], [Leg(3, 2, 0, 2, 101)])
    watched = Excursions()
    watched.look(["MNQ"], {})
    assert watched.of(trip) == (None, None)
    watched.look(["MNQ"], {"MNQ": (97, 104)})
    assert watched.of(trip) == (4, 3)  # 3.5 each from 100.5
    short = Trip("MNQ", -1, 0, 2, trip.entries, trip.exits)
    assert watched.of(short) == (4, 3)
    watched.look([], {})
    assert watched.of(trip) == (None, None)


# ------------------------------------------------------------------------------------------------------ where time went
def test_a_trip_carries_reason_stamps_and_the_times_of_its_request() -> None:
    rig = Rig().start()
    stamps = SignalStamps(1, 2, 3, 4, 5)
    submit = rig.broker._result

    def timed(command, outcome, order_id=None, text="") -> None:  # type: ignore[no-untyped-def]
        submit(command, outcome, order_id, text)
        answer = rig.broker.events.pop()
        rig.broker.events.append(
            CommandResult(
                answer.now_ns, 1001, answer.command_id, answer.outcome, answer.order_id, "",
                sent_boot_ns=70, answered_boot_ns=90,
            )
        )  # fmt: skip

    rig.broker._result = timed  # type: ignore[method-assign]
    rig.feed(SignalIn(rig.now_ns, signal(1), rig.quote("MNQ"), 0, stamps))
    trip = leave(rig)
    assert (trip.entry_reason, trip.signal_id, trip.stamps) == ("test", "MNQ-1", stamps)
    assert (trip.request_boot_ns, trip.answered_boot_ns) == (70, 90)
    assert (trip.exit_reason, trip.exit_code) == ("target", "")


def test_a_strangers_trip_has_no_signal_and_no_stamps() -> None:
    rig = Rig().start()
    rig.broker.place_foreign("MNQ", 1, 1)
    rig.broker.place_foreign("MNQ", -1, 1)
    rig.pump()
    (trip,) = round_trips(rig)
    assert (trip.entry_reason, trip.stamps, trip.request_boot_ns, trip.exit_reason, trip.exit_code) == (
        "", SignalStamps(), 0, "other", "",
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------- why it was closed
@pytest.mark.parametrize(
    ("verb", "code"), [("flatten", "RC_OPERATOR"), ("kill", "RC_KILL_SWITCH"), ("stop", "RC_OPERATOR")]
)
def test_a_close_tells_which_code_closed_it(verb: str, code: str) -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    rig.operator(verb)
    rig.run(2)
    (trip,) = round_trips(rig)
    assert (trip.exit_reason, trip.exit_code) == ("close", code)


def test_F_RSK_01_a_close_by_the_daily_limit_says_so() -> None:
    rig = Rig().start()
    rig.signal(1, stop_ticks=60)
    rig.run(1)
    rig.prices["MNQ"] -= 350
    rig.run(2)
    (trip,) = round_trips(rig)
    assert (trip.exit_reason, trip.exit_code) == ("close", "RC_DAILY_LOSS")


def test_a_close_whose_order_was_never_seen_is_still_ours() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    rig.broker.deaf = True
    rig.operator("flatten")
    rig.run(3)
    (trip,) = round_trips(rig)
    assert (trip.exit_reason, trip.exit_code) == ("close", "RC_OPERATOR")


def test_F_ACC_02_somebody_elses_order_is_not_our_close_even_when_one_was_on_its_way() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    rig.broker.script["close"] = ["rejected"]
    rig.operator("flatten")
    foreign = rig.broker.place_foreign("MNQ", -1, 5, "limit")
    rig.broker.fill(foreign, price=ENTRY)
    rig.pump()
    rig.run(3)
    assert [(trip.exit_reason, trip.exit_code) for trip in round_trips(rig)] == [("other", "")]


def test_an_earlier_close_does_not_explain_a_later_trip() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.operator("flatten")
    rig.run(3)
    rig.operator("resume")
    rig.run(6)
    rig.signal(2)
    rig.run(1)
    rig.feed(Fill(rig.now_ns, 1001, 9_999_999_999, 777, "MNQ", -1, 5, ENTRY, 0, 0, 0))
    rig.broker.held["MNQ"] = []
    rig.run(6)
    assert [trip.exit_reason for trip in round_trips(rig)] == ["close", "other"]
