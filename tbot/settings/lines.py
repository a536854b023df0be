"""Where a value of a TOML file stands: the line of every table and key, for messages.

Why by hand: tomllib gives values without places, and tomlkit keeps whitespace but no positions. The text has passed
tomllib before, so this only needs to walk over it, not to judge it.
"""

import re

_KEY_PART = r"(?:\"(?:[^\"\\]|\\.)*\"|'[^']*'|[A-Za-z0-9_-]+)"
_KEY = re.compile(rf"\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*=")
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY_PART}(?:\s*\.\s*{_KEY_PART})*)\s*\]\]?")
_QUOTES = ('"""', "'''", '"', "'")


def lines_of(text: str) -> dict[str, int]:
    """Place -> line number from 1: `engine`, `engine.workers`, `accounts[2]`, `accounts[2].risk.slip_ticks`."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table, at = "", 0
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        header = _HEADER.match(text, at)
        key = None if header else _KEY.match(text, at)
        if header:
            line += header.group(0).count("\n", 0, header.start(1) - header.start())
            table = _table(_parts(header.group(2)), header.group(1) == "[[", counts)
            for place in (*_prefixes("", table.split(".")), table):
                found.setdefault(re.sub(r"\[\d+\]$", "", place), line)
                found.setdefault(place, line)
            at = _end_of_line(text, header.end())
        elif key:
            line += key.group(0).count("\n", 0, key.start(1) - key.start())
            for place in _prefixes(table, _parts(key.group(1))):
                found.setdefault(place, line)
            at = _end_of_value(text, key.end())
        else:
            at = _end_of_line(text, at)
    return found


def line_of(place: str, lines: dict[str, int]) -> int:
    """Line of a place, or of the nearest thing around it that stands in the file; 0 when nothing does."""
    while place:
        if place in lines:
            return lines[place]
        shorter = re.sub(r"\[\d+\]$", "", place)
        place = shorter if shorter != place else place.rpartition(".")[0]
    return 0


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_KEY_PART, dotted)]


def _prefixes(table: str, parts: list[str]) -> list[str]:
    return [".".join(filter(None, [table, *parts[: n + 1]])) for n in range(len(parts))]


def _table(parts: list[str], one_of_many: bool, counts: dict[str, int]) -> str:
    """The place of a table; `[accounts.risk]` belongs to the last `[[accounts]]`."""
    place = ""
    for number, part in enumerate(parts):
        place = f"{place}.{part}" if place else part
        if number == len(parts) - 1 and one_of_many:
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place = f"{place}[{counts[place]}]"
    return place


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _end_of_value(text: str, at: int) -> int:
    """Behind the line on which the value that begins at `at` ends."""
    depth = 0
    while at < len(text):
        sign = text[at]
        quote = next((mark for mark in _QUOTES if text.startswith(mark, at)), None)
        if quote:
            at = _end_of_string(text, at + len(quote), quote)
            continue
        if sign == "#":
            at = _end_of_line(text, at) - 1
            if at + 1 >= len(text) and not text.endswith("\n"):
                return len(text)
            continue
        if sign == "\n" and depth == 0:
            return at + 1
        depth += (sign in "[{") - (sign in "]}")
        at += 1
    return at


def _end_of_string(text: str, at: int, quote: str) -> int:
    while at < len(text) and not text.startswith(quote, at):
        at += 2 if text[at] == "\\" and quote[0] == '"' else 1
    at += len(quote)
    while len(quote) == 3 and text.startswith(quote[0], at):  # '""""' ends with a quote of its own
        at += 1
    return at
