"""`tbot journal`: rows in plain words, the proof of the chain, the runs, the replay; read-only, always."""

import csv
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings

import tbot.commands.journal as module
from journal_items import RUN, journal_at, step
from json_shape import same
from message_strategies import every_record, instances
from tbot.commands.journal import follow, journal
from tbot.commands.journal_words import _WORDS, price, words
from tbot.domain import messages as m
from tbot.engine.journal_replay import Difference, ReplayResult
from tbot.errors import ConfigError, DataError
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import JournalReader
from tbot.storage.journal_rotation import JournalFamily
from tbot.transport import wire

SECOND = 1_000_000_000


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    folder = tmp_path / "paper"
    folder.mkdir()
    (folder / "status.json").write_text("{}")
    write(folder, range(1, 31))
    return tmp_path


def write(folder: Path, numbers: range, **more: Any) -> None:
    with journal_at(folder / "journal.db", **more) as opened:
        for number in numbers:
            opened.record(*step(number))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(journal, arguments, standalone_mode=False, catch_exceptions=False)


def document(*arguments: str) -> dict[str, Any]:
    return dict(json.loads(call("--json", *arguments).output))


def damage(home: Path, statement: str = "UPDATE record SET account = 99 WHERE seq = 20") -> None:
    database = sqlite3.connect(home / "paper" / "journal.db")
    database.executescript(f"DROP TRIGGER record_is_never_changed; DROP TRIGGER record_is_never_deleted; {statement}")
    database.close()


def test_the_last_rows_in_plain_words(home: Path) -> None:
    result = call("--tz", "UTC", "--last", "8")
    assert result.return_value == 0
    lines = result.output.splitlines()
    assert lines[0] == f"journal of {home / 'paper'}, oldest first (> in, < out, = decided)"
    assert [line[10:] for line in lines[-3:]] == [
        "2026-05-28 20:27:10 UTC (15:27 CDT)  > signal MNQ-30: long MNQ, stop 5000.00, target 5075.00, score 71.5, "
        "0.0 ms old",
        "2026-05-28 20:27:10 UTC (15:27 CDT)  = [11] approved MNQ-30: long 2 MNQ, stop 40 and target 80 ticks away, "
        "worst case 80.00 USD, tag TB1-30-E",
        "2026-05-28 20:27:10 UTC (15:27 CDT)  < [11] place c30: market buy 2 MNQ, stop -40 and target +80 ticks from "
        "the fill, tag TB1-30-E",
    ]
    assert len(lines) == 9


def test_verify_names_files_runs_and_the_verdict(home: Path) -> None:
    write(home / "paper", range(31, 33), rotate_rows=10)
    result = call("--verify", "--tz", "UTC")
    lines = result.output.splitlines()
    assert result.return_value == 0
    assert lines[1].startswith("journal.db.0001: sound to row 63")
    assert lines[2].startswith("journal.db: sound to row 66")
    assert lines[3] == "run 7 from row 1, 2026-05-28 20:26:40 UTC (15:26 CDT): sim, test"
    assert lines[4].startswith("run 7 from row 64, ")
    assert len(lines) == 5, "the checks alone"
    assert len(call("--verify", "--last", "3").output.splitlines()) == 8


@pytest.mark.parametrize("form", ["--json", "--csv", "--jsonl", ""])
def test_F_SYS_03_damage_ends_with_exit_code_9_in_every_form(home: Path, form: str) -> None:
    damage(home)
    result = call("--verify", *filter(None, [form]))
    assert result.return_value == 9
    if not form:
        assert "journal.db: DAMAGED to row 19: row 20 was changed" in result.output
        assert "the next start keeps a damaged journal.db aside and halts its accounts" in result.output
    if form == "--json":
        (file,) = json.loads(result.output)["files"]
        assert (file["state"], file["last_seq"], file["version"]) == ("mismatch", 19, None)


def test_a_file_that_is_no_database_is_damage_too(home: Path) -> None:
    (home / "paper" / "journal.db").write_bytes(b"this is text, not a database " * 500)
    for form in ((), ("--json",)):
        assert call("--verify", *form).return_value == 9


