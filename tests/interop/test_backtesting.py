"""PyPI `backtesting` and our account book on the same real 1m bars with the same bracket strategy: the same trades.

The strategy: five bars up, buy at the next open; five bars down, sell; a fixed stop and target from there, one position
at a time. What differs by rule, and is therefore taken into account and nothing else is:

1. A target needs a trade through it here and a touch there. Theirs is put one tick further, where a touch is our trade
   through; it then fills a tick further, too.
2. An open beyond the target fills at the limit here and at the open there.

A bar that touches both is a stop in both; a stop fills at the worse of its price and the open in both.
"""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interop_env import client_python
from shared_data import ROOT, shared
from smc_bars import market_bars
from tbot.analytics.metrics import figures
from tbot.analytics.round_trips import Deal
from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.messages import Fill, PlaceBracket, RoundTrip
from tbot.domain.timeframes import NS_PER_MIN
from tbot.execution.fill_model import FillSettings
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.storage.importers import bars_to_ticks
from tbot.validation.summary import drawdown, summarise
from tbot.validation.trips import Trips

pytestmark = [pytest.mark.interop, pytest.mark.shared_data]
CLIENT = Path(__file__).resolve().parent / "clients" / "use_backtesting.py"
BARS, BACK, CASH = 8_000, 5, 10**10
CASES = {"NQ": (40, 60), "GC": (30, 45)}  # stop and target in ticks


@dataclass(frozen=True)
class Market:
    """Bars in ticks, and the strategy's wish at each close."""

    product: Product
    ohlc: np.ndarray  # (n, 4)
    volume: np.ndarray
    side: np.ndarray
    stop: int
    target: int


def market(contract: str) -> Market:
    product = PRODUCTS[contract]
    bars = market_bars(shared(f"market/bars_1m/{contract}_1m_tsx_20260120_20260318.parquet"))
    size = float(product.tick_size)
    ohlc = np.stack([np.rint(bars[name][-BARS:] / size) for name in ("open", "high", "low", "close")], axis=1)
    ohlc = ohlc.astype(np.int64)
    stop, target = CASES[contract]
    opens, closes = ohlc[:, 0], ohlc[:, 3]
    side = np.zeros(len(ohlc), np.int64)
    side[BACK:] = np.sign(closes[BACK:] - closes[:-BACK])
    # They refuse stops and targets that the close has passed already: neither side enters where the open jumps so far.
    jump = np.abs(np.append(opens[1:], closes[-1]) - closes)
    side[(jump >= min(stop, target)) | (np.arange(len(ohlc)) == len(ohlc) - 1)] = 0
    return Market(product, ohlc, bars["volume"][-BARS:].astype(np.int64), side, stop, target)


def ours(case: Market) -> tuple[list[tuple[Any, ...]], list[int]]:
    """([(side, entry bar, exit bar, entry, exit, net cents)], equity in cents at each close) of our account book."""
    contract, product = case.product.symbol, case.product
    starts = np.arange(len(case.ohlc)) * NS_PER_MIN
    ticks = bars_to_ticks(product, starts, case.ohlc, case.volume, NS_PER_MIN, [])
    fills = FillSettings(0, 0, spread_by_hour={contract: (0,) * 24})
    broker = PaperBroker([PaperAccount(1, balance_cents=CASH)], {contract: product}, fills)
    names = ("exch_ns", "kind", "price", "price2", "size", "side", "flags", "aux")
    rows = list(zip(*(ticks[name].tolist() for name in names), strict=True))
    trades, equity, held, at, bar_of = [], [], None, 0, ticks["exch_ns"] // NS_PER_MIN
    edges = np.searchsorted(bar_of, np.arange(len(case.ohlc) + 1))
    for bar in range(len(case.ohlc)):
        for at in range(edges[bar], edges[bar + 1]):
            exch_ns, kind, price, price2, size, side, flags, aux = rows[at]
            broker.on_tick(contract, kind, price, price2, size, side, exch_ns, flags, aux)
        for event in broker.poll():
            if isinstance(event, Fill):
                cost = event.fees_cents + event.commission_cents
                if held is None:
                    held = (event.side, bar, event.price, cost)
                else:
                    side, entered, entry, paid = held
                    assert event.pnl_cents is not None
                    trades.append((side, entered, bar, entry, event.price, event.pnl_cents - cost - paid))
                    held = None
        close = int(case.ohlc[bar, 3])
        open_cents = 0 if held is None else held[0] * (close - held[2]) * product.tick_value_cents
        equity.append(broker.balance_cents(1) + open_cents)
        wish = int(case.side[bar])
        if held is None and wish:
            command = PlaceBracket(
                f"c{bar}", 1, contract, wish, 1, -wish * case.stop, wish * case.target, f"t{bar}", "s"
            )
            broker.submit(command, rows[at][0])
            broker.poll()
    return trades, equity


def theirs(python: Path, case: Market, cost_cents: int, folder: Path) -> dict[str, Any]:
    value = case.product.tick_value_cents
    entry = np.append(case.ohlc[1:, 0], case.ohlc[-1, 3])
    columns = {name: case.ohlc[:, k] * value for k, name in enumerate(("open", "high", "low", "close"))}
    columns |= {
        "side": case.side,
        "stop": (entry - case.side * case.stop) * value,
        "target": (entry + case.side * (case.target + 1)) * value,  # rule 1
    }
    np.savez(folder / "bars.npz", **columns)
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "TBOT_"))}
    command = [str(python), str(CLIENT), str(folder / "bars.npz"), str(cost_cents)]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def by_our_rules(case: Market, trade: list[float]) -> tuple[Any, ...]:
    """One of their trades as it is by our rules 1 and 2; costs left out."""
    value = case.product.tick_value_cents
    side, entered, left = int(trade[0]), int(trade[1]), int(trade[2])
    entry, exit_ = round(trade[3] / value), round(trade[4] / value)
    target = entry + side * case.target
    return side, entered, left, entry, target if (exit_ - target) * side > 0 else exit_


