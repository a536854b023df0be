"""The JSON document of a backtest: sums by hand, stable keys, and numbers that JSON has."""

import json
import math
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from report_cases import denial, judged, judged_long, lively_result, long_result, result_of, trip
from tbot.execution.fill_model import FillSettings
from tbot.validation.report_json import TRADE_FIELDS, document, finite
from tbot.validation.report_words import Extra

# Every key of the document, one a line; `[]` is "each of a list". One that goes or is renamed asks for a new version.
KEYS_FILE = Path(__file__).with_name("report_keys.txt")


def keys_of(value: Any, at: str = "") -> set[str]:
    """Paths of all keys."""
    if isinstance(value, dict):
        found = {f"{at}.{key}" if at else key for key in value}
        return found.union(*(keys_of(item, f"{at}.{key}" if at else key) for key, item in value.items()))
    if isinstance(value, list):
        return set().union(*(keys_of(item, at + "[]") for item in value))
    return set()


def told(*trips: np.void, **more: Any) -> dict[str, Any]:
    result = result_of(*trips, **more)
    return document(result, judged(result))


def test_the_keys_of_the_document_are_those_that_are_written_down() -> None:
    whole = document(long_result(), judged_long())
    assert keys_of(whole) == set(KEYS_FILE.read_text().split())


def test_the_manual_names_every_key_of_the_document_and_of_its_accounts() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text()
    named = set(re.findall(r"`([a-z_0-9]+)`", manual[manual.index("## Reports") :]))
    whole = document(long_result(), judged_long())
    account = whole["accounts"][0]
    keys = {*whole, *account, *account["summary"], *account["by_side"][0], *account["trades"][0], *account["verdict"]}
    assert keys - named == set()


def test_an_account_by_hand() -> None:
    trips = (
        trip(1_926, 0, number=0), trip(-1_074, 0, number=1), trip(0, 1, hour=9, zone_kind="fvg", zone_timeframe_min=5),
        trip(-2_074, 2, contract="MES", side=-1, zone_kind="", zone_timeframe_min=0, risk_cents=0),
    )  # fmt: skip
    account = told(*trips, denials=(denial("RC_A"), denial("RC_B"), denial("RC_B")))["accounts"][0]
    assert (account["opening_balance_usd"], account["closing_balance_usd"]) == (50_000, 49_987.78)
    summary = account["summary"]
    assert (summary["trades"], summary["wins"], summary["losses"]) == (4, 1, 2)
    assert (summary["net_usd"], summary["gross_usd"], summary["costs_usd"]) == (-12.22, -9.26, 2.96)
    assert (summary["win_rate"], summary["profit_factor"]) == (0.25, pytest.approx(1_926 / 3_148))
    assert summary["max_drawdown_usd"] == 31.48
    assert [(one["reason"], one["n"]) for one in account["denials"]] == [("RC_B", 2), ("RC_A", 1)]
    assert [(one["pattern"], one["timeframe"], one["trades"], one["net_usd"]) for one in account["by_pattern"]] == [
        ("", "", 1, -20.74), ("fvg", "5m", 1, 0), ("ob", "15m", 2, 8.52)
    ]  # fmt: skip
    assert [(one["hour"], one["trades"]) for one in account["by_hour_chicago"]] == [("09", 1), ("13", 3)]
    assert [(one["contract"], one["net_usd"]) for one in account["by_contract"]] == [("MES", -20.74), ("MNQ", 8.52)]
    assert [(one["side"], one["average_r"]) for one in account["by_side"]] == [
        ("long", pytest.approx(852 / 2_000 / 3)), ("short", None)
    ]  # fmt: skip
    assert [(one["month"], one["trades"]) for one in account["by_month"]] == [("2026-07", 4)]
    assert [(one["reason"], one["trades"], one["net_usd"]) for one in account["exits"]] == [
        ("stop", 3, -31.48), ("target", 1, 19.26)
    ]  # fmt: skip


def test_timeframes_stand_by_length_and_weeks_begin_on_monday() -> None:
    trips = [trip(-574, day, zone_timeframe_min=m) for day, m in ((0, 60), (1, 15), (2, 5), (5, 1), (6, 30))]
    account = told(*trips, days=7)["accounts"][0]
    assert [one["timeframe"] for one in account["by_pattern"]] == ["1m", "5m", "15m", "30m", "1h"]
    assert [(one["week"], one["trades"]) for one in account["by_week"]] == [("2026-07-27", 3), ("2026-08-03", 2)]
    assert [one["month"] for one in account["by_month"]] == ["2026-07", "2026-08"]


def test_a_trade_by_hand() -> None:
    one = told(trip(1_926, mae_ticks=-1, size=2, entry_price_size=200_001, contract="MES"))["accounts"][0]["trades"][0]
    assert tuple(one) == TRADE_FIELDS
    assert (one["opened"], one["closed"], one["held_s"]) == ("2026-07-29T18:00:00Z", "2026-07-29T18:10:00Z", 600)
    assert (one["day"], one["entry_price"], one["net_usd"], one["risk_usd"], one["net_r"]) == (
        "2026-07-29", 25_000.125, 19.26, 20, 0.963
    )  # fmt: skip
    assert (one["side"], one["mae_ticks"], one["mfe_ticks"]) == ("long", None, None)


