"""The scanner against the general decoder: the same ticks, books and counts, and never more than it accepts."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from json_mutations import mutated
from shared_data import shared
from tbot.domain.contracts import PRODUCTS, Product
from tbot.gateway import signalr
from tbot.gateway.codec_market import MarketDecoder, TickTuple, quote_event, trades_event
from tbot.gateway.codec_values import parse_time
from tbot_ext.market_book import MAX_WAITING, MarketBook
from tbot_ext.market_scan import MAX_BOOKS, MarketScanner
from tbot_ext.records import TICK_DTYPE
from tbot_ext.ring import RingReader, RingWriter, format_ring, ring_bytes

MNQ, ES, YEN = "CON.F.US.MNQ.Z26", "CON.F.US.EP.Z26", "CON.F.US.JY6.Z26"
CONTRACTS = {MNQ: PRODUCTS["MNQ"], ES: PRODUCTS["ES"], YEN: PRODUCTS["6J"]}
NOW = parse_time("2026-11-20T15:24:31.5+00:00")
S = 1_000_000_000
FIELDS = ("bid", "ask", "last", "volume", "updated_ns", "good", "last_trade_ns", "fence_ns", "crossed")

QUOTE = (
    b'{"type":1,"target":"GatewayQuote","arguments":["CON.F.US.MNQ.Z26",{"symbol":"F.US.MNQ","lastPrice":25104.25,'
    b'"bestBid":25104.0,"bestAsk":25104.5,"change":-38.75,"changePercent":-0.15,"open":25140.0,"high":25188.25,'
    b'"low":25067.5,"volume":412233,"lastUpdated":"2026-11-20T15:24:31.4347534+00:00",'
    b'"timestamp":"2026-11-20T15:24:31.348+00:00","contract":"CON.F.US.MNQ.Z26"}]}\x1e'
)
TRADES = (
    b'{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.MNQ.Z26",[{"symbolId":"F.US.MNQ","price":25104.5,'
    b'"timestamp":"2026-11-20T15:24:31.452+00:00","type":0,"volume":2,"contractId":"CON.F.US.MNQ.Z26"},'
    b'{"symbolId":"F.US.MNQ","price":25104.5,"timestamp":"2026-11-20T15:24:31.452Z","type":1,"volume":1}]]}\x1e'
)


class Both:
    """One stream through two decoders: the general one, and the scanner with the general one behind it."""

    def __init__(self, contracts: dict[str, Product] = CONTRACTS) -> None:
        self.general, self.fast = MarketDecoder(contracts), MarketDecoder(contracts)
        self.contracts = contracts
        self.scanned = 0  # records that the scanner took

    def _one(self, subject: MarketDecoder, record: bytes) -> dict[int, list[TickTuple]]:
        message = signalr.parse_record(record)
        batch = subject.decode(message, 7, NOW) if isinstance(message, signalr.Invocation) else None
        return {} if batch is None else {batch[0]: batch[1]}

    def take(self, stream: bytes) -> dict[int, list[TickTuple]]:
        """Ticks by contract, after everything was compared. The stream ends with a separator."""
        slow: dict[int, list[TickTuple]] = {}
        quick: dict[int, list[TickTuple]] = {}
        for record in stream.split(b"\x1e")[:-1]:
            for contract_id, ticks in self._one(self.general, record).items():
                slow.setdefault(contract_id, []).extend(ticks)
        at = 0
        while at < len(stream):
            at, records, books = self.fast.scan(stream, at, 7, NOW)
            self.scanned += records
            for book in books:
                if book.waiting:
                    quick.setdefault(book.contract_id, []).extend(book.rows())
            if at < len(stream):
                end = stream.index(b"\x1e", at)
                for contract_id, ticks in self._one(self.fast, stream[at:end]).items():
                    quick.setdefault(contract_id, []).extend(ticks)
                at = end + 1
        assert quick == slow
        assert self.fast.counts == self.general.counts
        for name in self.contracts:
            mine, other = self.fast.book(name), self.general.book(name)
            assert [getattr(mine, field) for field in FIELDS] == [getattr(other, field) for field in FIELDS]
        return quick


def scanned(record: bytes) -> bool:
    """Whether the scanner takes a record by itself; what it does with it is compared on the way."""
    both = Both()
    both.take(record)
    return both.scanned == 1


# ------------------------------------------------------------------------------------------------------ what it knows
def test_the_gateways_own_frames_are_taken():
    both = Both()
    ticks = both.take(QUOTE + TRADES + QUOTE[:-1].replace(b",\"lastPrice\":25104.25", b"") + b"\x1e")
    assert both.scanned == 3
    assert [tick[0] for tick in ticks[1]] == [2, 1, 1, 2]
    assert ticks[1][0][1:8] == (parse_time("2026-11-20T15:24:31.348Z"), 7, 100416, 100418, 0, 0, 412233)
    assert [tick[3:10] for tick in ticks[1][1:3]] == [(100418, 0, 2, 0, -1, 1, 0), (100418, 0, 1, 0, -1, -1, 0)]


@pytest.mark.shared_data
def test_the_recorded_frames_are_taken():
    taken = set()
    for line in shared("market/projectx/stream_samples.jsonl").read_text().splitlines():
        sample = json.loads(line)
        if sample["source"] != "projectx_market_stream" or sample["event"] == "depth":
            continue
        name, body = sample["payload"]["contractId"], sample["payload"]["payload"]
        newest = body["lastUpdated"] if isinstance(body, dict) else body[-1]["timestamp"]
        contracts = {name: next(p for p in PRODUCTS.values() if name.split(".")[3] == p.root)}
        subject = MarketDecoder(contracts)
        target = "GatewayQuote" if isinstance(body, dict) else "GatewayTrade"
        text = json.dumps([name, body], separators=(",", ":")).encode()
        record = signalr.encode_invocation(target, text)
        end, records, books = subject.scan(record, 0, 7, parse_time(newest))
        assert (end, records) == (len(record), 1), sample["event"]
        batch = MarketDecoder(contracts).decode(signalr.Invocation(target, text), 7, parse_time(newest))
        assert batch is not None
        assert books[0].rows() == batch[1]
        taken.add(target)
    assert taken == {"GatewayQuote", "GatewayTrade"}


# What it leaves to the general decoder, which accepts some of it: {old: new} in a frame.
LEFT = [
    (QUOTE, {b'"type":1,"target"': b'"target"', b"]}\x1e": b'],"type":1}\x1e'}),
    (QUOTE, {b'"type":1,': b'"type": 1,'}),
    (QUOTE, {b'"type":1,': b'"type":1,"invocationId":"1",'}),
    (QUOTE, {b"Quote": b"Quota"}),
    (QUOTE, {b"]}\x1e": b"] }\x1e"}),
    (QUOTE, {b"]}\x1e": b',1]}\x1e'}),
    (QUOTE, {b"CON.F.US.MNQ": b"CON.F.US.MES"}),
    (QUOTE, {b"F.US.MNQ\"": b"F.US.MES\""}),
    (QUOTE, {b'["CON.F.US.MNQ.Z26"': b'["CON.F.US.EP.Z26"'}),
    (QUOTE, {b"25104.0": b"25104.1"}),
    (QUOTE, {b"25104.0": b"null"}),
    (QUOTE, {b"25104.0": b'"25104"'}),
    (QUOTE, {b"25104.0": b"0"}),
    (QUOTE, {b"25104.0": b"-25104.0"}),
    (QUOTE, {b"25104.0": b"025104.0"}),
    (QUOTE, {b"25104.0": b"25104."}),
    (QUOTE, {b"25104.0": b"2.5104e4"}),
    (QUOTE, {b"25104.0": b"25104.00000000000"}),
    (QUOTE, {b"25104.0": b"9999999999999999999999999"}),
    (QUOTE, {b"412233": b"412233.0"}),
    (QUOTE, {b"412233": b"-1"}),
    (QUOTE, {b"412233": b"true"}),
    (QUOTE, {b"412233": b"1234567890123456"}),
    (QUOTE, {b'"low":': b'"close":'}),
    (QUOTE, {b'"low":': b'"high":'}),
    (QUOTE, {b'"volume":': b'"lastPrice":'}),
    (QUOTE, {b"25067.5": b"NaN"}),
    (QUOTE, {b"25067.5": b"25067.5.1"}),
    (QUOTE, {b"+00:00": b"+01:00"}),
    (QUOTE, {b"+00:00": b"+00:00Z"}),
    (QUOTE, {b"+00:00": b""}),
    (QUOTE, {b"+00:00": b"\\u002B00:00"}),
    (QUOTE, {b"31.4347534": b"31.43475340000"}),
    (QUOTE, {b"31.4347534": b"31."}),
    (QUOTE, {b"31.4347534": b"61.4"}),
    (QUOTE, {b"2026-11-20T15": b"2026-11-31T15"}),
    (QUOTE, {b"2026-11-20T15": b"2026-02-29T15"}),
    (QUOTE, {b"2026-11-20T15": b"2026-11-20T24"}),
    (QUOTE, {b"2026-11-20T15": b"2026-11-20T16"}),
    (QUOTE, {b"2026-11-20T15": b"2026-11-10T15"}),
    (QUOTE, {b"2026-11-20T15": b"2026-11-20 15"}),
    (TRADES, {b"[{": b"{", b"}]": b"}"}),
    (TRADES, {b'"volume":2': b'"volume":0'}),
    (TRADES, {b'"volume":2': b'"volume":3000000000'}),
    (TRADES, {b'"volume":2,': b""}),
    (TRADES, {b'"volume":1': b'"volume":1,"volume":1'}),
    (TRADES, {b'"price":25104.5,"timestamp":"2026-11-20T15:24:31.452Z"': b'"price":25104.4,"timestamp":"x"'}),
    (TRADES, {b'"type":1,"vol': b'"type":-1,"vol'}),
    (TRADES, {b'"type":1,"vol': b'"type":null,"vol'}),
    (TRADES, {b"},{": b"},null,{"}),
    (TRADES, {b"},{": b"}{"}),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "changes"), LEFT, ids=range(len(LEFT)))
def test_F_DAT_02_what_differs_is_left_to_the_general_decoder(frame, changes):
    assert scanned(frame)
    changed = frame
    for old, new in changes.items():
        assert old in changed
        changed = changed.replace(old, new)
    assert not scanned(changed)


@pytest.mark.parametrize("frame", [QUOTE, TRADES])
def test_F_NET_05_a_frame_cut_anywhere_is_left_untouched(frame):
    for end in range(len(frame)):
        subject = MarketDecoder(CONTRACTS)
        assert subject.scan(frame[:end], 0, 7, NOW) == (0, 0, [])
        assert not subject.counts


def test_F_NET_01_prints_up_to_the_fence_are_left_to_be_refused():
    both = Both()
    both.take(TRADES)
    for subject in (both.general, both.fast):
        subject.on_reconnect()
    assert both.take(TRADES) == {}
    assert both.fast.counts["replayed"] == 2
    assert both.take(TRADES.replace(b"31.452", b"31.453")) != {}
    assert both.scanned == 2


def test_a_quote_older_than_the_newest_is_left_to_be_refused():
    both = Both()
    both.take(QUOTE + QUOTE.replace(b"31.4347534", b"31.4347533"))
    assert (both.scanned, both.fast.counts["quote_out_of_order"]) == (1, 1)


# -------------------------------------------------------------------------------------------------------- equivalence
def rows(name: str, low: int, high: int):
    """Quote and trade frames of one contract, as the simulator (and so the gateway) writes them."""
    product = CONTRACTS[name]
    side = st.none() | st.integers(low, high)
    when = st.integers(0, 4 * S).map(lambda ago: (NOW - ago) // 100 * 100)
    quotes = st.builds(
        lambda bid, ask, last, volume, updated, exch: quote_event(
            name, product, exch_ns=exch, updated_ns=updated, bid=bid, ask=ask, last=last, volume=volume
        ),
        side, side, side, st.none() | st.integers(0, 10**9), when, when,
    )  # fmt: skip
    prints = st.lists(
        st.tuples(when, st.integers(low, high), st.integers(1, 2**31 - 1), st.sampled_from([1, -1])), max_size=6
    )
    return quotes | prints.map(lambda items: trades_event(name, product, items))


# A market that jumps: collars, candidates, crossed quotes and stamps out of order all occur.
streams = st.lists(rows(MNQ, 99_000, 101_000) | rows(ES, 24_000, 24_900) | rows(YEN, 13_000, 13_400), max_size=25)


@settings(max_examples=150)
@given(streams)
def test_F_DAT_02_any_stream_gives_the_same_ticks_books_and_counts(frames):
    Both().take(b"".join(frames))


@settings(max_examples=300)
@given(st.sampled_from([QUOTE, TRADES]), st.binary(max_size=6), st.integers(0, 400), st.integers(0, 3))
def test_F_DAT_01_any_damage_is_taken_alike(frame, junk, at, cut):
    at = min(at, len(frame) - 1)
    damaged = frame[:at] + junk + frame[at + cut :]
    Both().take(damaged + b"\x1e" + QUOTE + TRADES)


@pytest.mark.parametrize("target", ["GatewayQuote", "GatewayTrade"])
def test_I21_thousands_of_damaged_frames_are_taken_alike(target):
    rng = random.Random(target)
    frame = QUOTE if target == "GatewayQuote" else TRADES
    body = json.loads(frame[:-1])["arguments"]
    both = Both()
    for _ in range(1500):
        text = mutated(rng, json.dumps(body, separators=(",", ":")).encode())
        both.take(signalr.encode_invocation(target, text) + (frame if rng.random() < 0.1 else b""))
    counts = both.fast.counts
    assert counts["items"] == counts["accepted"] + counts["dropped"]
    assert counts["dropped"] > 200
    assert both.scanned > 100


@given(st.integers(0, 10**15), st.integers(0, 8), st.sampled_from(sorted(PRODUCTS)))
def test_prices_are_those_of_the_general_decoder(digits, places, symbol):
    """Any decimal text of a price: off the grid, huge, tiny."""
    product = PRODUCTS[symbol]
    name = f"CON.F.US.{product.root}.Z26"
    text = f"{digits:0{places + 1}d}"
    text = f"{text[:-places]}.{text[-places:]}" if places else text
    frame = QUOTE.replace(b"CON.F.US.MNQ.Z26", name.encode()).replace(b"F.US.MNQ", f"F.US.{product.root}".encode())
    Both({name: product}).take(frame.replace(b"25104.0", text.encode()))


@given(st.datetimes(), st.integers(0, 9), st.integers(0, 10**9 - 1), st.sampled_from(["Z", "+00:00"]))
def test_times_are_those_of_the_general_decoder(moment, places, fraction, zone):
    digits = f".{fraction:09d}"[: places + 1] if places else ""
    text = f"{moment:%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + digits + zone
    frame = QUOTE.replace(b"2026-11-20T15:24:31.4347534+00:00", text.encode())
    frame = frame.replace(b'"timestamp":"2026-11-20T15:24:31.348+00:00",', b"")
    try:
        now = parse_time(text)
    except ValueError:
        assert not scanned(frame)
        return
    fast, general = MarketDecoder(CONTRACTS), MarketDecoder(CONTRACTS)
    _, records, books = fast.scan(frame, 0, 7, now)
    batch = general.decode(signalr.parse_record(frame[:-1]), 7, now)
    assert batch is not None
    assert (records, books[0].rows()) == (1, batch[1])


# ------------------------------------------------------------------------------------------------------------- limits
def test_more_prints_than_fit_are_left_and_nothing_is_lost():
    one = json.dumps({"price": 25104.5, "timestamp": "2026-11-20T15:24:31Z", "volume": 1}, separators=(",", ":"))

    def frame(count: int) -> bytes:
        return signalr.encode_invocation("GatewayTrade", f'["{MNQ}",[{",".join([one] * count)}]]'.encode())

    assert scanned(frame(MAX_WAITING))
    assert not scanned(frame(MAX_WAITING + 1))
    both = Both()
    assert len(both.take(frame(MAX_WAITING - 3) + frame(4) + frame(5) + QUOTE)[1]) == MAX_WAITING + 7
    assert both.scanned >= 2


def test_a_step_takes_at_most_so_many_records():
    subject = MarketDecoder(CONTRACTS)
    stream = QUOTE * 1000
    at, steps = 0, []
    while at < len(stream):
        at, records, books = subject.scan(stream, at, 7, NOW)
        steps.append(records)
        assert books[0].waiting == records
    assert (sum(steps), max(steps)) == (1000, 256)


def test_the_summary_of_a_step_is_that_of_its_events():
    subject = MarketDecoder(CONTRACTS)
    later = TRADES.replace(b"15:24:31.452Z", b"15:23:59.9Z")
    _, _, books = subject.scan(QUOTE + later, 0, 7, NOW)
    book = books[0]
    # Of an event with several prints the last one tells how far the market is, as in ContractFeed.take.
    assert book.data_ns == parse_time("2026-11-20T15:24:31.348Z")
    assert book.trade_ns == parse_time("2026-11-20T15:23:59.9Z")
    assert book.minutes == [parse_time("2026-11-20T15:24:00Z"), parse_time("2026-11-20T15:23:00Z")]
    assert subject.scan(QUOTE[:-1], 0, 7, NOW) == (0, 0, [])
    assert (book.waiting, book.data_ns, book.trade_ns, book.minutes) == (0, 0, 0, [])


def test_waiting_ticks_reach_their_own_ring_only():
    subject = MarketDecoder(CONTRACTS)
    memory, foreign = bytearray(ring_bytes(1024)), bytearray(ring_bytes(1024))
    format_ring(memory, 1024, 1, 1)
    format_ring(foreign, 1024, 4, 1)
    _, _, books = subject.scan(QUOTE + TRADES, 0, 7, NOW)
    with pytest.raises(ValueError, match="another one's"):
        books[0].write(RingWriter(foreign))
    writer = RingWriter(memory)
    books[0].write(writer)
    out = np.zeros(8, TICK_DTYPE)
    assert RingReader(memory, 0).read(out) == 3
    fields = ("kind", "exch_ns", "recv_ns", "price", "price2", "size", "aux", "volume", "side", "flags")
    assert [tuple(int(row[name]) for name in fields) for row in out[:3]] == books[0].rows()
    assert set(out["contract_id"][:3]) == {1}
    RingWriter(memory)
    with pytest.raises(RuntimeError, match="newer writer"):
        books[0].write(writer)
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        books[0].write(writer)


def test_bad_arguments_are_refused_and_odd_names_are_never_matched():
    with pytest.raises(ValueError, match="none"):
        MarketBook("A", "B", -1, 0.25)
    with pytest.raises(ValueError, match="none"):
        MarketBook("A", "B", 1, float("nan"))
    with pytest.raises(ValueError, match="no place"):
        MarketScanner([], 1, 1).scan(b"abc", 4, 0, 0, 1)
    for name in ('a"b', "a\\b", "ä", "a\n", ""):
        scanner = MarketScanner([MarketBook(name, "F.US.MNQ", 1, 0.25)], 10**18, 10**18)
        for spelled in (name.encode(), json.dumps(name).encode()[1:-1]):
            frame = QUOTE.replace(b',"contract":"CON.F.US.MNQ.Z26"', b"").replace(b"CON.F.US.MNQ.Z26", spelled)
            assert scanner.scan(frame, 0, 7, NOW, 10) == 0
    many = [MarketBook(f"C{n}", "S", n, 0.25) for n in range(MAX_BOOKS + 1)]
    scanner = MarketScanner(many, 10**18, 10**18)
    frame = QUOTE.replace(b"CON.F.US.MNQ.Z26", b"C%d").replace(b"F.US.MNQ", b"S")
    assert scanner.scan(frame % (MAX_BOOKS - 1, MAX_BOOKS - 1), 0, 7, NOW, 10) > 0
    assert scanner.scan(frame % (MAX_BOOKS, MAX_BOOKS), 0, 7, NOW, 10) == 0


def test_contracts_that_stay_when_others_change_lose_nothing() -> None:
    """A roll, or an executor that says the same contracts again: ticks that waited then must not stay for ever."""
    both = Both()
    for _ in range(3):
        ticks = both.take(QUOTE + TRADES)
        assert len(ticks[PRODUCTS["MNQ"].contract_id]) == 3
        both.general.set_contracts(CONTRACTS)
        both.fast.set_contracts(CONTRACTS)
    assert both.scanned == 6
