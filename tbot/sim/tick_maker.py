"""Trades and quotes of one contract around a given middle price, minute by minute; and bars of minutes long past.

Prints come in clusters with one time stamp, clusters in bursts of milliseconds, and their number follows the second's
activity. The book follows the middle price with some reluctance: ES holds its price, NQ does not. Every print is at
the bid or ask that the last quote before it shows (market-microstructure.md sections 2, 3 and 8).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tbot.domain.timeframes import NS_PER_MIN
from tbot.sim.mid_path import half_burst
from tbot.sim.profiles import Floats, Profile, draw_sizes, mean_size
from tbot_ext.records import BAR_DTYPE, TICK_DTYPE, Kind

Ticks = npt.NDArray[np.void]
Bars = npt.NDArray[np.void]
Ints = npt.NDArray[np.int64]

_MINUTE_KEY, _HISTORY_KEY = 11, 12
_PER_SECOND_LIMIT = 600  # clusters; the busiest second ever recorded had 1,020 prints
_FOLLOWS = 0.45  # share of clusters that come within milliseconds of the one before [2: gaps below 20 ms]
_QUOTES_PER_PRINT, _QUOTES_PER_SECOND = 1.5, 34.0  # quotes between trades; the gateway paces them
_ALL_ON_ONE_SIDE = 0.5 ** np.arange(16)  # chance that none of n prints was a buy
_NIGHT_HOURS = (9 * 60, 16 * 60)  # outside of these minutes of the New York day the wider spreads apply


class _Book(NamedTuple):
    """What the walk over the minute's moments found, one value per moment."""

    bid: Ints
    ask: Ints
    quoted: npt.NDArray[np.bool_]  # a quote is sent at this moment
    side: Ints  # of the cluster, if it is one


