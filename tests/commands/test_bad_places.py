"""Values, files, ports, rights and room that are not there, for every command and option the command line has.

Options are found, not listed: a new one is tried by itself. Codes: ecosystem.md 3.2.
"""

import json
import os
import resource
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from command_tree import commands
from tbot import cli
from tbot.commands.options import DataFile, StateFolder

OPTIONS = [
    (name, parameter)
    for name, command in commands()
    for parameter in command.params
    if isinstance(parameter, click.Option) and not parameter.is_flag
]
CHECKED = (click.types.IntParamType, click.types.FloatParamType, click.Choice)
TYPED = [(name, one.opts[-1]) for name, one in OPTIONS if isinstance(one.type, CHECKED)]
NUMBERS = [
    (name, one.opts[-1], value)
    for name, one in OPTIONS
    for kind, value in (("float", "nan"), ("float", "inf"), ("integer", str(10**30)), ("integer", str(-(10**30))))
    if one.type.name.startswith(kind)
]
FOLDERS = [(name, one.opts[-1]) for name, one in OPTIONS if isinstance(one.type, StateFolder)]
# Every place where a file of data is named: after an option, or as an argument.
DATA = [
    (name, one.opts[-1] if isinstance(one, click.Option) else "")
    for name, command in commands()
    for one in command.params
    if isinstance(one.type, DataFile)
]
# The rest of them: who looks into the file says so, before anything else is done.
NAMED = [
    ("run --gateway http://127.0.0.1:1 --credentials-file missing", 4, "missing cannot be read"),
    ("accounts --gateway http://127.0.0.1:1 --credentials-file missing", 4, "missing cannot be read"),
    ("record --gateway http://127.0.0.1:1 --credentials-file missing", 4, "missing cannot be read"),
    ("panic --gateway http://127.0.0.1:1 --credentials-file missing --for 1s", 11, "missing cannot be read"),
    ("kill --credentials-file missing", 11, "NOT PROVEN FLAT"),
    ("config validate missing", 3, "could not be read"),
    ("replay {bars}", 9, "is not a tape"),
    ("journal --state-dir .", 9, "no journal"),
    ("trades --state-dir .", 9, "no journal"),
    ("signals --state-dir .", 9, "no journal"),
    ("report --state-dir .", 9, "no journal"),
    ("patterns --state-dir .", 9, "no pattern database"),
    ("dashboard --screenshot x.svg", 7, "no engine runs here"),
    ("profile", 7, "no engine runs here"),
    ("doctor --gateway http://127.0.0.1:1", 2, "--gateway is looked at with --online only"),
    ("run --for 1s --keep-bars ES_1m.csv/x", 9, "the folder ES_1m.csv/x cannot be written (Not a directory)"),
]
# Looked at before the data is, which may take minutes to read.
NAMES = [
    (f"{name} ES_1m.csv {option} n*o?", 3, words)
    for name in ("audit levels", "audit lookahead", "audit paths", "backtest", "import", "sweep", "walkforward")
    for option, words in (
        ("--contract", "unknown contract 'N*O?'"),
        ("--tz" if name == "import" else "--data-tz", "time zone 'n*o?' is not known"),
    )
]
NAMES += [
    ("import ES_1m.csv --contract ES,NQ", 3, "--contract takes one contract"),
    ("detect ES_1m.csv --timeframe 5m --data-tz n*o?", 3, "time zone 'n*o?' is not known"),
]
# Said before the login is asked for: what is wrong is the address.
ADDRESSES = [
    (f"{command} --gateway {address}", 3, words)
    for command in ("run", "run --live", "record", "accounts")
    for address, words in (
        ("ftp://x", "gateway address 'ftp://x' must begin with https://"),
        ("127.0.0.1:8800", "gateway address '127.0.0.1:8800' must begin with https://"),
        ("https://", "gateway address 'https://' must begin with https://"),
        ("https://x:99999", "gateway address 'https://x:99999' is not understood; write it like https://host:port"),
        ("http://example.com", "gateway address http://example.com is not encrypted"),
        ("me:canary@x", "gateway address must begin with https://"),
        ("https://me:canary", "gateway address is not understood; write it like https://host:port"),
        ("https://me:canary%40host", "gateway address is not understood; write it like https://host:port"),
        ("https:/me:canary/host", "gateway address must begin with https://"),
        ("canary.of.a.key=", "gateway address must begin with https://"),
    )
]
# An empty value is a variable of a script that was not set.
EMPTY = [
    ("kill --for", "--for"), ("panic --for", "--for"), ("flatten --for", "--for"), ("signals --explain", "--explain"),
    ("run --gateway", "--gateway"), ("record --gateway", "--gateway"), ("accounts --gateway", "--gateway"),
]  # fmt: skip
# What is no file must not be taken away by one: as root, who may do it.
DEVICES = [
    ("detect {bars} --timeframe 5m --out /dev/null", 3, "no file"),
    ("import {bars} --force --out /dev/null", 9, "no file"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    for name in ("TBOT_USERNAME", "TBOT_API_KEY", "TBOT_NOTIFY_URLS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tbot.credentials.from_keyring", dict)
    bars(tmp_path / "ES_1m.csv")
    return tmp_path


def bars(path: Path, minutes: int = 240) -> None:
    start = datetime(2026, 11, 18, 15, tzinfo=UTC)
    rows = ["time,open,high,low,close,volume"]
    for minute in range(minutes):
        base = 6_000 + (minute * 7 % 40)
        at = start + timedelta(minutes=minute)
        rows.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{base},{base + 6}.50,{base - 5}.25,{base + 2},10")
    path.write_text("\n".join(rows) + "\n")


def said(capfd: pytest.CaptureFixture[str], line: str) -> tuple[int, str]:
    """(exit code, everything it said) of a command line in this process."""
    with pytest.raises(SystemExit) as left:
        cli.run(line.format(bars="ES_1m.csv").split())
    out, err = capfd.readouterr()
    assert "Traceback" not in err
    assert isinstance(left.value.code, int)
    return left.value.code, out + err


@pytest.mark.parametrize(("name", "option"), TYPED, ids=lambda value: value.replace(" ", "-"))
def test_a_value_of_another_kind_is_a_mistake_in_usage(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, option: str
) -> None:
    code, text = said(capfd, f"{name} {option} nonsense")
    assert code == 2, text
    assert option in text
    assert "nonsense" in text


@pytest.mark.parametrize(("name", "option", "value"), NUMBERS, ids=lambda value: value.replace(" ", "-"))
def test_a_number_that_nothing_can_be_done_with_is_a_mistake_in_usage(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, option: str, value: str
) -> None:
    code, text = said(capfd, f"{name} {option}={value}")
    assert code == 2, text
    # Where the value may be left out, click takes a sign in front of it for another option.
    assert (option in text and value in text) or "No such option '-1'" in text


@pytest.mark.parametrize(("name", "option"), FOLDERS, ids=lambda value: value.replace(" ", "-"))
def test_a_state_folder_that_is_not_there(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, option: str
) -> None:
    for place in ("missing", "ES_1m.csv"):
        code, text = said(capfd, f"{name} {option} {place}")
        assert (code, f"there is no folder {place}; check {option}" in text) == (9, True), text


NO_DATA = [
    ("missing", "No such file or directory"), (".", "it is a folder"), ("pipe.tape", "it is a pipe, not a plain file"),
    ("/dev/zero", "it is a device, not a plain file"), ("ES_1m.csv/x", "Not a directory"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "option"), DATA, ids=lambda value: value.replace(" ", "-"))
def test_data_that_is_not_there_or_has_no_end(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, option: str
) -> None:
    """Code 9 in every command, and nothing hangs: a pipe that nobody writes, a device without end."""
    os.mkfifo(folder / "pipe.tape")
    for place, why in NO_DATA:
        code, text = said(capfd, f"{name} {option} {place}")
        assert code == 9, text
        assert f"tbot: {place} cannot be read: {why}; check {option or 'the path'}" in " ".join(text.split())


@pytest.mark.parametrize(("name", "option"), [*DATA, *FOLDERS], ids=lambda value: value.replace(" ", "-"))
def test_a_path_that_says_nothing_is_a_mistake_in_usage(
    folder: Path, capfd: pytest.CaptureFixture[str], name: str, option: str
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run([*name.split(), *filter(None, [option]), ""])
    assert (left.value.code, "it is empty" in capfd.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    ("line", "code", "words"), [*NAMED, *NAMES, *ADDRESSES, *DEVICES], ids=lambda value: str(value).replace(" ", "-")
)
def test_a_place_that_is_not_what_it_should_be(
    folder: Path, capfd: pytest.CaptureFixture[str], line: str, code: int, words: str
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    found, text = said(capfd, line)
    assert found == code, text
    assert words in text
    assert "canary" not in text
    assert {path.name for path in folder.iterdir()} - set(before) <= {"home"}
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("line", ["run --for 1s", "demo --for 1s", pytest.param("web", marks=pytest.mark.extra)])
def test_a_home_that_cannot_be_made_is_told_before_anything_runs(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    if line == "web":
        pytest.importorskip("nicegui")
    monkeypatch.setenv("TBOT_HOME", "/dev/null/home")
    code, text = said(capfd, line)
    assert code == 3, text
    assert "the folder /dev/null/home cannot be made (Not a directory); set TBOT_HOME" in text
    assert "http://" not in text


@pytest.mark.parametrize(("line", "option"), EMPTY, ids=lambda value: value.replace(" ", "-"))
def test_an_empty_value_is_a_mistake_in_usage(
    folder: Path, capfd: pytest.CaptureFixture[str], line: str, option: str
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.run([*line.split(), ""])
    text = capfd.readouterr().err
    assert (left.value.code, f"Invalid value for '{option}': it is empty" in text) == (2, True), text
    assert not (folder / "home").exists()  # nothing was locked


@pytest.mark.parametrize("line", ["sim", pytest.param("web", marks=pytest.mark.extra)])
def test_a_busy_port(folder: Path, capfd: pytest.CaptureFixture[str], line: str) -> None:
    if line == "web":
        pytest.importorskip("nicegui")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, text = said(capfd, f"{line} --port {port}")
    assert code == 3, text
    assert f"port {port} of 127.0.0.1 cannot be used" in text
    assert "choose another" in text


# ------------------------------------------------------------------------------------------------------------ no extra
LACKING = [
    ("import x.parquet", "pyarrow", "data"),
    ("backtest x.parquet", "pyarrow", "data"),
    ("detect x.parquet --timeframe 5m --contract ES", "pyarrow", "data"),
    ("record export y.tape --out x", "pyarrow", "data"),
    ("import x.dbn --contract ES", "databento_dbn", "databento"),
    ("backtest {bars} --news x.ics", "icalendar", "news"),
    ("detect {bars} --timeframe 5m --plot x.png", "matplotlib", "report"),
    ("sweep {bars} --param strategy.min_score=50,60", "joblib", "sweep"),
    ("web", "nicegui", "web"),
    ("metrics", "prometheus_client", "metrics"),
]


@pytest.mark.parametrize(("line", "module", "extra"), LACKING, ids=lambda value: value.replace(" ", "-"))
def test_an_extra_that_is_not_installed_is_code_3_and_the_line_that_installs_it(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, module: str, extra: str
) -> None:
    for name in ("x.parquet", "x.dbn", "x.ics"):
        (folder / name).write_text("")
    if "y.tape" in line:
        assert said(capfd, "import {bars} --out y.tape")[0] == 0
    for name in [name for name in sys.modules if name.partition(".")[0] == module or name == "tbot.engine.metrics"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    code, text = said(capfd, line)
    assert code == 3, text
    assert f"needs {module}, which is not installed; pip install 'tbot[{extra}]'" in text
    assert len([line for line in text.splitlines() if line.startswith("tbot:")]) == 1


# ------------------------------------------------------------------------------------------------------------- no room
FULL = [
    ("detect {bars} --timeframe 5m --out x.csv", 1),
    ("import {bars} --out x.tape", 9),
    ("config init --yes --full", 3),
    ("backtest {bars} --out x", 9),
    ("sweep {bars} --param strategy.min_score=50:60:10 --out x", 9),
    ("walkforward {bars} --param strategy.min_score=50:60:10 --train 2d --test 1d --out x", 9),
    ("record export y.tape --out x", 9),
]


@pytest.mark.parametrize(("line", "code"), FULL, ids=lambda value: str(value).replace(" ", "-"))
def test_F_SYS_01_no_room_for_a_result_is_one_sentence_and_leaves_no_half_of_it(
    folder: Path, line: str, code: int
) -> None:
    """A limit on the size of files stands for the full disk: writing fails in the same place."""
    bars(folder / "ES_1m.csv", 4_000)
    if "y.tape" in line:
        with pytest.raises(SystemExit):
            cli.run(["import", "ES_1m.csv", "--out", "y.tape"])
    done = subprocess.run(
        [sys.executable, "-m", "tbot", *line.format(bars="ES_1m.csv").split()], capture_output=True, text=True,
        env=dict(os.environ), cwd=folder, timeout=120, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000)),
    )  # fmt: skip
    assert done.returncode == code, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert "too large" in done.stderr or "cannot be written" in done.stderr, done.stderr
    assert len([text for text in done.stderr.splitlines() if text.startswith("tbot:")]) == 1
    assert {path.name for path in folder.iterdir()} <= {"ES_1m.csv", "y.tape", "home", "x"}
    # What a sweep had done before stays, to be gone on with.
    assert {path.name for path in (folder / "x").glob("*")} <= {"trials.jsonl"}


DETECT = "detect {bars} --timeframe 5m"
FULL_STDOUT = [DETECT, f"{DETECT} --json", "news", "doctor", "sim --list-faults"]


@pytest.mark.parametrize("line", FULL_STDOUT, ids=lambda value: value.replace(" ", "-"))
def test_F_SYS_01_a_full_disk_behind_stdout(folder: Path, line: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tbot", *line.format(bars="ES_1m.csv").split()], stdout=full,
            stderr=subprocess.PIPE, text=True, env=dict(os.environ), cwd=folder, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


# ------------------------------------------------------------------------------------------------------------ no right
# In a child that becomes another user, as root may do anything; everything is imported before, and each command runs in
# a fork of it.
PROGRAM = """
import click, contextlib, importlib, json, os, pkgutil, sys, tbot
import encodings.idna, importlib.resources, logging, rich.console, rich.text, tomlkit, zoneinfo
modules = [*pkgutil.walk_packages(click.__path__, "click."), *pkgutil.walk_packages(tbot.__path__, "tbot.")]
for module in modules:  # now, as the other user may not be let into the folder where they are
    if not module.name.startswith(("tbot.web", "tbot.panic.__main__", "tbot.__main__")):
        with contextlib.suppress(ImportError, AssertionError):
            importlib.import_module(module.name)
import datetime, tbot.storage.sessions, tbot.storage.firm_rules
tbot.storage.sessions.load_sessions()
tbot.storage.firm_rules.load_rules("combine", "50K", datetime.date(2026, 11, 20))
[zoneinfo.ZoneInfo(name) for name in ("Europe/Helsinki", "America/Chicago", "America/New_York")]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for line in sys.argv[1:]:
    reader, writer = os.pipe()
    if not os.fork():
        os.dup2(writer, 1); os.dup2(writer, 2); os.close(reader); os.close(writer)
        tbot.cli.run(line.split())
    os.close(writer)
    with open(reader, "rb") as said:
        text = said.read().decode()
    print(json.dumps([os.waitstatus_to_exitcode(os.wait()[1]), text]), flush=True)
"""
# What only its owner may read, and where nobody else may write.
FORBIDDEN = [
    ("run --for 1s", 3),
    ("demo --for 1s", 3),
    ("config init --yes", 3),
    ("run --config secret/tbot.toml --for 1s", 3),
    ("config show --config secret/tbot.toml", 3),
    ("config validate secret/tbot.toml", 3),
    ("config set risk.max_micros 3 --config closed.toml", 3),
    ("config init --yes --out secret/new.toml", 1),
    ("doctor --config closed.toml", 10),
    ("accounts --gateway http://127.0.0.1:1 --credentials-file closed.toml", 4),
    ("backtest closed.csv", 9),
    ("import closed.csv --out x.tape", 9),
    ("detect closed.csv --timeframe 5m --tick-size 0.25", 9),
    ("detect open_ES.csv --timeframe 5m --contract ES --out secret/x.csv", 1),
    ("sim --faults closed.toml", 9),
    ("replay closed.csv", 9),
    ("kill --config closed.toml --for 1s", 11),
    ("panic --config closed.toml --credentials-file closed.toml --for 1s", 11),
]


@pytest.mark.privileged
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a child of another user")
def test_no_right_to_read_or_write_is_one_sentence(folder: Path) -> None:
    for place in (folder, *folder.parents):
        if place != Path("/") and place.stat().st_uid == 0:
            place.chmod(place.stat().st_mode | 0o055)
    (folder / "secret").mkdir(mode=0o700)
    bars(folder / "open_ES.csv")
    for name in ("closed.toml", "closed.csv", "secret/tbot.toml"):
        (folder / name).write_text("")
        (folder / name).chmod(0o600)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *(line for line, _ in FORBIDDEN)], capture_output=True, text=True, check=False,
        env={**os.environ, "HOME": str(folder), "TBOT_HOME": str(folder / "home")}, cwd=folder, timeout=200,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(FORBIDDEN), done.stderr
    assert [found for found, _ in answers] == [code for _, code in FORBIDDEN], str(answers)
    for (line, _), (_, text) in zip(FORBIDDEN, answers, strict=True):
        assert "Traceback" not in text, (line, text)
        assert any(words in text for words in ("ermission denied", "not readable", "cannot be written")), (line, text)


# ------------------------------------------------------------------------------------------------------ broken streams
CODES = [
    ("config validate missing", 3),
    ("backtest nofile.csv", 9),
    ("backtest --nonsense", 2),
    ("status", 7),
    ("run --for soon", 3),
    ("sim --list-faults", 0),
    (f"{DETECT} --json", 0),
    # These tell something on stderr before, or after, what they do.
    ("run --config set.toml --gateway http://127.0.0.1:1", 4),
    ("config init --yes --out new.toml", 0),
    ("backtest {bars} --out x", 0),
]


def in_shell(folder: Path, line: str, redirected: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command line in a process of its own, whose streams a shell closes or leads elsewhere."""
    words = [sys.executable, "-m", "tbot", *line.format(bars="ES_1m.csv").split()]
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirected}', "sh", *words], capture_output=True, text=True, errors="replace",
        env={**os.environ, **environment}, cwd=folder, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("line", "code"), CODES, ids=lambda value: str(value).replace(" ", "-"))
def test_a_stream_that_cannot_be_written_to_changes_no_exit_code(
    folder: Path, line: str, code: int, redirected: str
) -> None:
    (folder / "set.toml").write_text("[risk]\nmax_micros = 2\n")
    done = in_shell(folder, line, redirected)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_an_output_that_is_not_utf_8_shows_what_it_can(folder: Path, encoding: str) -> None:
    program = "import click, sys; from tbot import cli; cli.prepare(); click.echo('5 − 3'); print('∞', file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding},
        cwd=folder, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(b"5 ")
    assert done.stdout.endswith(b" 3\n")
    assert done.stderr == b"?\n"
    done = in_shell(folder, "backtest −.csv", "", PYTHONIOENCODING=encoding)
    assert (done.returncode, "cannot be read" in done.stderr) == (9, True), done.stderr
