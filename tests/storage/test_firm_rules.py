"""The firm's numbers: the packaged table against the firm's pages, and damage of every kind."""

import tomllib
from datetime import date
from importlib import resources
from pathlib import Path

import pytest

from tbot.domain.contracts import PRODUCTS
from tbot.errors import ConfigError
from tbot.risk.firm import FirmRules
from tbot.storage.firm_rules import SIZES, load_rules

DAY = date(2026, 11, 26)
PACKAGED = resources.files("tbot.data").joinpath("topstep.toml").read_text(encoding="utf-8")

# As the firm's pages state them; typed here a second time, from the pages.
COMBINE = {"50K": (50_000, 2_000, 3_000, 5), "100K": (100_000, 3_000, 6_000, 10), "150K": (150_000, 4_500, 9_000, 15)}
STEPS = {
    "50K": [(-500, 2), (1_500, 2), (1_501, 3), (2_001, 5), (9_000, 5)],
    "100K": [(0, 3), (1_501, 4), (2_001, 5), (3_000, 5), (3_001, 10), (9_000, 10)],
    "150K": [(0, 3), (1_501, 4), (2_001, 5), (3_001, 10), (4_500, 10), (4_501, 15)],
}


@pytest.mark.parametrize("size", SIZES)
def test_numbers_of_a_combine(size: str) -> None:
    start, loss, target, minis = COMBINE[size]
    rules = load_rules("combine", size, DAY)
    assert (rules.start_cents, rules.max_loss_cents) == (100 * start, 100 * loss)
    assert (rules.target_cents, rules.day_profit_stop_cents) == (100 * target, 50 * target)
    assert (rules.max_micros, rules.scaling, rules.daily_loss_cents) == (10 * minis, (), 0)
    assert load_rules("combine", size, DAY, daily_limit=True).daily_loss_cents == {
        "50K": 100_000, "100K": 200_000, "150K": 300_000,
    }[size]  # fmt: skip
    assert load_rules("practice", size, DAY).max_loss_cents == 100 * loss


@pytest.mark.parametrize("size", SIZES)
def test_TR5_numbers_of_a_funded_account(size: str) -> None:
    rules = load_rules("funded", size, DAY)
    assert (rules.start_cents, rules.target_cents, rules.day_profit_stop_cents) == (0, 0, 0)
    assert rules.max_loss_cents == 100 * COMBINE[size][1]
    for balance, minis in STEPS[size]:
        assert rules.position_limit(100 * balance) == 10 * minis, balance


@pytest.mark.parametrize(("size", "times"), [("50K", 1), ("100K", 2), ("150K", 3)])
def test_TR5_temporary_and_CPI_limits(size: str, times: int) -> None:
    rules = load_rules("combine", size, DAY)
    limits, cpi = dict(rules.product_limits), dict(rules.cpi_limits)
    for symbols, most in (("GC CL HO RB QM", 3), ("MGC MCL", 30), ("SIL MHG", 2), ("SI HG PL", 0)):
        for symbol in symbols.split():
            assert limits.pop(symbol) == most * times
    assert limits == {}
    for symbol in ["ES", "RTY", "YM", "NQ", "NKD", "GC", "SI", "HG", "PL"]:
        assert cpi.pop(symbol) == 0
    for symbol in ["MES", "M2K", "MYM", "MNQ", "MGC", "SIL", "MHG"]:
        assert cpi.pop(symbol) == 3 * times
    assert cpi == {}


def test_a_50K_combine_is_the_default_of_the_rules() -> None:
    rules = load_rules("combine", "50K", DAY)
    assert rules == FirmRules(product_limits=rules.product_limits, cpi_limits=rules.cpi_limits)


def test_the_newest_row_that_is_valid_on_the_day_counts() -> None:
    assert load_rules("combine", "50K", date(2026, 6, 30)).best_day_percent == 50
    assert load_rules("combine", "50K", date(2026, 7, 1)).best_day_percent == 55
    assert load_rules("combine", "50K", date(2026, 9, 22)).product_limits == ()
    with pytest.raises(ConfigError, match="start_usd"):
        load_rules("combine", "50K", date(2025, 12, 31))


def test_the_order_of_the_rows_means_nothing(tmp_path: Path) -> None:
    head, *rows = PACKAGED.split("[[rule]]")
    path = tmp_path / "firm.toml"
    path.write_text(head + "".join(f"\n[[rule]]{row}" for row in reversed(rows)), encoding="utf-8")
    for day in (date(2026, 6, 30), DAY):
        assert load_rules("funded", "100K", day, path=path) == load_rules("funded", "100K", day)