def test_a_newer_journal_is_told_apart(home: Path) -> None:
    damage(home, "ALTER TABLE record RENAME COLUMN hash TO digest; PRAGMA user_version = 3;")
    result = call("--verify")
    assert result.return_value == 9
    assert "NEWER to row 0: it is of version 3, and this build knows 2 at most" in result.output


def test_the_document_has_stable_keys(home: Path) -> None:
    whole = document()
    same(whole)
    assert (whole["schema"], whole["version"], whole["state_dir"]) == ("tbot.journal", 1, str(home / "paper"))
    assert set(whole) == {"schema", "version", "state_dir", "files", "runs", "replay", "rows"}
    assert whole["files"] == [{"file": "journal.db", "version": 2, "state": None, "last_seq": 63, "reason": ""}]
    assert whole["runs"] == [
        {
            "seq": 1, "run_id": 7, "build": "test", "config_hash": "c0ffee", "mode": "sim",
            "started": "2026-05-28T20:26:40Z", "emergency": [],
        }
    ]  # fmt: skip
    assert whole["replay"] is None
    assert len(whole["rows"]) == 20
    row = whole["rows"][-1]
    assert set(row) == {"seq", "time", "boot_ns", "account", "direction", "kind", "text", "body"}
    assert (row["seq"], row["time"], row["account"], row["direction"], row["kind"]) == (
        63, "2026-05-28T20:27:10Z", 11, "out", "PlaceBracket",
    )  # fmt: skip
    assert row["body"]["tag"] == "TB1-30-E"
    assert document("--verify")["files"][0]["state"] == "ok"


def test_rows_are_chosen_by_kind_account_time(home: Path) -> None:
    assert {row["kind"] for row in document("--kind", "intent")["rows"]} == {"Intent"}
    assert [row["seq"] for row in document("--kind", "RunInfo")["rows"]] == [1]
    assert {row["account"] for row in document("--account", "11")["rows"]} == {11}
    with pytest.raises(click.UsageError, match="account 99 is not in this journal, whose runs traded 11"):
        call("--account", "99")
    late = document("--since", "2026-05-28T20:27:09Z")["rows"]
    assert {row["time"] for row in late} == {"2026-05-28T20:27:09Z", "2026-05-28T20:27:10Z"}
    everything = document("--since", "2026-05-28T00:00:00Z")["rows"]
    assert [row["seq"] for row in everything] == list(range(1, 64))
    assert [row["kind"] for row in document("--kind", "TimerIn", "--last", "2")["rows"]] == ["TimerIn"] * 2


def test_lines_and_tables(home: Path) -> None:
    lines = [json.loads(line) for line in call("--jsonl", "--last", "3").output.splitlines()]
    assert lines == document("--last", "3")["rows"]
    table = list(csv.DictReader(io.StringIO(call("--csv", "--last", "3").output)))
    assert [row["text"] for row in table] == [line["text"] for line in lines]
    assert "body" not in table[0]


def test_rows_of_another_version_are_told_not_raised(home: Path) -> None:
    damage(home, "UPDATE record SET kind = 'Later', body = CAST('{' AS BLOB) WHERE seq = 63")
    row = document("--last", "1")["rows"][0]
    assert (row["kind"], row["body"]) == ("Later", None)
    assert "this version cannot read the row: unknown record kind" in row["text"]
    damage_start = "UPDATE record SET body = CAST('{}' AS BLOB) WHERE seq = 1"
    database = sqlite3.connect(home / "paper" / "journal.db")
    database.executescript(damage_start)
    database.close()
    assert "does not tell who wrote it" in call("--kind", "RunInfo", "--jsonl").output


def test_what_could_not_be_journaled_is_counted_in_the_start_row(home: Path) -> None:
    with journal_at(home / "paper" / "journal.db") as opened:
        opened.emergency("closed MNQ by hand")
    write(home / "paper", range(31, 32))
    assert "start of run 7: sim, build test, 1 notes of what could not be journaled" in call().output


