"""`tbot replay --journal`: a run's journal decides the same again; whatever was changed in a copy is found."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result

from journal_runs import run, settings_in
from json_shape import same
from tbot.cli import root
from tbot.domain.messages import PlaceBracket
from tbot.engine.desk_record import DeskRecord
from tbot.errors import ConfigError, DataError
from tbot.execution.desk import Desk
from tbot.storage.journal import Journal
from tbot.storage.journal_files import HeadFile, head_path
from tbot.storage.journal_reader import JournalReader, row_hash
from tbot.transport import wire

RUN_ID = 77


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(state folder, digest) of one run."""
    settings = settings_in(tmp_path_factory.mktemp("run"), RUN_ID)
    digest = run(settings, seed=5, minutes=180)
    return settings.state_dir, digest


@pytest.fixture
def state(finished: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of that run's state."""
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    return folder


def call(*arguments: object) -> Result:
    given = [str(argument) for argument in arguments]
    return CliRunner().invoke(root, ["replay", *given], standalone_mode=False)


def document(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = call("--json", *arguments)
    assert result.exception is None, result.exception
    assert result.return_value == code
    return dict(json.loads(result.output))


def tamper(path: Path, direction: str, kind: str, alter: Callable[[dict[str, Any]], None], *, seal: bool) -> int:
    """Change one row behind the engine's back; `seal`: with chain and head made anew, as a thief would."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("DROP TRIGGER record_is_never_changed")
    query = "SELECT seq, body FROM record WHERE direction = ? AND kind = ? ORDER BY seq LIMIT 1"
    seq, body = database.execute(query, (direction, kind)).fetchone()
    changed = msgspec.json.decode(body)
    alter(changed)
    database.execute("UPDATE record SET body = ? WHERE seq = ?", (msgspec.json.encode(changed), seq))
    if seal:
        with JournalReader(path, wire) as reader:
            rows = list(reader.rows())
        last = rows[0].previous
        database.execute("BEGIN")
        for row in rows:
            fields = (row.seq, row.boot_ns, row.market_ns, row.account, row.direction, row.kind, row.body)
            hash_ = row_hash(last, *fields)
            database.execute("UPDATE record SET previous = ?, hash = ? WHERE seq = ?", (last, hash_, row.seq))
            last = hash_
        database.execute("COMMIT")
        head_path(path).unlink()
        head = HeadFile(head_path(path))
        head.write(rows[-1].seq, last)
        head.close()
    database.close()
    return int(seq)


def bigger(body: dict[str, Any]) -> None:
    body["size"] += 1


def test_V13_I15_a_run_decides_the_same_again_at_every_step(finished: tuple[Path, str]) -> None:
    found = document("--journal", finished[0])
    same(found)
    assert (found["schema"], found["version"], found["state"]) == ("tbot.replay_journal", 1, "ok")
    assert (found["same"], found["differences"], found["first_difference"]) == (True, 0, None)
    assert found["digest"] == finished[1]
    assert found["run"]["run_id"] == RUN_ID
    with Journal.open_readonly(finished[0] / "journal.db", wire) as reader:
        assert found["inputs"] == len(list(reader.steps()))
    kinds = {row["kind"] for row in found["rows"]}
    assert {"RunInfo", "SignalIn", "Intent", "PlaceBracket", "Fill", "RoundTrip", "StateChange"} <= kinds
    assert "TimerIn" not in kinds
    seqs = [row["seq"] for row in found["rows"]]
    assert seqs == sorted(seqs)


def test_the_timeline_in_words_and_its_filters(finished: tuple[Path, str]) -> None:
    result = call("--journal", finished[0] / "journal.db", "--tz", "UTC")
    assert result.return_value == 0
    lines = result.output.splitlines()
    assert lines[0].startswith(f"run {RUN_ID} of {finished[0] / 'journal.db'}, ")
    assert any("> signal " in line for line in lines)
    assert any("< " in line and "place " in line for line in lines)
    assert any("= " in line and "approved" in line for line in lines)
    assert lines[-1].endswith(f"digest {finished[1]}: the same decisions at every step")
    fills = document("--journal", finished[0], "--kind", "fill", "--last", "2")["rows"]
    assert [row["kind"] for row in fills] == ["Fill", "Fill"]
    later = document("--journal", finished[0], "--kind", "Fill", "--since", fills[1]["time"])["rows"]
    assert later[0]["seq"] == fills[1]["seq"]
    refused = call("--journal", finished[0], "--account", "999").exception
    assert str(refused) == "account 999 is not in this journal, whose runs traded 1 (PAPER)"


def test_I15_a_changed_row_breaks_the_chain_and_shows_in_the_replay(state: Path) -> None:
    seq = tamper(state / "journal.db", "out", "PlaceBracket", bigger, seal=False)
    found = document("--journal", state, code=9)
    assert (found["state"], found["same"], found["differences"]) == ("mismatch", False, 1)
    assert f"row {seq} was changed" in found["reason"]
    assert found["first_difference"]["seq"] < seq
    assert found["first_difference"]["recorded"] != found["first_difference"]["replayed"]


def test_I15_a_copy_with_a_chain_made_anew_is_found_by_the_replay(state: Path) -> None:
    seq = tamper(state / "journal.db", "out", "PlaceBracket", bigger, seal=True)
    found = document("--journal", state, code=1)
    assert (found["state"], found["differences"]) == ("ok", 1)
    assert found["first_difference"]["seq"] < seq
    result = call("--journal", state)
    assert result.return_value == 1
    lines = result.output.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("first difference at row "))
    recorded = [line for line in lines[at:] if line.startswith("    recorded: ")]
    now = [line for line in lines[at:] if line.startswith("    now:      ")]
    assert recorded
    assert now
    assert lines[-1].endswith(": 1 steps came out otherwise")


def test_I15_a_changed_input_changes_what_follows(state: Path, finished: tuple[Path, str]) -> None:
    def dearer(body: dict[str, Any]) -> None:
        body["price"] += 400

    seq = tamper(state / "journal.db", "in", "Fill", dearer, seal=True)
    found = document("--journal", state, code=1)
    assert found["first_difference"]["seq"] >= seq
    assert found["digest"] != finished[1]


def test_an_input_that_no_desk_can_take_is_one_sentence(state: Path) -> None:
    def wrong(body: dict[str, Any]) -> None:
        body["price"] = "dear"

    tamper(state / "journal.db", "in", "Fill", wrong, seal=True)
    error = call("--journal", state).exception
    assert isinstance(error, DataError)
    assert "cannot be replayed behind row" in str(error)


def test_I15_a_state_that_the_journal_does_not_give_is_found(finished: tuple[Path, str], state: Path) -> None:
    """Another thing than the inputs decides: the two Desks of the replay part ways, or the engine's own digest does."""
    with Journal.open_readonly(state / "journal.db", wire) as reader:
        last = reader.head[0]
    for digest, code, agrees in ((finished[1], 0, True), ("0" * 16, 1, False)):
        (state / "status.json").write_bytes(orjson.dumps({"journal": {"seq": last, "digest": digest}}))
        assert document("--journal", state, code=code)["status_digest"] is agrees
    assert "another one than the engine reported" in call("--journal", state).output


def test_I15_a_desk_that_looks_elsewhere_is_found(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle, calls = Desk.handle, count()

    def restless(self: Desk, item: Any) -> list[Any]:
        """The second of two Desks forgets its entries."""
        outputs, second = handle(self, item), next(calls) % 2
        return [output for output in outputs if not (second and isinstance(output, PlaceBracket))]

    monkeypatch.setattr(Desk, "handle", restless)
    assert document("--journal", state, code=1)["differences"] > 0


def test_several_runs_in_a_file_and_full_files(state: Path) -> None:
    """A second run in the same file, then a rotation: each can be named, and each replays alone."""
    path = state / "journal.db"
    with JournalReader(path, wire) as reader:
        _, info = reader.runs()[0]
        steps = list(reader.steps())
    second = replace(info, run_id=RUN_ID + 1)
    desk = Desk(DeskRecord.decode(info.desk).settings())
    with Journal(path, wire, second) as journal:
        for step in steps[:40]:
            journal.record(step.item, list(desk.handle(step.item)))
    assert document("--journal", state)["inputs"] == 40
    assert document("--journal", state, "--run", RUN_ID)["inputs"] == len(steps)
    with Journal(path, wire, replace(second, run_id=RUN_ID + 2), rotate_rows=10) as journal:
        for step in steps[:3]:
            journal.record(step.item, [])
    assert (state / "journal.db.0001").exists()
    assert document("--journal", state / "journal.db.0001")["run"]["run_id"] == RUN_ID + 1
    assert document("--journal", state, "--run", RUN_ID)["inputs"] == len(steps)
    assert document("--journal", state, "--run", RUN_ID)["file"].endswith("journal.db.0001")
    assert document("--journal", state / "journal.db", "--run", RUN_ID + 1)["inputs"] == 40
    error = call("--journal", state, "--run", "5").exception
    assert isinstance(error, DataError)
    assert "holds no run 5" in str(error)


def test_a_copy_without_its_head_file_is_as_sound_as_it_goes(state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "alone.db"
    shutil.copy(state / "journal.db", copy)
    found = document("--journal", copy)
    assert (found["state"], found["same"]) == ("no_head", True)
    assert "the head file is missing" in call("--journal", copy).output


def test_a_mode_or_nothing_names_the_newest_run(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    shutil.copytree(state, tmp_path / "home" / "live")
    shutil.copytree(state, tmp_path / "home" / "sim")
    (tmp_path / "home" / "sim" / "status.json").write_text("{}")
    assert document("--journal", "live")["file"] == str(tmp_path / "home" / "live" / "journal.db")
    assert document("--journal")["file"] == str(tmp_path / "home" / "sim" / "journal.db")
    error = call("--journal", "paper").exception
    assert isinstance(error, DataError)
    assert "there is no journal in" in str(error)


def test_what_does_not_go_together_is_refused(state: Path, tmp_path: Path) -> None:
    tape = tmp_path / "x.tape"
    tape.touch()
    assert "name one of them" in str(call(tape, "--journal", state).exception)
    assert "name a TAPE" in str(call().exception)
    assert "choose rows of a --journal" in str(call(tape, "--kind", "Fill").exception)
    assert isinstance(call("--journal", state, "--kind", "Nonsense").exception, ConfigError)
    (tmp_path / "junk").write_bytes(b"junk" * 100)
    assert getattr(call("--journal", tmp_path / "junk").exception, "exit_code", 0) == 9
