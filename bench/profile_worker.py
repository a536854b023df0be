r"""Where does one contract's worker spend its time on a tape?

    python bench/profile_worker.py [TAPE] [--contract MNQ] [--ticks N] stages|functions|flame|lines

stages     processor time per tick of each stage, the earlier ones included: records out of the ring; bars and
           detectors; the strategy in Python. Minimum of several rounds.
functions  cProfile of the whole fold: Python and the border to the extensions, no further.
flame      py-spy with native frames over the same run (extra `profile`): flame graph and top table.
lines      instructions by line of the .pyx files, counted by callgrind (needs valgrind): the extensions are built
           anew in build/lines with annotated HTML beside the C files (TBOT_LINES=1), whose comments name the lines.

Why comments and not `#line` directives: Cython writes none when it annotates. Why callgrind and not perf annotate: its
counts are the same on a busy machine and on one whose processor hides its counters, as virtual machines do; perf reads
the same build where it works:
`perf record -e cpu-clock -- env PYTHONPATH=build/lines python bench/profile_worker.py TAPE play`, then `perf annotate`.
Without TAPE a random walk with the rate of an index future in its liquid hours is made (60 records a second).
Reference machine: 2 virtual cores of an x86-64 server shared with other work.
"""

import argparse
import cProfile
import os
import pstats
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from ctypes import c_uint64
from pathlib import Path

import numpy as np

from tbot.domain.contracts import PRODUCTS, Product
from tbot.storage.replay_stream import opening
from tbot.storage.tape import TapeReader
from tbot.strategy.decider import ContractDecider
from tbot.strategy.settings import StrategySettings
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import TICK_DTYPE
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

ROOT = Path(__file__).resolve().parents[1]
LINES = ROOT / "build" / "lines"
ROUNDS = 5
CHUNK = 1 << 15  # records that are pushed, then drained: half a ring, so that nothing is lapped
CAPACITY = 1 << 16
TOP = 40
ORIGIN = re.compile(r'\s*/\* "tbot_ext/(?P<file>[\w.]+)":(?P<line>\d+)')
MINUTE_NS = 60_000_000_000


class Fed:
    """A ring with a writer and a reader, filled and emptied by turns; the time of filling does not count."""

    def __init__(self, product: Product) -> None:
        buffer = (c_uint64 * (ring_bytes(CAPACITY) // 8))()
        view = memoryview(buffer).cast("B")
        format_ring(view, CAPACITY, product.contract_id, 1)
        self.writer, self.reader = RingWriter(view), RingReader(view, 0)

    def play(self, ticks: np.ndarray, drain: Callable[[RingReader], object]) -> float:
        """Processor time (s) that `drain` needs for all ticks."""
        used = 0.0
        for start in range(0, len(ticks), CHUNK):
            self.writer.push_many(ticks[start : start + CHUNK])
            began = time.process_time()
            while self.reader.position < self.reader.written:
                drain(self.reader)
            used += time.process_time() - began
        return used


def records_of(tape: Path, product: Product, limit: int) -> np.ndarray:
    """The contract's records of a tape, with the word in front that there is no history."""
    with TapeReader(tape) as reader:
        ticks = np.array(reader.ticks)
    ticks = ticks[ticks["contract_id"] == product.contract_id][:limit]
    if not len(ticks):
        raise SystemExit(f"{tape} holds nothing of {product.symbol}; choose another --contract")
    start_ns = int(ticks["exch_ns"][0]) // MINUTE_NS * MINUTE_NS
    return np.concatenate([opening((product.contract_id,), start_ns), ticks])


def whole(product: Product) -> Callable[[RingReader], object]:
    """What the worker's loop calls: pipeline and strategy."""
    decider = ContractDecider(product, StrategySettings())
    return lambda reader: decider.drain(reader, 4096)


def stages(ticks: np.ndarray, product: Product) -> None:
    """Print ns per tick of each stage."""
    out = np.empty(4096, TICK_DTYPE)

    def ring_only() -> Callable[[RingReader], object]:
        return lambda reader: reader.read(out)

    def compiled() -> Callable[[RingReader], object]:
        pipeline = ContractPipeline(product.contract_id, StrategySettings().detectors(product))
        return lambda reader: pipeline.drain(reader, 4096)

    kinds = {"ring": ring_only, "ring, bars, detectors": compiled, "the same and strategy": lambda: whole(product)}
    best = {name: min(Fed(product).play(ticks, make()) for _ in range(ROUNDS)) for name, make in kinds.items()}
    for name, seconds in best.items():
        print(f"{name:24} {seconds / len(ticks) * 1e9:8.1f} ns per tick")
    minutes = (int(ticks["exch_ns"][-1]) - int(ticks["exch_ns"][0])) / MINUTE_NS
    fold = best["the same and strategy"] - best["ring, bars, detectors"]
    print(f"{'strategy':24} {fold / minutes * 1e6:8.1f} us per minute of market time, {minutes:.0f} minutes")


def functions(ticks: np.ndarray, product: Product) -> None:
    """cProfile, by own time."""
    profiler = cProfile.Profile()
    drain = whole(product)
    profiler.enable()
    Fed(product).play(ticks, drain)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(TOP)


def flame(tape: Path, arguments: list[str]) -> None:
    """py-spy starts the run and writes the picture; the table is the one of `tbot profile`."""
    from tbot.commands import flame_graph
    from tbot.commands.profile import find_program, table

    picture = Path("worker.svg")
    run = [sys.executable, __file__, *arguments, str(tape), "play"]
    subprocess.run([find_program(), "record", "--native", "--rate", "500", "-o", str(picture), "--", *run], check=True)
    samples, rows = flame_graph.read(picture.read_text())
    print("\n".join([*table(samples, rows[:TOP]), f"flame graph: {picture}"]))


def lines(tape: Path, arguments: list[str]) -> None:
    """Build with annotations, count under callgrind, print the lines with the most instructions."""
    if shutil.which("valgrind") is None:
        raise SystemExit("this needs valgrind; install it with the system's packages, then try again")
    environment = {**os.environ, "TBOT_LINES": "1", "PYTHONPATH": str(LINES)}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(LINES)]
    subprocess.run(build, cwd=ROOT, env=environment, check=True)
    for name in ("__init__.py", "__init__.pxd"):
        shutil.copy(ROOT / "ext" / "tbot_ext" / name, LINES / "tbot_ext" / name)
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder) / "callgrind.out"
        count = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={counts}"]
        run = [sys.executable, __file__, *arguments, str(tape), "play"]
        subprocess.run([*count, *run], env=environment, check=True)
        print_lines(own_costs(counts))
    print(f"annotated HTML: {ROOT / 'build' / 'cython-lines'}/**/*.html")


