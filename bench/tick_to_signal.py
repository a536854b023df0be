"""Where does the time go from an exchange's update to the order request on the wire?

The real processes over real sockets: `tbot sim` plays a made-up tape of six contracts, `tbot run` is connected to it by
both hubs and REST (mode sim: orders go out through the live broker). The market is at sixty times real speed, so that a
minute closes every second in each contract; the load is in updates (prints and quotes, all contracts together) of real
time. At each closed minute the packaged strategy does its work, and the bench's trader (often.py) gives one signal
whatever it found: 6 signals a second. The Desk takes what its rules allow, of the micros only, at most 40 a run.

What is measured, by the engine's own stamps (boot clock, one machine):
  exchange > frame     each update, from its moment in the market to its receipt by the feed; the simulator sends every
                       20 ms, so this is its pacing, not our code
  frame > ring         each hub event, receipt to its records in the ring; later records of one frame wait for earlier
  frame > worker done  each turn of a worker, receipt of its newest record to the end of its fold
  frame > woke         each signal: receipt of the deciding record to the start of the worker's turn
  woke > signal        each signal: the turn's start to the signal's departure (bars, detectors, strategy)
  tick > signal        each signal: receipt to departure. Budget: p50 100 us, of which own code 15 us; own code is taken
                       as p50 of frame > ring plus p50 of woke > signal
  signal > executor    encoding, ZeroMQ, the executor's wake-up
  executor > approved  acknowledgement, newest quotes, Desk, risk
  approved > handed    journal with its sync, and the hand-over to the broker's thread
  handed > request     the thread's wake-up
  signal > request     departure to the start of the order's HTTP request. Budget: p50 2 ms
  request > gateway    HTTP to the simulator's own stamp; request > answer: and back
Beside it the bare floors in C and the ring's own hop (hop_floors.py).

Cells: every load with the default wait strategy and one worker per contract; then the other wait strategies (`poll`,
`spin`), and 1, 2 and 3 worker processes sharing the six contracts (they look at their rings every millisecond instead
of sleeping on one), at one load. Saturation: in one engine the load doubles from 2 000 to 32 000; the first at which
less than 98 % of the prints offered are received within half a second of their stretch is too much. `spin` keeps a core
busy for each worker: with fewer cores than processes it shows what happens then, nothing else.

Run: python bench/tick_to_signal.py [--seconds N] [--rounds N] [--json FILE] [--picture FILE.png]
"""

import argparse
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import hop_floors
import numpy as np
from engine_run import (
    PERCENTILES,
    SHARES,
    START,
    NotReady,
    Run,
    Values,
    boot_ns,
    boot_of_wall_ns,
    cells,
    cpu_s,
    end_in_order,
    exchange_to_frame,
    hops_of,
    machine,
    percentiles,
    running,
    shared_out,
    table,
    traces,
    us,
    write_tape,
)

from tbot.storage.tape import TapeReader
from tbot_ext.records import Kind

SPEED = 60.0
START_S = 90.0  # of tape before the measured stretch, for the engine's start on a busy machine
WARM_S = 2.5  # from ready to the measured stretch: the strategy begins to speak
LATE_S = 0.5  # what the feed has received so long after the end has arrived in time
LEAD_LOAD = 65  # updates a second before the ramp
LOADS = (65, 150, 400, 1000)
WAITS = ("futex", "poll", "spin")
WORKERS = (1, 2, 3)
COMMON_LOAD = 150  # of the cells that compare something else than loads
RAMP = (2000, 4000, 8000, 16_000, 32_000)
RAMP_S = 20.0  # longest stretch of each: the tape lies in memory
ARRIVES = 0.98  # share of the offered load below which it is too much
BUDGET_US = {"tick > signal": 100.0, "own code": 15.0, "signal > request": 2000.0}
LONGEST_S = 280  # of a measured stretch: the market day has so many hours in which entries are taken
TRACED = {  # name of a hop -> its first and last stamp in a Trace
    "frame > woke": ("frame", "woke"),
    "woke > signal": ("woke", "sent"),
    "tick > signal": ("frame", "sent"),
    "signal > executor": ("sent", "received"),
    "executor > approved": ("received", "approved"),
    "approved > handed": ("approved", "handed"),
    "handed > request": ("handed", "request"),
    "signal > request": ("sent", "request"),
    "request > gateway": ("request", "arrived"),
    "request > answer": ("request", "answered"),
}
HOPS = ("exchange > frame", "frame > ring", "frame > worker done", *TRACED)


