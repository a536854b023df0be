"""The market between source and hub, without sockets: order of records, session numbers, clock."""

import json
from typing import Any

import numpy as np
import pytest

from sim_rig import DAY_NS, MNQ, ScriptedMarket, tick_rows
from tbot.domain.contracts import contract_from_broker_id
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.sim.exchange import Exchange
from tbot.sim.market import HubRecord, Market, SimClock
from tbot_ext.records import BAR_DTYPE

WANTED = {("quote", MNQ), ("trade", MNQ)}


def market_of(rows: list[tuple[Any, ...]], start_ns: int, bars: np.ndarray[Any, Any] | None = None) -> Market:
    """A market at speed max: each step is one second of market time."""
    source = ScriptedMarket(tick_rows(rows), start_ns, bars)
    exchange = Exchange([contract_from_broker_id(MNQ)])
    return Market(source, exchange, SimClock(start_ns, None, held=False))


def play(market: Market, wanted: set[tuple[str, str]] = WANTED) -> list[tuple[str, Any]]:
    """All records until the source ends, as (kind, data)."""
    records: list[HubRecord] = []
    while not market.ended:
        records += market.step(wanted)
    return [(record.kind, json.loads(record.data[:-1])["arguments"][1]) for record in records]


def test_trades_before_and_after_the_newest_quote_stand_around_it() -> None:
    at = DAY_NS + 1000
    rows = [
        (at, "quote", 1000, 1002),
        (at + 100, "trade", 1002, 1, 1),
        (at + 200, "quote", 1001, 1003),
        (at + 300, "trade", 1003, 4, 1),
    ]
    told = play(market_of(rows, DAY_NS))
    assert [kind for kind, _ in told] == ["trade", "quote", "trade", "quote"]
    first, second = told[1][1], told[3][1]
    assert (first["bestBid"], first["bestAsk"], first["lastPrice"], first["volume"]) == (250.25, 250.75, 250.5, 1)
    assert "bestBid" not in second
    assert (second["lastPrice"], second["volume"]) == (250.75, 5)
    assert first["timestamp"] < second["timestamp"] <= second["lastUpdated"]


def test_only_what_is_wanted_is_made() -> None:
    rows = [(DAY_NS + 1, "quote", 1000, 1002), (DAY_NS + 2, "trade", 1001, 1, 1)]
    assert {kind for kind, _ in play(market_of(rows, DAY_NS), {("trade", MNQ)})} == {"trade"}
    assert play(market_of(rows, DAY_NS), set()) == []


def test_a_new_trading_day_starts_volume_and_session_prices_anew() -> None:
    open_ns = DAY_NS + 8 * 3600 * NS_PER_S  # 17:00 in Chicago
    rows = [
        (open_ns - 2 * NS_PER_S, "trade", 1000, 5, 1),
        (open_ns - 1 * NS_PER_S, "trade", 1010, 5, 1),
        (open_ns + 5 * NS_PER_S, "trade", 1004, 2, 1),
    ]
    quotes = [data for kind, data in play(market_of(rows, open_ns - 10 * NS_PER_S)) if kind == "quote"]
    assert [quote["volume"] for quote in quotes] == [5, 10, 2]
    last = quotes[-1]
    assert (last["open"], last["high"], last["low"], last["change"]) == (251.0, 251.0, 251.0, -1.5)


def test_the_session_so_far_comes_from_history() -> None:
    bars = np.zeros(2, BAR_DTYPE)
    # One minute of the trading day before, one of this one (it began at 23:00 UTC of the 19th).
    bars["start_ns"] = [DAY_NS - 17 * 3600 * NS_PER_S, DAY_NS - 2 * NS_PER_MIN]
    for name, values in (("open", (980, 990)), ("high", (985, 999)), ("low", (975, 988)), ("close", (982, 995))):
        bars[name] = values
    bars["volume"] = [70, 30]
    market = market_of([(DAY_NS + 1, "trade", 1000, 1, 1)], DAY_NS, bars)
    snapshot = market.snapshot(MNQ)
    assert snapshot is not None
    data = json.loads(snapshot[:-1])["arguments"][1]
    assert (data["open"], data["high"], data["low"], data["lastPrice"]) == (247.5, 249.75, 247.0, 248.75)
    assert (data["volume"], data["change"]) == (30, 3.25)
    (quote,) = (data for kind, data in play(market) if kind == "quote")
    assert (quote["volume"], quote["high"]) == (31, 250.0)
    assert "open" not in quote


def test_nothing_is_known_before_anything_happened() -> None:
    market = market_of([(DAY_NS + NS_PER_S, "trade", 1000, 1, 1)], DAY_NS)
    assert market.snapshot(MNQ) is None
    assert market.snapshot("CON.F.US.EP.Z26") is None


def test_the_clock_is_a_line_that_waits_for_its_start() -> None:
    clock = SimClock(5000, 20.0, held=True)
    assert clock.now_ns(10**9) == 5000
    clock.start(10**9)
    clock.start(2 * 10**9)  # runs already
    assert clock.now_ns(10**9 + 100) == 5000 + 2000
    assert clock.now_ns(10**9) == 7000  # never back


@pytest.mark.parametrize("speed", [0.0, -1.0, 20_000.0, float("nan")])
def test_senseless_speeds_are_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be"):
        SimClock(0, speed, held=True)
