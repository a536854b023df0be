"""The launcher's side of a run: creates shared memory and sockets, starts, watches, restarts and stops the processes.

Start order: gateway simulator (when embedded), executor (login comes first), feed, workers. Stop order is the reverse
of trust: entries off and flat, then workers and feed, then executor, then the simulator; then memory and sockets go.
"""

import logging
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Container
from multiprocessing.connection import wait as wait_for
from typing import Any, BinaryIO

from tbot.domain.contracts import PRODUCTS
from tbot.domain.process_messages import EngineEvent, Heartbeat, OperatorAck, OperatorMessage
from tbot.domain.trading_hours import trading_day
from tbot.engine.child import CUT_SHORT
from tbot.engine.clocks import NS_PER_S, boot_ns
from tbot.engine.conditions import PauseJudge
from tbot.engine.health import FAILED, greeting
from tbot.engine.last_resort import PANIC_S, LastResort
from tbot.engine.processes import Child, ProcessSpec
from tbot.engine.run_log import STDERR, RunLog
from tbot.engine.settings import HISTORY_CAPACITY, RING_CAPACITY, EngineSettings
from tbot.engine.state_dir import leave_word, lock_state
from tbot.engine.status import Phase, StatusFile, build_status
from tbot.engine.weekly import WeeklyReports, words
from tbot.errors import AuthError, Halted, ProtocolError
from tbot.transport import sockets
from tbot.transport.board import BOARD_BYTES
from tbot.transport.shm import Segment
from tbot.transport.wire import Wire
from tbot_ext.records import BAR_DTYPE
from tbot_ext.ring import format_ring, ring_bytes

EVENTS_KEPT = 400
FAILURE_CODES = {AuthError.exit_code: "RC_AUTH", Halted.exit_code: "RC_SECOND_ENGINE"}  # of a process that gives up
LAST_BREATH_S = 1.0  # a process lets go of its sentinel a moment before it has an exit code
STATUS_S = 5.0  # for the last status, from a disk that is slow
LAST_WORDS_NS = NS_PER_S // 2  # that a process which has ended has sent, until they are here
KEEP_BARS_S = 10.0  # more than its grace for a worker that keeps bars, whatever their number: a disk may be slow
KEPT_BARS_A_SECOND = 10_000  # that it writes at the very least: some forty times slower than on an idle machine
STOP_ACK_S = 12.0  # C_STOP_GRACE of the executor plus two seconds


