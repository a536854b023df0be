"""What one frame of the terminal dashboard shows: values taken from the engine's view and the person's choices.

Pure below `look_at`, which asks the view. Nothing here knows of textual.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from tbot.dashboard.candles import Chart, Pin, PriceLine
from tbot.dashboard.feed_view import Line, Mark, Zone
from tbot.dashboard.journal_view import SignalRow
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Intent, RoundTrip
from tbot.domain.process_messages import EngineEvent
from tbot.domain.timeframes import NAMES, NS_PER_S
from tbot.risk.valuation import cents_of, exit_fees_cents
from tbot_ext.records import BAR_DTYPE

ZONE_CHOICES = ("blocks", "all", "levels", "off")
BLOCKS = {"OB", "BB", "MB"}
ZONES_DRAWN = 12  # of blocks, and as many gaps where they are wanted
STALE_S = 45.0  # a status is written every 30 s at the latest


class View(Protocol):
    """What a frame is made of (see `feed_view.EngineView`)."""

    def status(self) -> dict[str, Any]: ...
    def mark(self, symbol: str) -> Mark: ...
    def bars(self, symbol: str, timeframe_min: int, n: int = 500) -> npt.NDArray[np.void]: ...
    def zones(self, symbol: str, timeframe_min: int) -> list[Zone]: ...
    def lines(self, symbol: str, timeframe_min: int) -> list[Line]: ...
    def signals(self, n: int = 50) -> list[SignalRow]: ...
    def trades(self, n: int = 50) -> list[RoundTrip]: ...
    def events(self, n: int = 50) -> list[EngineEvent]: ...


@dataclass(frozen=True)
class Choice:
    """What the person chose to see."""

    symbol: str = ""
    account: str = ""
    timeframe_min: int = 1
    zones: str = "blocks"
    panel: int = 0  # of those that share the lower part on a narrow screen
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Helsinki"))


@dataclass(frozen=True)
class Shown:
    """One frame. Prices in ticks, money in cents unless the name says usd, times UTC ns."""

    choice: Choice
    status: Mapping[str, Any]
    gone: str = ""  # why nobody is there, in words; what is shown is then what was seen last
    notice: str = ""  # what was asked for and is not to be had here
    age_s: float = 0.0  # of the status
    mark: Mark = field(default_factory=lambda: Mark(None, None, None, 0))
    bars: npt.NDArray[np.void] = field(default_factory=lambda: np.empty(0, BAR_DTYPE))
    zones: Sequence[Zone] = ()
    lines: Sequence[Line] = ()
    signals: Sequence[SignalRow] = ()
    trades: Sequence[RoundTrip] = ()
    events: Sequence[EngineEvent] = ()
    latency: Sequence[tuple[int, int]] = ()  # (p50, p99) ns of the first hop, oldest first

    @property
    def symbol(self) -> str:
        return self.choice.symbol

    @property
    def contract(self) -> Mapping[str, Any]:
        """The contract's part of the status."""
        found: Mapping[str, Any] = self.status.get("contracts", {}).get(self.symbol, {})
        return found

    @property
    def account(self) -> Mapping[str, Any]:
        """The chosen account's part of the status."""
        found: Mapping[str, Any] = self.status.get("accounts", {}).get(self.choice.account, {})
        return found

    @property
    def positions(self) -> list[Mapping[str, Any]]:
        return list(self.account.get("positions", ()))

    @property
    def market_ns(self) -> int:
        """Market time: the ring is fresher than the status."""
        return max(self.mark.market_ns, int(self.status.get("market_ns", 0)))

    @property
    def last(self) -> int | None:
        """Newest price."""
        if self.mark.last is not None:
            return self.mark.last
        price = self.contract.get("last_price")
        return None if price is None else int(price)

    def price(self, ticks: int) -> str:
        product = PRODUCTS.get(self.symbol)
        return product.format(ticks) if product is not None else str(ticks)

    def open_cents(self, held: Mapping[str, Any]) -> int:
        """What a position is worth now: by the ring's quote for the contract on the screen, else by the status."""
        price = self.mark.bid if held["side"] > 0 else self.mark.ask
        product = PRODUCTS.get(held["contract"])
        told = int(held["unrealised_cents"] or 0)
        if held["contract"] != self.symbol or price is None or product is None or self.gone:
            return told
        ticks = int(held["side"] * (price * held["size"] - held["entry_price_size"]))
        return cents_of(product, ticks) - exit_fees_cents(product, held["size"])

    def chart(self, *, texture: bool = False, hollow: bool = False) -> Chart:
        """The picture's input."""
        name = NAMES[self.choice.timeframe_min]
        held = [place for place in self.positions if place["contract"] == self.symbol]
        return Chart(
            bars=self.bars,
            timeframe_min=self.choice.timeframe_min,
            price_text=self.price,
            zone=self.choice.zone,
            zones=self.zones,
            lines=self.lines,
            prices=[line for place in held for line in _bracket(place)],
            pins=_pins(self.signals, self.trades, self.choice),
            last=self.last,
            waiting=f"waiting for bars of {self.symbol} {name}" if self.symbol else "waiting for a contract",
            texture=texture,
            hollow=hollow,
        )


