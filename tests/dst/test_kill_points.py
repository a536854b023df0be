"""Failure-model section 6: the executor dies at each listed point, and comes out as the table requires.

Each test is one simulated day with one planned death, judged by the referee as well. "Life 1" and "life 2" are the
executor before and after.
"""

from dataclasses import replace
from typing import Any

import pytest

from dst import disk
from dst.kill_points import QUERIES
from dst.plans import Fault
from dst.scenes import Scene, draw_scene
from dst.scheduler import NS_PER_S
from dst.verdict import run
from dst.world import World
from tbot.domain.messages import CommandResult, Fill, Intent, ModifyStop, RoundTrip, Snapshot, StateChange
from tbot.gateway import codec_tables as tables
from tbot.risk.limits import RiskLimits
from tbot.storage.journal import Journal
from tbot.storage.journal_files import head_path, read_head
from tbot.storage.journal_reader import Verdict

PLACE, CANCEL, CLOSE, MODIFY = (
    call.path for call in (tables.ORDER_PLACE, tables.ORDER_CANCEL, tables.POSITION_CLOSE, tables.ORDER_MODIFY)
)


def scene(place: str = "morning", faults_s: float = 35.0, calm_s: float = 65.0, **limits: int) -> Scene:
    """A quiet day in MNQ with a signal every few seconds."""
    drawn = draw_scene(3, place, ("MNQ",))
    return replace(
        drawn,
        faults_s=faults_s,
        calm_s=calm_s,
        signal_every_s=8.0,
        accounts=1,
        limits=replace(RiskLimits(), **limits),
    )


def killed(point: str, *more: Fault, seed: int = 3, script: Any = None, day: Scene | None = None, **args: Any) -> World:
    """The world after a day in which the executor died once at `point`; the referee has found nothing."""
    plan = [Fault("kill", "proc.kill_point", at=0.5, args={"point": point, "down": 1.0, **args}), *more]
    verdict = run(seed, plan, day or scene(), script=script)
    world = verdict.world
    assert world.kills.reached == [point]
    assert [death.cause for death in world.evidence.deaths] == [point]
    assert not verdict.violations, verdict.text()
    _agrees(world)
    return world


def _agrees(world: World) -> None:
    """Engine and exchange tell the same, nothing is naked, no tag and no decision went out twice, trading goes on."""
    evidence = world.evidence
    view = evidence.view
    assert view is not None
    account = view["accounts"][str(world.account)]
    held = {item.contract: item.size for item in evidence.holdings(world.account)}
    assert {item["contract"]: item["side"] * item["size"] for item in account["positions"]} == held
    assert all(item["protected"] for item in account["positions"])
    placed = [request.tag for request in evidence.wire if request.path == PLACE]
    assert len(set(placed)) == len(placed)
    states = [change for change in notes(world, 2, StateChange) if change.state in ("ACTIVE", "PAUSED", "LOCKED")]
    assert states, "the second life proved nothing"
    proven_ns = states[0].now_ns - world.offset_ns
    assert proven_ns - evidence.born[2] <= 30 * NS_PER_S


def notes(world: World, life: int, kind: type) -> list[Any]:
    """Outputs of one life, lost ones left out."""
    return [
        output
        for step in world.evidence.steps
        if step.executor == life and not step.lost
        for output in step.outputs
        if isinstance(output, kind)
    ]


def inputs(world: World, life: int, kind: type) -> list[Any]:
    """Inputs of one life, lost ones too."""
    return [step.item for step in world.evidence.steps if step.executor == life and isinstance(step.item, kind)]


def requests(world: World, life: int, path: str) -> list[Any]:
    return [request for request in world.evidence.wire if request.executor == life and request.path == path]


def died_ns(world: World) -> int:
    return world.evidence.deaths[0].boot_ns


class Once:
    """A script that does something the first time a condition holds."""

    def __init__(self, when: Any, do: Any) -> None:
        self._when, self._do, self._done = when, do, False

    def __call__(self, world: World) -> None:
        if not self._done and self._when(world):
            self._done = True
            self._do(world)


