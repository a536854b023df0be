"""hftbacktest: the bracket strategy on ticks, in Numba, on its exchange model without latency.

It has no brackets and no stops: the target is a resting limit order, the stop a look at every print and a market order.
While flat the strategy lets it run to the next wish in one call, which is the quickest way it has. What Numba compiles
before the first run is told apart as a note (CPU seconds of a first run on a handful of events).
"""

import time
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    MARKET,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit
from protocol import Columns, Measure, load, serve

TRADE = 1
LONG_NS = 10**17
BOTH = EXCH_EVENT | LOCAL_EVENT
FEW = 2_000  # events of the run that compiles


def events_of(ticks: np.ndarray) -> np.ndarray:
    """The book's changes and the prints: a quote that moves is two levels gone and two new ones, another is nothing."""
    quote = ticks["kind"] != TRADE
    bid = ticks["price"]
    moved = quote.copy()
    rows = np.flatnonzero(quote)
    moved[rows[1:]] = np.diff(bid[rows]) != 0
    last = np.full(len(ticks), -1, np.int64)
    last[rows[1:]] = bid[rows[:-1]]  # the bid before
    counts = np.where(moved, 4, np.where(quote, 0, 1))
    out = np.zeros(int(counts.sum()), event_dtype)
    at = np.cumsum(counts) - counts
    t = at[~quote]
    out["ev"][t], out["px"][t], out["qty"][t] = BOTH | TRADE_EVENT | SELL_EVENT, bid[~quote], ticks["size"][~quote]
    out["exch_ts"][t] = ticks["exch_ns"][~quote]
    first, new, old = at[moved], bid[moved], last[moved]
    up = new > old
    buy, sell = BOTH | DEPTH_EVENT | BUY_EVENT, BOTH | DEPTH_EVENT | SELL_EVENT
    # Up: the asks first, down: the bids first, so that the book never crosses.
    plan_up = ((sell, old + 1, 0), (sell, new + 1, 100), (buy, new, 100), (buy, old, 0))
    plan_down = ((buy, old, 0), (buy, new, 100), (sell, new + 1, 100), (sell, old + 1, 0))
    for step in range(4):
        side_up, price_up, size_up = plan_up[step]
        side_down, price_down, size_down = plan_down[step]
        place = first + step
        out["ev"][place] = np.where(up, side_up, side_down)
        out["px"][place] = np.where(up, price_up, price_down)
        out["qty"][place] = np.where(up, size_up, size_down)
        out["exch_ts"][place] = ticks["exch_ns"][moved]
    out["local_ts"] = out["exch_ts"]
    return out[out["px"] > 0]  # nothing stood before the first quote


@njit
def send(hbt: Any, number: int, side: int, price: float, kind: int) -> float:
    """Send an order for one contract, wait for the answer; its execution price (of a market order)."""
    if side > 0:
        hbt.submit_buy_order(0, number, price, 1.0, GTC, kind, True)
    else:
        hbt.submit_sell_order(0, number, price, 1.0, GTC, kind, True)
    order = hbt.orders(0).get(number)
    return order.exec_price if order is not None else np.nan


@njit
def trade(hbt: Any, at_ns: Any, sides: Any, stop: int, target: int, out: Any) -> int:
    """Rows of `out`: side, entry, exit, opened_ns, closed_ns. Gives their number."""
    done, number, k = 0, 1, 0
    hbt.wait_next_feed(False, LONG_NS)  # before the first event its clock stands at the end of time
    while True:
        now = hbt.current_timestamp
        while k < len(at_ns) and at_ns[k] < now:
            k += 1
        if k == len(at_ns):
            hbt.elapse(LONG_NS)  # the rest of the data, as every side plays it
            return done
        if at_ns[k] > now and hbt.elapse(at_ns[k] - now) != 0:
            return done
        if hbt.wait_next_feed(False, LONG_NS) != 2:
            return done
        side, opened = sides[k], hbt.current_timestamp
        entry = send(hbt, number, side, hbt.depth(0).best_ask if side > 0 else hbt.depth(0).best_bid, MARKET)
        send(hbt, number + 1, -side, entry + side * (target + 1), LIMIT)
        hbt.clear_last_trades(0)
        level, exit_ = entry - side * stop, 0.0
        while exit_ == 0.0:
            if hbt.wait_next_feed(True, LONG_NS) == 1:
                return done
            if hbt.position(0) == 0:
                exit_ = hbt.orders(0).get(number + 1).exec_price
            for print_ in hbt.last_trades(0):
                if exit_ == 0.0 and (print_.px - level) * side <= 0:
                    hbt.cancel(0, number + 1, True)
                    best = hbt.depth(0).best_bid if side > 0 else hbt.depth(0).best_ask
                    exit_ = send(hbt, number + 2, -side, best, MARKET)
            hbt.clear_last_trades(0)
        out[done, 0], out[done, 1], out[done, 2], out[done, 3], out[done, 4] = (
            side, round(entry), round(exit_), opened, hbt.current_timestamp
        )  # fmt: skip
        hbt.clear_inactive_orders(0)
        done, number = done + 1, number + 3


def make(job: dict[str, Any]) -> dict[str, Measure]:
    columns = load(job["data"])
    ticks, at_ns, sides = columns["ticks"], columns["at_ns"], columns["side"]
    events = events_of(ticks)
    low, high = float(events["px"].min()) - 10, float(events["px"].max()) + 10

    def run(data: np.ndarray = events) -> np.ndarray:
        asset = (
            BacktestAsset().data(data).linear_asset(1.0).constant_order_latency(0, 0).risk_adverse_queue_model()
            .no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0).tick_size(1.0).lot_size(1.0)
            .roi_lb(low).roi_ub(high).last_trades_capacity(64)
        )  # fmt: skip
        hbt = ROIVectorMarketDepthBacktest([asset])
        out = np.zeros((len(at_ns) + 1, 5), np.int64)
        count = trade(hbt, at_ns, sides, job["stop"], job["target"], out)
        hbt.close()
        return out[:count]

    begin = time.process_time()
    run(events[:FEW])
    notes = {"compiled before, s": round(time.process_time() - begin, 2), "its events": len(events)}

    def common(out: np.ndarray) -> Columns:
        return {name: out[:, k] for k, name in enumerate(("side", "entry", "exit", "opened_ns", "closed_ns"))}

    return {"bracket": Measure(run, len(ticks), common, notes=notes)}


if __name__ == "__main__":
    serve(make)
