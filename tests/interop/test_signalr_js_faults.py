"""The official JavaScript client while the simulator misbehaves: each wire fault does to it what the real thing does.

What is expected was seen with that client against a server that misbehaves on purpose (the SignalR notes this project
was built from): records cut in two, empty or broken ones end its connection, unknown ones do not.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from interop_env import node_env
from interop_rig import SCRIPTS, Gateway, gateway, run_script

pytestmark = pytest.mark.interop
MORNING = "2026-11-20T15:00:00Z"


@pytest.fixture(scope="module")
def javascript() -> tuple[list[str], Path]:
    node, modules = node_env("@microsoft/signalr@~10.0")
    return [str(node), str(SCRIPTS / "use_signalr_faults.mjs")], modules


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One simulator for all: a plan is calmed before the next comes."""
    options = ("--seed", "3", "--contracts", "MNQ", "--start", MORNING)
    with gateway(tmp_path_factory.mktemp("faults") / "sim", *options) as sim:
        yield sim


class Stage:
    """The simulator with its fault control, and the client that gets to feel it."""

    def __init__(self, sim: Gateway, javascript: tuple[list[str], Path], home: Path) -> None:
        self._sim, self._home = sim, home
        self._program, self._modules = javascript
        self._contract = sim.contract("MNQ")
        self.control("DELETE")

    def control(self, method: str, body: str = "") -> dict[str, Any]:
        headers = {"X-Sim-Token": self._sim.ready["control_token"]}
        answer = requests.request(
            method, self._sim.ready["rest"] + "/sim/faults", data=body, headers=headers, timeout=60
        )
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert isinstance(document, dict)
        return document

    def play(self, *plan: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Run the client; the faults come when it has data (or, with `before`, before it connects).

        With `noticed` they end when it has lost its connection, however long that takes.
        """
        lines = "\n".join(json.dumps(entry) for entry in plan)
        settings = {"segments": 1, "compared": 8, "contract": self._contract, "modules": str(self._modules), **more}
        before = self.control("GET")["fired"]
        do = {"fault": lambda: self.control("POST", lines), "noticed": lambda: self.control("DELETE")}
        result = run_script(self._program, self._sim, self._home / "client", do, **settings)
        fired = self.control("GET")["fired"]
        for entry in plan:
            assert fired.get(entry["name"], 0) > before.get(entry["name"], 0), f"{entry} never met anything"
        return result


@pytest.fixture
def stage(shared: Gateway, javascript: tuple[list[str], Path], tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(shared, javascript, tmp_path)
    yield stage
    stage.control("DELETE")


def check_whole(result: dict[str, Any]) -> None:
    """No connection lost or doubled a print."""
    assert [segment["disagreements"] for segment in result["segments"]] == [[]] * len(result["segments"])


def fault(name: str, **args: Any) -> dict[str, Any]:
    return {"name": name, "args": {"hub": "market", **args}}


def name(plan: dict[str, Any]) -> str:
    return "-".join(str(value) for value in (plan["name"], *plan["args"].values()) if value != "market")


UNNOTICED = [
    fault("ws.slice", how="merge", size=5),
    fault("ws.slice", how="fragments", size=40),
    fault("ws.slice", how="bytes"),
    fault("ws.latency", seconds=0.3),
    fault("ws.jitter", seconds=0.2),
]


@pytest.mark.parametrize("plan", UNNOTICED, ids=name)
def test_what_the_transport_may_do_goes_unnoticed(stage: Stage, plan: dict[str, Any]) -> None:
    result = stage.play(plan | {"at": 0})
    assert (result["reconnecting"], result["closed"], result["state"]) == ([], None, "Connected")
    check_whole(result)


def test_a_record_of_an_unknown_type_is_ignored(stage: Stage) -> None:
    result = stage.play(fault("ws.malformed", kind="unknown_type") | {"after": 1})
    assert (result["reconnecting"], result["closed"], result["state"]) == ([], None, "Connected")
    check_whole(result)


ENDS_AND_COMES_BACK = [
    (fault("ws.malformed", kind="empty") | {"after": 1}, "Unexpected end of JSON input"),
    (fault("ws.malformed", kind="broken") | {"after": 1}, "JSON"),
    (fault("ws.malformed", kind="no_type") | {"after": 1}, "Invalid payload."),
    (fault("ws.malformed", kind="non_object") | {"after": 1}, "Invalid payload."),
    (fault("ws.malformed", kind="no_target") | {"after": 1}, "Invalid payload for Invocation message."),
    (fault("ws.drop", mode="rst") | {"after": 1}, "1006"),
    (fault("ws.drop", mode="fin") | {"after": 1}, "1006"),
    (fault("ws.drop", mode="close1011") | {"after": 1}, "1011"),
    (fault("ws.drop", mode="allowReconnect") | {"after": 1}, "undefined"),
]


@pytest.mark.parametrize(("plan", "words"), ENDS_AND_COMES_BACK, ids=[name(plan) for plan, _ in ENDS_AND_COMES_BACK])
def test_it_ends_the_connection_with_these_words_and_comes_back(stage: Stage, plan: dict[str, Any], words: str) -> None:
    result = stage.play(plan, segments=2)
    assert len(result["reconnecting"]) == 1
    assert words in result["reconnecting"][0]
    assert (result["closed"], result["state"], len(result["segments"])) == (None, "Connected", 2)
    check_whole(result)


def test_records_split_over_messages_end_it_until_that_stops(stage: Stage) -> None:
    """Its words when established: `Message is incomplete.` Attempts meanwhile may fail in the handshake already."""
    plan = fault("ws.slice", how="split", size=20) | {"at": 0}
    result = stage.play(plan, segments=2, noticed=True)
    assert result["reconnecting"][0] == "Message is incomplete."
    assert (result["closed"], result["state"]) == (None, "Connected")
    check_whole(result)


def test_silence_is_noticed_by_its_own_watchdog(stage: Stage) -> None:
    plan = fault("ws.stall") | {"at": 0}
    result = stage.play(plan, segments=2, noticed=True, serverTimeout=2000)
    assert "Server timeout elapsed" in result["reconnecting"][0]
    assert (result["closed"], result["state"]) == (None, "Connected")


@pytest.mark.parametrize(
    ("mode", "words"),
    [("final", "without error"), ("error", "Server returned an error on close: Connection closed with an error.")],
)
def test_a_close_without_leave_to_reconnect_is_final_for_it(stage: Stage, mode: str, words: str) -> None:
    result = stage.play(fault("ws.drop", mode=mode) | {"after": 1})
    assert (result["reconnecting"], result["closed"], result["state"]) == ([], words, "Disconnected")


REFUSED = ["401", "403", "404", "429", "503"]


@pytest.mark.parametrize("mode", [*REFUSED, "error", "garbage", "glued"])
def test_what_a_first_start_makes_of_a_bad_handshake(stage: Stage, mode: str) -> None:
    """A start that fails is not tried again; records glued behind the handshake's answer are no failure."""
    plan = fault("ws.handshake", mode=mode) | {"after": 1}
    result = stage.play(plan, before=True)
    if mode == "glued":
        assert (result["started"], result["state"]) == ("yes", "Connected")
        return
    assert result["state"] == "Disconnected"
    if mode in REFUSED:
        assert "WebSocket failed to connect" in result["started"]
    elif mode == "error":
        assert "Server returned handshake error" in result["started"]
    else:
        assert result["started"] not in ("yes", "no")


def test_an_expired_token_is_replaced_on_the_way_back(stage: Stage) -> None:
    """Every token is dead and the connection is cut; the client asks its factory, which logs in anew."""
    plans = [{"name": "auth.expire", "at": 0}, fault("ws.drop", mode="rst") | {"at": 0}]
    result = stage.play(*plans, segments=2)
    assert (len(result["reconnecting"]), result["closed"], result["state"]) == (1, None, "Connected")
    check_whole(result)
