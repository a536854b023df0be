"""Options that several commands read the same way."""

import contextlib
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tbot.errors import ConfigError, DataError

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


YEARS = range(2000, 2101)  # of a time that a person names
SETTINGS_FILE = click.Path(readable=False, path_type=Path)  # whoever reads it says what is wrong with it
LARGEST = (1 << 63) - 1  # what a database, a seed and compiled code can take


class Whole(click.IntRange):
    """A whole number that 64 bits can hold, whatever its own bounds are."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _in_64_bits(self, super().convert(value, param, ctx), param, ctx)


class Number(click.types.IntParamType):
    """The number of an account or a run: any that 64 bits can hold."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _in_64_bits(self, super().convert(value, param, ctx), param, ctx)


def _in_64_bits(
    kind: click.types.IntParamType, number: int, param: click.Parameter | None, ctx: click.Context | None
) -> int:
    if abs(number) > LARGEST:
        kind.fail(f"{number} is not in the range {-LARGEST}<=x<={LARGEST}.", param, ctx)
    return number


class Real(click.FloatRange):
    """A number in a range; `nan` is in none, and `inf` is no number that anybody means."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Filled(click.types.StringParamType):
    """A text that says something; an empty one (a variable of a script that was not set) is no text left out."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = super().convert(value, param, ctx)
        if not text.strip():
            self.fail("it is empty; give a value, or leave the option out.", param, ctx)
        return text


class Symbol(click.types.StringParamType):
    """One contract of the product table; ConfigError for any other."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        symbols = parse_symbols(super().convert(value, param, ctx))
        if len(symbols) > 1:
            raise ConfigError(f"{_named(param)} takes one contract, not {len(symbols)}; give it once, like ES")
        return symbols[0]


class Zone(click.types.StringParamType):
    """The name of a time zone, looked at before any data is read; ConfigError for one that is not known."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return parse_zone(super().convert(value, param, ctx)).key


class DataFile(click.Path):
    """A plain file to read from. One that is not there is missing data, no mistake in usage; `words` are no files."""

    def __init__(self, *words: str) -> None:
        super().__init__(dir_okay=False, path_type=Path)
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from tbot.storage.plain_file import why_unreadable

        path = _filled_path(self, value, param, ctx)
        if str(path) not in self._words and (why := why_unreadable(path)):
            raise DataError(f"{path} cannot be read: {why}; check {_named(param)}")
        return path


class StateFolder(click.Path):
    """The state folder of a run; one that is not there is missing data, as one without a journal is."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = _filled_path(self, value, param, ctx)
        if not path.is_dir():
            raise DataError(f"there is no folder {path}; check {_named(param)}, or leave it out for the newest run")
        return path


def usable_folder(path: Path | None) -> Path | None:
    """`path`, made and absolute, for what is written into it hours later: DataError now where that cannot be."""
    if path is None:
        return None
    import tempfile

    from tbot.errors import unwritable

    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise unwritable(f"the folder {path}", error) from None
    return path.resolve()


def _filled_path(kind: click.Path, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
    if not str(value).strip():  # Path("") would be this folder
        kind.fail("it is empty; give a path, or leave it out.", param, ctx)
    return Path(value)


def _named(param: click.Parameter | None) -> str:
    """What a person wrote the value to."""
    return param.opts[-1] if isinstance(param, click.Option) else "the path"


def parse_symbols(text: str) -> tuple[str, ...]:
    """`MNQ,ES` as symbols of the product table; ConfigError names the first unknown one."""
    import difflib  # late, as the next: the kill switch reads a duration here, and has 300 ms

    from tbot.domain.contracts import PRODUCTS

    symbols = tuple(dict.fromkeys(part.strip().upper() for part in text.split(",") if part.strip()))
    unknown = [symbol for symbol in symbols if symbol not in PRODUCTS]
    if unknown or not symbols:
        known = ", ".join(PRODUCTS)
        name = unknown[0] if unknown else text
        near = difflib.get_close_matches(name, list(PRODUCTS), 1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"unknown contract {name!r}; {guess}known are {known}")
    return symbols


def parse_time_ns(text: str) -> int:
    """ISO 8601 time as UTC ns; without an offset it is taken as UTC. UsageError: nothing was traded in that year."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"time {text!r} is not ISO 8601; write it like 2026-11-20T14:30:00Z") from None
    if when.year not in YEARS:
        raise click.UsageError(f"time {text!r} is outside the years {YEARS[0]} to {YEARS[-1]}; check the year")
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return int(when.timestamp()) * 1_000_000_000


def parse_duration_s(text: str) -> float:
    """`60s`, `5m`, `2h` or plain seconds, as seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], units[text[-1]]) if text and text[-1] in units else (text, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        raise ConfigError(f"duration {text!r} is not understood; write it like 60s, 5m or 2h") from None
    if not math.isfinite(seconds) or seconds <= 0:
        raise ConfigError(f"duration {text!r} must be positive and finite")
    return seconds


def parse_zone(name: str) -> "ZoneInfo":
    """A time zone by its name."""
    from zoneinfo import ZoneInfo

    with contextlib.suppress(KeyError, ValueError, OSError):
        return ZoneInfo(name)
    raise ConfigError(f"time zone {name!r} is not known; write it like Europe/Helsinki")
