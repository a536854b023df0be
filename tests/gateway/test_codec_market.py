"""Market hub: every number checked, sparse quotes merged, jumps flagged, nothing dropped without a count."""

import json

import orjson
import pytest

from shared_data import shared
from tbot.domain.contracts import PRODUCTS
from tbot.gateway import signalr
from tbot.gateway.codec_market import (
    QUOTE,
    SUSPECT,
    TRADE,
    MarketDecoder,
    depth_event,
    logout_event,
    market_subscriptions,
)
from tbot.gateway.codec_tables import DomType
from tbot.gateway.codec_values import format_time, parse_time
from tbot_ext.records import NO_PRICE

MNQ = PRODUCTS["MNQ"]
ID = "CON.F.US.MNQ.Z26"
NOW = parse_time("2026-11-20T15:24:31.5+00:00")
MS = 1_000_000
S = 1_000_000_000


def decoder() -> MarketDecoder:
    return MarketDecoder({ID: MNQ})


def event(record: bytes) -> signalr.Invocation:
    message = signalr.parse_record(record.rstrip(b"\x1e"))
    assert isinstance(message, signalr.Invocation)
    return message


def quote(data: dict[str, object] | str, broker_id: str = ID) -> signalr.Invocation:
    body = data if isinstance(data, str) else json.dumps(data)
    return signalr.Invocation("GatewayQuote", f"[{json.dumps(broker_id)},{body}]".encode())


def trade(data: object, broker_id: str = ID) -> signalr.Invocation:
    body = data if isinstance(data, str) else json.dumps(data)
    return signalr.Invocation("GatewayTrade", f"[{json.dumps(broker_id)},{body}]".encode())


def stamp(ns: int = NOW) -> dict[str, object]:
    return {"symbol": "F.US.MNQ", "lastUpdated": format_time(ns), "timestamp": format_time(ns)}


def print_(price: object = 25104.5, volume: object = 1, ns: int = NOW, **more: object) -> dict[str, object]:
    return {"symbolId": "F.US.MNQ", "price": price, "timestamp": format_time(ns), "type": 0, "volume": volume,
            "contractId": ID} | more  # fmt: skip


def balanced(subject: MarketDecoder) -> bool:
    return subject.counts["items"] == subject.counts["accepted"] + subject.counts["dropped"]


# ---------------------------------------------------------------------------------------------------- documented
DOCUMENTED_QUOTE = (
    b'{"type":1,"target":"GatewayQuote","arguments":["CON.F.US.MNQ.Z26",{"symbol":"F.US.MNQ","lastPrice":25104.25,'
    b'"bestBid":25104.0,"bestAsk":25104.5,"change":-38.75,"changePercent":-0.15,"open":25140.0,"high":25188.25,'
    b'"low":25067.5,"volume":412233,"lastUpdated":"2026-11-20T15:24:31.4347534+00:00",'
    b'"timestamp":"2026-11-20T15:24:31.348+00:00","contract":"CON.F.US.MNQ.Z26"}]}\x1e'
)
DOCUMENTED_TRADES = (
    b'{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.MNQ.Z26",[{"symbolId":"F.US.MNQ","price":25104.5,'
    b'"timestamp":"2026-11-20T15:24:31.452+00:00","type":0,"volume":2,"contractId":"CON.F.US.MNQ.Z26"},'
    b'{"symbolId":"F.US.MNQ","price":25104.5,"timestamp":"2026-11-20T15:24:31.452+00:00","type":1,"volume":1,'
    b'"contractId":"CON.F.US.MNQ.Z26"}]]}\x1e'
)


def test_documented_frames():
    subject = decoder()
    exch = parse_time("2026-11-20T15:24:31.348+00:00")
    expected = (QUOTE, exch, 77, 100416, 100418, 0, 0, 412233, 0, 0)
    assert subject.decode(event(DOCUMENTED_QUOTE), 77, NOW) == (1, [expected])
    assert subject.book(ID).last == 100417
    exch = parse_time("2026-11-20T15:24:31.452+00:00")
    first, second = (TRADE, exch, 78, 100418, 0, 2, 0, -1, 1, 0), (TRADE, exch, 78, 100418, 0, 1, 0, -1, -1, 0)
    assert subject.decode(event(DOCUMENTED_TRADES), 78, NOW) == (1, [first, second])
    assert subject.counts["accepted"] == 3
    assert balanced(subject)


