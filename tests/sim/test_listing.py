"""Active months: the list recorded on one day, the published dates, and a calendar that only moves on."""

import json
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared_data import shared
from tbot.domain.contracts import PRODUCTS, contract_from_broker_id, parse_broker_id
from tbot.sim.listing import front_contract, next_contract, was_listed

RECORDED_ON = date(2026, 8, 19)


@pytest.mark.shared_data
def test_the_recorded_day_has_the_months_that_the_gateway_listed() -> None:
    rows = json.loads(shared("market/projectx/contracts_available_202608.json").read_text())
    ours = {front_contract(product, RECORDED_ON).broker_id for product in PRODUCTS.values()}
    assert ours == {row["id"] for row in rows}


@pytest.mark.parametrize(
    ("symbol", "last_day", "month", "following"),
    [
        # equity index: the Monday of the usual roll; FX: before the last trade day, Monday before the third Wednesday
        ("MNQ", date(2026, 12, 13), "Z26", "H27"),
        ("ES", date(2027, 3, 14), "H27", "M27"),
        ("RTY", date(2027, 6, 13), "M27", "U27"),
        ("6E", date(2026, 12, 10), "Z26", "H27"),
        ("6J", date(2027, 9, 9), "U27", "Z27"),
        # gold skips October, and leaves December in its last November week
        ("GC", date(2026, 7, 24), "Q26", "Z26"),
        ("MGC", date(2026, 11, 24), "Z26", "G27"),
        # crude: 25 Sep 2026 is a Friday, last trade Tue 22 Sep, volume leaves on Fri 18 Sep; the micro a day earlier
        ("CL", date(2026, 9, 17), "V26", "X26"),
        ("MCL", date(2026, 9, 16), "V26", "X26"),
        # 25 Oct 2026 is a Sunday: counted from Fri 23 Oct, last trade Tue 20 Oct
        ("CL", date(2026, 10, 15), "X26", "Z26"),
        # gas: 1 Dec 2026 is a Tuesday, last trade (holidays apart) Thu 26 Nov
        ("NG", date(2026, 11, 23), "Z26", "F27"),
    ],
)
def test_months_change_on_the_published_days(symbol: str, last_day: date, month: str, following: str) -> None:
    product = PRODUCTS[symbol]
    prefix = f"CON.F.US.{product.root}."
    assert front_contract(product, last_day).broker_id == prefix + month
    then = front_contract(product, last_day + timedelta(days=1))
    assert then.broker_id == prefix + following
    assert next_contract(front_contract(product, last_day)) == then


@given(st.sampled_from(sorted(PRODUCTS)), st.dates(date(2020, 1, 1), date(2035, 1, 1)))
def test_the_active_month_only_moves_on_and_is_never_over(symbol: str, day: date) -> None:
    product = PRODUCTS[symbol]
    today, tomorrow = front_contract(product, day), front_contract(product, day + timedelta(days=1))
    assert tomorrow in (today, next_contract(today))
    _, code, year = parse_broker_id(today.broker_id)
    delivery = date(year, "FGHJKMNQUVXZ".index(code) + 1, 1)
    assert code in product.cycle
    assert day < delivery + timedelta(days=28)
    assert delivery - day < timedelta(days=200)


def test_a_roll_date_can_be_configured_per_month() -> None:
    product = PRODUCTS["MNQ"]
    rolls = {"CON.F.US.MNQ.Z26": date(2026, 11, 30)}
    assert front_contract(product, date(2026, 11, 29), rolls).broker_id == "CON.F.US.MNQ.Z26"
    assert front_contract(product, date(2026, 11, 30), rolls).broker_id == "CON.F.US.MNQ.H27"
    late = {"CON.F.US.MNQ.Z26": date(2026, 12, 17)}
    assert front_contract(product, date(2026, 12, 16), late).broker_id == "CON.F.US.MNQ.Z26"


def test_skipped_months_exist_but_never_become_active() -> None:
    gold = PRODUCTS["GC"]
    assert was_listed(gold, "V")
    assert not was_listed(gold, "F")
    days = (date(2026, 1, 1) + timedelta(days=number) for number in range(0, 800, 3))
    assert not any(".V" in front_contract(gold, day).broker_id for day in days)
    assert next_contract(contract_from_broker_id("CON.F.US.GCE.Q26")).broker_id == "CON.F.US.GCE.Z26"
