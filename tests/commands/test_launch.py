"""From configuration to the settings of a run: the session table it will have."""

import os
from pathlib import Path

import pytest

from tbot.commands import launch
from tbot.config import Config, EngineConfig
from tbot.engine.settings import EngineSettings, Mode
from tbot.errors import ConfigError
from tbot.storage.sessions import load_sessions
from tbot.strategy.dollar import DollarSettings

ROW = """
[[session]]
date = 2026-12-31
close_ct = 12:00:00
products = ["*"]
source = "a notice"
checked_on = 2026-12-01
"""


def made(folder: Path, config: Config | None = None, mode: Mode = "paper", **more: object) -> EngineSettings:
    state = folder / "state"
    settings = launch.base_settings(config or Config(), mode, state_dir=state, symbols=("MNQ",), **more)
    settings.run_dir.rmdir()  # nothing runs in it
    return settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_F_CFG_04_a_run_has_the_session_rows_of_its_start(home: Path) -> None:
    assert made(home).sessions == load_sessions()
    path = home / "sessions.toml"
    path.write_text(ROW)
    with_rows = made(home)
    assert len(with_rows.sessions.rows) == len(load_sessions().rows) + 1
    path.write_text("")
    assert len(with_rows.sessions.rows) == len(load_sessions().rows) + 1  # what changes now is for the next run
    assert made(home).sessions.rows == load_sessions().rows


def test_a_configured_file_of_rows_replaces_the_one_in_the_home_folder(home: Path, tmp_path: Path) -> None:
    (home / "sessions.toml").write_text("broken")
    other = tmp_path / "rows.toml"
    other.write_text(ROW)
    config = Config(engine=EngineConfig(sessions=str(other)))
    assert len(made(home, config).sessions.rows) == len(load_sessions().rows) + 1
    with pytest.raises(ConfigError, match=r"sessions\.toml cannot be read"):
        made(home)


def test_the_embedded_market_is_the_same_on_every_machine(home: Path) -> None:
    (home / "sessions.toml").write_text(ROW)
    gateway = launch.gateway_settings("http://127.0.0.1:1", "", "", simulated=True, embedded=True)
    assert made(home, mode="sim", gateway=gateway).sessions == load_sessions()


def test_F_SEC_02_a_home_that_is_not_ours_alone_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.chmod(0o777)
    with pytest.raises(ConfigError, match=r"anybody may write to .*; chmod 700"):
        made(home)
    home.chmod(0o700)
    made(home)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        made(home)


def test_F_TIM_04_no_run_starts_without_zone_data(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(year: int) -> None:
        raise ConfigError("there is no time-zone data")

    monkeypatch.setattr(launch, "check_zone_data", none)
    with pytest.raises(ConfigError, match="no time-zone data"):
        made(home)


@pytest.mark.parametrize("mode", ["paper", "sim", "replay"])
@pytest.mark.parametrize("dollar", [DollarSettings(follow=True), DollarSettings(filter="require")])
def test_every_run_can_follow_the_dollar(home: Path, dollar: DollarSettings, mode: Mode) -> None:
    assert made(home, Config(dxy=dollar), mode).strategy.dollar == dollar
