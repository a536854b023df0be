"""`tbot signals`: the journal's truth, newest first, with what became of each; and the story of one."""

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from journal_items import ACCOUNT, journal_at
from json_shape import same
from tbot.commands.signals import signals
from tbot.commands.status import NotRunning
from tbot.domain import messages as m
from tbot.errors import ConfigError, DataError
from trader_scene import Scene

SECOND = 1_000_000_000


def real_signal() -> m.Signal:
    """One of the strategy's own, with reasons."""
    scene = Scene()
    scene.enter()
    scene.choch()
    (signal,) = scene.run()
    return signal


REAL = real_signal()
NOW = REAL.decided_ns


def plain(number: int, contract: str = "ES") -> m.Signal:
    """Of another strategy: it keeps no reasons."""
    quote = m.Quote(20_000, 20_001, NOW, 7)
    return m.Signal(
        f"{contract}-{number}", contract, -1, quote, 20_040, 19_920, 65.0, "by hand", 1, 5, {}, (1,), "ab",
        NOW + number * SECOND, 9,
    )  # fmt: skip


def taken(signal: m.Signal, account: int = ACCOUNT) -> m.Intent:
    return m.Intent(
        NOW, account, signal.signal_id, signal.contract, signal.side, 2, signal.quote, 64, 98, 6_450, f"T-{account}"
    )


def denied(signal: m.Signal, account: int = ACCOUNT) -> m.Denial:
    return m.Denial(NOW, account, signal.signal_id, signal.contract, "POSITION_OPEN", "ES already has a position")


def closed(signal: m.Signal) -> m.RoundTrip:
    return m.RoundTrip(
        NOW + 60 * SECOND, ACCOUNT, signal.contract, 1, 2, NOW, 0, 0, 9_800, 144, 100, "target", signal.signal_id, 0
    )


def write(folder: Path) -> None:
    """Four signals: taken and closed, denied, one by two accounts, one that nobody answered."""
    folder.mkdir(parents=True, exist_ok=True)
    with journal_at(folder / "journal.db") as journal:
        journal.record(m.SignalIn(NOW, REAL, None, 5), [taken(REAL)])
        journal.record(m.TimerIn(NOW + SECOND, {}), [])
        journal.record(m.SignalIn(NOW, plain(1), None, 5), [denied(plain(1))])
        journal.record(m.TimerIn(NOW + 60 * SECOND, {}), [closed(REAL), denied(plain(4))])
        journal.record(m.SignalIn(NOW, plain(2, "NQ"), None, 5), [denied(plain(2, "NQ")), taken(plain(2, "NQ"), 12)])
        journal.record(m.SignalIn(NOW, plain(3), None, 5), [])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A paper run's state below TBOT_HOME."""
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    write(tmp_path / "paper")
    (tmp_path / "paper" / "status.json").write_text("{}")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(signals, arguments, standalone_mode=False, catch_exceptions=False)


def ids(result: Result) -> list[str]:
    return [row["signal_id"] for row in json.loads(result.output)["signals"]]


def test_the_list_tells_newest_first_what_became_of_each(home: Path) -> None:
    lines = call("--tz", "UTC").output.splitlines()
    assert lines[0] == f"signals of {home / 'paper'}, newest first"
    assert lines[1] == (
        "2026-11-20 14:33:03 UTC (08:33 CST)  ES short  score 65.0  entry 5000.00 stop 5010.00 target 4980.00  ES-3"
    )
    assert lines[2:4] == ["    by hand", "    no account answered"]
    assert lines[5:8] == [
        "    by hand",
        "    account 11: denied, ES already has a position (POSITION_OPEN)",
        "    account 12: taken, 2 at a risk of $64.50",
    ]
    assert lines[-4].endswith(f"MNQ long  score 71.8  entry 25015.00 stop 24999.00 target 25039.50  {REAL.signal_id}")
    assert lines[-2:] == [
        "    account 11: taken, 2 at a risk of $64.50",
        "    account 11: closed by its target, net +$95.56",  # 9800 - 144 - 100 cents
    ]


