"""Two accounts with limits, sizes and contracts of their own through a session of `tbot run` against `tbot sim`.

One signal fans out, a jump of the market locks one of them at its daily limit, the other goes on; the executor is
killed in between and comes back with both as they were; no fill ever leaves two sides of one underlying; the money of
each is the venue's, to the cent; and the commands take `--account`.
"""

import json
import os
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from engine_runs import Command, assert_nothing_left, until
from operate_rig import Rig
from scripted_trader import Cue
from session_run import FINAL, Referee, session, truth_of
from session_tape import MINUTE, START
from tbot.domain.contracts import PRODUCTS

BASE = 100_000
SPEED = 30
START_CENTS = 5_000_000
WARM = 20  # minutes of market in which the engine gets ready, and those that its restart and the commands have
REST = 75
JUMP = WARM + 20  # minutes behind each signal before the market moves: a busy machine decides late
LATE = WARM + 20 + REST
PRICES = {
    # both win; a jump through both stops; much later a rise, for whoever still trades
    "MNQ": [(0, BASE), (WARM + 10, BASE), (WARM + 12, BASE + 75), (JUMP, BASE + 75), (JUMP + 0.016, BASE - 75),
            (LATE + 5, BASE - 75), (LATE + 8, BASE), (LATE + 60, BASE)],
    "NQ": [(0, BASE), (LATE + 60, BASE)],
}  # fmt: skip


def cue(contract: str, minute: int, side: int, stop: int, target: int) -> Cue:
    return Cue(contract, START + minute * MINUTE, side, stop, target)


CUES = [
    cue("NQ", WARM + 2, 1, 20, 200),  # one account trades it, and holds it to the end
    cue("MNQ", WARM + 3, -1, 40, 60),  # the other side of that: nobody's
    cue("MNQ", WARM + 5, 1, 40, 60),
    cue("MNQ", WARM + 14, 1, 40, 200),
    cue("MNQ", LATE, 1, 40, 60),  # after the lock
    cue("MNQ", LATE + 10, 1, 40, 200),
]
SETTINGS = """
[[accounts]]
id = 1001
name = "50KTC-V2-000001-00000001"
contracts = ["MNQ", "NQ"]
[[accounts]]
id = 1002
name = "50KTC-V2-000001-00000002"
contracts = ["MNQ"]
[accounts.risk]
max_micros = 2
daily_loss_cents = 9_000
"""


def entries(account: dict[str, Any]) -> list[tuple[str, int]]:
    """(contract, signed contracts filled) of every entry, in order."""
    placed = [order for order in account["orders"] if order["tag"].endswith("-E") and order["filled"]]
    return [(order["contract"], order["side"] * order["filled"]) for order in placed]


def hedges(accounts: list[dict[str, Any]]) -> list[str]:
    """Every moment between two fills at which all accounts together held two sides of one underlying."""
    fills = [(fill["fill_id"], number, fill) for number, account in enumerate(accounts) for fill in account["fills"]]
    sizes: dict[tuple[int, str], int] = defaultdict(int)
    found = []
    for fill_id, number, fill in sorted(fills, key=lambda item: item[0]):
        sizes[(number, fill["contract"])] += fill["side"] * fill["size"]
        sides: dict[str, set[bool]] = defaultdict(set)
        for (_, contract), size in sizes.items():
            if size:
                sides[PRODUCTS[contract].family].add(size > 0)
        found += [f"{family} after fill {fill_id}" for family, both in sides.items() if len(both) > 1]
    return found


def states(engine: Command) -> list[str]:
    return [account["state"] for account in engine.status().get("accounts", {}).values()]


def agree(engine: Command, referee: Referee) -> bool:
    """Whether the engine says of each account what the venue does: money and positions."""
    told = list(engine.status()["accounts"].values())
    for account, mine in zip(referee.accounts(), told, strict=True):
        truth = truth_of(account)
        held = {place["contract"]: place["side"] * place["size"] for place in mine["positions"]}
        same = (truth["balance_cents"], truth["pnl_cents"]) == (mine["balance_cents"], mine["day_pnl_cents"])
        if not same or held != {name: size for name, (size, _) in truth["positions"].items()}:
            return False
        assert truth["balance_cents"] == START_CENTS + truth["pnl_cents"]
    return True


