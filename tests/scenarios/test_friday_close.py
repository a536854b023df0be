"""A running engine over Friday's close by the simulator's clock: flat at the deadline, then the report by itself.

What the engine's report says is held against the venue: its trades, its balance and its loss floor, to the cent.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from engine_runs import Command, assert_nothing_left, until
from operate_rig import Rig
from scripted_trader import Cue
from session_run import Referee, session, truth_of
from session_tape import MINUTE, START

BEGIN = START + 5 * 60 * MINUTE  # Friday 2026-11-20, 21:30 in Helsinki
FLAT_BY = 90  # minutes later: 23:00 in Helsinki, before 15:10 in Chicago
BASE = 100_000
SPEED = 45
# 12 ticks a minute up, so that long trades reach their targets; then nothing moves any more.
PRICES = {"MNQ": [(0, BASE), (70, BASE + 840), (150, BASE + 840)]}
CUES = [Cue("MNQ", BEGIN + minute * MINUTE, 1, 40, 60) for minute in range(20, 70, 10)]
ACCOUNT = '[[accounts]]\nid = 1001\nname = "50KTC-V2-000001-00000001"\n'
CUES.append(Cue("MNQ", BEGIN + 71 * MINUTE, 1, 40, 200))  # is open at the deadline


def reported(engine: Command) -> dict[str, Any]:
    found = engine.status().get("report", {})
    assert isinstance(found, dict)
    return found


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_report_of_the_week_is_made_at_fridays_close(tmp_path: Path) -> None:
    with session(
        tmp_path, PRICES, CUES, speed=SPEED, start_ns=BEGIN, wait=False, config=ACCOUNT,
    ) as (engine, referee):  # fmt: skip
        engine.await_state("ACTIVE", 240)
        assert reported(engine)["weekly"]
        assert reported(engine)["last_label"] is None
        until(lambda: reported(engine)["last_label"], "the report of the week", 300, engine.status)
        told = reported(engine)
        assert (told["last_label"], told["last_failure"], told["making"]) == ("2026-W47", "", None)
        made = engine.status()["market_ns"]
        assert made >= BEGIN + (FLAT_BY + 2) * MINUTE
        check_files(engine, told["last_paths"])
        account = referee.account()
        (path,) = [path for path in told["last_paths"] if path.endswith(".json")]
        check_document(json.loads(Path(path).read_text()), account)
        check_gateway(tmp_path, engine, referee)
        run_dir = engine.run_dir()
        engine.interrupt()
        code, _ = engine.finish()
        assert code == 0, engine.stderr
        assert_nothing_left(engine, run_dir)


def check_files(engine: Command, paths: list[str]) -> None:
    folder = engine.home / "sim" / "reports"
    names = [f"tbot-report-demo-2026-W47.{form}" for form in ("html", "pdf", "png", "json")]
    assert paths == [str(folder / name) for name in names]
    heads = [Path(path).read_bytes()[:8] for path in paths]
    assert [heads[0], heads[1][:5], heads[2]] == [b"<!doctyp", b"%PDF-", b"\x89PNG\r\n\x1a\n"]
    word = json.loads((folder / "last.json").read_text())
    assert (word["label"], word["paths"], word["failure"]) == ("2026-W47", paths, "")


def check_document(told: dict[str, Any], account: dict[str, Any]) -> None:
    """The venue's trades, balance and floor."""
    truth = truth_of(account)
    assert truth["positions"] == {}
    assert (told["badge"], told["week"]) == ("DEMO", "2026-W47")
    assert round(told["figures"]["net_usd"] * 100) == truth["pnl_cents"]
    entries = [fill for fill in account["fills"] if fill["pnl_cents"] is None]
    assert told["figures"]["trades"] >= 2
    assert told["figures"]["lots"] == sum(fill["size"] for fill in entries)
    assert (told["broker"]["equal"], told["broker"]["trades"]) == (True, len(account["fills"]))
    last = told["trades"][-1]
    assert last["exit_reason"] == "close"  # by the engine, at the deadline
    assert last["closed"] < "2026-11-20T21:00:00Z"
    (line,) = told["limits"]["floors"]
    assert round(line["last"]["balance_usd"] * 100) == account["balance_cents"]
    assert round(line["last"]["floor_usd"] * 100) == account["floor_cents"]
    assert told["patterns"] is not None  # the recorder's database was there


def check_gateway(folder: Path, engine: Command, referee: Referee) -> None:
    """The same by hand, against the trades that the gateway lists."""
    ready = json.loads((folder / "ready.json").read_text())
    rig = Rig(engine, referee, {"TBOT_USERNAME": ready["user_name"], "TBOT_API_KEY": ready["api_key"]})
    done = rig.tbot("report", "--gateway", ready["rest"], "--json", "--week", "2026-W47")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["broker"]
    assert told["source"].startswith("the trades that http://127.0.0.1:")
    assert (told["equal"], told["differences"], told["difference_usd"]) == (True, [], 0)
    assert round(told["broker_usd"] * 100) == truth_of(referee.account())["pnl_cents"]
