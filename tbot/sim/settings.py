"""Settings of one simulator run, from a dict to objects; and the market they ask for."""

import time
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from tbot.domain.contracts import DEFAULT_SYMBOLS, Contract
from tbot.domain.timeframes import NS_PER_S
from tbot.domain.trading_hours import trading_day
from tbot.errors import ConfigError
from tbot.execution.fill_model import FillSettings
from tbot.gateway.signalr import SERVER_PINGS, PingRules
from tbot.sim.accounts import AccountRules
from tbot.sim.auth import TOKEN_LIFE_S, RateLimits
from tbot.sim.listing import front_contract, tape_contract
from tbot.sim.market import MarketSource, tape_start_ns
from tbot.sim.price_path import SyntheticMarket
from tbot.sim.tape_market import TapeMarket

# Contract ids have years of two digits.
_FIRST_START_NS, _LAST_START_NS = (
    int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * NS_PER_S for year in (2001, 2099)
)


@dataclass(frozen=True, slots=True)
class SimSettings:
    """One run of the simulator. Everything has a default; `main` takes the same names as a dict.

    `speed`: market seconds per real second, or None for as fast as the subscribers read. `start_ns` None: the wall
    clock (the tape's own time with `tape`). `hours` None: `session` with a tape, a start or a speed other than 1, else
    `always`. `hold` None: a tape waits for its first market subscription, a synthetic market does not.
    `every_quote` sends each quote of the source to the market hub instead of the newest one per contract and step (the
    gateway paces them like that); None: of a tape every one, of a synthetic market the newest.
    `activity` and `volatility` scale the synthetic market's messages and moves. `users` beside `other_users` get names
    and keys of their own. `faults` is a plan: a file, or its text. `batch` False: one record a message; `max_record`:
    bytes of one record from a client.
    """

    port: int = 0
    seed: int = 1
    symbols: tuple[str, ...] = DEFAULT_SYMBOLS
    tape: Path | None = None
    speed: float | None = 1.0
    start_ns: int | None = None
    history_days: int = 5
    activity: float = 1.0
    volatility: float = 1.0
    every_quote: bool | None = None
    hours: Literal["always", "session"] | None = None
    hold: bool | None = None
    accounts: int = 1
    user_name: str = ""
    api_key: str = ""
    other_users: tuple[tuple[str, str], ...] = ()
    users: int = 1
    control_token: str = ""
    faults: Path | str | None = None
    token_life_s: float = TOKEN_LIFE_S
    limits: RateLimits = field(default_factory=RateLimits)
    pings: PingRules = SERVER_PINGS
    batch: bool = True
    max_record: int | None = None
    rules: AccountRules = field(default_factory=AccountRules)
    fills: FillSettings = field(default_factory=FillSettings)

    @property
    def simulated_time(self) -> bool:
        """Whether market time is anything but the wall clock."""
        return self.tape is not None or self.start_ns is not None or self.speed != 1.0

    @property
    def always_open(self) -> bool:
        """Whether the market and the venue ignore the session calendar."""
        return (self.hours or ("session" if self.simulated_time else "always")) == "always"


def settings_of(values: dict[str, Any]) -> SimSettings:
    """Settings from a plain dict; `speed` may be "max". ConfigError on an unknown name or a bad value."""
    known = {entry.name for entry in fields(SimSettings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"the simulator has no setting {unknown[0]!r}")
    values = dict(values)
    if values.get("speed") == "max":
        values["speed"] = None
    if values.get("tape") is not None:
        values["tape"] = Path(values["tape"])
    if values.get("symbols") is not None:
        values["symbols"] = tuple(values["symbols"])
    settings = SimSettings(**values)
    if settings.speed is not None and not 0 < settings.speed <= 10_000:
        raise ConfigError(f"speed must be above 0 and at most 10000, or max, not {settings.speed}")
    if not 1 <= settings.accounts <= 1000:
        raise ConfigError(f"a user has 1 to 1000 accounts, not {settings.accounts}")
    if settings.seed < 0:
        raise ConfigError(f"a seed is 0 or more, not {settings.seed}")
    if settings.start_ns is not None and not _FIRST_START_NS <= settings.start_ns < _LAST_START_NS:
        raise ConfigError("the synthetic market starts in a year from 2001 to 2098")
    if not 1 <= settings.users <= 100:
        raise ConfigError(f"a simulator has 1 to 100 users, not {settings.users}")
    return settings


def open_source(settings: SimSettings) -> tuple[MarketSource, list[Contract], int]:
    """(source, its contracts with their months, market time at which the clock begins)."""
    if settings.tape is not None:
        symbols = () if settings.symbols == DEFAULT_SYMBOLS else settings.symbols
        tape = TapeMarket(settings.tape, symbols)
        day = trading_day(tape.first_ns)
        contracts = [tape_contract(tape.names[product.contract_id], day) for product in tape.contracts]
        return tape, contracts, tape_start_ns(tape.first_ns, settings.speed)
    start_ns = time.time_ns() if settings.start_ns is None else settings.start_ns
    market = SyntheticMarket(
        settings.seed,
        settings.symbols,
        start_ns,
        settings.history_days,
        always_open=settings.always_open,
        activity=settings.activity,
        volatility=settings.volatility,
    )
    day = trading_day(start_ns)
    contracts = [front_contract(product, day) for product in market.contracts]
    # On the wall clock: making the history took a while, and the clock must not be late by it.
    return market, contracts, start_ns if settings.simulated_time else time.time_ns()
