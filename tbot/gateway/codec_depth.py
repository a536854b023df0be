"""Depth events of the market hub to books of price levels. Never raises for input.

A row sets a level (volume 0 removes it) or says something else about the market; what most kinds mean is not
documented, only named (projectx-gateway 8, 11.3). Read here: Bid and BestBid set a level of the bid side, BestBid and
NewBestBid also say that nothing better is left; the same for asks; Reset drops the book; the other kinds, and kinds we
do not know, leave it alone. Every row is accepted or dropped under a reason: `counts["items"]` =
`counts["accepted"]` + `counts["dropped"]` (invariant I21).
"""

from collections.abc import Iterable, Mapping

import msgspec

from tbot.domain.contracts import Product
from tbot.gateway import signalr
from tbot.gateway.codec_checks import MAX_FUTURE_NS, MAX_PAST_NS, PricedBook, Refused, repeats, stamp_ns, whole_number
from tbot.gateway.codec_market import DEPTH_TARGET, SUBSCRIBE_DEPTH
from tbot.gateway.codec_tables import DomType
from tbot.gateway.codec_values import INT32_MAX, Counts, has_duplicate_keys
from tbot_ext.records import NO_PRICE

MAX_LEVELS = 500  # a side; the farthest ones are given up beyond it
MAX_ROWS = 20_000  # of one message; a snapshot has hundreds

_BIDS = frozenset({DomType.BID, DomType.BEST_BID, DomType.NEW_BEST_BID})
_ASKS = frozenset({DomType.ASK, DomType.BEST_ASK, DomType.NEW_BEST_ASK})
_BEST = frozenset({DomType.BEST_BID, DomType.BEST_ASK, DomType.NEW_BEST_BID, DomType.NEW_BEST_ASK})
_KINDS = {int(kind): kind for kind in DomType}


class _Row(msgspec.Struct, gc=False, rename="camel"):
    type: int
    price: float | None = None
    volume: int | float | None = None
    timestamp: str | None = None
    contract_id: str | None = None


_decode_rows = msgspec.json.Decoder(tuple[str, list[_Row]]).decode
_decode_row = msgspec.json.Decoder(_Row).decode
_decode_pieces = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_NAMES = (b'"type"', b'"price"', b'"volume"', b'"timestamp"', b'"contractId"')
_BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class DepthBook(PricedBook):
    """Resting contracts by price of one contract. Prices are ticks, NO_PRICE where a side is empty.

    `complete` when a Reset began it and no row was dropped since: else levels may be missing or left over.
    """

    __slots__ = ("_asks", "_bids", "complete", "updated_ns")

    def __init__(self, broker_id: str, product: Product) -> None:
        super().__init__(broker_id, product)
        self.forget()

    def forget(self) -> None:
        """After a gap nothing is known."""
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self.complete = False
        self.updated_ns = 0

    @property
    def bids(self) -> list[tuple[int, int]]:
        """(price, size), best first."""
        return sorted(self._bids.items(), reverse=True)

    @property
    def asks(self) -> list[tuple[int, int]]:
        """(price, size), best first."""
        return sorted(self._asks.items())

    @property
    def best_bid(self) -> int:
        return max(self._bids, default=NO_PRICE)

    @property
    def best_ask(self) -> int:
        return min(self._asks, default=NO_PRICE)

    @property
    def crossed(self) -> bool:
        """A bid above the best ask: rows are missing, or the market is between two events."""
        return bool(self._bids) and bool(self._asks) and self.best_bid > self.best_ask

    def reset(self) -> None:
        """A Reset row: the levels that follow are all there are."""
        self.forget()
        self.complete = True

    def take(self, kind: DomType, price: int, size: int) -> None:
        """A level's new size."""
        side, sign = (self._bids, 1) if kind in _BIDS else (self._asks, -1)
        if size:
            side[price] = size
        else:
            side.pop(price, None)
        if kind in _BEST:
            for better in [other for other in side if (other - price) * sign > 0]:
                del side[better]
        if len(side) > MAX_LEVELS:
            del side[min(side, key=lambda other: other * sign)]