@pytest.mark.shared_data
def test_recorded_stream_samples_decode():
    from tbot.domain.contracts import contract_from_broker_id

    lines = [json.loads(line) for line in shared("market/projectx/stream_samples.jsonl").read_text().splitlines()]
    targets = {"quote": "GatewayQuote", "market_trade": "GatewayTrade"}
    decoded = 0
    for line in lines:
        if line["event"] not in targets:
            continue
        broker_id = line["payload"]["contractId"]
        subject = MarketDecoder({broker_id: contract_from_broker_id(broker_id).product})
        arguments = orjson.dumps([broker_id, line["payload"]["payload"]])
        batch = subject.decode(
            signalr.Invocation(targets[line["event"]], arguments), 1, parse_time("2026-08-19T20:51:32Z")
        )
        assert batch is not None
        assert subject.counts["dropped"] == 0
        decoded += 1
    assert decoded == 2


# --------------------------------------------------------------------------------------------- sparse quote merge
def test_F_NET_06_missing_and_null_mean_unchanged():
    subject = decoder()
    assert subject.decode(quote(stamp() | {"volume": 5}), 1, NOW) is None  # accepted, but no side is known yet
    batch = subject.decode(quote(stamp() | {"bestBid": 25104.0}), 1, NOW)
    assert batch is not None
    assert batch[1][0][3:5] == (100416, NO_PRICE)
    batch = subject.decode(quote(stamp() | {"bestAsk": 25104.5, "bestBid": None, "lastPrice": None}), 1, NOW)
    assert batch is not None
    assert batch[1][0][3:5] == (100416, 100418)
    assert batch[1][0][7] == 5
    assert subject.book(ID).last == NO_PRICE
    assert subject.counts["accepted"] == 3


def test_F_NET_06_older_quote_is_dropped_and_counted():
    subject = decoder()
    subject.decode(quote(stamp(NOW) | {"bestBid": 25104.0}), 1, NOW)
    assert subject.decode(quote(stamp(NOW - MS) | {"bestBid": 25000.0}), 1, NOW) is None
    assert subject.book(ID).bid == 100416
    assert subject.counts["quote_out_of_order"] == 1
    assert balanced(subject)


def test_order_of_quotes_is_judged_by_one_clock():
    """`timestamp` is missing in some messages; the exchange's and the gateway's stamps are not compared."""
    subject = decoder()
    only_updated = {"symbol": "F.US.MNQ", "lastUpdated": format_time(NOW), "bestBid": 25104.0}
    subject.decode(quote(only_updated), 1, NOW)
    both = {"lastUpdated": format_time(NOW + MS), "timestamp": format_time(NOW - 90 * MS), "bestBid": 25104.25}
    assert subject.decode(quote(both), 1, NOW) is not None


def test_crossed_quote_is_flagged():
    subject = decoder()
    batch = subject.decode(quote(stamp() | {"bestBid": 25105.0, "bestAsk": 25104.5}), 1, NOW)
    assert batch is not None
    assert batch[1][0][9] == SUSPECT
    assert subject.counts["crossed"] == 1
    batch = subject.decode(quote(stamp() | {"bestBid": 25104.5}), 1, NOW)  # locked is not crossed
    assert batch is not None
    assert batch[1][0][9] == 0


# ----------------------------------------------------------------------------------------------------- bad numbers
BAD_PRICES = ["NaN", "Infinity", "1e999", "-1e999", "0", "-0", "-0.0", "-25104.5", "true", "false", '"25104.5"', "[]",
              "{}", "25104.3", "25104.250001", "9007199254740993", "1e300", "12345678901234567890123"]  # fmt: skip


@pytest.mark.parametrize("text", BAD_PRICES)
@pytest.mark.parametrize("name", ["bestBid", "bestAsk", "lastPrice"])
def test_F_DAT_02_bad_quote_prices(name, text):
    subject = decoder()
    body = json.dumps(stamp() | {"bestBid": 25104.0, "bestAsk": 25104.5})
    subject.decode(quote(body), 1, NOW)
    body = body[:-1].replace(f'"{name}"', '"x"') + f',"{name}":{text}}}'
    assert subject.decode(quote(body), 1, NOW) is None
    assert (subject.book(ID).bid, subject.book(ID).ask) == (100416, 100418)
    assert subject.counts["dropped"] == 1
    assert balanced(subject)


