"""Records to the engine's messages and commands to requests: ticks and cents, exactly."""

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_records import ACCOUNT, BAR, CONTRACT, ID, NOW, ORDER, POSITION, TRADE
from shared_data import shared
from tbot.domain.contracts import PRODUCTS, contract_from_broker_id
from tbot.domain.messages import CancelOrder, CloseContract, ModifyStop, PlaceBracket, PlaceStop
from tbot.gateway import codec_domain as domain
from tbot.gateway.codec_domain import ContractBook
from tbot.gateway.codec_models import BrokerBar, decode_contract
from tbot.gateway.codec_rest import encode_request
from tbot_ext.records import Flag

BOOK = ContractBook({"MNQ": ID})
OLD = "CON.F.US.MNQ.U26"
FOREIGN = "CON.F.US.BTC.F27"  # a product that is not in our table


def body(request: object) -> dict[str, object]:
    return dict(json.loads(encode_request(request)))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------ contract book
def test_I29_only_the_resolved_month_carries_the_product_symbol():
    assert BOOK.name(ID) == "MNQ"
    assert BOOK.name(OLD) == OLD
    assert BOOK.name(FOREIGN) == FOREIGN
    assert BOOK.broker_id("MNQ") == ID
    assert BOOK.broker_id(OLD) == OLD
    with pytest.raises(KeyError):
        BOOK.broker_id("ES")
    assert BOOK.product(OLD) is PRODUCTS["MNQ"]
    assert BOOK.product(FOREIGN) is None
    assert BOOK.product("nonsense") is None


@pytest.mark.shared_data
def test_recorded_contract_list_resolves_all_products():
    rows = json.loads(shared("market/projectx/contracts_available_202608.json").read_text())
    contracts = [decode_contract(json.dumps(row).encode()) for row in rows]
    found, missing = domain.resolve(contracts, PRODUCTS)
    assert missing == {}
    assert found["NQ"] == "CON.F.US.ENQ.U26"
    assert found["ES"] == "CON.F.US.EP.U26"
    assert set(found) == set(PRODUCTS)
    for symbol, broker_id in found.items():
        listed = next(item for item in contracts if item.broker_id == broker_id)
        made = domain.broker_contract(contract_from_broker_id(broker_id))
        assert (made.name, made.tick_size, made.tick_value) == (listed.name, listed.tick_size, listed.tick_value), (
            symbol
        )


def test_F_TIM_07_none_two_or_odd_contracts_are_not_resolved():
    other = replace(CONTRACT, broker_id="CON.F.US.MNQ.H27")
    assert domain.resolve([CONTRACT], ["MNQ"]) == ({"MNQ": ID}, {})
    odd = [
        replace(CONTRACT, active=False),
        replace(CONTRACT, broker_id="MNQ"),
        replace(CONTRACT, tick_size=Decimal("0.5")),
        replace(CONTRACT, tick_value=Decimal(5)),
    ]
    for listed in ([], [CONTRACT, other], *([item] for item in odd)):
        found, missing = domain.resolve(listed, ["MNQ"])
        assert found == {}
        assert missing["MNQ"]
    assert domain.resolve([replace(CONTRACT, active=False), other], ["MNQ"])[0] == {"MNQ": "CON.F.US.MNQ.H27"}


# ------------------------------------------------------------------------------------------------ records to messages
def test_order_update():
    update = domain.order_update(ORDER, BOOK, 5)
    assert (update.contract, update.status, update.order_type, update.side) == ("MNQ", "open", "stop", -1)
    assert (update.limit, update.stop, update.filled, update.size) == (None, 100378, 1, 2)
    assert (update.tag, update.parent_id, update.now_ns) == ("tb-SL", 3425714841, 5)


def test_every_status_and_type_has_a_word():
    words = [domain.order_update(replace(ORDER, status=code), BOOK, 0).status for code in range(10)]
    assert words == ["unknown", "open", "filled", "cancelled", "expired", "rejected", "pending", "pending_cancel",
                     "suspended", "unknown"]  # fmt: skip
    types = [domain.order_update(replace(ORDER, type=code), BOOK, 0).order_type for code in range(9)]
    assert types == ["other", "limit", "market", "other", "stop", "trailing_stop", "other", "other", "other"]


def test_F_DAT_02_off_tick_order_price_is_refused():
    with pytest.raises(ValueError, match="tick grid"):
        domain.order_update(replace(ORDER, stop_price=Decimal("25094.3")), BOOK, 0)


def test_fill_money_is_exact():
    fill = domain.fill(TRADE, BOOK, 5)
    assert (fill.price, fill.pnl_cents, fill.fees_cents, fill.commission_cents) == (100418, 650, 36, 25)
    assert domain.fill(replace(TRADE, pnl=None), BOOK, 5).pnl_cents is None
    with pytest.raises(ValueError, match="cents"):
        domain.fill(replace(TRADE, pnl=Decimal("6.505")), BOOK, 5)


