"""Everything that is compared: which peer, in what environment, on what data, how equality is told."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import datafiles
import equal
import market_files
import numpy as np
from bench_compat import walk
from protocol import Columns
from quote_server import CONTRACT, QuoteServer

Job = dict[str, Any]
Equal = Callable[[Columns, Columns], str]


@dataclass(frozen=True)
class Peer:
    """A package and its environment. `python`: the least version that it needs, None for the running one's."""

    package: str  # as the registry names it
    requirements: tuple[str, ...]
    modules: str  # what a user of this work imports
    python: tuple[int, int] | None = None


@dataclass(frozen=True)
class Prepared:
    """The data of one work, made. `equal` by the names of (their measure, our measure)."""

    theirs: Job
    ours: Job
    source: str
    equal: Equal
    equals: dict[tuple[str, str], Equal] | None = None


@dataclass(frozen=True)
class Work:
    """One comparison. `pairs`: (what the row says, their measure, our measure)."""

    name: str
    peer: Peer
    script: str
    our_script: str
    our_modules: str
    pairs: tuple[tuple[str, str, str], ...]
    unit: str
    prepare: Callable[[Path, bool], Prepared]  # (folder, quick)
    shape: Literal["time", "rate"] = "time"


def bars(folder: Path, quick: bool) -> Prepared:
    """Prints of gold, which have sizes."""
    columns, source = datafiles.prints(datafiles.GOLD, 100_000 if quick else 1_000_000)
    np.savez(folder / "prints.npz", ticks=datafiles.tick_records(columns, datafiles.GOLD))
    job = {"data": str(folder / "prints.npz")}
    return Prepared(job, job, f"{len(columns['price']):,} {source}", equal.bars_equal)


def patterns(folder: Path, quick: bool, n: int) -> Prepared:
    """The bars of bench_compat.py."""
    n = n // 10 if quick else n
    np.savez(folder / "walk.npz", **walk(n))
    job = {"data": str(folder / "walk.npz"), "length": 5, "live": 0}
    return Prepared(job, job, f"{n:,} synthetic 1m bars, swing length 5", equal.columns_equal)


def live(folder: Path, quick: bool) -> Prepared:
    """The last bars of the same walk, each as if it had just closed."""
    n, count = 20_000, 10 if quick else 100
    np.savez(folder / "walk.npz", **walk(n))
    job = {"data": str(folder / "walk.npz"), "length": 5, "live": count}
    stream = partial(equal.stream_against_windows, n=n)
    source = f"{count} windows of 1,000 bars; the stream {n:,} bars"
    return Prepared(job, job, source, equal.columns_equal, {("recompute", "stream"): stream})


def wire(folder: Path, quick: bool) -> Prepared:
    """A server in this process that sends as fast as it is read."""
    count = 5_000 if quick else 50_000
    job = {"url": QuoteServer(count).url, "contract": CONTRACT, "count": count}
    return Prepared(job, job, f"{count:,} quotes of 250 bytes, one a message", equal.columns_equal)


def paced(folder: Path, quick: bool, rate: int) -> Prepared:
    """The same quotes at a set rate."""
    count = rate * (2 if quick else 10)
    job = {"url": QuoteServer(count, rate).url, "contract": CONTRACT, "count": count, "rate": rate}
    return Prepared(job, job, f"{count:,} quotes at {rate:,} a second", partial(equal.delivered, count=count))


def tick_backtest(folder: Path, quick: bool) -> Prepared:
    """Prints of the S&P future, each with a quote before it."""
    theirs, ours, source = market_files.tick_files(folder, 200_000 if quick else 1_000_000)

    def told(a: Columns, b: Columns) -> str:
        return equal.trades_equal(market_files.tick_trades(a), b)

    return Prepared(theirs, ours, f"{ours['units']:,} records of {source} and their quotes", told)


def bar_backtest(folder: Path, quick: bool) -> Prepared:
    """The market of tests/interop/test_backtesting.py."""
    theirs, ours, market, source = market_files.bar_files(folder, 4_000 if quick else 40_000)
    with np.load(ours["data"]) as file:
        times = file["times"]

    def told(a: Columns, b: Columns) -> str:
        return equal.trades_equal(market_files.bar_trades(a, market, times), market_files.at_bars(b, times))

    return Prepared(theirs, ours, f"{ours['units']:,} {source}", told)


