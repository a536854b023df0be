"""Kill and panic where settings, home folder or the login's file are not what they should be: they go on (R14).

Each must reach the gateway (or say NOT PROVEN FLAT, code 11), and call nothing locked that it could not lock.
"""

import os
from pathlib import Path

import pytest

from command_world import World, code
from tbot.commands import panic
from tbot.commands.panic import Hints

GATEWAY = "http://127.0.0.1:9"
VERBS = [("kill", "--for", "1s"), ("panic", "--for", "1s")]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    monkeypatch.setattr("tbot.credentials.from_keyring", dict)
    return made


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("file", ["~nobody-of-that-name/login", "x\\u0000y", "missing"])
def test_a_login_file_that_cannot_be(world: World, verb: tuple[str, ...], file: str) -> None:
    settings = world.home / "mine.toml"
    settings.write_text(f'[gateway]\nrest = "{GATEWAY}"\ncredentials_file = "{file}"\n')
    arguments = (*verb, "--config", str(settings))
    assert code(world.tbot(*arguments, login=True)) == 0  # the environment has it, and goes first
    assert world.orders.pop()[0] == GATEWAY
    result = world.tbot(*arguments)
    assert code(result) == 11
    assert "NOT PROVEN FLAT: credentials file" in result.output


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("text", ["x = " + "[" * 3_000, "[gateway", "gateway = 3"])
def test_settings_that_nobody_can_read(world: World, verb: tuple[str, ...], text: str) -> None:
    settings = world.home / "mine.toml"
    settings.write_text(text)
    result = world.tbot(*verb, "--config", str(settings), "--gateway", GATEWAY, login=True)
    assert code(result) == 0
    assert f"{settings} was not used" in result.output
    assert world.orders.pop()[0] == GATEWAY


def test_settings_in_a_pipe_that_nobody_writes_hold_nothing_up(world: World) -> None:
    pipe = world.home / "pipe"
    os.mkfifo(pipe)
    result = world.tbot("kill", "--for", "1s", "--config", str(pipe), "--gateway", GATEWAY, login=True)
    assert code(result) == 0
    assert "is no plain file" in result.output


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("home", ["/dev/null", "a" * 300])
def test_a_home_where_nothing_can_be_written_is_not_called_locked(
    world: World, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...], home: str
) -> None:
    monkeypatch.setenv("TBOT_HOME", home)
    result = world.tbot(*verb, "--gateway", GATEWAY, login=True)
    assert code(result) == 0
    assert world.orders.pop()[0] == GATEWAY
    assert "a lock file could not be written, going on" in result.output
    assert " is locked" not in result.output


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_a_user_without_a_home_folder(world: World, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]) -> None:
    def nobody(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("TBOT_HOME")
    monkeypatch.setattr("platformdirs.user_state_path", nobody)
    monkeypatch.setattr("platformdirs.user_config_path", nobody)
    result = world.tbot(*verb, "--gateway", GATEWAY, login=True)
    assert code(result) == 0
    assert world.orders.pop()[0] == GATEWAY
    other = world.tbot("status")
    assert code(other) == 3
    assert "set HOME, or TBOT_HOME" in other.output + str(other.exception)


def test_the_settings_that_every_command_uses_serve_an_emergency_too(world: World) -> None:
    (world.home / "tbot.toml").write_text(f'[gateway]\nrest = "{GATEWAY}"\n')
    (world.home / "tbot.toml").chmod(0o600)
    assert panic.read_hints(None) == Hints(GATEWAY, found=True)
    assert code(world.tbot("panic", "--for", "1s", login=True)) == 0
    assert world.orders.pop()[0] == GATEWAY


def test_the_gateway_of_the_last_run_goes_before_settings_that_nobody_named(world: World) -> None:
    (world.home / "tbot.toml").write_text('[gateway]\nrest = "http://127.0.0.1:8"\n')
    (world.home / "tbot.toml").chmod(0o600)
    world.run("live", pid=2**22 + 1)
    assert code(world.tbot("panic", "--for", "1s", login=True)) == 0
    assert world.orders.pop()[0] == GATEWAY
    assert code(world.tbot("panic", "--for", "1s", "--config", "tbot.toml", login=True)) == 0
    assert world.orders.pop()[0] == "http://127.0.0.1:8"
