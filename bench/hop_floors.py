"""What does one hop between two processes cost at best, and what does the ring add to it?

Floors in C (floors/hops.c, compiled here with gcc): a futex wake-up, a spinning look, a loopback TCP message of a
quote's size. Beside them the ring, its receiver asleep in `RingReader.wait` or spinning: once with both ends in
compiled code (floors/ring_ends.pyx), which is what the budget is about, and once called from Python, as feed and worker
do. Then a message through ZeroMQ between the sockets that worker and executor have (two threads more have to wake), a
bare futex wake-up after silences as long as those between signals, and a bare sync of the disk, of which the journal
needs two for an order (its row, its head). All stamps are of the monotonic clock, from before the send to when the
receiver holds the message. Floors and ring take turns, so that a change of the machine's load meets both; of the turns
all figures are put together.

Budget (design, section 6): ring p50 at most 1.5 times the futex floor, spinning 2 times the spin floor.
Run: python bench/hop_floors.py [--turns N] [--json FILE]. Needs gcc, and Cython for the compiled ends.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from engine_run import PERCENTILES, cells, percentiles, table

import tbot_ext
from tbot.transport import sockets
from tbot.transport.shm import Segment, run_directory
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

FLOORS = Path(__file__).parent / "floors"
SLEEP_PAUSE_NS, SPIN_PAUSE_NS = 300_000, 3_000  # between two hops: long enough to fall asleep; short
SYNC_PAUSE_S, SYNCS, BLOCK = 0.01, 100, 4096
CAPACITY = 1024
NAME, SLOT, CONTRACT, RUN = "ring.bench", 0, 1, 1
SYNC = "disk sync"
PAUSES_NS = {"": SLEEP_PAUSE_NS, " after 50 ms": 50_000_000}  # the long one: what a silence costs
RARE_ROUNDS, SIGNAL_BYTES = 100, 1000
BUDGETS = {"asleep": 1.5, "spinning": 2.0}
FLOOR_OF = {"asleep": "C futex", "spinning": "C spin"}
SETUP = """
import sys
from Cython.Build import cythonize
from setuptools import Extension, setup
ends = Extension("ring_ends", ["ring_ends.pyx"], extra_compile_args=["-O3"])
setup(script_args=["-q", "build_ext", "--inplace"], ext_modules=cythonize([ends], include_path=[sys.argv[1]], quiet=True))
"""  # noqa: E501

Samples = npt.NDArray[np.int64]


def compile_floors(folder: Path) -> Path:
    """The program of the bare hops. SystemExit with the compiler's words when it cannot be made."""
    program = folder / "hops"
    if shutil.which("gcc") is None:
        raise SystemExit("the floors need gcc; install it, or leave them out with --no-floors")
    made = subprocess.run(
        ["gcc", "-O2", "-std=c11", str(FLOORS / "hops.c"), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise SystemExit(f"floors/hops.c does not compile: {made.stderr}")
    return program


def floor(program: Path, kind: str, rounds: int, pause: int) -> Samples:
    """Durations in ns of `rounds` bare hops, `pause` ns apart; `kind`: futex, spin or tcp."""
    told = subprocess.run([program, kind, str(rounds), str(pause)], capture_output=True, text=True, check=True).stdout
    return np.array(told.split(), np.int64)


def disk_syncs(folder: Path, rounds: int) -> Samples:
    """Durations in ns of syncing a block of 4 KiB that was appended to a file in `folder`."""
    took = np.zeros(rounds, np.int64)
    handle = os.open(folder / "synced", os.O_WRONLY | os.O_CREAT)
    try:
        for number in range(rounds):
            time.sleep(SYNC_PAUSE_S)
            begin = time.monotonic_ns()
            os.pwrite(handle, bytes(BLOCK), number * BLOCK)
            os.fdatasync(handle)
            took[number] = time.monotonic_ns() - begin
    finally:
        os.close(handle)
    return took


def compile_ends(folder: Path) -> bool:
    """Build the compiled ends of the ring in `folder`; False where there is no Cython."""
    try:
        importlib.import_module("Cython")
    except ImportError:
        return False
    shutil.copy(FLOORS / "ring_ends.pyx", folder)
    package = Path(str(tbot_ext.__file__)).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", SETUP, str(package)], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"floors/ring_ends.pyx does not compile: {done.stdout}{done.stderr}")
    return True


def load_ends(folder: Path) -> Any:
    """The module built by `compile_ends`."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module("ring_ends")


def pin(core: int) -> None:
    """As in hops.c: a core of its own for each end where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[core]})


