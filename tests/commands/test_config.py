"""Settings: every problem of a file at once, secrets refused, the same values the same hash."""

import dataclasses
import os
import time
from pathlib import Path

import pytest

from tbot.commands.launch import account_plans, announced_caps, base_settings, gateway_settings
from tbot.config import LARGER_IS_TIGHTER, SMALLER_IS_TIGHTER, AccountConfig, Config, load, require_login
from tbot.domain.trading_hours import trading_day
from tbot.engine.settings import AccountPlan
from tbot.errors import AuthError, ConfigError
from tbot.execution.fill_model import BACKTEST_FILLS, FillSettings
from tbot.risk.limits import BOUNDS, RiskLimits
from tbot.storage.firm_rules import load_rules


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
        '[engine]\nworkerz = 1\nwait = "nap"\n[nowhere]\nx = 1\n[account]\nids = [1]\n'
        '[gateway]\napi_key = "secret"\nrest = 5\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    message = str(caught.value)
    for words in ("engine.workerz", "engine.wait", "[nowhere]", "[account]", "gateway.api_key", "gateway.rest"):
        assert words in message
    assert "secret" not in message.replace("secrets do not belong", "")


@pytest.mark.parametrize(
    "line", ["daily_loss_cents = 80001", "daily_loss_cents = -1", "daily_loss_cents = 1.5", "consecutive_losses = 3"]
)
def test_F_CFG_03_risk_limits_cannot_be_loosened(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError):
        load(written(tmp_path, f"[risk]\n{line}\n"))


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    """As Notepad of Windows saves it."""
    path = tmp_path / "tbot.toml"
    path.write_bytes(b'\xef\xbb\xbf[engine]\r\ncontracts = ["ES"]\r\n')
    assert load(path).engine.contracts == ("ES",)
    path.write_bytes(b"\xef\xbb\xbf[engine]\r\nworkers = 100\r\n")
    with pytest.raises(ConfigError, match="line 2"):
        load(path)


def test_broken_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not valid TOML.*line 1.*; correct that line"):
        load(written(tmp_path, "[engine\n"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path / "bytes.toml")


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


# ----------------------------------------------------------------------------------------------------------- accounts
ACCOUNTS = """
[risk]
daily_loss_cents = 60000
[engine]
contracts = ["MNQ", "ES"]
[[accounts]]
id = 1001
name = "50KTC-V2-1"
contracts = ["MNQ"]
floor_usd = 48123.5
since = "2026-11-02"
daily_limit = true
[accounts.risk]
daily_loss_cents = 40000
slip_ticks = 6
[[accounts]]
id = 1002
name = "150K-X"
plan = "150K"
stage = "funded"
"""


def test_accounts_arrive_with_the_limits_of_risk_and_their_own(tmp_path: Path) -> None:
    first, second = load(written(tmp_path, ACCOUNTS)).accounts
    limits = RiskLimits(daily_loss_cents=40_000, slip_ticks=6)
    assert first == AccountConfig(1001, "50KTC-V2-1", "50K", "combine", ("MNQ",), 48_123.5, "2026-11-02", True, limits)
    assert second == AccountConfig(1002, "150K-X", "150K", "funded")
    plans = account_plans(load(written(tmp_path, ACCOUNTS)))
    today = trading_day(time.time_ns())
    rules = load_rules("combine", "50K", today, daily_limit=True)
    assert plans[0] == AccountPlan(
        1001, "50KTC-V2-1", "50K", "combine", ("MNQ",), 4_812_350, limits, rules, "2026-11-02"
    )
    assert (plans[1].limits, plans[1].contracts, plans[1].floor_cents) == (None, (), None)
    assert plans[1].rules == load_rules("funded", "150K", today)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("daily_loss_cents = 40000", "daily_loss_cents = 60001|60001 is looser than 60000 of [risk]"),
        ("slip_ticks = 6", "slip_ticks = 3|3 is looser than 4 of [risk]"),
        ("slip_ticks = 6", "proof_ns = 1|accounts[1].risk.proof_ns is not an option"),
        ("slip_ticks = 6", "slip_ticks = 101|allowed: a whole number 4 to 100"),
        ("slip_ticks = 6", "slip_ticks = true|must be a whole number, not true"),
        ("floor_usd = 48123.5", "floor_usd = nan|accounts[1].floor_usd: must be the balance"),
        ("floor_usd = 48123.5", "floor_usd = 1e6|accounts[1].floor_usd: must be the balance"),
        ("floor_usd = 48123.5", "flor_usd = 1|accounts[1].flor_usd is not an option"),
        ('contracts = ["MNQ"]', 'contracts = ["NQ"]|NQ is not among engine.contracts'),
        ('contracts = ["MNQ"]', "contracts = ['XX']|unknown contract 'XX'; known are MNQ"),
        ('contracts = ["MNQ"]', 'contracts = [["MNQ"]]|must be a list such as'),
        ('contracts = ["MNQ"]', "contracts = 5|must be a list such as"),
        ("id = 1001", "id = 1002|1002 stands there twice"),
        ("id = 1001", "id = 0|accounts[1].id: must be the gateway"),
        ("id = 1001", "|accounts[1] needs id"),
        ('name = "150K-X"', "|accounts[2] needs name"),
        ('name = "150K-X"', 'name = " "|accounts[2].name: must be'),
        ('plan = "150K"', "plan = \"200K\"|accounts[2].plan: '200K' is not one of 50K, 100K, 150K"),
        ('stage = "funded"', 'stage = "live"|accounts[2].stage'),
        ('stage = "funded"', "risk = 5|accounts[2].risk must be a section"),
        ('stage = "funded"', 'api_key = "abc"|secrets do not belong'),
    ],
)
def test_F_CFG_03_a_bad_account_is_refused_with_its_place(tmp_path: Path, change: str, said: str) -> None:
    line, _, words = said.partition("|")
    assert change in ACCOUNTS
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, ACCOUNTS.replace(change, line)))
    assert words in str(caught.value)


