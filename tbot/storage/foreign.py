"""Foreign files of ticks or bars of up to a minute, read as ticks.

What a file is follows from its columns, what it is about from its name or `contract`. Kinds: trades (`price`, with or
without size and aggressor), best bid and ask (`bid`, `ask`), top-of-book events (`action`, `bid_px_00`, ...), trades
with the book of a charting platform (`TradeType`), order logs (`order_id`, Databento's mbo), and bars (`open`, `high`,
`low`, `close`).

Bars become ticks by a fixed rule: open, the nearer extreme, the other extreme, close. Prices within the bar are
invented and carry the flag SYNTHETIC; where a stop and a target lie within one such bar nobody knows which came first,
so whoever fills orders on synthetic ticks must assume the worse one. The last print of each bar has `aux` BAR_END for
that: only there is a bar's whole path known.

Where the contract month changes within a file stands a GAP record with aux NEW_CONTRACT (see months).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import PRODUCTS, Product
from tbot.domain.timeframes import NS_PER_MIN, NS_PER_S
from tbot.errors import DataError
from tbot.storage import foreign_columns as fc
from tbot.storage.dbn_files import best_of_orders, is_dbn
from tbot.storage.months import Months, mark_rolls, month_of_name, months_of_rows, split_symbol
from tbot.storage.tick_stream import Ticks
from tbot_ext.records import TICK_DTYPE, Flag, Kind

BAR_RULE = "open, nearer extreme, other extreme, close; sizes add up to the volume; flag synthetic"
BAR_END = 1  # aux of a synthetic trade: the last print of its bar
FIRST_PRINT_NS = 300_000_000  # into the bar, so behind the clock that closes the bar before it
_TIME_NAMES = ("ts", "ts_event", "time", "date", "datetime", "timestamp", "start")


@dataclass(frozen=True, slots=True)
class ForeignData:
    """What was read from one file."""

    path: Path
    product: Product
    content: str  # trades, quotes, trades and quotes, bars
    rows: int
    ticks: Ticks  # by time; rows of equal time in the file's order
    notes: tuple[str, ...]  # what a user should know: assumptions made, things missing
    months: Months = ()  # delivery months, where known: from when (UTC ns), and its name

    def as_meta(self) -> dict[str, Any]:
        """What a tape remembers of the file."""
        return {
            "name": self.path.name,
            "contract": self.product.symbol,
            "content": self.content,
            "rows": self.rows,
            "ticks": len(self.ticks),
            "months": [[from_ns, month] for from_ns, month in self.months],
            "notes": list(self.notes),
        }


def read_foreign(path: Path, *, contract: str | None = None, tz: str | None = None) -> ForeignData:
    """Read one CSV or Parquet file of ticks or bars.

    `contract` overrides the product in the file's name; `tz` is the zone of times that carry none (CSV: else UTC).
    Raises DataError with the row for what cannot be right, and for what cannot be known.
    """
    path = Path(path)
    columns, certain = fc.read_columns(path)
    product = _product(path, columns, contract)
    names = set(columns)
    rows = len(next(iter(columns.values()), ()))
    if not rows:
        raise DataError(f"{path} has no rows.")
    notes: list[str] = []
    if {"open", "high", "low", "close"} <= names:
        content, ticks = "bars", _bars(path, product, columns, _times(path, columns, certain, tz, notes), notes)
    elif "bid_o" in names:
        raise DataError(f"{path} holds bars of quotes; without trades there is nothing to build bars from.")
    elif {"action", "order_id"} <= names:
        content, ticks = "trades and quotes", _orders(path, product, columns, notes)
    elif {"action", "bid_px_00", "ask_px_00"} <= names:
        content, ticks = "trades and quotes", _top_of_book(path, product, columns, certain, tz, notes)
    elif "tradetype" in names and "price" in names:
        content, ticks = "trades and quotes", _charting_export(path, product, columns, certain, tz, notes)
    elif {"bid", "ask"} <= names:
        content, ticks = "quotes", _quotes(path, product, columns, _times(path, columns, certain, tz, notes))
    elif "price" in names:
        content, ticks = "trades", _trades(path, product, columns, _times(path, columns, certain, tz, notes), notes)
    else:
        raise DataError(f"{path} holds neither ticks nor bars: its columns are {', '.join(columns)}.")
    months: Months = ()
    if "symbol" in names:
        months = months_of_rows(path, product, columns["symbol"], _times(path, columns, certain, tz, []))
    elif name := month_of_name(path):
        months = ((int(ticks["exch_ns"].min()), name),)
    if len(months) > 1:
        notes.append(f"{len(months) - 1} rolls, each marked: {', '.join(name for _, name in months)}; not adjusted")
    ticks = mark_rolls(_by_time(ticks, notes), product, months)
    return ForeignData(path, product, content, rows, ticks, tuple(notes), months)


def _product(path: Path, columns: fc.Columns, contract: str | None) -> Product:
    """What a file is about; a Databento file says so itself."""
    if contract is None and is_dbn(path) and len(columns["symbol"]):
        found, _ = split_symbol(re.split(r"[.:]", str(columns["symbol"][0]))[0])
        if found is not None:
            return found
    return fc.product_of(path, PRODUCTS, contract)


def _orders(path: Path, product: Product, columns: fc.Columns, notes: list[str]) -> Ticks:
    """The trades of an order log, and the best bid and ask rebuilt from it; a trade stands before its quote."""
    rows, bids, asks = best_of_orders(columns)
    times = columns["ts"]
    picked = {name: columns[name][rows] for name in ("ts_recv", "sequence")}
    quotes = _quotes(path, product, picked | {"bid": bids, "ask": asks}, times[rows])
    is_trade = columns["action"] == "T"
    trades = _trades(path, product, {k: v[is_trade] for k, v in columns.items()}, times[is_trade], notes)
    both = np.concatenate((trades, quotes))
    place = np.concatenate((np.flatnonzero(is_trade), rows))
    notes.append("best bid and ask rebuilt from every order")
    return np.asarray(both[np.argsort(place, kind="stable")])


def _times(path: Path, columns: fc.Columns, certain: set[str], tz: str | None, notes: list[str]) -> fc.Ints:
    """UTC ns of each row."""
    if "ms" in columns:
        midnight = fc.date_of(path)
        days = (midnight - type(midnight)(1970, 1, 1)).days
        notes.append(f"milliseconds counted from {midnight} 00:00 UTC")
        return days * 86_400 * NS_PER_S + fc.to_integers(path, "ms", columns["ms"]) * 1_000_000
    name = next((name for name in _TIME_NAMES if name in columns), None)
    if name is None:
        raise DataError(f"{path} has no column of times; one of {', '.join(_TIME_NAMES)} is expected.")
    values = columns[name]
    if name not in certain and not fc.carries_zone(values) and tz is None:
        if path.name.lower().endswith(".parquet"):
            raise DataError(
                f"{path}: its times carry no time zone, and a wrong one moves every session; give --tz, "
                f"such as --tz America/Chicago."
            )
        notes.append("times without a zone are taken as UTC")
    return fc.to_utc_ns(path, values, tz, certain=name in certain)


def _blank(count: int, product: Product, kind: Kind) -> Ticks:
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["kind"] = kind
    ticks["contract_id"] = product.contract_id
    ticks["volume"] = -1
    return ticks


def _stamp(ticks: Ticks, path: Path, columns: fc.Columns, times: fc.Ints) -> None:
    """Exchange and capture times and, where the file has it, the exchange's sequence number."""
    ticks["exch_ns"] = times
    capture = columns.get("ts_recv")
    ticks["recv_ns"] = times if capture is None or capture.dtype == object else capture
    for name in ("seq", "sequence"):
        if name in columns:
            ticks["seq"] = fc.to_integers(path, name, columns[name])


