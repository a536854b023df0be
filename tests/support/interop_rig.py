"""What tests with third-party clients need: a simulator process, a cable to pull, a witness, and our scripts run.

A script of tests/interop/clients gets the ready document on stdin and the credentials in its environment. It answers
in JSON lines on stdout: `{"do": NAME}` asks the test to do something, `{"result": {...}}` is the last.
"""

import contextlib
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from websockets.exceptions import ConnectionClosed

from engine_runs import running
from hub_client import HubClient

SCRIPTS = Path(__file__).resolve().parents[1] / "interop" / "clients"
SCRIPT_LIMIT_S = 100.0
LONG_AGO = "2020-01-01T00:00:00Z"


@dataclass
class Gateway:
    """A simulator in a process of its own: its ready document, and its own word about accounts over REST."""

    ready: dict[str, Any] = field(repr=False)
    stop: Callable[[], None] = field(default=lambda: None, repr=False)
    _token: str = field(default="", repr=False)

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """The answer's document as it came, numbers as the JSON reader has them."""
        if not self._token:
            login = {"userName": self.ready["user_name"], "apiKey": self.ready["api_key"]}
            self._token = requests.post(self.ready["rest"] + "/api/Auth/loginKey", json=login, timeout=60).json()[
                "token"
            ]
        headers = {"Authorization": f"Bearer {self._token}"}
        answer = requests.post(f"{self.ready['rest']}/api/{path}", json=body, headers=headers, timeout=60)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        document = answer.json()
        assert isinstance(document, dict)
        assert (document["success"], document["errorCode"]) == (True, 0), document
        return document

    @property
    def port(self) -> int:
        return int(self.ready["rest"].rpartition(":")[2])

    @property
    def token(self) -> str:
        self.post("Account/search", onlyActiveAccounts=False)
        return self._token

    def as_user(self, number: int) -> "Gateway":
        """The same gateway seen by its n-th user."""
        user = self.ready["users"][number]
        return Gateway(self.ready | {name: user[name] for name in ("user_name", "api_key")}, self.stop)

    def accounts(self) -> list[dict[str, Any]]:
        return list(self.post("Account/search", onlyActiveAccounts=False)["accounts"])

    def orders(self, account: int) -> list[dict[str, Any]]:
        """Every order, oldest first, Suspended ones too."""
        answer = self.post("Order/v2/query", filter={"accountId": account}, pageSize=500, sortDirection=0)
        return list(answer["orders"])

    def trades(self, account: int) -> list[dict[str, Any]]:
        """Every fill, oldest first."""
        return list(reversed(self.post("Trade/search", accountId=account, startTimestamp=LONG_AGO)["trades"]))

    def positions(self, account: int) -> list[dict[str, Any]]:
        return list(self.post("Position/searchOpen", accountId=account)["positions"])

    def now(self) -> str:
        """The simulator's time, whole seconds."""
        clock = requests.get(self.ready["rest"] + "/sim/clock", timeout=60).json()
        return datetime.fromtimestamp(int(clock["market_ns"]) // 10**9, UTC).isoformat()

    def contract(self, text: str) -> dict[str, Any]:
        found = self.post("Contract/search", searchText=text, live=False)["contracts"]
        (chosen,) = [contract for contract in found if contract["name"].startswith(text)]
        assert isinstance(chosen, dict)
        return chosen


@contextlib.contextmanager
def gateway(home: Path, *arguments: str, ends: bool = False) -> Iterator[Gateway]:
    """`tbot sim` with these arguments, gone afterwards. `ends`: the test stops it by `stop`, else it must still run."""
    with running(home, "sim", *arguments) as command:
        ready = command.first_line()
        assert ready["event"] == "ready"
        yield Gateway(ready, stop=command.interrupt)
        if ends:
            assert command.finish()[0] == 0, command.stderr
        else:
            assert command.process.poll() is None, f"the simulator ended: {command.stderr}"
        assert "Traceback" not in command.stderr, command.stderr


class Relay:
    """A cable between a client and the simulator that can be pulled: `drop` resets every connection at once."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, sink}

    def drop(self) -> None:
        """A reset in both directions, without a word of farewell."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)
            end.close()

    def gateway(self, other: Gateway) -> Gateway:
        """The same gateway with this cable in the way of its hubs."""
        old, new = f":{self._target}/", f":{self.port}/"
        hubs = {name: str(other.ready[name]).replace(old, new) for name in ("user_hub", "market_hub")}
        return Gateway(other.ready | hubs)

    def __enter__(self) -> "Relay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.drop()


class Witness:
    """Another subscriber: a bare WebSocket client that keeps every market event of one contract."""

    KINDS = ("GatewayQuote", "GatewayTrade", "GatewayDepth")

    def __init__(self, gateway: Gateway, contract_id: str) -> None:
        url = gateway.ready["market_hub"].replace("http", "ws", 1) + f"?access_token={gateway.token}"
        self._client = HubClient(url)
        self.events: dict[str, list[Any]] = {kind: [] for kind in self.KINDS}
        for method in ("SubscribeContractQuotes", "SubscribeContractTrades", "SubscribeContractMarketDepth"):
            done = self._client.invoke(method, contract_id)
            assert done["result"] is None, done
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                record = self._client.next(0.2)
            except TimeoutError:
                continue
            except ConnectionClosed:
                return
            if record is None:
                return
            if record.get("target") in self.events:
                self.events[record["target"]].append(record["arguments"])

    def prints(self) -> list[Any]:
        """Every print so far, message by message."""
        return [entry for _, batch in list(self.events["GatewayTrade"]) for entry in batch]

    def __enter__(self) -> "Witness":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)
        self._client.close()
        assert not self._thread.is_alive()


