"""Delivery months of foreign data: which month a stretch of a file is of, and the mark where another one begins.

Prices of two months of one product differ by the cost of carrying it, so nothing that was built on the old month means
anything on the new one. The mark is a GAP record whose aux is NEW_CONTRACT (see tbot_ext.pipeline).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tbot.domain.contracts import MONTH_CODES, PRODUCTS, Product
from tbot.errors import DataError
from tbot.storage.tick_stream import Ticks
from tbot_ext.pipeline import NEW_CONTRACT
from tbot_ext.records import NO_PRICE, TICK_DTYPE, Kind

Months = tuple[tuple[int, str], ...]  # from when (UTC ns), and what the source calls the month: MGCQ4

_MONTH = re.compile(rf"([{MONTH_CODES}])(\d{{1,2}})$")


def split_symbol(text: str, products: Mapping[str, Product] = PRODUCTS) -> tuple[Product | None, str]:
    """ES, ESM8, CON.F.US.EP.M26: the product, if it is one of ours, and the month's code, "" when none is named."""
    word = text.strip().upper()
    parts = word.split(".")
    if len(parts) == 5 and parts[0] == "CON":
        root = next((product for product in products.values() if product.root == parts[3]), None)
        return root, parts[4]
    for symbol in sorted(products, key=len, reverse=True):
        rest = word.removeprefix(symbol)
        if rest != word and (not rest or _MONTH.fullmatch(rest)):
            return products[symbol], rest
    return None, ""


def same_month(one: str, other: str) -> bool:
    """Whether two symbols name one month; a year may be written with one digit or two. Unknown ones differ by text."""
    first, second = (_MONTH.search(name.strip().upper()) for name in (one, other))
    if first is None or second is None:
        return one == other
    return (first[1], first[2][-1]) == (second[1], second[2][-1])


def months_of_rows(path: Path, product: Product, symbols: npt.NDArray[Any], times: npt.NDArray[np.int64]) -> Months:
    """The months of a column of symbols, by time; DataError when they alternate or are of another product."""
    order = np.argsort(times, kind="stable")
    names = np.array([str(name) for name in symbols.tolist()], object)[order]
    starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()]
    for name in dict.fromkeys(names[starts].tolist()):
        found, _ = split_symbol(name)
        if found is not None and found is not product:
            raise DataError(f"{path} holds {name} besides {product.symbol}; split it into one file per product.")
    if len(set(names[starts].tolist())) < len(starts):
        raise DataError(
            f"{path} changes back and forth between contract months ({names[0]}, {names[starts[1]]}); keep one at a "
            f"time, such as the one with the most volume."
        )
    return tuple((int(times[order[start]]), str(names[start])) for start in starts)


def month_of_name(path: Path) -> str:
    """The month in a file's name (ESM8_trades.csv: ESM8), "" when it names none."""
    word = re.split(r"[_.\- ]", path.name)[0].upper()
    product, month = split_symbol(word)
    return word if product is not None and month else ""


def roll_record(contract_id: int, at_ns: int, seq: int = 0) -> Ticks:
    """The mark: what follows is another month."""
    record = np.zeros(1, TICK_DTYPE)
    record["kind"], record["aux"], record["contract_id"] = Kind.GAP, NEW_CONTRACT, contract_id
    record["exch_ns"] = record["recv_ns"] = at_ns
    record["price"], record["volume"], record["seq"] = NO_PRICE, -1, seq
    return record


def mark_rolls(ticks: Ticks, product: Product, months: Months) -> Ticks:
    """The ticks (by time, of one contract) with the mark before the first tick of every month but the first."""
    borders = [from_ns for from_ns, _ in months[1:]]
    if not borders:
        return ticks
    places = np.searchsorted(ticks["exch_ns"], borders, side="left")
    marks = []
    for border_ns, place in zip(borders, places.tolist(), strict=True):
        same_instant = place < len(ticks) and int(ticks["exch_ns"][place]) == border_ns
        marks.append(roll_record(product.contract_id, border_ns, int(ticks["seq"][place]) if same_instant else 0))
    return np.asarray(np.insert(ticks, places, np.concatenate(marks)))
