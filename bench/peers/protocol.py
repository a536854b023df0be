"""What a side of a comparison speaks: it runs in an environment of its own and answers in JSON lines on stdout.

A side's script is started with one argument, the job as JSON: `data` (a .npz), `folder` (where outputs go) and the
parameters of its work. It says `{"ready": [NAMES OF ITS MEASURES]}`, then answers each command on stdin:

    check NAME   run once, write what came out to a .npz: {"out": FILE, "units": N, "notes": {...}}
    round NAME   run once more: {"cpu_s": SECONDS}
    end          {"peak_mb": MB}

Imported in environments of any peer, so it needs numpy and the standard library alone.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Columns = dict[str, Any]  # arrays by name, in the common form of the work


@dataclass(frozen=True)
class Measure:
    """One piece of work. `units`: how many ticks, bars or messages one round takes in.

    `outputs` brings what `run` gave into the common form, outside of the clock. With `own_clock`, `run` gives
    (CPU seconds, result): only it knows where the work begins.
    """

    run: Callable[[], Any]
    units: int
    outputs: Callable[[Any], Columns]
    own_clock: bool = False
    notes: dict[str, Any] = field(default_factory=dict)

    def timed(self) -> tuple[float, Any]:
        """CPU seconds of one round, and what it gave."""
        if self.own_clock:
            seconds, result = self.run()
            return float(seconds), result
        begin = time.process_time()
        result = self.run()
        return time.process_time() - begin, result


def peak_mb() -> float:
    """Most memory that this process ever held resident. Not ru_maxrss: a child takes over its parent's."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1024 * 1024 if sys.platform == "darwin" else 1024)


def load(path: str) -> Columns:
    """The columns of a data file."""
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def serve(make: Callable[[dict[str, Any]], dict[str, Measure]]) -> None:
    """Answer commands until `end`; whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(document: dict[str, Any]) -> None:
        out.write(json.dumps(document) + "\n")
        out.flush()

    job = json.loads(sys.argv[1])
    measures = make(job)
    say({"ready": list(measures)})
    for line in sys.stdin:
        command, _, name = line.strip().partition(" ")
        if command == "end":
            say({"peak_mb": peak_mb()})
            break
        measure = measures[name]
        seconds, result = measure.timed()
        if command == "round":
            say({"cpu_s": seconds})
            continue
        path = Path(job["folder"]) / f"{job['side']}-{name}.npz"
        np.savez(path, **measure.outputs(result))
        say({"out": str(path), "units": measure.units, "cpu_s": seconds, "notes": measure.notes})
    sys.stderr.flush()
    os._exit(0)  # some clients leave threads behind that never stop
