"""Does anything cost more than its share when there is more to do?

Five axes, processor time each (never the clock on the wall):
  contracts    1 to 12, each with 11 updates a second: the real engine against `tbot sim` in real time, all processes
               but the simulator, cores
  load         65 to 2 000 updates a second over six contracts: the same
  timeframes   1 to 5 (1m, then 5m, 15m, 30m, 1h): all detectors, ns per 1m bar
  zones        kept alive by the detector, by its bound on their number: ns per bar of one timeframe
  tape         250 k to 2 M updates: a backtest with strategy, brackets and a Combine's rules, s
The exponent of an axis is the slope of log cost over log input through its last three points: 1 where twice the work
costs twice as much, less where a part is paid once for all. Only the large end, because a fixed cost flattens the small
one and would hide what grows. It is told with the range of nine in ten slopes that are made of repetitions drawn anew;
an axis grows faster than its input when all of that range lies above 1.1.

Run: python bench/cost_curve.py [--axes NAME,NAME] [--seconds N] [--json FILE] [--picture FILE.png]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from engine_run import SHARES, S, boot_ns, cpu_s, end_in_order, machine, make_ticks, running, table, write_tape

from tbot.backtest.plan import AccountPlan, BacktestPlan
from tbot.backtest.run import run_backtest
from tbot.backtest.source import ArraySource
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN, TIMEFRAMES_MIN
from tbot.execution.settings import AccountSettings
from tbot.storage.firm_rules import load_rules
from tbot.storage.replay_stream import opening
from tbot.storage.tick_stream import lockstep_stream
from tbot.strategy.settings import StrategySettings
from tbot_ext.bars import join_minutes
from tbot_ext.detector import Detector
from tbot_ext.params import Params
from tbot_ext.records import BAR_DTYPE

CONTRACTS = (1, 2, 4, 6, 9, 12)
LOADS = (65, 150, 400, 1000, 2000)
PER_CONTRACT = 11.0  # updates a second: 65 over six
ZONES = (4, 8, 16, 32, 64)
TAPE_LENGTHS = (250_000, 500_000, 1_000_000, 2_000_000)
BARS = 100_000
REPEATS = 5
WINDOWS = 5  # of an engine's stretch: their spread is the figure's
SETTLE_S = 60.0  # of tape for the engine's start
WARM_S = 2.0
LIMIT = 1.1
DRAWS = 200
LARGE = 3  # points of the large end
BAR_START = 1_700_002_800 * S

Repetitions = list[tuple[float, list[float]]]  # (x, costs)


@dataclass(frozen=True)
class Fit:
    """cost = factor * x^power at the large end, and the range of nine tenths of the powers."""

    factor: float
    power: float
    low: float
    high: float

    @property
    def faster(self) -> bool:
        """Whether the cost certainly grows faster than its input."""
        return self.low > LIMIT


# ---------------------------------------------------------------- the fit


def slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """(power, factor) of the line through the logarithms."""
    power, height = np.polyfit(np.log(x), np.log(y), 1)
    return float(power), float(np.exp(height))


def fit(found: Repetitions) -> Fit:
    """Of the medians at the large end; the range from repetitions drawn with replacement."""
    chance, large = np.random.default_rng(1), found[-LARGE:]
    x = np.array([at for at, _ in large])
    power, factor = slope(x, np.array([float(np.median(costs)) for _, costs in large]))
    drawn = [
        slope(x, np.array([float(np.median(chance.choice(costs, len(costs)))) for _, costs in large]))[0]
        for _ in range(DRAWS)
    ]
    low, high = np.percentile(drawn, [5, 95])
    return Fit(factor, power, float(low), float(high))


# ---------------------------------------------------------------- the engine


def engine_cores(symbols: Sequence[str], rates: dict[str, float], seconds: float) -> list[float]:
    """Cores that feed, executor, workers and launcher use, by window, in real time with the packaged strategy."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tape = folder / "bench.tape"
        length = int(SETTLE_S + WARM_S + seconds) + 2
        write_tape(tape, {symbol: np.full(length, rates[symbol]) for symbol in symbols}, 1.0)
        with running(folder / "run", tape, 1.0, symbols) as run:
            run.await_active(SETTLE_S)
            time.sleep(WARM_S)
            engine = [process for name, process in run.processes().items() if name != "sim"]
            found = []
            for _ in range(WINDOWS):
                begin, before = boot_ns(), sum(map(cpu_s, engine))
                time.sleep(seconds / WINDOWS)
                found.append((sum(map(cpu_s, engine)) - before) / (boot_ns() - begin) * S)
            run.stop()
            return found


