"""What an account has at risk, by contract: positions at their stops, working and UNKNOWN entries as filled (R10)."""

from collections.abc import Mapping

from tbot.domain.messages import Quote
from tbot.execution.picture import Picture
from tbot.execution.stop_moves import MoveLog
from tbot.risk.gate import Exposure
from tbot.risk.limits import RiskLimits
from tbot.risk.valuation import open_worst_cents


def exposures(
    picture: Picture, limits: RiskLimits, moves: MoveLog, quotes: Mapping[str, Quote]
) -> tuple[Exposure, ...]:
    """One Exposure for each contract with a position or an entry that may still fill."""
    found = []
    names = {entry.contract for entry in picture.live_entries()} | set(picture.ledger.open_contracts())
    for name in sorted(names):
        product = picture.products.get(name)
        position = picture.ledger.position(name)
        entries = picture.live_entries(name)
        rest = sum(picture.remaining(entry) for entry in entries)
        worst = sum(-(-entry.risk_cents * picture.remaining(entry) // entry.size) for entry in entries)
        side = position.side or entries[0].side
        if product is None:
            # Not one of our products: nothing is known about its money, so it leaves no room at all.
            found.append(Exposure(name, name, side, abs(position.size), limits.daily_loss_cents))
            continue
        worst += open_worst_cents(product, position, stop_level(picture, moves, name), quotes.get(name), limits)
        micros = (abs(position.size) + rest) * product.micros
        found.append(Exposure(name, product.family, side, micros, worst))
    return tuple(found)


def stop_level(picture: Picture, moves: MoveLog, contract: str) -> tuple[int | None, int]:
    """(worst stop price that may hold or None, distance in ticks to assume without one).

    Of a stop whose move is not proven the worse of old and new price counts (REST outcome table, modify).
    """
    side = picture.ledger.position(contract).side
    levels = []
    for order in picture.stops(contract):
        assert order.stop is not None, "an order without a stop price protects nothing"
        moved = moves.of.get(order.order_id)
        levels.append(moved.worse(order.stop, side) if moved is not None else order.stop)
    worst = side * min(side * level for level in levels) if levels else None
    return worst, picture.allowed_stop_ticks(contract)
