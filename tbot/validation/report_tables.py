"""The tables of a backtest's reports, counted once for the terminal, HTML and JSON. Money in cents, no I/O."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from tbot.backtest.results import BacktestResult, Table
from tbot.domain.messages import Denial
from tbot.domain.timeframes import MINUTES, NAMES
from tbot.validation.regimes import hours
from tbot.validation.trips import Names

EPOCH_DAY = date(1970, 1, 1)
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Line:
    """What the trips of one group add up to."""

    label: tuple[str, ...]
    n: int
    wins: int
    losses: int
    net_cents: int
    won_cents: int
    lost_cents: int  # positive
    r_sum: float  # over the trips whose risk is known
    n_with_risk: int

    @property
    def win_rate(self) -> float | None:
        return self.wins / self.n if self.n else None

    @property
    def average_cents(self) -> float | None:
        return self.net_cents / self.n if self.n else None

    @property
    def profit_factor(self) -> float | None:
        """None before the first loss."""
        return self.won_cents / self.lost_cents if self.lost_cents else None

    @property
    def average_r(self) -> float | None:
        return self.r_sum / self.n_with_risk if self.n_with_risk else None


@dataclass(frozen=True, slots=True)
class Refusals:
    """How often one reason kept an account out of the market, and its newest sentence."""

    reason: str
    n: int
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Balance of one account over time, and how far it is below its highest so far (0 or less)."""

    at_ns: Ints
    balance_cents: Ints
    fall_cents: Ints


@dataclass(frozen=True, slots=True, eq=False)
class AccountTables:
    """Everything that a report counts of one account."""

    account: int
    rows: Table  # in order of their ends
    curve: Curve
    opening_cents: int
    closing_cents: int
    months: tuple[Line, ...]
    weeks: tuple[Line, ...]
    patterns: tuple[Line, ...]  # (kind of the zone, timeframe); "" without a story
    by_hour: tuple[Line, ...]  # of entry, Chicago
    contracts: tuple[Line, ...]
    sides: tuple[Line, ...]
    exits: tuple[Line, ...]  # (reason, code)
    refusals: tuple[Refusals, ...]  # most frequent first


def tables_of(result: BacktestResult, account: int) -> AccountTables:
    """Count one account."""
    rows = result.trips[result.trips["account"] == account]
    rows = rows[np.argsort(rows["closed_ns"], kind="stable")]
    days = [EPOCH_DAY + timedelta(days=day) for day in rows["day"].tolist()]
    weeks = [day - timedelta(days=day.weekday()) for day in days]
    curve = _curve(result, account)
    return AccountTables(
        account=account,
        rows=rows,
        curve=curve,
        opening_cents=int(curve.balance_cents[0]) if len(curve.balance_cents) else 0,
        closing_cents=int(curve.balance_cents[-1]) if len(curve.balance_cents) else 0,
        months=lines(rows, _labels(f"{day:%Y-%m}" for day in days)),
        weeks=lines(rows, _labels(day.isoformat() for day in weeks)),
        patterns=lines(rows, rows["zone_kind"].astype(np.str_), _frames(rows)),
        by_hour=lines(rows, hours(rows["opened_ns"].astype(np.int64)) if len(rows) else _labels([])),
        contracts=lines(rows, rows["contract"].astype(np.str_)),
        sides=lines(rows, np.where(rows["side"] > 0, "long", "short")),
        exits=lines(rows, rows["exit_reason"].astype(np.str_), rows["exit_code"].astype(np.str_)),
        refusals=refusals(denial for denial in result.denials if denial.account == account),
    )


def lines(rows: Table, *labels: Names) -> tuple[Line, ...]:
    """One line for each combination of labels (one column of labels a trip), in their order."""
    keys = list(zip(*(column.tolist() for column in labels), strict=True))
    found = sorted(set(keys), key=_order)
    place = {key: number for number, key in enumerate(found)}
    places = np.array([place[key] for key in keys], np.int64)
    return tuple(_line(key, rows[places == number]) for number, key in enumerate(found))


def whole(rows: Table, label: str = "all") -> Line:
    """All trips in one line."""
    return _line((label,), rows)


def _order(key: tuple[str, ...]) -> tuple[tuple[str, float, str], ...]:
    """Timeframes by their length, everything else by name."""
    return tuple(_frame_order(part) for part in key)


def _frame_order(part: str) -> tuple[str, float, str]:
    return ("", float(MINUTES[part]), part) if part in MINUTES else (part, 0.0, part)


def _line(label: tuple[str, ...], rows: Table) -> Line:
    net = rows["net_cents"].astype(np.int64)
    known = rows["risk_cents"] > 0
    return Line(
        label=label,
        n=len(rows),
        wins=int((net > 0).sum()),
        losses=int((net < 0).sum()),
        net_cents=int(net.sum()),
        won_cents=int(net[net > 0].sum()),
        lost_cents=-int(net[net < 0].sum()),
        r_sum=float((net[known] / rows["risk_cents"][known]).sum()),
        n_with_risk=int(known.sum()),
    )


def _labels(values: Iterable[str]) -> Names:
    return np.array(list(values), np.str_)


def _frames(rows: Table) -> Names:
    return _labels(NAMES.get(minutes, "") for minutes in rows["zone_timeframe_min"].tolist())


def _curve(result: BacktestResult, account: int) -> Curve:
    mine = result.equity[result.equity["account"] == account]
    balance = mine["balance_cents"].astype(np.int64)
    return Curve(mine["at_ns"].astype(np.int64), balance, balance - np.maximum.accumulate(balance))


def refusals(denials: Iterable[Denial]) -> tuple[Refusals, ...]:
    """By reason code, most frequent first."""
    counted: Counter[str] = Counter()
    text: dict[str, str] = {}
    for denial in denials:
        counted[denial.reason] += 1
        text[denial.reason] = denial.text
    return tuple(
        Refusals(reason, n, text[reason]) for reason, n in sorted(counted.items(), key=lambda x: (-x[1], x[0]))
    )


def all_outcomes(result: BacktestResult) -> list[dict[int, Denial | str | None]]:
    """Of every signal in order: account -> `taken`, the Denial, or None where an account never heard of it."""
    denied = _by_signal(result.denials)
    taken = {(intent.account, intent.signal_id) for intent in result.intents}
    return [
        {
            account: "taken" if (account, signal.signal_id) in taken else denied.get((account, signal.signal_id))
            for account in result.accounts
        }
        for signal in result.signals
    ]


def _by_signal(denials: Sequence[Denial]) -> dict[tuple[int, str], Denial]:
    return {(denial.account, denial.signal_id): denial for denial in denials}


def day_text(day: int) -> str:
    """Date of a trading day (days since 1970-01-01)."""
    return (EPOCH_DAY + timedelta(days=day)).isoformat()
