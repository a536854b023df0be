"""`tbot record export`, and that `tbot record` itself is called as before; `tbot import` of what was exported."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from lively_tape import lively
from tbot.cli import root
from tbot.commands import record
from tbot.domain.contracts import PRODUCTS
from tbot.errors import TbotError
from tbot.storage.tape import TapeReader, TapeWriter, tape_meta


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "day.tape"
    with TapeWriter(path, tape_meta([PRODUCTS["MNQ"], PRODUCTS["ES"]], "test")) as writer:
        writer.write(lively(("ES", "MNQ"), minutes=60, opened=False))
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(root, [str(argument) for argument in arguments], standalone_mode=False)


def test_V13_a_tape_through_both_commands_and_back(tape: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    result = call("record", "export", tape, "--out", tmp_path / "out", "--json")
    assert result.return_value == 0, result.exception
    document = json.loads(result.output)
    assert (document["schema"], document["version"], document["kind"]) == ("tbot.record_export", 1, "ticks")
    assert [file["contracts"] for file in document["files"]] == [["MNQ"], ["ES"]]
    files = [file["path"] for file in document["files"]]
    result = call("import", *files, "--out", tmp_path / "back.tape")
    assert result.return_value == 0, result.exception
    with TapeReader(tape) as one, TapeReader(tmp_path / "back.tape") as two:
        assert np.array_equal(one.ticks, two.ticks)
        assert two.meta["data_hash"] == document["tape_hash"]
        assert sum(file["rows"] for file in document["files"]) == len(one)


def test_bars_in_words(tape: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    result = call("record", "export", tape, "-o", tmp_path / "b.parquet", "--kind", "bars", "--timeframe", "5m")
    assert result.output == f"{tmp_path / 'b.parquet'}: 24 bars of MNQ, ES\n"


def test_without_the_subcommand_it_records_as_before() -> None:
    """The options are record's own: without a gateway it says so, and the help names both."""
    result = call("record", "--contracts", "MNQ", "--for", "5s", "--json")
    assert isinstance(result.exception, TbotError)
    assert "export" not in str(result.exception)
    text = call("record", "--help").output
    assert "--gateway" in text
    assert "export" in text
    assert call("record", "nonsense").exception is not None


@pytest.mark.parametrize(("make", "code"), [("empty", 9), ("foreign", 9), ("missing", 9)])
def test_a_bad_tape_is_one_sentence_and_an_exit_code(tmp_path: Path, make: str, code: int) -> None:
    path = tmp_path / "x.tape"
    if make == "empty":
        path.touch()
    elif make == "foreign":
        path.write_bytes(b"something else" * 50)
    command = [sys.executable, "-m", "tbot", "record", "export", str(path), "--out", str(tmp_path / "o.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if make != "missing":
        assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "o.parquet").exists()


def test_a_recording_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    feed: Any = SimpleNamespace(months={"MNQ": "CON.F.US.MNQ.Z26", "ES": "CON.F.US.EP.Z26"}, connects=1)
    files: Any = SimpleNamespace(counts={"trades": 1, "quotes": 2, "gaps": 0, "MNQ": 1, "ES": 1_200}, files=[])
    record._report(feed, files, "stopped", json_output=False)
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "stopped: 1 trade and 2 quotes, 0 gap marks, 1 connection"
    assert [line.split(maxsplit=2)[2] for line in lines] == ["1 record", "1,200 records"]
