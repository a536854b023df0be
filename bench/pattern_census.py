"""How often do the patterns occur, how do they end, and does price respect a zone more than a band put anywhere?

Run from a checkout on files of 1m bars, with the tick size by the contract in a file's name (or --tick-size):

    python bench/pattern_census.py ES_1m.parquet NQ_1m.parquet > census.md

Everything is causal: events come from the detectors bar by bar, and an outcome looks at bars after the decision only to
say how it ended. Definitions stand in the output (DEFINITIONS). No budget; five timeframes of eight weeks take some
seconds a contract on 2 virtual cores.
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from tbot.analytics.bar_tables import bars_of, file_columns, parse_tick_size
from tbot.analytics.detect import find, params_of
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NAMES
from tbot.errors import TbotError
from tbot.storage.foreign_columns import product_of
from tbot_ext.records import EventCode, Flag

E = EventCode
DEFINITIONS = """\
* **Counts**: births and single events as emitted by the detectors with their default parameters; 1m bars are put
  together into longer ones as the engine does it live. Blocks of structure that another zone stands for are left out.
* **Life**: share of the zones (pools, levels) born that had this event at least once before the data ended.
* **Taken pool**: a bar traded beyond it. A SWEEP closed back inside, at once or within `sweep_reclaim` bars; a RUN did
  not close back on the bar that took it. A run that is closed back later counts as a sweep, too.
* **First test**: the first bar after the zone became known that reached it. The outcome is decided from the close of
  that bar: **held** when a later bar trades one ATR (of the testing bar) beyond that close in the zone's favour,
  **failed** when a bar closes beyond the zone's far edge first, or the testing bar did. When one later bar does both,
  the move came before the close: held. Undecided after 500 bars or at the end of the data: left out, counted as open.
* **Control**: for each zone, a band of the same height, side and birth, shifted by a random distance of 0.5 to 4 ATR up
  or down (seeded), so that price has yet to come to it as it has to come to the zone; tested and decided by the same
  rule. A bar that jumps over a block without touching it is no test, over a gap it is one, for zones and controls.
* **Interval**: Wilson, 95 %. Zones overlap in time and price, so they are not independent: true intervals are wider.
  The mini and the micro of one underlying show one market twice: taken together they say hardly more than one of them.
  Prices of a file are taken as they are; at a roll that is not adjusted a few outcomes are wrong, for both alike."""

HORIZON = 500  # bars
SHIFT_ATR = (0.5, 4.0)
TRIES = 40
COUNTED = (
    E.SWING_HIGH, E.SWING_LOW, E.BOS, E.CHOCH, E.MSS, E.FVG, E.OB, E.BREAKER, E.MITIGATION_BLOCK, E.POOL, E.SWEEP,
    E.RUN, E.LEVEL,
)  # fmt: skip
LIVES: dict[EventCode, tuple[EventCode, ...]] = {
    E.OB: (E.OB_TESTED, E.OB_MITIGATED, E.OB_BROKEN, E.OB_EXPIRED),
    E.FVG: (E.FVG_TOUCHED, E.FVG_HALF, E.FVG_FILLED, E.FVG_INVERTED, E.FVG_DEAD, E.FVG_EXPIRED),
    E.BREAKER: (E.BREAKER_TESTED, E.BREAKER_DEAD, E.BREAKER_EXPIRED),
    E.MITIGATION_BLOCK: (E.MITIGATION_TESTED, E.MITIGATION_DEAD, E.MITIGATION_EXPIRED),
    E.LEVEL: (E.LEVEL_JOINED, E.LEVEL_TOUCHED, E.LEVEL_BROKEN, E.LEVEL_DEAD, E.LEVEL_EXPIRED),
    E.POOL: (E.POOL_JOINED, E.SWEEP, E.RUN, E.POOL_EXPIRED),
}
TESTS = {
    E.OB: E.OB_TESTED, E.FVG: E.FVG_TOUCHED, E.BREAKER: E.BREAKER_TESTED, E.MITIGATION_BLOCK: E.MITIGATION_TESTED,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Prices:
    """A series of bars in ticks, as seen from one side: prices of a bear zone are negated, high and low swapped."""

    high: np.ndarray
    low: np.ndarray
    close: np.ndarray

    @classmethod
    def of(cls, bars: np.ndarray, side: int) -> "Prices":
        if side > 0:
            return cls(bars["high"], bars["low"], bars["close"])
        return cls(-bars["low"], -bars["high"], -bars["close"])


@dataclass(slots=True)
class Tally:
    held: int = 0
    failed: int = 0
    open: int = 0

    def add(self, outcome: bool | None) -> None:
        if outcome is None:
            self.open += 1
        elif outcome:
            self.held += 1
        else:
            self.failed += 1

    @property
    def n(self) -> int:
        return self.held + self.failed

    def take(self, other: "Tally") -> None:
        self.held, self.failed, self.open = self.held + other.held, self.failed + other.failed, self.open + other.open


def wilson(successes: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Interval of a share; (0, 1) of nothing."""
    if n == 0:
        return 0.0, 1.0
    share, squared = successes / n, z * z / n
    middle = share + squared / 2
    half = z * math.sqrt(share * (1 - share) / n + squared / (4 * n))
    return max(0.0, (middle - half) / (1 + squared)), min(1.0, (middle + half) / (1 + squared))