def receive(place: Path, rounds: int, spin: bool, ends: Path | None, pipe: Connection) -> None:
    """The receiving process: sends its durations in ns through the pipe."""
    pin(1)
    with Segment.attach(place, NAME) as segment, RingReader(segment.buf, SLOT) as reader:
        took = np.zeros(rounds, np.int64)
        pipe.send("ready")
        if ends is not None:
            load_ends(ends).receive(reader, took, spin)
        else:
            _receive_in_python(reader, took, spin)
        pipe.send(took)


def _receive_in_python(reader: RingReader, took: Samples, spin: bool) -> None:
    out, now = np.zeros(4, TICK_DTYPE), time.monotonic_ns
    for number in range(len(took)):
        while not reader.read(out):
            if not spin:
                reader.wait(1_000_000_000)
        took[number] = now() - int(out["recv_ns"][0])
        reader.publish()


def _send_from_python(writer: RingWriter, buffer: memoryview, rounds: int, spin: bool) -> None:
    from tbot_ext.ring import reader_positions

    now, trade = time.monotonic_ns, int(Kind.TRADE)
    for number in range(rounds):
        while reader_positions(buffer)[SLOT] != number:
            if not spin:
                time.sleep(SLEEP_PAUSE_NS / 1e9)
        if spin:
            end = now() + SPIN_PAUSE_NS
            while now() < end:
                pass
        else:
            time.sleep(SLEEP_PAUSE_NS / 1e9)
        writer.push(trade, 0, now(), 0)


def ring_hops(rounds: int, spin: bool, ends: Path | None) -> Samples:
    """Durations in ns of `rounds` hops through a ring; `ends` None: both ends are called from Python."""
    place = run_directory(None)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    cores = os.sched_getaffinity(0)
    try:
        with Segment.create(place, NAME, ring_bytes(CAPACITY)) as segment:
            format_ring(segment.buf, CAPACITY, CONTRACT, RUN)
            process = context.Process(target=receive, args=(place, rounds, spin, ends, theirs), daemon=True)
            process.start()
            assert ours.recv() == "ready"
            pin(0)
            with RingWriter(segment.buf) as writer:
                if ends is not None:
                    pause = SPIN_PAUSE_NS if spin else SLEEP_PAUSE_NS
                    load_ends(ends).send(writer, SLOT, rounds, pause, spin)
                else:
                    _send_from_python(writer, segment.buf, rounds, spin)
            took: Samples = ours.recv()
            process.join()
    finally:
        os.sched_setaffinity(0, cores)
        shutil.rmtree(place, ignore_errors=True)
    return took


def send_messages(place: Path, rounds: int, pause: int) -> None:
    """The sending process of `message_hops`: each message begins with the instant before it was sent."""
    pin(0)
    channel = sockets.dealer(place / "hops", b"sender")
    for _ in range(rounds):
        time.sleep(pause / 1e9)
        while not channel.send(time.monotonic_ns().to_bytes(8, "little").ljust(SIGNAL_BYTES)):
            time.sleep(0.01)  # not connected yet
    time.sleep(1)  # nothing lingers on close
    channel.close()


