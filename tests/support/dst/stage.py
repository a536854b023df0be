"""A small stage for the referee: the real Desk, journal and status over the simulated venue, driven by hand.

Smaller than the world: no sockets, no threads, no scheduler; commands become requests by the gateway's own codec and
reach the venue at once, or are lost as the script says. Scenes that need only the deciders are played here.
"""

import json
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import orjson

import status_rig
from desk_rig import PRICE, START_NS, signal
from dst.evidence import Evidence, JournalStep, WireRequest, digest_due
from dst.referee import Referee, Rules, Violation
from sim_rig import tick_rows
from tbot.domain.messages import (
    BrokerEvent,
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    ConditionIn,
    DeskInput,
    DeskOutput,
    FeedIn,
    Fill,
    ModifyStop,
    OperatorIn,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Query,
    Quote,
    SignalIn,
    Snapshot,
    TimerIn,
)
from tbot.domain.timeframes import NS_PER_S
from tbot.engine.desk_record import DeskRecord
from tbot.engine.status import Phase as RunPhase
from tbot.engine.status import StatusFile, build_status
from tbot.errors import JournalError
from tbot.execution.broker import DeskLoop
from tbot.execution.carry import CarryFold
from tbot.execution.desk import Desk
from tbot.execution.settings import AccountSettings, Carried
from tbot.gateway import codec_domain as domain
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway import http_exchange
from tbot.gateway.throttle import Throttle
from tbot.risk.limits import RiskLimits
from tbot.sim.venue_controls import VenueControls
from tbot.storage.journal import Journal, RunInfo
from tbot.transport import wire
from venue_broker import IDS, VenueBroker

Fate = Literal["answer lost", "never arrives"]
BOOT_NS = 1_000 * NS_PER_S  # of the machine when the scene begins
PROOF_NS = 30 * NS_PER_S
SYMBOLS = tuple(PRICE)
QUERY_PATHS = ("/api/Account/search", "/api/Position/searchOpen", "/api/Order/v2/query", "/api/Trade/search")


