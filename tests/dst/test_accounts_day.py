"""A day of two accounts with limits, sizes and contracts of their own, at the simulated venue: real Desk, real journal.

One signal fans out, one account locks at its daily limit, the other goes on; at no event do they hold two sides of one
underlying; a restart in the midst keeps what each of them is. Money is the venue's, counted again by the referee's own
arithmetic, and again by hand.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dst.checks_accounts import HEDGE, forbid_hedges
from dst.mutants import without
from dst.purse import purse_of
from dst.stage import Stage, scene
from tbot.domain.messages import Denial, Intent, OperatorIn
from tbot.risk.limits import RiskLimits

BIG = RiskLimits(max_micros=5, daily_loss_cents=80_000)
SMALL = RiskLimits(max_micros=2, daily_loss_cents=12_000)
OWN: tuple[dict[str, Any], ...] = (
    {"limits": BIG, "contracts": ("MNQ", "NQ", "MGC")},
    {"limits": SMALL, "contracts": ("MNQ", "MES")},
)
START_CENTS = 5_000_000
PAUSE_S = 6.0  # C_MAX_ENTRY_RATE: five seconds between two entries of a contract


class Day:
    """The stage with both accounts, and what each was asked and did."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.big, self.small = stage.accounts
        forbid_hedges(stage.referee)

    def ask(self, number: int, contract: str, side: int, **distances: int) -> tuple[list[str], list[str]]:
        """A signal, and what either account made of it: its size, or why not. A second later it is filled."""
        before = len(self.stage.evidence.steps)
        self.stage.signal(number, contract, side, **distances)
        found: dict[int, list[str]] = {self.big: [], self.small: []}
        for step in self.stage.evidence.steps[before:]:
            for output in step.outputs:
                if isinstance(output, Intent):
                    found[output.account].append(f"{output.side * output.size:+d}")
                elif isinstance(output, Denial):
                    found[output.account].append(output.reason)
        self.stage.run(1)  # a market order meets the next price
        return found[self.big], found[self.small]

    def go(self, contract: str, ticks: int, seconds: float = PAUSE_S) -> None:
        """The market moves by so many ticks, at once, and stands there."""
        self.stage.prices[contract] += ticks
        self.stage.run(seconds)

    def states(self) -> tuple[str, str]:
        assert self.stage.desk is not None
        return self.stage.desk.state(self.big), self.stage.desk.state(self.small)

    def sizes(self, contract: str) -> tuple[int, int]:
        return tuple(self.stage.accounts[number].book.size(contract) for number in (self.big, self.small))  # type: ignore[return-value]

    def earned(self) -> tuple[int, int]:
        """Cents that each has made by the venue's balance; checked against the Desk's, and against the fills."""
        found = []
        for number in (self.big, self.small):
            book = self.stage.accounts[number].book
            assert self.stage.desk is not None
            view = self.stage.desk.view()["accounts"][str(number)]  # type: ignore[index]
            net = sum(purse_of(self.stage.told(number)).realised.values())
            assert book.balance_cents - START_CENTS == net == view["day_pnl_cents"]
            assert view["balance_cents"] == book.balance_cents
            found.append(net)
        return found[0], found[1]


@pytest.fixture
def place() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def morning(day: Day) -> None:
    """Both win; one trades what the other does not; then the market jumps through both stops."""
    assert day.ask(1, "MNQ", 1, stop_ticks=40, target_ticks=80) == (["+5"], ["+2"])
    assert day.sizes("MNQ") == (5, 2)
    day.go("MNQ", 82)
    assert day.ask(2, "MGC", 1, stop_ticks=20, target_ticks=60) == (["+5"], ["NOT_TRADED"])
    day.stage.run(PAUSE_S)
    assert day.ask(3, "MNQ", 1, stop_ticks=60, target_ticks=200) == (["+5"], ["+2"])
    day.go("MNQ", -220)