def contracts_axis(seconds: float) -> Repetitions:
    """By number of contracts."""
    names = [*SHARES, *(symbol for symbol in PRODUCTS if symbol not in SHARES)]
    return [
        (float(count), engine_cores(names[:count], dict.fromkeys(names, PER_CONTRACT), seconds)) for count in CONTRACTS
    ]


def load_axis(seconds: float) -> Repetitions:
    """By updates a second."""
    total = sum(SHARES.values())
    return [
        (
            float(load),
            engine_cores(tuple(SHARES), {name: load * share / total for name, share in SHARES.items()}, seconds),
        )
        for load in LOADS
    ]


# ---------------------------------------------------------------- in one process


def spent(work: Callable[[], object]) -> list[float]:
    """Processor time of some repetitions of a piece of work, s; the first one only warms up."""
    found = []
    for _ in range(REPEATS + 1):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return found[1:]


def bars(count: int, move: float = 4.0) -> np.ndarray:
    """1m bars of a random walk with heavy tails, in ticks."""
    chance = np.random.default_rng(3)
    made = np.zeros(count, BAR_DTYPE)
    moves = np.rint(chance.standard_t(4, count) * move).astype(np.int64)
    made["start_ns"] = BAR_START + np.arange(count) * NS_PER_MIN
    made["timeframe_min"] = 1
    made["close"] = 1_000_000 + np.cumsum(moves)
    made["open"] = made["close"] - moves + chance.integers(-1, 2, count)
    made["high"] = np.maximum(made["open"], made["close"]) + chance.integers(0, 6, count)
    made["low"] = np.minimum(made["open"], made["close"]) - chance.integers(0, 6, count)
    made["volume"] = chance.integers(50, 2000, count)
    return made


def timeframes_axis(_seconds: float) -> Repetitions:
    """Detectors of the first k timeframes over the same minutes, ns per 1m bar."""
    minutes = bars(BARS)
    joined = {frame: minutes if frame == 1 else join_minutes(minutes, frame) for frame in TIMEFRAMES_MIN}

    def work(frames: tuple[int, ...]) -> None:
        for frame in frames:
            Detector(frame).push_bars(joined[frame])

    return [
        (float(count), [took / BARS * 1e9 for took in spent(lambda count=count: work(TIMEFRAMES_MIN[:count]))])  # type: ignore[misc]
        for count in range(1, len(TIMEFRAMES_MIN) + 1)
    ]


def zones_axis(_seconds: float) -> Repetitions:
    """One detector that may keep more and more zones; x is how many it kept in the mean, ns per bar."""
    minutes = bars(BARS, move=12.0)
    found = []
    for most in ZONES:
        params = Params(max_zones=most, max_age=1000)
        sample = Detector(1, params)
        alive = []
        for part in np.array_split(minutes, 100):
            sample.push_bars(part)
            alive.append(len(sample.zones()))
        costs = spent(lambda params=params: Detector(1, params).push_bars(minutes))  # type: ignore[misc]
        found.append((float(np.mean(alive[10:])), [took / BARS * 1e9 for took in costs]))
    return found