def test_every_number_has_its_source_and_its_dates() -> None:
    for row in tomllib.loads(PACKAGED)["rule"]:
        assert row["source"].startswith(("https://", "our choice")), row
        assert (row["mark"] == "ours") == row["source"].startswith("our choice"), row
        assert date(2026, 1, 1) <= row["valid_from"] <= row["read_on"] <= date(2026, 11, 22), row
        assert set(row.get("products", ())) <= set(PRODUCTS)


def test_F_RSK_05_the_owner_tightens_what_was_loaded() -> None:
    assert load_rules("combine", "50K", DAY, owner={"max_micros": 10}).max_micros == 10
    with pytest.raises(ConfigError, match="max_micros is 51"):
        load_rules("combine", "50K", DAY, owner={"max_micros": 51})


@pytest.mark.parametrize(("stage", "size"), [("live", "50K"), ("combine", "25K"), ("", "")])
def test_F_CFG_03_no_such_account(stage: str, size: str) -> None:
    with pytest.raises(ConfigError, match="no such account"):
        load_rules(stage, size, DAY)  # type: ignore[arg-type]


ROW = PACKAGED[PACKAGED.index("[[rule]]") :].split("\n\n")[0]  # start_usd of a Combine
STEP = next(row for row in PACKAGED.split("\n\n") if "scaling_minis" in row)
CAP = next(row for row in PACKAGED.split("\n\n") if "product_contracts" in row)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "rule"),
        ("rule = 1", "rule"),
        ("rule = [1]", "no table"),
        (PACKAGED + "\n[x]\ny = 1", "nothing else"),
        ("[x]\n" + ROW, "nothing else"),
        ("[[rule", "array"),
        (ROW, "no max_loss_usd"),
        (ROW + "\n" + ROW, "two rows start_usd"),
        (ROW.replace("start_usd", "start_eur"), "start_eur"),
        (ROW.replace("note", "nota") + "\nnota = 1", "nota"),
        (ROW.replace('"practice"', '"live"'), "stages"),
        (ROW.replace('["combine", "practice"]', "[]"), "stages"),
        (ROW.replace('["combine", "practice"]', "[[1]]"), "unhashable"),
        (ROW + '\nproducts = ["MNQ"]', "products"),
        (CAP.replace("GC", "XX"), "products"),
        (CAP.replace("products = [", "products = 5 # ["), "products"),
        (ROW.replace("source", "#"), "source"),
        (ROW.replace('mark = "official"', 'mark = "sure"'), "mark"),
        (ROW.replace("valid_from = 2026-01-01", "valid_from = 2026-01-01T00:00:00"), "valid_from"),
        (ROW.replace("read_on = 2026-09-13", 'read_on = "2026-09-13"'), "read_on"),
        (ROW.replace("50K = 50000,", ""), "one entry for each"),
        (ROW.replace("values = {", "values = 1 # {"), "one entry for each"),
        (ROW.replace("50K = 50000", "50K = -1"), "value of 50K is -1"),
        (ROW.replace("50K = 50000", "50K = 50000.0"), "value of 50K"),
        (ROW.replace("50K = 50000", "50K = true"), "value of 50K"),
        (ROW.replace("50K = 50000", "50K = nan"), "value of 50K"),
        (ROW.replace("50K = 50000", "50K = 10000001"), "value of 50K"),
        (STEP.replace("[[0, 2]", "[[0, 6]"), "value of 50K"),
        (STEP.replace("[1500, 3]", "[0, 3]", 1), "value of 50K"),
        (STEP.replace("[1500, 3]", "[1500]", 1), "value of 50K"),
        (STEP.replace("50K = [[0, 2], [1500, 3], [2000, 5]]", "50K = []"), "value of 50K"),
        (STEP.replace("50K = [[0, 2], [1500, 3], [2000, 5]]", "50K = 3"), "value of 50K"),
    ],
)
def test_F_CFG_03_a_damaged_table_is_refused_by_name(text: str, word: str, tmp_path: Path) -> None:
    path = tmp_path / "firm.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=word) as caught:
        load_rules("combine", "50K", DAY, path=path)
    assert "firm.toml" in str(caught.value)


def test_F_CFG_03_numbers_that_contradict_each_other(tmp_path: Path) -> None:
    path = tmp_path / "firm.toml"
    path.write_text(PACKAGED.replace("50K = 500, 100K = 500", "50K = 100, 100K = 500"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"firm[.]toml: firm rule ban_above_floor_cents"):
        load_rules("combine", "50K", DAY, path=path)


def test_F_CFG_03_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "firm.toml"
    with pytest.raises(ConfigError, match=r"firm[.]toml"):
        load_rules("combine", "50K", DAY, path=path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"firm[.]toml"):
        load_rules("combine", "50K", DAY, path=path)
    path.write_text(PACKAGED, encoding="utf-8")
    assert load_rules("combine", "50K", DAY, path=path) == load_rules("combine", "50K", DAY)
