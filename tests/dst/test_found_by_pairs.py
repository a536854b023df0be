"""Runs of pairs of faults in which the referee once found something: each is kept as it was found."""

from dataclasses import replace
from pathlib import Path

from dst.checks_orders import WithinSize
from dst.checks_state import BackAgain
from dst.evidence import Evidence
from dst.plans import parse
from dst.referee import Facts, Rules
from dst.scenes import draw_scene
from dst.stage import scene
from dst.verdict import run
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.book_types import OrderRequest


def pair(seed: int, *lines: str) -> None:
    """Play it; AssertionError with what the referee found."""
    verdict = run(seed, parse(lines), replace(draw_scene(seed, "morning"), faults_s=90.0))
    assert not verdict.violations, verdict.text()
    assert not verdict.world.faults.refused


def test_I13_F_ACC_01_a_gain_on_a_position_without_a_fill_ends_no_row_of_losses() -> None:
    pair(23, '{"name": "account.mutate_position", "at": 20.59, "args": {"size": -1}}')


def test_I6_F_ACC_01_no_entry_beside_a_position_that_the_hub_told_of() -> None:
    pair(
        53,
        '{"name": "account.mutate_position", "at": 12.45, "args": {"size": -1}}',
        '{"name": "order.partial", "at": 11.85, "args": {"sizes": [1, 1], "delays": [3.7, 2.0]}}',
    )


def test_I24_F_TIM_01_a_clock_that_stays_an_hour_off_pauses_as_long() -> None:
    pair(
        46,
        '{"name": "clock.step", "at": 25.02, "args": {"seconds": 3600}}',
        '{"name": "disk.slow", "at": 23.72, "for": 6.41, "args": {"seconds": 2.0}}',
    )


def test_I24_F_SYS_03_a_lost_journal_halts_until_a_person_says_resume() -> None:
    pair(
        106,
        '{"name": "clock.step", "at": 37.66, "args": {"seconds": 3600}}',
        '{"name": "disk.damage", "at": 36.04, "args": {"how": "cut_wal"}}',
    )


def test_I24_after_the_calm_end_a_wrong_clock_and_a_lost_journal_excuse_nothing() -> None:
    """Both reasons still standing when the clock is right and a person said resume are a fault of the engine."""
    for code, state, calm_ns, wall_ns, told in (
        ("RC_CLOCK", "PAUSED", 0, 0, True),
        ("RC_CLOCK", "PAUSED", None, 3 * NS_PER_S, False),
        ("RC_JOURNAL_LOST", "HALTED", 0, 0, True),
        ("RC_JOURNAL_LOST", "HALTED", None, 0, False),
        ("RC_JOURNAL_LOST", "PAUSED", None, 0, True),
    ):
        view = {"accounts": {"1": {"state": state, "reasons": [{"code": code}]}}}
        evidence = Evidence(seed=1, executor=1, alive=True, view=view, calm_since_ns=calm_ns, wall_ns=wall_ns)
        facts = Facts(evidence, Rules({1: None}, {}))  # type: ignore[dict-item]
        facts.account_view = lambda account, told=view: told["accounts"][str(account)]  # type: ignore[method-assign]
        check = BackAgain(facts)
        for second in (0, 41):
            evidence.boot_ns = second * NS_PER_S
            check.on_event()
        assert bool(facts.found) is told, (code, state, calm_ns, wall_ns)


def test_I6_what_a_fault_adds_is_taken_off_but_not_from_a_later_entry(tmp_path: Path) -> None:
    with scene(tmp_path) as stage:
        account = stage.account.account_id
        (check,) = [item for item in stage.referee.checks if isinstance(item, WithinSize)]

        def mutate(size: int) -> None:
            before = sum(held.size for held in stage.evidence.holdings(account))
            stage.controls.mutate_position(account, "MNQ", size, stage.now_ns, tell=False)
            stage.evidence.mutated.append((account, "MNQ", size - before))
            check.on_book(account)

        stage.signal(1)  # 5 MNQ, the most that is allowed
        stage.run(1)
        mutate(7)
        assert check._exposure(account, {}) == {"MNQ": 5}
        assert not stage.referee.facts.found
        assert check._exposure(account, {"MNQ": 7}) == {"MNQ": 7}  # who knew of it has to count with it
        mutate(3)
        assert check._exposure(account, {}) == {"MNQ": 3}
        mutate(-6)  # 11 less than there were: all 6 are the fault's
        assert check._exposure(account, {}) == {"MNQ": 0}
        mutate(0)
        assert check.added == {(account, "MNQ"): 0}
        stage.account.book.place(OrderRequest("MNQ", "market", 1, 6), stage.now_ns)
        check.on_book(account)
        assert {name for name, _ in stage.referee.facts.found} == {"I6"}
