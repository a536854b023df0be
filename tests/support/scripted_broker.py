"""A broker for Desk tests: keeps the truth of one account and does what a script tells it, faults included.

It fills entries at once (or when told), attaches bracket legs, cancels the sibling of a filled leg, and answers queries
from its truth. `script` lists what to do with the next commands of a kind; `deaf` withholds user-hub events, so that
only answers and snapshots tell. Independent of the project's own exchange on purpose: it is the referee.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace

from tbot.domain.messages import (
    AccountUpdate,
    BrokerEvent,
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    Fill,
    ModifyStop,
    OrderUpdate,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    PositionUpdate,
    Query,
    Snapshot,
)

FINAL = ("filled", "cancelled", "expired", "rejected")
FEES, COMMISSION = 36, 25
KINDS = {
    PlaceBracket: "place", PlaceStop: "stop", PlaceTarget: "target", PlaceExit: "exit", CancelOrder: "cancel",
    CloseContract: "close", ModifyStop: "modify", Query: "query",
}  # fmt: skip
# Words of a script that are one column of the REST outcome table: (outcome, situation, cause).
SITUATIONS = {
    "not_sent": ("not_sent", "not sent", ""),
    "no_budget": ("not_sent", "no budget", ""),
    "rejected": ("rejected", "refused", ""),
    "gone": ("rejected", "refused", "gone"),
    "account": ("rejected", "refused", "account"),
    "ambiguous": ("ambiguous", "ambiguous", ""),
    "401": ("ambiguous", "401", ""),
    "429": ("ambiguous", "429", ""),
}


@dataclass
class ScriptedBroker:
    """Truth of `account`; prices per contract in `price`. `now_ns` is set by the rig."""

    account: int = 1001
    name: str = "PRAC-1"
    price: dict[str, int] = field(default_factory=dict)
    balance_cents: int = 5_000_000
    can_trade: bool = True
    simulated: bool = True
    deaf: bool = False  # no user-hub events
    silent: bool = False  # no answers to anything
    query_complete: bool = True
    fill_entries: bool = True
    legs: tuple[str, ...] = ("SL", "TP")
    stop_error: int = 0  # ticks by which the stop is farther than asked
    keep_sibling: bool = False  # no OCO
    activate: bool = True  # legs become working when their entry fills
    hidden: set[int] = field(default_factory=set)  # orders that answers leave out (stale replica)
    hide_positions: bool = False  # answers list no positions
    ghosts: list[OrderUpdate] = field(default_factory=list)  # orders that answers list although they are over
    kept: list[Snapshot] = field(default_factory=list)  # answers that were made but not delivered yet
    script: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    now_ns: int = 0

    def __post_init__(self) -> None:
        self.orders: dict[int, OrderUpdate] = {}
        self.fills: list[Fill] = []
        self.events: list[BrokerEvent] = []
        self.wire: list[Command] = []
        self.held: dict[str, list[tuple[int, int]]] = defaultdict(list)  # contract -> [(side, price)] single contracts
        self.brackets: dict[int, PlaceBracket] = {}
        self.next_id = 3_000_000_001

    # --------------------------------------------------------------------------------------------- Broker port
    def poll(self) -> list[BrokerEvent]:
        events, self.events = self.events, []
        return events

    def submit(self, command: Command, now_ns: int) -> None:
        self.now_ns = max(self.now_ns, now_ns)
        self.wire.append(command)
        if self.silent:
            return
        kind = KINDS[type(command)]
        todo = self.script[kind].pop(0) if self.script[kind] else "accept"
        if isinstance(command, PlaceBracket):
            self._place(command, todo)
        elif isinstance(command, CancelOrder):
            self._cancel(command, todo)
        elif isinstance(command, CloseContract):
            self._close(command, todo)
        elif isinstance(command, ModifyStop):
            self._modify(command, todo)
        elif isinstance(command, PlaceStop | PlaceTarget | PlaceExit):
            self._protect(command, todo)
        elif isinstance(command, Query) and todo == "keep":
            self.kept.append(self.snapshot(command))
        elif isinstance(command, Query) and todo in SITUATIONS:
            told = todo if todo in ("401", "429") else ""
            empty = Snapshot(self.now_ns, self.account, command.command_id, False, None, (), (), (), todo, told)
            self.events.append(empty)
        elif isinstance(command, Query) and todo != "lose":
            self.events.append(self.snapshot(command))

    def _result(self, command: Command, outcome: str, order_id: int | None = None, text: str = "") -> None:
        outcome, situation, cause = SITUATIONS.get(outcome, (outcome, "", ""))
        self.events.append(
            CommandResult(
                self.now_ns, self.account, command.command_id, outcome, order_id, text,  # type: ignore[arg-type]
                situation=situation, cause=cause,  # type: ignore[arg-type]
            )
        )  # fmt: skip

    def _place(self, command: PlaceBracket, todo: str) -> None:
        """todo: accept, reject, reject_with_id, ambiguous_lost, ambiguous_done, late (after events), or SITUATIONS"""
        if todo == "reject" or todo in SITUATIONS:
            self._result(command, "rejected" if todo == "reject" else todo)
            return
        if todo == "ambiguous_lost":
            self._result(command, "ambiguous")
            return
        if todo == "reject_with_id":
            order_id = self._new(command.contract, command.side, command.size, "market", tag=command.tag)
            self._change(order_id, status="rejected")
            self._result(command, "rejected", order_id)
            return
        if todo == "accept":
            self._result(command, "accepted", self.next_id)
        self.deliver(command)
        if todo == "late":
            self._result(command, "accepted", min(number for number, held in self.brackets.items() if held == command))
        if todo == "ambiguous_done":
            self._result(command, "ambiguous")

    def deliver(self, command: PlaceBracket) -> int:
        """The order reaches the exchange."""
        order_id = self._new(command.contract, command.side, command.size, "market", tag=command.tag)
        self.brackets[order_id] = command
        for leg in self.legs:
            kind = "stop" if leg == "SL" else "limit"
            tag = f"{command.tag}-{leg}"
            self._new(command.contract, -command.side, command.size, kind, "suspended", tag, order_id)
        if self.fill_entries:
            self.fill(order_id)
        return order_id

    def _protect(self, command: PlaceStop | PlaceTarget | PlaceExit, todo: str) -> None:
        """todo: accept, reject_with_id, ambiguous_done, SITUATIONS (not done)."""
        if todo in SITUATIONS:
            self._result(command, todo)
            return
        order_id = self.next_id
        outcome = {"ambiguous_done": "ambiguous", "reject_with_id": "rejected"}.get(todo, "accepted")
        self._result(command, outcome, None if outcome == "ambiguous" else order_id)
        self.arrive(command, "rejected" if todo == "reject_with_id" else "open")

    def arrive(self, command: PlaceStop | PlaceTarget | PlaceExit, status: str = "open") -> int:
        """A stop, target or exit reaches the exchange; an exit fills at once when entries do."""
        kind = {PlaceStop: "stop", PlaceTarget: "limit", PlaceExit: "market"}[type(command)]
        stop = command.stop if isinstance(command, PlaceStop) else None
        order_id = self._new(command.contract, command.side, command.size, kind, status, command.tag, None, stop)
        if isinstance(command, PlaceTarget):
            self._change(order_id, limit=command.limit)
        if kind == "market" and status == "open" and self.fill_entries:
            self.fill(order_id)
        return order_id

    def _cancel(self, command: CancelOrder, todo: str) -> None:
        if todo != "accept":
            self._result(command, todo)
            return
        order = self.orders.get(command.order_id)
        known = order is not None and order.status not in FINAL
        self._result(command, "accepted" if known else "rejected", command.order_id)
        if known:
            self._change(command.order_id, status="cancelled")

    def _modify(self, command: ModifyStop, todo: str) -> None:
        """todo: accept, price_only (size ignored), rejected, ambiguous (not done), ambiguous_done"""
        if todo in ("accept", "ambiguous_done"):
            self._change(command.order_id, stop=command.stop, size=command.size or self.orders[command.order_id].size)
        elif todo == "price_only":
            self._change(command.order_id, stop=command.stop)
        outcome = {"accept": "accepted", "price_only": "accepted", "ambiguous_done": "ambiguous"}.get(todo, todo)
        self._result(command, outcome, command.order_id)

    def _close(self, command: CloseContract, todo: str) -> None:
        if todo in SITUATIONS:
            self._result(command, todo)
            return
        size = self.size(command.contract)
        self._result(command, "accepted" if size else "rejected", None, "" if size else "Position not found")
        if size:
            order_id = self._new(command.contract, -1 if size > 0 else 1, abs(size), "market")
            self.fill(order_id)
        if todo == "ambiguous_done":
            self.events = [event for event in self.events if not isinstance(event, CommandResult)]
            self._result(command, "ambiguous")

    # ------------------------------------------------------------------------------------------ what happens
    def _new(
        self,
        contract: str,
        side: int,
        size: int,
        kind: str,
        status: str = "pending",
        tag: str = "",
        parent: int | None = None,
        stop: int | None = None,
    ) -> int:
        order_id = self.next_id
        self.next_id += 1
        order = OrderUpdate(
            self.now_ns, self.account, order_id, contract, status, kind, side, size, 0, None, stop, tag, parent
        )  # type: ignore[arg-type]
        self.orders[order_id] = order
        self._tell(order)
        return order_id

    def place_foreign(self, contract: str, side: int, size: int, kind: str = "market", stop: int | None = None) -> int:
        """Somebody else places an order; a market order fills at once."""
        order_id = self._new(contract, side, size, kind, "pending" if kind == "market" else "open", stop=stop)
        if kind == "market":
            self.fill(order_id)
        return order_id

    def plant(self, contract: str, side: int, size: int, kind: str, tag: str, stop: int | None = None) -> int:
        """A working order that is simply there."""
        return self._new(contract, side, size, kind, "open", tag, None, stop)

    def fill(self, order_id: int, size: int | None = None, price: int | None = None) -> Fill:
        """Fill an order, wholly or in part; an entry activates its legs, a leg cancels its sibling."""
        order = self.orders[order_id]
        size = size or order.size - order.filled
        price = self.price[order.contract] if price is None else price
        pnl = self._book(order.contract, order.side, size, price)
        fill = Fill(
            self.now_ns, self.account, self.next_id, order_id, order.contract, order.side, size, price,
            FEES * size, COMMISSION * size, pnl,
        )  # fmt: skip
        self.next_id += 1
        self.fills.append(fill)
        filled = order.filled + size
        self._change(order_id, filled=filled, status="filled" if filled == order.size else "open")
        self._tell(fill)
        self._tell(
            PositionUpdate(
                self.now_ns, self.account, order.contract, self.size(order.contract), self._basis(order.contract)
            )
        )
        if order_id in self.brackets:
            self._activate(order_id, price, filled)
        elif order.parent_id is not None and not self.keep_sibling:
            for other in list(self.orders.values()):
                if other.parent_id == order.parent_id and other.status not in FINAL:
                    self._change(other.order_id, status="cancelled")
        return fill

    def _activate(self, entry_id: int, price: int, size: int) -> None:
        command = self.brackets[entry_id]
        for leg in list(self.orders.values()):
            if leg.parent_id != entry_id:
                continue
            status = "open" if self.activate else "suspended"
            if leg.order_type == "stop":
                level = price + command.stop_offset - command.side * self.stop_error
                self._change(leg.order_id, status=status, stop=level, size=size)
            else:
                self._change(leg.order_id, status=status, limit=price + command.target_offset, size=size)

    def _book(self, contract: str, side: int, size: int, price: int) -> int | None:
        """FIFO by single contracts; gross cents of MNQ-like 50-cent ticks are the test's business, so ticks x 50."""
        pnl, closed = 0, False
        for _ in range(size):
            lots = self.held[contract]
            if lots and lots[0][0] == -side:
                lot_side, lot_price = lots.pop(0)
                pnl += lot_side * (price - lot_price) * 50
                closed = True
            else:
                lots.append((side, price))
        return pnl if closed else None

    def size(self, contract: str) -> int:
        return sum(side for side, _ in self.held[contract])

    def _basis(self, contract: str) -> int:
        return sum(price for _, price in self.held[contract])

    def _change(self, order_id: int, **changes: object) -> None:
        self.orders[order_id] = replace(self.orders[order_id], now_ns=self.now_ns, **changes)  # type: ignore[arg-type]
        self._tell(self.orders[order_id])

    def cancel_by_hand(self, order_id: int) -> None:
        self._change(order_id, status="cancelled")

    def _tell(self, event: BrokerEvent) -> None:
        if not self.deaf:
            self.events.append(event)

    # ------------------------------------------------------------------------------------------------- truth
    def status(self) -> AccountUpdate:
        return AccountUpdate(self.now_ns, self.account, self.name, self.balance_cents, self.can_trade, self.simulated)

    def snapshot(self, query: Query) -> Snapshot:
        if not self.query_complete:
            return Snapshot(self.now_ns, self.account, query.command_id, False, None, (), (), (), "no answer")
        orders = tuple(order for order in self.working() if order.order_id not in self.hidden)
        orders += tuple(self.ghosts)
        positions = tuple(
            PositionUpdate(self.now_ns, self.account, contract, self.size(contract), self._basis(contract))
            for contract in sorted(self.held)
            if self.size(contract) and not self.hide_positions
        )
        fills = tuple(fill for fill in self.fills if fill.now_ns >= query.since_ns)
        return Snapshot(self.now_ns, self.account, query.command_id, True, self.status(), orders, positions, fills)

    def working(self) -> list[OrderUpdate]:
        return [order for order in self.orders.values() if order.status not in FINAL]

    def leg(self, kind: str, contract: str = "MNQ") -> OrderUpdate:
        """The newest bracket leg of a kind (SL, TP)."""
        return [o for o in self.orders.values() if o.tag.endswith(f"-{kind}") and o.contract == contract][-1]

    def own(self, role: str) -> OrderUpdate:
        """The newest order with a role of our own making (S, T, X)."""
        return [order for order in self.orders.values() if order.tag.endswith(f"-{role}")][-1]

    def sent(self, kind: type[Command]) -> list[Command]:
        return [command for command in self.wire if isinstance(command, kind)]
