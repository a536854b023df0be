"""What a run leaves behind for the next one, folded from its journal: halts, locks, placements, closing balances.

Everything else (positions, fills, working orders, the day's result) is asked from the broker (failure-model.md section
6, K-EX-...). Placements without a recorded answer come out as "missing" and become UNKNOWN in the next run.
"""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from tbot.domain.messages import (
    AccountUpdate,
    Barred,
    CloseContract,
    CommandResult,
    DeskInput,
    DeskOutput,
    Intent,
    OperatorIn,
    OrderUpdate,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    RoundTrip,
    SignalIn,
    Snapshot,
    StateChange,
)
from tbot.domain.trading_hours import trading_day
from tbot.execution.engine_state import Severity, severity_of
from tbot.execution.settings import Carried, CarriedBar, CarriedEntry, CarriedOrder
from tbot.execution.tags import parse_tag
from tbot.execution.trip_notes import identity

# A flatten with one of these codes is of the whole account. Others are of one contract and start again by themselves.
ACCOUNT_WIDE = frozenset({"RC_OPERATOR", "RC_KILL_SWITCH", "RC_DAILY_LOSS", "RC_MAX_LOSS", "RC_TARGET", "RC_ASSERT"})


@dataclass(slots=True)
class _Account:
    reasons: dict[str, str] = field(default_factory=dict)
    day: str = ""
    reducing: tuple[str, str] | None = None
    closings: dict[str, int] = field(default_factory=dict)  # trading day -> last balance told in it
    stopped: bool = False  # RC_OPERATOR comes from an orderly stop and nothing else, which does not bind the next run
    entries: dict[str, CarriedEntry] = field(default_factory=dict)  # by tag
    orders: dict[str, CarriedOrder] = field(default_factory=dict)  # by tag
    tags: dict[int, str] = field(default_factory=dict)  # order id -> tag of ours; "": a close-contract's
    closing: set[str] = field(default_factory=set)  # contracts with a close-contract whose order was not seen
    seen_day: date | None = None  # of `tags` and `closing`
    barred: dict[str, str] = field(default_factory=dict)  # contract that a person flattened -> trading day
    bars: dict[str, CarriedBar] = field(default_factory=dict)  # by contract
    trips: list[tuple[str, str]] = field(default_factory=list)  # (trading day, identity) of the newest day's notes


