"""Every option as the structs define it: name, type, default, bounds, and the words for it."""

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tbot.config import OWN_SECTIONS, AccountConfig, Config
from tbot.execution.fill_model import BACKTEST_FILLS, FillSettings
from tbot.risk.limits import BOUNDS
from tbot.settings.words import WORDS, Word

REQUIRED = "required"  # default of what an account must say itself
_KINDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


@dataclass(frozen=True, slots=True)
class Option:
    """One option. `default` REQUIRED: there is none. `past`: default on past data, where it is another."""

    name: str  # section.key
    kind: str  # in words
    hint: Any
    default: Any
    word: Word
    low: float | None = None
    high: float | None = None
    past: Any = None

    @property
    def section(self) -> str:
        return self.name.partition(".")[0]

    @property
    def key(self) -> str:
        return self.name.partition(".")[2]

    @property
    def range(self) -> str:
        """`0 to 100`, `at least 1`, the choices, or ""."""
        if self.word.choices:
            return ", ".join(map(str, self.word.choices))
        if self.low is not None and self.high is not None:
            return f"{self.low:,g} to {self.high:,g}" if self.high < 1e6 else f"{self.low:,.0f} to {self.high:,.0f}"
        if self.low is not None:
            return f"at least {self.low:,g}"
        return f"at most {self.high:,g}" if self.high is not None else ""


def structs() -> dict[str, type[Any]]:
    """Section -> the struct that holds its options, in the order of the configuration."""
    hints = get_type_hints(Config)
    return {name: {"fills": FillSettings, "accounts": AccountConfig}.get(name, hint) for name, hint in hints.items()}


@cache
def options() -> tuple[Option, ...]:
    """Every option of every section."""
    return tuple(
        _option(f"{section}.{entry.name}", hints[entry.name], entry)
        for section, kind in structs().items()
        for hints in [get_type_hints(kind)]
        for entry in dataclasses.fields(kind)
        if hints[entry.name] not in OWN_SECTIONS
    )


@cache
def _by_name() -> Mapping[str, Option]:
    return {option.name: option for option in options()}


def option_of(name: str) -> Option | None:
    """The option of this name, None when there is none."""
    return _by_name().get(name)


def _option(name: str, hint: Any, entry: "dataclasses.Field[Any]") -> Option:
    section, _, key = name.partition(".")
    word = WORDS.get(name) or Word("")
    low, high = BOUNDS[key] if section == "risk" and key in BOUNDS else (word.low, word.high)
    past = None
    if section == "fills" and getattr(BACKTEST_FILLS, key) != getattr(FillSettings(), key):
        past = getattr(BACKTEST_FILLS, key)
    return Option(name, kind_of(hint), hint, _default(entry), word, low, high, past)


def _default(entry: "dataclasses.Field[Any]") -> Any:
    if entry.default is not dataclasses.MISSING:
        return entry.default
    if entry.default_factory is not dataclasses.MISSING:
        return entry.default_factory()
    return REQUIRED


def kind_of(hint: Any) -> str:
    """A type in words."""
    origin = get_origin(hint)
    if hint in _KINDS:
        return _KINDS[hint]
    if origin is Literal:
        return "text"
    if origin is tuple:
        return "list of texts" if get_args(hint)[0] is str else "list of whole numbers"
    if origin in (types.UnionType, getattr(types, "UnionType", None)):
        inner = next(one for one in get_args(hint) if one is not type(None))
        return kind_of(inner)
    return "table"


def toml(value: Any) -> str:
    """A value as it is written in a TOML file."""
    import tomlkit

    if value is None:
        return "(none)"
    if value == REQUIRED and isinstance(value, str):
        return "(required)"
    found = tomlkit.item(plain(value))
    if isinstance(value, Mapping):  # on one line
        found = tomlkit.inline_table()
        found.update(plain(value))
    return str(found.as_string())


def plain(value: Any) -> Any:
    """The same in lists, tables and plain values, as JSON and TOML know them."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return value