def atr_series(bars: np.ndarray, n: int = 14) -> np.ndarray:
    """Wilder's ATR at each close, as the detectors have it: a session break counts by its own range; NaN at first."""
    span = (bars["high"] - bars["low"]).astype(float)
    before = np.concatenate([bars["close"][:1], bars["close"][:-1]])
    apart = (bars["flags"] & int(Flag.SESSION_BREAK)) != 0
    wide = np.maximum(span, np.maximum(abs(bars["high"] - before), abs(bars["low"] - before)))
    ranges = np.where(apart | (np.arange(len(bars)) == 0), span, wide)
    out = np.full(len(bars), np.nan)
    if len(bars) >= n:
        value = out[n - 1] = ranges[:n].mean()
        for k in range(n, len(bars)):
            value = out[k] = value + (ranges[k] - value) / n
    return out


def zones_only(events: np.ndarray) -> np.ndarray:
    """Without births that are records only: another zone stands for them, and they have no life of their own."""
    return events[(events["flags"] & int(Flag.DUPLICATE)) == 0]


def outcome(prices: Prices, test: int, bottom: int, atr: float) -> bool | None:
    """Held, failed or None (open) of a zone first tested by bar `test`; `bottom` is its far edge."""
    if prices.close[test] < bottom:
        return False
    later = slice(test + 1, test + 1 + HORIZON)
    held = np.flatnonzero(prices.high[later] >= prices.close[test] + atr)
    failed = np.flatnonzero(prices.close[later] < bottom)
    if not len(held) and not len(failed):
        return None
    return bool(len(held) and (not len(failed) or held[0] <= failed[0]))


def first_test(prices: Prices, born: int, bottom: int, top: int, jump: bool) -> int | None:
    """The first bar after `born` that reaches a band from above; None when none does in time, or (unless `jump`
    counts) when it lies beyond the band altogether."""
    reached = np.flatnonzero(prices.low[born + 1 : born + 1 + HORIZON] <= top)
    if not len(reached):
        return None
    bar = born + 1 + int(reached[0])
    return bar if jump or prices.high[bar] >= bottom else None


def shifted(rng: np.random.Generator, prices: Prices, born: int, top: int, atr: float) -> int | None:
    """A random distance for a control band that price, at the close of `born`, has yet to come down to."""
    for _ in range(TRIES):
        distance = round(float(rng.uniform(*SHIFT_ATR)) * atr) * (1 if rng.random() < 0.5 else -1)
        if distance and top + distance < prices.close[born]:
            return distance
    return None


def zones_tested(events: np.ndarray, kind: EventCode) -> Iterator[tuple[int, int, int, int, int | None]]:
    """(side, birth bar, bottom, top, bar of the first test) of every zone; prices as its side sees them."""
    tests: dict[int, int] = {}
    for parent, known in events[events["kind"] == int(TESTS[kind])][["parent_id", "known"]].tolist():
        tests.setdefault(parent, known)
    names = ["id", "side", "known", "top", "bottom"]
    for number, side, known, top, bottom in events[events["kind"] == int(kind)][names].tolist():
        low, high = (bottom, top) if side > 0 else (-top, -bottom)
        yield side, known, low, high, tests.get(number)


def outcomes(events: np.ndarray, bars: np.ndarray, kind: EventCode, seed: int) -> tuple[Tally, Tally]:
    """What became of zones after their first test, and of their controls."""
    sides = {side: Prices.of(bars, side) for side in (1, -1)}
    atr, rng = atr_series(bars), np.random.default_rng(seed)
    zones, controls = Tally(), Tally()
    for side, born, bottom, top, test in zones_tested(events, kind):
        prices = sides[side]
        if np.isnan(atr[born]):
            continue
        if test is not None:
            zones.add(outcome(prices, test, bottom, atr[test]))
        distance = shifted(rng, prices, born, top, atr[born])
        if distance is None:
            continue
        other = first_test(prices, born, bottom + distance, top + distance, kind == E.FVG)
        if other is not None:
            controls.add(outcome(prices, other, bottom + distance, atr[other]))
    return zones, controls


# ---------------------------------------------------------------- tables
def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "none"


def rate(tally: Tally) -> str:
    low, high = wilson(tally.held, tally.n)
    return f"{percent(tally.held, tally.n)} [{100 * low:.1f}, {100 * high:.1f}]" if tally.n else "none"


