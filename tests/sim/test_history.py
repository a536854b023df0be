"""History of the simulator against a slow, obvious reference, and the calendar of listed months."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_rig import DAY_NS, ScriptedMarket, tick_rows
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.gateway.codec import BarUnit
from tbot.sim import history as history_module
from tbot.sim.history import UNITS, History
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


# ------------------------------------------------------------------------------------------ against brute force
def calendar_start(at_ns: int, unit: BarUnit, number: int) -> int:
    """Start of the bar by the calendar of the standard library."""
    at = datetime.fromtimestamp(at_ns // NS_PER_S, UTC)
    if unit == BarUnit.MONTH:
        months = (at.year - 1970) * 12 + at.month - 1
        months -= months % number
        start = datetime(1970 + months // 12, months % 12 + 1, 1, tzinfo=UTC)
    else:
        monday = datetime(1969, 12, 29, tzinfo=UTC)  # the Monday of the epoch's week
        length = timedelta(**{{3: "hours", 4: "days", 5: "weeks"}[unit]: number})
        first = monday if unit == BarUnit.WEEK else datetime(1970, 1, 1, tzinfo=UTC)
        start = first + (at - first) // length * length
    return int(start.timestamp()) * NS_PER_S


@given(
    st.lists(st.integers(1_700_000_000, 1_830_000_000), min_size=1, max_size=60, unique=True),
    st.sampled_from([BarUnit.HOUR, BarUnit.DAY, BarUnit.WEEK, BarUnit.MONTH]),
    st.integers(1, 5),
)
@settings(max_examples=150, deadline=None)
def test_long_units_lie_on_the_utc_calendar(seconds: list[int], unit: BarUnit, number: int) -> None:
    minutes = sorted({s - s % 60 for s in seconds})
    bars = np.zeros(len(minutes), BAR_DTYPE)
    bars["start_ns"] = np.array(minutes, np.int64) * NS_PER_S
    for name in ("open", "high", "low", "close"):
        bars[name] = np.arange(len(minutes)) + 1000
    bars["volume"] = 1
    now_ns = (minutes[-1] + 60) * NS_PER_S
    history = History(ScriptedMarket(tick_rows([]), now_ns, bars))
    found = history.bars("MNQ", unit, number, 0, now_ns, limit=20_000, partial=True, now_ns=now_ns)
    expected: dict[int, list[int]] = {}
    for place, start in enumerate(bars["start_ns"].tolist()):
        expected.setdefault(calendar_start(start, unit, number), []).append(1000 + place)
    assert {int(b["start_ns"]): (b["open"], b["high"], b["low"], b["close"], b["volume"]) for b in found} == {
        start: (values[0], values[-1], values[0], values[-1], len(values)) for start, values in expected.items()
    }
    assert found["start_ns"].tolist() == sorted(expected, reverse=True)
    whole = history.bars("MNQ", unit, number, 0, now_ns, limit=20_000, partial=False, now_ns=now_ns)
    ended = [s for s in expected if calendar_start(now_ns, unit, number) > s]
    assert whole["start_ns"].tolist() == sorted(ended, reverse=True)


asked = st.tuples(
    st.sampled_from([(BarUnit.SECOND, 1), (BarUnit.SECOND, 7), (BarUnit.MINUTE, 1), (BarUnit.MINUTE, 3)]),
    st.integers(-100, 2000),  # seconds from the start of play: from
    st.integers(-100, 2000),  # to
    st.integers(1, 50),
    st.booleans(),
)


@given(st.lists(asked, min_size=1, max_size=6), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_any_window_of_a_tapes_own_past(questions: list[Any], seed: int) -> None:
    """A tape has no history but what it played; asked while it plays."""
    rng = np.random.default_rng(seed)
    at = START + np.cumsum(rng.integers(0, 5, 600)) * 700_000_000
    trades = list(zip(at.tolist(), (2000 + np.cumsum(rng.integers(-3, 4, 600))).tolist(), [2] * 600, strict=True))
    ticks = tick_rows([(ns, "trade", price, size, 1) for ns, price, size in trades])
    history, done = History(ScriptedMarket(ticks, START)), 0
    for (unit, number), from_s, to_s, limit, partial in questions:
        step = 600 // len(questions)
        history.add(ticks[done : done + step])
        done += step
        now_ns, from_ns, to_ns = trades[done - 1][0], START + from_s * NS_PER_S, START + to_s * NS_PER_S
        period_ns = number * (NS_PER_S if unit == BarUnit.SECOND else NS_PER_MIN)
        found = history.bars("MNQ", unit, number, from_ns, to_ns, limit=limit, partial=partial, now_ns=now_ns)
        expected = [
            [start, *values]
            for start, values in sorted(slow_bars(trades[:done], period_ns).items(), reverse=True)
            if from_ns <= start <= to_ns and (partial or start + period_ns <= now_ns)
        ][:limit]
        names = ("start_ns", "open", "high", "low", "close", "volume")
        assert [[int(bar[name]) for name in names] for bar in found] == expected


# ----------------------------------------------------------------------------------------------------------- trades
@pytest.mark.parametrize("number", [1, 5, 7])
def test_tick_bars_count_trades_from_the_first_one_played(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "KEPT_TRADES", 1000)
    history, trades = made(4, 3003)
    trades = trades[30:]  # what was played
    groups = [trades[k : k + number] for k in range(0, len(trades), number)]
    now_ns = trades[-1][0]
    found = history.bars("MNQ", BarUnit.TICK, number, 0, now_ns, limit=20_000, partial=True, now_ns=now_ns)
    # The oldest ones that are kept whole.
    assert 1000 // number - 1 <= len(found) <= 1000 // number + 1
    for bar, group in zip(found, reversed(groups), strict=False):
        prices = [price for _, price, _ in group]
        assert (int(bar["start_ns"]), int(bar["volume"])) == (group[0][0], sum(size for *_, size in group))
        values = [int(bar[name]) for name in ("open", "high", "low", "close")]
        assert values == [prices[0], max(prices), min(prices), prices[-1]]
    whole = history.bars("MNQ", BarUnit.TICK, number, 0, now_ns, limit=20_000, partial=False, now_ns=now_ns)
    assert len(whole) == len(found) - (len(groups[-1]) < number)
    assert len(history.bars("ES", BarUnit.TICK, 1, 0, now_ns, limit=5, partial=True, now_ns=now_ns)) == 0


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("number", [2**31 - 1, 10**12, 10**30])
def test_absurd_numbers_of_units_are_harmless(unit: BarUnit, number: int) -> None:
    history, trades = made(5)
    now_ns = trades[-1][0]
    for partial in (True, False):
        found = history.bars("MNQ", unit, number, 0, 2**62, limit=20_000, partial=partial, now_ns=now_ns)
        assert len(found) <= (1 if unit != BarUnit.SECOND else 2)
        assert not partial or int(found["volume"].sum()) > 0


def test_F_TIM_07_two_rolls_leave_two_expired_months_at_their_own_levels() -> None:
    history, trades = made(6)
    end_ns = trades[-1][0]
    assert len(history.expired_bars("MNQ", "first", BarUnit.HOUR, 1, 0, 2**62, limit=9)) == 0
    history.roll("MNQ", "first", 100, end_ns)
    more = [(end_ns + (k + 1) * NS_PER_S, "trade", 5000 + k, 1, 1) for k in range(100)]
    history.add(tick_rows(more))
    history.roll("MNQ", "second", -30, end_ns + 50_500_000_000)  # in the middle of it

    def hours(broker_id: str) -> list[tuple[int, int, int, int]]:
        found = history.expired_bars("MNQ", broker_id, BarUnit.HOUR, 1, 0, 2**62, limit=20_000)
        return [tuple(int(bar[name]) for name in ("start_ns", "high", "low", "volume")) for bar in found]

    slow = slow_bars(trades, 3600 * NS_PER_S)
    assert hours("first") == [(start, b[1], b[2], b[4]) for start, b in sorted(slow.items(), reverse=True)]
    assert hours("second")[-1][1:3] == tuple(value + 100 for value in sorted(slow.items())[0][1][1:3])
    now_ns = end_ns + 200 * NS_PER_S
    active = history.bars("MNQ", BarUnit.MINUTE, 1, 0, now_ns, limit=20_000, partial=True, now_ns=now_ns)
    assert int(active["open"][-1]) == 900 + 100 - 30  # before play
    for unit in (BarUnit.SECOND, BarUnit.MINUTE, BarUnit.TICK):
        assert len(history.expired_bars("MNQ", "first", unit, 1, 0, 2**62, limit=9)) == 0
