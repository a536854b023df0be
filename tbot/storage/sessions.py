"""Reads the session table (holidays, early closes) from TOML: the packaged one, and a person's own rows over it.

The own file is `sessions.toml` in TBOT_HOME or what [engine] sessions names. It may add rows and years and be stricter;
where it is looser than the packaged table, the row needs `override = true` and a `reason`, and status and doctor show
both. A run reads it once, at its start; the table goes into the run's first journal row, so a replay has the same.
"""

from collections.abc import Mapping
from datetime import date, time
from importlib import resources
from pathlib import Path
from typing import Any

from tbot.domain.toml_text import toml_text, toml_values
from tbot.domain.trading_hours import SessionRow, SessionTable, table_of, with_own_rows
from tbot.errors import ConfigError
from tbot.storage.plain_file import check_plain

OWN_FILE = "sessions.toml"
_KNOWN_KEYS = {"date", "name", "close_ct", "closed", "products", "source", "checked_on"}
_OWN_KEYS = {"override", "reason"}


def load_sessions(path: Path | None = None) -> SessionTable:
    """The session table of `path` alone (None: the packaged one).

    Raises ConfigError that names the file and the row when the file is missing or anything in it is not understood:
    a holiday that is silently skipped is a position held into a closed market.
    """
    name = str(path) if path else "the packaged session table"
    document = _read(name, path)
    if "years" not in document:
        raise ConfigError(f"{name}: `years` must list the years it covers completely")
    try:
        return table_of([_row(raw, _KNOWN_KEYS) for raw in _raw_rows(document)], _years(document))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{name}: {error}") from error


def own_sessions(home: Path, configured: str = "") -> Path | None:
    """Where a person keeps their rows: the configured path, else the file in TBOT_HOME when it is there."""
    if configured:
        return Path(configured).expanduser()
    path = home / OWN_FILE
    return path if path.exists() else None


def effective_sessions(path: Path | None) -> SessionTable:
    """The packaged table with the rows of `path` over it (None: none). ConfigError as in `load_sessions`."""
    packaged = load_sessions()
    if path is None:
        return packaged
    document = _read(str(path), path)
    try:
        rows = [_row(raw, _KNOWN_KEYS | _OWN_KEYS) for raw in _raw_rows(document)]
        return with_own_rows(packaged, rows, _years(document))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _read(name: str, path: Path | None) -> Mapping[str, Any]:
    try:
        if path is None:
            data = resources.files("tbot.data").joinpath("sessions.toml").read_bytes()
        else:
            check_plain(path)
            data = path.read_bytes()
        document = toml_values(toml_text(data))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    unknown = sorted(set(document) - {"years", "session"})
    if unknown:
        raise ConfigError(f"{name}: unknown key {unknown[0]!r}")
    return document


def _years(document: Mapping[str, Any]) -> list[int]:
    years = document.get("years", [])
    if not isinstance(years, list) or not all(type(year) is int and 2000 <= year < 2100 for year in years):
        raise ValueError("`years` must list the years it covers completely, like [2027]")
    return years


def _raw_rows(document: Mapping[str, Any]) -> list[Any]:
    rows = document.get("session", [])
    if not isinstance(rows, list):
        raise ValueError("rows are written as [[session]]")
    return rows


def _row(raw: Any, known: set[str]) -> SessionRow:
    if not isinstance(raw, dict):
        raise ValueError("rows are written as [[session]]")
    day = raw.get("date")
    if type(day) is not date:
        raise ValueError(f"a session row needs a date like 2026-12-25, got {day!r}")
    if day.weekday() > 4:
        raise ValueError(f"row {day}: that is a {day:%A}; a trading day is named by the weekday on which it ends")
    unknown = sorted(set(raw) - known)
    if unknown:
        raise ValueError(f"row {day}: unknown key {unknown[0]!r}")
    close, closed = raw.get("close_ct"), raw.get("closed", False)
    if not isinstance(closed, bool) or closed == (close is not None):
        raise ValueError(f"row {day}: give either close_ct or closed = true")
    if close is not None and (not isinstance(close, time) or not time(0, 0) < close <= time(15, 10)):
        raise ValueError(f"row {day}: close_ct must be a time like 12:00:00, at most 15:10:00, got {close!r}")
    products = raw.get("products")
    if not isinstance(products, list) or not products or not all(isinstance(item, str) for item in products):
        raise ValueError(f'row {day}: products must list product symbols, or "*"')
    source, checked_on = raw.get("source"), raw.get("checked_on")
    if not isinstance(source, str) or not source or type(checked_on) is not date:
        raise ValueError(f"row {day}: source (text) and checked_on (date) are needed")
    override = _override(day, raw)
    return SessionRow(day, frozenset(products), close, source, checked_on, str(raw.get("name", "")), override)


def _override(day: date, raw: Mapping[str, Any]) -> str:
    """The reason of a row that may be looser; "" without `override = true`."""
    wanted, reason = raw.get("override", False), raw.get("reason", "")
    if not isinstance(wanted, bool) or not isinstance(reason, str):
        raise ValueError(f"row {day}: override must be true or false, and reason a text")
    if wanted != bool(reason.strip()):
        raise ValueError(f"row {day}: override = true and a reason belong together")
    return reason.strip() if wanted else ""