@pytest.mark.long
@pytest.mark.timeout(600)
def test_TR8_I14_two_accounts_in_a_session_one_locks_the_other_goes_on(tmp_path: Path) -> None:
    with session(tmp_path, PRICES, CUES, speed=SPEED, config=SETTINGS, accounts=2, wait=False) as (engine, referee):
        engine.await_state("ACTIVE", 240)
        ready = json.loads((tmp_path / "ready.json").read_text())
        rig = Rig(engine, referee, {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]})
        until(lambda: states(engine) == ["ACTIVE", "LOCKED"], "the smaller one locks", 180, engine.status)
        until(lambda: agree(engine, referee), "agreement about the lock", 30, engine.status)
        big, small = referee.accounts()
        assert entries(big) == [("NQ", 1), ("MNQ", 5), ("MNQ", 5)]
        assert entries(small) == [("MNQ", 2), ("MNQ", 2)]
        assert engine.status()["reason"].endswith("; 1 of 2 accounts trading")
        restart(engine, referee)
        commands(rig, big, small)
        until(lambda: len(entries(referee.accounts()[0])) >= 5, "the other one goes on", 300, engine.status)
        until(lambda: agree(engine, referee), "agreement at the end", 30, engine.status)
        assert rig.status()["accounts"]["1002"]["denials"]["RC_DAILY_LOSS"] >= 1
        run_dir = engine.run_dir()
        engine.interrupt()
        code, _ = engine.finish()
        assert code == 0, engine.stderr
        assert_nothing_left(engine, run_dir)
        check_venue(*referee.accounts())


def restart(engine: Command, referee: Referee) -> None:
    """The executor dies and comes back: one account is locked, the other one trades, and what it held is its own."""
    before = engine.pid("executor")
    os.kill(before, signal.SIGKILL)
    until(lambda: engine.pid("executor") != before, "another executor", 60, engine.status)
    until(lambda: engine.status()["state"] == "LOCKED", "it is ready again", 120, engine.status)
    until(lambda: states(engine) == ["ACTIVE", "LOCKED"], "both as they were", 60, engine.status)
    until(lambda: agree(engine, referee), "agreement after the restart", 30, engine.status)
    (held,) = engine.status()["accounts"]["1001"]["positions"]
    assert (held["contract"], held["size"], held["foreign"]) == ("NQ", 1, 0)


def commands(rig: Rig, big: dict[str, Any], small: dict[str, Any]) -> None:
    """Each of them with one of the accounts."""
    told = json.loads(rig.tbot("status", "--json", "--account", "1002").stdout)
    assert (told["state"], list(told["accounts"]), told["reasons"][0]) == ("LOCKED", ["1002"], "RC_DAILY_LOSS")
    for number, account in (("1001", big), ("1002", small)):
        trades = json.loads(rig.tbot("trades", "--json", "--account", number).stdout)["trades"]
        assert {trade["account"] for trade in trades} == {int(number)}
        closed = [fill for fill in account["fills"] if fill["contract"] == "MNQ"]
        net = sum((fill["pnl_cents"] or 0) - fill["fees_cents"] - fill["commission_cents"] for fill in closed)
        assert round(sum(trade["net_usd"] for trade in trades) * 100) == net
    unknown = [rig.tbot(verb, "--account", "5") for verb in ("status", "trades", "signals", "journal", "pause", "kill")]
    for done in unknown:
        assert done.returncode == 2, done.stderr
        assert "account 5 is not" in done.stderr
        assert "1001 (50KTC-V2-000001-00000001), 1002 (50KTC-V2-000001-00000002)" in done.stderr
    assert rig.tbot("pause", "--account", "1001").returncode == 0
    until(lambda: states(rig.engine) == ["PAUSED", "LOCKED"], "one is paused", 30, rig.status)
    assert rig.tbot("resume", "--account", "1002").returncode == 6  # a lock ends with its day
    assert rig.tbot("resume", "--account", "1001").returncode == 0
    until(lambda: states(rig.engine) == ["ACTIVE", "LOCKED"], "it goes on", 30, rig.status)


def check_venue(big: dict[str, Any], small: dict[str, Any]) -> None:
    """What happened at the venue, over the whole session."""
    assert hedges([big, small]) == []
    assert entries(big) == [("NQ", 1), ("MNQ", 5), ("MNQ", 5), ("MNQ", 5), ("MNQ", 5)]
    assert entries(small) == [("MNQ", 2), ("MNQ", 2)]
    for account in (big, small):
        assert account["positions"] == []
        assert [order for order in account["orders"] if order["status"] not in FINAL] == []
        tags = [order["tag"] for order in account["orders"] if order["tag"]]
        assert len(set(tags)) == len(tags)
    assert small["balance_cents"] < START_CENTS - 9_000  # past its limit by the jump
