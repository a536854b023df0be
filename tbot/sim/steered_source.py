"""A market source that can be steered while it plays: price levels moved, ticks withheld or put in between.

It stands between the real source and the market, so whatever it does is seen alike by the exchange, the history and
the hub. Nothing is steered unless somebody asks; until then ticks pass through as they are. A change takes effect at
the first nanosecond after what has been played. Ticks stay in order, and every moved price is announced by a quote.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import Product
from tbot.domain.timeframes import NS_PER_MIN
from tbot.sim.market_source import MarketSource, Ticks
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind

_TRADE, _QUOTE = int(Kind.TRADE), int(Kind.QUOTE)
_NEVER_NS = 2**62


class Insert(NamedTuple):
    """A tick to be put in between, its prices relative to the quote of the moment (ticks)."""

    at_ns: int
    kind: Kind
    bid_offset: int  # of a trade: from the bid if side < 0
    ask_offset: int  # of a trade: from the ask if side > 0
    size: int = 0
    side: int = 0


@dataclass(slots=True)
class _Line:
    """How one contract is steered."""

    base: int = 0  # ticks the prices are moved by now
    steps: list[tuple[int, int]] = field(default_factory=list)  # (ns, ticks) of moves still to come, sorted
    inserts: list[Insert] = field(default_factory=list)  # still to come, sorted by time
    quote: tuple[int, int] = (NO_PRICE, NO_PRICE)  # the source's newest bid and ask, before any move
    silent: tuple[int, int] = (_NEVER_NS, _NEVER_NS)  # no ticks from, until
    one_sided: tuple[int, int, int] = (0, _NEVER_NS, _NEVER_NS)  # side that is gone (+1 ask, -1 bid), from, until
    changed_ns: int = _NEVER_NS  # since when it has not been the source's own market


class SteeredSource:
    """A `MarketSource` around another one. Times are UTC ns, prices and moves ticks."""

    def __init__(self, source: MarketSource) -> None:
        self._source = source
        self._now_ns = source.start_ns - 1
        self._lines: dict[int, _Line] = {}
        self._ids = {product.symbol: product.contract_id for product in source.contracts}

    @property
    def contracts(self) -> list[Product]:
        return self._source.contracts

    @property
    def start_ns(self) -> int:
        return self._source.start_ns

    @property
    def end_ns(self) -> int | None:
        return self._source.end_ns

    @property
    def now_ns(self) -> int:
        """Up to here ticks have been handed out."""
        return self._now_ns

    def advance(self, to_ns: int) -> Ticks:
        """The source's ticks since the last call, as steered."""
        ticks = self._source.advance(to_ns)
        for contract_id, line in self._lines.items():
            ticks = _steer(line, contract_id, ticks, self._now_ns, to_ns)
        self._now_ns = max(self._now_ns, to_ns)
        return ticks

    def history(self, symbol: str, from_ns: int, to_ns: int) -> npt.NDArray[np.void]:
        """The source's bars, as far as they are still true: of minutes that ended before the contract was steered."""
        bars = self._source.history(symbol, from_ns, to_ns)
        line = self._lines.get(self._ids[symbol])
        if line is None:
            return bars
        kept: npt.NDArray[np.void] = bars[bars["start_ns"] + NS_PER_MIN <= line.changed_ns]
        return kept

    # ---------------------------------------------------------------------------------------------------- steering
    def shift(self, symbol: str, steps: list[tuple[int, int]], quote: tuple[int, int]) -> None:
        """Move prices by (ns after now, ticks) steps, for good. `quote`: bid and ask as last played."""
        line = self._line(symbol, quote)
        first_ns = self._now_ns + 1
        line.steps = sorted([*line.steps, *((first_ns + max(0, after_ns), ticks) for after_ns, ticks in steps)])

    def insert(self, symbol: str, ticks: list[Insert], quote: tuple[int, int]) -> None:
        """Put ticks in between; `at_ns` of each counts from now."""
        line = self._line(symbol, quote)
        first_ns = self._now_ns + 1
        placed = [tick._replace(at_ns=first_ns + max(0, tick.at_ns)) for tick in ticks]
        line.inserts = sorted([*line.inserts, *placed], key=lambda tick: tick.at_ns)

    def silence(self, symbol: str, for_ns: int, quote: tuple[int, int]) -> None:
        """No ticks for so long; 0 ends a silence. Moves go on behind it and show at its end."""
        self._line(symbol, quote).silent = (self._now_ns + 1, self._now_ns + 1 + for_ns)

    def one_sided(self, symbol: str, side: int, for_ns: int, quote: tuple[int, int]) -> None:
        """Quotes without ask (side +1) or bid (-1) for so long."""
        self._line(symbol, quote).one_sided = (side, self._now_ns + 1, self._now_ns + 1 + for_ns)

    def moved(self, symbol: str) -> int:
        """Ticks by which prices are moved, and will be when all steps are done."""
        line = self._lines.get(self._ids[symbol])
        return 0 if line is None else line.base + sum(ticks for _, ticks in line.steps)

    def level(self, symbol: str) -> int:
        """Ticks by which prices are moved now."""
        line = self._lines.get(self._ids[symbol])
        return 0 if line is None else line.base

    def _line(self, symbol: str, quote: tuple[int, int]) -> _Line:
        contract_id = self._ids[symbol]
        line = self._lines.get(contract_id)
        if line is None:
            line = self._lines[contract_id] = _Line(quote=quote)
        line.changed_ns = min(line.changed_ns, self._now_ns + 1)
        return line


