"""Scalars at the border: ISO times to integer nanoseconds, JSON numbers to decimals and cents, ids; and back.

Every function takes what a JSON parser delivered and either returns an exact value or raises ValueError. Sources of the
rules: the gateway's number and time formats (0-7 fractional digits, numeric strings seen for ids), failure F-DAT-02.
"""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

NS_PER_S = 1_000_000_000
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
MAX_EXACT_FLOAT = 2**53  # above it a binary float no longer holds every integer
LEAST_MEMBER_BYTES = 6  # `"v":1,` is the shortest member of any record
MAX_NUMBER = 10**12  # of any price or amount: in the smallest tick (0.0000005) it still fits into 64 bits
MAX_DIGITS = 12  # before the point, so that MAX_NUMBER can be asked at all
MAX_PLACES = 28  # of a .NET decimal; more digits than it has are not the gateway's

_PREFIX = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:", re.ASCII)
_OFFSET = re.compile(r"([+-])([0-9]{2}):([0-9]{2})", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION_NS: tuple[int, ...] = tuple(10 ** (9 - digits) for digits in range(10))


@lru_cache(maxsize=1024)
def _minute_ns(prefix: str) -> int:
    """UTC ns of `YYYY-MM-DDTHH:MM:`. Cached: thousands of ticks share a minute."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"{shown(prefix)} does not begin an ISO-8601 time")
    year, month, day, hour, minute = (int(prefix[a:b]) for a, b in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16)))
    if not 1970 <= year <= 2200:  # int64 nanoseconds end in 2262
        raise ValueError(f"year {year} is out of range")
    delta = datetime(year, month, day, hour, minute, tzinfo=UTC) - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S


def parse_time(text: str) -> int:
    """UTC ns of an ISO-8601 time with zone and 0 to 9 fractional digits, exactly; ValueError for anything else."""
    if text[-6:] == "+00:00":
        tail, offset_s = text[17:-6], 0
    elif text[-1:] == "Z":
        tail, offset_s = text[17:-1], 0
    else:
        tail, offset_s = text[17:-6], _offset_s(text[-6:])
    places = len(tail) - 3
    if 1 <= places <= 9 and tail[2] == ".":
        digits = tail[:2] + tail[3:]
    elif places == -1:
        digits, places = tail, 0
    else:
        raise ValueError(f"{shown(text)} is not an ISO-8601 time with a zone")
    # isdigit before int: int() also takes signs, spaces and underscores
    if not (digits.isdigit() and digits.isascii()) or digits[0] > "5":
        raise ValueError(f"{shown(text)} has no valid seconds")
    return _minute_ns(text[:17]) + int(digits) * _FRACTION_NS[places] - offset_s * NS_PER_S


def _offset_s(zone: str) -> int:
    match = _OFFSET.fullmatch(zone)
    if match is None or int(match[2]) > 14 or int(match[3]) > 59:
        raise ValueError(f"{shown(zone)} is not a zone offset")
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return -seconds if match[1] == "-" else seconds


def parse_time_lenient(text: str) -> int:
    """As `parse_time`, but a missing zone means UTC and a bare date its midnight: what other clients send us."""
    text = text.strip().replace(" ", "T", 1)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        text += "T00:00:00Z"
    if re.fullmatch(r".*T[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})?", text):
        text = text[:16] + ":00" + text[16:]
    if not re.search(r"(Z|[+-][0-9]{2}:[0-9]{2})$", text):
        text += "Z"
    return parse_time(text)


@lru_cache(maxsize=1024)
def _hour_text(hour: int) -> str:
    """`YYYY-MM-DDTHH` of an hour since the epoch. Cached: thousands of ticks and 60 bars share an hour."""
    return _EPOCH.fromtimestamp(hour * 3600, UTC).strftime("%Y-%m-%dT%H")


def format_time(ns: int, digits: int = 7) -> str:
    """ISO-8601 with `+00:00`, at most `digits` (0-9) fractional digits, trailing zeros cut, finer parts truncated."""
    seconds, rest = divmod(ns, NS_PER_S)
    hour, second = divmod(seconds, 3600)
    text = f"{_hour_text(hour)}:{second // 60:02d}:{second % 60:02d}"
    fraction = f"{rest:09d}"[:digits].rstrip("0")
    return f"{text}.{fraction}+00:00" if fraction else f"{text}+00:00"


def number(value: object) -> Decimal:
    """The decimal a JSON number was written as; refuses bool, text, NaN, infinity and what no decimal type holds."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{shown(value)} is not a number")
    # repr of a float is the shortest text that reads back: for up to 15 digits the text the sender wrote
    result = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not result.is_finite():
        raise ValueError(f"{shown(value)} is not finite")
    # exponents first: 1e999999999 is a few bytes on the wire, a gigabyte as an integer, and no operand for arithmetic
    places = -int(result.as_tuple().exponent)
    if result.adjusted() > MAX_DIGITS or places > MAX_PLACES or abs(result) > MAX_NUMBER:
        raise ValueError(f"{shown(value)} is out of range")
    return result


