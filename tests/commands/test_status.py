"""`tbot status`: the file's truth in words, and DEAD when it is old."""

import importlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import status_rig
from tbot.commands import status_losses
from tbot.commands.status import NotRunning, lines, newest_status, status
from tbot.commands.words import fitted
from tbot.engine.status import Phase, build_status
from tbot.transport.process_identity import machine_boot, myself, process_space

NOBODY = 2**22 + 7  # no process has this number
module = importlib.import_module("tbot.commands.status")  # its name is also that of the command in it


def document(**changes: Any) -> dict[str, Any]:
    rates = {"ticks": 1000, "ticks_per_s": 12.5, "last_tick_age_s": 0.4}
    contract = {**rates, "bars": {"1m": 7}, "zones": {"5m": 2}, "signals": 1}
    base = {
        "badge": "PAPER", "state": "ACTIVE", "ended": False, "reason": "trading", "pnl_usd": -12.5,
        "open_usd": 3.0, "drawdown_usd": 20.0, "round_trips": 4, "wins": 2, "win_rate": 0.5, "profit_factor": 1.2,
        "intents": 4,
        "denials": {"RC_WINDOW": 3}, "execution_ns": {"mean": 4_200_000, "p99": 9_000_000}, "slippage_ticks": 0.25,
        "api": {"requests": 200, "answered": 199, "too_many": 1}, "reconnections": 2, "restarts": 1, "gaps": 3,
        "contracts": {"MNQ": contract}, "written": "2026-11-20T14:30:00.000Z", "written_ns": time.time_ns(), "pid": 7,
    }  # fmt: skip
    return {**base, **changes}


def left_behind(home: Path, monkeypatch: pytest.MonkeyPatch, content: dict[str, Any]) -> None:
    monkeypatch.setenv("TBOT_HOME", str(home))
    (home / "paper").mkdir(parents=True)
    (home / "paper" / "status.json").write_text(json.dumps(content))


def test_words_hold_every_figure() -> None:
    text = "\n".join(lines(document()))
    for words in (
        "ACTIVE", "-12.50 USD", "win rate 50%", "profit factor 1.20", "taken 4, denied 3", "mean 4.2 ms, p99 9.0 ms",
        "+0.25 ticks", "99.5% answered, 1 refused as too many", "reconnections 2", "restarts 1", "12.5/s", "0.4 s ago",
    ):  # fmt: skip
        assert words in text, words


def test_I25_what_was_lost_between_processes_is_named_and_only_then() -> None:
    none = dict.fromkeys(status_losses._WORDS, 0)
    for healthy in (document(), document(messages=none)):
        assert "between processes" not in "\n".join(lines(healthy))
    lost = document(messages=none | {"signals_not_sent": 1, "prices_lost": 1200})
    assert (
        "! between processes: 1 signal not sent (no executor answered), 1,200 price records lost by the executor"
    ) in lines(lost)


def test_every_loss_in_the_document_has_its_words(tmp_path: Path) -> None:
    known = build_status(status_rig.settings(tmp_path), {}, 0, Phase())["messages"]
    assert set(status_losses._WORDS) == set(known)


def test_a_contract_has_one_line_of_80_columns() -> None:
    assert lines(document())[-1] == "MNQ      1000 ticks   12.5/s  0.4 s ago  1m bars     7  zones    2  signals 1"
    full = {"ticks": 123_456_789, "ticks_per_s": 1234.5, "last_tick_age_s": 86_400.0, "bars": {"1m": 12_345}}
    line = lines(document(contracts={"MNQ": {**full, "zones": {"5m": 1234}, "signals": 999}}))[-1]
    assert len(line) <= 80
    none = {**full, "last_tick_age_s": None, "zones": {}, "signals": 0}
    assert "no tick" in lines(document(contracts={"MNQ": none}))[-1]