NAUTILUS = Peer("nautilus_trader", ("nautilus_trader==1.231.0",), "nautilus_trader.backtest.engine", (3, 12))
SMC = Peer("smartmoneyconcepts", ("smartmoneyconcepts==0.0.27",), "smartmoneyconcepts.smc")
PYSIGNALR = Peer("pysignalr", ("pysignalr==1.3.3", "numpy"), "pysignalr.client")
SIGNALRCORE = Peer("signalrcore", ("signalrcore==1.0.2", "numpy"), "signalrcore.hub_connection_builder")
PROJECT_X = Peer("project-x-py", ("project-x-py==4.4.1",), "project_x_py", (3, 12))
HFT = Peer("hftbacktest", ("hftbacktest==2.4.4",), "hftbacktest")
BACKTESTING = Peer("backtesting", ("backtesting==0.6.6",), "backtesting")
BACKTRADER = Peer("backtrader", ("backtrader==1.9.78.123", "numpy"), "backtrader")
FIVE = "ticks to five bar frames"
ARRAYS = ((f"{FIVE}, arrays", "arrays", "arrays"),)
CALLS = ((f"{FIVE}: one by one, ours the array at once", "calls", "arrays"),
         (f"{FIVE}: one by one, ours by a Python call each", "calls", "calls"))  # fmt: skip
FUNCTIONS = ("ob", "bos_choch", "fvg", "liquidity", "swing_highs_lows", "previous_high_low")
LIVE = (("patterns at each new bar: 1,000 bars again, ours the same calls", "recompute", "recompute"),
        ("patterns at each new bar: 1,000 bars again, ours the detectors, one call a bar", "recompute",
         "stream"))  # fmt: skip
WIRE = (("quotes from the wire to a callback, ours to the ring", "quotes", "quotes"),
        ("quotes from the wire to a callback, ours to the ring with the extra `fast`", "quotes",
         "quotes-fast"))  # fmt: skip
ON_TICKS = (("bracket backtest on ticks, ours with Desk and limits", "bracket", "bracket"),)
ON_BARS = (("bracket backtest on 1m bars, ours with Desk, limits and detectors", "bracket", "bracket"),)
OUR_BARS, OUR_WIRE, OUR_RUN = "tbot_ext.bars", "tbot.engine.contract_feed,tbot.gateway.market_hub", "tbot.backtest.run"


def _bars(name: str, peer: Peer, script: str, pairs: tuple[tuple[str, str, str], ...]) -> Work:
    return Work(name, peer, script, "ours_bars.py", OUR_BARS, pairs, "tick", bars)


def _patterns(name: str, n: int) -> Work:
    pairs = tuple((f"patterns: {one}", one, one) for one in FUNCTIONS)
    return Work(name, SMC, "peer_smartmoneyconcepts.py", "ours_patterns.py", "tbot.compat.smc", pairs, "bar",
                partial(patterns, n=n))  # fmt: skip


def _wire(peer: Peer) -> Work:
    return Work(f"wire-{peer.package}", peer, f"peer_{peer.package}.py", "ours_wire.py", OUR_WIRE, WIRE, "message",
                wire, "rate")  # fmt: skip


def _paced(rate: int) -> Work:
    what = "quotes from the wire into its bars (stamped by its own clock), for each that got there, ours to the ring"
    pairs = ((what, "quotes", "quotes"),)
    return Work(f"quotes-{rate}", PROJECT_X, "peer_project_x_py.py", "ours_wire.py", OUR_WIRE, pairs, "quote",
                partial(paced, rate=rate))  # fmt: skip


def _backtest(name: str, peer: Peer, script: str, ticks: bool) -> Work:
    pairs, unit, prepare = (ON_TICKS, "record", tick_backtest) if ticks else (ON_BARS, "bar", bar_backtest)
    return Work(name, peer, script, "ours_backtest.py", OUR_RUN, pairs, unit, prepare)


WORKS: tuple[Work, ...] = (
    _wire(PYSIGNALR),
    _wire(SIGNALRCORE),
    _paced(100),
    _paced(1_000),
    _bars("bars-pandas", Peer("pandas", ("pandas",), "pandas"), "peer_pandas.py", ARRAYS),
    _bars("bars-polars", Peer("polars", ("polars", "numpy"), "polars"), "peer_polars.py", ARRAYS),
    _bars("bars-nautilus", NAUTILUS, "peer_nautilus_bars.py", CALLS),
    _patterns("patterns-10k", 10_000),
    _patterns("patterns-100k", 100_000),
    Work("patterns-live", SMC, "peer_smartmoneyconcepts.py", "ours_patterns.py", "tbot.compat.smc", LIVE, "bar", live),
    _backtest("ticks-hftbacktest", HFT, "peer_hftbacktest.py", True),
    _backtest("ticks-nautilus", NAUTILUS, "peer_nautilus_backtest.py", True),
    _backtest("bars-backtesting", BACKTESTING, "peer_backtesting.py", False),
    _backtest("bars-backtrader", BACKTRADER, "peer_backtrader.py", False),
)
