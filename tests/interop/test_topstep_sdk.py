"""PyPI `topstep-sdk` 0.1.4 (Python 3.12 or newer), unmodified, against `tbot sim`."""

from pathlib import Path
from typing import Any

import pytest

from interop_checks import check_bars, check_prints, check_quotes, check_round, check_user_events
from interop_env import client_python
from interop_rig import SCRIPTS, Gateway, Relay, Witness, run_script

pytestmark = pytest.mark.interop
TRADES = 60
TICK = 0.25


@pytest.fixture(scope="module")
def program() -> list[str]:
    return [str(client_python("topstep_sdk")), str(SCRIPTS / "use_topstep_sdk.py")]


def test_the_whole_list(program: list[str], sim: Gateway, witness: Witness, tmp_path: Path) -> None:
    result = run_script(program, sim, tmp_path / "client", trades=TRADES, now=sim.now())
    contract, account = sim.contract("MNQ"), result["account"]
    seen, read = result["seen"], result["read"]
    assert seen["ping"] == "pong"
    assert seen["accounts"] == [sim.accounts()[0] | {"balance": 50_000.0}]
    assert seen["contract"] == seen["by_id"] == contract
    assert seen["nothing"] is None
    assert seen["available"] == [entry["id"] for entry in sim.post("Contract/available", live=False)["contracts"]]
    check_bars(seen["bars"], sim, contract["id"], seen["window"], unit=2, number=5, limit=20)
    check_prints(result["market"]["GatewayTrade"], witness, TRADES)
    check_quotes(result["market"]["GatewayQuote"], witness, TRADES // 3)
    check_round(sim, account, result["ids"], contract["id"])
    check_user_events(result["user"], sim, account)
    (working,) = read["working"]
    assert (working["id"], working["size"], working["limitPrice"]) == (result["ids"]["limit"], 2, read["moved"])
    assert (read["filled"]["status"], read["filled"]["fillVolume"]) == (2, 2)
    assert "Specified custom tag is already in use" in read["refused"]
    told = [{name: value for name, value in trade.items() if value is not None} for trade in sim.trades(account)]
    assert [_no_time(trade) for trade in result["trades"]] == [_no_time(trade) for trade in reversed(told)]


def _no_time(trade: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in trade.items() if name != "creationTimestamp"}


def test_a_bracket_lives_as_its_helpers_expect(program: list[str], sim: Gateway, tmp_path: Path) -> None:
    result = run_script(program, sim, tmp_path / "client", trades=5, now=sim.now(), bracket=True)
    orders = {order["id"]: order for order in sim.orders(result["account"])}
    entry = orders[result["entry"]]
    stop, target = (next(leg for leg in result["legs"] if leg["type"] == kind) for kind in (4, 1))
    assert [stop["id"], target["id"]] == [entry["id"] + 1, entry["id"] + 2]
    assert (stop["parentOrderId"], target["parentOrderId"]) == (entry["id"], entry["id"])
    assert target["linkedOrderId"] == stop["id"]
    assert (stop["customTag"], target["customTag"]) == ("bracket-1-SL", "bracket-1-TP")
    assert stop["stopPrice"] == entry["filledPrice"] - 400 * TICK
    assert target["limitPrice"] == entry["filledPrice"] + 400 * TICK
    assert result["moved"]["stopPrice"] == stop["stopPrice"] + 20 * TICK
    assert orders[target["id"]]["limitPrice"] == target["limitPrice"], "the sibling stays where it was"
    assert result["closed"] == [entry["contractId"]]
    assert sorted(result["cancelled"]) == [stop["id"], target["id"]], "a close leaves the protective orders"
    assert [orders[leg]["status"] for leg in (stop["id"], target["id"])] == [3, 3]
    first = [order for order in result["user"]["GatewayUserOrder"] if order["status"] == 8]
    assert {order["id"] for order in first} == {stop["id"], target["id"]}, "born suspended"
    check_user_events(result["user"], sim, result["account"], sizes=[1, 0])


def test_it_comes_back_after_a_drop(program: list[str], sim: Gateway, witness: Witness, tmp_path: Path) -> None:
    with Relay(sim.port) as relay:
        through = relay.gateway(sim)
        home, do = tmp_path / "client", {"drop": relay.drop}
        result = run_script(program, through, home, do, trades=TRADES, now=sim.now(), drop=True)
    prints = result["market"]["GatewayTrade"]
    check_prints(prints[: result["before"]], witness, TRADES)
    check_prints(prints[-TRADES:], witness, TRADES)
    check_round(sim, result["account"], result["ids"], sim.contract("MNQ")["id"])
    check_user_events(result["user"], sim, result["account"])