def holds(world: World) -> bool:
    return bool(world.evidence.holdings(world.account))


def against(world: World, ticks: int = 100) -> None:
    """The price jumps against what is held, through the stop."""
    for item in world.evidence.holdings(world.account):
        world.market.gap(-ticks if item.size > 0 else ticks, item.contract)


# ------------------------------------------------------------------------------------------------ signal to order
def test_K_EX_01_a_signal_that_was_not_recorded_is_lost_and_gives_no_order():
    world = killed("K-EX-01")
    assert requests(world, 1, PLACE) == []
    assert notes(world, 1, Intent) == []


def test_K_EX_02_an_approval_without_its_intent_gives_no_order():
    world = killed("K-EX-02")
    assert requests(world, 1, PLACE) == []
    assert notes(world, 1, Intent) == []
    assert on_disk(world, 1, "Intent") == 0


def test_K_EX_03_a_torn_intent_is_dropped_and_gives_no_order():
    world = killed("K-EX-03")
    assert requests(world, 1, PLACE) == []
    assert on_disk(world, 1, "Intent") == 0


def test_K_EX_04_an_intent_that_was_not_sent_is_unknown_then_presumed_dead():
    seen: list[Any] = []

    def watch(world: World) -> None:
        view = world.evidence.view
        if world.lives == 2 and view is not None:
            seen.append(view["accounts"][str(world.account)]["unknown"])

    world = killed("K-EX-04", script=watch, day=scene(faults_s=90.0))
    (intent,) = notes(world, 1, Intent)
    assert requests(world, 1, PLACE) == []
    assert [intent.tag] in seen, "the second life never had it as UNKNOWN"
    assert seen[-1] == [], "it was never presumed dead"
    assert intent.tag not in {request.tag for request in world.evidence.wire}


def test_K_EX_05_an_order_without_an_answer_is_found_and_managed():
    _is_found(killed("K-EX-05"))


