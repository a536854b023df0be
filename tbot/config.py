"""TOML and environment -> settings; every value is checked here, once, and all problems are reported together.

Where they come from is told in `tbot/settings/places.py`. Secrets never stand in the file: where those come from is
told in `credentials.py`.
"""

import dataclasses
import difflib
import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import orjson

from tbot.context.news_settings import NewsSettings
from tbot.credentials import Login, require
from tbot.domain.contracts import DEFAULT_SYMBOLS, PRODUCTS
from tbot.domain.words import plural
from tbot.engine.log_settings import LogSettings
from tbot.engine.report_settings import ReportSettings
from tbot.errors import ConfigError
from tbot.execution.fill_model import BACKTEST_FILLS, FillSettings
from tbot.gateway.net import check_url
from tbot.home import expanded, home
from tbot.notify.settings import NotifySettings
from tbot.risk.limits import RiskLimits
from tbot.settings.places import Document, Problems, read
from tbot.strategy.dollar import DollarSettings
from tbot.strategy.learning_settings import LearningSettings
from tbot.strategy.trader import StrategySettings

__all__ = ["Config", "home", "load", "require_login"]

SECRET_WORDS = ("api_key", "apikey", "password", "token", "secret")
NO_SECRETS = (
    "secrets do not belong in this file; set TBOT_USERNAME and TBOT_API_KEY in the environment or in .env, or name a "
    "file of mode 0600 with [gateway] credentials_file"
)
NO_ADDRESSES = (
    "addresses hold passwords and tokens and do not belong in this file; set TBOT_NOTIFY_URLS, or write them into a "
    "file of mode 0600, one a line, and name it with [notify] file"
)


# Days: what one history request can return (20 000 minutes). Processes: more contracts than that there are none.
ENGINE_BOUNDS = {"workers": (0, 64), "history_days": (0, 14)}


@dataclass(frozen=True)
class EngineConfig:
    """Section [engine]."""

    contracts: tuple[str, ...] = DEFAULT_SYMBOLS
    workers: int = 0  # 0: one process per contract
    wait: str = "futex"
    on_exit: str = "flatten"
    history_days: int = 5
    limits_override: str = ""  # file of announced caps; "": limits_override.toml in TBOT_HOME when it is there
    sessions: str = ""  # file of own session rows; "": sessions.toml in TBOT_HOME when it is there

    def __post_init__(self) -> None:
        if not self.contracts:
            raise ConfigError('contracts is empty; write a list such as ["MNQ"]')
        for name, (low, high) in ENGINE_BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed: {low} to {high}")


@dataclass(frozen=True)
class GatewayConfig:
    """Section [gateway]; empty hub addresses follow from `rest`."""

    rest: str = ""
    user_hub: str = ""
    market_hub: str = ""
    credentials_file: str = ""  # a file of mode 0600 that holds the login

    def __post_init__(self) -> None:
        for name in ("rest", "user_hub", "market_hub"):
            address = getattr(self, name)
            schemes = ("ws", "wss") if name != "rest" and address.startswith("ws") else ("http", "https")
            try:
                if address:
                    check_url(address, *schemes)
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from None


