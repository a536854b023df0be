"""A DeskSession over a Desk that only writes down what it hears; and records to feed it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import BrokerEvent, Command, DeskInput, DeskOutput, Quote, Signal
from tbot.execution.broker import DeskLoop
from tbot.execution.session import DeskSession, market_age
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind

SECOND = 1_000_000_000
START = 1_795_185_000 * SECOND


def record(kind: Kind, *, contract: str = "MNQ", ns: int = START, n: int = 0, **fields: int) -> np.ndarray:
    """One ring record; `n` is its number in the ring."""
    tick = np.zeros(1, TICK_DTYPE)
    values = {"seq": 2 * n + 2, "exch_ns": ns, "recv_ns": ns + 7, "contract_id": PRODUCTS[contract].contract_id}
    for name, value in (values | {"kind": kind, "volume": -1, "epoch": 1} | fields).items():
        tick[name] = value
    return tick


def quote(bid: int = 100, ask: int = 102, **more: Any) -> np.ndarray:
    return record(Kind.QUOTE, price=bid, price2=ask, **more)


def one_sided(**more: Any) -> np.ndarray:
    return quote(100, NO_PRICE, **more)


def history(**more: Any) -> np.ndarray:
    return record(Kind.HISTORY, price=NO_PRICE, **more)


def gap(**more: Any) -> np.ndarray:
    return record(Kind.GAP, price=NO_PRICE, **more)


def trade(price: int = 101, **more: Any) -> np.ndarray:
    return record(Kind.TRADE, price=price, size=1, side=1, **more)


def signal_of(contract: str, ring_seq: int) -> Signal:
    held = Quote(100, 102, START, ring_seq)
    return Signal(
        f"{contract}-{ring_seq}", contract, 1, held, 60, 180, 70.0, "test", 1, 5, {}, (1,), "p", START, ring_seq
    )


class Listener:
    """Desk, broker, recorder and tick sink in one: everything that happens goes into `log`."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.answers: list[BrokerEvent] = []

    def handle(self, item: DeskInput) -> list[DeskOutput]:
        self.log.append(item)
        return []

    def record(self, item: DeskInput, outputs: list[DeskOutput]) -> None:
        """Nothing to keep."""

    def submit(self, command: Command, now_ns: int) -> None:
        raise AssertionError("a listener sends nothing")

    def poll(self) -> list[BrokerEvent]:
        answers, self.answers = self.answers, []
        return answers

    def on_tick(self, contract: str, kind: int, price: int, price2: int, size: int, side: int, exch_ns: int,
                flags: int = 0, aux: int = 0) -> None:  # fmt: skip
        self.log.append(("tick", contract, kind, price, price2, size, side, exch_ns))

    def heard(self, kind: type) -> list[Any]:
        return [item for item in self.log if isinstance(item, kind)]


def session(
    listener: Listener,
    *contracts: str,
    sink: bool = False,
    age_of: Callable[[int, int, int], int] = market_age,
    busy: Callable[[], bool] = lambda: False,
    speed: float = 1.0,
) -> DeskSession:
    """A session for `contracts` (MNQ when none is named)."""
    loop = DeskLoop(listener, listener, listener)
    return DeskSession(loop, contracts or ("MNQ",), listener if sink else None, age_of, busy=busy, speed=speed)