@dataclass
class Cell:
    """One setting of load, wait strategy and worker processes, and what was measured under it, ns."""

    load: int
    wait: str = "futex"
    workers: int = 0  # 0: one per contract
    hops: dict[str, list[Values]] = field(default_factory=dict)
    offered: int = 0  # prints of the tape in the measured stretches
    arrived: int = 0
    lost: int = 0
    cpu: dict[str, float] = field(default_factory=dict)  # share of a core
    denials: Counter[str] = field(default_factory=Counter)  # of whole runs, by reason

    @property
    def name(self) -> str:
        shared = f", {self.workers} worker process{'es' if self.workers > 1 else ''}" if self.workers else ""
        return f"{self.load}/s, {self.wait}{shared}"

    def values(self, hop: str) -> Values:
        """All values of one hop."""
        return np.concatenate(self.hops[hop]) if self.hops.get(hop) else np.zeros(0, np.int64)

    def own_code_us(self) -> float:
        """Our own code between receipt and signal: decoding into the ring, and the deciding turn, p50 of each."""
        parts = [self.values(hop) for hop in ("frame > ring", "woke > signal")]
        return sum(percentiles(part)["p50"] for part in parts if len(part)) / 1e3

    def overloaded(self) -> bool:
        """More than could be taken in time."""
        return self.arrived < ARRIVES * self.offered or self.lost > 0

    def document(self) -> dict[str, Any]:
        """For JSON, ns."""
        return {
            "load_per_s": self.load,
            "wait": self.wait,
            "workers": self.workers or "one per contract",
            "offered": self.offered,
            "arrived": self.arrived,
            "lost": self.lost,
            "cpu_cores": {name: round(share, 4) for name, share in self.cpu.items()},
            "denials": dict(self.denials),
            "own_code_us": round(self.own_code_us(), 2),
            "hops_ns": {hop: percentiles(self.values(hop)) for hop in HOPS},
        }


def measure(cells: Sequence[Cell], folder: Path, seconds: float, lead_s: float, seed: int) -> float:
    """One round: a fresh tape, simulator and engine, one stretch after the other; how long the start took, s.

    `lead_s`: of light load before the first stretch; 0: the load of the first from the start on, which then begins
    when the engine is ready.
    """
    folder.mkdir()
    first = cells[0]
    lead = [LEAD_LOAD] * int(lead_s * 10) or [first.load] * int(START_S * 10)
    per_tenth = [*lead, *(cell.load for cell in cells for _ in range(int(seconds * 10))), *[cells[-1].load] * 20]
    tape = folder / "bench.tape"
    write_tape(tape, shared_out(tuple(SHARES), np.array(per_tenth) / 10), SPEED / 10, seed)
    with running(folder / "run", tape, SPEED, tuple(SHARES), wait=first.wait, workers=first.workers) as run:
        started_s = run.await_active(START_S)
        run.open_taps(SHARES)
        run.speak()
        clock = run.ask_sim("/sim/clock")
        begin = max(boot_ns() + int(WARM_S * 1e9), boot_of(clock, START + int(lead_s * SPEED * 1e9)) if lead_s else 0)
        edges = [begin + int(number * seconds * 1e9) for number in range(len(cells) + 1)]
        ticks = _watch(run, cells, edges)
        first.denials.update(run.stop()["denials"])
        for cell, start, end in zip(cells, edges[:-1], edges[1:], strict=True):
            _add(cell, run, start, end)
            _count(cell, tape, ticks, clock, (start, end))
    return started_s


def _watch(run: Run, cells: Sequence[Cell], edges: Sequence[int]) -> Any:
    """What comes into the rings until the last edge and a little longer; each cell's processor time."""
    processes, ticks = run.processes(), []
    before: dict[str, float] = {}
    for cell, edge in zip((None, *cells), edges, strict=True):
        while boot_ns() < edge:
            time.sleep(max(0.0, min(0.1, (edge - boot_ns()) / 1e9)))
            ticks += [tap.take() for tap in run.taps.values()]
        now = {name: cpu_s(process) for name, process in processes.items()}
        if cell is not None:
            length_s = (edges[1] - edges[0]) / 1e9
            cell.cpu = {name: (spent - before[name]) / length_s for name, spent in now.items()}
        before = now
    time.sleep(LATE_S)
    ticks += [tap.take() for tap in run.taps.values()]
    cells[-1].lost += sum(tap.lost for tap in run.taps.values())
    return np.concatenate(ticks)


