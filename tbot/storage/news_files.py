"""Scheduled news from files: the weekly JSON export of the public calendar that most traders use.

An array of events with `title`, `country`, `date` (ISO 8601 with its offset) and `impact`. Rows without a time (all-day
entries, holidays, an empty date) are left out and counted, because a window needs a moment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from tbot.errors import DataError

COUNTRY, IMPACT = "USD", "High"  # what moves all products of the table


class _Event(msgspec.Struct):
    title: str
    country: str
    date: str
    impact: str


@dataclass(frozen=True, slots=True)
class News:
    """Times of high-impact dollar news, UTC ns, rising, each once; and how many of them had no time."""

    times_ns: tuple[int, ...]
    untimed: int


def read_news(paths: Iterable[Path]) -> News:
    """All files together; several exports of one week count each event once. DataError names the file that is none."""
    found: set[int] = set()
    untimed = 0
    for path in paths:
        try:
            events = msgspec.json.decode(path.read_bytes(), type=list[_Event])
        except OSError as error:
            raise DataError(f"the news file {path} cannot be read: {error.strerror}; check the path") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"{path} is no news file ({error}); expected is a JSON array of events with title, country, date and "
                "impact"
            ) from None
        for event in events:
            if event.country != COUNTRY or event.impact != IMPACT:
                continue
            at_ns = _utc_ns(event.date)
            if at_ns is None:
                untimed += 1
            else:
                found.add(at_ns)
    return News(tuple(sorted(found)), untimed)


def _utc_ns(text: str) -> int | None:
    """A time with its offset; None for anything else: a guess of the zone would move every window."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if when.tzinfo is None else int(when.timestamp()) * 1_000_000_000
