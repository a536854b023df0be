"""Reads `limits_override.toml`: largest positions that the firm announces for a while, and the times of CPI releases.

    [[cap]]
    product = "GC"                    # a product symbol, or "*" for every one
    most = 3                          # contracts
    from = 2026-09-23T17:00:00        # Chicago, or with an offset: 2026-09-23T22:00:00Z
    to = 2026-12-31T16:00:00          # inclusive
    source = "e-mail of the firm, 23 September 2026"

    [[cpi]]
    at = 2026-12-10T07:30:00
    source = "https://www.bls.gov/schedule/news_release/cpi.htm"

Times without an offset are Chicago's, because the firm states its times so.
"""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tbot.domain.contracts import PRODUCTS
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.toml_text import toml_text, toml_values
from tbot.domain.trading_hours import CHICAGO
from tbot.errors import ConfigError
from tbot.risk.caps import EVERY_PRODUCT, Cap, cpi_cap
from tbot.storage.plain_file import check_plain

_KEYS = {"cap": {"product", "most", "from", "to", "source"}, "cpi": {"at", "source"}}
_HEADER = re.compile(r"\s*\[\[\s*(\w+)\s*\]\]")


def load_caps(path: Path) -> tuple[Cap, ...]:
    """The caps of a file; none when there is no file.

    ConfigError that names file, line and value when anything in it is not understood: a limit that is silently skipped
    is a position that the firm forbids.
    """
    try:
        check_plain(path)
        text = toml_text(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        document = toml_values(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    unknown = sorted(set(document) - set(_KEYS))
    if unknown:
        raise ConfigError(f"{path}: unknown key {unknown[0]!r}; allowed: [[cap]] and [[cpi]]")
    caps: list[Cap] = []
    for kind in _KEYS:
        rows = document.get(kind, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ConfigError(f"{path}: {kind!r} must be a list of tables, written [[{kind}]]")
        lines = _lines(text, kind)
        for number, row in enumerate(rows):
            try:
                caps.append(_cap(row) if kind == "cap" else _cpi(row))
            except (ConfigError, ValueError) as error:
                line = f"line {lines[number]}" if len(lines) == len(rows) else f"row {number + 1} of {kind}"
                raise ConfigError(f"{path}, {line}: {error}") from error
    return tuple(caps)


def _lines(text: str, kind: str) -> list[int]:
    """Line numbers of the headers [[kind]]."""
    found = [(number, _HEADER.match(line)) for number, line in enumerate(text.splitlines(), start=1)]
    return [number for number, header in found if header and header.group(1) == kind]


def _cap(row: dict[str, Any]) -> Cap:
    _check_keys(row, "cap")
    product, most = row["product"], row["most"]
    if product != EVERY_PRODUCT and not (isinstance(product, str) and product in PRODUCTS):
        raise ValueError(f'product is {product!r}; allowed: a product symbol like MNQ, or "*"')
    return Cap(product, most, _time(row, "from"), _time(row, "to"), _source(row))


def _cpi(row: dict[str, Any]) -> Cap:
    _check_keys(row, "cpi")
    return cpi_cap(_time(row, "at"), _source(row))


def _check_keys(row: dict[str, Any], kind: str) -> None:
    for name in sorted(set(row) - _KEYS[kind]):
        raise ValueError(f"unknown key {name!r}")
    for name in sorted(_KEYS[kind] - set(row)):
        raise ValueError(f"{name} is missing")


def _time(row: dict[str, Any], name: str) -> int:
    value = row[name]
    if not isinstance(value, datetime):
        raise ValueError(f"{name} is {value!r}; it must be a time like 2026-12-10T07:30:00 (Chicago) or ...T13:30:00Z")
    at = value.replace(tzinfo=CHICAGO) if value.tzinfo is None else value
    return int(at.astimezone(UTC).timestamp()) * NS_PER_S


def _source(row: dict[str, Any]) -> str:
    value = row["source"]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"source is {value!r}; it must be a text that says where the limit was announced")
    return value
