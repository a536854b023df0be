"""`tbot trades`: one record per round trip, to the cent what the journal holds, with reasons and every hop."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from journal_items import ACCOUNT, RUN, journal_at
from json_shape import same
from tbot.commands.trades import HOPS, trades
from tbot.domain import messages as m
from tbot.errors import ConfigError, DataError
from tbot.storage.journal import Journal
from tbot.transport import wire

SECOND = 1_000_000_000
NOW = RUN.started_ns  # 2026-05-28T20:26:40Z
QUOTE = m.Quote(20_000, 20_001, NOW, 7)
STAMPS = m.SignalStamps(1_000_000, 0, 1_200_000, 1_250_000, 1_300_000)


def trip(number: int, net_cents: int, **more: object) -> m.RoundTrip:
    fields = {
        "now_ns": NOW + number * 60 * SECOND, "account": ACCOUNT, "contract": "MNQ", "side": 1, "size": 2,
        "opened_ns": NOW + (number * 60 - 42) * SECOND, "entry_price_size": 40_003, "exit_price_size": 40_103,
        "gross_cents": net_cents + 144 + 100, "fees_cents": 144, "commission_cents": 100, "exit_reason": "target",
        "signal_id": f"MNQ-{number}", "slippage_ticks": 1,
    }  # fmt: skip
    return m.RoundTrip(**(fields | more))  # type: ignore[arg-type]


def intent(number: int, account: int = ACCOUNT) -> m.Intent:
    return m.Intent(NOW, account, f"MNQ-{number}", "MNQ", 1, 2, QUOTE, 40, 80, 8_000, f"TB1-{number}-E")


FULL = trip(
    4, -7_301, entry_reason="retest of 15m demand", exit_reason="stop", mae_ticks=41, mfe_ticks=7, stamps=STAMPS,
    request_boot_ns=1_900_000, answered_boot_ns=9_900_000,
)  # fmt: skip
ALL = [
    trip(1, 9_556),
    trip(2, 0, contract="ES", side=-1, size=1, entry_price_size=24_001, exit_price_size=23_990, account=12),
    trip(3, 12, signal_id=""),
    FULL,
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    folder = tmp_path / "paper"
    folder.mkdir()
    (folder / "status.json").write_text("{}")
    ticks = iter(range(1_500_000, 10**9, 1_000))
    with journal_at(folder / "journal.db", clock=lambda: next(ticks)) as journal:
        for number, done in enumerate(ALL, start=1):
            journal.record(m.TimerIn(done.opened_ns, {}), [intent(number, done.account)])
            journal.record(m.TimerIn(done.now_ns, {}), [done])
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(trades, arguments, standalone_mode=False, catch_exceptions=False)


def document(*arguments: str) -> dict[str, object]:
    return dict(json.loads(call("--json", *arguments).output))


def journaled(folder: Path) -> list[m.RoundTrip]:
    with Journal.open_readonly(folder / "journal.db", wire) as reader:
        return [note for _, note in reader.notes() if isinstance(note, m.RoundTrip)]


def test_the_document_equals_the_journal_to_the_cent(home: Path) -> None:
    whole = document()
    same(whole)
    assert (whole["schema"], whole["version"], whole["state_dir"]) == ("tbot.trades", 1, str(home / "paper"))
    kept = journaled(home / "paper")[::-1]
    rows = whole["trades"]
    assert isinstance(rows, list)
    for name in ("gross", "fees", "commission", "net"):
        cents = [getattr(done, f"{name}_cents") for done in kept]
        assert [round(row[f"{name}_usd"] * 100) for row in rows] == cents
        assert round(whole["totals"][f"{name}_usd"] * 100) == sum(cents)  # type: ignore[index]
    assert whole["totals"] == {
        "round_trips": 4, "won": 2, "lost": 1, "gross_usd": 32.43, "fees_usd": 5.76, "commission_usd": 4.0,
        "net_usd": 22.67, "slippage_ticks": 4,
    }  # fmt: skip


def test_a_trade_has_every_hop_and_reason(home: Path) -> None:
    newest = document("--last", "1")["trades"][0]  # type: ignore[index]
    with Journal.open_readonly(home / "paper" / "journal.db", wire) as reader:
        noted = next(reader.newest("Intent"))
    assert newest == {
        "account": 11, "contract": "MNQ", "side": "long", "size": 2,
        "opened": "2026-05-28T20:29:58Z", "closed": "2026-05-28T20:30:40Z", "held_s": 42.0,
        "entry_price": 5000.375, "exit_price": 5012.875,
        "gross_usd": -70.57, "fees_usd": 1.44, "commission_usd": 1.0, "net_usd": -73.01,
        "entry_reason": "retest of 15m demand", "exit_reason": "stop", "exit_code": "", "signal_id": "MNQ-4",
        "slippage_ticks": 1, "mae_ticks": 41, "mfe_ticks": 7,
        "boot_ns": {
            "frame_recv": 1_000_000, "ring_written": None, "worker_woke": 1_200_000, "sent": 1_250_000,
            "received": 1_300_000, "journaled": noted.boot_ns, "request": 1_900_000, "answered": 9_900_000,
        },
        "hops_ms": {
            "frame_recv_worker_woke": 0.2, "worker_woke_sent": 0.05, "sent_received": 0.05,
            "received_journaled": (noted.boot_ns - 1_300_000) / 1e6,
            "journaled_request": (1_900_000 - noted.boot_ns) / 1e6, "request_answered": 8.0,
        },
    }  # fmt: skip
    assert set(newest["boot_ns"]) == set(HOPS)


def test_in_words(home: Path) -> None:
    lines = call("--tz", "UTC").output.splitlines()
    assert lines[0] == f"round trips of {home / 'paper'}, newest first"
    assert lines[1] == (
        "2026-05-28 20:30:40 UTC (15:30 CDT)  MNQ long 2  5000.375 to 5012.875  net −$73.01  closed by its stop"
    )
    assert lines[2] == (
        "    gross −$70.57, fees $1.44, commission $1.00; entry slippage 0.5 ticks a contract worse; "
        "41 ticks against, 7 in favour; held 42 s"
    )
    assert lines[3] == "    account 11, signal MNQ-4: retest of 15m demand"
    assert lines[4].startswith("    from frame received: worker awake +0.20 ms, signal sent +0.25 ms, at the ex")
    assert ", requested +0.90 ms, answered +8.90 ms" in lines[4]  # each from the frame on
    assert "    account 11, signal none: no reason recorded" in lines
    assert any("ES short 1  6000.25 to 5997.50  net $0.00" in line for line in lines)
    assert any("; how far it went is not known (over before a minute had closed); " in line for line in lines)
    assert lines[-1] == ("total of 4: won 2, lost 1, gross +$32.43, fees $5.76, commission $4.00, net +$22.67")


@pytest.mark.parametrize(
    ("ticks", "size", "words"),
    [(0, 2, "none"), (10, 2, "5 ticks a contract worse"), (-2, 2, "1 tick a contract better"),
     (4, 3, "1.3 ticks a contract worse")],
)  # fmt: skip
def test_slippage_is_told_for_one_contract(home: Path, ticks: int, size: int, words: str) -> None:
    with journal_at(home / "paper" / "journal.db") as journal:
        journal.record(m.TimerIn(NOW, {}), [replace(FULL, slippage_ticks=ticks, size=size, mae_ticks=1)])
    assert f"; entry slippage {words}; 1 tick against, 7 in favour; " in call("--last", "1").output


def test_the_code_of_a_close_is_shown(home: Path) -> None:
    with journal_at(home / "paper" / "journal.db") as journal:
        journal.record(m.TimerIn(NOW, {}), [replace(FULL, exit_reason="close", exit_code="RC_WINDOW")])
    assert "closed at market (RC_WINDOW)" in call("--last", "1").output
    assert document("--last", "1")["trades"][0]["exit_code"] == "RC_WINDOW"  # type: ignore[index]


def test_as_csv(home: Path) -> None:
    found = list(csv.DictReader(io.StringIO(call("--csv").output)))
    assert [line["net_usd"] for line in found] == ["-73.01", "0.12", "0.0", "95.56"]
    assert found[0]["request_boot_ns"] == "1900000"
    assert (found[1]["mae_ticks"], found[1]["request_boot_ns"], found[1]["journaled_boot_ns"]) == ("", "", "")


def test_since_account_contract_and_last_choose(home: Path) -> None:
    def ids(*arguments: str) -> list[str]:
        return [row["signal_id"] for row in document(*arguments)["trades"]]  # type: ignore[attr-defined]

    assert ids() == ["MNQ-4", "", "MNQ-2", "MNQ-1"]
    assert ids("--last", "2") == ["MNQ-4", ""]
    assert ids("--account", "12") == ["MNQ-2"]
    assert ids("--contract", "es") == ["MNQ-2"]
    assert ids("--since", "2026-05-28T20:29:40Z") == ["MNQ-4", ""]
    assert ids("--since", "2026-05-28T20:29:40Z", "--last", "1") == ["MNQ-4"]
    assert document("--account", "12")["trades"][0]["boot_ns"]["journaled"]  # type: ignore[index]
    with pytest.raises(click.UsageError) as refused:
        call("--account", "99")
    assert str(refused.value) == "account 99 is not in this journal, whose runs traded 11, 12"


def test_since_has_no_default_limit(home: Path) -> None:
    with journal_at(home / "paper" / "journal.db") as journal:
        for number in range(5, 35):
            journal.record(m.TimerIn(NOW, {}), [trip(number, 1)])
    assert len(document()["trades"]) == 20  # type: ignore[arg-type]
    assert len(document("--since", "2026-05-28T00:00:00Z")["trades"]) == 34  # type: ignore[arg-type]


def test_full_files_are_read_too(home: Path) -> None:
    path = home / "paper" / "journal.db"
    with journal_at(path, rotate_rows=1) as journal:
        journal.record(m.TimerIn(NOW, {}), [trip(9, 100)])
    assert path.with_name("journal.db.0001").exists()
    whole = document()
    assert [row["signal_id"] for row in whole["trades"]] == ["MNQ-9", "MNQ-4", "", "MNQ-2", "MNQ-1"]  # type: ignore[attr-defined]
    assert whole["trades"][4]["boot_ns"]["journaled"]  # type: ignore[index]


def test_read_while_the_engine_writes(home: Path) -> None:
    path = home / "paper" / "journal.db"
    with journal_at(path) as journal:
        journal.record(m.TimerIn(NOW, {}), [trip(9, 100)])
        journal.flush()
        assert document()["totals"]["round_trips"] == 5  # type: ignore[index]
        journal.record(m.TimerIn(NOW, {}), [trip(10, 100)])
        journal.flush()
        assert document()["totals"]["round_trips"] == 6  # type: ignore[index]


def test_bad_requests_get_one_sentence(home: Path) -> None:
    with pytest.raises(click.UsageError, match="--json and --csv exclude each other"):
        call("--json", "--csv")
    with pytest.raises(ConfigError, match="not ISO 8601"):
        call("--since", "yesterday")
    (home / "empty").mkdir()
    with pytest.raises(DataError, match="no journal"):
        call("--state-dir", str(home / "empty"))


def test_a_round_trip_of_another_version_is_told(home: Path) -> None:
    with journal_at(home / "paper" / "journal.db") as journal:
        journal.record(m.TimerIn(NOW, {}), [replace(FULL, contract="XYZ")])
    with pytest.raises(DataError, match="cannot read") as caught:
        call()
    assert caught.value.exit_code == 9