def test_K_EX_05_an_order_that_left_before_the_head_of_its_rows_is_found_and_managed(monkeypatch):
    heads: list[int] = []
    verify = Journal.verify

    def noted(journal: Journal) -> Verdict:
        found = read_head(head_path(journal.path))
        heads.append(0 if found is None else found[0])
        return verify(journal)

    monkeypatch.setattr(disk, "WRITE_NS", NS_PER_S // 5)
    monkeypatch.setattr(Journal, "verify", noted)
    world = killed("K-EX-05")
    _is_found(world)
    intent = next(seq for seq, name in world.rows if name == "Intent")
    assert 0 < heads[1] < intent, "the head was down before the order left: nothing was tried"


def test_K_EX_06_an_order_whose_answer_was_not_recorded_is_found_and_managed():
    _is_found(killed("K-EX-06"))


def _is_found(world: World) -> None:
    (request,) = requests(world, 1, PLACE)
    assert request.arrived == 1
    (intent,) = notes(world, 1, Intent)
    assert not [item for item in inputs(world, 1, CommandResult) if item.order_id is not None]
    trips = [trip for trip in notes(world, 2, RoundTrip) if trip.signal_id == intent.signal_id]
    held = [
        item["signal_id"]
        for item in world.evidence.view["accounts"][str(world.account)]["positions"]  # type: ignore[index]
    ]
    assert len(trips) + held.count(intent.signal_id) == 1, "the second life must know whose position that is"


def test_K_EX_07_a_fill_before_its_bracket_was_proven_is_protected_or_closed():
    world = killed("K-EX-07")
    assert [fill for fill in inputs(world, 1, Fill) if fill.pnl_cents is None]


def test_K_EX_08_a_partial_fill_keeps_its_exact_size():
    part = Fault("part", "order.partial", at=0.4, args={"sizes": [1], "delays": [0.0]})
    sizes: list[int] = []

    def watch(world: World) -> None:
        view = world.evidence.view
        if world.lives == 2 and view is not None:
            sizes.extend(item["size"] for item in view["accounts"][str(world.account)]["positions"][:1])

    world = killed("K-EX-08", part, script=watch)
    (intent,) = notes(world, 1, Intent)[:1]
    assert intent.size > 1, "nothing could be filled in part"
    assert not sizes or sizes[0] == 1


def test_K_EX_09_after_a_move_of_the_stop_its_price_is_read_again():
    def rise(world: World) -> None:
        for item in world.evidence.holdings(world.account):
            world.market.gap(3 if item.size > 0 else -3, item.contract)

    world = killed("K-EX-09", script=rise, day=scene(break_even_percent=10))
    (asked,) = [
        output
        for step in world.evidence.steps
        if step.executor == 1
        for output in step.outputs
        if isinstance(output, ModifyStop)
    ]
    stop = next(
        order for order in world.exchange.accounts[world.account].book.orders.values()
        if order.order_id == asked.order_id
    )  # fmt: skip
    assert stop.stop == asked.stop
    told = [
        update.stop
        for item in inputs(world, 2, Snapshot)
        for update in item.orders
        if update.order_id == asked.order_id
    ]
    assert set(told) <= {asked.stop}


# --------------------------------------------------------------------------------------------------------- flatten
def flattening(point: str, *more: Fault) -> None:
    _is_over(killed(point, *more, script=Once(holds, lambda world: world.person("kill"))))


def test_K_EX_10_a_flatten_that_was_only_recorded_goes_on():
    flattening("K-EX-10")


def test_K_EX_12_a_flatten_goes_on_after_its_close():
    flattening("K-EX-12")


def test_K_EX_13_a_flatten_goes_on_after_its_first_proof():
    flattening("K-EX-13")


def test_K_EX_14_a_flatten_goes_on_after_the_rest_was_cancelled():
    flattening("K-EX-14")


def test_K_EX_15_a_flatten_that_was_proven_is_proven_again_and_its_lock_stays():
    flattening("K-EX-15")


def test_K_EX_11_a_flatten_that_cancels_a_working_entry_goes_on_by_itself():
    part = Fault("part", "order.partial", at=0.4, args={"sizes": [1], "delays": [0.0]})
    flattening("K-EX-11", part)


def _is_over(world: World) -> None:
    """Flat with no working order within 10 s of the new start, and locked for the day."""
    view = world.evidence.view
    assert view is not None
    account = view["accounts"][str(world.account)]
    assert account["flat"]
    assert account["state"] == "LOCKED"
    assert not world.evidence.working(world.account)
    last = max([order.updated_ns for order in world.exchange.accounts[world.account].book.orders.values()], default=0)
    assert last - world.offset_ns <= world.evidence.born[2] + 10 * NS_PER_S


# ------------------------------------------------------------------------------------------------- locks, counters
def test_K_EX_16_a_lock_that_was_not_recorded_is_found_again_from_the_trades():
    again = Fault("again", "person.resume", at=30.0)  # two entries in five seconds have halted it
    world = killed("K-EX-16", again, script=against, day=scene(faults_s=120.0))
    assert not [change for change in notes(world, 1, StateChange) if change.state == "LOCKED"]
    assert notes(world, 2, StateChange)[0].state in ("RECONCILING", "LOCKED")
    view = world.evidence.view
    assert view is not None
    assert view["accounts"][str(world.account)]["state"] == "LOCKED"
    assert requests(world, 2, PLACE) == []


def test_K_EX_19_a_loss_that_was_not_counted_is_counted_after_the_start():
    streaks: list[int] = []

    def watch(world: World) -> None:
        against(world)
        view = world.evidence.view
        if world.lives == 2 and view is not None and view["accounts"][str(world.account)]["state"] == "ACTIVE":
            streaks.append(view["accounts"][str(world.account)]["loss_streak"])

    world = killed("K-EX-19", script=watch, day=scene(faults_s=120.0))
    assert streaks[0] == 1
    assert len(requests(world, 2, PLACE)) == 1, "one more loss and the day is over"
    view = world.evidence.view
    assert view is not None
    assert view["accounts"][str(world.account)]["state"] == "LOCKED"


def test_K_EX_20_at_the_rollover_counters_start_anew_and_the_lock_ends():
    early = Fault("early", "person.kill", at=20.0)
    world = killed("K-EX-20", early, day=scene("rollover", faults_s=150.0))
    assert [change.state for change in notes(world, 1, StateChange)][-1] == "LOCKED"
    view = world.evidence.view
    assert view is not None
    account = view["accounts"][str(world.account)]
    assert account["state"] == "PAUSED"  # outside of the window, and nothing else
    assert [reason["code"] for reason in account["reasons"]] == ["RC_WINDOW"]
    assert account["loss_streak"] == 0


# -------------------------------------------------------------------------------------------------- start, journal
@pytest.mark.parametrize("query", QUERIES)
def test_K_EX_17_a_start_that_dies_in_a_query_starts_over(query):
    world = killed("K-EX-17", query=query)
    assert requests(world, 1, PLACE) == []


def test_K_EX_18_a_token_on_its_way_is_asked_for_again():
    world = killed("K-EX-18")
    assert len(requests(world, 2, tables.LOGIN_KEY.path)) == 1


def test_K_JR_01_a_transaction_that_was_cut_off_leaves_no_trace():
    assert killed("K-JR-01", nth=5).set_aside == [], "a sound journal was put aside"


def test_K_JR_02_a_checkpoint_that_was_cut_off_loses_nothing():
    assert killed("K-JR-02", day=scene(faults_s=100.0)).set_aside == []


def test_K_JR_03_a_full_journal_that_was_being_changed_for_a_new_one_is_whole():
    again = Fault("again", "proc.kill", at=140.0, args={"down": 1.0})
    plan = [Fault("kill", "proc.kill_point", at=0.5, args={"point": "K-JR-03", "query": "replace"}), again]
    verdict = run(3, plan, scene(faults_s=150.0))
    assert not verdict.violations, verdict.text()
    assert verdict.world.kills.reached == ["K-JR-03"]
    assert verdict.world.set_aside == []
    seqs = [seq for seq, _ in verdict.world.rows]
    assert seqs == list(range(1, len(seqs) + 1)), "rows are missing between the files"
    assert [kind for _, kind in verdict.world.rows].count("RunInfo") == 2


def test_K_JR_04_a_migration_that_was_cut_off_is_taken_again():
    older = Fault("older", "disk.damage", at=20.0, args={"how": "version_1"})
    plan = [Fault("kill", "proc.kill_point", at=0.5, args={"point": "K-JR-04"}), older]
    verdict = run(3, plan, scene())
    assert not verdict.violations, verdict.text()
    assert verdict.world.kills.reached == ["K-JR-04"]
    assert verdict.world.lives == 3
    assert verdict.world.set_aside == []


def test_K_JR_03_a_journal_that_was_being_put_aside_is_put_aside():
    spoiled = Fault("spoiled", "disk.damage", at=20.0, args={"how": "changed_row"})
    plan = [Fault("kill", "proc.kill_point", at=0.5, args={"point": "K-JR-03", "nth": 2}), spoiled]
    verdict = run(3, plan, scene())
    assert not verdict.violations, verdict.text()
    assert verdict.world.kills.reached == ["K-JR-03"]
    assert verdict.world.lives == 3
    assert verdict.world.set_aside


@pytest.mark.parametrize("nth", [3, 9, 14])
def test_K_ALL_01_power_goes_and_what_was_on_its_way_is_lost(nth):
    killed("K-ALL-01", nth=nth, query="wire")


@pytest.mark.parametrize("nth", [2, 7])
def test_K_ALL_01_power_goes_in_a_commit_of_which_a_part_came_to_the_disk(nth):
    assert killed("K-ALL-01", nth=nth, query="commit", torn=True).set_aside == []


def on_disk(world: World, run_number: int, kind: str) -> int:
    """Rows of a kind that one life left in the journal."""
    assert world.evidence.journal is not None
    starts = [row[0] for row in world.rows if row[1] == "RunInfo"]
    first = starts[run_number - 1]
    last = starts[run_number] if run_number < len(starts) else 10**9
    return sum(1 for seq, name in world.rows if name == kind and first < seq < last)