def test_TR8_F_RSK_04_two_accounts_trade_a_day_and_one_locks_at_its_limit(place: Path) -> None:
    with scene(place, own=OWN) as stage:
        day = Day(stage)
        morning(day)
        assert day.states() == ("ACTIVE", "LOCKED")
        assert day.sizes("MNQ") == (0, 0)
        assert day.sizes("MGC") == (5, 0)
        # By hand, in cents: MNQ 50 a tick and 122 a round turn, bought at the ask, sold at the bid of the jump.
        # +80 ticks, then bid 221 below the ask that was paid (one tick of spread each way).
        big, small = 5 * (80 * 50 - 122) - 5 * (222 * 50 + 122), 2 * (80 * 50 - 122) - 2 * (222 * 50 + 122)
        held = -5 * 96  # half of the round turn of 5 MGC that are still open
        assert day.earned() == (big + held, small)
        assert small < -SMALL.daily_loss_cents  # a jump: past the limit by that exit's own slippage
        assert big + held > -BIG.daily_loss_cents
        # The other one goes on, in what both trade, too.
        assert day.ask(4, "MNQ", -1, stop_ticks=40, target_ticks=80) == (["-5"], ["RC_DAILY_LOSS"])
        assert day.sizes("MNQ") == (-5, 0)
        day.go("MNQ", -82)
        big += 5 * (80 * 50 - 122)
        assert day.earned() == (big + held, small)
        assert day.ask(5, "MES", 1, stop_ticks=16, target_ticks=40) == (["NOT_TRADED"], ["RC_DAILY_LOSS"])
        assert stage.end() == []
        assert stage.referee.facts.judged[HEDGE] > 100


def test_I14_a_restart_keeps_the_lock_of_one_account_and_the_trade_of_the_other(place: Path) -> None:
    with scene(place, own=OWN) as stage:
        day = Day(stage)
        morning(day)
        before = day.earned()
        stage.kill()
        stage.run(3)
        stage.begin()
        stage.run(PAUSE_S)
        assert day.states() == ("ACTIVE", "LOCKED")
        assert day.earned() == before
        assert day.sizes("MGC") == (5, 0)
        view = stage.desk.view()["accounts"]  # type: ignore[union-attr,index]
        assert [held["protected"] for held in view[str(day.big)]["positions"]] == [True]
        assert "RC_DAILY_LOSS" in [reason["code"] for reason in view[str(day.small)]["reasons"]]
        assert day.ask(4, "MNQ", -1, stop_ticks=40, target_ticks=80) == (["-5"], ["RC_DAILY_LOSS"])
        stage.operator("resume")
        assert day.states() == ("ACTIVE", "LOCKED")
        assert stage.end() == []


def test_TR8_neither_account_takes_the_other_side_of_what_one_of_them_holds(place: Path) -> None:
    with scene(place, own=OWN) as stage:
        day = Day(stage)
        assert day.ask(1, "NQ", 1, stop_ticks=20, target_ticks=60) == (["+1"], ["NOT_TRADED"])
        stage.run(PAUSE_S)
        assert day.ask(2, "MNQ", -1, stop_ticks=40, target_ticks=80) == (["OPPOSITE_EXPOSURE"], ["OPPOSITE_EXPOSURE"])
        assert day.ask(3, "MNQ", 1, stop_ticks=40, target_ticks=80) == (["+5"], ["+2"])
        assert day.ask(4, "MES", -1, stop_ticks=16, target_ticks=40) == (["NOT_TRADED"], ["-2"])
        stage.run(PAUSE_S)
        assert stage.end() == []


def test_TR8_the_referee_sees_a_hedge(place: Path) -> None:
    """The check of this file is examined as those of the referee are: by an engine without the rule."""
    with without("no_opposite_exposure")(), scene(place, own=OWN) as stage:
        day = Day(stage)
        day.ask(1, "NQ", 1, stop_ticks=20, target_ticks=60)
        stage.run(PAUSE_S)
        assert day.ask(2, "MNQ", -1, stop_ticks=40, target_ticks=80) == (["-5"], ["-2"])
        stage.run(1)
        assert {violation.invariant for violation in stage.end()} == {HEDGE}


@pytest.mark.parametrize(("verb", "after"), [("pause", "PAUSED"), ("flatten", "PAUSED"), ("kill", "LOCKED")])
def test_F_CFG_05_what_a_person_does_to_one_account_leaves_the_other_trading(
    place: Path, verb: str, after: str
) -> None:
    with scene(place, own=OWN) as stage:
        day = Day(stage)
        day.ask(1, "MNQ", 1, stop_ticks=40, target_ticks=80)
        stage.run(PAUSE_S)
        stage.feed(OperatorIn(stage.now_ns, verb, day.small))  # type: ignore[arg-type]
        stage.run(PAUSE_S)
        assert day.states() == ("ACTIVE", after)
        assert day.sizes("MNQ") == (5, 2 if verb == "pause" else 0)
        day.go("MNQ", 82)
        assert day.ask(2, "MNQ", 1, stop_ticks=40, target_ticks=80)[0] == ["+5"]
        stage.feed(OperatorIn(stage.now_ns, "resume", day.small))
        stage.run(PAUSE_S)
        assert day.states() == ("ACTIVE", "LOCKED" if verb == "kill" else "ACTIVE")
        assert stage.end() == []
