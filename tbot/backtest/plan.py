"""Everything that a backtest depends on beside its data; equal plans on equal data give equal results."""

import dataclasses
import functools
import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import orjson

from tbot.domain.contracts import Product
from tbot.errors import ConfigError
from tbot.execution.fill_model import BACKTEST_FILLS, FillSettings
from tbot.execution.settings import AccountSettings
from tbot.risk.caps import Cap
from tbot.risk.limits import RiskLimits
from tbot.strategy.decider import Trader
from tbot.strategy.settings import StrategySettings

# Makes the strategy of one contract; the packaged one is ContractTrader itself.
TraderFactory = Callable[[Product, StrategySettings], Trader]


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """One account of a backtest: what the Desk is told of it, and the balance (cents) it opens with."""

    settings: AccountSettings
    balance_cents: int = 5_000_000


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """Strategy, limits, accounts and fill rules of one backtest.

    `make_trader` None is the packaged strategy; of another one the hash has `trader_name` and `trader_code`, the hash
    of the text that it stands in (see `code_hash`): a strategy that was changed is another trial, and may not open a
    hold-out that the one before it has opened.
    `calendar` "template" lets the weekly pattern stand for years that the session table does not cover (ruling 3).
    """

    accounts: tuple[AccountPlan, ...]
    strategy: StrategySettings = field(default_factory=StrategySettings)
    limits: RiskLimits = field(default_factory=RiskLimits)
    fills: FillSettings = BACKTEST_FILLS
    caps: tuple[Cap, ...] = ()
    make_trader: TraderFactory | None = None
    trader_name: str = ""
    trader_code: str = ""
    calendar: Literal["template", "exact"] = "template"
    run_start_ms: int = 1

    def __post_init__(self) -> None:
        if not self.accounts:
            raise ConfigError("a backtest needs at least one account")
        if (self.make_trader is None) != (not self.trader_name):
            raise ConfigError("a strategy of one's own needs a name, and only such a one has it")

    def digest(self) -> str:
        """Short hash of every value that can change a result."""
        values: dict[str, Any] = {
            entry.name: _plain(getattr(self, entry.name))
            for entry in dataclasses.fields(self)
            if entry.name != "make_trader"
        }
        if not self.strategy.learning.decides:
            values["strategy"].pop("learning")  # it changes no decision
        document = orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
        return hashlib.sha256(document).hexdigest()[:12]


def code_hash(make_trader: TraderFactory | None) -> str:
    """SHA-256 of the file in which a strategy is written, of its own text where there is no file (a notebook).

    "" for none, and where no text can be found. What the file imports, and what a closure or a partial holds, is not in
    it.
    """
    made: Any = make_trader
    while isinstance(made, functools.partial):
        made = made.func
    if made is None:
        return ""
    if not (inspect.isclass(made) or inspect.isroutine(made)):
        made = type(made)  # an object that is called
    places: tuple[Any, ...] = (inspect.getmodule(made), made)
    for place in places:
        try:
            return hashlib.sha256(inspect.getsource(place).encode()).hexdigest()
        except (OSError, TypeError):
            continue
    return ""


def _plain(value: object) -> object:
    """Settings objects as plain data."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: _plain(getattr(value, entry.name)) for entry in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return value