def _trades(path: Path, product: Product, columns: fc.Columns, times: fc.Ints, notes: list[str]) -> Ticks:
    ticks = _blank(len(times), product, Kind.TRADE)
    _stamp(ticks, path, columns, times)
    ticks["price"] = fc.to_ticks(path, "price", columns["price"], product)
    sizes = next((columns[name] for name in ("size", "volume", "qty") if name in columns), None)
    if sizes is None:
        ticks["size"] = 1
        ticks["flags"] = int(Flag.SIZE_UNKNOWN)
        notes.append("no sizes: every print counts as 1, flag size_unknown")
    else:
        ticks["size"] = fc.to_sizes(path, sizes)
        zero = int((ticks["size"] == 0).sum())
        if zero:
            notes.append(f"{zero} prints of size 0 are kept; bars ignore them")
    if "side" in columns:
        ticks["side"] = fc.to_sides(path, columns["side"])
    return ticks


def _quotes(path: Path, product: Product, columns: fc.Columns, times: fc.Ints) -> Ticks:
    ticks = _blank(len(times), product, Kind.QUOTE)
    _stamp(ticks, path, columns, times)
    ticks["price"] = fc.to_side_ticks(path, "bid", columns["bid"], product)
    ticks["price2"] = fc.to_side_ticks(path, "ask", columns["ask"], product)
    return ticks


