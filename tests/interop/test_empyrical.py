"""Ratios of the weekly report against PyPI `empyrical-reloaded`, where definitions coincide.

Theirs compound daily returns on a capital, ours add results: with a capital that dwarfs them both are the same. They
know days and no trades, so with one trade a day the drawdown is the same, too. Win rate, profit factor and expectancy
of trades: test_backtesting.py.
"""

import json
import os
import random
import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from interop_env import client_python
from tbot.analytics.metrics import figures, rolling_sharpe
from tbot.analytics.round_trips import Deal
from tbot.domain import messages as m

pytestmark = pytest.mark.interop
CLIENT = Path(__file__).resolve().parent / "clients" / "use_empyrical.py"
CAPITAL = 10**13
S = 1_000_000_000
MONDAY = date(2024, 1, 1)


def deals(seed: int, days: int, mean: float) -> list[Deal]:
    """One trade on every weekday."""
    rng = random.Random(seed)
    found, day = [], MONDAY
    while len(found) < days:
        if day.weekday() < 5:
            net = round(rng.gauss(mean, 9_000))
            at_ns = ((day - date(1970, 1, 1)).days * 86_400 + 16 * 3600) * S
            trip = m.RoundTrip(at_ns + 60 * S, 1, "MNQ", 1, 1, at_ns, 0, 0, net + 122, 72, 50, "target", "s", 0)
            found.append(Deal(trip))
        day += timedelta(days=1)
    return found


def theirs(daily: list[int], folder: Path) -> dict[str, Any]:
    path = folder / "daily.json"
    path.write_text(json.dumps({"daily": daily, "capital": CAPITAL}))
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "TBOT_"))}
    command = [str(client_python("empyrical")), str(CLIENT), str(path)]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize(("seed", "days", "mean"), [(1, 20, 500.0), (2, 252, 300.0), (3, 700, -200.0)])
def test_V15_ratios_of_the_report_as_an_independent_library_has_them(
    seed: int, days: int, mean: float, tmp_path: Path
) -> None:
    traded = deals(seed, days, mean)
    told = figures(traded, intervals=False)
    found = theirs([deal.net_cents for deal in traded], tmp_path)
    assert len(told.days) == days
    assert told.sharpe.value == pytest.approx(found["sharpe"], rel=1e-9)
    assert told.sortino.value == pytest.approx(found["sortino"], rel=1e-9)
    assert told.fall.depth_cents > 0
    assert told.fall.depth_cents == pytest.approx(-found["drawdown"], rel=1e-5)
    assert told.calmar.value == pytest.approx(found["calmar"], rel=1e-4)
    rolling = [one.value for one in rolling_sharpe(told.days)]
    assert len(rolling) == days - 19
    assert rolling == pytest.approx(found["rolling"], rel=1e-9)
    assert told.net_cents == pytest.approx(found["net"], rel=1e-4)