def run_script(
    program: list[str],
    gateway: Gateway,
    home: Path,
    do: dict[str, Callable[[], object]] | None = None,
    limit_s: float = SCRIPT_LIMIT_S,
    **more: Any,
) -> dict[str, Any]:
    """Run a client script to its end and give its result. `more` joins the ready document on its stdin."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TBOT_", "PYTHON"))}
    secrets = {"TBOT_USERNAME": gateway.ready["user_name"], "TBOT_API_KEY": gateway.ready["api_key"]}
    document = {name: gateway.ready[name] for name in ("rest", "user_hub", "market_hub")} | more
    log = home / "script.txt"
    with open(log, "wb") as stderr:
        process = subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=home,
            env={**kept, **secrets, "HOME": str(home), "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        )
    guard = threading.Timer(limit_s, process.kill)
    guard.start()
    result: dict[str, Any] | None = None
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(document) + "\n")
        process.stdin.close()
        for line in process.stdout:
            message = json.loads(line)
            if "do" in message:
                assert do is not None
                do[message["do"]]()
            else:
                result = message["result"]
        code = process.wait()
    finally:
        guard.cancel()
        process.kill()
        process.wait()
    assert code == 0, f"the script ended with {code}:\n{tail(log)}"
    assert result is not None, f"the script gave no result:\n{tail(log)}"
    return result


def tail(path: Path, size: int = 6000) -> str:
    return path.read_text(errors="replace")[-size:]


def position_of(part: list[Any], whole: list[Any]) -> int:
    """Where `part` stands in `whole` without a gap, -1 if nowhere. Equal neighbours are common, so all starts count."""
    if not part:
        return -1
    return next((at for at in range(len(whole) - len(part) + 1) if whole[at : at + len(part)] == part), -1)


def eventually(look: Callable[[], Any], what: str, patience_s: float = 60.0) -> Any:
    """The first true value of `look`, asked again and again."""
    deadline = time.monotonic() + patience_s
    while not (value := look()):
        assert time.monotonic() < deadline, f"not within {patience_s:.0f} s: {what}"
        time.sleep(0.05)
    return value
