"""The table "Safe orders by condition" (failure-model.md section 2): the Desk in each condition, each column tried.

Y the order goes out, n it does not, Q only after an answer proved the state, R only in the flatten procedure.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from desk_rig import PRICE, START_NS, Rig, settings
from tbot.domain.messages import (
    AccountUpdate,
    CancelOrder,
    CloseContract,
    Command,
    ConditionIn,
    FeedIn,
    ModifyStop,
    PlaceBracket,
    PlaceStop,
    PlaceTarget,
    Query,
    StateChange,
)
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings
from tbot.risk.limits import RiskLimits

ENTRY = PRICE["MNQ"] + 1
LIMITS = RiskLimits(break_even_percent=100)


@dataclass
class Scene:
    """A Desk with what a column needs in MNQ: nothing, an entry that works, or a protected position."""

    column: str
    always: bool = True
    now_ns: int = START_NS
    rig: Rig = field(init=False)

    def __post_init__(self) -> None:
        self.rig = Rig(settings(LIMITS, always=self.always), now_ns=self.now_ns).start()
        if self.column == "cancel":
            self.rig.broker.fill_entries = False
            self.rig.signal(1, stop_ticks=40, target_ticks=200)
        elif self.column != "entry":
            self.rig.signal(1, stop_ticks=40, target_ticks=200)
            self.rig.run(1)
            assert self.rig.view()["positions"][0]["protected"]

    def sent(self, kind: type[Command], contract: str = "MNQ") -> list[Command]:
        return [command for command in self.rig.broker.sent(kind) if command.contract == contract]  # type: ignore[union-attr]

    def try_it(self, seconds: float = 2.5) -> bool:
        """Give the Desk every reason for the order of this column; whether it went out."""
        rig = self.rig
        if self.column == "entry":
            rig.signal(7)
        elif self.column == "cancel":
            rig.run(5)
        elif self.column == "close":
            rig.operator("flatten")
        elif self.column == "stop":
            rig.broker.cancel_by_hand(rig.broker.leg("SL").order_id)
            rig.pump()
        elif self.column == "closer":
            rig.prices["MNQ"] = ENTRY + 60
        else:
            rig.prices["MNQ"] = ENTRY - 20
        rig.run(seconds)
        return bool(self.sent(KINDS[self.column]))

    def told(self, code: str, text: str = "so it is") -> None:
        self.rig.feed(ConditionIn(self.rig.now_ns, code, text))


KINDS: dict[str, type[Command]] = {
    "entry": PlaceBracket, "cancel": CancelOrder, "close": CloseContract, "closer": ModifyStop, "away": ModifyStop,
    "stop": PlaceStop,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------- the conditions
def quote_stale(scene: Scene) -> None:
    scene.rig.quote_age_ns = 4 * NS_PER_S
    scene.rig.tick()


def feed_is(state: str) -> Callable[[Scene], None]:
    def put(scene: Scene) -> None:
        scene.rig.feed(FeedIn(scene.rig.now_ns, "MNQ", state))  # type: ignore[arg-type]

    return put


def condition(code: str) -> Callable[[Scene], None]:
    return lambda scene: scene.told(code)


def rest_down(scene: Scene) -> None:
    scene.rig.broker.query_complete = False
    scene.rig.broker.script["cancel"] = ["not_sent"] * 4  # tried, and tried again
    scene.rig.run(scene.rig.settings.limits.recon_idle_ns // NS_PER_S + 4 if scene.column == "entry" else 8)
    assert codes(scene) >= {"RC_REST_DOWN"}


def too_many(scene: Scene) -> None:
    scene.rig.broker.script["place"] = ["429"]
    scene.rig.signal(5, "ES", stop_ticks=8)
    scene.rig.tick()
    assert codes(scene) >= {"RC_RATE_LIMIT"}


def locked(scene: Scene) -> None:
    scene.rig.feed(AccountUpdate(scene.rig.now_ns, 1001, "PRAC-1", 5_000_000, False, True))
    assert scene.rig.state == "LOCKED"


def halted(scene: Scene) -> None:
    scene.rig.feed(AccountUpdate(scene.rig.now_ns, 1001, "PRAC-2", 5_000_000, True, True))
    assert scene.rig.state == "HALTED"


def reducing(scene: Scene) -> None:
    """Another contract is on its way out and does not get there."""
    rig = scene.rig
    legs, fill, rig.broker.legs, rig.broker.fill_entries = rig.broker.legs, rig.broker.fill_entries, (), True
    rig.broker.script["stop"], rig.broker.script["close"] = ["rejected"], ["rejected"] * 50
    rig.signal(5, "ES", stop_ticks=8)
    rig.run(1)
    rig.broker.legs, rig.broker.fill_entries = legs, fill
    assert rig.state == "REDUCING"


def codes(scene: Scene) -> set[str]:
    return {reason["code"] for reason in scene.rig.view()["reasons"]}


CONDITIONS: dict[str, Callable[[Scene], None]] = {
    "active": lambda scene: None,
    "quote stale": quote_stale,
    "gap": feed_is("gap"),
    "market hub down": feed_is("stale"),
    "rest down": rest_down,
    "429": too_many,
    "locked": locked,
    "halted": halted,
    "reducing": reducing,
    "journal": condition("RC_JOURNAL"),
    "clock": condition("RC_CLOCK"),
    "resumed": condition("RC_RESUMED"),
}
#                    entry cancel close closer stop; "away" is never
TABLE = {
    "active":          "Y Y Y Y Y",
    "quote stale":     "n Y Y n Y",
    "gap":             "n Y Y n Y",
    "market hub down": "n Y Y n Y",
    "rest down":       "n Y Y n Y",
    "429":             "n Y Y n Y",
    "locked":          "n Y R Y Y",
    "halted":          "n Y R Y Y",
    "reducing":        "n Y R Y Y",
    "journal":         "n Y Y Y Y",
    "clock":           "n Y Y n Y",
    "resumed":         "n Y Y n Y",
}  # fmt: skip
COLUMNS = ("entry", "cancel", "close", "closer", "stop")
CELLS = [
    (row, column, letter)
    for row, letters in TABLE.items()
    for column, letter in zip(COLUMNS, letters.split(), strict=True)
]


@pytest.mark.parametrize(("row", "column", "letter"), CELLS)
def test_I1_I3_I7_safe_orders_by_condition(row: str, column: str, letter: str) -> None:
    scene = Scene(column)
    CONDITIONS[row](scene)
    before = len(scene.sent(KINDS[column]))
    scene.try_it()
    went = len(scene.sent(KINDS[column])) > before
    assert went == (letter != "n")
    if letter == "R":
        assert [change.state for change in scene.rig.of(StateChange)].count("REDUCING") >= 1
    if column == "stop" and went:
        (stop,) = scene.sent(PlaceStop)
        assert (stop.size, stop.stop, stop.side) == (5, ENTRY - 40, -1)  # type: ignore[union-attr]
        assert not scene.sent(CloseContract)


@pytest.mark.parametrize("row", list(TABLE))
def test_a_stop_is_never_moved_away(row: str) -> None:
    scene = Scene("away")
    CONDITIONS[row](scene)
    scene.try_it()
    for price in (ENTRY + 60, ENTRY + 10, ENTRY - 30, ENTRY + 100, ENTRY + 20):
        scene.rig.prices["MNQ"] = price
        scene.rig.run(2)
    levels = [ENTRY - 40, *(command.stop for command in scene.sent(ModifyStop))]  # type: ignore[union-attr]
    assert levels == sorted(levels)


# ------------------------------------------------------------------------------------------------------ user hub down
@pytest.mark.parametrize(("column", "goes"), [("entry", False), ("cancel", True), ("close", True)])
def test_F_NET_07_user_hub_down(column: str, goes: bool) -> None:
    scene = Scene(column)
    scene.rig.broker.deaf = True
    scene.told("RC_USER_HUB")
    before = len(scene.sent(KINDS[column]))
    scene.try_it()
    assert (len(scene.sent(KINDS[column])) > before) == goes


@pytest.mark.parametrize("column", ["closer", "stop"])
def test_F_NET_07_user_hub_down_a_stop_moves_or_is_placed_only_after_an_answer(column: str) -> None:
    scene = Scene(column)
    rig = scene.rig
    if column == "stop":
        rig = scene.rig = Rig(settings(LIMITS)).start()
        rig.broker.legs = ("TP",)
        rig.broker.script["query"] = ["keep"]
        rig.signal(1, stop_ticks=40, target_ticks=200)
        rig.broker.deaf = True
        scene.told("RC_USER_HUB")
        rig.run(1.5)
    else:
        rig.broker.deaf = True
        rig.broker.script["query"] = ["keep"] * 2
        scene.told("RC_USER_HUB")
        rig.run(2)
        rig.prices["MNQ"] = ENTRY + 60
        rig.run(2)
    assert not scene.sent(KINDS[column])
    rig.broker.script["query"] = []
    kept = rig.broker.kept.pop()
    if column == "stop":
        rig.feed(rig.broker.snapshot(Query(kept.command_id, 1001, 0)))
        rig.run(1)
    else:
        rig.run(12)
    assert len(scene.sent(KINDS[column])) == 1


# --------------------------------------------------------------------------------------------------------- token lost
@pytest.mark.parametrize("column", ["cancel", "close", "stop"])
def test_F_API_01_token_lost_protective_orders_go_through_after_the_login(column: str) -> None:
    scene = Scene(column)
    rig = scene.rig
    scene.told("RC_AUTH")
    for kind in ("cancel", "close", "stop"):
        rig.broker.script[kind] = ["not_sent"] * 50
    rig.broker.query_complete = column == "stop"
    orders, size = len(rig.broker.working()), rig.broker.size("MNQ")
    scene.try_it(1.5)
    assert (len(rig.broker.working()), rig.broker.size("MNQ")) == (orders - (column == "stop"), size)
    rig.broker.script.clear()
    rig.broker.query_complete = True
    scene.told("RC_AUTH", "")
    rig.run(6)
    if column == "stop":
        assert rig.view()["positions"][0]["protected"]
    else:
        assert (rig.broker.working(), rig.broker.size("MNQ")) == ([], 0)


@pytest.mark.parametrize("column", ["entry", "closer"])
def test_F_API_01_token_lost_no_entry_and_no_move(column: str) -> None:
    scene = Scene(column)
    scene.told("RC_AUTH")
    assert not scene.try_it()
    scene.told("RC_AUTH", "")
    scene.rig.run(1)
    if column == "entry":
        scene.rig.signal(8)
    scene.rig.run(1)
    assert scene.sent(KINDS[column])


# ------------------------------------------------------------------------------------------- UNKNOWN entry and close
def unknown_entry(deliver: bool = True) -> Scene:
    """An UNKNOWN entry that filled: the hub told the fill and nothing else, and no answer has come since."""
    scene = Scene("entry")
    rig = scene.rig
    rig.broker.deaf, rig.broker.legs = True, ("TP",)
    rig.broker.script["query"] = ["keep"] * 3
    rig.broker.script["place"] = ["ambiguous_done" if deliver else "ambiguous_lost"]
    rig.signal(1, stop_ticks=40, target_ticks=200)
    assert rig.view()["unknown"]
    return scene


def test_R3_unknown_entry_nothing_is_done_before_a_query_and_then_it_is_protected() -> None:
    scene = unknown_entry()
    rig = scene.rig
    rig.feed(rig.broker.fills[0])
    rig.signal(2)
    assert rig.denials == ["POSITION_OPEN"] or rig.denials == ["RC_ORDER_UNKNOWN"]
    rig.prices["MNQ"] = ENTRY + 60
    rig.run(1.5)
    assert not any(scene.sent(kind) for kind in (CancelOrder, CloseContract, ModifyStop, PlaceStop, PlaceTarget))
    rig.broker.script["query"] = []
    rig.feed(rig.broker.snapshot(Query(rig.broker.kept.pop().command_id, 1001, 0)))
    rig.run(1.5)
    assert len(scene.sent(PlaceStop)) == 1
    assert rig.view()["unknown"] == []


def test_R3_unknown_entry_its_cancel_waits_for_the_id_and_a_way_out_for_the_proof() -> None:
    scene = unknown_entry()
    rig = scene.rig
    rig.broker.script["stop"] = ["rejected"]
    rig.operator("flatten")
    rig.run(2)
    assert not scene.sent(CancelOrder)  # no id, nothing to cancel
    assert not scene.sent(CloseContract)  # nobody told of a position
    rig.broker.script["query"] = []
    rig.feed(rig.broker.snapshot(Query(rig.broker.kept.pop().command_id, 1001, 0)))
    rig.run(6)
    assert len(scene.sent(CloseContract)) == 1
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])


@pytest.mark.parametrize(("column", "goes"), [("entry", False), ("closer", False), ("stop", False)])
def test_R4_unknown_close(column: str, goes: bool) -> None:
    scene = Scene("close")
    rig = scene.rig
    rig.broker.script["query"] = ["lose"]
    rig.broker.script["close"] = ["ambiguous"]
    rig.operator("flatten")
    assert len(scene.sent(CloseContract)) == 1
    scene.column = column
    before = len(scene.sent(KINDS[column]))
    scene.try_it(3)
    assert (len(scene.sent(KINDS[column])) > before) == goes
    assert len(scene.sent(CloseContract)) == 1  # not again before an answer
    rig.run(12)
    assert (rig.broker.size("MNQ"), len(scene.sent(CloseContract))) == (0, 2)


def test_R4_unknown_close_a_working_entry_is_cancelled() -> None:
    scene = Scene("close")
    rig = scene.rig
    rig.broker.fill_entries = False
    rig.signal(5, "ES", stop_ticks=8)
    rig.broker.script["close"] = ["ambiguous"]
    rig.operator("flatten")
    assert len(scene.sent(CancelOrder, "ES")) == 1


# ---------------------------------------------------------------------------------------------- position != broker's
def mismatch(column: str) -> Scene:
    """The broker holds one contract less than our fills say; one answer told it."""
    scene = Scene(column)
    rig = scene.rig
    if column in ("entry", "cancel"):
        rig.broker.held["ES"] = [(1, PRICE["ES"])]
    else:
        rig.broker.held["MNQ"].pop()
    asked = len(rig.broker.sent(Query))
    while len(rig.broker.sent(Query)) == asked:
        rig.tick()
    assert codes(scene) >= {"RC_MISMATCH"}
    return scene


def test_F_ACC_01_position_differs() -> None:
    assert not mismatch("entry").try_it(0.5)
    assert mismatch("cancel").try_it(0)
    scene = mismatch("closer")
    assert not scene.try_it(0.75)
    assert not scene.sent(CloseContract)  # one look
    scene.rig.run(2)
    assert scene.sent(CloseContract)  # two looks, then the procedure
    scene = mismatch("stop")
    scene.try_it(0.75)
    (stop,) = scene.sent(PlaceStop)
    assert stop.size == 4  # type: ignore[union-attr] # what both agree on


# ------------------------------------------------------------------------------------------------- foreign positions
def test_F_ACC_02_foreign_position_in_the_contract() -> None:
    scene = Scene("entry")
    rig = scene.rig
    rig.broker.place_foreign("MNQ", 1, 2)
    stop = rig.broker.place_foreign("MNQ", -1, 2, "stop", ENTRY - 30)
    ours = rig.broker.plant("MNQ", 1, 1, "limit", "TB1-1-7-E")
    rig.pump()
    rig.run(8)
    assert not scene.try_it()
    assert {command.order_id for command in scene.sent(CancelOrder)} == {ours}  # type: ignore[union-attr]
    rig.prices["MNQ"] = ENTRY + 90
    rig.run(8)
    rig.broker.cancel_by_hand(stop)
    rig.pump()
    rig.run(8)
    assert not scene.sent(ModifyStop)
    assert not scene.sent(PlaceStop)
    rig.operator("flatten")
    rig.run(5)
    assert (rig.broker.size("MNQ"), scene.sent(CloseContract)) == (2, [])
    rig.operator("kill")
    rig.run(5)
    assert rig.broker.size("MNQ") == 0


def test_F_ACC_02_beside_a_foreign_position_only_our_part_gets_a_stop_and_a_foreign_stop_stays() -> None:
    scene = Scene("stop")
    rig = scene.rig
    foreign = rig.broker.place_foreign("MNQ", -1, 2, "stop", ENTRY - 30)
    rig.broker.place_foreign("MNQ", 1, 2)
    rig.pump()
    rig.run(6)
    scene.try_it()
    assert [stop.size for stop in scene.sent(PlaceStop)] == [3]  # type: ignore[union-attr] # 2 of 5 have one already
    rig.prices["MNQ"] = ENTRY + 90
    rig.run(6)
    assert foreign not in {command.order_id for command in rig.broker.sent(ModifyStop)}  # type: ignore[union-attr]


# ----------------------------------------------------------------------------------------------------- outside window
def closing_time() -> int:
    """A minute in which entries have ended and nothing must be flat yet."""
    calendar = settings(always=False).calendar
    minutes = (START_NS + minute * NS_PER_MIN for minute in range(24 * 60))
    return next(at for at in minutes if not calendar.entries_allowed(at, "MNQ") and not calendar.flat_due(at, "MNQ"))


@pytest.mark.parametrize(("column", "goes"), [("entry", False), ("cancel", True), ("closer", True), ("stop", True)])
def test_F_TIM_05_outside_window(column: str, goes: bool) -> None:
    scene = Scene(column, always=False, now_ns=closing_time() - 2 * NS_PER_S)
    scene.rig.run(2, step=0.5)
    assert codes(scene) == {"RC_WINDOW"}
    before = len(scene.sent(KINDS[column]))
    scene.try_it()
    assert (len(scene.sent(KINDS[column])) > before) == goes


def test_F_TIM_05_outside_window_a_position_goes_by_the_procedure() -> None:
    scene = Scene("close", always=False, now_ns=closing_time() - 2 * NS_PER_S)
    scene.rig.run(11 * 60, step=5)
    assert "REDUCING" in scene.rig.states
    assert scene.rig.broker.size("MNQ") == 0


# ----------------------------------------------------------------------------------------------- start-up before proof
def test_I14_start_up_before_proof_nothing_is_cancelled_closed_or_moved() -> None:
    rig = Rig(settings(LIMITS))
    rig.broker.held["ES"] = [(1, PRICE["ES"])]  # unexplained, so the first answer is no proof
    tag = "TB1-1-7-E"
    entry = rig.broker.plant("MNQ", 1, 1, "limit", tag)
    leg = rig.broker.plant("MES", 1, 1, "stop", "TB1-1-8-E-SL", PRICE["MES"] + 40)
    rig.start()
    rig.prices["MNQ"] = ENTRY + 60
    rig.run(0.75)
    rig.signal(1)
    assert rig.state == "RECONCILING"
    commands = (CancelOrder, CloseContract, ModifyStop, PlaceStop, PlaceTarget, PlaceBracket)
    assert not any(rig.broker.sent(kind) for kind in commands)
    rig.run(6)
    assert {command.order_id for command in rig.broker.sent(CancelOrder)} >= {entry, leg}  # type: ignore[union-attr]
    assert rig.broker.size("ES") == 0


def test_I3_start_up_before_proof_a_naked_position_is_protected_all_the_same() -> None:
    old = Rig(settings(LIMITS)).start()
    old.broker.legs = ()
    old.signal(1, stop_ticks=40, target_ticks=200)
    fold = CarryFold()
    for item, outputs in old.rows:
        fold.add(item, outputs)
    account = AccountSettings(1001, "PRAC-1", fold.carried(1001))
    old.broker.events.clear()
    old.broker.held["ES"] = [(1, PRICE["ES"])]
    rig = Rig(settings(LIMITS, accounts=(account,), run_start_ms=old.settings.run_start_ms + 60_000), old.broker)
    rig.start()
    rig.run(0.75)
    assert rig.state == "RECONCILING"
    (stop,) = rig.broker.sent(PlaceStop)
    assert (stop.contract, stop.size, stop.stop) == ("MNQ", 5, ENTRY - 40)  # type: ignore[union-attr]
    assert not rig.broker.sent(CloseContract)
