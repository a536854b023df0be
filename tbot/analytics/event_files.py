"""Events as text: CSV or JSON lines, with the columns of `tbot.detect` and the time of the origin bar at the end.

Prices carry the decimals of the tick size, times are ISO 8601 UTC, scores all their digits: read back, a file gives the
values of the array. What has no price (or no parent) is empty in CSV, null (or -1) in JSON.
"""

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from tbot.analytics.detect import TABLE_DTYPE, Events, bounds, kind_names
from tbot_ext.records import NO_PRICE

COLUMNS: tuple[str, ...] = (*(TABLE_DTYPE.names or ()), "origin_time")
FORMATS = ("csv", "jsonl")
_CHUNK = 1 << 14
_JSON_ROW = (
    '{"kind":"%s","side":%d,"origin":%d,"known":%d,"known_time":"%s","top":%s,"bottom":%s,"score":%r,"id":%d,'
    '"parent_id":%d,"origin_time":"%s"}\n'
)


def decimals_of(tick: Decimal) -> int:
    """Decimal places of a price on the grid of `tick`."""
    return max(0, -int(tick.normalize().as_tuple().exponent))


def write_events(file: IO[str], events: Events, tick: Decimal, form: str) -> None:
    """Write EVENT_DTYPE events in `form` (csv with a head line, or jsonl)."""
    if form == "csv":
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for rows in _chunks(events, tick, ""):
            writer.writerows(rows)
    else:
        for rows in _chunks(events, tick, "null"):
            file.writelines(map(_JSON_ROW.__mod__, rows))


def rows_of(events: Events, tick: Decimal) -> Iterator[dict[str, Any]]:
    """The events as documents, prices as numbers."""
    for rows in _chunks(events, tick, "nan"):
        for row in rows:
            document = dict(zip(COLUMNS, row, strict=True))
            for name in ("top", "bottom"):
                document[name] = None if document[name] == "nan" else float(document[name])
            yield document


def _chunks(events: Events, tick: Decimal, none: str) -> Iterator[Iterable[tuple[Any, ...]]]:
    for start in range(0, len(events), _CHUNK):
        part = events[start : start + _CHUNK]
        top, bottom = bounds(part)
        columns: list[list[Any]] = [
            kind_names(part).tolist(),
            part["side"].tolist(),
            part["origin"].tolist(),
            part["known"].tolist(),
            _times(part["known_ns"]),
            _prices(top, tick, none),
            _prices(bottom, tick, none),
            part["score"].tolist(),
            part["id"].tolist(),
            part["parent_id"].tolist(),
            _times(part["origin_ns"]),
        ]
        yield zip(*columns, strict=True)


def _prices(ticks: npt.NDArray[np.int64], tick: Decimal, none: str) -> list[str]:
    """Price texts; each different price is formatted once."""
    values, place = np.unique(ticks, return_inverse=True)
    places = decimals_of(tick)
    texts = [none if value == NO_PRICE else f"{tick * value:.{places}f}" for value in values.tolist()]
    return np.array(texts, object)[place].tolist()  # type: ignore[no-any-return]


def _times(ns: npt.NDArray[np.int64]) -> list[str]:
    """2026-01-20T14:30:00Z; bars start on whole minutes."""
    text = np.datetime_as_string(ns.astype("datetime64[ns]"), unit="s")
    return np.char.add(text, "Z").tolist()  # type: ignore[no-any-return]
