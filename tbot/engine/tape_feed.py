"""Tape feed process: a tape into the rings, in lock-step or paced by the run's market clock.

In lock-step the source waits, after each exchange instant, until every worker has consumed it and the executor has
finished what it caused (design ruling 2); only shells know of it.
"""

import sys
import time
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from tbot.context.stream import with_context
from tbot.domain.contracts import PRODUCTS
from tbot.domain.process_messages import StepDone, StepMessage
from tbot.engine import patience
from tbot.engine.child import CUT_SHORT, ChildContext
from tbot.engine.clocks import NS_PER_S, RunClock, SimulatedClock, boot_ns
from tbot.engine.health import Beat, Hops, make_wire
from tbot.engine.settings import RING_CAPACITY, EngineSettings
from tbot.engine.tape_facts import TapeFacts
from tbot.engine.worker import READER_SLOTS
from tbot.errors import DataError, Halted
from tbot.storage.replay_stream import contract_ids, instants, replay_stream
from tbot.storage.tape import TapeReader
from tbot.transport import sockets
from tbot.transport.shm import Segment
from tbot_ext.ring import RingWriter, reader_positions

STEP_TIMEOUT_NS = 30 * NS_PER_S  # longer than what a worker waits for executor and recorder, who knows more
SPINS = 200  # looks at the workers' cursors before the first nap
NAP_S = 0.00005
PACE_S = 0.005
ROOM = RING_CAPACITY // 4  # records that a paced tape may be ahead of its slowest reader, and writes at once


