"""Steering the simulated market: exchange, history and hub agree on every steered tick, whatever is done and when."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_rig import DAY_NS, MNQ, OWNER, ScriptedMarket, tick_rows
from tbot.domain.contracts import contract_from_broker_id
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.errors import ConfigError
from tbot.gateway.codec_tables import BarUnit
from tbot.sim.exchange import Exchange
from tbot.sim.market import Market, SimClock
from tbot.sim.orders import PlaceFields
from tbot.sim.steered_source import SteeredSource
from tbot_ext.records import BAR_DTYPE, NO_PRICE, Kind

NEXT_MNQ = "CON.F.US.MNQ.H27"
WANTED = {(kind, broker_id) for kind in ("quote", "trade") for broker_id in (MNQ, NEXT_MNQ)}
SECONDS = 300


def wandering(seed: int = 1, seconds: int = SECONDS) -> np.ndarray[Any, Any]:
    """A quote and then a trade on it every 250 ms, walking by single ticks."""
    rng = np.random.default_rng(seed)
    bids = 100_000 + np.cumsum(rng.integers(-1, 2, seconds * 4))
    rows: list[tuple[Any, ...]] = []
    for number, bid in enumerate(bids.tolist()):
        at = DAY_NS + number * 250_000_000
        side = 1 if rng.random() < 0.5 else -1
        rows += [(at, "quote", bid, bid + 2), (at + 1000, "trade", bid + 2 if side > 0 else bid, 1 + number % 5, side)]
    return tick_rows(rows)


class Run:
    """A market at speed max (a second of market time per step) with everything it did remembered."""

    def __init__(self, ticks: np.ndarray[Any, Any], start_ns: int = DAY_NS, **more: Any) -> None:
        self.exchange = Exchange([contract_from_broker_id(MNQ)])
        self.account = self.exchange.add_account(OWNER, "50KTC-V2-000001-00000001")
        bars = more.pop("bars", None)
        source = ScriptedMarket(ticks, start_ns, bars)
        self.market = Market(source, self.exchange, SimClock(start_ns, None, held=False), every_quote=True, **more)
        self.told: list[tuple[str, str, Any]] = []  # kind, broker id, data
        self.played: list[np.ndarray[Any, Any]] = []
        seen = self.exchange.on_ticks

        def on_ticks(ticks: np.ndarray[Any, Any]) -> None:
            self.played.append(ticks.copy())
            seen(ticks)

        self.exchange.on_ticks = on_ticks  # type: ignore[method-assign]

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            for record in self.market.step(WANTED):
                broker_id, data = json.loads(record.data[:-1])["arguments"]
                self.told.append((record.kind, broker_id, data))

    def finish(self) -> None:
        while not self.market.ended:
            self.step()

    def ticks(self) -> np.ndarray[Any, Any]:
        return np.concatenate(self.played)

    def told_trades(self, broker_id: str = MNQ) -> list[tuple[int, int]]:
        """(price in ticks, size) of all prints told."""
        rows = [row for kind, contract, data in self.told if (kind, contract) == ("trade", broker_id) for row in data]
        return [(round(row["price"] * 4), row["volume"]) for row in rows]

    def told_quotes(self, broker_id: str = MNQ) -> list[tuple[int, int]]:
        """(bid, ask) after each quote that changed one of them."""
        state = {"bestBid": 0.0, "bestAsk": 0.0}
        found = []
        for kind, contract, data in self.told:
            if (kind, contract) == ("quote", broker_id) and state.keys() & data.keys():
                state |= {name: data[name] for name in state if name in data}
                found.append((round(state["bestBid"] * 4), round(state["bestAsk"] * 4)))
        return changes(found)

    def minutes(self) -> list[Any]:
        bars = self.market.history.bars(
            "MNQ", BarUnit.MINUTE, 1, 0, 2**61, limit=20_000, partial=True, now_ns=self.market.now_ns
        )
        return [[int(bar[name]) for name in ("start_ns", "open", "high", "low", "close", "volume")] for bar in bars]

    def place(self, order_type: int, side: int, **prices: Any) -> int:
        fields = PlaceFields(self.account.account_id, MNQ, order_type, side, 1, **prices)
        answer = self.exchange.place(OWNER, fields, self.market.now_ns)
        assert answer.order_id is not None, answer
        return answer.order_id


def changes(values: Iterable[Any]) -> list[Any]:
    """Without repeats of the value before."""
    return [value for value, _ in itertools.groupby(values)]


def slow_minutes(ticks: np.ndarray[Any, Any]) -> list[Any]:
    bars: dict[int, list[int]] = {}
    for tick in ticks:
        if tick["kind"] == Kind.TRADE:
            price, start = int(tick["price"]), int(tick["exch_ns"]) // NS_PER_MIN * NS_PER_MIN
            bar = bars.setdefault(start, [start, price, price, price, price, 0])
            bar[2], bar[3], bar[4] = max(bar[2], price), min(bar[3], price), price
            bar[5] += int(tick["size"])
    return [bars[start] for start in sorted(bars, reverse=True)]


def check_agreement(run: Run) -> None:
    """What the exchange matched is what the hub told and what history knows; trades lie on the quote before them."""
    ticks = run.ticks()
    trades = ticks[ticks["kind"] == Kind.TRADE]
    quotes = ticks[ticks["kind"] == Kind.QUOTE]
    assert run.told_trades() == list(zip(trades["price"].tolist(), trades["size"].tolist(), strict=True))
    assert run.told_quotes() == changes(zip(quotes["price"].tolist(), quotes["price2"].tolist(), strict=True))
    assert run.minutes() == slow_minutes(ticks)
    assert np.all(np.diff(ticks["exch_ns"]) >= 0)
    newest = np.maximum.accumulate(np.where(ticks["kind"] == Kind.QUOTE, np.arange(len(ticks)), 0))
    at = np.where(ticks["side"] > 0, ticks["price2"][newest], ticks["price"][newest])
    is_trade = ticks["kind"] == Kind.TRADE
    assert np.array_equal(ticks["price"][is_trade], at[is_trade])


moves = st.lists(
    st.tuples(
        st.integers(1, 40),  # seconds to play before it
        st.sampled_from(["gap", "spike", "drift", "halt", "resume", "prints"]),
        st.integers(-3000, 3000).filter(bool),
        st.floats(0, 30),
    ),
    max_size=8,
)


@given(moves, st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_whatever_is_steered_exchange_hub_and_history_agree(plan: list[tuple[int, str, int, float]], seed: int) -> None:
    run = Run(wandering(seed))
    for wait, what, ticks, seconds in plan:
        run.step(wait)
        controls = run.market.controls
        if what == "gap":
            controls.gap("MNQ", ticks)
        elif what == "spike":
            controls.spike("*", ticks, seconds)
        elif what == "drift":
            controls.drift("MNQ", ticks // 20 or 1, seconds)
        elif what == "prints":
            controls.prints("MNQ", abs(ticks) % 50 + 1, 2, 1 if ticks > 0 else -1)
        else:
            controls.halt("MNQ", seconds if what == "halt" else 0)
    run.finish()
    check_agreement(run)


def test_nothing_is_steered_unless_asked() -> None:
    ticks = wandering()
    run = Run(ticks)
    run.finish()
    assert np.array_equal(run.ticks(), ticks)
    check_agreement(run)


def test_F_ORD_08_a_gap_moves_everything_behind_it_and_announces_itself() -> None:
    ticks, run = wandering(), Run(wandering())
    run.step(100)
    before = len(run.ticks())
    run.market.controls.gap("MNQ", -1234)
    run.finish()
    played = run.ticks()
    assert np.array_equal(played[:before], ticks[:before])
    announced, behind = played[before], played[before + 1 :]
    quotes = ticks[:before][ticks["kind"][:before] == Kind.QUOTE]
    assert (announced["price"], announced["price2"]) == (quotes["price"][-1] - 1234, quotes["price2"][-1] - 1234)
    assert announced["exch_ns"] == DAY_NS + 100 * NS_PER_S + 1
    assert np.array_equal(behind["price"], ticks["price"][before:] - 1234)
    assert np.array_equal(behind["size"], ticks["size"][before:])


def test_F_ORD_08_a_gap_through_a_stop_fills_behind_the_gap() -> None:
    run = Run(wandering())
    run.step(10)
    run.place(2, 0)
    run.step()
    bid = run.exchange.states["MNQ"].bid
    assert bid is not None
    order_id = run.place(4, 1, stop_price=contract_from_broker_id(MNQ).product.to_price(bid - 40))
    run.step(3)
    run.market.controls.gap("MNQ", -400)
    run.step(2)
    order = run.account.book.orders[order_id]
    assert (order.status, order.filled) == ("filled", 1)
    assert order.fill_sum < bid - 350


def test_F_RSK_01_drift_to_loss_takes_the_position_where_it_was_sent() -> None:
    run, steady = Run(wandering()), Run(wandering())
    run.step(20)
    run.place(2, 1)  # a short
    run.market.controls.drift_to_loss("MNQ", -1, 500, 60)
    run.step(30)
    steady.step(50)
    half = run.market.controls._quote("MNQ")[0] - steady.market.controls._quote("MNQ")[0]
    assert half == pytest.approx(250, abs=1)
    run.step(31)
    steady.step(31)
    assert run.market.controls._quote("MNQ")[0] - steady.market.controls._quote("MNQ")[0] == 500
    steps = np.abs(np.diff(run.ticks()["price"][run.ticks()["kind"] == Kind.QUOTE]))
    assert steps.max() <= 2  # its own step and one of the drift
    run.finish()
    check_agreement(run)


@pytest.mark.parametrize(("kind", "side"), [("stop", 0), ("stop", 1), ("limit", 0), ("limit", 1)])
def test_chase_reaches_the_nearest_order_and_comes_back(kind: str, side: int) -> None:
    run = Run(wandering())
    run.step(10)
    bid, ask = run.market.controls._quote("MNQ")
    product = contract_from_broker_id(MNQ).product
    away = 60 if (kind == "stop") == (side == 0) else -60
    level = (ask if away > 0 else bid) + away
    price = {"stop_price": product.to_price(level)} if kind == "stop" else {"limit_price": product.to_price(level)}
    order_id = run.place(4 if kind == "stop" else 1, side, **price)
    farther = {name: value + (50 if away > 0 else -50) for name, value in price.items()}
    far_id = run.place(4 if kind == "stop" else 1, side, **farther)
    run.step()
    touched = run.market.controls.chase("MNQ", kind)
    assert touched == level + (1 if away > 0 else -1)
    run.step(2)
    orders = run.account.book.orders
    assert (orders[order_id].status, orders[far_id].status) == ("filled", "open")
    run.finish()
    assert abs(run.ticks()["price"][-1] - bid) < 60  # came back
    check_agreement(run)


def test_chase_with_nothing_to_chase() -> None:
    run = Run(wandering())
    assert run.market.controls.chase("MNQ") is None
    run.step(5)
    assert run.market.controls.chase("MNQ") is None


def test_F_TIM_06_a_halt_has_no_ticks_and_its_moves_show_at_its_end() -> None:
    run = Run(wandering())
    run.step(10)
    run.market.controls.halt("MNQ", 30)
    run.step(5)
    run.market.controls.gap("MNQ", 100)
    run.step(24)
    count = len(run.ticks())
    assert run.ticks()["exch_ns"][-1] <= DAY_NS + 10 * NS_PER_S
    run.step(3)
    again = run.ticks()[count:]
    assert again["exch_ns"][0] >= DAY_NS + 40 * NS_PER_S
    assert again["price"][0] == wandering()["price"][40 * 8] + 100
    run.market.controls.halt("MNQ", 1000)
    run.step(5)
    run.market.controls.halt("MNQ", 0)
    run.step()
    assert run.ticks()["exch_ns"][-1] > run.market.now_ns - NS_PER_S


def test_F_TIM_06_one_sided_quotes_tell_no_ask() -> None:
    run = Run(wandering())
    run.step(10)
    run.market.controls.one_sided("MNQ", 1, 5)
    run.step(3)
    assert run.exchange.states["MNQ"].ask is None
    assert run.exchange.states["MNQ"].bid is not None
    assert "bestAsk" not in [data for kind, _, data in run.told if kind == "quote"][-1]
    run.step(5)
    assert run.exchange.states["MNQ"].ask is not None
    assert NO_PRICE not in run.ticks()["price"]


def test_odd_prints_and_quotes() -> None:
    run = Run(wandering())
    run.step(10)
    bid, ask = run.market.controls._quote("MNQ")
    run.market.controls.prints("MNQ", count=300, size=1)
    run.market.controls.prints("MNQ", count=2, size=0, side=-1)
    run.market.controls.prints("MNQ", offset=860)
    run.market.controls.quote("MNQ", 3, 0, 0.2)
    run.step()
    trades = run.told_trades()
    assert trades.count((ask, 1)) >= 300
    assert trades.count((bid, 0)) == 2
    assert trades.count((ask + 860, 1)) == 1
    assert (bid + 3, ask) in run.told_quotes()
    sized = run.ticks()[run.ticks()["kind"] == Kind.TRADE]["size"]
    assert sized.min() >= 1  # the exchange never matches with nothing
    run.finish()
    assert run.minutes() == slow_minutes(run.ticks())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: c.gap("NQ", 5), "no 'NQ'; it has MNQ, or"),
        (lambda c: c.gap("MNQ", -90_000), "less than a fifth"),
        (lambda c: c.spike("MNQ", -90_000), "less than a fifth"),
        (lambda c: c.drift("MNQ", -90_000, 5), "less than a fifth"),
        (lambda c: c.drift("MNQ", 9, -1), "a time is 0"),
        (lambda c: c.drift_to_loss("MNQ", 0, 5, 1), "side 1 or -1"),
        (lambda c: c.chase("MNQ", "market"), "stop, limit or any"),
        (lambda c: c.one_sided("MNQ", 2, 1), "1 .ask. or -1"),
        (lambda c: c.prints("MNQ", 0), "count of 1"),
        (lambda c: c.alter("MNQ", 5, -1), "minutes_ago"),
        (lambda c: c.holes("MNQ", 1, 0), "minutes 1 or more"),
    ],
)
def test_senseless_controls_are_refused(call: Any, text: str) -> None:
    run = Run(wandering())
    run.step(3)
    with pytest.raises(ConfigError, match=text):
        call(run.market.controls)
    run.step(3)
    check_agreement(run)


# ------------------------------------------------------------------------------------------------------------ history
@pytest.mark.parametrize("unit", [BarUnit.SECOND, BarUnit.MINUTE, BarUnit.HOUR, BarUnit.TICK])
def test_F_DAT_07_altered_and_missing_minutes_show_in_every_unit(unit: BarUnit) -> None:
    run, true = Run(wandering()), Run(wandering())
    for each in (run, true):
        each.step(250)  # 4:10 into the hour
    run.market.controls.alter("MNQ", 40, minutes_ago=3)
    run.market.controls.holes("MNQ", minutes_ago=2)

    def bars(of: Run) -> dict[int, list[int]]:
        now_ns = of.market.now_ns
        found = of.market.history.bars("MNQ", unit, 1, 0, 2**61, limit=20_000, partial=True, now_ns=now_ns)
        return {int(bar["start_ns"]): [int(bar[n]) for n in ("open", "high", "low", "close")] for bar in found}

    altered_ns, missing_ns = DAY_NS + NS_PER_MIN, DAY_NS + 2 * NS_PER_MIN
    found, expected = bars(run), bars(true)
    if unit == BarUnit.HOUR:
        assert found[DAY_NS][1] == max(
            values[1] + (40 if start == altered_ns else 0)
            for start, *values in (row[:5] for row in true.minutes())
            if start != missing_ns
        )
    else:
        span = lambda ns: ns - ns % NS_PER_MIN  # noqa: E731
        wrong = {ns: [v + 40 for v in row] if span(ns) == altered_ns else row for ns, row in expected.items()}
        assert found == {ns: row for ns, row in wrong.items() if span(ns) != missing_ns}
    assert run.told_trades() == true.told_trades()  # the hub said the truth
    run.market.controls.heal("MNQ")
    assert bars(run) == expected


# --------------------------------------------------------------------------------------------------------------- roll
def test_F_TIM_07_a_roll_goes_on_under_the_new_id_at_its_own_level_and_with_its_own_history() -> None:
    bars = np.zeros(120, BAR_DTYPE)
    bars["start_ns"] = DAY_NS - np.arange(120, 0, -1) * NS_PER_MIN
    for name in ("open", "high", "low", "close"):
        bars[name] = 100_000
    bars["volume"] = 3
    start_ns = DAY_NS + 250_000_000  # in the middle of a minute
    run = Run(wandering()[2:], start_ns, bars=bars)
    run.step(130)
    old, new = contract_from_broker_id(MNQ), contract_from_broker_id(NEXT_MNQ)
    roll_ns = run.market.now_ns
    offset = run.market.controls.roll_ticks("MNQ")
    assert offset == pytest.approx(900, abs=5)  # 0.9 %
    run.market.controls.gap("MNQ", 77)  # what was steered before stays
    run.step(2)
    roll_ns, before = run.market.now_ns, len(run.told)
    (hook,) = run.exchange.on_roll
    hook(old, new, offset, roll_ns)
    assert run.market.snapshot(MNQ) is None
    snapshot = json.loads((run.market.snapshot(NEXT_MNQ) or b"")[:-1])["arguments"][1]
    assert round(snapshot["bestBid"] * 4) == run.market.controls._quote("MNQ")[0] > 100_700
    run.finish()
    assert {contract for _, contract, _ in run.told[before:]} == {NEXT_MNQ}
    ticks = run.ticks()
    later = ticks["exch_ns"] > roll_ns
    true = wandering()[2:]
    expected = true["price"][true["exch_ns"] > roll_ns] + 77 + offset
    assert np.array_equal(ticks["price"][later & (ticks["exch_ns"] != roll_ns + 1)], expected)

    def minutes(contract: Any, unit: BarUnit = BarUnit.MINUTE) -> list[tuple[int, int, int]]:
        found = run.market.bars(contract, unit, 1, 0, 2**61, limit=20_000, partial=True)
        return [(int(bar["start_ns"]), int(bar["open"]), int(bar["volume"])) for bar in found]

    moved = ticks.copy()
    moved["price"][~later] += offset
    own = [(row[0], row[1], row[5]) for row in slow_minutes(moved)]
    assert minutes(new)[: len(own) - 1] == own[:-1]
    assert minutes(new)[-1] == (int(bars["start_ns"][0]), 100_000 + offset, 3)
    assert minutes(old) == []  # nothing below an hour of an expired month
    first, second, third = minutes(old, BarUnit.HOUR)
    played = ticks[~later & (ticks["kind"] == Kind.TRADE)]
    assert first == (DAY_NS, int(played["price"][0]), int(played["size"].sum()))
    assert second == (DAY_NS - 60 * NS_PER_MIN, 100_000, 180)
    assert third == (DAY_NS - 120 * NS_PER_MIN, 100_000, 180)
    assert minutes(contract_from_broker_id("CON.F.US.MNQ.M27"), BarUnit.HOUR) == []


@pytest.mark.parametrize("offset", [0, 500])
def test_F_TIM_07_a_roll_in_the_middle_of_a_step_comes_behind_its_ticks(offset: int) -> None:
    run = Run(wandering())
    run.step(70)
    old, new = contract_from_broker_id(MNQ), contract_from_broker_id(NEXT_MNQ)
    advance, due = run.exchange.advance, [True]

    def advance_and_roll(now_ns: int) -> None:  # as a venue does that rolls by its calendar
        advance(now_ns)
        if due.pop() if due else False:
            run.exchange.on_roll[0](old, new, offset, now_ns)

    run.exchange.advance = advance_and_roll  # type: ignore[method-assign]
    before, played = len(run.told), len(run.ticks())
    run.step()
    assert {contract for _, contract, _ in run.told[before:]} == {MNQ}
    run.finish()
    ticks = run.ticks()
    fourth = played + 8  # ticks of the step of the roll
    assert ticks["price"][fourth] == ticks["price"][fourth - 2] + offset  # the announcement repeats the last quote
    assert np.array_equal(ticks["price"][:fourth], wandering()["price"][:fourth])
    assert np.array_equal(ticks["price"][fourth + 1 :], wandering()["price"][fourth:] + offset)
    trades = ticks[ticks["kind"] == Kind.TRADE]
    told = run.told_trades(MNQ) + run.told_trades(NEXT_MNQ)
    assert told == list(zip(trades["price"].tolist(), trades["size"].tolist(), strict=True))
    moved = ticks.copy()
    moved["price"][:fourth] += offset
    assert run.minutes() == slow_minutes(moved)


def test_a_steered_source_keeps_order_with_other_contracts() -> None:
    other = tick_rows([(DAY_NS + k * NS_PER_S, "quote", 5, 6) for k in range(60)], "ES")
    ticks = np.concatenate((wandering(1, 60), other))
    ticks = ticks[np.lexsort((ticks["contract_id"], ticks["exch_ns"]))]
    source = SteeredSource(ScriptedMarket(ticks, DAY_NS))
    parts = [source.advance(DAY_NS + 10 * NS_PER_S)]
    source.shift("MNQ", [(k * NS_PER_S, 5) for k in range(20)], (100_000, 100_002))
    parts += [source.advance(DAY_NS + k * NS_PER_S // 3) for k in range(31, 180)]
    out = np.concatenate(parts)
    assert len(out) == len(ticks) + 20 - 2  # the last quarter of a second was not played
    key = out["exch_ns"] * 100 + out["contract_id"]
    assert np.all(np.diff(key) >= 0)
    assert np.array_equal(out[out["contract_id"] == 4], ticks[ticks["contract_id"] == 4])