def test_V15_the_verdict_ends_the_document_of_every_account() -> None:
    result = result_of(trip(500), trip(-300, 1, account=2), accounts=(1, 2))
    assessments = judged(result)
    whole = document(result, assessments)
    assert whole["verdicts"] == [one.verdict.line for one in assessments]
    assert [one["verdict"]["line"] for one in whole["accounts"]] == whole["verdicts"]
    assert [one["summary"]["net_usd"] for one in whole["accounts"]] == [5, -3]
    assert list(whole["accounts"][0])[-1] == "verdict"


def test_no_trade_is_null_and_not_zero() -> None:
    account = told()["accounts"][0]
    assert account["summary"]["trades"] == 0
    for name in ("win_rate", "profit_factor", "expectancy_usd", "sharpe_annual", "exposure"):
        assert account["summary"][name] is None, name
    for name in ("costs", "sharpe", "pbo", "regimes", "score", "odds", "null_percentile"):
        assert account[name] is None, name
    assert account["trades"] == account["by_hour_chicago"] == account["denials"] == []
    assert account["odds_missing"] == "the account has no target to pass"


def test_infinite_numbers_are_words_and_a_single_day_has_no_interval() -> None:
    account = told(trip(926, fees_cents=0, gross_cents=926, slippage_ticks=-4), days=1)["accounts"][0]
    assert account["costs"]["dies_at"] == "inf", "costs below 0: they never kill"
    assert (account["intervals"]["expectancy_usd"]["low"], account["intervals"]["expectancy_usd"]["high"]) == (
        "-inf", "inf"
    )  # fmt: skip


numbers = st.floats() | st.integers() | st.none() | st.text(max_size=3)
plain = st.recursive(numbers, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=8)


@given(plain)
def test_every_value_becomes_one_that_strict_json_has(value: object) -> None:
    text = json.dumps(finite(value), allow_nan=False)
    if isinstance(value, float):
        expected: object = None if math.isnan(value) else {math.inf: "inf", -math.inf: "-inf"}.get(value, value)
        assert json.loads(text) == expected


def test_numpy_numbers_become_plain_ones() -> None:
    assert orjson.dumps(
        finite({"a": np.float64(1.5), "b": np.int64(2), "c": np.bool_(True), "d": (np.float64("nan"),)})
    )
    assert finite((np.float64("inf"), np.int32(3))) == ["inf", 3]


@pytest.mark.parametrize("make", [lively_result, long_result, result_of], ids=["tape", "long", "empty"])
def test_the_document_is_strict_json_with_times_in_utc(make: Any) -> None:
    result = make()
    whole = document(result, judged(result), extra=Extra(data=("a.tape",), version="1", seed=1, more={"took_s": 1.5}))
    again = json.loads(json.dumps(whole, allow_nan=False))
    assert again == json.loads(orjson.dumps(whole))
    assert (again["schema"], again["version"], again["run"]) == ("tbot.backtest", 1, {"took_s": 1.5})
    for text in (again["first"], again["last"]):
        assert text.endswith("Z")
        assert datetime.fromisoformat(text).utcoffset() is not None
    assert (again["plan_hash"], again["data_hash"]) == (result.plan_hash, result.data_hash)


def test_a_real_backtest_adds_up() -> None:
    result = lively_result()
    whole = document(result, judged(result))
    assert whole["signals"] == len(result.signals)
    for account in whole["accounts"]:
        net = sum(round(100 * one["net_usd"]) for one in account["trades"])
        assert round(100 * (account["closing_balance_usd"] - account["opening_balance_usd"])) == net != 0
        for table in ("by_month", "by_week", "by_pattern", "by_hour_chicago", "by_contract", "by_side", "exits"):
            assert sum(one["trades"] for one in account[table]) == len(account["trades"]), table
            assert sum(round(100 * one["net_usd"]) for one in account[table]) == net, table
        denied = sum(one["n"] for one in account["denials"])
        assert denied + len(account["trades"]) == whole["signals"], "every signal is a trade or a denial of the account"


def test_V2_the_fill_rules_follow_the_settings() -> None:
    result = result_of()
    usual = document(result, judged(result))["fill_rules"]
    assert "a bar that touches stop and target is a stop" in usual
    assert "latency 100 ms" in usual
    other = FillSettings(intrabar="path", queue="share", spread_by_hour={"MNQ": (2,) * 24})
    words = document(result, judged(result), extra=Extra(fills=other))["fill_rules"]
    assert "a bar that touches stop and target is a stop" not in words
    assert any("optimistic" in one for one in words)
    assert "limits also at their price behind 1000 contracts" in words
    assert "spread by hour: MNQ" in words
    assert "latency 0 ms" in words
