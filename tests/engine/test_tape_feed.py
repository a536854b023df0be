"""The process that plays a tape: it waits for its readers, stays alive meanwhile, and says when it was cut short."""

import multiprocessing
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from engine_runs import until
from lively_tape import START, lively
from tbot.domain.clock import MarketClock
from tbot.domain.contracts import PRODUCTS
from tbot.domain.process_messages import Heartbeat, StepDone, StepMessage
from tbot.engine import patience, tape_feed
from tbot.engine.child import CUT_SHORT, ChildContext
from tbot.engine.clocks import boot_ns
from tbot.engine.settings import RING_CAPACITY, EngineSettings
from tbot.engine.tape_feed import ROOM, TapeFeed
from tbot.engine.worker import READER_SLOTS
from tbot.errors import Halted
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.transport import sockets
from tbot.transport.shm import Segment, run_directory
from tbot.transport.wire import Wire
from tbot_ext.records import TICK_DTYPE
from tbot_ext.ring import RingReader, format_ring, ring_bytes

KEY = b"k" * 32
PRODUCT = PRODUCTS["MNQ"]


class Stage:
    """Everything around a TapeFeed of one contract, with readers in the test's hand."""

    def __init__(self, folder: Path, speed: float) -> None:
        self.run_dir = run_directory()
        self.tape = folder / "a.tape"
        records = lively(("MNQ",), minutes=8)
        with TapeWriter(self.tape, tape_meta([PRODUCT], "test")) as writer:
            writer.write(records)
        clock = MarketClock(START + 3_600 * 10**9, boot_ns(), speed) if speed else None  # late: all of it is due
        self.settings = EngineSettings(
            "replay", ("MNQ",), folder, self.run_dir, 1, "b", "c", tape=self.tape, speed=speed, clock=clock
        )
        ring = Segment.create(self.run_dir, self.settings.ring_name("MNQ"), ring_bytes(RING_CAPACITY))
        format_ring(ring.buf, RING_CAPACITY, PRODUCT.contract_id, 1)
        self.ring = ring
        self.bus = sockets.pull(self.settings.socket("bus"))
        self.executor = sockets.router(self.settings.socket("executor"))
        self.wire = Wire(KEY, 1, 0)
        self.stop = threading.Event()
        ours, theirs = multiprocessing.Pipe()
        self.control = ours
        self.context = ChildContext("feed", {"run_key": KEY, "epoch": 0}, theirs, self.stop, 0)
        self.readers = {name: RingReader(ring.buf, READER_SLOTS[name]) for name in ("worker", "executor")}
        self.feed = TapeFeed(self.settings, self.context)
        self.space = np.empty(RING_CAPACITY, TICK_DTYPE)
        self.ended: list[bool | BaseException] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.ended.append(self.feed.run())
        except Halted as error:
            self.ended.append(error)

    def attach(self) -> None:
        for reader in self.readers.values():
            reader.publish()

    def take(self, name: str) -> int:
        """A reader takes in what is there; how much it was."""
        reader = self.readers[name]
        taken = reader.read(self.space)
        reader.publish()
        return taken

    def beats(self) -> int:
        return sum(isinstance(self.wire.decode(data), Heartbeat) for _, data in self.bus.drain())

    def close(self) -> None:
        self.stop.set()
        self.thread.join(30)
        for reader in self.readers.values():
            reader.close()
        self.bus.close()
        self.executor.close()
        self.ring.close()
        shutil.rmtree(self.run_dir, ignore_errors=True)


@pytest.fixture
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = Stage(tmp_path, getattr(request, "param", 0.0))
    yield made
    made.close()


def test_a_feed_that_waits_for_a_worker_is_alive_and_not_at_the_end(stage: Stage) -> None:
    """It was silent meanwhile, was taken for dead after 5 s, and the wrong process got the blame."""
    stage.attach()
    stage.thread.start()
    seen = [0]

    def alive() -> bool:
        seen[0] += stage.beats()
        return seen[0] >= 4

    until(alive, "beats of a feed that waits")
    assert not stage.ended
    stage.stop.set()
    stage.thread.join(30)
    assert stage.ended == [False], "told to stop in the middle of the tape"


def test_a_lockstep_goes_to_the_end_of_the_tape(stage: Stage) -> None:
    stage.attach()
    stage.thread.start()
    total = 0

    def played() -> bool:
        nonlocal total
        total += stage.take("worker")
        for sender, data in stage.executor.drain():
            step = stage.wire.decode(data)
            assert isinstance(step, StepMessage)
            assert step.heads["MNQ"] == total, "a step comes when the worker has all of its instant"
            stage.executor.send(stage.wire.encode(StepDone(step.now_ns)), sender)
        return bool(stage.ended)

    until(played, "the end of the tape")
    assert stage.ended == [True]
    assert total == stage.readers["worker"].written >= len(lively(("MNQ",), minutes=8))


def test_readers_that_stand_still_make_the_replay_void(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape_feed, "STEP_TIMEOUT_NS", 50_000_000)
    stage.attach()
    stage.thread.start()
    until(lambda: stage.ended, "an end")
    assert isinstance(stage.ended[0], Halted)
    assert "were not taken in" in str(stage.ended[0])


@pytest.mark.parametrize("stage", [1000.0], indirect=True)
@pytest.mark.parametrize("slow", ["worker", "executor"])
def test_a_paced_tape_does_not_lap_its_readers_and_ends_with_them(
    stage: Stage, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole tape is due at once. A lap would end all signals of it, for no history comes behind."""
    monkeypatch.setattr(tape_feed, "ROOM", 16)
    quick = "executor" if slow == "worker" else "worker"
    stage.attach()
    stage.thread.start()
    behind = 0

    def ahead() -> bool:
        nonlocal behind
        stage.take(quick)
        behind = max(behind, stage.readers[slow].written - stage.readers[slow].position)
        return behind > 16

    until(ahead, "more than its room")
    for _ in range(50):
        ahead()
    assert behind <= 32 < ROOM, "it writes no further than that ahead of a reader that stands still"
    assert not stage.ended
    taken = [0]

    def played() -> bool:
        taken[0] += stage.take(slow)
        stage.take(quick)
        return bool(stage.ended)

    until(played, "the end")
    assert stage.ended == [True]
    assert taken[0] == stage.readers[slow].written >= len(lively(("MNQ",), minutes=8))
    assert stage.readers[slow].lost == 0


def test_a_feed_that_was_cut_short_does_not_end_like_one_that_was_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for complete, code in ((True, None), (False, CUT_SHORT)):
        made = SimpleNamespace(run=lambda told=complete: told)
        monkeypatch.setattr(tape_feed, "TapeFeed", lambda *_, feed=made: feed)
        if code is None:
            tape_feed.main(None, None)  # type: ignore[arg-type]
        else:
            with pytest.raises(SystemExit) as ended:
                tape_feed.main(None, None)  # type: ignore[arg-type]
            assert ended.value.code == code


def test_time_in_which_a_process_was_frozen_is_no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine slept, or Ctrl-Z: nobody waited."""
    now = [0]
    monkeypatch.setattr(patience.time, "monotonic_ns", lambda: now[0])
    steps = iter([10**9, 3_600 * 10**9, 10**9])

    def turn() -> None:
        now[0] += next(steps)

    turns = patience.turns("nobody came", threading.Event(), turn, 3 * 10**9)
    assert [next(turns) for _ in range(3)] == [None] * 3
    with pytest.raises(Halted, match=r"^nobody came; the replay is void"):
        next(turns)
