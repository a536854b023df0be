"""The simulated exchange fills by the same model as paper trading: bars, slippage and spreads included."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim_rig import ExchangeRig
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Fill, PlaceBracket
from tbot.domain.timeframes import NS_PER_MIN
from tbot.execution.fill_model import FillSettings
from tbot.execution.paper_broker import PaperAccount, PaperBroker
from tbot.storage.importers import bars_to_ticks

MNQ = PRODUCTS["MNQ"]
FLAT = (1_001, 1_001, 1_001, 1_001)


def prints(rows: list[tuple[int, int, int, int]], after_ns: int, volume: int = 8) -> np.ndarray:
    starts = after_ns - after_ns % NS_PER_MIN + (1 + np.arange(len(rows))) * NS_PER_MIN
    return bars_to_ticks(MNQ, starts, np.array(rows, np.int64), np.full(len(rows), volume), NS_PER_MIN, [])


def exchange_fills(rows: list[tuple[int, int, int, int]], **values: Any) -> list[tuple[int, int]]:
    """(side, price) of a bracket bought at the open of the first bar."""
    rig = ExchangeRig(settings=FillSettings(**values))
    ticks = prints([FLAT, *rows], rig.now_ns)
    rig.exchange.on_ticks(ticks[:1])
    rig.now_ns = int(ticks["exch_ns"][0])
    assert rig.place(stop_ticks=-40, target_ticks=60).code == 0
    rig.exchange.on_ticks(ticks[1:])
    return [(fill.side, fill.price) for fill in rig.account.book.fills]


def paper_fills(rows: list[tuple[int, int, int, int]], **values: Any) -> list[tuple[int, int]]:
    broker = PaperBroker([PaperAccount(1)], {"MNQ": MNQ}, FillSettings(**values))
    rig = ExchangeRig()
    broker.on_tick("MNQ", 2, 1000, 1002, 0, 0, rig.now_ns - 1)
    broker.on_tick("MNQ", 1, 1001, 0, 1, 1, rig.now_ns)
    ticks = prints([FLAT, *rows], rig.now_ns)
    names = ("price", "price2", "size", "side", "exch_ns", "flags", "aux")
    for number, row in enumerate(zip(*(ticks[name].tolist() for name in names), strict=True)):
        price, price2, size, side, exch_ns, flags, aux = row
        broker.on_tick("MNQ", 1, price, price2, size, side, exch_ns, flags, aux)
        if number == 0:
            broker.submit(PlaceBracket("c", 1, "MNQ", 1, 1, -40, 60, "t", "s"), exch_ns)
    return [(event.side, event.price) for event in broker.poll() if isinstance(event, Fill)]


# The quote of the rig stays 1000 / 1002: entry at 1002, stop 962, target 1062.
@pytest.mark.parametrize(
    ("bar", "exit_"),
    [
        ((1_001, 1_080, 950, 1_010), (-1, 961)),  # touches both: a stop, one tick of slippage
        ((1_001, 1_063, 990, 1_010), (-1, 1_062)),
        ((900, 910, 890, 905), (-1, 899)),  # opens beyond the stop
    ],
)
def test_V2_bars_on_the_exchange(bar: tuple[int, int, int, int], exit_: tuple[int, int]) -> None:
    assert exchange_fills([FLAT, bar]) == [(1, 1_002), exit_]


BAR = st.tuples(*[st.integers(930, 1_090)] * 4).map(lambda p: (p[0], max(p), min(p), p[3]))


@settings(max_examples=40)
@given(
    st.lists(BAR, max_size=6),
    st.sampled_from([{}, {"intrabar": "path"}, {"atr_slippage_permille": 90, "size_slippage_ticks": 9}]),
)
def test_V2_exchange_and_paper_trading_fill_alike(rows: list[Any], values: dict[str, Any]) -> None:
    assert exchange_fills([FLAT, *rows], **values) == paper_fills([FLAT, *rows], **values)


def test_V3_slippage_on_the_exchange_knows_the_prints_that_nobody_waited_for() -> None:
    rig = ExchangeRig(settings=FillSettings(0, 0, atr_slippage_permille=100, size_slippage_ticks=80))
    calm = [(1_001, 1_031, 991, 1_001)] * 20
    rig.exchange.on_ticks(prints(calm, rig.now_ns, volume=40))  # skipped in one piece
    rig.now_ns += 21 * NS_PER_MIN
    rig.place()
    rig.play(("quote", 1_000, 1_002))
    # True range 40, a tenth of it 4 ticks; 80 x 1 / 40 = 2 ticks
    assert rig.account.book.fills[-1].price == 1_002 + 6
