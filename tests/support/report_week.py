"""A scripted week of trading as a journal: signals, approvals, orders, fills, round trips, refusals, two clock days.

Everything is derived from a list of Trade, so a test can count it again with plain Python. Prices are those of MNQ and
ES; fills, costs and the notes of round trips are written as an executor writes them.
"""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tbot.domain import messages as m
from tbot.domain.context import CORRELATION_SCALE, INDEX_SCALE, DollarState, MarketContext, NewsState
from tbot.domain.contracts import PRODUCTS
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo
from tbot.transport import wire

ACCOUNT = 1001
S = 1_000_000_000
MS = 1_000_000
START_CENTS = 5_000_000
KINDS = (("ob", 15), ("fvg", 5), ("breaker", 15), ("ob", 60), ("ifvg", 1))


@dataclass(frozen=True)
class Trade:
    """One round trip that is to be written."""

    opened: str  # UTC
    minutes: float
    contract: str = "MNQ"
    side: int = 1
    size: int = 2
    entry: int = 100_000  # ticks
    exit: int = 100_040
    kind: tuple[str, int] = ("ob", 15)
    reason: str = "target"
    code: str = ""
    slippage: int = 0
    mae: int | None = 8
    mfe: int | None = 44
    risk_cents: int = 10_000
    news: str | None = ""  # action; None: nobody follows news
    dollar: int | None = 0  # trend; None: nobody follows it
    account: int = ACCOUNT
    parts: int = 1  # fills of the exit

    @property
    def opened_ns(self) -> int:
        return at(self.opened)

    @property
    def closed_ns(self) -> int:
        return self.opened_ns + int(self.minutes * 60) * S

    @property
    def gross_cents(self) -> int:
        return self.side * (self.exit - self.entry) * self.size * PRODUCTS[self.contract].tick_value_cents

    @property
    def fees_cents(self) -> int:
        return 2 * self.size * PRODUCTS[self.contract].fees_cents

    @property
    def commission_cents(self) -> int:
        return 2 * self.size * PRODUCTS[self.contract].commission_cents

    @property
    def net_cents(self) -> int:
        return self.gross_cents - self.fees_cents - self.commission_cents


