"""REST bodies: the outcome table cell by cell, strict answers, lenient requests, recorded samples."""

import json
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_records import ACCOUNT, BAR, CONTRACT, ID, ORDER, POSITION, TRADE
from json_mutations import mutated
from shared_data import shared
from tbot.gateway import codec_rest as rest
from tbot.gateway import codec_tables as tables
from tbot.gateway import outcomes
from tbot.gateway.codec_models import BrokerBar, decode_account, decode_contract, decode_order, decode_trade

EXPECTED = {
    tables.LOGIN_KEY: "a.b.c", tables.VALIDATE: "a.b.d", tables.ACCOUNT_SEARCH: [ACCOUNT],
    tables.CONTRACT_SEARCH: [CONTRACT], tables.CONTRACT_BY_ID: CONTRACT, tables.CONTRACT_AVAILABLE: [CONTRACT],
    tables.RETRIEVE_BARS: [BAR], tables.ORDER_PLACE: 3425714842, tables.ORDER_MODIFY: None, tables.ORDER_CANCEL: None,
    tables.ORDER_SEARCH: [ORDER], tables.ORDER_SEARCH_OPEN: [ORDER], tables.ORDER_BY_ID: ORDER,
    tables.ORDER_QUERY: [ORDER], tables.POSITION_SEARCH_OPEN: [POSITION], tables.POSITION_CLOSE: None,
    tables.POSITION_PARTIAL_CLOSE: None, tables.TRADE_SEARCH: [TRADE], tables.LOGIN_APP: "a.b.c", tables.LOGOUT: None,
}  # fmt: skip


@pytest.mark.parametrize("call", tables.CALLS, ids=lambda call: call.path)
def test_every_answer_survives_the_way(call):
    answer = rest.decode_answer(call, rest.encode_answer(call, EXPECTED[call], total=1))
    assert answer.outcome == "accepted", answer
    assert answer.value == EXPECTED[call]
    assert answer.code == 0
    if call is tables.ORDER_QUERY:
        assert answer.total == 1


# ---------------------------------------------------------------------------------- outcomes: failure model section 4
AMBIGUOUS = {
    tables.ORDER_PLACE: {6, 7},
    tables.ORDER_MODIFY: {4, 5},
    tables.ORDER_CANCEL: {4, 5},
    tables.POSITION_CLOSE: {6, 7},
    tables.POSITION_PARTIAL_CLOSE: {7, 8},
}


@pytest.mark.parametrize("call", AMBIGUOUS, ids=lambda call: call.path)
def test_F_ORD_02_every_code_of_the_calls_that_move_money(call):
    for code in range(1, len(call.codes) + 3):
        answer = rest.decode_answer(call, rest.encode_answer(call, None, code=code, message="why"))
        known = code < len(call.codes)
        assert answer.outcome == ("rejected" if known and code not in AMBIGUOUS[call] else "ambiguous"), code
        assert answer.value is None
        assert "why" in answer.text
        assert answer.code == code


def test_the_same_code_means_different_things_on_different_endpoints():
    assert tables.ORDER_PLACE.code_name(5) == "OutsideTradingHours"
    assert tables.POSITION_CLOSE.code_name(5) == "OrderRejected"
    assert tables.POSITION_PARTIAL_CLOSE.code_name(5) == "InvalidCloseSize"
    assert tables.POSITION_PARTIAL_CLOSE.code_name(7) == "OrderPending"
    assert tables.ORDER_PLACE.code_name(99) == "Code99"


def test_F_ORD_03_refused_order_with_an_id():
    body = rest.encode_answer(tables.ORDER_PLACE, 77, code=2, message="Not enough margin.")
    answer = rest.decode_answer(tables.ORDER_PLACE, body)
    assert (answer.outcome, answer.order_id, answer.value) == ("rejected", 77, None)


def test_F_ORD_03_tag_in_use_leaves_the_outcome_open():
    body = rest.encode_answer(tables.ORDER_PLACE, code=2, message="Specified custom tag is already in use")
    assert rest.decode_answer(tables.ORDER_PLACE, body).outcome == "ambiguous"


@pytest.mark.parametrize(
    "body",
    [
        '{"success":true,"errorCode":0,"errorMessage":null}',  # no id
        '{"orderId":null,"success":true,"errorCode":0}',
        '{"orderId":5,"success":true,"errorCode":2}',  # contradicts itself
        '{"orderId":5,"success":false,"errorCode":0}',
        '{"orderId":5,"success":true}',
        '{"orderId":5,"errorCode":0}',
        '{"orderId":5,"success":"true","errorCode":0}',
        '{"orderId":5,"success":1,"errorCode":0}',
        '{"orderId":true,"success":true,"errorCode":0}',
        '{"orderId":5.5,"success":true,"errorCode":0}',
        '{"orderId":-5,"success":true,"errorCode":0}',
        '{"orderId":18446744073709551616,"success":true,"errorCode":0}',
        '{"orderId":5,"success":true,"errorCode":0,"success":false}',
        '{"orderId":5,"success":true,"errorCode":0',
        "<html>Maintenance</html>",
        "",
        "null",
        "[]",
        '{"x":' + "[" * 100_000,
    ],
)
def test_F_API_06_answers_that_prove_nothing(body):
    answer = rest.decode_answer(tables.ORDER_PLACE, body.encode())
    assert answer.outcome == "ambiguous"
    assert answer.value is None


