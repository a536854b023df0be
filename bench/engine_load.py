"""What does the whole engine cost at live rates?

Six contracts of the synthetic market at speed 1 from the New York open, the simulator beside it. Prints time to ACTIVE
and the processor time that it took, CPU and proportional set size of each process, and p50/p99 of every hop.

Budget (design, section 6): at most 10 % of one core and 450 MB for the engine without the simulator, ready in 3 s.
Run: python bench/engine_load.py. Reference machine: 2 virtual cores of an x86-64 server shared with other work.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from engine_run import cpu_s, pss_mb, read_status

SETTLE_S = 8
MEASURE_S = 50


def measure(home: Path, launcher: subprocess.Popen[str]) -> None:
    """Wait for ACTIVE, then watch every process for a while."""
    begin = time.monotonic()
    while read_status(home).get("state") != "ACTIVE":
        time.sleep(0.02)
    print(f"ACTIVE after {time.monotonic() - begin:.1f} s, the embedded gateway's start included; processor time:")
    started = {child.pid: cpu_s(child) for child in psutil.Process(launcher.pid).children()}
    print(f"{sum(started.values()) + cpu_s(psutil.Process(launcher.pid)):.1f} s in all, on {os.cpu_count()} cores")
    time.sleep(SETTLE_S)
    pids = {name: entry["pid"] for name, entry in read_status(home)["processes"].items()}
    processes = {name: psutil.Process(pid) for name, pid in {**pids, "launcher": launcher.pid}.items()}
    before = {name: cpu_s(process) for name, process in processes.items()}
    time.sleep(MEASURE_S)
    share = {name: (cpu_s(process) - before[name]) / MEASURE_S for name, process in processes.items()}
    memory = {name: pss_mb(process) for name, process in processes.items()}
    for name in processes:
        print(f"{name:12} {share[name]:6.1%} of a core {memory[name]:6.0f} MB")
    engine = [name for name in processes if name != "sim"]
    total, held = sum(share[name] for name in engine), sum(memory[name] for name in engine)
    print(f"{'engine':12} {total:6.1%} of a core {held:6.0f} MB")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        duration = f"{SETTLE_S + MEASURE_S + 5}s"
        command = [sys.executable, "-m", "tbot", "run", "--speed", "1", "--for", duration, "--json"]
        environment = {**os.environ, "TBOT_HOME": folder}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as launcher:
            measure(home, launcher)
            document = json.loads(launcher.communicate()[0])
    for hop, figures in document["latency_ns"].items():
        print(f"{hop:16} p50 {figures['p50'] / 1e3:8.0f} us  p99 {figures['p99'] / 1e3:8.0f} us  n {figures['count']}")


if __name__ == "__main__":
    main()