def _bracket(held: Mapping[str, Any]) -> list[PriceLine]:
    since = int(held.get("opened_ns") or 0)
    entry = PriceLine("entry", round(held["entry"]), since)
    rest = [PriceLine(kind, int(held[kind]), since) for kind in ("stop", "target") if held[kind] is not None]
    return [entry, *rest]


def _pins(signals: Sequence[SignalRow], trades: Sequence[RoundTrip], choice: Choice) -> list[Pin]:
    account = int(choice.account) if choice.account.isdecimal() else None
    pins = [
        Pin(trip.now_ns, "won" if trip.net_cents > 0 else "lost", trip.side)
        for trip in trades
        if trip.contract == choice.symbol and account in (None, trip.account)
    ]
    for row in signals:
        if row.contract == choice.symbol:
            taken = any(isinstance(one, Intent) and account in (None, one.account) for one in row.answers)
            pins.append(Pin(row.decided_ns, "taken" if taken else "denied", row.side))
    return sorted(pins, key=lambda pin: pin.kind == "denied")  # what was traded is drawn first


def look_at(view: View, choice: Choice, bars: int, **more: Any) -> Shown:
    """One frame of what a view sees."""
    choice = chosen(choice, view.status())
    symbol, minutes = choice.symbol, choice.timeframe_min
    found = view.bars(symbol, minutes, bars) if symbol else np.empty(0, BAR_DTYPE)
    zones = [zone for tf in NAMES if tf >= minutes for zone in view.zones(symbol, tf)] if symbol else []
    status = view.status()
    return Shown(
        choice=choice,
        status=status,
        mark=view.mark(symbol),
        bars=found,
        zones=wanted_zones(zones, choice, found),
        lines=view.lines(symbol, minutes) if choice.zones == "levels" else (),
        signals=view.signals(60),
        trades=view.trades(60),
        events=view.events(60),
        **more,
    )


def chosen(choice: Choice, status: Mapping[str, Any]) -> Choice:
    """The choice with a contract and an account that there are."""
    symbols, accounts = list(status.get("contracts", {})), list(status.get("accounts", {}))
    symbol = choice.symbol if choice.symbol in symbols or not symbols else symbols[0]
    account = choice.account if choice.account in accounts or not accounts else accounts[0]
    if (symbol, account) == (choice.symbol, choice.account):
        return choice
    return Choice(symbol, account, choice.timeframe_min, choice.zones, choice.panel, choice.zone)


def not_had(asked: Choice, got: Choice) -> str:
    """What was asked for and is not traded by this run, in words: else somebody takes one contract for another."""
    parts = []
    if asked.symbol and asked.symbol != got.symbol:
        parts.append(f"{asked.symbol} is not traded by this run; showing {got.symbol}")
    if asked.account and asked.account != got.account:
        parts.append(f"account {asked.account} is not traded by this run; showing {got.account}")
    return "; ".join(parts)


def wanted_zones(zones: list[Zone], choice: Choice, bars: npt.NDArray[np.void]) -> list[Zone]:
    """The zones of a frame, nearest to the price first; those that reach into the bars' prices come before others."""
    if choice.zones == "off" or not len(bars):
        return []
    low, high, last = int(bars["low"].min()), int(bars["high"].max()), int(bars["close"][-1])

    def far(zone: Zone) -> tuple[bool, int]:
        return zone.top < low or zone.bottom > high, max(zone.bottom - last, last - zone.top, 0)

    found = sorted((zone for zone in zones if zone.kind in BLOCKS), key=far)[:ZONES_DRAWN]
    if choice.zones == "all":
        found += sorted((zone for zone in zones if zone.kind not in BLOCKS), key=far)[:ZONES_DRAWN]
    return sorted(found, key=far)


def status_age_s(status: Mapping[str, Any], wall_ns: int) -> float:
    """Age of a status document, s; 0 when it has none."""
    written = int(status.get("written_ns", 0))
    return max(0.0, (wall_ns - written) / NS_PER_S) if written else 0.0
