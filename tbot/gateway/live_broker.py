"""The Broker over REST and the user hub: commands go to worker threads, events come out of `poll`.

Rules kept here: one request at most per command (R2), protective commands never behind others (R7, R9). What got old
while waiting is not sent (R8), cancels and closes excepted. Idempotence, unknown outcomes and flatten are the Desk's
business.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable

from tbot.domain.messages import (
    BrokerEvent,
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    ModifyStop,
    Outcome,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Query,
)
from tbot.gateway import codec_domain as domain
from tbot.gateway import codec_hub, outcomes
from tbot.gateway import codec_tables as tables
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.codec_market import LOGOUT_TARGET
from tbot.gateway.codec_models import BrokerAccount, BrokerOrder, BrokerPosition
from tbot.gateway.codec_rest import Answer
from tbot.gateway.hub import HubTimings
from tbot.gateway.lanes import LANES, THREADS, Job, Lane, LaneQueue, Wake
from tbot.gateway.net import NS_PER_S, boot_ns
from tbot.gateway.rest import OrderClient
from tbot.gateway.signalr import Invocation
from tbot.gateway.snapshots import SnapshotReader
from tbot.gateway.user_hub import UserHub

ENTRY_TTL_NS = 1_500_000_000  # C_SIGNAL_TTL: an entry that waited longer than this is not sent any more
# The same of stops, targets, exits and moves, which must be sent once and in order: with the 8 s of C_HTTP on top their
# answer is there before the Desk gives them up (RiskLimits.command_timeout_ns) and does something else instead.
SINGLE_TTL_NS = 2_000_000_000
LOGOUT_PAUSE_S = 5.0
MAX_LOGOUT_PAUSE_S = 300.0
CALLS: dict[type, tables.Call] = {
    PlaceBracket: tables.ORDER_PLACE,
    PlaceStop: tables.ORDER_PLACE,
    PlaceTarget: tables.ORDER_PLACE,
    PlaceExit: tables.ORDER_PLACE,
    ModifyStop: tables.ORDER_MODIFY,
    CancelOrder: tables.ORDER_CANCEL,
    CloseContract: tables.POSITION_CLOSE,
}
SINGLE = (PlaceStop, PlaceTarget, PlaceExit, ModifyStop)


class LiveBroker:
    """Implements execution.broker.Broker. `submit` and `poll` belong to the owner's thread and wait for no network."""

    def __init__(
        self,
        rest: OrderClient,
        user_hub_url: str,
        contracts: ContractBook,
        accounts: Iterable[int],
        market_ns: Callable[[], int],
        *,
        boot_clock: Callable[[], int] = boot_ns,
        entry_ttl_ns: int = ENTRY_TTL_NS,
        hub_timings: HubTimings | None = None,
    ) -> None:
        """`market_ns`: market time for events (UTC ns); `boot_clock` for how long a command waited.

        `user_hub_url` "" = no hub (then REST alone tells what happened). Records of accounts that are not in
        `accounts` are counted, not delivered.
        """
        self._rest = rest
        self._book = contracts
        self._accounts = frozenset(accounts)
        self._market_ns = market_ns
        self._boot_ns = boot_clock
        self._entry_ttl_ns = entry_ttl_ns
        self._events: deque[BrokerEvent] = deque()
        self._wake = Wake()
        self._queues: dict[tuple[int, Lane], LaneQueue] = {
            (account, lane): LaneQueue() for account in sorted(self._accounts) for lane in THREADS
        }
        self._seen: set[str] = set()
        self._snapshots = SnapshotReader(rest, lambda: self._book, market_ns, boot_clock)
        self.counts: Counter[str] = Counter()
        # Boot clock when the signal that is being handled left its worker: an entry's age counts from there (I23),
        # through the journal's sync and this queue. 0: not known, then from its hand-over.
        self.signal_boot_ns = 0
        self.logouts = 0  # times the gateway said that the session was taken over: a person must look
        self._threads = [
            threading.Thread(target=self._work, args=(queue,), daemon=True, name=f"{lane}-{n}")
            for (_, lane), queue in self._queues.items()
            for n in range(THREADS[lane])
        ]
        self.hub: UserHub | None = None
        if user_hub_url:
            self.hub = UserHub(
                user_hub_url,
                rest,
                sorted(self._accounts),
                on_record=self.user_record,
                on_change=self._wake.set,
                timings=hub_timings,
            )
        for thread in self._threads:
            thread.start()
        if self.hub is not None:
            self.hub.start()

    # ------------------------------------------------------------------------------------------------- Broker port
    def submit(self, command: Command, now_ns: int) -> None:
        """Queue a command. Its CommandResult (a Snapshot for a Query) comes out of `poll`, always exactly one."""
        if command.command_id in self._seen:
            # Not even a result: the first submission's answer is the truth about this id.
            self.counts["duplicate_commands"] += 1
            return
        if not isinstance(command, Query):  # asking twice does no harm, and there are thousands of queries a day
            self._seen.add(command.command_id)
        lane = LANES[type(command)]
        if lane == "protective":
            self._snapshots.protective(command.account)
        since_ns = self.signal_boot_ns if lane == "entry" and self.signal_boot_ns else self._boot_ns()
        if not self._queues[command.account, lane].put(Job(command, since_ns)):
            self._answer(command, "not_sent", f"{lane} queue is full or closed")

    def poll(self) -> list[BrokerEvent]:
        """Events since the last call, oldest first."""
        self._wake.clear()
        events: list[BrokerEvent] = []
        while self._events:
            events.append(self._events.popleft())
        return events

    # -------------------------------------------------------------------------------------------------- around it
    def fileno(self) -> int:
        """Readable when `poll` has something to give: register it in the owner's poll loop."""
        return self._wake.fileno()

    def set_contracts(self, contracts: ContractBook) -> None:
        """After a roll: which contract stands for which product from now on."""
        self._book = contracts

    def close(self, timeout_s: float = 10.0) -> bool:
        """Take no more commands, wait for those under way; False when a thread is still busy after `timeout_s`."""
        hub_done = self.hub is None or self.hub.close()
        for queue in self._queues.values():
            queue.close()
        end_ns = self._boot_ns() + int(timeout_s * NS_PER_S)
        for thread in self._threads:
            thread.join(max(0.0, (end_ns - self._boot_ns()) / NS_PER_S))
        done = hub_done and not any(thread.is_alive() for thread in self._threads)
        if done:
            self._wake.close()
        return done

    def user_record(self, event: Invocation, recv_ns: int) -> bool:
        """One user-hub event to a domain event (called in the hub's thread). False: it was not valid.

        hub_items = hub_accepted + hub_dropped + other_account.
        """
        if event.target == LOGOUT_TARGET:
            self._taken_over()
            return True
        if not codec_hub.is_user_target(event.target):
            self.counts["other_target"] += 1
            return True
        self.counts["hub_items"] += 1
        try:
            record = codec_hub.decode_user(event)
            if record.account_id not in self._accounts:
                self.counts["other_account"] += 1
                return True
            now_ns = self._market_ns()
            if isinstance(record, BrokerOrder):
                self._emit(domain.order_update(record, self._book, now_ns))
            elif isinstance(record, BrokerPosition):
                self._emit(domain.position_update(record, self._book, now_ns))
            elif isinstance(record, BrokerAccount):
                self._emit(domain.account_update(record, now_ns))
            else:
                self._emit(domain.fill(record, self._book, now_ns))
        except ValueError:
            self.counts["hub_dropped"] += 1
            return False
        self.counts["hub_accepted"] += 1
        return True

    def _taken_over(self) -> None:
        """Somebody else uses this login (F-NET-09): new token, and longer pauses each time, or two programs fight."""
        self.logouts += 1
        token = self._rest.tokens.current()
        if token is not None:
            self._rest.tokens.invalidate(token)
        if self.hub is not None:
            self.hub.reconnect("session taken over", min(MAX_LOGOUT_PAUSE_S, LOGOUT_PAUSE_S * self.logouts))
        self._wake.set()

    # -------------------------------------------------------------------------------------------------- the workers
    def _emit(self, event: BrokerEvent) -> None:
        self._events.append(event)
        self._wake.set()

    def _work(self, queue: LaneQueue) -> None:
        while (job := queue.take()) is not None:
            try:
                self._execute(job)
            except Exception as error:
                # A bug of ours after the request may have left: unknown is the only honest word for it.
                self.counts["worker_errors"] += 1
                self._answer(job.command, "ambiguous", f"internal error {type(error).__name__}")

    def _execute(self, job: Job) -> None:
        command = job.command
        if isinstance(command, Query):
            self._emit(self._snapshots.read(command))
            return
        waited_ns = self._boot_ns() - job.since_boot_ns
        if isinstance(command, PlaceBracket) and waited_ns > self._entry_ttl_ns:
            self._answer(command, "not_sent", "the entry waited too long")
            return
        if isinstance(command, SINGLE) and waited_ns > SINGLE_TTL_NS:
            self._answer(command, "not_sent", "it waited too long in the queue")
            return
        sent_boot_ns = self._boot_ns()
        try:
            answer = self._send(command)
        except (KeyError, ValueError) as error:
            self._answer(command, "not_sent", f"no request possible: {error}")
            return
        # Why without stamps when nothing was sent: they would tell of a request that never was.
        left = answer.outcome != "not_sent"
        self._emit(
            CommandResult(
                now_ns=self._market_ns(),
                account=command.account,
                command_id=command.command_id,
                outcome=answer.outcome,
                order_id=answer.order_id,
                text=answer.text,
                sent_boot_ns=sent_boot_ns if left else 0,
                answered_boot_ns=self._boot_ns() if left else 0,
                situation=answer.situation.value,
                cause=outcomes.cause_of(CALLS[type(command)], answer.situation, answer.code),
            )
        )

    def _send(self, command: Command) -> Answer[int] | Answer[None]:
        """The one request of a command. KeyError before anything is sent when the contract is not resolved."""
        book = self._book
        if isinstance(command, PlaceBracket):
            return self._rest.order_place(domain.place_bracket_request(command, book))
        if isinstance(command, PlaceStop):
            return self._rest.order_place(domain.place_stop_request(command, book), protective=True)
        if isinstance(command, PlaceTarget):
            return self._rest.order_place(domain.place_target_request(command, book), protective=True)
        if isinstance(command, PlaceExit):
            return self._rest.order_place(domain.place_exit_request(command, book), protective=True)
        if isinstance(command, ModifyStop):
            return self._rest.order_modify(domain.modify_stop_request(command, book))
        if isinstance(command, CancelOrder):
            return self._rest.order_cancel(domain.cancel_request(command))
        assert isinstance(command, CloseContract)
        return self._rest.position_close_contract(domain.close_request(command, book))

    def _answer(self, command: Command, outcome: Outcome, text: str) -> None:
        """What is known of a command that came to no answer of the gateway."""
        if isinstance(command, Query):
            self._emit(self._snapshots.nothing(command, text))
        else:
            self._emit(CommandResult(self._market_ns(), command.account, command.command_id, outcome, None, text))