class DepthDecoder:
    """Depth events of the subscribed contracts to their books."""

    def __init__(
        self,
        contracts: Mapping[str, Product],
        *,
        max_future_ns: int = MAX_FUTURE_NS,
        max_past_ns: int = MAX_PAST_NS,
    ) -> None:
        """As `MarketDecoder`: gateway contract id -> product, and how far a stamp may lie from market time."""
        self.counts = Counts()
        self._max_future_ns = max_future_ns
        self._max_past_ns = max_past_ns
        self._books: dict[str, DepthBook] = {}
        self.set_contracts(contracts)

    def set_contracts(self, contracts: Mapping[str, Product]) -> None:
        """Subscribed contracts from now on; the books of those that stay are kept."""
        old = self._books
        self._books = {
            broker_id: old.get(broker_id) or DepthBook(broker_id, product) for broker_id, product in contracts.items()
        }

    def book(self, broker_id: str) -> DepthBook:
        """The book of a contract; KeyError when it is not subscribed."""
        return self._books[broker_id]

    def on_reconnect(self) -> None:
        """The stream had a gap: the books are unknown until their next snapshot."""
        for book in self._books.values():
            book.forget()

    def decode(self, event: signalr.Invocation, now_ns: int) -> DepthBook | None:
        """Apply one event; its book, or None when no row of it was good. `now_ns` is market time."""
        counts = self.counts
        if event.target != DEPTH_TARGET:
            counts["other_target"] += 1
            return None
        rows: Iterable[_Row | str]
        try:
            broker_id, rows = _decode_rows(event.arguments)
            if len(rows) > MAX_ROWS:
                raise Refused("too_many_rows")
            if repeats(event.arguments, _NAMES, len(rows)) and has_duplicate_keys(event.arguments):
                raise Refused("duplicate_key")
        except (*_BAD, Refused):
            broker_id, rows = self._one_by_one(event.arguments)
        book = self._books.get(broker_id)
        accepted = 0
        for row in rows:
            counts["items"] += 1
            try:
                if isinstance(row, str):
                    raise Refused(row)
                if book is None:
                    raise Refused("unsubscribed")
                self._take(book, row, now_ns)
            except Refused as refused:
                counts.drop(refused.args[0])
                if book is not None:
                    book.complete = False
            else:
                accepted += 1
        counts["accepted"] += accepted
        return book if accepted else None

    @staticmethod
    def _one_by_one(arguments: bytes) -> tuple[str, list[_Row | str]]:
        """The slow way round for a message with a bad row, or one row that is not in an array: row or reason each."""
        try:
            pieces = _decode_pieces(arguments)
            if len(pieces) != 2:
                return "", ["malformed"]
            broker_id = _decode_text(pieces[0])
            body = bytes(pieces[1])
            items = _decode_pieces(body) if body[:1] == b"[" else [msgspec.Raw(body)]
        except _BAD:
            return "", ["malformed"]
        if len(items) > MAX_ROWS:
            return broker_id, ["too_many_rows"]
        rows: list[_Row | str] = []
        for raw in items:
            text = bytes(raw)
            try:
                row: _Row | str = _decode_row(text)
            except _BAD:
                row = "malformed"
            if repeats(text, _NAMES, 1) and has_duplicate_keys(text):
                row = "duplicate_key"
            rows.append(row)
        return broker_id, rows

    def _take(self, book: DepthBook, row: _Row, now_ns: int) -> None:
        if row.contract_id is not None and row.contract_id != book.broker_id:
            raise Refused("contract_mismatch")
        kind = _KINDS.get(row.type, DomType.UNKNOWN)
        if kind is DomType.RESET:  # whatever else it says: keeping a book that is gone would be worse
            book.reset()
            return
        if row.timestamp is None:
            raise Refused("no_time")
        at_ns = stamp_ns(row.timestamp, now_ns, self._max_past_ns, self._max_future_ns)
        if kind is DomType.UNKNOWN:
            self.counts["unknown_kind"] += 1
            return
        if row.price is None or row.volume is None:
            raise Refused("bad_price" if row.price is None else "bad_size")
        price = book.ticks_of(row.price)
        size = whole_number(row.volume, 0, INT32_MAX, "bad_size")
        if kind in _BIDS or kind in _ASKS:
            book.take(kind, price, size)
        else:
            self.counts[f"kind_{kind.name.lower()}"] += 1
        book.updated_ns = max(book.updated_ns, at_ns)


def depth_subscriptions(broker_ids: Iterable[str]) -> list[tuple[str, list[object]]]:
    """The invocations (target, arguments) that subscribe the depth of these contracts."""
    return [(SUBSCRIBE_DEPTH, [broker_id]) for broker_id in broker_ids]
