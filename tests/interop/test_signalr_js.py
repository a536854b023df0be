"""npm `@microsoft/signalr` 10 on Node, the official client, unmodified, against `tbot sim`."""

from pathlib import Path
from typing import Any

import pytest

from interop_checks import check_market, check_round, check_user_events, unwrap
from interop_env import node_env
from interop_rig import SCRIPTS, Gateway, Relay, Witness, run_script

pytestmark = pytest.mark.interop
TRADES = 40
NEGOTIATION = pytest.mark.parametrize("skip", [False, True], ids=["negotiated", "skipped"])


@pytest.fixture(scope="module")
def client() -> tuple[list[str], Path]:
    node, modules = node_env("@microsoft/signalr@~10.0")
    return [str(node), str(SCRIPTS / "use_signalr.mjs")], modules


def run(client: tuple[list[str], Path], sim: Gateway, home: Path, **more: Any) -> dict[str, Any]:
    program, modules = client
    return run_script(program, sim, home, contract=sim.contract("MNQ"), modules=str(modules), trades=TRADES, **more)


def check(result: dict[str, Any], connections: int, sim: Gateway, witness: Witness) -> None:
    assert result["results"] == [None] * 7 * connections
    assert len(result["market"]) == len(result["user"]) == connections
    for events in result["market"]:
        check_market(events, witness, TRADES)
    check_round(sim, result["account"], result["ids"], sim.contract("MNQ")["id"])
    check_user_events(unwrap(result["user"][-1]), sim, result["account"])


@NEGOTIATION
def test_everything_arrives_unchanged(
    client: tuple[list[str], Path], sim: Gateway, witness: Witness, tmp_path: Path, skip: bool
) -> None:
    result = run(client, sim, tmp_path / "client", skip=skip)
    check(result, 1, sim, witness)
    assert all(result["connectionIds"]) is not skip, "the public id comes from the negotiation"
    assert "401" in result["badToken"] if not skip else "WebSocket failed to connect" in result["badToken"]
    assert result["reconnecting"] == [0, 0]


@NEGOTIATION
def test_the_token_may_stand_in_the_address_alone(
    client: tuple[list[str], Path], sim: Gateway, witness: Witness, tmp_path: Path, skip: bool
) -> None:
    """As in a browser, which cannot set headers on a WebSocket."""
    result = run(client, sim, tmp_path / "client", skip=skip, inQuery=True)
    check(result, 1, sim, witness)
    assert "401" in result["badToken"] if not skip else "WebSocket failed to connect" in result["badToken"]


@NEGOTIATION
def test_errors_of_calls_have_the_frameworks_words(
    client: tuple[list[str], Path], sim: Gateway, tmp_path: Path, skip: bool
) -> None:
    said = run(client, sim, tmp_path / "client", skip=skip)["complaints"]
    assert said["unknown"] == "Unknown hub method 'NoSuchMethod'"
    assert said["count"] == "Failed to invoke 'SubscribeContractQuotes' due to an error on the server."
    assert said["type"] == said["count"]
    assert said["foreign"] == "Failed to invoke 'SubscribeOrders' because user is unauthorized"
    assert said["lowerCase"] == ["result", None]


@NEGOTIATION
def test_automatic_reconnect_after_a_drop(
    client: tuple[list[str], Path], sim: Gateway, witness: Witness, tmp_path: Path, skip: bool
) -> None:
    with Relay(sim.port) as relay:
        result = run(client, relay.gateway(sim), tmp_path / "client", skip=skip, drop=True, do={"drop": relay.drop})
    check(result, 2, sim, witness)
    assert result["reconnecting"] == [1, 1]
    assert skip or len(set(result["connectionIds"])) == 4, "a new connection has a new id"
