"""Heartbeats, hop latencies and lines for the screen: what every process tells the supervisor.

The beat is sent by the work loop itself, never by a helper thread: a loop that hangs stops beating (F-PRC-02).
"""

import os
import time
from typing import Any

from tbot.domain.process_messages import EngineEvent, Heartbeat
from tbot.engine.build import build_id
from tbot.engine.child import ChildContext
from tbot.engine.clocks import boot_ns
from tbot.engine.settings import EngineSettings
from tbot.transport import sockets
from tbot.transport.wire import Wire
from tbot_ext.histogram import LatencyHistogram
from tbot_ext.records import LAYOUT_VERSION

FAILED = "FAILED"  # state of a process that cannot do its work in this run; its status says why

BEAT_NS = 250_000_000  # C_HEARTBEAT
STATUS_NS = 1_000_000_000  # the status part is made anew this often; beats between repeat nothing


def make_wire(settings: EngineSettings, context: ChildContext) -> Wire:
    """The encoder of this run's messages; its key came by pipe."""
    return Wire(context.secrets["run_key"], settings.run_id, context.secrets["epoch"])


def greeting(build: str, settings: EngineSettings) -> str:
    """What every process of a run must say alike: build, hash of the configuration, layout of shared records (I18)."""
    return f"{build}:{settings.config_hash}:{LAYOUT_VERSION}"


class Hops:
    """Latency histograms by name of the hop, always on."""

    def __init__(self, *names: str) -> None:
        self._histograms = {name: LatencyHistogram() for name in names}

    def record(self, name: str, elapsed_ns: int, times: int = 1) -> None:
        """Add one duration in ns, so many times; a negative one (clock step) counts as zero."""
        self._histograms[name].record(max(0, elapsed_ns), times)

    def status(self) -> dict[str, dict[str, int]]:
        """p50, p99, p999, max in ns and the count of every hop that was passed at least once."""
        return {
            name: {
                "count": histogram.count,
                "p50": int(histogram.percentile(50)),
                "p99": int(histogram.percentile(99)),
                "p999": int(histogram.percentile(99.9)),
                "max": int(histogram.max),
            }
            for name, histogram in self._histograms.items()
            if histogram.count
        }


def frame_boot_ns(recv_ns: int) -> int:
    """Boot-clock reading of a receive stamp (UTC ns), as of now."""
    return boot_ns() - (time.time_ns() - recv_ns)


class Beat:
    """This process's voice on the supervisor's bus."""

    def __init__(self, settings: EngineSettings, context: ChildContext, wire: Wire) -> None:
        self._name = context.name
        self._pid = os.getpid()
        self._build = greeting(build_id(settings.build.partition("+")[0]), settings)  # of this process's own files
        self._wire = wire
        self._socket = sockets.push(settings.socket("bus"))
        self._count = 0
        self._next_ns = 0
        self._next_status_ns = 0
        self.dropped = 0  # lines that the launcher did not take

    def due(self) -> bool:
        """It is time to call `send`."""
        return boot_ns() >= self._next_ns

    def due_in_ns(self) -> int:
        """Time left until then; 0 when it has come."""
        return max(0, self._next_ns - boot_ns())

    def status_due(self) -> bool:
        """It is time to give `send` a fresh status."""
        return boot_ns() >= self._next_status_ns

    def hurry(self) -> None:
        """Something changed that the status must show within a second (I33): beat with a fresh status at once."""
        self._next_ns = self._next_status_ns = 0

    def send(self, state: str, status: dict[str, Any] | None = None) -> None:
        """One beat; an empty status means "as before"."""
        now = boot_ns()
        self._next_ns = now + BEAT_NS
        if status is not None:
            self._next_status_ns = now + STATUS_NS
            if self.dropped:
                status = status | {"dropped": self.dropped}
        self._count += 1
        message = Heartbeat(self._name, self._pid, self._count, now, state, status or {}, self._build)
        if not self._socket.send(self._wire.encode(message)) and status is not None:
            self._next_status_ns = 0  # nobody has heard it: with the next beat, which says everything again

    def event(self, now_ns: int, kind: str, contract: str, text: str) -> None:
        """One line for a person's eyes."""
        if not self._socket.send(self._wire.encode(EngineEvent(now_ns, self._name, kind, contract, text))):
            self.dropped += 1

    def close(self) -> None:
        """After the last words, which get a moment to leave: the final figures of the run stand in them."""
        self._socket.close(linger_ms=sockets.LINGER_MS)
