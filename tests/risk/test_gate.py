"""The gate: every check with an allowed neighbour and a denied one."""

from dataclasses import replace

import pytest

from desk_rig import quote, signal
from tbot.domain.context import MarketContext, NewsState
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_S
from tbot.risk.caps import Cap, cpi_cap
from tbot.risk.firm import FirmFacts, FirmRules
from tbot.risk.gate import CHECKS, AccountFacts, Approval, Exposure, Refusal, Request, decide, headroom_cents
from tbot.risk.limits import RiskLimits

NOW = 1_000 * NS_PER_S
FACTS = AccountFacts("ACTIVE", "", "trading", 0, 0, (), None, ())


def request(**changes: object) -> Request:
    fields = {
        "now_ns": NOW, "signal": signal(), "quote": quote(), "age_ns": 0, "product": PRODUCTS["MNQ"],
        "limits": RiskLimits(), "facts": FACTS, "feed": "ok", "feed_text": "", "window_refusal": "",
    }  # fmt: skip
    return Request(**{**fields, **changes})  # type: ignore[arg-type]


def facts(**changes: object) -> AccountFacts:
    return replace(FACTS, **changes)  # type: ignore[arg-type]


def held(contract: str = "ES", side: int = 1, micros: int = 10, worst: int = 0) -> Exposure:
    return Exposure(contract, PRODUCTS[contract].family, side, micros, worst)


def code(verdict: Approval | Refusal) -> str:
    return verdict.code if isinstance(verdict, Refusal) else "APPROVED"


def firm(rules: FirmRules | None = None, **changes: object) -> AccountFacts:
    """An account of a firm: 50K Combine, nothing made or lost, unless changed. Worst case of one MNQ: 23.22."""
    base = FirmFacts(rules or FirmRules(), True, 4_800_000, 5_000_000, 5_000_000, 5_000_000, 0, 300_000, 50, 0)
    others = {name: changes.pop(name) for name in ("exposures", "sides", "entries") if name in changes}
    return facts(firm=replace(base, **changes), **others)  # type: ignore[arg-type]


LIMITS = RiskLimits()
SHORT = signal(side=-1)
BLOCK = Refusal("RC_ORDER_UNKNOWN", "unknown")
RECENT = tuple((NOW - 30 * NS_PER_S, name) for name in ("ES", "ES", "GC", "GC", "MGC", "MES"))

CPI = firm(FirmRules(cpi_limits=(("MNQ", 0),)))
MIN5 = 300 * NS_PER_S


def release(later_ns: int) -> tuple[Cap, ...]:
    return (cpi_cap(NOW + later_ns, "calendar"),)


def near(action: str = "", contract: str = "MNQ", **changes: object) -> dict[str, object]:
    """A signal of a moment at which news meant this."""
    state = NewsState(action=action, event_ns=NOW, impact="High", **changes)  # type: ignore[arg-type]
    made = replace(signal(contract=contract), context=MarketContext(state))
    return {"signal": made, "product": PRODUCTS[contract], "quote": quote(contract)}