def boot_of(clock: dict[str, Any], market_ns: int) -> int:
    """Boot-clock reading at a market time, by the answer of /sim/clock."""
    return int(clock["boot_ns"] + (market_ns - clock["market_ns"]) / clock["speed"])


def _add(cell: Cell, run: Run, begin: int, end: int) -> None:
    """What the engine's stamps say of the measured stretch."""
    kept = run.kept(begin + 1_000_000_000, end)  # a report covers the second before it
    signals = [trace for trace in traces(run, begin) if trace.sent < end]
    for hop, values in {
        "frame > ring": kept.get("frame_ring", np.zeros(0, np.int64)),
        "frame > worker done": kept.get("frame_worker", np.zeros(0, np.int64)),
        **{hop: hops_of(signals, *stamps) for hop, stamps in TRACED.items()},
    }.items():
        cell.hops.setdefault(hop, []).append(values)


def _count(cell: Cell, tape: Path, ticks: Any, clock: dict[str, Any], stretch: tuple[int, int]) -> None:
    """Prints offered and arrived (there is a record for each; quotes are paced), and the simulator's own pacing."""
    first, last = (int(clock["market_ns"] + (boot - clock["boot_ns"]) * clock["speed"]) for boot in stretch)
    inside = ticks[(ticks["exch_ns"] >= first) & (ticks["exch_ns"] < last)]
    inside = inside[inside["recv_ns"] + boot_of_wall_ns() <= stretch[1] + int(LATE_S * 1e9)]
    cell.hops.setdefault("exchange > frame", []).append(exchange_to_frame(inside, clock))
    cell.arrived += int((inside["kind"] == Kind.TRADE).sum())
    with TapeReader(tape) as reader:
        for block in reader.blocks():
            prints = block[block["kind"] == Kind.TRADE]["exch_ns"]
            cell.offered += int(((prints >= first) & (prints < last)).sum())


# ---------------------------------------------------------------- all cells


class Series:
    """Measures one cell after the other, and says so."""

    def __init__(self, folder: Path, seconds: float, rounds: int) -> None:
        self._folder, self._seconds, self._rounds = folder, seconds, rounds
        self._longest_start_s = 5.0
        self._made = count()
        self.cells: list[Cell] = []

    def add(self, cell: Cell) -> None:
        """All rounds of a cell."""
        for number in range(self._rounds):
            self._round([cell], number, 0.0, self._seconds)
        self.cells.append(cell)

    def ramp(self) -> int:
        """Double the load until it is too much, in one engine; the last load that was not, 0 when the first one was."""
        cells = [Cell(load) for load in RAMP]
        self._round(cells, 0, 1.3 * self._longest_start_s + WARM_S, min(self._seconds, RAMP_S))
        good = 0
        for cell in cells:
            self.cells.append(cell)
            if cell.overloaded():
                break
            good = cell.load
        return good

    def _round(self, cells: list[Cell], number: int, lead_s: float, seconds: float) -> None:
        names = "; ".join(cell.name for cell in cells)
        print(f"  {names}: round {number + 1} of {self._rounds} ...", end="", flush=True)
        at = self._folder / str(next(self._made))
        try:
            took_s = measure(cells, at, seconds, lead_s, number + 1)
        except NotReady as failure:  # one of many rounds, on a machine that had something else to do
            print(f" left out: {failure}")
            return
        finally:
            shutil.rmtree(at)
        self._longest_start_s = max(self._longest_start_s, took_s)
        arrived = ", ".join(f"{cell.arrived:,} of {cell.offered:,}" for cell in cells)
        signals = sum(len(cell.values("tick > signal")) for cell in cells)
        orders = sum(len(cell.values("signal > request")) for cell in cells)
        print(f" ready after {took_s:.1f} s; prints in time: {arrived}; so far {signals} signals, {orders} orders")
        if not orders:
            print(f"    no order: {dict(cells[0].denials)}")


