"""PyPI `project-x-py` 4.4.1 (Python 3.12 or newer), unmodified, against `tbot sim` in real time.

The package stamps ticks with its own clock, so the simulator runs on the wall clock with history up to now.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interop_checks import check_round, check_stream, check_user_events
from interop_env import client_python
from interop_rig import SCRIPTS, Gateway, Relay, Witness, gateway, run_script

pytestmark = pytest.mark.interop
TRADES = 2  # few: the hour may be a quiet one


@pytest.fixture(scope="module")
def program() -> list[str]:
    return [str(client_python("project_x_py")), str(SCRIPTS / "use_project_x_py.py")]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Gateway]:
    with gateway(tmp_path / "sim", "--seed", "7", "--contracts", "MNQ,NQ") as server:
        yield server


def check(result: dict[str, Any], live: Gateway) -> None:
    account = result["account"]
    check_round(live, account, result["ids"], live.contract("MNQ")["id"])
    events = {kind: [event["data"] for event in batch] for kind, batch in result["user"].items()}
    check_user_events(events, live, account)
    assert result["fills"] == [fill["id"] for fill in live.trades(account)]


def test_the_whole_list(program: list[str], live: Gateway, tmp_path: Path) -> None:
    contract = live.contract("MNQ")
    with Witness(live, contract["id"]) as witness:
        result = run_script(program, live, tmp_path / "client", trades=TRADES)
        check_stream(result["trades"], witness, "GatewayTrade", TRADES)
    seen, read = result["seen"], result["read"]
    assert seen["balance"] == 50_000
    assert seen["contract"].items() <= contract.items()
    assert seen["found"] == sorted(entry["id"] for entry in live.post("Contract/available", live=False)["contracts"])
    (working,) = read["working"]
    assert working[:2] == [result["ids"]["limit"], 2]
    assert (read["tracked"], read["closed"]) == (2, [True, True])
    assert result["history"] > 500, "a day of minutes"
    prices = {entry["price"] for _, batch in result["trades"] for entry in batch}
    assert min(prices) - 10 < result["price"] < max(prices) + 10
    # Its book may cross for a while: of a burst of depth messages the package keeps the last only.
    assert all(min(prices) - 20 < price < max(prices) + 20 for price in result["book"])
    check_history(seen["bars"], live, contract["id"])
    check(result, live)


def check_history(bars: list[Any], live: Gateway, contract_id: str) -> None:
    """Oldest first, in the package's own time zone; otherwise what the same window gives by hand."""
    own = [[datetime.fromisoformat(bar[0]).astimezone(UTC).isoformat(), *bar[1:]] for bar in bars]
    answer = live.post(
        "History/retrieveBars",
        contractId=contract_id,
        live=False,
        startTime=own[0][0],
        endTime=own[-1][0],
        unit=2,
        unitNumber=5,
        limit=20_000,
        includePartialBar=False,
    )
    told = [[bar["t"], bar["o"], bar["h"], bar["l"], bar["c"], bar["v"]] for bar in reversed(answer["bars"])]
    assert len(own) > 200
    assert own[: len(told)] == told
    assert len(told) >= len(own) - 1, "the window's end may be open"


def test_it_comes_back_after_a_drop(program: list[str], sim: Gateway, witness: Witness, tmp_path: Path) -> None:
    with Relay(sim.port) as relay:
        do = {"drop": relay.drop}
        result = run_script(program, relay.gateway(sim), tmp_path / "client", do, trades=40, drop=True)
    check_stream(result["trades"][:40], witness, "GatewayTrade", 40)
    check_stream(result["trades"][-40:], witness, "GatewayTrade", 40)
    check(result, sim)
