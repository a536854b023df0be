"""PyPI `projectx-sdk` 0.2.39, unmodified, against `tbot sim`."""

from pathlib import Path
from typing import Any

import pytest

from interop_checks import check_bars, check_market, check_round, check_user_events, unwrap
from interop_env import client_python
from interop_rig import SCRIPTS, Gateway, Relay, Witness, run_script

pytestmark = pytest.mark.interop
TRADES = 40


@pytest.fixture(scope="module")
def program() -> list[str]:
    return [str(client_python("projectx_sdk")), str(SCRIPTS / "use_projectx_sdk.py")]


def once(events: list[Any]) -> list[Any]:
    """The package registers its market handlers twice (at start and at open): everything comes twice, in pairs."""
    whole = events[: len(events) // 2 * 2]  # the last may stand between its two calls
    assert whole[0::2] == whole[1::2]
    return whole[0::2]


def test_the_whole_list(program: list[str], sim: Gateway, witness: Witness, tmp_path: Path) -> None:
    result = run_script(program, sim, tmp_path / "client", trades=2 * TRADES, now=sim.now())
    contract, account = sim.contract("MNQ"), result["account"]
    seen, read = result["seen"], result["read"]
    assert [entry["id"] for entry in seen["accounts"]] == [account] == [entry["id"] for entry in sim.accounts()]
    assert seen["accounts"][0]["balance"] == 50_000
    assert [entry.items() <= contract.items() for entry in seen["contracts"]] == [True]
    assert seen["by_id"] is None  # its own fault: it looks for a list where the gateway answers one `contract`
    check_bars(seen["bars"], sim, contract["id"], seen["window"], unit=2, number=5, limit=20)
    check_market({kind: once(events) for kind, events in result["market"].items()}, witness, TRADES - 1)
    check_round(sim, account, result["ids"], contract["id"])  # a used tag leaves no order
    (working,) = read["working"]
    assert (working["id"], working["size"], working["limitPrice"]) == (result["ids"]["limit"], 2, read["moved"])
    assert read["refused"] == "[Error 2] API error 2: Specified custom tag is already in use"
    check_user_events(unwrap(result["user"]), sim, account)
    fields = ("id", "price", "side", "size", "orderId")
    assert result["trades"] == [[trade[name] for name in fields] for trade in reversed(sim.trades(account))]
    assert result["orders"] == [[order["id"], order["status"]] for order in sim.orders(account)]


@pytest.mark.long
def test_after_a_drop_it_must_be_told_to_subscribe_again(program: list[str], sim: Gateway, tmp_path: Path) -> None:
    """It reconnects, but its own fault keeps the market silent: nobody tells that hub to subscribe again."""
    with Relay(sim.port) as relay:
        do = {"drop": relay.drop}
        result = run_script(program, relay.gateway(sim), tmp_path / "client", do, trades=5, now=sim.now(), drop=True)
    assert result == {"alone": False, "asked": True, "connected": True}
