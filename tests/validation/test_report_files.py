"""The files of a backtest: what is in them, that they arrive whole, and what they never write over."""

import csv
import hashlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from report_cases import denial, intent_of, judged, lively_result, result_of, signal_of, trip
from tbot.backtest.results import BacktestResult
from tbot.errors import ConfigError, DataError
from tbot.validation import report_files
from tbot.validation.report_files import NAMES, check_target, write
from tbot.validation.report_json import TRADE_FIELDS, document
from tbot.validation.report_words import Extra

CONFIG = '# ours\n[strategy]\nname = "smc"\n'


def written(out: Path, result: BacktestResult, **more: Any) -> dict[str, bytes]:
    """All files, by name."""
    paths = write(out, result, judged(result), CONFIG, **more)
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in paths)
    return {path.name: path.read_bytes() for path in paths}


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_a_folder_has_every_file_and_their_hashes(tmp_path: Path) -> None:
    result = lively_result()
    extra = Extra(data=("a.tape",), version="1.2", seed=7)
    files = written(tmp_path / "deep" / "out", result, extra=extra)
    assert tuple(files) == NAMES
    assert files["config.toml"].decode() == CONFIG
    told = json.loads(files["hashes.json"])
    assert (told["plan_hash"], told["data_hash"]) == (result.plan_hash, result.data_hash)
    assert (told["tbot_version"], told["seed"], told["data"]) == ("1.2", 7, ["a.tape"])
    assert told["files"] == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "hashes.json"
    }
    expected = json.loads(json.dumps(document(result, judged(result), extra=extra)))
    assert json.loads(files["report.json"]) == expected
    assert files["report.html"].startswith(b"<!doctype html>")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"], "nothing is left beside it"


def test_trades_of_all_accounts_in_csv_and_parquet_agree(tmp_path: Path) -> None:
    result = lively_result()
    files = written(tmp_path / "out", result)
    rows = rows_of(files["trades.csv"])
    assert tuple(rows[0]) == TRADE_FIELDS
    assert len(rows) == len(result.trips)
    assert sum(round(100 * float(row["net_usd"])) for row in rows) == result.trips["net_cents"].sum()
    table = pyarrow.parquet.read_table(io.BytesIO(files["trades.parquet"]))
    assert tuple(table.column_names) == TRADE_FIELDS
    for plain, typed in zip(rows, table.to_pylist(), strict=True):
        assert plain == {name: "" if value is None else str(value) for name, value in typed.items()}


def test_equity_by_hand(tmp_path: Path) -> None:
    result = result_of(trip(1_926), trip(-100, 1, account=2), accounts=(1, 2))
    assert written(tmp_path / "out", result)["equity.csv"].decode().splitlines() == [
        "account,at,balance_usd",
        "1,2026-07-29T18:00:00Z,50000.0",
        "1,2026-07-29T18:10:00Z,50019.26",
        "2,2026-07-29T18:00:00Z,50000.0",
        "2,2026-07-30T18:10:00Z,49999.0",
    ]


def test_every_signal_tells_what_each_account_made_of_it(tmp_path: Path) -> None:
    first, second = trip(500), trip(500, 1)
    result = result_of(
        first, accounts=(1, 2), signals=(signal_of(first), signal_of(second)), intents=(intent_of(first),),
        denials=(denial("RC_X", 2, "s0-0"), denial("RC_Y", 1, "s1-0")),
    )  # fmt: skip
    files = written(tmp_path / "out", result)
    lines = [json.loads(line) for line in files["signals.jsonl"].splitlines()]
    assert [line["signal_id"] for line in lines] == ["s0-0", "s1-0"]
    assert [[(one["account"], one["taken"], one["denied"]) for one in line["outcomes"]] for line in lines] == [
        [(1, True, None), (2, False, "RC_X")],
        [(1, False, "RC_Y"), (2, False, None)],
    ]
    assert lines[0]["outcomes"][1]["text"] == "denied because of RC_X"
    assert (lines[0]["bid"], lines[0]["ask"], lines[0]["stop"], lines[0]["target"]) == (
        24_999.5, 25_000.0, 24_990.0, 25_020.0,
    )  # fmt: skip
    assert (lines[0]["decided"], lines[0]["side"]) == ("2026-07-29T18:00:00Z", "long")
    assert [(row["account"], row["reason"]) for row in rows_of(files["denials.csv"])] == [("2", "RC_X"), ("1", "RC_Y")]


def test_a_run_without_trades_has_files_with_headers_alone(tmp_path: Path) -> None:
    files = written(tmp_path / "out", result_of())
    assert rows_of(files["trades.csv"]) == []
    assert pyarrow.parquet.read_table(io.BytesIO(files["trades.parquet"])).num_rows == 0
    assert files["signals.jsonl"] == b""


def test_equal_results_give_equal_files(tmp_path: Path) -> None:
    assert written(tmp_path / "a", lively_result()) == written(tmp_path / "b", lively_result())


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    result = result_of()
    with pytest.raises(ConfigError, match=r"is not empty; .*--force"):
        write(tmp_path, result, judged(result), CONFIG)
    with pytest.raises(ConfigError, match="is not empty"):
        check_target(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_force_replaces_the_files_of_a_run_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, lively_result(), judged(lively_result()), CONFIG)
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = result_of()
    paths = write(tmp_path, result, judged(result), "other", force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "trades.parquet").exists(), "it would be of another run"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*(path.name for path in paths), "notes.txt"])
    told = json.loads((tmp_path / "hashes.json").read_bytes())["files"]
    assert all(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest for name, digest in told.items())


def test_an_empty_folder_and_a_new_one_are_taken_and_a_file_is_not(tmp_path: Path) -> None:
    check_target(tmp_path)
    check_target(tmp_path / "new" / "one")
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises((ConfigError, DataError)):
            write(out, result_of(), judged(result_of()), CONFIG, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("module", ["jinja2", "pyarrow"])
def test_files_that_need_a_missing_library_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    missing = {"jinja2": "report.html", "pyarrow": "trades.parquet"}[module]
    assert set(NAMES) - set(written(tmp_path / "out", result_of())) == {missing}


@pytest.mark.parametrize("there", [False, True])
def test_a_disk_that_fails_leaves_no_new_folder_and_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    out, result = tmp_path / "out", result_of()
    if there:
        write(out, result, judged(result), "before")
    kept = {path.name: path.read_bytes() for path in out.iterdir()} if there else {}
    whole = report_files._synced

    def full(path: Path, data: bytes) -> None:
        if path.name == "report.json":
            raise OSError(28, os.strerror(28))
        whole(path, data)

    monkeypatch.setattr(report_files, "_synced", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\)"):
        write(out, result, judged(result), "after", force=True)
    assert ({path.name: path.read_bytes() for path in out.iterdir()} if there else {}) == kept
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if there else [])
