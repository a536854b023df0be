"""Ours: a bracket strategy through the whole of `run_backtest`: decider, Desk with its limits, account book, records.

The strategy is a table: at the close of these minutes buy or sell one contract at market, with a fixed stop and target
from there, one position at a time. Our Desk refuses what breaks its limits (two losses in a row end a day, for one) and
flattens before the session's end, which none of the peers knows. `settled` takes such wishes out of the table
beforehand, so that both sides are asked for what ours may do; it adds nothing.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from protocol import Columns, Measure, load, serve

from plain_strategy.filters import refusal
from scripted_trader import Cue, ScriptedTrader
from tbot.backtest.plan import AccountPlan, BacktestPlan
from tbot.backtest.results import BacktestResult
from tbot.backtest.run import run_backtest
from tbot.backtest.source import ArraySource
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN
from tbot.execution.fill_model import FillSettings
from tbot.execution.settings import AccountSettings
from tbot.risk.limits import RiskLimits
from tbot.storage.tick_stream import CLOCK_GRACE_NS
from tbot_ext.records import EventCode

CHUNK = 16_368
LIMITS = RiskLimits(risk_per_trade_cents=80_000, min_target_cost_ratio=0)
ROUNDS = 60  # of settling: each drops wishes, so it ends


def source(records: np.ndarray) -> ArraySource:
    """Records as a tape's blocks are long."""
    return ArraySource(tuple(records[at : at + CHUNK] for at in range(0, len(records), CHUNK)))


def trader(wishes: Mapping[int, int], stop: int, target: int) -> type:
    """The strategy. `wishes`: side by the start of the minute that decides."""

    class Table:
        def __init__(self, product: Any, _settings: Any) -> None:
            self.counters: dict[str, int] = {}
            self._symbol = product.symbol

        def on_events(self, events: Any, view: Any) -> list[Any]:
            bars = events[(events["kind"] == EventCode.BAR) & (events["timeframe_min"] == 1)]
            if not len(bars):
                return []
            known_ns = int(bars["known_ns"][-1])
            side = wishes.get(known_ns - NS_PER_MIN, 0)
            if not side or refusal(view, known_ns, NS_PER_MIN, int(bars["flags"][-1])):
                return []
            cue = Cue(self._symbol, known_ns - NS_PER_MIN, side, stop, target)
            return [ScriptedTrader._signal(cue, known_ns, int(bars["id"][-1]), view)]

    return Table


def play(data: ArraySource, job: Mapping[str, Any], wishes: Mapping[int, int]) -> BacktestResult:
    """One backtest."""
    hours = {job["contract"]: (0,) * 24} if job["bars"] else {}  # a bar fills at its own prices, without a spread
    plan = BacktestPlan(
        (AccountPlan(AccountSettings(1), balance_cents=10**9),), limits=LIMITS,
        fills=FillSettings(0, 0, spread_by_hour=hours), make_trader=trader(wishes, job["stop"], job["target"]),
        trader_name="table",
    )  # fmt: skip
    return run_backtest(data, plan)


def settled(data: ArraySource, job: Mapping[str, Any], wishes: Mapping[int, int]) -> dict[int, int]:
    """The wishes without those that our Desk refuses while flat, and those whose trade it ends itself."""
    left = dict(wishes)
    for _ in range(ROUNDS):
        result = play(data, job, left)
        trips = result.trips
        decided = np.array([signal.decided_ns for signal in result.signals], np.int64)
        after = np.searchsorted(trips["opened_ns"], decided)  # trips are one after the other
        held = np.zeros(len(decided), bool)
        if len(trips):
            before = np.maximum(after - 1, 0)
            held = (after > 0) & (decided + CLOCK_GRACE_NS < trips["closed_ns"][before])  # by then the bar is known
        ended = ~np.isin(trips["exit_reason"], ("stop", "target"))
        drop = set(decided[~np.isin(decided, trips["decided_ns"]) & ~held].tolist())
        drop |= set(trips["decided_ns"][ended].tolist())
        said = set(decided.tolist())
        left = {at: side for at, side in left.items() if at + NS_PER_MIN in said and at + NS_PER_MIN not in drop}
        if not drop:
            return left
    raise RuntimeError(f"the wishes did not settle in {ROUNDS} rounds; use other data")


def common(result: BacktestResult) -> Columns:
    """One row for each trade, prices in ticks."""
    trips = result.trips
    found = {name: trips[name].astype(np.int64) for name in ("side", "opened_ns", "closed_ns", "net_cents")}
    found |= {name: trips[f"{name}_price_size"] // trips["size"] for name in ("entry", "exit")}
    assert (trips["size"] == 1).all()
    return found


def make(job: dict[str, Any]) -> dict[str, Measure]:
    columns = load(job["data"])
    data, units = source(columns["records"]), job["units"]
    wishes = dict(zip(columns["wish_minute"].tolist(), columns["wish_side"].tolist(), strict=True))
    assert job["contract"] in PRODUCTS
    return {"bracket": Measure(lambda: play(data, job, wishes), units, common)}


if __name__ == "__main__":
    serve(make)