# (name, allowed neighbour, denied neighbour, code)
CASES: list[tuple[str, dict[str, object], dict[str, object], str]] = [
    ("state", {}, {"facts": facts(state="PAUSED", state_code="RC_OPERATOR")}, "RC_OPERATOR"),
    ("locked", {}, {"facts": facts(state="LOCKED", state_code="RC_DAILY_LOSS")}, "RC_DAILY_LOSS"),
    ("product", {}, {"product": None}, "NOT_TRADED"),
    ("data only", {}, {"product": replace(PRODUCTS["MNQ"], data_only=True)}, "NOT_TRADED"),
    ("window", {}, {"window_refusal": "closed"}, "RC_WINDOW"),
    ("I23 age", {"age_ns": 1_500_000_000}, {"age_ns": 1_500_000_001}, "SIGNAL_EXPIRED"),
    ("I23 negative age", {"age_ns": 0}, {"age_ns": -1}, "SIGNAL_EXPIRED"),
    ("feed stale", {}, {"feed": "stale"}, "RC_QUOTE_STALE"),
    ("feed gap", {}, {"feed": "gap"}, "RC_GAP_REBUILD"),
    ("feed closed", {}, {"feed": "closed"}, "RC_MARKET_CLOSED"),
    ("barred", {}, {"feed": "closed", "feed_text": "why", "feed_code": "RC_AUTH"}, "RC_AUTH"),
    ("no quote", {}, {"quote": None}, "RC_QUOTE_STALE"),
    (
        "I7 quote age",
        {"quote": quote(age_ns=3 * NS_PER_S)},
        {"quote": quote(age_ns=3 * NS_PER_S + 1)},
        "RC_QUOTE_STALE",
    ),
    ("I7 negative quote age", {}, {"quote": quote(age_ns=-1)}, "RC_QUOTE_STALE"),
    ("I7 older than the decision", {"quote": quote(seq=10)}, {"quote": quote(seq=9)}, "RC_QUOTE_STALE"),
    ("I7 epoch", {}, {"quote": quote(epoch=2)}, "RC_GAP_REBUILD"),
    ("I7 crossed", {}, {"quote": replace(quote(), bid=80_001)}, "QUOTE_CROSSED"),
    ("crossed decision", {}, {"signal": replace(signal(), quote=replace(quote(), ask=79_999))}, "QUOTE_CROSSED"),
    ("long stop above", {}, {"signal": replace(signal(), stop=80_001)}, "STOP_SIDE"),
    ("short stop below", {"signal": SHORT}, {"signal": replace(SHORT, stop=79_999)}, "STOP_SIDE"),
    ("stop passed", {"quote": quote(price=79_963)}, {"quote": quote(price=79_962)}, "STOP_SIDE"),
    ("side 0", {}, {"signal": replace(signal(), side=0)}, "STOP_SIDE"),
    ("long target below", {}, {"signal": replace(signal(), target=80_001)}, "TARGET_SIDE"),
    ("short target above", {"signal": SHORT}, {"signal": replace(SHORT, target=79_999)}, "TARGET_SIDE"),
    ("target passed", {"quote": quote(price=80_079)}, {"quote": quote(price=80_080)}, "TARGET_SIDE"),
    ("stop 4 ticks", {"signal": signal(stop_ticks=4)}, {"signal": signal(stop_ticks=3)}, "BRACKET_TOO_TIGHT"),
    ("target 4 ticks", {"signal": signal(target_ticks=10)}, {"signal": signal(target_ticks=3)}, "BRACKET_TOO_TIGHT"),
    ("collar stop", {"signal": signal(stop_ticks=390)}, {"signal": signal(stop_ticks=401)}, "PRICE_COLLAR"),
    ("collar target", {"signal": signal(target_ticks=400)}, {"signal": signal(target_ticks=401)}, "PRICE_COLLAR"),
    ("target pays", {"signal": signal(target_ticks=10)}, {"signal": signal(target_ticks=9)}, "TARGET_COST"),
    ("R3 blocked", {}, {"facts": facts(blocked=BLOCK)}, "RC_ORDER_UNKNOWN"),
    (
        "one position",
        {"facts": facts(exposures=(held("ES"),))},
        {"facts": facts(exposures=(held("MNQ"),))},
        "POSITION_OPEN",
    ),
    (
        "opposite",
        {"facts": facts(exposures=(held("NQ", 1),))},
        {"facts": facts(exposures=(held("NQ", -1),))},
        "OPPOSITE_EXPOSURE",
    ),
    ("I13 streak", {"facts": facts(loss_streak=1)}, {"facts": facts(loss_streak=2)}, "RC_CONSEC_LOSSES"),
    (
        "I13 daily cap",
        {"facts": facts(entries=((0, "ES"),) * 39)},
        {"facts": facts(entries=((0, "ES"),) * 40)},
        "ENTRY_CAP_DAY",
    ),
    (
        "account size",
        {"facts": facts(exposures=(held("ES", micros=49),))},
        {"facts": facts(exposures=(held("ES", micros=50),))},
        "SIZE_LIMIT",
    ),
    ("no micros", {}, {"limits": RiskLimits(max_micros=0)}, "SIZE_LIMIT"),
    # One MNQ with a stop 40 ticks away may lose 2322 cents.
    ("I12 R10", {"facts": facts(realised_cents=-77_678)}, {"facts": facts(realised_cents=-77_679)}, "RC_DAILY_LOSS"),
    (
        "I12 R10 open",
        {"facts": facts(exposures=(held("ES", worst=77_678),))},
        {"facts": facts(exposures=(held("ES", worst=77_679),))},
        "RC_DAILY_LOSS",
    ),
    (
        "budget",
        {"limits": RiskLimits(risk_per_trade_cents=2_322)},
        {"limits": RiskLimits(risk_per_trade_cents=2_321)},
        "RISK_BUDGET",
    ),
    (
        "I9 contract rate",
        {"facts": facts(entries=((NOW - 5 * NS_PER_S, "MNQ"),))},
        {"facts": facts(entries=((NOW - 5 * NS_PER_S + 1, "MNQ"),))},
        "RC_RUNAWAY",
    ),
    (
        "TR2 ban",
        {"facts": firm(equity_cents=4_850_001)},
        {"facts": firm(equity_cents=4_850_000)},
        "RC_MAX_LOSS",
    ),
    ("TR2 unknown past", {"facts": firm()}, {"facts": firm(known=False)}, "RC_RECONCILING"),
    # Lock at 48 300.00: the balance may fall to it and no further.
    (
        "TR4 floor",
        {"facts": firm(balance_cents=4_830_000 + 2_322)},
        {"facts": firm(balance_cents=4_830_000 + 2_321)},
        "RC_MAX_LOSS",
    ),
    (
        "TR4 floor, open risk",
        {"facts": firm(balance_cents=4_850_000, exposures=(held("ES", worst=20_000 - 2_322),))},
        {"facts": firm(balance_cents=4_850_000, exposures=(held("ES", worst=20_000 - 2_321),))},
        "RC_MAX_LOSS",
    ),
    (
        "TR5 plan and scaling",
        {"facts": firm(most_micros=20, exposures=(held("ES", micros=19),))},
        {"facts": firm(most_micros=20, exposures=(held("ES", micros=20),))},
        "SIZE_LIMIT",
    ),
    (
        "TR5 volatility",
        {"facts": firm(FirmRules(product_limits=(("MNQ", 1), ("NQ", 0))))},
        {"facts": firm(FirmRules(product_limits=(("MNQ", 0),)))},
        "LIMIT_OVERRIDE",
    ),
    (
        "TR5 override begins",
        {"caps": (Cap("MNQ", 0, NOW + 1, NOW + 9, "e-mail"),)},
        {"caps": (Cap("MNQ", 0, NOW, NOW + 9, "e-mail"),)},
        "LIMIT_OVERRIDE",
    ),
    (
        "TR5 override ends",
        {"caps": (Cap("*", 0, NOW - 9, NOW - 1, "e-mail"),)},
        {"caps": (Cap("*", 0, NOW - 9, NOW, "e-mail"),)},
        "LIMIT_OVERRIDE",
    ),
    (
        "TR5 CPI begins",
        {"facts": CPI, "caps": release(MIN5 + 1)},
        {"facts": CPI, "caps": release(MIN5)},
        "LIMIT_OVERRIDE",
    ),
    (
        "TR5 CPI ends",
        {"facts": CPI, "caps": release(-MIN5 - 1)},
        {"facts": CPI, "caps": release(-MIN5)},
        "LIMIT_OVERRIDE",
    ),
    ("TR5 CPI of the calendar", {"facts": CPI, **near()}, {"facts": CPI, **near(cpi=True)}, "LIMIT_OVERRIDE"),
    ("TR5 CPI, no rule", near(cpi=True), {"facts": CPI, **near("reduce", percent=100, cpi=True)}, "LIMIT_OVERRIDE"),
    ("news", near("warn"), near("block"), "NEWS"),
    ("news nobody knows", near("warn", stale=True), near("block", stale=True), "NEWS"),
    ("news reduce", near("reduce", percent=20), near("reduce", percent=19), "NEWS"),
    ("TR6 day profit", {"facts": firm(day_net_cents=149_999)}, {"facts": firm(day_net_cents=150_000)}, "RC_DAY_PROFIT"),
    (
        "TR8 other account",
        {"facts": firm(sides=(("NQ", 1), ("ES", -1)))},
        {"facts": firm(sides=(("NQ", -1),))},
        "OPPOSITE_EXPOSURE",
    ),
    ("TR8 another account unread", {}, {"facts": facts(unseen=(1002,))}, "RC_RECONCILING"),
    (
        "TR10 product cap",
        {"facts": firm(FirmRules(entries_per_product=3), entries=((0, "MNQ"),) * 2 + ((0, "ES"),) * 3)},
        {"facts": firm(FirmRules(entries_per_product=3), entries=((0, "MNQ"),) * 3)},
        "ENTRY_CAP_PRODUCT",
    ),
    ("TR10 actions", {"facts": firm(actions=59)}, {"facts": firm(actions=60)}, "ORDER_RATE"),
    (
        "TR11 target",
        {"facts": firm(balance_cents=5_299_999)},
        {"facts": firm(balance_cents=5_300_000)},
        "RC_TARGET",
    ),
    ("I9 account rate", {"facts": facts(entries=RECENT[:5])}, {"facts": facts(entries=RECENT)}, "RC_RUNAWAY"),
    (
        "I9 a minute is over",
        {"facts": facts(entries=tuple((NOW - 60 * NS_PER_S, name) for _, name in RECENT))},
        {"facts": facts(entries=RECENT)},
        "RC_RUNAWAY",
    ),
]


