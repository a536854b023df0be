"""A scripted engine against `tbot sim` in processes of their own; the simulator's truth beside the engine's words."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from engine_runs import Command, open_journal, running
from scripted_trader import Cue, write_script
from session_tape import START, Waypoints, write_tape
from tbot.engine.journal_replay import replay_journal

SUPPORT = Path(__file__).parent
FINAL = ("filled", "cancelled", "expired", "rejected")


class Referee:
    """Asks the simulator what is true (`/sim/state`, `/sim/wire`) and gives it faults."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self._url = ready["rest"]
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["X-Sim-Token"] = ready["control_token"]

    def get(self, path: str) -> dict[str, Any]:
        answer = self._session.get(self._url + path, timeout=60)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert isinstance(document, dict)
        return document

    def account(self) -> dict[str, Any]:
        """The first account in ticks and cents."""
        return self.accounts()[0]

    def accounts(self) -> list[dict[str, Any]]:
        """All of them, in the order of their numbers."""
        found = self.get("/sim/state")["accounts"]
        assert isinstance(found, list)
        return found

    def add(self, *faults: dict[str, Any]) -> None:
        """Plan lines from now on."""
        body = "\n".join(json.dumps(fault) for fault in faults)
        answer = self._session.post(f"{self._url}/sim/faults", data=body, timeout=60)
        assert answer.status_code == 200, answer.text

    def calm(self) -> None:
        """All faults end."""
        answer = self._session.delete(f"{self._url}/sim/faults", timeout=60)
        assert answer.status_code == 200, answer.text

    def fired(self) -> set[str]:
        """Ids of the faults that have met their event."""
        return {str(firing["fault"]) for firing in self.get("/sim/faults")["log"]}

    def posts(self, path: str) -> list[dict[str, Any]]:
        """Requests to one endpoint that reached the simulator."""
        requests_seen = self.get("/sim/wire")["requests"]
        return [entry for entry in requests_seen if entry["path"].lower() == path.lower()]


def truth_of(account: dict[str, Any]) -> dict[str, Any]:
    """Positions, working orders and money as the venue has them."""
    fills = account["fills"]
    net = sum((fill["pnl_cents"] or 0) - fill["fees_cents"] - fill["commission_cents"] for fill in fills)
    working = [order for order in account["orders"] if order["status"] not in FINAL]
    return {
        "positions": {held["contract"]: (held["size"], held["price_size_sum"]) for held in account["positions"]},
        "orders": sorted(
            (order["order_id"], order["status"], order["size"], order["filled"], order["limit"], order["stop"])
            for order in working
        ),
        "pnl_cents": net,
        "balance_cents": account["balance_cents"],
    }


def assert_venue_was_spared(referee: Referee) -> None:
    """No order twice, and nothing left."""
    account = referee.account()
    tags = [order["tag"] for order in account["orders"] if order["tag"]]
    assert len(set(tags)) == len(tags), "a tag was used twice"
    truth = truth_of(account)
    assert (truth["positions"], truth["orders"]) == ({}, [])


def assert_journal_is_whole(path: Path) -> None:
    with open_journal(path) as journal:
        assert journal.verify().state in ("ok", "torn")
    assert replay_journal(path).differences == []


def belief_of(status: dict[str, Any]) -> dict[str, Any]:
    """The same as the engine's status document says it."""
    (account,) = status["accounts"].values()
    return {
        "positions": {
            held["contract"]: (held["side"] * held["size"], held["entry_price_size"]) for held in account["positions"]
        },
        "orders": sorted(
            (order["order_id"], order["status"], order["size"], order["filled"], order["limit"], order["stop"])
            for order in account["orders"]
        ),
        "pnl_cents": account["day_pnl_cents"],  # a session is within one trading day
        "balance_cents": account["balance_cents"],
    }


@contextlib.contextmanager
def session(
    folder: Path,
    prices: dict[str, Waypoints],
    cues: list[Cue],
    *,
    speed: int,
    config: str = "",
    faults: str = "",
    kill_point: str = "",
    wait: bool = True,
    accounts: int = 1,
    start_ns: int = START,
) -> Iterator[tuple[Command, Referee]]:
    """(engine, referee) of `tbot run --gateway` with scripted workers against `tbot sim --tape`.

    `accounts`: of the login; `config` pins those that are traded. `kill_point`: where a process of the engine kills
    itself once (kill_rig). `wait` False: not even started up. `start_ns`: market time at which the tape begins.
    """
    tape, script, settings, plan = (folder / name for name in ("s.tape", "script.json", "tbot.toml", "faults.jsonl"))
    write_tape(tape, prices, start_ns)
    write_script(script, cues)
    settings.write_text(config)
    plan.write_text(faults)
    sim_arguments = ("sim", "--tape", str(tape), "--speed", str(speed), "--faults", str(plan))
    sim_arguments += ("--accounts", str(accounts))
    with running(folder / "sim", *sim_arguments) as sim:
        ready = sim.first_line()
        (folder / "ready.json").write_text(json.dumps(ready))
        environment = {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]}
        arguments = ("run", "--gateway", ready["rest"], "--contracts", ",".join(prices), "--json")
        program: tuple[str, ...] = (str(SUPPORT / "session_engine.py"), str(script))
        if kill_point:
            program = (str(SUPPORT / "kill_engine.py"), str(script), kill_point)
        with running(
            folder / "run", *arguments, "--config", str(settings), program=program, PYTHONPATH=str(SUPPORT),
            **environment,
        ) as engine:  # fmt: skip
            if wait:
                engine.await_state("ACTIVE")
            yield engine, Referee(ready)
