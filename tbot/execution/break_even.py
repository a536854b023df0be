"""Moves the stop of a position to its entry once the market has gone far enough in its favour.

A stop is only ever moved towards the market, and only where the market is seen and the position is proven: with a fresh
quote, a working stop, no entry that may still fill (failure-model.md, table of safe orders: "move stop closer").
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tbot.domain.messages import Quote
from tbot.execution.picture import Picture
from tbot.risk.limits import RiskLimits


@dataclass(frozen=True, slots=True)
class Move:
    """A stop that should stand at another price (ticks)."""

    contract: str
    order_id: int
    stop: int


def break_even_moves(picture: Picture, limits: RiskLimits, quotes: Mapping[str, Quote]) -> Iterator[Move]:
    """The stops that belong at the entry price now and do not stand there yet."""
    for name in picture.ledger.open_contracts() if limits.break_even_percent else ():
        quote = quotes.get(name)
        if quote is None or quote.age_ns > limits.quote_ban_ns or quote.bid >= quote.ask:
            continue
        level = _level(picture, limits, name, quote)
        if level is None:
            continue
        side = picture.ledger.position(name).side
        for order in picture.stops(name):
            if order.order_type == "stop" and order.stop is not None and side * (level - order.stop) > 0:
                yield Move(name, order.order_id, level)


def _level(picture: Picture, limits: RiskLimits, contract: str, quote: Quote) -> int | None:
    """The entry price in ticks once enough is gained, rounded to the side of the market; None before that."""
    entries = picture.opening_entries(contract)
    holding = picture.holding(contract)
    proven = entries and picture.protected(contract) and not picture.live_entries(contract)
    if not proven or holding.owned != abs(holding.size):
        return None
    position = picture.ledger.position(contract)
    side, size, basis = position.side, abs(position.size), position.price_size_sum
    adverse = quote.bid if side > 0 else quote.ask
    wanted = limits.break_even_percent * min(entry.stop_ticks for entry in entries) * size
    if side * (adverse * size - basis) * 100 < wanted:
        return None
    level = -(-basis // size) if side > 0 else basis // size
    return level if side * (adverse - level) > 0 else None
