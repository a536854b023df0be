"""Observer: the record comes first; then everything is counted once and said in words."""

from dataclasses import replace
from typing import Any

import pytest

from tbot.domain.messages import (
    CommandResult,
    Denial,
    DeskInput,
    DeskOutput,
    Fill,
    Intent,
    PlaceBracket,
    Quote,
    RoundTrip,
    StateChange,
    TimerIn,
)
from tbot.engine import observer as module
from tbot.engine.health import Hops
from tbot.engine.observer import Observer
from tbot.errors import JournalError

NOW = 1_795_185_000_000_000_000
MS = 1_000_000
QUOTE = Quote(100, 102, NOW, 1)
INTENT = Intent(NOW, 1, "MNQ-1", "MNQ", -1, 2, QUOTE, 40, 80, 123_450, "TB1-1-E")
ENTRY = PlaceBracket("c1", 1, "MNQ", -1, 2, 40, -80, "TB1-1-E", "MNQ-1")
FILL = Fill(NOW, 1, 900, 800, "MNQ", -1, 2, 80_001, 72, 50)
TRIP = RoundTrip(NOW + 90_000 * MS, 1, "MNQ", 1, 2, NOW, 0, 0, 5_000, 72, 50, "target", "MNQ-1", 3)
DENIAL = Denial(NOW, 1, "MNQ-2", "MNQ", "RC_WINDOW", "outside the window")


