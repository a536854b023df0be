"""Does the engine lose nothing, keep its memory and stay quick for an hour?

`tbot sim` plays a made-up tape of six contracts in real time, 500 updates a second (prints and quotes together) and in
one second of each minute 1 000; `tbot run` takes it, with a signal for each contract at every closed minute (often.py),
so that orders go their way, too. The three verdicts:

nothing lost     Every print of the tape is found in its contract's ring once, in order, with price, size and side. What
                 the simulator has sent (/sim/state) is what the feed has taken: all of it accepted, none dropped. What
                 lay in each ring after the tape's end is what its worker has passed, and each record that it passed
                 is in its count: no lap, no gap, no record left.
memory flat      Private memory (USS: rings that are being touched for the first time are no growth) of each process, by
                 minute: median of the last fifth against that of the second fifth, at most GROWTH_MB more.
latency bounded  From receipt to the end of the worker's fold, p99 by minute: median of the last third at most twice
                 that of the first third, or below FAST_MS; and nothing waited for longer than STUCK_MS.

Exit code 1 when anything was lost; the other two verdicts are printed.
Run: python bench/soak.py [--minutes N] [--json FILE]. Takes N minutes and half a minute more.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from engine_run import (
    SHARES,
    START,
    HopTail,
    NotReady,
    Run,
    S,
    boot_ns,
    cpu_s,
    end_in_order,
    exchange_to_frame,
    machine,
    percentiles,
    running,
    shared_out,
    table,
    us,
    write_tape,
)

from tbot.domain.contracts import PRODUCTS
from tbot.storage.tape import TapeReader
from tbot_ext.records import Kind

RATE, BURST = 500, 1000  # updates a second; in one second of each minute
SETTLE_S = 60  # of tape for the start, unless told otherwise; what is left of it is played behind the measured minutes
PERIOD_S = 60.0
GROWTH_MB = 4.0
FAST_MS, STUCK_MS = 20.0, 2000.0
TAKE_S = 0.2
QUIET_NS, LAST_WORD_NS = 3 * S, 75 * S
PRINT = ("price", "size", "side")


@dataclass
class Minute:
    """What one minute showed. Latencies in ns, memory in MB, processor time in shares of a core."""

    number: int
    prints: int = 0
    missing: int = 0  # prints of the tape that are not in the ring, or not as they were sent
    paced: dict[str, int] = field(default_factory=dict)  # exchange > frame: the simulator's 20 ms are in it
    ring: dict[str, int] = field(default_factory=dict)  # frame > ring
    worker: dict[str, int] = field(default_factory=dict)  # frame > worker done
    signal: dict[str, int] = field(default_factory=dict)  # tick > signal
    pss_mb: dict[str, float] = field(default_factory=dict)
    uss_mb: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    def row(self) -> tuple[str, ...]:
        """One line of the table."""
        total = sum(share for name, share in self.cpu.items() if name != "sim")
        engine = sum(held for name, held in self.pss_mb.items() if name != "sim")
        latencies = [
            us(found[name]) if found.get("n") else "-"
            for found in (self.paced, self.ring, self.worker)
            for name in ("p50", "p99", "max")
        ]
        return (str(self.number), f"{self.prints:,}", str(self.missing), *latencies, f"{engine:.0f}", f"{total:.1%}")


HEAD = (
    "period", "prints", "missing", "exch>frame p50 us", "p99", "max", "frame>ring p50", "p99", "max",
    "frame>worker p50", "p99", "max", "PSS MB", "CPU",
)  # fmt: skip


class Soak:
    """The run, period by period."""

    def __init__(self, run: Run, tape: Path, period_s: float) -> None:
        self._run, self._period_ns = run, int(period_s * S)
        self._reader = TapeReader(tape)
        self._clock = run.ask_sim("/sim/clock")
        self._begin_ns = max(START, int(self._clock["market_ns"])) // S * S + 2 * S
        self._processes = run.processes()
        self._tail = HopTail(run.folder)
        self._pending: dict[str, list[Any]] = {symbol: [] for symbol in run.taps}
        self._before = (boot_ns(), self._cpu())
        self.minutes: list[Minute] = []
        self.lapped = 0
        self._tail.take()
        self._market_rest(self._begin_ns)

    def _cpu(self) -> dict[str, float]:
        try:
            return {name: cpu_s(process) for name, process in self._processes.items()}
        except psutil.NoSuchProcess as gone:
            status = self._run.status()
            told = {name: status.get(name) for name in ("state", "reason", "restarts", "processes", "stood_still")}
            errors = (self._run.folder / "engine.err").read_text()[-2000:]
            raise NotReady(f"process {gone.pid} of {self._pids()} is gone: {told} {errors}") from gone

    def _pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    def _market_rest(self, until_ns: int) -> None:
        """Take what is in the rings until this market time."""
        until = self._clock["boot_ns"] + (until_ns - self._clock["market_ns"]) / self._clock["speed"]
        while (left_s := (until - boot_ns()) / S) > 0:
            time.sleep(min(TAKE_S, left_s))
            self._take()

    def _take(self) -> None:
        for symbol, tap in self._run.taps.items():
            self._pending[symbol].append(tap.take())
        self.lapped = sum(tap.lost for tap in self._run.taps.values())

    def period(self, number: int) -> Minute:
        """Wait for the end of one period and look at it."""
        first = self._begin_ns + number * self._period_ns
        last = first + self._period_ns
        self._market_rest(last + S)  # what is a second late is lost for this purpose
        minute, paced = Minute(number + 1), []
        for symbol in self._run.taps:
            ticks = np.concatenate(self._pending[symbol])
            self._pending[symbol] = [ticks[ticks["exch_ns"] >= last]]
            inside = ticks[(ticks["exch_ns"] >= first) & (ticks["exch_ns"] < last)]
            paced.append(exchange_to_frame(inside, self._clock))
            sent, missing = self._compare(symbol, inside[inside["kind"] == Kind.TRADE], first, last)
            minute.prints += sent
            minute.missing += missing
        hops = self._tail.take()
        minute.paced = percentiles(np.concatenate(paced))
        names, none = ("frame_ring", "frame_worker", "frame_signal"), np.zeros(0, np.int64)
        minute.ring, minute.worker, minute.signal = (percentiles(hops.get(name, none)) for name in names)
        self._measure_processes(minute)
        self.minutes.append(minute)
        return minute

    def _compare(self, symbol: str, arrived: Any, first: int, last: int) -> tuple[int, int]:
        """(prints on the tape, prints that did not arrive as they are there); too many count, too."""
        product = PRODUCTS[symbol].contract_id
        blocks = [block for block in self._reader.blocks(first, last) if len(block)]
        tape = np.concatenate(blocks) if blocks else arrived[:0]
        tape = tape[(tape["kind"] == Kind.TRADE) & (tape["contract_id"] == product)]
        sent = tape[(tape["exch_ns"] >= first) & (tape["exch_ns"] < last)]
        if len(sent) != len(arrived):
            return len(sent), abs(len(sent) - len(arrived))
        wrong = np.zeros(len(sent), bool)
        for name in PRINT:
            wrong |= sent[name] != arrived[name]
        return len(sent), int(wrong.sum())

    def _measure_processes(self, minute: Minute) -> None:
        then, before = self._before
        self._before = (boot_ns(), self._cpu())
        now, after = self._before
        for name, process in self._processes.items():
            memory = process.memory_full_info()
            minute.pss_mb[name] = round(memory.pss / 1e6, 3)
            minute.uss_mb[name] = round(memory.uss / 1e6, 3)
            minute.cpu[name] = round((after[name] - before[name]) / (now - then) * S, 4)


def chain(status: dict[str, Any], sent: dict[str, int], written: dict[str, int], lapped: int) -> dict[str, int]:
    """Losses between simulator, feed, rings and workers by the counters of each, after the tape's end; 0 is well.

    `written`: records of every kind in each contract's ring at a moment before `status`. Feed and workers report one
    after the other while clock records go on, so the feed's count is not held against a worker's: only the ring's own
    count is, which a worker may be past by now, and a worker's count against its own position of the same moment.
    """
    feed, contracts = status["feed"], status["contracts"].values()
    return {
        "not received": sum(sent.values()) - feed["items"],
        "dropped by the feed": feed["items"] - feed["accepted"],
        "gaps": status["gaps"],
        "lapped by workers": sum(contract["lost"] for contract in contracts),
        "left in rings": sum(
            max(0, count - status["contracts"][symbol]["position"]) for symbol, count in written.items()
        ),
        "passed but not counted": sum(
            abs(contract["position"] - contract["lost"] - contract["counters"]["ticks"]) for contract in contracts
        ),
        "lapped by the bench itself": lapped,
    }


def judge(minutes: list[Minute], losses: dict[str, int]) -> dict[str, tuple[bool, str]]:
    """The verdicts with their reasons."""
    missing = sum(minute.missing for minute in minutes)
    wrong = {name: count for name, count in losses.items() if count}
    lost = f"{sum(minute.prints for minute in minutes):,} prints compared one by one, {missing} missing or changed"
    if wrong:
        lost += f"; {', '.join(f'{count} {name}' for name, count in wrong.items())}"
    fifth = max(1, len(minutes) // 5)
    early, late = minutes[fifth : 2 * fifth] or minutes[:1], minutes[-fifth:]
    grown = {
        name: float(np.median([minute.uss_mb[name] for minute in late]))
        - float(np.median([minute.uss_mb[name] for minute in early]))
        for name in minutes[-1].uss_mb
    }
    worst = max(grown, key=lambda name: grown[name])
    third = max(1, len(minutes) // 3)
    before, after = (
        float(np.median([minute.worker.get("p99", 0) for minute in part])) / 1e6
        for part in (minutes[:third], minutes[-third:])
    )
    longest = max(minute.worker.get("max", 0) for minute in minutes) / 1e6
    return {
        "nothing lost": (not missing and not wrong, lost),
        "memory flat": (grown[worst] <= GROWTH_MB, f"largest growth {grown[worst]:+.2f} MB, {worst}"),
        "latency bounded": (
            after <= max(2 * before, FAST_MS) and longest <= STUCK_MS,
            f"frame > worker p99 {before:.2f} ms at first, {after:.2f} ms at last, longest {longest:.0f} ms",
        ),
    }


def rates(seconds: int) -> np.ndarray:
    """Updates of each second; a burst in the middle of each minute."""
    return np.where(np.arange(seconds) % 60 == 30, float(BURST), float(RATE))


def measure(folder: Path, minutes: float, settle_s: int) -> tuple[list[Minute], dict[str, int]]:
    """The whole soak; prints a line for each period."""
    period_s = min(PERIOD_S, max(2.0, minutes * 60 / 4))
    periods = max(1, round(minutes * 60 / period_s))
    tape = folder / "soak.tape"
    count = write_tape(tape, shared_out(tuple(SHARES), rates(int(settle_s + periods * period_s) + 3)), 1.0)
    print(f"{count:,} updates in {periods} periods of {period_s:g} s", flush=True)
    with running(folder / "run", tape, 1.0, tuple(SHARES)) as run:
        print(f"ACTIVE after {run.await_active(settle_s):.1f} s", flush=True)
        run.speak()
        run.open_taps(SHARES)
        soak = Soak(run, tape, period_s)
        for number in range(periods):
            minute = soak.period(number)
            print("  ".join(f"{name} {cell}" for name, cell in zip(HEAD, minute.row(), strict=True)), flush=True)
        losses = _last_word(run, soak)
        run.stop()
        return soak.minutes, losses


def _last_word(run: Run, soak: Soak) -> dict[str, int]:
    """What is missing when the tape has ended: of that, nothing may be so in the documents that follow."""
    while not run.ask_sim("/sim/clock")["ended"]:
        time.sleep(TAKE_S)
    sent = run.ask_sim("/sim/state")["sent"]
    time.sleep(QUIET_NS / S)  # what was sent is on its way
    ended_ns, written = time.time_ns(), {symbol: tap.written for symbol, tap in run.taps.items()}
    while True:
        status = run.status()
        if status and status["written_ns"] > ended_ns:  # written every 30 s at the latest
            losses = chain(status, sent, written, soak.lapped)
            if not any(losses.values()) or time.time_ns() - ended_ns > LAST_WORD_NS:
                return losses
        time.sleep(TAKE_S)


def main() -> None:
    """Command line."""
    end_in_order()
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60, help="how long; market hours end after 6 hours")
    parser.add_argument("--settle", type=int, default=SETTLE_S, metavar="S", help="of tape for the engine's start")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not 0 < options.minutes <= 360:
        parser.error("--minutes lies between 0 and 360")
    with tempfile.TemporaryDirectory() as name:
        minutes, losses = measure(Path(name), options.minutes, options.settle)
    verdicts = judge(minutes, losses)
    print(table(HEAD, [minute.row() for minute in minutes]))
    for name, (good, why) in verdicts.items():
        print(f"{'PASS' if good else 'FAIL'}  {name}: {why}")
    if options.json:
        document = {
            "machine": machine(),
            "minutes": [asdict(minute) for minute in minutes],
            "losses": losses,
            "verdicts": {name: {"pass": good, "why": why} for name, (good, why) in verdicts.items()},
        }
        options.json.write_text(json.dumps(document, indent=1))
    sys.exit(0 if verdicts["nothing lost"][0] else 1)


if __name__ == "__main__":
    main()
