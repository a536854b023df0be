"""PyPI `topstep-client-py` 0.1.1, unmodified, against `tbot sim`."""

from pathlib import Path

import pytest

from interop_checks import check_bars, check_market, check_round, check_user_events, unwrap
from interop_env import client_python
from interop_rig import SCRIPTS, Gateway, Relay, Witness, run_script

pytestmark = pytest.mark.interop
TRADES = 40


@pytest.fixture(scope="module")
def program() -> list[str]:
    return [str(client_python("topstep_client")), str(SCRIPTS / "use_topstep_client.py")]


def test_the_whole_list(program: list[str], sim: Gateway, witness: Witness, tmp_path: Path) -> None:
    result = run_script(program, sim, tmp_path / "client", trades=TRADES, now=sim.now())
    contract, account = sim.contract("MNQ"), result["account"]
    seen, read = result["seen"], result["read"]
    assert seen["accounts"][0].items() <= (sim.accounts()[0] | {"balance": 50_000.0}).items()
    assert seen["contract"] == contract
    assert seen["available"] == [entry["id"] for entry in sim.post("Contract/available", live=False)["contracts"]]
    check_bars(seen["bars"], sim, contract["id"], seen["window"], unit=2, number=5, limit=20)
    check_market(result["market"], witness, TRADES)
    check_round(sim, account, result["ids"], contract["id"], refused=1)
    (working,) = read["working"]
    assert (working["id"], working["size"], working["limitPrice"]) == (result["ids"]["limit"], 2, read["moved"])
    text = "Invalid stop loss ticks (40). Ticks should be less than zero when longing."
    assert read["refused"] == f"[2] {text}"
    check_user_events(unwrap(result["user"]), sim, account)
    fields = ("id", "price", "side", "size", "orderId", "profitAndLoss", "fees", "voided")
    told = [[trade[name] for name in fields] for trade in reversed(sim.trades(account))]
    assert [[trade[name] for name in fields] for trade in result["trades"]] == told
    assert result["orders"] == [[order["id"], order["status"]] for order in sim.orders(account)]
    assert result["bad_key"] == "[3] Unknown API error"


@pytest.mark.long
def test_after_a_drop_it_must_be_told_to_subscribe_again(program: list[str], sim: Gateway, tmp_path: Path) -> None:
    """It reconnects, but its own fault keeps it silent: it resubscribes at `on_open`, and a reconnect calls another."""
    with Relay(sim.port) as relay:
        do = {"drop": relay.drop}
        result = run_script(program, relay.gateway(sim), tmp_path / "client", do, trades=5, now=sim.now(), drop=True)
    assert result == {"alone": False, "asked": True}
