"""Accounts that a firm watches, before a scripted broker whose balances move; several accounts at once."""

from dataclasses import dataclass, field

from desk_rig import PRICE, RUN_START_MS, START_NS, Rig, settings
from scripted_broker import ScriptedBroker
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import BrokerEvent, Command, Fill
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.carry import CarryFold
from tbot.execution.desk import AccountSettings, Carried
from tbot.risk.caps import Cap
from tbot.risk.firm import FirmRules
from tbot.risk.limits import RiskLimits

S = 5_000_000
DAY_NS = 86_400 * NS_PER_S
RULES = FirmRules()


@dataclass
class FirmBroker(ScriptedBroker):
    """The balance moves with every fill, and is told at once unless `mute`."""

    mute: bool = False  # no AccountUpdate after a fill: only answers tell the balance

    def fill(self, order_id: int, size: int | None = None, price: int | None = None) -> Fill:
        fill = super().fill(order_id, size, price)
        self.balance_cents += (fill.pnl_cents or 0) - fill.fees_cents - fill.commission_cents
        if not self.mute:
            self._tell(self.status())
        return fill

    def _book(self, contract: str, side: int, size: int, price: int) -> int | None:
        pnl = super()._book(contract, side, size, price)
        return None if pnl is None else pnl * PRODUCTS[contract].tick_value_cents // 50

    def past_day(self, days_ago: int, net_cents: int, contract: str = "MNQ") -> None:
        """A round trip of an earlier day: what it made, its costs included. The balance is the present one already."""
        at_ns, number = START_NS - days_ago * DAY_NS, 1_000_000 - 10 * days_ago
        entry = Fill(at_ns, self.account, number, number, contract, 1, 1, 80_000, 36, 25)
        leave = Fill(at_ns, self.account, number + 1, number + 1, contract, -1, 1, 80_000, 36, 25, net_cents + 122)
        self.fills = sorted([*self.fills, entry, leave], key=lambda fill: fill.fill_id)


@dataclass
class ManyBrokers:
    """One broker for each account, behind one port."""

    brokers: dict[int, FirmBroker]
    wire: list[Command] = field(default_factory=list)

    @property
    def price(self) -> "ManyBrokers":
        return self

    def update(self, prices: dict[str, int]) -> None:
        for broker in self.brokers.values():
            broker.price.update(prices)

    @property
    def now_ns(self) -> int:
        return max(broker.now_ns for broker in self.brokers.values())

    @now_ns.setter
    def now_ns(self, now_ns: int) -> None:
        for broker in self.brokers.values():
            broker.now_ns = now_ns

    def submit(self, command: Command, now_ns: int) -> None:
        self.wire.append(command)
        self.brokers[command.account].submit(command, now_ns)

    def poll(self) -> list[BrokerEvent]:
        return [event for broker in self.brokers.values() for event in broker.poll()]


def account(number: int = 1001, rules: FirmRules | None = RULES, **changes: object) -> AccountSettings:
    """An account that the firm watches, named as its broker names it."""
    kind = "EXPRESS" if rules is not None and rules.stage == "funded" else "PRAC"
    return AccountSettings(number, f"{kind}-{number - 1000}", rules=rules, **changes)  # type: ignore[arg-type]


def broker(number: int = 1001, balance_cents: int = S, **changes: object) -> FirmBroker:
    return FirmBroker(number, f"PRAC-{number - 1000}", balance_cents=balance_cents, **changes)  # type: ignore[arg-type]


def firm_rig(
    balance_cents: int = S,
    *,
    held: AccountSettings | None = None,
    limits: RiskLimits | None = None,
    at: FirmBroker | None = None,
    caps: tuple[Cap, ...] = (),
    now_ns: int = START_NS,
    run: int = 0,
) -> Rig:
    """One account, started."""
    held = held or account()
    made = settings(limits, (held,), run_start_ms=RUN_START_MS + run, caps=caps)
    truth = at or FirmBroker(held.account, held.name, balance_cents=balance_cents)
    rig = Rig(settings=made, broker=truth, now_ns=now_ns)
    return rig.start()


def many_rig(*accounts: AccountSettings, limits: RiskLimits | None = None, start: bool = True) -> Rig:
    """Several accounts, started unless `start` is False."""
    brokers = {held.account: broker(held.account) for held in accounts}
    rig = Rig(settings=settings(limits, accounts), broker=ManyBrokers(brokers))  # type: ignore[arg-type]
    return rig.start() if start else rig


def carried(rig: Rig, number: int = 1001) -> Carried:
    """What the journal of a rig leaves for the next run."""
    fold = CarryFold()
    for item, outputs in rig.rows:
        fold.add(item, outputs)
    return fold.carried(number)


def restarted(rig: Rig, held: AccountSettings, limits: RiskLimits | None = None) -> Rig:
    """A new Desk before the same broker."""
    rig.broker.events.clear()
    made = settings(limits, (held,), run_start_ms=rig.settings.run_start_ms + 60_000)
    fresh = Rig(settings=made, broker=rig.broker, now_ns=rig.now_ns, prices=rig.prices)
    return fresh.start()


def move(rig: Rig, contract: str, ticks: int) -> None:
    """The market goes to so many ticks from where it began; told with the next timer."""
    rig.prices[contract] = PRICE[contract] + ticks


def exit_at(rig: Rig, kind: str, contract: str = "MNQ", price: int | None = None) -> Fill:
    """The newest stop (SL) or target (TP) fills, at its price unless another is given."""
    leg = rig.broker.leg(kind, contract)
    fill = rig.broker.fill(leg.order_id, price=price or (leg.stop if kind == "SL" else leg.limit))
    rig.pump()
    return fill
