"""Where settings come from: precedence, origin, lines, and files that nobody named."""

import os
import tomllib
from pathlib import Path

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot.config import load, loaded
from tbot.errors import ConfigError
from tbot.settings import places
from tbot.settings.lines import line_of, lines_of
from tbot.settings.places import candidates, find_file, value_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder and a TBOT_HOME with nothing in them."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TBOT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path


def test_flag_file_environment_and_dotenv_in_their_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "home" / "tbot.toml").write_text("[risk]\nmax_micros = 1\nmax_minis = 2\n")
    assert load(None).risk.max_micros == 1
    Path("tbot.toml").write_text("[risk]\nmax_micros = 2\n")
    assert load(None).risk.max_micros == 2
    assert load(None).risk.max_minis == 1, "files do not mix: the first one found is the file"
    Path("other.toml").write_text("[risk]\nmax_micros = 3\n")
    assert load(Path("other.toml")).risk.max_micros == 3
    Path(".env").write_text("TBOT_RISK__MAX_MICROS=4\nTBOT_API_KEY=canary\n")
    assert load(Path("other.toml")).risk.max_micros == 4
    monkeypatch.setenv("TBOT_RISK__MAX_MICROS", "5")
    assert load(Path("other.toml")).risk.max_micros == 5


def test_the_origin_of_every_value_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tbot.toml").write_text('\n[engine]\nwait = "poll"\n[risk]\nmax_micros = 2\n')
    Path(".env").write_text("TBOT_STRATEGY__MIN_SCORE=70\n")
    monkeypatch.setenv("TBOT_RISK__MAX_MICROS", "3")
    config, document = loaded(None)
    assert (config.strategy.min_score, config.risk.max_micros, config.engine.wait) == (70.0, 3, "poll")
    origins = [document.origin(f"{name}") for name in ("engine.wait", "risk.max_micros", "strategy.min_score")]
    assert origins == ["tbot.toml line 3", "TBOT_RISK__MAX_MICROS (environment)", "TBOT_STRATEGY__MIN_SCORE (.env)"]
    assert document.origin("risk.max_minis") == "built in"


def test_lists_texts_and_tables_by_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "ENGINE__CONTRACTS": "MNQ,ES", "ENGINE__WAIT": "poll", "NEWS__FILES": "a.ics", "NEWS__CPI": "false",
        "STRATEGY__ZONE_TIMEFRAMES_MIN": "5,15", "STRATEGY__ROUND_STEP_POINTS": "{MNQ = 50}",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"TBOT_{name}", text)
    config = load(None)
    assert config.engine.contracts == ("MNQ", "ES")
    assert config.engine.wait == "poll"
    assert config.news.files == ("a.ics",)
    assert config.news.cpi is False
    assert config.strategy.zone_timeframes_min == (5, 15)
    assert config.strategy.round_step_points == {"MNQ": 50}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TBOT_RISK__MAX_MICRO", "3", "TBOT_RISK__MAX_MICRO (environment): risk.max_micro is not an option; did you"),
        ("TBOT_RISK__MAX_MICROS", "many", "(environment): risk.max_micros: must be a whole number, not 'many'"),
        ("TBOT_NOWHERE__X", "1", "[nowhere] is not a section"),
        ("TBOT_GATEWAY__API_KEY", "canary", "secrets do not belong"),
    ],
)
def test_F_CFG_03_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load(None)
    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


def test_accounts_cannot_be_changed_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tbot.toml").write_text('[[accounts]]\nid = 1\nname = "x"\n')
    monkeypatch.setenv("TBOT_ACCOUNTS__ID", "5")
    with pytest.raises(ConfigError, match="write it in the file"):
        load(None)


