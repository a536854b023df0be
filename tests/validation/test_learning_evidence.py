"""Evidence on learning: figures by hand, and a verdict that follows from the intervals and nothing else."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from outcome_rows import DAY_NS, NOON_NS, joined, outcome
from tbot.backtest.results import EQUITY_DTYPE, TRIP_DTYPE, BacktestResult
from tbot.domain.contracts import PRODUCTS
from tbot.validation.bootstrap import Interval, unknown
from tbot.validation.learning_evidence import Evidence, compare

FIRST = date(2026, 11, 17)


def result(daily_cents: list[int], outcomes: np.ndarray | None = None) -> BacktestResult:
    trips = np.zeros(len(daily_cents), TRIP_DTYPE)
    trips["net_cents"] = daily_cents
    trips["day"] = (FIRST - date(1970, 1, 1)).days + np.arange(len(daily_cents))
    days = tuple(FIRST + timedelta(n) for n in range(len(daily_cents)))
    whole = BacktestResult(
        contracts=("MNQ",), accounts=(1,), first_ns=0, last_ns=1, records=1, bars={"MNQ": 1}, trips=trips,
        equity=np.zeros(0, EQUITY_DTYPE), signals=(), intents=(), denials=(), states={}, open_at_end=(), plan_hash="p",
        data_hash="d", calendar="exact", synthetic=(), days=days,
    )  # fmt: skip
    return whole if outcomes is None else replace(whole, outcomes=outcomes)


def weighted(days: int, win_up: int, win_down: int) -> np.ndarray:
    """Each day ten raised and ten lowered setups, of which so many win."""
    rows = [
        outcome(NOON_NS + day * DAY_NS + n, n < (win_up if weight > 1 else win_down), weight=weight)
        for day in range(days) for weight in (1.1, 0.9) for n in range(10)
    ]  # fmt: skip
    whole = joined(rows)
    whole["contract_id"] = PRODUCTS["MNQ"].contract_id
    return whole


def test_figures_by_hand() -> None:
    found = compare(result([100, -50, 0, 20]), result([150, -50, 0, 40], weighted(4, 6, 2)), np.random.default_rng(1))
    assert (found.days, found.outcomes, found.raised, found.lowered) == (4, 80, 40, 40)
    won, lost = (80 * 50 - 122) / 2000, (-41 * 50 - 122) / 2000
    assert found.raised_r == pytest.approx(0.6 * won + 0.4 * lost)
    assert found.lowered_r == pytest.approx(0.2 * won + 0.8 * lost)
    assert found.gap_r.estimate == pytest.approx(found.raised_r - found.lowered_r)
    assert (found.net_off_cents, found.net_on_cents) == (70, 140)
    assert found.day_gain_cents.estimate == pytest.approx(70 / 4)


def test_a_real_gain_over_many_days_is_called_one_and_a_real_loss_too() -> None:
    chance = np.random.default_rng(5)
    base = chance.integers(-500, 500, 60)
    for sign, word in ((1, "learning added"), (-1, "learning harmed")):
        other = base + sign * chance.integers(50, 150, 60)
        told = compare(result(base.tolist()), result(other.tolist(), weighted(60, 5, 3)), np.random.default_rng(1))
        assert told.verdict.startswith(word)


def test_chance_is_not_praised() -> None:
    """The same days with noise between them: at most about one in twenty of such comparisons may look like a gain."""
    praised = 0
    for seed in range(40):
        chance = np.random.default_rng(seed)
        base = chance.integers(-500, 500, 40)
        other = base + chance.integers(-100, 101, 40)
        told = compare(result(base.tolist()), result(other.tolist(), weighted(40, 4, 4)), np.random.default_rng(1))
        praised += told.verdict.startswith("learning added")
    assert praised <= 5


def evidence(**changes: Any) -> Evidence:
    wide = Interval(1.0, -5.0, 5.0, 0.95, 2000)
    plain = Evidence(40, 900, 100, 100, 0.1, 0.0, wide, 50, 52, 100, 200, wide)
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "no gain is shown"),
        ({"days": 19}, "nothing is shown: 19 trading days"),
        ({"raised": 0, "lowered": 0}, "nothing is shown: no pattern"),
        ({"gap_r": Interval(0.1, 0.01, 0.2, 0.95, 2000)}, "learning told better patterns from worse"),
        ({"day_gain_cents": unknown(5.0)}, "no gain is shown"),
        ({"day_gain_cents": Interval(5.0, 1.0, 9.0, 0.95, 2000)}, "learning added"),
    ],
)
def test_verdicts(changes: dict[str, Any], verdict: str) -> None:
    assert evidence(**changes).verdict.startswith(verdict)