@pytest.mark.parametrize(("broker_id", "ticks"), [("CON.F.US.BTC.Z26", 0), ("CON.F.US.TYA.Z26", 6928)])
def test_foreign_fill_is_rounded_to_the_worse_side(broker_id, ticks):
    """Neither of an unknown product nor of one with a broken tick value is money known to the cent."""
    pnl, fees = Decimal("-7.8125"), Decimal("0.365")
    foreign = replace(TRADE, broker_id=broker_id, price=Decimal("108.25"), pnl=pnl, fees=fees)
    fill = domain.fill(foreign, BOOK, 5)
    assert (fill.contract, fill.price, fill.pnl_cents, fill.fees_cents) == (broker_id, ticks, -782, 37)


@pytest.mark.parametrize(
    ("size", "average", "total"),
    [(3, "25104.333333333", 301252), (-3, "25104.333333333", 301252), (1, "25104.5", 100418), (0, "29398.5", 0)],
)
def test_position_basis_is_the_exact_sum(size, average, total):
    update = domain.position_update(replace(POSITION, size=size, average_price=Decimal(average)), BOOK, 5)
    assert (update.size, update.price_size_sum) == (size, total)


@given(st.lists(st.integers(1, 400_000), min_size=1, max_size=15))
def test_position_basis_survives_a_cut_average(prices):
    product = PRODUCTS["MNQ"]
    average = (product.to_price(sum(prices)) / len(prices)).quantize(Decimal("1e-9"))
    update = domain.position_update(replace(POSITION, size=len(prices), average_price=average), BOOK, 0)
    assert update.price_size_sum == sum(prices)


def test_account_update():
    update = domain.account_update(ACCOUNT, 5)
    assert (update.account, update.balance_cents, update.can_trade, update.simulated) == (1001, 4_999_939, True, True)


# ---------------------------------------------------------------------------------------------------------------- bars
def test_bars_array_and_back():
    product = PRODUCTS["MNQ"]
    odd = BrokerBar(BAR.start_ns + 1, BAR.open, BAR.high, BAR.low, BAR.close, 1)
    off_tick = replace(BAR, open=Decimal("10.1"))
    array, refused = domain.bars_array([BAR, odd, off_tick], product, 1)
    assert refused == 2
    assert array["open"].tolist() == [40]
    assert array["timeframe_min"].tolist() == [1]
    assert array["flags"].tolist() == [int(Flag.FROM_HISTORY)]
    assert domain.broker_bars(array, product) == [BAR]
    assert len(domain.bars_array([], product, 1)[0]) == 0


# ------------------------------------------------------------------------------------------------ commands to requests
def test_commands_are_exactly_what_the_gateway_documents():
    bracket = PlaceBracket("c1", 1001, "MNQ", 1, 2, -40, 80, "TB1-x-E", "s1")
    assert body(domain.place_bracket_request(bracket, BOOK)) == {
        "accountId": 1001,
        "contractId": ID,
        "type": 2,
        "side": 0,
        "size": 2,
        "customTag": "TB1-x-E",
        "stopLossBracket": {"ticks": -40, "type": 4},
        "takeProfitBracket": {"ticks": 80, "type": 1},
    }
    stop = PlaceStop("c2", 1001, "MNQ", -1, 2, 100378, "TB1-x-S")
    assert body(domain.place_stop_request(stop, BOOK)) == {
        "accountId": 1001,
        "contractId": ID,
        "type": 4,
        "side": 1,
        "size": 2,
        "stopPrice": 25094.5,
        "customTag": "TB1-x-S",
    }
    modify = body(domain.modify_stop_request(ModifyStop("c3", 1001, "MNQ", 77, 100380), BOOK))
    assert modify == {"accountId": 1001, "orderId": 77, "stopPrice": 25095.0}
    assert body(domain.cancel_request(CancelOrder("c4", 1001, "MNQ", 77))) == {"accountId": 1001, "orderId": 77}
    close = body(domain.close_request(CloseContract("c5", 1001, OLD, "why"), BOOK))
    assert close == {"accountId": 1001, "contractId": OLD}


def test_an_unresolved_contract_gives_no_request():
    with pytest.raises(KeyError):
        domain.place_bracket_request(PlaceBracket("c1", 1001, "ES", 1, 2, -40, 80, "t", "s"), BOOK)
    with pytest.raises(KeyError):
        domain.place_stop_request(PlaceStop("c1", 1001, FOREIGN, 1, 2, 100, "t"), BOOK)
    assert NOW > 0
