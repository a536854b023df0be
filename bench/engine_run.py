"""Shared by the benches of the whole engine: simulator and engine as processes, their tape, and what they leave behind.

Latencies come from the engine's own stamps: each value of its histograms (often.py keeps them), and for every signal
the stamps that it carries through the journal. The ring tap reads the rings beside the workers, as the recorder does.
"""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import requests

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import CommandResult, PlaceBracket, SignalIn
from tbot.storage.journal import Journal
from tbot.storage.tape import TapeWriter, tape_meta
from tbot.transport import wire
from tbot.transport.shm import Segment
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingReader

BENCH = Path(__file__).parent
S = 1_000_000_000
MINUTE = 60 * S
START = 1_795_185_000 * S  # Friday 2026-11-20, 09:30 in New York
SHARES = {"MNQ": 15, "NQ": 15, "MES": 16, "ES": 14, "MGC": 3, "GC": 2}  # updates a second at live rates: 65 in sum
BASE = {"MNQ": 100_000, "NQ": 100_000, "MES": 28_000, "ES": 28_000, "MGC": 40_000, "GC": 40_000}
CLIMB = 10  # ticks a market minute: the benches' signals are long and must not lose twice in a row
QUOTES = 0.6  # share of quotes among the records
TAP_SLOT = 7  # of the ring's readers
PATIENCE_S = 60.0
PERCENTILES = ("p50", "p90", "p99", "p99.9")
# Only the micros are traded: six entries at one minute's close and the next within 60 s would be a runaway, which halts
# the account (C_MAX_ENTRY_RATE). The minis' signals go the same way up to their denial.
CONFIG = "[risk]\nmin_target_cost_ratio = 0\nmax_minis = 0\n"

Values = npt.NDArray[np.int64]


# ---------------------------------------------------------------- figures


def percentiles(values: Values) -> dict[str, int]:
    """Percentiles and maximum of durations in ns; by rank, so each is a value that occurred."""
    if not len(values):
        return {"n": 0}
    ordered, found = np.sort(values), {}
    for name in PERCENTILES:
        rank = math.ceil(round(float(name[1:]) * len(ordered) / 100, 6))  # rounded: 99.9 % of 1 000 are 999
        found[name] = int(ordered[max(rank, 1) - 1])
    return {**found, "max": int(ordered[-1]), "n": len(ordered)}


def cells(values: Values) -> list[str]:
    """The same as cells of a table, in us. A percentile with less than one value beyond it is no percentile."""
    found = percentiles(values)
    least = {name: 1 / (1 - float(name[1:]) / 100) for name in PERCENTILES}
    shown = [us(found[name]) if found["n"] >= round(least[name]) else "-" for name in PERCENTILES]
    return [*shown, us(found["max"]) if found["n"] else "-", str(found["n"])]


def us(ns: float) -> str:
    """Microseconds with three significant figures."""
    value = ns / 1e3
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of text, the first flush left, the others right."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(head))]
    return "\n".join(
        "  ".join(cell.rjust(width) if index else cell.ljust(width) for index, (cell, width) in enumerate(pairs))
        for pairs in (tuple(zip(line, widths, strict=True)) for line in lines)
    )


