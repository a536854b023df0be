"""Caps for a stretch of time and CPI windows: edges, sizes, and what minis and micros take from each other (TR5)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desk_rig import quote, signal
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.errors import ConfigError
from tbot.risk.caps import Cap, cpi_cap, most_contracts
from tbot.risk.firm import FirmFacts, FirmRules
from tbot.risk.gate import AccountFacts, Approval, Exposure, Refusal, Request, decide
from tbot.risk.limits import RiskLimits

NOW = 1_000 * NS_PER_S
WIDE = RiskLimits(max_micros=150, max_minis=15, max_account_micros=150, risk_per_trade_cents=80_000)


def size(
    contract: str, rules: FirmRules, *, exposures: tuple[Exposure, ...] = (), caps: tuple[Cap, ...] = ()
) -> int | str:
    """Contracts that the gate approves with a stop 4 ticks away, or the code of its refusal."""
    firm = FirmFacts(rules, True, 0, 10**8, 10**8, most_micros=rules.max_micros)
    wanted = signal(contract=contract, stop_ticks=4, target_ticks=100)
    facts = AccountFacts("ACTIVE", "", "", 0, 0, exposures, None, (), firm=firm)
    verdict = decide(Request(NOW, wanted, quote(contract), 0, PRODUCTS[contract], WIDE, facts, "ok", "", "", caps=caps))
    return verdict.size if isinstance(verdict, Approval) else verdict.code


def holds(contract: str, contracts: int) -> Exposure:
    product = PRODUCTS[contract]
    return Exposure(contract, product.family, 1, contracts * product.micros, 0)


@pytest.mark.parametrize("plan", [50, 100, 150])
def test_TR5_plan_limit_in_mini_equivalents_over_all_products(plan: int) -> None:
    rules = FirmRules(max_micros=plan, target_cents=0)
    # 4 ticks + 4 slippage of MNQ and costs: 5.22; the budget of 800.00 pays for 153.
    assert size("MNQ", rules) == plan
    assert size("MNQ", rules, exposures=(holds("ES", 2), holds("MGC", 7))) == plan - 27
    assert size("NQ", rules, exposures=(holds("ES", plan // 10 - 1), holds("MGC", 1))) == "SIZE_LIMIT"
    assert size("NQ", rules, exposures=(holds("ES", plan // 10 - 1),)) == 1


@pytest.mark.parametrize(("account", "micros"), [("50K", 3), ("100K", 6), ("150K", 9)])
def test_TR5_CPI_minis_none_and_micros_by_account_size(account: str, micros: int) -> None:
    rules = FirmRules(target_cents=0, cpi_limits=(("MNQ", micros), ("NQ", 0)))
    release = (cpi_cap(NOW, "bls.gov"),)
    assert size("MNQ", rules, caps=release) == micros, account
    assert size("NQ", rules, caps=release) == "LIMIT_OVERRIDE"
    assert size("NQ", rules, caps=(cpi_cap(NOW + 5 * NS_PER_MIN + 1, "bls.gov"),)) == 5
    assert size("MES", rules, caps=release) == 50  # not among the products of the rule
    assert size("MNQ", rules, exposures=(holds("NQ", 1),), caps=release) == "LIMIT_OVERRIDE"  # 10 micros already


def test_TR5_minis_and_micros_share_what_a_cap_leaves() -> None:
    rules = FirmRules(target_cents=0, product_limits=(("GC", 3), ("MGC", 30)))
    assert (size("GC", rules), size("MGC", rules)) == (3, 30)
    assert size("MGC", rules, exposures=(holds("GC", 2),)) == 10
    assert size("GC", rules, exposures=(holds("MGC", 11),)) == 1
    assert size("GC", rules, exposures=(holds("MGC", 21),)) == "LIMIT_OVERRIDE"
    assert size("GC", rules, exposures=(holds("ES", 2),)) == 3  # another underlying takes nothing of it


def test_TR5_the_least_of_all_that_is_in_force_counts() -> None:
    rules = FirmRules(target_cents=0, product_limits=(("MNQ", 9),))
    caps = (
        Cap("MNQ", 4, NOW, NOW + 1, "a"),
        Cap("*", 6, NOW, NOW + 1, "b"),
        Cap("ES", 0, NOW, NOW + 1, "c"),
        Cap("MNQ", 1, NOW + 1, NOW + 2, "not yet"),
    )
    product = PRODUCTS["MNQ"]
    assert most_contracts(product, NOW, caps, rules) == (4, "a")
    assert most_contracts(product, NOW, caps[1:], rules) == (6, "b")
    assert most_contracts(product, NOW, (), rules) == (9, "the firm's limit")
    assert most_contracts(product, NOW, (), None) is None
    assert most_contracts(product, NOW + 1, caps, None) == (1, "not yet")
    assert most_contracts(product, NOW, (cpi_cap(NOW, "x"),), None) is None  # the firm's rule, and no firm watches
    assert size("MNQ", rules, caps=caps) == 4


@pytest.mark.parametrize("most", [-1, 1_001, 2.0, True, None])
def test_F_CFG_03_a_cap_must_be_a_count(most: object) -> None:
    with pytest.raises(ConfigError, match="cap of MNQ"):
        Cap("MNQ", most, 1, 2, "x")  # type: ignore[arg-type]


@pytest.mark.parametrize("end", [0, 1])
def test_F_CFG_03_a_cap_ends_after_it_begins(end: int) -> None:
    with pytest.raises(ConfigError, match="ends before"):
        Cap("MNQ", 1, 1, end, "x")


held_strategy = st.lists(
    st.tuples(st.sampled_from(["ES", "MES", "NQ", "MGC"]), st.integers(1, 30), st.integers(0, 40_000)),
    max_size=4,
    unique_by=lambda row: row[0],
)


@given(
    held_strategy,
    st.integers(-79_999, 100_000),  # net result of the day
    st.integers(4_830_001, 5_200_000),  # balance
    st.integers(4_700_000, 4_900_000),  # floor
    st.integers(0, 60),  # cap
    st.integers(4, 60),  # stop distance in ticks
)
def test_TR4_TR5_R10_I12_size_against_the_reference(
    positions: list[tuple[str, int, int]], realised: int, balance: int, floor: int, cap: int, stop: int
) -> None:
    """Brute force: the most contracts, counted up one by one, with which every promise still holds."""
    exposures = tuple(replace(holds(name, count), worst_cents=worst) for name, count, worst in positions)
    limits = replace(WIDE, risk_per_trade_cents=20_000)
    rules = FirmRules(target_cents=0, day_profit_stop_cents=0)
    firm = FirmFacts(rules, True, floor, balance, 10**8, 10**8, realised, most_micros=50)
    facts = AccountFacts("ACTIVE", "", "", realised, 0, exposures, None, (), firm=firm)
    wanted = signal(stop_ticks=stop, target_ticks=100)
    caps = (Cap("MNQ", cap, 0, NOW, "x"),)
    verdict = decide(Request(NOW, wanted, quote(), 0, PRODUCTS["MNQ"], limits, facts, "ok", "", "", caps=caps))

    def promised(contracts: int) -> bool:
        loss = contracts * ((stop + 4) * 50 + 2 * 61)
        worst = sum(risk for _, _, risk in positions)
        micros = sum(count * PRODUCTS[name].micros for name, count, _ in positions)
        same = sum(count * PRODUCTS[name].micros for name, count, _ in positions if name == "NQ")
        return (
            realised - worst - loss >= -80_000
            and balance - worst - loss >= floor + 30_000
            and loss <= 20_000
            and micros + contracts <= 50
            and same + contracts <= cap
        )

    most = max((count for count in range(61) if promised(count)), default=0)
    if isinstance(verdict, Refusal):
        assert most == 0
        assert verdict.code in ("RC_DAILY_LOSS", "RC_MAX_LOSS", "SIZE_LIMIT", "LIMIT_OVERRIDE", "RISK_BUDGET")
    else:
        assert verdict.size == most
