"""The command line from outside: names, exit codes, one-sentence errors, and no heavy import at the root."""

import subprocess
import sys
from pathlib import Path

import pytest

from engine_runs import Command
from tbot.cli import COMMANDS
from tbot.commands.words import fitted


def tbot(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = Command(home, *arguments, **environment)
    out, _ = command.process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, command.process.returncode, out, command.stderr)


def test_version_and_help(tmp_path: Path) -> None:
    assert tbot("--version", home=tmp_path).stdout.startswith("tbot, version 0.")
    help_text = tbot("--help", home=tmp_path).stdout
    for name in COMMANDS:
        assert name in help_text


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(tmp_path: Path, name: str) -> None:
    done = tbot(name, "--help", home=tmp_path)
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_the_root_imports_nothing_heavy() -> None:
    code = (
        "import sys; import tbot.cli; "
        "heavy = {'numpy', 'zmq', 'requests', 'websockets', 'rich', 'textual', 'msgspec', 'starlette'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


BAD = [
    (("nonsense",), 2, "No such command"),
    (("rnu",), 2, "Did you mean run?"),
    (("config", "shw"), 2, "Did you mean show?"),
    (("run", "--live"), 8, "live needs a gateway"),
    (("run", "--contracts", "XYZ"), 3, "unknown contract"),
    (("run", "--contracts", "MNX"), 3, "'MNX'; did you mean MNQ? known are"),
    (("run", "--contracts", "MNQ,CL"), 3, "no market for CL"),
    (("sim", "--contracts", "ZN"), 3, "No synthetic market for ['ZN']"),
    (("run", "--for", "soon"), 3, "not understood"),
    (("run", "--for", "-5s"), 3, "must be positive"),
    (("run", "--for", "nan"), 3, "must be positive"),
    (("run", "--for", "infs"), 3, "must be positive"),
    (("run", "--for", ""), 2, "'--for': it is empty"),
    (("record", "--for", ""), 2, "'--for': it is empty"),
    (("sim", "--token-life", ""), 2, "'--token-life': it is empty"),
    (("sim", "--start", ""), 2, "'--start': it is empty"),
    (("news", "--at", ""), 2, "'--at': it is empty"),
    (("news", "--at", "0001-01-01"), 2, "outside the years 2000 to 2100"),
    (("news", "--at", "9999-12-31T23:59:59"), 2, "outside the years 2000 to 2100"),
    (("news", "--at", "1999-12-31"), 2, "outside the years 2000 to 2100"),
    (("sim", "--start", "9999-12-31T23:59:59-11:00"), 2, "outside the years 2000 to 2100"),
    (("run", "--tz", "Mars/Base"), 3, "not known"),
    (("run", "--config", "missing.toml"), 3, "could not be read"),
    (("run", "--gateway", "http://127.0.0.1:9", "--speed", "5"), 3, "belong to the embedded market"),
    (("run", "--gateway", "http://example.com"), 3, "not encrypted"),
    (("sim", "--speed", "0"), 2, "above 0"),
    (("sim", "--port", "70000"), 2, "70000"),
    (("replay", "missing.tape"), 9, "missing.tape cannot be read"),
    (("import", "missing.csv"), 9, "missing.csv cannot be read"),
    (("status",), 7, "no engine has left a status"),
    (("signals",), 7, "no engine has left a status"),
    (("signals", "--last", "0"), 2, "--last"),
    (("signals", "--contract", "XYZ"), 3, "unknown contract"),
    (("signals", "--state-dir", "missing"), 9, "there is no folder missing"),
    (("signals", "--state-dir", ".", "--explain", "x"), 9, "no journal"),
    (("trades", "--json", "--csv"), 2, "exclude each other"),
    (("trades", "--state-dir", "."), 9, "no journal"),
    (("journal",), 7, "no engine has left a status"),
    (("journal", "--kind", "Nonsense"), 3, "unknown kind"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input_gets_one_sentence_and_its_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = tbot(*arguments, home=tmp_path, TBOT_USERNAME="somebody", TBOT_API_KEY="canary")
    assert done.returncode == code, done.stderr
    assert "canary" not in done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_gateway_without_credentials(tmp_path: Path) -> None:
    done = tbot("run", "--gateway", "https://127.0.0.1:9", home=tmp_path)
    assert done.returncode == 4
    assert "TBOT_USERNAME" in done.stderr


def test_foreign_file_is_no_tape(tmp_path: Path) -> None:
    tape = tmp_path / "x.tape"
    tape.write_bytes(b"not a tape" * 100)
    done = tbot("replay", str(tape), home=tmp_path)
    assert done.returncode == 9
    assert "Traceback" not in done.stderr


def test_busy_port(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = tbot("sim", "--port", str(taken.getsockname()[1]), home=tmp_path)
    assert done.returncode == 3
    assert "choose another" in done.stderr


def test_an_error_is_broken_between_words_on_a_terminal() -> None:
    long = "tbot: " + "word " * 30 + "/a/path/that/is/never/broken/because/it/would/not/be/found/any/more"
    assert fitted(long, 0) == long
    lines = fitted(long, 40).splitlines()
    assert [line.strip() for line in lines if len(line) > 40] == [long.split()[-1]]
    assert " ".join(line.strip() for line in lines) == long
