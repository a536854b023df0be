"""`--account` of the commands that run: a choice among pinned accounts, and one sentence where there is none."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tbot.cli import root
from tbot.commands.account_choice import unknown, with_accounts
from tbot.config import Config, load

PINNED = """
[[accounts]]
id = 1001
name = "A-1"
contracts = ["MNQ"]
[[accounts]]
id = 1002
name = "A-2"
[accounts.risk]
daily_loss_cents = 40_000
"""
NONE_PINNED = "--account chooses among the [[accounts]] of the settings, and these settings have none"
UNKNOWN = "account 5 is none of the [[accounts]] of the settings; they are 1001 (A-1), 1002 (A-2)"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    path = tmp_path / "tbot.toml"
    path.write_text(PINNED)
    return path


def test_a_choice_leaves_the_settings_of_the_chosen_as_they_are(settings: Path) -> None:
    whole = load(settings)
    assert with_accounts(whole, ()) is whole
    assert with_accounts(whole, (1002,)).accounts == whole.accounts[1:]
    assert with_accounts(whole, (1002, 1001, 1002)) == whole
    assert with_accounts(whole, (1002,)).accounts[0].risk.daily_loss_cents == 40_000  # type: ignore[union-attr]


def test_what_cannot_be_chosen_is_a_usage_error_in_one_sentence(settings: Path) -> None:
    with pytest.raises(click.UsageError, match="these settings have none; pin the account there by id and name"):
        with_accounts(Config(), (1001,))
    with pytest.raises(click.UsageError) as refused:
        with_accounts(load(settings), (1001, 5))
    assert (refused.value.exit_code, str(refused.value)) == (2, UNKNOWN)
    assert str(unknown(5, "is not there; there are", {})) == "account 5 is not there; there are none"
    assert "\x1b" not in str(unknown(5, "is not there; there are", {1: "\x1b[31m"}))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("run", "--gateway", "http://127.0.0.1:9", "--account", "5", "-c", "{}"), UNKNOWN),
        (("run", "--gateway", "http://127.0.0.1:9", "--account", "5"), NONE_PINNED),
        (("run", "--live", "--account", "5", "-c", "{}"), UNKNOWN),
        (("run", "--account", "1001", "-c", "{}"), "the embedded gateway has one of its own: name a --gateway"),
        (("replay", "{}", "--account", "5", "-c", "{}"), UNKNOWN),
        (("replay", "--journal", "{}", "--account", "1", "--account", "2"), "give --account once"),
        (("backtest", "{}", "--account", "5", "-c", "{}"), UNKNOWN),
        (("backtest", "{}", "--account", "5"), NONE_PINNED),
    ],
)
def test_commands_that_run_say_so_before_anything_begins(
    settings: Path, command: tuple[str, ...], words: str
) -> None:
    given = [word.format(settings) for word in command]
    result = CliRunner().invoke(root, given, standalone_mode=False)
    assert isinstance(result.exception, click.UsageError)
    assert words in str(result.exception)
