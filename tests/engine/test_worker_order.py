"""What a worker does with a signal: it leaves before anything that only persons and the recorder wait for."""

import time
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from desk_rig import signal
from event_builder import EventBuilder
from tbot.domain.contracts import PRODUCTS
from tbot.domain.process_messages import SignalAck
from tbot.engine import patience
from tbot.engine import worker as worker_module
from tbot.engine.health import Hops
from tbot.engine.worker import DRAIN_LIMIT, Worker
from tbot.errors import Halted
from tbot_ext.records import EventCode


class Trace:
    """A worker without processes, with two batches in its ring; `told` keeps what it did, in order."""

    def __init__(self, *, lockstep: bool = False, taken: bool = True, away_turns: int = 0) -> None:
        self.told: list[str] = []
        make = EventBuilder()
        make.add(EventCode.OB, 60, 15, side=1, bottom=100_000, top=100_050)
        self._batches = [(3, [signal(1), signal(2)]), (2, [signal(3)]), (0, [])]
        self._taken = taken
        self._away_turns = away_turns  # looks until the executor's socket is there
        self.shell: Any = SimpleNamespace(
            symbol="MNQ",
            signals=0,
            last_signal=None,
            reader=SimpleNamespace(publish=lambda: self.told.append("publish")),
            decider=SimpleNamespace(
                drain=self._drain,
                outcomes=lambda: "rows",
                product=PRODUCTS["MNQ"],
                pipeline=SimpleNamespace(recv_ns=time.time_ns(), events=make.take()),
            ),
        )
        worker: Any = Worker.__new__(Worker)
        worker._settings = SimpleNamespace(lockstep=lockstep, limits=SimpleNamespace(signal_ttl_ns=10**9))
        worker._wire = SimpleNamespace(encode=lambda message: message)
        worker._beat = SimpleNamespace(event=lambda now, kind, symbol, words: self.told.append(kind))
        worker._executor = SimpleNamespace(send=self._send)
        tell = lambda symbol, rows: self.told.append(f"{symbol} {rows}")  # noqa: E731
        worker._line = SimpleNamespace(tell=tell, settle=self._settle)
        worker._take_acks = self._acknowledge
        worker._report = lambda: None
        worker._waiter = SimpleNamespace(wait=self._wait)
        worker._context = SimpleNamespace(stop=Event())
        worker._hops = Hops("frame_worker", "frame_signal", "drain")
        worker._unacked = {}
        worker._untaken = []
        worker._counters = {"sent": 0, "send_failed": 0}
        self.worker = worker

    def _drain(self, _reader: Any, limit: int) -> tuple[int, list[Any]]:
        assert limit == DRAIN_LIMIT
        return self._batches.pop(0)

    def _acknowledge(self) -> None:
        self.told.append("acks")
        self.worker._unacked.clear()

    def _settle(self) -> bool:
        self.told.append("settle")
        return True

    def _wait(self, _longest_ns: int) -> None:
        self._away_turns -= 1

    def _send(self, message: Any) -> bool:
        if self._away_turns > 0:
            return False
        self.told.append(f"send {message.signal.signal_id}")
        return self._taken


FIRST = ["send MNQ-1", "send MNQ-2", "ZONE", "SIGNAL", "SIGNAL", "MNQ rows"]
SECOND = ["send MNQ-3", "ZONE", "SIGNAL", "MNQ rows"]


@pytest.mark.parametrize(
    ("lockstep", "end"), [(False, ["publish"]), (True, ["acks", "settle", "publish"])], ids=["free", "lock-step"]
)
def test_signals_leave_before_lines_and_outcomes(lockstep: bool, end: list[str]) -> None:
    trace = Trace(lockstep=lockstep)
    assert trace.worker._drain(trace.shell)
    assert trace.told == [*FIRST, *SECOND, *end]
    assert set(trace.worker._unacked) == (set() if lockstep else {"MNQ-1", "MNQ-2", "MNQ-3"})
    assert trace.shell.signals == 3


def test_a_signal_that_nobody_takes_is_told_and_counted_all_the_same() -> None:
    trace = Trace(taken=False)
    assert trace.worker._drain(trace.shell)
    first, second = ([*told[:-1], *["PROC"] * told.count("SIGNAL"), told[-1]] for told in (FIRST, SECOND))
    assert trace.told == [*first, *second, "publish"]  # why nothing follows, below the signal's own line
    assert trace.worker._counters == {"sent": 0, "send_failed": 3}
    assert not trace.worker._unacked


