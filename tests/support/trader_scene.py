"""A market around one 15m demand zone, written by hand, for the tests of signals."""

from event_builder import EventBuilder, view_at
from tbot.domain.contracts import PRODUCTS
from tbot.domain.messages import Signal
from tbot.strategy.trader import ContractTrader, StrategySettings

MNQ = PRODUCTS["MNQ"]  # tick 0.25, 50 cents a tick; round trip 122 cents
ONLY_15M = StrategySettings(zone_timeframes_min=(15,))
DEMAND = (100_000, 100_050)


class Scene:
    """A 15m demand zone 25000.00-25012.50 in an up-trend, with its surroundings, and a trader that has seen it."""

    def __init__(self, settings: StrategySettings = ONLY_15M, score: float = 80.0) -> None:
        self.make = make = EventBuilder()
        self.trader = ContractTrader(MNQ, settings)
        make.quiet_bars(tf=15, until=0, count=14, high=100_240, low=100_200)  # ATR of 15m: 40 ticks
        self.trends = [make.bos(0, +1, 60), make.bos(0, +1, 30), make.bos(0, +1, 15), make.bos(0, -1, 5)]
        self.leg = [make.swing_high(0, 100_400, 60), make.swing_low(0, 99_900, 60)]  # middle 100 150
        self.zone = make.order_block(0, 15, +1, *DEMAND, score)
        self.near = make.gap(0, 5, +1, 100_055, 100_070, 0.5)  # 5 ticks above the zone: within 0.25 * 40 = 10
        make.order_block(0, 5, +1, 100_061, 100_090, 90.0)  # 11 ticks above: not a neighbour
        self.wall = make.level(0, -1, 100_158, 30)  # resistance 98 ticks above 100 060
        make.pool(0, +1, 100_150, 1)  # 90 ticks above
        self.pool = make.pool(0, +1, 100_160, 5)  # 100 ticks above
        make.order_block(0, 30, -1, 100_157, 100_170, 50.0)  # the edge of a zone is no target
        make.bar(1, 100_100, 100_060, 100_080)
        self.test_bar = -1

    def enter(self, closes: float = 2, low: int = 100_050) -> None:
        self.test_bar = self.make.bar(closes, 100_090, low, 100_055)

    def choch(self, closes: float = 3, side: int = 1) -> int:
        self.make.bar(closes, 100_062, 100_052, 100_060)
        return self.make.choch(closes, side)

    def run(self, closes: float = 3, bid: int = 100_058, ask: int = 100_060, **view: object) -> list[Signal]:
        return self.trader.on_events(self.make.take(), view_at(closes, bid, ask, **view))

    def died(self) -> dict[str, int]:
        return {name: count for name, count in self.trader.counters.items() if count}
