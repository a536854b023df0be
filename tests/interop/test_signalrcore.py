"""PyPI `signalrcore`, unmodified, against `tbot sim`."""

from pathlib import Path
from typing import Any

import pytest

from interop_checks import check_market, check_round, check_user_events, unwrap
from interop_env import client_python
from interop_rig import SCRIPTS, Gateway, Relay, Witness, run_script

pytestmark = pytest.mark.interop
TRADES = 40
NEGOTIATION = pytest.mark.parametrize("skip", [False, True], ids=["negotiated", "skipped"])


@pytest.fixture(scope="module")
def program() -> list[str]:
    return [str(client_python("signalrcore")), str(SCRIPTS / "use_signalrcore.py")]


def check(result: dict[str, Any], connections: int, sim: Gateway, witness: Witness) -> None:
    assert result["completions"] == [[None, None]] * 7 * connections
    assert len(result["market"]) == len(result["user"]) == connections
    for events in result["market"]:
        check_market(events, witness, TRADES)
    check_round(sim, result["account"], result["ids"], sim.contract("MNQ")["id"])
    check_user_events(unwrap(result["user"][-1]), sim, result["account"])


@NEGOTIATION
def test_quotes_trades_and_user_events_arrive_unchanged(
    program: list[str], sim: Gateway, witness: Witness, tmp_path: Path, skip: bool
) -> None:
    result = run_script(program, sim, tmp_path / "client", contract=sim.contract("MNQ"), trades=TRADES, skip=skip)
    check(result, 1, sim, witness)
    assert result["errors"] == ["Unknown hub method 'NoSuchMethod'"]
    assert "401" in result["bad_token"]


@NEGOTIATION
def test_it_comes_back_after_a_drop(
    program: list[str], sim: Gateway, witness: Witness, tmp_path: Path, skip: bool
) -> None:
    with Relay(sim.port) as relay:
        result = run_script(
            program,
            relay.gateway(sim),
            tmp_path / "client",
            do={"drop": relay.drop},
            contract=sim.contract("MNQ"),
            trades=TRADES,
            drop=True,
            skip=skip,
        )
    check(result, 2, sim, witness)