@pytest.mark.parametrize("text", [*BAD_PRICES, "null"])
def test_F_DAT_02_bad_trade_price_spoils_only_its_print(text):
    subject = decoder()
    good, bad = json.dumps(print_()), json.dumps(print_()).replace("25104.5", text)
    batch = subject.decode(trade(f"[{good},{bad},{good}]"), 1, NOW)
    if text in ("NaN", "Infinity"):  # no JSON at all: the whole record goes
        assert batch is None
        assert subject.counts["malformed"] == 1
    else:
        assert batch is not None
        assert len(batch[1]) == 2
        assert subject.counts["items"] == 3
    assert balanced(subject)


@pytest.mark.parametrize("volume", [0, -1, 2**31, 2**53, 1.5, True, "1", None, [], 1e300])
def test_F_DAT_02_bad_sizes(volume):
    subject = decoder()
    assert subject.decode(trade([print_(volume=volume)]), 1, NOW) is None
    assert subject.counts["dropped"] == 1
    assert balanced(subject)


@pytest.mark.parametrize("volume", [-1, 1.5, True, "7", 2**60])
def test_F_DAT_02_bad_session_volume(volume):
    subject = decoder()
    assert subject.decode(quote(stamp() | {"bestBid": 25104.0, "volume": volume}), 1, NOW) is None
    assert subject.book(ID).volume == -1
    assert balanced(subject)


def test_whole_floats_are_integers():
    subject = decoder()
    batch = subject.decode(trade([print_(volume=2.0)]), 1, NOW)
    assert batch is not None
    assert batch[1][0][5] == 2


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (format_time(NOW + 11 * S), "time_in_future"),
        (format_time(NOW - 6 * 86400 * S), "time_in_past"),
        ("yesterday", "bad_time"),
        ("2026-11-20T15:24:31", "bad_time"),
        ("", "bad_time"),
    ],
)
def test_F_DAT_02_absurd_times(time, reason):
    subject = decoder()
    assert subject.decode(trade([print_() | {"timestamp": time}]), 1, NOW) is None
    assert subject.decode(quote(stamp() | {"bestBid": 25104.0, "timestamp": time}), 1, NOW) is None
    assert subject.counts[reason] == 2
    assert balanced(subject)


def test_F_DAT_02_quote_without_time():
    subject = decoder()
    assert subject.decode(quote({"bestBid": 25104.0}), 1, NOW) is None
    assert subject.counts["no_time"] == 1


def test_time_of_another_zone_is_converted():
    subject = decoder()
    batch = subject.decode(trade([print_() | {"timestamp": "2026-11-20T09:24:31.5-06:00"}]), 1, NOW)
    assert batch is not None
    assert batch[1][0][1] == NOW


# -------------------------------------------------------------------------------------------------- wrong contract
def test_F_DAT_03_wrong_contract():
    subject = decoder()
    other = "CON.F.US.MNQ.U26"
    assert subject.decode(quote(stamp() | {"bestBid": 25104.0}, other), 1, NOW) is None
    assert subject.decode(trade([print_(), print_()], other), 1, NOW) is None
    assert subject.counts["unsubscribed"] == 3
    assert subject.decode(quote(stamp() | {"bestBid": 25104.0, "contract": other}), 1, NOW) is None
    assert subject.decode(quote(stamp() | {"bestBid": 25104.0, "symbol": "F.US.ENQ"}), 1, NOW) is None
    assert subject.decode(trade([print_(contractId=other), print_(symbolId="F.US.NQ")]), 1, NOW) is None
    assert subject.counts["contract_mismatch"] == 4
    assert balanced(subject)


