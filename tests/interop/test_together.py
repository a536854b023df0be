"""Three different clients at once on one simulator, of two users; an orderly end; slow readers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from interop_checks import check_market, check_round, check_user_events, unwrap
from interop_env import client_python, node_env
from interop_rig import SCRIPT_LIMIT_S, SCRIPTS, Witness, gateway, run_script
from shared_data import shared
from tbot.storage.importers import import_files

pytestmark = pytest.mark.interop
TRADES = 40
ES_TRADES = "market/ticks/ESM8_trades_20180507_1330-1530Z.parquet"
MORNING = "2026-11-20T15:00:00Z"


@pytest.fixture(scope="module")
def javascript() -> tuple[list[str], Path]:
    node, modules = node_env("@microsoft/signalr@~10.0")
    return [str(node), str(SCRIPTS / "use_signalr.mjs")], modules


@pytest.fixture(scope="module")
def programs(javascript: tuple[list[str], Path]) -> list[list[str]]:
    pysignalr, signalrcore = client_python("pysignalr"), client_python("signalrcore")
    return [
        javascript[0],
        [str(pysignalr), str(SCRIPTS / "use_pysignalr.py")],
        [str(signalrcore), str(SCRIPTS / "use_signalrcore.py")],
    ]


# Which user and which of that user's accounts the n-th client has.
SEATS = [(0, 0), (0, 1), (1, 0)]


def side_by_side(programs: list[list[str]], javascript: tuple[list[str], Path], tmp_path: Path, idle_s: float) -> None:
    options = ("--seed", "7", "--contracts", "MNQ,ES", "--start", MORNING, "--users", "2", "--accounts", "2")
    with gateway(tmp_path / "sim", *options) as sim:
        contract = sim.contract("MNQ")
        users = [sim.as_user(0), sim.as_user(1)]
        foreign = users[1].accounts()[0]["id"]
        more = {"contract": contract, "modules": str(javascript[1]), "trades": TRADES, "skip": True, "idle": idle_s}

        def run(number: int) -> dict[str, Any]:
            user, account = SEATS[number]
            home, limit_s = tmp_path / f"client{number}", idle_s + SCRIPT_LIMIT_S
            return run_script(
                programs[number], users[user], home, limit_s=limit_s, account=account, foreign=foreign, **more
            )

        with Witness(sim, contract["id"]) as witness, ThreadPoolExecutor(3) as pool:
            results = list(pool.map(run, range(3)))
            for result, (user, account) in zip(results, SEATS, strict=True):
                own = [record["id"] for record in users[user].accounts()]
                assert result["account"] == own[account]
                assert len(result["market"]) == len(result["user"]) == 1, "nobody lost a connection"
                check_market(result["market"][0], witness, TRADES)
                check_round(users[user], own[account], result["ids"], contract["id"])
                events = unwrap(result["user"][0])
                check_user_events(events, users[user], own[account])
                assert {record["id"] for record in events["GatewayUserAccount"]} <= set(own), "another user's balance"
    javascript_client = results[0]
    assert javascript_client["complaints"]["foreign"] == FOREIGN


FOREIGN = "Failed to invoke 'SubscribeOrders' because user is unauthorized"


def test_three_clients_of_two_users_trade_side_by_side(
    programs: list[list[str]], javascript: tuple[list[str], Path], tmp_path: Path
) -> None:
    side_by_side(programs, javascript, tmp_path, 0)


@pytest.mark.long
def test_a_user_hub_that_is_quiet_for_long_stays_connected(
    programs: list[list[str]], javascript: tuple[list[str], Path], tmp_path: Path
) -> None:
    """Longer than every client's and the simulator's own limit of 30 s: pings both ways keep it."""
    side_by_side(programs, javascript, tmp_path, 75)


@pytest.mark.parametrize("skip", [False, True], ids=["negotiated", "skipped"])
def test_an_ending_simulator_says_goodbye_and_the_official_client_stays_away(
    javascript: tuple[list[str], Path], tmp_path: Path, skip: bool
) -> None:
    """A Close without allowReconnect: no error, and no attempt to come back although automatic reconnect is on."""
    program, modules = javascript
    with gateway(tmp_path / "sim", "--contracts", "MNQ", "--start", MORNING, ends=True) as sim:
        result = run_script(
            program,
            sim,
            tmp_path / "client",
            do={"stop": sim.stop},
            contract=sim.contract("MNQ"),
            modules=str(modules),
            trades=5,
            skip=skip,
            stop=True,
        )
    assert result["closed"] == ["without error", "without error"]
    assert result["reconnecting"] == [0, 0]


def test_at_full_speed_the_market_waits_for_a_slow_reader(javascript: tuple[list[str], Path], tmp_path: Path) -> None:
    """Nothing is lost and nobody is dropped: the cumulative volume in the quotes is the sum of the prints received."""
    program, modules = javascript
    slow = [program[0], str(SCRIPTS / "read_slowly.mjs")]
    options = ("--seed", "3", "--contracts", "MNQ", "--start", MORNING, "--speed", "max")
    with gateway(tmp_path / "sim", *options) as sim:
        contract = sim.contract("MNQ")
        more = {"contract": contract, "modules": str(modules), "prints": 50_000, "holdEvery": 50}
        result = run_script(slow, sim, tmp_path / "client", **more)
    assert result["prints"] >= 50_000
    assert result["outOfOrder"] == 0
    assert result["disagreements"] == []
    assert result["compared"] > 100


@pytest.mark.shared_data
def test_every_print_of_a_tape_reaches_a_slow_reader(javascript: tuple[list[str], Path], tmp_path: Path) -> None:
    """Two hours of real trades as fast as the official client takes them: the file's rows, in the file's order."""
    source = shared(ES_TRADES)
    rows = parquet.read_table(source).to_pydict()
    tape = tmp_path / "es.tape"
    import_files((source,), tape)
    program, modules = javascript
    slow = [program[0], str(SCRIPTS / "read_slowly.mjs")]
    with gateway(tmp_path / "sim", "--tape", str(tape), "--speed", "max") as sim:
        contract = sim.contract("ES")
        more = {"contract": contract, "modules": str(modules), "keep": True, "holdEvery": 500}
        more["prints"] = len(rows["price"])
        result = run_script(slow, sim, tmp_path / "client", **more)
    assert [price for _, price in result["prices"]] == rows["price"]
    assert [datetime.fromisoformat(text) for text, _ in result["prices"]] == rows["ts"]
