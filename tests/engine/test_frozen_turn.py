"""An executor that freezes in the midst of a turn, while the kill switch closes everything without it.

The real loop's parts around a Desk and a venue in virtual time; being frozen is a step of the boot clock between two of
them, so what it does when it thaws does not hang on how fast anything is.
"""

import os
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import status_rig
from desk_rig import signal
from tbot.domain.messages import CloseContract, Denial, PlaceBracket, PlaceStop, SignalIn, SignalStamps
from tbot.domain.process_messages import SignalMessage
from tbot.domain.timeframes import NS_PER_S
from tbot.engine import executor as module
from tbot.engine import operator_desk
from tbot.engine.child import ChildContext
from tbot.storage.kill_locks import KillLocks
from tbot.transport import sockets
from venue_broker import IDS, OWNER, VenueDeskRig

TODAY = date(2026, 11, 17)
FROZEN_NS = 5_500_000_000  # the launcher wakes who is silent for 5 s, to let it leave in order
TTL_NS = 1_500_000_000


class Frozen:
    """A real Executor with the Desk of a rig that holds a protected position; the boot clock goes by hand."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot_ns = 10**12
        for place in (module, operator_desk):
            monkeypatch.setattr(place, "boot_ns", lambda: self.boot_ns)
        monkeypatch.setattr(module, "signal", SimpleNamespace(signal=lambda *_: None, SIGUSR1=0))
        settings = status_rig.settings(folder, symbols=(), state_dir=folder / "sim", pointer=folder / "current.json")
        (folder / "sim").mkdir()
        secrets: dict[str, Any] = {"run_key": bytes(32), "epoch": 0, "restarted": False}
        context = ChildContext("executor", secrets, None, threading.Event(), os.getppid())  # type: ignore[arg-type]
        self.executor = module.Executor(settings, context)
        self.locks = KillLocks(folder / "sim", folder, "sim")
        self.rig = VenueDeskRig().start()
        self.rig.run(2)
        self.rig.signal(1)
        self.rig.run(30)
        assert self.rig.view()["positions"][0]["protected"]
        self.desk = self._desk()
        self.executor._desk = self.desk
        self.sent_before = len(self.rig.venue.wire)

    def _desk(self) -> Any:
        rig = self.rig
        session = SimpleNamespace(
            on_operator=rig.feed,
            on_signal=lambda item, age_ns, now_ns, stamps: rig.feed(
                SignalIn(now_ns, item, rig.quote("MNQ"), age_ns, stamps)
            ),
            pump=rig.pump,
            advance=lambda _: rig.tick(0),
        )
        return SimpleNamespace(
            desk=rig.desk, session=session, clock=SimpleNamespace(now_ns=lambda: rig.now_ns), status=dict,
            observer=SimpleNamespace(state_changes=0), timed=SimpleNamespace(sent_boot_ns=0),
            journal=SimpleNamespace(flush=lambda: None),
        )  # fmt: skip

    def freeze(self, *, locked: bool) -> None:
        """Between two parts of a turn: its look at the switch is past, then time goes by, and a lock file comes."""
        self.executor._operator.look(self.desk, None)
        self.boot_ns += FROZEN_NS
        if locked:
            self.locks.put(None, TODAY, "tbot kill")

    def close_without_it(self) -> None:
        """What `tbot kill` does then, at the venue; the Desk has yet to hear of it."""
        rig = self.rig
        assert rig.venue.exchange.close(OWNER, rig.account_id, IDS["MNQ"], rig.now_ns).code == 0
        rig.market(0)
        rig.controls.human_cancel(rig.account_id, rig.now_ns)

    def hear(self, number: int, age_ns: int) -> None:
        """A signal that a worker sent `age_ns` ago."""
        stamps = SignalStamps(sent_boot_ns=self.boot_ns - age_ns)
        made = signal(number, decision=self.rig.quote("MNQ"))
        self.executor._on_signal(b"worker-MNQ", SignalMessage(made, stamps, TTL_NS))

    def sent(self) -> list[type]:
        return [type(command) for command in self.rig.venue.wire[self.sent_before :]]


@pytest.fixture
def frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Frozen]:
    made = Frozen(tmp_path, monkeypatch)
    yield made
    made.executor._router.close()
    made.executor._operator.close()
    made.executor._beat.close()
    sockets.close_context()


@pytest.mark.parametrize("locked", [True, False], ids=["locked", "not locked"])
def test_I10_F_TIM_03_an_entry_that_waits_when_a_frozen_turn_thaws_meets_the_lock(frozen: Frozen, locked: bool) -> None:
    """The first signal is too old; with it comes the news that the contract is flat, and the second one is young."""
    frozen.freeze(locked=locked)
    frozen.close_without_it()
    frozen.hear(2, FROZEN_NS - NS_PER_S // 2)
    frozen.hear(3, NS_PER_S // 2)
    frozen.executor._work(frozen.desk)
    assert frozen.sent().count(PlaceBracket) == (0 if locked else 1)
    assert frozen.rig.denials == (["RC_KILL_SWITCH"] * 2 if locked else ["SIGNAL_EXPIRED"])
    frozen.rig.run(5)
    assert frozen.rig.state == ("LOCKED" if locked else "ACTIVE")


def test_I10_F_TIM_03_a_thawed_turn_closes_before_it_takes_in_that_a_stop_is_gone(frozen: Frozen) -> None:
    frozen.freeze(locked=True)
    frozen.rig.controls.human_cancel(frozen.rig.account_id, frozen.rig.now_ns)
    frozen.executor._work(frozen.desk)
    assert CloseContract in frozen.sent()
    frozen.rig.run(5)
    assert PlaceStop not in frozen.sent()
    assert (frozen.rig.state, frozen.rig.venue.size("MNQ")) == ("LOCKED", 0)


def test_F_PRC_03_a_signal_that_comes_with_SIGTERM_opens_nothing(frozen: Frozen) -> None:
    """The signal ends the wait, and in that turn messages come before the stop was looked at."""
    frozen.close_without_it()
    frozen.rig.run(5)
    frozen.executor._context.stop.set()
    frozen.hear(2, 0)
    frozen.executor._work(frozen.desk)
    assert PlaceBracket not in frozen.sent()
    assert frozen.rig.denials == ["RC_OPERATOR"]
    assert "the engine is stopping" in frozen.rig.of(Denial)[0].text