def outcome_row(name: str, kind: EventCode, zones: Tally, controls: Tally) -> list[object]:
    gap = "none"
    if zones.n and controls.n:
        gap = f"{100 * (zones.held / zones.n - controls.held / controls.n):+.1f}"
    return [name, kind.name, rate(zones), zones.n, zones.open, rate(controls), controls.n, controls.open, gap]


OUTCOME_HEAD = (
    "timeframe",
    "zone",
    "held [95 %]",
    "n",
    "open",
    "control held [95 %]",
    "n",
    "open",
    "difference, points",
)


def life_rows(name: str, events: np.ndarray) -> list[list[object]]:
    rows: list[list[object]] = []
    for kind, stages in LIVES.items():
        born = events["id"][events["kind"] == int(kind)]
        if not len(born):
            continue
        reached = []
        for stage in stages:
            parents = np.unique(events["parent_id"][events["kind"] == int(stage)])
            short = stage.name.split("_", 1)[1] if stage.name.count("_") else stage.name
            reached.append(f"{short.lower()} {percent(int(np.isin(parents, born).sum()), len(born))}")
        rows.append([name, kind.name, len(born), ", ".join(reached)])
    return rows


def sweep_row(name: str, events: np.ndarray) -> list[object]:
    pools = events["id"][events["kind"] == int(E.POOL)]
    swept = np.unique(events["parent_id"][events["kind"] == int(E.SWEEP)])
    ran = np.unique(events["parent_id"][events["kind"] == int(E.RUN)])
    taken, back = np.union1d(swept, ran), np.intersect1d(swept, ran)
    return [
        name, len(pools), percent(int(np.isin(pools, taken).sum()), len(pools)),
        percent(int(np.isin(pools, swept).sum()), len(pools)), len(swept), len(back), len(taken) - len(swept),
    ]  # fmt: skip


SWEEP_HEAD = ("timeframe", "pools", "taken", "swept", "sweeps", "of them after a run", "runs never closed back")


Totals = dict[tuple[int, EventCode], tuple[Tally, Tally]]


def census(path: Path, tick: Decimal, timeframes: Sequence[int], seed: int, totals: Totals) -> str:
    """The part of the report about one file."""
    counts, lives, sweeps, results = [], [], [], []
    columns = file_columns(path)
    for minutes in timeframes:
        found = find(bars_of(path, columns, tick, minutes), tick, minutes, params_of(None, minutes))
        bars, events, name = found.bars, zones_only(found.events), NAMES[minutes]
        counts.append([name, len(bars), *(int((events["kind"] == int(kind)).sum()) for kind in COUNTED)])
        lives += life_rows(name, events)
        sweeps.append(sweep_row(name, events))
        for kind in TESTS:
            pair = outcomes(events, bars, kind, seed)
            whole = totals.setdefault((minutes, kind), (Tally(), Tally()))
            for tally, more in zip(whole, pair, strict=True):
                tally.take(more)
            if pair[0].n or pair[0].open:
                results.append(outcome_row(name, kind, *pair))
    head = ("timeframe", "bars", *(kind.name for kind in COUNTED))
    return "\n\n".join(
        [
            f"## {path.name}, tick {tick}",
            table(head, counts),
            table(("timeframe", "kind", "born", "reached"), lives),
            table(SWEEP_HEAD, sweeps),
            table(OUTCOME_HEAD, results),
        ]
    )


def report(paths: Sequence[Path], tick: Decimal | None, timeframes: Sequence[int], seed: int) -> Iterator[str]:
    yield f"# Pattern census\n\nSeed of the controls: {seed}.\n\n{DEFINITIONS}"
    totals: Totals = {}
    for path in paths:
        step = tick if tick is not None else product_of(path, PRODUCTS, None).tick_size
        yield census(path, step, timeframes, seed, totals)
    if len(paths) > 1:
        rows = [outcome_row(NAMES[minutes], kind, *pair) for (minutes, kind), pair in totals.items() if pair[0].n]
        yield f"## All {len(paths)} files\n\n{table(OUTCOME_HEAD, rows)}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Counts, lives and outcomes of all patterns in files of 1m bars.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--tick-size", help="price step; default by the contract in each file's name")
    parser.add_argument("--timeframes", default="1m,5m,15m,30m,1h")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        tick = parse_tick_size(options.tick_size) if options.tick_size else None
        names = {name: minutes for minutes, name in NAMES.items()}
        chosen = [names[name.strip()] for name in options.timeframes.split(",")]
        for part in report(options.files, tick, chosen, options.seed):
            print(part + "\n", flush=True)
    except KeyError as error:
        print(f"unknown timeframe {error}; known are {', '.join(NAMES.values())}", file=sys.stderr)
        return 2
    except TbotError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
