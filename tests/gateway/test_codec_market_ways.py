"""Market events to the wire and back, and two parsers that must agree on mutated frames."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tbot.domain.contracts import PRODUCTS
from tbot.gateway import signalr
from tbot.gateway.codec_market import MarketDecoder, quote_event, trades_event
from tbot.gateway.codec_values import parse_time
from tbot_ext.records import NO_PRICE

MNQ = PRODUCTS["MNQ"]
ID = "CON.F.US.MNQ.Z26"
NOW = parse_time("2026-11-20T15:24:31.5+00:00")
S = 1_000_000_000
FRAMES = [
    quote_event(ID, MNQ, exch_ns=NOW, updated_ns=NOW, bid=100416, ask=100418, last=100417, volume=412233),
    trades_event(ID, MNQ, [(NOW, 100418, 2, 1), (NOW, 100417, 1, -1)]),
]


def decoder() -> MarketDecoder:
    return MarketDecoder({ID: MNQ})


def event(record: bytes) -> signalr.Invocation:
    message = signalr.parse_record(record.rstrip(b"\x1e"))
    assert isinstance(message, signalr.Invocation)
    return message


def balanced(subject: MarketDecoder) -> bool:
    return subject.counts["items"] == subject.counts["accepted"] + subject.counts["dropped"]


ticks_of_mnq = st.integers(1, 400_000)


@given(
    bid=st.none() | ticks_of_mnq,
    ask=st.none() | ticks_of_mnq,
    last=st.none() | ticks_of_mnq,
    volume=st.none() | st.integers(0, 10**9),
    age_ns=st.integers(0, 10 * S),
    symbol=st.sampled_from(sorted(PRODUCTS)),
)
def test_quotes_survive_the_way(bid, ask, last, volume, age_ns, symbol):
    product = PRODUCTS[symbol]
    broker_id = f"CON.F.US.{product.root}.Z26"
    subject = MarketDecoder({broker_id: product})
    exch_ns = (NOW - age_ns) // 100 * 100
    record = quote_event(
        broker_id, product, exch_ns=exch_ns, updated_ns=exch_ns, bid=bid, ask=ask, last=last, volume=volume,
        session={"previous": 1000, "open": 1001, "high": 1002, "low": 1003},
    )  # fmt: skip
    batch = subject.decode(event(record), 5, NOW)
    book = subject.book(broker_id)
    assert (book.bid, book.ask) == tuple(NO_PRICE if side is None else side for side in (bid, ask))
    assert book.last == (NO_PRICE if last is None else last)
    assert book.volume == (-1 if volume is None else volume)
    if bid is not None or ask is not None:
        assert batch is not None
        assert batch[1][0][1:5] == (exch_ns, 5, book.bid, book.ask)
    assert subject.counts["accepted"] == 1


@given(st.lists(st.tuples(st.integers(0, 10 * S), ticks_of_mnq, st.integers(1, 2**31 - 1), st.sampled_from([1, -1]))))
def test_trades_survive_the_way(rows):
    prints = [((NOW - age) // 100 * 100, price, size, side) for age, price, size, side in rows]
    subject = decoder()
    batch = subject.decode(event(trades_event(ID, MNQ, prints)), 5, NOW)
    got = [] if batch is None else [(t[1], t[3], t[5], t[8]) for t in batch[1]]
    assert got == prints
    assert balanced(subject)


@settings(max_examples=500)
@given(st.binary(max_size=6), st.integers(0, 300), st.sampled_from(FRAMES))
def test_F_DAT_01_both_parsers_agree_on_mutated_frames(junk, at, frame):
    """What the typed decoder accepts, a general JSON parser reads the same way."""
    body = frame.rstrip(b"\x1e")
    mutated = body[:at] + junk + body[at + len(junk) :]
    message = signalr.parse_record(mutated)
    if not isinstance(message, signalr.Invocation):
        return
    subject = decoder()
    batch = subject.decode(message, 1, NOW)
    assert balanced(subject)
    if batch is None:
        return
    document = orjson.loads(message.arguments)
    if message.target == "GatewayQuote":
        tick = batch[1][0]
        for column, name in ((3, "bestBid"), (4, "bestAsk")):
            value = document[1].get(name)
            assert tick[column] == (NO_PRICE if value is None else MNQ.to_ticks(str(value)))
    else:
        rows = document[1] if isinstance(document[1], list) else [document[1]]
        read = {(str(row.get("price")), row.get("volume")) for row in rows if isinstance(row, dict)}
        assert {(str(float(MNQ.to_price(tick[3]))), tick[5]) for tick in batch[1]} <= read