def test_F_CFG_03_all_problems_come_with_their_lines_in_the_order_of_the_file() -> None:
    Path("tbot.toml").write_text(
        '[riks]\nx = 1\n[engine]\nworkerz = 2\nwait = "pol"\n[risk]\ndaily_loss_cents = 90000\nmin_score = 3\n'
        '[[accounts]]\nid = 1\nname = "x"\n[[accounts]]\nid = 2\nplan = "60K"\n[accounts.risk]\nslip_ticks = 1\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(None)
    lines = [line.strip() for line in str(caught.value).splitlines()]
    assert lines == [
        "tbot.toml has 8 problems:",
        "line 1: [riks] is not a section; did you mean risk?",
        "line 4: engine.workerz is not an option; did you mean workers?",
        "line 5: engine.wait: 'pol' is not one of futex, poll, spin; did you mean poll?",
        "line 7: [risk]: risk limit daily_loss_cents is 90000; allowed: a whole number 1 to 80000",
        "line 8: risk.min_score is not an option; it belongs to [strategy]",
        "line 12: accounts[2] needs name",
        "line 14: accounts[2].plan: '60K' is not one of 50K, 100K, 150K; did you mean 50K?",
        "line 16: accounts[2].risk.slip_ticks: 1 is looser than 4 of [risk]; an account may only tighten",
    ]


def test_I31_a_file_that_nobody_named_must_be_ours(folder: Path) -> None:
    """Whoever writes it chooses where the login is sent."""
    path = Path("tbot.toml")
    path.write_text("[risk]\nmax_micros = 2\n")
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="anybody may write"):
        load(None)
    assert load(path).risk.max_micros == 2, "named on the command line it is a person's choice"
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="belongs to another user"):
        places._refuse_strangers(path, uid=os.geteuid() + 1 or 1) if os.geteuid() else _of_a_stranger(path)
    assert find_file(None) == path
    path.unlink()
    assert find_file(None) is None
    assert candidates()[1] == folder / "home" / "tbot.toml"


def _of_a_stranger(path: Path) -> None:
    """Root owns what it makes, and root's files are trusted: give it away."""
    os.chown(path, 12_345, -1)
    try:
        places._refuse_strangers(path)
    finally:
        os.chown(path, 0, -1)


@pytest.mark.parametrize(
    ("text", "listed", "value"),
    [
        ("5", False, 5), ("5.5", False, 5.5), ("true", False, True), ("poll", False, "poll"), ('"x"', False, "x"),
        ("[1, 2]", True, [1, 2]), ("MNQ,ES", True, ["MNQ", "ES"]), ("MNQ", True, ["MNQ"]), ("5,15", True, [5, 15]),
        ("https://a.b/c#d", False, "https://a.b/c#d"), ("{A = 1}", False, {"A": 1}), ("1\nx = 2", False, "1\nx = 2"),
    ],
)  # fmt: skip
def test_what_a_person_types(text: str, listed: bool, value: object) -> None:
    assert value_of(text, listed=listed) == value


# -------------------------------------------------------------------------------------------------------------- lines
SAMPLE = '''# [not.a.table]
top = 1
[engine] # comment
contracts = [ # [no]
  "MNQ", # key = 1
  "a]b",
]
text = """
[no]
key = 1
"""
other = \'\'\'x = '1' \'\'\'
"quoted key".b = { c = 1, d = "}" }

  [ strategy . "detector" ]
"1h" = { L = 4 }
[[accounts]]
id = 1
[accounts.risk]
x = 1
[[accounts]]
id = 2
[accounts.risk]
x = "a # b" # c
last = 5'''


def test_lines_of_a_file_with_everything_in_it() -> None:
    tomllib.loads(SAMPLE)
    assert lines_of(SAMPLE) == {
        "top": 2, "engine": 3, "engine.contracts": 4, "engine.text": 8, "engine.other": 12, "engine.quoted key": 13,
        "engine.quoted key.b": 13, "strategy": 15, "strategy.detector": 15, "strategy.detector.1h": 16, "accounts": 17,
        "accounts[1]": 17, "accounts[1].id": 18, "accounts[1].risk": 19, "accounts[1].risk.x": 20, "accounts[2]": 21,
        "accounts[2].id": 22, "accounts[2].risk": 23, "accounts[2].risk.x": 24, "accounts[2].risk.last": 25,
    }  # fmt: skip
    assert line_of("accounts[2].risk.missing", lines_of(SAMPLE)) == 23
    assert line_of("engine.contracts.MNQ", lines_of(SAMPLE)) == 4
    assert line_of("nowhere.x", lines_of(SAMPLE)) == 0


KEYS = st.text("abc_-19", min_size=1, max_size=4)
VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.text('a"\'#[]{}=\n\\ ', max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=2)),
    max_leaves=4,
)


@settings(max_examples=20, deadline=None)
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=3))
def test_every_key_that_tomlkit_writes_is_found_on_its_line(values: dict[str, dict[str, object]]) -> None:
    text = tomlkit.dumps(values)
    lines = text.split("\n")
    found = lines_of(text)
    for section, table in tomllib.loads(text).items():
        for key in table:
            line = lines[found[f"{section}.{key}"] - 1]
            assert key in line, (text, key)
