"""Desk under random histories: faults, humans, lost and shuffled events; invariants all the way, truth at the end."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, note
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from desk_rig import PRICE, RUN_START_MS, Rig, settings
from scripted_broker import FINAL, ScriptedBroker
from tbot.domain.messages import (
    BrokerEvent,
    DeskInput,
    DeskOutput,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Snapshot,
    StateChange,
)
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings, Desk
from tbot.execution.tags import parse_tag
from tbot.risk.limits import RiskLimits

CONTRACTS = ("MNQ", "NQ", "ES", "MGC")
STOPS = {"MNQ": 40, "NQ": 20, "ES": 8, "MGC": 30}
LIMITS = RiskLimits(break_even_percent=50, trail_percent=75)


class ShuffledBroker(ScriptedBroker):
    """Delivers user-hub events twice and in any order when told to; answers to queries stay where they are."""

    seed: int | None = None

    def poll(self) -> list[BrokerEvent]:
        events = super().poll()
        if self.seed is None or any(isinstance(event, Snapshot) for event in events):
            return events
        dice = Random(self.seed)
        events = events + [event for event in events if dice.random() < 0.3]
        dice.shuffle(events)
        self.seed += 1
        return events


def ours(broker: ScriptedBroker, contract: str) -> bool:
    return any(command.contract == contract for command in broker.sent(PlaceBracket))  # type: ignore[union-attr]


class DeskMachine(RuleBasedStateMachine):
    """Random history of one account, then a calm end (failure-model.md section 8)."""

    @initialize(seed=st.none() | st.integers(0, 1_000))
    def begin(self, seed: int | None) -> None:
        broker = ShuffledBroker()
        broker.seed = seed
        self.rig = Rig(settings=settings(LIMITS), broker=broker).start()
        self.broker = broker
        self.past: list[tuple[DeskInput, list[DeskOutput]]] = []
        self.runs = 0
        self.number = 0
        self.human = False

    @rule(contract=st.sampled_from(CONTRACTS), side=st.sampled_from([1, -1]), again=st.booleans())
    def signal(self, contract: str, side: int, again: bool) -> None:
        if not again:
            self.number += 1
        self.rig.signal(self.number, contract, side, stop_ticks=STOPS[contract], target_ticks=2 * STOPS[contract])

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.rig.run(seconds, step=0.5 if seconds >= 1 else 0.25)

    @rule(ticks=st.integers(-60, 60), contract=st.sampled_from(CONTRACTS))
    def move(self, ticks: int, contract: str) -> None:
        price = max(PRICE[contract] - 300, min(PRICE[contract] + 300, self.rig.prices[contract] + ticks))
        self.rig.prices[contract], self.broker.price[contract] = price, price + 1
        self.rig.tick()

    @rule(pick=st.integers(0, 20), leg=st.sampled_from(["SL", "TP"]))
    def exit(self, pick: int, leg: str) -> None:
        legs = [order for order in self.broker.working() if order.tag.endswith(leg) and order.status == "open"]
        if legs:
            order = legs[pick % len(legs)]
            self.broker.fill(order.order_id, price=order.stop if leg == "SL" else order.limit)
            self.rig.pump()

    @rule(pick=st.integers(0, 20), size=st.integers(1, 5))
    def fill_waiting(self, pick: int, size: int) -> None:
        waiting = [order for order in self.broker.working() if order.order_id in self.broker.brackets]
        if waiting:
            order = waiting[pick % len(waiting)]
            self.broker.fill(order.order_id, min(size, order.size - order.filled))
            self.rig.pump()

    @rule(
        kind=st.sampled_from(["place", "cancel", "close", "query", "stop", "target", "exit", "modify"]),
        what=st.sampled_from(["ambiguous", "rejected", "not_sent", "done", "lose", "account", "401", "429"]),
    )
    def next_command_fails(self, kind: str, what: str) -> None:
        same = {word: word for word in ("ambiguous", "rejected", "not_sent", "401", "429")}
        lost = {"ambiguous": "ambiguous_lost", "rejected": "reject", "done": "ambiguous_done"}
        words = {
            "place": {**same, **lost},
            "cancel": same,
            "close": {**same, "done": "ambiguous_done", "account": "account"},
            "query": {"lose": "lose", "401": "401", "429": "429"},
            **{each: {**same, "done": "ambiguous_done"} for each in ("stop", "target", "exit", "modify")},
        }
        word = words[kind].get(what)
        if word is not None:
            self.broker.script[kind].append(word)

    @rule(
        deaf=st.booleans(),
        fill=st.booleans(),
        oco=st.booleans(),
        complete=st.booleans(),
        legs=st.sampled_from([(), ("SL",), ("SL", "TP")]),
    )
    def weather(self, deaf: bool, fill: bool, oco: bool, complete: bool, legs: tuple[str, ...]) -> None:
        self.broker.deaf, self.broker.fill_entries, self.broker.keep_sibling = deaf, fill, not oco
        self.broker.query_complete, self.broker.legs = complete, legs

    @rule(pick=st.integers(0, 20))
    def lost_order_arrives_late(self, pick: int) -> None:
        placed = [command for command in self.broker.sent(PlaceBracket) if isinstance(command, PlaceBracket)]
        known = {order.tag for order in self.broker.orders.values()}
        # Only what was answered "ambiguous" can still be on the way; that is what the engine calls unknown.
        unknown = set(self.rig.view()["unknown"])
        late = [command for command in placed if command.tag in unknown - known]
        if late:
            self.broker.deliver(late[pick % len(late)])
            self.rig.pump()

    @rule(pick=st.integers(0, 20))
    def lost_protection_arrives_late(self, pick: int) -> None:
        kinds = (PlaceStop, PlaceTarget, PlaceExit)
        placed = [command for kind in kinds for command in self.broker.sent(kind)]
        known = {order.tag for order in self.broker.orders.values()}
        unknown = set(self.rig.view()["unknown"])
        late = [command for command in placed if command.tag in unknown - known]  # type: ignore[union-attr]
        if late:
            self.broker.arrive(late[pick % len(late)])  # type: ignore[arg-type]
            self.rig.pump()

    @rule()
    def restart(self) -> None:
        """The executor dies; the next one has the journal and the broker."""
        self.past += self.rig.rows
        fold = CarryFold()
        for item, outputs in self.past:
            fold.add(item, outputs)
        self.runs += 1
        account = AccountSettings(1001, "PRAC-1", fold.carried(1001))
        start_ms = RUN_START_MS + self.runs * 60_000
        self.broker.events.clear()
        fresh = Rig(settings(LIMITS, accounts=(account,), run_start_ms=start_ms), self.broker, self.rig.now_ns)
        fresh.prices, fresh.notes = self.rig.prices, self.rig.notes
        self.broker.price.update({name: price + 1 for name, price in fresh.prices.items()})
        self.rig = fresh.start()

    @rule(contract=st.sampled_from(CONTRACTS), side=st.sampled_from([1, -1]))
    def human_trades(self, contract: str, side: int) -> None:
        self.human = True
        self.broker.place_foreign(contract, side, 1)
        self.rig.pump()

    @rule(pick=st.integers(0, 20))
    def human_cancels(self, pick: int) -> None:
        if self.broker.working():
            self.broker.cancel_by_hand(self.broker.working()[pick % len(self.broker.working())].order_id)
            self.rig.pump()

    @rule(verb=st.sampled_from(["resume", "resume", "resume", "pause", "flatten"]))
    def operator(self, verb: str) -> None:
        self.rig.operator(verb)

    @precondition(lambda self: self.number > 3)
    @rule()
    def kill(self) -> None:
        self.rig.operator("kill")

    @invariant()
    def I1_I2_on_the_wire(self) -> None:
        if hasattr(self, "rig"):
            self.rig.assert_invariants()

    @invariant()
    def I6_size_at_the_broker(self) -> None:
        if not hasattr(self, "rig") or self.human or self.broker.keep_sibling:
            return
        for contract in CONTRACTS:
            entries = [
                o for o in self.broker.working() if o.order_id in self.broker.brackets and o.contract == contract
            ]
            worst = abs(self.broker.size(contract)) + sum(order.size - order.filled for order in entries)
            assert worst <= (5 if contract in ("MNQ", "MGC") else 1) or self.reversed(contract)

    def reversed(self, contract: str) -> bool:
        """Legs that filled without OCO can leave one bracket's size the other way round; still one size."""
        return abs(self.broker.size(contract)) <= 5

    @invariant()
    def I13_locked_means_no_entry(self) -> None:
        if not hasattr(self, "rig"):
            return
        state = ""
        for item, outputs in self.rig.rows:
            placed = [output for output in outputs if isinstance(output, PlaceBracket)]
            assert not placed or state == "ACTIVE", item
            for output in outputs:
                if isinstance(output, StateChange):
                    state = output.state

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        broker, rig = self.broker, self.rig
        broker.deaf = broker.silent = broker.keep_sibling = False
        broker.fill_entries, broker.query_complete, broker.seed = True, True, None
        broker.script.clear()
        for order in broker.working():
            if order.order_id in broker.brackets and order.status == "pending":
                broker.fill(order.order_id)
        rig.run(90, step=0.5)
        view = rig.view()
        note(str(view))
        held = {position["contract"]: position["side"] * position["size"] for position in view["positions"]}
        truth = {contract: broker.size(contract) for contract in broker.held if broker.size(contract)}
        assert held == truth, "I4"
        for position in view["positions"]:
            assert position["protected"] or position["foreign"] == position["size"], "I3"
            assert not position["surprise"]
        for order in broker.working():
            assert order.contract in truth or parse_tag(order.tag) is None, f"I5 {order}"
            assert order.status not in FINAL
        assert view["unknown"] == []
        replay = Desk(rig.settings)
        for item, outputs in rig.rows:
            assert replay.handle(item) == outputs, "I15"
        assert replay.digest() == rig.desk.digest(), "I15"