class Scene:
    """An Observer whose journal and screen write into one log."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.hops = Hops("journal")
        self.observer = Observer(self, self.tell, self.hops)
        self.broken = False

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        self.log.append(("journal", item, list(outputs)))
        if self.broken:
            raise JournalError("full")

    def tell(self, now_ns: int, kind: str, contract: str, text: str) -> None:
        self.log.append((now_ns, kind, contract, text))

    def see(self, item: DeskInput, *outputs: DeskOutput) -> list[tuple[int, str, str, str]]:
        """What was said about it."""
        before = len(self.log)
        self.observer.record(item, list(outputs))
        assert self.log[before] == ("journal", item, list(outputs))
        return self.log[before + 1 :]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [10**15]
    monkeypatch.setattr(module, "boot_ns", lambda: now[0])
    return now


TIMER = TimerIn(NOW, {})


def test_the_record_comes_before_the_words(scene: Scene) -> None:
    said = scene.see(TIMER, INTENT, ENTRY, DENIAL)
    assert said == [
        (NOW, "INTENT", "MNQ", "short 2: stop 40 ticks, target 80 ticks, worst case $1,234.50"),
        (NOW, "DENIAL", "MNQ", "outside the window (RC_WINDOW)"),
    ]


def test_F_SYS_01_what_was_not_recorded_is_not_said(scene: Scene) -> None:
    scene.broken = True
    with pytest.raises(JournalError):
        scene.observer.record(TIMER, [INTENT, ENTRY, DENIAL])
    assert len(scene.log) == 1
    status = scene.observer.status()
    assert (status["intents"], status["denials"]) == (0, {})


def test_quiet_inputs_are_recorded_without_a_word(scene: Scene) -> None:
    assert scene.see(TIMER) == []
    assert scene.see(CommandResult(NOW, 1, "c1", "accepted", 5)) == []
    assert scene.hops.status() == {}


def test_only_records_that_hold_an_entry_back_are_timed(scene: Scene, clock: list[int]) -> None:
    scene.see(TIMER, INTENT)
    assert scene.hops.status() == {}
    scene.see(TIMER, INTENT, ENTRY)
    assert scene.hops.status()["journal"]["count"] == 1


def test_denials_are_counted_by_reason(scene: Scene) -> None:
    scene.see(TIMER, DENIAL, replace(DENIAL, reason="RC_NEWS"), DENIAL)
    assert scene.observer.status()["denials"] == {"RC_WINDOW": 2, "RC_NEWS": 1}


def test_a_fill_tells_how_long_it_took_from_the_approval(scene: Scene, clock: list[int]) -> None:
    scene.see(TIMER, INTENT, ENTRY)
    clock[0] += 42 * MS
    assert scene.see(FILL) == [(NOW, "FILL", "MNQ", "-2 @ 20000.25 · approved to filled 42.0 ms")]
    clock[0] += 900 * MS
    assert scene.see(replace(FILL, fill_id=901, side=1)) == [(NOW, "FILL", "MNQ", "+2 @ 20000.25")]  # the exit
    status = scene.observer.status()
    assert status["fills"] == 2
    assert status["execution_ns"]["mean"] == 42 * MS
    assert status["execution_ns"]["p99"] == pytest.approx(42 * MS, rel=0.02)


def test_a_fill_belongs_to_the_intent_of_its_account_and_contract(scene: Scene, clock: list[int]) -> None:
    scene.see(TIMER, INTENT)
    for other in (replace(FILL, account=2), replace(FILL, contract="GC")):
        ((_, _, _, text),) = scene.see(other)
        assert "approved" not in text
    assert scene.observer.status()["execution_ns"] == {}


def test_I12_a_fill_told_twice_counts_once(scene: Scene) -> None:
    assert len(scene.see(FILL)) == 1
    assert scene.see(FILL) == []
    assert scene.observer.status()["fills"] == 1
    assert len(scene.see(replace(FILL, account=2))) == 1  # another account's number


@pytest.mark.parametrize(
    ("gross", "words"), [(5_000, "+$48.78"), (122, "$0.00"), (-150_000, "−$1,501.22")], ids=["won", "even", "lost"]
)
def test_a_round_trip_in_words(scene: Scene, gross: int, words: str) -> None:
    ((_, kind, contract, text),) = scene.see(TIMER, replace(TRIP, gross_cents=gross))
    assert (kind, contract) == ("ROUND", "MNQ")
    assert text == f"long 2 closed by its target: {words} net after 1.5 min"


def test_slippage_is_the_mean_of_a_contract(scene: Scene) -> None:
    assert scene.observer.status()["slippage_ticks"] is None
    scene.see(TIMER, TRIP, replace(TRIP, size=1, slippage_ticks=-1))
    assert scene.observer.status()["slippage_ticks"] == round(2 / 3, 3)


@pytest.mark.parametrize(
    ("reasons", "words"), [((), "ACTIVE: trading"), (("RC_A", "RC_B"), "ACTIVE: trading (RC_A RC_B)")]
)
def test_a_change_of_state_in_words(scene: Scene, reasons: tuple[str, ...], words: str) -> None:
    assert scene.see(TIMER, StateChange(NOW, 1, "ACTIVE", reasons, "trading")) == [(NOW, "STATE", "", words)]


@pytest.mark.parametrize(
    ("outcome", "text", "words"),
    [
        ("rejected", "too late", ["c1: rejected too late"]),
        ("ambiguous", "", ["c1: ambiguous"]),
        ("accepted", "", []),
        ("not_sent", "full", []),
    ],
)
def test_orders_that_went_wrong_are_said(scene: Scene, outcome: Any, text: str, words: list[str]) -> None:
    said = scene.see(CommandResult(NOW, 1, "c1", outcome, None, text))
    assert said == [(NOW, "ORDER", "", line) for line in words]


def test_with_several_accounts_every_line_names_its_own() -> None:
    scene = Scene()
    scene.observer = Observer(scene, scene.tell, scene.hops, {1: "A-1", 2: "A-2"})
    timer = TimerIn(NOW, {})
    said = scene.see(timer, INTENT, replace(INTENT, account=2), DENIAL, TRIP, StateChange(NOW, 2, "PAUSED", (), "x"))
    assert [line[-1].partition(":")[0] for line in said] == ["A-1", "A-2", "A-1", "A-1", "A-2"]
    assert scene.see(replace(FILL, account=2))[-1][-1].startswith("A-2: -2 @ ")
    refused = CommandResult(NOW, 2, "c1", "rejected", None, "no")
    assert scene.see(refused)[-1][-1] == "A-2: c1: rejected no"
