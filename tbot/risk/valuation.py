"""What an open position is worth now and at worst, in integer cents.

Worst case: failure-model.md R10. Value now: F-RSK-01 (adverse side of the quote; without a fresh quote the last price
minus the stop distance; exit fees taken off).
"""

from decimal import ROUND_FLOOR

from tbot.domain.contracts import Product
from tbot.domain.messages import Quote
from tbot.domain.positions import Position
from tbot.risk.limits import RiskLimits


def exit_fees_cents(product: Product, size: int) -> int:
    """Fees and commissions still to come when `size` contracts are closed."""
    return abs(size) * (product.fees_cents + product.commission_cents)


def adverse_price(position: Position, quote: Quote) -> int:
    """Where the position would be closed at market: bid of a long one, ask of a short one."""
    return quote.bid if position.side > 0 else quote.ask


def gain_ticks(position: Position, price: int) -> int:
    """P&L in ticks times contracts if everything were closed at `price`."""
    return position.side * (price * abs(position.size) - position.price_size_sum)


def cents_of(product: Product, ticks: int) -> int:
    """Money of so many ticks; where a tick is no whole cent, rounded to the worse side."""
    if not product.data_only:
        return ticks * product.tick_value_cents
    return int((product.tick_value * 100 * ticks).to_integral_value(ROUND_FLOOR))


def unrealised_cents(product: Product, position: Position, quote: Quote | None, stop_ticks: int, stale_ns: int) -> int:
    """Value of an open position now, exit fees taken off; 0 when flat.

    `stop_ticks` is the distance of its stop: a quote older than `stale_ns` is assumed to have moved that far against
    the position, and without any quote the position is assumed to stand at its stop.
    """
    if not position.size:
        return 0
    size = abs(position.size)
    if quote is None:
        ticks = -stop_ticks * size
    else:
        ticks = gain_ticks(position, adverse_price(position, quote))
        if quote.age_ns > stale_ns:
            ticks -= stop_ticks * size
    return cents_of(product, ticks) - exit_fees_cents(product, size)


def open_worst_cents(
    product: Product,
    position: Position,
    stop: tuple[int | None, int],
    quote: Quote | None,
    limits: RiskLimits,
) -> int:
    """What an open position may take off the realised result: it is stopped out with slippage, or stands worse already.

    `stop` is (price of the working stop or None, distance in ticks to assume without one). Profit counts as 0.
    """
    if not position.size:
        return 0
    size = abs(position.size)
    level, distance = stop
    at_stop = -gain_ticks(position, level) if level is not None else distance * size
    now = -gain_ticks(position, adverse_price(position, quote)) if quote is not None else 0
    lost = max(0, at_stop, now) + limits.slip_ticks * size
    return lost * product.tick_value_cents + exit_fees_cents(product, size)


def reserve_cents(product: Product, position: Position, limits: RiskLimits) -> int:
    """C_LOSS_RESERVE of one position: what getting out may still cost."""
    size = abs(position.size)
    return exit_fees_cents(product, size) + limits.loss_reserve_ticks * size * product.tick_value_cents
