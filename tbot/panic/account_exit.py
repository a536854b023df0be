"""One account, out: the flatten procedure R7 over REST alone, with no memory but the gateway's own lists.

In rounds: cancel working entries, close every position, prove flat by an explicit list, only then cancel what is left
(suspended bracket legs, too), prove again. What is not proven is done again, a little later each time; every step may
be repeated without harm (R4). A stop is never cancelled while its position is open.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tbot.domain.words import plural
from tbot.gateway.codec_models import BrokerOrder
from tbot.gateway.codec_rest import Answer, CloseContractRequest, OrderIdRequest, OrderPlaceRequest
from tbot.gateway.codec_tables import OrderType
from tbot.gateway.net import NS_PER_S, boot_ns
from tbot.gateway.redact import plain
from tbot.gateway.rest import OrderClient

PAUSES_S = (0.25, 0.5, 1.0, 2.0)  # between rounds, as in R7
FILL_LOOKS = 8  # at the position list after a close, before the round is given up
FILL_PAUSE_S = 0.25
CONFIRM_S = 1.0  # C_RECON_CONFIRM: proof is two looks this far apart, because one list may be stale
REFUSALS = 2  # closes in a row that the gateway refused before the opposite order is tried (R4)
PAGE = 100
MAX_PAGES = 20
UNCOUNTED_PAGE = 50  # without a total, a page this full might have been cut by the gateway

Say = Callable[[str], None]


@dataclass
class AccountExit:
    """`say` takes one plain sentence a step; `pause` waits; `deadline_ns` is of the boot clock."""

    client: OrderClient
    account: int
    say: Say
    pause: Callable[[float], None]
    deadline_ns: int
    clock: Callable[[], int] = boot_ns
    rounds: int = 0
    flat: bool = False
    positions: dict[str, int] | None = None  # of the last explicit list: gateway contract id -> signed size
    orders: list[BrokerOrder] | None = None  # of the last whole list: everything that is not final
    _refused: dict[str, int] = field(default_factory=dict)  # contract -> closes refused in a row
    _opposite: set[str] = field(default_factory=set)  # contracts whose opposite order may still be on its way
    _said: str = ""

    def run(self) -> bool:
        """Until proven flat with no working order, or until the deadline; whether it is proven."""
        while True:
            self.flat = self._round()
            if self.flat:
                self._tell("proven: no position, no working order")
                return True
            self.rounds += 1
            left_s = (self.deadline_ns - self.clock()) / NS_PER_S
            if left_s <= 0:
                self._tell(f"NOT PROVEN FLAT: {self.still_open()}")
                return False
            self.pause(min(PAUSES_S[min(self.rounds - 1, len(PAUSES_S) - 1)], left_s))

    def shows_nothing(self) -> bool:
        """One look: whether both lists came, explicit and whole, and are empty."""
        return self._look() and not self.positions and not self.orders

    def still_open(self) -> str:
        """What the last lists say, in words."""
        if self.positions is None and self.orders is None:
            return "the gateway told nothing"
        held = "positions not known" if self.positions is None else _held(self.positions)
        working = "orders not known" if self.orders is None else plural(len(self.orders), "working order")
        return f"{held}, {working}"

    # --------------------------------------------------------------------------------------------------- one round
    def _round(self) -> bool:
        whole = self._look()
        if whole and not self.positions and not self.orders:
            return self._confirmed()
        positions = self.positions
        if positions is not None:  # each list serves as far as it goes: a damaged one must not stop the other
            self._cancel([order for order in self.orders or () if _is_entry(order, positions)], "entry")
            for contract, size in positions.items():
                self._close(contract, size)
        if not whole or not self._await_flat() or not self._list_orders():
            return False
        self._cancel(self.orders, "order")
        return self._confirmed() if self.shows_nothing() else False

    def _look(self) -> bool:
        """Both lists, explicit and whole; positions first, so that a fill in between shows as an order gone."""
        known = self._list_positions()
        return self._list_orders() and known

    def _confirmed(self) -> bool:
        self.pause(CONFIRM_S)
        return self.shows_nothing()

    def _await_flat(self) -> bool:
        for look in range(FILL_LOOKS):
            if self._list_positions() and not self.positions:
                return True
            if look < FILL_LOOKS - 1 and self.clock() < self.deadline_ns:
                self.pause(FILL_PAUSE_S)
        return False

    # ------------------------------------------------------------------------------------------------------- lists
    def _list_positions(self) -> bool:
        answer = self.client.position_search_open(self.account, protective=True)
        if not answer.ok or answer.value is None:
            self.positions = None
            return self._unknown("positions", answer)
        own = [item for item in answer.value if item.account_id == self.account and item.size]
        self.positions = {item.broker_id: item.size for item in own}
        self._opposite &= self.positions.keys()
        return True

    def _list_orders(self) -> bool:
        found: dict[int, BrokerOrder] = {}
        self.orders = None
        for _ in range(MAX_PAGES):
            answer = self.client.order_v2_query(self.account, page_size=PAGE, offset=len(found), protective=True)
            if not answer.ok or answer.value is None:
                return self._unknown("orders", answer)
            before = len(found)
            found.update((order.order_id, order) for order in answer.value)
            whole = len(answer.value) < UNCOUNTED_PAGE if answer.total is None else len(found) >= answer.total
            if whole:
                self.orders = [order for order in found.values() if order.account_id == self.account]
                return True
            if len(found) == before:
                break
        self._tell(f"the list of orders is not whole ({len(found)} read); asking again")
        return False

    def _unknown(self, what: str, answer: Answer[Any]) -> bool:
        self._tell(f"{what} are not known: {answer.text or answer.outcome}; asking again")
        return False

    # ------------------------------------------------------------------------------------------------------ actions
    def _cancel(self, orders: list[BrokerOrder] | None, kind: str) -> None:
        for order in orders or ():
            request = OrderIdRequest(account_id=self.account, order_id=order.order_id)
            answer = self.client.order_cancel(request)
            self._tell(f"cancel {kind} {order.order_id} in {plain(order.broker_id)}: {_words(answer)}")

    def _close(self, contract: str, size: int) -> None:
        request = CloseContractRequest(account_id=self.account, contract_id=contract)
        answer = self.client.position_close_contract(request)
        self._tell(f"close {plain(contract)} {size:+d}: {_words(answer)}")
        if answer.outcome != "rejected":
            self._refused.pop(contract, None)
            return
        self._refused[contract] = self._refused.get(contract, 0) + 1
        if self._refused[contract] >= REFUSALS and contract not in self._opposite:
            self._place_opposite(contract)

    def _place_opposite(self, contract: str) -> None:
        """R4's fallback: the gateway does not close for this kind of account. Size just read; never sent twice."""
        if not self._list_positions() or not (size := (self.positions or {}).get(contract, 0)):
            return
        self._opposite.add(contract)
        request = OrderPlaceRequest(
            account_id=self.account,
            contract_id=contract,
            type=int(OrderType.MARKET),
            side=1 if size > 0 else 0,
            size=abs(size),
            custom_tag=f"PANIC-{self.clock():x}",
        )
        answer = self.client.order_place(request, protective=True)
        if answer.outcome in ("rejected", "not_sent"):
            self._opposite.discard(contract)  # proven not to be on its way
        self._tell(f"the close was refused; opposite order for {plain(contract)} {-size:+d}: {_words(answer)}")

    def _tell(self, sentence: str) -> None:
        """A sentence that repeats is said once."""
        if sentence != self._said:
            self._said = sentence
            self.say(f"account {self.account}: {sentence}")


def _is_entry(order: BrokerOrder, positions: dict[str, int]) -> bool:
    """Whether an order can only add exposure: what could protect an open position stays until that is closed.

    Legs that wait for their entry go with it, or at the end.
    """
    size = positions.get(order.broker_id, 0)
    if size:
        return order.side * size > 0
    return order.parent_id is None


def _held(positions: dict[str, int]) -> str:
    return ", ".join(f"{plain(name)} {size:+d}" for name, size in sorted(positions.items())) or "no position"


def _words(answer: Answer[int] | Answer[None]) -> str:
    said = {"accepted": "done", "rejected": "refused", "not_sent": "not sent", "ambiguous": "outcome unknown"}
    return said[answer.outcome] + (f" ({answer.text})" if answer.text and not answer.ok else "")
