"""The market of the golden trade list: bars that anybody can make again with whole numbers and a line of arithmetic."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from backtest_cases import Bar, bars, cue
from scripted_trader import Cue
from tbot.domain.timeframes import NS_PER_S

DAYS, MINUTES = 25, 120
FIRST = datetime(2026, 8, 3, 13, 30, tzinfo=UTC)  # a Monday, 08:30 in Chicago
SEED, START = 20_260_803, 80_000
STOP, TARGET, BACK = 10, 12, 5
CUES = range(10, MINUTES - 10, 9)  # minutes of a day at whose end there is a signal


def numbers(seed: int) -> Iterator[int]:
    """Knuth's MMIX generator (The Art of Computer Programming 2, 3.3.4), its upper 32 bits."""
    state = seed
    while True:
        state = (6_364_136_223_846_793_005 * state + 1_442_695_040_888_963_407) % 2**64
        yield state >> 32


def day_starts() -> list[int]:
    """UTC ns of the first minute of each weekday."""
    days = [FIRST + timedelta(days=n) for n in range(7 * DAYS // 5)]
    return [int(day.timestamp()) * NS_PER_S for day in days if day.weekday() < 5][:DAYS]


def golden_bars() -> list[list[Bar]]:
    """Bars by day: an open up to 2 ticks from the last close, then twelve steps of up to 12 ticks."""
    draw, close, days = numbers(SEED), START, []
    for _ in range(DAYS):
        day: list[Bar] = []
        for _ in range(MINUTES):
            path = [close + next(draw) % 5 - 2]
            for _ in range(12):
                path.append(path[-1] + next(draw) % 25 - 12)
            close = path[-1]
            day.append((path[0], max(path), min(path), close, 50 + next(draw) % 400))
        days.append(day)
    return days


def golden_case(contract: str = "MNQ") -> tuple[list[np.ndarray], list[Cue]]:
    """(ticks, signals): at the chosen closes with the last BACK minutes, up or down."""
    parts, cues = [], []
    for start, day in zip(day_starts(), golden_bars(), strict=True):
        parts.append(bars(contract, day, t0=start))
        for minute in CUES:
            move = day[minute][3] - day[minute - BACK][3]
            if move:
                side = 1 if move > 0 else -1
                cues.append(cue(60 * (minute + 1), side, STOP, TARGET, contract, start))
    return parts, cues
