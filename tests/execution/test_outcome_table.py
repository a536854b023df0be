"""The REST outcome table at the Desk (failure-model.md section 4): each cell of gateway.outcomes.RULES is one story.

What the client itself does in a cell is in tests/gateway/test_outcomes.py; here is what the owner of the call does.
"""

import itertools
from collections.abc import Callable

import pytest

from desk_rig import PRICE, Rig, settings
from tbot.domain.messages import (
    CancelOrder,
    CloseContract,
    Command,
    ModifyStop,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Query,
    StateChange,
)
from tbot.execution.exposure import stop_level
from tbot.execution.stop_moves import Move
from tbot.gateway.live_broker import CALLS
from tbot.gateway.outcomes import RULES, Row, Situation, Then, row_of
from tbot.risk.limits import RiskLimits

ENTRY = PRICE["MNQ"] + 1
WORDS = {
    Situation.NOT_SENT: "not_sent",
    Situation.BUDGET: "no_budget",
    Situation.REFUSED: "rejected",
    Situation.AMBIGUOUS: "ambiguous",
    Situation.UNAUTHORIZED: "401",
    Situation.TOO_MANY: "429",
}
LINE_CODES = {Situation.UNAUTHORIZED: "RC_AUTH", Situation.TOO_MANY: "RC_RATE_LIMIT"}


def started(**limits: int) -> Rig:
    return Rig(settings(RiskLimits(**limits))).start()


def holding(**limits: int) -> Rig:
    rig = started(**limits)
    rig.signal(stop_ticks=40, target_ticks=200)
    rig.run(1)
    assert rig.view()["positions"][0]["protected"]
    return rig


def between(rig: Rig, kind: type[Command]) -> list[bool]:
    """For each but the first command of a kind: whether a query went out since the one before it."""
    places = [index for index, command in enumerate(rig.broker.wire) if isinstance(command, kind)]
    pairs = itertools.pairwise(places)
    return [any(isinstance(command, Query) for command in rig.broker.wire[a:b]) for a, b in pairs]


def queried_at_once(rig: Rig, kind: type[Command]) -> bool:
    """Whether the very next command after the newest of a kind is a query."""
    places = [index for index, command in enumerate(rig.broker.wire) if isinstance(command, kind)]
    return isinstance(rig.broker.wire[places[-1] + 1], Query)


def held_codes(rig: Rig) -> set[str]:
    return {reason["code"] for reason in rig.view()["reasons"]}


def said(rig: Rig) -> set[str]:
    return {code for note in rig.of(StateChange) for code in note.reasons}


# ------------------------------------------------------------------------------------------------------------- place
def place(situation: Situation, then: Then) -> None:
    rig = started()
    rig.broker.script["place"] = [WORDS[situation]]
    rig.signal(1)
    (command,) = rig.broker.sent(PlaceBracket)
    unknown = then is Then.UNKNOWN
    assert rig.view()["unknown"] == ([command.tag] if unknown else [])
    if unknown:
        assert queried_at_once(rig, PlaceBracket)
    rig.run(6)
    rig.signal(2)
    # The next signal: free again where the outcome is proven, refused while it is not; and never the same one again.
    refused = {Situation.TOO_MANY: ["RC_RATE_LIMIT"]}.get(situation, ["RC_ORDER_UNKNOWN"])
    assert rig.denials == (refused if unknown else [])
    rig.run(70, step=1)
    assert len([each for each in rig.broker.sent(PlaceBracket) if each.signal_id == "MNQ-1"]) == 1
    assert rig.view()["unknown"] == []
    assert (len(rig.desk._engines[1001].manager.rejects) == 1) == (then is Then.REJECTED)


# ------------------------------------------------------------------------------------------------------------ cancel
def cancel(situation: Situation, then: Then) -> None:
    rig = started()
    rig.broker.fill_entries = False
    rig.signal(1)
    (entry,) = rig.broker.brackets
    if then is Then.QUERY:
        # Refused, because it filled and nobody told: the query after the refusal finds the position.
        rig.broker.deaf = True
        rig.run(4.5)
        rig.broker.fill(entry)
        rig.broker.deaf = False
        rig.broker.script["cancel"] = ["gone"]
        before = len(rig.broker.sent(Query))
        rig.run(3)
        assert len(rig.broker.sent(Query)) > before
        assert rig.view()["positions"][0]["protected"]
        assert len(rig.broker.sent(CancelOrder)) == 1
        return
    rig.broker.script["cancel"] = [WORDS[situation]]
    rig.run(8)
    assert [command.order_id for command in rig.broker.sent(CancelOrder)][:2] == [entry, entry]
    assert between(rig, CancelOrder)[0]
    assert (rig.broker.working(), rig.view()["unknown"]) == ([], [])
    assert not rig.broker.sent(CloseContract)


