"""The product table: exact prices, ids that never change, and the gateway's own list as the independent truth."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_data import shared
from tbot.domain.contracts import BY_ID, BY_ROOT, PRODUCTS, contract_from_broker_id

FIRST_ELEVEN = ("MNQ", "NQ", "MES", "ES", "MGC", "GC", "6E", "6J", "6B", "6C", "6S")


def test_ids_of_tapes_and_rings_stay_what_they_were() -> None:
    assert tuple(BY_ID[number].symbol for number in range(1, 12)) == FIRST_ELEVEN
    assert len(PRODUCTS) == len(BY_ID) == len(BY_ROOT) == 51
    assert set(BY_ID) == set(range(1, 52))


@pytest.mark.shared_data
def test_the_table_says_what_the_gateway_listed() -> None:
    rows = json.loads(shared("market/projectx/contracts_available_202608.json").read_text(), parse_float=Decimal)
    assert len(rows) == len(PRODUCTS)
    for row in rows:
        contract = contract_from_broker_id(row["id"])
        product = contract.product
        assert contract.name == row["name"]
        assert contract.symbol_id == row["symbolId"]
        assert row["description"].rpartition(":")[0] == product.description
        assert (product.tick_size, product.tick_value) == (row["tickSize"], row["tickValue"])


@pytest.mark.parametrize(
    ("symbol", "side_cents"),
    list(
        {
            "MNQ": 61,
            "ES": 189,
            "MGC": 96,
            "GC": 216,
            "MCL": 86,
            "CL": 201,
            "6E": 211,
            "M6A": 50,
            "SI": 216,
            "SIL": 136,
            "RTY": 189,
            "M2K": 61,
            "6N": 211,
        }.items()
    ),
)
def test_costs_of_one_side(symbol: str, side_cents: int) -> None:
    """The side totals of the firm's page, which are not the sums that the table was written from."""
    product = PRODUCTS[symbol]
    assert product.round_turn_cents == 2 * side_cents
    assert not product.data_only


@pytest.mark.parametrize(
    ("symbol", "per_point"),
    list(
        {
            "MNQ": 2,
            "NQ": 20,
            "MES": 5,
            "ES": 50,
            "MGC": 10,
            "GC": 100,
            "CL": 1000,
            "6E": 125_000,
            "ZB": 1000,
            "6J": 12_500_000,
            "M6B": 6250,
            "SI": 5000,
            "SIL": 1000,
            "HG": 25_000,
            "NG": 10_000,
        }.items()
    ),
)
def test_dollars_per_point(symbol: str, per_point: int) -> None:
    assert PRODUCTS[symbol].tick_value / PRODUCTS[symbol].tick_size == per_point


def test_what_cannot_be_booked_to_the_cent_or_costs_nobody_knows_what_is_data_only() -> None:
    broken = {symbol for symbol, product in PRODUCTS.items() if product.tick_value * 100 % 1}
    assert broken == {"M6B", "ZT", "ZF", "ZN", "TN"}
    for symbol, product in PRODUCTS.items():
        unknown_costs = product.round_turn_cents == 0
        assert product.data_only == (symbol in broken or unknown_costs), symbol
        if symbol not in broken:
            assert product.tick_value_cents == product.tick_value * 100


@given(st.sampled_from(sorted(PRODUCTS)), st.integers(-(10**8), 10**8))
def test_prices_and_ticks_convert_exactly_both_ways(symbol: str, ticks: int) -> None:
    product = PRODUCTS[symbol]
    price = product.to_price(ticks)
    assert product.to_ticks(price) == product.to_ticks(str(price)) == product.float_to_ticks(float(price)) == ticks
    assert Decimal(product.format(ticks)) == price


@given(st.sampled_from(sorted(PRODUCTS)), st.integers(1, 10**6), st.integers(-60, -12))
def test_a_price_off_the_grid_is_refused_however_little(symbol: str, ticks: int, exponent: int) -> None:
    product = PRODUCTS[symbol]
    price = Decimal(f"{product.to_price(ticks):f}") + 0
    digits = f"{price:.11f}"[:-1] + "0" * (-exponent - 11) + "1"
    with pytest.raises(ValueError, match="not on the tick grid"):
        product.to_ticks(Decimal(digits))


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-Infinity", "1E+16", "1E+999999"])
def test_no_number_becomes_a_price_that_is_none(price: str) -> None:
    with pytest.raises(ValueError, match="not finite"):
        PRODUCTS["ES"].to_ticks(price)


@pytest.mark.parametrize("bad", ["", "CON.F.US.MNQ", "CON.F.US..Z26", "CON.F.US.MNQ.A26", "CON.F.US.MNQ.Z2x", "MNQZ6"])
def test_ids_of_another_shape_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="not of the form"):
        contract_from_broker_id(bad)
