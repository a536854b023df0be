"""What the owner holds by hand in contracts that the account does not trade: valued, and closed by the loss rules."""

import pytest

from desk_rig import PRICE, Rig, settings
from tbot.domain.contracts import PRODUCTS, product_named
from tbot.domain.messages import CloseContract, Quote
from tbot.domain.positions import Position
from tbot.execution.desk import AccountSettings
from tbot.risk.valuation import unrealised_cents

CL = "CON.F.US.CLE.Z26"
FEES = PRODUCTS["CL"].fees_cents + PRODUCTS["CL"].commission_cents


def holding(contract: str, size: int, side: int = 1, stop: int | None = None) -> Rig:
    """The account trades MNQ alone; its owner holds this, with a stop or without."""
    rig = Rig(settings(accounts=(AccountSettings(1001, "PRAC-1", contracts=("MNQ",)),))).start()
    rig.broker.price.setdefault(contract, 7_000)
    rig.broker.place_foreign(contract, side, size)
    if stop is not None:
        rig.broker.place_foreign(contract, -side, size, "stop", stop)
    rig.pump()
    rig.run(2)
    return rig


def test_F_ACC_02_I12_a_position_that_the_desk_has_a_price_for_counts_by_it_and_is_closed_at_the_limit() -> None:
    rig = holding("MES", 3)
    fees = 3 * (PRODUCTS["MES"].fees_cents + PRODUCTS["MES"].commission_cents)
    assert rig.view()["unrealised_cents"] == -2 * 3 * 125 - fees  # bid against the ask that was paid
    rig.prices["MES"] -= 204
    rig.run(1)
    assert rig.state == "ACTIVE"
    rig.broker.place_foreign("MES", 1, 1, "stop", PRICE["MES"] + 500)  # of no position once that is closed
    rig.prices["MES"] -= 6
    rig.run(5)
    assert (rig.state, rig.broker.size("MES"), rig.broker.working()) == ("LOCKED", 0, [])
    assert "RC_DAILY_LOSS" in [reason["code"] for reason in rig.view()["reasons"]]


@pytest.mark.parametrize("contract", ["CL", CL])
def test_F_RSK_01_F_ACC_02_without_a_price_it_stands_at_its_stop(contract: str) -> None:
    rig = holding(contract, 1, stop=6_970)
    assert rig.view()["unrealised_cents"] == -30 * 1_000 - FEES
    rig.run(200, step=1)
    assert (rig.state, rig.broker.size(contract)) == ("ACTIVE", 1)
    short = holding(contract, 1, -1, stop=7_100)
    assert (short.state, short.broker.size(contract)) == ("LOCKED", 0)


def test_F_RSK_01_F_ACC_02_without_price_and_stop_nothing_is_assumed_and_no_entry_has_room() -> None:
    rig = holding(CL, 1)
    assert rig.view()["unrealised_cents"] == -FEES
    rig.signal(1)
    assert rig.denials == ["RC_DAILY_LOSS"]
    rig.run(200, step=1)
    assert (rig.state, rig.broker.size(CL)) == ("ACTIVE", 1), "what the owner holds by hand is not closed on a guess"


def test_F_ACC_02_a_gap_of_its_prices_is_no_loss() -> None:
    rig = holding("MES", 5)
    rig.quote_age_ns = 11 * 10**9
    rig.run(60, step=1)
    rig.quote_age_ns = 0
    rig.run(100, step=1)
    assert (rig.state, rig.broker.size("MES")) == ("ACTIVE", 5)


def test_F_CFG_06_F_ACC_02_kill_closes_what_is_not_traded_and_flatten_does_not() -> None:
    rig = holding(CL, 1, stop=6_990)
    rig.operator("flatten")
    rig.run(5)
    assert rig.broker.size(CL) == 1
    assert rig.desk.is_flat(1001)
    rig.operator("kill")
    rig.run(5)
    assert [command.contract for command in rig.broker.sent(CloseContract)] == [CL]
    assert (rig.broker.size(CL), rig.broker.working(), rig.state) == (0, [], "LOCKED")


def test_I19_a_tick_that_is_no_whole_cent_is_worth_less_never_more() -> None:
    product, quote = PRODUCTS["ZT"], Quote(27_000, 27_001, 0, 1, 0, 1)  # 7.8125 USD a tick
    assert unrealised_cents(product, Position(1, 26_999), quote, 0, 10**9) == 781
    assert unrealised_cents(product, Position(1, 27_001), quote, 0, 10**9) == -782
    assert unrealised_cents(product, Position(-4, 4 * 27_000), quote, 0, 10**9) == -3_125


@pytest.mark.parametrize(
    ("name", "symbol"), [("MNQ", "MNQ"), ("CON.F.US.ENQ.Z26", "NQ"), ("CON.F.US.XYZ.Z26", None), ("what", None)]
)
def test_a_product_is_known_by_symbol_and_by_gateway_id(name: str, symbol: str | None) -> None:
    found = product_named(name)
    assert (None if found is None else found.symbol) == symbol


@pytest.mark.parametrize(("stop", "expected"), [(None, False), (6_970, True)])
def test_F_ACC_02_a_strangers_position_is_shown_as_protected_by_a_stop_only(stop: int | None, expected: bool) -> None:
    """It was always called protected, because no part of it is ours."""
    (held,) = holding(CL, 1, stop=stop).view()["positions"]
    assert (held["foreign"], held["protected"]) == (1, expected)


def test_F_ACC_02_what_is_held_beside_ours_counts_as_unprotected() -> None:
    rig = Rig().start()
    rig.signal(1)
    rig.run(1)
    assert rig.view()["positions"][0]["protected"]
    rig.broker.place_foreign("MNQ", 1, 1)
    rig.pump()
    assert not rig.view()["positions"][0]["protected"]
