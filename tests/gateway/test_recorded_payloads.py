"""What the live gateway sent: everything decodes, and what is encoded again says the same in every documented member.

Same means: numbers equal as decimals, times equal as instants, a missing member equals null. What may differ beyond
that stands in ADDED and nowhere else.
"""

import json
from decimal import Decimal
from typing import Any

import pytest

from shared_data import shared
from tbot.gateway import codec_rest as bodies
from tbot.gateway import codec_tables as tables
from tbot.gateway import signalr
from tbot.gateway.codec_hub import decode_user, user_event
from tbot.gateway.codec_models import contract_members
from tbot.gateway.codec_tables import Call
from tbot.gateway.codec_values import parse_time
from tbot.gateway.openapi import MODELS

# call, file, its model
FILES = [
    (tables.ACCOUNT_SEARCH, "account_search_sample", "TradingAccountModel"),
    (tables.CONTRACT_AVAILABLE, "contracts_available_202608", "ContractModel"),
    (tables.ORDER_SEARCH, "order_search_sample", "OrderModel"),
    (tables.TRADE_SEARCH, "trade_search_sample", "HalfTradeModel"),
]
# Members that the samples lack (older captures) and that we write as zero.
ADDED = {"HalfTradeModel": {"commissions"}}
TIMES = {"creationTimestamp", "updateTimestamp", "t"}
BARS = {"timestamp": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v"}


def read(text: str | bytes) -> Any:
    """JSON with exact decimals."""
    return json.loads(text, parse_float=Decimal)


def recorded(name: str) -> list[dict[str, Any]]:
    rows = read(shared(f"market/projectx/{name}.json").read_text())
    if name.startswith("history"):
        rows = [{BARS[key]: value for key, value in row.items()} for row in rows]
    assert rows
    return list(rows)


def body(call: Call, rows: object) -> bytes:
    def plain(value: object) -> object:
        return float(value) if isinstance(value, Decimal) else str(value)

    document = {call.payload: rows, "success": True, "errorCode": 0, "errorMessage": None}
    return json.dumps(document, default=plain).encode()


def documented(model: str) -> set[str]:
    return {text.split()[0] for text in MODELS[model].split(",")}


def same(name: str, first: Any, second: Any) -> bool:
    if name in TIMES and first is not None and second is not None:
        return parse_time(first) == parse_time(second)
    if isinstance(first, int | Decimal) and isinstance(second, int | Decimal):
        return isinstance(first, bool) == isinstance(second, bool) and Decimal(first) == Decimal(second)
    return bool(first == second)


def differences(model: str, was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Documented members that are not the same afterwards."""
    assert set(was) <= documented(model), "the sample has a member that we do not document"
    found = []
    for name in sorted(documented(model)):
        if name in ADDED.get(model, set()) and name not in was:
            continue
        if not same(name, was.get(name), now.get(name)):
            found.append(f"{name}: {was.get(name)!r} -> {now.get(name)!r}")
    return found


@pytest.mark.shared_data
@pytest.mark.parametrize(("call", "name", "model"), FILES, ids=[name for _, name, _ in FILES])
def test_recorded_rest_answers_survive(call, name, model):
    rows = recorded(name)
    answer = bodies.decode_answer(call, body(call, rows))
    assert answer.ok, answer
    assert len(answer.value) == len(rows)
    again = read(bodies.encode_answer(call, answer.value))[call.payload]
    for was, now in zip(rows, again, strict=True):
        assert differences(model, was, now) == []
    second = bodies.decode_answer(call, bodies.encode_answer(call, answer.value))
    assert second.value == answer.value


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("call", "name", "model"), [row for row in FILES if row[2] != "ContractModel"], ids=lambda value: str(value)[:30]
)
def test_the_same_records_survive_as_hub_events(call, name, model):
    rows = recorded(name)
    for was, record in zip(rows, bodies.decode_answer(call, body(call, rows)).value, strict=True):
        event = signalr.parse_record(user_event(record).rstrip(b"\x1e"))
        assert isinstance(event, signalr.Invocation)
        assert decode_user(event) == record
        now = read(event.arguments)[0]["data"]
        assert None not in now.values()  # in the hub nulls are left out
        assert differences(model, was, now) == []


@pytest.mark.shared_data
def test_recorded_bars_survive():
    rows = recorded("history_bars_MNQ_1m_20260819")
    answer = bodies.decode_answer(tables.RETRIEVE_BARS, body(tables.RETRIEVE_BARS, rows))
    assert (answer.ok, answer.dropped, len(answer.value)) == (True, 0, len(rows))
    again = read(bodies.encode_answer(tables.RETRIEVE_BARS, answer.value))["bars"]
    for was, now in zip(sorted(rows, key=lambda row: row["t"]), again, strict=True):
        assert differences("AggregateBarModel", was, now) == []


@pytest.mark.shared_data
def test_recorded_user_events_survive_in_hub_and_rest():
    models = {"account": "TradingAccountModel", "order": "OrderModel", "position": "PositionModel",
              "trade": "HalfTradeModel"}  # fmt: skip
    calls = {"account": tables.ACCOUNT_SEARCH, "order": tables.ORDER_SEARCH, "position": tables.POSITION_SEARCH_OPEN,
             "trade": tables.TRADE_SEARCH}  # fmt: skip
    targets = {"account": "Account", "order": "Order", "position": "Position", "trade": "Trade"}
    seen = set()
    for line in shared("market/projectx/stream_samples.jsonl").read_text().splitlines():
        sample = read(line)
        kind = sample["event"]
        if kind not in models or sample["source"] != "projectx_user_stream":
            continue
        seen.add(kind)
        payload = json.dumps([json.loads(line)["payload"]]).encode()
        record = decode_user(signalr.Invocation(f"GatewayUser{targets[kind]}", payload))
        event = signalr.parse_record(user_event(record).rstrip(b"\x1e"))
        assert isinstance(event, signalr.Invocation)
        wrapped = read(event.arguments)[0]
        assert wrapped["action"] == sample["payload"]["action"]
        assert differences(models[kind], sample["payload"]["data"], wrapped["data"]) == []
        rest = read(bodies.encode_answer(calls[kind], [record]))[calls[kind].payload][0]
        lost = [text for text in differences(models[kind], sample["payload"]["data"], rest) if "Timestamp" not in text]
        assert lost == []
        for name in TIMES & rest.keys():  # REST has six digits of a second, the hub seven
            assert parse_time(rest[name]) == parse_time(sample["payload"]["data"][name]) // 1000 * 1000
    assert seen == set(models)


def test_numbers_keep_every_digit_that_a_decimal_has():
    """No float in between: an average of three fills may have 28 digits, a tick of the yen seven places."""
    row = {
        "id": 1, "accountId": 2, "contractId": "CON.F.US.JY6.Z26", "type": 1, "size": 3,
        "creationTimestamp": "2026-08-19T14:15:48+00:00", "averagePrice": "@",
    }  # fmt: skip
    for text in ("29398.333333333333333333333333", "0.0000005", "5E-07", "6335.250000000", "29398", "0.1"):
        raw = json.dumps({"positions": [row], "success": True, "errorCode": 0, "errorMessage": None})
        answer = bodies.decode_answer(tables.POSITION_SEARCH_OPEN, raw.replace('"@"', text).encode())
        assert answer.ok, answer
        assert answer.value[0].average_price == Decimal(text)
        again = read(bodies.encode_answer(tables.POSITION_SEARCH_OPEN, answer.value))
        assert again["positions"][0]["averagePrice"] == Decimal(text)


@pytest.mark.parametrize(
    "text",
    ["1e999999999", "1e-999999", "1e13", "1000000000000.1", "-1e30", "1" * 30, "0." + "1" * 29, "0E-99999", "0E+99999",
     "true", "false", '"1"', "[]"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["averagePrice"])
def test_F_API_06_numbers_that_no_decimal_holds_are_refused(name, text):
    raw = (
        '{"positions":[{"id":1,"accountId":2,"contractId":"C","type":1,"size":3,"averagePrice":' + text + "}],"
        '"success":true,"errorCode":0,"errorMessage":null}'
    )
    assert bodies.decode_answer(tables.POSITION_SEARCH_OPEN, raw.encode()).outcome == "ambiguous"


@pytest.mark.parametrize("name", ["fees", "commissions", "profitAndLoss", "price"])
@pytest.mark.parametrize("value", [True, False, "0.36", [], {}])
def test_F_DAT_02_amounts_of_another_type_are_refused(name, value):
    row = {
        "id": 1, "accountId": 2, "contractId": "C", "creationTimestamp": "2026-08-19T14:15:48+00:00", "price": 1.5,
        "side": 0, "size": 1, "orderId": 3, "fees": 0.36, "commissions": 0.25, "profitAndLoss": 1, "voided": False,
    }  # fmt: skip
    assert bodies.decode_answer(tables.TRADE_SEARCH, body(tables.TRADE_SEARCH, [row])).ok
    assert bodies.decode_answer(tables.TRADE_SEARCH, body(tables.TRADE_SEARCH, [row | {name: value}])).value is None


@pytest.mark.shared_data
def test_contract_members_of_every_recorded_contract_are_the_recorded_ones():
    rows = recorded("contracts_available_202608")
    answer = bodies.decode_answer(tables.CONTRACT_AVAILABLE, body(tables.CONTRACT_AVAILABLE, rows))
    for was, record in zip(rows, answer.value, strict=True):
        assert contract_members(record) == was
