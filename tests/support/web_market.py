"""A made-up engine for the web page: real bars, zones and signals of a made-up market, and a status that says so."""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from lively_tape import LIVELY, lively
from tbot.domain import messages as m
from tbot.domain.contracts import PRODUCTS
from tbot.domain.process_messages import EngineEvent
from tbot.domain.timeframes import NAMES, TIMEFRAMES_MIN
from tbot.strategy.decider import ContractDecider
from tbot.web.source import Found
from tbot_ext.records import BAR_DTYPE, EventCode
from tbot_ext.zones import ZoneState

MINUTE = 60 * 10**9
KINDS = {EventCode.OB: "OB", EventCode.FVG: "FVG", EventCode.BREAKER: "BB", EventCode.MITIGATION_BLOCK: "MB"}


class Mark(NamedTuple):
    last: int | None
    bid: int | None
    ask: int | None
    market_ns: int


class Line(NamedTuple):
    price: int
    side: int
    pool: bool
    weight: int


@dataclass(frozen=True)
class Zone:
    kind: str
    side: int
    top: int
    bottom: int
    origin_ns: int
    score: float
    state: str
    tested: bool
    name: str = "zone"


@dataclass
class SignalRow:
    signal_id: str
    decided_ns: int
    contract: str
    side: int
    score: float
    entry: int
    stop: int
    target: int
    reason: str
    outcome: str


class Market:
    """One contract after some hours."""

    def __init__(self, symbol: str, seed: int = 3, minutes: int = 420) -> None:
        decider = ContractDecider(PRODUCTS[symbol], LIVELY)
        tape, at = lively((symbol,), seed, minutes), 0
        self.signals: list[m.Signal] = []
        while at < len(tape) or decider.pending:
            at, found = decider.feed(tape, at)
            self.signals += found
        pipeline = decider.pipeline
        self.bars = {tf: np.array(pipeline.bars(tf, 400)) for tf in TIMEFRAMES_MIN}
        self.zones = {tf: [_zone(row) for row in pipeline.zones(tf)] for tf in TIMEFRAMES_MIN}
        self.lines = {tf: [Line(int(row["level"]), int(row["side"]), False, 2) for row in pipeline.levels(tf)]
                      for tf in TIMEFRAMES_MIN}  # fmt: skip
        self.mark = Mark(pipeline.last_price, pipeline.bid, pipeline.ask, pipeline.now_ns)
        decider.close()


def _zone(row: Any) -> Zone:
    gap = int(row["kind"]) == EventCode.FVG
    state = ZoneState(int(row["state"])).name
    score = float(row["score"]) * (100 if gap else 1)
    kind = KINDS.get(int(row["kind"]), "?")
    tested = state not in ("ACTIVE", "OPEN")
    numbers = (int(row[name]) for name in ("side", "top", "bottom", "origin_ns"))
    return Zone(kind, *numbers, score, state, tested)


