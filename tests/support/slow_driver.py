"""The backtest's loop as it is defined: one exchange instant after the other, every one of them shown to the Desk."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from lively_tape import LIVELY
from tbot.backtest.record import RunRecord
from tbot.backtest.runner import FIRST_EPOCH, Runner
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.messages import Quote, Signal
from tbot.domain.trading_hours import OperatingHours, SessionCalendar, SessionTable
from tbot.execution.desk import Desk
from tbot.execution.fill_model import BACKTEST_FILLS
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.execution.settings import AccountSettings, Calendar, DeskSettings
from tbot.risk.limits import RiskLimits
from tbot.storage.replay_stream import instants
from tbot.strategy.trader import MarketView, StrategySettings
from tbot_ext.records import NO_PRICE, EventCode, Kind

ALWAYS = SessionCalendar(SessionTable(frozenset({2026}), ()), hours=OperatingHours(), always=True)
LIMITS = RiskLimits(risk_per_trade_cents=80_000)


class SlowRunner(Runner):
    """Numbers, decides and steps instant by instant."""

    def run(self, chunks: Iterable[np.ndarray]) -> None:
        written = dict.fromkeys(self.deciders, 0)
        epochs = dict.fromkeys(self.deciders, FIRST_EPOCH)
        for instant in instants(chunks):
            records = instant.copy()
            for row in records:
                number = int(row["contract_id"])
                written[number] += 1
                epochs[number] += row["kind"] == Kind.GAP
                row["seq"], row["epoch"] = 2 * written[number], epochs[number] % 65536
            signals: list[Signal] = []
            for number, decider in self.deciders.items():
                mine, at = records[records["contract_id"] == number], 0
                while at < len(mine) or decider.pending:
                    at, found = decider.feed(mine, at)
                    signals += found
            self.signals += signals
            self.records += len(records)
            self.session.step(records, signals, int(records["exch_ns"][0]))
        self.notes += self.session.take_notes()


def runner(
    kind: type[Runner],
    symbols: tuple[str, ...],
    *,
    accounts: tuple[AccountSettings, ...] = (AccountSettings(1),),
    balance_cents: int = 5_000_000,
    limits: RiskLimits = LIMITS,
    calendar: Calendar = ALWAYS,
    strategy: StrategySettings = LIVELY,
    **more: Any,
) -> Runner:
    """A runner of a kind that keeps every input and output of its Desk."""
    products = {symbol: PRODUCTS[symbol] for symbol in symbols}
    desk = Desk(DeskSettings(accounts, limits, products, calendar, 1, in_process=True))
    paper = [PaperAccount(account.account, balance_cents=balance_cents) for account in accounts]
    broker = PaperBroker(paper, products, BACKTEST_FILLS)
    return kind(symbols, strategy, desk, broker, record=RunRecord(keep_rows=True), **more)


def outcome(run: Runner) -> tuple[Any, ...]:
    """Everything that two drivers must agree on."""
    return run.record.rows, run.signals, run.notes, run.desk.digest(), run.records


def first_difference(one: Runner, other: Runner) -> str:
    """Where two runs part, for a person; "" when they are the same."""
    for number, (left, right) in enumerate(zip(one.record.rows, other.record.rows, strict=False)):
        if left != right:
            return f"row {number}:\n  {left}\n  {right}"
    counts = len(one.record.rows), len(other.record.rows)
    if counts[0] != counts[1]:
        longer = one if counts[0] > counts[1] else other
        return f"{counts} rows; the next is {longer.record.rows[min(counts)]}"
    if one.signals != other.signals or one.notes != other.notes:
        return "signals or notes differ"
    return "" if outcome(one) == outcome(other) else "digests or counts of records differ"


def both(chunks: list[np.ndarray], symbols: tuple[str, ...], **more: Any) -> tuple[Runner, Runner]:
    """(fast, slow) over the same stream; the slow one hears it in one piece."""
    fast, slow = runner(Runner, symbols, **more), runner(SlowRunner, symbols, **more)
    fast.run(chunks)
    slow.run([np.concatenate(chunks)])
    return fast, slow


def with_limits(**changes: int) -> RiskLimits:
    return replace(LIMITS, **changes)


class EveryFewBars:
    """A strategy for tests of drivers: after every third 1m bar a signal, its side by the bar's number."""

    stop_ticks, target_ticks = 14, 20

    def __init__(self, product: Product, _: StrategySettings) -> None:
        self.counters: dict[str, int] = {}
        self._product = product

    def on_events(self, events: np.ndarray, view: MarketView) -> list[Signal]:
        bars = events[(events["kind"] == EventCode.BAR) & (events["timeframe_min"] == 1)]
        if not len(bars) or bars["known"][-1] % 3 or view.bid == NO_PRICE or view.ask == NO_PRICE:
            return []
        number = int(bars["known"][-1])
        side = 1 if number // 3 % 2 else -1
        entry = view.ask if side > 0 else view.bid
        return [
            Signal(
                signal_id=f"{self._product.symbol}-{number}",
                contract=self._product.symbol,
                side=side,
                quote=Quote(view.bid, view.ask, view.quote_ns, view.quote_seq, 0, view.epoch),
                stop=entry - side * self.stop_ticks,
                target=entry + side * self.target_ticks,
                score=50.0,
                reason="every few bars",
                zone_id=0,
                zone_timeframe_min=1,
                parts={},
                event_ids=(),
                params_hash="",
                decided_ns=int(bars["known_ns"][-1]),
                ring_seq=view.ring_seq,
            )
        ]
