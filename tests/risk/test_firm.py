"""FirmRules: contradictions are refused, the owner only tightens, targets and scaling steps at their edges."""

from datetime import date

import msgspec
import pytest

from tbot.errors import ConfigError
from tbot.execution.settings import AccountSettings
from tbot.risk.firm import FirmFacts, FirmRules, check_daily_limit, misfit, tightened
from tbot.storage.firm_rules import SIZES, load_rules

DAY = date(2026, 11, 26)
FUNDED = FirmRules(
    stage="funded", start_cents=0, target_cents=0, day_profit_stop_cents=0,
    scaling=((0, 20), (150_000, 30), (200_000, 50)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"stage": "live"}, "stage"),
        ({"max_loss_cents": 0}, "max_loss_cents"),
        ({"start_cents": -1}, "start_cents"),
        ({"target_cents": 1.0}, "target_cents"),
        ({"max_micros": True}, "max_micros"),
        ({"best_day_percent": 101}, "best_day_percent"),
        ({"best_day_percent": 0}, "best_day_percent"),
        ({"entries_per_product": 41}, "entries_per_product"),
        ({"actions_per_minute": 61}, "actions_per_minute"),
        ({"daily_loss_cents": "1000"}, "daily_loss_cents"),
        ({"ban_above_floor_cents": 29_999}, "ban_above_floor_cents"),
        ({"ban_above_floor_cents": 200_000}, "leaves no room"),
    ],
)
def test_F_RSK_05_firm_rules_that_make_no_sense_are_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        FirmRules(**changes)  # type: ignore[arg-type]


def test_rules_are_plain_values() -> None:
    assert msgspec.json.decode(msgspec.json.encode(FUNDED), type=FirmRules) == FUNDED


@pytest.mark.parametrize(
    ("name", "tighter", "looser"),
    [
        ("max_loss_cents", 190_000, 200_001),
        ("lock_above_floor_cents", 30_001, 29_999),
        ("ban_above_floor_cents", 50_001, 49_999),
        ("target_cents", 299_999, 300_001),
        ("target_cents", 1, 0),
        ("day_profit_stop_cents", 149_999, 150_001),
        ("day_profit_stop_cents", 1, 0),
        ("daily_loss_cents", 100_000, 0),
        ("daily_loss_cents", 119_999, 120_001),
        ("max_micros", 49, 51),
        ("best_day_percent", 50, 56),
        ("entries_per_product", 39, 41),
        ("actions_per_minute", 59, 61),
    ],
)
def test_F_RSK_05_the_owner_may_only_tighten(name: str, tighter: int, looser: int) -> None:
    rules = FirmRules(daily_loss_cents=120_000)
    assert getattr(tightened(rules, {name: tighter}), name) == tighter
    assert getattr(tightened(rules, {name: getattr(rules, name)}), name) == getattr(rules, name)
    with pytest.raises(ConfigError, match=name):
        tightened(rules, {name: looser})


def test_F_RSK_05_a_limit_where_the_firm_has_none_is_tighter() -> None:
    assert tightened(FirmRules(), {"daily_loss_cents": 90_000}).daily_loss_cents == 90_000
    assert tightened(FUNDED, {"target_cents": 0, "day_profit_stop_cents": 40_000}).day_profit_stop_cents == 40_000


@pytest.mark.parametrize("value", [True, "5", 5.0, None, float("nan"), 10**30])
def test_F_RSK_05_what_is_no_sound_number_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="lock_above_floor_cents"):
        tightened(FirmRules(), {"lock_above_floor_cents": value})


def test_F_RSK_05_other_rules_are_not_the_owners_to_set() -> None:
    for name in ("stage", "scaling", "start_cents", "nonsense"):
        with pytest.raises(ConfigError, match=name):
            tightened(FirmRules(), {name: 1})


def test_TR3_our_daily_limit_lies_below_the_firms_and_below_half_of_the_floors_distance() -> None:
    check_daily_limit(FirmRules(), 80_000)
    check_daily_limit(FirmRules(daily_loss_cents=80_001), 80_000)
    with pytest.raises(ConfigError, match="daily limit 80000"):
        check_daily_limit(FirmRules(daily_loss_cents=80_000), 80_000)
    check_daily_limit(FirmRules(max_loss_cents=160_001), 80_000)
    with pytest.raises(ConfigError, match="half"):
        check_daily_limit(FirmRules(max_loss_cents=160_000), 80_000)


