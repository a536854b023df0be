"""The Broker over REST and the user hub: commands go to worker threads, events come out of `poll`.

Rules kept here: one request at most per command (R2), protective commands never behind others (R7, R9). What got old
while waiting is not sent (R8), cancels and closes excepted. Idempotence, unknown outcomes and flatten are the Desk's
business.
"""

import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeVar

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
    Snapshot,
)
from tbot.gateway import codec_domain as domain
from tbot.gateway import codec_hub, outcomes
from tbot.gateway import codec_tables as tables
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.codec_market import LOGOUT_TARGET
from tbot.gateway.codec_models import BrokerAccount, BrokerOrder, BrokerPosition
from tbot.gateway.codec_rest import Answer
from tbot.gateway.hub import HubTimings
from tbot.gateway.net import NS_PER_S, boot_ns
from tbot.gateway.outcomes import LOCAL_LIMIT, Situation
from tbot.gateway.rest import OrderClient
from tbot.gateway.signalr import Invocation
from tbot.gateway.user_hub import UserHub

ENTRY_TTL_NS = 1_500_000_000  # C_SIGNAL_TTL: an entry that waited longer than this is not sent any more
# The same of stops, targets, exits and moves, which must be sent once and in order: with the 8 s of C_HTTP on top their
# answer is there before the Desk gives them up (RiskLimits.command_timeout_ns) and does something else instead.
SINGLE_TTL_NS = 2_000_000_000
PROOF_NS = 30 * NS_PER_S  # queries this soon after a protective command are its proof and may use the reserve
# What urgent queries leave of the reserve (R9: 40): two rounds of cancels, closes and their proof. And for how long
# after one that took from the reserve the next of its account may not: C_RECON_CONFIRM, less the way of the answer.
URGENT_KEEPS = 20
PROOF_KEEPS = 8  # what a proof leaves of it: a cancel, close or stop matters more than knowing what became of the last
URGENT_GAP_NS = 900_000_000
LOGOUT_PAUSE_S = 5.0
MAX_LOGOUT_PAUSE_S = 300.0
READS = 4  # requests of a snapshot whose orders fit one page
PAGE_SIZE = 100
MAX_PAGES = 20
UNCOUNTED_PAGE = 50  # without a total, a page this full might have been cut by the gateway

Lane = Literal["entry", "protective", "query"]
LANES: dict[type, Lane] = {
    PlaceBracket: "entry",
    PlaceStop: "protective",
    PlaceTarget: "protective",
    PlaceExit: "protective",
    ModifyStop: "protective",
    CancelOrder: "protective",
    CloseContract: "protective",
    Query: "query",
}
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
# Two protective threads: a cancel that hangs until its deadline must not hold up the close behind it.
THREADS: dict[Lane, int] = {"entry": 1, "protective": 2, "query": 1}
QUEUE_LIMIT = 256


@dataclass(frozen=True, slots=True)
class _Job:
    command: Command
    since_boot_ns: int  # of an entry: when its signal left; else when it was queued


class _Queue:
    """A bounded queue of one lane."""

    def __init__(self) -> None:
        self.jobs: deque[_Job] = deque()
        self.ready = threading.Condition()
        self.closed = False

    def put(self, job: _Job) -> bool:
        with self.ready:
            if self.closed or len(self.jobs) >= QUEUE_LIMIT:
                return False
            self.jobs.append(job)
            self.ready.notify()
            return True

    def take(self) -> _Job | None:
        """The oldest job; None when the lane is closed and empty."""
        with self.ready:
            while not self.jobs:
                if self.closed:
                    return None
                self.ready.wait(1.0)
            return self.jobs.popleft()

    def close(self) -> None:
        with self.ready:
            self.closed = True
            self.ready.notify_all()


