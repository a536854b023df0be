"""TickRing through its C interface: cimport from another module, and races at a speed at which they happen."""

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import ring_children
import ring_client_build
from ring_ticks import CONTRACT, RUN, new_ring, stamped
from tbot.transport.shm import Segment, run_directory
from tbot_ext.records import Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

SPAWN = multiprocessing.get_context("spawn")
SECOND = 1_000_000_000
PIPE = object()  # stands for the pipe in a child's arguments


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ring_client_build.build(tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def client(built: Path) -> Any:
    return ring_client_build.load(built)


@pytest.fixture
def directory() -> Iterator[Path]:
    path = run_directory()
    yield path
    shutil.rmtree(path)


def segment(directory: Path, name: str, capacity: int) -> Segment:
    """A formatted ring in a new segment."""
    made = Segment.create(directory, name, ring_bytes(capacity))
    format_ring(made.buf, capacity, CONTRACT, RUN)
    return made


def test_next_gives_got_empty_and_lapped(client: Any) -> None:
    writer, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    assert client.drain(reader, 2) == ["empty", "empty"]
    writer.push(Kind.TRADE, 1, 1, 41)
    assert client.ready(reader)
    assert client.put(writer, Kind.QUOTE, 42) == 1
    assert client.drain(reader, 3) == [(0, 41), (1, 42), "empty"]
    writer.push_many(stamped(2, 30))
    assert client.drain(reader, 2)[0] == "lapped"
    assert (reader.lost, reader.position) == (32 - 16 + 1 - 2, 18)


def test_the_c_interface_of_closed_and_replaced_rings_does_nothing(client: Any) -> None:
    old, reader = RingWriter(buffer := new_ring(16)), RingReader(buffer, 0)
    new = RingWriter(buffer)
    assert client.put(old, Kind.TRADE, 1) == -1
    assert client.put(new, Kind.GAP, 1) == 0
    assert new.epoch == 3
    new.close()
    reader.close()
    assert client.put(new, Kind.TRADE, 1) == -1
    assert client.drain(reader, 1) == ["empty"]
    assert not client.ready(reader)


@contextmanager
def child(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A spawned process that has attached and been told to go, killed afterwards; the pipe to it."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=tuple(theirs if a is PIPE else a for a in arguments), daemon=True)
    process.start()
    try:
        assert ours.poll(60)
        assert ours.recv() == "ready"
        ours.send("go")
        yield ours
    finally:
        process.kill()
        process.join()


def test_I8_F_DAT_04_a_fast_reader_accounts_for_every_record(client: Any, directory: Path) -> None:
    with (
        segment(directory, "ring", 16) as ring,
        RingReader(ring.buf, 0, 0) as reader,
        child(ring_children.write_for, directory, "ring", PIPE, 11, SECOND) as writer,
    ):
        got, torn, disorder, laps = client.hammer(reader, 60 * SECOND)
        assert writer.poll(60)
        written = writer.recv()
        print(f"{written=} {got=} {laps=} lost={reader.lost}")
        assert (torn, disorder) == (0, 0)
        assert got + reader.lost == written
        assert laps > 3, "the reader was hardly ever lapped: the test proved nothing"


@pytest.mark.parametrize("capacity", [16, 256])
def test_I8_F_DAT_05_the_slot_being_overwritten_is_never_taken_torn(
    client: Any, directory: Path, capacity: int
) -> None:
    with (
        segment(directory, "ring", capacity) as ring,
        RingReader(ring.buf, 0, 0) as reader,
        child(ring_children.write_for, directory, "ring", PIPE, 12, 120 * SECOND),
    ):
        got = laps = 0
        deadline = time.monotonic() + 60
        while (got <= 1000 or laps <= 1000) and time.monotonic() < deadline:
            more, torn, lapped = client.chase(reader, 1_500_000_000)
            got, laps = got + more, laps + lapped
            assert torn == 0
        print(f"{got=} {laps=}")
        assert got > 1000
        assert laps > 1000, "the writer was hardly ever met: the test proved nothing"


@pytest.mark.parametrize(
    ("seed", "rounds"),
    [(13, 60_000), (14, 60_000), pytest.param(15, 3_000_000, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def test_no_wake_up_is_lost_in_a_tight_game_of_ping_pong(
    client: Any, built: Path, directory: Path, seed: int, rounds: int
) -> None:
    with (
        segment(directory, "ask", 16) as ask,
        segment(directory, "reply", 16) as reply,
        RingReader(reply.buf, 0) as reader,
        RingWriter(ask.buf) as writer,
        child(ring_children.answer_fast, directory, "ask", "reply", PIPE, built, rounds, seed) as peer,
    ):
        assert client.ping_pong(reader, writer, rounds, 3 * seed, True, 60 * SECOND) == 0
        assert peer.poll(60)
        assert peer.recv() == 0
