"""TOML and environment -> settings; every value is checked here, once, and all problems are reported together.

Precedence: command-line flag > environment > `.env` > the file > built-in value. Secrets never stand in the file: where
they come from is told in `credentials.py`.
"""

import dataclasses
import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import orjson

from tbot.credentials import Login, require
from tbot.domain.contracts import DEFAULT_SYMBOLS, PRODUCTS
from tbot.errors import ConfigError
from tbot.home import home
from tbot.risk.limits import RiskLimits
from tbot.strategy.trader import StrategySettings

__all__ = ["Config", "home", "load", "require_login"]

SECRET_WORDS = ("api_key", "apikey", "password", "token", "secret")


@dataclass(frozen=True)
class EngineConfig:
    """Section [engine]."""

    contracts: tuple[str, ...] = DEFAULT_SYMBOLS
    workers: int = 0  # 0: one process per contract
    wait: str = "futex"
    on_exit: str = "flatten"
    history_days: int = 5


@dataclass(frozen=True)
class GatewayConfig:
    """Section [gateway]; empty hub addresses follow from `rest`."""

    rest: str = ""
    user_hub: str = ""
    market_hub: str = ""
    credentials_file: str = ""  # a file of mode 0600 that holds the login


@dataclass(frozen=True)
class AccountConfig:
    """Section [account]: pinned account ids; empty = the first tradable account of a simulated gateway."""

    ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    engine: EngineConfig = field(default_factory=EngineConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    account: AccountConfig = field(default_factory=AccountConfig)
    strategy: StrategySettings = field(default_factory=StrategySettings)
    risk: RiskLimits = field(default_factory=RiskLimits)

    def digest(self) -> str:
        """Short hash of every effective value: processes of one run must agree on it."""
        document = orjson.dumps(dataclasses.asdict(self), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        return hashlib.sha256(document).hexdigest()[:12]


CHOICES = {"wait": ("futex", "poll", "spin"), "on_exit": ("flatten", "hold")}


def load(path: Path | None) -> Config:
    """Read a TOML file (None: built-in values); ConfigError lists every problem at once."""
    if path is None:
        return Config()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} could not be read: {error.strerror}; check the path given with --config") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    problems: list[str] = []
    sections: dict[str, Any] = {}
    hints = get_type_hints(Config)
    for name, values in document.items():
        if name not in hints:
            problems.append(f"[{name}] is not a section; sections are {', '.join(hints)}")
        elif not isinstance(values, dict):
            problems.append(f"{name} must be a section")
        else:
            sections[name] = _section(name, hints[name], values, problems)
    if problems:
        raise ConfigError(f"{path} has {len(problems)} problem(s):\n  " + "\n  ".join(problems))
    return Config(**sections)


def _section(name: str, kind: type[Any], values: dict[str, Any], problems: list[str]) -> Any:
    hints = get_type_hints(kind)
    accepted: dict[str, Any] = {}
    for key, value in values.items():
        where = f"{name}.{key}"
        if any(word in key.lower() for word in SECRET_WORDS):
            problems.append(
                f"{where}: secrets do not belong in this file; set TBOT_USERNAME and TBOT_API_KEY, or credentials_file"
            )
        elif key not in hints:
            problems.append(f"{where} is not an option; options are {', '.join(hints)}")
        else:
            problem, converted = _convert(key, hints[key], value)
            if problem:
                problems.append(f"{where}: {problem}")
            accepted[key] = converted
    if problems:
        return None
    try:
        return kind(**accepted)
    except (ValueError, TypeError) as error:
        problems.append(f"[{name}]: {error}")
        return None


def _convert(key: str, hint: Any, value: Any) -> tuple[str, Any]:
    """(problem or "", value) for one option."""
    if key == "contracts":
        unknown = [item for item in value if item not in PRODUCTS] if isinstance(value, list) else [value]
        return (f"unknown contracts {unknown}" if unknown or not value else ""), tuple(value)
    if key in CHOICES and value not in CHOICES[key]:
        return f"{value!r} is not one of {', '.join(CHOICES[key])}", None
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if not isinstance(value, list) or any(type(item) is not inner for item in value):
            return f"must be a list of {inner.__name__}", None
        return "", tuple(value)
    if hint is float and type(value) is int:
        return "", float(value)
    if isinstance(hint, type) and type(value) is not hint:
        return f"must be {hint.__name__}, not {value!r}", None
    return "", value


def require_login(config: Config, option: Path | None = None) -> Login:
    """The login for the gateway, gone from the environment afterwards; AuthError when it is nowhere.

    `option`: file named on the command line.
    """
    return require(option=option, configured=_credentials_file(config), home=home())


def _credentials_file(config: Config) -> Path | None:
    return Path(config.gateway.credentials_file).expanduser() if config.gateway.credentials_file else None
