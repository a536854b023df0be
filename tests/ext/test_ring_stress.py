"""TickRing between real processes: nothing torn, every loss counted, kills survived, no wake-up lost."""

import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ring_children
from ring_ticks import CONTRACT, RUN, sleepers, stamped, torn
from tbot.transport.shm import Segment, run_directory
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, reader_positions, ring_bytes

SPAWN = multiprocessing.get_context("spawn")
SECOND = 1_000_000_000
PATIENCE_S = 60.0


class Children:
    """The child processes of one test; all are gone when it ends."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[BaseProcess] = []

    def start(self, target: Callable[..., None], *names: str, **settings: Any) -> tuple[BaseProcess, Connection]:
        """A child that has attached and waits for `go`."""
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=target, args=(self.directory, *names, theirs), kwargs=settings, daemon=True)
        process.start()
        theirs.close()
        self.processes.append(process)
        assert answer(ours) == "ready"
        return process, ours

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self.processes:
            process.kill()
            process.join()


def answer(pipe: Connection) -> Any:
    """What the child says next."""
    assert pipe.poll(PATIENCE_S), "the child says nothing"
    return pipe.recv()


def until(condition: Callable[[], bool]) -> None:
    """Look until it is so; fails after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0)


@pytest.fixture
def children() -> Iterator[Children]:
    directory = run_directory()
    group = Children(directory)
    try:
        yield group
    finally:
        group.stop()
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()


@contextmanager
def ring(directory: Path, name: str, capacity: int) -> Iterator[Segment]:
    """A formatted ring in a segment."""
    with Segment.create(directory, name, ring_bytes(capacity)) as segment:
        format_ring(segment.buf, capacity, CONTRACT, RUN)
        yield segment


@pytest.mark.parametrize(("capacity", "seed"), [(16, 1), (1024, 2)])
def test_I8_F_DAT_04_one_writer_two_readers_nothing_torn_every_loss_counted(
    children: Children, capacity: int, seed: int
) -> None:
    with ring(children.directory, "ring", capacity) as segment:
        readers = [
            children.start(ring_children.read_all, "ring", slot=0, room=7, sleeps=False)[1],
            children.start(ring_children.read_all, "ring", slot=5, room=500, sleeps=True)[1],
        ]
        _, writer = children.start(ring_children.write_for, "ring", seed=seed, duration_ns=SECOND)
        for pipe in (*readers, writer):
            pipe.send("go")
        written = answer(writer)
        for report in map(answer, readers):
            print(capacity, written, report)
            assert report["finished"] == 1
            assert (report["torn"], report["disorder"], report["unexplained"], report["foreign"]) == (0, 0, 0, 0)
            assert report["got"] + report["lost"] == written
            assert report["got"] > 100
            assert report["laps"] > 10, "no reader was ever lapped: the test proved nothing"
        until(lambda: reader_positions(segment.buf) == [-1] * 8)


def test_the_check_itself_finds_a_record_mixed_from_two() -> None:
    ticks = stamped(0, 100)
    assert torn(ticks) == 0
    words = ticks.view(np.uint64).reshape(100, 8)
    later = stamped(16, 100).view(np.uint64).reshape(100, 8)
    for word in range(1, 8):
        mixed = words.copy()
        mixed[50, word:] = later[50, word:]
        if word > 1:  # all seven words of the later record are that record
            assert torn(mixed.view(TICK_DTYPE).reshape(-1)) == 1
        mixed = words.copy()
        mixed[50, word] = later[50, word]
        assert torn(mixed.view(TICK_DTYPE).reshape(-1)) == 1


