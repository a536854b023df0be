"""The simulator's book: consistent with the quotes at every instant, and reproduced exactly by the client's decoder."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_client import HubClient
from sim_rig import DAY_NS, MNQ, running, until
from tbot.domain.contracts import DEFAULT_SYMBOLS, PRODUCTS, contract_from_broker_id
from tbot.domain.timeframes import NS_PER_S
from tbot.gateway import signalr
from tbot.gateway.codec import DepthBook, DepthDecoder, DomType, depth_event
from tbot.sim.depth import LEVELS, SLACK, DepthMaker
from tbot.sim.exchange import Exchange
from tbot.sim.listing import front_contract
from tbot.sim.market import Market, SimClock
from tbot.sim.price_path import SyntheticMarket
from tbot_ext.records import NO_PRICE

OPEN_NS = int(datetime(2026, 11, 20, 14, 30, tzinfo=UTC).timestamp()) * NS_PER_S
DAY = datetime(2026, 11, 20).date()
PRODUCT = PRODUCTS["MNQ"]


def event(record: bytes) -> signalr.Invocation:
    message = signalr.parse_record(record.rstrip(b"\x1e"))
    assert isinstance(message, signalr.Invocation)
    return message


def same(book: DepthBook, maker: DepthMaker) -> bool:
    return book.complete and (book.bids, book.asks) == (maker.bids, maker.asks)


# ------------------------------------------------------------------------------------------------------- the maker
prices = st.one_of(st.integers(-3, 3), st.integers(-3, 3), st.integers(-90, 90), st.sampled_from([-2000, 2000]))
moves = st.lists(
    st.tuples(
        prices,  # how far the bid moves
        st.integers(-2, 6),  # spread: locked and crossed books occur
        st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 30), st.sampled_from([-1, 1])), max_size=5),
        st.integers(0, 2 * NS_PER_S),
        st.sampled_from([None, None, None, None, 1, -1]),  # a side without a price
    ),
    max_size=60,
)


@given(moves, st.integers(0, 60), st.integers(0, 9), st.sampled_from(["MNQ", "ES", "6J"]))
@settings(max_examples=150, deadline=None)
def test_snapshot_and_increments_make_the_same_book_from_any_moment_on(
    plan: list[Any], subscribed: int, seed: int, symbol: str
) -> None:
    product = PRODUCTS[symbol]
    maker, bid, now_ns = DepthMaker(product, seed, DAY_NS), 2500, DAY_NS
    decoder = DepthDecoder({MNQ: product})
    following = False
    for number, (move, spread, prints, wait_ns, gone) in enumerate(plan):
        now_ns += wait_ns
        bid = max(5, bid + move)
        quote = (NO_PRICE if gone == -1 else bid, NO_PRICE if gone == 1 else bid + spread)
        rows = maker.update(now_ns, *quote, [(bid + offset, size, side) for offset, size, side in prints])
        if following and rows:
            decoder.decode(event(depth_event(MNQ, product, rows)), now_ns)
        if number == subscribed:
            following = True
            decoder.decode(event(depth_event(MNQ, product, maker.snapshot(now_ns))), now_ns)
        assert (maker.bids[0][0] if maker.bids else NO_PRICE) == quote[0]
        assert (maker.asks[0][0] if maker.asks else NO_PRICE) == quote[1]
        for levels in (maker.bids, maker.asks):
            assert all(size > 0 and price > 0 for price, size in levels)
            assert len(levels) <= LEVELS + SLACK
            gaps = {abs(a[0] - b[0]) for a, b in itertools.pairwise(levels)}
            assert gaps <= {1}
        assert not following or same(decoder.book(MNQ), maker)
    assert decoder.counts["dropped"] == 0


def test_rows_are_of_the_documented_kinds_and_only_what_changed() -> None:
    maker = DepthMaker(PRODUCT, 1, DAY_NS)
    first = maker.update(DAY_NS, 1000, 1002)
    assert [row[4] for row in first[:2]] == [DomType.RESET, DomType.ASK]
    assert len(first) == 1 + 2 * LEVELS + 2
    sizes = dict(maker.asks)
    assert maker.update(DAY_NS, 1000, 1002) == []
    rows = maker.update(DAY_NS, 1001, 1004, [(1002, 3, 1), (1003, 1, 1), (1000, 2, -1)])
    told = [(kind.name, price) for _, price, _, _, kind in rows]
    assert told == [
        ("NEW_BEST_BID", 1001), ("ASK", 1002), ("ASK", 1003), ("NEW_BEST_ASK", 1004),
        ("ASK", 1062), ("ASK", 1063),
        ("FILL", 1002), ("FILL", 1003), ("TRADE", 1000),
    ]  # fmt: skip
    assert rows[3][2] == sizes[1004]
    rows = maker.update(DAY_NS, 1001, 1004, [(1001, 1, -1)])
    assert [row[4] for row in rows] == [DomType.TRADE, DomType.BEST_BID]
    rows = maker.update(DAY_NS, 1001, 1004, high=1010, low=990)
    assert [(row[1], row[4]) for row in rows] == [(1010, DomType.HIGH), (990, DomType.LOW)]


def test_the_same_seed_makes_the_same_book() -> None:
    def rows(seed: int) -> list[Any]:
        maker = DepthMaker(PRODUCT, seed, DAY_NS)
        return [maker.update(DAY_NS + k * NS_PER_S, 1000 + k % 7, 1002 + k % 7, [(1000, 1, 1)]) for k in range(50)]

    assert rows(1) == rows(1) != rows(2)


def test_a_book_without_trades_and_quotes_stands_still() -> None:
    maker = DepthMaker(PRODUCT, 1, DAY_NS)
    maker.update(DAY_NS, 1000, 1002)
    assert any(maker.update(DAY_NS + k * NS_PER_S, 1000, 1002, quoted_ns=DAY_NS) for k in range(1, 9))
    assert not any(maker.update(DAY_NS + k * NS_PER_S, 1000, 1002, quoted_ns=DAY_NS) for k in range(10, 99))


@pytest.mark.parametrize(("symbol", "expected"), [("ES", (30, 100, 200)), ("GC", (1, 3, 8)), ("NQ", (1, 2.5, 6))])
def test_best_sizes_of_regular_hours(symbol: str, expected: tuple[float, ...]) -> None:
    """market-microstructure 3: 10th, 50th and 90th percentile of the best sizes (NQ assumed there)."""
    sizes = []
    for seed in range(400):
        maker = DepthMaker(PRODUCTS[symbol], seed, OPEN_NS)
        maker.update(OPEN_NS, 1000, 1001)
        sizes += [maker.bids[0][1], maker.asks[0][1]]
    sizes.sort()
    found = [sizes[int(share * len(sizes))] for share in (0.1, 0.5, 0.9)]
    assert found == pytest.approx(expected, rel=0.5, abs=1)


# ------------------------------------------------------------------------------------------------------ the market
class Feed:
    """A synthetic market in steps of 20 ms of market time, its clock driven by hand."""

    def __init__(self, patch: pytest.MonkeyPatch, symbols: tuple[str, ...] = ("MNQ",), **more: Any) -> None:
        self.boot = 0
        patch.setattr("tbot.sim.market.boot_ns", lambda: self.boot)
        source = SyntheticMarket(1, symbols, OPEN_NS, 1)
        self.contracts = [front_contract(product, DAY) for product in source.contracts]
        self.market = Market(source, Exchange(self.contracts), SimClock(OPEN_NS, 1.0, held=False), **more)

    def step(self, *kinds: str, step_ns: int = 20_000_000) -> list[Any]:
        self.boot += step_ns
        return self.market.step({(kind, contract.broker_id) for kind in kinds for contract in self.contracts})


@pytest.mark.parametrize("every_quote", [False, True])
@pytest.mark.parametrize("subscribed_at", [3, 120, 731])
def test_depth_agrees_with_the_quotes_and_with_the_clients_book(
    monkeypatch: pytest.MonkeyPatch, subscribed_at: int, every_quote: bool
) -> None:
    feed = Feed(monkeypatch, DEFAULT_SYMBOLS, every_quote=every_quote)
    products = {contract.broker_id: contract.product for contract in feed.contracts}
    decoder = DepthDecoder(products)
    quotes: dict[str, dict[str, float]] = {broker_id: {} for broker_id in products}
    for number in range(subscribed_at + 400):
        following = number > subscribed_at
        records = feed.step("quote", "trade", "depth") if following else feed.step("quote", "trade")
        for record in records:
            if record.kind == "quote":
                data = json.loads(record.data[:-1])["arguments"][1]
                quotes[record.broker_id] |= {name: data[name] for name in ("bestBid", "bestAsk") if name in data}
            elif record.kind == "depth":
                book = decoder.decode(event(record.data), feed.market.now_ns)
                assert book is not None
                state, product = quotes[record.broker_id], book.product
                if len(state) == 2:
                    assert float(product.to_price(book.best_bid)) == state["bestBid"]
                    assert float(product.to_price(book.best_ask)) == state["bestAsk"]
        if number == subscribed_at:
            for contract in feed.contracts:
                snapshot = feed.market.depth_snapshot(contract.broker_id)
                assert snapshot is not None
                if contract.product.symbol in ("MNQ", "MES"):
                    assert len(snapshot) > 10_000  # as users report
                decoder.decode(event(snapshot), feed.market.now_ns)
        if following:
            for contract in feed.contracts:
                maker = feed.market._tapes[contract.product.contract_id].depth
                assert maker is not None
                assert same(decoder.book(contract.broker_id), maker)
    assert decoder.counts["dropped"] == 0
    assert decoder.counts["items"] == decoder.counts["accepted"] > 3000


def test_rows_a_second_are_of_the_order_that_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNQ: 62 a second in the late morning, 104 around the close (projectx-gateway 11.4)."""
    feed = Feed(monkeypatch)
    for _ in range(50):
        feed.step("quote")
    feed.market.depth_snapshot(feed.contracts[0].broker_id)
    rows = 0
    for _ in range(120 * 50):
        rows += sum(len(json.loads(record.data[:-1])["arguments"][1]) for record in feed.step("depth"))
    assert 40 < rows / 120 < 180


