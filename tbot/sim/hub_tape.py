"""What the market hub says about one contract: sparse quotes from full knowledge, and trades."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tbot.domain.contracts import Contract
from tbot.gateway.codec_market import quote_event, trades_event
from tbot.sim.depth import DepthMaker
from tbot.sim.market_source import Ticks
from tbot_ext.records import NO_PRICE

PRINTS_PER_RECORD = 400  # about 60 KB: a client's limit on one record is never near


@dataclass(frozen=True, slots=True)
class HubRecord:
    """One encoded record of the market hub and who gets it."""

    kind: Literal["quote", "trade", "depth"]
    broker_id: str
    data: bytes


class HubTape:
    """What the hub has told and will tell about one contract: sparse quotes from full knowledge."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self.bid = self.ask = self.last = NO_PRICE
        self.volume = 0
        self.exch_ns = 0
        self.session: dict[str, int] = {}  # open, high, low in ticks, previous close
        self.depth: DepthMaker | None = None  # while somebody looks at the book
        self._sent: dict[str, int] = {}

    def begin_session(self) -> None:
        """A trading day begins: the cumulative volume and the session's prices start anew."""
        previous = self.last
        self.volume = 0
        self.session = {} if previous == NO_PRICE else {"previous": previous}

    def next_month(self, contract: Contract, ticks: int) -> "HubTape":
        """The tape of the month that follows: all prices of the session so far are `ticks` higher."""
        tape = HubTape(contract)
        for name in ("bid", "ask", "last"):
            price = getattr(self, name)
            setattr(tape, name, price if price == NO_PRICE else price + ticks)
        tape.volume, tape.exch_ns = self.volume, self.exch_ns
        tape.session = {name: price + ticks for name, price in self.session.items()}
        return tape

    def take_trades(self, trades: Ticks) -> None:
        """Take in prints, oldest first; those without a size move nothing."""
        trades = trades[trades["size"] > 0]
        if not len(trades):
            return
        prices = trades["price"]
        self.last = int(prices[-1])
        self.volume += int(trades["size"].sum())
        self.exch_ns = max(self.exch_ns, int(trades["exch_ns"][-1]))
        self.session.setdefault("open", int(prices[0]))
        self.session["high"] = max(self.session.get("high", self.last), int(prices.max()))
        self.session["low"] = min(self.session.get("low", self.last), int(prices.min()))

    def take_quote(self, quote: np.void) -> None:
        self.bid, self.ask = int(quote["price"]), int(quote["price2"])
        self.exch_ns = max(self.exch_ns, int(quote["exch_ns"]))

    def quote(self, updated_ns: int, *, full: bool = False) -> bytes | None:
        """The quote record with what changed since the last one; `full` tells everything. None: nothing is known."""
        now = {"bid": self.bid, "ask": self.ask, "last": self.last}
        now = {name: price for name, price in now.items() if price != NO_PRICE}
        if not now:
            return None
        now |= {"volume": self.volume, **self.session}
        changed = now if full else {name: value for name, value in now.items() if self._sent.get(name) != value}
        if not changed:  # a quote in which only sizes moved repeats its prices
            changed = {name: price for name, price in now.items() if name in ("bid", "ask")}
        # Also by a full quote: earlier subscribers know all of it, their last sparse quote ended with the same state.
        self._sent = now
        session = {name: value for name, value in changed.items() if name in ("open", "high", "low")}
        if "previous" in now and "last" in changed:
            session["previous"] = now["previous"]
        return quote_event(
            self.contract.broker_id,
            self.contract.product,
            exch_ns=self.exch_ns or updated_ns,
            updated_ns=updated_ns,
            bid=changed.get("bid"),
            ask=changed.get("ask"),
            last=changed.get("last"),
            volume=changed.get("volume"),
            session=session,
        )

    def trades(self, trades: Ticks) -> Iterator[bytes]:
        """Trade records with all prints, in order."""
        for start in range(0, len(trades), PRINTS_PER_RECORD):
            part = trades[start : start + PRINTS_PER_RECORD]
            rows = zip(*(part[name].tolist() for name in ("exch_ns", "price", "size", "side")), strict=True)
            yield trades_event(self.contract.broker_id, self.contract.product, rows)