def report(found: Sequence[Cell], saturation: int | None) -> None:
    """Every hop of the cell with the least load, then the totals of all cells."""
    first = found[0]
    print(f"\nEvery hop at {first.name}")
    print(table(("us", *PERCENTILES, "max", "n"), [(hop, *cells(first.values(hop))) for hop in HOPS]))
    for total in ("tick > signal", "signal > request", "frame > ring"):
        print(f"\n{total}")
        rows = [(cell.name, *cells(cell.values(total))) for cell in found]
        print(table(("us", *PERCENTILES, "max", "n"), rows))
    print("\nOwn code and processor time")
    rows = [
        (
            cell.name,
            us(cell.own_code_us() * 1e3),
            f"{sum(share for name, share in cell.cpu.items() if name != 'sim'):.1%}",
            f"{cell.arrived / max(1, cell.offered):.1%}",
            str(cell.lost),
        )
        for cell in found
    ]
    print(table(("", "own code p50, us", "engine, of a core", "prints in time", "lapped"), rows))
    if saturation is not None:
        print(f"\nsaturation: {saturation:,} updates/s were taken in time; tried: {', '.join(map(str, RAMP))}")
    print(f"\nbudgets (p50, us, quiet machine): {BUDGET_US}; at {first.name}: {verdict(first)}")


def verdict(cell: Cell) -> dict[str, float]:
    """The budgeted figures of a cell, us."""
    found = {hop: cell.values(hop) for hop in ("tick > signal", "signal > request")}
    told = {hop: round(percentiles(values)["p50"] / 1e3, 1) for hop, values in found.items() if len(values)}
    return {**told, "own code": round(cell.own_code_us(), 1)}


def numbers(text: str) -> tuple[int, ...]:
    """`65,150` as numbers; an empty text: none."""
    return tuple(int(part) for part in text.split(",") if part)


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=8, help="measured stretch of a round")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of a cell, each with processes of its own")
    parser.add_argument("--loads", type=numbers, default=LOADS, metavar="N,N", help="updates/s of all contracts")
    parser.add_argument("--waits", default=",".join(WAITS), metavar="NAME,NAME")
    parser.add_argument("--workers", type=numbers, default=WORKERS, metavar="N,N", help="worker processes")
    parser.add_argument("--no-saturation", action="store_true")
    parser.add_argument("--no-floors", action="store_true", help="without the bare hops in C and the ring's own")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    options = parser.parse_args()
    if not 1 <= options.seconds <= LONGEST_S or not options.loads:
        parser.error(f"--seconds lies between 1 and {LONGEST_S}, and there is at least one load")
    return options


def main() -> None:
    """Measure, print, write."""
    end_in_order()
    options = arguments()
    begun, saturation = time.monotonic(), None
    floors: dict[str, Values] = {}
    if not options.no_floors:
        print("floors and ring ...", flush=True)
        floors = hop_floors.measure(2, 1500, 20_000)
        hop_floors.report(floors)
    with tempfile.TemporaryDirectory() as name:
        series = Series(Path(name), options.seconds, options.rounds)
        for load in options.loads:
            series.add(Cell(load))
        for wait in options.waits.split(","):
            if wait and (wait != "futex" or COMMON_LOAD not in options.loads):
                series.add(Cell(COMMON_LOAD, wait))
        for workers in options.workers:
            series.add(Cell(COMMON_LOAD, "futex", workers))
        if not options.no_saturation:
            saturation = series.ramp()
    report(series.cells, saturation)
    print(f"{time.monotonic() - begun:.0f} s in all; machine: {machine()}")
    if options.json:
        document = {
            "machine": machine(),
            "seconds": options.seconds,
            "rounds": options.rounds,
            "floors": hop_floors.document(floors) if floors else None,
            "cells": [cell.document() for cell in series.cells],
            "saturation_per_s": saturation,
            "budgets_us": BUDGET_US,
            "at_live_load_us": verdict(series.cells[0]),
        }
        options.json.write_text(json.dumps(document, indent=1))
    if options.picture:
        import latency_picture

        latency_picture.draw(options.picture, series.cells, floors)


if __name__ == "__main__":
    main()
