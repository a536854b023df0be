"""Worker process: rings in, signals out; one process per contract, or several contracts in one.

A worker holds no credentials and hears nothing but its rings: `ContractDecider` is a fold over one ring. Only this
shell sees acknowledgements, clocks and sockets.
"""

import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.messages import Signal, SignalStamps
from tbot.domain.process_messages import SignalAck, SignalMessage
from tbot.domain.timeframes import NAMES, TIMEFRAMES_MIN
from tbot.engine import patience
from tbot.engine.child import ChildContext
from tbot.engine.clocks import boot_ns
from tbot.engine.health import Beat, Hops, frame_boot_ns, make_wire
from tbot.engine.outcome_line import OutcomeLine
from tbot.engine.settings import EngineSettings
from tbot.errors import ProtocolError, TbotError
from tbot.storage.bar_files import BarCollector
from tbot.strategy.decider import ContractDecider
from tbot.transport import sockets
from tbot.transport.board import BoardWriter
from tbot.transport.shm import Segment
from tbot_ext.records import BAR_DTYPE, NO_PRICE, EventCode, Flag
from tbot_ext.ring import RingReader

DRAIN_LIMIT = 4096
STEP_TURN_NS = 20_000_000  # looks at a socket that is not ready, in lock-step
POLL_S = 0.001  # between looks when several rings are served or the futex is not wanted
COLLECT_BARS = 1024  # what a pipeline remembers
READER_SLOTS = {"worker": 0, "executor": 1, "recorder": 2, "feed": 3}

ZONE_LINES = {
    int(EventCode.OB): "order block",
    int(EventCode.FVG): "fair value gap",
    int(EventCode.BREAKER): "breaker block",
    int(EventCode.MITIGATION_BLOCK): "mitigation block",
}
SWEEP = int(EventCode.SWEEP)
# Shortest timeframe (minutes) whose patterns are worth a line; 5m gaps alone would be as many as all the others.
LINE_MIN = dict.fromkeys(ZONE_LINES, 5) | {int(EventCode.FVG): 15, SWEEP: 15}
_WHY_REFUSED = {"RC_START": "the executor is still starting (RC_START)"}
NOT_TOLD = int(Flag.WARMUP | Flag.DUPLICATE)


def pattern_line(event: np.void, product: Product) -> tuple[str, str] | None:
    """Kind and words of an event that a person wants to see on the screen; None of all others."""
    kind, minutes = int(event["kind"]), int(event["timeframe_min"])
    least = LINE_MIN.get(kind)
    if least is None or minutes < least or event["flags"] & NOT_TOLD:
        return None
    if kind == SWEEP:
        where = "below" if event["side"] > 0 else "above"
        return "SWEEP", f"{NAMES[minutes]} stops {where} {product.format(int(event['level']))} taken"
    side = "demand" if event["side"] > 0 else "supply"
    band = f"{product.format(int(event['bottom']))}-{product.format(int(event['top']))}"
    return "ZONE", f"{NAMES[minutes]} {ZONE_LINES[kind]} ({side}) {band}"


def known(price: int) -> int | None:
    """Ticks, or None where nothing has been traded or quoted yet."""
    return None if price == NO_PRICE else price


class ContractShell:
    """One contract's ring, decider and counters."""

    def __init__(self, symbol: str, settings: EngineSettings, restarted: bool, line: OutcomeLine | None) -> None:
        self.symbol = symbol
        product = PRODUCTS[symbol]
        self._ring = Segment.attach(settings.run_dir, settings.ring_name(symbol))
        self._bars = Segment.attach(settings.run_dir, settings.history_name(symbol))
        self._shown = Segment.attach(settings.run_dir, settings.board_name(symbol))
        self._board = BoardWriter(self._shown.buf)
        history = self._bars.array(BAR_DTYPE)
        # A restarted worker does not trust what lies in the ring from before: it waits for the feed to fill it anew.
        start: Literal["newest", "oldest"] = "newest" if restarted else "oldest"
        self.reader = RingReader(self._ring.buf, READER_SLOTS["worker"], start)
        learned = None if line is None else line.source(symbol)
        self.decider = ContractDecider(product, settings.strategy, history, learned=learned)
        self.signals = 0
        self.last_signal: dict[str, Any] | None = None
        self._collector = BarCollector() if settings.keep_bars is not None else None

    def status(self) -> dict[str, Any]:
        """Plain figures of this contract for the status document."""
        pipeline = self.decider.pipeline
        zones = {NAMES[tf]: len(pipeline.zones(tf)) for tf in TIMEFRAMES_MIN}
        counters: dict[str, Any] = dict(pipeline.counters)
        bars: dict[int, int] = counters.pop("bars")
        return {
            "last_price": known(pipeline.last_price),
            "bid": known(pipeline.bid),
            "ask": known(pipeline.ask),
            "market_ns": pipeline.now_ns,
            "live": bool(pipeline.live),
            "distrust": self.decider.distrust,
            "epoch": pipeline.epoch,
            "lost": self.reader.lost,
            "position": self.reader.position,  # records passed: those counted, and those lost
            "lag": self.reader.written - self.reader.position,
            "bars": {NAMES[tf]: int(count) for tf, count in bars.items()},
            "zones": zones,
            "signals": self.signals,
            "last_signal": self.last_signal,
            "counters": {name: int(value) for name, value in counters.items()},
            "setups": dict(self.decider.trader.counters),
        }

    def collect(self) -> None:
        """Show and keep the bars closed since the last call; the pipeline itself remembers only the newest ones."""
        self._board.show(self.decider.pipeline)
        if self._collector is not None:
            self._collector.add(self.decider.pipeline.bars(1, COLLECT_BARS))

    def keep_bars(self, folder: Path) -> str:
        """Write what was collected; returns why that is not possible, "" when it was done."""
        self.collect()
        assert self._collector is not None
        try:
            self._collector.write(folder, self.decider.product)
        except OSError as error:
            return f"the bars of {self.symbol} were not kept: {folder}: {error.strerror or error}"
        return ""

    def close(self) -> None:
        """Let go of memory."""
        self.reader.close()
        self.decider.close()
        self._board.close()
        for segment in (self._ring, self._bars, self._shown):
            segment.close()


