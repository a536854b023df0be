"""The simulator as a process: settings, ready line or pipe, orderly end."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
import requests

from sim_rig import until
from tbot.errors import ConfigError
from tbot.sim.server import SimServer, listen, main, settings_of

PROGRAM = "from tbot.sim.server import main; main({'symbols': ['MNQ'], 'history_days': 1, 'accounts': 2})"


def test_the_first_line_says_where_it_is_and_sigterm_ends_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        addresses = {"event", "rest", "user_hub", "market_hub"}
        assert ready.keys() == addresses | {"user_name", "api_key", "control_token", "users"}
        assert ready["event"] == "ready"
        login = {"userName": ready["user_name"], "apiKey": ready["api_key"]}
        token = requests.post(f"{ready['rest']}/api/Auth/loginKey", json=login, timeout=10).json()["token"]
        accounts = requests.post(
            f"{ready['rest']}/api/Account/search",
            json={"onlyActiveAccounts": True},
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        ).json()["accounts"]
        assert [row["name"] for row in accounts] == ["50KTC-V2-000001-00000001", "50KTC-V2-000001-00000002"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        assert process.stdout.read() == ""


def test_embedded_it_answers_by_pipe() -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    settings = {"symbols": ("MNQ",), "history_days": 1, "user_name": "u", "api_key": "k", "ready_pipe": theirs}
    process = context.Process(target=main, args=(settings,))
    process.start()
    try:
        assert ours.poll(30)
        ready = ours.recv()
        assert (ready["user_name"], ready["api_key"]) == ("u", "k")
        until(lambda: requests.get(f"{ready['rest']}/api/Status/ping", timeout=10).text == "pong", "a ping")
    finally:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
        process.join(15)
    assert process.exitcode == 0


class Child:
    """As much of the engine's child context as the simulator looks at."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.secrets = {"api_key": "from-the-pipe"}


def test_in_the_engine_it_serves_the_launchers_socket_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    child, listener = Child(), listen(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = {"symbols": ("MNQ",), "history_days": 1, "user_name": "u", "listener": listener}
    thread = threading.Thread(target=main, args=(settings, child))
    thread.start()
    try:
        login = {"userName": "u", "apiKey": "from-the-pipe"}
        assert requests.post(f"{url}/api/Auth/loginKey", json=login, timeout=30).json()["success"]
    finally:
        child.stop.set()
        thread.join(15)
    assert not thread.is_alive()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"sped": 1}, "no setting 'sped'"),
        ({"speed": 0}, "speed must be"),
        ({"speed": -1.0}, "speed must be"),
        ({"accounts": 0}, "1 to 1000 accounts"),
        ({"seed": -1}, "a seed is 0 or more"),
        ({"start_ns": -1}, "from 2001 to 2098"),
        ({"start_ns": 4_102_444_800_000_000_000}, "from 2001 to 2098"),
    ],
)
def test_senseless_settings_are_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        settings_of(values)


def test_settings_from_a_dict() -> None:
    settings = settings_of({"speed": "max", "tape": "/x/y", "symbols": ["ES"]})
    assert (settings.speed, str(settings.tape), settings.symbols) == (None, "/x/y", ("ES",))
    assert settings.simulated_time
    assert not settings.always_open
    assert settings_of({}).always_open


def test_the_synthetic_market_rolls_by_the_calendar() -> None:
    friday_ns, monday_ns = 1_796_999_400_000_000_000, 1_797_258_600_000_000_000  # 2026-12-11 and -14, 14:30 UTC
    values = {"symbols": ["MNQ", "MGC"], "start_ns": friday_ns, "history_days": 0, "hold": True}
    server = SimServer(settings_of(values))
    told: list[tuple[str, str]] = []
    server.exchange.on_roll.append(lambda old, new, _offset, _now: told.append((old.broker_id, new.broker_id)))
    server.exchange.advance(friday_ns)
    assert {contract.name for contract in server.exchange.listed()} == {"MNQZ6", "MGCG7"}
    server.exchange.advance(monday_ns)
    assert {contract.name for contract in server.exchange.listed()} == {"MNQH7", "MGCG7"}
    assert told == [("CON.F.US.MNQ.Z26", "CON.F.US.MNQ.H27")]


def test_a_taken_port_is_a_clear_error() -> None:
    with listen(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 cannot be used"):
            listen(port)
