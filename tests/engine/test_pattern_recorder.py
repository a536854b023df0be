"""The keeper of what was learned: stores, answers for days, stays frozen, and survives a file that is none of ours."""

import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine_runs import until
from outcome_rows import DAY_NS, NOON_NS, joined, outcome
from tbot.commands import launch
from tbot.config import Config
from tbot.domain.process_messages import OutcomesAck, OutcomesMessage, WeightsGrant
from tbot.domain.trading_hours import trading_day_start_ns
from tbot.engine import outcome_line, patience
from tbot.engine.pattern_recorder import PatternKeeper
from tbot.engine.settings import EngineSettings
from tbot.errors import DataError, Halted
from tbot.storage.pattern_store import FILE_NAME, PatternReader, PatternStore
from tbot.strategy.learning import Ledger
from tbot.strategy.learning_settings import LearningSettings
from tbot.strategy.outcomes import DayWeights
from tbot.strategy.settings import StrategySettings
from tbot.transport import sockets
from tbot.transport.wire import Wire

ON = LearningSettings(mode="on")
DAYS = [trading_day_start_ns(NOON_NS) + number * DAY_NS for number in range(6)]


def settings_in(folder: Path, learning: LearningSettings = ON) -> EngineSettings:
    strategy = StrategySettings(learning=learning)
    return EngineSettings("paper", ("MNQ",), folder, folder, 1, "b", "c", strategy=strategy)


ROWS = joined(
    [outcome(NOON_NS + number % 2 * DAY_NS + number, number % 5 < 4, zone_id=number) for number in range(120)]
)


def test_weights_of_a_day_are_those_of_a_ledger_also_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(ON)
    ledger.add("MNQ", ROWS)
    keeper = PatternKeeper(settings_in(tmp_path))
    for first in range(0, len(ROWS), 7):
        keeper.add("MNQ", ROWS[first : first + 7])
    expected = ledger.weights(DAYS[3]).of("MNQ")
    assert keeper.weights("MNQ", DAYS[3]) == expected
    assert expected.of("ob", 15).weight > 1.05
    keeper.close()
    again = PatternKeeper(settings_in(tmp_path))
    assert again.weights("MNQ", DAYS[3]) == expected
    status = again.status()
    assert (status["outcomes"], status["learned_from"], status["version"]) == (120, 120, expected.version)
    assert status["weights"][0] == {
        "contract": "MNQ", "kind": "ob", "timeframe_min": 15, "weight": expected.of("ob", 15).weight, "outcomes": 120,
    }  # fmt: skip
    again.close()


def test_a_day_sees_nothing_of_itself(tmp_path: Path) -> None:
    keeper = PatternKeeper(settings_in(tmp_path))
    keeper.add("MNQ", ROWS)  # of the first and the second day
    assert keeper.weights("MNQ", DAYS[0]).version == ""
    first = keeper.weights("MNQ", DAYS[1])
    ledger = Ledger(ON)
    ledger.add("MNQ", ROWS[ROWS["resolved_ns"] < DAYS[1]])
    assert first == ledger.weights(DAYS[1]).of("MNQ")
    keeper.close()


def test_frozen_weights_stay(tmp_path: Path) -> None:
    keeper = PatternKeeper(settings_in(tmp_path))
    keeper.add("MNQ", ROWS[:60])
    held = keeper.weights("MNQ", DAYS[2])
    keeper.close()
    with PatternStore(tmp_path / FILE_NAME) as store:
        store.mark("freeze", 1)
    frozen = PatternKeeper(settings_in(tmp_path))
    frozen.add("MNQ", ROWS[60:])
    assert replace(frozen.weights("MNQ", DAYS[5]), day_start_ns=held.day_start_ns) == held
    assert frozen.status()["frozen"]
    frozen.close()
    by_setting = PatternKeeper(settings_in(tmp_path, replace(ON, frozen=True)))
    assert by_setting.weights("MNQ", DAYS[5]).version == held.version
    by_setting.close()
    with PatternStore(tmp_path / FILE_NAME) as store:
        store.mark("unfreeze", 2)
        store.mark("reset", 3)
    anew = PatternKeeper(settings_in(tmp_path))
    assert anew.weights("MNQ", DAYS[5]).version == ""
    anew.close()