def own_costs(counts: Path) -> Counter[tuple[str, int]]:
    """Instructions by (C file, line) out of callgrind's file, those of called functions left out.

    Format: https://valgrind.org/docs/manual/cl-format.html. File names are given once and then by number; positions
    may be relative to the last one; the line after `calls=` holds what the call cost inclusively.
    """
    found: Counter[tuple[str, int]] = Counter()
    names: dict[str, str] = {}
    file, line, called = "", 0, False
    with counts.open(encoding="utf-8", errors="replace") as text:
        for row in text:
            kind, _, rest = row.strip().partition("=")
            if kind in ("fl", "fi", "fe", "cfl", "cfi"):
                number, _, name = rest.partition(" ")
                named = names.setdefault(number, name)
                file = file if kind[0] == "c" else named
            elif row.startswith("calls="):
                called = True
            elif row[0] in "0123456789+-*":
                place, _, cost = row.partition(" ")
                line = line if place == "*" else line + int(place) if place[0] in "+-" else int(place)
                if not called:
                    found[file, line] += int(cost or 0)
                called = False
    return found


def print_lines(costs: Counter[tuple[str, int]]) -> None:
    """The lines of the .pyx and .pxd files with the most instructions: the C code names its origin in comments."""
    found: Counter[tuple[str, str]] = Counter()
    for file in {file for file, _ in costs if "/cython-lines/" in file and file.endswith(".c")}:
        origin, words = "", ""
        for number, row in enumerate((ROOT / file).read_text(encoding="utf-8").splitlines(), start=1):
            comment = ORIGIN.match(row)
            if comment is not None:
                origin = f"{comment['file']}:{comment['line']}"
            elif row.startswith(" *") and "# <<<<<" in row:
                words = row[2:].partition("# <<<<<")[0].strip()
            if origin and costs[file, number]:
                found[origin, words] += costs[file, number]
    total = sum(found.values()) or 1
    for (origin, words), count in found.most_common(TOP):
        print(f"{count / total:6.1%} {count:>14,} {origin:28} {words}")


def made_tape(folder: Path, product: Product, ticks: int) -> Path:
    """A random walk as a tape."""
    from bench_backtest import walk

    from tbot.storage.tape import TapeWriter, tape_meta

    records = walk(ticks)
    records["contract_id"] = product.contract_id
    path = folder / "walk.tape"
    with TapeWriter(path, tape_meta([product], "bench")) as writer:
        writer.write(records)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("tape", nargs="?", type=Path)
    parser.add_argument("--contract", default="MNQ", choices=sorted(PRODUCTS))
    parser.add_argument("--ticks", type=int, default=500_000, help="at most so many records")
    parser.add_argument("what", choices=("stages", "functions", "flame", "lines", "play"))
    chosen = parser.parse_intermixed_args()
    product = PRODUCTS[chosen.contract]
    arguments = ["--contract", chosen.contract, "--ticks", str(chosen.ticks)]
    with tempfile.TemporaryDirectory() as folder:
        tape = chosen.tape or made_tape(Path(folder), product, chosen.ticks)
        if chosen.what in ("flame", "lines"):
            {"flame": flame, "lines": lines}[chosen.what](tape, arguments)
            return
        ticks = records_of(tape, product, chosen.ticks)
        if chosen.what == "play":
            Fed(product).play(ticks, whole(product))
            return
        {"stages": stages, "functions": functions}[chosen.what](ticks, product)


if __name__ == "__main__":
    main()