class Stage(VenueBroker):
    """Evidence, referee, venue, and the executor of the moment. Times advance only by `tick`."""

    def __init__(
        self,
        folder: Path,
        limits: RiskLimits | None = None,
        start_ns: int = START_NS,
        own: tuple[dict[str, Any], ...] = ({},),
    ) -> None:
        """`own`: of each account what its AccountSettings have beside number, name and what was carried over."""
        super().__init__(count=len(own))
        self.folder, self.limits = folder, limits or RiskLimits()
        self.own = dict(zip(self.accounts, own, strict=True))
        self.start_ns = self.now_ns = start_ns
        self.controls = VenueControls(self.exchange)
        self.prices = dict(PRICE)
        self.quote_age_ns = 0
        self.fates: deque[Fate] = deque()  # of the next placements
        self.hub = True  # the user hub tells what happens
        self.late: list[tuple[int, BrokerEvent]] = []  # (boot time, answer) of calls that end in nothing
        self.last_protective_ns: int | None = None
        self.sending = 0  # the life that acts; 0: the newest
        self.committing = True
        self._handled: Counter[int] = Counter()  # steps by life
        self.evidence = Evidence(seed=0, accounts=dict(self.accounts), states=self.exchange.states)
        self.evidence.active = set(IDS.values())
        bound = {number: more.get("limits", self.limits) for number, more in self.own.items()}
        self.referee = Referee(self.evidence, Rules(bound, IDS, always=False))
        self.status_file = StatusFile(folder / "status.json")
        self.engine = status_rig.settings(folder, symbols=SYMBOLS)
        self.desk: Desk | None = None
        self._clocks()
        self.market(0)

    # --------------------------------------------------------------------------------------------------- lives
    @property
    def journal_path(self) -> Path:
        return self.folder / "journal.db"

    def begin(self, *, carried: Carried | None = None) -> None:
        """An executor starts; JournalError when another one is there. ACTIVE when nothing speaks against it."""
        number = self.evidence.executor + 1
        record = DeskRecord(
            accounts=tuple(
                AccountSettings(
                    account, self.accounts[account].name, self._carried(account) if carried is None else carried, **more
                )
                for account, more in self.own.items()
            ),
            limits=self.limits,
            symbols=SYMBOLS,
            template_hours=False,
            run_start_ms=self.start_ns // 1_000_000 + number * 60_000,
            on_exit="flatten",
            speed=1.0,
        )
        info = RunInfo(str(number), "build", "hash", "sim", self.now_ns, record.encode())
        journal = Journal(self.journal_path, wire, info, clock=lambda: self.evidence.boot_ns)
        self.journal, self.desk, self.throttle = journal, Desk(record.settings()), Throttle()
        self.loop = DeskLoop(self.desk, self, self)
        self.evidence.executor, self.evidence.alive = number, True
        self._answers.clear()
        self.exchange.drain()
        self.tick(0)
        for contract in SYMBOLS:
            self.feed(FeedIn(self.now_ns, contract, "ok"))

    def _carried(self, account: int) -> Carried:
        fold = CarryFold()
        if self.journal_path.exists():
            with Journal.open_readonly(self.journal_path, wire) as reader:
                for step in reader.steps():
                    fold.add(step.item, list(step.outputs))
        return fold.carried(account)

    def kill(self) -> None:
        """SIGKILL: what was not committed is lost, and so is every answer on its way."""
        head = self.journal.head[0]
        for step in self.evidence.steps:
            if step.executor == self.evidence.executor and step.seq > head:
                step.lost = True
        self.journal._closing.close()
        self.desk, self.evidence.view, self.evidence.alive = None, None, False
        self._answers.clear()
        self.late.clear()
        self._look()

    def end(self, *, journal: bool = True) -> list[Violation]:
        """The scene is over; everything that broke in it."""
        digest = "" if self.desk is None else self.desk.digest()
        if self.desk is not None:
            self.journal.close()
        return self.referee.finish(self.journal_path if journal else None, digest)

    # ----------------------------------------------------------------------------------------------- what happens
    def tick(self, seconds: float = 0.5) -> None:
        """Time passes in one timer; the venue's market moves to `prices`."""
        self.market(seconds)
        due = [event for at_ns, event in self.late if at_ns <= self.evidence.boot_ns]
        self.late = [item for item in self.late if item[0] > self.evidence.boot_ns]
        self._answers += due
        if self.desk is not None:
            quotes = {name: self.quote(name) for name in SYMBOLS}
            self.loop.feed(TimerIn(self.now_ns, quotes))
            self.flush()
        self._write_status()
        self._look()

    def run(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(round(seconds / step)):
            self.tick(step)

    def market(self, seconds: float) -> None:
        at_ns = self.now_ns + int(seconds * NS_PER_S)
        for name, price in self.prices.items():
            rows: list[tuple[object, ...]] = [(at_ns, "quote", price - 1, price + 1), (at_ns, "trade", price, 1, 1)]
            self.exchange.on_ticks(tick_rows(rows, name))
        self.now_ns = at_ns
        self._clocks()
        self.exchange.advance(at_ns)
        self._look()

    def _clocks(self) -> None:
        seen = self.evidence
        seen.market_ns = seen.wall_ns = self.now_ns
        seen.boot_ns = BOOT_NS + self.now_ns - self.start_ns

    def quote(self, contract: str) -> Quote:
        price = self.prices[contract]
        return Quote(price - 1, price + 1, self.now_ns - self.quote_age_ns, 10, self.quote_age_ns, 1)

    def signal(
        self, number: int | str = 1, contract: str = "MNQ", side: int = 1, *, age_ns: int = 0, **distances: int
    ) -> None:
        made = signal(number, contract, side, decision=self.quote(contract), **distances)
        self.feed(SignalIn(self.now_ns, made, self.quote(contract), age_ns))

    def operator(self, verb: str) -> None:
        self.feed(OperatorIn(self.now_ns, verb))  # type: ignore[arg-type]

    def condition(self, code: str, text: str) -> None:
        self.feed(ConditionIn(self.now_ns, code, text))

    def feed(self, item: DeskInput) -> None:
        assert self.desk is not None
        self.loop.feed(item)

    def flush(self) -> None:
        """As the executor's shell does, only less often: every sync costs real time."""
        if self.committing:
            self.journal.flush(min_rows=10**6, max_age_ns=NS_PER_S)

    def read(self) -> None:
        """One more question of the executor's shell, as far as the budget allows it."""
        if self.throttle.general.take(self.evidence.boot_ns, False):
            self._log("/api/Account/search", bodies.AccountSearchRequest(only_active_accounts=False), None, "", False)

    @property
    def state(self) -> str:
        assert self.desk is not None
        return self.desk.state(self.account.account_id)

    def told(self, account: int) -> list[Fill]:
        """Fills of an account as all executors so far were told of them, each once."""
        items = [step.item for step in self.evidence.steps]
        told = [item for item in items if isinstance(item, Fill)]
        told += [fill for item in items if isinstance(item, Snapshot) for fill in item.fills]
        return list({fill.fill_id: fill for fill in told if fill.account == account}.values())

    def stop_out(self, contract: str = "MNQ", ticks: int = 41) -> None:
        """The price goes to the stop of a long position."""
        self.prices[contract] -= ticks
        self.run(1)

    def reprice(self, ticks: int, contract: str = "MNQ") -> None:
        """The broker says that a position of the same size cost `ticks` a contract more; no fill explains it."""
        number = self.account.account_id
        (held,) = [item for item in self.evidence.holdings(number) if item.contract == contract]
        price = held.average_sum // held.average_size + ticks
        self.controls.mutate_position(number, contract, held.size, self.now_ns, price=price)
        self.evidence.mutated.append((number, contract, 0))

    # --------------------------------------------------------------------------------------- recorder and status
    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """The journal, and the witness of what it was given."""
        first = self.journal.last_seq + 1
        try:
            self.journal.record(item, outputs)
        except JournalError:
            first = 0
            raise
        finally:
            seen = self.evidence
            seen.steps.append(JournalStep(self.sending or seen.executor, seen.boot_ns, item, tuple(outputs), first))
            self._handled[seen.steps[-1].executor] += 1
            if self.desk is not None and digest_due(self._handled[seen.steps[-1].executor]):
                seen.steps[-1].digest = self.desk.digest()
            seen.view = None if self.desk is None else self.desk.view()
            self._look()

    def _write_status(self) -> None:
        view = self.evidence.view
        said = {"accounts": {} if view is None else view["accounts"], "market_ns": self.now_ns}
        children = {"executor": status_rig.child("executor", said, ready=self.evidence.alive)}
        document = build_status(self.engine, children, 0, RunPhase())
        with mock.patch("tbot.engine.status.boot_ns", return_value=self.evidence.boot_ns):
            before = self.status_file._written_ns
            self.status_file.update(document)
        if self.status_file._written_ns != before:
            self.evidence.status = orjson.loads(self.status_file.path.read_bytes())

    def _look(self) -> None:
        self.referee.after_event()

    # ------------------------------------------------------------------------------------------------------- wire
    def poll(self) -> list[BrokerEvent]:
        events = super().poll()
        if self.hub:
            return events
        return [event for event in events if isinstance(event, CommandResult | Snapshot)]

    def submit(self, command: Command, now_ns: int) -> None:
        """One command as one request (a query: as its four), through the budget; then its fate."""
        boot_ns, protective = self.evidence.boot_ns, not isinstance(command, PlaceBracket | Query)
        if protective:
            self.last_protective_ns = boot_ns
        recent = self.last_protective_ns is not None and boot_ns - self.last_protective_ns <= PROOF_NS
        calls = _requests(command, self)
        reserve = protective or (isinstance(command, Query) and recent)
        if not all(self.throttle.general.take(boot_ns, reserve) for _ in calls):
            self._answers.append(_nothing(command, now_ns, "not_sent"))
            return
        logged = [self._log(path, body, command.account, _tag(command), reserve) for path, body in calls]
        fate: Fate | None = None
        if isinstance(command, PlaceBracket) and self.fates:
            fate = self.fates.popleft()
        if not self.evidence.answering:
            fate = "never arrives"
        if fate != "never arrives":
            for request in logged:
                request.arrived = 1
            super().submit(command, now_ns)
        if fate is None:
            for request in logged:
                request.status, request.answered_ns = 200, boot_ns
        else:
            if fate == "answer lost":
                self._answers.pop()
            patience_ns = int(http_exchange.TOTAL_S * NS_PER_S)
            self.late.append((boot_ns + patience_ns, _nothing(command, now_ns + patience_ns, "ambiguous")))
        self._look()

    def _log(self, path: str, body: bodies.Request, account: int | None, tag: str, protective: bool) -> WireRequest:
        seen = self.evidence
        decoded = json.loads(bodies.encode_request(body))
        request = WireRequest(
            len(seen.wire), seen.boot_ns, seen.market_ns, self.sending or seen.executor, path, decoded, account, tag,
            protective, self.journal.head[0],
        )  # fmt: skip
        seen.wire.append(request)
        self._look()
        return request


def _tag(command: Command) -> str:
    return command.tag if isinstance(command, PlaceBracket | PlaceStop | PlaceTarget | PlaceExit) else ""


def _nothing(command: Command, now_ns: int, outcome: Literal["not_sent", "ambiguous"]) -> BrokerEvent:
    if isinstance(command, Query):
        return Snapshot(now_ns, command.account, command.command_id, False, None, (), (), (), "no answer")
    return CommandResult(now_ns, command.account, command.command_id, outcome, None, "no answer")


def _requests(command: Command, stage: Stage) -> list[tuple[str, bodies.Request]]:
    """(path, body) of what a command becomes."""
    book = stage.book
    if isinstance(command, Query):
        request = bodies.AccountIdRequest(account_id=command.account)
        return [(path, request) for path in QUERY_PATHS]
    if isinstance(command, PlaceBracket):
        return [(tables.ORDER_PLACE.path, domain.place_bracket_request(command, book))]
    if isinstance(command, PlaceStop):
        return [(tables.ORDER_PLACE.path, domain.place_stop_request(command, book))]
    if isinstance(command, PlaceTarget):
        return [(tables.ORDER_PLACE.path, domain.place_target_request(command, book))]
    if isinstance(command, PlaceExit):
        return [(tables.ORDER_PLACE.path, domain.place_exit_request(command, book))]
    if isinstance(command, ModifyStop):
        return [(tables.ORDER_MODIFY.path, domain.modify_stop_request(command, book))]
    if isinstance(command, CancelOrder):
        return [(tables.ORDER_CANCEL.path, domain.cancel_request(command))]
    assert isinstance(command, CloseContract)
    return [(tables.POSITION_CLOSE.path, domain.close_request(command, book))]


@contextmanager
def scene(folder: Path, **more: Any) -> Iterator[Stage]:
    """A stage with a living executor; its journal is closed whatever happens."""
    stage = Stage(folder, **more)
    stage.begin()
    try:
        yield stage
    finally:
        stage.journal._closing.close()


def tighter(limits: RiskLimits, **more: int) -> RiskLimits:
    """The same limits with some of them changed."""
    return replace(limits, **more)
