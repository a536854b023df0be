"""`tbot status`: the file's truth in words, and DEAD when it is old."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tbot.commands.status import NotRunning, lines, read_newest, status


def document(**changes: Any) -> dict[str, Any]:
    rates = {"ticks": 1000, "ticks_per_s": 12.5, "last_tick_age_s": 0.4}
    contract = {**rates, "bars": {"1m": 7}, "zones": {"5m": 2}, "signals": 1}
    base = {
        "badge": "PAPER", "state": "ACTIVE", "ended": False, "reason": "trading", "pnl_usd": -12.5,
        "open_usd": 3.0, "drawdown_usd": 20.0, "round_trips": 4, "win_rate": 0.5, "profit_factor": 1.2, "intents": 4,
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
        "ACTIVE", "-12.50 USD", "win rate 50%", "profit factor 1.2", "taken 4, denied 3", "mean 4.2 ms, p99 9.0 ms",
        "+0.25 ticks", "99.5% answered, 1 too many", "reconnections 2", "restarts 1", "12.5/s", "0.4 s ago",
    ):  # fmt: skip
        assert words in text, words


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
    empty = {"win_rate": None, "profit_factor": None, "slippage_ticks": None, "execution_ns": {}, "api": {}}
    assert "win rate n/a" in "\n".join(lines(document(**empty)))


@pytest.mark.parametrize(("age_s", "state"), [(1, "ACTIVE"), (61, "DEAD")])
def test_I33_an_old_status_is_shown_as_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: int, state: str
) -> None:
    left_behind(tmp_path, monkeypatch, document(written_ns=time.time_ns() - age_s * 1_000_000_000))
    shown = CliRunner().invoke(status, ["--json"], standalone_mode=False)
    assert json.loads(shown.output)["state"] == state


@pytest.mark.parametrize("state", ["STOPPED", "NOT_FLAT", "HALTED"])
def test_an_ended_run_is_not_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    left_behind(tmp_path, monkeypatch, document(state=state, ended=True, written_ns=1))
    assert state in CliRunner().invoke(status, [], standalone_mode=False).output


def test_no_engine_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    with pytest.raises(NotRunning):
        read_newest()


def test_several_accounts_and_warnings_have_lines_of_their_own() -> None:
    held = [{"contract": "MNQ", "side": -1, "size": 2}]
    one = {"name": "A\x1b1", "state": "ACTIVE", "day_pnl_cents": -1250, "unrealised_cents": 300, "positions": held}
    two = {**one, "name": "A-2", "state": "LOCKED", "positions": []}
    text = lines(document(accounts={"7": one, "8": two}, warnings=["numpy 9, tested with 2"]))
    assert "A 1 (7)  ACTIVE  day -12.50 USD  open +3.00 USD  MNQ -2" in text
    assert "A-2 (8)  LOCKED  day -12.50 USD  open +3.00 USD  no position" in text
    assert "! not as tested: numpy 9, tested with 2" in text
    assert not any("(7)" in line for line in lines(document(accounts={"7": one})))
