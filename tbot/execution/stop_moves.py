"""Moves stops closer: to the entry once enough is gained (break-even), and after the market (trailing).

A stop is only ever moved towards the market, and only where the market is seen and the position is proven: with a fresh
quote, a working stop of ours, no entry that may still fill (failure-model.md, table of safe orders: "move stop
closer"). What became of a move is kept by order: until an ambiguous one is proven, the worse of both prices counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tbot.domain.messages import OrderUpdate, Outcome, Quote
from tbot.domain.timeframes import NS_PER_MIN
from tbot.execution.picture import Picture
from tbot.execution.tags import parse_tag
from tbot.risk.limits import RiskLimits

MAX_MOVES = 3  # refused or unproven moves of one order in a row: who refuses three of them will refuse the fourth


@dataclass(frozen=True, slots=True)
class Move:
    """A stop that should stand at another price (ticks), or be of another size (None: as it is)."""

    contract: str
    order_id: int
    stop: int
    size: int | None = None


def wanted_moves(picture: Picture, limits: RiskLimits, quotes: Mapping[str, Quote]) -> Iterator[Move]:
    """The stops that belong closer to the market now, each at the closest price that it has earned."""
    wanted = limits.break_even_percent or limits.trail_percent
    for name in picture.ledger.open_contracts() if wanted else ():
        quote = quotes.get(name)
        if quote is None or quote.age_ns > limits.quote_ban_ns or quote.bid >= quote.ask:
            continue
        if not _proven(picture, name):
            continue
        position = picture.ledger.position(name)
        side = position.side
        even, trail = _levels(picture, limits, name, quote)
        for order in picture.stops(name):
            assert order.stop is not None, "an order without a stop price protects nothing"
            if order.order_type != "stop" or parse_tag(order.tag) is None:
                continue
            earned = [even] if even is not None and side * (even - order.stop) > 0 else []
            if trail is not None and side * (trail - order.stop) >= limits.trail_step_ticks:
                earned.append(trail)
            if earned:
                yield Move(name, order.order_id, max(earned, key=lambda level: side * level))


def _proven(picture: Picture, contract: str) -> bool:
    """Whether the position is all ours, whole, and protected."""
    holding = picture.holding(contract)
    whole = bool(picture.opening_entries(contract)) and not picture.live_entries(contract)
    return whole and picture.protected(contract) and holding.owned == abs(holding.size)


def _levels(picture: Picture, limits: RiskLimits, contract: str, quote: Quote) -> tuple[int | None, int | None]:
    """(break-even, trailing) prices that are earned now, in ticks, on the losing side of the market; None: not yet."""
    position = picture.ledger.position(contract)
    side, size, basis = position.side, abs(position.size), position.price_size_sum
    approved = min(entry.stop_ticks for entry in picture.opening_entries(contract))
    adverse = quote.bid if side > 0 else quote.ask
    gained = side * (adverse * size - basis)  # ticks summed over contracts
    even: int | None = None
    if limits.break_even_percent and gained * 100 >= limits.break_even_percent * approved * size:
        even = -(-basis // size) if side > 0 else basis // size  # rounded to the side of the market
        even = even if side * (adverse - even) > 0 else None
    trail: int | None = None
    distance = max(limits.min_bracket_ticks, -(-limits.trail_percent * approved // 100))
    if limits.trail_percent and gained >= distance * size:
        trail = adverse - side * distance
    return even, trail


@dataclass(slots=True)
class Moved:
    """What became of the moves of one order."""

    asked_ns: int
    old: int  # stop before the newest move
    new: int
    failed: int = 0  # refused or ambiguous ones in a row
    proven: bool = False  # old and new are told apart
    answer_step: int = -1  # when the answer to the newest came; -1: it is out
    taken: int | None = None  # newest price that the broker took or may have taken; None: none

    def worse(self, stop: int, side: int) -> int:
        """The price to count with; `stop` is what the order shows, `side` that of the position."""
        return stop if self.proven else side * min(side * stop, side * self.old, side * self.new)


@dataclass(slots=True)
class MoveLog:
    """Moves by order id."""

    of: dict[int, Moved] = field(default_factory=dict)
    recent_ns: list[int] = field(default_factory=list)  # times of the moves of the last minute, of all orders

    def may(self, order_id: int, now_ns: int, gap_ns: int) -> bool:
        """Whether another move may be asked for: never while the one before is not proven."""
        moved = self.of.get(order_id)
        return moved is None or (moved.proven and not self.given_up(order_id) and now_ns - moved.asked_ns >= gap_ns)

    def given_up(self, order_id: int) -> bool:
        """Whether no change of an order is asked for any more, because too many failed."""
        moved = self.of.get(order_id)
        return moved is not None and moved.failed >= MAX_MOVES

    def asked(self, order_id: int, old: int, new: int, now_ns: int) -> None:
        """A move is on its way."""
        self.recent_ns = [at for at in self.recent_ns if now_ns - at < NS_PER_MIN] + [now_ns]
        before = self.of.get(order_id)
        self.of[order_id] = Moved(now_ns, old, new)
        if before is not None:
            self.of[order_id].failed, self.of[order_id].taken = before.failed, before.taken

    def gains(self, order_id: int, stop: int, side: int) -> bool:
        """Whether `stop` is closer to the market than what the broker took before; `side` is that of the position.

        The order may still show the price before a move that was taken: its event can be late or lost (F-NET-08). The
        same price may be asked for again after a move that failed.
        """
        moved = self.of.get(order_id)
        if moved is None or moved.taken is None:
            return True
        return side * (stop - moved.taken) >= (0 if moved.failed else 1)

    def closest(self, order_id: int, stop: int, side: int) -> int:
        """`stop` or what the broker took or may have taken of the order's moves, whichever is closer to the market."""
        moved = self.of.get(order_id)
        return stop if moved is None or moved.taken is None else side * max(side * stop, side * moved.taken)

    def answered(self, order_id: int, outcome: Outcome, step: int) -> None:
        """Refused or not sent: the old price is the truth, and that is what the order shows."""
        moved = self.of.get(order_id)
        if moved is None:
            return  # the order is over, and its trading day, too
        moved.answer_step = step
        if outcome in ("accepted", "ambiguous"):
            moved.taken = moved.new
        moved.proven = outcome != "ambiguous"
        moved.failed = 0 if outcome == "accepted" else moved.failed + (outcome != "not_sent")

    def shown(self, update: OrderUpdate, answer_step: int) -> None:
        """An explicit answer lists the order: proof, when it was asked for after the move's own answer."""
        moved = self.of.get(update.order_id)
        if moved is None or moved.proven or not 0 <= moved.answer_step <= answer_step:
            return
        moved.proven = True
        if update.stop == moved.new:
            moved.failed = 0

    def forget(self, live: set[int]) -> None:
        """Keep only orders that still work."""
        self.of = {number: moved for number, moved in self.of.items() if number in live}