def tape_axis(_seconds: float) -> Repetitions:
    """A backtest by the length of its tape, s."""
    product = PRODUCTS["MNQ"]
    plan = BacktestPlan(
        (AccountPlan(AccountSettings(1, rules=load_rules("combine", "50K", date(2026, 11, 20)))),),
        strategy=StrategySettings(min_score=0.0, max_tests=3),
    )
    found = []
    for length in TAPE_LENGTHS:
        ticks = make_ticks("MNQ", np.full(length // 60, 60.0), 1.0)
        start = int(ticks["exch_ns"][0]) // NS_PER_MIN * NS_PER_MIN
        pieces = np.array_split(ticks, max(1, len(ticks) // 16_368))
        source = ArraySource((opening((product.contract_id,), start), *lockstep_stream(pieces, None)))
        found.append((float(len(ticks)), spent(lambda source=source: run_backtest(source, plan))))  # type: ignore[misc]
    return found


AXES: dict[str, tuple[Callable[[float], Repetitions], str, str]] = {
    "contracts": (contracts_axis, "contracts", "cores"),
    "load": (load_axis, "updates a second", "cores"),
    "timeframes": (timeframes_axis, "timeframes", "ns per 1m bar"),
    "zones": (zones_axis, "zones alive", "ns per bar"),
    "tape": (tape_axis, "updates on the tape", "s"),
}


# ---------------------------------------------------------------- telling it


def report(found: dict[str, Repetitions], fits: dict[str, Fit]) -> None:
    """Cost by axis, then the exponents."""
    for name, points in found.items():
        _, what, unit = AXES[name]
        rows = [(f"{x:,.0f}", *(f"{of(costs):.4g}" for of in (np.median, min, max))) for x, costs in points]
        print(f"\n{table((what, f'{unit}, median', 'least', 'most'), rows)}")
    print()
    rows = [
        (
            name,
            f"{one.power:.2f}",
            f"{one.low:.2f} to {one.high:.2f}",
            "yes" if one.faster else "no",
        )
        for name, one in fits.items()
    ]
    print(table(("axis", "exponent", "nine of ten lie in", "grows faster than its input"), rows))


def draw(path: Path, found: dict[str, Repetitions], fits: dict[str, Fit]) -> None:
    """One panel an axis: all repetitions, the fit, and growth in proportion beside it."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(3, len(found))
    figure, panels = plt.subplots(
        -(-len(found) // columns), columns, figsize=(5.2 * columns, 4.4 * -(-len(found) // columns)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, (name, points) in zip(panels.flat, found.items(), strict=False):
        _, what, unit = AXES[name]
        one = fits[name]
        x = np.array([at for at, _ in points])
        line = np.linspace(x[-LARGE:].min(), x.max(), 200)
        for at, costs in points:
            axes.plot([at] * len(costs), costs, "o", color="#4c78a8", alpha=0.45, markersize=4)
        axes.plot(line, one.factor * line**one.power, color="#e45756", linewidth=2,
                  label=f"as x^{one.power:.2f} ({one.low:.2f} to {one.high:.2f})")  # fmt: skip
        middle = float(np.median(points[-LARGE:][0][1]))
        axes.plot([0, x.max()], [0, middle * x.max() / line[0]], ":", color="#555555", label="in proportion")
        top = max(max(costs) for _, costs in points)
        axes.set_ylim(0, top * 1.25)
        axes.set_xlim(0, x.max() * 1.05)
        axes.set_xlabel(what)
        axes.set_ylabel(unit)
        grows = "faster than its input" if one.faster else "no faster than its input"
        axes.set_title(f"{name}: {grows}", loc="left", fontsize=11, fontweight="bold")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="upper left")
    for axes in panels.flat[len(found) :]:
        axes.set_axis_off()
    figure.suptitle("T-BOT: processor time against what there is to do", fontsize=13)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Command line."""
    end_in_order()
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--axes", default=",".join(AXES), help=f"of {', '.join(AXES)}")
    parser.add_argument("--seconds", type=float, default=10, help="measured stretch of each engine")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE.png")
    options = parser.parse_args()
    names = options.axes.split(",")
    if unknown := [name for name in names if name not in AXES]:
        parser.error(f"no axis {unknown[0]!r}; axes are {', '.join(AXES)}")
    found: dict[str, Repetitions] = {}
    for name in names:
        print(f"{name} ...", flush=True)
        found[name] = AXES[name][0](options.seconds)
    fits = {name: fit(points) for name, points in found.items()}
    report(found, fits)
    print(f"machine: {machine()}")
    if options.json:
        document: dict[str, Any] = {
            name: {"points": points, "fit": vars(fits[name]), "faster_than_input": fits[name].faster}
            for name, points in found.items()
        }
        options.json.write_text(json.dumps({"machine": machine(), "axes": document}, indent=1))
    if options.picture:
        draw(options.picture, found, fits)


if __name__ == "__main__":
    main()
