"""A Desk with a scripted broker in virtual time, and builders for its inputs."""

from dataclasses import dataclass, field

from scripted_broker import ScriptedBroker
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import (
    Denial,
    DeskInput,
    DeskOutput,
    FeedIn,
    Intent,
    Note,
    OperatorIn,
    PlaceBracket,
    Quote,
    RoundTrip,
    Signal,
    SignalIn,
    StateChange,
    TimerIn,
)
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import OperatingHours, SessionCalendar, SessionTable
from tbot.execution.broker import DeskLoop
from tbot.execution.desk import AccountSettings, Desk, DeskSettings
from tbot.risk.caps import Cap
from tbot.risk.limits import RiskLimits

# Tuesday 2026-11-17 10:00 New York: inside every window.
START_NS = 1_794_927_600 * NS_PER_S
RUN_START_MS = START_NS // 1_000_000
PRICE = {"MNQ": 80_000, "NQ": 80_000, "MES": 26_000, "ES": 26_000, "MGC": 40_000, "GC": 40_000}


def settings(
    limits: RiskLimits | None = None,
    accounts: tuple[AccountSettings, ...] = (AccountSettings(1001, "PRAC-1"),),
    *,
    on_exit: str = "flatten",
    always: bool = True,
    speed: float = 1.0,
    run_start_ms: int = RUN_START_MS,
    caps: tuple[Cap, ...] = (),
) -> DeskSettings:
    products = {symbol: PRODUCTS[symbol] for symbol in PRICE}
    table = SessionTable(frozenset({2026}), ())
    calendar = SessionCalendar(table, hours=OperatingHours(), always=always)
    chosen = limits or RiskLimits()
    return DeskSettings(accounts, chosen, products, calendar, run_start_ms, on_exit, speed, caps)  # type: ignore[arg-type]


def quote(
    contract: str = "MNQ",
    *,
    at_ns: int = START_NS,
    price: int | None = None,
    seq: int = 10,
    age_ns: int = 0,
    epoch: int = 1,
) -> Quote:
    middle = PRICE[contract] if price is None else price
    return Quote(middle - 1, middle + 1, at_ns, seq, age_ns, epoch)


def signal(
    number: int | str = 1,
    contract: str = "MNQ",
    side: int = 1,
    *,
    stop_ticks: int = 40,
    target_ticks: int = 80,
    decision: Quote | None = None,
) -> Signal:
    """A signal with distances from the adverse side of its decision quote."""
    held = decision or quote(contract)
    adverse = held.ask if side > 0 else held.bid
    return Signal(
        signal_id=f"{contract}-{number}",
        contract=contract,
        side=side,
        quote=held,
        stop=adverse - side * stop_ticks,
        target=adverse + side * target_ticks,
        score=70.0,
        reason="test",
        zone_id=1,
        zone_timeframe_min=5,
        parts={},
        event_ids=(1,),
        params_hash="p",
        decided_ns=held.exch_ns,
        ring_seq=held.seq,
    )


@dataclass
class Rig:
    """Desk, broker and virtual time; keeps every input and output."""

    settings: DeskSettings = field(default_factory=settings)
    broker: ScriptedBroker = field(default_factory=ScriptedBroker)
    now_ns: int = START_NS
    prices: dict[str, int] = field(default_factory=lambda: dict(PRICE))

    def __post_init__(self) -> None:
        self.broker.price.update({name: price + 1 for name, price in self.prices.items()})  # a buy fills at the ask
        self.broker.now_ns = max(self.broker.now_ns, self.now_ns)  # the clock of the broker never steps back
        self.rows: list[tuple[DeskInput, list[DeskOutput]]] = []
        self.desk = Desk(self.settings)
        self.loop = DeskLoop(self.desk, self.broker, self)
        self.notes: list[Note] = []
        self.quote_age_ns = 0

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        self.rows.append((item, list(outputs)))

    def feed(self, item: DeskInput) -> list[Note]:
        notes = self.loop.feed(item)
        self.notes += notes
        return notes

    def start(self) -> "Rig":
        """To ACTIVE: first query answered, market data ok."""
        self.tick(0)
        for contract in self.prices:
            self.feed(FeedIn(self.now_ns, contract, "ok"))
        return self

    def tick(self, seconds: float = 0.25) -> list[Note]:
        """Time passes by `seconds`, in one timer."""
        self.now_ns += int(seconds * NS_PER_S)
        self.broker.now_ns = max(self.broker.now_ns, self.now_ns)  # the clock of the broker never steps back
        quotes = {name: self.quote(name) for name in self.prices}
        return self.feed(TimerIn(self.now_ns, quotes))

    def run(self, seconds: float, step: float = 0.25) -> list[Note]:
        """Time passes in timers of `step`."""
        notes: list[Note] = []
        for _ in range(round(seconds / step)):
            notes += self.tick(step)
        return notes

    def quote(self, contract: str) -> Quote:
        return quote(contract, at_ns=self.now_ns, price=self.prices[contract], age_ns=self.quote_age_ns)

    def signal(
        self, number: int | str = 1, contract: str = "MNQ", side: int = 1, *, age_ns: int = 0, **kwargs: int
    ) -> list[Note]:
        now = self.quote(contract)
        made = signal(number, contract, side, decision=now, **kwargs)
        return self.feed(SignalIn(self.now_ns, made, now, age_ns))

    def operator(self, verb: str, contract: str | None = None) -> list[Note]:
        return self.feed(OperatorIn(self.now_ns, verb, None, contract))  # type: ignore[arg-type]

    def pump(self) -> list[Note]:
        notes = self.loop.pump()
        self.notes += notes
        return notes

    @property
    def state(self) -> str:
        return self.desk.state(1001)

    def view(self) -> dict:  # type: ignore[type-arg]
        return self.desk.view()["accounts"]["1001"]  # type: ignore[index]

    def of(self, kind: type) -> list:  # type: ignore[type-arg]
        return [note for note in self.notes if isinstance(note, kind)]

    @property
    def denials(self) -> list[str]:
        return [note.reason for note in self.of(Denial)]

    @property
    def states(self) -> list[str]:
        return [note.state for note in self.of(StateChange)]

    def assert_invariants(self) -> None:
        """I1, I2, I6 over everything that went over the wire."""
        placed = [command for command in self.broker.wire if isinstance(command, PlaceBracket)]
        intents = {(note.account, note.tag): note for note in self.of(Intent)}
        assert len({command.tag for command in placed}) == len(placed)
        assert len({(command.account, command.signal_id) for command in placed}) == len(placed)
        for command in placed:
            intent = intents[(command.account, command.tag)]
            assert (intent.size, intent.side, intent.contract) == (command.size, command.side, command.contract)
            assert command.stop_offset * command.side < 0 < command.target_offset * command.side
        ids = [command.command_id for command in self.broker.wire]
        assert len(set(ids)) == len(ids)


def round_trips(rig: Rig) -> list[RoundTrip]:
    return rig.of(RoundTrip)