def test_last_and_contract_choose(home: Path) -> None:
    assert ids(call("--json")) == ["ES-3", "NQ-2", "ES-1", REAL.signal_id]
    assert ids(call("--json", "--last", "2")) == ["ES-3", "NQ-2"]
    assert ids(call("--json", "--contract", "es")) == ["ES-3", "ES-1"]
    assert ids(call("--json", "--contract", "NQ,MNQ", "--last", "1")) == ["NQ-2"]
    assert ids(call("--json", "--contract", "GC")) == []
    assert call("--contract", "GC").output == f"no signals yet in {home / 'paper'}\n"


def test_the_document_has_stable_keys(home: Path) -> None:
    document = json.loads(call("--json").output)
    same(document)
    assert (document["schema"], document["version"]) == ("tbot.signals", 1)
    assert document["state_dir"] == str(home / "paper")
    newest, _, _, oldest = document["signals"]
    keys = {
        "signal_id", "decided", "contract", "side", "score", "entry", "stop", "target", "reason", "parts", "outcomes",
    }  # fmt: skip
    assert set(newest) == keys
    assert (newest["decided"], newest["entry"], newest["side"]) == ("2026-11-20T14:33:03Z", 5000.0, "short")
    assert oldest["outcomes"] == [
        {
            "account": ACCOUNT, "outcome": "taken", "size": 2, "risk_usd": 64.5,
            "round_trips": [{"closed": "2026-11-20T14:34:00Z", "exit_reason": "target", "net_usd": 95.56}],
        }
    ]  # fmt: skip
    refused = {"account": ACCOUNT, "outcome": "denied", "reason": "POSITION_OPEN", "text": "ES already has a position"}
    assert document["signals"][2]["outcomes"] == [refused]


def test_explain_tells_the_story_and_the_end(home: Path) -> None:
    lines = call("--explain", REAL.signal_id, "--tz", "UTC").output.splitlines()
    assert lines[0] == f"signal {REAL.signal_id}"
    assert lines[1] == "MNQ long, score 71.75 of 100, decided 2026-11-20 14:33:00 UTC (08:33 CST)"
    assert any(line.startswith("zone: demand 25000.00-25012.50 (15m order block)") for line in lines)
    assert lines[-2:] == [
        "account 11: taken, 2 at a risk of $64.50",
        "account 11: closed by its target, net +$95.56",
    ]
    assert any(line == "in short: by hand" for line in call("--explain", "ES-3").output.splitlines())


def test_explain_as_a_document_holds_every_reason(home: Path) -> None:
    (row,) = json.loads(call("--explain", REAL.signal_id, "--json").output)["signals"]
    assert REAL.why is not None
    assert row["why"]["zone"]["event_id"] == REAL.why.zone.event_id
    assert row["event_ids"] == list(REAL.event_ids)
    assert row["params_hash"] == REAL.params_hash
    assert row["story"][0].startswith("MNQ long, score 71.75")


def test_an_unknown_id_is_told_in_one_sentence(home: Path) -> None:
    with pytest.raises(DataError, match=r"no signal MNQ-nix in the journal of .*; `tbot signals` lists") as caught:
        call("--explain", "MNQ-nix")
    assert caught.value.exit_code == 9


