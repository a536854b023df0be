"""Prices of one seed: a random walk with bursts, gaps, halts, and stretches in which it goes for the account's stops.

One step gives the ticks of all contracts: to the exchange at once, to the executor's rings as the feed would write
them.
"""

from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import PRODUCTS, Contract
from tbot.execution.book_types import Order
from tbot_ext.records import TICK_DTYPE, Kind

PRICE = {"MNQ": 80_000, "NQ": 80_000, "MES": 26_000, "ES": 26_000, "MGC": 40_000, "GC": 40_000}
_QUOTE, _TRADE = int(Kind.QUOTE), int(Kind.TRADE)
Ticks = npt.NDArray[np.void]


@dataclass(slots=True)
class _Path:
    """One contract's price; `mid` in ticks."""

    symbol: str
    contract_id: int
    half_spread: int
    mid: int
    calm: float  # typical move of a step in ticks
    burst: int = 0  # steps left of a fast market
    jump: int = 0
    halted: bool = False


class WalkMarket:
    """Has what `RestApi` asks of a market: `now_ns`, and no history."""

    def __init__(self, seed: int, contracts: list[Contract], start_ns: int) -> None:
        self._random = Random(f"market/{seed}")
        self.now_ns = start_ns
        self.chase = False
        self._paths = [
            _Path(
                item.product.symbol,
                item.product.contract_id,
                max(1, item.product.spread_ticks // 2),
                PRICE[item.product.symbol] + self._random.randrange(-500, 500),
                self._random.choice([0.7, 1.5, 3.0, 5.0]),
            )
            for item in contracts
        ]

    def path(self, symbol: str) -> _Path:
        return next(path for path in self._paths if path.symbol == symbol)

    def gap(self, ticks: int, symbol: str = "") -> None:
        """The price jumps, and nothing trades between."""
        for path in self._paths:
            if symbol in ("", path.symbol):
                path.jump += ticks

    def halt(self, halted: bool) -> None:
        for path in self._paths:
            path.halted = halted

    def step(self, now_ns: int, orders: list[Order], steps: int = 1) -> Ticks:
        """Everything in `steps` steps. `orders`: working ones, for a market that chases them."""
        rng, rows = self._random, []
        self.now_ns = now_ns
        for path in self._paths:
            if path.halted:
                continue
            scale = path.calm * (4.0 if path.burst else 1.0) * steps**0.5
            path.burst = path.burst - 1 if path.burst else (rng.randrange(4, 20) if rng.random() < 0.004 else 0)
            move = round(rng.gauss(0.0, scale)) + path.jump
            path.jump = 0
            if self.chase:
                move += self._towards(path, orders)
            path.mid = max(1_000, path.mid + move)
            half, mid, contract_id = path.half_spread, path.mid, path.contract_id
            side = rng.choice((1, -1))
            rows.append((now_ns, _QUOTE, mid - half, mid + half, 0, 0, contract_id))
            rows.append((now_ns, _TRADE, mid + side * half, 0, 1 + rng.randrange(3), side, contract_id))
        ticks = np.zeros(len(rows), TICK_DTYPE)
        if rows:
            columns = list(zip(*rows, strict=True))
            for name, column in zip(
                ("exch_ns", "kind", "price", "price2", "size", "side", "contract_id"), columns, strict=True
            ):
                ticks[name] = column
            ticks["volume"] = -1
        return ticks

    def _towards(self, path: _Path, orders: list[Order]) -> int:
        """A nudge towards the nearest stop or limit of the account."""
        levels = [
            level
            for order in orders
            if order.contract == path.symbol and order.status == "open"
            for level in (order.stop, order.limit)
            if level is not None
        ]
        if not levels:
            return 0
        nearest = min(levels, key=lambda level: abs(level - path.mid))
        away = nearest - path.mid
        return max(-6, min(6, away)) if self._random.random() < 0.6 else -(away > 0) + (away < 0)

    @property
    def symbols(self) -> list[str]:
        return [path.symbol for path in self._paths]


class FeedLine:
    """What reaches the executor's rings: records per contract, with gaps, silence and delay of the market hub."""

    def __init__(self, symbols: list[str]) -> None:
        self._count = dict.fromkeys(symbols, 0)
        self._epoch = dict.fromkeys(symbols, 1)
        self._rings: dict[str, list[Ticks]] = {symbol: [] for symbol in symbols}
        self._ids = {PRODUCTS[symbol].contract_id: symbol for symbol in symbols}
        self._late: list[tuple[int, Ticks]] = []
        self.down: set[str] = set()
        self.delay_ns = 0
        self.heard: dict[
            str, tuple[int, int, int]
        ] = {}  # symbol -> (bid, ask, exch_ns) of the newest quote in its ring
        self.seq: dict[str, int] = dict.fromkeys(symbols, 0)

    def write(self, ticks: Ticks, now_ns: int, wall_ns: int) -> None:
        """The feed received these; delayed ones wait for `flush`."""
        if self.delay_ns:
            self._late.append((now_ns + self.delay_ns, ticks))
        else:
            self._push(ticks, wall_ns)

    def flush(self, now_ns: int, wall_ns: int) -> None:
        while self._late and (self._late[0][0] <= now_ns or not self.delay_ns):
            self._push(self._late.pop(0)[1], wall_ns)

    def _push(self, ticks: Ticks, wall_ns: int) -> None:
        ticks["recv_ns"] = wall_ns
        for contract_id, symbol in self._ids.items():
            if symbol in self.down:
                continue
            chosen = ticks[ticks["contract_id"] == contract_id]
            if not len(chosen):
                continue
            self._append(symbol, chosen)
            quotes = chosen[chosen["kind"] == _QUOTE]
            if len(quotes):
                last = quotes[-1]
                self.heard[symbol] = (int(last["price"]), int(last["price2"]), int(last["exch_ns"]))
                self.seq[symbol] = (int(last["seq"]) >> 1) - 1

    def _append(self, symbol: str, ticks: Ticks) -> None:
        first = self._count[symbol]
        ticks["seq"] = 2 * np.arange(first, first + len(ticks)) + 2
        ticks["epoch"] = self._epoch[symbol]
        self._count[symbol] += len(ticks)
        self._rings[symbol].append(ticks)
        if len(self._rings[symbol]) > 4000:
            del self._rings[symbol][:-4000]

    def mark(self, symbol: str, kind: Kind, exch_ns: int, wall_ns: int, aux: int = 0) -> None:
        """A GAP or HISTORY record."""
        from tbot_ext.records import NO_PRICE

        tick = np.zeros(1, TICK_DTYPE)
        tick["kind"], tick["exch_ns"], tick["recv_ns"] = int(kind), exch_ns, wall_ns
        tick["contract_id"], tick["price"], tick["volume"] = PRODUCTS[symbol].contract_id, NO_PRICE, -1
        tick["aux"] = aux
        if kind == Kind.GAP:
            self._epoch[symbol] += 1
        self._append(symbol, tick)

    def epoch(self, symbol: str) -> int:
        return self._epoch[symbol]

    def taken(self, symbol: str) -> list[Ticks]:
        """What is new in the ring, and forgets it: the executor is its only reader here."""
        found, self._rings[symbol] = self._rings[symbol], []
        return found

    def forget(self) -> None:
        """A restarted reader begins at the newest record."""
        for symbol in self._rings:
            self._rings[symbol] = []


class SimRings:
    """Stands for PriceRings in the executor."""

    lost = 0

    def __init__(self, line: FeedLine, restarted: bool) -> None:
        self._line = line
        if restarted:
            line.forget()

    def take(self, name: str) -> Ticks:
        """Records of one contract since the last call."""
        parts = self._line.taken(name)
        if not parts:
            return _NOTHING
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def publish(self) -> None:
        """Nobody waits for a reader here."""

    def close(self) -> None:
        """Nothing is held."""


_NOTHING = np.zeros(0, TICK_DTYPE)
