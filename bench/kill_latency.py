"""How long from the start of `tbot kill` until its first request has left for the gateway?

The engine runs against `tbot sim`; the press is the start of the command's process, the end is the simulator's own
stamp of the first request that the kill causes (boot clock, one machine). Each round starts the command anew; with
nothing open the first request is the query of the proof, which leaves by the same way as a close. A query of the
engine's own that falls into a round would make it look faster than it is: of the fastest only the order of size counts.
Printed beside it: the processor time of the command, which a busy machine hardly stretches.

Budget (design, section 6): 300 ms. Run: python bench/kill_latency.py. Reference machine: 2 virtual cores of an x86-64
server shared with other work.
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

ROUNDS = 15
OPEN = "2026-11-20T14:30:00Z"  # of the simulated market: outside its hours no engine is ACTIVE
PAUSE_S = 1.5  # between rounds; the engine's own queries (every 30 s when idle) can hardly fall into one
BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def start(home: Path, *arguments: str, **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TBOT_HOME": str(home), **more}
    return subprocess.Popen(
        [sys.executable, "-m", "tbot", *arguments], env=environment, stdout=subprocess.PIPE, text=True, cwd=home
    )


def await_active(home: Path) -> None:
    for _ in range(1200):
        try:
            pointer = json.loads((home / "current.json").read_text())
            if json.loads(Path(pointer["status"]).read_text())["state"] == "ACTIVE":
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.1)
    raise SystemExit("the engine never became ACTIVE")


def press(home: Path, ready: dict[str, Any]) -> tuple[float, float, float]:
    """(ms until the first request, ms until its end, ms of processor time) of one `tbot kill`."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    pressed_ns = time.clock_gettime_ns(BOOT)
    with start(home, "kill", "--no-wait") as command:
        command.communicate()
    ended_ns = time.clock_gettime_ns(BOOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = requests.get(f"{ready['rest']}/sim/wire", headers={"X-Sim-Token": ready["control_token"]}, timeout=10)
    later = [entry["boot_ns"] for entry in answer.json()["requests"] if entry["boot_ns"] >= pressed_ns]
    cpu_s = after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime
    first_ms = (min(later) - pressed_ns) / 1e6 if later else float("nan")
    return first_ms, (ended_ns - pressed_ns) / 1e6, cpu_s * 1e3


@contextlib.contextmanager
def sim_and_engine(home: Path) -> Iterator[dict[str, Any]]:
    """The simulator and an engine at it, certainly gone afterwards; gives what the simulator says when it is ready."""
    sim = start(home, "sim", "--contracts", "MNQ", "--start", OPEN)
    assert sim.stdout is not None
    ready = json.loads(sim.stdout.readline())
    login = {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}
    engine = start(home, "run", "--gateway", ready["rest"], "--contracts", "MNQ", "--quiet", **login)
    try:
        yield ready
    finally:
        engine.terminate()
        engine.wait(30)
        sim.terminate()
        sim.wait(30)


def main() -> None:
    """Print the fastest round (the machine's own speed), lower quartile and median by the wall clock, and the load."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with sim_and_engine(home) as ready:
            await_active(home)
            figures = []
            for _ in range(ROUNDS):
                figures.append(press(home, ready))
                time.sleep(PAUSE_S)
    names = ("until the first request, wall clock", "until the end of the command", "processor time of the command")
    for name, values in zip(names, zip(*figures, strict=True), strict=True):
        quarter, middle, _ = statistics.quantiles(values, n=4)
        print(f"{name}: fastest {min(values):.0f} ms, lower quartile {quarter:.0f} ms, median {middle:.0f} of {ROUNDS}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
