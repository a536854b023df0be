"""Answers of a replica that lags behind (F-ACC-05): they agree with each other and are wrong all the same."""

from dataclasses import dataclass, replace

import pytest

from desk_rig import PRICE, Rig, round_trips
from scripted_broker import ScriptedBroker
from tbot.domain.messages import CloseContract, Fill, Query, Snapshot

ENTRY = PRICE["MNQ"] + 1


@dataclass
class Replica(ScriptedBroker):
    """A broker whose answers show how things stood at `freeze`, wholly or in some of their lists."""

    old: Snapshot | None = None
    lists: tuple[str, ...] = ("orders", "positions", "fills")

    def freeze(self, *lists: str) -> None:
        self.lists = lists or self.lists
        self.old = super().snapshot(Query("0", self.account, 0))

    def snapshot(self, query: Query) -> Snapshot:
        fresh = super().snapshot(query)
        if self.old is None:
            return fresh
        return replace(fresh, **{name: getattr(self.old, name) for name in self.lists})


def stopped_out(*lists: str) -> tuple[Rig, Replica]:
    """A position is open, answers stand still from now on, and the stop fills."""
    broker = Replica()
    rig = Rig(broker=broker).start()
    rig.signal(1)
    rig.run(2)
    assert rig.view()["positions"]
    broker.freeze(*lists)
    broker.fill(broker.leg("SL").order_id, price=ENTRY - 40)
    rig.pump()
    return rig, broker


@pytest.mark.parametrize("lists", [(), ("positions",), ("positions", "orders")])
def test_F_ACC_05_I11_two_old_answers_do_not_bring_back_a_position_that_is_over(lists: tuple[str, ...]) -> None:
    rig, broker = stopped_out(*lists)
    rig.run(4)  # answers a second apart
    assert len(broker.sent(Query)) > 4
    assert rig.view()["positions"] == []
    assert broker.sent(CloseContract) == []
    broker.old = None
    rig.run(6)
    assert rig.state == "ACTIVE"
    assert [trip.size for trip in round_trips(rig)] == [5]
    result = sum(-fill.side * fill.size * fill.price * 50 for fill in broker.fills)
    costs = sum(fill.fees_cents + fill.commission_cents for fill in broker.fills)
    assert rig.view()["day_pnl_cents"] == result - costs


def test_F_ACC_05_answers_that_stay_behind_pause_the_account_and_prove_nothing_flat() -> None:
    rig, broker = stopped_out()
    rig.run(4)
    assert rig.state == "PAUSED"
    assert [reason["code"] for reason in rig.view()["reasons"]] == ["RC_REST_DOWN"]
    assert "older than is known" in rig.view()["text"]
    assert not rig.desk.is_flat(1001)
    broker.old = None
    rig.run(3)
    assert rig.state == "ACTIVE"
    assert rig.desk.is_flat(1001)


def test_F_ACC_05_a_difference_that_outlasts_the_lag_is_the_brokers_word() -> None:
    rig, broker = stopped_out("positions")
    rig.run(4.5)
    assert rig.view()["positions"] == []
    rig.run(3)
    assert broker.sent(CloseContract)  # F-ACC-01: taken over, and as nothing explains it, closed


def test_F_ACC_05_a_fill_that_no_answer_ever_lists_is_no_witness_for_ever() -> None:
    rig = Rig().start()
    rig.feed(Fill(rig.now_ns, 1001, 8_000_000_000, 777, "MNQ", 1, 1, ENTRY, 0, 0))
    rig.feed(Fill(rig.now_ns, 1001, 8_000_000_001, 778, "MNQ", -1, 1, ENTRY, 0, 0))
    rig.run(60, step=0.5)
    assert rig.state == "PAUSED"  # since the first answer, half a minute later
    rig.run(40, step=0.5)
    assert rig.state == "ACTIVE"


def test_F_ACC_05_a_fill_that_is_listed_again_counts_anew() -> None:
    rig, broker = stopped_out()
    rig.run(50, step=0.5)
    still, broker.old = broker.old, None
    rig.run(3)
    broker.old = still
    rig.run(50, step=0.5)
    assert rig.view()["positions"] == []
    assert broker.sent(CloseContract) == []


def test_R7_a_flatten_goes_on_in_rounds_while_answers_lag() -> None:
    """The first close is lost; the answers know nothing of the position, the fills do."""
    broker = Replica()
    rig = Rig(broker=broker).start()
    broker.freeze()
    rig.signal(1)
    broker.script["close"] = ["not_sent", "ambiguous"]
    rig.operator("flatten")
    rig.run(6)
    assert broker.size("MNQ") == 0
    assert rig.desk.view()["accounts"]["1001"]["state"] == "REDUCING"  # nothing is proven yet
    broker.old = None
    rig.run(6)
    assert rig.desk.is_flat(1001)
