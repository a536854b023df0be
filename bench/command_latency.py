"""How long do the commands take that a person waits for: --version, status, kill?

All against one engine at `tbot sim`, each command in a new process, in turns. Wall clock from the start of the process
to its end; for kill also to the first request that it causes, by the simulator's own stamp (see kill_latency.py).
Processor time is the command's own: it hardly changes with the load of the machine. Lower quartiles, not medians: other
people's work can only lengthen a round.

Budget (design, section 6): 150 ms for --version, 300 ms for status and kill. Run: python bench/command_latency.py.
Reference machine: 2 virtual cores of an x86-64 server shared with other work.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill_latency import PAUSE_S, await_active, press, sim_and_engine, start

ROUNDS = 15
BUDGET_MS = {"--version": 150, "status": 300, "kill --no-wait": 300}


def run(home: Path, *arguments: str) -> tuple[float, float]:
    """(ms until its end, ms of processor time) of one command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with start(home, *arguments) as command:
        command.communicate()
    took_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if command.returncode != 0:
        raise SystemExit(f"tbot {' '.join(arguments)} ended with exit code {command.returncode}")
    return took_s * 1e3, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def bare(home: Path) -> tuple[float, float]:
    """The floor: an interpreter that starts and ends."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([sys.executable, "-c", ""], check=True, cwd=home)
    took_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s * 1e3, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def main() -> None:
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in ("python -c ''", *BUDGET_MS)}
    first_requests: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with sim_and_engine(home) as ready:
            await_active(home)
            for _ in range(ROUNDS):
                figures["python -c ''"].append(bare(home))
                figures["--version"].append(run(home, "--version"))
                figures["status"].append(run(home, "status"))
                until_request, wall, cpu = press(home, ready)
                figures["kill --no-wait"].append((wall, cpu))
                first_requests.append(until_request)
                time.sleep(PAUSE_S)
    print(f"{'':24}{'budget':>8}{'wall':>8}{'fastest':>9}{'CPU':>7}   ms, lower quartiles of {ROUNDS}")
    for name, rounds in figures.items():
        walls, cpus = zip(*rounds, strict=True)
        budget = str(BUDGET_MS.get(name, ""))
        print(f"{name:24}{budget:>8}{quarter(walls):8.0f}{min(walls):9.0f}{quarter(cpus):7.0f}")
    print(f"{'kill, first request':24}{300:>8}{quarter(first_requests):8.0f}{min(first_requests):9.0f}")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def quarter(values: "tuple[float, ...] | list[float]") -> float:
    return statistics.quantiles(values, n=4)[0]


if __name__ == "__main__":
    main()