@dataclass(frozen=True)
class AccountConfig:
    """One table [[accounts]]: an account that a run trades, pinned by id and name.

    `risk` holds the limits of [risk] with this account's own, tighter ones.
    """

    id: int
    name: str
    plan: str = "50K"
    stage: str = "combine"
    contracts: tuple[str, ...] = ()  # (): all of the run
    floor_usd: float | None = None  # the loss floor as the firm's dashboard shows it; the gateway does not tell it
    since: str = ""  # first trading day of its present life, as 2026-11-25: after a reset older trades do not count
    daily_limit: bool = False  # bought with the firm's own daily loss limit
    risk: RiskLimits | None = None  # None: those of [risk]


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    engine: EngineConfig = field(default_factory=EngineConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    accounts: tuple[AccountConfig, ...] = ()  # (): the first tradable one of a simulated gateway; paper: one of ours
    strategy: StrategySettings = field(default_factory=StrategySettings)
    risk: RiskLimits = field(default_factory=RiskLimits)
    fills: Mapping[str, Any] = field(default_factory=dict)  # FillSettings that [fills] changes
    news: NewsSettings = field(default_factory=NewsSettings)
    dxy: DollarSettings = field(default_factory=DollarSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    report: ReportSettings = field(default_factory=ReportSettings)
    log: LogSettings = field(default_factory=LogSettings)

    def __post_init__(self) -> None:
        if self.strategy.learning != self.learning:
            object.__setattr__(self, "strategy", dataclasses.replace(self.strategy, learning=self.learning))
        if self.strategy.dollar != self.dxy:  # the trader asks its own settings
            object.__setattr__(self, "strategy", dataclasses.replace(self.strategy, dollar=self.dxy))

    def paper_fills(self) -> FillSettings:
        """How orders fill in a paper run."""
        return dataclasses.replace(FillSettings(), **self.fills)

    def past_fills(self) -> FillSettings:
        """How orders fill on past data, in backtest and replay alike (ruling 2)."""
        return dataclasses.replace(BACKTEST_FILLS, **self.fills)

    def digest(self) -> str:
        """Short hash of every effective value: processes of one run must agree on it."""
        document = orjson.dumps(dataclasses.asdict(self), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        return hashlib.sha256(document).hexdigest()[:12]


OWN_SECTIONS = (DollarSettings, LearningSettings)  # parts of the strategy's settings that are [dxy] and [learning]
CHOICES = {
    "wait": ("futex", "poll", "spin"),
    "on_exit": ("flatten", "hold"),
    "plan": ("50K", "100K", "150K"),
    "stage": ("practice", "combine", "funded"),
}
LARGEST = (1 << 63) - 1
# Each account with something open costs 4 queries every 5 s (C_RECON_OPEN); 160 requests a minute are for all of them.
MAX_ACCOUNTS = 3
# What "tighter" means: of these limits the smaller number is, of those the larger one. Others belong to [risk] alone.
SMALLER_IS_TIGHTER = frozenset({
    "daily_loss_cents", "consecutive_losses", "risk_per_trade_cents", "max_micros", "max_minis", "max_account_micros",
    "collar_ticks", "collar_bp", "signal_ttl_ns", "quote_ban_ns", "quote_stale_ns", "blind_hold_ns",
    "entries_per_minute", "entries_per_day", "naked_ns", "entry_timeout_ns", "rejects_max", "rest_failures",
})  # fmt: skip
LARGER_IS_TIGHTER = frozenset({
    "loss_reserve_ticks", "slip_ticks", "min_bracket_ticks", "min_target_cost_ratio", "entry_gap_ns",
    "rejects_window_ns", "unknown_horizon_ns", "unknown_answers",
})  # fmt: skip


def load(path: Path | None) -> Config:
    """The configuration of a command; ConfigError lists every problem at once.

    `path` None: the file that is found where files are looked for, if any. Environment and `.env` overrule the file.
    """
    return loaded(path)[0]


def loaded(path: Path | None) -> tuple[Config, Document]:
    """As `load`, with the document, which knows where each value comes from."""
    document = read(path)
    return of_document(document.values, document.name, document), document


def of_document(values: Mapping[str, Any], name: str, document: Document | None = None) -> Config:
    """The configuration that a parsed TOML document means; ConfigError lists every problem of `name` at once.

    `document`: knows the lines of its values.
    """
    problems = Problems(document.where) if document else Problems()
    sections: dict[str, Any] = {}
    hints = get_type_hints(Config)
    for section, content in values.items():
        if section not in hints:
            meant = _meant(section, hints) or f"; sections are {', '.join(hints)}"
            problems.add(section, f"[{section}] is not a section{meant}")
        elif section == "accounts":
            continue
        elif section == "fills":
            sections[section] = _fills(content, problems)
        elif not isinstance(content, dict):
            problems.add(section, f"{section} must be a section")
        else:
            sections[section] = _section(section, hints[section], content, problems)
    if "accounts" in values:
        sections["accounts"] = _accounts(values["accounts"], sections, problems)
    if problems:
        raise ConfigError(f"{name} has {plural(len(problems), 'problem')}:\n  " + "\n  ".join(problems.lines()))
    return Config(**sections)


def _meant(word: object, known: Iterable[str]) -> str:
    """`; did you mean X?`, or "" when nothing is alike."""
    near = difflib.get_close_matches(str(word), list(known), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _fills(values: Any, problems: Problems) -> dict[str, Any]:
    """The values of [fills], each of which is good by itself and with the others."""
    if not isinstance(values, dict):
        problems.add("fills", "fills must be a section")
        return {}
    plain = {key: value for key, value in values.items() if key != "spread_by_hour"}
    before = len(problems)
    accepted = _accepted("fills", get_type_hints(FillSettings), plain, problems)
    hourly = values.get("spread_by_hour", {})
    if isinstance(hourly, dict) and all(_spreads(name, spreads) for name, spreads in hourly.items()):
        accepted["spread_by_hour"] = {name: tuple(spreads) for name, spreads in hourly.items()}
    else:
        text = "must give 24 whole numbers of ticks for each contract, such as MNQ = [2, 2, ...]"
        problems.add("fills.spread_by_hour", f"fills.spread_by_hour: {text}")
    _made("fills", FillSettings, accepted, problems, whole=len(problems) == before)
    return accepted


def _spreads(name: str, spreads: Any) -> bool:
    return name in PRODUCTS and isinstance(spreads, list) and all(type(spread) is int for spread in spreads)


def _section(name: str, kind: type[Any], values: dict[str, Any], problems: Problems) -> Any:
    before = len(problems)
    hints = {key: hint for key, hint in get_type_hints(kind).items() if hint not in OWN_SECTIONS}
    accepted = _accepted(name, hints, values, problems)
    return _made(name, kind, accepted, problems, whole=len(problems) == before)


def _accepted(where: str, hints: dict[str, Any], values: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """The values that have the right type; problems with all others."""
    accepted: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{where}.{key}"
        if any(word in key.lower() for word in SECRET_WORDS):
            problems.add(place, f"{place}: {NO_SECRETS}")
        elif where == "notify" and "url" in key.lower():
            problems.add(place, f"{place}: {NO_ADDRESSES}")
        elif key not in hints:
            meant = _meant(key, hints) or _elsewhere(key) or f"; options are {', '.join(hints)}"
            problems.add(place, f"{place} is not an option{meant}")
        else:
            problem, converted = _convert(key, hints[key], value)
            if problem:
                problems.add(place, f"{place}: {problem}")
            else:
                accepted[key] = converted
    return accepted


def _elsewhere(key: str) -> str:
    """`; it belongs to [risk]` for an option of another section."""
    kinds = {**get_type_hints(Config), "fills": FillSettings, "accounts": AccountConfig}
    homes = [name for name, kind in kinds.items() if dataclasses.is_dataclass(kind) and key in get_type_hints(kind)]
    return f"; it belongs to [{homes[0]}]" if homes else ""


def _made(where: str, kind: type[Any], values: dict[str, Any], problems: Problems, *, whole: bool = True) -> Any:
    """The object of a section; where it refuses, every value that it refuses by itself is named.

    Not `whole`: some values are missing because they have problems already, so only single ones are judged.
    """
    try:
        return kind(**values)
    except (ValueError, TypeError, ConfigError) as error:
        general = [(where, str(error))] if whole else []
        alone = [(f"{where}.{key}", text) for key, value in values.items() if (text := _refusal(kind, {key: value}))]
        for place, text in alone or general:
            problems.add(place, f"[{where}]: {text}")
        return None


def _refusal(kind: type[Any], values: dict[str, Any]) -> str:
    try:
        kind(**values)
    except (ValueError, TypeError, ConfigError) as error:
        return str(error)
    return ""


def _accounts(tables: Any, sections: dict[str, Any], problems: Problems) -> tuple[AccountConfig, ...]:
    """The tables [[accounts]], each with the limits of [risk] tightened by its own."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.add("accounts", "accounts must be tables: write [[accounts]] above each")
        return ()
    if len(tables) > MAX_ACCOUNTS:
        text = f"{len(tables)} [[accounts]]: the gateway's budget of requests carries {MAX_ACCOUNTS} at most"
        problems.add("accounts", text)
    base = sections.get("risk") or RiskLimits()
    traded = (sections.get("engine") or EngineConfig()).contracts
    made = [_account(f"accounts[{n}]", table, base, traded, problems) for n, table in enumerate(tables, 1)]
    found = [account for account in made if account is not None]
    for number in sorted({account.id for account in found}):
        if sum(account.id == number for account in found) > 1:
            problems.add("accounts", f"accounts: {number} stands there twice")
    return tuple(found)


def _account(
    where: str, table: dict[str, Any], base: RiskLimits, traded: tuple[str, ...], problems: Problems
) -> AccountConfig | None:
    before = len(problems)
    hints = get_type_hints(AccountConfig)
    own = table.get("risk", {})
    plain = {key: value for key, value in table.items() if key != "risk"}
    values = _accepted(where, hints, plain, problems)
    for key in ("id", "name"):
        if key not in table:
            problems.add(where, f"{where} needs {key}")
    if values.get("id", 1) < 1:
        problems.add(f"{where}.id", f"{where}.id: must be the gateway's number of the account, not {values['id']}")
    if "name" in values and not values["name"].strip():
        problems.add(f"{where}.name", f"{where}.name: must be the account's name as the gateway lists it")
    strangers = [name for name in values.get("contracts", ()) if name not in traded]
    if strangers:
        problems.add(f"{where}.contracts", f"{where}.contracts: {', '.join(strangers)} is not among engine.contracts")
    floor = values.get("floor_usd")
    if floor is not None and not (math.isfinite(floor) and abs(floor) < 1_000_000):
        text = f"must be the balance in USD at which the account is lost, not {floor}"
        problems.add(f"{where}.floor_usd", f"{where}.floor_usd: {text}")
    if isinstance(own, dict):
        values["risk"] = _tightened(f"{where}.risk", own, base, problems)
    else:
        problems.add(f"{where}.risk", f"{where}.risk must be a section")
    return AccountConfig(**values) if len(problems) == before else None


def _tightened(where: str, own: dict[str, Any], base: RiskLimits, problems: Problems) -> RiskLimits | None:
    """`base` with the account's own limits; None when there are none. Looser ones are problems."""
    hints = {name: hint for name, hint in get_type_hints(RiskLimits).items() if name in _DIRECTED}
    values = _accepted(where, hints, own, problems)
    for key, value in list(values.items()):
        limit = getattr(base, key)
        if value > limit if key in SMALLER_IS_TIGHTER else value < limit:
            del values[key]
            text = f"{value} is looser than {limit} of [risk]; an account may only tighten"
            problems.add(f"{where}.{key}", f"{where}.{key}: {text}")
    if not values:
        return None
    whole = len(values) == len(own)
    merged = {**dataclasses.asdict(base), **values}
    limits: RiskLimits | None = _made(where, RiskLimits, merged, problems, whole=whole)
    return limits


_DIRECTED = SMALLER_IS_TIGHTER | LARGER_IS_TIGHTER


def _contracts(value: Any) -> tuple[str, Any]:
    """(problem or "", symbols); small letters mean the same."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return f'must be a list such as ["MNQ", "ES"], not {_typed(value)}', None
    symbols = tuple(item.upper() for item in value)
    unknown = [item for item, symbol in zip(value, symbols, strict=True) if symbol not in PRODUCTS]
    if not unknown:
        return "", symbols
    meant = _meant(unknown[0].upper(), PRODUCTS).removeprefix("; ")
    return f"unknown contract {unknown[0]!r}; {f'{meant} ' if meant else ''}known are {', '.join(PRODUCTS)}", None


# Types as a person calls them.
_ONE = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_MANY = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts"}


def _typed(value: Any) -> str:
    """A value as a settings file has it."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _convert(key: str, hint: Any, value: Any) -> tuple[str, Any]:
    """(problem or "", value) for one option."""
    if _too_large(value):
        return f"no number may be larger than {LARGEST} (64 bits)", None
    if key == "contracts":
        return _contracts(value)
    if key in CHOICES and value not in CHOICES[key]:
        return f"{value!r} is not one of {', '.join(CHOICES[key])}{_meant(value, CHOICES[key])}", None
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if not isinstance(value, list) or any(type(item) is not inner for item in value):
            return f"must be a list of {_MANY[inner]}", None
        return "", tuple(value)
    if get_origin(hint) is dict and not isinstance(value, dict):
        return f"must be a table such as {{ key = value }}, not {value!r}", None
    if hint == float | None:
        hint = float
    if hint is float and type(value) is int:
        return "", float(value)
    if isinstance(hint, type) and type(value) is not hint:
        return f"must be {_ONE.get(hint, hint.__name__)}, not {_typed(value)}", None
    return "", value


def _too_large(value: Any) -> bool:
    """Whether it is, or holds, a whole number that neither journal nor compiled code can take."""
    if isinstance(value, dict | list):
        return any(map(_too_large, value.values() if isinstance(value, dict) else value))
    return type(value) is int and abs(value) > LARGEST


def require_login(config: Config, option: Path | None = None) -> Login:
    """The login for the gateway, gone from the environment afterwards; AuthError when it is nowhere.

    `option`: file named on the command line.
    """
    return require(option=option, configured=_credentials_file(config), home=home())


def _credentials_file(config: Config) -> Path | None:
    return expanded(config.gateway.credentials_file) if config.gateway.credentials_file else None