class Worker:
    """The loop around one or several ContractShells."""

    def __init__(self, settings: EngineSettings, context: ChildContext) -> None:
        self._settings = settings
        self._context = context
        self._wire = make_wire(settings, context)
        self._beat = Beat(settings, context, self._wire)
        self._executor = sockets.dealer(settings.socket("executor"), context.name.encode())
        self._waiter = sockets.Waiter(self._executor)
        symbols: list[str] = context.secrets["symbols"]
        restarted: bool = context.secrets["restarted"]
        self._line = OutcomeLine.of(settings, context, self._wire, self._beat_on)
        self.shells = [ContractShell(symbol, settings, restarted, self._line) for symbol in symbols]
        self._hops = Hops("frame_worker", "frame_signal", "drain")
        self._unacked: dict[str, int] = {}
        self._untaken: list[tuple[str, str]] = []  # (id, why) of signals that led to nothing, not told yet
        self._counters = {"sent": 0, "acked": 0, "refused": 0, "unacked": 0, "send_failed": 0, "bad_messages": 0}

    def run(self) -> None:
        """Until told to stop."""
        single = len(self.shells) == 1 and self._settings.wait == "futex"
        while not self._context.stop.is_set():
            worked = [self._drain(shell) for shell in self.shells]
            if self._unacked:
                self._take_acks()
            self._report()
            if single:  # returns at once when there is something; SIGTERM ends it, too
                self.shells[0].reader.wait(self._beat.due_in_ns())
            elif not any(worked) and self._settings.wait != "spin":
                time.sleep(POLL_S)
        self.close()

    def _drain(self, shell: ContractShell) -> bool:
        """Consume what is there; True when there was something."""
        started = boot_ns()
        any_consumed = False
        while True:
            consumed, signals = shell.decider.drain(shell.reader, DRAIN_LIMIT)
            if not consumed:
                break
            any_consumed = True
            recv_ns, ended_ns = shell.decider.pipeline.recv_ns, time.time_ns()
            for signal in signals:  # before anything that only persons and the recorder wait for
                self._send(signal, recv_ns, started)
            self._hops.record("frame_worker", ended_ns - recv_ns)
            self._tell(shell, signals)
            if self._line is not None:
                self._line.tell(shell.symbol, shell.decider.outcomes())
        if any_consumed:
            self._hops.record("drain", boot_ns() - started)
            if self._settings.lockstep and not self._settled():
                return any_consumed  # the cursor stays before what was not judged
            shell.reader.publish()
        return any_consumed

    def _send(self, signal: Signal, recv_ns: int, woke_ns: int) -> None:
        frame_ns = frame_boot_ns(recv_ns)
        sent = boot_ns()
        stamps = SignalStamps(frame_recv_boot_ns=frame_ns, worker_woke_boot_ns=woke_ns, sent_boot_ns=sent)
        message = SignalMessage(signal, stamps, self._settings.limits.signal_ttl_ns)
        if self._leave(self._wire.encode(message)):
            self._counters["sent"] += 1
            self._unacked[signal.signal_id] = sent
        else:
            self._not_taken("send_failed", signal.signal_id, "the executor is not there, or stands still")
        self._hops.record("frame_signal", sent - frame_ns)

    def _leave(self, data: bytes) -> bool:
        """Whether the executor took it. Who is not there now gets it never, but in lock-step, where the tape waits."""
        taken = self._executor.send(data)
        if self._settings.lockstep and not taken:
            turns = patience.turns("the executor did not take a signal within 20 s", self._context.stop, self._turn)
            taken = any(self._executor.send(data) for _ in turns)
        return taken

    def _turn(self) -> None:
        """A little while of waiting for the executor, in lock-step."""
        self._waiter.wait(STEP_TURN_NS)
        self._report()

    def _beat_on(self) -> None:
        """Alive, in the middle of a decision: the status is not fit to be told."""
        if self._beat.due():
            self._beat.send("WARMING")

    def _not_taken(self, counter: str, signal_id: str, why: str) -> None:
        """Counted, and told when its own line stands on the screen: else nothing follows, and nobody knows why."""
        self._counters[counter] += 1
        self._untaken.append((signal_id, why))

    def _tell_untaken(self) -> None:
        for signal_id, why in self._untaken:
            symbol = signal_id.partition("-")[0]
            self._beat.event(0, "PROC", symbol, f"the signal {signal_id} is not given again: {why}")
        self._untaken.clear()

    def _tell(self, shell: ContractShell, signals: list[Signal]) -> None:
        """Zones born on the higher timeframes, and sweeps there, are worth a line; then the signals they led to."""
        for event in shell.decider.pipeline.events:
            line = pattern_line(event, shell.decider.product)
            if line is not None:
                self._beat.event(int(event["known_ns"]), line[0], shell.symbol, line[1])
        for signal in signals:
            shell.signals += 1
            side = "long" if signal.side > 0 else "short"
            shell.last_signal = {"side": side, "score": round(signal.score, 1), "market_ns": signal.decided_ns}
            words = f"{side} score {signal.score:.0f}: {signal.reason}"
            self._beat.event(signal.decided_ns, "SIGNAL", shell.symbol, words)
        self._tell_untaken()

    def _take_acks(self) -> None:
        for _, data in self._executor.drain():
            try:
                message = self._wire.decode(data)
            except ProtocolError:
                self._counters["bad_messages"] += 1
                continue
            if isinstance(message, SignalAck) and self._unacked.pop(message.signal_id, None) is not None:
                if message.taken:
                    self._counters["acked"] += 1
                else:
                    self._not_taken("refused", message.signal_id, _WHY_REFUSED.get(message.reason, message.reason))
        if self._unacked and not self._settings.lockstep:
            now, ttl = boot_ns(), self._settings.limits.signal_ttl_ns
            late = [signal_id for signal_id, sent in self._unacked.items() if now - sent > ttl]
            for signal_id in late:  # not acknowledged in time is not done; it is never sent again (F-IPC-01)
                del self._unacked[signal_id]
                why = f"the executor did not say within {ttl / 1e9:g} s that it took it"
                self._not_taken("unacked", signal_id, why)
        self._tell_untaken()

    def _await_acks(self) -> None:
        what = "the executor did not acknowledge a signal within 20 s"
        turns = patience.turns(what, self._context.stop, self._turn)
        while self._unacked and next(turns, True) is None:
            self._take_acks()

    def _settled(self) -> bool:
        """In lock-step: executor and recorder have all that this part of the tape caused. False: told to stop."""
        self._await_acks()
        return not self._unacked and (self._line is None or self._line.settle())

    def _status(self) -> dict[str, Any]:
        for shell in self.shells:
            shell.collect()
        contracts = {shell.symbol: shell.status() for shell in self.shells}
        status = {"contracts": contracts, "hops": self._hops.status(), "messages": dict(self._counters)}
        return status if self._line is None else {**status, "outcomes": self._line.status()}

    def _report(self) -> None:
        if self._beat.due():
            self._take_acks()  # also those that came too late
            live = all(shell.decider.pipeline.live for shell in self.shells)
            self._beat.send("OK" if live else "WARMING", self._status() if self._beat.status_due() else None)

    def close(self) -> None:
        """Last words, then let go of everything. The final figures come first: bars can take their time."""
        if self._line is not None:
            self._line.finish()
        self._take_acks()
        status = self._status()
        self._beat.send("STOPPING", status)
        self._executor.close()
        if self._line is not None:
            self._line.close()
        problem = "" if self._settings.keep_bars is None else self._keep_bars(self._settings.keep_bars)
        if problem:
            # Not FAILED: somebody from outside may have ended this worker of a run that trades on.
            self._beat.send("STOPPED", status | {"problem": problem})
        else:
            self._beat.send("STOPPED")
        self._beat.close()
        for shell in self.shells:
            shell.close()
        if problem:
            sys.exit(TbotError.exit_code)

    def _keep_bars(self, folder: Path) -> str:
        """Of every contract, also after one that could not be written; returns what is missing."""
        return "; ".join(filter(None, [shell.keep_bars(folder) for shell in self.shells]))


def main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point."""
    np.seterr(all="ignore")
    Worker(settings, context).run()