@dataclass
class FakeEngine:
    """An EngineView over made-up markets; `changes` go over its status, by name."""

    symbols: tuple[str, ...] = ("MNQ", "MES", "MGC")
    changes: dict[str, Any] = field(default_factory=dict)
    hostile: str = ""  # a stranger's text, put wherever the broker or a file could have put it
    there: bool = True
    closed: bool = False

    def __post_init__(self) -> None:
        self.markets = {symbol: Market(symbol, 3 + number) for number, symbol in enumerate(self.symbols)}
        self._made = status_of(self)

    def refresh(self, *symbols: str) -> None:
        assert not self.closed

    def status(self) -> dict[str, Any]:
        return {**self._made, "written_ns": time.time_ns(), **self.changes}

    def mark(self, symbol: str) -> Mark:
        return self.markets[symbol].mark

    def bars(self, symbol: str, timeframe_min: int, n: int) -> Any:
        return self.markets[symbol].bars[timeframe_min][-n:] if symbol in self.markets else np.empty(0, BAR_DTYPE)

    def zones(self, symbol: str, timeframe_min: int) -> list[Zone]:
        return self.markets[symbol].zones[timeframe_min]

    def lines(self, symbol: str, timeframe_min: int) -> list[Line]:
        return self.markets[symbol].lines[timeframe_min]

    def signals(self, n: int) -> list[SignalRow]:
        words = ("+$85.00", "denied RC_WINDOW", "−$48.00", "taken 2")
        rows = [
            SignalRow(s.signal_id, s.decided_ns, s.contract, s.side, 60 + number % 31, s.quote.ask, s.stop, s.target,
                      self.hostile or s.reason, words[number % 4])
            for market in self.markets.values() for number, s in enumerate(market.signals)
        ]  # fmt: skip
        return sorted(rows, key=lambda row: -row.decided_ns)[:n]

    def trades(self, n: int) -> list[m.RoundTrip]:
        chance = np.random.default_rng(7)
        found = []
        for number, row in enumerate(row for row in self.signals(200) if not row.outcome.startswith("denied")):
            cents = int(chance.integers(-6000, 9000))
            stamps = m.SignalStamps(frame_recv_boot_ns=10**9)
            found.append(
                m.RoundTrip(
                    row.decided_ns + 4 * MINUTE, 1001, row.contract, row.side, 2, row.decided_ns, 2 * row.entry,
                    2 * (row.entry + row.side * cents // 100), cents, 100, 50, "target" if cents > 0 else "stop",
                    row.signal_id, number % 3 - 1, self.hostile or row.reason, 12, 30, stamps,
                    10**9 + int(chance.lognormal(12.4, 0.8)),
                )
            )  # fmt: skip
        return found[:n]

    def events(self, n: int) -> list[EngineEvent]:
        made: list[EngineEvent] = []
        for row in reversed(self.signals(40)):
            reason = row.reason
            made.append(EngineEvent(row.decided_ns, "", "SIGNAL", row.contract, f"score {row.score:.0f}: {reason}"))
            if row.outcome.startswith("denied"):
                made.append(EngineEvent(row.decided_ns, "", "DENIAL", row.contract, "outside the window (RC_WINDOW)"))
            else:
                made.append(EngineEvent(row.decided_ns + 10**9, "", "FILL", row.contract, f"+2 @ {row.entry}"))
        return made[-n:]

    def close(self) -> None:
        self.closed = True

    def found(self) -> Found:
        return Found("fake", lambda: True, lambda: self)


def status_of(engine: FakeEngine) -> dict[str, Any]:
    """A document as tbot.engine.status writes it, with an open position in the first contract."""
    first, market = engine.symbols[0], engine.markets[engine.symbols[0]]
    last = market.mark.last or 0
    text = engine.hostile
    held = {
        "contract": first, "side": 1, "size": 2, "entry": last - 14.5, "entry_price_size": 2 * last - 29,
        "stop": last - 48, "target": last + 70, "protected": True, "foreign": 0, "surprise": 0,
        "unrealised_cents": 1450,
        "opened_ns": market.mark.market_ns - 5 * MINUTE, "signal_id": "s",
    }  # fmt: skip
    orders = [
        {"order_id": 71 + number, "contract": first, "side": -1, "type": kind, "size": 2, "filled": 0,
         "status": "working", "limit": last + 70 if kind == "limit" else None,
         "stop": last - 48 if kind == "stop" else None, "tag": ""}
        for number, kind in enumerate(("stop", "limit"))
    ]  # fmt: skip
    firm = {
        "stage": "combine", "known": True, "start_cents": 5_000_000, "floor_cents": 4_800_000, "floor_locked": False,
        "to_floor_cents": 212_450, "equity_cents": 5_012_450, "high_water_cents": 5_012_450, "target_cents": 300_000,
        "profit_cents": 12_450, "best_day_cents": 12_450, "traded_days": 1,
    }  # fmt: skip
    account = {
        "name": text or "50KTC-V2-000001-00000001", "state": "ACTIVE", "reasons": [], "text": "", "day": "2026-11-20",
        "flat": False, "protected": True, "balance_cents": 5_011_000, "can_trade": True, "day_pnl_cents": -18_750,
        "day_room_cents": 61_250, "firm": firm, "caps": [], "unrealised_cents": 1450, "loss_streak": 1,
        "entries_today": 7, "trades": 6, "wins": 4, "losses": 2, "positions": [held], "orders": orders,
        "unknown": [], "quarantine": {},
    }  # fmt: skip
    hop = {"count": 900, "p50": 85_000, "p99": 410_000, "p999": 900_000, "max": 1_300_000}
    contracts = {
        symbol: {
            "ticks": 9000, "ticks_per_s": 38.0, "last_tick_age_s": 0.2, "gaps": 0, "source": "LIVE", "hole": "",
            "barred": "", "last_price": engine.markets[symbol].mark.last, "live": True, "feed": "ok",
            "bars": {NAMES[tf]: 400 for tf in TIMEFRAMES_MIN}, "zones": {NAMES[tf]: 5 for tf in TIMEFRAMES_MIN},
            "signals": 4, "last_signal": None,
        }
        for symbol in engine.symbols
    }  # fmt: skip
    names = ("feed", "executor", *(f"worker-{symbol}" for symbol in engine.symbols))
    return {
        "schema": "tbot.status", "version": 1, "mode": "sim", "badge": "DEMO", "pid": 4711, "state": "ACTIVE",
        "ended": False, "reasons": [], "reason": text, "warnings": [text] if text else [], "alarms": [],
        "contracts": contracts, "accounts": {"1001": account}, "market_ns": market.mark.market_ns, "speed": 20.0,
        "pnl_usd": -187.50, "open_usd": 14.50, "round_trips": 6, "wins": 4, "profit_factor": 1.62, "drawdown_usd": 96.0,
        "intents": 7, "denials": {"RC_WINDOW": 2}, "fills": 13, "conditions": {"warnings": []},
        "latency_ns": dict.fromkeys(("frame_ring", "frame_worker", "frame_signal", "signal_request", "rest"), hop),
        "news": {"stale": False, "age_s": 60, "problems": [], "actions": {}, "next": [
            {"time": "2026-11-20T15:00:00Z", "currency": "USD", "impact": "High", "title": text or "Home sales"},
            {"time": "2026-11-20T18:00:00Z", "currency": "USD", "impact": "Medium", "title": "FOMC member speaks"}]},
        "processes": {name: {"pid": 1, "state": "OK", "restarts": 0} for name in names},
    }  # fmt: skip