def _top_of_book(
    path: Path, product: Product, columns: fc.Columns, certain: set[str], tz: str | None, notes: list[str]
) -> Ticks:
    """Events of the best level: a trade where the action says so, and the book after each event as a quote."""
    times = _times(path, columns, certain, tz, notes)
    renamed = columns | {"bid": columns["bid_px_00"], "ask": columns["ask_px_00"]}
    quotes = _quotes(path, product, renamed, times)
    is_trade = columns["action"] == "T"
    trades = _trades(path, product, {k: v[is_trade] for k, v in columns.items()}, times[is_trade], notes)
    return _interleave(quotes, trades, np.flatnonzero(is_trade))


def _charting_export(
    path: Path, product: Product, columns: fc.Columns, certain: set[str], tz: str | None, notes: list[str]
) -> Ticks:
    """Trades of a charting platform with the best bid and ask of their moment; TradeType 2 is at the ask, 1 at the bid.

    Such exports are stamped in the exporting machine's zone and do not say which. Their fraction of a second is a
    count of microseconds without leading zeros: 13:30:00.5000 is 5 ms after the second (read as a decimal, rows would
    stand in another order than their sequence numbers).
    """
    if tz is None and not (certain & set(_TIME_NAMES)):
        raise DataError(
            f"{path} is an export of a charting platform in the time zone of the machine that made it; "
            f"give --tz, such as --tz America/Chicago."
        )
    name = next((name for name in _TIME_NAMES if name in columns), None)
    if name is not None and columns[name].dtype == object:
        columns = columns | {name: np.array([_padded(str(text)) for text in columns[name]], object)}
        notes.append("fractions of a second are read as microseconds without leading zeros")
    times = _times(path, columns, certain, tz, notes)
    kinds = fc.to_integers(path, "TradeType", columns["tradetype"])
    renamed: fc.Columns = {"price": columns["price"], "side": np.where(kinds == 2, 1, np.where(kinds == 1, -1, 0))}
    for name in ("volume", "sequence"):
        if name in columns:
            renamed[name] = columns[name]
    trades = _trades(path, product, renamed, times, notes)
    if not {"bidprice", "askprice"} <= set(columns):
        return trades
    book = {"bid": columns["bidprice"], "ask": columns["askprice"]}
    quotes = _quotes(path, product, book | {k: renamed[k] for k in ("sequence",) if k in renamed}, times)
    return _interleave(quotes, trades, np.arange(len(times)))


def _padded(text: str) -> str:
    whole, dot, fraction = text.partition(".")
    return f"{whole}.{fraction.zfill(6)}" if dot and fraction.isdigit() else text


def _interleave(quotes: Ticks, trades: Ticks, at: npt.NDArray[Any]) -> Ticks:
    """Each trade directly behind the quote of row `at`: the book that it found or that its event shows."""
    out = np.empty(len(quotes) + len(trades), TICK_DTYPE)
    place = np.arange(len(quotes))
    quote_place = place + np.searchsorted(at, place, side="left")
    out[quote_place] = quotes
    out[quote_place[at] + 1] = trades
    return out


def _by_time(ticks: Ticks, notes: list[str]) -> Ticks:
    """The ticks by exchange time, equal times in the file's order; says so when that moved something."""
    earlier = int((np.diff(ticks["exch_ns"]) < 0).sum())
    if not earlier:
        return ticks
    notes.append(f"{earlier} rows stood before older ones; sorted by exchange time")
    return np.asarray(ticks[np.argsort(ticks["exch_ns"], kind="stable")])


# ------------------------------------------------------------------------------------------------------------- bars
def _bars(path: Path, product: Product, columns: fc.Columns, times: fc.Ints, notes: list[str]) -> Ticks:
    order = np.argsort(times, kind="stable")
    starts = times[order]
    repeated = np.flatnonzero(np.diff(starts) == 0)
    if len(repeated):
        raise DataError(f"{path} row {order[repeated[0] + 1] + 1}: a second bar with the same start.")
    period = _period(path, starts, order)
    prices = [fc.to_ticks(path, name, columns[name], product)[order] for name in ("open", "high", "low", "close")]
    opens, highs, lows, closes = prices
    bad = np.flatnonzero((lows > np.minimum(opens, closes)) | (highs < np.maximum(opens, closes)))
    if len(bad):
        raise DataError(f"{path} row {order[bad[0]] + 1}: open or close outside of low to high.")
    volumes = np.zeros(len(starts), np.int64)
    if "volume" in columns:
        volumes = fc.to_sizes(path, columns["volume"])[order]
    return bars_to_ticks(product, starts, np.stack(prices, axis=1), volumes, period, notes)