def deal(contract: str, side: int, entered_ns: int, left_ns: int, net: int) -> Deal:
    """One of their trades as the report has it."""
    return Deal(RoundTrip(left_ns, 1, contract, side, 1, entered_ns, 0, 0, net, 0, 0, "close", "s", 0))


@pytest.fixture(scope="module")
def python() -> Path:
    return client_python("backtesting")


@pytest.mark.parametrize("contract", list(CASES))
def test_V2_the_same_trades_as_an_independent_engine(contract: str, python: Path, tmp_path: Path) -> None:
    case = market(contract)
    mine, _ = ours(case)
    found = theirs(python, case, 0, tmp_path)
    expected = sorted(by_our_rules(case, trade) for trade in found["trades"])
    assert len(expected) > 200
    assert [trade[:5] for trade in sorted(mine)] == expected
    # The cases that the rules are about are there.
    ends = {(exit_ - entry) * side for side, _, _, entry, exit_ in expected}
    assert {-case.stop, case.target} <= ends
    low, high = case.ohlc[:, 2], case.ohlc[:, 1]
    both = [
        trade
        for trade in expected
        if low[trade[2]] <= trade[3] - case.stop and high[trade[2]] >= trade[3] + case.stop
        and (trade[4] - trade[3]) * trade[0] == -case.stop
    ]  # fmt: skip
    assert both


@pytest.mark.parametrize("contract", list(CASES))
def test_V3_the_same_money_and_statistics_with_commission(contract: str, python: Path, tmp_path: Path) -> None:
    case = market(contract)
    product, value = case.product, case.product.tick_value_cents
    cost = product.fees_cents + product.commission_cents
    mine, equity = ours(case)
    found = theirs(python, case, cost, tmp_path)
    theirs_by_time = sorted(found["trades"], key=lambda trade: trade[1])
    # What rule 1 and 2 gave them beyond our limits, in cents: it is taken off before money is compared.
    gifts = [
        (int(trade[2]), round(abs(trade[4] / value - by_our_rules(case, trade)[4])) * value) for trade in theirs_by_time
    ]
    net = [round(trade[5]) - gift for trade, (_, gift) in zip(theirs_by_time, gifts, strict=True)]
    assert [trade[5] for trade in mine] == net
    curve = np.array(found["equity"])
    for bar, gift in gifts:
        curve[bar:] -= gift
    # They subtract the commission of an entry when the trade ends, so compare where nothing is open.
    flat = np.ones(len(curve), bool)
    for trade in theirs_by_time:
        flat[int(trade[1]) : int(trade[2])] = False
    end = int(theirs_by_time[-1][2])
    flat[end + 1 :] = False
    assert np.array_equal(np.rint(curve[flat]), np.array(equity)[flat])


@pytest.mark.parametrize("contract", list(CASES))
def test_V15_statistics_agree_where_definitions_coincide(contract: str, python: Path, tmp_path: Path) -> None:
    """Ours of their trades, against theirs: they measure a trade by its return, so ours is told returns, too."""
    case = market(contract)
    found = theirs(python, case, case.product.fees_cents + case.product.commission_cents, tmp_path)
    trades = np.array(sorted(found["trades"], key=lambda trade: trade[2]))
    scale = 10**12
    returns = np.rint(trades[:, 6] * scale).astype(np.int64)
    entered, left = (trades[:, k].astype(np.int64) * NS_PER_MIN for k in (1, 2))
    ones = np.ones(len(trades), np.int64)
    names = np.array([contract] * len(trades))
    none = np.zeros(len(trades), np.int64)
    side = trades[:, 0].astype(np.int64)
    day = left // (1440 * NS_PER_MIN)
    trips = Trips(returns, returns, entered, left, day, none, side, ones, ones, names, none)
    mine, stats = summarise(trips), found["stats"]
    assert mine.n == stats["# Trades"]
    assert mine.win_rate == pytest.approx(stats["Win Rate [%]"] / 100)
    assert mine.profit_factor == pytest.approx(stats["Profit Factor"])
    assert mine.expectancy_cents == pytest.approx(stats["Expectancy [%]"] / 100 * scale, rel=1e-6)
    assert mine.wins
    assert mine.losses
    rows = zip(side.tolist(), entered.tolist(), left.tolist(), returns.tolist(), strict=True)
    report = figures([deal(contract, *row) for row in rows], intervals=False)  # the week's report counts by itself
    assert report.n == stats["# Trades"]
    assert float(report.win_rate or 0) == pytest.approx(stats["Win Rate [%]"] / 100)
    assert float(report.profit_factor or 0) == pytest.approx(stats["Profit Factor"])
    assert float(report.expectancy_cents or 0) == pytest.approx(stats["Expectancy [%]"] / 100 * scale, rel=1e-6)
    # Theirs is of the equity at each close, relative to its peak; against so much cash the deepest is the same.
    curve = np.rint(found["equity"]).astype(np.int64)
    depth = drawdown(np.diff(curve)).depth_cents
    assert depth > 0
    assert depth / CASH == pytest.approx(-stats["Max. Drawdown [%]"] / 100, rel=0.01)
    assert curve[-1] == pytest.approx(stats["Equity Final [$]"], abs=0.5)