@pytest.mark.parametrize("changes", [{"ended": True, "state": "STOPPED"}, {"state": "DEAD"}])
def test_an_engine_that_is_gone_has_no_rate_and_no_age(changes: dict[str, Any]) -> None:
    assert lines(document(**changes))[-1] == "MNQ      1000 ticks  1m bars     7  zones    2  signals 1"


def test_alarms_and_why_a_contract_takes_no_entries_are_told() -> None:
    told = document(alarms=[{"code": "RC_AUTH", "text": "the gateway refused the login"}])
    told["contracts"]["MNQ"] |= {"barred": "", "hole": "3 minutes of history are missing"}
    text = lines(told)
    assert "! the gateway refused the login (RC_AUTH)" in text
    assert text[-1] == "     no entries: 3 minutes of history are missing"
    told["contracts"]["MNQ"]["barred"] = "rolled"
    assert lines(told)[-1] == "     no entries: rolled"


def test_F_TIM_01_F_TIM_05_a_clock_that_is_off_and_looser_holidays_are_told() -> None:
    told = document(conditions={"warnings": ["the clock is off"]}, sessions={"overrides": ["2026-11-27: a mail"]})
    assert {"! the clock is off", "! session table, looser than packaged: 2026-11-27: a mail"} <= set(lines(told))


def test_nothing_known_yet_is_said_so() -> None:
    empty = {"wins": 0, "win_rate": None, "profit_factor": None, "slippage_ticks": None, "execution_ns": {}, "api": {}}
    assert "win rate n/a  profit factor –" in "\n".join(lines(document(**empty)))


def test_wins_without_a_loss_have_a_profit_factor_without_end() -> None:
    assert "profit factor ∞" in "\n".join(lines(document(wins=1, profit_factor=None)))


@pytest.mark.parametrize(("age_s", "state"), [(1, "ACTIVE"), (61, "DEAD")])
def test_I33_an_old_status_is_shown_as_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: int, state: str
) -> None:
    left_behind(tmp_path, monkeypatch, document(written_ns=time.time_ns() - age_s * 1_000_000_000))
    shown = CliRunner().invoke(status, ["--json"], standalone_mode=False)
    assert json.loads(shown.output)["state"] == state


def with_word(folder: Path, name: str = "run", **changes: Any) -> None:
    """The word that the launcher of the run in this folder left of itself; this process, unless something else."""
    me = myself()
    (folder.parent / name).mkdir(exist_ok=True)
    word = {
        "mode": "paper", "status": str(folder / "status.json"), "run_dir": str(folder.parent / name), "pid": me.pid,
        "start": me.start, "space": process_space(), "boot": machine_boot(), "gateway": None, "embedded": False,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(word | changes))


GONE = {"pid": NOBODY, "start": 5}


@pytest.mark.parametrize(
    ("word", "pid", "state"),
    [
        ({}, os.getpid(), "ACTIVE"),
        (GONE, NOBODY, "DEAD"),
        ({"start": 5}, os.getpid(), "DEAD"),  # the number belongs to another process now
        ({}, NOBODY, "DEAD"),  # another launcher has taken over, and has said nothing yet
        (GONE | {"space": 5}, NOBODY, "ACTIVE"),  # in a container: nobody can tell from here
        (GONE | {"boot": "5"}, NOBODY, "ACTIVE"),  # on another machine, whose first number space is like ours
        ({"pid": NOBODY, "space": -1}, NOBODY, "ACTIVE"),  # word of an earlier version
    ],
    ids=["lives", "gone", "number taken", "taken over", "container", "other machine", "earlier version"],
)
def test_a_launcher_that_vanished_is_gone_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: dict[str, Any], pid: int, state: str
) -> None:
    """Not after a minute: a rate of an engine that was killed is of another time."""
    news = {"actions": {}, "next": [], "age_s": 60, "stale": False}
    followed = {"news": news, "processes": {"feed": {"state": "OK"}}}
    left_behind(tmp_path, monkeypatch, document(pid=pid, written_ns=time.time_ns() - 3_000_000_000, **followed))
    with_word(tmp_path / "paper", **word)
    told, text = json.loads(shown("--json").output), shown().output
    assert told["state"] == state
    assert told["processes"]["feed"]["state"] == ("OK" if state == "ACTIVE" else "UNKNOWN")
    rates = [(one["ticks_per_s"], one["last_tick_age_s"]) for one in told["contracts"].values()]
    assert rates == [(12.5, 0.4) if state == "ACTIVE" else (None, None)]
    assert ("12.5/s" in text) == ("news  " in text) == (state == "ACTIVE")
    gone = r"PAPER  DEAD  its launcher is gone without a last word: what you see is \d+ s old\n"
    assert (re.match(gone, text) is not None) == (state == "DEAD")