# ------------------------------------------------------------------------------------------------------------ modify
def modify(situation: Situation, then: Then) -> None:
    rig = holding(break_even_percent=100)
    engine = rig.desk._engines[1001]
    rig.broker.script["modify"] = [WORDS[situation]]
    rig.broker.script["query"] = ["keep"]
    rig.broker.deaf = True
    rig.prices["MNQ"] = ENTRY + 60
    rig.tick()
    (command,) = rig.broker.sent(ModifyStop)
    assert queried_at_once(rig, ModifyStop)
    old = ENTRY - 40
    assert stop_level(engine.picture, engine.manager.moves, "MNQ")[0] == old  # the worse of both, or the truth
    doubted = not engine.manager.moves.of[command.order_id].proven
    assert doubted == (situation in (Situation.AMBIGUOUS, Situation.UNAUTHORIZED, Situation.TOO_MANY))
    rig.run(1.5)
    assert len(rig.broker.sent(ModifyStop)) == 1  # not again before an answer proves where it stands
    rig.broker.deaf = False
    rig.run(80, step=1)
    assert rig.view()["positions"][0]["stop"] == ENTRY
    assert len(rig.broker.sent(ModifyStop)) == 2
    assert between(rig, ModifyStop) == [True]
    assert then in (Then.QUERY_REPEAT, Then.QUERY, Then.WORSE_STOP)
    assert not rig.broker.sent(CloseContract)


# ------------------------------------------------------------------------------------------------------------- close
def close(situation: Situation, then: Then) -> None:
    rig = holding()
    if then is Then.PROVE:
        rig.broker.deaf = True
        rig.broker.place_foreign("MNQ", -1, 5)  # somebody was faster: there is no position any more
        rig.broker.deaf = False
        rig.operator("flatten")
        rig.run(8)
        assert len(rig.broker.sent(CloseContract)) == 1
        assert not rig.broker.sent(PlaceExit)
    else:
        rig.broker.script["close"] = [WORDS[situation]]
        rig.operator("flatten")
        assert len(rig.broker.sent(CloseContract)) == 1
        rig.run(8)
        assert len(rig.broker.sent(CloseContract)) == 2
        assert between(rig, CloseContract) == [True]
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])
    assert rig.desk.is_flat(1001)


# ------------------------------------------------------------------------------------------------------------- query
def query(situation: Situation, then: Then) -> None:
    rig = started()
    rig.broker.script["query"] = [WORDS[situation]] * 3
    before = len(rig.broker.sent(Query))
    rig.run(31)
    assert len(rig.broker.sent(Query)) == before + 2  # at the next turn, not at once
    assert held_codes(rig) == {LINE_CODES[situation]} if situation in LINE_CODES else rig.state == "ACTIVE"
    rig.run(1)
    assert "RC_REST_DOWN" in held_codes(rig)  # three in a row: it was needed as proof
    rig.run(2)
    assert "RC_REST_DOWN" not in held_codes(rig)
    assert "RC_AUTH" not in held_codes(rig)  # an answer came, so there is a login
    assert ("RC_RATE_LIMIT" in held_codes(rig)) == (situation is Situation.TOO_MANY)
    rig.run(61, step=1)
    assert rig.state == "ACTIVE"
    assert then in (Then.LATER, Then.REPORT)


CASES: dict[Row, Callable[[Situation, Then], None]] = {
    "place": place, "cancel": cancel, "modify": modify, "close": close, "query": query,
}  # fmt: skip
# Calls that no command of the Desk makes; partial close is not naturally repeatable, so it is not used (R4).
OTHERS: set[Row] = {"login", "validate", "logout", "history", "partial close"}


@pytest.mark.parametrize(("row", "situation"), list(RULES))
def test_F_ORD_02_F_API_01_F_API_03_each_cell_of_the_outcome_table(row: Row, situation: Situation) -> None:
    if row in OTHERS:
        assert row not in {row_of(call) for call in CALLS.values()}
        return
    CASES[row](situation, RULES[row, situation].then)