@pytest.mark.parametrize(
    ("best", "target"),
    [
        (0, 300_000),
        (165_000, 300_000),  # exactly 55 % of 3 000.00
        (165_001, 300_002),  # 165 001 / 0.55 = 300 001.81...: up to the next cent
        (220_000, 400_000),
    ],
)
def test_TR11_the_target_rises_until_the_best_day_is_55_percent_of_it(best: int, target: int) -> None:
    assert FirmRules().target_of(best) == target
    assert 100 * best <= 55 * target
    assert FUNDED.target_of(best) == 0


@pytest.mark.parametrize(
    ("close", "micros"),
    [
        (None, 20), (-190_000, 20), (0, 20), (150_000, 20), (150_001, 30), (200_000, 30), (200_001, 50), (10**8, 50),
    ],
)  # fmt: skip
def test_TR5_scaling_step_by_the_prior_close(close: int | None, micros: int) -> None:
    assert FUNDED.position_limit(close) == micros
    assert FirmRules().position_limit(close) == 50
    assert FirmRules(max_micros=25, scaling=FUNDED.scaling).position_limit(close) == min(25, micros)


def test_TR11_reached_is_exact_to_the_cent() -> None:
    def reached(balance: int, target: int = 300_000) -> bool:
        return FirmFacts(FirmRules(), True, balance_cents=balance, target_cents=target).target_reached

    assert (reached(5_299_999), reached(5_300_000), reached(5_300_000, 0)) == (False, True, False)


@pytest.mark.parametrize(
    ("rules", "name", "balance", "fits"),
    [
        (FirmRules(), "50KTC-V2-1-1", 5_000_000, True),
        (FirmRules(), "100KTC-V2-1-1", 5_000_000, False),
        (FirmRules(), "50KTC-V2-DLL-1-1", 4_600_000, True),
        (FirmRules(), "50KTC-V2-DLL-1-1", 4_599_999, False),
        (FirmRules(), "any", 7_000_000, True),
        (FirmRules(), "any", 7_000_001, False),
        (FirmRules(stage="practice"), "PRAC-V2-1-1", 5_000_000, True),
        (FirmRules(stage="practice"), "50KTC-V2-1-1", 5_000_000, False),
        (FUNDED, "PRAC-V2-1-1", 0, False),
        (FUNDED, "EXPRESS-V2-1-1", 0, True),
        (FUNDED, "EXPRESS-V2-1-1", -400_000, True),
        (FUNDED, "EXPRESS-V2-1-1", -400_001, False),
        (FUNDED, "EXPRESS-V2-1-1", 4_500_000, True),
        (FUNDED, "EXPRESS-V2-1-1", 4_500_001, False),
    ],
)
def test_F_ACC_04_rules_of_another_account_show_by_name_or_balance(
    rules: FirmRules, name: str, balance: int, fits: bool
) -> None:
    assert (misfit(rules, name, balance) == "") == fits


def test_F_ACC_04_no_account_that_the_firm_sells_passes_for_another() -> None:
    """By balance alone, from its floor to its target."""
    plans = {size: load_rules("combine", size, DAY) for size in SIZES}
    funded = {size: load_rules("funded", size, DAY) for size in SIZES}
    for size, own in plans.items():
        for balance in (own.start_cents - own.max_loss_cents, own.start_cents, own.start_cents + own.target_cents):
            assert misfit(own, "", balance) == ""
            others = [rules for other, rules in plans.items() if other != size] + list(funded.values())
            assert all(misfit(other, "", balance) for other in others), (size, balance)


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "20261125", "2026-11-25T00:00:00"])
def test_F_CFG_03_since_must_be_a_date(since: str) -> None:
    with pytest.raises(ConfigError, match="since"):
        AccountSettings(1, since=since)
    assert AccountSettings(1, since="2026-11-25").since == "2026-11-25"


@pytest.mark.parametrize("floor", [4_799_999, 5_000_001, 4_900_000.0, True])
def test_F_CFG_03_a_stated_floor_lies_where_this_accounts_floor_can_be(floor: object) -> None:
    with pytest.raises(ConfigError, match="floor_cents"):
        AccountSettings(1, rules=FirmRules(), floor_cents=floor)  # type: ignore[arg-type]
    for good in (4_800_000, 5_000_000, None):
        AccountSettings(1, rules=FirmRules(), floor_cents=good)
    AccountSettings(1, floor_cents=-7)  # without rules it means nothing
