"""What the decoders of the market hub check alike: prices on the grid, whole numbers, stamps, members named twice."""

from tbot.domain.contracts import Product
from tbot.gateway.codec_values import MAX_EXACT_FLOAT, NS_PER_S, parse_time, whole
from tbot_ext.records import NO_PRICE

MAX_KNOWN_PRICES = 4096
MAX_FUTURE_NS = 10 * NS_PER_S  # C_SKEW_MAX
MAX_PAST_NS = 5 * 24 * 3600 * NS_PER_S  # the longest closure of the market is a holiday weekend


class Refused(Exception):
    """An item that is not valid; the argument is the reason it is counted under."""


class PricedBook:
    """One subscribed contract and its prices in ticks."""

    __slots__ = ("broker_id", "known_prices", "product", "symbol_id")

    def __init__(self, broker_id: str, product: Product) -> None:
        self.known_prices: dict[float, int] = {}  # a market trades the same few hundred prices all day
        self.broker_id = broker_id
        self.product = product
        self.symbol_id = f"F.US.{product.root}"

    def ticks_of(self, value: float | None) -> int:
        """Ticks of a price, NO_PRICE for a missing one; refuses zero, negative, off-tick and absurd prices."""
        if value is None:
            return NO_PRICE
        ticks = self.known_prices.get(value)
        if ticks is not None:
            return ticks
        if not 0 < value < MAX_EXACT_FLOAT:
            raise Refused("bad_price")
        try:
            ticks = self.product.float_to_ticks(value)
        except (ValueError, OverflowError):
            raise Refused("off_tick") from None
        if not 0 < ticks < MAX_EXACT_FLOAT:
            raise Refused("bad_price")
        if len(self.known_prices) >= MAX_KNOWN_PRICES:
            self.known_prices.clear()
        self.known_prices[value] = ticks
        return ticks


def stamp_ns(text: str, now_ns: int, max_past_ns: int, max_future_ns: int) -> int:
    """UTC ns of an exchange stamp; refuses what is no time and what is too far from market time `now_ns`."""
    try:
        stamp = parse_time(text)
    except ValueError:
        raise Refused("bad_time") from None
    if stamp > now_ns + max_future_ns:
        raise Refused("time_in_future")
    if stamp < now_ns - max_past_ns:
        raise Refused("time_in_past")
    return stamp


def repeats(text: bytes, names: tuple[bytes, ...], most: int) -> bool:
    """Whether a member name stands there more than `most` times: a cheap hint that only an exact check may confirm."""
    for name in names:  # noqa: SIM110 any() over a generator takes twice as long, and this runs for every quote
        if text.count(name) > most:
            return True
    return False


def whole_number(value: int | float, low: int, high: int, reason: str) -> int:
    """An integer of JSON within [low, high], refused under `reason`."""
    try:
        return whole(value, low, high)
    except ValueError:
        raise Refused(reason) from None