def test_no_book_is_kept_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(monkeypatch)
    broker_id = feed.contracts[0].broker_id
    assert feed.market.depth_snapshot("CON.F.US.EP.Z26") is None
    assert not [record for record in feed.step("depth") if record.kind == "depth"]  # nobody got a snapshot
    feed.market.depth_snapshot(broker_id)
    for _ in range(20):
        feed.step("depth")
    tape = feed.market._by_broker_id[broker_id]
    assert tape.depth is not None
    feed.step("quote")
    assert tape.depth is None


def test_a_book_before_the_first_quote_is_empty_and_begins_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(monkeypatch)
    broker_id = feed.contracts[0].broker_id
    snapshot = json.loads((feed.market.depth_snapshot(broker_id) or b"")[:-1])["arguments"][1]
    assert [row["type"] for row in snapshot] == [6]
    decoder = DepthDecoder({broker_id: PRODUCT})
    while not decoder.book(broker_id).bids:
        for record in feed.step("depth"):
            decoder.decode(event(record.data), feed.market.now_ns)
    assert len(decoder.book(broker_id).bids) == LEVELS


def test_over_the_socket_a_snapshot_comes_before_the_increments() -> None:
    source = SyntheticMarket(1, ("MNQ",), OPEN_NS, 0)
    contract = front_contract(source.contracts[0], DAY)
    decoder = DepthDecoder({contract.broker_id: PRODUCT})
    with running((source, [contract], OPEN_NS), speed=5.0) as server:  # type: ignore[arg-type]
        until(lambda: server.server.market.now_ns > OPEN_NS + 2 * NS_PER_S, "some quotes")
        with HubClient(f"{server.ws}/hubs/market?access_token={server.login()}") as client:
            assert client.invoke("SubscribeContractMarketDepth", contract.broker_id)["result"] is None
            for number in range(30):
                broker_id, rows = client.event("GatewayDepth")
                if number == 0:
                    assert rows[0]["type"] == DomType.RESET
                    assert len(rows) > 2 * LEVELS
                    assert rows[1].keys() == {"price", "volume", "currentVolume", "type", "timestamp"}
                raw = json.dumps([broker_id, rows]).encode()
                decoder.decode(signalr.Invocation("GatewayDepth", raw), server.server.market.now_ns)
    book = decoder.book(contract.broker_id)
    assert book.complete
    assert not book.crossed
    assert len(book.bids) >= LEVELS
    assert decoder.counts["dropped"] == 0


def test_F_TIM_07_after_a_roll_the_old_months_book_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = Feed(monkeypatch)
    old = feed.contracts[0]
    new = contract_from_broker_id("CON.F.US.MNQ.H27")
    while b"bestBid" not in (feed.market.snapshot(old.broker_id) or b""):
        feed.step("quote")
    assert feed.market.depth_snapshot(old.broker_id) is not None
    feed.step("depth")
    feed.market.exchange.on_roll[0](old, new, 900, feed.market.now_ns)
    feed.contracts.append(new)
    assert feed.market.depth_snapshot(old.broker_id) is None
    decoder = DepthDecoder({new.broker_id: PRODUCT})
    decoder.decode(event(feed.market.depth_snapshot(new.broker_id) or b""), feed.market.now_ns)
    first = decoder.book(new.broker_id).best_bid
    for _ in range(100):
        records = feed.step("depth")
        assert {record.broker_id for record in records} <= {new.broker_id}
        for record in records:
            decoder.decode(event(record.data), feed.market.now_ns)
    maker = feed.market._by_broker_id[new.broker_id].depth
    assert maker is not None
    assert same(decoder.book(new.broker_id), maker)
    assert abs(decoder.book(new.broker_id).best_bid - first) < 200
    assert first > 100_000
