"""Rolls: the old month stays what it was for those who hold it, the new one takes the orders."""

from datetime import date
from decimal import Decimal
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_rig import DAY_NS, ES, MNQ, OWNER
from tbot.domain.contracts import PRODUCTS, Contract, Product, contract_from_broker_id
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import SessionCalendar
from tbot.sim.accounts import AccountRules
from tbot.sim.exchange import NOT_TRADING
from tbot.sim.listing import front_contract
from tbot.sim.views import event_record
from tbot.storage.sessions import load_sessions
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind
from venue_rig import FIRST, S, VenueRig

MARCH = "CON.F.US.MNQ.H27"
DAY = 24 * 3600 * NS_PER_S


def rolled(offset: int = 200) -> VenueRig:
    """Long 2 MNQ Z26 from 1002 with stop 962 and target 1082, then the roll; the new month is 200 ticks higher."""
    rig = VenueRig()
    rig.bracket(size=2)
    rig.quote(1000, 1002)
    rig.controls.roll("MNQ", rig.now_ns, offset)
    return rig


def test_F_TIM_07_the_new_month_is_listed_and_takes_orders_the_old_one_does_not() -> None:
    rig = rolled()
    listed = [contract.broker_id for contract in rig.exchange.listed()]
    assert listed == [MARCH, ES]
    assert rig.exchange.find_contract(MNQ) == (contract_from_broker_id(MNQ), False)
    assert rig.exchange.find_contract(MARCH) == (contract_from_broker_id(MARCH), True)
    assert rig.place(MNQ).code == 9
    assert rig.place(MARCH, tag="new", stop_ticks=-40).code == 0
    rig.quote(1200, 1203)
    fill = rig.account.book.fills[-1]
    assert (fill.price, rig.size("MNQ"), rig.size("MNQ.Z26")) == (1203, 1, 2)


def test_F_TIM_07_what_was_done_in_the_old_month_keeps_its_name() -> None:
    rig = rolled()
    records = [event_record(item, rig.exchange.contracts) for item in rig.exchange.drain()]
    ids = {record.broker_id for record in records if hasattr(record, "broker_id")}
    assert ids == {MNQ}  # told before the roll, handed out after it
    assert {order.contract for order in rig.orders} == {"MNQ.Z26"}
    assert {fill.contract for fill in rig.account.book.fills} == {"MNQ.Z26"}
    assert [holding.contract for holding in rig.account.book.holdings()] == ["MNQ.Z26"]


def test_F_TIM_07_the_old_month_goes_on_at_the_distance_of_the_roll() -> None:
    rig = rolled()
    rig.trade(1163)  # 963 of the old month: above the stop
    assert rig.size("MNQ.Z26") == 2
    assert rig.account.book.unrealised_cents(rig.exchange.states) == (1000 - 1002) * 2 * 50
    rig.quote(1160, 1162)
    rig.trade(1162)
    assert rig.size("MNQ.Z26") == 0
    assert rig.account.book.fills[-1].price == 960  # its bid: 1160 less 200
    assert rig.states() == ["filled 2/2", "filled 2/2", "cancelled 0/2"]


def test_F_TIM_07_a_position_in_the_old_month_can_be_closed_and_its_orders_cancelled() -> None:
    rig = rolled()
    assert rig.cancel(FIRST + 2) == 0
    assert rig.close(MARCH) == 2  # there is nothing in the new month
    assert rig.close(MNQ) == 0
    rig.wait(S)
    assert rig.size("MNQ.Z26") == 0
    assert rig.close(MNQ) == 4  # nothing left: an inactive month like any other
    assert rig.account.book.living_orders()[0].contract == "MNQ.Z26"  # a close leaves the stop behind, as ever


def test_a_silent_market_fills_a_close_in_the_old_month_at_the_last_known_price() -> None:
    rig = rolled(offset=0)
    rig.close(MNQ)
    rig.wait(S)
    assert rig.account.book.fills[-1].price == 1000


def test_two_rolls_in_a_row_keep_both_distances() -> None:
    rig = rolled(200)
    rig.place(MARCH)
    rig.quote(1200, 1202)
    rig.controls.roll("MNQ", rig.now_ns, -50)
    rig.quote(1300, 1302)
    bids = {key: state.bid for key, state in rig.exchange.states.items() if key.startswith("MNQ")}
    assert bids == {"MNQ": 1300, "MNQ.H27": 1350, "MNQ.Z26": 1150}
    rig.controls.liquidate(rig.account_id, rig.now_ns)
    assert rig.account.book.holdings() == []


def test_quiet_contracts_move_all_their_months() -> None:
    rig = VenueRig()
    rig.controls.roll("MNQ", rig.now_ns, 10)
    rig.quote(1100, 1102)
    rig.trade(1101)
    old = rig.exchange.states["MNQ.Z26"]
    assert (old.bid, old.ask, old.last) == (1090, 1092, 1091)


def test_both_months_count_for_the_size_limit() -> None:
    rig = VenueRig(rules=AccountRules(max_micros=5))
    rig.place(size=3)
    rig.quote(1000, 1002)
    rig.controls.roll("MNQ", rig.now_ns)
    assert rig.place(MARCH, size=3).text == "Maximum position exceeded."
    assert rig.place(MARCH, size=2).code == 0