def test_of_two_runs_that_live_the_lasting_one_is_shown_and_the_demo_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever started last, and whichever has written last."""
    left_behind(tmp_path, monkeypatch, document(pid=os.getpid(), schema="tbot.status"))
    with_word(tmp_path / "paper")
    away = tmp_path / "elsewhere" / "tbot-sim-abcdefgh"
    away.mkdir(parents=True)
    (away / "status.json").write_text(json.dumps(document(badge="DEMO", pid=os.getpid())))
    with_word(away, mode="sim", embedded=True)
    (tmp_path / "current.json").write_bytes((away / "run.json").read_bytes())
    hint = f"another run: DEMO run, process {os.getpid()}; tbot status --state-dir {away}"
    assert shown().output.splitlines()[0].startswith("PAPER  ACTIVE")
    assert shown().output.splitlines()[-2] == hint
    assert json.loads(shown("--json").output)["other_runs"] == [
        {"mode": "sim", "name": "DEMO run", "pid": os.getpid(), "state_dir": str(away), "gone": False}
    ]
    there = shown("--state-dir", str(away)).output.splitlines()
    assert there[0].startswith("DEMO  ACTIVE")
    assert there[-2].startswith("another run: PAPER run, process")
    # The pointer leads to the paper run, which began later; the demo is still found by its own.
    (tmp_path / "current.json").rename(tmp_path / "temporary.json")
    (tmp_path / "current.json").write_bytes((tmp_path / "paper" / "run.json").read_bytes())
    assert shown().output.splitlines()[-2] == hint
    with_word(tmp_path / "paper", **GONE)
    (tmp_path / "current.json").write_bytes((tmp_path / "paper" / "run.json").read_bytes())
    assert shown().output.startswith("DEMO  ACTIVE"), "what lives goes before what does not"
    gone = f"another run: PAPER run, process {NOBODY}, gone without a last word; tbot status --state-dir "
    assert shown().output.splitlines()[-2] == f"{gone}{tmp_path / 'paper'}", "and nobody thinks that it never was"
    (tmp_path / "paper" / "status.json").write_text(json.dumps(document(pid=NOBODY, ended=True, schema="tbot.status")))
    assert "another run" not in shown().output


def test_a_folder_without_a_status_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="no engine has left a status in"):
        CliRunner().invoke(status, ["--state-dir", str(tmp_path)], standalone_mode=False, catch_exceptions=False)


@pytest.mark.parametrize("state", ["STOPPED", "NOT_FLAT", "HALTED"])
def test_an_ended_run_is_not_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    left_behind(tmp_path, monkeypatch, document(state=state, ended=True, written_ns=1))
    assert state in CliRunner().invoke(status, [], standalone_mode=False).output


def test_no_engine_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    with pytest.raises(NotRunning):
        newest_status()


def account(**changes: Any) -> dict[str, Any]:
    held = {
        "contract": "MNQ", "side": -1, "size": 2, "entry": 100_000.0, "stop": 100_040, "target": None,
        "protected": True, "unrealised_cents": 300,
    }  # fmt: skip
    base = {
        "name": "50KTC-V2-000001-00000001", "state": "ACTIVE", "reasons": [], "text": "trading", "positions": [held],
        "day_pnl_cents": -125_050, "unrealised_cents": 300, "day_room_cents": 27_950, "balance_cents": 4_874_950,
        "firm": {"floor_cents": 4_800_000, "to_floor_cents": 74_950}, "quarantine": {"ES": "an order is UNKNOWN"},
        "denials": {"RC_WINDOW": 3}, "orders": [{}, {}], "entries_today": 4, "intents": 4, "trades": 3, "wins": 1,
        "gained_cents": 20_000, "lost_cents": 10_000, "drawdown_cents": 15_000,
    }  # fmt: skip
    return {**base, **changes}


LOCKED = account(
    name="50KTC-V2-000001-00000002",
    state="LOCKED",
    text="the day's loss limit of 400.00 is reached: no entries until the next trading day",
    reasons=[{"code": "RC_DAILY_LOSS"}],
    positions=[],
    firm=None,
    balance_cents=None,
)
TWO = {"18731001": account(), "18731002": LOCKED}


def test_several_accounts_and_warnings_have_lines_of_their_own_within_80_columns() -> None:
    text = lines(document(accounts=TWO, warnings=["numpy 9, tested with 2"]))
    place = text.index("18731001  50KTC-V2-000001-00000001  ACTIVE  day -1,250.50  open +3.00")
    assert text[place + 1 : place + 5] == [
        "    MNQ -2",
        "18731002  50KTC-V2-000001-00000002  LOCKED  day -1,250.50  open +3.00",
        "    no position; the day's loss limit of 400.00 is reached: no entries until the",
        "    next trading day (RC_DAILY_LOSS)",
    ]
    assert max(map(len, text[place : place + 5])) <= 80
    assert "! not as tested: numpy 9, tested with 2" in text
    assert not any("18731001" in line for line in lines(document(accounts={"18731001": account()})))


def test_a_position_without_a_stop_is_shouted_and_names_do_not_drive_the_terminal() -> None:
    bare = account(name="\x1b[31mA")
    bare["positions"][0]["protected"] = False
    text = "\n".join(lines(document(accounts={"1": bare, "2": LOCKED})))
    assert "NOT PROTECTED: MNQ" in text
    assert "\x1b" not in text


def shown(*arguments: str) -> Any:
    return CliRunner().invoke(status, arguments, standalone_mode=False)


def test_one_account_is_told_with_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(tmp_path, monkeypatch, document(accounts=TWO, alarms=[], journal={}, state="LOCKED", reason="LOCKED"))
    text = shown("--account", "18731001").output.splitlines()
    assert text[0] == "PAPER  ACTIVE  trading"
    assert text[1] == "day -1250.50 USD  open +3.00 USD  drawdown 150.00 USD"
    assert text[2].startswith("round trips 3  win rate 33%  profit factor 2.00  signals taken 4, denied 3")
    place = text.index("18731001  50KTC-V2-000001-00000001  ACTIVE  day -1,250.50  open +3.00")
    assert text[place + 1 : place + 7] == [
        "    MNQ -2",
        "    balance 48,749.50 USD; left of today's limit 279.50 USD; loss floor",
        "    48,000.00, 749.50 USD away",
        "    MNQ short 2 @ 25000.00  stop 25010.00  open +3.00 USD",
        "    ES takes no entries: an order is UNKNOWN",
        "    2 working orders; 4 entries today; denied: RC_WINDOW 3",
    ]
    assert not any("18731002" in line for line in text)


def test_one_account_of_the_document_has_its_own_state_and_money(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = document(accounts=TWO, alarms=[], journal={}, state="LOCKED", reason="x", denials={"RC_WINDOW": 9})
    left_behind(tmp_path, monkeypatch, whole)
    told = json.loads(shown("--json", "--account", "18731002").output)
    assert (told["account"], list(told["accounts"])) == (18731002, ["18731002"])
    assert (told["state"], told["reasons"], told["reason"]) == ("LOCKED", ["RC_DAILY_LOSS"], LOCKED["text"])
    assert (told["pnl_usd"], told["round_trips"], told["denials"]) == (-1250.5, 3, {"RC_WINDOW": 3})
    assert json.loads(shown("--json").output)["accounts"] == TWO


def test_what_the_launcher_says_of_the_run_holds_for_each_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, monkeypatch, document(accounts=TWO, alarms=[], journal={}, state="STOPPING", reason="ends"))
    assert shown("--account", "18731002").output.startswith("PAPER  STOPPING  ends\n")
    refused = [{"code": "RC_AUTH", "text": "the gateway refused the login"}]
    left_behind(tmp_path / "2", monkeypatch, document(accounts=TWO, alarms=refused, journal={}, state="HALTED"))
    assert json.loads(shown("--json", "--account", "18731001").output)["reasons"] == ["RC_AUTH"]


def test_an_unknown_account_is_a_usage_error_that_names_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_behind(tmp_path, monkeypatch, document(accounts=TWO))
    result = shown("--account", "5")
    assert isinstance(result.exception, click.UsageError)
    assert result.exception.exit_code == 2
    assert str(result.exception) == (
        "account 5 is not traded by this run; it trades 18731001 (50KTC-V2-000001-00000001), "
        "18731002 (50KTC-V2-000001-00000002)"
    )


def test_on_a_terminal_long_lines_break_between_words() -> None:
    assert fitted("a" * 10, 80) == "a" * 10
    assert fitted("word " * 30, 0) == "word " * 30
    broken = fitted("     no entries: " + "word " * 30, 40).splitlines()
    assert max(map(len, broken)) <= 40
    assert broken[0].startswith("     no entries: word")
    assert all(line.startswith(" " * 9) for line in broken[1:])


# --------------------------------------------------------------------------------------------------------------- watch
class Enough(Exception):
    """The person has seen it."""


def watched(monkeypatch: pytest.MonkeyPatch, home: Path, *arguments: str, looks: int = 3) -> str:
    """What `status --watch` writes in some looks, while trades are added."""
    out: list[str] = []
    waits: list[float] = []

    def waited(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == looks:
            raise Enough
        (home / "paper" / "status.json").write_text(json.dumps(document(round_trips=len(waits))))

    monkeypatch.setattr(module, "wait", waited)
    monkeypatch.setattr(module.click, "echo", lambda text, nl=True, err=False: out.append(text + "\n" * nl))
    with pytest.raises(Enough):
        status.main([*arguments, "--watch"], standalone_mode=False)
    assert waits == [1.0] * looks
    return "".join(out)


def test_watch_goes_on_in_a_pipe_and_as_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_behind(tmp_path, monkeypatch, document(round_trips=0))
    said = watched(monkeypatch, tmp_path)
    assert [f"round trips {number}  " in part for number, part in enumerate(said.split("\n\n")[:3])] == [True] * 3
    told = [json.loads(line)["round_trips"] for line in watched(monkeypatch, tmp_path, "--json").splitlines()]
    assert told[1:] == [1, 2]


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 8)])
def test_watch_draws_over_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int, rows: int
) -> None:
    left_behind(tmp_path, monkeypatch, document())
    monkeypatch.setattr(module, "terminal_width", lambda: columns)
    monkeypatch.setattr(module.shutil, "get_terminal_size", lambda: os.terminal_size((columns, rows)))
    pictures = watched(monkeypatch, tmp_path).split("\x1b[H")[1:]
    assert len(pictures) == 3
    for picture in pictures:
        assert picture.endswith("\x1b[K\n\x1b[J")
        lines_drawn = picture.removesuffix("\x1b[J").split("\x1b[K\n")[:-1]
        assert len(lines_drawn) < rows
        assert max(map(len, lines_drawn)) <= columns


def test_F_SYS_01_a_log_that_is_not_written_is_told() -> None:
    told = document(log={"path": "/x/engine.log", "lost": 3, "trouble": "No space left on device"})
    assert "! /x/engine.log is not written: No space left on device (3 lines lost)" in lines(told)