def message_hops(rounds: int, pause: int) -> Samples:
    """Durations in ns of `rounds` messages of a signal's size, `pause` ns apart."""
    place = run_directory(None)
    channel = sockets.router(place / "hops")
    waiter = sockets.Waiter(channel)
    cores = os.sched_getaffinity(0)
    took: list[int] = []
    process = multiprocessing.get_context("spawn").Process(target=send_messages, args=(place, rounds, pause))
    process.start()
    try:
        pin(1)
        while len(took) < rounds and process.is_alive():
            waiter.wait(1_000_000_000)
            took.extend(time.monotonic_ns() - int.from_bytes(data[:8], "little") for _, data in channel.drain())
        # What came while this process had no processor; the other one ends a second after its last message.
        took.extend(time.monotonic_ns() - int.from_bytes(data[:8], "little") for _, data in channel.drain())
    finally:
        os.sched_setaffinity(0, cores)
        process.join()
        channel.close()
        sockets.close_context()
        shutil.rmtree(place, ignore_errors=True)
    return np.array(took, np.int64)


def measure(turns: int, sleeping_rounds: int, spinning_rounds: int) -> dict[str, Samples]:
    """Name of each hop -> its durations in ns."""
    found: dict[str, list[Samples]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        program = compile_floors(folder)
        ends = folder if compile_ends(folder) else None
        for _ in range(turns):
            for kind, rounds in (("futex", sleeping_rounds), ("tcp", sleeping_rounds), ("spin", spinning_rounds)):
                pause = SPIN_PAUSE_NS if kind == "spin" else SLEEP_PAUSE_NS
                found.setdefault(f"C {kind}", []).append(floor(program, kind, rounds, pause))
            for words, pause in PAUSES_NS.items():
                if pause != SLEEP_PAUSE_NS:
                    found.setdefault(f"C futex{words}", []).append(floor(program, "futex", RARE_ROUNDS, pause))
                found.setdefault(f"ZeroMQ{words}", []).append(message_hops(RARE_ROUNDS, pause))
            found.setdefault(SYNC, []).append(disk_syncs(folder, SYNCS))
            for word, spin, rounds in (("asleep", False, sleeping_rounds), ("spinning", True, spinning_rounds)):
                if ends is not None:
                    found.setdefault(f"ring, {word}", []).append(ring_hops(rounds, spin, ends))
                found.setdefault(f"ring from Python, {word}", []).append(ring_hops(rounds, spin, None))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def ratios(samples: dict[str, Samples]) -> dict[str, dict[str, float]]:
    """p50 of each ring hop divided by that of its floor, and its budget."""
    found = {}
    for word, budget in BUDGETS.items():
        bare = float(np.median(samples[FLOOR_OF[word]]))
        for name in (f"ring, {word}", f"ring from Python, {word}"):
            if name in samples:
                found[name] = {"ratio": round(float(np.median(samples[name])) / bare, 3), "budget": budget}
    return found


def report(samples: dict[str, Samples]) -> None:
    """The hops as a table, then the ratios."""
    rows = [(name, *cells(values)) for name, values in samples.items()]
    print(table(("one hop, us", *PERCENTILES, "max", "n"), rows))
    for name, found in ratios(samples).items():
        print(f"{name}: p50 {found['ratio']:.2f} times the floor (budget {found['budget']:g}, for the compiled ends)")


def document(samples: dict[str, Samples]) -> dict[str, Any]:
    """For JSON: percentiles in ns, and ratios."""
    return {"hops_ns": {name: percentiles(values) for name, values in samples.items()}, "ratios": ratios(samples)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3, help="floors and ring take this many turns")
    parser.add_argument("--rounds", type=int, default=1500, help="hops of a sleeping receiver per turn")
    parser.add_argument("--spinning-rounds", type=int, default=20_000, help="of a spinning one")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    samples = measure(options.turns, options.rounds, options.spinning_rounds)
    report(samples)
    if options.json:
        options.json.write_text(json.dumps(document(samples), indent=1))


if __name__ == "__main__":
    main()