def test_replay_tells_sameness_and_difference(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tbot.engine.journal_replay as replaying

    result = ReplayResult(inputs=30, digest="d1")
    monkeypatch.setattr(replaying, "replay_journal", lambda path: result)
    same = call("--replay")
    assert same.return_value == 0
    assert same.output.splitlines()[1:] == ["replay of run 7: 30 inputs, the same decisions, digest d1"]
    result.differences.append(Difference(20, (), (m.Query("q", 11, 0),)))
    other = call("--replay")
    assert other.return_value == 1
    assert "1 steps came out otherwise" in other.output
    assert "row 20: recorded (), now (Query(" in other.output
    replayed = json.loads(call("--replay", "--json").output)["replay"]
    assert replayed == {"run_id": 7, "inputs": 30, "same": False, "digest": "d1", "differences": [20]}


def test_a_damaged_journal_is_not_replayed(home: Path) -> None:
    damage(home)
    assert call("--verify", "--replay", "--json").return_value == 9


def test_the_tail_goes_on_with_what_the_writer_adds(home: Path) -> None:
    path = home / "paper" / "journal.db"
    with journal_at(path) as opened, JournalReader(path, wire) as reader:
        numbers = iter(range(31, 37))

        def wait() -> None:
            for _ in range(2):
                opened.record(*step(next(numbers)))
            opened.flush()

        asked = module._Choice("OperatorIn", None, None)
        assert next(follow(reader, asked, wait)).kind == "OperatorIn"
        with pytest.raises(RuntimeError):  # next() has no more numbers
            list(follow(reader, module._Choice(None, 99, RUN.started_ns), wait))


def test_tail_prints_until_it_is_stopped(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "paper" / "journal.db"
    with journal_at(path) as opened:
        numbers = iter([33])

        def wait(_: float) -> None:
            number = next(numbers, None)
            if number is None:
                raise KeyboardInterrupt
            opened.record(*step(number))
            opened.flush()

        monkeypatch.setattr(module.time, "sleep", wait)
        result = CliRunner().invoke(journal, ["--tail", "--jsonl", "--last", "1"], standalone_mode=False)
    kinds = [json.loads(line)["kind"] for line in result.output.splitlines() if line.startswith("{")]
    assert kinds == ["RunInfo", "SignalIn", "Intent", "PlaceBracket"]


@pytest.mark.parametrize(
    ("arguments", "error", "words_"),
    [
        (("--json", "--csv"), click.UsageError, "exclude each other"),
        (("--tail", "--json"), click.UsageError, "goes on without end"),
        (("--tail", "--verify"), click.UsageError, "goes on without end"),
        (("--kind", "Nonsense"), ConfigError, "unknown kind 'Nonsense'; known are AccountUpdate"),
        (("--since", "then"), ConfigError, "not ISO 8601"),
        (("--tz", "Mars/Base"), ConfigError, "not known"),
    ],
)
def test_bad_requests_get_one_sentence(
    home: Path, arguments: tuple[str, ...], error: type[Exception], words_: str
) -> None:
    with pytest.raises(error, match=words_):
        call(*arguments)


def test_without_a_journal(home: Path) -> None:
    (home / "empty").mkdir()
    with pytest.raises(DataError, match="no journal"):
        call("--state-dir", str(home / "empty"))


def test_reading_changes_nothing(home: Path) -> None:
    path = home / "paper" / "journal.db"
    before = path.read_bytes()
    for arguments in ((), ("--verify",), ("--json",)):
        call(*arguments)
    assert path.read_bytes() == before
    with Journal.open_readonly(path, wire) as reader, JournalFamily(path, wire) as family:
        assert list(reader.rows()) == list(family.rows())


def test_every_class_of_the_schema_has_words() -> None:
    assert set(_WORDS) == set(every_record())
    assert words(7) == "7"
    assert price("MNQ", None) == "none"


@pytest.mark.parametrize("cls", every_record(), ids=lambda cls: cls.__name__)
def test_F_SEC_05_words_are_one_harmless_line_for_any_values(cls: type) -> None:
    @settings(max_examples=10, deadline=None)
    @given(instances(cls))
    def check(item: Any) -> None:
        assert words(item).isprintable()
        assert words(item)

    check()