def test_F_CFG_03_problems_of_all_accounts_and_sections_come_together(tmp_path: Path) -> None:
    text = "[risk]\ndaily_loss_cents = 80001\nslip_ticks = 1\n" + "[[accounts]]\nid = 1\n" * 4
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))
    message = str(caught.value)
    assert "7 problems" in message
    for words in ("daily_loss_cents is 80001", "slip_ticks is 1", "accounts[4] needs name", "4 [[accounts]]"):
        assert words in message


@pytest.mark.parametrize("text", ["accounts = 5", "[accounts]\nid = 1", "accounts = [1]"])
def test_F_CFG_03_accounts_are_tables(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"write \[\[accounts\]\]"):
        load(written(tmp_path, text))


def test_limits_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="quote_stale_ns is shorter"):
        load(written(tmp_path, "[risk]\nquote_stale_ns = 2000000000\n"))


def test_every_limit_has_a_tighter_side_or_none() -> None:
    """A limit that configuration may only tighten (its default stands at the loose end) tightens away from that end."""
    for entry in dataclasses.fields(RiskLimits):
        low, high = BOUNDS[entry.name]
        if entry.name in SMALLER_IS_TIGHTER:
            assert entry.default > low, entry.name
        elif entry.name in LARGER_IS_TIGHTER:
            assert entry.default < high, entry.name
    assert not SMALLER_IS_TIGHTER & LARGER_IS_TIGHTER
    assert {entry.name for entry in dataclasses.fields(RiskLimits)} >= SMALLER_IS_TIGHTER | LARGER_IS_TIGHTER


def test_an_account_that_a_run_leaves_without_contracts_is_refused(tmp_path: Path) -> None:
    config = load(written(tmp_path, ACCOUNTS))
    less = dataclasses.replace(config, engine=dataclasses.replace(config.engine, contracts=("ES",)))
    with pytest.raises(ConfigError, match="account 1001: it trades MNQ only"):
        account_plans(less)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("floor_usd = 48123.5", "floor_usd = 47999|account 1001: floor_cents is 4799900"),
        ('since = "2026-11-02"', 'since = "2 November"|account 1001: since is'),
        ("daily_loss_cents = 40000", "daily_loss_cents = 60000|"),
    ],
)
def test_F_CFG_03_what_the_firm_does_not_know_is_refused_with_the_account(
    tmp_path: Path, change: str, said: str
) -> None:
    line, _, words = said.partition("|")
    config = load(written(tmp_path, ACCOUNTS.replace(change, line)))
    if not words:
        assert len(account_plans(config)) == 2
        return
    with pytest.raises(ConfigError, match="correct \\[\\[accounts") as caught:
        account_plans(config)
    assert words in str(caught.value)