def machine() -> dict[str, Any]:
    """What a figure must be read with."""
    return {"cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1), "python": sys.version.split()[0]}


# ---------------------------------------------------------------- the tape


def make_ticks(symbol: str, per_second: npt.NDArray[np.float64], speed: float, seed: int = 1) -> npt.NDArray[np.void]:
    """Quotes and prints of one contract at random moments around a climbing price.

    `per_second`: how many records (a Poisson number's mean) each real second has; `speed` market seconds make one.
    """
    product, chance = PRODUCTS[symbol], np.random.default_rng([seed, PRODUCTS[symbol].contract_id])
    counts = chance.poisson(per_second)
    second = np.repeat(np.arange(len(counts)), counts)
    real_s = np.sort(second + chance.random(len(second)))
    ticks = np.zeros(len(real_s), TICK_DTYPE)
    ticks["contract_id"] = product.contract_id
    ticks["exch_ns"] = START + (real_s * speed * S).astype(np.int64)
    # Never 4 ticks up and down: often.py's stops are 8 away, and two losses in a row end a day's trading.
    wobble = np.rint(np.sin(np.arange(len(ticks)) / 7) + chance.normal(0, 0.4, len(ticks)).clip(-1, 1)).astype(np.int64)
    path = BASE.get(symbol, 20_000) + (ticks["exch_ns"] - START) * CLIMB // MINUTE + wobble
    quote = chance.random(len(ticks)) < QUOTES
    ticks["kind"] = np.where(quote, Kind.QUOTE, Kind.TRADE)
    ticks["price"] = path
    ticks["price2"][quote] = path[quote] + 1
    ticks["size"][~quote] = chance.integers(1, 9, int((~quote).sum()))
    ticks["side"][~quote] = chance.choice([-1, 1], int((~quote).sum()))
    ticks["volume"] = -1
    return ticks


def write_tape(path: Path, rates: dict[str, npt.NDArray[np.float64]], speed: float, seed: int = 1) -> int:
    """A tape of several contracts in order; returns the number of its records."""
    ticks = np.concatenate([make_ticks(symbol, per_second, speed, seed) for symbol, per_second in rates.items()])
    ticks = ticks[np.lexsort((ticks["contract_id"], ticks["exch_ns"]))]
    with TapeWriter(path, tape_meta([PRODUCTS[symbol] for symbol in rates], "bench")) as writer:
        for part in np.array_split(ticks, max(1, len(ticks) // 100_000)):
            writer.write(part)
    return len(ticks)


def shared_out(symbols: Sequence[str], per_second: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """A rate for all contracts together, divided as live rates are; contracts without a known share get a small one."""
    shares = {symbol: SHARES.get(symbol, 3) for symbol in symbols}
    total = sum(shares.values())
    return {symbol: per_second * share / total for symbol, share in shares.items()}


# ---------------------------------------------------------------- the processes


def read_status(home: Path) -> dict[str, Any]:
    """The status document, {} while there is none."""
    try:
        pointer = json.loads((home / "current.json").read_text())
        document = json.loads(Path(pointer["status"]).read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    assert isinstance(document, dict)
    return document


def cpu_s(process: psutil.Process) -> float:
    """Processor time of a process with all its threads, s: by the scheduler's own ns where Linux tells them."""
    try:
        tasks = Path(f"/proc/{process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except (OSError, ValueError, IndexError):
        times = process.cpu_times()
        return float(times.user + times.system)


def pss_mb(process: psutil.Process) -> float:
    """Proportional set size: memory of its own and its share of what it shares, MB."""
    return float(process.memory_full_info().pss) / 1e6


class NotReady(SystemExit):
    """The engine did not come up: why, in words. Ends a bench that does not go on without it."""


@dataclass
class Run:
    """An engine against a simulator; `folder` holds both homes and the kept latencies."""

    folder: Path
    sim: subprocess.Popen[str]
    ready: dict[str, Any]
    engine: subprocess.Popen[str]
    taps: dict[str, "RingTap"] = field(default_factory=dict)
    final: dict[str, Any] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "engine"

    def status(self) -> dict[str, Any]:
        """The engine's word about itself; {} while there is none of this run."""
        document = read_status(self.home)
        return document if document.get("pid") == self.engine.pid else {}

    def await_active(self, patience_s: float = PATIENCE_S) -> float:
        """Seconds until the engine was ACTIVE with every contract live. NotReady when it never is."""
        begin = time.monotonic()
        while time.monotonic() - begin < patience_s:
            status = self.status()
            if status.get("state") == "ACTIVE" and all(found["live"] for found in status["contracts"].values()):
                return time.monotonic() - begin
            if self.engine.poll() is not None:
                raise NotReady(f"the engine ended: {(self.folder / 'engine.err').read_text()[-2000:]}")
            time.sleep(0.05)
        raise NotReady(f"the engine is {self.status().get('state')}: {self.status().get('reason')}")

    def processes(self) -> dict[str, psutil.Process]:
        """Every process of the engine by name, the launcher and the simulator included."""
        pids = {name: told["pid"] for name, told in self.status()["processes"].items()}
        pids |= {"launcher": self.engine.pid, "sim": self.sim.pid}
        return {name: psutil.Process(pid) for name, pid in pids.items()}

    def ask_sim(self, path: str) -> dict[str, Any]:
        """One of the simulator's own endpoints."""
        answer = requests.get(
            self.ready["rest"] + path, headers={"X-Sim-Token": self.ready["control_token"]}, timeout=30
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def speak(self) -> None:
        """From about a second from now on every closed minute gives a signal."""
        (self.folder / "speak").touch()

    def open_taps(self, symbols: Iterable[str]) -> None:
        """Look into these contracts' rings from now on."""
        place = Path(json.loads((self.home / "current.json").read_text())["run_dir"])
        self.taps = {symbol: RingTap(place, symbol) for symbol in symbols}

    def stop(self) -> dict[str, Any]:
        """End the engine in order; its final document, which is also kept in `final`."""
        for tap in self.taps.values():
            tap.close()
        self.engine.send_signal(signal.SIGINT)
        out, _ = self.engine.communicate(timeout=60)
        self.final = json.loads(out)
        return self.final

    def kept(self, since_boot_ns: int = 0, until_boot_ns: int = 1 << 62) -> dict[str, Values]:
        """Every value of the engine's latency hops between two boot times (to the second), all processes together."""
        found: dict[str, list[int]] = {}
        for path in sorted(self.folder.glob("*.hops")):
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                if since_boot_ns <= entry["boot_ns"] <= until_boot_ns:
                    for name, values in entry["hops"].items():
                        found.setdefault(name, []).extend(values)
        return {name: np.array(values, np.int64) for name, values in found.items()}


def end_in_order() -> None:
    """Let a SIGTERM end the bench as an exception does, so that simulator and engine go with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


@contextlib.contextmanager
def running(
    folder: Path,
    tape: Path,
    speed: float,
    symbols: Sequence[str],
    *,
    wait: str = "futex",
    workers: int = 0,
) -> Iterator[Run]:
    """Simulator and engine on a tape, both certainly gone afterwards; the packaged strategy alone until `Run.speak`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TBOT_")}
    (folder / "engine").mkdir(parents=True)
    (folder / "sim").mkdir()
    config = folder / "tbot.toml"
    config.write_text(f'[engine]\nwait = "{wait}"\nworkers = {workers}\n{CONFIG}')
    with contextlib.ExitStack() as stack:
        sim = stack.enter_context(
            _process(
                [sys.executable, "-m", "tbot", "sim", "--tape", str(tape), "--speed", f"{speed:g}"],
                {**clean, "TBOT_HOME": str(folder / "sim")},
                folder / "sim.err",
            )
        )
        assert sim.stdout is not None
        ready = json.loads(sim.stdout.readline())
        login = {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}
        command = [sys.executable, str(BENCH / "often.py"), str(folder), "run", "--gateway", ready["rest"], "--json"]
        command += ["--contracts", ",".join(symbols), "--config", str(config)]
        environment = {**clean, **login, "TBOT_HOME": str(folder / "engine")}
        engine = stack.enter_context(_process(command, environment, folder / "engine.err"))
        yield Run(folder, sim, ready, engine)


@contextlib.contextmanager
def _process(command: list[str], environment: dict[str, str], errors: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own; all that is left of the session is killed at the end."""
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


# ---------------------------------------------------------------- what passed


class HopTail:
    """The kept latencies as they are written, so that a long run need not be read at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def take(self) -> dict[str, Values]:
        """Every value that was written since the last call, all processes together."""
        found: dict[str, list[int]] = {}
        for path in sorted(self._folder.glob("*.hops")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._read[path] = self._read.get(path, 0) + whole
            for line in data[:whole].splitlines():
                for name, values in json.loads(line)["hops"].items():
                    found.setdefault(name, []).extend(values)
        return {name: np.array(values, np.int64) for name, values in found.items()}


class RingTap:
    """One more reader of a contract's ring: what was written there, with the stamps of exchange and receipt."""

    def __init__(self, place: Path, symbol: str) -> None:
        self._segment = Segment.attach(place, f"ring.{symbol}")
        self._reader = RingReader(self._segment.buf, TAP_SLOT, "oldest")
        self._out = np.zeros(1 << 16, TICK_DTYPE)
        self.lost = 0

    def take(self) -> npt.NDArray[np.void]:
        """Prints and quotes since the last call."""
        parts = []
        while count := self._reader.read(self._out):
            parts.append(self._out[:count].copy())
        self._reader.publish()
        self.lost = self._reader.lost
        ticks = np.concatenate(parts) if parts else self._out[:0].copy()
        market: npt.NDArray[np.void] = ticks[(ticks["kind"] == Kind.TRADE) | (ticks["kind"] == Kind.QUOTE)]
        return market

    @property
    def written(self) -> int:
        """Records of every kind that the feed has written into this ring, by the ring's own count."""
        return int(self._reader.written)

    def close(self) -> None:
        """Give the reader's place back."""
        self._reader.close()
        self._segment.close()


def boot_ns() -> int:
    """The engine's clock of all stamps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_of_wall_ns() -> int:
    """Boot clock minus wall clock, ns."""
    return boot_ns() - time.time_ns()


def exchange_to_frame(ticks: npt.NDArray[np.void], clock: dict[str, Any]) -> Values:
    """From a record's own moment, by the simulator's clock (the answer of /sim/clock), to its receipt by the feed."""
    made = clock["boot_ns"] + ((ticks["exch_ns"] - clock["market_ns"]) / clock["speed"]).astype(np.int64)
    took: Values = ticks["recv_ns"] + boot_of_wall_ns() - made
    return took


@dataclass
class Trace:
    """One signal's way by boot-clock stamps, ns; 0 where it was not passed."""

    frame: int
    woke: int
    sent: int
    received: int
    approved: int = 0  # the row of its order was made
    handed: int = 0  # the synced order went to the broker's thread
    request: int = 0
    answered: int = 0
    tag: str = ""
    arrived: int = 0  # at the gateway

    def hop(self, begin: str, end: str) -> int | None:
        """Time between two stamps; None where one is missing. Not below 0: a busy worker did not wake for it."""
        first, last = getattr(self, begin), getattr(self, end)
        return max(0, last - first) if first and last else None


def traces(run: Run, since_boot_ns: int = 0) -> list[Trace]:
    """Every signal that reached the executor since then, from the journal and the simulator's log of requests."""
    found: list[Trace] = []
    orders: dict[str, Trace] = {}
    newest: Trace | None = None
    path = Path(json.loads((run.home / "current.json").read_text())["journal"])
    with Journal.open_readonly(path, wire) as journal:
        for row in journal.rows():
            if row.kind not in ("SignalIn", "PlaceBracket", "CommandResult"):
                continue
            item = journal.decode(row)
            if isinstance(item, SignalIn):
                stamps = item.stamps
                newest = Trace(
                    stamps.frame_recv_boot_ns, stamps.worker_woke_boot_ns, stamps.sent_boot_ns, stamps.received_boot_ns
                )
                found.append(newest)
            elif isinstance(item, PlaceBracket) and newest is not None:
                newest.approved, newest.tag = row.boot_ns, item.tag
                orders[item.command_id] = newest
            elif isinstance(item, CommandResult) and item.command_id in orders:
                placed = orders[item.command_id]
                placed.request, placed.answered = item.sent_boot_ns, item.answered_boot_ns
    arrivals = {entry["tag"]: entry["boot_ns"] for entry in run.ask_sim("/sim/wire")["requests"] if entry["tag"]}
    for trace in found:
        trace.arrived = arrivals.get(trace.tag, 0) if trace.tag else 0
    handed, placed_all = run.kept().get("signal_request", ()), [trace for trace in found if trace.approved]
    if len(handed) == len(placed_all):  # one value for each order, in order
        for trace, took in zip(placed_all, handed, strict=True):
            trace.handed = trace.sent + int(took)
    return [trace for trace in found if trace.sent >= since_boot_ns]


def hops_of(found: Iterable[Trace], begin: str, end: str) -> Values:
    """One hop of all signals that passed it."""
    return np.array([took for trace in found if (took := trace.hop(begin, end)) is not None], np.int64)
