"""The Desk against the simulated venue, in process: commands and events go through the gateway's own records.

So partial fills and everything that `VenueControls` can do reach the Desk as they would over the wire, without sockets
and without chance. `VenueDeskRig` is the Desk's rig with this broker; `fill` slippage is none.
"""

from dataclasses import dataclass, field

from desk_rig import PRICE, Rig
from sim_rig import tick_rows
from tbot.domain.contracts import contract_from_broker_id
from tbot.domain.messages import (
    BrokerEvent,
    CancelOrder,
    CloseContract,
    Command,
    CommandResult,
    ModifyStop,
    Note,
    PlaceBracket,
    PlaceExit,
    PlaceStop,
    PlaceTarget,
    Query,
    Snapshot,
)
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.book_types import Order
from tbot.execution.fill_model import FillSettings
from tbot.gateway import codec_domain as domain
from tbot.gateway import codec_tables as tables
from tbot.gateway import outcomes
from tbot.gateway.codec import BrokerAccount, BrokerOrder, BrokerPosition, BrokerTrade
from tbot.gateway.codec_domain import ContractBook
from tbot.sim.accounts import SimAccount
from tbot.sim.exchange import Answer, Exchange
from tbot.sim.orders import ModifyFields, PlaceFields
from tbot.sim.venue_controls import VenueControls
from tbot.sim.views import broker_account, broker_order, broker_position, broker_trade, event_record

OWNER = "Trader"
START_CENTS = 5_000_000
IDS = {
    "MNQ": "CON.F.US.MNQ.Z26", "NQ": "CON.F.US.ENQ.Z26", "MES": "CON.F.US.MES.Z26", "ES": "CON.F.US.EP.Z26",
    "MGC": "CON.F.US.MGC.Z26", "GC": "CON.F.US.GCE.Z26",
}  # fmt: skip


@dataclass
class VenueBroker:
    """Broker port over an Exchange; has the few members of ScriptedBroker that the Desk's rig uses."""

    exchange: Exchange = field(
        default_factory=lambda: Exchange(map(contract_from_broker_id, IDS.values()), settings=FillSettings(0, 0))
    )
    price: dict[str, int] = field(default_factory=dict)
    now_ns: int = 0
    count: int = 1  # accounts of the owner

    def __post_init__(self) -> None:
        made = [self.exchange.add_account(OWNER, f"PRAC-{number}") for number in range(1, self.count + 1)]
        self.accounts: dict[int, SimAccount] = {account.account_id: account for account in made}
        self.account: SimAccount = made[0]  # the one that is meant where none is named
        self.book = ContractBook(IDS)
        self.wire: list[Command] = []
        self._answers: list[BrokerEvent] = []

    def poll(self) -> list[BrokerEvent]:
        events, self._answers = self._answers, []
        for item in self.exchange.drain():
            if item.account.account_id in self.accounts:
                events.append(self._message(event_record(item, self.exchange.contracts)))
        return events

    def submit(self, command: Command, now_ns: int) -> None:
        self.wire.append(command)
        account = command.account
        if isinstance(command, Query):
            self._answers.append(self.snapshot(command, now_ns))
        elif isinstance(command, PlaceBracket):
            request = domain.place_bracket_request(command, self.book)
            stop, target = request.stop_loss_bracket, request.take_profit_bracket
            assert stop is not None
            assert target is not None
            fields = PlaceFields(
                account, request.contract_id, request.type, request.side, request.size,
                tag=request.custom_tag or "", stop_ticks=stop.ticks, target_ticks=target.ticks,
            )  # fmt: skip
            self._answer(command, tables.ORDER_PLACE, self.exchange.place(OWNER, fields, now_ns), now_ns)
        elif isinstance(command, PlaceStop):
            request = domain.place_stop_request(command, self.book)
            fields = PlaceFields(
                account, request.contract_id, request.type, request.side, request.size, stop_price=request.stop_price,
                tag=request.custom_tag or "",
            )  # fmt: skip
            self._answer(command, tables.ORDER_PLACE, self.exchange.place(OWNER, fields, now_ns), now_ns)
        elif isinstance(command, PlaceTarget | PlaceExit):
            make = domain.place_target_request if isinstance(command, PlaceTarget) else domain.place_exit_request
            request = make(command, self.book)  # type: ignore[arg-type]
            fields = PlaceFields(
                account, request.contract_id, request.type, request.side, request.size,
                limit_price=request.limit_price, tag=request.custom_tag or "",
            )  # fmt: skip
            self._answer(command, tables.ORDER_PLACE, self.exchange.place(OWNER, fields, now_ns), now_ns)
        elif isinstance(command, ModifyStop):
            change = domain.modify_stop_request(command, self.book)
            answer = self.exchange.modify(
                OWNER, ModifyFields(account, command.order_id, size=change.size, stop_price=change.stop_price), now_ns
            )
            self._answer(command, tables.ORDER_MODIFY, answer, now_ns)
        elif isinstance(command, CancelOrder):
            answer = self.exchange.cancel(OWNER, account, command.order_id, now_ns)
            self._answer(command, tables.ORDER_CANCEL, answer, now_ns)
        else:
            assert isinstance(command, CloseContract)
            answer = self.exchange.close(OWNER, account, self.book.broker_id(command.contract), now_ns)
            self._answer(command, tables.POSITION_CLOSE, answer, now_ns)

    def _answer(self, command: Command, call: tables.Call, answer: Answer, now_ns: int) -> None:
        payload = call is not tables.ORDER_PLACE or answer.order_id is not None
        situation = outcomes.classify(call, answer.code == 0, answer.code, answer.text or "", payload)
        outcome = outcomes.outcome_of(call, situation)
        self._answers.append(
            CommandResult(
                now_ns, command.account, command.command_id, outcome, answer.order_id, answer.text or "",
                situation=situation.value, cause=outcomes.cause_of(call, situation, answer.code),
            )
        )  # fmt: skip

    def _message(self, record: BrokerAccount | BrokerOrder | BrokerPosition | BrokerTrade) -> BrokerEvent:
        if isinstance(record, BrokerAccount):
            return domain.account_update(record, self.now_ns)
        if isinstance(record, BrokerOrder):
            return domain.order_update(record, self.book, record.updated_ns)
        if isinstance(record, BrokerPosition):
            return domain.position_update(record, self.book, self.now_ns)
        return domain.fill(record, self.book, record.created_ns)

    def snapshot(self, query: Query, now_ns: int) -> Snapshot:
        """What the executor's reads would bring: account, orders that are not over, positions, fills."""
        account, contracts, book = self.accounts[query.account], self.exchange.contracts, self.book
        if self.exchange.account(OWNER, account.account_id) is None:
            return Snapshot(now_ns, query.account, query.command_id, False, None, (), (), (), "account not found")
        living = account.book.living_orders()
        orders = [broker_order(order, account.account_id, contracts[order.contract]) for order in living]
        held = account.book.holdings()
        positions = [broker_position(item, account.account_id, contracts[item.contract]) for item in held]
        fills = [broker_trade(item, contracts[item.contract]) for item in account.book.fills]
        return Snapshot(
            now_ns,
            query.account,
            query.command_id,
            True,
            domain.account_update(broker_account(account), now_ns),
            tuple(domain.order_update(order, book, now_ns) for order in orders),
            tuple(domain.position_update(position, book, now_ns) for position in positions),
            tuple(domain.fill(item, book, item.created_ns) for item in fills if item.created_ns >= query.since_ns),
        )

    # -------------------------------------------------------------------------------------------------- truth
    def living(self) -> list[Order]:
        return self.account.book.living_orders()

    def size(self, contract: str) -> int:
        return self.account.book.size(contract)

    def stop_size(self, contract: str) -> int:
        """Contracts that working stops would take out of the position."""
        position = self.size(contract)
        return sum(
            order.remaining
            for order in self.living()
            if (order.contract, order.status) == (contract, "open")
            and order.order_type in ("stop", "trailing_stop")
            and order.side * position < 0
        )

    def sent(self, kind: type[Command]) -> list[Command]:
        return [command for command in self.wire if isinstance(command, kind)]