class _Wake:
    """A file descriptor that becomes readable when events wait, for the owner's poll loop."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        return self._reader

    def set(self) -> None:
        try:
            os.write(self._writer, b"\0")
        except (BlockingIOError, OSError):
            return  # full: it is readable anyway; closed: nobody looks any more

    def clear(self) -> None:
        try:
            while os.read(self._reader, 4096):
                pass
        except (BlockingIOError, OSError):
            return

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


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
        self._wake = _Wake()
        self._queues: dict[Lane, _Queue] = {lane: _Queue() for lane in THREADS}
        self._seen: set[str] = set()
        self._last_protective_ns: dict[int, int] = {}
        self._last_urgent_ns: dict[int, int] = {}  # account -> boot clock of its newest query out of the reserve
        self.counts: Counter[str] = Counter()
        # Boot clock when the signal that is being handled left its worker: an entry's age counts from there (I23),
        # through the journal's sync and this queue. 0: not known, then from its hand-over.
        self.signal_boot_ns = 0
        self.logouts = 0  # times the gateway said that the session was taken over: a person must look
        self._threads = [
            threading.Thread(target=self._work, args=(self._queues[lane],), daemon=True, name=f"{lane}-{n}")
            for lane, count in THREADS.items()
            for n in range(count)
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
            self._last_protective_ns[command.account] = self._boot_ns()
        since_ns = self.signal_boot_ns if lane == "entry" and self.signal_boot_ns else self._boot_ns()
        if not self._queues[lane].put(_Job(command, since_ns)):
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

    def _work(self, queue: _Queue) -> None:
        while (job := queue.take()) is not None:
            try:
                self._execute(job)
            except Exception as error:
                # A bug of ours after the request may have left: unknown is the only honest word for it.
                self.counts["worker_errors"] += 1
                self._answer(job.command, "ambiguous", f"internal error {type(error).__name__}")

    def _execute(self, job: _Job) -> None:
        command = job.command
        if isinstance(command, Query):
            self._emit(self._snapshot(command))
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
            self._emit(self._unanswered(command, text))
        else:
            self._emit(CommandResult(self._market_ns(), command.account, command.command_id, outcome, None, text))

    def _unanswered(self, query: Query, text: str, situation: str = "") -> Snapshot:
        """An answer that proves nothing."""
        empty = (None, (), (), ())
        now_ns = self._market_ns()
        return Snapshot(now_ns, query.account, query.command_id, False, *empty, text=text, situation=situation)

    # --------------------------------------------------------------------------------------------------- snapshots
    def _snapshot(self, query: Query) -> Snapshot:
        """Account, working orders, positions and fills. Complete only if every list was explicit and valid.

        Positions are read before orders: an entry that fills between the two then shows as a stop without position
        (waits for a second look), not as a naked position (would be closed at first sight). Fills come last, so that
        they explain every position seen; they carry the gateway's execution time as `now_ns`.
        """
        account = query.account
        proof = self._may_use_reserve(query)
        if self._rest.room(protective=proof) < READS:
            # Part of an answer proves nothing, and what it costs is missing for a whole one: with two accounts and half
            # the budget no answer was complete for minutes (F-API-03).
            return self._unanswered(query, LOCAL_LIMIT)
        accounts = self._rest.account_search(False, protective=proof)
        lost = accounts.situation is Situation.UNAUTHORIZED and self._rest.tokens.refused
        if lost or accounts.situation is Situation.TOO_MANY:
            # Nothing but a lost token is left, and it is still not taken (F-API-02); or the gateway wants quiet, and
            # three times three more requests would use up the reserve for no answer (F-API-03). One question will do.
            return self._unanswered(query, f"account: {accounts.outcome} {accounts.text}", accounts.situation.value)
        positions = self._rest.position_search_open(account, protective=proof)
        orders = self._all_working(account, proof)
        trades = self._rest.trade_search(account, query.since_ns, protective=proof)
        answers: dict[str, Answer[Any]] = {
            "account": accounts,
            "positions": positions,
            "orders": orders,
            "trades": trades,
        }
        missing = [
            f"{name}: {answer.outcome} {answer.text}".strip()
            for name, answer in answers.items()
            if not answer.ok or answer.value is None
        ]
        now_ns, book = self._market_ns(), self._book
        status = next((item for item in accounts.value or () if item.account_id == account), None)
        if status is None and accounts.ok:
            missing.append("account: not listed")
        own_trades = sorted(_own(trades.value, account), key=lambda item: (item.created_ns, item.trade_id))
        found_orders = _convert(
            lambda item: domain.order_update(item, book, now_ns), _own(orders.value, account), missing
        )
        found_fills = _convert(lambda item: domain.fill(item, book, item.created_ns), own_trades, missing)
        return Snapshot(
            now_ns=now_ns,
            account=account,
            command_id=query.command_id,
            complete=not missing,
            status=None if status is None else domain.account_update(status, now_ns),
            orders=tuple(found_orders),
            positions=tuple(domain.position_update(item, book, now_ns) for item in _own(positions.value, account)),
            fills=tuple(found_fills),
            text="; ".join(missing)[:300],
            situation=_worst(answers.values()),
        )

    def _may_use_reserve(self, query: Query) -> bool:
        """Whether a query is the proof of a protective command (R9), or urgent and the rest of the reserve suffices.

        A process that comes back finds the budget of the one before it used up (429, crash): what that one left open
        would stay naked for as long as the start may not even ask (I3).
        """
        now_ns = self._boot_ns()
        last_ns = self._last_protective_ns.get(query.account)
        if last_ns is not None and now_ns - last_ns <= PROOF_NS:
            return self._rest.room(protective=True) >= PROOF_KEEPS + READS
        if not query.urgent or self._rest.room() >= READS:
            return False
        last_ns = self._last_urgent_ns.get(query.account)
        early = last_ns is not None and now_ns - last_ns < URGENT_GAP_NS
        if early or self._rest.room(protective=True) < URGENT_KEEPS + READS:
            return False
        self._last_urgent_ns[query.account] = now_ns
        return True

    def _all_working(self, account: int, proof: bool) -> Answer[list[BrokerOrder]]:
        """All pages of the orders that are not final. Accepted only when as many were listed as the gateway counts."""
        found: dict[int, BrokerOrder] = {}
        for _ in range(MAX_PAGES):
            answer = self._rest.order_v2_query(account, page_size=PAGE_SIZE, offset=len(found), protective=proof)
            if not answer.ok or answer.value is None:
                return answer
            before = len(found)
            found.update((order.order_id, order) for order in answer.value)
            if answer.total is None:
                if before == 0 and len(answer.value) < UNCOUNTED_PAGE:
                    return replace(answer, value=list(found.values()))
                return Answer("ambiguous", text="the order list may be cut: no total count")
            if len(found) == answer.total:
                return replace(answer, value=list(found.values()))
            if len(found) == before:
                break  # no progress: orders came or went between the pages, or the offset means something else
        return Answer("ambiguous", text=f"the order list is not whole: {len(found)} read")


def _worst(answers: Iterable[Answer[Any]]) -> str:
    """Of several reads the situation that says most about the line: token, rate limit, then nothing."""
    found = {answer.situation for answer in answers}
    return next((each.value for each in (Situation.UNAUTHORIZED, Situation.TOO_MANY) if each in found), "")


class _Owned(Protocol):
    @property
    def account_id(self) -> int: ...


Own = TypeVar("Own", bound=_Owned)
T = TypeVar("T")


def _own(items: list[Own] | None, account: int) -> list[Own]:
    return [item for item in items or () if item.account_id == account]


def _convert(convert: Callable[[Own], T], items: list[Own], missing: list[str]) -> list[T]:
    """Convert each item; one that is not valid is named in `missing`: the list is no proof then."""
    found: list[T] = []
    for item in items:
        try:
            found.append(convert(item))
        except ValueError as error:
            missing.append(str(error))
    return found
