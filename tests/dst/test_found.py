"""What random plans once found, as scripts: the faults that it took, judged by the whole referee."""

from dataclasses import replace

import pytest

from dst.plans import Fault
from dst.purse import purse_of
from dst.referee import Referee
from dst.scenes import draw_scene
from dst.verdict import Verdict, run
from dst.world import START_BOOT_NS, World
from tbot.domain.messages import OperatorIn, PlaceStop, Query, Snapshot, StateChange
from tbot.gateway.codec_tables import LOGIN_KEY, POSITION_CLOSE


def play(seed: int, *faults: Fault, place: str = "morning", symbols: tuple[str, ...] = (), **more: object) -> Verdict:
    """One short day with these faults; what the referee saw must be nothing."""
    scene = replace(draw_scene(seed, place, symbols), **{"faults_s": 60.0, "calm_s": 20.0, **more})  # type: ignore[arg-type]
    verdict = run(seed, list(faults), scene)
    assert not verdict.violations, verdict.text()
    return verdict


@pytest.mark.parametrize("off_s", [-1.5, 0.0, 1.5])
def test_I7_F_NET_05_no_entry_on_prices_that_come_four_seconds_late(off_s):
    """Allowance for clocks that differ was taken off each age: prices of up to five seconds passed for fresh."""
    step = Fault("c", "clock.step", at=5.0, args={"seconds": off_s})
    late = Fault("l", "ws.latency", at=20.0, seconds=35.0, args={"seconds": 4.0})
    verdict = play(1151, *([step] if off_s else []), late, symbols=("MES", "MNQ"))
    assert verdict.judged["I7"] > 0


@pytest.mark.parametrize("seed", [1084, 3, 11])
def test_I11_F_ACC_05_answers_four_seconds_old_do_not_bring_back_what_is_over(seed):
    """Two of them agree with each other; a position that was over was taken over again, and its result told twice."""
    old = Fault("o", "rest.stale_read", at=20.0, seconds=40.0, args={"age": 4.0})
    play(seed, old, symbols=("MNQ", "MGC"), signal_every_s=5.0)


def test_I33_F_SYS_05_news_is_told_before_a_slow_disk_holds_the_executor_up():
    """A pause that ended was shown only after the next entry's sync had ended, too."""
    since: dict[tuple[str, str], int] = {}
    worst = [0]

    def watch(world: World) -> None:
        view, status = world.evidence.view, world.evidence.status
        if view is None or status is None:
            return
        pair = (view["accounts"]["1001"]["state"], status["accounts"]["1001"]["state"])
        began = since.setdefault(pair, world.scheduler.now_ns)
        for other in since.keys() - {pair}:
            del since[other]
        if pair[0] != pair[1]:
            worst[0] = max(worst[0], world.scheduler.now_ns - began)

    slow = Fault("s", "disk.slow", at=62.49, seconds=19.17, args={"seconds": 2.0})
    scene = replace(draw_scene(1159), faults_s=90.0, calm_s=20.0)
    verdict = run(1159, [slow], scene, script=watch)
    assert not verdict.violations, verdict.text()
    assert worst[0] <= 1_000_000_000


def test_I33_F_TIM_02_nobody_writes_while_the_machine_sleeps():
    """It fell asleep a tenth of a second after a fill; what stood there is as old as its stamp says."""
    plan = [
        Fault("r", "worker.repeat", at=58.19, seconds=15.64),
        Fault("d", "ws.drop", at=47.09, seconds=13.82),
        Fault("z", "clock.suspend", at=84.6, seconds=25.9),
    ]
    verdict = run(1074, plan, replace(draw_scene(1074), calm_s=20.0))
    assert not verdict.violations, verdict.text()