class VenueDeskRig(Rig):
    """Desk, venue and its controls; every `tick` quotes all contracts at their price and prints one trade there."""

    def __init__(self, venue: VenueBroker | None = None, **more: object) -> None:
        super().__init__(broker=venue or VenueBroker(), **more)  # type: ignore[arg-type]
        self.venue: VenueBroker = self.broker  # type: ignore[assignment]
        self.controls = VenueControls(self.venue.exchange)
        self.naked_ns = 0  # longest time in which the venue held more than its stops would take out
        self._naked_since: dict[str, int] = {}
        self.market(0)

    @property
    def account_id(self) -> int:
        return self.venue.account.account_id

    def market(self, seconds: float, *, trade: bool = True) -> None:
        """The venue's market moves on by `seconds`; the Desk hears of it in the next tick."""
        at_ns = self.now_ns + int(seconds * NS_PER_S)
        for name, price in self.prices.items():
            rows: list[tuple[object, ...]] = [(at_ns, "quote", price - 1, price + 1)]
            rows += [(at_ns, "trade", price, 1, 1)] if trade else []
            self.venue.exchange.on_ticks(tick_rows(rows, name))
        self.venue.now_ns = at_ns
        self.venue.exchange.advance(at_ns)

    def tick(self, seconds: float = 0.25) -> list[Note]:
        self.market(seconds)
        notes = super().tick(seconds)
        self._watch()
        return notes

    def _watch(self) -> None:
        for name in PRICE:
            if abs(self.venue.size(name)) > self.venue.stop_size(name):
                since = self._naked_since.setdefault(name, self.now_ns)
                self.naked_ns = max(self.naked_ns, self.now_ns - since)
            else:
                self._naked_since.pop(name, None)

    def agree(self) -> None:
        """Engine and venue tell the same positions, and the same money to the cent."""
        view, book = self.view(), self.venue.account.book
        told = {item["contract"]: item["side"] * item["size"] for item in view["positions"]}
        assert told == {holding.contract: holding.size for holding in book.holdings()}
        assert view["balance_cents"] == book.balance_cents
        assert view["pnl_cents"] == book.balance_cents - START_CENTS
