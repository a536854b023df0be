"""The whole engine against a gateway that changes under it: another month, another key, another clock."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine_runs import Command, running, until
from renaming_proxy import RenamingProxy
from sim_rig import KEY, OWNER, RunningServer
from tbot.sim.server import SimServer, SimSettings

LOGIN = {"TBOT_USERNAME": OWNER, "TBOT_API_KEY": KEY}
START_NS = 1_795_186_800_000_000_000  # 2026-11-20 15:00 UTC
HOUR_NS = 3600 * 10**9


def simulator(start_ns: int = START_NS, key: str = KEY, port: int = 0) -> RunningServer:
    """A lively synthetic market; market time runs twenty times as fast as real time."""
    settings = SimSettings(
        seed=3, symbols=("MNQ",), start_ns=start_ns, speed=20.0, history_days=1, user_name=OWNER, api_key=key
    )
    return RunningServer(SimServer(settings), port)


def stop(server: RunningServer) -> None:
    """Before its time; leaving the block once more does no harm."""
    server.__exit__(None, None, None)


@contextmanager
def engine(home: Path, url: str):
    with running(home, "run", "--gateway", url, "--contracts", "MNQ", "--json", **LOGIN) as command:
        command.await_state("ACTIVE")
        until(lambda: contract(command)["feed"] == "ok", "market data", seen=command.status)
        yield command


def contract(command: Command) -> dict[str, Any]:
    found: dict[str, Any] = command.status()["contracts"]["MNQ"]
    return found


def ended(command: Command) -> int:
    command.interrupt()
    code, _ = command.finish()
    return code


def test_F_TIM_07_I29_a_roll_while_everything_runs(tmp_path: Path) -> None:
    """The list names another month: the engine follows without a restart, and takes nothing over from the old one."""
    old, new = "CON.F.US.MNQ.Z26", "CON.F.US.MNQ.H27"
    with simulator() as server, RenamingProxy(server.rest) as proxy, engine(tmp_path, proxy.rest) as command:
        assert contract(command)["broker_id"] == old
        proxy.roll(old, new)
        # What comes on the old id is nothing any more. The list is read after a reconnection, so let it reconnect.
        loop = server._loop
        assert loop is not None
        loop.call_soon_threadsafe(server.server.market_hub.end_all)
        until(lambda: contract(command)["broker_id"] == new, "the new month", seen=command.status)
        until(
            lambda: contract(command)["feed"] == "ok" and not contract(command)["barred"],
            "entries are possible again",
            seen=command.status,
        )
        document = command.status()
        assert contract(command)["rolls"] == 1
        until(lambda: contract(command)["bars"]["1m"] > 1000, "a fresh history in the worker", seen=command.status)
        assert document["state"] == "ACTIVE"
        assert document["alarms"] == []
        assert {process["restarts"] for process in document["processes"].values()} == {0}
        ticks = contract(command)["ticks"]
        until(lambda: contract(command)["ticks"] > ticks, "ticks of the new month")
        assert ended(command) == 0


@pytest.mark.long
def test_F_API_02_a_gateway_that_comes_back_the_same_then_earlier_then_with_another_key(tmp_path: Path) -> None:
    """The same and later is used again; an earlier clock and a refused login stop entries, loudly, not in a loop."""
    with simulator(START_NS) as server:
        port = server.port
        with engine(tmp_path, server.rest) as command:
            stop(server)
            with simulator(START_NS + HOUR_NS, port=port) as later:
                until(lambda: command.status()["market_ns"] >= START_NS + HOUR_NS, "the later clock")
                until(lambda: contract(command)["feed"] == "ok", "market data again", seen=command.status)
                document = command.await_state("ACTIVE")
                assert document["reconnections"] >= 1
                assert contract(command)["gaps"] >= 1
                stop(later)
                with simulator(START_NS, port=port) as earlier:
                    document = command.await_state("HALTED")
                    assert document["reasons"] == ["RC_CLOCK"]
                    assert "went back" in document["reason"]
                    until(lambda: "went back" in contract(command)["barred"], "no entries", seen=command.status)
                    stop(earlier)
                    with simulator(START_NS, key="another", port=port):
                        until(lambda: command.status()["reasons"] == ["RC_AUTH"], "the refusal", seen=command.status)
                        document = command.status()
                        assert (document["state"], "refused the login" in document["reason"]) == ("HALTED", True)
                        assert KEY not in str(document)
                        until(lambda: "refused" in contract(command)["barred"], "no entries", seen=command.status)
                        assert command.status()["api"]["login_refused"]
                        command.interrupt()
                        command.finish()