def test_F_CFG_04_caps_are_read_at_the_start_from_the_file_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TBOT_HOME", str(tmp_path))
    assert announced_caps(Config()) == ()
    row = 'product = "GC"\nmost = 3\nfrom = 2026-09-23T17:00:00\nto = 2026-12-31T16:00:00\nsource = "e-mail"\n'
    (tmp_path / "limits_override.toml").write_text(f"[[cap]]\n{row}")
    (cap,) = announced_caps(Config())
    assert (cap.product, cap.most) == ("GC", 3)
    named = load(written(tmp_path, '[engine]\nlimits_override = "/nowhere/caps.toml"\n'))
    with pytest.raises(ConfigError, match="is not there"):
        announced_caps(named)
    for wanted, embedded in (((cap,), False), ((), True)):
        gateway = gateway_settings("http://127.0.0.1:1", "", "", simulated=True, embedded=embedded)
        made = base_settings(Config(), "sim", state_dir=tmp_path / "s", symbols=("MNQ",), gateway=gateway)
        assert made.caps == wanted
        made.run_dir.rmdir()


def test_fills_change_what_paper_and_the_past_charge_each_from_its_own_start(tmp_path: Path) -> None:
    assert Config().paper_fills() == FillSettings()
    assert Config().past_fills() == BACKTEST_FILLS
    text = '[fills]\nlatency_ns = 5\nintrabar = "path"\n[fills.spread_by_hour]\nMNQ = [' + ", ".join(["3"] * 24) + "]\n"
    config = load(written(tmp_path, text))
    changes = {"latency_ns": 5, "intrabar": "path", "spread_by_hour": {"MNQ": (3,) * 24}}
    assert config.paper_fills() == dataclasses.replace(FillSettings(), **changes)
    assert config.past_fills() == dataclasses.replace(BACKTEST_FILLS, **changes)
    assert config.digest() != Config().digest()


def test_every_problem_of_fills_is_named(tmp_path: Path) -> None:
    text = "[fills]\nlatency_ns = -5\npartial = 3\nlucky = true\n[fills.spread_by_hour]\nXX = [1]\n"
    with pytest.raises(ConfigError, match="lucky is not an option") as caught:
        load(written(tmp_path, text))
    assert "partial: must be true or false" in str(caught.value)
    assert "spread_by_hour: must give 24 whole numbers" in str(caught.value)
    with pytest.raises(ConfigError, match="latency_ns is -5"):
        load(written(tmp_path, "[fills]\nlatency_ns = -5\n"))
    with pytest.raises(ConfigError, match="24 spreads"):
        load(written(tmp_path, "[fills.spread_by_hour]\nMNQ = [1]\n"))
    with pytest.raises(ConfigError, match="fills must be a section"):
        load(written(tmp_path, "fills = 3\n"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[[accounts]]\nid = {n}\nname = "x"\n', "accounts[1].id"),
        ('[[accounts]]\nid = 1\nname = "x"\nfloor_usd = {n}\n', "accounts[1].floor_usd"),
        ("[risk]\nmax_micros = -{n}\n", "risk.max_micros"),
        ("[strategy]\nmin_score = {n}\n", "strategy.min_score"),
        ("[strategy.round_step_points]\nMNQ = {n}\n", "strategy.round_step_points"),
        ("[strategy.detector.1m]\nL = {n}\n", "strategy.detector"),
    ],
)
def test_F_CFG_03_a_number_that_64_bits_cannot_hold_is_named(tmp_path: Path, text: str, place: str) -> None:
    for number in (10**30, 10**400):
        with pytest.raises(ConfigError, match="no number may be larger than 9223372036854775807") as caught:
            load(written(tmp_path, text.format(n=number)))
        assert place in str(caught.value)