@pytest.mark.parametrize("content", [b"this is no database" * 300, b""])
def test_a_useless_file_stops_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    keeper = PatternKeeper(settings_in(tmp_path))
    keeper.add("MNQ", ROWS)
    assert keeper.weights("MNQ", DAYS[3]).of("ob", 15).weight > 1, "it goes on in memory"
    keeper.add_trades([], [])
    keeper.close()
    if content:
        assert "move it aside" in keeper.status()["problem"]
        assert path.read_bytes() == content
        with pytest.raises(DataError):
            PatternReader(path)
    else:
        assert not keeper.problem, "an empty file is a new one"


def test_live_trading_observes_until_it_is_told_otherwise() -> None:
    on = Config(learning=ON)
    assert launch._strategy(on, "live").learning.mode == "observe"
    assert launch._strategy(Config(learning=replace(ON, live=True)), "live").learning.mode == "on"
    assert launch._strategy(on, "paper").learning.mode == "on"
    assert launch._strategy(Config(), "live").learning.mode == "observe"


def test_a_recorder_is_started_where_outcomes_are_kept(tmp_path: Path) -> None:
    def names(mode: str) -> list[str]:
        specs = launch.engine_specs(settings_in(tmp_path, LearningSettings(mode=mode)), None)
        return [spec.name for spec in specs]

    assert names("off") == ["executor", "feed", "worker-MNQ"]
    assert names("observe") == names("on") == ["executor", "feed", "recorder", "worker-MNQ"]


def test_a_silent_recorder_is_waited_for_once_and_its_late_answer_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_line, "WEIGHTS_PATIENCE_NS", 1_000_000)
    monkeypatch.setattr(outcome_line, "GREETING_PATIENCE_NS", 1_000_000)
    wire = Wire(b"k" * 32, 1, 0)
    context: Any = SimpleNamespace(name="worker-MNQ", stop=threading.Event())
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path is short
        settings = settings_in(Path(folder))
        with sockets.router(settings.socket("recorder")) as recorder:
            line = outcome_line.OutcomeLine.of(settings, context, wire, lambda: None)
            assert line is not None
            line._silent_until_ns = 0
            ask = line.source("MNQ")
            assert ask(DAYS[0] * 0) == DayWeights(0, ""), "before the first tick nobody is asked"
            assert [ask(day).version for day in DAYS[1:4]] == ["", "", ""]
            assert line.counters["silent"] == line.counters["asked"] == 3
            heard = [getattr(wire.decode(data), "day_start_ns", -1) for _, data in recorder.drain()]
            assert set(heard) <= {0, DAYS[1]}, "waited for once, then left alone"
            grant = WeightsGrant("MNQ", DAYS[4], "abcd", (("ob", 15, 1.1, 30, 0.1),))
            until(lambda: recorder.send(wire.encode(grant), b"worker-MNQ"), "the worker's socket is there")
            line._silent_until_ns = 0
            monkeypatch.setattr(outcome_line, "WEIGHTS_PATIENCE_NS", 20_000_000_000)
            assert ask(DAYS[4]).of("ob", 15).weight == 1.1
            line._silent_until_ns = (1 << 63) - 1
            assert ask(DAYS[5]).version == "abcd", "the weights of the day before stay"
            line.close()


