"""The simulated venue with its controls, on ticks by hand."""

from typing import Any

from sim_rig import MNQ, OWNER, ExchangeRig
from tbot.domain.timeframes import NS_PER_S
from tbot.execution.book_types import Order
from tbot.execution.fill_model import FillSettings
from tbot.sim.venue_controls import VenueControls

FIRST = 3_000_000_000
S = NS_PER_S


class VenueRig(ExchangeRig):
    """ExchangeRig (MNQ at 1000/1002, last 1001) without slippage unless asked for, and its controls."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**({"settings": FillSettings(0, 0)} | more))
        self.controls = VenueControls(self.exchange)

    @property
    def account_id(self) -> int:
        return self.account.account_id

    @property
    def orders(self) -> list[Order]:
        return list(self.account.book.orders.values())

    def wait(self, ns: int) -> None:
        """Time passes without a tick."""
        self.now_ns += ns
        self.exchange.advance(self.now_ns)

    def trade(self, price: int) -> None:
        self.play(("trade", price, 1, 1))

    def quote(self, bid: int, ask: int) -> None:
        self.play(("quote", bid, ask))

    def bracket(self, size: int = 1, side: int = 0, tag: str = "t", **more: Any) -> int | None:
        """A market entry with a stop 40 ticks and a target 80 ticks away, side 0 buy, 1 sell."""
        away = 1 if side == 0 else -1
        answer = self.place(size=size, side=side, tag=tag, stop_ticks=-40 * away, target_ticks=80 * away, **more)
        return answer.order_id

    def cancel(self, order_id: int) -> int:
        return self.exchange.cancel(OWNER, self.account_id, order_id, self.now_ns).code

    def close(self, contract_id: str = MNQ) -> int:
        return self.exchange.close(OWNER, self.account_id, contract_id, self.now_ns).code

    def size(self, key: str = "MNQ") -> int:
        return self.account.book.size(key)

    def states(self) -> list[str]:
        return [f"{order.status} {order.filled}/{order.size}" for order in self.orders]
