"""What a run is: plain values that the launcher hands to every process. Nothing here is secret."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tbot.context.news import Calendar
from tbot.context.news_settings import NewsSettings
from tbot.domain.clock import MarketClock
from tbot.domain.trading_hours import SessionTable
from tbot.engine.log_settings import LogSettings
from tbot.engine.report_settings import ReportSettings
from tbot.errors import ConfigError
from tbot.execution.fill_model import FillSettings
from tbot.risk.caps import Cap
from tbot.risk.firm import FirmRules, Stage
from tbot.risk.limits import RiskLimits
from tbot.storage.sessions import load_sessions
from tbot.strategy.trader import StrategySettings

Mode = Literal["sim", "paper", "live", "replay"]
WaitStrategy = Literal["futex", "poll", "spin"]

RING_CAPACITY = 1 << 16  # ticks a contract: about a minute of the busiest tape at 1 000 ticks a second
HISTORY_CAPACITY = 20_000  # 1m bars a contract: what one history request can return


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where the gateway is. `simulated`: it is ours, answers /sim/clock, and takes orders without live authority."""

    rest_url: str
    user_hub: str
    market_hub: str
    simulated: bool
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """One account of a run. Money in integer cents."""

    account: int  # the gateway's numeric id
    name: str  # pinned: another one at the gateway halts the account (F-ACC-04)
    plan: str = "50K"
    stage: Stage = "combine"
    contracts: tuple[str, ...] = ()  # (): all of the run
    floor_cents: int | None = None  # loss floor as the owner read it from the firm's dashboard; None: not told
    limits: RiskLimits | None = None  # None: those of the run
    rules: FirmRules | None = None  # None: no firm watches it
    since: str = ""  # ISO date: first trading day of the account's present life; "": count all that the broker tells

    @classmethod
    def paper(cls) -> "AccountPlan":
        """The account of a paper run that pins none: it exists in the executor only."""
        return cls(1, "PAPER")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One run of the engine, as every process of it sees it.

    ConfigError for a run that may not be: orders to a gateway that is not a simulator of ours exist in mode live alone,
    and that needs accounts pinned by id and name which a person has confirmed for this very run (I17).
    """

    mode: Mode
    symbols: tuple[str, ...]
    state_dir: Path
    run_dir: Path
    run_id: int
    build: str
    config_hash: str
    gateway: GatewaySettings | None = None
    tape: Path | None = None
    speed: float = 0.0  # of a replay; 0 = lock-step
    strategy: StrategySettings = field(default_factory=StrategySettings)
    limits: RiskLimits = field(default_factory=RiskLimits)
    fills: FillSettings = field(default_factory=FillSettings)  # of paper orders
    workers: int = 0  # 0: one process per contract; n: n processes share the contracts
    wait: WaitStrategy = "futex"
    on_exit: Literal["flatten", "hold"] = "flatten"
    accounts: tuple[AccountPlan, ...] = ()  # pinned; (): the first tradable one of a simulated gateway, or PAPER
    sessions: SessionTable = field(default_factory=load_sessions)  # as read at the start; later edits change nothing
    confirmed: tuple[int, ...] = ()  # ids of the accounts that a person confirmed for live trading in this run
    locks: Path | None = None  # folder of the account locks; None: no account of a gateway is traded
    caps: tuple[Cap, ...] = ()  # largest positions for a stretch of time, by the owner's file
    warnings: tuple[str, ...] = ()  # what a person should know of this run from its start on
    template_hours: bool = False  # years outside the session table use the weekly template
    history_days: int = 5
    clock: MarketClock | None = None  # of a paced replay
    pointer: Path | None = None  # file that tells where the newest run keeps its state
    keep_bars: Path | None = None  # folder for the closed 1m bars of every contract
    news: NewsSettings = field(default_factory=NewsSettings)
    news_home: Path | None = None  # folder of the owner's rows and the cache; None: this run follows no news of today
    fetch_news: bool = False  # ask the public address
    calendar: Calendar | None = None  # news of a replay; None: none were given
    report: ReportSettings = field(default_factory=ReportSettings)
    log: LogSettings = field(default_factory=LogSettings)

    def __post_init__(self) -> None:
        gateway = self.gateway
        if self.mode == "sim" and gateway is not None and not gateway.simulated:
            raise ConfigError("mode sim sends orders to a simulator of ours only; this gateway is none: run on paper")
        if self.mode != "live":
            return
        if gateway is None or gateway.simulated or gateway.embedded:
            raise ConfigError("mode live needs a gateway that is no simulator of ours")
        if not self.accounts or not all(account.name for account in self.accounts):
            raise ConfigError("mode live needs accounts pinned by id and name in [[accounts]]")
        if sorted(self.confirmed) != sorted(account.account for account in self.accounts):
            raise ConfigError("mode live needs every pinned account confirmed by a person")

    @property
    def lockstep(self) -> bool:
        """A tape at speed max: the source waits for everybody after each exchange instant."""
        return self.mode == "replay" and self.speed == 0

    @property
    def journal_path(self) -> Path:
        return self.state_dir / "journal.db"

    def socket(self, name: str) -> Path:
        """Address of one of the run's own sockets, inside its private directory."""
        return self.run_dir / f"{name}.sock"

    def ring_name(self, symbol: str) -> str:
        return f"ring.{symbol}"

    def history_name(self, symbol: str) -> str:
        return f"history.{symbol}"

    def board_name(self, symbol: str) -> str:
        return f"board.{symbol}"
