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
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind

PRICE = {"MNQ": 80_000, "NQ": 80_000, "MES": 26_000, "ES": 26_000, "MGC": 40_000, "GC": 40_000}
_QUOTE, _TRADE = int(Kind.QUOTE), int(Kind.TRADE)
Ticks = npt.NDArray[np.void]
Row = tuple[int, ...]  # a record, fields in the order of TICK_DTYPE
_EXCH_NS, _PRICE, _PRICE2, _CONTRACT_ID, _KIND = map(
    TICK_DTYPE.names.index, ("exch_ns", "price", "price2", "contract_id", "kind")
)


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
            traded = mid + side * half
            rows.append((0, now_ns, 0, mid - half, mid + half, 0, 0, -1, contract_id, _QUOTE, 0, 0, 0))
            rows.append((0, now_ns, 0, traded, 0, 1 + rng.randrange(3), 0, -1, contract_id, _TRADE, side, 0, 0))
        return np.array(rows, TICK_DTYPE)

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
        self._rings: dict[str, list[Row]] = {symbol: [] for symbol in symbols}
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
        own: dict[int, list[Row]] = {}
        for row in ticks.tolist():
            own.setdefault(row[_CONTRACT_ID], []).append(row)
        for contract_id, symbol in self._ids.items():
            if symbol in self.down or contract_id not in own:
                continue
            self._append(symbol, own[contract_id], wall_ns)
            quotes = [row for row in own[contract_id] if row[_KIND] == _QUOTE]
            if quotes:
                last = quotes[-1]
                self.heard[symbol] = (last[_PRICE], last[_PRICE2], last[_EXCH_NS])
                self.seq[symbol] = self._count[symbol] - 1 - own[contract_id][::-1].index(last)

    def _append(self, symbol: str, rows: list[Row], wall_ns: int) -> None:
        ring, first, epoch = self._rings[symbol], self._count[symbol], self._epoch[symbol]
        for number, row in enumerate(rows, first):
            ring.append((2 * number + 2, row[1], wall_ns, *row[3:-1], epoch))
        self._count[symbol] += len(rows)
        if len(ring) > 8000:
            del ring[:-8000]

    def mark(self, symbol: str, kind: Kind, exch_ns: int, wall_ns: int, aux: int = 0) -> None:
        """A GAP or HISTORY record."""
        if kind == Kind.GAP:
            self._epoch[symbol] += 1
        contract_id = PRODUCTS[symbol].contract_id
        row = (0, exch_ns, 0, NO_PRICE, 0, 0, aux, -1, contract_id, int(kind), 0, 0, 0)
        self._append(symbol, [row], wall_ns)

    def epoch(self, symbol: str) -> int:
        return self._epoch[symbol]

    def taken(self, symbol: str) -> list[Row]:
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
        rows = self._line.taken(name)
        return np.array(rows, TICK_DTYPE) if rows else _NOTHING

    def publish(self) -> None:
        """Nobody waits for a reader here."""

    def close(self) -> None:
        """Nothing is held."""


_NOTHING = np.zeros(0, TICK_DTYPE)
