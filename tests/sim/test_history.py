"""History of the simulator against a slow, obvious reference, and the calendar of listed months."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from sim_rig import DAY_NS, ScriptedMarket, tick_rows
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.gateway.codec import BarUnit
from tbot.sim import history as history_module
from tbot.sim.history import History
from tbot.sim.listing import front_contract, tape_contract
from tbot_ext.records import BAR_DTYPE

START = DAY_NS + 17 * NS_PER_S  # in the middle of a minute


def made(seed: int, count: int = 4000) -> tuple[History, list[tuple[int, int, int]]]:
    """A history fed in uneven pieces, and its trades (ns, price, size)."""
    rng = np.random.default_rng(seed)
    at = START + np.cumsum(rng.integers(0, 4, count)) * 400_000_000
    price = 1000 + np.cumsum(rng.integers(-3, 4, count))
    size = rng.integers(1, 9, count)
    trades = list(zip(at.tolist(), price.tolist(), size.tolist(), strict=True))
    rows: list[tuple[Any, ...]] = [(ns, "trade", p, n, 1) for ns, p, n in trades]
    ticks = tick_rows(rows)
    before = np.zeros(30, BAR_DTYPE)
    first = START - START % NS_PER_MIN
    before["start_ns"] = first - np.arange(30, 0, -1) * NS_PER_MIN
    for name in ("open", "high", "low", "close"):
        before[name] = 900
    before["volume"] = 1
    history = History(ScriptedMarket(ticks, START, before))
    done = 0
    while done < count:
        step = int(rng.integers(1, 400))
        history.add(ticks[done : done + step])
        done += step
    return history, [(ns, 900, 1) for ns in before["start_ns"].tolist()] + trades


def slow_bars(trades: list[tuple[int, int, int]], period_ns: int) -> dict[int, list[int]]:
    bars: dict[int, list[int]] = {}
    for at, price, size in trades:
        bar = bars.setdefault(at - at % period_ns, [price, price, price, price, 0])
        bar[1], bar[2], bar[3] = max(bar[1], price), min(bar[2], price), price
        bar[4] += size
    return bars


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("unit", "number", "period_s"),
    [(BarUnit.SECOND, 1, 1), (BarUnit.SECOND, 15, 15), (BarUnit.MINUTE, 1, 60), (BarUnit.MINUTE, 5, 300),
     (BarUnit.HOUR, 1, 3600), (BarUnit.DAY, 1, 86_400)],
)  # fmt: skip
def test_bars_equal_the_slow_reference(seed: int, unit: BarUnit, number: int, period_s: int) -> None:
    history, trades = made(seed)
    now_ns = trades[-1][0]
    found = history.bars("MNQ", unit, number, 0, now_ns, limit=20_000, partial=True, now_ns=now_ns)
    # Seconds before the start do not exist, minutes do.
    known = [trade for trade in trades if trade[0] >= START] if unit == BarUnit.SECOND else trades
    expected = slow_bars(known, period_s * NS_PER_S)
    assert [bar["start_ns"] for bar in found] == sorted(expected, reverse=True)
    for bar in found:
        values = [int(bar[name]) for name in ("open", "high", "low", "close", "volume")]
        assert values == expected[int(bar["start_ns"])]


def test_limit_takes_the_newest_and_partial_bars_are_left_out_unless_asked() -> None:
    history, trades = made(5)
    now_ns = trades[-1][0]
    whole = history.bars("MNQ", BarUnit.MINUTE, 1, 0, now_ns, limit=3, partial=False, now_ns=now_ns)
    assert len(whole) == 3
    assert int(whole["start_ns"][0]) + NS_PER_MIN <= now_ns
    partial = history.bars("MNQ", BarUnit.MINUTE, 1, 0, now_ns, limit=3, partial=True, now_ns=now_ns)
    assert int(partial["start_ns"][0]) == now_ns - now_ns % NS_PER_MIN
    np.testing.assert_array_equal(partial[1:], whole[:2])


def test_old_seconds_become_minutes_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "KEPT_SECONDS", 200)
    history, trades = made(6)
    now_ns = trades[-1][0]
    found = history.bars("MNQ", BarUnit.MINUTE, 1, 0, now_ns, limit=20_000, partial=True, now_ns=now_ns)
    expected = slow_bars(trades, NS_PER_MIN)
    assert {int(bar["start_ns"]): int(bar["volume"]) for bar in found} == {at: bar[4] for at, bar in expected.items()}
    kept = history.bars("MNQ", BarUnit.SECOND, 1, 0, now_ns, limit=20_000, partial=True, now_ns=now_ns)
    assert len(kept) <= 300


@pytest.mark.parametrize(
    ("symbol", "day", "broker_id"),
    [
        ("MNQ", date(2026, 11, 22), "CON.F.US.MNQ.Z26"),
        ("ES", date(2026, 12, 13), "CON.F.US.EP.Z26"),
        ("ES", date(2026, 12, 14), "CON.F.US.EP.H27"),
        ("ES", date(2018, 5, 7), "CON.F.US.EP.M18"),
        ("GC", date(2026, 8, 19), "CON.F.US.GCE.Z26"),
        ("GC", date(2026, 11, 24), "CON.F.US.GCE.Z26"),
        ("MGC", date(2026, 11, 25), "CON.F.US.MGC.G27"),
    ],
)
def test_front_month(symbol: str, day: date, broker_id: str) -> None:
    assert front_contract(PRODUCTS[symbol], day).broker_id == broker_id


def test_a_tapes_contract_name_in_any_of_its_forms() -> None:
    day = date(2018, 5, 7)
    names = ("ES", "ESM8", "CON.F.US.EP.M18")
    assert {tape_contract(name, day).broker_id for name in names} == {"CON.F.US.EP.M18"}
    assert tape_contract("ESH0", date(2019, 12, 30)).broker_id == "CON.F.US.EP.H20"
    for bad in ("XX", "ESM", "ESA8"):
        with pytest.raises(ValueError, match="names no contract"):
            tape_contract(bad, day)
