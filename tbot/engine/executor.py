"""Executor process: the only one that talks to the order endpoints, holds the login and writes the journal.

The shell around `DeskSession`: it moves bytes, reads clocks and waits; what to do is decided by the Desk alone. Start
and recovery are one path: journal verified, login, account found, then the Desk reconciles before anything else.
"""

import shutil
import signal
import time
from collections.abc import Iterable
from typing import Any

from tbot.domain.messages import OperatorIn, Signal, SignalStamps
from tbot.domain.process_messages import (
    OperatorAck,
    OperatorMessage,
    SignalAck,
    SignalMessage,
    StepDone,
    StepMessage,
    TokenGrant,
    TokenRequest,
)
from tbot.engine.child import ChildContext
from tbot.engine.clocks import NS_PER_S, FixedClock, WallClock, boot_ns
from tbot.engine.condition_watch import ConditionWatch
from tbot.engine.desk_setup import TradingDesk, open_desk
from tbot.engine.gateway_link import PAPER, Link, open_link
from tbot.engine.gateway_watch import GatewayWatch
from tbot.engine.health import FAILED, Beat, Hops, make_wire
from tbot.engine.operator_desk import OperatorDesk
from tbot.engine.prices import BATCH, PriceRings
from tbot.engine.settings import AccountPlan, EngineSettings
from tbot.engine.state_dir import AccountLocks
from tbot.engine.turn_watch import TurnWatch
from tbot.errors import AuthError, ConfigError, Halted, JournalError, ProtocolError, TbotError
from tbot.transport import sockets

BUSY_NS = 20_000_000  # longest wait with something open, working or under way: prices are looked at this often
# Longest wait when flat: nothing rests on a price then but a signal, which looks at them itself. What else is due goes
# by quarters of a second and more; messages, the broker's news and persons wake the loop.
IDLE_NS = 100_000_000
FLUSH_NS = 200_000_000
STOP_PATIENCE_NS = 10 * NS_PER_S  # C_STOP_GRACE
RETRY_NS = 500_000_000  # between attempts to get the gateway's first answers
HELD_NS = 100_000_000  # between looks at a simulated market that has not started, when nothing else is missing


