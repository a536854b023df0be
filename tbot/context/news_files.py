"""Readers of news files: the weekly JSON export, ICS calendars, and the owner's own rows in TOML or CSV.

The weekly export is an array of events with `title`, `country` (a currency), `date` (ISO 8601 with its offset),
`impact` (High, Medium, Low, Holiday), `forecast` and `previous`. A row without a time stays, without one: a guess of
the hour would move its window. An impact that is not known counts as High.

The owner's file wins over all others:

    [[event]]
    at = 2026-12-10T13:30:00Z         # with an offset, or Chicago's, as in limits_override.toml
    currency = "USD"                  # default; "ALL" for everybody
    impact = "High"                   # default; "None" strikes the row of that title and day from the others
    title = "CPI m/m"

or the same as CSV with the columns at,currency,impact,title.
"""

import csv
import io
import re
import stat
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from tbot.context.news import EVERYBODY, NEW_YORK, Calendar, Impact, NewsEvent, Snapshot, merge, undated
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.toml_text import toml_text, toml_values
from tbot.domain.trading_hours import CHICAGO
from tbot.errors import DataError, MissingExtra, missing_extra

MOST_BYTES = 4_000_000
_KNOWN_IMPACTS = {"low": "Low", "medium": "Medium", "high": "High", "holiday": "Holiday", "none": "None"}
_IN_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2})-(\d{2}))?")
_FIELDS = {"at", "currency", "impact", "title"}
_YEARS = range(1971, 2200)  # of which a calendar may speak: a stamp of 9999 for "some day" fits into no record


class _Row(msgspec.Struct):
    title: str
    date: str
    country: str = ""
    impact: str = ""
    forecast: str | None = ""
    previous: str | None = ""


def read_file(path: Path) -> Snapshot:
    """A file by its ending; it counts as made when it was last written. DataError says what is wrong with it."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a pipe that nobody writes would hang, and a device has no end
            raise DataError(f"the news file {path} cannot be read: it is no plain file; check the path")
        if found.st_size > MOST_BYTES:
            raise DataError(
                f"the news file {path} has more than {MOST_BYTES // 1_000_000} MB; no calendar is that long"
            )
        data, written_ns = path.read_bytes(), found.st_mtime_ns
    except OSError as error:
        raise DataError(f"the news file {path} cannot be read: {error.strerror}; check the path") from None
    readers = {".ics": _ics, ".toml": _toml, ".csv": _csv}
    reader = readers.get(path.suffix.lower())
    if reader is not None:
        kind = "ics" if reader is _ics else "user"
        return Snapshot(str(path), cast(Any, kind), tuple(reader(data, str(path))), written_ns, written_ns)
    return weekly(data, str(path), written_ns, _named_ns(path.name) or written_ns)


def read_files(paths: Iterable[Path]) -> Calendar:
    """Files for past data: their own age says nothing. DataError names the first that is no news file."""
    return merge([undated(read_file(path)) for path in paths])


def collect(paths: Sequence[Path], more: Sequence[Snapshot] = (), problems: Sequence[str] = ()) -> Calendar:
    """All that can be read of these files, with a sentence about each that cannot: for a run that must go on."""
    found, told = list(more), list(problems)
    for path in paths:
        try:
            found.append(read_file(path))
        except (DataError, MissingExtra) as error:
            told.append(str(error))
    return merge(found, told)


def weekly(data: bytes, name: str, as_of_ns: int | None = None, order_ns: int = 0) -> Snapshot:
    """A weekly export; DataError for anything else, an empty one included."""
    try:
        rows = msgspec.json.decode(data, type=list[_Row])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(
            f"{name} is no news file ({_short(error)}); expected is a JSON array of events with title, country, date "
            "and impact"
        ) from None
    if not rows:
        raise DataError(f"{name} is no news file (it holds no event); fetch it again later")
    events = tuple(_event(row, name) for row in rows)
    if all(event.at_ns is None for event in events):
        raise DataError(f"{name} is no news file (not one of its events has a time); fetch it again later")
    return Snapshot(name, "export", events, as_of_ns, order_ns)


def _event(row: _Row, source: str) -> NewsEvent:
    impact, at_ns = impact_of(row.impact), _utc_ns(row.date)
    if impact == "Holiday":  # its clock time stands for nothing: 03:01, 17:00 of the evening before
        day = None if at_ns is None else datetime.fromtimestamp(at_ns // NS_PER_S, NEW_YORK).date()
        return NewsEvent(None, _currency(row.country), impact, row.title, source, day=day)
    forecast, previous = row.forecast or "", row.previous or ""
    day = None if at_ns is not None else _day(row.date)
    return NewsEvent(at_ns, _currency(row.country), impact, row.title, source, forecast, previous, day)


def impact_of(text: str) -> Impact:
    """Unknown counts as High: what nobody has rated may be the worst."""
    return cast(Impact, _KNOWN_IMPACTS.get(text.strip().lower(), "High"))


def _currency(text: str) -> str:
    return text.strip().upper() or EVERYBODY


def _utc_ns(text: str) -> int | None:
    """A time with its offset; None for anything else."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if when.tzinfo is None else _moment_ns(when)


def _moment_ns(when: datetime) -> int | None:
    """UTC ns of a time with its zone; None when no calendar means it."""
    return int(when.timestamp()) * NS_PER_S if when.year in _YEARS else None


