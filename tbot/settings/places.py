"""Where settings come from: a file, `.env`, the environment; each value with its origin.

Precedence: command-line flag > environment (`TBOT_SECTION__KEY`) > `.env` > the file > built-in value. The file is the
one that is named, else `./tbot.toml`, else `tbot.toml` in the user's configuration folder (TBOT_HOME when it is set).
"""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tbot.domain.toml_text import toml_text, toml_values
from tbot.errors import ConfigError
from tbot.settings.lines import line_of, lines_of

FILE_NAME = "tbot.toml"
PREFIX, SEPARATOR = "TBOT_", "__"
BUILT_IN = "built in"


@dataclass(frozen=True)
class Document:
    """What file, `.env` and environment say together. `values`: as tomllib gives them."""

    values: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    lines: Mapping[str, int] = field(default_factory=dict)  # of the file
    variables: Mapping[str, str] = field(default_factory=dict)  # place -> "TBOT_RISK__MAX_MICROS (environment)"

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return str(self.file) if self.file else "the environment" if self.variables else "the configuration"

    def told(self) -> str:
        """What a run says of it at its start: the file and every variable; "" when there is neither."""
        parts = [f"settings from {self.file}"] if self.file else []
        return "; ".join([*parts, *(f"{place} by {variable}" for place, variable in self.variables.items())])

    def where(self, place: str) -> str:
        """`line 4`, a variable, or "" where nothing of either is near the place."""
        if place in self.variables:
            return self.variables[place]
        line = line_of(place, dict(self.lines))
        return f"line {line}" if line else ""

    def origin(self, place: str) -> str:
        """Where the value of an option comes from, for `config show --origin`."""
        if place in self.variables:
            return self.variables[place]
        if place in self.lines and self.file:
            return f"{self.file} line {self.lines[place]}"
        return BUILT_IN


def candidates() -> list[Path]:
    """Files that are looked for when none is named, in this order."""
    chosen = os.environ.get("TBOT_HOME")
    if chosen:
        folder = Path(chosen)
    else:
        from platformdirs import user_config_path

        folder = user_config_path("tbot")
    return [Path(FILE_NAME), folder / FILE_NAME]


def find_file(named: Path | None) -> Path | None:
    """The settings file; None: there is none. ConfigError for one that was found, not named, and cannot be trusted."""
    if named is not None:
        return named
    for path in candidates():
        if path.is_file():
            _refuse_strangers(path)
            return path
    return None


def _refuse_strangers(path: Path, uid: int | None = None) -> None:
    """A file that nobody named decides where the login is sent: it must be ours, and nobody else may write to it."""
    if not hasattr(os, "geteuid"):
        return
    found = path.stat()
    if found.st_uid not in (os.geteuid() if uid is None else uid, 0):
        raise ConfigError(f"{path} belongs to another user; name it with --config if you mean it")
    if found.st_mode & stat.S_IWOTH:
        raise ConfigError(f"anybody may write to {path}; chmod 600 {path}, or name another with --config")


def read(named: Path | None) -> Document:
    """File, `.env` and environment as one document; ConfigError when one of them cannot be read."""
    path = find_file(named)
    text = "" if path is None else read_text(path)
    try:
        values = toml_values(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; correct that line") from None
    return overlaid(Document(values, path, lines_of(text)))


def read_text(path: Path) -> str:
    """The text of a settings file; ConfigError when it cannot be read."""
    try:
        return toml_text(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} could not be read: {error.strerror}; check the path given with --config") from None
    except ValueError as error:  # bytes that are no UTF-8
        raise ConfigError(f"{path} is not valid TOML: {error}; save it as UTF-8") from None


def overlaid(document: Document) -> Document:
    """The document with what `.env` and the environment change."""
    values = {name: dict(part) if isinstance(part, dict) else part for name, part in document.values.items()}
    variables: dict[str, str] = {}
    for source, found in ((".env", _dotenv()), ("environment", dict(os.environ))):
        for name, text in sorted(found.items()):
            if not name.startswith(PREFIX) or SEPARATOR not in name:
                continue
            section, _, key = name.removeprefix(PREFIX).partition(SEPARATOR)
            place = f"{section.lower()}.{key.lower()}"
            table = values.setdefault(section.lower(), {})
            if not isinstance(table, dict):
                what = f"[[{section.lower()}]] cannot be changed by a variable; write it in the file"
                raise ConfigError(f"{name}: {what}")
            table[key.lower()] = value_of(text, listed=isinstance(_default(place), tuple))
            variables[place] = f"{name} ({source})"
    return Document(values, document.file, document.lines, variables)


def _default(place: str) -> Any:
    from tbot.settings.options import option_of

    option = option_of(place)
    return None if option is None else option.default


def value_of(text: str, *, listed: bool = False) -> Any:
    """What a person typed as a TOML value: `5`, `true`, `[1, 2]`, `{MNQ = 50}`; anything else is a text.

    `listed`: the option is a list, so `MNQ,ES` means two.
    """
    try:
        value = toml_values(f"value = {text}")
        if set(value) == {"value"}:
            return [value["value"]] if listed and not isinstance(value["value"], list) else value["value"]
    except ValueError:
        pass
    return [value_of(part.strip()) for part in text.split(",") if part.strip()] if listed else text


def _dotenv() -> dict[str, str]:
    path = Path(".env")
    if not path.exists():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path, interpolate=False)
    except (OSError, ValueError):
        raise ConfigError(f"{path} cannot be read; check its owner and its encoding (UTF-8)") from None
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and where it stands."""

    place: str
    text: str


class Problems:
    """Everything that is wrong with one document."""

    def __init__(self, where: Callable[[str], str] = lambda place: "") -> None:
        self._where = where
        self._found: list[Problem] = []

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: str, text: str) -> None:
        self._found.append(Problem(place, text))

    def lines(self) -> list[str]:
        """One line each with its place in the file in front, in the order of the file."""
        placed = [(self._where(problem.place), problem.text) for problem in self._found]

        def order(item: tuple[str, str]) -> int:
            return int(item[0].removeprefix("line ")) if item[0].startswith("line ") else 0

        return [f"{where}: {text}" if where else text for where, text in sorted(placed, key=order)]
