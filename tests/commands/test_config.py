"""Settings: every problem of a file at once, secrets refused, the same values the same hash."""

import os
from pathlib import Path

import pytest

from tbot.config import Config, load, require_login
from tbot.errors import AuthError, ConfigError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tbot.toml"
    path.write_text(text)
    return path


def test_nothing_given_is_the_built_in_configuration() -> None:
    assert load(None) == Config()


def test_values_arrive(tmp_path: Path) -> None:
    text = (
        '[engine]\ncontracts = ["MNQ", "ES"]\nworkers = 2\n'
        "[risk]\ndaily_loss_cents = 50000\n[strategy]\nmin_score = 70\n"
    )
    config = load(written(tmp_path, text))
    assert config.engine.contracts == ("MNQ", "ES")
    assert config.engine.workers == 2
    assert config.risk.daily_loss_cents == 50_000
    assert config.strategy.min_score == 70.0
    assert config.digest() != Config().digest()
    assert config.digest() == load(written(tmp_path, text)).digest()


def test_all_problems_at_once(tmp_path: Path) -> None:
    text = (
        "[engine]\nworkerz = 1\nwait = \"nap\"\n[nowhere]\nx = 1\n[account]\nids = [\"a\"]\n"
        "[gateway]\napi_key = \"secret\"\nrest = 5\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    message = str(caught.value)
    for words in ("engine.workerz", "engine.wait", "[nowhere]", "account.ids", "gateway.api_key", "gateway.rest"):
        assert words in message
    assert "secret" not in message.replace("secrets do not belong", "")


@pytest.mark.parametrize(
    "line", ["daily_loss_cents = 80001", "daily_loss_cents = -1", "daily_loss_cents = 1.5", "consecutive_losses = 3"]
)
def test_F_CFG_03_risk_limits_cannot_be_loosened(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError):
        load(written(tmp_path, f"[risk]\n{line}\n"))


def test_broken_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(written(tmp_path, "[engine\n"))


def test_F_SEC_01_credentials_leave_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TBOT_USERNAME", "somebody")
    monkeypatch.setenv("TBOT_API_KEY", "canary")
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    assert require_login(Config()).pair == ("somebody", "canary")
    assert "TBOT_API_KEY" not in os.environ
    with pytest.raises(AuthError, match="no credentials"):
        require_login(Config())


def test_credentials_from_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TBOT_USERNAME", raising=False)
    monkeypatch.delenv("TBOT_API_KEY", raising=False)
    (tmp_path / ".env").write_text("TBOT_USERNAME=file\nTBOT_API_KEY=key\n")
    assert require_login(Config()).pair == ("file", "key")
