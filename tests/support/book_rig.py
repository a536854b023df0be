"""A small stage for account books: one account, ticks by hand, events collected."""

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill
from tbot.domain.timeframes import NS_PER_MIN
from tbot.execution.book_types import Balance, BookEvent, Holding, Order, OrderRequest
from tbot.execution.fill_model import FillSettings, market_of
from tbot.execution.market_state import BAR_END
from tbot.execution.matching import AccountBook
from tbot_ext.records import Flag

START_CENTS = 5_000_000


class BookRig:
    """One account book with its market states; `quote` and `trade` play one tick each."""

    def __init__(self, settings: FillSettings | None = None, symbols: tuple[str, ...] = ("MNQ", "ES")) -> None:
        self.products = {symbol: PRODUCTS[symbol] for symbol in symbols}
        chosen = settings or FillSettings()
        self.states = {symbol: market_of(product, chosen) for symbol, product in self.products.items()}
        self.events: list[BookEvent] = []
        self.book = AccountBook(1, self.products, START_CENTS, self.events.append, settings=settings)
        self.now_ns = 1_000

    def quote(self, bid: int, ask: int, contract: str = "MNQ") -> None:
        self.now_ns += 1
        self.states[contract].on_quote(bid, ask)
        self.book.on_tick(contract, self.states[contract], None, self.now_ns)

    def trade(self, price: int, contract: str = "MNQ", size: int = 0, aggressor: int = 0) -> None:
        self.now_ns += 1
        self.states[contract].on_trade(price, self.now_ns, size, aggressor=aggressor)
        self.book.on_tick(contract, self.states[contract], price, self.now_ns)

    def bar(self, *prices: int, marked: bool = True, contract: str = "MNQ") -> None:
        """The prints of one bar of a minute, the last of them marked as such."""
        self.now_ns += NS_PER_MIN - self.now_ns % NS_PER_MIN
        for number, price in enumerate(prices):
            self.bar_goes_on(price, ends=marked and number == len(prices) - 1, contract=contract)

    def bar_goes_on(self, price: int, *, ends: bool = False, contract: str = "MNQ") -> None:
        """One more print of the bar."""
        self.now_ns += 1
        self.states[contract].on_trade(price, self.now_ns, 0, int(Flag.SYNTHETIC), BAR_END if ends else 0)
        self.book.on_tick(contract, self.states[contract], price, self.now_ns)

    def market(self, side: int, size: int, contract: str = "MNQ", **more: object) -> Order:
        return self.book.place(OrderRequest(contract, "market", side, size, **more), self.now_ns)  # type: ignore[arg-type]

    def bracket(self, side: int, size: int, stop: int, target: int, tag: str = "t") -> Order:
        return self.market(side, size, tag=tag, stop_offset=stop, target_offset=target)

    def order(self, order_id: int) -> Order:
        return self.book.orders[order_id]

    def take(self) -> list[BookEvent]:
        events = list(self.events)
        self.events.clear()
        return events

    def fills(self) -> list[Fill]:
        return self.book.fills


def told(events: list[BookEvent]) -> list[str]:
    """Events in short: `order 3000000000 filled`, `fill +1@101`, `position +1`, `balance`."""
    lines = []
    for event in events:
        if isinstance(event, Order):
            lines.append(f"{event.order_type} {event.status}")
        elif isinstance(event, Fill):
            lines.append(f"fill {event.side * event.size:+d}@{event.price}")
        elif isinstance(event, Holding):
            lines.append(f"position {event.size:+d}")
        else:
            assert isinstance(event, Balance)
            lines.append("balance")
    return lines
