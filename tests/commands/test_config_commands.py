"""`tbot config …` as a person uses it: made, shown, changed, checked; comments stay, secrets never come in."""

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tbot.cli import root
from tbot.commands import config_init
from tbot.commands import words as line_words
from tbot.commands.config_init import Asker, interview
from tbot.config import load
from tbot.errors import ConfigError
from tbot.settings import editing


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    return tmp_path


def tbot(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["config", *arguments], standalone_mode=False)


def document(*arguments: str) -> dict[str, Any]:
    found = json.loads(tbot(*arguments, "--json").stdout)
    assert isinstance(found, dict)
    return found


def problem(*arguments: str) -> str:
    done = tbot(*arguments)
    assert isinstance(done.exception, ConfigError), done
    return str(done.exception)


# --------------------------------------------------------------------------------------------------------------- init
def test_init_without_questions_writes_a_private_file_with_comments_that_means_what_was_said() -> None:
    done = tbot("init", "--yes", "--set", "risk.daily_loss_cents=40000", "--set", "engine.contracts=MNQ,ES")
    assert done.exception is None, done
    path = Path("tbot.toml")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "# Most that may be lost in a trading day" in path.read_text()
    config = load(path)
    assert config.risk.daily_loss_cents == 40_000
    assert config.engine.contracts == ("MNQ", "ES")
    assert "TBOT_API_KEY" in done.stderr, "where the login belongs"


def test_init_full_has_every_other_option_as_a_comment() -> None:
    tbot("init", "--yes", "--full")
    text = Path("tbot.toml").read_text()
    assert "# quote_stale_ns = 10000000000" in text
    assert "[dxy]" in text
    assert load(Path("tbot.toml")).digest() == load(None).digest()


def test_init_leaves_a_file_that_is_there_alone() -> None:
    Path("tbot.toml").write_text("# mine\n")
    assert "stays as it is" in problem("init", "--yes")
    assert Path("tbot.toml").read_text() == "# mine\n"
    assert tbot("init", "--yes", "--force").exception is None
    assert "# mine" not in Path("tbot.toml").read_text()


def test_init_where_nobody_can_answer() -> None:
    assert "--yes" in problem("init")
    assert not Path("tbot.toml").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("risk.max_micro=3", "did you mean risk.max_micros?"),
        ("gateway.api_key=canary", "secrets do not belong"),
        ("risk.max_micros", "write it as risk.max_micros=VALUE"),
        ("risk.max_micros=999", "max_micros is 999"),
        ("accounts.id=5", "accounts[1] needs name"),
    ],
)
def test_init_refuses_what_it_would_not_read(given: str, said: str) -> None:
    text = problem("init", "--yes", "--set", given)
    assert said in text
    assert "canary" not in text
    assert not Path("tbot.toml").exists()


def test_init_into_a_folder_that_cannot_be_written() -> None:
    Path("file").write_text("")
    assert "could not be written" in problem("init", "--yes", "--out", "file/tbot.toml")


def test_the_firms_gateway_brings_its_hubs() -> None:
    tbot("init", "--yes", "--set", "gateway.rest=https://api.topstepx.com")
    assert load(Path("tbot.toml")).gateway.market_hub == "https://rtc.topstepx.com/hubs/market"


class Script(Asker):
    """A person who answers by name of the question; everything else with Enter."""

    def __init__(self, **answers: list[str]) -> None:
        self.heard: list[str] = []
        self.asked: list[str] = []
        self.answers = answers
        super().__init__(self._answer, self.heard.append)

    def _answer(self, question: str, default: str) -> str:
        self.asked.append(question)
        left = self.answers.get(question.replace(".", "_"), [])
        return left.pop(0) if left else default


def test_the_interview_explains_asks_again_after_a_bad_answer_and_takes_defaults() -> None:
    person = Script(
        gateway=["http://example.com", "topstepx"], accounts_id=["1001"], accounts_name=[" ", "50K-1"],
        accounts_plan=["60K", "100K"], risk_daily_loss_cents=["90000", "30000"],
    )  # fmt: skip
    values: dict[str, Any] = {}
    accounts: list[dict[str, Any]] = []
    interview(person, values, accounts)
    assert values["gateway.rest"] == "https://api.topstepx.com"
    assert accounts == [{"id": 1001, "name": "50K-1", "plan": "100K", "stage": "combine"}]
    assert values["risk.daily_loss_cents"] == 30_000
    assert values["engine.contracts"] == ["MNQ", "NQ", "MES", "ES", "MGC", "GC"]
    heard = "\n".join(person.heard)
    for words in ("not encrypted", "'60K' is not one of", "allowed: a whole number 1 to 80000", "Most that may be"):
        assert words in heard
    assert person.asked.count("risk.daily_loss_cents") == 2
    assert load(written(editing.new_file(values, accounts))).accounts[0].name == "50K-1"


def test_the_interview_takes_contracts_in_small_letters_and_names_the_known_ones() -> None:
    person = Script(engine_contracts=["mnx", "mnq, es"])
    interview(person, values := {}, [])
    assert values["engine.contracts"] == ["MNQ", "ES"]
    heard = "\n".join(person.heard)
    assert "unknown contract 'MNX'; did you mean MNQ? known are MNQ, NQ," in heard
    assert '["' not in heard


def test_a_question_stands_below_a_blank_line_and_begins_at_the_margin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(line_words, "terminal_width", lambda **where: 20)
    config_init.person().tell("\nWhich gateway is it to be?")
    assert capsys.readouterr().err == "\nWhich gateway is it\n    to be?\n"


def written(text: str) -> Path:
    Path("made.toml").write_text(text)
    return Path("made.toml")


