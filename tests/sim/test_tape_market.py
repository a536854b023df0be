"""A tape as a market: all its trades, once, in order, however time is cut; quotes of its own or derived."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim_rig import DAY_NS, tick_rows
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.errors import DataError
from tbot.gateway.codec import ClockReading
from tbot.sim.market import tape_start_ns
from tbot.sim.server import SimServer, SimSettings
from tbot.sim.tape_market import TapeMarket
from tbot.storage.tape import TapeWriter, derive_quotes, merge_order, tape_meta
from tbot_ext.records import TICK_DTYPE, Kind


def bursts(count: int, symbol: str, seed: int) -> np.ndarray[Any, Any]:
    """Trades in bursts of equal time with a wandering price."""
    rng = np.random.default_rng(seed)
    at = DAY_NS + 7 * NS_PER_S + np.cumsum(rng.integers(0, 3, count)) * 40_000_000
    price = 20_000 + np.cumsum(rng.integers(-2, 3, count))
    rows = [
        (int(ns), "trade", int(p), int(n), 0) for ns, p, n in zip(at, price, rng.integers(1, 9, count), strict=True)
    ]
    return tick_rows(rows, symbol)


def write(path: Path, *parts: np.ndarray[Any, Any], meta: dict[str, Any] | None = None) -> Path:
    products = [PRODUCTS[symbol] for symbol in ("ES", "MNQ")]
    with TapeWriter(path, meta or tape_meta(products, "test")) as tape:
        tape.write(merge_order(np.concatenate(parts)))
    return path


def play(market: TapeMarket, step_ns: int) -> np.ndarray[Any, Any]:
    parts, now_ns = [], market.start_ns
    assert market.end_ns is not None
    while now_ns < market.end_ns + step_ns:
        parts.append(market.advance(now_ns))
        assert not len(parts[-1]) or parts[-1]["exch_ns"][-1] <= now_ns
        now_ns += step_ns
    return np.concatenate(parts)


@pytest.mark.parametrize("step_ns", [20_000_000, 333_333_333, 10**12])
def test_all_trades_once_in_order_with_derived_quotes(tmp_path: Path, step_ns: int) -> None:
    es, mnq = bursts(3000, "ES", 1), bursts(2500, "MNQ", 2)
    quotes = tick_rows([(DAY_NS + 8 * NS_PER_S, "quote", 999, 1001)], "MNQ")
    market = TapeMarket(write(tmp_path / "t", es, mnq, quotes))
    assert market.derived == ["ES"]  # the tape has quotes of MNQ, if only one
    assert [product.symbol for product in market.contracts] == ["MNQ", "ES"]
    played = play(market, step_ns)
    expected = derive_quotes(merge_order(np.concatenate((es, mnq, quotes))), {4: 1})
    np.testing.assert_array_equal(played, expected)
    trades = played[played["kind"] == Kind.TRADE]
    assert len(trades) == 5500
    assert int(trades["size"].sum()) == int(es["size"].sum() + mnq["size"].sum())
    assert len(market.advance(market.end_ns or 0)) == 0


def test_records_that_are_no_trade_or_quote_stay_home(tmp_path: Path) -> None:
    marks = np.zeros(3, TICK_DTYPE)
    marks["exch_ns"], marks["contract_id"], marks["kind"] = DAY_NS, 4, [Kind.GAP, Kind.CLOCK, Kind.HISTORY]
    empty = tick_rows([(DAY_NS, "trade", 5, 0, 0)], "ES")
    market = TapeMarket(write(tmp_path / "t", marks, empty, bursts(10, "ES", 3)))
    assert market.first_ns > DAY_NS
    assert set(play(market, NS_PER_S)["kind"].tolist()) == {int(Kind.TRADE), int(Kind.QUOTE)}


def test_only_the_wanted_products_are_played(tmp_path: Path) -> None:
    path = write(tmp_path / "t", bursts(100, "ES", 1), bursts(100, "MNQ", 2))
    market = TapeMarket(path, ("MNQ",))
    assert set(play(market, NS_PER_S)["contract_id"].tolist()) == {PRODUCTS["MNQ"].contract_id}
    with pytest.raises(DataError, match="no trades of GC"):
        TapeMarket(path, ("GC",))


def test_a_tape_has_no_history_before_itself(tmp_path: Path) -> None:
    market = TapeMarket(write(tmp_path / "t", bursts(10, "ES", 1)))
    assert len(market.history("ES", 0, 2**62)) == 0


@pytest.mark.parametrize(("speed", "lead_s"), [(1.0, 2), (2.0, 2), (20.0, 20), (0.5, 2), (None, 2)])
def test_the_clock_begins_a_lead_in_before_the_first_ticks_minute(speed: float | None, lead_s: int) -> None:
    first = 90 * NS_PER_MIN + 17 * NS_PER_S
    assert tape_start_ns(first, speed) == 90 * NS_PER_MIN - lead_s * NS_PER_S


def test_a_tape_waits_for_its_first_subscriber_and_knows_its_month(tmp_path: Path) -> None:
    meta = {"contracts": {"4": {"symbol": "ESM8", "tick_size": "0.25"}}, "source": "test"}
    ticks = bursts(100, "ES", 1)
    offset = DAY_NS - 1_525_701_600_000_000_000  # 2018-05-07 14:00 UTC
    ticks["exch_ns"] -= offset
    server = SimServer(SimSettings(tape=write(tmp_path / "t", ticks, meta=meta), speed=20.0))
    assert server.exchange.contracts["ES"].broker_id == "CON.F.US.EP.M18"
    assert server.market.step({("trade", "CON.F.US.EP.M18")}) == []
    first_minute = 1_525_701_600_000_000_000
    assert server.clock.reading(123) == ClockReading(first_minute - 20 * NS_PER_S, 20.0, 123, started=False)
    server.clock.start(1000)
    assert server.clock.now_ns(1000 + NS_PER_S) == first_minute
