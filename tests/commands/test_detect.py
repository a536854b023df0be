"""`tbot detect` as a user calls it: streams, formats, choices, and one sentence for everything that is wrong."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import tbot
from bar_samples import columns, csv_text, walk
from engine_runs import Command
from tbot.commands.detect import detect as command
from tbot.commands.detect import read_params
from tbot.errors import ConfigError, DataError, TbotError


@pytest.fixture
def bars_file(tmp_path: Path) -> Path:
    path = tmp_path / "ES_1m.csv"
    path.write_text(csv_text(walk(1500, seed=3, pause_at=900)))
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def good(*arguments: object) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, (result.stderr, result.exception)
    return result


def refused(*arguments: object) -> str:
    """The one sentence of a refusal."""
    result = call(*arguments)
    assert isinstance(result.exception, TbotError), (result.exit_code, result.stderr, result.exception)
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_events_on_stdout_summary_on_stderr(bars_file: Path) -> None:
    result = good(bars_file, "--timeframe", "5m", "--tick-size", "0.25")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    events = tbot.detect(columns(walk(1500, seed=3, pause_at=900)), tick_size=0.25, timeframe="5m")
    assert [int(row["id"]) for row in rows] == events["id"].tolist()
    assert [row["kind"] for row in rows] == events["kind"].tolist()
    assert [float(row["top"]) for row in rows] == events["top"].tolist()
    assert f"300 bars of 5m, 2026-01-20T16:00:00Z to 2026-01-21T18:55:00Z; {len(events)} events" in result.stderr
    assert f"FVG {(events['kind'] == 'FVG').sum()}" in result.stderr
    assert good(bars_file, "--timeframe", "5m", "-q").stderr == ""
    assert good(bars_file, "--timeframe", "5m", "-q").stdout == result.stdout  # ES by its name


def test_files_and_formats(bars_file: Path, tmp_path: Path) -> None:
    plain = good(bars_file, "--timeframe", "1m").stdout
    for name, form in (("out.csv", None), ("out.txt", None), ("out.jsonl", "csv")):
        more = ("--format", form) if form else ()
        result = good(bars_file, "--timeframe", "1m", "--out", tmp_path / name, *more)
        assert result.stdout == ""
        assert f"wrote {tmp_path / name}" in result.stderr
        assert (tmp_path / name).read_text() == plain
    lines = good(bars_file, "--timeframe", "1m", "--format", "jsonl").stdout
    good(bars_file, "--timeframe", "1m", "--out", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == lines
    assert [json.loads(line)["id"] for line in lines.splitlines()] == [
        int(row["id"]) for row in csv.DictReader(io.StringIO(plain))
    ]
    assert not list(tmp_path.glob("*.part"))


def test_kinds_and_times(bars_file: Path) -> None:
    whole = list(csv.DictReader(io.StringIO(good(bars_file, "--timeframe", "1m").stdout)))
    blocks = csv.DictReader(io.StringIO(good(bars_file, "--timeframe", "1m", "--kinds", "ob,sweep").stdout))
    assert list(blocks) == [row for row in whole if row["kind"].startswith("OB") or row["kind"] == "SWEEP"]
    since, until = "2026-01-20T20:00:00Z", "2026-01-21T01:00:00+02:00"
    part = good(bars_file, "--timeframe", "1m", "--from", since, "--to", until).stdout
    expected = [row for row in whole if since <= row["known_time"] < "2026-01-20T23:00:00Z"]
    assert list(csv.DictReader(io.StringIO(part))) == expected
    assert 100 < len(expected) < len(whole)


def test_one_document(bars_file: Path, tmp_path: Path) -> None:
    document = json.loads(good(bars_file, "--timeframe", "15m", "--json").stdout)
    lines = good(bars_file, "--timeframe", "15m", "--format", "jsonl").stdout.splitlines()
    assert document.pop("rows") == [json.loads(line) for line in lines]
    assert document["schema"] == "tbot.detect"
    assert document["version"] == 1
    assert document["events"] == len(lines) == sum(document["kinds"].values()) > 50
    assert (document["bars"], document["timeframe"], document["tick_size"]) == (100, "15m", 0.25)
    assert document["params"]["L"] == 5
    result = good(bars_file, "--timeframe", "15m", "--json", "--out", tmp_path / "x.csv")
    assert json.loads(result.stdout) == document
    assert result.stderr == ""
    assert len((tmp_path / "x.csv").read_text().splitlines()) == len(lines) + 1


def test_parameters_of_file_and_line(bars_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "params.toml"
    file.write_text('L = 3\nbreak_mode = "wick"\n["5m"]\nL = 2\n["1h"]\nL = 9\n')
    assert read_params(file, (), 5) == {"L": 2, "break_mode": "wick"}
    assert read_params(file, ("R=4", "break_mode=close", "fvg_min_atr=0.5", "fvg_need_body=false"), 1) == {
        "L": 3, "break_mode": "close", "R": 4, "fvg_min_atr": 0.5, "fvg_need_body": False,
    }  # fmt: skip
    document = json.loads(good(bars_file, "--timeframe", "5m", "--params", file, "-p", "R=2", "--json").stdout)
    assert (document["params"]["L"], document["params"]["R"], document["params"]["break_mode"]) == (2, 2, "wick")


def test_tick_size_by_contract(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text(csv_text(walk(200), tick=0.1, decimals=1))
    by_contract = good(path, "--timeframe", "1m", "--contract", "GC").stdout
    assert by_contract == good(path, "--timeframe", "1m", "--tick-size", "0.1").stdout
    assert "give --tick-size, such as 0.25, or --contract" in refused(path, "--timeframe", "1m")
    assert "unknown contract 'XX'" in refused(path, "--timeframe", "1m", "--contract", "XX")
    assert "not 0.25" in refused(path, "--timeframe", "1m", "--contract", "GC", "--tick-size", "0.25")
    assert "not a whole number of ticks of 0.25" in refused(path, "--timeframe", "1m", "--tick-size", "0.25")


def test_times_without_a_zone(tmp_path: Path) -> None:
    path = tmp_path / "ES.csv"
    path.write_text(csv_text(walk(200)).replace("Z,", ","))
    result = good(path, "--timeframe", "1m")
    assert "taken as UTC; --data-tz" in result.stderr
    moved = good(path, "--timeframe", "1m", "--data-tz", "America/New_York")
    assert "taken as UTC" not in moved.stderr
    assert "2026-01-20T21:00:00Z to" in moved.stderr
    assert "time zone 'Mars' is not known" in refused(path, "--timeframe", "1m", "--data-tz", "Mars")


def test_several_contracts_in_one_file_are_said(tmp_path: Path) -> None:
    head, *rows = csv_text(walk(200)).splitlines()
    path = tmp_path / "ES.csv"
    for second, said in (("ESH6", False), ("ESM6", True)):
        names = ["ESH6"] * 100 + [second] * 100
        lines = [f"{row},{name}" for row, name in zip(rows, names, strict=True)]
        path.write_text("\n".join([f"{head},symbol", *lines]) + "\n")
        assert ("several contract months" in good(path, "--timeframe", "1m").stderr) is said


def test_signals_are_listed_and_told_in_the_document(tmp_path: Path) -> None:
    path = tmp_path / "MNQ_1m.csv"
    path.write_text(csv_text(walk(9000, seed=4)))
    result = good(path, "--timeframe", "5m", "--signals", "--out", tmp_path / "events.csv")
    plain = good(path, "--timeframe", "5m").stdout
    assert (tmp_path / "events.csv").read_text() == plain
    document = json.loads(good(path, "--timeframe", "5m", "--signals", "--json", "--kinds", "ob").stdout)
    rows = document["signals"]
    ends = [row["end"] for row in rows]
    assert len(rows) > 3
    counts = f"{ends.count('target')} to the target, {ends.count('stop')} to the stop"
    assert f"{len(rows)} signals: {counts}" in result.stderr
    for row in rows:
        side = 1 if row["side"] == "long" else -1
        assert row["stop"] * side < row["entry"] * side < row["target"] * side
        assert row["score"] >= 60
        assert row["ended"] is None or row["ended"] > row["decided"]
    assert f"entry {rows[-1]['entry']:.2f} stop {rows[-1]['stop']:.2f} target {rows[-1]['target']:.2f}" in result.stderr
    since = rows[1]["decided"]
    later = json.loads(good(path, "--timeframe", "5m", "--signals", "--json", "--from", since).stdout)
    assert later["signals"] == rows[1:]
    before = json.loads(good(path, "--timeframe", "5m", "--signals", "--json", "--to", since).stdout)
    assert [row["signal_id"] for row in before["signals"]] == [rows[0]["signal_id"]]


def test_signals_that_cannot_be(tmp_path: Path) -> None:
    text = csv_text(walk(300))
    five = csv_text(walk(300, minutes=5))
    cases = [
        ("bars.csv", text, ("--tick-size", "0.25"), "give --contract, such as ES"),
        ("GC.csv", text, ("--tick-size", "0.25"), "the tick size of GC is not 0.25"),
        ("MNQ.csv", five, (), "holds bars 5m apart; they cannot be cut into 1m bars"),
    ]
    for name, content, more, message in cases:
        path = tmp_path / name
        path.write_text(content)
        assert message in refused(path, "--timeframe", "5m", "--signals", *more)
    path = tmp_path / "ZN.csv"
    path.write_text(csv_text(walk(300), tick=1.0))
    assert "ZN is not traded by this version" in refused(path, "--timeframe", "5m", "--signals")


def test_a_place_that_cannot_be_written_is_named_before_the_work(bars_file: Path, tmp_path: Path) -> None:
    for option, name in (("--out", "x.csv"), ("--plot", "x.png")):
        said = refused(bars_file, "--timeframe", "1m", option, tmp_path / "nowhere" / name)
        assert said.endswith(f"{name} cannot be written: {tmp_path / 'nowhere'} is no folder; choose another place")


BAD_OPTIONS = [
    (("--timeframe", "2m"), "'2m' is not one of 1m, 5m"),
    (("--timeframe", "1m", "--tick-size", "-1"), "not a positive price step"),
    (("--timeframe", "1m", "--kinds", "ob,nonsense"), "unknown kind 'nonsense'"),
    (("--timeframe", "1m", "--from", "yesterday"), "not ISO 8601"),
    (("--timeframe", "1m", "--from", "2026-01-21T00:00Z", "--to", "2026-01-20T00:00Z"), "before --to"),
    (("--timeframe", "1m", "-p", "L"), "has no value"),
    (("--timeframe", "1m", "-p", "LL=3"), "unknown parameter 'LL'"),
    (("--timeframe", "1m", "-p", "L=0"), "L must"),
    (("--timeframe", "1m", "--tz", "Mars/Base"), "not known"),
    (("--timeframe", "1m", "--plot", "picture.gif"), "written as .png, .svg, .pdf"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_OPTIONS)
def test_bad_options(bars_file: Path, arguments: tuple[str, ...], message: str) -> None:
    result = call(bars_file, *arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert result.stdout == ""


BAD_FILES = [
    ("", "is empty"),
    ("time,open,high,low,close\n", "no finished 1m bars"),
    ("time,price\n1,2\n", "no column 'open'"),
    ("time,open,high,low,close\n2026-01-20T16:00:00Z,1,1\n", "row 1: 3 values under 5"),
    ("time,open,high,low,close\n2026-01-20T16:00:00Z,1,0.5,1,1\n", "row 1"),
    ("time,open,high,low,close\nnoon,1,1,1,1\n", "row 1: 'noon' is not a time"),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "ES.csv"
    path.write_text(text)
    result = call(path, "--timeframe", "1m", "--out", tmp_path / "out.csv")
    assert isinstance(result.exception, DataError)
    assert message in str(result.exception)
    assert not (tmp_path / "out.csv").exists()


def test_the_bars_are_never_overwritten(bars_file: Path) -> None:
    before = bars_file.read_bytes()
    assert "is the file of bars itself" in refused(bars_file, "--timeframe", "1m", "--out", bars_file)
    assert bars_file.read_bytes() == before


def test_exit_codes_from_outside(bars_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "NQ.csv"
    bad.write_text("time,open,high,low,close\n2026-01-20T16:00:00Z,1,1,1,0.9\n")
    cases = [((str(bad), "--timeframe", "1m"), 9), ((str(bars_file), "--timeframe", "9m"), 3), ((str(bars_file),), 2)]
    for arguments, code in cases:
        child = Command(tmp_path / "home", "detect", *arguments)
        out, _ = child.process.communicate(timeout=60)
        assert (child.process.returncode, out) == (code, "")
        assert "Traceback" not in child.stderr
        assert code == 2 or len(child.stderr.splitlines()) == 1


def test_a_reader_that_leaves(tmp_path: Path) -> None:
    """`tbot detect ... | head -1` ends quietly; the output is larger than any pipe's buffer."""
    path = tmp_path / "ES.csv"
    path.write_text(csv_text(walk(20_000)))
    child = subprocess.Popen(
        [sys.executable, "-m", "tbot", "detect", str(path), "--timeframe", "1m"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline().startswith("kind,side")
    child.stdout.close()
    errors = child.stderr.read()
    assert child.wait(timeout=60) == 0
    assert "20000 bars" in errors
    assert "Broken" not in errors
    assert "Traceback" not in errors