@pytest.mark.parametrize(("name", "allowed", "denied", "expected"), CASES, ids=[case[0] for case in CASES])
def test_I1_each_check_has_an_allowed_and_a_denied_neighbour(
    name: str, allowed: dict[str, object], denied: dict[str, object], expected: str
) -> None:
    assert code(decide(request(**allowed))) == "APPROVED", name
    verdict = decide(request(**denied))
    assert isinstance(verdict, Refusal)
    assert verdict.code == expected
    assert verdict.halt == (expected == "RC_RUNAWAY")
    assert verdict.text
    assert "\n" not in verdict.text


def test_every_check_of_the_table_refuses_in_some_case() -> None:
    """A check that no case reaches would be a rule without a test."""
    refusing = set()
    for _, _, denied, _ in CASES:
        asked = request(**denied)
        for check in CHECKS:
            if check(asked) is not None:
                refusing.add(check)
                break
    assert refusing == set(CHECKS)


def test_collar_also_holds_as_a_share_of_the_price() -> None:
    low = quote("MGC", price=10_000)
    wide = signal(contract="MGC", decision=low, stop_ticks=100, target_ticks=201)
    near = signal(contract="MGC", decision=low, stop_ticks=100, target_ticks=200)
    both = {"product": PRODUCTS["MGC"], "quote": low}
    assert code(decide(request(signal=near, **both))) == "APPROVED"
    assert code(decide(request(signal=wide, **both))) == "PRICE_COLLAR"