def test_order_id_as_text_is_taken():
    body = b'{"orderId":"3425714842","success":true,"errorCode":0,"errorMessage":null}'
    assert rest.decode_answer(tables.ORDER_PLACE, body).value == 3425714842


@pytest.mark.parametrize("payload", ['"orders":null,', ""])
def test_a_missing_or_null_list_proves_nothing_an_empty_one_does(payload):
    body = "{" + payload + '"success":true,"errorCode":0,"errorMessage":null}'
    assert rest.decode_answer(tables.ORDER_SEARCH_OPEN, body.encode()).outcome == "ambiguous"
    empty = b'{"orders":[],"success":true,"errorCode":0,"errorMessage":null}'
    answer = rest.decode_answer(tables.ORDER_SEARCH_OPEN, empty)
    assert (answer.outcome, answer.value) == ("accepted", [])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", None), ("id", 0), ("accountId", "x"), ("contractId", 5), ("status", "1"), ("type", None), ("side", 2),
        ("size", -1), ("size", 1.5), ("size", 2**31), ("fillVolume", 3), ("stopPrice", "25094.5"), ("stopPrice", True),
        ("creationTimestamp", "yesterday"), ("customTag", 5), ("parentOrderId", 0),
    ],
)  # fmt: skip
def test_F_API_06_one_bad_order_spoils_the_list(name, value):
    document = json.loads(rest.encode_answer(tables.ORDER_SEARCH, [ORDER, ORDER]))
    document["orders"][1][name] = value
    assert rest.decode_answer(tables.ORDER_SEARCH, json.dumps(document).encode()).outcome == "ambiguous"


@given(st.binary(max_size=40), st.integers(0, 700))
def test_F_API_06_mutated_answers_never_raise(junk, at):
    body = rest.encode_answer(tables.ORDER_QUERY, [ORDER], total=1)
    answer = rest.decode_answer(tables.ORDER_QUERY, body[:at] + junk + body[at + len(junk) :])
    assert answer.outcome in ("accepted", "rejected", "ambiguous")
    assert (answer.value is None) == (answer.outcome != "accepted")


def test_answer_texts_do_not_repeat_unreadable_bodies():
    answer = rest.decode_answer(tables.LOGIN_KEY, b'{"token":"SECRET-eyJhbGciOi","success":true,"errorCode":0')
    assert "SECRET" not in answer.text


# ------------------------------------------------------------------------------------------------------- HTTP statuses
@pytest.mark.parametrize("call", tables.CALLS, ids=lambda call: call.path)
def test_other_statuses(call):
    for status in (301, 302, 400, 401, 403, 404, 405, 408, 418, 429, 500, 502, 503):
        outcome = outcomes.outcome_of(call, outcomes.classify_status(call, status))
        if call.kind == "mutation" or status < 400 or status >= 500 or status in (408, 429):
            assert outcome == "ambiguous"
        elif call.kind == "login":  # only these two speak of the login itself
            assert outcome == ("rejected" if status in (400, 401) else "ambiguous"), status
        else:
            assert outcome == "rejected"


# ---------------------------------------------------------------------------------------------------------------- bars
def test_bars_come_out_oldest_first_once_each_and_bad_ones_are_counted():
    minute = 60_000_000_000
    later = BrokerBar(BAR.start_ns + minute, BAR.open, BAR.high, BAR.low, BAR.close, 1)
    document = json.loads(rest.encode_answer(tables.RETRIEVE_BARS, [later, BAR, later]))
    bad = [{"h": 1}, {"l": 13}, {"o": 13}, {"l": 0}, {"v": -1}, {"c": None}, {"t": "x"}, {"o": "10"}]
    document["bars"] += [document["bars"][1] | change for change in bad]
    answer = rest.decode_answer(tables.RETRIEVE_BARS, json.dumps(document).encode())
    assert answer.value == [BAR, later]
    assert answer.dropped == len(bad) + 1


# ------------------------------------------------------------------------------------------------------------ requests
PLACE = rest.OrderPlaceRequest(
    account_id=1001, contract_id=ID, type=2, side=0, size=1, custom_tag="TB1", limit_price=Decimal("25104.25"),
    stop_loss_bracket=rest.Bracket(ticks=-40, type=4), take_profit_bracket=rest.Bracket(ticks=80, type=1),
)  # fmt: skip