def kill_writers(children: Children, kills: int, seed: int) -> None:
    """Kill a writer in full run again and again, each time after another number of records."""
    chance = random.Random(seed)
    out = np.zeros(4096, TICK_DTYPE)
    with ring(children.directory, "ring", 64) as segment, RingReader(segment.buf, 0, 0) as reader:
        got, expected, epoch = 0, 0, 0

        def take() -> None:
            nonlocal got, expected, epoch
            lost = reader.lost
            count = reader.read(out)
            if count:
                numbers, epochs = out["seq"][:count] // 2 - 1, out["epoch"][:count].astype(int)
                assert int(numbers[0]) == expected + reader.lost - lost
                assert (np.diff(numbers) == 1).all()
                assert torn(out[:count][out["kind"][:count] == Kind.TRADE]) == 0
                assert (np.diff(epochs) >= 0).all()
                assert epochs[0] >= epoch
                got, expected, epoch = got + count, int(numbers[-1]) + 1, int(epochs[-1])

        for number in range(kills):
            process, pipe = children.start(ring_children.write_for_ever, "ring")
            pipe.send("go")
            enough = reader.written + chance.randrange(1, 5000)
            while reader.written < enough:
                take()
            process.kill()
            process.join()
            for _ in range(100):  # bounded: whatever the writer left, reading comes to an end
                take()
            assert reader.wait(0) is False
            before = reader.written
            with RingWriter(segment.buf) as writer:
                assert writer.epoch == 2 * number + 2  # each writer, killed or not, raised it by one
                assert writer.written - before in (1, 2)  # the GAP, and perhaps a record not yet counted
                writer.push(Kind.CLOCK, 0, 0, 0)
                take()
                assert (out["kind"][0], epoch) == (Kind.GAP, writer.epoch)
                assert got + reader.lost == writer.written == reader.written


def test_F_DAT_05_killed_writers_leave_nothing_torn_and_a_ring_that_goes_on(children: Children) -> None:
    kill_writers(children, kills=8, seed=3)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_F_DAT_05_five_hundred_killed_writers(children: Children) -> None:
    kill_writers(children, kills=500, seed=4)


def test_a_sleeping_reader_in_another_process_is_woken(children: Children) -> None:
    with ring(children.directory, "ring", 64) as segment, RingWriter(segment.buf) as writer:
        pipes = []
        for slot in (0, 7):
            _, pipe = children.start(ring_children.wait_once, "ring", slot=slot)
            pipe.send("go")
            pipes.append(pipe)
        until(lambda: sleepers(segment.buf) == 0b10000001)
        writer.push(Kind.TRADE, 1, 1, 1)
        assert [answer(pipe) for pipe in pipes] == [(True, 1), (True, 1)]
        assert sleepers(segment.buf) == 0


def test_a_reader_killed_asleep_costs_the_writer_one_call_and_its_slot_can_be_used_again(children: Children) -> None:
    with ring(children.directory, "ring", 64) as segment, RingWriter(segment.buf) as writer:
        process, pipe = children.start(ring_children.sleep_for_ever, "ring", slot=3)
        pipe.send("go")
        until(lambda: sleepers(segment.buf) == 0b1000)
        process.kill()
        process.join()
        assert sleepers(segment.buf) == 0b1000  # nobody took it back
        writer.push(Kind.TRADE, 1, 1, 1)
        assert sleepers(segment.buf) == 0
        _, pipe = children.start(ring_children.wait_once, "ring", slot=3)
        pipe.send("go")
        until(lambda: sleepers(segment.buf) == 0b1000)
        writer.push(Kind.TRADE, 2, 2, 2)
        assert answer(pipe) == (True, 1)


@pytest.mark.parametrize("seed", [5, 6])
def test_no_wake_up_is_lost_however_the_sides_meet(children: Children, seed: int) -> None:
    """Ping-pong: each side sleeps until the other's record, at another moment each time; one lost wake-up stalls it."""
    rounds = 4000
    with ring(children.directory, "ask", 16) as ask, ring(children.directory, "reply", 16) as reply:
        _, pipe = children.start(ring_children.answer, "ask", "reply", rounds=rounds, seed=seed)
        with RingWriter(ask.buf) as writer, RingReader(reply.buf, 0) as reader:
            pipe.send("go")
            assert ring_children.play(reader, writer, rounds, random.Random(-seed), serve=True) == 0
        assert answer(pipe) == 0