class Supervisor:
    """Owns one run. Call `start`, then `poll` often, then `stop`; `status()` is the status document at any time."""

    def __init__(
        self, settings: EngineSettings, specs: list[ProcessSpec], on_event: Callable[[EngineEvent], None] | None = None
    ) -> None:
        self.settings = settings
        self._run_key = secrets.token_bytes(32)
        self._wire = Wire(self._run_key, settings.run_id, 0)
        self._greeting = greeting(settings.build, settings)
        self._on_event = on_event
        self.children = {spec.name: Child(spec) for spec in specs}
        self.events: deque[EngineEvent] = deque(maxlen=EVENTS_KEPT)
        self.phase = Phase()
        self.finished = False  # a replay came to the end of its tape
        self.started_boot_ns = boot_ns()
        self._segments: list[Segment] = []
        self._lock: BinaryIO | None = None
        self._channels: list[sockets.Channel] = []  # that are open
        self._unsent = b""  # a stop request that found no executor to go to
        self._status_file = StatusFile(settings.state_dir / "status.json", beside=True)
        self._pause = PauseJudge(still_ns=2 * NS_PER_S)
        self._bad_messages = 0
        self._all_ready = False
        self._laps: dict[str, int] = {}  # times each contract's worker was lapped
        self._traded = False  # the executor has told of an order since it last told of its accounts
        executor = self.children.get("executor")
        login = executor.spec.secrets.get("credentials") if executor is not None else None
        self._resort = LastResort(settings, login, self._line, self._ask_executor)
        self.more_status: dict[str, Callable[[], Any]] = {}  # of the launcher's own parts, by name in the document
        self.reports = WeeklyReports(settings, self._on_report)
        self._log: RunLog | None = None  # from the moment on when the state directory is ours

    # ------------------------------------------------------------------------------------------------- start
    def start(self) -> None:
        """Create segments and sockets, spawn everything. Halted when another engine runs on the same state."""
        settings = self.settings
        self._lock = lock_state(settings.state_dir)
        self._begin_log()
        leave_word(settings)
        self._resort.begin()
        for symbol in settings.symbols:
            ring = Segment.create(settings.run_dir, settings.ring_name(symbol), ring_bytes(RING_CAPACITY))
            self._segments.append(ring)
            format_ring(ring.buf, RING_CAPACITY, PRODUCTS[symbol].contract_id, settings.run_id)
            history_bytes = HISTORY_CAPACITY * BAR_DTYPE.itemsize
            self._segments.append(Segment.create(settings.run_dir, settings.history_name(symbol), history_bytes))
            self._segments.append(Segment.create(settings.run_dir, settings.board_name(symbol), BOARD_BYTES))
        self._bus = sockets.pull(settings.socket("bus"))
        self._channels.append(self._bus)
        self._executor = sockets.dealer(settings.socket("executor"), b"launcher")
        self._channels.append(self._executor)
        self._waiter = sockets.Waiter(self._bus, self._executor)
        self._calm = sockets.Waiter(self._executor)
        for child in self.children.values():
            self._spawn(child)

    def _begin_log(self) -> None:
        settings = self.settings
        secret = [child.spec.secrets for child in self.children.values()]
        logins = [one["credentials"] for one in secret if one.get("credentials")]
        keys = [key for _, key in logins] + [one["api_key"] for one in secret if one.get("api_key")]
        user = logins[0][0] if logins else ""
        self._log = RunLog(settings.state_dir, settings.log, settings.mode, keys, user)
        self.more_status["log"] = self._log.status
        run = f"run {settings.run_id} of {', '.join(settings.symbols)}: build {settings.build}"
        self._log.line("launcher", "BEGIN", f"{run}, settings {settings.config_hash}")

    def _log_words(self) -> None:
        """What children wrote to stderr."""
        for child in self.children.values():
            child.listen()
            while child.said:
                line = child.said.popleft()
                if self._log is not None:
                    self._log.line(child.spec.name, STDERR, line)

    def _spawn(self, child: Child) -> None:
        child.spec.secrets["run_key"] = self._run_key
        child.start(epoch=0)
        assert child.process is not None
        self._calm.add(child.process.sentinel)

    # -------------------------------------------------------------------------------------------------- watch
    def poll(self, timeout_s: float) -> None:
        """Wait up to `timeout_s` for news, take in all of it, act on deaths and silence, keep the status file fresh.

        Once everybody is there, news is a death or an answer of the executor: beats come some thirty times a second
        and may gather, for they are judged in seconds.
        """
        (self._calm if self._all_ready else self._waiter).wait(int(timeout_s * NS_PER_S))
        if self._pause.look(boot_ns(), time.monotonic_ns()):
            # The machine slept, or we were stopped, most likely with everybody else: they are not dead for that.
            for child in self.children.values():
                child.pardon()
        self._take_messages()
        self._look_at_kill_switch()
        self._all_ready = not self.phase.stopping and self.ready()
        if not self.phase.stopping:
            children = list(self.children.values())
            dead = set(wait_for([child.process.sentinel for child in children if child.process], timeout=0))
            for child in children:
                self._watch(child, dead)
        self._look_at_reports()
        self._tell_status()

    def _look_at_reports(self) -> None:
        """The week's report is due when its last session has closed and nothing is open."""
        executor = self.children.get("executor")
        if executor is None or not self._all_ready:
            return
        accounts = executor.status.get("accounts", {})
        flat = all(account.get("flat", False) for account in accounts.values())
        self.reports.look(int(executor.status.get("market_ns", 0)), flat)

    def _on_report(self, told: dict[str, Any]) -> None:
        """A week's report was made, or could not be: who sends messages finds its files in `told`."""
        self.tell(EngineEvent(0, "launcher", "REPORT", "", words(told)))

    def _tell_status(self) -> None:
        if self._status_file.due():
            self._status_file.update(self.status())

    def _take_messages(self) -> None:
        told: list[EngineEvent] = []
        for _, data in self._bus.drain():
            try:
                message = self._wire.decode(data)
            except ProtocolError:
                self._bad_messages += 1
                continue
            if isinstance(message, Heartbeat):
                child = self.children.get(message.process)
                # The last words of a process that has been replaced say nothing about its successor.
                if child is not None and message.pid == child.newest_pid:
                    self._on_beat(child, message)
            elif isinstance(message, EngineEvent):
                told.append(message)
        for event in in_order(told):
            self.tell(event)
        self._log_words()

    def _on_beat(self, child: Child, message: Heartbeat) -> None:
        if message.build != self._greeting:
            self._refuse(message)
            return
        first = not child.ready
        child.beat(message.state, message.status)
        if message.process == "executor" and "accounts" in message.status:
            self._traded = False
        if first and child.restarts:
            self._refill_restarted(child.spec)
        self._refill_lapped(message)

    def _refuse(self, message: Heartbeat) -> None:
        """Processes of different builds or settings are no engine: this run ends (F-ORD-11, I18)."""
        if self.phase.failure_code != "RC_VERSION_MIX":
            self.phase.failure = (
                f"{message.process} greets as {message.build or 'nobody'}, this run is {self._greeting}: the program "
                "was changed while it runs; start the engine again"
            )
            self.phase.failure_code, self.phase.exit_code = "RC_VERSION_MIX", Halted.exit_code
            self._line(self.phase.failure)

    def _refill_restarted(self, spec: ProcessSpec) -> None:
        """Ask for history now that the new process reads its rings: what came before its first look is lost to it.

        A worker needs the bars; the executor needs the word that market data is whole, without which it denies all.
        """
        symbols = self.settings.symbols if spec.name == "executor" else spec.secrets.get("symbols", ())
        for symbol in symbols:
            self._laps.pop(symbol, None)
            self._refill(symbol)

    def _refill_lapped(self, message: Heartbeat) -> None:
        """A worker that was lapped holds its bars until history covers the hole: ask the feed for it (F-DAT-04)."""
        contracts = message.status.get("contracts", {})
        if not message.process.startswith("worker") or not isinstance(contracts, dict):
            return
        replay = self.settings.mode == "replay"
        for symbol, contract in contracts.items():
            laps = int(contract["counters"]["laps"])
            if laps > self._laps.get(symbol, 0):
                cure = "its patterns of this replay are void" if replay else "history is fetched again"
                self._line(f"{symbol}: the worker was lapped; {cure}")
                self._refill(symbol)
            self._laps[symbol] = laps

    def _refill(self, symbol: str) -> None:
        if "feed" in self.children and self.settings.mode != "replay":  # a tape has no history to fetch
            self.children["feed"].say({"verb": "refill", "contract": symbol})

    # ------------------------------------------------------------------------------------------------ kill switch
    def press_kill(self, by: str) -> None:
        """The launcher's way of the kill switch (SIGUSR1): a lock file, the executor, and if need be without it."""
        market_ns = int(self.children["executor"].status.get("market_ns", 0))
        self._resort.press(by, trading_day(market_ns or time.time_ns()), self._accounts())

    def _accounts(self) -> tuple[int, ...]:
        """The accounts of this run as the executor has told them; () before it has."""
        return tuple(int(account) for account in self.children["executor"].status.get("accounts", {}))

    def _ask_executor(self, message: OperatorMessage) -> bool:
        return self._executor.send(self._wire.encode(message))

    def _look_at_kill_switch(self, request: str = "") -> OperatorAck | None:
        """Answers of the executor and whatever presses the switch; returns the answer to `request`, if it came."""
        found = None
        for _, data in self._executor.drain():
            try:
                message = self._wire.decode(data)
            except ProtocolError:
                self._bad_messages += 1
                continue
            if isinstance(message, OperatorAck):
                self._resort.on_ack(message)
                if message.request_id == request and message.done:
                    found = message
        self._resort.look(self._accounts())
        self.phase.last_resort = self._resort.state
        self.phase.last_resort_began_ns, self.phase.last_resort_closes = self._resort.began_boot_ns, self._resort.closes
        return found

    def _may_hold(self) -> bool:
        """Whether an executor that is gone may have left something open, by its last words (none: who knows)."""
        accounts = self.children["executor"].status.get("accounts")
        if not accounts:
            return self.settings.journal_path.exists()
        return self._traded or not all(account["flat"] for account in accounts.values())

    def tell(self, event: EngineEvent) -> None:
        """Keep a line for the screen and hand it on."""
        self.events.append(event)
        if self._log is not None:
            self._log.event(event)
        self._traded = self._traded or (event.process == "executor" and event.kind in ("INTENT", "FILL"))
        if self._on_event is not None:
            self._on_event(event)

    def _watch(self, child: Child, dead: Container[Any] = ()) -> None:
        """Judge one child; `dead` holds the sentinels of those that are gone."""
        if child.process is None:
            return
        if child.state == FAILED:
            self.phase.failure = str(child.status["problem"])
            self.phase.exit_code = int(child.status["exit_code"])
            self.phase.failure_code = FAILURE_CODES.get(self.phase.exit_code, "RC_CONFIG")
            return
        gone = child.process.sentinel in dead
        if gone:
            child.process.join(LAST_BREATH_S)
        if gone and child.process.exitcode == 0 and child.spec.name == "feed" and self.settings.mode == "replay":
            self.finished = True
            return
        silence = child.silent()
        if not gone and silence != "dead":
            if silence and child.state != "SUSPECT":
                child.state = "SUSPECT"
            return
        why = f"exit code {child.process.exitcode}" if gone else "no heartbeat for 5 s"
        self._calm.remove(child.process.sentinel)
        self._end(child, grace_s=0.5 if gone else child.spec.grace_s)
        self._restart(child, child.last_word[1] or why)

    def _end(self, child: Child, grace_s: float) -> None:
        """SIGTERM, time to leave in order, SIGKILL. All else goes on meanwhile, or the others would look dead, too."""
        child.signal_stop()
        deadline = boot_ns() + int(grace_s * NS_PER_S)
        while child.alive and boot_ns() < deadline:
            self._waiter.wait(NS_PER_S // 20)
            self._pause.look(boot_ns(), time.monotonic_ns())
            self._take_messages()
            self._look_at_kill_switch()
            self._tell_status()
        child.reap()

    def _restart(self, child: Child, why: str) -> None:
        name = child.spec.name
        if not child.may_restart():
            if not child.spec.vital:
                self._line(f"{name} ended ({why}) and is not restarted; the run goes on without it")
                return
            self.phase.failure_code = "RC_CRASH_LOOP" if child.spec.restartable else "RC_PEER_DEAD"
            self.phase.failure = f"{name} ended ({why}) and is not restarted"
            if not child.spec.restartable:  # a crash loop stays one: what ended it three times may pass (docs/ops)
                self.phase.exit_code = child.last_word[0] or self.phase.exit_code
            self._line(self.phase.failure)
            if name == "executor" and self._may_hold():
                self._resort.panic(self.phase.failure, self._accounts())  # F-PRC-04
            return
        self._line(f"{name} restarted ({child.restarts}): {why}")
        if name.startswith("worker"):
            child.status = {}  # its bars and zones are gone
        self._spawn(child)

    def _line(self, text: str) -> None:
        self.tell(EngineEvent(0, "launcher", "PROC", "", text))

    def ready(self) -> bool:
        """Every process that the run needs has reported once."""
        return not any(child.awaited for child in self.children.values())

    def status(self) -> dict[str, Any]:
        """The status document (see `status.py`)."""
        self.phase.report = self.reports.status()
        self.phase.bad_messages = self._bad_messages
        document = build_status(self.settings, self.children, self.started_boot_ns, self.phase)
        return document | {name: told() for name, told in self.more_status.items()}

    # --------------------------------------------------------------------------------------------------- stop
    def request_stop(self) -> str:
        """Entries off, `on_exit` policy; returns the id to wait for. Safe to call again."""
        self.phase.stopping = True
        request = f"stop-{secrets.token_hex(4)}"
        self._unsent = self._wire.encode(OperatorMessage(request, "stop"))
        self._send_stop()
        return request

    def _end_log(self) -> None:
        if self._log is None:
            return
        self._log_words()
        failure = self.phase.failure
        end = failure or ("flat" if self.phase.flat else "not proven flat")
        self._log.line("launcher", "END", f"the run ends: {end}", level=logging.ERROR if failure else 0)
        self._log.close()
        self._log = None

    def _send_stop(self) -> None:
        """An executor that is just starting, or starting again, is not connected yet: then later."""
        if self._unsent and self._executor.send(self._unsent):
            self._unsent = b""

    def await_flat(self, request: str, on_wait: Callable[[], bool] | None = None) -> None:
        """Wait until the executor proved its accounts flat (or protected under `hold`), bounded; keeps the bus moving.

        `on_wait` is called about ten times a second; when it returns True the wait ends at once.
        """
        deadline = boot_ns() + int(STOP_ACK_S * NS_PER_S)
        last = boot_ns() + int((PANIC_S + STOP_ACK_S) * NS_PER_S)
        executor = self.children["executor"]
        while self._resort.running or (boot_ns() < deadline and executor.alive):
            self._send_stop()
            self._waiter.wait(NS_PER_S // 10)
            self._take_messages()
            answer = self._look_at_kill_switch(request)
            if answer is not None:
                self.phase.flat = answer.flat
                return
            if boot_ns() > last or (on_wait is not None and on_wait()):
                return
        if self._resort.state == "flat" and not executor.alive:
            self.phase.flat = True  # nobody is left to open anything

    def shutdown(self) -> None:
        """Stop every process, workers first and the simulator last; collect their last words; remove everything.

        Also after a start that failed half-way. Safe to repeat.
        """
        self.phase.stopping = True
        for group in _STOP_GROUPS:
            self._end_group([child for name, child in self.children.items() if name.split("-")[0] in group])
        self.phase.ended = True
        self._end_log()
        if self._lock is not None:  # else the status there is another engine's
            self._status_file.write(self.status())
            self._status_file.settle(STATUS_S)
        for channel in self._channels:
            channel.close()
        self._channels.clear()
        for segment in self._segments:
            segment.close()
            segment.unlink()
        self._segments.clear()
        shutil.rmtree(self.settings.run_dir, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    def _end_group(self, group: list[Child]) -> None:
        """Ask all of them to end, give each its time, hear what they said last, tell of those that left work undone."""
        members = [child for child in group if child.process is not None]
        for child in members:
            child.signal_stop()
        for child in members:
            assert child.process is not None
            waiter = sockets.Waiter(self._bus, child.process.sentinel)
            deadline = time.monotonic() + self._grace_s(child)  # not in a machine's sleep
            while child.alive and time.monotonic() < deadline:
                waiter.wait(NS_PER_S // 20)
                self._take_messages()  # else a long end would fill the bus, and the last words would not go in
                self._tell_status()
            child.reap()
        for child in members:
            self._hear_out(child)
            self._judge_end(child)

    def _grace_s(self, child: Child) -> float:
        """A worker that writes its bars needs as long as their number asks for."""
        if self.settings.keep_bars is None or not child.spec.name.startswith("worker"):
            return child.spec.grace_s
        contracts = child.status.get("contracts", {}).values()
        bars: int = sum(contract.get("bars", {}).get("1m", 0) for contract in contracts)
        return child.spec.grace_s + KEEP_BARS_S + bars / KEPT_BARS_A_SECOND

    def _hear_out(self, child: Child) -> None:
        """Its last words may still be on their way through our side of the bus when it is gone."""
        deadline = boot_ns() + LAST_WORDS_NS
        while child.ready and not (child.told_end or child.killed) and boot_ns() < deadline:
            self._waiter.wait(NS_PER_S // 50)
            self._take_messages()

    def _judge_end(self, child: Child) -> None:
        """A line for who did not end in order. The run does not end with 0 where work was left undone by it: bars that
        were to be kept, or the last rows of a replay; live, a run that is flat is over (ruling 12).
        """
        if not child.ready or (child.exit_code in (0, CUT_SHORT) and not child.killed):  # never came up: had no work
            return
        # The problem of one that has said FAILED, which ends a run that goes on, or its last word.
        text = str(child.status.get("problem", "")) or child.last_word[1]
        worker = child.spec.name.startswith("worker") and self.settings.keep_bars is not None
        if not text:
            late = f"did not end within {self._grace_s(child):.0f} s and was killed"
            text = f"{child.spec.name} {late if child.killed else f'ended with exit code {child.exit_code}'}"
            if worker:
                text = f"the bars of {', '.join(child.spec.secrets.get('symbols', ()))} were not kept: {text}"
        self._line(text)
        if worker or (child.spec.name == "executor" and self.settings.mode == "replay"):
            self.phase.undone = self.phase.undone or text


def in_order(events: list[EngineEvent]) -> list[EngineEvent]:
    """What was heard at one time by market time: a worker's signal stands before what the executor made of it.

    An event without a time stays behind the one it came after.
    """
    newest, keyed = 0, []
    for event in events:
        newest = event.now_ns or newest
        keyed.append((newest, event))
    return [event for _, event in sorted(keyed, key=lambda one: one[0])]


_STOP_GROUPS = (("worker", "feed"), ("executor",), ("recorder",), ("sim",))
