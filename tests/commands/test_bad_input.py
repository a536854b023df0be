"""Bad input to every command: its one sentence and its exit code, never a traceback. New commands are found.

Codes (ecosystem.md 3.2): 2 usage, 3 configuration, 5 gateway, 7 no engine, 9 data, 10 doctor.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from command_tree import commands, file_arguments, option_names
from tbot import cli

TREE = dict(commands())
BROKEN = '[engine]\nworkerz = 2\n[risk]\ndaily_loss_cents = 90000\n[gateway]\napi_key = "canary"\n'
# What a command needs before it looks at its settings.
NEEDED = {"backtest": ["{data}"], "sweep": ["{data}", "--param", "strategy.min_score=50,60"],
          "walkforward": ["{data}", "--param", "strategy.min_score=50,60"], "replay": ["{tape}"],
          "config set": ["risk.max_micros", "3"]}  # fmt: skip
# A check says it as one of its findings; the emergency commands must work with any settings: they name the gateway.
CODES = {"doctor": 10}
# Those that work with any settings (an emergency), only look for the file, or want something else first: a session, a
# run, a terminal, an extra.
WITHOUT_SETTINGS = {"kill", "panic", "config path", "audit parity", "dashboard", "patterns", "report", "web"}


class Said:
    """What a command said, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def one_sentence(self, code: int, words: str) -> None:
        assert self.code == code, (self.code, self.out, self.err)
        assert words in self.err + self.out
        assert "Traceback" not in self.err
        assert "canary" not in self.err + self.out


@pytest.fixture
def tbot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """Runs a command line in this process, in an empty folder with a TBOT_HOME of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    for name in ("TBOT_USERNAME", "TBOT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tbot.credentials.from_keyring", dict)

    def run(*arguments: str) -> Said:
        with pytest.raises(SystemExit) as left:
            cli.run(list(arguments))
        out, err = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Said(left.value.code, out, err)

    return run


def needed(name: str, folder: Path) -> list[str]:
    """The arguments without which the command does not come to its settings."""
    data, tape = folder / "data.csv", folder / "x.tape"
    data.write_text("timestamp,open,high,low,close,volume\n")
    tape.write_bytes(b"no tape")
    return [text.format(data=data, tape=tape) for text in NEEDED.get(name, [])]


@pytest.mark.parametrize("name", sorted(TREE))
def test_an_unknown_flag_is_a_mistake_in_usage(tbot, name: str) -> None:
    said = tbot(*name.split(), "--nonsense")
    said.one_sentence(2, "--nonsense")
    assert "--help" in said.err


@pytest.mark.parametrize("name", sorted(name for name, command in TREE.items() if file_arguments(command)))
def test_a_file_that_is_not_there(tbot, name: str) -> None:
    tbot(*name.split(), "missing.file").one_sentence(9, "missing.file cannot be read")


with_config = sorted(name for name, command in TREE.items() if "--config" in option_names(command))


@pytest.mark.parametrize("name", [name for name in with_config if name not in WITHOUT_SETTINGS])
def test_F_CFG_03_broken_settings_are_named_with_their_lines(tbot, tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.toml").write_text(BROKEN)
    said = tbot(*name.split(), *needed(name, tmp_path), "--config", "bad.toml")
    said.one_sentence(CODES.get(name, 3), "line 2: engine.workerz is not an option; did you mean workers?")
    assert "line 4:" in said.err + said.out
    assert "line 6:" in said.err + said.out


@pytest.mark.parametrize("name", [name for name in with_config if name not in WITHOUT_SETTINGS])
def test_settings_that_are_not_there(tbot, tmp_path: Path, name: str) -> None:
    said = tbot(*name.split(), *needed(name, tmp_path), "--config", "missing.toml")
    said.one_sentence(CODES.get(name, 3), "could not be read")


@pytest.mark.parametrize("name", [name for name, command in TREE.items() if "--tz" in option_names(command)])
def test_a_zone_that_is_not_known(tbot, tmp_path: Path, name: str) -> None:
    needs = needed(name, tmp_path)
    if any(isinstance(one, click.Argument) and one.required for one in TREE[name].params) and not needs:
        needs = [str(tmp_path / "data.csv")]
    said = tbot(*name.split(), *needs, "--tz", "Mars/Base")
    assert said.code in (2, 3, 7, 9), said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("demo", "--for", "soon"), 3, "not understood"),
        (("config", "set", "risk.max_micros", "3"), 3, "tbot config init"),
        (("config", "init"), 3, "--yes"),
        (("completion", "tcsh"), 2, "tcsh"),
        (("config", "options", "riks"), 3, "not a section"),
        (("accounts",), 3, "no gateway is named"),
        (("doctor", "--online", "--gateway", "http://example.com"), 10, "not encrypted"),
        (("metrics",), 7, "no engine"),
        (("pause",), 7, "no engine"),
        (("flatten",), 7, "no engine"),
        (("status",), 7, "tbot run"),
        (("journal", "--state-dir", "."), 9, "no journal"),
        (("news", "--at", "soon"), 3, "ISO 8601"),
        (("run", "--workers", "0"), 2, "--workers"),
        (("sim", "--faults", "missing"), 9, "missing cannot be read"),
        (("config", "init", "--yes", "--out", "/proc/tbot/tbot.toml"), 3, "could not be written"),
    ],
)
def test_a_mistake_of_one_command(tbot, arguments: tuple[str, ...], code: int, words: str) -> None:
    tbot(*arguments).one_sentence(code, words)


@pytest.mark.extra
def test_a_busy_port_of_the_metrics(tbot, tmp_path: Path) -> None:
    pytest.importorskip("prometheus_client")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = tbot("metrics", "--state-dir", str(tmp_path), "--port", str(taken.getsockname()[1]))
    said.one_sentence(3, "choose another")


QUICK = ["--version", "--help", "config options", "config schema", "config show", "config path", "completion bash"]


@pytest.mark.parametrize("line", QUICK)
def test_F_SYS_01_a_full_disk_behind_stdout_is_one_sentence(tmp_path: Path, line: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tbot", *line.split()], stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TBOT_HOME": str(tmp_path)}, cwd=tmp_path, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_F_SYS_01_a_full_disk_behind_a_new_settings_file(tbot, monkeypatch: pytest.MonkeyPatch) -> None:
    from tbot.settings import editing

    def full(path: Path, data: bytes, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(editing, "replace_private", full)
    tbot("config", "init", "--yes").one_sentence(3, "No space left on device")
    assert not Path("tbot.toml").exists()