def test_I25_outcomes_are_counted_by_what_became_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """One unit, outcomes; each is confirmed, known to be lost, or still under way."""
    wire = Wire(b"k" * 32, 1, 0)
    context: Any = SimpleNamespace(name="worker-MNQ", stop=threading.Event())
    monkeypatch.setattr(outcome_line, "GREETING_PATIENCE_NS", 1_000_000)
    monkeypatch.setattr(outcome_line, "LAST_ACKS_NS", 1_000_000)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path is short
        settings = settings_in(Path(folder))
        line = outcome_line.OutcomeLine.of(settings, context, wire, lambda: None)
        assert line is not None
        line.tell("MNQ", ROWS[:2])
        assert outcome_counts(line) == {"sent": 0, "acked": 0, "unacked": 0, "unsent": 2}
        with sockets.router(settings.socket("recorder")) as recorder:
            assert line._socket.writable(20_000_000_000)
            for rows in (ROWS[:3], ROWS[3:7], ROWS[7:8]):
                line.tell("MNQ", rows)
            heard: list[OutcomesMessage] = []
            until(lambda: heard.extend(outcomes_in(wire, recorder)) or len(heard) == 3, "the outcomes are there")
            assert outcome_counts(line) == {"sent": 8, "acked": 0, "unacked": 0, "unsent": 2}
            assert recorder.send(wire.encode(OutcomesAck(heard[1].number)), b"worker-MNQ")
            until(lambda: line.status()["acked"], "the answer is there")
            assert outcome_counts(line) == {"sent": 8, "acked": 4, "unacked": 0, "unsent": 2}
            monkeypatch.setattr(outcome_line, "ACK_PATIENCE_NS", 0)  # a later answer says nothing of an earlier message
            assert outcome_counts(line) == {"sent": 8, "acked": 4, "unacked": 4, "unsent": 2}
            monkeypatch.setattr(outcome_line, "ACK_PATIENCE_NS", 10**12)
            line.tell("MNQ", ROWS[8:9])
            line.finish()
            assert outcome_counts(line) == {"sent": 9, "acked": 4, "unacked": 5, "unsent": 2}
            line.close()


def outcome_counts(line: outcome_line.OutcomeLine) -> dict[str, int]:
    return {name: count for name, count in line.status().items() if name in ("sent", "acked", "unacked", "unsent")}


def outcomes_in(wire: Wire, recorder: sockets.Channel) -> list[OutcomesMessage]:
    found = [wire.decode(data) for _, data in recorder.drain()]
    return [message for message in found if isinstance(message, OutcomesMessage)]


def test_in_lockstep_a_recorder_that_comes_late_gets_all_and_without_one_the_replay_is_void(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire = Wire(b"k" * 32, 1, 0)
    context: Any = SimpleNamespace(name="worker-MNQ", stop=threading.Event())
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path is short
        settings = replace(settings_in(Path(folder)), mode="replay", speed=0.0)
        assert settings.lockstep
        beats: list[int] = []
        line = outcome_line.OutcomeLine.of(settings, context, wire, lambda: beats.append(1))
        assert line is not None
        told = threading.Thread(target=line.tell, args=("MNQ", ROWS[:7]))
        told.start()  # before anybody serves the address
        until(lambda: beats, "who waits is alive")
        with sockets.router(settings.socket("recorder")) as recorder:
            told.join(20)
            until(lambda: recorder.received or list(recorder.drain()), "the outcomes are there")
            assert (line.counters["sent"], line.counters["unsent"]) == (7, 0)
            monkeypatch.setattr(patience, "STEP_PATIENCE_NS", 1_000_000)
            for silent in (line.settle, lambda: line.source("MNQ")(DAYS[1])):
                with pytest.raises(Halted, match=r"the recorder did not answer .* the replay is void"):
                    silent()
        with pytest.raises(Halted, match="the replay is void"):
            until(lambda: line.tell("MNQ", ROWS[7:9]), "nobody is there any more")
        context.stop.set()
        assert not line.settle(), "who is told to stop waits for nobody"
        assert line.source("MNQ")(DAYS[1]).version == ""
        line.close()