def test_an_expired_signal_is_no_runaway() -> None:
    flood = facts(entries=RECENT)
    assert code(decide(request(facts=flood, age_ns=2 * NS_PER_S))) == "SIGNAL_EXPIRED"


def test_ruling_16_distances_come_from_the_adverse_side_of_the_decision_quote() -> None:
    moved = quote(price=80_020)  # the market ran after the decision: no re-anchoring
    for side in (1, -1):
        verdict = decide(request(signal=signal(side=side, stop_ticks=40, target_ticks=90), quote=moved))
        assert isinstance(verdict, Approval)
        assert (verdict.stop_ticks, verdict.target_ticks) == (40, 90)


def test_size_shrinks_to_the_headroom_of_the_day() -> None:
    assert decide(request()) == Approval(5, 40, 80, 5 * 2_322)
    left = facts(realised_cents=-80_000 + 2 * 2_322)
    assert decide(request(facts=left)) == Approval(2, 40, 80, 2 * 2_322)
    assert headroom_cents(facts(realised_cents=100, exposures=(held(worst=300),)), LIMITS) == 79_800


def test_news_reduce_the_largest_size_and_nothing_else() -> None:
    """Five micros are the largest size; what the budget allows stays the upper bound."""
    wide = replace(LIMITS, risk_per_trade_cents=80_000)
    sizes = []
    for percent in (100, 60, 59, 40, 20):
        verdict = decide(request(**near("reduce", percent=percent), limits=wide))
        assert isinstance(verdict, Approval)
        sizes.append(verdict.size)
    assert sizes == [5, 3, 2, 2, 1]
    assert code(decide(request(**near("warn", percent=1), limits=wide))) == "APPROVED"
    no_news = replace(signal(), context=MarketContext())
    assert code(decide(request(signal=no_news, limits=wide))) == "APPROVED"