# ------------------------------------------------------------------------------------------------------- shapes
@pytest.mark.parametrize(
    "arguments",
    [b"[]", b'["x"]', b"[1,{}]", b'["CON.F.US.MNQ.Z26",null]', b'["CON.F.US.MNQ.Z26",5]', b'["CON.F.US.MNQ.Z26",{},1]',
     b'[{},"CON.F.US.MNQ.Z26"]', b'["CON.F.US.MNQ.Z26",[null]]', b'["CON.F.US.MNQ.Z26",[[]]]',
     b'["CON.F.US.MNQ.Z26",["x"]]', b'["CON.F.US.MNQ.Z26",{}]'],
)  # fmt: skip
@pytest.mark.parametrize("target", ["GatewayQuote", "GatewayTrade"])
def test_F_DAT_01_wrong_shapes_are_dropped_and_counted(target, arguments):
    subject = decoder()
    assert subject.decode(signalr.Invocation(target, arguments), 1, NOW) is None
    assert subject.counts["dropped"] == 1
    assert balanced(subject)


def test_single_print_without_array_and_empty_array():
    subject = decoder()
    batch = subject.decode(trade(print_()), 1, NOW)
    assert batch is not None
    assert len(batch[1]) == 1
    assert subject.decode(trade([]), 1, NOW) is None
    assert subject.counts["items"] == 1


def test_F_DAT_01_bad_entries_among_good_ones():
    subject = decoder()
    batch = subject.decode(trade([print_(), None, "x", {}, print_(type=7), print_(type=None)]), 1, NOW)
    assert batch is not None
    assert [tick[8] for tick in batch[1]] == [1, 0, 0]  # an unknown kind of aggressor is unknown
    assert subject.counts["malformed"] == 3
    assert balanced(subject)


def test_F_DAT_01_duplicate_keys():
    subject = decoder()
    body = json.dumps(stamp() | {"bestBid": 25104.0})[:-1] + ',"bestBid":25000.0}'
    assert subject.decode(quote(body), 1, NOW) is None
    good = json.dumps(print_())
    bad = good[:-1] + ',"price":25000.0}'
    batch = subject.decode(trade(f"[{good},{bad}]"), 1, NOW)
    assert batch is not None
    assert len(batch[1]) == 1
    assert subject.counts["duplicate_key"] == 2
    assert balanced(subject)


def test_a_text_that_looks_like_a_key_is_no_duplicate():
    subject = decoder()
    assert subject.decode(quote(stamp() | {"bestBid": 25104.0, "note": "bestBid", "n2": "volume"}), 1, NOW) is not None


def test_other_targets_are_counted_apart():
    subject = decoder()
    assert subject.decode(event(logout_event()), 1, NOW) is None
    assert subject.decode(event(depth_event(ID, MNQ, [(NOW, 100, 7, 7, DomType.BID)])), 1, NOW) is None
    assert subject.counts["other_target"] == 2
    assert subject.counts["items"] == 0


# ------------------------------------------------------------------------------------------- repeats and reconnect
def test_trades_are_never_deduplicated_within_a_connection():
    subject = decoder()
    for _ in range(3):
        batch = subject.decode(trade([print_(), print_()]), 1, NOW)
        assert batch is not None
        assert len(batch[1]) == 2
    assert subject.counts["accepted"] == 6


def test_out_of_order_trades_are_kept_and_counted():
    subject = decoder()
    subject.decode(trade([print_(ns=NOW)]), 1, NOW)
    batch = subject.decode(trade([print_(ns=NOW - S)]), 1, NOW)
    assert batch is not None
    assert subject.counts["trade_out_of_order"] == 1


def test_F_NET_06_after_a_reconnect_old_prints_are_dropped():
    subject = decoder()
    subject.decode(trade([print_(ns=NOW)]), 1, NOW)
    subject.on_reconnect()
    batch = subject.decode(trade([print_(ns=NOW - S), print_(ns=NOW), print_(ns=NOW + MS)]), 1, NOW)
    assert batch is not None
    assert [tick[1] for tick in batch[1]] == [NOW + MS]
    assert subject.counts["replayed"] == 2
    assert balanced(subject)


def test_F_NET_01_after_a_reconnect_the_quote_is_unknown_until_both_sides_came():
    subject = decoder()
    subject.decode(quote(stamp() | {"bestBid": 25104.0, "bestAsk": 25104.5, "volume": 9}), 1, NOW)
    subject.on_reconnect()
    batch = subject.decode(quote(stamp() | {"bestBid": 25104.25}), 1, NOW)
    assert batch is not None
    assert batch[1][0][3:5] == (100417, NO_PRICE)
    assert batch[1][0][7] == -1