class TickMaker:
    """Generates one contract's ticks; keeps the state of its book and its session volume from minute to minute."""

    def __init__(self, seed: int, contract_id: int, profile: Profile, group: str, first_mid: float) -> None:
        self._seed = seed
        self._group = group
        self._contract_id = contract_id
        self._profile = profile
        self._mean_size = mean_size(profile)
        self._spread_day = np.cumsum(profile.spread_day)
        self._spread_night = np.cumsum(profile.spread_night)
        self._spread = 1
        self._bid = round(first_mid - 0.5)
        self._sent = (0, 0)  # the last quote sent
        self._side = 1
        self.session_volume = 0

    def minute(self, start_ns: int, ny_minute: int, mid: Floats, block: Floats, burst: Floats, rate: float) -> Ticks:
        """Trades and quotes of one minute, sorted by time.

        `mid` are the 61 middle prices (ticks) at its second marks, `block` and `burst` (60 each) as in `mid_path.Hour`,
        `rate` prints a second.
        """
        draw = np.random.default_rng([self._seed, start_ns // NS_PER_MIN, _MINUTE_KEY, self._contract_id])
        profile = self._profile
        activity = 0.5 * block * (burst + half_burst(draw, self._group, (60,)))
        clusters = np.minimum(draw.poisson(activity * (rate / profile.cluster)), _PER_SECOND_LIMIT)
        trade_s = _cluster_times(draw, clusters)
        pace = min(_QUOTES_PER_PRINT * rate, _QUOTES_PER_SECOND)
        quote_s = 60 * draw.random(draw.poisson(60 * pace))
        seconds = np.concatenate((trade_s, quote_s))
        order = np.argsort(seconds, kind="stable")
        moment_us: Ints = np.minimum((seconds[order] * 1e6).astype(np.int64), 60_000_000 - 1)
        is_trade = order < len(trade_s)
        middle = np.interp(moment_us / 1e6, np.arange(61), mid) + profile.noise * draw.standard_normal(len(moment_us))
        night = not _NIGHT_HOURS[0] <= ny_minute < _NIGHT_HOURS[1]
        table = self._spread_night if night else self._spread_day
        book = self._walk(middle, is_trade, draw.random((4, len(moment_us))), table)
        prints: Ints = np.where(is_trade, draw.geometric(1 / profile.cluster, len(moment_us)), 0)
        sizes = draw_sizes(profile, draw.random(int(prints.sum())))
        return self._records(start_ns, moment_us, book, prints, sizes)

    def _walk(self, middle: Floats, is_trade: npt.NDArray[np.bool_], uniform: Floats, table: Floats) -> _Book:
        """Let the book follow the middle price and draw the aggressors. A plain loop: each step needs the last."""
        profile = self._profile
        bid, spread, side = self._bid, self._spread, self._side
        hold, turn, persistence, lean = profile.hold, profile.spread_turn, profile.persistence, profile.lean
        spreads = (np.minimum(np.searchsorted(table, uniform[1]), len(table) - 1) + 1).tolist()
        bids, asks, quoted, sides = [], [], [], []
        sent = self._sent
        rows = zip(middle.tolist(), is_trade.tolist(), *uniform[[0, 2, 3]].tolist(), spreads, strict=True)
        for value, trade, u_turn, u_keep, u_side, new_spread in rows:
            half = 0.5 * spread
            if u_turn < turn:
                spread, half = new_spread, 0.5 * new_spread
                bid = round(value - half)
            away = value - bid - half
            if away > hold or away < -hold:
                bid = round(value - half)
                away = value - bid - half
            if trade and u_keep >= persistence:
                side = 1 if u_side < 0.5 + lean * away else -1
            now = (bid, bid + spread)
            quoted.append(not trade or now != sent)
            if now != sent:
                sent = now
            bids.append(bid)
            asks.append(bid + spread)
            sides.append(side)
        self._bid, self._spread, self._side, self._sent = bid, spread, side, sent
        as_array = (np.array(values, np.int64) for values in (bids, asks, sides))
        bid_array, ask_array, side_array = as_array
        return _Book(bid_array, ask_array, np.array(quoted, bool), side_array)

    def _records(
        self, start_ns: int, moment_us: Ints, book: _Book, prints: Ints, sizes: npt.NDArray[np.int32]
    ) -> Ticks:
        """At each moment its quote, if one is sent, and then its prints."""
        quotes = book.quoted.astype(np.int64)
        per_moment = quotes + prints
        out = np.zeros(int(per_moment.sum()), TICK_DTYPE)
        first = np.cumsum(per_moment) - per_moment
        out["exch_ns"] = np.repeat(start_ns + moment_us * 1000, per_moment)
        out["recv_ns"] = out["exch_ns"]
        out["contract_id"] = self._contract_id
        at_quote = first[book.quoted]
        is_print = np.ones(len(out), bool)
        is_print[at_quote] = False
        at_print = np.flatnonzero(is_print)
        out["kind"][at_quote] = Kind.QUOTE
        out["price"][at_quote] = book.bid[book.quoted]
        out["price2"][at_quote] = book.ask[book.quoted]
        out["kind"][at_print] = Kind.TRADE
        side = np.repeat(book.side, prints)
        out["side"][at_print] = side
        out["price"][at_print] = np.where(side > 0, np.repeat(book.ask, prints), np.repeat(book.bid, prints))
        out["size"][at_print] = sizes
        volume = self.session_volume + np.cumsum(out["size"], dtype=np.int64)
        out["volume"] = -1
        out["volume"][at_quote] = volume[at_quote]
        if len(volume):
            self.session_volume = int(volume[-1])
        return out

    def past_bars(self, start_ns: int, mid: Floats, block: Floats, burst: Floats, rate: Floats) -> Bars:
        """One-minute bars of minutes that were never played, as their ticks would have made them.

        `mid` (n, 61), `block` and `burst` (n, 60), `rate` (n). Open, high, low and close are drawn from where the
        middle price was in the seconds that traded; minutes without a trade have no bar; delta is 0 because downloaded
        bars have none.
        """
        draw = np.random.default_rng([self._seed, start_ns // NS_PER_MIN, _HISTORY_KEY, self._contract_id])
        activity = 0.5 * block * (burst + half_burst(draw, self._group, burst.shape))
        count = draw.poisson(activity * (rate / self._profile.cluster)[:, None])
        shape = count.shape
        filled = np.maximum(count, 1)
        first_u, last_u, top_u, bottom_u = draw.random((4, *shape))
        step = mid[:, 1:] - mid[:, :-1]
        edge = 2.0 / (filled + 1)  # the first and the last of n prints lie about 1 / (n + 1) inside the second
        near = mid[:, :-1] + step * (first_u * edge)
        far = mid[:, :-1] + step * np.where(count > 1, 1 - last_u * edge, first_u)
        half = 0.5 * float(np.dot(self._profile.spread_day, np.arange(1, len(self._profile.spread_day) + 1)))
        one_sided = _ALL_ON_ONE_SIDE[np.minimum(filled, len(_ALL_ON_ONE_SIDE) - 1)]
        top_half = np.where(top_u < one_sided, -half, half)
        bottom_half = np.where(count == 1, top_half, np.where(bottom_u < one_sided, half, -half))
        high = np.rint(np.maximum(near, far) + top_half)
        low = np.minimum(np.rint(np.minimum(near, far) + bottom_half), high)
        traded = count > 0
        used = np.flatnonzero(traded.any(axis=1))
        bars = np.zeros(len(used), BAR_DTYPE)
        bars["start_ns"] = start_ns + used * NS_PER_MIN
        bars["timeframe_min"] = 1
        bars["high"] = np.where(traded, high, -np.inf).max(axis=1)[used]
        bars["low"] = np.where(traded, low, np.inf).min(axis=1)[used]
        first, last = traded.argmax(axis=1)[used], shape[1] - 1 - traded[:, ::-1].argmax(axis=1)[used]
        noise = draw.choice((-half, half), (2, len(used)))
        bars["open"] = np.clip(np.rint(near[used, first] + noise[0]), low[used, first], high[used, first])
        bars["close"] = np.clip(np.rint(far[used, last] + noise[1]), low[used, last], high[used, last])
        prints = count.sum(axis=1)[used]
        prints = prints + draw.poisson(prints * (self._profile.cluster - 1))
        bars["trades"] = prints
        spread_of_sizes = draw.standard_gamma(0.3 * prints) / (0.3 * prints)
        bars["volume"] = prints + draw.poisson(prints * (self._mean_size - 1) * spread_of_sizes)
        return bars


def _cluster_times(draw: np.random.Generator, clusters: Ints) -> Floats:
    """Times (seconds within the minute) of the clusters; many follow another within fractions of milliseconds."""
    second = np.repeat(np.arange(60), clusters)
    time = second + draw.random(len(second))
    follows = draw.random(len(second)) < _FOLLOWS
    follows[:1] = False
    follows[1:] &= second[1:] == second[:-1]
    delay = 10 ** draw.uniform(-4, -1.7, len(second))
    leader = np.maximum.accumulate(np.where(follows, 0, np.arange(len(second))))
    time[follows] = time[leader[follows]] + delay[follows]
    return np.asarray(np.minimum(time, second + 0.999999))


def bars_from_ticks(ticks: Ticks) -> Bars:
    """One-minute bars of one contract's trades of size > 0, in the order given; empty minutes have no bar."""
    trades = ticks[(ticks["kind"] == Kind.TRADE) & (ticks["size"] > 0)]
    if not len(trades):
        return np.zeros(0, BAR_DTYPE)
    minute = trades["exch_ns"] // NS_PER_MIN
    first = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1))
    bars = np.zeros(len(first), BAR_DTYPE)
    bars["start_ns"] = minute[first] * NS_PER_MIN
    bars["timeframe_min"] = 1
    bars["open"] = trades["price"][first]
    bars["close"] = trades["price"][np.append(first[1:], len(trades)) - 1]
    bars["high"] = np.maximum.reduceat(trades["price"], first)
    bars["low"] = np.minimum.reduceat(trades["price"], first)
    size = trades["size"].astype(np.int64)
    bars["volume"] = np.add.reduceat(size, first)
    bars["delta"] = np.add.reduceat(size * trades["side"], first)
    bars["trades"] = np.diff(np.append(first, len(trades)))
    return bars
