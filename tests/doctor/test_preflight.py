"""What the pre-flight makes of balances, limits, the calendar and what is open."""

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from gateway_records import ORDER, POSITION, TRADE
from tbot.doctor import preflight
from tbot.doctor.online import Target
from tbot.doctor.preflight import Facts
from tbot.domain.trading_hours import SessionCalendar, SessionTable
from tbot.gateway.codec_rest import Answer
from tbot.risk.firm import FirmRules
from tbot.risk.limits import RiskLimits
from tbot.storage.sessions import load_sessions

HOUR = 3600 * 10**9
FRIDAY_NS = 1_795_186_800_000_000_000  # 2026-11-20 09:00 in Chicago


@pytest.mark.parametrize(
    ("balance", "floor", "level", "said"),
    [
        (50_000, 48_000, "ok", "$2,000.00 above the loss floor of $48,000.00"),
        (50_000, None, "warn", "the firm's loss floor is not told"),
        (48_000, 48_000, "fail", "$0.00 above"),
        (47_900, 48_000, "fail", "−$100.00 above"),
        (48_500, 48_000, "fail", "$500.00 above"),  # no entries at floor + 500
        (49_299, 48_000, "warn", "$1,299.00 above"),  # entries end before the day's limit of 800
        (49_300, 48_000, "ok", "$1,300.00 above"),
        (500, -1_500, "ok", "above the loss floor of −$1,500.00"),  # a funded account begins at 0
    ],
)
def test_limits_against_balance_and_floor(balance: int, floor: int | None, level: str, said: str) -> None:
    floor_cents = None if floor is None else floor * 100
    finding = preflight.money(7, balance * 100, floor_cents, FirmRules(), RiskLimits())
    assert finding.level == level
    assert said in finding.text
    assert (finding.fix == "") is (level == "ok")
    assert preflight.money(7, balance * 100, floor_cents, None, RiskLimits()) == finding


@pytest.mark.parametrize(
    ("hours", "level", "said"),
    [
        (0, "ok", "the session table covers 2026, and the window is open"),
        (6, "warn", "no entries now in MNQ"),  # 15:00 in Chicago
        (48, "warn", "no trading on 2026-11-22 in MNQ"),
        (24 * 60, "fail", "the session table does not cover 2027"),
    ],
)
def test_the_session_table_must_cover_today_and_need_not_be_open(hours: int, level: str, said: str) -> None:
    finding = preflight.today(SessionCalendar(load_sessions()), FRIDAY_NS + hours * HOUR, ("MNQ",))
    assert finding.level == level
    assert said in finding.text


def test_an_uncovered_year_is_never_green() -> None:
    calendar = SessionCalendar(SessionTable(frozenset({2020}), ()), template_ok=True)
    assert preflight.today(calendar, FRIDAY_NS, ("MNQ",)).level == "fail"


def test_what_the_day_came_to_counts_costs_and_leaves_voided_fills_out() -> None:
    opening = replace(TRADE, pnl=None)
    voided = replace(TRADE, voided=True)
    assert preflight.net_cents([]) == 0
    assert preflight.net_cents([opening, TRADE, voided]) == round((Decimal("6.5") - 2 * Decimal("0.61")) * 100)


def test_what_is_open_is_put_into_words() -> None:
    working = replace(ORDER, tag=None)
    texts = preflight.describe([POSITION], [ORDER, working])
    assert texts[0].startswith("position CON.F.US.MNQ.Z26 -3 @ 25104.3")
    assert texts[1] == "order 3425714842 CON.F.US.MNQ.Z26 -2 tag tb-SL"
    assert texts[2] == "order 3425714842 CON.F.US.MNQ.Z26 -2"


def target_of(*, logged_in: bool = True, **answers: Any) -> Target:
    lists: dict[str, Any] = {
        "position_search_open": [], "order_search_open": [], "trade_search": [],
    } | answers  # fmt: skip

    def answer(value: Any) -> Any:
        return lambda *_: Answer("ambiguous", text="maintenance") if value is None else Answer("accepted", value)

    tokens = SimpleNamespace(current=lambda: SimpleNamespace(text="t") if logged_in else None)
    rest = SimpleNamespace(tokens=tokens, **{name: answer(value) for name, value in lists.items()})
    return Target(rest, "", "", ("MNQ",), ((7, "A-7"), (8, "A-8")))  # type: ignore[arg-type]


@pytest.mark.parametrize("silent", ["position_search_open", "order_search_open", "trade_search"])
def test_an_account_that_does_not_tell_what_is_open_is_not_green(silent: str) -> None:
    (finding,) = preflight.leftovers(target_of(**{silent: None}), Facts())
    assert finding.level == "fail"
    assert "account 7 does not tell" in finding.text


def test_leftovers_of_every_account_are_told() -> None:
    facts = Facts()
    first, second = preflight.leftovers(target_of(position_search_open=[POSITION]), facts)
    assert (first.level, second.level) == ("warn", "warn")
    assert "account 8: position" in second.text
    assert sorted(facts.open) == sorted(facts.day_cents) == [7, 8]
    facts = Facts()
    (none,) = preflight.leftovers(target_of(), facts)
    assert (none.level, facts.open) == ("ok", {7: [], 8: []})
    assert preflight.leftovers(target_of(logged_in=False), Facts())[0].level == "warn"