def test_change_of_contracts_keeps_what_stays():
    subject = decoder()
    subject.decode(quote(stamp() | {"bestBid": 25104.0}), 1, NOW)
    other = "CON.F.US.EP.Z26"
    subject.set_contracts({ID: MNQ, other: PRODUCTS["ES"]})
    assert subject.book(ID).bid == 100416
    assert subject.book(other).bid == NO_PRICE
    subject.set_contracts({other: PRODUCTS["ES"]})
    with pytest.raises(KeyError):
        subject.book(ID)


# ----------------------------------------------------------------------------------------------------------- jumps
def flags_of(subject: MarketDecoder, price: float, ns: int = NOW) -> int:
    batch = subject.decode(trade([print_(price, ns=ns)]), 1, NOW)
    assert batch is not None
    return batch[1][0][9]


def test_F_DAT_02_a_jump_is_suspect_until_a_second_message_confirms_it():
    subject = decoder()
    assert flags_of(subject, 25000.0) == 0
    assert flags_of(subject, 25100.0) == 0  # 400 ticks: within the collar
    assert flags_of(subject, 25200.25) == SUSPECT  # 401
    assert flags_of(subject, 25200.5) == 0  # second witness
    assert flags_of(subject, 25200.5) == 0
    assert flags_of(subject, 25000.0) == SUSPECT
    assert subject.counts["suspect"] == 2


def test_F_DAT_02_two_prints_of_one_message_are_one_witness():
    subject = decoder()
    flags_of(subject, 25000.0)
    batch = subject.decode(trade([print_(26000.0), print_(26000.0)]), 1, NOW)
    assert batch is not None
    assert [tick[9] for tick in batch[1]] == [SUSPECT, SUSPECT]


def test_F_DAT_02_a_normal_price_clears_the_candidate():
    subject = decoder()
    flags_of(subject, 25000.0)
    assert flags_of(subject, 26000.0) == SUSPECT
    assert flags_of(subject, 25000.25) == 0
    assert flags_of(subject, 26000.0) == SUSPECT


def test_F_DAT_02_the_second_witness_must_come_within_a_second():
    subject = decoder()
    flags_of(subject, 25000.0, NOW - 3 * S)
    assert flags_of(subject, 26000.0, NOW - 2 * S) == SUSPECT
    assert flags_of(subject, 26000.0, NOW - S + 100) == SUSPECT  # too late: a new candidate
    assert flags_of(subject, 26000.0, NOW - S // 2) == 0


def test_F_DAT_02_a_quote_confirms_a_print_and_is_judged_itself():
    subject = decoder()
    flags_of(subject, 25000.0)
    assert flags_of(subject, 26000.0) == SUSPECT
    batch = subject.decode(quote(stamp() | {"bestBid": 25999.75, "bestAsk": 26000.25}), 1, NOW)
    assert batch is not None
    assert batch[1][0][9] == 0
    assert flags_of(subject, 26000.0) == 0
    batch = subject.decode(quote(stamp() | {"bestBid": 25000.0}), 1, NOW)  # one side far away
    assert batch is not None
    assert batch[1][0][9] == SUSPECT


def test_two_percent_binds_where_400_ticks_are_more():
    es = MarketDecoder({"CON.F.US.EP.Z26": PRODUCTS["ES"]})
    es.seed("CON.F.US.EP.Z26", 1000)  # 250.00: 2 % are 20 ticks

    def flag(price: float) -> int:
        item = {"price": price, "timestamp": format_time(NOW), "type": 0, "volume": 1}
        batch = es.decode(trade([item], "CON.F.US.EP.Z26"), 1, NOW)
        assert batch is not None
        return batch[1][0][9]

    assert flag(255.0) == 0
    assert flag(260.25) == SUSPECT


def test_seed_makes_the_first_print_judged():
    subject = decoder()
    subject.seed(ID, 100_000)
    assert flags_of(subject, 30000.0) == SUSPECT


def test_subscriptions():
    assert market_subscriptions([ID]) == [("SubscribeContractQuotes", [ID]), ("SubscribeContractTrades", [ID])]