@pytest.mark.parametrize(("row", "situation"), [cell for cell in RULES if cell[0] in CASES and cell[1] in LINE_CODES])
def test_F_API_01_F_API_03_entries_pause_after_a_429_for_a_minute_and_after_a_401_until_an_answer(
    row: Row, situation: Situation
) -> None:
    rig = holding()
    rig.broker.script["query"] = ["lose"] * 2
    rig.broker.script[row] = [WORDS[situation]]
    if row == "place":
        rig.signal(9, "ES", stop_ticks=8)
    elif row == "query":
        rig.broker.script["query"] = [WORDS[situation]]
        rig.run(6)
    elif row == "close":
        rig.operator("flatten")
    else:
        engine = rig.desk._engines[1001]
        stop = rig.broker.leg("SL").order_id
        if row == "cancel":
            engine.manager.cancel("MNQ", stop, rig.now_ns)
        else:
            engine.manager.move_stop(Move("MNQ", stop, ENTRY - 20), rig.now_ns)
        rig.tick()
    assert LINE_CODES[situation] in said(rig)


# ------------------------------------------------------------------------------- placements of our own making, by cell
PLACE_CELLS = [(situation, rule.then) for (row, situation), rule in RULES.items() if row == "place"]


@pytest.mark.parametrize(("situation", "then"), PLACE_CELLS)
def test_F_ORD_05_I3_a_missing_stop_by_outcome(situation: Situation, then: Then) -> None:
    rig = started()
    rig.broker.legs = ("TP",)
    rig.broker.script["stop"] = [WORDS[situation]]
    rig.signal(1)
    rig.run(1)
    (first, *_) = rig.broker.sent(PlaceStop)
    assert (first.size, first.side, first.stop) == (5, -1, ENTRY - 40)
    if then is Then.REJECTED:
        assert len(rig.broker.sent(CloseContract)) == 1  # at once: there is nothing to wait for
    rig.run(1)
    assert bool(rig.broker.sent(CloseContract)) == (then is Then.REJECTED)
    assert rig.view()["unknown"] == ([first.tag] if then is Then.UNKNOWN else [])
    rig.run(3)
    stops = rig.broker.sent(PlaceStop)
    assert len({stop.tag for stop in stops}) == len(stops) == (2 if then is Then.DEAD else 1)
    assert rig.broker.size("MNQ") == (5 if then is Then.DEAD else 0)
    assert (rig.broker.working() == []) == (then is not Then.DEAD)


@pytest.mark.parametrize(("situation", "then"), PLACE_CELLS)
def test_F_ORD_05_a_missing_target_by_outcome(situation: Situation, then: Then) -> None:
    rig = started()
    rig.broker.legs = ("SL",)
    rig.broker.script["target"] = [WORDS[situation]]
    rig.signal(1)
    rig.run(70, step=0.5)
    targets = rig.broker.sent(PlaceTarget)
    assert len({target.tag for target in targets}) == len(targets) == (2 if then is Then.DEAD else 1)
    assert (targets[0].size, targets[0].side, targets[0].limit) == (5, -1, ENTRY + 80)
    assert (rig.broker.size("MNQ"), rig.broker.sent(CloseContract)) == (5, [])  # the stop keeps it protected
    assert rig.view()["unknown"] == []


@pytest.mark.parametrize(("situation", "then"), PLACE_CELLS)
def test_F_ORD_02_an_exit_in_place_of_a_refused_close_by_outcome(situation: Situation, then: Then) -> None:
    rig = holding()
    rig.broker.script["close"] = ["account"]
    rig.broker.script["exit"] = [WORDS[situation]]
    rig.operator("flatten")
    rig.run(15)
    assert len(rig.broker.sent(CloseContract)) == 1
    exits = rig.broker.sent(PlaceExit)
    assert [(each.size, each.side) for each in exits] == [(5, -1)] * 2
    assert len({each.tag for each in exits}) == 2
    queries = [index for index, command in enumerate(rig.broker.wire) if isinstance(command, Query)]
    places = [index for index, command in enumerate(rig.broker.wire) if isinstance(command, PlaceExit)]
    close_at = next(index for index, command in enumerate(rig.broker.wire) if isinstance(command, CloseContract))
    assert any(close_at < index < places[0] for index in queries)  # of a size just read
    # An outcome that is open takes two answers without it before there may be another.
    assert sum(places[0] < index < places[1] for index in queries) >= (2 if then is Then.UNKNOWN else 1)
    assert (rig.broker.size("MNQ"), rig.broker.working()) == (0, [])
    assert rig.desk.is_flat(1001)