class CarryFold:
    """Folds journal rows in order; `carried` gives the result. Rows of several runs may follow each other."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}
        self._tag_of: dict[str, str] = {}  # command id of a placement -> tag

    def begin(self, account: int, told: Carried) -> None:
        """What the first run of a journal was told: it stands for everything before, until a row says otherwise."""
        held = self._of(account)
        held.reasons, held.day, held.reducing = dict(told.reasons), told.day, told.reducing
        held.entries = {entry.tag: entry for entry in told.entries}
        held.orders = {order.tag: order for order in told.orders}
        held.closings = dict(told.closings)
        held.tags, held.closing = dict(told.tags), set(told.closing)
        held.barred = dict.fromkeys(told.barred, told.day)
        held.bars = {bar.contract: bar for bar in told.bars}
        held.trips = list(told.trips)

    @property
    def accounts(self) -> tuple[int, ...]:
        """Every account that was told of."""
        return tuple(self._accounts)

    def add(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """One row: what came in and what went out."""
        if isinstance(item, CommandResult):
            self._result(item)
        elif isinstance(item, OperatorIn):
            self._operator(item, outputs)
        elif isinstance(item, AccountUpdate):
            self._balance(item)
        elif isinstance(item, OrderUpdate):
            self._seen(item)
        elif isinstance(item, Snapshot):
            for update in item.orders:
                self._seen(update)
            if item.status is not None:
                self._balance(item.status)
        for output in outputs:
            if isinstance(output, StateChange):
                self._state(output)
            elif isinstance(output, Intent) and isinstance(item, SignalIn):
                self._intent(item, output)
            elif isinstance(output, PlaceBracket):
                self._tag_of[output.command_id] = output.tag
            elif isinstance(output, PlaceStop | PlaceTarget | PlaceExit):
                self._protective(output, item.now_ns)
            elif isinstance(output, CloseContract):
                self._today(output.account, item.now_ns).closing.add(output.contract)
            elif isinstance(output, RoundTrip):
                self._ended(output)
            elif isinstance(output, Barred):
                day = trading_day(output.now_ns).isoformat()
                bar = CarriedBar(output.contract, output.code, output.text, day)
                self._of(output.account).bars[output.contract] = bar

    def carried(self, account: int) -> Carried:
        """What the next run must be told about an account; empty for one that never appeared."""
        held = self._accounts.get(account, _Account())
        reasons = {code: text for code, text in held.reasons.items() if code != "RC_OPERATOR" or not held.stopped}
        barred = tuple(contract for contract, day in held.barred.items() if day == held.day)
        entries, orders = tuple(held.entries.values()), tuple(held.orders.values())
        closings = tuple(sorted(held.closings.items()))
        return Carried(
            reasons=tuple(reasons.items()),
            day=held.day,
            reducing=held.reducing,
            entries=entries,
            closings=closings,
            orders=orders,
            tags=tuple(sorted(held.tags.items())),
            closing=tuple(sorted(held.closing)),
            barred=barred,
            bars=tuple(held.bars.values()),
            trips=tuple(held.trips),
        )

    def _of(self, account: int) -> _Account:
        return self._accounts.setdefault(account, _Account())

    def _today(self, account: int, now_ns: int) -> _Account:
        held, day = self._of(account), trading_day(now_ns)
        if held.seen_day is not None and held.seen_day != day:
            held.tags.clear()
            held.closing.clear()
        held.seen_day = day
        return held

    def _seen(self, update: OrderUpdate) -> None:
        """Which orders are ours: one that fills while nobody runs is in no list of working orders afterwards."""
        if parse_tag(update.tag) is not None:
            self._today(update.account, update.now_ns).tags[update.order_id] = update.tag
        elif not update.tag and update.order_type == "market":
            held = self._today(update.account, update.now_ns)
            if update.contract in held.closing and update.order_id not in held.tags:
                held.closing.discard(update.contract)
                held.tags[update.order_id] = ""

    def _operator(self, item: OperatorIn, outputs: list[DeskOutput]) -> None:
        named = {output.account for output in outputs} | set(self._accounts)
        for account in named:
            if item.account in (None, account):
                held = self._of(account)
                if _was_refused(item, account, outputs):
                    continue
                if item.verb == "stop":
                    held.stopped = held.stopped or "RC_OPERATOR" not in held.reasons
                elif item.verb == "pause" or (item.verb == "flatten" and item.contract is None):
                    held.stopped = False
                if item.verb == "flatten" and item.contract is not None:
                    held.barred[item.contract] = trading_day(item.now_ns).isoformat()
                elif item.verb == "resume":
                    held.barred.clear()

    def _balance(self, update: AccountUpdate) -> None:
        """The last word of a day is its closing balance, by which the firm's loss floor moves (risk.floor)."""
        self._of(update.account).closings[trading_day(update.now_ns).isoformat()] = update.balance_cents

    def _state(self, change: StateChange) -> None:
        held = self._of(change.account)
        lasting = [code for code in change.reasons if _lasts(code)]
        first = change.reasons[0] if change.reasons else ""
        before = held.reasons
        held.reasons = {code: before.get(code) or (change.text if code == first else code) for code in lasting}
        day = trading_day(change.now_ns).isoformat()
        # A lock that was kept in a run whose clock had gone back stays one of its own day (I14).
        kept = any(code in held.reasons for code in before if severity_of(code) is Severity.LOCK)
        held.day = max(held.day, day) if kept else day
        reducing = change.state == "REDUCING" and first in ACCOUNT_WIDE
        held.reducing = (first, change.text) if reducing else None

    def _intent(self, item: SignalIn, intent: Intent) -> None:
        held = self._of(intent.account)
        quote = item.signal.quote
        today = trading_day(intent.now_ns)
        # Why only the day's: older tags are off the watch list, and older entries count for no limit of today.
        held.entries = {tag: entry for tag, entry in held.entries.items() if trading_day(entry.now_ns) == today}
        held.entries[intent.tag] = CarriedEntry(
            now_ns=intent.now_ns,
            tag=intent.tag,
            signal_id=intent.signal_id,
            contract=intent.contract,
            side=intent.side,
            size=intent.size,
            stop_ticks=intent.stop_ticks,
            target_ticks=intent.target_ticks,
            risk_cents=intent.risk_cents,
            decision_price=quote.ask if intent.side > 0 else quote.bid,
            reason=item.signal.reason,
        )

    def _protective(self, placed: PlaceStop | PlaceTarget | PlaceExit, now_ns: int) -> None:
        held = self._of(placed.account)
        self._tag_of[placed.command_id] = placed.tag
        today = trading_day(now_ns)
        held.orders = {tag: order for tag, order in held.orders.items() if trading_day(order.now_ns) == today}
        kind: Literal["stop", "target", "exit"] = "exit"
        price = None
        if isinstance(placed, PlaceStop):
            kind, price = "stop", placed.stop
        elif isinstance(placed, PlaceTarget):
            kind, price = "target", placed.limit
        held.orders[placed.tag] = CarriedOrder(
            now_ns, kind, placed.tag, placed.contract, placed.side, placed.size, price
        )

    def _ended(self, trip: RoundTrip) -> None:
        """What was placed beside a position says nothing about the next one; only what is not proven is watched on."""
        held, day = self._of(trip.account), trading_day(trip.now_ns).isoformat()
        held.trips = [told for told in held.trips if told[0] == day] + [(day, identity(trip))]
        held.orders = {
            tag: order
            for tag, order in held.orders.items()
            if order.contract != trip.contract or order.outcome in ("ambiguous", "missing")
        }

    def _result(self, result: CommandResult) -> None:
        tag = self._tag_of.get(result.command_id, "")
        held = self._of(result.account)
        if tag in held.entries:
            entry = held.entries[tag]
            held.entries[tag] = replace(entry, outcome=result.outcome, order_id=result.order_id or entry.order_id)
        elif tag in held.orders:
            order = held.orders[tag]
            held.orders[tag] = replace(order, outcome=result.outcome, order_id=result.order_id or order.order_id)


def _was_refused(item: OperatorIn, account: int, outputs: list[DeskOutput]) -> bool:
    changes = [output for output in outputs if isinstance(output, StateChange) and output.account == account]
    return any(change.text.startswith(f"{item.verb} refused") for change in changes)


def _lasts(code: str) -> bool:
    """Whether a reason binds the next run: halts, locks, and what a person asked for."""
    return code == "RC_OPERATOR" or severity_of(code) is not Severity.PAUSE