class Executor:
    """Loop around TradingDesk (Desk, broker, journal) and the processes that talk to it."""

    def __init__(self, settings: EngineSettings, context: ChildContext) -> None:
        self._settings = settings
        self._context = context
        self._wire = make_wire(settings, context)
        self._beat = Beat(settings, context, self._wire)
        self._fatal: TbotError | None = None  # why this run cannot trade at all
        self._locks = AccountLocks.of(settings)
        self._lock(account.account for account in settings.accounts)  # before anything is bound or sent (F-IPC-05)
        self._router = sockets.router(settings.socket("executor"))
        self._operator = OperatorDesk(settings, self._beat.event)
        signal.signal(signal.SIGUSR1, lambda *_: self._operator.press("signal"))
        self._waiter = sockets.Waiter(self._router, self._operator.control.channel)
        self._hops = Hops("signal_executor", "signal_request", "journal", "rest")
        self._turn = TurnWatch(self._beat.event)
        self._prices = PriceRings(settings, context.secrets["restarted"])
        self._link: Link | None = None
        self._desk: TradingDesk | None = None
        self._watch: GatewayWatch | None = None
        self._conditions: ConditionWatch | None = None
        self._stepped: list[Signal] = []
        self._counters = {"signals": 0, "bad_messages": 0, "early_signals": 0}
        self._stop_requests: list[tuple[bytes, str]] = []
        self._stop_deadline_ns = 0
        self._asked_to_stop = False
        self._stop_told = False  # the Desk knows that the run ends
        self._next_flush_ns = 0
        self._next_try_ns = 0
        self._state = "STARTING"
        self._told_changes = 0  # state changes that the status shows
        self._problem = ""  # why the gateway's first answers are not there yet

    # -------------------------------------------------------------------------------------------------- the loop
    def run(self) -> None:
        """Until told to stop and flat, or until patience ends."""
        while not self._finished():
            longest_ns = self._longest_wait_ns()
            self._waiter.wait(longest_ns)
            self._turn.passed("was not run", longest_ns)
            self._open()
            self._turn.passed("starting")
            self._operator.look(self._desk, self._watch)  # before any signal: a lock binds from the first turn on
            self._turn.passed("a person's word")
            if self._conditions is not None:
                self._conditions.look()
                self._turn.passed("a look at clocks and disk")
            if self._desk is not None and not self._settings.lockstep:
                self._look_at_prices()
                self._turn.passed("prices")
            self._take_messages()
            self._turn.passed("messages")
            if self._desk is not None:
                self._work(self._desk)
            elif self._stop_requests and (self._fatal or self._untouched() or boot_ns() > self._stop_deadline_ns):
                self._answer_stops(None)
            self._report()
            self._turn.passed("a report")
        self.close()

    def _longest_wait_ns(self) -> int:
        if self._settings.lockstep:  # nothing happens between steps, so there is nothing to wake up for
            return NS_PER_S // 4
        return IDLE_NS if self._desk is not None and not self._desk.desk.busy() else BUSY_NS

    def _open(self) -> None:
        """Bring up link and Desk step by step; each step may have to be tried again."""
        if self._desk is not None or self._fatal is not None or boot_ns() < self._next_try_ns:
            return
        self._next_try_ns = boot_ns() + RETRY_NS
        try:
            if self._link is None and self._settings.mode != "replay":
                self._link = open_link(self._settings, self._context)
            clock, accounts = self._start_values()
            if clock is None or accounts is None:
                if accounts is not None:
                    self._next_try_ns = boot_ns() + HELD_NS
                return
            if not self._lock(account.account for account in accounts):
                return
            if self._link is not None and isinstance(clock, WallClock):
                clock.start_at(self._link.rest.date)
            self._desk = open_desk(self._settings, self._link, clock, accounts, self._beat.event, self._hops)
            for source in self._desk.wake_sources():
                self._waiter.add(source)
            if self._link is not None:
                self._watch = GatewayWatch(self._link, self._desk, self._settings.symbols, self._beat.event)
                self._conditions = ConditionWatch(self._settings, self._link, self._desk, self._beat.event)
        except (AuthError, ConfigError, Halted) as error:
            # Asking again would not help, and a refused login asked again and again locks the account (F-API-02).
            self._fatal = error
        except TbotError as error:
            self._complain(error)

    def _lock(self, accounts: Iterable[int]) -> bool:
        """No request that moves money without it. False: another engine has one of them, and this run is over."""
        try:
            self._locks.take(accounts)
        except Halted as error:
            self._fatal = error
            return False
        return True

    def _start_values(self) -> tuple[Any, tuple[AccountPlan, ...] | None]:
        """(clock, accounts), or None for what the gateway has not told yet."""
        if self._link is not None:
            return self._link.clock(), self._link.accounts()
        settings = self._settings
        if settings.lockstep:
            return FixedClock(), settings.accounts or (PAPER,)
        from tbot.engine.clocks import SimulatedClock

        assert settings.clock is not None
        return SimulatedClock(settings.clock), settings.accounts or (PAPER,)

    def _look_at_prices(self) -> None:
        desk = self._desk
        assert desk is not None
        now_ns = desk.clock.now_ns()
        for name in self._settings.symbols:
            while len(records := self._prices.take(name)):
                desk.session.on_records(records, now_ns)
                if len(records) < BATCH:
                    break
        self._prices.publish()

    def _work(self, desk: TradingDesk) -> None:
        """What is due without a message: broker's answers, timers, journal, stop."""
        self._operator.look_at_switch(desk)  # no stop for what the emergency exit is closing
        desk.session.pump()
        if self._watch is not None:
            self._watch.look()
        if not self._settings.lockstep:
            desk.session.advance(desk.clock.now_ns())
        self._turn.passed("the broker's news and what is due")
        if boot_ns() >= self._next_flush_ns:
            self._next_flush_ns = boot_ns() + FLUSH_NS
            self._report()  # a slow disk holds this loop up: what is new is told before, not after (I33, F-SYS-05)
            self._flush(desk)
            self._turn.passed("writing the journal")
        self._heed_stop(desk)
        if self._stop_requests and (desk.settled() or boot_ns() > self._stop_deadline_ns):
            self._answer_stops(desk)

    def _flush(self, desk: TradingDesk) -> None:
        """Write what waits. A full disk refuses entries and nothing else: protection goes on (R1, F-SYS-01)."""
        try:
            desk.journal.flush()
        except JournalError as error:
            if desk.journal.broken or self._settings.lockstep:
                raise
            self._complain(error)

    def _complain(self, error: TbotError) -> None:
        """One line for each new problem."""
        if str(error) != self._problem:
            self._problem = str(error)
            self._beat.event(0, "STATE", "", self._problem)

    # ---------------------------------------------------------------------------------------------- conversations
    def _take_messages(self) -> None:
        for sender, data in self._router.drain():
            try:
                message = self._wire.decode(data)
            except ProtocolError:
                self._counters["bad_messages"] += 1
                continue
            if isinstance(message, SignalMessage):
                self._on_signal(sender, message)
            elif isinstance(message, TokenRequest):
                self._on_token_request(sender, message)
            elif isinstance(message, StepMessage):
                self._on_step(sender, message)
            elif isinstance(message, OperatorMessage):
                self._on_operator(sender, message)

    def _on_signal(self, sender: bytes, message: SignalMessage) -> None:
        received = boot_ns()
        sent = message.stamps.sent_boot_ns
        self._counters["signals"] += 1
        signal = message.signal
        desk = self._desk
        if self._settings.lockstep:  # judged when the step of its instant comes, which also opens the Desk
            self._stepped.append(signal)
            self._router.send(self._wire.encode(SignalAck(signal.signal_id, True)), sender)
            return
        if desk is None:
            self._counters["early_signals"] += 1
            self._router.send(self._wire.encode(SignalAck(signal.signal_id, False, "RC_START")), sender)
            return
        self._router.send(self._wire.encode(SignalAck(signal.signal_id, True)), sender)
        self._report()  # as before the other wait for the disk: an entry is synced
        self._hops.record("signal_executor", received - sent)
        self._look_at_prices()  # the Desk must have seen every record that the decision saw
        self._operator.look_at_switch(desk)  # who freezes after this is too late for the entry's time to live (R8)
        self._heed_stop(desk)
        stamps = SignalStamps(
            message.stamps.frame_recv_boot_ns, 0, message.stamps.worker_woke_boot_ns, sent, received
        )
        desk.timed.sent_boot_ns = sent
        desk.session.on_signal(signal, boot_ns() - sent, desk.clock.now_ns(), stamps)
        desk.timed.sent_boot_ns = 0

    def _on_token_request(self, sender: bytes, message: TokenRequest) -> None:
        if self._link is None:
            return
        if self._conditions is not None:
            self._conditions.heard_feed()
        if self._watch is not None:
            self._look_at_prices()  # what the feed wrote before it spoke
            self._watch.on_feed(message)
        if message.refused:
            self._link.token_refused(message.refused)
        revision, token = self._link.token()
        if token and (revision > message.have or self._link.generation > message.contracts):
            grant = TokenGrant(revision, token, self._link.contracts(), self._link.generation, *self._link.legs)
            self._router.send(self._wire.encode(grant), sender)

    def _on_step(self, sender: bytes, message: StepMessage) -> None:
        desk = self._desk
        if desk is None:
            self._next_try_ns = 0
            self._open()
            desk = self._desk
        if desk is None:
            raise self._fatal or Halted(self._problem or "the Desk of this replay could not be opened")
        assert isinstance(desk.clock, FixedClock)
        desk.clock.set_ns(message.now_ns)
        self._heed_stop(desk)
        records = self._prices.take_until(message.heads)
        signals, self._stepped = self._stepped, []
        desk.session.step(records, signals, message.now_ns)
        self._prices.publish()
        self._router.send(self._wire.encode(StepDone(message.now_ns)), sender)

    def _on_operator(self, sender: bytes, message: OperatorMessage) -> None:
        desk = self._desk
        if message.verb == "stop":
            self._asked_to_stop = True
            self._stop_requests.append((sender, message.request_id))
            self._begin_stop()
            return
        if desk is not None:  # the launcher's: a kill that reached it by signal or lock file
            desk.session.on_operator(OperatorIn(desk.clock.now_ns(), message.verb, message.account, message.contract))
        ack = OperatorAck(message.request_id, desk is not None, desk is not None and desk.flat(), "")
        self._router.send(self._wire.encode(ack), sender)

    # -------------------------------------------------------------------------------------------------------- stop
    def _heed_stop(self, desk: TradingDesk) -> None:
        """Tell the Desk that the run ends, before anything that may open a position: SIGTERM may have ended a wait."""
        if (self._context.stop.is_set() or self._stop_requests) and not self._stop_told:
            self._begin_stop()

    def _begin_stop(self) -> None:
        if not self._stop_deadline_ns:
            self._stop_deadline_ns = boot_ns() + STOP_PATIENCE_NS
        desk = self._desk
        if desk is not None and not self._stop_told:
            self._stop_told = True
            desk.session.on_operator(OperatorIn(desk.clock.now_ns(), "stop"))

    def _untouched(self) -> bool:
        """No order was ever sent from this state: flat without a look at the gateway."""
        return not self._context.secrets["restarted"] and not self._settings.journal_path.exists()

    def _answer_stops(self, desk: TradingDesk | None) -> None:
        flat = self._untouched() if desk is None else desk.flat()
        text = "" if flat or desk is None else desk.describe_open()
        for sender, request in self._stop_requests:
            self._router.send(self._wire.encode(OperatorAck(request, True, flat, text)), sender)
        self._stop_requests.clear()

    def _finished(self) -> bool:
        if not self._context.stop.is_set():
            return False
        if self._desk is None or self._desk.settled():
            return True
        return bool(self._stop_deadline_ns) and boot_ns() > self._stop_deadline_ns

    # ------------------------------------------------------------------------------------------------------ report
    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = {"hops": self._hops.status(), "messages": dict(self._counters)}
        status["lost"] = self._prices.lost
        status["control"] = self._operator.control.status()
        status["stood_still"] = self._turn.status()
        if self._link is not None:
            status.update(self._link.status())
        if self._desk is not None:
            status.update(self._desk.status())
        if self._watch is not None:
            status["alarms"] = self._watch.alarms()
        if self._conditions is not None:
            status["conditions"] = self._conditions.status()
        return status

    def _report(self) -> None:
        changes = 0 if self._desk is None else self._desk.observer.state_changes
        if changes != self._told_changes:
            self._told_changes = changes
            self._beat.hurry()
        if self._beat.due():
            if self._fatal is not None:
                self._beat.send(FAILED, {"problem": str(self._fatal), "exit_code": self._fatal.exit_code})
                return
            state = "OK" if self._desk is not None else "STARTING"
            self._beat.send(state, self._status() if self._beat.status_due() else None)

    def close(self) -> None:
        """Last words, then let go of everything; as an orphan also clean up after the dead launcher."""
        desk, unwritten = self._desk, None
        last = self._status()  # before the lines are cut: a hub that we closed ourselves is no alarm
        if desk is not None:
            self._answer_stops(desk)
            try:
                desk.close()
            except JournalError as error:
                unwritten = error
                self._complain(error)
        if self._link is not None:
            self._link.close()
        self._beat.send("STOPPED", last)
        self._router.close(linger_ms=sockets.LINGER_MS)  # the answer to a stop
        self._operator.close()
        self._beat.close()
        self._prices.close()
        self._locks.release()
        if not self._asked_to_stop and _launcher_died(self._context):
            # The last to leave removes shared memory and sockets (F-PRC-03).
            shutil.rmtree(self._settings.run_dir, ignore_errors=True)
        if unwritten is not None and self._settings.lockstep:  # its last rows are missing: that is no replay
            raise unwritten


def _launcher_died(context: ChildContext) -> bool:
    """Whether SIGTERM came because the launcher is gone: the signal can be faster than the change of parents."""
    deadline = boot_ns() + NS_PER_S
    while not context.orphaned() and boot_ns() < deadline:
        time.sleep(0.02)
    return context.orphaned()


def main(settings: EngineSettings, context: ChildContext) -> None:
    """Process entry point."""
    Executor(settings, context).run()
