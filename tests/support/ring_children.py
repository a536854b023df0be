"""Child processes for the ring tests. Each attaches to segments by directory and name and talks over a pipe."""

import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

import ring_client_build
from ring_ticks import CONTRACT, stamped, torn
from tbot.transport.shm import Segment
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter

SECOND = 1_000_000_000
PATIENCE = 60 * SECOND
LEAST = 300_000


def write_for(directory: Path, name: str, pipe: Connection, seed: int, duration_ns: int) -> None:
    """Write numbered trades in batches of every size for `duration_ns`, then a CLOCK record as the end mark.

    At least LEAST of them, however little of that time this process is given.
    """
    chance = random.Random(seed)
    with Segment.attach(directory, name) as segment, RingWriter(segment.buf) as writer:
        ready(pipe)
        prepared, written = stamped(0, 1 << 16), 0
        end = time.monotonic_ns() + duration_ns
        while written < LEAST or time.monotonic_ns() < end:
            count = min(chance.choice((1, 1, 3, 17, 256, 2000)), len(prepared) - written % len(prepared))
            start = written % len(prepared)
            if start == 0 and written:
                prepared = stamped(written, len(prepared))
            written += writer.push_many(prepared[start : start + count])
        writer.push(Kind.CLOCK, written, 0, 0)
        pipe.send(writer.written)


def read_all(directory: Path, name: str, pipe: Connection, slot: int, room: int, sleeps: bool) -> None:
    """Read up to the end mark and report what `follow` found."""
    with Segment.attach(directory, name) as segment, RingReader(segment.buf, slot, 0) as reader:
        ready(pipe)
        pipe.send(follow(reader, room, sleeps))


def follow(reader: RingReader, room: int, sleeps: bool) -> dict[str, int]:
    """Read until a CLOCK record came; a hole in the numbers must be exactly what `lost` grew by before that batch."""
    out = np.zeros(room, TICK_DTYPE)
    report = dict.fromkeys(("got", "lost", "torn", "disorder", "unexplained", "laps", "foreign", "finished"), 0)
    expected, lost = 0, 0
    deadline = time.monotonic_ns() + PATIENCE
    while not report["finished"] and time.monotonic_ns() < deadline:
        count = reader.read(out)
        batch = out[:count]
        if count == 0:
            if sleeps:
                reader.wait(SECOND)
            continue
        numbers = batch["seq"] // 2 - 1
        report["laps"] += reader.lost != lost
        report["unexplained"] += int(numbers[0]) != expected + (reader.lost - lost)
        report["disorder"] += int((np.diff(numbers) != 1).sum()) + int((batch["seq"] & 1).sum())
        report["foreign"] += int((batch["contract_id"] != CONTRACT).sum())
        trades = batch[batch["kind"] == Kind.TRADE]
        report["torn"] += torn(trades) + int((trades["exch_ns"] != numbers[batch["kind"] == Kind.TRADE]).sum())
        report["got"] += count
        report["finished"] = int(batch["kind"][-1] == Kind.CLOCK)
        expected, lost = int(numbers[-1]) + 1, reader.lost
    report["lost"] = reader.lost
    return report


def write_for_ever(directory: Path, name: str, pipe: Connection) -> None:
    """Write numbered trades, continuing the numbers of the writers before, until killed."""
    segment = Segment.attach(directory, name)
    writer = RingWriter(segment.buf)
    ready(pipe)
    prepared = stamped(0, 1 << 14)
    while True:
        for start in range(0, len(prepared), 64):
            writer.push_many(prepared[start : start + 64])


def wait_once(directory: Path, name: str, pipe: Connection, slot: int) -> None:
    """Sleep until a record comes; reports what `wait` returned and how many records were there."""
    with Segment.attach(directory, name) as segment, RingReader(segment.buf, slot, "newest") as reader:
        ready(pipe)
        woken = reader.wait(PATIENCE)
        pipe.send((woken, reader.read(np.zeros(16, TICK_DTYPE))))


def sleep_for_ever(directory: Path, name: str, pipe: Connection, slot: int) -> None:
    """Sleep in `wait` until killed."""
    reader = RingReader(Segment.attach(directory, name).buf, slot, "newest")
    ready(pipe)
    while True:
        reader.wait(PATIENCE)


def answer(directory: Path, ask: str, reply: str, pipe: Connection, rounds: int, seed: int) -> None:
    """Answer each record of ring `ask` with one in ring `reply`; reports how often a wake-up was missed."""
    chance = random.Random(seed)
    left, right = Segment.attach(directory, ask), Segment.attach(directory, reply)
    reader, writer = RingReader(left.buf, 0), RingWriter(right.buf)
    ready(pipe)
    pipe.send(play(reader, writer, rounds, chance, serve=False))


def answer_fast(directory: Path, ask: str, reply: str, pipe: Connection, built: Path, rounds: int, seed: int) -> None:
    """As `answer`, in compiled code."""
    client = ring_client_build.load(built)
    left, right = Segment.attach(directory, ask), Segment.attach(directory, reply)
    reader, writer = RingReader(left.buf, 0), RingWriter(right.buf)
    ready(pipe)
    pipe.send(client.ping_pong(reader, writer, rounds, seed, False, 60 * SECOND))


def play(reader: RingReader, writer: RingWriter, rounds: int, chance: random.Random, serve: bool) -> int:
    """One side of a game of ping-pong, falling asleep at another moment each time. Returns missed wake-ups (at most 1).

    A missed wake-up shows as a wait that lasted its whole time-out although the record was there.
    """
    out = np.zeros(4, TICK_DTYPE)
    for number in range(rounds):
        if serve:
            writer.push(Kind.TRADE, number, 0, 0)
        begun = time.monotonic_ns()
        busy_ns = chance.randrange(30_000)  # about as long as an answer takes, so that sleep and answer often meet
        while time.monotonic_ns() - begun < busy_ns:
            pass
        begun = time.monotonic_ns()
        reader.wait(60 * SECOND)
        if time.monotonic_ns() - begun >= 60 * SECOND or reader.read(out) != 1 or int(out["exch_ns"][0]) != number:
            return 1
        if not serve:
            writer.push(Kind.TRADE, number, 0, 0)
    return 0


def ready(pipe: Connection) -> None:
    """Tell the parent that this child is attached, and wait for its word to begin."""
    pipe.send("ready")
    pipe.recv()
