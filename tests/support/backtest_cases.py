"""Hand-written markets through the whole of a backtest: scripted signals, the Desk, the account book, a trade list.

Times are seconds after T0, prices whole ticks. Whoever changes how a backtest is started changes `play` alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scripted_trader import Cue, ScriptedTrader
from tbot.backtest.runner import Runner
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Denial, Fill, RoundTrip, StateChange
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.domain.trading_hours import SessionCalendar
from tbot.execution.book_types import Order
from tbot.execution.desk import Desk
from tbot.execution.fill_model import FillSettings
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.execution.settings import AccountSettings, DeskSettings
from tbot.risk.limits import RiskLimits
from tbot.storage.importers import bars_to_ticks
from tbot.storage.replay_stream import opening
from tbot.storage.sessions import load_sessions
from tbot.storage.tick_stream import lockstep_stream, merge_order
from tbot.strategy.settings import StrategySettings
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Flag, Kind

T0 = 1_795_185_000 * NS_PER_S  # Friday 2026-11-20, 09:30 in New York, 08:30 in Chicago, 16:30 in Helsinki
BUY, SELL = 1, -1
NO_SLIP = FillSettings(0, 0)
# One trade risks what the case wants it to.
ROOMY = RiskLimits(risk_per_trade_cents=80_000)

Rows = list[tuple[Any, ...]]


@dataclass
class Tape:
    """Ticks of one contract. Every trade and quote at its second; rows of one second in the order they were given."""

    contract: str = "MNQ"
    t0: int = T0
    rows: Rows = field(default_factory=list)

    def quote(self, at_s: float, bid: int, ask: int | None = None) -> "Tape":
        return self._add(at_s, Kind.QUOTE, bid, bid + 2 if ask is None else ask, 0, 0)

    def trade(self, at_s: float, price: int, size: int = 1, side: int = 0, flags: int = 0) -> "Tape":
        return self._add(at_s, Kind.TRADE, price, 0, size, side, flags)

    def both(self, at_s: float, price: int, size: int = 1) -> "Tape":
        """A quote two ticks wide with the trade at its ask, which is the usual state of a quiet market."""
        return self.quote(at_s, price - 2, price).trade(at_s, price, size, BUY)

    def quiet(self, start_s: int, end_s: int, price: int, step_s: int = 1) -> "Tape":
        """The same quote and trade every `step_s` seconds from start up to, not including, end."""
        for at_s in range(start_s, end_s, step_s):
            self.both(at_s, price)
        return self

    def roll(self, at_s: float) -> "Tape":
        """Another delivery month begins; its history is complete and empty."""
        self._add(at_s, Kind.GAP, NO_PRICE, 0, 0, 0, aux=NEW_CONTRACT)
        return self._add(at_s, Kind.HISTORY, NO_PRICE, 0, 0, 0)

    def hole(self, at_s: float) -> "Tape":
        """Data may be missing before this second; history has filled it in."""
        self._add(at_s, Kind.GAP, NO_PRICE, 0, 0, 0)
        return self._add(at_s, Kind.HISTORY, NO_PRICE, 0, 0, 0)

    def _add(
        self, at_s: float, kind: Kind, price: int, price2: int, size: int, side: int, flags: int = 0, aux: int = 0
    ) -> "Tape":
        at_ns = self.t0 + round(at_s * NS_PER_S)
        number = PRODUCTS[self.contract].contract_id
        self.rows.append((0, at_ns, at_ns, price, price2, size, aux, -1, number, int(kind), side, flags, 0))
        return self

    @property
    def ticks(self) -> np.ndarray:
        ticks = np.array(self.rows, TICK_DTYPE)
        return ticks[np.argsort(ticks["exch_ns"], kind="stable")]


Bar = tuple[int, int, int, int, int]


def bars(contract: str, rows: Sequence[Bar], period_s: int = 60, t0: int = T0) -> np.ndarray:
    """(open, high, low, close, volume) of consecutive bars as ticks, by the importer's own rule."""
    table = np.array(rows, np.int64)
    starts = t0 + np.arange(len(table)) * period_s * NS_PER_S
    return bars_to_ticks(PRODUCTS[contract], starts, table[:, :4], table[:, 4], period_s * NS_PER_S, [])


