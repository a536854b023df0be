"""Results of backtests for the tests of reports: made by hand with sums one can check in the head, and from a tape."""

import datetime
from functools import cache

import numpy as np

from lively_tape import LIVELY, lively
from tbot.backtest.plan import AccountPlan, BacktestPlan
from tbot.backtest.results import EQUITY_DTYPE, NONE_TICKS, TRIP_DTYPE, BacktestResult
from tbot.backtest.run import run_backtest
from tbot.backtest.source import ArraySource
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Denial, Intent, Quote, Signal
from tbot.execution.settings import AccountSettings
from tbot.risk.firm import FirmRules
from tbot.risk.limits import RiskLimits
from tbot.validation.assess import Assessment, assess

SECOND = 1_000_000_000
FIRST_DAY = 20_663  # Wednesday 2026-07-29
NOON_S = 18 * 3600  # 13:00 in Chicago in summer
OPENING = 5_000_000
QUOTE = Quote(99_998, 100_000, 0, 1)


def trip(net: int, day: int = 0, *, account: int = 1, contract: str = "MNQ", hour: int = 13, number: int = 0, **more):
    """One row: long one contract, costs 74 cents, held ten minutes, at an hour of Chicago's summer."""
    row = np.zeros(1, TRIP_DTYPE)[0]
    opened = ((FIRST_DAY + day) * 86_400 + (hour + 5) * 3600 + number * 60) * SECOND
    values = {
        "account": account, "contract": contract, "contract_id": PRODUCTS[contract].contract_id, "side": 1, "size": 1,
        "signal_id": f"s{day}-{number}", "opened_ns": opened, "closed_ns": opened + 600 * SECOND,
        "day": FIRST_DAY + day, "entry_price_size": 100_000, "exit_price_size": 100_000 + net // 50,
        "gross_cents": net + 74, "fees_cents": 74, "net_cents": net, "risk_cents": 2_000, "stop_ticks": 40,
        "target_ticks": 80, "mae_ticks": 5, "mfe_ticks": NONE_TICKS, "score": 60.0, "zone_kind": "ob",
        "zone_timeframe_min": 15, "test": 1, "exit_reason": "target" if net > 0 else "stop", "exit_code": "RC_X",
    }  # fmt: skip
    for name, value in (values | more).items():
        row[name] = value
    return row


def result_of(*trips, accounts: tuple[int, ...] = (1,), days: int = 3, **more) -> BacktestResult:
    """A result of these rows; the equity follows from them."""
    table = np.array(list(trips), TRIP_DTYPE) if trips else np.zeros(0, TRIP_DTYPE)
    first = (FIRST_DAY * 86_400 + NOON_S) * SECOND
    equity = []
    for account in accounts:
        balance = OPENING
        equity.append((account, first, balance))
        for row in table[table["account"] == account]:
            balance += int(row["net_cents"])
            equity.append((account, int(row["closed_ns"]), balance))
    values = {
        "contracts": tuple(dict.fromkeys(table["contract"].tolist())) or ("MNQ",), "accounts": accounts,
        "first_ns": first, "last_ns": first + days * 86_400 * SECOND, "records": 1_000, "bars": {"MNQ": 120},
        "trips": table, "equity": np.array(equity, EQUITY_DTYPE), "signals": (), "intents": (), "denials": (),
        "states": dict.fromkeys(accounts, "ACTIVE"), "open_at_end": (), "plan_hash": "0123456789ab",
        "data_hash": "fedcba9876543210" * 4, "calendar": "exact", "synthetic": (),
        "days": tuple(
            day for n in range(days) if (day := datetime.date(2026, 7, 29) + datetime.timedelta(days=n)).weekday() < 5
        ),
    }  # fmt: skip
    return BacktestResult(**(values | more))


def denial(reason: str, account: int = 1, signal: str = "s9") -> Denial:
    """A signal that an account did not take."""
    return Denial(1, account, signal, "MNQ", reason, f"denied because of {reason}")


def judged(result: BacktestResult, **more) -> list[Assessment]:
    """Every account, with few draws."""
    return [assess(result, account=account, draws=50, **more) for account in result.accounts]


def signal_of(row, **more) -> Signal:
    """The signal that a row of trips came from."""
    values = {
        "signal_id": str(row["signal_id"]), "contract": str(row["contract"]), "side": int(row["side"]),
        "quote": QUOTE, "stop": 99_960, "target": 100_080, "score": float(row["score"]),
        "reason": "demand 25000.00-25012.50 (15m order block)", "zone_id": 1, "zone_timeframe_min": 15,
        "parts": {"volume": float(row["score"]) / 100, "gap": 0.5}, "event_ids": (1, 2), "params_hash": "p",
        "decided_ns": int(row["opened_ns"]), "ring_seq": 1,
    }  # fmt: skip
    return Signal(**(values | more))


def intent_of(row) -> Intent:
    """The order that one account sent for it."""
    return Intent(
        int(row["opened_ns"]), int(row["account"]), str(row["signal_id"]), str(row["contract"]), int(row["side"]),
        int(row["size"]), QUOTE, 40, 80, int(row["risk_cents"]), "tag",
    )  # fmt: skip


@cache
def judged_long() -> list[Assessment]:
    """Everything that can be said of the long result, odds of a Combine included."""
    return judged(long_result(), rules=FirmRules())


LIMITS = RiskLimits(risk_per_trade_cents=80_000)


@cache
def lively_result() -> BacktestResult:
    """A real backtest of a made-up tape, two contracts and two accounts."""
    accounts = (AccountPlan(AccountSettings(1)), AccountPlan(AccountSettings(2, contracts=("MES",))))
    plan = BacktestPlan(accounts, strategy=LIVELY, limits=LIMITS)
    return run_backtest(ArraySource((lively(("MNQ", "MES"), seed=5),)), plan)


@cache
def long_result(days: int = 60, a_day: int = 5) -> BacktestResult:
    """Many random trips over months, in four contracts, of several patterns and exits."""
    rng = np.random.default_rng(7)
    rows = []
    for day in range(days):
        if (FIRST_DAY + day) % 7 in (2, 3):  # Saturday, Sunday
            continue
        for number in range(a_day):
            net = int(rng.choice([-2_074, -1_074, 3_926, 1_426], p=[0.45, 0.12, 0.28, 0.15]))
            rows.append(trip(
                net, day, number=number, hour=8 + number % 8, contract=str(rng.choice(["MNQ", "MES", "MGC", "MYM"])),
                zone_kind=str(rng.choice(["ob", "fvg", "breaker"])), zone_timeframe_min=int(rng.choice([5, 15, 60])),
                side=int(rng.choice([-1, 1])), mae_ticks=int(rng.integers(0, 40)), mfe_ticks=int(rng.integers(0, 80)),
                score=float(rng.uniform(40, 95)), exit_reason="target" if net > 2_000 else "stop" if net < -2_000
                else "close", exit_code="RC_TIME" if abs(net) < 2_000 else "RC_BRACKET",
            ))  # fmt: skip
    denials = (*tuple(denial("RC_SIZE_ZERO", signal=f"d{n}") for n in range(41)), denial("RC_WINDOW"))
    notes = ("MGC: 2 holes of 14 min in all, the longest 9 min on 2026-08-11",)
    return result_of(
        *rows, days=days, denials=denials, notes=notes, calendar="template", synthetic=("MGC",),
        signals=tuple(map(signal_of, rows)), intents=tuple(map(intent_of, rows)),
    )  # fmt: skip
