"""The golden trade list: what the fill rules make of a market that anybody can make again.

`python tests/backtest/test_golden_trades.py` (with tests/support on the path) writes the list anew. A change of it is a
change of what backtests say: it belongs into the change log.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backtest_cases import play
from golden_market import BACK, CUES, DAYS, MINUTES, SEED, STOP, TARGET, golden_bars, golden_case
from tbot.domain.contracts import PRODUCTS
from tbot.execution.fill_model import BACKTEST_FILLS, FillSettings
from tbot.risk.limits import RiskLimits

GOLDEN = Path(__file__).with_name("golden_trades.json")
RULES = {"pessimistic": FillSettings(), "path": FillSettings(intrabar="path"), "backtest": BACKTEST_FILLS}


def when(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 10**9, UTC).isoformat(timespec="milliseconds")


def trades(fills: FillSettings) -> list[list[Any]]:
    parts, cues = golden_case()
    case = play(parts, cues, fills=fills, limits=RiskLimits(max_micros=2))
    price = PRODUCTS["MNQ"].format
    rows: list[list[Any]] = []
    for trip in case.round_trips:
        entry, left = (price(total // trip.size) for total in (trip.entry_price_size, trip.exit_price_size))
        costs = trip.fees_cents + trip.commission_cents
        place = [when(trip.opened_ns), trip.side * trip.size, entry, when(trip.now_ns), left]
        rows.append([*place, trip.gross_cents, costs, trip.net_cents, trip.exit_reason])
    return rows


def document() -> dict[str, Any]:
    about = {
        "market": {"seed": SEED, "days": DAYS, "minutes": MINUTES, "first_bars": golden_bars()[0][:3]},
        "signals": {"minutes": list(CUES), "bars_back": BACK, "stop_ticks": STOP, "target_ticks": TARGET},
        "columns": ["opened", "size", "entry", "closed", "exit", "gross_cents", "costs_cents", "net_cents", "reason"],
    }
    return about | {"trades": {name: trades(fills) for name, fills in RULES.items()}}


@pytest.fixture(scope="module")
def golden() -> Any:
    return json.loads(GOLDEN.read_text())


def test_the_market_is_the_one_of_the_list(golden: Any) -> None:
    assert golden["market"]["first_bars"] == [list(bar) for bar in golden_bars()[0][:3]]
    assert golden["market"]["seed"] == SEED


@pytest.mark.parametrize("name", list(RULES))
def test_V2_the_golden_trades(golden: Any, name: str) -> None:
    assert trades(RULES[name]) == golden["trades"][name]


def test_V2_the_list_tells_the_rules_apart(golden: Any) -> None:
    lists = golden["trades"]
    assert all(len(rows) > 60 for rows in lists.values())
    reasons = {row[8] for rows in lists.values() for row in rows}
    assert {"stop", "target"} <= reasons
    results = {name: sum(row[7] for row in rows) for name, rows in lists.items()}
    assert len(set(results.values())) == 3
    assert lists["pessimistic"] != lists["path"]


if __name__ == "__main__":
    rows = document()
    lines = [f'  "{name}": {json.dumps(rows[name])}' for name in ("market", "signals", "columns")]
    lists = [
        f'    "{name}": [\n' + ",\n".join(f"      {json.dumps(row)}" for row in found) + "\n    ]"
        for name, found in rows["trades"].items()
    ]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + ',\n  "trades": {\n' + ",\n".join(lists) + "\n  }\n}\n")
