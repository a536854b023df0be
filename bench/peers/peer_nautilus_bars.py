"""NautilusTrader 1.x: prints one after the other through five time bar aggregators on its test clock.

As its data engine does: first the clock moves to the print's time and due bars are made, then each aggregator is given
the print. Bars include their start and not their end, empty ones are not made. Its `ts_event` of a bar after an empty
bucket is the start of that bucket, so the start is taken from when the bar was made.
"""

from typing import Any

import numpy as np
from nautilus_market import NAME, future, prints
from nautilus_trader.common.component import TestClock
from nautilus_trader.data.aggregation import TimeBarAggregator
from nautilus_trader.model.data import Bar, BarType
from protocol import Columns, Measure, load, serve

TIMEFRAMES = (1, 5, 15, 30, 60)
NS_PER_MIN = 60 * 10**9
NAMES = ("open", "high", "low", "close")


def bar_type(minutes: int) -> BarType:
    step = f"{minutes}-MINUTE" if minutes < 60 else f"{minutes // 60}-HOUR"
    return BarType.from_str(f"{NAME}.SIM-{step}-LAST-INTERNAL")


def make(job: dict[str, Any]) -> dict[str, Measure]:
    instrument = future()
    ticks = prints(instrument, load(job["data"])["ticks"])

    def run() -> dict[int, list[Bar]]:
        clock = TestClock()
        clock.set_time(ticks[0].ts_init)
        found: dict[int, list[Bar]] = {minutes: [] for minutes in TIMEFRAMES}
        takers = []
        for minutes in TIMEFRAMES:
            maker = TimeBarAggregator(
                instrument, bar_type(minutes), found[minutes].append, clock,
                interval_type="right-open", timestamp_on_close=False, build_with_no_updates=False,
            )  # fmt: skip
            maker.start_timer()
            takers.append(maker.handle_trade_tick)
        advance, due_ns = clock.advance_time, 0
        for tick in ticks:
            now_ns = tick.ts_init
            if now_ns >= due_ns:  # spares it the look at its timers before each print
                for handler in advance(now_ns, True):
                    handler.handle()
                due_ns = now_ns // NS_PER_MIN * NS_PER_MIN + NS_PER_MIN
            for take in takers:
                take(tick)
        return found

    def common(found: dict[int, list[Bar]]) -> Columns:
        columns = {}
        for minutes, bars in found.items():
            columns[f"{minutes}m start_ns"] = np.array([bar.ts_init - minutes * NS_PER_MIN for bar in bars], np.int64)
            for name in NAMES:
                values = [round(float(getattr(bar, name))) for bar in bars]
                columns[f"{minutes}m {name}"] = np.array(values, np.int64)
            columns[f"{minutes}m volume"] = np.array([round(float(bar.volume)) for bar in bars], np.int64)
        return columns

    return {"calls": Measure(run, len(ticks), common)}


if __name__ == "__main__":
    serve(make)