def _period(path: Path, starts: fc.Ints, order: npt.NDArray[Any]) -> int:
    """Length of the bars (ns): the shortest distance of their starts; one minute or a part of it."""
    period = int(np.diff(starts).min()) if len(starts) > 1 else NS_PER_MIN
    if period > NS_PER_MIN:
        raise DataError(f"{path} has bars of {period // NS_PER_S} s; only bars of one minute or less can be imported.")
    if period < NS_PER_S:
        raise DataError(f"{path} has bars {period / NS_PER_S:g} s apart; bars of less than a second are not imported.")
    if NS_PER_MIN % period:
        raise DataError(f"{path} has bars {period / NS_PER_S:g} s apart, which is no even part of a minute.")
    bad = np.flatnonzero(starts % period)
    if len(bad):
        raise DataError(f"{path} row {order[bad[0]] + 1}: the bar does not start on a whole multiple of its length.")
    return period


def bars_to_ticks(
    product: Product, starts: fc.Ints, ohlc: fc.Ints, volumes: fc.Ints, period: int, notes: list[str]
) -> Ticks:
    """Bars (starts UTC ns, prices (n, 4) in ticks, volumes) of length `period` ns as synthetic trades.

    Up to four prints a bar, equal neighbours dropped, 300 ms after its start and at 1/3, 2/3 and 59/60 of it; between
    two equally near extremes the one away from the close comes first. The close stays, whatever came before it, if the
    bar has a contract left for it: else the newest price would be old when the bar is judged. Sizes add up to the
    volume. When a bar has fewer contracts than its path has prints, the other extreme goes first if that makes a
    shorter path; if even that has too many, and in bars without volume, every print has size 1 and the flag
    SIZE_UNKNOWN. The last print of each bar has aux BAR_END. `period` is at least one second.

    Why 300 ms: a quiet minute is closed by the clock record 250 ms after its end (tick_stream.ClockInserter), and a
    print that came before would close it itself. So every decision at a bar's close is made before the next bar's
    first print, and an order sent at once meets that print: it is filled at the next bar's open, as it would be, and
    never at a price of which the decision already knew.
    """
    opens, highs, lows, closes = (ohlc[:, k] for k in range(4))
    to_high, to_low = highs - opens, opens - lows
    low_first = (to_low < to_high) | ((to_low == to_high) & (closes >= opens))
    paths, keeps = zip(*(_path(opens, highs, lows, closes, first) for first in (low_first, ~low_first)), strict=True)
    counts = [keep.sum(axis=1) for keep in keeps]
    swap = (counts[0] > volumes) & (counts[1] < counts[0]) & (volumes > 0)
    path = np.where(swap[:, None], paths[1], paths[0])
    keep = np.where(swap[:, None], keeps[1], keeps[0])
    keep[:, 3] |= (volumes > keep.sum(axis=1)) | (volumes == 0)
    count = keep.sum(axis=1)
    unknown = volumes < count
    even, rest = np.divmod(np.where(unknown, count, volumes), count)
    rank = np.cumsum(keep, axis=1) - 1
    sizes = even[:, None] + (rank < rest[:, None])
    offsets = np.array([FIRST_PRINT_NS, period // 3, 2 * period // 3, period - period // 60], np.int64)
    ticks = _blank(int(count.sum()), product, Kind.TRADE)
    ticks["exch_ns"] = (starts[:, None] + offsets)[keep]
    ticks["recv_ns"] = ticks["exch_ns"]
    ticks["price"] = path[keep]
    ticks["size"] = sizes[keep]
    flags = int(Flag.SYNTHETIC) + np.where(unknown, int(Flag.SIZE_UNKNOWN), 0)
    ticks["flags"] = np.repeat(flags, count)
    ticks["aux"][np.cumsum(count) - 1] = BAR_END
    without, short = int((volumes == 0).sum()), int((unknown & (volumes > 0)).sum())
    notes.append(
        f"bars of {period // NS_PER_S} s, stamps taken as starts; prices inside a bar are invented: {BAR_RULE}"
    )
    if without:
        notes.append(f"{without} bars without volume: their prints have size 1, flag size_unknown")
    if short:
        notes.append(f"{short} bars have fewer contracts than prices: their prints have size 1, flag size_unknown")
    return ticks


def _path(
    opens: fc.Ints, highs: fc.Ints, lows: fc.Ints, closes: fc.Ints, low_first: npt.NDArray[Any]
) -> tuple[Any, Any]:
    """The four prices in order of time, and which of them differ from the one before."""
    first, second = np.where(low_first, lows, highs), np.where(low_first, highs, lows)
    path = np.stack((opens, first, second, closes), axis=1)
    keep = np.ones(path.shape, bool)
    keep[:, 1:] = path[:, 1:] != path[:, :-1]
    return path, keep
