"""The markets of the bracket backtests as files for both sides, and how trades of theirs are told by our rules."""

import dataclasses
from pathlib import Path
from typing import Any

import datafiles
import numpy as np
import ours_backtest
import test_backtesting as interop

from smc_bars import market_bars
from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_MIN
from tbot.storage.importers import bars_to_ticks
from tbot.storage.replay_stream import opening
from tbot.storage.tick_stream import CLOCK_GRACE_NS, lockstep_stream
from tbot_ext.records import Kind

CONTRACT = "NQ"
NQ_BARS = "market/bars_1m/NQ_1m_tsx_20260120_20260318.parquet"
STOP, TARGET = 8, 12  # ticks, of the tick backtests
PRODUCT = datafiles.INDEX  # of the tick backtests
BACK = 5  # bars back: the strategy's side is the sign of that move
Columns = dict[str, Any]


def bar_market(count: int) -> tuple[interop.Market, np.ndarray, str]:
    """(market, start of each bar, where it is from): tests/interop's own, or a walk of its form without the data."""
    path = datafiles.shared_file(NQ_BARS)
    if path is not None:
        interop.BARS = count
        market = interop.market(CONTRACT)
        times = market_bars(path)["time"][-count:].astype("datetime64[ns]").astype(np.int64)
        return market, times, "real NQ bars"
    rng = np.random.default_rng(5)
    close = 100_000 + np.cumsum(rng.integers(-16, 17, count))
    opens = np.append(100_000, close[:-1])
    ohlc = np.stack([opens, np.maximum(opens, close) + rng.integers(0, 9, count),
                     np.minimum(opens, close) - rng.integers(0, 9, count), close], axis=1)  # fmt: skip
    side = np.zeros(count, np.int64)
    side[BACK:-1] = np.sign(close[BACK:] - close[:-BACK])[:-1]
    stop, target = interop.CASES[CONTRACT]
    minute = np.arange(count)
    times = datafiles.MONDAY_NS + (minute // 1_200 * 1_440 + minute % 1_200) * NS_PER_MIN  # twenty hours of each day
    volume = rng.integers(50, 500, count)
    return interop.Market(PRODUCTS[CONTRACT], ohlc, volume, side, stop, target), times, "synthetic bars, seed 5"


def bar_files(folder: Path, count: int) -> tuple[dict[str, Any], dict[str, Any], interop.Market, str]:
    """(their job, our job, the market with the settled wishes, source) of the bracket backtest on 1m bars."""
    market, times, source = bar_market(count)
    ticks = bars_to_ticks(market.product, times, market.ohlc, market.volume, NS_PER_MIN, [])
    number = market.product.contract_id
    records = np.concatenate([opening((number,), int(times[0])), *lockstep_stream([ticks], {number: 1})])
    job = {"contract": CONTRACT, "bars": True, "stop": market.stop, "target": market.target, "units": count}
    wishes = {int(at): int(side) for at, side in zip(times, market.side, strict=True) if side}
    wishes = ours_backtest.settled(ours_backtest.source(records), job, wishes)
    side = np.array([wishes.get(at, 0) for at in times.tolist()], np.int64)
    market = dataclasses.replace(market, side=side)
    value = market.product.tick_value_cents
    entry = np.append(market.ohlc[1:, 0], market.ohlc[-1, 3])
    columns = {name: market.ohlc[:, k] * value for k, name in enumerate(("open", "high", "low", "close"))}
    columns |= {"side": side, "stop": (entry - side * market.stop) * value}
    columns["target"] = (entry + side * (market.target + 1)) * value  # their touch is our trade through
    np.savez(folder / "bars.npz", **columns)
    save_wishes(folder / "records.npz", records, wishes, times=times)
    return {"data": str(folder / "bars.npz")}, job | {"data": str(folder / "records.npz")}, market, source


def save_wishes(path: Path, records: np.ndarray, wishes: dict[int, int], **more: np.ndarray) -> None:
    """What our side reads."""
    minutes = np.array(list(wishes), np.int64)
    np.savez(path, records=records, wish_minute=minutes, wish_side=np.array(list(wishes.values()), np.int64), **more)


def bar_trades(theirs: Columns, market: interop.Market, times: np.ndarray) -> Columns:
    """Their trades by our rules (tests/interop/test_backtesting.py), at the starts of their bars."""
    rows = zip(*(theirs[name].tolist() for name in ("side", "entered", "left", "entry", "exit")), strict=True)
    table = np.array([interop.by_our_rules(market, list(row)) for row in rows], np.int64).reshape(-1, 5)
    side, entered, left, entry, exit_ = table.T
    return {"side": side, "entry": entry, "exit": exit_, "opened_ns": times[entered], "closed_ns": times[left]}


def at_bars(ours: Columns, times: np.ndarray) -> Columns:
    """Our trades with their times floored to bars."""
    found = {name: ours[name] for name in ("side", "entry", "exit")}
    for name in ("opened_ns", "closed_ns"):
        found[name] = times[np.searchsorted(times, ours[name], side="right") - 1]
    return found


def tick_market(prints: Columns) -> np.ndarray:
    """Each print with a quote a nanosecond before it: it trades at the bid, the ask is a tick above.

    Why so plain: engines differ in what a print does to the quote and in which side triggers a stop. Here a stop that
    triggers on prints and one that triggers on quotes meet at the same print.
    """
    trades = datafiles.tick_records(prints, PRODUCT)
    records = np.repeat(trades, 2)
    quotes, after = records[::2], records[1::2]
    quotes["kind"], quotes["price2"], quotes["size"] = Kind.QUOTE, quotes["price"] + 1, 0
    records["exch_ns"] = datafiles.strictly_rising(records["exch_ns"])
    quotes["exch_ns"] = after["exch_ns"] - 1
    after["side"] = -1
    records["exch_ns"] = datafiles.strictly_rising(records["exch_ns"])
    return records


def wishes_of(records: np.ndarray) -> dict[int, int]:
    """The strategy's side by the start of each finished minute: the sign of the move of the last BACK bars."""
    trades = records[records["kind"] == Kind.TRADE]
    minute = trades["exch_ns"] // NS_PER_MIN
    last = np.flatnonzero(np.diff(minute))
    close = trades["price"][last]
    side = np.sign(close[BACK:] - close[:-BACK])
    return {int(at): int(one) for at, one in zip(minute[last][BACK:] * NS_PER_MIN, side, strict=True) if one}


def known_at(records: np.ndarray, minutes: np.ndarray) -> np.ndarray:
    """When the bars of these minutes close: by the first print of a later minute, or a clock a moment after the end."""
    trades = records["exch_ns"][records["kind"] == Kind.TRADE]
    after = trades[np.minimum(np.searchsorted(trades, minutes + NS_PER_MIN), len(trades) - 1)]
    return np.asarray(np.minimum(after, minutes + NS_PER_MIN + CLOCK_GRACE_NS))


def tick_files(folder: Path, count: int) -> tuple[dict[str, Any], dict[str, Any], str]:
    """(their job, our job, source) of the bracket backtest on about `count` records, prints and quotes."""
    prints, source = datafiles.prints(PRODUCT, count // 2)
    records = tick_market(prints)
    number = PRODUCT.contract_id
    start_ns = int(records["exch_ns"][0]) // NS_PER_MIN * NS_PER_MIN
    stream = np.concatenate([opening((number,), start_ns), *lockstep_stream([records], {})])
    job = {"contract": PRODUCT.symbol, "bars": False, "stop": STOP, "target": TARGET, "units": len(records)}
    wishes = ours_backtest.settled(ours_backtest.source(stream), job, wishes_of(records))
    minutes = np.array(sorted(wishes), np.int64)
    side = np.array([wishes[at] for at in minutes.tolist()], np.int64)
    np.savez(folder / "ticks.npz", ticks=records, at_ns=known_at(records, minutes), side=side)
    save_wishes(folder / "stream.npz", stream, wishes)
    theirs = {"data": str(folder / "ticks.npz"), "stop": STOP, "target": TARGET}
    return theirs, job | {"data": str(folder / "stream.npz")}, source


def tick_trades(theirs: Columns) -> Columns:
    """Their trades by our rules: a target one tick further fills there, ours at its limit."""
    side, entry = theirs["side"], theirs["entry"]
    target = entry + side * TARGET
    exit_ = np.where((theirs["exit"] - target) * side > 0, target, theirs["exit"])
    return theirs | {"exit": exit_}
