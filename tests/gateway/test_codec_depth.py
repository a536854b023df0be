"""Depth events: recorded rows decode, bad rows cost only themselves, and the book follows an obvious reference."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared_data import shared
from tbot.domain.contracts import PRODUCTS, contract_from_broker_id
from tbot.gateway import signalr
from tbot.gateway.codec import DepthDecoder, depth_subscriptions, format_time, parse_time
from tbot.gateway.codec_depth import MAX_LEVELS, MAX_ROWS
from tbot_ext.records import NO_PRICE

MNQ = PRODUCTS["MNQ"]
ID = "CON.F.US.MNQ.Z26"
NOW = parse_time("2026-11-20T15:24:31.5+00:00")
S = 1_000_000_000
ASK, BID, BEST_ASK, BEST_BID, TRADE, RESET, LOW, HIGH, NEW_BID, NEW_ASK, FILL = range(1, 12)


def decoder(**more: Any) -> DepthDecoder:
    return DepthDecoder({ID: MNQ}, **more)


def depth(data: object, broker_id: str = ID) -> signalr.Invocation:
    body = data if isinstance(data, str) else json.dumps(data)
    return signalr.Invocation("GatewayDepth", f"[{json.dumps(broker_id)},{body}]".encode())


def row(kind: int, price: object = 25104.25, volume: object = 7, **more: object) -> dict[str, object]:
    return {"price": price, "volume": volume, "currentVolume": 0, "type": kind, "timestamp": format_time(NOW)} | more


def balanced(subject: DepthDecoder) -> bool:
    return subject.counts["items"] == subject.counts["accepted"] + subject.counts["dropped"]


# ------------------------------------------------------------------------------------------------------- documented
def test_the_documented_frame() -> None:
    frame = (
        b'{"type":1,"target":"GatewayDepth","arguments":["CON.F.US.MNQ.Z26",[{"price":25104.25,"volume":7,'
        b'"currentVolume":7,"type":2,"timestamp":"2026-11-20T15:24:31.4173693+00:00"},{"price":25104.25,"volume":7,'
        b'"currentVolume":0,"type":4,"timestamp":"2026-11-20T15:24:31.4173693+00:00"}]]}'
    )
    message = signalr.parse_record(frame)
    assert isinstance(message, signalr.Invocation)
    subject = decoder()
    book = subject.decode(message, NOW)
    assert book is subject.book(ID)
    assert (book.bids, book.asks) == ([(100417, 7)], [])
    assert (book.best_bid, book.best_ask) == (100417, NO_PRICE)
    assert book.updated_ns == parse_time("2026-11-20T15:24:31.4173693+00:00")
    assert not book.complete  # no Reset began it
    assert subject.counts["accepted"] == 2
    assert balanced(subject)


@pytest.mark.shared_data
def test_the_recorded_payload_decodes() -> None:
    lines = [json.loads(line) for line in shared("market/projectx/stream_samples.jsonl").read_text().splitlines()]
    payloads = [line["payload"] for line in lines if line["event"] == "depth"]
    assert payloads
    for payload in payloads:
        broker_id = payload["contractId"]
        product = contract_from_broker_id(broker_id).product
        for data in (payload["payload"], [payload["payload"]]):  # one row by itself, as recorded, and in an array
            subject = DepthDecoder({broker_id: product})
            arguments = orjson.dumps([broker_id, data])
            event = signalr.Invocation("GatewayDepth", arguments)
            book = subject.decode(event, parse_time("2026-08-19T20:51:32Z"))
            assert book is not None
            assert (subject.counts["items"], subject.counts["dropped"]) == (1, 0)
            assert book.bids == [(product.to_ticks(payload["payload"]["price"]), payload["payload"]["volume"])]


def test_the_subscription() -> None:
    assert depth_subscriptions([ID]) == [("SubscribeContractMarketDepth", [ID])]


# ------------------------------------------------------------------------------------------------------------- rows
def test_best_rows_leave_nothing_better_and_zero_removes() -> None:
    subject = decoder()
    subject.decode(depth([row(BID, 25104.25), row(BID, 25104.0, 9), row(BID, 25103.75, 3), row(ASK, 25104.5, 4)]), NOW)
    book = subject.book(ID)
    assert [price for price, _ in book.bids] == [100417, 100416, 100415]
    subject.decode(depth([row(NEW_BID, 25104.0, 8)]), NOW)
    assert book.bids == [(100416, 8), (100415, 3)]
    subject.decode(depth([row(BID, 25104, 0), row(BID, 1.25, 0)]), NOW)  # the second one was never there
    assert book.bids == [(100415, 3)]
    subject.decode(depth([row(NEW_ASK, 25105, 1), row(BEST_ASK, 25104.75, 2)]), NOW)
    assert book.asks == [(100419, 2), (100420, 1)]
    subject.decode(depth([row(BID, 25105, 1)]), NOW)
    assert book.crossed


def test_reset_drops_the_book_whatever_else_it_says() -> None:
    subject = decoder()
    for odd in ({}, {"price": 0}, {"price": None, "timestamp": "yesterday"}, {"price": -1, "volume": "x"}):
        subject.decode(depth([row(BID), row(ASK, 25104.5)]), NOW)
        record = {"type": RESET, "timestamp": format_time(NOW)} | odd
        if odd.get("volume") == "x":  # not a row at all
            subject.decode(depth([record]), NOW)
            assert subject.counts["malformed"] == 1
            continue
        assert subject.decode(depth([record]), NOW) is not None
        book = subject.book(ID)
        assert (book.bids, book.asks, book.complete) == ([], [], True)
    assert balanced(subject)


@pytest.mark.parametrize("kind", [TRADE, LOW, HIGH, FILL, 0, 12, 99, -1])
def test_other_and_unknown_kinds_leave_the_book_alone(kind: int) -> None:
    subject = decoder()
    subject.decode(depth([row(BID)]), NOW)
    assert subject.decode(depth([row(kind, 25100, 3)]), NOW) is not None
    assert subject.book(ID).bids == [(100417, 7)]
    assert subject.counts["unknown_kind"] == (1 if kind in (0, 12, 99, -1) else 0)
    assert (subject.counts["accepted"], subject.counts["dropped"]) == (2, 0)


@pytest.mark.parametrize("text", ["5E-07", "0.0000005", "0.00000050", "5e-7"])
def test_exponent_prices(text: str) -> None:
    subject = DepthDecoder({"CON.F.US.JY6.Z26": PRODUCTS["6J"]})
    body = f'[{{"price":{text},"volume":1,"type":2,"timestamp":"2026-11-20T15:24:31Z"}}]'
    book = subject.decode(depth(body, "CON.F.US.JY6.Z26"), NOW)
    assert book is not None
    assert book.bids == [(1, 1)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (None, "malformed"),
        (5, "malformed"),
        ("x", "malformed"),
        ([], "malformed"),
        ({}, "malformed"),
        (row(BID) | {"type": "2"}, "malformed"),
        (row(BID) | {"type": None}, "malformed"),
        (row(BID, "25104.25"), "malformed"),
        (row(BID, True), "malformed"),
        (row(BID, None), "bad_price"),
        (row(BID, 0), "bad_price"),
        (row(BID, -25104.25), "bad_price"),
        (row(BID, 1e17), "bad_price"),
        (row(BID, 25104.3), "off_tick"),
        (row(BID, volume=None), "bad_size"),
        (row(BID, volume=-1), "bad_size"),
        (row(BID, volume=1.5), "bad_size"),
        (row(BID, volume=2**40), "bad_size"),
        (row(BID, timestamp=None), "no_time"),
        (row(BID, timestamp="soon"), "bad_time"),
        (row(BID, timestamp=format_time(NOW + 60 * S)), "time_in_future"),
        (row(BID, timestamp=format_time(NOW - 9 * 86_400 * S)), "time_in_past"),
        (row(BID, contractId="CON.F.US.EP.Z26"), "contract_mismatch"),
    ],
)
def test_F_DAT_02_a_bad_row_costs_only_itself(bad: object, reason: str) -> None:
    subject = decoder()
    book = subject.decode(depth([row(BID, 25104.0), bad, row(ASK, 25105, contractId=ID)]), NOW)
    assert book is not None
    assert (book.bids, book.asks) == ([(100416, 7)], [(100420, 7)])
    assert (subject.counts["items"], subject.counts["accepted"], subject.counts[reason]) == (3, 2, 1)
    assert balanced(subject)


def test_a_book_that_missed_a_row_is_not_complete_until_the_next_reset() -> None:
    subject = decoder()
    for rows, complete in (([row(RESET)], True), ([row(BID)], True), ([row(BID, 0)], False), ([row(RESET)], True)):
        subject.decode(depth(rows), NOW)
        assert subject.book(ID).complete is complete


@pytest.mark.parametrize(
    "arguments",
    [b"", b"[]", b"null", b"[5]", b'["x"]', b'["CON.F.US.MNQ.Z26"]', b'["CON.F.US.MNQ.Z26",null]', b"[[],[]]", b"\xff",
     b'["CON.F.US.MNQ.Z26",[{]]', b'["CON.F.US.MNQ.Z26",5]', b'["CON.F.US.MNQ.Z26",[],[]]', b"[" * 100_000],
)  # fmt: skip
def test_F_DAT_01_malformed_events_are_counted(arguments: bytes) -> None:
    subject = decoder()
    assert subject.decode(signalr.Invocation("GatewayDepth", arguments), NOW) is None
    assert subject.counts["dropped"] == subject.counts["items"] == 1


def test_F_DAT_01_members_named_twice() -> None:
    subject = decoder()
    good = json.dumps(row(ASK, 25105))
    twice = '{"price":25104,"volume":1,"type":2,"timestamp":"2026-11-20T15:24:31Z","price":25104.25}'
    assert subject.decode(depth(f"[{good},{twice}]"), NOW) is not None
    assert subject.book(ID).bids == []
    assert (subject.counts["duplicate_key"], subject.counts["accepted"]) == (1, 1)


def test_F_DAT_03_other_contracts_and_targets() -> None:
    subject = decoder()
    assert subject.decode(depth([row(BID), row(ASK)], "CON.F.US.EP.Z26"), NOW) is None
    assert subject.counts["unsubscribed"] == subject.counts["dropped"] == 2
    assert subject.decode(signalr.Invocation("GatewayQuote", b"[]"), NOW) is None
    assert subject.counts["other_target"] == 1
    with pytest.raises(KeyError):
        subject.book("CON.F.US.EP.Z26")


def test_an_empty_array_is_nothing() -> None:
    subject = decoder()
    assert subject.decode(depth([]), NOW) is None
    assert subject.counts["items"] == 0


def test_bounds_of_rows_and_levels() -> None:
    subject = decoder()
    rows = [row(BID, 25000 - 0.25 * k) for k in range(MAX_LEVELS + 100)]
    subject.decode(depth(rows), NOW)
    assert len(subject.book(ID).bids) == MAX_LEVELS
    assert subject.book(ID).bids[-1][0] == 100_000 - MAX_LEVELS + 1  # the nearest ones
    assert subject.decode(depth([row(BID)] * (MAX_ROWS + 1)), NOW) is None
    assert subject.counts["too_many_rows"] == 1
    assert balanced(subject)


def test_F_NET_01_after_a_gap_nothing_is_known() -> None:
    subject = decoder()
    subject.decode(depth([row(RESET), row(BID)]), NOW)
    kept = subject.book(ID)
    subject.set_contracts({ID: MNQ, "CON.F.US.EP.Z26": PRODUCTS["ES"]})
    assert subject.book(ID) is kept
    assert kept.complete
    subject.on_reconnect()
    assert (kept.bids, kept.complete) == ([], False)


# ------------------------------------------------------------------------------------------------------- properties
kinds = st.sampled_from([ASK, BID, BEST_ASK, BEST_BID, NEW_BID, NEW_ASK, RESET, TRADE, FILL, 0])
plain_rows = st.tuples(kinds, st.integers(1, 40), st.integers(0, 3))


@given(st.lists(st.lists(plain_rows, max_size=12), max_size=12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_book_is_that_of_a_slow_reference(messages: list[list[tuple[int, int, int]]], single: bool) -> None:
    subject = decoder()
    book: dict[tuple[str, int], int] = {}
    for rows in messages:
        data = [row(kind, price / 4, volume) for kind, price, volume in rows]
        for event in [depth(item) for item in data] if single else [depth(data)]:
            subject.decode(event, NOW)
        for kind, price, volume in rows:
            side = "bid" if kind in (BID, BEST_BID, NEW_BID) else "ask" if kind in (ASK, BEST_ASK, NEW_ASK) else ""
            if kind == RESET:
                book = {}
            if not side:
                continue
            book[side, price] = volume
            if kind in (BEST_BID, NEW_BID):
                book = {key: size for key, size in book.items() if key[0] == "ask" or key[1] <= price}
            if kind in (BEST_ASK, NEW_ASK):
                book = {key: size for key, size in book.items() if key[0] == "bid" or key[1] >= price}
        expected = {key: size for key, size in book.items() if size}
        found = {("bid", price): size for price, size in subject.book(ID).bids}
        found |= {("ask", price): size for price, size in subject.book(ID).asks}
        assert found == expected
    assert subject.counts["items"] == subject.counts["accepted"] == sum(map(len, messages))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["price", "type", "volume"]), inner),
    max_leaves=6,
)


@given(st.lists(st.one_of(json_values, plain_rows.map(lambda r: row(r[0], r[1] / 4, r[2]))), max_size=6))
@settings(max_examples=150, deadline=None)
def test_F_DAT_01_nothing_raises_and_everything_is_counted(data: list[Any]) -> None:
    subject = decoder()
    subject.decode(depth(data), NOW)
    assert balanced(subject)
    assert subject.counts["items"] == len(data)


@given(st.binary(max_size=80), st.integers(0, 400))
@settings(max_examples=150, deadline=None)
def test_F_DAT_01_damaged_bytes(noise: bytes, at: int) -> None:
    good = depth([row(BID), row(ASK, 25104.5), row(RESET)]).arguments
    at = min(at, len(good))
    subject = decoder()
    subject.decode(signalr.Invocation("GatewayDepth", good[:at] + noise + good[at + len(noise) :]), NOW)
    assert balanced(subject)