def test_in_lockstep_a_signal_waits_for_an_executor_that_is_not_there_yet() -> None:
    """The first signal of a tape came before the worker's connection stood, and the replay went on without it."""
    trace = Trace(lockstep=True, away_turns=3)
    assert trace.worker._drain(trace.shell)
    assert trace.told == [*FIRST, *SECOND, "acks", "settle", "publish"]
    assert trace.worker._counters == {"sent": 3, "send_failed": 0}


def test_free_running_nothing_waits_for_an_executor_that_is_not_there() -> None:
    trace = Trace(away_turns=3)
    assert trace.worker._drain(trace.shell)
    assert trace.worker._counters == {"sent": 0, "send_failed": 3}


@pytest.mark.parametrize("what", ["take", "acknowledge"])
def test_a_lockstep_whose_executor_stays_silent_is_void(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STEP_PATIENCE_NS", 1_000_000)
    trace = Trace(lockstep=True, away_turns=10**9 if what == "take" else 0)
    trace.worker._take_acks = lambda: time.sleep(0.001)
    with pytest.raises(Halted, match=rf"did not {what} .* the replay is void"):
        trace.worker._drain(trace.shell)
    assert "publish" not in trace.told  # the tape does not go on


def test_who_is_told_to_stop_waits_for_nobody_and_leaves_the_cursor_before_what_was_not_judged() -> None:
    trace = Trace(lockstep=True)
    trace.worker._take_acks = trace.worker._context.stop.set
    assert trace.worker._drain(trace.shell)
    assert not {"publish", "settle"} & set(trace.told)
    assert trace.worker._unacked


class Asked:
    """A worker that has sent two signals, and the answers that come; `lines` is what a person reads of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[SignalAck] = []
        self.lines: list[tuple[str, str, str]] = []
        self.now_ns = 10**9
        monkeypatch.setattr(worker_module, "boot_ns", lambda: self.now_ns)
        worker: Any = Worker.__new__(Worker)
        worker._settings = SimpleNamespace(lockstep=False, limits=SimpleNamespace(signal_ttl_ns=1_500_000_000))
        worker._wire = SimpleNamespace(decode=lambda message: message)
        worker._executor = SimpleNamespace(drain=self._drain)
        worker._beat = SimpleNamespace(event=lambda now, kind, symbol, words: self.lines.append((kind, symbol, words)))
        worker._unacked = {"MNQ-1": self.now_ns, "ES-2": self.now_ns}
        worker._untaken = []
        worker._counters = dict.fromkeys(("acked", "refused", "unacked", "bad_messages"), 0)
        self.worker = worker

    def _drain(self) -> list[tuple[bytes, SignalAck]]:
        answers, self.answers = self.answers, []
        return [(b"", answer) for answer in answers]


def test_F_IPC_01_a_signal_that_is_refused_or_not_answered_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SIGNAL line stood on the screen and nothing followed: no denial, no row of the journal, no word."""
    asked = Asked(monkeypatch)
    asked.worker._take_acks()
    assert asked.lines == []
    asked.answers = [SignalAck("MNQ-1", False, "RC_START")]
    asked.worker._take_acks()
    words = "the signal MNQ-1 is not given again: the executor is still starting (RC_START)"
    assert asked.lines == [("PROC", "MNQ", words)]
    asked.now_ns += 1_500_000_001
    asked.worker._take_acks()
    words = "the signal ES-2 is not given again: the executor did not say within 1.5 s that it took it"
    assert asked.lines[1:] == [("PROC", "ES", words)]
    asked.worker._take_acks()
    assert len(asked.lines) == 2
    assert asked.worker._counters == {"acked": 0, "refused": 1, "unacked": 1, "bad_messages": 0}


def test_of_signals_that_were_taken_there_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    asked.answers = [SignalAck("MNQ-1", True), SignalAck("ES-2", True), SignalAck("ES-2", False, "RC_START")]
    asked.worker._take_acks()
    assert (asked.lines, asked.worker._counters["acked"], asked.worker._counters["refused"]) == ([], 2, 0)