class TapeFeed:
    """Writes one merged stream into the rings of its contracts."""

    def __init__(self, settings: EngineSettings, context: ChildContext) -> None:
        self._settings = settings
        self._context = context
        self._wire = make_wire(settings, context)
        self._beat = Beat(settings, context, self._wire)
        self._executor = sockets.dealer(settings.socket("executor"), b"feed")
        self._waiter = sockets.Waiter(self._executor)
        self._segments = {name: Segment.attach(settings.run_dir, settings.ring_name(name)) for name in settings.symbols}
        self._writers = {
            PRODUCTS[name].contract_id: RingWriter(segment.buf) for name, segment in self._segments.items()
        }
        self._hops = Hops("step")
        self._facts = TapeFacts(settings, set())
        self._ticks = dict.fromkeys(settings.symbols, 0)
        self._last_rate_ns = boot_ns()
        self._last_ticks = dict(self._ticks)

    def run(self) -> bool:
        """The whole tape; True when everybody has taken it in, False when told to stop before."""
        if self._settings.tape is None:
            raise DataError("a replay needs a tape")
        self._wait_for_readers()
        with TapeReader(self._settings.tape) as tape:
            settings = self._settings
            self._facts = TapeFacts(settings, set(contract_ids(tape)))
            facts = settings.strategy.dollar, settings.news, settings.calendar
            stream = with_context(replay_stream(tape), contract_ids(tape), *facts, traded=self._writers)
            if settings.lockstep:
                self._lockstep(instants(stream))
            else:
                assert settings.clock is not None
                self._paced(stream, SimulatedClock(settings.clock))
        complete = not self._context.stop.is_set()
        self._report(force=True)
        self.close()
        return complete

    def _wait_for_readers(self) -> None:
        """Records written before a worker looks would be lost to it once the ring wraps: wait for its cursor."""
        slots = [READER_SLOTS["worker"], READER_SLOTS["executor"]]
        deadline = boot_ns() + STEP_TIMEOUT_NS
        while not self._context.stop.is_set():
            cursors = [reader_positions(segment.buf) for segment in self._segments.values()]
            if all(position[slot] >= 0 for position in cursors for slot in slots):
                return
            if boot_ns() > deadline:
                raise Halted("the workers did not attach to their rings within 30 s; run again on a quieter machine")
            self._report()
            time.sleep(PACE_S)

    def _lockstep(self, steps: Iterable[npt.NDArray[np.void]]) -> None:
        for records in steps:
            if self._context.stop.is_set():
                return
            self._write(records)
            if self._taken(READER_SLOTS["worker"], behind=0):
                self._step(int(records["exch_ns"][0]))
            self._report()

    def _write(self, records: npt.NDArray[np.void]) -> None:
        self._facts.take(records)
        for contract_id in np.unique(records["contract_id"]).tolist():
            writer = self._writers[contract_id]
            writer.push_many(records[records["contract_id"] == contract_id])
        for name in self._ticks:
            self._ticks[name] = self._writers[PRODUCTS[name].contract_id].written

    def _taken(self, slot: int, behind: int) -> bool:
        """Wait until a kind of readers is at most so many records behind. False: told to stop before.

        Raises Halted when they stand still for so long that they must have died.
        """
        what = "its ticks were not taken in within 30 s"
        turns = patience.turns(what, self._context.stop, self._nap, STEP_TIMEOUT_NS)
        for name, segment in self._segments.items():
            target = self._writers[PRODUCTS[name].contract_id].written - behind
            looks = 0
            while reader_positions(segment.buf)[slot] < target:
                looks += 1
                if looks > SPINS and next(turns, True):
                    return False
        return not self._context.stop.is_set()

    def _nap(self) -> None:
        time.sleep(NAP_S)
        self._report()

    def _step(self, now_ns: int) -> None:
        started = boot_ns()
        heads = {name: self._writers[PRODUCTS[name].contract_id].written for name in self._settings.symbols}
        message = self._wire.encode(StepMessage(now_ns, heads))
        sent = self._executor.send(message)
        what = "the executor did not finish a step within 30 s"
        for _ in patience.turns(what, self._context.stop, self._listen, STEP_TIMEOUT_NS):
            sent = sent or self._executor.send(message)  # the connection was not there yet
            for _, data in self._executor.drain():
                answer = self._wire.decode(data)
                if isinstance(answer, StepDone) and answer.now_ns == now_ns:
                    self._hops.record("step", boot_ns() - started)
                    return

    def _listen(self) -> None:
        self._report()
        self._waiter.wait(NS_PER_S // 20)

    def _paced(self, chunks: Iterable[npt.NDArray[np.void]], clock: RunClock) -> None:
        """Write each record when market time reaches it."""
        for chunk in chunks:
            times = chunk["exch_ns"]
            position = 0
            while position < len(chunk) and not self._context.stop.is_set():
                end = int(np.searchsorted(times, clock.now_ns(), side="right"))
                if end > position:
                    end = min(end, position + ROOM)
                    records = chunk[position:end].copy()
                    records["recv_ns"] = time.time_ns()
                    self._write(records)
                    position = end
                    self._hold(behind=ROOM)
                self._report()
                time.sleep(PACE_S)
        self._hold(behind=0)

    def _hold(self, behind: int) -> None:
        """Wait for readers that are further behind than that: a lap would lose them ticks, and a tape can wait."""
        for slot in (READER_SLOTS["worker"], READER_SLOTS["executor"]):
            self._taken(slot, behind)

    def _report(self, force: bool = False) -> None:
        if not force and not self._beat.due():
            return
        status = None
        if force or self._beat.status_due():
            elapsed_s = max(1e-9, (boot_ns() - self._last_rate_ns) / NS_PER_S)
            contracts = {
                name: {
                    "ticks": count,
                    "ticks_per_s": round((count - self._last_ticks[name]) / elapsed_s, 1),
                    "last_tick_age_s": 0.0,
                    "gaps": 0,
                }
                for name, count in self._ticks.items()
            }
            self._last_rate_ns, self._last_ticks = boot_ns(), dict(self._ticks)
            status = {"contracts": contracts, "hops": self._hops.status(), **self._facts.status()}
        self._beat.send("OK", status)

    def close(self) -> None:
        self._beat.send("STOPPED")
        self._executor.close()
        self._beat.close()
        for writer in self._writers.values():
            writer.close()
        for segment in self._segments.values():
            segment.close()


def main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point."""
    if not TapeFeed(settings, context).run():
        sys.exit(CUT_SHORT)
