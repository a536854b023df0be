"""PyPI `pysignalr`, unmodified, against `tbot sim`."""

from pathlib import Path
from typing import Any

import pytest

from interop_checks import check_market, check_round, check_user_events, unwrap
from interop_env import client_python
from interop_rig import SCRIPTS, Gateway, Relay, Witness, run_script

pytestmark = pytest.mark.interop
TRADES = 40


@pytest.fixture(scope="module")
def program() -> list[str]:
    return [str(client_python("pysignalr")), str(SCRIPTS / "use_pysignalr.py")]


def check(result: dict[str, Any], connections: int, sim: Gateway, witness: Witness) -> None:
    assert result["completions"] == [[None, None]] * 7 * connections
    assert len(result["market"]) == len(result["user"]) == connections
    for events in result["market"]:
        check_market(events, witness, TRADES)
    check_round(sim, result["account"], result["ids"], sim.contract("MNQ")["id"])
    check_user_events(unwrap(result["user"][-1]), sim, result["account"])


def test_quotes_trades_and_user_events_arrive_unchanged(
    program: list[str], sim: Gateway, witness: Witness, tmp_path: Path
) -> None:
    result = run_script(program, sim, tmp_path / "client", contract=sim.contract("MNQ"), trades=TRADES)
    check(result, 1, sim, witness)
    assert result["bad_token"] in ("AuthorizationError", "NegotiationFailure")


def test_it_comes_back_after_a_drop(program: list[str], sim: Gateway, witness: Witness, tmp_path: Path) -> None:
    """It tries its used connection id first, gets the framework's 404, and negotiates with `?id=` still in the URL."""
    with Relay(sim.port) as relay:
        result = run_script(
            program,
            relay.gateway(sim),
            tmp_path / "client",
            do={"drop": relay.drop},
            contract=sim.contract("MNQ"),
            trades=TRADES,
            drop=True,
        )
        assert relay.accepted >= 6, "two connections, two refused, two again, and what negotiates"
    check(result, 2, sim, witness)