def at(text: str) -> int:
    """UTC time as ns."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * S


def a_week(seed: int = 3, n: int = 64, monday: str = "2026-11-16", days: int = 5) -> list[Trade]:
    """Trades of some days in a plausible mixture; equal seeds give equal weeks."""
    rng = random.Random(seed)
    first = datetime.fromisoformat(monday).toordinal()
    found = []
    for number in range(n):
        day = datetime.fromordinal(first + number * days // n)
        within = number - (number * days // n) * n // days
        minute = 8 * 60 + within * 37 + rng.randrange(20)
        contract = rng.choice(("MNQ", "MNQ", "MES", "MGC"))
        side, won = rng.choice((1, -1)), rng.random() < 0.52
        risk = rng.randrange(30, 70)
        move = rng.randrange(35, 130) if won else -risk
        mae = rng.randrange(2, risk) if won else risk + 1
        entry = {"MNQ": 101_000, "MES": 27_200, "MGC": 41_300}[contract] + rng.randrange(-400, 400)
        found.append(Trade(
            f"{day:%Y-%m-%d}T{minute // 60:02d}:{minute % 60:02d}:00", rng.choice((0.7, 4, 9, 22, 75)), contract, side,
            rng.randrange(1, 4), entry, entry + side * move, rng.choice(KINDS),
            "target" if won else "stop", "", rng.choice((0, 0, 0, 1, 2, -1)), mae, max(move + 1, rng.randrange(1, 60)),
            12_000, rng.choice(("", "", "", "reduce", "warn")), rng.choice((1, 0, -1)), ACCOUNT, rng.choice((1, 1, 2)),
        ))  # fmt: skip
    return found


def several(weeks: int = 5, accounts: tuple[int, ...] = (ACCOUNT, 1002), *, last: str = "2026-11-16") -> list[Trade]:
    """Weeks up to the one that begins on `last`: each signal goes to all accounts, the later ones take one contract."""
    found = []
    for number in range(weeks):
        monday = datetime.fromordinal(datetime.fromisoformat(last).toordinal() - 7 * (weeks - 1 - number))
        for trade in a_week(seed=20 + number, n=24, monday=f"{monday:%Y-%m-%d}"):
            others = [replace(trade, account=account, size=1) for account in accounts[1:]]
            found += [replace(trade, account=accounts[0]), *others]
    return found


def write_week(
    path: Path,
    trades: Iterable[Trade],
    *,
    mode: str = "sim",
    denied: int = 7,
    run_id: int = 7,
    broker_error: int = 0,
    name: str = "",
    firm: dict[int, dict[str, object]] | None = None,
) -> None:
    """A journal of one run that made these trades. `denied`: signals that were refused beside them; `broker_error`:
    cents by which the broker's own results are off; `firm`: of each account its rules and whatever else the Desk was
    told of it: then balances, which begin at 50 000, are told as well."""
    ordered = sorted(trades, key=lambda trade: trade.opened_ns)
    clock = Clock()
    start = (ordered[0].opened_ns if ordered else at("2026-11-16T08:00:00")) - 3600 * S
    accounts = sorted({trade.account for trade in ordered} | {ACCOUNT})
    desk = {
        "accounts": [
            {"account": number, "name": name or f"SIM-{number}"} | (firm or {}).get(number, {}) for number in accounts
        ],
        "limits": {"daily_loss_cents": 80_000},
    }
    run = RunInfo(run_id, "0.1.0+test", "c0ffee123456", mode, start, json.dumps(desk))
    with Journal(path, wire, run, clock=clock) as journal:
        day = ordered[0].opened[:10] if ordered else "none"
        script = Script(journal, day, clock=clock, broker_error=broker_error)
        if firm:
            script.tell_balances(accounts, start + S)
        for number, trade in enumerate(ordered):
            script.trade(trade)
            if number < denied:
                script.refuse(trade, number)
        script.journal.record(m.TimerIn(script.now_ns + 60 * S, {}), [])


class Clock:
    """A boot clock that goes on a little with every question."""

    def __init__(self) -> None:
        self.ns = 10**12

    def __call__(self) -> int:
        self.ns += 3 * MS
        return self.ns


class Script:
    """Writes into a journal what an executor would."""

    def __init__(
        self, journal: Journal, name: str, first_id: int = 0, broker_error: int = 0, clock: "Clock | None" = None
    ) -> None:
        self.clock = clock or Clock()
        self.journal, self.name, self.number, self.ids = journal, name, 0, first_id
        self.broker_error = broker_error
        self.now_ns = 0
        self.balances: dict[int, int] = {}  # of the accounts whose balances are told

    def tell_balances(self, accounts: Iterable[int], now_ns: int) -> None:
        """As the first answer of a run tells them, and from then on behind every fill."""
        for account in accounts:
            self.balances[account] = START_CENTS
            status = self._balance(account, now_ns)
            self.journal.record(m.Snapshot(now_ns, account, f"q{account}", True, status, (), (), ()), [])

    def _balance(self, account: int, now_ns: int) -> m.AccountUpdate:
        return m.AccountUpdate(now_ns, account, f"SIM-{account}", self.balances[account], True, True)

    def next_id(self) -> int:
        self.ids += 1
        return self.ids

    def signal(self, trade: Trade, number: str) -> m.Signal:
        kind, frame = trade.kind
        zone = m.Evidence(1, kind, trade.side, frame, trade.entry - 20, trade.entry + 20, trade.entry, trade.opened_ns)
        quote = m.Quote(trade.entry - 1, trade.entry, trade.opened_ns, 7)
        why = m.Why(zone, 1, trade.opened_ns, (), {}, (), 4, (), None, None, trade.entry, None, 1, 1, 1)
        news = None
        if trade.news is not None:
            news = NewsState(action=trade.news, impact="High" if trade.news else "")
        dollar = None
        if trade.dollar is not None:
            dollar = DollarState(trade.dollar, 99 * INDEX_SCALE, trade.opened_ns, -CORRELATION_SCALE // 2)
        return m.Signal(
            f"{trade.contract}-{self.name}-{number}", trade.contract, trade.side, quote, trade.entry - trade.side * 40,
            trade.entry + trade.side * 80, 71.5, f"retest of the {frame}m {kind}", 900 + self.number, frame, {}, (1,),
            "ab", trade.opened_ns, 9, why, MarketContext(news, dollar),
        )  # fmt: skip

    def refuse(self, trade: Trade, number: int) -> None:
        """A signal that was not taken."""
        signal = self.signal(trade, f"no{number}")
        reason = ("RC_NEWS", "COOLDOWN", "COOLDOWN")[number % 3]
        text = {"RC_NEWS": "news in 4 min: US CPI", "COOLDOWN": "20 s since the last entry, 60 are wanted"}[reason]
        now = trade.opened_ns + 30 * S
        self.journal.record(
            m.SignalIn(now, signal, signal.quote, 5), [m.Denial(now, trade.account, signal.signal_id, trade.contract,
                                                                reason, text)]
        )  # fmt: skip

    def trade(self, trade: Trade) -> m.RoundTrip:
        """From signal to flat; returns the note."""
        self.number += 1
        signal = self.signal(trade, str(self.number))
        now, account = trade.opened_ns, trade.account
        tag, command, entry_order = f"TB1-{self.name}-{self.number}-E", f"c{self.name}{self.number}", self.next_id()
        intent = m.Intent(now, account, signal.signal_id, trade.contract, trade.side, trade.size, signal.quote, 40, 80,
                          trade.risk_cents, tag)  # fmt: skip
        boot = self.clock.ns
        stamps = m.SignalStamps(boot, boot + 20_000, boot + 90_000 + self.number * 900, boot + 260_000, boot + 400_000)
        place = m.PlaceBracket(command, account, trade.contract, trade.side, trade.size, -40, 80, tag, signal.signal_id)
        self.journal.record(m.SignalIn(now, signal, signal.quote, 5, stamps), [intent, place])
        self.journal.record(m.CommandResult(now, account, command, "accepted", entry_order), [])
        product = PRODUCTS[trade.contract]
        for fill in self.fills(trade, entry_order, product.fees_cents, product.commission_cents):
            note = []
            if fill.pnl_cents is not None and fill.now_ns == trade.closed_ns:
                note = [self.note(trade, signal, stamps, boot)]
            self.journal.record(fill, note)
            if account in self.balances:
                self.balances[account] += (fill.pnl_cents or 0) - fill.fees_cents - fill.commission_cents
                self.journal.record(self._balance(account, fill.now_ns), [])
        self.now_ns = max(self.now_ns, trade.closed_ns)
        return self.note(trade, signal, stamps, boot)

    def fills(self, trade: Trade, entry_order: int, fees: int, commission: int) -> list[m.Fill]:
        """The broker's trades of it; an exit in parts takes its last part at the end."""
        exit_order = self.next_id()
        parts = [trade.size] if trade.parts == 1 or trade.size < 2 else [1, trade.size - 1]
        value = PRODUCTS[trade.contract].tick_value_cents
        found = [m.Fill(trade.opened_ns, trade.account, self.next_id(), entry_order, trade.contract, trade.side,
                        trade.size, trade.entry, fees * trade.size, commission * trade.size)]  # fmt: skip
        for place, size in enumerate(parts):
            last = place == len(parts) - 1
            pnl = trade.side * (trade.exit - trade.entry) * size * value + self.broker_error
            found.append(m.Fill(
                trade.closed_ns if last else trade.closed_ns - 2 * S, trade.account, self.next_id(), exit_order,
                trade.contract, -trade.side, size, trade.exit, fees * size, commission * size, pnl,
            ))  # fmt: skip
        return found

    def note(self, trade: Trade, signal: m.Signal, stamps: m.SignalStamps, boot: int) -> m.RoundTrip:
        return m.RoundTrip(
            trade.closed_ns, trade.account, trade.contract, trade.side, trade.size, trade.opened_ns,
            trade.entry * trade.size, trade.exit * trade.size, trade.gross_cents, trade.fees_cents,
            trade.commission_cents, trade.reason, signal.signal_id, trade.slippage * trade.size, signal.reason,
            trade.mae, trade.mfe, stamps, boot + 9 * MS, boot + 9 * MS + (20 + self.number % 9) * MS, trade.code,
        )  # fmt: skip


def again(journal: Journal, notes: Iterable[m.RoundTrip], fills: Iterable[m.Fill], now_ns: int) -> None:
    """What a start within the day hears and notes once more: the broker's list, and the round trips it makes."""
    told = tuple(fills)
    journal.record(
        m.Snapshot(now_ns, ACCOUNT, "q1", True, None, (), (), told),
        [replace(note, stamps=m.SignalStamps(), mae_ticks=None, mfe_ticks=None) for note in notes],
    )
