"""Answers of a replica that lags behind (F-ACC-05): they agree with each other and are wrong all the same."""

from dataclasses import dataclass, replace

import pytest

from desk_rig import PRICE, Rig, round_trips
from scripted_broker import ScriptedBroker
from tbot.domain.messages import Barred, CloseContract, Fill, PositionUpdate, Query, Snapshot

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


# ------------------------------------------------------------------------- what no lag explains, soon after a fill (R6)
def until(rig: Rig, kind: type, limit_s: float) -> float:
    """Seconds until a command of this kind leaves."""
    before, began_ns = len(rig.broker.sent(kind)), rig.now_ns
    while len(rig.broker.sent(kind)) == before:
        assert rig.now_ns - began_ns < limit_s * 10**9, f"no {kind.__name__} within {limit_s} s"
        rig.tick()
    return (rig.now_ns - began_ns) / 10**9


@pytest.mark.parametrize("size", [7, -2])
def test_I3_F_ACC_01_what_no_fill_explains_is_closed_in_time_although_the_contract_has_just_filled(size: int) -> None:
    """It waited for C_RECON_OPEN after the fill, in which a position list may lag; it had never been of this size."""
    rig = Rig().start()
    rig.signal(1)
    side = 1 if size > 0 else -1
    rig.broker.held["MNQ"] = [(side, ENTRY)] * abs(size)
    rig.feed(PositionUpdate(rig.now_ns, 1001, "MNQ", size, ENTRY * size))
    assert until(rig, CloseContract, 3.0) >= 1.0  # two answers, C_RECON_CONFIRM apart
    rig.run(12)
    assert rig.view()["positions"] == []
    assert rig.desk.is_flat(1001)


def test_I3_F_ACC_01_a_change_that_the_stop_covers_waits_for_the_lag_to_end() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.broker.held["MNQ"] = [(1, ENTRY)] * 4
    rig.feed(PositionUpdate(rig.now_ns, 1001, "MNQ", 4, ENTRY * 4))
    assert until(rig, CloseContract, 8) > 4.0


def test_F_ACC_05_I11_a_fill_that_answers_do_not_tell_yet_is_no_strange_position() -> None:
    """Two more filled, nobody told of it but the positions and the order; their stop is missing."""
    broker = Replica(fill_entries=False)
    rig = Rig(broker=broker).start()
    rig.signal(1)
    entry = next(number for number, order in broker.orders.items() if order.order_type == "market")
    broker.fill(entry, 2)
    rig.pump()
    rig.run(1)
    broker.freeze("fills")
    broker.deaf = True
    del broker.brackets[entry]  # the legs do not grow
    broker.fill(entry, 2)
    rig.feed(PositionUpdate(rig.now_ns, 1001, "MNQ", 4, ENTRY * 4))
    rig.run(3.5)
    assert rig.view()["positions"][0]["size"] == 2
    assert rig.of(Barred) == []
    broker.old = None
    rig.run(1.25)
    assert (rig.view()["positions"][0]["size"], rig.view()["positions"][0]["surprise"]) == (4, "")
    assert rig.of(Barred) == []


def test_F_ACC_05_an_entry_whose_outcome_is_open_may_be_what_the_position_list_shows() -> None:
    broker = Replica()
    rig = Rig(broker=broker).start()
    rig.signal(1)
    rig.run(5)
    broker.fill(broker.leg("TP").order_id, price=ENTRY + 80)  # the contract has just filled
    rig.pump()
    broker.freeze("fills", "orders")
    broker.deaf = True
    broker.script["place"] = ["ambiguous_done"]
    rig.signal(2, side=-1)
    assert broker.size("MNQ") == -5
    rig.run(3)
    assert rig.view()["unknown"]
    assert (rig.view()["positions"], rig.of(Barred)) == ([], [])
    broker.old = None
    rig.run(1.25)
    assert [(held["side"], held["size"], held["surprise"]) for held in rig.view()["positions"]] == [(-1, 5, "")]


def test_I3_F_ACC_01_the_first_answer_of_a_start_already_tells_a_naked_position() -> None:
    """The day's fills were told by that answer alone, so it counted as one with news on the way: ACTIVE meanwhile."""
    before = Rig().start()
    before.signal(1)
    before.operator("flatten")
    before.run(30)
    assert before.desk.is_flat(1001)
    before.broker.held["MNQ"] = [(1, ENTRY)] * 2
    before.broker.events.clear()
    rig = Rig(broker=before.broker, now_ns=before.now_ns).start()
    assert rig.state == "RECONCILING"
    assert [reason["code"] for reason in rig.view()["reasons"]] == ["RC_RECONCILING", "RC_MISMATCH"]
    assert until(rig, CloseContract, 2.0) >= 1.0
    rig.run(12)
    assert rig.desk.is_flat(1001)


def test_I3_R9_queries_are_urgent_while_a_position_may_be_without_protection() -> None:
    """Only they may take from the reserve when the budget is used up."""
    rig = Rig().start()
    asked = rig.broker.sent(Query)
    assert isinstance(asked[0], Query)
    assert asked[0].urgent  # before the first proof
    rig.run(40)
    assert not any(query.urgent for query in rig.broker.sent(Query)[1:])  # type: ignore[union-attr]
    rig.broker.held["MES"] = [(1, 26_000)]
    rig.feed(PositionUpdate(rig.now_ns, 1001, "MES", 1, 26_000))
    count = len(rig.broker.sent(Query))
    rig.run(3.5)
    assert rig.broker.sent(CloseContract)
    assert [query.urgent for query in rig.broker.sent(Query)[count : count + 2]] == [True, True]  # type: ignore[union-attr]
    rig.run(10)
    rig.broker.legs = ()
    count = len(rig.broker.sent(Query))
    rig.signal(1)  # naked
    rig.run(2)
    assert any(query.urgent for query in rig.broker.sent(Query)[count:])  # type: ignore[union-attr]