def test_the_embedded_gateway_asks_for_no_account() -> None:
    person = Script()
    interview(person, values := {}, accounts := [])
    assert not accounts
    assert [name for name in person.asked if name != "gateway"] == list(config_init.QUESTIONS)
    assert load(written(editing.new_file(values, []))).digest() == load(None).digest()


# ---------------------------------------------------------------------------------------------------------------- set
MINE = "# about my risk\n[risk]  # here\nmax_micros = 3   # few\n\n[engine]\nwait = 'poll'\n"


def test_set_changes_one_value_and_keeps_everything_else() -> None:
    Path("tbot.toml").write_text(MINE)
    assert tbot("set", "risk.max_micros", "4").exception is None
    assert Path("tbot.toml").read_text() == MINE.replace("max_micros = 3", "max_micros = 4")
    assert tbot("set", "strategy.min_score", "70").exception is None
    assert tbot("set", "gateway.rest", "http://127.0.0.1:5000").exception is None
    text = Path("tbot.toml").read_text()
    assert text.startswith("# about my risk\n[risk]  # here\nmax_micros = 4   # few\n")
    assert load(None).strategy.min_score == 70.0


MODES = [(0o640, 0o640), (0o400, 0o400), (0o600, 0o600), (0o664, 0o664), (0o666, 0o664)]


@pytest.mark.parametrize(("mode", "kept"), MODES)
def test_set_keeps_who_may_do_what_with_the_file_and_says_what_it_takes_away(mode: int, kept: int) -> None:
    path = Path("mine.toml")
    path.write_text(MINE)
    path.chmod(mode)
    done = tbot("set", "risk.max_micros", "4", "--config", "mine.toml")
    assert done.exception is None
    assert stat.S_IMODE(path.stat().st_mode) == kept
    assert (f"mine.toml had mode {mode:04o} and has {kept:04o} now" in done.output) == (mode != kept)


@pytest.mark.privileged
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_set_by_root_leaves_the_file_to_its_owner() -> None:
    path = Path("mine.toml")
    path.write_text(MINE)
    path.chmod(0o640)
    os.chown(path, 65534, 65534)
    assert tbot("set", "risk.max_micros", "4", "--config", "mine.toml").exception is None
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65534, 0o640)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("risk.max_micros", "4000", "nothing is written"),
        ("max_micros", "4", "did you mean risk.max_micros?"),
        ("gateway.token", "canary", "secrets do not belong"),
        ("accounts.id", "5", "say which account"),
        ("accounts[1].id", "5", "the file has 0 [[accounts]]"),
        ("engine.wait", "pol", "did you mean poll?"),
    ],
)
def test_F_CFG_03_set_writes_nothing_that_could_not_be_read(key: str, value: str, said: str) -> None:
    Path("tbot.toml").write_text(MINE)
    text = problem("set", key, value)
    assert said in text
    assert "canary" not in text
    assert Path("tbot.toml").read_text() == MINE


def test_set_for_an_account_through_a_link_and_without_a_file() -> None:
    assert "tbot config init" in problem("set", "risk.max_micros", "4")
    Path("real.toml").write_text('[[accounts]]\nid = 1\nname = "a"\n[[accounts]]\nid = 2\nname = "b"\n')
    Path("tbot.toml").symlink_to("real.toml")
    assert tbot("set", "accounts[2].plan", "100K").exception is None
    assert Path("tbot.toml").is_symlink()
    assert [account.plan for account in load(Path("real.toml")).accounts] == ["50K", "100K"]


# ------------------------------------------------------------------------------------------------- show and the others
def test_show_is_a_settings_file_that_means_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tbot.toml").write_text(MINE + '[[accounts]]\nid = 7\nname = "x"\n[strategy.round_step_points]\nMNQ = 50\n')
    monkeypatch.setenv("TBOT_RISK__MAX_MINIS", "0")
    before = load(None)
    shown = tbot("show", "--origin").stdout
    assert "# tbot.toml line 3" in shown
    assert "# TBOT_RISK__MAX_MINIS (environment)" in shown
    assert "# built in" in shown
    Path("again.toml").write_text(shown)
    again = load(Path("again.toml"))
    assert (again.risk, again.engine, again.strategy, again.accounts) == (
        before.risk, before.engine, before.strategy, before.accounts
    )  # fmt: skip


def test_json_of_show_path_validate_and_options() -> None:
    Path("tbot.toml").write_text(MINE)
    rows = {row["name"]: row for row in document("show")["options"]}
    expected = {"name": "risk.max_micros", "value": 3, "default": 5, "unit": "", "origin": "tbot.toml line 3"}
    assert rows["risk.max_micros"] == expected
    assert document("path")["file"] == "tbot.toml"
    assert document("validate")["ok"] is True
    assert len(document("options")["options"]) == len(rows) + 9  # there is no account in the file
    assert {row["name"] for row in document("options", "dxy")["options"]} <= set(rows)


def test_validate_reports_what_the_named_files_say(folder: Path) -> None:
    account = '[[accounts]]\nid = 1\nname = "x"\nsince = "May"\n'
    Path("bad.toml").write_text(f'[engine]\nlimits_override = "nowhere.toml"\n{account}')
    found = document("validate", "bad.toml")
    assert found["ok"] is False
    assert [text.partition(":")[0] for text in found["problems"]] == ["line 3", "line 2"]
    assert tbot("validate", "bad.toml", "--json").return_value == 3
    assert "2 problems" in problem("validate", "bad.toml")
    assert tbot("validate").stdout == "built-in settings: ok\n"


def test_schema_and_unknown_section() -> None:
    assert json.loads(tbot("schema").stdout)["$id"] == "urn:tbot:settings:1"
    assert "sections are engine" in problem("options", "riks")
    tomllib.loads(tbot("show").stdout)
