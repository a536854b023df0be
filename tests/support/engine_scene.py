"""A run as a screen finds it, without an engine: boards, rings, status and journal of a small fixed market."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tbot.dashboard.feed_view import EngineView, open_view
from tbot.domain import messages as m
from tbot.domain.contracts import PRODUCTS
from tbot.storage.journal import Journal
from tbot.storage.journal_reader import RunInfo
from tbot.transport import wire
from tbot.transport.board import BOARD_BYTES, BoardWriter
from tbot.transport.shm import Segment
from tbot_ext.pipeline import ContractPipeline
from tbot_ext.records import TICK_DTYPE, Kind
from tbot_ext.ring import RingWriter, format_ring, ring_bytes

MINUTE = 60_000_000_000
START = 1_795_156_200_000_000_000 - 300 * MINUTE  # 300 minutes before 2026-11-20 06:30 UTC
ACCOUNT = 1001
PER_MINUTE = 12


def tape(symbol: str, minutes: int, seed: int = 7, base: int = 100_000) -> np.ndarray:
    """Prints and quotes of a market that swings: the same for the same seed."""
    rng = np.random.default_rng(seed)
    n = minutes * PER_MINUTE
    at = np.arange(n)
    wave = 90 * np.sin(at / 260) + 55 * np.sin(at / 75) + 20 * np.sin(at / 23)
    ticks = np.zeros(2 * n, TICK_DTYPE)
    prices = base + (wave + np.cumsum(rng.normal(0, 3.0, n))).astype(np.int64)
    times = START + at * (MINUTE // PER_MINUTE)
    ticks["contract_id"] = PRODUCTS[symbol].contract_id
    ticks["exch_ns"] = np.repeat(times, 2)
    ticks["recv_ns"] = ticks["exch_ns"]
    ticks["kind"] = np.tile([Kind.QUOTE, Kind.TRADE], n)
    ticks["price"] = np.repeat(prices, 2)
    ticks["price"][0::2] -= 1
    ticks["price2"] = np.where(ticks["kind"] == Kind.QUOTE, ticks["price"] + 2, 0)
    sizes = rng.integers(1, 9, n) * (1 + (at // 40) % 5)
    ticks["size"] = np.where(ticks["kind"] == Kind.TRADE, sizes.repeat(2), 0)
    ticks["side"] = np.where(ticks["kind"] == Kind.TRADE, rng.choice([-1, 1], 2 * n), 0)
    ticks["volume"] = -1
    return ticks


class Contract:
    """Board and ring of one contract, and the pipeline that a worker would have."""

    def __init__(self, run_dir: Path, symbol: str, capacity: int = 1 << 14) -> None:
        self.segments = [
            Segment.create(run_dir, f"ring.{symbol}", ring_bytes(capacity)),
            Segment.create(run_dir, f"board.{symbol}", BOARD_BYTES),
        ]
        format_ring(self.segments[0].buf, capacity, PRODUCTS[symbol].contract_id, 1)
        self.ring = RingWriter(self.segments[0].buf)
        self.board = BoardWriter(self.segments[1].buf)
        self.pipeline = ContractPipeline(PRODUCTS[symbol].contract_id, await_history=False)

    def trade(self, ticks: np.ndarray, *, show: bool = True) -> None:
        """Into the ring and through the worker; `show`: the worker's beat came, too."""
        for start in range(0, len(ticks), 4096):
            self.ring.push_many(ticks[start : start + 4096])
        at = 0
        while at < len(ticks):
            at = self.pipeline.feed(ticks, at)
        if show:
            self.board.show(self.pipeline)

    def close(self) -> None:
        self.ring.close()
        self.board.close()
        for segment in self.segments:
            segment.close()


class Scene:
    """The whole run in a folder. `write_status` and `journal` add what a screen reads from files."""

    def __init__(self, folder: Path, *symbols: str, minutes: int = 300) -> None:
        self.run_dir, self.state_dir = folder / "run", folder / "state"
        for place in (self.run_dir, self.state_dir):
            place.mkdir(mode=0o700)
        self.contracts = {symbol: Contract(self.run_dir, symbol) for symbol in symbols or ("MNQ",)}
        for number, (symbol, contract) in enumerate(self.contracts.items()):
            contract.trade(tape(symbol, minutes, seed=7 + number))
        self.now_ns = START + minutes * MINUTE
        self.view: EngineView | None = None
        self._journal: Journal | None = None

    def open(self) -> EngineView:
        self.view = open_view(self.run_dir, self.state_dir)
        return self.view

    def write_status(self, **changes: Any) -> dict[str, Any]:
        document = {"schema": "tbot.status", "version": 1, "contracts": {name: {} for name in self.contracts}} | changes
        (self.state_dir / "status.json").write_bytes(orjson.dumps(document))
        return document

    def journal(self, *steps: tuple[m.DeskInput, list[m.DeskOutput]]) -> None:
        """Write these steps, as an executor would; it stays open until the end."""
        if self._journal is None:
            info = RunInfo(7, "test", "c0ffee", "sim", self.now_ns)
            self._journal = Journal(self.state_dir / "journal.db", wire, info)
        for item, outputs in steps:
            self._journal.record(item, outputs)
        self._journal.flush()

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
        if self.view is not None:
            self.view.close()
        for contract in self.contracts.values():
            contract.close()


def signal(number: int, now_ns: int, price: int, side: int = 1, contract: str = "MNQ", **more: Any) -> m.Signal:
    """A signal with everything a screen shows of it."""
    made = m.Signal(
        f"{contract}-{number}", contract, side, m.Quote(price, price + 1, now_ns, number), price - 40 * side,
        price + 80 * side, 71.0, f"{'demand' if side > 0 else 'supply'} zone (5m order block, first test)", number, 5,
        {}, (), "hash", now_ns, number,
    )  # fmt: skip
    return dataclasses.replace(made, **more)


def taken(one: m.Signal, size: int = 2) -> tuple[m.DeskInput, list[m.DeskOutput]]:
    intent = m.Intent(
        one.decided_ns, ACCOUNT, one.signal_id, one.contract, one.side, size, one.quote, 40, 80, 8_740, "TB1"
    )
    return m.SignalIn(one.decided_ns, one, one.quote, 5), [intent]


def denied(one: m.Signal, reason: str = "RC_WINDOW", text: str = "no entries now") -> tuple[Any, list[Any]]:
    denial = m.Denial(one.decided_ns, ACCOUNT, one.signal_id, one.contract, reason, text)
    return m.SignalIn(one.decided_ns, one, one.quote, 5), [denial]


def closed(one: m.Signal, now_ns: int, gain: int, size: int = 2) -> tuple[m.DeskInput, list[m.DeskOutput]]:
    """The fill that ends the trade of a signal, `gain` ticks a contract away from its entry."""
    entry = one.quote.ask if one.side > 0 else one.quote.bid
    cents = gain * size * PRODUCTS[one.contract].tick_value_cents
    trip = m.RoundTrip(
        now_ns, ACCOUNT, one.contract, one.side, size, one.decided_ns, entry * size, (entry + gain * one.side) * size,
        cents, 72 * size, 50 * size, "target" if gain > 0 else "stop", one.signal_id, 0,
    )  # fmt: skip
    fill = m.Fill(
        now_ns, ACCOUNT, now_ns % 1_000_003, 5, one.contract, -one.side, size, entry + gain * one.side, 72, 50
    )
    return fill, [trip]
