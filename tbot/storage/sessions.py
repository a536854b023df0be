"""Reads the session table (holidays, early closes) from TOML; the packaged one unless another path is given."""

import tomllib
from datetime import date, time
from importlib import resources
from pathlib import Path
from typing import Any

from tbot.domain.trading_hours import SessionRow, SessionTable, table_of
from tbot.errors import ConfigError

_KNOWN_KEYS = {"date", "name", "close_ct", "closed", "products", "source", "checked_on"}


def load_sessions(path: Path | None = None) -> SessionTable:
    """The session table of `path` (None: the packaged one).

    Raises ConfigError that names the file and the row when the file is missing or anything in it is not understood:
    a holiday that is silently skipped is a position held into a closed market.
    """
    name = str(path) if path else "the packaged session table"
    try:
        if path is None:
            text = resources.files("tbot.data").joinpath("sessions.toml").read_text(encoding="utf-8")
        else:
            text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{name} cannot be read: {error}") from error
    years = document.get("years")
    if not isinstance(years, list) or not all(isinstance(year, int) for year in years):
        raise ConfigError(f"{name}: `years` must list the years it covers completely")
    unknown = sorted(set(document) - {"years", "session"})
    if unknown:
        raise ConfigError(f"{name}: unknown key {unknown[0]!r}")
    try:
        rows = [_row(raw) for raw in document.get("session", [])]
        return table_of(rows, years)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{name}: {error}") from error


def _row(raw: dict[str, Any]) -> SessionRow:
    day = raw.get("date")
    if type(day) is not date:
        raise ValueError(f"a session row needs a date like 2026-12-25, got {day!r}")
    unknown = sorted(set(raw) - _KNOWN_KEYS)
    if unknown:
        raise ValueError(f"row {day}: unknown key {unknown[0]!r}")
    close, closed = raw.get("close_ct"), raw.get("closed", False)
    if not isinstance(closed, bool) or closed == (close is not None):
        raise ValueError(f"row {day}: give either close_ct or closed = true")
    if close is not None and not isinstance(close, time):
        raise ValueError(f"row {day}: close_ct must be a time like 12:00:00, got {close!r}")
    products = raw.get("products")
    if not isinstance(products, list) or not products or not all(isinstance(item, str) for item in products):
        raise ValueError(f'row {day}: products must list product symbols, or "*"')
    source, checked_on = raw.get("source"), raw.get("checked_on")
    if not isinstance(source, str) or not source or type(checked_on) is not date:
        raise ValueError(f"row {day}: source (text) and checked_on (date) are needed")
    return SessionRow(day, frozenset(products), close, source, checked_on, str(raw.get("name", "")))