def test_I24_F_API_03_after_too_many_requests_two_accounts_trade_again_together():
    """Half answers used up half the budget: with two accounts none was whole for minutes."""
    limited = Fault("t", "rest.status", at=6.67, seconds=20.0, args={"status": 429, "handled": False})
    scene = replace(draw_scene(1298), faults_s=60.0, calm_s=70.0)
    paused: dict[str, set[str]] = {}

    def watch(world: World) -> None:
        for number, view in (world.evidence.view or {"accounts": {}})["accounts"].items():
            if any(reason["code"] == "RC_RATE_LIMIT" for reason in view["reasons"]):
                paused.setdefault(number, set()).add(world.evidence.boot_ns // 1_000_000_000)

    verdict = run(1298, [limited], scene, script=watch)
    assert not verdict.violations, verdict.text()
    one, other = paused.values()
    assert one == other  # whichever account met it, the budget is the same
    final = verdict.world.evidence.view
    assert final is not None
    assert {view["state"] for view in final["accounts"].values()} <= {"ACTIVE", "LOCKED"}


def test_F_API_02_a_refused_login_halts_the_account_and_is_not_tried_again():
    """It showed as PAUSED, because the gateway did not answer queries."""
    refused = Fault("r", "rest.status", at=20.0, seconds=20.0, args={"status": 401, "handled": False})
    scene = replace(draw_scene(388), faults_s=60.0, calm_s=20.0)
    verdict = run(388, [refused], scene)
    assert not verdict.violations, verdict.text()
    evidence = verdict.world.evidence
    changes = [note for step in evidence.steps for note in step.outputs if isinstance(note, StateChange)]
    assert next(change.reasons[0] for change in changes if change.state == "HALTED") == "RC_AUTH"
    logins = [request for request in evidence.wire if request.path == LOGIN_KEY.path and request.status == 401]
    assert len(logins) == 1
    assert evidence.view is not None
    assert evidence.view["accounts"]["1001"]["state"] == "ACTIVE"  # a person looked after it


def test_I3_F_API_02_a_refused_login_does_not_shut_the_way_out():
    """The lost token was taken again soon, but nobody tried it: an added position that no stop covered stayed open."""
    plan = [
        Fault("r", "rest.status", at=111.66, seconds=20.0, args={"status": 401, "handled": True}),
        Fault("h", "human.trade", at=169.98, args={"side": 1, "size": 2}),
    ]
    verdict = run(2842, plan, replace(draw_scene(2842), faults_s=200.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    wire = verdict.world.evidence.wire
    close = next(request for request in wire if request.path == POSITION_CLOSE.path)
    assert close.boot_ns > START_BOOT_NS + 169_980_000_000
    assert close.status == 200
    logins = [request.status for request in wire[: close.number] if request.path == LOGIN_KEY.path]
    assert logins == [200, 401]  # so it went with the old token, not with a new one


@pytest.mark.parametrize("how", ["wipe", "old"])
def test_I14_F_CFG_05_the_kill_switch_binds_when_its_folder_is_emptied_or_put_back(how):
    """Its second lock file lies beside the state directory, which the simulation had not given the engine."""
    kill = Fault("k", "person.kill", at=15.55)
    early = [Fault(name, "proc.kill", at=at, args={"down": 1.0}) for name, at in (("e", 4.0), ("f", 9.0))]
    damage = Fault("d", "disk.damage", at=43.91, args={"how": how})  # "old": as it was at 9 s
    scene = replace(draw_scene(2873), faults_s=45.0, calm_s=20.0)
    verdict = run(2873, [*early, kill, damage], scene)
    assert not verdict.violations, verdict.text()
    evidence = verdict.world.evidence
    assert evidence.view is not None
    for view in evidence.view["accounts"].values():
        assert view["state"] in ("LOCKED", "HALTED")
        assert "RC_KILL_SWITCH" in [reason["code"] for reason in view["reasons"]]
    assert evidence.executor == 4


@pytest.mark.parametrize("answer", ["reset", "ok"])
def test_I3_F_ORD_02_a_close_that_never_arrived_is_repeated_in_time(answer):
    """A reset comes back at once; without one the broker counted as answering while a close hung to its deadline."""
    plan = [
        Fault("c", "position.close", after=1, args={"outcome": "never", "answer": answer}),
        Fault("m", "account.mutate_position", at=110.43, args={"size": 1}),
    ]
    hung: list[bool] = []  # whether the broker counted as answering, while nobody had answered

    def watch(world: World) -> None:
        if any(request.path == POSITION_CLOSE.path and request.answered_ns is None for request in world.evidence.wire):
            hung.append(world.faults.answering)

    verdict = run(3378, plan, replace(draw_scene(3378), faults_s=120.0, calm_s=20.0), script=watch)
    assert not verdict.violations, verdict.text()
    first, second = [request for request in verdict.world.evidence.wire if request.path == POSITION_CLOSE.path][:2]
    assert (first.arrived, first.status, second.status) == (0, None, 200)
    assert first.answered_ns is not None
    assert (first.answered_ns - first.boot_ns < 1_000_000_000) == (answer == "reset")
    assert not any(hung)
    assert hung or answer == "reset"


def test_I3_F_API_02_after_a_refused_login_the_lost_token_still_proves_what_is_open():
    """A position that no fill explains is closed only on an answer's word, and nothing was asked any more."""
    plan = [
        Fault("r", "rest.status", at=14.71, seconds=2.0, args={"status": 401, "handled": True}),
        Fault("m", "account.mutate_position", at=53.04, args={"size": 1}),
    ]
    verdict = run(50094, plan, replace(draw_scene(50094), faults_s=90.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    close = next(request for request in verdict.world.evidence.wire if request.path == POSITION_CLOSE.path)
    assert close.boot_ns > START_BOOT_NS + 53_040_000_000
    logins = [item.status for item in verdict.world.evidence.wire[: close.number] if item.path == LOGIN_KEY.path]
    assert logins == [200, 401]


@pytest.mark.parametrize(
    ("seed", "trades"),
    [(4417, ((39.67, 1, 2), (79.06, 1, 2), (109.32, -1, 2))), (50278, ((35.0, -1, 1), (48.44, 1, 2)))],
)
def test_I3_F_ACC_02_what_a_person_did_before_a_contract_was_flat_makes_nothing_ours(seed, trades):
    """What they had sold of ours was taken off what they bought later: a part of theirs passed for ours."""
    plan = [Fault(f"h{at}", "human.trade", at=at, args={"side": side, "size": size}) for at, side, size in trades]
    verdict = run(seed, plan, replace(draw_scene(seed), faults_s=120.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    referee, account = verdict.world.referee, verdict.world.account
    assert isinstance(referee, Referee)
    assert verdict.world.evidence.holdings(account)
    assert referee.facts.own_sizes(account) == {}


def test_I10_a_kill_in_a_shut_market_is_done_with_when_nothing_is_open():
    """A person's own order that filled hours later, on the next trading day, was to be closed within two seconds."""
    plan = [
        Fault("k", "person.kill", at=37.55),
        Fault("h", "human.trade", at=82.05, args={"side": -1, "size": 1}),
    ]
    verdict = run(50065, plan, replace(draw_scene(50065), faults_s=130.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    assert verdict.judged["I10"] > 0
    assert verdict.world.evidence.holdings(verdict.world.account)  # theirs, and it stays


def test_I12_F_ACC_01_the_way_out_of_what_a_fault_opened_past_the_limit_costs_its_fees():
    plan = [
        Fault("c", "position.close", after=1, args={"outcome": "never", "answer": "delay", "answer_after": 7.03}),
        Fault("g", "market.gap", at=29.71, args={"ticks": -300}),
        Fault("m", "account.mutate_position", at=45.82, args={"size": 1}),
    ]
    verdict = run(60050, plan, replace(draw_scene(60050), faults_s=60.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    assert verdict.judged["I12"] > 0


@pytest.mark.parametrize("locked_s", [15.0, 55.0])
def test_I14_F_ACC_03_a_lock_that_the_broker_lifted_is_lost_with_the_journal(locked_s):
    """Nobody can find it out anew, so the lost journal halts until a person looked; one that still stands binds."""
    plan = [
        Fault("p", "person.pause", at=10.0),
        Fault("l", "account.lock", at=20.0, seconds=locked_s),
        Fault("d", "disk.damage", at=45.0, args={"how": "wipe"}),
    ]
    verdict = run(5486, plan, replace(draw_scene(5486), faults_s=80.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    steps = [step for step in verdict.world.evidence.steps if step.executor == 2]
    changes = [output for step in steps for output in step.outputs if isinstance(output, StateChange)]
    assert (changes[0].state, changes[0].reasons[0]) == ("HALTED", "RC_JOURNAL_LOST")
    assert any(isinstance(step.item, OperatorIn) and step.item.verb == "resume" for step in steps)
    assert changes[-1].state == ("ACTIVE" if locked_s < 25.0 else "HALTED")  # a resume of a locked day is refused


def test_I3_F_TIM_02_a_sleeping_machine_is_not_blamed_for_telling_nobody():
    """A position that changed at the broker was without its stop for as long as the machine slept, and no longer."""
    plan = [
        Fault("z", "clock.suspend", at=40.0, seconds=90.0),
        Fault("m", "account.mutate_position", at=45.0, args={"size": 1}),
    ]
    verdict = run(5505, plan, replace(draw_scene(5505), faults_s=150.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    wire = verdict.world.evidence.wire
    closes = [request.boot_ns for request in wire if request.path == POSITION_CLOSE.path]
    assert START_BOOT_NS + 130_000_000_000 <= min(closes) < START_BOOT_NS + 133_000_000_000
    referee = verdict.world.referee
    assert isinstance(referee, Referee)
    assert referee.facts.asleep_ns > 80_000_000_000


@pytest.mark.parametrize(
    ("seed", "fault", "killed_at", "waits"),
    [
        (7561, Fault("n", "rest.refused", at=20.0, seconds=85.0), 32.6, True),
        (7385, Fault("f", "disk.full", at=20.0, seconds=75.0), 23.5, False),
    ],
)
def test_I25_I26_F_PRC_01_what_a_dead_executor_asked_for_is_answered_to_nobody(seed, fault, killed_at, waits):
    """The next one could not take its first step for a minute, and the dead one's question was still waited for."""
    slow = Fault("s", "rest.latency", at=15.0, seconds=30.0, args={"seconds": 1.5})
    kill = Fault("k", "proc.kill", at=killed_at, args={"down": 1.0})
    verdict = run(seed, [fault, slow, kill], replace(draw_scene(seed), faults_s=110.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    evidence = verdict.world.evidence
    first = [step for step in evidence.steps if step.executor == 1]
    asked = {output.command_id for step in first for output in step.outputs if isinstance(output, Query)}
    assert asked - {step.item.command_id for step in first if isinstance(step.item, Snapshot)}
    second = next(step for step in evidence.steps if step.executor == 2)
    assert (second.boot_ns - evidence.born[2] > 60_000_000_000) == waits


def test_I3_F_API_03_what_a_dead_run_left_naked_is_asked_for_although_it_used_up_the_budget():
    """Start-up queries found the halved budget gone; the reserve was for proofs of commands that nobody could give."""
    plan = [
        Fault("j", "proc.kill_point", at=67.27, args={"point": "K-JR-04", "down": 0.63}),
        Fault("h", "market.halt", at=90.44, seconds=4.47),
        Fault("w", "userhub.withhold", at=18.7, seconds=30.0, args={"kind": "order"}),
        Fault("s", "fill.slip", at=24.99, args={"ticks": 3}),
        Fault("k", "proc.kill_point", at=87.41, args={"point": "K-EX-07", "down": 1.39}),
        Fault("q", "ws.mute", at=65.7, seconds=4.0),
        Fault("m", "account.mutate_position", at=109.79, args={"size": -1}),
        Fault("t", "rest.status", at=112.04, seconds=20.0, args={"status": 429, "retry_after": 5, "handled": True}),
        Fault("d", "ws.drop", at=109.82, seconds=35.78),
    ]
    verdict = run(4848, plan, draw_scene(4848))
    assert not verdict.violations, verdict.text()


def test_I3_F_API_03_a_budget_that_was_used_up_before_it_was_halved_leaves_the_reserve():
    """More than half was gone when the 429 came: not even a proof was affordable for a minute."""
    plan = [
        Fault("w", "userhub.withhold", at=18.7, seconds=30.0, args={"kind": "order"}),
        Fault("m", "account.mutate_position", at=109.79, args={"size": -1}),
        Fault("t", "rest.status", at=112.04, seconds=20.0, args={"status": 429, "retry_after": 5, "handled": True}),
        Fault("d", "ws.drop", at=109.82, seconds=35.78),
    ]
    verdict = run(4848, plan, draw_scene(4848))
    assert not verdict.violations, verdict.text()


def test_I24_R3_an_order_that_nobody_answered_for_keeps_its_contract_from_being_proven_flat():
    """A close of something else waited for it in REDUCING for the horizon that R3 gives it."""
    plan = [
        Fault("m", "account.mutate_position", at=107.21, args={"size": 1}),
        Fault("h", "rest.html", at=67.36, seconds=4.13),
        Fault("p", "order.place", after=2, args={"outcome": "never", "answer": "ok"}),
    ]
    verdict = run(5060, plan, draw_scene(5060))
    assert not verdict.violations, verdict.text()


def test_I3_F_SYS_01_a_start_on_a_full_disk_does_not_wait_for_room_to_protect():
    """It logged in and took no step for as long as its first row found no room; the referee let that pass."""
    plan = [
        Fault("f", "disk.full", at=40.0, seconds=60.0),
        Fault("h", "human.cancel", at=44.0, args={"which": "stops"}),
        Fault("k", "proc.kill", at=43.5, args={"down": 1.0}),
    ]
    verdict = run(7385, plan, replace(draw_scene(7385), faults_s=110.0, calm_s=20.0))
    assert not verdict.violations, verdict.text()
    second = [step for step in verdict.world.evidence.steps if step.executor == 2]
    assert any(isinstance(output, PlaceStop) for step in second for output in step.outputs)
    assert second[0].boot_ns < START_BOOT_NS + 50_000_000_000


def test_I3_F_API_03_cancels_of_what_filled_do_not_use_up_the_reserve_while_the_gateway_wants_quiet():
    """One a second for an entry that had filled unseen, and no query of the position was affordable any more."""
    plan = [
        Fault("b", "bracket", at=39.59, args={"kind": "reject", "which": "both", "size": 1, "ticks": 20, "after": 0.5}),
        Fault("u", "userhub.blackhole", at=93.06, seconds=9.25),
        Fault("t", "rest.status", at=97.37, seconds=20.0, args={"status": 429, "retry_after": 5, "handled": False}),
    ]
    verdict = run(8394, plan, draw_scene(8394))
    assert not verdict.violations, verdict.text()


def test_I10_R9_a_kill_in_a_shut_market_leaves_a_budget_for_when_it_opens():
    """Two accounts closed two contracts every two seconds, and the cancels had to wait for the minute to be over."""
    plan = [Fault("h", "market.halt", at=90.71, seconds=39.9), Fault("k", "person.kill", at=114.75)]
    verdict = run(8261, plan, draw_scene(8261))
    assert not verdict.violations, verdict.text()
    assert verdict.judged["I10"] > 0


def test_I11_F_RSK_01_a_position_of_one_at_another_price_may_cost_what_the_broker_says():
    """A fault set one contract where one was held: the fills came to less of a loss than the broker's own result."""
    verdict = run(11423, [Fault("m", "account.mutate_position", at=19.38, args={"size": 1})], draw_scene(11423))
    assert not verdict.violations, verdict.text()
    evidence, account = verdict.world.evidence, verdict.world.account
    assert evidence.mutated[0][2] == 0
    assert evidence.view is not None
    fills = evidence.accounts[account].book.fills
    told = sum((fill.pnl_cents or 0) - fill.fees_cents - fill.commission_cents for fill in fills)
    assert told == sum(purse_of(fills).realised.values()) - 6_250
    assert evidence.view["accounts"][str(account)]["day_pnl_cents"] == told