@dataclass
class Outcome:
    """What a case came to."""

    runner: Runner
    broker: PaperBroker
    t0: int

    @property
    def fills(self) -> list[tuple[str, float, int, int]]:
        """(contract, second, signed size, price) of all accounts, in order."""
        found = [item for item, _ in self.runner.record.rows if isinstance(item, Fill)]
        return [(f.contract, (f.now_ns - self.t0) / NS_PER_S, f.side * f.size, f.price) for f in found]

    @property
    def round_trips(self) -> list[RoundTrip]:
        return [note for note in self.runner.notes if isinstance(note, RoundTrip)]

    @property
    def trips(self) -> list[tuple[str, int, int, int, int, int, str]]:
        """(contract, signed size, entry sum, exit sum, gross cents, costs in cents, reason)."""
        return [
            (t.contract, t.side * t.size, t.entry_price_size, t.exit_price_size, t.gross_cents,
             t.fees_cents + t.commission_cents, t.exit_reason)
            for t in self.round_trips
        ]  # fmt: skip

    @property
    def denials(self) -> list[str]:
        return [note.reason for note in self.runner.notes if isinstance(note, Denial)]

    def states(self) -> list[str]:
        """The engine states that the first account went through."""
        return [note.state for note in self.runner.notes if isinstance(note, StateChange) and note.account == 1]

    def orders(self, account: int = 1) -> list[Order]:
        """Every order there ever was, oldest first."""
        return self.broker.orders(account)

    def balance(self, account: int = 1) -> int:
        return self.broker.balance_cents(account)


def stream(*parts: np.ndarray) -> Iterable[np.ndarray]:
    """Opening records, ticks, derived quotes where a contract has none, clocks: as a tape is played."""
    ticks = merge_order(np.concatenate(parts))
    numbers = sorted(set(ticks["contract_id"].tolist()))
    quoted = set(ticks["contract_id"][ticks["kind"] == Kind.QUOTE].tolist())
    spreads = {p.contract_id: p.spread_ticks for p in PRODUCTS.values() if p.contract_id in numbers}
    first = int(ticks["exch_ns"][0])
    yield opening(numbers, first - first % NS_PER_MIN)
    yield from lockstep_stream([ticks], {number: spread for number, spread in spreads.items() if number not in quoted})


def cue(at_s: int, side: int, stop: int, target: int, contract: str = "MNQ", t0: int = T0) -> Cue:
    """A signal at the close of the 1m bar that ends at `at_s`."""
    return Cue(contract, t0 + at_s * NS_PER_S - NS_PER_MIN, side, stop, target)


def play(
    parts: Sequence[np.ndarray | Tape],
    cues: Sequence[Cue],
    *,
    fills: FillSettings = NO_SLIP,
    limits: RiskLimits = ROOMY,
    accounts: Sequence[AccountSettings] = (AccountSettings(1),),
    balance_cents: int = 5_000_000,
    t0: int = T0,
) -> Outcome:
    """Play a market to its end."""
    arrays = [part.ticks if isinstance(part, Tape) else part for part in parts]
    ids = {number for part in arrays for number in part["contract_id"].tolist()}
    products = {p.symbol: p for p in PRODUCTS.values() if p.contract_id in ids}
    calendar = SessionCalendar(load_sessions(), template_ok=True)
    desk = Desk(DeskSettings(tuple(accounts), limits, products, calendar, 1))
    opened = [PaperAccount(account.account, balance_cents=balance_cents) for account in accounts]
    broker = PaperBroker(opened, products, fills)
    trader = type("Script", (ScriptedTrader,), {"SCRIPT": list(cues)})
    runner = Runner(tuple(products), StrategySettings(), desk, broker, make_trader=trader, trader_name="script")
    runner.run(stream(*arrays))
    return Outcome(runner, broker, t0)


SYNTHETIC = int(Flag.SYNTHETIC)