def _day(text: str) -> date | None:
    try:
        return _sane(date.fromisoformat(text[:10]))
    except ValueError:
        return None


def _sane(day: date) -> date | None:
    return day if day.year in _YEARS else None


def _named_ns(name: str) -> int | None:
    """The moment of a snapshot that its name tells, such as ..._2026-08-04T13-48.json."""
    found = _IN_NAME.search(name)
    if found is None:
        return None
    day, hour, minute = found.groups()
    return _utc_ns(f"{day}T{hour or '00'}:{minute or '00'}:00+00:00")


# ------------------------------------------------------------------------------------------------------- ICS calendars
def _ics(data: bytes, name: str) -> Iterable[NewsEvent]:
    """Events of an ICS calendar. Times without a zone are New York's: agencies write them so."""
    try:
        import icalendar
    except ImportError:
        raise missing_extra(f"reading {name}, an ICS calendar,", "icalendar", "news") from None
    try:
        whole = icalendar.Calendar.from_ical(data)
        found = [_ics_event(part, name) for part in whole.walk("VEVENT")]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise DataError(f"{name} is no ICS calendar ({_short(error)})") from None
    if not found:
        raise DataError(f"{name} is no ICS calendar (it holds no event)")
    return found


def _ics_event(part: Any, name: str) -> NewsEvent:
    title, told = str(part.get("SUMMARY", "")).strip(), str(part.get("DESCRIPTION", ""))
    currency, _, rest = title.partition(" ")
    named = len(currency) == 3 and currency.isalpha() and currency.isupper() and currency in _CURRENCIES
    stated = _STATED.search(f"{told}\n{_categories(part)}")
    impact = impact_of(stated[1] or stated[2]) if stated else "High"
    start = part.decoded("DTSTART")
    at_ns, day = None, None
    if isinstance(start, datetime):
        moment = start.replace(tzinfo=NEW_YORK) if start.tzinfo is None else start
        at_ns = _moment_ns(moment)
    else:
        day = _sane(start)
    if impact == "Holiday":
        at_ns, day = None, day or (_sane(start.date()) if isinstance(start, datetime) else None)
    return NewsEvent(at_ns, currency if named else "USD", impact, rest.strip() if named else title, name, day=day)


_CURRENCIES = {"USD", "EUR", "JPY", "GBP", "CAD", "CHF", "AUD", "NZD", "CNY", "MXN", "SEK", EVERYBODY}


_STATED = re.compile(r"\bimpact\W+(low|medium|high|holiday)\b|\b(low|medium|high)\s+impact\b", re.IGNORECASE)


def _categories(part: Any) -> str:
    told = part.get("CATEGORIES")
    told = told if isinstance(told, list) else [told] if told else []
    return "\n".join(str(one.to_ical(), "utf-8", "replace") for one in told)


# ----------------------------------------------------------------------------------------------------- the owner's file
def _toml(data: bytes, name: str) -> Iterable[NewsEvent]:
    try:
        document = toml_values(toml_text(data))
    except ValueError as error:
        raise DataError(f"{name} is not TOML: {_short(error)}") from None
    rows = document.pop("event", [])
    if document or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{name} must hold tables [[event]] and nothing else")
    return [_own(row, f"{name}, [[event]] {number}", name) for number, row in enumerate(rows, 1)]


def _csv(data: bytes, name: str) -> Iterable[NewsEvent]:
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig")), strict=True)
        rows = [{key: text for key, text in row.items() if text not in ("", None)} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{name} is not CSV: {_short(error)}") from None
    if not {"at", "title"} <= set(reader.fieldnames or ()):
        raise DataError(f"{name} must have the columns at,currency,impact,title in its first line")
    return [_own(row, f"{name}, line {number}", name) for number, row in enumerate(rows, 2)]


def _own(row: dict[Any, Any], where: str, name: str) -> NewsEvent:
    for key in row:
        if key not in _FIELDS:
            raise DataError(f"{where}: {key!r} is unknown; known are {', '.join(sorted(_FIELDS))}")
    title, currency, impact = row.get("title"), row.get("currency", "USD"), row.get("impact", "High")
    if not isinstance(title, str) or not title.strip():
        raise DataError(f"{where}: title is missing")
    if not isinstance(currency, str) or not isinstance(impact, str) or impact.strip().lower() not in _KNOWN_IMPACTS:
        raise DataError(f"{where}: impact must be High, Medium, Low, Holiday or None, and currency a code such as USD")
    at = row.get("at")
    if isinstance(at, str):
        try:
            at = date.fromisoformat(at) if len(at) == 10 else datetime.fromisoformat(at)
        except ValueError:
            at = None
    if isinstance(at, date) and at.year not in _YEARS:
        raise DataError(f"{where}: at lies in the year {at.year}; check the date")
    if isinstance(at, datetime):
        moment = at.replace(tzinfo=CHICAGO) if at.tzinfo is None else at
        at_ns = _moment_ns(moment)
        return NewsEvent(at_ns, _currency(currency), impact_of(impact), title.strip(), name)
    if isinstance(at, date):
        return NewsEvent(None, _currency(currency), impact_of(impact), title.strip(), name, day=at)
    raise DataError(f"{where}: at must be a time such as 2026-12-10T07:30:00 (Chicago) or 2026-12-10T13:30:00Z")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