def test_a_folder_without_a_journal_is_told(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no journal in .*--state-dir"):
        call("--state-dir", str(tmp_path / "empty"))


def test_without_any_run_there_is_nothing_to_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    with pytest.raises(NotRunning):
        call()


def test_the_newest_run_is_found_where_the_pointer_says(home: Path, tmp_path: Path) -> None:
    """As an embedded run does: its state is in a folder of its own."""
    away = tmp_path / "away"
    write(away)
    (away / "status.json").write_text("{}")
    old, new = NOW, NOW + SECOND
    os.utime(home / "paper" / "status.json", ns=(old, old))
    os.utime(away / "status.json", ns=(new, new))
    (home / "current.json").write_text(json.dumps({"status": str(away / "status.json")}))
    assert json.loads(call("--json").output)["state_dir"] == str(away)
    assert json.loads(call("--json", "--state-dir", str(home / "paper")).output)["state_dir"] == str(home / "paper")


def test_since_and_account_choose(home: Path) -> None:
    assert ids(call("--json", "--account", "12")) == ["NQ-2"]
    with pytest.raises(click.UsageError, match="account 99 is not in this journal, whose runs traded"):
        call("--account", "99")
    told = json.loads(call("--json", "--explain", "NQ-2", "--account", "12").output)["signals"][0]["outcomes"]
    assert [outcome["account"] for outcome in told] == [12]
    assert ids(call("--json", "--account", str(ACCOUNT))) == ["NQ-2", "ES-1", REAL.signal_id]
    (row,) = json.loads(call("--json", "--account", "12").output)["signals"]
    assert [outcome["account"] for outcome in row["outcomes"]] == [12]
    assert ids(call("--json", "--since", "2026-11-20T14:33:01Z")) == []
    assert ids(call("--json", "--since", "2026-11-20T14:33:00Z")) == ["ES-3", "NQ-2", "ES-1", REAL.signal_id]


def test_as_a_table(home: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(call("--csv").output)))
    assert [(row["signal_id"], row["account"], row["outcome"]) for row in rows] == [
        ("ES-3", "", ""), ("NQ-2", "11", "denied"), ("NQ-2", "12", "taken"), ("ES-1", "11", "denied"),
        (REAL.signal_id, "11", "taken"),
    ]  # fmt: skip
    assert (rows[1]["denied"], rows[1]["risk_usd"]) == ("POSITION_OPEN", "")
    assert (rows[4]["net_usd"], rows[4]["risk_usd"], rows[4]["entry"]) == ("95.56", "64.5", "25015.0")
    assert rows[2]["net_usd"] == ""
    with pytest.raises(click.UsageError, match="leave out --csv"):
        call("--csv", "--explain", REAL.signal_id)
    with pytest.raises(click.UsageError, match="exclude each other"):
        call("--csv", "--json")


def test_signals_of_full_files_are_found_with_what_became_of_them(home: Path) -> None:
    path = home / "paper" / "journal.db"
    with journal_at(path, rotate_rows=1) as journal:
        journal.record(m.SignalIn(NOW, plain(8), None, 5), [denied(plain(8))])
    assert path.with_name("journal.db.0001").exists()
    rows = json.loads(call("--json").output)["signals"]
    assert [row["signal_id"] for row in rows] == ["ES-8", "ES-3", "NQ-2", "ES-1", REAL.signal_id]
    assert rows[4]["outcomes"][0]["round_trips"][0]["net_usd"] == 95.56


@pytest.mark.parametrize(
    ("arguments", "error"), [(("--contract", "XYZ"), ConfigError), (("--tz", "Mars/Base"), ConfigError)]
)
def test_bad_options(home: Path, arguments: tuple[str, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        call(*arguments)


@pytest.mark.parametrize("change", [{"kind": "wyckoff"}, {"timeframe_min": 7}])
def test_a_story_with_unknown_words_is_told_in_one_sentence(home: Path, change: dict[str, Any]) -> None:
    assert REAL.why is not None
    odd = replace(REAL, signal_id="odd", why=replace(REAL.why, zone=replace(REAL.why.zone, **change)))
    with journal_at(home / "paper" / "journal.db") as journal:
        journal.record(m.SignalIn(NOW, odd, None, 5), [])
    with pytest.raises(DataError, match=r"signal odd speaks of .*does not know"):
        call("--explain", "odd")


@pytest.mark.parametrize("change", [{"contract": "XYZ"}, {"score": "much"}])
def test_a_signal_of_another_version_is_told(home: Path, change: dict[str, Any]) -> None:
    """A row whose body this schema refuses, or of a contract that the table does not have."""
    import sqlite3

    path = home / "paper" / "journal.db"
    database = sqlite3.connect(path)
    seq, body = database.execute("SELECT seq, body FROM record WHERE kind = 'SignalIn' LIMIT 1").fetchone()
    item = json.loads(body)
    item["signal"] |= change
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    database.execute("UPDATE record SET body = ? WHERE seq = ?", (json.dumps(item).encode(), seq))
    database.commit()
    database.close()
    with pytest.raises(DataError, match="cannot read"):
        call()