def test_place_request_is_exactly_what_the_gateway_documents():
    assert json.loads(rest.encode_request(PLACE)) == {
        "accountId": 1001,
        "contractId": ID,
        "type": 2,
        "side": 0,
        "size": 1,
        "limitPrice": 25104.25,
        "customTag": "TB1",
        "stopLossBracket": {"ticks": -40, "type": 4},
        "takeProfitBracket": {"ticks": 80, "type": 1},
    }
    assert rest.decode_request(rest.OrderPlaceRequest, rest.encode_request(PLACE)) == PLACE


def test_small_ticks_are_written_as_numbers():
    body = rest.encode_request(rest.OrderModifyRequest(account_id=1, order_id=2, stop_price=Decimal("0.0066665")))
    assert json.loads(body) == {"accountId": 1, "orderId": 2, "stopPrice": 0.0066665}


def test_requests_are_read_as_the_framework_reads_them():
    body = (
        b'{"ACCOUNTID":"1001","contractid":"CON.F.US.MNQ.Z26","Type":2,"side":0,"size":1,"customTag":"TB1","extra":[1],'
        b'"limitPrice":25104.25,"StopLossBracket":{"Ticks":-40,"TYPE":4},"takeProfitBracket":{"ticks":80,"type":1}}'
    )
    assert rest.decode_request(rest.OrderPlaceRequest, body) == PLACE
    query = b'{"Filter":{"AccountId":7,"Statuses":[1,8]},"pageSize":null}'
    assert rest.decode_request(rest.OrderQueryRequest, query).filter.statuses == [1, 8]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{", b'{"accountId":1}', b'{"accountId":"x"}', b'{"size":NaN}', b"[" * 100_000]
)
def test_bad_requests(body):
    with pytest.raises(rest.BadRequest):
        rest.decode_request(rest.OrderPlaceRequest, body)


@pytest.mark.parametrize(
    "value",
    ["1e999999999", "-1e999", "1e-999999", "1" * 5000, "9223372036854775808", "1000000000001", "1e13", '"1e999"'],
)
def test_F_API_06_numbers_beyond_the_gateways_types_are_bad_requests(value):
    body = rest.encode_request(PLACE).replace(b"25104.25", value.encode())
    assert value.encode() in body
    with pytest.raises(rest.BadRequest):
        rest.decode_request(rest.OrderPlaceRequest, body)


def test_I20_damaged_requests_are_read_or_refused():
    rng = random.Random(11)
    seeds = [rest.encode_request(PLACE), b'{"filter":{"accountId":7,"statuses":[1,8]},"pageSize":50}']
    read = 0
    for _ in range(1500):
        for shape in (rest.OrderPlaceRequest, rest.OrderQueryRequest):
            try:
                request = rest.decode_request(shape, mutated(rng, rng.choice(seeds)))
            except rest.BadRequest:
                continue
            read += 1
            rest.encode_request(request)
    assert read > 100


def test_clock():
    reading = rest.ClockReading(5, 20.0, 7)
    assert rest.decode_clock(rest.encode_clock(reading)) == reading
    assert rest.decode_clock(b'{"market_ns":5,"speed":0,"boot_ns":7,"started":false}').started is False
    for bad in (b"", b"{}", b'{"market_ns":0,"speed":1,"boot_ns":7}', b'{"market_ns":5,"speed":-1,"boot_ns":7}'):
        with pytest.raises(ValueError, match=r"."):
            rest.decode_clock(bad)


# ---------------------------------------------------------------------------------------------------- recorded samples
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "decode", "count"),
    [
        ("account_search_sample", decode_account, 2),
        ("contracts_available_202608", decode_contract, 51),
        ("order_search_sample", decode_order, None),
        ("trade_search_sample", decode_trade, None),
    ],
)
def test_recorded_samples_decode(name, decode, count):
    rows = json.loads(shared(f"market/projectx/{name}.json").read_text())
    decoded = [decode(json.dumps(row).encode()) for row in rows]
    assert len(decoded) == (count or len(rows))
    assert len(decoded) > 1


@pytest.mark.shared_data
def test_recorded_orders_encode_to_the_same_members():
    rows = json.loads(shared("market/projectx/order_search_sample.json").read_text())
    orders = [decode_order(json.dumps(row).encode()) for row in rows]
    again = json.loads(rest.encode_answer(tables.ORDER_SEARCH, orders))["orders"]
    assert again == rows


@pytest.mark.shared_data
def test_recorded_bars_decode():
    rows = json.loads(shared("market/projectx/history_bars_MNQ_1m_20260819.json").read_text())
    names = {"timestamp": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}
    bars = [{names[key]: value for key, value in row.items()} for row in rows]
    body = json.dumps({"bars": bars, "success": True, "errorCode": 0, "errorMessage": None}).encode()
    answer = rest.decode_answer(tables.RETRIEVE_BARS, body)
    assert len(answer.value) == len(rows)
    assert answer.dropped == 0
    starts = [bar.start_ns for bar in answer.value]
    assert starts == sorted(starts)