TestDesk = DeskMachine.TestCase
TestDesk.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


def history() -> Rig:
    """Three trades with all their events, in the order in which they happened."""
    rig = Rig().start()
    for number, leg in enumerate(("SL", "TP", "TP")):
        rig.signal(number)
        rig.run(1)
        order = rig.broker.leg(leg)
        rig.broker.fill(order.order_id, price=order.stop if leg == "SL" else order.limit)
        rig.pump()
        rig.run(6)
    return rig


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_I11_F_NET_08_any_order_and_repetition_of_broker_events_gives_the_same_result(seed: int) -> None:
    rig = history()
    told = [item for item, _ in rig.rows if isinstance(item, BrokerEvent) and not isinstance(item, Snapshot)]
    others = [item for item, _ in rig.rows if not isinstance(item, BrokerEvent) or isinstance(item, Snapshot)]
    dice = Random(seed)
    shuffled = told + [item for item in told if dice.random() < 0.5]
    dice.shuffle(shuffled)
    desk = Desk(rig.settings)
    for item in [*others[:8], *shuffled]:  # the start, then everything that the broker ever said, in any order
        desk.handle(item)
    view, truth = desk.view()["accounts"]["1001"], rig.view()  # type: ignore[index]
    for key in (
        "day_pnl_cents",
        "trades",
        "wins",
        "losses",
        "fees_cents",
        "drawdown_cents",
        "positions",
        "loss_streak",
    ):
        assert view[key] == truth[key], key


@pytest.mark.parametrize("losses", [2, 3])
def test_I13_never_an_entry_after_two_losses(losses: int) -> None:
    rig = Rig().start()
    for number in range(losses):
        rig.signal(number)
        if rig.state == "ACTIVE":
            leg = rig.broker.leg("SL")
            rig.broker.fill(leg.order_id, price=leg.stop)
            rig.pump()
        rig.run(30, step=1)
    assert len(rig.broker.sent(PlaceBracket)) == 2