def _steer(line: _Line, contract_id: int, ticks: Ticks, from_ns: int, to_ns: int) -> Ticks:
    """One contract's part of what the source gave for (from_ns, to_ns]."""
    mine = ticks["contract_id"] == contract_id
    own = ticks[mine].copy()
    steps = [step for step in line.steps if step[0] <= to_ns]
    line.steps = line.steps[len(steps) :]
    due = [tick for tick in line.inserts if tick.at_ns <= to_ns]
    line.inserts = line.inserts[len(due) :]
    silent_from, silent_until = line.silent
    if from_ns < silent_until <= to_ns:
        due.insert(0, Insert(silent_until, Kind.QUOTE, 0, 0))  # how things stand after the silence
    at = np.array([ns for ns, _ in steps], np.int64)
    moved = np.concatenate(([line.base], line.base + np.cumsum([ticks for _, ticks in steps], dtype=np.int64)))
    quotes = np.flatnonzero(own["kind"] == _QUOTE)
    between = _inserted(line, contract_id, own[quotes], (at, moved), due)
    if len(quotes):
        newest = own[quotes[-1]]
        line.quote = (int(newest["price"]), int(newest["price2"]))
    _move(own, moved[np.searchsorted(at, own["exch_ns"], side="right")])
    line.base = int(moved[-1])
    own = np.concatenate((between, own))  # first what was put in: a step comes before the tick it moves
    own = own[(own["exch_ns"] < silent_from) | (own["exch_ns"] >= silent_until)]
    side, gone_from, gone_until = line.one_sided
    gone = (own["kind"] == _QUOTE) & (own["exch_ns"] >= gone_from) & (own["exch_ns"] < gone_until)
    own["price2" if side > 0 else "price"][gone] = NO_PRICE
    merged = np.concatenate((ticks[~mine], own))
    return np.asarray(merged[np.lexsort((merged["contract_id"], merged["exch_ns"]))])


def _move(ticks: Ticks, by: npt.NDArray[np.int64]) -> None:
    """Add to the prices of trades and quotes; a side that is unknown stays unknown."""
    for name in ("price", "price2"):
        values = ticks[name]
        known = (values != NO_PRICE) & ((ticks["kind"] == _QUOTE) | (name == "price"))
        values[known] += by[known]


def _inserted(
    line: _Line,
    contract_id: int,
    quotes: Ticks,
    moves: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    due: list[Insert],
) -> Ticks:
    """A quote for each step, then the ticks that were asked for; none while no quote is known."""
    at, moved = moves
    wanted = [Insert(ns, Kind.QUOTE, 0, 0) for ns in at.tolist()] + due
    wanted.sort(key=lambda tick: tick.at_ns)
    times = quotes["exch_ns"]
    rows: list[tuple[int, int, int, int, int, int]] = []
    for tick in wanted:
        # The quote that stood before this moment, and the move from this moment on.
        newest = int(np.searchsorted(times, tick.at_ns, side="left")) - 1
        bid, ask = line.quote if newest < 0 else (int(quotes[newest]["price"]), int(quotes[newest]["price2"]))
        if NO_PRICE in (bid, ask):
            continue
        by = int(moved[np.searchsorted(at, tick.at_ns, side="right")])
        bid, ask = bid + by + tick.bid_offset, ask + by + tick.ask_offset
        if tick.kind == Kind.TRADE:
            rows.append((tick.at_ns, _TRADE, ask if tick.side > 0 else bid, 0, tick.size, tick.side))
        else:
            rows.append((tick.at_ns, _QUOTE, bid, ask, 0, 0))
    out = np.zeros(len(rows), TICK_DTYPE)
    columns = ("exch_ns", "kind", "price", "price2", "size", "side")
    for number, name in enumerate(columns):
        out[name] = [row[number] for row in rows]
    out["recv_ns"] = out["exch_ns"]
    out["contract_id"] = contract_id
    out["volume"] = -1
    return out
