"""Market hub: events of the wire to ring ticks for the feed, and market events to the wire for the simulator.

Everything is validated before it becomes a tick (failure F-DAT-02): numbers, tick grid, sizes, times, contract ids.
Every item (a quote message, one print of a trade message) is either accepted or dropped under a reason:
`counts["items"]` = `counts["accepted"]` + `counts["dropped"]`, always (invariant I21).
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from tbot.domain.contracts import Product
from tbot.gateway import signalr
from tbot.gateway.codec_checks import MAX_FUTURE_NS as MAX_FUTURE_NS
from tbot.gateway.codec_checks import MAX_PAST_NS as MAX_PAST_NS
from tbot.gateway.codec_checks import PricedBook, Refused, repeats, stamp_ns, whole_number
from tbot.gateway.codec_tables import DomType
from tbot.gateway.codec_values import (
    INT32_MAX,
    MAX_EXACT_FLOAT,
    Counts,
    format_time,
    has_duplicate_keys,
    too_dense,
)
from tbot_ext.market_book import MarketBook
from tbot_ext.market_scan import MarketScanner
from tbot_ext.records import NO_PRICE, Flag, Kind

QUOTE_TARGET = "GatewayQuote"
TRADE_TARGET = "GatewayTrade"
DEPTH_TARGET = "GatewayDepth"
LOGOUT_TARGET = "GatewayLogout"

SUBSCRIBE_QUOTES = "SubscribeContractQuotes"
SUBSCRIBE_TRADES = "SubscribeContractTrades"
SUBSCRIBE_DEPTH = "SubscribeContractMarketDepth"
UNSUBSCRIBE_DEPTH = "UnsubscribeContractMarketDepth"

TRADE, QUOTE = int(Kind.TRADE), int(Kind.QUOTE)
SUSPECT = int(Flag.SUSPECT)

SCAN_RECORDS = 256  # taken in one step at most: a tenth of a millisecond

# The arguments of RingWriter.push in order: kind, exch_ns, recv_ns, price, price2, size, aux, volume, side, flags
TickTuple = tuple[int, int, int, int, int, int, int, int, int, int]
# A contract_id with its ticks
Batch = tuple[int, list[TickTuple]]


class _Quote(msgspec.Struct, gc=False, rename="camel"):
    symbol: str | None = None
    contract: str | None = None
    last_updated: str | None = None
    timestamp: str | None = None
    best_bid: float | None = None
    best_ask: float | None = None
    last_price: float | None = None
    volume: int | float | None = None


class _Trade(msgspec.Struct, gc=False, rename="camel"):
    price: float
    timestamp: str
    volume: int | float
    type: int | None = None
    symbol_id: str | None = None
    contract_id: str | None = None


_decode_quote = msgspec.json.Decoder(tuple[str, _Quote]).decode
_decode_trades = msgspec.json.Decoder(tuple[str, list[_Trade]]).decode
_decode_pieces = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode
_QUOTE_NAMES = tuple(f'"{name}"'.encode() for name in _Quote.__struct_encode_fields__)
_TRADE_NAMES = (b'"price"', b'"volume"', b'"timestamp"', b'"type"')
_BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class QuoteBook(MarketBook):
    """What is known of one contract: see MarketBook, which keeps it for both readers of a frame; and its prices."""

    __slots__ = ("product", "ticks_of")

    def __init__(self, broker_id: str, product: Product) -> None:
        priced = PricedBook(broker_id, product)
        super().__init__(broker_id, priced.symbol_id, product.contract_id, float(product.tick_size))
        self.product = product
        self.ticks_of = priced.ticks_of


class MarketDecoder:
    """Market-hub events of the subscribed contracts to ring ticks. Never raises for input."""

    def __init__(
        self,
        contracts: Mapping[str, Product],
        *,
        max_future_ns: int = MAX_FUTURE_NS,
        max_past_ns: int = MAX_PAST_NS,
    ) -> None:
        """`contracts`: gateway contract id -> product, exactly the subscribed ones.

        `max_future_ns`, `max_past_ns`: how far an exchange stamp may lie from market time (raise both with the speed of
        a simulated market).
        """
        self.counts = Counts()
        self._max_future_ns = max_future_ns
        self._max_past_ns = max_past_ns
        self._books: dict[str, QuoteBook] = {}
        self._scanner = MarketScanner((), max_future_ns, max_past_ns)
        self._malformed = 0  # that somebody has asked for
        self.set_contracts(contracts)

    def set_contracts(self, contracts: Mapping[str, Product]) -> None:
        """Subscribed contracts from now on; what is known of those that stay is kept."""
        old = self._books
        self._books = {
            broker_id: old.get(broker_id) or QuoteBook(broker_id, product) for broker_id, product in contracts.items()
        }
        self._scanner.set_books(self._books.values())

    def book(self, broker_id: str) -> QuoteBook:
        """What is known of a contract; KeyError when it is not subscribed."""
        return self._books[broker_id]

    def on_reconnect(self) -> None:
        """The stream had a gap: quotes are unknown again, prints up to the last accepted one would be repeats."""
        for broker_id in self._books:
            self.on_gap(broker_id)

    def on_gap(self, broker_id: str) -> None:
        """The same for one contract."""
        book = self._books[broker_id]
        book.forget_quote()
        book.fence_ns = max(book.fence_ns, book.last_trade_ns)

    def seed(self, broker_id: str, price: int) -> None:
        """Take `price` (ticks; the close of the newest history bar) as good, so that even the first print is judged."""
        book = self._books[broker_id]
        if book.good == NO_PRICE:
            book.good = price

    def spoiled(self) -> bool:
        """Whether malformed items came since this was asked last: they count against the connection (F-DAT-01)."""
        before, self._malformed = self._malformed, self.counts["malformed"]
        return self._malformed != before

    def scan(self, data: bytes, at: int, recv_ns: int, now_ns: int) -> tuple[int, int, Sequence[MarketBook]]:
        """Whole records from `at` on that the scanner knows: (where it stopped, how many, books with ticks waiting).

        The same in every respect as `decode` of these records one after the other; the ticks wait in the books until
        the next call. Stops before the first record that it does not know, which is then one for `decode`.
        """
        scanner = self._scanner
        end = scanner.scan(data, at, recv_ns, now_ns, SCAN_RECORDS)
        if scanner.items:
            counts = self.counts
            counts["items"] += scanner.items
            counts["accepted"] += scanner.items
            for name in ("suspect", "crossed"):
                if number := getattr(scanner, name):
                    counts[name] += number
            if scanner.out_of_order:
                counts["trade_out_of_order"] += scanner.out_of_order
        return end, scanner.records, scanner.touched

    def decode(self, event: signalr.Invocation, recv_ns: int, now_ns: int) -> Batch | None:
        """Ticks of one market-hub event, or None when there is none (foreign target, everything dropped).

        `recv_ns` goes into the ticks as it is; `now_ns` is market time, used only to refuse absurd stamps.
        """
        self._scanner.message += 1
        target = event.target
        if target == QUOTE_TARGET:
            self.counts["items"] += 1
            try:
                return self._quote(event.arguments, recv_ns, now_ns)
            except Refused as refused:
                self.counts.drop(refused.args[0])
                return None
        if target == TRADE_TARGET:
            return self._trades(event.arguments, recv_ns, now_ns)
        self.counts["other_target"] += 1
        return None

    # ------------------------------------------------------------------------------------------------------- quotes
    def _quote(self, arguments: bytes, recv_ns: int, now_ns: int) -> Batch | None:
        try:
            broker_id, data = _decode_quote(arguments)
        except _BAD:
            raise Refused("malformed") from None
        if repeats(arguments, _QUOTE_NAMES, 1) and has_duplicate_keys(arguments):
            raise Refused("duplicate_key")
        book = self._book(broker_id, data.contract, data.symbol)
        updated_text = data.last_updated or data.timestamp
        if updated_text is None:
            raise Refused("no_time")
        updated_ns = self._time(updated_text, now_ns)
        exch_ns = updated_ns if data.timestamp is None else self._time(data.timestamp, now_ns)
        if updated_ns < book.updated_ns:
            raise Refused("quote_out_of_order")
        bid, ask, last = book.ticks_of(data.best_bid), book.ticks_of(data.best_ask), book.ticks_of(data.last_price)
        volume = -1 if data.volume is None else whole_number(data.volume, 0, MAX_EXACT_FLOAT, "bad_volume")
        flags = book.merge(updated_ns, exch_ns, bid, ask, last, volume, self._scanner.message)
        self.counts["accepted"] += 1
        if flags < 0:
            return None
        if flags:
            self.counts["suspect"] += 1
            if book.crossed:
                self.counts["crossed"] += 1
        return book.contract_id, [(QUOTE, exch_ns, recv_ns, book.bid, book.ask, 0, 0, book.volume, 0, flags)]

    # ------------------------------------------------------------------------------------------------------- trades
    def _trades(self, arguments: bytes, recv_ns: int, now_ns: int) -> Batch | None:
        counts = self.counts
        try:
            broker_id, prints = _decode_trades(arguments)
            if repeats(arguments, _TRADE_NAMES, len(prints)) and has_duplicate_keys(arguments):
                raise Refused("duplicate_key")
        except (*_BAD, Refused):
            return self._trades_one_by_one(arguments, recv_ns, now_ns)
        counts["items"] += len(prints)
        ticks: list[TickTuple] = []
        for item in prints:
            try:
                ticks.append(self._trade(broker_id, item, recv_ns, now_ns))
            except Refused as refused:
                counts.drop(refused.args[0])
        counts["accepted"] += len(ticks)
        return (self._books[broker_id].product.contract_id, ticks) if ticks else None

    def _trades_one_by_one(self, arguments: bytes, recv_ns: int, now_ns: int) -> Batch | None:
        """The slow way round for a message with a bad entry, or with one print that is not in an array."""
        counts = self.counts
        try:
            pieces = _decode_pieces(arguments)
            broker_id = _decode_text(pieces[0])
            body = bytes(pieces[1])
            if len(pieces) != 2 or too_dense(body):
                raise Refused
            items = _decode_pieces(body) if body[:1] == b"[" else [msgspec.Raw(body)]
        except (*_BAD, Refused, IndexError):
            counts["items"] += 1
            counts.drop("malformed")
            return None
        counts["items"] += len(items)
        ticks: list[TickTuple] = []
        for raw in items:
            text = bytes(raw)
            try:
                if repeats(text, _TRADE_NAMES, 1) and has_duplicate_keys(text):
                    raise Refused("duplicate_key")
                ticks.append(self._trade(broker_id, _decode_trade(text), recv_ns, now_ns))
            except _BAD:
                counts.drop("malformed")
            except Refused as refused:
                counts.drop(refused.args[0])
        counts["accepted"] += len(ticks)
        return (self._books[broker_id].product.contract_id, ticks) if ticks else None

    def _trade(self, broker_id: str, item: _Trade, recv_ns: int, now_ns: int) -> TickTuple:
        book = self._book(broker_id, item.contract_id, item.symbol_id)
        exch_ns = self._time(item.timestamp, now_ns)
        if exch_ns <= book.fence_ns:
            raise Refused("replayed")
        price = book.ticks_of(item.price)
        size = whole_number(item.volume, 1, INT32_MAX, "bad_size")
        side = 1 if item.type == 0 else -1 if item.type == 1 else 0
        if exch_ns < book.last_trade_ns:
            self.counts["trade_out_of_order"] += 1  # kept: it counts in a bar that is still open
        flags = book.trade(exch_ns, price, self._scanner.message)
        if flags:
            self.counts["suspect"] += 1
        return (TRADE, exch_ns, recv_ns, price, 0, size, 0, -1, side, flags)

    # ------------------------------------------------------------------------------------------------------- shared
    def _book(self, broker_id: str, named: str | None, symbol_id: str | None) -> QuoteBook:
        book = self._books.get(broker_id)
        if book is None:
            raise Refused("unsubscribed")
        if named is not None and named != broker_id:
            raise Refused("contract_mismatch")
        if symbol_id is not None and symbol_id != book.symbol_id:
            raise Refused("contract_mismatch")
        return book

    def _time(self, text: str, now_ns: int) -> int:
        return stamp_ns(text, now_ns, self._max_past_ns, self._max_future_ns)


# ---------------------------------------------------------------------------------------------- the simulator's side
def quote_event(
    broker_id: str,
    product: Product,
    *,
    exch_ns: int,
    updated_ns: int,
    bid: int | None = None,
    ask: int | None = None,
    last: int | None = None,
    volume: int | None = None,
    session: Mapping[str, int] | None = None,
) -> bytes:
    """A GatewayQuote record. Prices are ticks; None = unchanged, so the member is left out (quotes are sparse).

    `session` may hold ticks of `open`, `high`, `low` and `previous` (settlement, from which `change` comes).
    """
    data: dict[str, object] = {"symbol": f"F.US.{product.root}"}
    if last is not None:
        data["lastPrice"] = product.to_price(last)
    if bid is not None:
        data["bestBid"] = product.to_price(bid)
    if ask is not None:
        data["bestAsk"] = product.to_price(ask)
    session = session or {}
    previous = session.get("previous")
    if last is not None and previous:
        data["change"] = product.to_price(last - previous)
        data["changePercent"] = round(Decimal(last - previous) * 100 / previous, 2)
    for name in ("open", "high", "low"):
        if name in session:
            data[name] = product.to_price(session[name])
    if volume is not None:
        data["volume"] = volume
    data["lastUpdated"] = format_time(updated_ns)
    data["timestamp"] = format_time(exch_ns)
    data["contract"] = broker_id
    return signalr.encode_invocation(QUOTE_TARGET, _encode([broker_id, data]))


def trades_event(broker_id: str, product: Product, prints: Iterable[tuple[int, int, int, int]]) -> bytes:
    """A GatewayTrade record with an array of prints (exch_ns, price ticks, size, aggressor +1/-1)."""
    symbol_id = f"F.US.{product.root}"
    rows = [
        {
            "symbolId": symbol_id,
            "price": product.to_price(price),
            "timestamp": format_time(exch_ns),
            "type": 1 if side < 0 else 0,
            "volume": size,
            "contractId": broker_id,
        }
        for exch_ns, price, size, side in prints
    ]
    return signalr.encode_invocation(TRADE_TARGET, _encode([broker_id, rows]))


def depth_event(broker_id: str, product: Product, rows: Iterable[tuple[int, int, int, int, DomType]]) -> bytes:
    """A GatewayDepth record of rows (exch_ns, price ticks, resting size, current size, kind of row)."""
    data = [
        {
            "price": product.to_price(price),
            "volume": size,
            "currentVolume": current,
            "type": int(kind),
            "timestamp": format_time(exch_ns),
        }
        for exch_ns, price, size, current, kind in rows
    ]
    return signalr.encode_invocation(DEPTH_TARGET, _encode([broker_id, data]))


def logout_event() -> bytes:
    """The goodbye of a session that was taken over."""
    return signalr.encode_invocation(LOGOUT_TARGET, b"[]")


def market_subscriptions(broker_ids: Iterable[str]) -> list[tuple[str, list[object]]]:
    """The invocations (target, arguments) that subscribe quotes and trades of these contracts."""
    return [(target, [broker_id]) for broker_id in broker_ids for target in (SUBSCRIBE_QUOTES, SUBSCRIBE_TRADES)]