def test_a_roll_is_told_to_whoever_listens_and_may_go_to_a_chosen_month() -> None:
    rig = VenueRig()
    heard: list[tuple[str, str, int, int]] = []
    rig.exchange.on_roll.append(lambda old, new, offset, at: heard.append((old.broker_id, new.broker_id, offset, at)))
    new = rig.controls.roll("MNQ", 5, 7, to="CON.F.US.MNQ.M27")
    assert heard == [(MNQ, "CON.F.US.MNQ.M27", 7, 5)]
    assert new.name == "MNQM7"
    for again in (MNQ, "CON.F.US.MNQ.M27"):
        with pytest.raises(ValueError, match="cannot follow"):
            rig.controls.roll("MNQ", 5, to=again)


def test_F_TIM_07_the_calendar_rolls_at_the_trading_day_and_never_back() -> None:
    rolls = {"CON.F.US.MNQ.Z26": date(2026, 11, 23)}

    def listing(product: Product, day: date) -> Contract:
        return front_contract(product, day, rolls)

    rig = VenueRig(listing=listing)
    rig.wait(DAY)  # Saturday
    assert [contract.broker_id for contract in rig.exchange.listed()] == [MNQ, ES]
    rig.wait(2 * DAY)
    assert [contract.broker_id for contract in rig.exchange.listed()] == [MARCH, ES]
    rig.controls.roll("ES", rig.now_ns)
    rig.wait(DAY)
    assert rig.exchange.listed()[1].broker_id == "CON.F.US.EP.H27"  # ahead of the calendar: it stays


def test_expired_and_skipped_months_are_known_and_other_ids_are_not() -> None:
    rig = VenueRig()
    for broker_id, known in (
        ("CON.F.US.MNQ.U26", True),
        ("CON.F.US.MNQ.Z19", True),
        ("CON.F.US.MNQ.G27", False),
        ("CON.F.US.GCE.Z26", False),  # a product that this venue does not list
    ):
        found = rig.exchange.find_contract(broker_id)
        assert (found is not None) == known, broker_id
        assert found is None or not found[1]


def test_the_daily_flatten_ends_both_months_as_expired() -> None:
    rig = VenueRig(hours=SessionCalendar(load_sessions(), template_ok=True))
    rig.bracket(size=2)
    rig.quote(1000, 1002)
    rig.controls.roll("MNQ", rig.now_ns, 100)
    rig.place(MARCH, order_type=1, limit_price="200")
    rig.now_ns = DAY_NS + 371 * 60 * NS_PER_S  # 15:11 in Chicago
    rig.exchange.advance(rig.now_ns)
    assert rig.account.book.holdings() == []
    assert [order.status for order in rig.orders[1:4]] == ["expired"] * 3
    assert rig.place(MARCH).text == NOT_TRADING


def test_products_that_cannot_be_booked_to_the_cent_are_shown_but_not_traded() -> None:
    from tbot.gateway.codec import broker_contract
    from tbot.sim.exchange import Exchange
    from tbot.sim.orders import PlaceFields

    contracts = [front_contract(PRODUCTS[symbol], date(2026, 8, 19)) for symbol in ("M6B", "CL")]
    exchange = Exchange(contracts)
    account = exchange.add_account(OWNER)
    assert [broker_contract(contract).tick_value for contract in exchange.listed()] == [Decimal("0.625"), Decimal(10)]
    for contract, code in zip(contracts, (2, 0), strict=True):
        exchange.states[contract.product.symbol].on_quote(7000, 7001)
        answer = exchange.place(OWNER, PlaceFields(account.account_id, contract.broker_id, 2, 0, 1), DAY_NS)
        assert answer.code == code


ROW = st.tuples(
    st.sampled_from(["MNQ", "ES"]), st.sampled_from([Kind.TRADE, Kind.QUOTE, Kind.HISTORY]), st.integers(990, 1010)
)


@given(st.lists(ROW, max_size=12), st.integers(0, 1))
def test_a_few_ticks_and_many_move_the_same_months_to_the_same_prices(rows, busy):
    ticks = np.zeros(len(rows), TICK_DTYPE)
    for tick, (symbol, kind, price) in zip(ticks, rows, strict=True):
        tick["contract_id"], tick["kind"] = PRODUCTS[symbol].contract_id, kind
        tick["price"], tick["price2"] = price, NO_PRICE if price == 1000 else price + 1
    found = []
    for few in (-1, 32):
        rig = VenueRig()
        with mock.patch("tbot.sim.months.FEW", few), mock.patch("tbot.sim.exchange.FEW", few):
            rig.quote(1000, 1002)
            rig.controls.roll("MNQ", rig.now_ns, 200)
            if busy:
                rig.place(MARCH, stop_ticks=-40)
            rig.exchange.on_ticks(ticks)
        found.append((rig.exchange.states, [account.book.fills for account in rig.exchange.accounts.values()]))
    assert found[0] == found[1]