def shown(value: object) -> str:
    """A stranger's value in an error text: short whatever it is."""
    text = repr(value) if isinstance(value, int | float | Decimal) else repr(str(value)[:60])
    return text if len(text) <= 60 else f"{text[:60]}…"


def whole(value: object, low: int, high: int) -> int:
    """An integer of JSON within [low, high]; 5.0 counts as 5, a bool or text does not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{shown(value)} is not an integer")
    if isinstance(value, float) and not (value.is_integer() and abs(value) < MAX_EXACT_FLOAT):
        raise ValueError(f"{shown(value)} is not an exact integer")
    result = int(value)
    if not low <= result <= high:
        raise ValueError(f"{shown(value)} is outside {low}..{high}")
    return result


def identity(value: object) -> int:
    """A positive id. Numeric text is taken: the gateway has been seen to send one (July 2026)."""
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 19):
            raise ValueError(f"{shown(value)} is not an id")
        value = int(value)
    return whole(value, 1, INT64_MAX)


def cents(value: object) -> int:
    """Dollars to integer cents, exactly; ValueError when there is a fraction of a cent or no sane amount."""
    scaled = number(value) * 100
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{shown(value)} dollars is no whole number of cents")
    return int(scaled)


def cents_floor(value: object) -> int:
    """Dollars to cents, rounded down: for amounts of products with a broken tick value, where less is the safe side."""
    scaled = number(value) * 100
    return int(scaled.to_integral_value(rounding="ROUND_FLOOR"))


def dollars(amount_cents: int) -> Decimal:
    """Cents as a decimal number of dollars, for the wire."""
    return Decimal(amount_cents).scaleb(-2)


class _Duplicate(ValueError):
    pass


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Duplicate


_STRICT = json.JSONDecoder(object_pairs_hook=_refuse_duplicates)


def has_duplicate_keys(document: bytes) -> bool:
    """Whether any object of a JSON document names a member twice (parsers keep the last one in silence). Slow."""
    try:
        _STRICT.decode(document.decode("utf-8", "replace"))
    except _Duplicate:
        return True
    except (ValueError, RecursionError):
        return False  # not JSON at all: somebody else's finding
    return False


def too_dense(document: bytes) -> bool:
    """Whether a list has more items than records could be: megabytes of `1,1,1` would become millions of objects."""
    return document.count(b",") * LEAST_MEMBER_BYTES > len(document)


class Counts(Counter[str]):
    """Drop reasons and totals by name. A plain counter with a name, so that reports can add several up."""

    def drop(self, reason: str, n: int = 1) -> None:
        """Count `n` refused items; they appear under their reason and in `dropped`."""
        self[reason] += n
        self["dropped"] += n
