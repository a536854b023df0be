"""User-hub events as recorded, both shapes, both directions."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_records import ACCOUNT, ID, NOW, ORDER, POSITION, TRADE
from shared_data import shared
from tbot.gateway import signalr
from tbot.gateway.codec_hub import (
    MAX_EVENT_BYTES,
    ORDER_TARGET,
    POSITION_TARGET,
    TRADE_TARGET,
    decode_user,
    is_user_target,
    user_event,
    user_subscriptions,
)
from tbot.gateway.codec_models import BrokerAccount, BrokerOrder, BrokerPosition, BrokerTrade

RECORDS = [ORDER, ACCOUNT, POSITION, TRADE]


def event(record: bytes) -> signalr.Invocation:
    message = signalr.parse_record(record.rstrip(b"\x1e"))
    assert isinstance(message, signalr.Invocation)
    return message


def members(record: bytes) -> dict[str, object]:
    return dict(json.loads(event(record).arguments)[0])


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("text_ids", [True, False])
def test_every_record_survives_the_way_in_every_shape(record, bare, text_ids):
    assert decode_user(event(user_event(record, bare=bare, text_ids=text_ids))) == record


def test_nulls_are_left_out_in_the_hub():
    plain = replace(ORDER, limit_price=None, stop_price=None, filled_price=None, tag=None, parent_id=None)
    data = members(user_event(plain, bare=True))
    assert None not in data.values()
    assert not {"limitPrice", "stopPrice", "filledPrice", "customTag", "parentOrderId"} & set(data)
    assert "profitAndLoss" not in members(user_event(replace(TRADE, pnl=None), bare=True))


def test_actions_are_those_of_the_captures():
    actions = [json.loads(event(user_event(record)).arguments)[0]["action"] for record in RECORDS]
    assert actions == [1, 1, 1, 0]
    flat = members(user_event(replace(POSITION, size=0)))
    assert flat["action"] == 2
    assert flat["data"]["type"] == 0  # type: ignore[index]
    assert flat["data"]["size"] == 0  # type: ignore[index]


def test_times_have_seven_digits_at_most():
    data = members(user_event(replace(ORDER, created_ns=NOW + 123_456_700), bare=True))
    assert data["creationTimestamp"] == "2026-11-20T15:25:02.2801867+00:00"


@pytest.mark.shared_data
def test_recorded_user_events_decode():
    kinds = {"account": BrokerAccount, "order": BrokerOrder, "position": BrokerPosition, "trade": BrokerTrade}
    targets = {
        "account": "GatewayUserAccount",
        "order": ORDER_TARGET,
        "position": POSITION_TARGET,
        "trade": TRADE_TARGET,
    }
    seen = set()
    for line in shared("market/projectx/stream_samples.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if sample["event"] in kinds and sample["source"] == "projectx_user_stream":
            arguments = json.dumps([sample["payload"]]).encode()
            record = decode_user(signalr.Invocation(targets[sample["event"]], arguments))
            assert isinstance(record, kinds[sample["event"]])
            again = json.loads(event(user_event(record)).arguments)[0]
            assert again == sample["payload"]
            seen.add(sample["event"])
    assert seen == set(kinds)


def test_order_id_instead_of_id():
    data = members(user_event(ORDER, bare=True))
    data["orderId"] = str(data.pop("id"))
    assert decode_user(signalr.Invocation(ORDER_TARGET, json.dumps([data]).encode())) == ORDER


def test_unknown_status_and_type_are_kept():
    data = members(user_event(ORDER, bare=True)) | {"status": 42, "type": 99}
    record = decode_user(signalr.Invocation(ORDER_TARGET, json.dumps([data]).encode()))
    assert isinstance(record, BrokerOrder)
    assert (record.status, record.type) == (42, 99)


def test_missing_account_flag_does_not_pass_as_simulated():
    data = members(user_event(ACCOUNT, bare=True))
    del data["simulated"]
    record = decode_user(signalr.Invocation("GatewayUserAccount", json.dumps([data]).encode()))
    assert isinstance(record, BrokerAccount)
    assert record.simulated is False


@pytest.mark.parametrize("arguments", [b"[]", b"[1]", b"[null]", b"[{},{}]", b'[{"action":1}]', b'[{"data":null}]',
                                       b'[{"action":"x","data":{}}]', b'[{"id":1,"id":2}]', b"["])  # fmt: skip
@pytest.mark.parametrize("target", [ORDER_TARGET, POSITION_TARGET, TRADE_TARGET, "GatewayUserAccount"])
def test_F_DAT_01_bad_events_raise_only_value_error(target, arguments):
    with pytest.raises(ValueError, match=r"."):
        decode_user(signalr.Invocation(target, arguments))


@given(st.binary(max_size=20), st.integers(0, 400), st.sampled_from(RECORDS))
def test_F_DAT_01_mutated_events_give_a_record_or_value_error(junk, at, record):
    whole = event(user_event(record))
    body = whole.arguments[:at] + junk + whole.arguments[at + len(junk) :]
    try:
        decoded = decode_user(signalr.Invocation(whole.target, body))
    except ValueError:
        return
    assert type(decoded) is type(record)


def test_I20_events_far_above_any_real_one_are_refused_unread():
    whole = event(user_event(replace(ORDER, tag="x" * MAX_EVENT_BYTES)))
    with pytest.raises(ValueError, match="an event of 6"):
        decode_user(whole)
    assert decode_user(event(user_event(replace(ORDER, tag="x" * 1000))))


def test_targets_and_subscriptions():
    assert is_user_target(ORDER_TARGET)
    assert not is_user_target("GatewayLogout")
    assert user_subscriptions([7]) == [
        ("SubscribeAccounts", []),
        ("SubscribeOrders", [7]),
        ("SubscribePositions", [7]),
        ("SubscribeTrades", [7]),
    ]
    assert ID in str(members(user_event(ORDER)))
